"""Checkpoints in git: written without touching the working tree, read back from all of history."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from muniment.evidence.gitanchor import DEFAULT_REF, anchor_in_git, anchored_checkpoints
from muniment.schemas.errors import GitError, InputError, MunimentError

ORIGIN = "evidence.example.com"


@pytest.fixture(autouse=True)
def _isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration but the test's own."""
    for name in [item for item in os.environ if item.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Ana", "-c", "user.email=ana@example.com")
    done = subprocess.run(
        ["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with one commit, a change in the index and one in the working tree."""
    folder = tmp_path / "repo"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "a.txt").write_text("a\n")
    git(folder, "add", "a.txt")
    git(folder, "commit", "-qm", "A")
    (folder / "b.txt").write_text("b\n")
    git(folder, "add", "b.txt")
    (folder / "a.txt").write_text("changed\n")
    return folder


def held(repo: Path) -> tuple[tuple[str, bytes], ...]:
    return anchored_checkpoints(repo, DEFAULT_REF, ORIGIN).notes


def test_each_size_becomes_one_file_of_one_chain(repo: Path, lab: Any) -> None:
    """Anchored at 1 and at 3, with a repeat between: two commits, two files with the very notes,
    and index, working tree and HEAD as before."""
    before = git(repo, "status", "--porcelain"), git(repo, "rev-parse", "HEAD")
    first = anchor_in_git(repo, lab.ledger)
    small = lab.ledger.checkpoint()
    assert (first.size, first.is_new, first.pushed) == (1, True, None)
    again = anchor_in_git(repo, lab.ledger)
    assert (again.commit, again.is_new) == (first.commit, False)
    lab.append(lab.statement(), lab.statement(title="Two"))
    second = anchor_in_git(repo, lab.ledger)
    assert git(repo, "rev-parse", f"{DEFAULT_REF}^") == first.commit
    assert git(repo, "ls-tree", "-r", "--name-only", DEFAULT_REF).split() == [
        f"checkpoints/{ORIGIN}/1",
        f"checkpoints/{ORIGIN}/3",
    ]
    kept = dict(held(repo))
    assert kept == {
        f"{DEFAULT_REF}:checkpoints/{ORIGIN}/1": small.note.to_bytes(),
        f"{DEFAULT_REF}:checkpoints/{ORIGIN}/3": lab.ledger.checkpoint().note.to_bytes(),
    }
    assert (git(repo, "status", "--porcelain"), git(repo, "rev-parse", "HEAD")) == before
    assert second.commit == git(repo, "rev-parse", DEFAULT_REF)
    git(repo, "fsck", "--strict")


def test_what_is_taken_away_later_is_still_read(repo: Path, lab: Any) -> None:
    """A commit on top that deletes the checkpoints, beside files of others, hides nothing."""
    anchor_in_git(repo, lab.ledger)
    tree = git(repo, "rev-parse", "main^{tree}")
    tip = git(repo, "commit-tree", "-m", "Clean up", "-p", DEFAULT_REF, tree)
    git(repo, "update-ref", DEFAULT_REF, tip)
    assert len(held(repo)) == 1
    lab.append(lab.statement())
    anchor_in_git(repo, lab.ledger)
    names = git(repo, "ls-tree", "-r", "--name-only", DEFAULT_REF).split()
    assert names == ["a.txt", f"checkpoints/{ORIGIN}/2"]
    assert len(held(repo)) == 2


def test_two_ledgers_share_a_ref(repo: Path, lab: Any) -> None:
    """Each ledger finds its own checkpoints."""
    anchor_in_git(repo, lab.ledger)
    assert anchored_checkpoints(repo, DEFAULT_REF, "evidence.example.com/credit").notes == ()


def test_it_is_pushed_and_taken_up_elsewhere(repo: Path, tmp_path: Path, lab: Any) -> None:
    """A second clone goes on where the first stopped; who went apart is told."""
    git(tmp_path, "init", "-q", "--bare", "remote.git")
    remote = str(tmp_path / "remote.git")
    first = anchor_in_git(repo, lab.ledger, push=remote)
    assert git(tmp_path / "remote.git", "rev-parse", DEFAULT_REF) == first.commit
    git(tmp_path, "init", "-q", "clone")
    lab.append(lab.statement())
    second = anchor_in_git(tmp_path / "clone", lab.ledger, push=remote)
    assert git(tmp_path / "remote.git", "rev-parse", f"{DEFAULT_REF}^") == first.commit
    assert git(tmp_path / "remote.git", "rev-parse", DEFAULT_REF) == second.commit
    assert anchor_in_git(repo, lab.ledger, push=remote).commit == second.commit
    lab.append(lab.statement(title="Two"))
    anchor_in_git(repo, lab.ledger)
    lab.append(lab.statement(title="Three"))
    anchor_in_git(tmp_path / "clone", lab.ledger, push=remote)
    with pytest.raises(GitError) as caught:
        anchor_in_git(repo, lab.ledger, push=remote)
    assert caught.value.code == "git.diverged"


@pytest.mark.parametrize("ref", ["muniment", "HEAD", "refs/heads/a..b", "refs/tags/x", "-x", ""])
def test_other_names_are_no_ref(repo: Path, lab: Any, ref: str) -> None:
    """Only whole names of notes and branches are taken."""
    with pytest.raises(InputError) as caught:
        anchor_in_git(repo, lab.ledger, ref=ref)
    assert caught.value.code == "git.ref"


def test_a_branch_is_taken_unless_it_is_checked_out(repo: Path, lab: Any) -> None:
    """A branch of its own works; the one somebody works on does not."""
    assert anchor_in_git(repo, lab.ledger, ref="refs/heads/checkpoints").is_new
    with pytest.raises(InputError) as caught:
        anchor_in_git(repo, lab.ledger, ref="refs/heads/main")
    assert caught.value.code == "git.checked-out"


def test_without_a_repository_or_remote(tmp_path: Path, repo: Path, lab: Any) -> None:
    """No repository is the request's mistake; a remote that is not there is git's answer."""
    with pytest.raises(InputError) as caught:
        anchor_in_git(tmp_path, lab.ledger)
    assert caught.value.code == "git.none"
    for remote in ("nowhere", "ext::sh -c true", "--upload-pack=true"):
        with pytest.raises(GitError) as failed:
            anchor_in_git(repo, lab.ledger, push=remote)
        assert failed.value.code == "git.failed"


def test_a_past_that_git_contradicts_is_not_anchored(repo: Path, lab: Any, lab_on: Any) -> None:
    """Git holds a checkpoint the ledger does not extend: refused with the reason, nothing moved."""
    lab.append(lab.statement())
    anchor_in_git(repo, lab.ledger)
    tip = git(repo, "rev-parse", DEFAULT_REF)
    other = lab_on("sqlite://")
    with pytest.raises(MunimentError) as caught:
        anchor_in_git(repo, other.ledger)
    assert caught.value.code == "outside.other-ledger"
    assert git(repo, "rev-parse", DEFAULT_REF) == tip
