"""Attacks by whoever holds the database and the ledger's key, against what others have kept.

From inside the ledger nothing shows: every signature holds. Each source from outside finds it.
"""

from __future__ import annotations

import os
import subprocess
import zlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from muniment.evidence.gitanchor import DEFAULT_REF, anchor_in_git
from muniment.evidence.keys import new_ed25519
from muniment.evidence.note import COSIGNATURE_V1, VerifierKey, cosign_note
from muniment.evidence.outside import remembered_path
from muniment.evidence.policy import Policy
from muniment.evidence.witness import cosign
from muniment.evidence.witness_server import Witness
from muniment.schemas.errors import GitError
from muniment.schemas.finding import Check, Outcome

NAME = "witness.example.com/one"
KEY = new_ed25519()
VKEY = VerifierKey(NAME, COSIGNATURE_V1, KEY.public)


def truncate(victim: Any) -> None:
    """Take the last three records off: the ledger is as it was at seven."""
    for table in ("subject", "entry"):
        victim.sql(f"DELETE FROM {table} WHERE number > 6")
    victim.sql("DELETE FROM checkpoint WHERE size > 7")
    victim.sql("DELETE FROM anchor WHERE size > 7")
    victim.change("tile", "hashes", "level = 0", lambda data: data[: 7 * 32])


def rebuild(victim: Any) -> None:
    """Take them off, put others in their place, and sign with the stolen ledger key."""
    time = victim.open().ledger.checkpoint().time
    truncate(victim)
    for number in range(3):
        statement = victim.statement(body={**_body(victim), "title": f"Never said {number}"})
        victim.insert(statement, victim.key("bea"))
    victim.sign(victim.ledger_key(), time + timedelta(seconds=1))


def _body(victim: Any) -> dict[str, Any]:
    return dict(victim.statement().body)


ATTACKS: dict[str, tuple[Callable[[Any], None], str]] = {
    "rollback": (truncate, "outside.rollback"),
    "fork": (rebuild, "outside.fork"),
}


def checks(victim: Any, **options: Any) -> dict[str, Check]:
    """The checks of a verification, by name; those of the ledger alone must hold."""
    report = victim.open().verify(**options)
    found = {check.name: check for check in report.checks}
    names = ("entries", "signatures", "schema", "trust", "columns", "tree", "checkpoints", "root")
    assert all(found[name].outcome is Outcome.HELD for name in names)
    assert report.ok == (not list(report.findings))
    return found


def forget(victim: Any) -> None:
    """Remove what this machine remembers of the ledger."""
    config = victim.open().config
    remembered_path(Path(os.environ["MUNIMENT_CONFIG"]), config.origin, config.root).unlink()


def codes(check: Check) -> list[str]:
    return [finding.code for finding in check.findings]


@pytest.mark.parametrize("attack", ATTACKS)
def test_from_inside_nothing_shows(victim: Any, attack: str) -> None:
    """Without anything from outside ``verify`` holds, and says that nothing vouches for it."""
    ATTACKS[attack][0](victim)
    report = victim.open().verify()
    assert report.ok and "nothing from outside vouches" in report.conclusions[-1]
    reasons = {check.name: check.not_checked for check in report.checks}
    for name in ("since", "witnesses", "git-anchor", "remembered"):
        assert reasons[name], name


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_old_checkpoint_shows_it(victim: Any, attack: str) -> None:
    """One kept checkpoint tells a rollback from a fork; before the attack it holds."""
    kept = victim.open().ledger.checkpoint().note.to_bytes()
    assert checks(victim, since=kept)["since"].outcome is Outcome.HELD
    forget(victim)
    run, code = ATTACKS[attack]
    run(victim)
    assert codes(checks(victim, since=kept)["since"]) == [code]


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_machine_that_verified_remembers(victim: Any, attack: str) -> None:
    """What was verified here once cannot be taken back from here, and a ledger that does not hold
    is not remembered in its place."""
    assert checks(victim)["remembered"].outcome is Outcome.NOT_CHECKED
    assert checks(victim)["remembered"].outcome is Outcome.HELD
    run, code = ATTACKS[attack]
    run(victim)
    for _ in range(2):
        assert codes(checks(victim)["remembered"]) == [code]


@pytest.mark.parametrize("attack", ATTACKS)
def test_git_shows_it(victim: Any, attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint in git is held against the ledger, and is not written over."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    subprocess.run(["git", "-C", str(victim.root), "init", "-q"], check=True)
    anchor_in_git(victim.root, victim.open().ledger)
    assert checks(victim)["git-anchor"].outcome is Outcome.HELD
    forget(victim)
    run, code = ATTACKS[attack]
    run(victim)
    found = checks(victim)["git-anchor"]
    assert codes(found) == [code]
    assert f"{DEFAULT_REF}:checkpoints/evidence.example.com/10" in found.findings[0].message


def git(victim: Any, *arguments: str, text: str = "") -> str:
    command = ["git", "-C", str(victim.root), "-c", "user.name=x", "-c", "user.email=x@example.com"]
    done = subprocess.run(
        [*command, *arguments], input=text, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def in_git(victim: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Anchor the ledger in git and forget it on this machine; gives the file's name there."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    git(victim, "init", "-q")
    anchor_in_git(victim.root, victim.open().ledger)
    return "checkpoints/evidence.example.com/10"


def add_commit(victim: Any, line: str) -> None:
    """Put one more commit on the ref, fast-forward, with one more entry beside the checkpoints."""
    tree = git(victim, "ls-tree", f"{DEFAULT_REF}:checkpoints/evidence.example.com")
    made = git(victim, "mktree", "--missing", text=f"{tree}\n{line}\n")
    for name in ("evidence.example.com", "checkpoints"):
        made = git(victim, "mktree", text=f"040000 tree {made}\t{name}\n")
    tip = git(victim, "commit-tree", made, "-p", DEFAULT_REF, "-m", "x")
    git(victim, "update-ref", DEFAULT_REF, tip)


def put_now(victim: Any, mode: str = "100644") -> None:
    """Put a commit on the ref that holds the checkpoint as it is now, and nothing else."""
    note = bytes(victim.value("checkpoint", "note", "size = 10")).decode()
    blob = git(victim, "hash-object", "-w", "--stdin", text=note)
    made = git(victim, "mktree", text=f"{mode} blob {blob}\t10\n")
    for folder in ("evidence.example.com", "checkpoints"):
        made = git(victim, "mktree", text=f"040000 tree {made}\t{folder}\n")
    tip = git(victim, "commit-tree", made, "-p", DEFAULT_REF, "-m", "x")
    git(victim, "update-ref", DEFAULT_REF, tip)


def loose(victim: Any, name: str) -> Path:
    """The file of a git object."""
    id_ = git(victim, "rev-parse", name)
    file = Path(victim.root / ".git" / "objects" / id_[:2] / id_[2:])
    file.chmod(0o600)
    return file


@pytest.mark.parametrize("mode", ["160000 commit", "120000 blob", "100644 blob"])
def test_what_else_is_put_into_git_hides_nothing(
    victim: Any, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One commit more that adds a submodule, a link or a file whose bytes are not there: the fork
    that the checkpoint beside it shows is shown."""
    in_git(victim, monkeypatch)
    rebuild(victim)
    add_commit(victim, f"{mode} {'1' * 40}\t999")
    missing = ["git.corrupt"] if mode.startswith("100") else []
    assert sorted(codes(checks(victim)["git-anchor"])) == [*missing, "outside.fork"]


def test_another_version_of_a_checkpoint_hides_nothing(
    victim: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A later commit that puts the rebuilt ledger's checkpoint into the place of the old one, or a
    link: what stood there before is read all the same."""
    name = in_git(victim, monkeypatch)
    rebuild(victim)
    for mode in ("100644", "120000"):
        put_now(victim, mode)
        found = checks(victim)["git-anchor"]
        assert (codes(found), found.checked) == (["outside.fork"], 2)
        assert name in found.findings[0].message


DAMAGE: dict[str, Callable[[Any, str], object]] = {
    "the checkpoint is gone": lambda victim, name: loose(victim, f"{DEFAULT_REF}:{name}").unlink(),
    "it is junk": lambda victim, name: loose(victim, f"{DEFAULT_REF}:{name}").write_bytes(b"x"),
    "other bytes have its id": lambda victim, name: loose(
        victim, f"{DEFAULT_REF}:{name}"
    ).write_bytes(zlib.compress(b"blob 1\0x")),
    "a tree is gone": lambda victim, _: loose(victim, f"{DEFAULT_REF}:checkpoints").unlink(),
    "a commit is gone": lambda victim, _: loose(victim, DEFAULT_REF).unlink(),
    "the ref is junk": lambda victim, _: (victim.root / ".git" / DEFAULT_REF).write_text("x\n"),
    "the ref leads nowhere": lambda victim, _: (victim.root / ".git" / DEFAULT_REF).write_text(
        "1" * 40 + "\n"
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_cannot_be_read_in_git_is_a_fault(
    victim: Any, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the ref is there and what it holds is not, the answer is no, not "not checked"."""
    name = in_git(victim, monkeypatch)
    DAMAGE[damage](victim, name)
    assert codes(checks(victim)["git-anchor"]) == ["git.corrupt"]
    with pytest.raises(GitError) as caught:
        anchor_in_git(victim.root, victim.open().ledger)
    assert caught.value.code == "git.corrupt"


@pytest.mark.parametrize("cut", ["shallow", "info/grafts"])
def test_a_history_that_is_cut_off(victim: Any, cut: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a shallow repository what is there is read, and what may be missing is said; a file of
    grafts cuts nothing off."""
    in_git(victim, monkeypatch)
    rebuild(victim)
    empty = git(victim, "mktree")
    tip = git(victim, "commit-tree", empty, "-p", DEFAULT_REF, "-m", "x")
    git(victim, "update-ref", DEFAULT_REF, tip)
    put_now(victim)
    now = git(victim, "rev-parse", DEFAULT_REF)
    (victim.root / ".git" / cut).write_text(f"{now}\n")
    found = checks(victim)["git-anchor"]
    if cut == "shallow":
        assert (codes(found), found.checked) == ([], 1)
        assert "shallow clone" in found.not_checked[0]
    else:
        assert (codes(found), found.not_checked) == (["outside.fork"], [])


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy"
    path.write_text(f"witness one {VKEY}\nquorum one\n")
    return path


def witnessed(victim: Any, size: int = 10) -> None:
    """Put a cosignature of the checkpoint of some size into the database."""
    note = bytes(victim.value("checkpoint", "note", f"size = {size}"))
    text = note.decode().partition("\n\n")[0] + "\n"
    anchor(victim, size, str(cosign_note(text, NAME, KEY, 1_775_000_000)).encode())


def anchor(victim: Any, size: int, proof: bytes) -> None:
    """Put any bytes where cosignatures are."""
    victim.sql(
        "INSERT INTO anchor (size, kind, source, proof) VALUES (:size, 'witness', 'w', :proof)",
        size=size,
        proof=proof,
    )


def test_a_quorum_holds(victim: Any, policy: Path) -> None:
    """A cosigned checkpoint holds; what came after it is said to be unseen by witnesses."""
    witnessed(victim, size=7)
    found = checks(victim, policy=policy)["witnesses"]
    assert (found.outcome, codes(found)) == (Outcome.HELD, [])
    assert found.not_checked[0].startswith("#7 to #9 came after")
    witnessed(victim)
    assert checks(victim, policy=policy)["witnesses"].not_checked == []


def test_a_rebuilt_ledger_has_no_cosignature(victim: Any, policy: Path) -> None:
    """After a rebuild the old line does not fit the new checkpoint, and without it there is no
    quorum."""
    witnessed(victim)
    kept = victim.value("anchor", "proof", "size = 10")
    rebuild(victim)
    assert codes(checks(victim, policy=policy)["witnesses"]) == ["witness.quorum"]
    anchor(victim, 10, bytes(kept))
    assert codes(checks(victim, policy=policy)["witnesses"]) == [
        "witness.invalid",
        "witness.quorum",
    ]


def test_a_stripped_line(victim: Any, policy: Path) -> None:
    """The only cosignature taken away: the quorum is gone."""
    witnessed(victim)
    assert codes(checks(victim, policy=policy)["witnesses"]) == []
    victim.sql("DELETE FROM anchor")
    assert codes(checks(victim, policy=policy)["witnesses"]) == ["witness.quorum"]


def test_a_forged_line(victim: Any, policy: Path) -> None:
    """A line in the witness's name and with its key's id, made by another key, is called so."""
    note = bytes(victim.value("checkpoint", "note", "size = 10"))
    text = note.decode().partition("\n\n")[0] + "\n"
    other = cosign_note(text, NAME, new_ed25519(), 1_775_000_000)
    forged = str(type(other)(NAME, VKEY.id, other.signature))
    anchor(victim, 10, forged.encode())
    assert codes(checks(victim, policy=policy)["witnesses"]) == [
        "witness.invalid",
        "witness.quorum",
    ]


def test_a_line_of_a_checkpoint_that_is_gone(victim: Any, policy: Path) -> None:
    """A cosignature left behind by whoever cut the ledger off shows it."""
    witnessed(victim, size=7)
    truncate(victim)
    assert codes(checks(victim, policy=policy)["witnesses"]) == []
    anchor(victim, 10, b"x\n")
    assert codes(checks(victim, policy=policy)["witnesses"]) == ["witness.stray"]


def test_a_line_that_is_none(victim: Any, policy: Path) -> None:
    """Bytes that are no signature line are a fault, not a crash."""
    anchor(victim, 10, b"\xff\x00")
    assert codes(checks(victim, policy=policy)["witnesses"]) == ["note.malformed", "witness.quorum"]


@pytest.mark.parametrize("time", [0, 1_772_000_000, 1 << 62])
def test_a_time_that_cannot_be(victim: Any, policy: Path, time: int) -> None:
    """A cosignature from before the checkpoint was there, or from the future, does not count."""
    note = bytes(victim.value("checkpoint", "note", "size = 10"))
    text = note.decode().partition("\n\n")[0] + "\n"
    anchor(victim, 10, str(cosign_note(text, NAME, KEY, time)).encode())
    found = checks(victim, policy=policy)["witnesses"]
    assert codes(found) == ["witness.time", "witness.quorum"]


def test_a_cosignature_of_another_text(victim: Any, policy: Path) -> None:
    """What stands before the signature lines is not taken for a part of the checkpoint."""
    note = bytes(victim.value("checkpoint", "note", "size = 10"))
    text = note.decode().partition("\n\n")[0] + "\n"
    line = cosign_note(text + "\nx\n", NAME, KEY, 1_775_000_000)
    anchor(victim, 10, b"x\n\n" + str(line).encode())
    assert codes(checks(victim, policy=policy)["witnesses"]) == ["note.malformed", "witness.quorum"]


def test_a_policy_for_another_ledger(victim: Any, policy: Path) -> None:
    """A policy that lists ledgers must list this one."""
    vkey = victim.open().ledger.vkey
    policy.write_text(f"log {vkey}\nquorum none\n")
    assert checks(victim, policy=policy)["witnesses"].outcome is Outcome.NOT_CHECKED
    other = VerifierKey(vkey.name, vkey.type, new_ed25519().public)
    policy.write_text(f"log {other}\nquorum none\n")
    assert codes(checks(victim, policy=policy)["witnesses"]) == ["policy.log"]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_witness_who_is_asked_shows_it(
    victim: Any, attack: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The witness that cosigned ten records refuses seven, and refuses ten others: two
    checkpoints of one size are never cosigned both."""
    ledger = victim.open().ledger
    (tmp_path / "memory").mkdir()
    witness = Witness(NAME, KEY, tmp_path / "memory", [ledger.vkey])

    def post(_: Any, body: bytes) -> tuple[int, str, bytes]:
        reply = witness.add_checkpoint(body)
        return reply.status, reply.type, reply.body

    monkeypatch.setattr("muniment.evidence.witness._post", post)
    known = Policy.parse(f"witness one {VKEY}\nquorum one\n".encode()).witnesses[0]

    def ask() -> Any:
        at = victim.open().ledger.checkpoint()
        return cosign(known, at, 0, lambda old: victim.open().ledger.consistency(old, at.size))

    assert ask()[0].name == NAME
    run, code = ATTACKS[attack]
    run(victim)
    with pytest.raises(Exception) as caught:
        ask()
    assert getattr(caught.value, "code", None) == code


def test_an_old_checkpoint_of_another_ledger(victim: Any) -> None:
    """A checkpoint signed by another key, or of another origin, is not taken for this ledger's."""
    from muniment.evidence.checkpoint import Checkpoint, sign_checkpoint

    last = victim.open().ledger.checkpoint()
    for origin, key in (
        ("evidence.example.com", new_ed25519()),
        ("other.example.com", victim.ledger_key()),
    ):
        made = sign_checkpoint(Checkpoint(origin, 3, bytes(32)), key, last.time)
        found = checks(victim, since=made.note.to_bytes())["since"]
        assert codes(found) == ["outside.other-ledger"]


def test_two_checkpoints_of_one_size(victim: Any) -> None:
    """Another checkpoint of the same size, signed with the ledger's key, is a fork."""
    from muniment.evidence.checkpoint import Checkpoint, sign_checkpoint

    last = victim.open().ledger.checkpoint()
    other = sign_checkpoint(
        Checkpoint("evidence.example.com", 10, bytes(32)), victim.ledger_key(), last.time
    )
    assert codes(checks(victim, since=other.note.to_bytes())["since"]) == ["outside.fork"]


def test_a_damaged_tree_is_not_called_a_fork(victim: Any) -> None:
    """Where the ledger itself does not hold, only what sizes tell is concluded from outside."""
    kept = victim.open().ledger.checkpoint().note.to_bytes()
    victim.change("tile", "hashes", "level = 0", lambda data: bytes(32) + data[32:])
    report = victim.open().verify(since=kept)
    assert {finding.code for finding in report.findings} == {"tile.differs"}
    found = {check.name: check for check in report.checks}
    assert found["since"].outcome is Outcome.NOT_CHECKED and found["since"].not_checked
