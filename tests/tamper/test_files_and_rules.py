"""Attacks beside the database: stored files, git history, kinds, catalogs and profiles."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from muniment.controls import catalog, profile
from muniment.controls.requirement import SecondPerson
from muniment.evidence.entry import Entry
from muniment.evidence.workspace import Evidence
from muniment.reports.workspace import Workspace
from muniment.schemas.errors import VerificationError
from muniment.schemas.finding import Check, Outcome

from .conftest import LATER, POLICY, SYSTEM

# Stored files


def stored(victim: Any) -> Path:
    """The stored file of record #5, made writable."""
    opened = victim.open()
    (subject,) = opened.verified().records[5].statement.subjects
    path: Path = opened.store.path(subject.sha256)
    path.chmod(0o644)
    return path


def another_of_the_same_name(victim: Any) -> None:
    """The file that people see, changed and attached again, put where the old one was stored."""
    file = victim.root / "rules.txt"
    file.write_text("Anybody deploys alone.\n")
    stored(victim).write_bytes(file.read_bytes())


def another_of_the_same_size(victim: Any) -> None:
    path = stored(victim)
    path.write_bytes(b"x" * path.stat().st_size)


def the_file_of_another_record(victim: Any) -> None:
    other = victim.root / "rules.txt"
    other.write_text("Other rules.\n")
    attached = victim.open(key="bea", clock=lambda: LATER).add(
        Evidence("policy", files=[other], body={**POLICY, "title": "Others"})
    )
    (subject,) = attached.record.statement.subjects
    stored(victim).write_bytes(victim.open().store.path(subject.sha256).read_bytes())


def emptied(victim: Any) -> None:
    stored(victim).write_bytes(b"")


def longer(victim: Any) -> None:
    path = stored(victim)
    path.write_bytes(path.read_bytes() + b"\n")


def a_link_to_another(victim: Any) -> None:
    path, other = stored(victim), victim.root / "other.txt"
    other.write_text("Anybody deploys alone.\n")
    path.unlink()
    path.symlink_to(other)


def removed(victim: Any) -> None:
    stored(victim).unlink()


FILES: dict[str, tuple[Callable[[Any], None], str]] = {
    "another file of the same name": (another_of_the_same_name, "artifact.changed"),
    "other bytes of the same size": (another_of_the_same_size, "artifact.changed"),
    "the file of another record": (the_file_of_another_record, "artifact.changed"),
    "emptied": (emptied, "artifact.changed"),
    "one byte more": (longer, "artifact.changed"),
    "a link to another file": (a_link_to_another, "artifact.changed"),
    "removed": (removed, "artifact.missing"),
}


@pytest.mark.parametrize("name", FILES)
def test_stored_file(victim: Any, name: str) -> None:
    """A stored file is known by its digest, whatever lies under its name now, and nothing is
    concluded from evidence about one that does not hold."""
    attack, code = FILES[name]
    attack(victim)
    assert victim.codes() == [code]
    opened = Workspace(victim.root)
    victim.opened.append(opened)
    with pytest.raises(VerificationError) as caught:
        opened.gate(str(SYSTEM), dry_run=True)
    assert caught.value.code == "artifact.unsound"


def test_the_file_that_people_see_is_not_the_evidence(victim: Any) -> None:
    """A file of the same name changed in the working folder changes nothing that was attached."""
    (victim.root / "rules.txt").write_text("Anybody deploys alone.\n")
    assert victim.codes() == []
    kept = stored(victim).read_bytes()
    assert kept == b"Nobody deploys alone.\n"


# Git history


def git(folder: Path, *arguments: str) -> str:
    """Run git with nobody's settings."""
    done = subprocess.run(
        ["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.com", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def linked(victim: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The ledger in a repository whose pushed commit holds the file of record #10."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    git(tmp_path, "init", "-q", "--bare", "origin.git")
    git(victim.root, "init", "-q", "-b", "main")
    git(victim.root, "remote", "add", "origin", str(tmp_path / "origin.git"))
    (victim.root / "linked.txt").write_text("Nobody deploys alone.\n")
    commit(victim.root)
    git(victim.root, "push", "-q", "origin", "main")
    git(victim.root, "fetch", "-q")
    attach(victim)
    assert git_check(victim).outcome is Outcome.HELD
    return victim


def commit(folder: Path, *options: str) -> None:
    """Commit the file."""
    git(folder, "add", "linked.txt")
    git(folder, "commit", "-q", "-m", "Rules", *options)


def attach(victim: Any) -> None:
    """Attach the committed file."""
    victim.open(key="bea", clock=lambda: LATER).add(
        Evidence("policy", files=[victim.root / "linked.txt"], body={**POLICY, "title": "Linked"})
    )


def git_check(victim: Any) -> Check:
    """What ``verify`` says of git."""
    (check,) = (item for item in victim.open().verify().checks if item.name == "git")
    assert isinstance(check, Check)
    return check


def forget(folder: Path) -> None:
    """Throw away what no branch holds."""
    git(folder, "reflog", "expire", "--expire=now", "--all")
    git(folder, "gc", "-q", "--prune=now")


def amended(root: Path) -> None:
    (root / "linked.txt").write_text("Anybody deploys alone.\n")
    commit(root, "--amend")
    git(root, "push", "-q", "--force", "origin", "main")
    forget(root)


def same_file_another_commit(root: Path) -> None:
    git(root, "commit", "-q", "--amend", "-m", "Another message")
    git(root, "push", "-q", "--force", "origin", "main")
    forget(root)


def blob_gone(root: Path) -> None:
    blob = git(root, "rev-parse", "HEAD:linked.txt")
    (root / ".git" / "objects" / blob[:2] / blob[2:]).unlink()


def blob_overwritten(root: Path) -> None:
    """Another object's bytes under the blob's name."""
    blob = git(root, "rev-parse", "HEAD:linked.txt")
    (root / "other.txt").write_text("Anybody deploys alone.\n")
    other = git(root, "hash-object", "-w", "other.txt")
    objects = root / ".git" / "objects"
    target = objects / blob[:2] / blob[2:]
    target.chmod(0o644)
    target.write_bytes((objects / other[:2] / other[2:]).read_bytes())


HISTORY: dict[str, tuple[Callable[[Path], None], str]] = {
    "rewritten with another file": (amended, "git.commit-missing"),
    "rewritten with the same file": (same_file_another_commit, "git.commit-missing"),
    "the blob removed": (blob_gone, "git.corrupt"),
    "the blob overwritten": (blob_overwritten, "git.bytes-differ"),
}


@pytest.mark.parametrize("name", HISTORY)
def test_git_history(linked: Any, name: str) -> None:
    """A commit that a record names is gone, or no longer holds the recorded bytes."""
    attack, code = HISTORY[name]
    attack(linked.root)
    assert linked.codes() == [code]


def test_a_replacement_object_hides_nothing(linked: Any) -> None:
    """Git's own means to show another object in the place of one does not mislead."""
    root = linked.root
    old = git(root, "rev-parse", "HEAD:linked.txt")
    (root / "other.txt").write_text("Anybody deploys alone.\n")
    git(root, "replace", old, git(root, "hash-object", "-w", "other.txt"))
    assert git(root, "cat-file", "blob", "HEAD:linked.txt") == "Anybody deploys alone."
    assert git_check(linked).outcome is Outcome.HELD


def test_history_that_was_never_pushed(linked: Any) -> None:
    """Of a commit that nobody else had, a missing one is "not checked", and it is said why."""
    (linked.root / "linked.txt").write_text("Only here.\n")
    commit(linked.root)
    attach(linked)
    git(linked.root, "reset", "-q", "--hard", "HEAD~1")
    forget(linked.root)
    check = git_check(linked)
    assert (check.checked, check.findings) == (1, [])
    assert "was not pushed when it was recorded" in " ".join(check.not_checked)


# Kinds


DRILL = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "https://muniment.dev/evidence/fire-drill/v1",
    "title": "Fire drill",
    "type": "object",
    "properties": {"minutes": {"type": "integer"}},
    "required": ["minutes"],
    "unevaluatedProperties": False,
}


@pytest.fixture
def drilled(victim: Any) -> Any:
    """The ledger with a record of the workspace's own kind, #10."""
    write_kind(victim, DRILL)
    victim.open(key="bea", clock=lambda: LATER).add(
        Evidence("fire-drill", SYSTEM, body={"minutes": 4})
    )
    assert victim.codes() == []
    return victim


def write_kind(victim: Any, schema: dict[str, Any]) -> None:
    """Write the workspace's own kind."""
    (victim.root / "kinds").mkdir(exist_ok=True)
    (victim.root / "kinds" / "fire-drill.json").write_text(json.dumps(schema))


KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "stricter": (
        {**DRILL, "properties": {"minutes": {"type": "integer", "maximum": 3}}},
        "body.malformed",
    ),
    "another field": (
        {**DRILL, "properties": {"hours": {"type": "integer"}}, "required": ["hours"]},
        "body.malformed",
    ),
    "renamed": ({**DRILL, "$id": "https://muniment.dev/evidence/alarm/v1"}, "kind.unknown"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_changed_afterwards(drilled: Any, name: str) -> None:
    """A record that no longer fits its kind is a fault, never left out in silence."""
    schema, code = KINDS[name]
    write_kind(drilled, schema)
    if name == "renamed":
        kinds = drilled.root / "kinds"
        (kinds / "fire-drill.json").rename(kinds / "alarm.json")
    assert drilled.codes() == [code]


def test_a_kind_removed_afterwards(drilled: Any) -> None:
    """Without its schema the record is of no known kind."""
    (drilled.root / "kinds" / "fire-drill.json").unlink()
    assert drilled.codes() == ["kind.unknown"]


def test_a_kind_made_laxer_afterwards_changes_no_record(drilled: Any) -> None:
    """What a laxer schema would now let in was never signed: old records say what they said. The
    ledger does not show it; the file stands in git."""
    write_kind(drilled, {**DRILL, "properties": {"minutes": {"type": ["integer", "string"]}}})
    assert drilled.codes() == []


# Catalogs and profiles


@pytest.fixture
def decided(victim: Any) -> Any:
    """The ledger with a gate decision."""
    opened = office(victim)
    opened.gate(str(SYSTEM), profile="pilot")
    return victim


def office(victim: Any) -> Workspace:
    """The workspace as the approver uses it."""
    opened = Workspace(victim.root, key="carl", clock=lambda: LATER)
    victim.opened.append(opened)
    return opened


def test_the_decision_signs_the_rules_it_applied(decided: Any) -> None:
    """Profile and catalogs are named in the signed decision by the digest of all they say."""
    assert decided.codes() == []
    body = decided.open().verified().records[-1].statement.body
    own = profile.load_profile("pilot")
    assert body["policy"]["digest"]["sha256"] == own.sha256
    gate = catalog.load_catalog("readiness-gate")
    assert body["muniment_decision"]["catalogs"] == {"readiness-gate": gate.sha256}


def test_a_profile_changed_afterwards(decided: Any) -> None:
    """Whatever is changed of a profile, it is no longer the one that the decision names."""
    signed = decided.open().verified().records[-1].statement.body["policy"]["digest"]["sha256"]
    own = profile.load_profile("pilot")
    fewer = {"readiness-gate": tuple((own.blocks["readiness-gate"] or ())[1:])}
    for changed in (
        replace(own, blocks=fewer),
        replace(own, version="2"),
        replace(own, description=own.description + "."),
    ):
        assert changed.sha256 != signed


@pytest.mark.parametrize(
    "change",
    [
        {"validity_days": 10_000},
        {"second_person": SecondPerson.NOT_NEEDED},
        {"rule": "true"},
        {"any_of": ("decision",)},
    ],
    ids=["validity", "second person", "rule", "kinds"],
)
def test_a_catalog_changed_afterwards(
    decided: Any, change: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A requirement made easier makes another catalog than the one the decision names, and a new
    decision names the new one."""
    body = decided.open().verified().records[-1].statement.body
    signed = body["muniment_decision"]["catalogs"]["readiness-gate"]
    gate = catalog.load_catalog("readiness-gate")
    assert gate.sha256 == signed
    controls = list(gate.controls)
    controls[0] = replace(controls[0], requirement=replace(controls[0].requirement, **change))
    changed = replace(gate, controls=tuple(controls))
    assert changed.sha256 != signed
    monkeypatch.setattr("muniment.reports.rulebook.load_catalog", lambda _: changed)
    again = office(decided).gate(str(SYSTEM), profile="pilot").attached
    assert again is not None
    decision = again.record.statement.body["muniment_decision"]
    assert decision["catalogs"] == {"readiness-gate": changed.sha256}


def test_a_decision_rewritten(decided: Any) -> None:
    """A verdict that is turned round with the ledger's stolen key is not what was signed."""
    old = decided.open().entry("#10")
    assert b'"verificationResult":"FAILED"' in old.envelope.payload
    payload = old.envelope.payload.replace(b'"asOf":"2026', b'"asOf":"2025')
    entry = Entry.new(11, replace(old.envelope, payload=payload), old.key)
    decided.put(entry.envelope.to_bytes(), entry.leaf, entry.columns(), entry.subjects())
    decided.sign(decided.ledger_key(), LATER)
    assert decided.codes() == ["signature.invalid"]
