"""Several processes say of a ledger what one says, and one is enough where no other starts."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from muniment.evidence import verification, workers
from muniment.evidence.verification import LedgerVerifier


@pytest.fixture
def ledger(lab: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Twenty records, some changed, verified a few at a time."""
    bea = lab.enrol(["contributor"], name="Bea Example")
    for number in range(9):
        lab.append(lab.statement(title=f"Root's {number}"))
        lab.append(lab.statement(title=f"Bea's {number}"), key=bea)
    monkeypatch.setattr(verification, "_CHUNK", 3)
    lab.change(
        "UPDATE entry SET leaf = substr(leaf, 2) WHERE number = 4",
        "UPDATE entry SET signer = 'x' WHERE number = 7",
        "UPDATE subject SET name = 'x' WHERE number = 11",
    )
    return lab


def _said(lab: Any, processes: int, monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    monkeypatch.setattr(verification, "_MANY", 0 if processes > 1 else 1000)
    monkeypatch.setattr(verification, "_processes", lambda: processes)
    with lab.storage.read() as reader:
        verifier = LedgerVerifier(reader, lab.vkey, lab.root.public.fingerprint, lab.kinds)
        records = list(verifier.records())
    return records, verifier.report.to_json()


def test_several_processes_say_the_same(ledger: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Records, counts and faults are the same, in the same order, from one process and three."""
    alone = _said(ledger, 1, monkeypatch)
    assert _said(ledger, 3, monkeypatch) == alone
    found = [item["code"] for check in alone[1]["checks"] for item in check["findings"]]
    assert {"leaf.differs", "column.differs", "subjects.differ"} <= set(found)


@pytest.mark.parametrize("program", ["/nonexistent/python", "false", "true"])
def test_helpers_that_do_not_start(
    ledger: Any, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    """Where no other process starts, or each ends at once, this one does all of the work."""
    alone = _said(ledger, 1, monkeypatch)
    monkeypatch.setattr(sys, "executable", program)
    assert _said(ledger, 3, monkeypatch) == alone


def test_helpers_do_not_outlive_a_verification(
    ledger: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever stops in the middle leaves no process behind."""
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def noted(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(start(*arguments, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)
    with ledger.storage.read() as reader:
        tasks = [(tuple(row), ()) for row in reader.entries()]
    checked = workers.check_all([tasks] * 9, ledger.kinds, processes=3)
    assert len(next(checked)[1]) == len(tasks)
    checked.close()
    assert len(started) == 2
    assert all(process.poll() is not None for process in started)


def test_helpers_are_light() -> None:
    """A helper loads no database library: it would start for longer than it helps."""
    code = "import sys, muniment.evidence.workers as _; print('sqlalchemy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "False\n"


def test_a_fault_behind_a_sound_record_is_found(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two records of one signer, kind and time: that the first is sound says nothing of the body
    of the second, whether all records are asked for or only those with files."""
    sound = lab.statement(title="Sound")
    broken = replace(sound, body={"title": "Broken"}, salt="1" * 32)
    with monkeypatch.context() as patched:
        patched.setattr("muniment.evidence.admission.check_body", lambda statement, kinds: None)
        lab.append(sound, broken)
    for files_only in (False, True):
        with lab.storage.read() as reader:
            root = lab.root.public.fingerprint
            verifier = LedgerVerifier(reader, lab.vkey, root, lab.kinds)
            list(verifier.records(files_only=files_only))
        assert [finding.code for finding in verifier.report.findings] == ["body.malformed"]
