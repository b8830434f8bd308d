"""The derivation check in every answer: coverage, gate, SoA, packet and ``verify``."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from muniment.controls.coverage import ControlResult, State
from muniment.evidence.derivation import derive
from muniment.evidence.keys import new_p256
from muniment.evidence.workspace import Holder
from muniment.reports import proofs
from muniment.reports import workspace as workspaces
from muniment.reports.signature import read_attachments
from muniment.reports.verify import verify_packet
from muniment.reports.workspace import Workspace
from muniment.schemas.errors import InputError
from muniment.schemas.finding import Check, Outcome, VerificationReport
from muniment.schemas.record import Record, Role
from muniment.schemas.statement import Statement

DATA = Path(__file__).parents[1] / "evidence" / "collectors" / "data"
ISO, NIST = "iso-42001-2023:A.6.2.4", "nist-ai-rmf-1.0:MEASURE 2.5"
MODEL = "a" * 64
BODY = {
    "model": {"name": "model.onnx", "sha256": MODEL},
    "dataset": {"name": "holdout", "split": "held-out", "sha256": "b" * 64},
}
SYSTEM = {
    "name": "Credit risk",
    "purpose": "Scores loans.",
    "phase": "pilot",
    "riskTier": "high",
    "owner": {"name": "Ada Example", "email": "ada@example.com"},
    "model": BODY["model"],
}
PROFILE = """\
profile: strict
version: "1"
name: Strict
description: Two controls.
blocks:
  nist-ai-rmf-1.0: [MEASURE 2.5]
  iso-42001-2023: [A.6.2.4]
"""


@pytest.fixture
def office(make_workspace: Callable[..., Any], clock: Any) -> Iterator[Workspace]:
    """A workspace with a system whose model is named, and a second person, Rita."""
    root = make_workspace(frameworks=["nist-ai-rmf-1.0", "iso-42001-2023"]).root
    (root / "profiles").mkdir()
    (root / "profiles" / "strict.yaml").write_text(PROFILE)
    workspace = Workspace(root, clock=clock)
    key = new_p256()
    workspace.keys.save(workspace.keys.path("rita"), key, None)
    holder = Holder("Rita Risk", "rita@example.com")
    workspace.people.enrol(key.public, holder, roles=[Role.APPROVER], functions=["risk"])
    workspace.attach("system", system="credit-risk@1.0.0", body=SYSTEM)
    yield workspace
    workspace.storage.close()


def attach(office: Workspace, tmp_path: Path, **more: Any) -> Record:
    """Attach a passing test report, for two controls."""
    file = tmp_path / "junit.xml"
    file.write_text(
        '<testsuites><testsuite name="pytest" tests="2" failures="0" errors="0" skipped="0">'
        '<testcase classname="a" name="one"/><testcase classname="a" name="two"/>'
        "</testsuite></testsuites>"
    )
    attached = office.attach("eval-result", file, controls=[NIST, ISO], body=BODY, **more)
    return attached.record


def approve(office: Workspace, record: Record) -> None:
    """Rita approves."""
    other = Workspace(office.root, key="rita", clock=office.clock)
    other.approve([str(record)], statement="Read it.")
    other.storage.close()


def tampered(office: Workspace, record: Record, **body: Any) -> Record:
    """The same evidence signed again with other figures, by a client that holds nothing against
    the file."""
    statement: Statement = replace(
        record.statement, body={**record.statement.body, **body}, salt="1" * 32
    )
    return office.append(statement).record


def result(office: Workspace, control: str = NIST, **options: Any) -> ControlResult:
    return next(item for item in office.coverage(**options).controls if item.id == control)


def codes(found: ControlResult) -> dict[str, list[int]]:
    """Codes of the reasons, with the numbers of the records they name."""
    return {item.code: [ref.index for ref in item.records] for item in found.reasons}


def check(report: VerificationReport, name: str = "derivation") -> Check:
    return next(item for item in report.checks if item.name == name)


def test_a_record_that_agrees_is_met(office: Workspace, tmp_path: Path) -> None:
    """Evidence that says what its file says carries its controls, and ``verify`` says so."""
    approve(office, attach(office, tmp_path))
    assert result(office).state is State.MET
    made = check(office.verify())
    assert (made.outcome, made.checked, made.not_checked) == (Outcome.HELD, 1, [])


def test_a_record_that_differs_fails_its_controls(office: Workspace, tmp_path: Path) -> None:
    """A figure that is not the file's makes each control it fills fail, with both values, though
    better evidence is there; when its author takes it back, the control stands again."""
    first = attach(office, tmp_path)
    approve(office, first)
    record = tampered(office, first, evaluated=2000)
    for control in (NIST, ISO):
        found = result(office, control)
        assert found.state is State.FAILED
        assert codes(found)["derivation.differs"] == [record.index]
        reason = next(item for item in found.reasons if item.code == "derivation.differs")
        assert reason.text == (
            f"{record} differs from junit.xml, which it was read from: "
            "evaluated: the file says 2, the record 2000"
        )
        assert found.unblock == f"put right what {record} found and supersede it"
    (finding,) = check(office.verify()).findings
    assert (finding.code, finding.record) == ("derivation.differs", record.index)
    assert (finding.expected, finding.found) == ("2", "2000")
    office.retract([str(record)], "made by hand")
    assert result(office).state is State.MET
    report = office.verify()
    assert [*report.findings] == []
    assert report.ok
    assert [note.record for note in check(report).notes] == [record.index]


def test_a_no_and_a_difference_are_both_said(office: Workspace, tmp_path: Path) -> None:
    """A record that says no by itself is held against its file all the same."""
    record = tampered(office, attach(office, tmp_path), evaluated=0)
    assert codes(result(office)).keys() >= {"evidence.failed", "derivation.differs"}
    assert codes(result(office))["derivation.differs"] == [record.index]


def test_another_file_under_the_same_name(office: Workspace, tmp_path: Path) -> None:
    """A record is held against the file it was read from, whatever is called so later."""
    first = attach(office, tmp_path)
    approve(office, first)
    other = tmp_path / "other" / "junit.xml"
    other.parent.mkdir()
    other.write_bytes((DATA / "pytest_junit/junit.xml").read_bytes())
    now = office.clock()
    second = office.attach("eval-result", other, controls=[NIST], body=BODY, collected_at=now)
    assert check(office.verify()).checked == 2
    assert check(office.verify()).findings == []
    swapped = replace(second.record.statement, body=first.statement.body, salt="2" * 32)
    record = office.append(swapped).record
    found = codes(result(office))
    assert found["derivation.differs"] == [record.index]


def test_a_hostile_file_is_a_reason(office: Workspace, tmp_path: Path) -> None:
    """A record whose file no collector takes fails its control and stops no answer."""
    honest = attach(office, tmp_path)
    bomb = tmp_path / "bomb.xml"
    bomb.write_text('<!DOCTYPE x [<!ENTITY a "b">]><testsuite name="&a;"/>')
    file = office.store.add(bomb)
    subject = replace(honest.statement.subjects[0], digest={"sha256": file.sha256})
    assert honest.statement.source is not None
    source = {**honest.statement.source, "sha256": file.sha256}
    record = office.append(
        replace(honest.statement, subjects=(subject,), source=source, salt="3" * 32)
    ).record
    found = result(office)
    assert found.state is State.FAILED
    assert codes(found)["derivation.refused"] == [record.index]
    assert [item.code for item in check(office.verify()).findings] == ["derivation.refused"]


def test_linked_only_is_said(office: Workspace, tmp_path: Path) -> None:
    """Evidence whose file is elsewhere counts, and the control says that it was not checked."""
    record = attach(office, tmp_path, link_only=True)
    approve(office, record)
    found = result(office)
    assert found.state is State.MET
    assert codes(found)["derivation.not-checked"] == [record.index]
    (said,) = check(office.verify()).not_checked
    assert "linked only" in said


def test_setting_a_figure_is_refused(office: Workspace, tmp_path: Path) -> None:
    """The same comparison is made when a file is attached."""
    with pytest.raises(InputError) as caught:
        attach(office, tmp_path, settings=[("evaluated", 2000)])
    assert caught.value.code == "attach.contradicts-source"


def test_a_difference_shows_no_metric(office: Workspace, tmp_path: Path) -> None:
    """A limit of a profile is not held by a figure that is not the file's, though the record
    claims no control."""
    (office.root / "profiles" / "limits.yaml").write_text(
        "profile: limits\nversion: '1'\nname: Limits\ndescription: One limit.\n"
        "blocks:\n  nist-ai-rmf-1.0: [MEASURE 2.5]\n"
        "thresholds:\n  demographic_parity_difference: {max: 0.5}\n"
    )
    approve(office, attach(office, tmp_path))
    file = DATA / "fairlearn/metricframe.json"
    frame = office.attach("eval-result", file, body=BODY).record
    metrics = [dict(item) for item in frame.statement.body["metrics"]]
    for item in metrics:
        item["value"] = 0.25
        item.update({"threshold": 0.5, "direction": "lower"})
    record = tampered(office, frame, metrics=metrics)
    approve(office, record)
    found = result(office, profile="limits")
    assert found.state is State.PARTIAL
    assert codes(found)["derivation.differs"] == [record.index]


def test_the_past_knows_what_it_had(office: Workspace, tmp_path: Path, clock: Any) -> None:
    """Coverage as of a day before the wrong record does not know it; of a day after, it does."""
    approve(office, attach(office, tmp_path))
    before = clock()
    clock.move(days=10)
    record = tampered(office, attach(office, tmp_path), evaluated=2000)
    clock.move(days=1)
    assert result(office, as_of=before).state is State.MET
    assert codes(result(office))["derivation.differs"] == [record.index]
    (view,) = office.views(since=before)
    assert view.before is not None
    states = {item.id: item.state for item in view.before.controls}
    assert (states[NIST], view.coverage.controls[0].id.partition(":")[0]) == (
        State.MET,
        "nist-ai-rmf-1.0",
    )


def reasons(document: dict[str, Any], control: str) -> Any:
    """State and reasons of one control in a coverage document."""
    (found,) = (
        item
        for catalog in document["catalogs"]
        for item in catalog["controls"]
        if item["id"] == control
    )
    return found["state"], found["reasons"]


def test_every_answer_is_the_same(office: Workspace, tmp_path: Path) -> None:
    """Coverage, gate, statement of applicability and packet say the same of a record that differs;
    the packet's verification computes it again and says what it could not check."""
    first = attach(office, tmp_path)
    approve(office, first)
    tampered(office, first, evaluated=2000)
    covered = office.coverage(profile="strict").to_json()
    gated = office.gate(profile="strict", dry_run=True).decision
    soa = office.soa(profile="strict").to_json()
    path = tmp_path / "packet.pdf"
    path.write_bytes(office.packet(profile="strict"))
    files = dict(read_attachments(path.read_bytes()))
    embedded = json.loads(files[proofs.COVERAGE])
    for control in (NIST, ISO):
        said = reasons(covered, control)
        assert said[0] == "failed"
        assert [item["code"] for item in said[1]].count("derivation.differs") == 1
        assert reasons(gated.coverage.to_json(), control) == said
        assert reasons(embedded, control) == said
    assert {item.id for item in gated.blocking} == {NIST, ISO}
    (line,) = (item for item in soa["controls"] if item["id"] == ISO)
    assert (line["state"], line["reasons"]) == reasons(covered, ISO)
    report = verify_packet(path)
    assert report.ok, [*report.findings]
    made = check(report)
    assert made.outcome is Outcome.NOT_CHECKED
    assert made.not_checked == [
        "1 of 2 records agreed with the tools' files that they were read from when the packet was "
        "made; without those files nobody can repeat that"
    ]


def test_a_packet_that_keeps_silent(
    office: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A packet made without the check says "met", and its verification names the records of which
    nobody said that they agree; one whose reasons rest on what it does not embed does not hold."""
    first = attach(office, tmp_path)
    approve(office, first)
    record = tampered(office, first, evaluated=2000)
    approve(office, record)
    path = tmp_path / "packet.pdf"
    with monkeypatch.context() as patch:
        patch.setattr(workspaces, "derive", lambda *_: [])
        path.write_bytes(office.packet(profile="strict"))
    report = verify_packet(path)
    assert report.ok
    assert check(report).not_checked == [
        f"the packet does not say whether {first}, {record} agreed with the file it was read from"
    ]
    with monkeypatch.context() as patch:
        made = proofs._input
        patch.setattr(proofs, "_input", lambda *given: {**made(*given), "derivations": []})
        path.write_bytes(office.packet(profile="strict"))
    assert {item.code for item in verify_packet(path).findings} == {
        "coverage.differs",
        "gate.differs",
    }


def test_each_answer_reads_a_file_once(
    office: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that evaluates many moments reads no file twice, and none of another system."""
    approve(office, attach(office, tmp_path))
    opened: list[str] = []
    begin = type(office.store).open

    def note(self: Any, sha256: str) -> Any:
        opened.append(sha256)
        return begin(self, sha256)

    monkeypatch.setattr(type(office.store), "open", note)
    office.views(since=office.clock(), expiring=timedelta(days=900))
    assert len(opened) == 1
    assert derive([], office.store) == []
