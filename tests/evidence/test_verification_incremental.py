"""Verifying again what was verified before: by hashes alone, and what that still finds."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from muniment.evidence.keys import new_ed25519
from muniment.evidence.note import ED25519, VerifierKey
from muniment.evidence.pinned import Pinned
from muniment.evidence.verification import LedgerVerifier
from muniment.schemas.errors import InputError
from muniment.schemas.finding import VerificationReport
from muniment.schemas.statement import SystemRef

VKEY = VerifierKey("evidence.example.com", ED25519, new_ed25519().public)
ROOT = "SHA256:" + "A" * 43
PINNED = Pinned(
    str(VKEY),
    7,
    bytes(32),
    datetime(2026, 1, 31, tzinfo=UTC),
    "0" * 64,
    "1" * 64,
    bytes(32),
    {SystemRef("credit-risk", "1.0.0"): bytes(32)},
)


def run(lab: Any, since: Pinned | None = None) -> tuple[LedgerVerifier, Pinned | None]:
    """Verify all of it; the verifier, and what it would remember."""
    with lab.storage.read() as reader:
        root = lab.root.public.fingerprint
        verifier = LedgerVerifier(reader, lab.vkey, root, lab.kinds, since=since)
        list(verifier.records())
        return verifier, verifier.pin()


def codes(report: VerificationReport) -> list[str]:
    """Codes of every fault."""
    return [finding.code for finding in report.findings]


@pytest.fixture
def pinned(lab: Any) -> Pinned:
    """What is remembered of a ledger of four entries."""
    lab.append(*(lab.statement(title=title) for title in ("One", "Two", "Three")))
    _, found = run(lab)
    assert found is not None and found.size == 4
    return found


def test_nothing_new(lab: Any, pinned: Pinned) -> None:
    """With nothing new it holds, says what was not looked at, and remembers the same."""
    verifier, again = run(lab, pinned)
    assert (verifier.report.ok, codes(verifier.report)) == (True, [])
    assert verifier.report.extent == "incremental"
    assert verifier.report.to_json()["extent"] == "incremental"
    assert "0 new records" in verifier.report.conclusions[0]
    unchecked = {check.name for check in verifier.report.checks if check.not_checked}
    assert unchecked == {"entries", "signatures", "schema", "trust", "columns", "checkpoints"}
    assert again == pinned
    assert verifier.last is not None and verifier.last.size == 4


def test_a_full_audit_says_so(lab: Any) -> None:
    """A full audit is called one, and leaves nothing out."""
    report = run(lab)[0].report
    assert report.extent == "full"
    assert "full audit" in report.conclusions[0]
    assert not any(check.not_checked for check in report.checks)


def test_new_records_are_verified_in_full(lab: Any, pinned: Pinned) -> None:
    """Only the new records are counted, and a fault in one of them is found."""
    lab.append(lab.statement(title="Four"), lab.statement(title="Five"))
    report = run(lab, pinned)[0].report
    assert codes(report) == []
    counted = {check.name: check.checked for check in report.checks}
    assert counted["signatures"] == counted["columns"] == counted["trust"] == 2
    lab.change("UPDATE entry SET kind = 'approval' WHERE number = 5")
    verifier, again = run(lab, pinned)
    assert codes(verifier.report) == ["column.differs"]
    assert again is None


@pytest.mark.parametrize(
    ("statements", "expected"),
    [
        (["UPDATE entry SET leaf = substr(leaf, 2) WHERE number = 2"], "pinned.root"),
        (["UPDATE checkpoint SET size = 9 WHERE size = 4"], "checkpoint.column"),
        (["UPDATE tile SET hashes = substr(hashes, 2)"], "tile.differs"),
        (["UPDATE entry SET kind = '' WHERE number = 0"], "pinned.keys"),
        (
            [
                "DELETE FROM subject WHERE number > 1",
                "DELETE FROM entry WHERE number > 1",
                "DELETE FROM checkpoint WHERE size > 2",
            ],
            "pinned.size",
        ),
    ],
)
def test_what_was_verified_before_is_changed(
    lab: Any, pinned: Pinned, statements: list[str], expected: str
) -> None:
    """A changed leaf, checkpoint, tile or key record, and a cut end, are found by hashes alone."""
    lab.change(*statements)
    verifier, again = run(lab, pinned)
    assert expected in codes(verifier.report)
    assert not verifier.report.ok
    assert again is None


def test_a_hidden_key_record(lab: Any) -> None:
    """A key record whose column was changed, so that no query finds it, is missed at once."""
    lab.enrol(["contributor"], name="Bea Example")
    _, found = run(lab)
    lab.change("UPDATE entry SET kind = 'x' WHERE number = 1")
    assert "pinned.keys" in codes(run(lab, found)[0].report)


def test_what_is_remembered_survives_the_file(tmp_path: Path) -> None:
    """What was saved is read back; of a ledger never verified, nothing is remembered."""
    assert Pinned.load(tmp_path, VKEY.name, ROOT) is None
    PINNED.save(tmp_path, VKEY.name, ROOT)
    assert Pinned.load(tmp_path, VKEY.name, ROOT) == PINNED
    assert [file.suffix for file in (tmp_path / "verified").iterdir()] == [".json"]


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{}", b"[]", b"{", b'{"ledger": 1}', b"\xff", b'{"size": "x"}'),
        *(b'"size": %s' % size for size in (b"9.7", b'"10"', b"true", b"0", b"-1", b"null")),
        *(b'"schema_version": %s' % version for version in (b"4", b"1.0", b'"1"', b"true")),
    ],
)
def test_a_damaged_memory_is_refused(tmp_path: Path, data: bytes) -> None:
    """A file that says nothing clear is no reason to look at less: it is refused by name."""
    PINNED.save(tmp_path, VKEY.name, ROOT)
    (file,) = (tmp_path / "verified").iterdir()
    field = data.partition(b":")[0]
    whole = re.sub(field + rb": \w+", data, file.read_bytes()) if field.startswith(b'"') else data
    assert whole != file.read_bytes()
    file.write_bytes(whole)
    with pytest.raises(InputError) as caught:
        Pinned.load(tmp_path, VKEY.name, ROOT)
    assert caught.value.code == "pinned.malformed"


def test_a_ledger_that_went_back_is_told_in_true_numbers(lab: Any, pinned: Pinned) -> None:
    """Where entries are gone, nobody says that all of those verified before are held."""
    lab.change(
        "DELETE FROM subject WHERE number > 1",
        "DELETE FROM entry WHERE number > 1",
        "DELETE FROM checkpoint WHERE size > 2",
    )
    (said,) = run(lab, pinned)[0].report.conclusions
    assert said.endswith("of the 4 records verified before only 2 are there")


def test_another_ledger_key_is_a_fault(lab: Any, pinned: Pinned) -> None:
    """A ledger of the same name and root with another key of its own is not the one verified."""
    verifier, again = run(lab, replace(pinned, ledger=str(VKEY)))
    assert (codes(verifier.report), again) == (["pinned.ledger"], None)


def test_the_memory_of_another_ledger_is_refused(tmp_path: Path) -> None:
    """What was verified of one ledger says nothing of another."""
    PINNED.save(tmp_path, VKEY.name, ROOT)
    (file,) = (tmp_path / "verified").iterdir()
    file.write_text(file.read_text().replace("evidence.example.com", "other.example.com"))
    with pytest.raises(InputError) as caught:
        Pinned.load(tmp_path, VKEY.name, ROOT)
    assert caught.value.code == "pinned.malformed"
