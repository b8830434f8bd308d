"""Git links, against real repositories."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from muniment.evidence import gitlinks, gitrun, giturls
from muniment.evidence.artifacts import HashedFile, hash_file
from muniment.evidence.gitlinks import (
    CommitSignature,
    GitLink,
    GitState,
    check_links,
    link,
    subject,
)
from muniment.schemas.errors import GitError, InputError
from muniment.schemas.statement import Statement, Subject, SystemRef, predicate_type

NASTY_NAMES = [
    "with space.json",
    "-leading-dash",
    "--path=x",
    ":(exclude)x",
    ":/top",
    "quote\"'`$(touch x)",
    "new\nline",
    "tab\tand\\backslash",
    "*?[glob]",
    "übung-模型-🗝",
    "~^{}@{u}",
    "HEAD:x",
]


@pytest.fixture(autouse=True)
def isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration but the test's own, and no GIT_ variable from outside."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "home" / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    for key, value in {
        "user.name": "Ada Example",
        "user.email": "ada@example.com",
        "init.defaultBranch": "main",
        "protocol.file.allow": "always",
    }.items():
        git(tmp_path, "config", "--global", key, value)


def git(folder: Path, *arguments: str, stdin: bytes | None = None) -> str:
    """Run git itself, not the code under test."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, input=stdin, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with one commit of eval.json."""
    return make_repo(tmp_path / "repo")


def make_repo(path: Path, *options: str) -> Path:
    path.mkdir()
    git(path, "init", "-q", *options)
    commit_file(path, "eval.json", b'{"accuracy": 0.9}\n')
    return path


def commit_file(repo: Path, name: str, data: bytes) -> str:
    (repo / name).parent.mkdir(parents=True, exist_ok=True)
    (repo / name).write_bytes(data)
    git(repo, "--literal-pathspecs", "add", "--", name)
    git(repo, "commit", "-q", "-m", "add")
    return git(repo, "rev-parse", "HEAD")


def add_remote(repo: Path, url: str | None = None) -> Path:
    """Push to a bare repository beside ``repo``, whatever URL the remote shows."""
    bare = repo.with_name(f"{repo.name}-remote.git")
    git(repo.parent, "init", "-q", "--bare", str(bare))
    git(repo, "remote", "add", "origin", str(bare))
    git(repo, "push", "-q", "origin", "HEAD:main")
    if url is not None:
        git(repo, "remote", "set-url", "origin", url)
    return bare


def look(path: Path) -> GitLink:
    return link(hash_file(path))


def attach(path: Path, name: str = "file") -> Subject:
    file = hash_file(path)
    return subject(file, name=name, stored=False, link=link(file))


def snapshot(repo: Path) -> dict[str, bytes]:
    """Everything in .git, to see that reading changes nothing."""
    return {
        str(path.relative_to(repo)): path.read_bytes()
        for path in (repo / ".git").rglob("*")
        if path.is_file()
    }


# What a link says


def test_a_committed_file_is_linked_to_its_commit_and_blob(repo: Path) -> None:
    """Commit, path and blob are those git names for the file; no remote, so nothing on pushing."""
    assert look(repo / "eval.json") == GitLink(
        GitState.COMMITTED,
        repository="repo",
        path="eval.json",
        commit=git(repo, "rev-parse", "HEAD"),
        blob=git(repo, "rev-parse", "HEAD:eval.json"),
        filtered=False,
        pushed=None,
        signature=CommitSignature.NONE,
        signer=None,
    )


def test_looking_changes_nothing_in_the_repository(repo: Path) -> None:
    """Not one byte under .git differs after links were made and checked."""
    (repo / "other").write_bytes(b"x")
    before = snapshot(repo)
    look(repo / "other")
    check_links([(0, attach(repo / "eval.json"))], repo)
    assert snapshot(repo) == before


def untouched(repo: Path) -> str:
    return "eval.json"


def edited(repo: Path) -> str:
    (repo / "eval.json").write_bytes(b'{"accuracy": 0.91}\n')
    return "eval.json"


def edited_unseen(repo: Path) -> str:
    """Same size, same time, and git told not to look: `git status` shows nothing."""
    git(repo, "update-index", "--assume-unchanged", "eval.json")
    times = (repo / "eval.json").stat()
    (repo / "eval.json").write_bytes(b'{"accuracy": 1.0}\n')
    os.utime(repo / "eval.json", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert git(repo, "status", "--porcelain") == ""
    return "eval.json"


def staged_edit(repo: Path) -> str:
    edited(repo)
    git(repo, "add", "eval.json")
    return "eval.json"


def staged_edit_undone(repo: Path) -> str:
    """The index holds other bytes; the file and HEAD agree."""
    before = (repo / "eval.json").read_bytes()
    staged_edit(repo)
    (repo / "eval.json").write_bytes(before)
    return "eval.json"


def staged_new(repo: Path) -> str:
    (repo / "new").write_bytes(b"new")
    git(repo, "add", "new")
    return "new"


def intended(repo: Path) -> str:
    (repo / "new").write_bytes(b"new")
    git(repo, "add", "-N", "new")
    return "new"


def untracked(repo: Path) -> str:
    (repo / "deep" / "er").mkdir(parents=True)
    (repo / "deep" / "er" / "new").write_bytes(b"new")
    return "deep/er/new"


def untracked_copy(repo: Path) -> str:
    """The bytes are committed, but not at this path."""
    (repo / "copy").write_bytes((repo / "eval.json").read_bytes())
    return "copy"


def ignored(repo: Path) -> str:
    (repo / ".gitignore").write_text("models/\n")
    (repo / "models").mkdir()
    (repo / "models" / "m.onnx").write_bytes(b"weights")
    return "models/m.onnx"


def ignored_but_committed(repo: Path) -> str:
    (repo / ".gitignore").write_text("*.json\n")
    return "eval.json"


def executable(repo: Path) -> str:
    (repo / "eval.json").chmod(0o755)
    return "eval.json"


def other_branch(repo: Path) -> str:
    """Committed, but not in HEAD."""
    git(repo, "checkout", "-q", "-b", "side")
    commit_file(repo, "side.json", b"{}")
    git(repo, "checkout", "-q", "main")
    (repo / "side.json").write_bytes(b"{}")
    return "side.json"


def was_a_link(repo: Path) -> str:
    """HEAD holds a symbolic link whose blob has the very bytes of the file."""
    (repo / "link").symlink_to("target")
    git(repo, "add", "link")
    git(repo, "commit", "-q", "-m", "link")
    (repo / "link").unlink()
    (repo / "link").write_bytes(b"target")
    return "link"


def was_a_folder(repo: Path) -> str:
    commit_file(repo, "thing/inner", b"x")
    (repo / "thing" / "inner").unlink()
    (repo / "thing").rmdir()
    (repo / "thing").write_bytes(b"x")
    return "thing"


STATES: dict[Callable[[Path], str], str] = {
    untouched: "committed",
    edited: "modified",
    edited_unseen: "modified",
    staged_edit: "modified",
    staged_edit_undone: "committed",
    staged_new: "modified",
    intended: "modified",
    untracked: "untracked",
    untracked_copy: "untracked",
    ignored: "ignored",
    ignored_but_committed: "committed",
    executable: "committed",
    other_branch: "untracked",
    was_a_link: "modified",
    was_a_folder: "untracked",
}


@pytest.mark.parametrize("prepare", STATES, ids=lambda case: case.__name__)
def test_only_bytes_that_head_holds_at_the_path_are_committed(
    repo: Path, prepare: Callable[[Path], str]
) -> None:
    """Each way a file can stand in git has its state, and only committed ones have a commit."""
    name = prepare(repo)
    found = look(repo / name)
    assert found.state == STATES[prepare]
    assert (found.repository, found.path) == ("repo", name)
    is_committed = STATES[prepare] == "committed"
    rest = (found.commit, found.blob, found.filtered, found.signature)
    assert all((value is not None) is is_committed for value in rest)


def test_a_file_in_no_repository_is_outside(tmp_path: Path) -> None:
    """Nothing but the state is said of a file outside."""
    (tmp_path / "x").touch()
    assert look(tmp_path / "x") == GitLink(GitState.OUTSIDE)
    assert look(tmp_path / "x").to_json() == {"state": "outside"}


def test_a_repository_without_a_commit_holds_nothing(tmp_path: Path) -> None:
    """Before the first commit a file is untracked, or modified once it is staged."""
    git(tmp_path, "init", "-q", "empty")
    (tmp_path / "empty" / "x").touch()
    assert look(tmp_path / "empty" / "x").state is GitState.UNTRACKED
    git(tmp_path / "empty", "add", "x")
    assert look(tmp_path / "empty" / "x").state is GitState.MODIFIED


def test_a_detached_head_is_a_commit_like_any(repo: Path) -> None:
    """With HEAD at an older commit, it is that commit's tree that counts."""
    first = git(repo, "rev-parse", "HEAD")
    commit_file(repo, "eval.json", b"newer\n")
    git(repo, "checkout", "-q", "--detach", first)
    assert look(repo / "eval.json").commit == first
    (repo / "eval.json").write_bytes(b"newer\n")
    assert look(repo / "eval.json").state is GitState.MODIFIED


def test_a_linked_worktree_has_its_own_head(tmp_path: Path, repo: Path) -> None:
    """A file in a linked worktree is held against that worktree's HEAD."""
    first = git(repo, "rev-parse", "HEAD")
    git(repo, "worktree", "add", "-q", "--detach", str(tmp_path / "wt"))
    commit_file(repo, "eval.json", b"newer\n")
    assert look(tmp_path / "wt" / "eval.json").commit == first


def test_a_submodule_is_the_repository_of_its_files(tmp_path: Path, repo: Path) -> None:
    """A file in a submodule is linked to the submodule's commit, not its parent's."""
    inner = make_repo(tmp_path / "inner")
    git(repo, "submodule", "--quiet", "add", str(inner), "sub")
    git(repo, "commit", "-q", "-m", "sub")
    found = look(repo / "sub" / "eval.json")
    assert found.commit == git(inner, "rev-parse", "HEAD") != git(repo, "rev-parse", "HEAD")
    assert (found.repository, found.path) == (str(inner), "eval.json")


def test_a_sha256_repository_is_understood(tmp_path: Path) -> None:
    """With SHA-256 object ids, commit and blob have 64 digits, and states are the same."""
    repo = make_repo(tmp_path / "new", "--object-format=sha256")
    found = look(repo / "eval.json")
    assert found.state is GitState.COMMITTED
    assert found.filtered is False
    assert found.commit == git(repo, "rev-parse", "HEAD")
    assert found.blob == git(repo, "rev-parse", "HEAD:eval.json")
    assert found.blob is not None and len(found.blob) == 64
    assert check_links([(0, attach(repo / "eval.json"))], repo) == (1, [], [])
    edited(repo)
    assert look(repo / "eval.json").state is GitState.MODIFIED


@pytest.mark.parametrize("name", NASTY_NAMES)
@pytest.mark.parametrize("below", ["", "sub dir/-x"])
def test_a_name_is_never_taken_for_anything_else(repo: Path, name: str, below: str) -> None:
    """No file name is read as an option, revision, pattern or line end, in any state."""
    if "/" in name:
        (repo / below / name).parent.mkdir(parents=True, exist_ok=True)
    path = str(Path(below) / name)
    (repo / below).mkdir(parents=True, exist_ok=True)
    (repo / path).parent.mkdir(parents=True, exist_ok=True)
    (repo / path).write_bytes(b"one\n")
    assert look(repo / path).state is GitState.UNTRACKED
    commit_file(repo, path, b"one\n")
    found = look(repo / path)
    assert (found.state, found.path) == (GitState.COMMITTED, path)
    checked = check_links([(0, attach(repo / path))], repo)
    assert checked == (1, [], [])
    (repo / path).write_bytes(b"two\n")
    assert look(repo / path).state is GitState.MODIFIED


def test_a_repository_in_a_folder_with_a_nasty_name(tmp_path: Path) -> None:
    """A line feed in the folder's name, followed by what looks like a commit, misleads nobody."""
    repo = make_repo(tmp_path / f"a\n{'0' * 40}\n")
    add_remote(repo, "https://example.com/a.git")
    commit_file(repo, "x", b"x")
    assert look(repo / "x").pushed is False
    git(repo, "remote", "remove", "origin")
    assert look(repo / "x").repository == repo.name


def test_a_symbolic_link_stands_for_the_real_file(tmp_path: Path, repo: Path) -> None:
    """A link from outside to a committed file is linked to the real file's repository."""
    (tmp_path / "link").symlink_to(repo / "eval.json")
    assert look(tmp_path / "link").path == "eval.json"
    (repo / "away").symlink_to(tmp_path / "outside")
    (tmp_path / "outside").touch()
    assert look(repo / "away").state is GitState.OUTSIDE


@pytest.mark.parametrize("inside", ["bare.git/description", "repo/.git/config"])
def test_a_file_of_the_repository_itself_is_refused(
    tmp_path: Path, repo: Path, inside: str
) -> None:
    """A file in a bare repository or under .git is in no working tree."""
    git(tmp_path, "init", "-q", "--bare", "bare.git")
    with pytest.raises(GitError, match="not in a working tree") as caught:
        look(tmp_path / inside)
    assert caught.value.code == "git.no-work-tree"


def test_a_broken_repository_is_not_outside(tmp_path: Path) -> None:
    """A .git file that leads nowhere is a failure, not the absence of a repository."""
    (tmp_path / ".git").write_text("gitdir: /nowhere/at/all\n")
    (tmp_path / "x").touch()
    with pytest.raises(GitError, match="git failed: fatal: not a git repository") as caught:
        look(tmp_path / "x")
    assert caught.value.code == "git.failed"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to somebody else")
def test_a_repository_of_somebody_else_is_refused(repo: Path) -> None:
    """Git's safe.directory refusal is passed on with the command that git names."""
    for path in (repo, repo / ".git"):
        os.chown(path, 12345, 12345)
    with pytest.raises(GitError, match="belongs to somebody else") as caught:
        look(repo / "eval.json")
    assert caught.value.code == "git.refused"
    assert caught.value.hint == f"git config --global --add safe.directory {repo}"
    checked, findings, not_checked = check_links([(4, claim())], repo)
    assert (checked, findings) == (0, [])
    assert not_checked == ["#4 file: git refuses the repository: it belongs to somebody else"]


def test_without_git_the_error_is_ours(
    tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No git on the path: git.not-installed, with or without variables to take away."""
    monkeypatch.setenv("PATH", str(tmp_path))
    for _ in range(2):
        with pytest.raises(GitError, match="git was not found") as caught:
            look(repo / "eval.json")
        assert caught.value.code == "git.not-installed"
        monkeypatch.setenv("GIT_DIR", "x")


def test_without_git_at_import_the_error_is_ours(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GitPython refuses to be imported where there is no git; that is git.not-installed too."""
    monkeypatch.setitem(sys.modules, "git", None)
    with pytest.raises(GitError, match="git was not found") as caught:
        look(repo / "eval.json")
    assert caught.value.code == "git.not-installed"


def test_a_broken_index_is_an_error(repo: Path) -> None:
    """Where git cannot say whether it knows a file, no state is made up."""
    (repo / "new").touch()
    (repo / ".git" / "index").write_bytes(b"garbage")
    with pytest.raises(GitError, match=r"git failed: (error|fatal): ") as caught:
        look(repo / "new")
    assert caught.value.code == "git.failed"


def test_a_file_whose_committed_blob_is_lost_is_modified(repo: Path) -> None:
    """Other bytes than a blob that cannot be read are not taken for committed."""
    loose(repo, git(repo, "rev-parse", "HEAD:eval.json")).unlink()
    assert look(repo / "eval.json").state is GitState.COMMITTED
    assert look(repo / edited(repo)).state is GitState.MODIFIED


def test_a_git_that_ends_early_is_an_error(tmp_path: Path, repo: Path) -> None:
    """A git that gives up while it is fed or read from is git.failed, not a broken pipe."""
    with pytest.raises(GitError, match="cannot change to") as caught:
        gitrun.hash_converted(tmp_path / "gone", "x", [bytes(1 << 20)] * 4)
    assert caught.value.code == "git.failed"
    commit_file(repo, "large", os.urandom(4 << 20))
    with gitrun.Objects(repo) as objects:
        process = objects._process
        with pytest.raises(GitError, match="git failed"):
            objects.feed("HEAD:large", lambda chunk: process.kill())
        with pytest.raises(GitError, match="git failed"):
            objects.commit("HEAD")


def test_variables_cannot_mislead(
    tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIT_DIR and its like, as set inside a hook, change nothing of a link or a check."""
    other = make_repo(tmp_path / "other")
    expected = look(repo / "eval.json")
    for name, value in {
        "GIT_DIR": str(other / ".git"),
        "GIT_WORK_TREE": str(other),
        "GIT_INDEX_FILE": str(other / ".git" / "index"),
        "GIT_OBJECT_DIRECTORY": str(other / ".git" / "objects"),
        "GIT_COMMON_DIR": str(other / ".git"),
        "GIT_NAMESPACE": "x",
        "GIT_CONFIG": str(other / ".git" / "config"),
        "GIT_LITERAL_PATHSPECS": "0",
        "GIT_TRACE": "2",
        "GIT_ATTR_SOURCE": "HEAD",
    }.items():
        monkeypatch.setenv(name, value)
    assert look(repo / "eval.json") == expected
    assert check_links([(0, attach(repo / "eval.json"))], repo) == (1, [], [])


def test_replaced_objects_cannot_mislead(repo: Path) -> None:
    """`git replace` shows other bytes under a commit's id; links are about the real ones."""
    first = attach(repo / "eval.json")
    old = git(repo, "rev-parse", "HEAD")
    new = commit_file(repo, "eval.json", b"newer\n")
    git(repo, "replace", new, old)
    assert git(repo, "show", "HEAD:eval.json") != "newer"
    assert look(repo / "eval.json").state is GitState.COMMITTED
    assert check_links([(0, first), (1, attach(repo / "eval.json"))], repo) == (2, [], [])


def test_a_link_is_about_the_bytes_that_were_hashed(repo: Path) -> None:
    """A file that changes between hashing and linking is judged by what was hashed."""
    clean = hash_file(repo / "eval.json")
    edited(repo)
    dirty = hash_file(repo / "eval.json")
    assert link(clean).state is GitState.COMMITTED
    git(repo, "checkout", "-q", "eval.json")
    with pytest.raises(InputError, match="changed after it was read"):
        link(dirty)


# Conversions


def crlf_by_config(repo: Path) -> None:
    git(repo, "config", "core.autocrlf", "true")


def crlf_by_attribute(repo: Path) -> None:
    commit_file(repo, ".gitattributes", b"*.csv text eol=crlf\n")


@pytest.mark.parametrize("prepare", [crlf_by_config, crlf_by_attribute])
def test_line_ends_that_git_converts_are_committed_and_filtered(
    repo: Path, prepare: Callable[[Path], None]
) -> None:
    """CR LF that git itself makes is committed in other bytes; and the check can still prove it."""
    prepare(repo)
    commit_file(repo, "data.csv", b"a,b\r\n1,2\r\n")
    assert git(repo, "cat-file", "-p", "HEAD:data.csv") == "a,b\n1,2"
    item = attach(repo / "data.csv")
    assert item.git is not None
    assert (item.git["state"], item.git["filtered"]) == ("committed", True)
    assert "gitBlob" not in item.digest
    assert check_links([(0, item)], repo) == (1, [], [])
    (repo / "data.csv").write_bytes(b"a,b\r\n1,3\r\n")
    assert look(repo / "data.csv").state is GitState.MODIFIED


def test_line_ends_that_git_does_not_convert_are_modified(repo: Path) -> None:
    """Without a setting, CR LF in place of LF is a change."""
    commit_file(repo, "data.csv", b"a,b\n")
    (repo / "data.csv").write_bytes(b"a,b\r\n")
    assert look(repo / "data.csv").state is GitState.MODIFIED


def test_other_conversions_are_filtered_and_their_bytes_not_checked(repo: Path) -> None:
    """$Id$ and encodings are committed; from the blob alone their SHA-256 is not computable."""
    commit_file(repo, ".gitattributes", b"*.c ident\n*.txt working-tree-encoding=UTF-16LE\n")
    commit_file(repo, "x.c", b"$Id: 123 $\n")
    commit_file(repo, "x.txt", "grün\n".encode("utf-16-le"))
    items = [(n, attach(repo / name, name)) for n, name in enumerate(["x.c", "x.txt"])]
    assert [item.git and item.git["filtered"] for _, item in items] == [True, True]
    checked, findings, not_checked = check_links(items, repo)
    assert (checked, findings) == (0, [])
    assert [line.split(":")[0] for line in not_checked] == ["#0 x.c", "#1 x.txt"]
    assert "git converts the file" in not_checked[0]


def test_a_converted_file_that_changed_since_is_an_error(repo: Path) -> None:
    """Where git must see the bytes again and they are others, nothing is claimed."""
    crlf_by_config(repo)
    commit_file(repo, "data.csv", b"a\r\n")
    file = hash_file(repo / "data.csv")
    (repo / "data.csv").write_bytes(b"b\r\n")
    with pytest.raises(InputError, match="changed after it was read") as caught:
        link(file)
    assert caught.value.code == "file.changed"


def test_a_file_too_large_to_convert_is_modified(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond git's own limit for conversions nothing is claimed for other bytes."""
    crlf_by_config(repo)
    commit_file(repo, "data.csv", b"a\r\n")
    monkeypatch.setattr(gitlinks, "_MAX_CONVERTED", 2)
    assert look(repo / "data.csv").state is GitState.MODIFIED


def pointer(data: bytes, *, size: int | None = None, extension: bytes = b"") -> bytes:
    oid = hashlib.sha256(data).hexdigest().encode()
    return b"version https://git-lfs.github.com/spec/v1\n%soid sha256:%s\nsize %d\n" % (
        extension,
        oid,
        len(data) if size is None else size,
    )


@pytest.mark.parametrize("extension", [b"", b"ext-0-foo sha256:" + b"0" * 64 + b"\n"])
def test_a_pointer_of_git_lfs_proves_the_file(repo: Path, extension: bytes) -> None:
    """HEAD's pointer names the file's SHA-256 and size: committed, without running git-lfs."""
    commit_file(repo, ".gitattributes", b"*.onnx filter=lfs diff=lfs merge=lfs -text\n")
    commit_file(repo, "m.onnx", pointer(b"weights", extension=extension))
    assert look(repo / "m.onnx").filtered is False  # the pointer itself, where LFS is not set up
    (repo / "m.onnx").write_bytes(b"weights")
    item = attach(repo / "m.onnx")
    assert item.git is not None
    assert (item.git["state"], item.git["filtered"]) == ("committed", True)
    assert check_links([(0, item)], repo) == (1, [], [])


@pytest.mark.parametrize(
    "blob",
    [
        pointer(b"other"),
        pointer(b"weights", size=8),
        pointer(b"weights") + b"x",
        pointer(b"weights", extension=b"ext-0-" + b"x" * 1100 + b"\n"),
    ],
    ids=["other bytes", "other size", "text after it", "too long"],
)
def test_any_other_pointer_proves_nothing(repo: Path, blob: bytes) -> None:
    """A pointer to other bytes, or what only looks like one, leaves the file modified."""
    commit_file(repo, ".gitattributes", b"*.onnx filter=lfs -text\n")
    commit_file(repo, "m.onnx", blob)
    (repo / "m.onnx").write_bytes(b"weights")
    assert look(repo / "m.onnx").state is GitState.MODIFIED


# Programs that a repository names


def test_no_program_of_the_repository_is_run(
    tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Filters, hooks, monitors, pagers and signature programs in its own config stay unrun."""
    evil = tmp_path / "evil"
    evil.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\ncat\n")
    evil.chmod(0o755)
    commit_file(repo, ".gitattributes", b"* filter=evil diff=evil\n")
    commit_file(repo, "filtered", b"one\n")
    sign_falsely(repo, PGP)
    add_remote(repo)
    for key in (
        *("filter.evil.clean", "filter.evil.smudge", "filter.evil.process"),
        *("diff.evil.textconv", "diff.evil.command", "diff.external"),
        *("core.fsmonitor", "core.pager", "core.editor", "core.sshCommand", "core.askPass"),
        *("gpg.program", "gpg.openpgp.program", "gpg.ssh.program", "gpg.x509.program"),
        *("remote.origin.uploadpack", "credential.helper"),
    ):
        git(repo, "config", key, str(evil))
    hooks = repo / ".git" / "hooks"
    for hook in ("post-index-change", "fsmonitor-watchman", "post-checkout"):
        (hooks / hook).write_bytes(evil.read_bytes())
        (hooks / hook).chmod(0o755)
    (tmp_path / "ran").unlink(missing_ok=True)
    item = attach(repo / "eval.json")
    assert item.git is not None and item.git["signature"] == "unverifiable"
    (repo / "filtered").write_bytes(b"two\n")
    assert look(repo / "filtered").state is GitState.MODIFIED
    (repo / "new").touch()
    assert look(repo / "new").state is GitState.UNTRACKED
    check_links([(0, item)], repo)
    assert not (tmp_path / "ran").exists()


def test_what_only_a_filter_program_holds_is_not_committed(repo: Path) -> None:
    """A filter may drop any part of the bytes, so its output proves nothing of them."""
    git(repo, "config", "--global", "filter.strip.clean", "head -c 2")
    commit_file(repo, ".gitattributes", b"*.ipynb filter=strip\n")
    commit_file(repo, "x.ipynb", b"{}outputs")
    assert git(repo, "cat-file", "-p", "HEAD:x.ipynb") == "{}"
    assert git(repo, "status", "--porcelain") == ""
    assert look(repo / "x.ipynb").state is GitState.MODIFIED


# Remotes


def test_pushed_is_whether_a_remote_branch_holds_the_commit(repo: Path) -> None:
    """Unpushed, pushed as the tip, pushed and overtaken, and by a branch of any name."""
    add_remote(repo, "https://example.com/team/repo.git")
    found = look(repo / "eval.json")
    assert (found.pushed, found.repository) == (True, "https://example.com/team/repo.git")
    newer = commit_file(repo, "eval.json", b"newer\n")
    assert look(repo / "eval.json").pushed is False
    git(repo, "update-ref", "refs/remotes/origin/topic", newer)
    assert look(repo / "eval.json").pushed is True
    newest = commit_file(repo, "other", b"x")
    git(repo, "update-ref", "refs/remotes/origin/topic", newest)
    git(repo, "reset", "-q", "--hard", newer)
    assert look(repo / "eval.json").pushed is True


def test_a_remote_that_was_never_fetched_holds_nothing(repo: Path) -> None:
    """A remote without branches has not got the commit."""
    git(repo, "remote", "add", "upstream", "https://example.com/up.git")
    found = look(repo / "eval.json")
    assert (found.pushed, found.repository) == (False, "https://example.com/up.git")


def test_origin_is_the_remote_that_names_the_repository(repo: Path) -> None:
    """Of several remotes origin is named, wherever it stands."""
    git(repo, "remote", "add", "a", "https://example.com/a.git")
    git(repo, "remote", "add", "origin", "https://ada:secret@example.com/o.git?token=secret")
    assert look(repo / "eval.json").repository == "https://example.com/o.git"


def test_a_url_that_may_hold_a_secret_is_left_out(repo: Path) -> None:
    """Where the secret part cannot be told, the folder's name stands in."""
    git(repo, "remote", "add", "origin", "ext::ssh -i secret example.com")
    item = attach(repo / "eval.json")
    assert item.git is not None
    assert (item.git["repository"], item.git["pushed"], item.uri) == ("repo", False, None)


URLS: dict[str, tuple[str | None, str]] = {
    "https://example.com/r.git": ("https://example.com/r.git", "example.com/r"),
    "https://ada:pw@example.com/r": ("https://example.com/r", "example.com/r"),
    "https://ghp_token@example.com:8443/r/": ("https://example.com:8443/r/", "example.com/r"),
    "https://a:p@ss@example.com/r": ("https://example.com/r", "example.com/r"),
    "https://a:p/ss@example.com/r": (None, ""),
    "https://example.com/r?private_token=x#y": ("https://example.com/r", "example.com/r"),
    "ssh://git@Example.com:22/r.git": ("ssh://git@example.com:22/r.git", "example.com/r"),
    "ssh://ada:pw@example.com/r": ("ssh://example.com/r", "example.com/r"),
    "git@example.com:team/r.git": ("git@example.com:team/r.git", "example.com/team/r"),
    "ada@example.com:team/r": ("example.com:team/r", "example.com/team/r"),
    "tok:en@example.com:r": ("example.com:r", "example.com/r"),
    "git@[2001:db8::1]:r": ("git@[2001:db8::1]:r", "2001:db8::1/r"),
    "https://a@[2001:db8::1]:8/r": ("https://[2001:db8::1]:8/r", "2001:db8::1/r"),
    "file:///srv/r.git": ("file:///srv/r.git", "/srv/r"),
    "/srv/git/r.git": ("/srv/git/r.git", "/srv/git/r"),
    "../r": ("../r", "../r"),
    "ext::sh -c secret": (None, ""),
    "https:///r": (None, ""),
    "https://[bad/r": (None, ""),
    "javascript://example.com/r": (None, ""),
    "https://example.com/\x1b[2J": (None, ""),
}


@pytest.mark.parametrize("url", URLS)
def test_urls_lose_their_secrets(url: str) -> None:
    """No user, password or query survives, and one repository's URLs share a key."""
    clean, key = URLS[url]
    assert giturls.clean_url(url) == clean
    if clean is not None:
        assert giturls.key(clean) == key


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://example.com/r.git", "git+https://example.com/r.git@c0#a%20b/%23"),
        ("git@example.com:r.git", "git+ssh://git@example.com/r.git@c0#a%20b/%23"),
        ("example.com:/r", "git+ssh://example.com/r@c0#a%20b/%23"),
        ("/srv/r r", "git+file:///srv/r%20r@c0#a%20b/%23"),
        ("../r", None),
    ],
)
def test_the_uri_of_a_committed_file(url: str, expected: str | None) -> None:
    """The URI is the SPDX download location; a relative path has none."""
    assert giturls.file_uri(url, "c0", "a b/#") == expected


# Signatures

PGP = b"-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n"


def sign_falsely(repo: Path, signature: bytes) -> None:
    """Put a commit with HEAD's tree and this signature in HEAD's place."""
    lines = git(repo, "cat-file", "commit", "HEAD").encode().split(b"\n\n", 1)
    header = lines[0] + b"\ngpgsig " + signature.rstrip().replace(b"\n", b"\n ")
    data = header + b"\n\n" + lines[1] + b"\n"
    commit = git(repo, "hash-object", "-t", "commit", "-w", "--stdin", stdin=data)
    git(repo, "update-ref", "HEAD", commit)


@pytest.fixture
def signing(tmp_path: Path, repo: Path) -> Path:
    """The repository, set up to sign with an SSH key that is allowed."""
    key = tmp_path / "home" / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    (tmp_path / "home" / "allowed").write_text(
        f"ada@example.com {key.with_suffix('.pub').read_text()}"
    )
    for name, value in {
        "gpg.format": "ssh",
        "user.signingKey": str(key),
        "commit.gpgSign": "true",
        "gpg.ssh.allowedSignersFile": str(tmp_path / "home" / "allowed"),
    }.items():
        git(repo, "config", "--global", name, value)
    commit_file(repo, "signed", b"x")
    return repo


def test_a_good_signature_names_its_signer(signing: Path) -> None:
    """An SSH signature by an allowed key is good, and the signer is the one git names."""
    found = look(signing / "signed")
    assert (found.signature, found.signer) == (CommitSignature.GOOD, "ada@example.com")


def test_a_signature_over_other_bytes_is_bad(signing: Path) -> None:
    """A commit whose message was changed under its signature is bad, and names nobody."""
    data = subprocess.check_output(["git", "cat-file", "commit", "HEAD"], cwd=signing)
    forged = git(
        signing,
        *("hash-object", "-t", "commit", "-w", "--stdin"),
        stdin=data.replace(b"\n\nadd", b"\n\nADD"),
    )
    git(signing, "update-ref", "HEAD", forged)
    found = look(signing / "signed")
    assert (found.state, found.commit) == (GitState.COMMITTED, forged)
    assert (found.signature, found.signer) == (CommitSignature.BAD, None)


def test_a_signature_by_an_unknown_key_is_unverifiable(tmp_path: Path, signing: Path) -> None:
    """A key that is not allowed, or no list of allowed keys, is neither good nor none."""
    (tmp_path / "home" / "allowed").write_text("")
    assert look(signing / "signed").signature is CommitSignature.UNVERIFIABLE
    git(signing, "config", "--global", "--unset", "gpg.ssh.allowedSignersFile")
    assert look(signing / "signed").signature is CommitSignature.UNVERIFIABLE


GNUPG: dict[str, tuple[str, str]] = {
    "GOODSIG": ("TRUST_FULLY 0", "good"),
    "GOODSIG ": ("TRUST_UNDEFINED 0", "unverifiable"),
    "BADSIG": ("", "bad"),
    "REVKEYSIG": ("TRUST_FULLY 0", "bad"),
    "EXPKEYSIG": ("TRUST_FULLY 0", "unverifiable"),
    "EXPSIG": ("TRUST_FULLY 0", "unverifiable"),
    "ERRSIG": ("", "unverifiable"),
}


@pytest.mark.parametrize("status", GNUPG)
def test_what_gnupg_says_is_mapped(tmp_path: Path, repo: Path, status: str) -> None:
    """Each answer of GnuPG has its word; an expired or untrusted key is not good."""
    trust, expected = GNUPG[status]
    program = tmp_path / "home" / "fake-gpg"
    program.write_text(
        "#!/bin/sh\ncat >/dev/null\n"
        f"echo '[GNUPG:] NEWSIG'\necho '[GNUPG:] {status.strip()} 0123456789ABCDEF Ada Example'\n"
        f"echo '[GNUPG:] {trust}'\n"
    )
    program.chmod(0o755)
    git(repo, "config", "--global", "gpg.program", str(program))
    sign_falsely(repo, PGP)
    found = look(repo / "eval.json")
    assert found.signature == expected
    assert found.signer == ("Ada Example" if expected == "good" else None)


def test_a_signature_program_that_hangs_is_killed(
    tmp_path: Path, repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check that does not end is unverifiable, and its processes are gone."""
    program = tmp_path / "home" / "hangs"
    program.write_text(f"#!/bin/sh\necho $$ >{tmp_path}/pid\nexec sleep 1000\n")
    program.chmod(0o755)
    git(repo, "config", "--global", "gpg.program", str(program))
    sign_falsely(repo, PGP)
    monkeypatch.setattr(gitlinks, "_SIGNATURE_SECONDS", 2)
    assert look(repo / "eval.json").signature is CommitSignature.UNVERIFIABLE
    command = Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}/cmdline")
    for _ in range(1000):  # the kernel ends a killed process in its own time
        if not command.exists() or command.read_bytes() == b"":
            return
        time.sleep(0.01)
    pytest.fail("the signature program is still there")


# The subject


def test_a_subject_is_what_the_statement_schema_asks(repo: Path) -> None:
    """The subject of a committed file goes through a signed payload and back."""
    add_remote(repo, "https://example.com/r.git")
    file = hash_file(repo / "eval.json")
    found = link(file)
    item = subject(file, name="eval.json", stored=True, link=found, media_type="application/json")
    assert item.digest == {"sha256": file.sha256, "gitBlob": file.git_blob_sha1}
    assert item.uri == f"git+https://example.com/r.git@{found.commit}#eval.json"
    assert item.annotations["size"] == file.size
    assert item.stored and item.media_type == "application/json"
    assert item.git == {
        "state": "committed",
        "repository": "https://example.com/r.git",
        "commit": found.commit,
        "path": "eval.json",
        "blob": found.blob,
        "filtered": False,
        "pushed": True,
        "signature": "none",
    }
    assert through_payload(item) == item


def through_payload(item: Subject) -> Subject:
    statement = Statement(
        subjects=(item,),
        predicate_type=predicate_type("eval-result"),
        system=SystemRef("credit-risk", "1.0.0"),
        collected_at=datetime(2026, 1, 1, tzinfo=UTC),
        body={},
        salt="0" * 32,
    )
    return Statement.from_payload(statement.to_payload()).subjects[0]


@pytest.mark.parametrize("prepare", [edited, untracked, ignored], ids=lambda case: case.__name__)
def test_a_file_that_is_not_committed_has_no_git_digest(
    repo: Path, prepare: Callable[[Path], str]
) -> None:
    """Without a commit there is neither a blob among the digests nor a URI."""
    add_remote(repo, "https://example.com/r.git")
    item = attach(repo / prepare(repo))
    assert set(item.digest) == {"sha256"}
    assert item.uri is None
    assert item.git is not None and set(item.git) == {"state", "repository", "path"}
    assert through_payload(item) == item


def test_an_attach_takes_few_processes(signing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four gits for a pushed and signed file, whatever else is in the repository."""
    add_remote(signing)
    file = hash_file(signing / "signed")
    assert count_processes(monkeypatch, lambda: link(file)) == 4


def count_processes(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> int:
    started: list[tuple[Any, ...]] = []
    start = gitrun.start

    def counting(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(arguments)
        return start(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(gitrun, "start", counting)
        act()
    return len(started)


# Checking


def claim(**changes: Any) -> Subject:
    """A committed link made up whole."""
    values = {
        "state": "committed",
        "repository": "repo",
        "commit": "1" * 40,
        "path": "eval.json",
        "blob": "2" * 40,
        "filtered": False,
    }
    values.update(changes)
    return Subject("file", {"sha256": "0" * 64}, annotations={"git": values})


def altered(item: Subject, **changes: Any) -> Subject:
    assert item.git is not None
    return replace(item, annotations={"git": {**item.git, **changes}})


def test_links_hold_long_after(repo: Path) -> None:
    """Links of every commit hold after later commits, packing and deletion of the files."""
    items = []
    for number in range(5):
        name = f"d{number % 2}/f{number}"
        commit_file(repo, name, b"data %d" % number)
        items.append((number, attach(repo / name)))
    git(repo, "rm", "-q", "-r", "d0", "d1")
    git(repo, "commit", "-q", "-m", "remove")
    git(repo, "gc", "-q")
    assert check_links(items, repo) == (5, [], [])


def test_a_blob_of_many_pieces_is_checked(repo: Path) -> None:
    """A large blob with line feeds at every place is put together right, also as CR LF."""
    crlf_by_config(repo)
    data = b"".join(b"x" * (number % 50) + b"\r\n" for number in range(100_000))
    commit_file(repo, "large.csv", data)
    binary = os.urandom(3 << 20) + b"\0\n"
    commit_file(repo, "large.bin", binary)
    items = [(0, attach(repo / "large.csv")), (1, attach(repo / "large.bin"))]
    assert [item.git and item.git["filtered"] for _, item in items] == [True, False]
    assert check_links(items, repo) == (2, [], [])


def test_a_thousand_links_take_three_processes(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of processes does not grow with the number of links."""
    items = [(number, attach(repo / "eval.json")) for number in range(2)] * 500
    assert count_processes(monkeypatch, lambda: check_links(items, repo)) == 3
    assert check_links(items, repo) == (1000, [], [])


def test_only_committed_links_are_checked(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Subjects without a committed link are passed over, and nothing is run for them."""
    items = [
        (0, attach(repo / edited(repo))),
        (1, SystemRef("credit-risk", "1").descriptor()),
    ]
    assert count_processes(monkeypatch, lambda: check_links(items, repo)) == 0
    assert check_links(items, repo) == (0, [], [])


def rewrite_history(repo: Path) -> None:
    """Make as if HEAD's commit had never been."""
    git(repo, "commit", "-q", "--amend", "-m", "rewritten")
    git(repo, "reflog", "expire", "--expire=now", "--all")
    git(repo, "gc", "-q", "--prune=now")


def test_rewritten_history_is_found(repo: Path) -> None:
    """A commit that is gone from the repository the link names is a failure, not an omission."""
    item = attach(repo / "eval.json")
    assert item.git is not None
    rewrite_history(repo)
    checked, (finding,), not_checked = check_links([(7, item)], repo)
    assert (checked, not_checked) == (1, [])
    assert (finding.code, finding.record) == ("git.commit-missing", 7)
    assert (finding.expected, finding.found) == (item.git["commit"], "no such commit")


def test_rewritten_history_is_found_in_a_fresh_clone(tmp_path: Path, repo: Path) -> None:
    """After a forced push a new clone, by another URL of the same repository, tells as much."""
    bare = add_remote(repo, "https://example.com/team/repo.git")
    item = attach(repo / "eval.json")
    rewrite_history(repo)
    git(repo, "push", "-q", "--force", str(bare), "HEAD:main")
    git(bare, "gc", "-q", "--prune=now")
    git(tmp_path, "clone", "-q", f"file://{bare}", "clone")
    git(tmp_path / "clone", "remote", "set-url", "origin", "git@example.com:team/repo")
    (finding,) = check_links([(0, item)], tmp_path / "clone")[1]
    assert finding.code == "git.commit-missing"


def elsewhere(tmp_path: Path, repo: Path) -> tuple[Subject, Path]:
    return claim(repository="https://example.com/other.git", pushed=True), repo


def same_name_elsewhere(tmp_path: Path, repo: Path) -> tuple[Subject, Path]:
    return claim(repository="model"), repo


def shallow(tmp_path: Path, repo: Path) -> tuple[Subject, Path]:
    bare = add_remote(repo)
    item = attach(repo / "eval.json")
    commit_file(repo, "eval.json", b"newer\n")
    git(repo, "push", "-q", "origin", "HEAD:main")
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{bare}", "clone")
    git(tmp_path / "clone", "remote", "set-url", "origin", str(bare))
    return item, tmp_path / "clone"


def unpushed(tmp_path: Path, repo: Path) -> tuple[Subject, Path]:
    bare = add_remote(repo)
    commit_file(repo, "eval.json", b"newer\n")
    git(tmp_path, "clone", "-q", str(bare), "clone")
    return attach(repo / "eval.json"), tmp_path / "clone"


def partial(tmp_path: Path, repo: Path) -> tuple[Subject, Path]:
    """A clone without blobs, which git would fetch if it were let."""
    bare = add_remote(repo)
    git(bare, "config", "uploadpack.allowFilter", "true")
    options = ("--no-checkout", "--filter=blob:none")
    git(tmp_path, "clone", "-q", *options, f"file://{bare}", "clone")
    return attach(repo / "eval.json"), tmp_path / "clone"


def no_repository(tmp_path: Path, repo: Path) -> tuple[Subject, Path]:
    return claim(), tmp_path


def no_folder(tmp_path: Path, repo: Path) -> tuple[Subject, Path]:
    return claim(), tmp_path / "gone"


NOT_CHECKED: dict[Callable[[Path, Path], tuple[Subject, Path]], str] = {
    elsewhere: "is of another repository, https://example.com/other.git",
    same_name_elsewhere: "is of another repository, model",
    shallow: "this clone is shallow",
    unpushed: "was not pushed when it was recorded",
    partial: "this clone is partial",
    no_repository: "not a git repository",
    no_folder: "cannot change to",
}


@pytest.mark.parametrize("prepare", NOT_CHECKED, ids=lambda case: case.__name__)
def test_what_a_clone_cannot_tell_is_listed_with_the_reason(
    tmp_path: Path, repo: Path, prepare: Callable[[Path, Path], tuple[Subject, Path]]
) -> None:
    """A link that this clone cannot judge neither holds nor fails, and is not passed over."""
    item, folder = prepare(tmp_path, repo)
    checked, findings, (reason,) = check_links([(3, item)], folder)
    assert (checked, findings) == (0, [])
    assert reason.startswith("#3 file: ")
    assert NOT_CHECKED[prepare] in reason


def test_a_fetch_settles_a_clone_that_is_behind(tmp_path: Path, repo: Path) -> None:
    """A commit pushed after the clone was made is missing, and the message says how to get it."""
    bare = add_remote(repo)
    git(tmp_path, "clone", "-q", str(bare), "clone")
    commit_file(repo, "eval.json", b"newer\n")
    git(repo, "push", "-q", "origin", "HEAD:main")
    item = attach(repo / "eval.json")
    (finding,) = check_links([(0, item)], tmp_path / "clone")[1]
    assert "git fetch --all" in finding.message
    git(tmp_path / "clone", "fetch", "-q")
    assert check_links([(0, item)], tmp_path / "clone") == (1, [], [])
    assert check_links([(0, item)], bare) == (1, [], [])


def test_a_commit_that_is_there_is_checked_whatever_the_repository_is_called(
    tmp_path: Path, repo: Path
) -> None:
    """A commit id is proof enough; a renamed folder or new remote changes nothing."""
    item = attach(repo / "eval.json")
    repo.rename(tmp_path / "renamed")
    add_remote(tmp_path / "renamed")
    assert check_links([(0, item)], tmp_path / "renamed") == (1, [], [])


LIES: dict[str, tuple[dict[str, Any], str]] = {
    "other path": ({"path": "other"}, "git.blob-differs"),
    "no path": ({"path": ""}, "git.blob-differs"),
    "path upwards": ({"path": "../repo/eval.json"}, "git.blob-differs"),
    "path through a file": ({"path": "eval.json/x"}, "git.blob-differs"),
    "a folder's path": ({"path": "folder"}, "git.blob-differs"),
    "path with a line feed": ({"path": "eval.json\nHEAD"}, "git.blob-differs"),
    "other blob": ({"blob": "3" * 40}, "git.blob-differs"),
    "commit left out": ({"commit": None}, "git.link-incomplete"),
    "path left out": ({"path": None}, "git.link-incomplete"),
    "blob left out": ({"blob": None}, "git.link-incomplete"),
}


@pytest.mark.parametrize("case", LIES)
def test_a_false_link_is_found(repo: Path, case: str) -> None:
    """A signed link that says what the commit does not is a failure with its own code."""
    changes, code = LIES[case]
    commit_file(repo, "folder/x", b"x")
    item = altered(attach(repo / "eval.json"), **changes)
    checked, (finding,), not_checked = check_links([(2, item)], repo)
    assert (checked, finding.code, finding.record, not_checked) == (1, code, 2, [])


@pytest.mark.parametrize("name", ["tree", "blob", "tag"])
def test_an_object_that_is_no_commit_is_no_commit(repo: Path, name: str) -> None:
    """A tree, blob or tag in a commit's place counts as missing."""
    git(repo, "tag", "-a", "-m", "x", "v1")
    names = {"tree": "HEAD^{tree}", "blob": "HEAD:eval.json", "tag": "v1"}
    item = altered(attach(repo / "eval.json"), commit=git(repo, "rev-parse", names[name]))
    (finding,) = check_links([(0, item)], repo)[1]
    assert finding.code == "git.commit-missing"


@pytest.mark.parametrize("converted", [False, True])
def test_bytes_other_than_recorded_are_found(repo: Path, converted: bool) -> None:
    """Right commit and blob, but another SHA-256: also where the blob is an LFS pointer."""
    commit_file(repo, "m.onnx", pointer(b"other") if converted else b"other")
    item = altered(attach(repo / "m.onnx"), filtered=converted)
    item = replace(item, digest={"sha256": "0" * 64})
    (finding,) = check_links([(0, item)], repo)[1]
    assert finding.code == "git.bytes-differ"
    assert finding.expected == "0" * 64
    assert finding.found == hashlib.sha256(b"other").hexdigest()


def loose(repo: Path, name: str) -> Path:
    return repo / ".git" / "objects" / name[:2] / name[2:]


@pytest.mark.parametrize("kind", ["commit", "tree"])
def test_an_object_under_a_false_id_is_found(repo: Path, kind: str) -> None:
    """Git reads a forged loose object without a word; its id is computed again here."""
    item = attach(repo / "eval.json")
    honest = commit_file(repo, "other", b"x")
    names = {"commit": ("HEAD~", "HEAD"), "tree": ("HEAD~^{tree}", "HEAD^{tree}")}[kind]
    target, source = (loose(repo, git(repo, "rev-parse", name)) for name in names)
    target.chmod(0o644)
    target.write_bytes(source.read_bytes())
    checked, (finding,), _ = check_links([(0, item)], repo)
    assert (checked, finding.code) == (1, "git.corrupt")
    assert git(repo, "rev-parse", "HEAD") == honest


@pytest.mark.parametrize("kind", ["commit", "tree", "blob"])
@pytest.mark.parametrize("damage", ["garbled", "removed", "malformed"])
def test_a_damaged_object_fails_its_own_link_only(repo: Path, kind: str, damage: str) -> None:
    """What git cannot read is a failure of that link; the links after it are still checked."""
    item = attach(repo / "eval.json")
    commit_file(repo, "eval.json", b"newer\n")
    sound = attach(repo / "eval.json")
    names = {"commit": "HEAD~", "tree": "HEAD~^{tree}", "blob": "HEAD~:eval.json"}
    target = loose(repo, git(repo, "rev-parse", names[kind]))
    target.chmod(0o644)
    if damage == "removed":
        target.unlink()
    elif damage == "garbled":
        target.write_bytes(b"\0" * 20)
    else:
        target.write_bytes(zlib.compress(b"%s 3\0xyz" % kind.encode()))
    checked, (finding,), not_checked = check_links([(0, item), (1, sound)], repo)
    assert (checked, finding.record, not_checked) == (2, 0, [])
    # To git an unreadable commit may simply be missing.
    expected = {"git.corrupt", "git.commit-missing"} if kind == "commit" else {"git.corrupt"}
    if (kind, damage) == ("blob", "malformed"):
        expected = {"git.bytes-differ"}
    assert finding.code in expected


def test_a_tree_that_is_malformed_under_its_own_id_is_an_error(repo: Path) -> None:
    """A tree that is no tree, though its id is right, is our error and not Python's."""
    tree = git(repo, *("hash-object", "-t", "tree", "-w", "--literally", "--stdin"), stdin=b"xyz")
    data = f"tree {tree}\nauthor A <a@example.com> 0 +0000\ncommitter A <a@example.com> 0 +0000\n\n"
    name = git(
        repo, *("hash-object", "-t", "commit", "-w", "--literally", "--stdin"), stdin=data.encode()
    )
    (finding,) = check_links([(0, claim(commit=name))], repo)[1]
    assert (finding.code, finding.message) == ("git.corrupt", "file: a tree is malformed")


def test_hashed_file_is_what_both_modules_share(repo: Path) -> None:
    """A link needs nothing but the HashedFile: not even the file has to be there any more."""
    file = hash_file(repo / "eval.json")
    assert isinstance(file, HashedFile)
    file.path.unlink()
    assert link(file).state is GitState.COMMITTED
