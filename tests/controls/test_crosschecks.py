"""Checks across records: each fault is a reason at the control, with the records it is about."""

from __future__ import annotations

from typing import Any

import pytest

from muniment.controls.coverage import ControlResult, State

EVAL = "nist-ai-rmf-1.0:MEASURE 2.5"
OWNER = "nist-ai-rmf-1.0:GOVERN 1.6"
HELD_OUT = "c" * 64
OTHER = {"name": "Lee", "email": "lee@example.com"}


def _reason(result: ControlResult, code: str) -> list[int] | None:
    """Places of the records that the reason with ``code`` names; None where there is none."""
    found = [reason for reason in result.reasons if reason.code == code]
    return [ref.index for ref in found[0].records] if found else None


def _file(sha256: str) -> list[dict[str, str]]:
    return [{"name": "data.csv", "sha256": sha256}]


@pytest.mark.parametrize(
    ("fields", "split", "state"),
    [
        ({"contents": _file(HELD_OUT)}, "held-out", State.FAILED),
        ({"derivedFrom": _file(HELD_OUT)}, "held-out", State.FAILED),
        ({"contents": _file(HELD_OUT)}, "tuning", State.FAILED),
        ({"contents": _file(HELD_OUT), "split": "tuning"}, "held-out", State.FAILED),
        ({"contents": _file(HELD_OUT), "split": "tuning"}, "tuning", State.MET),
        ({"contents": _file(HELD_OUT), "split": "held-out"}, "held-out", State.MET),
        ({}, "held-out", State.MET),
    ],
)
def test_held_out_separation(fields: dict[str, Any], split: str, state: State, book: Any) -> None:
    """An eval on data that was trained on is a "no", in whatever order the two were signed."""
    data = book.add("data-provenance", **fields)
    dataset = {"name": "holdout", "split": split, "sha256": HELD_OUT}
    record = book.add("eval-result", EVAL, dataset=dataset)
    book.approve(record)
    result = book.result(EVAL)
    assert result.state is state
    named = [record.index, data.index] if state is State.FAILED else None
    assert _reason(result, "data.seen-in-training") == named


def test_a_withdrawn_provenance_accuses_nobody(book: Any) -> None:
    """Only current records are held against each other."""
    data = book.add("data-provenance", contents=_file(HELD_OUT))
    book.approve(book.add("eval-result", EVAL))
    assert book.result(EVAL).state is State.FAILED
    book.add("retraction", records=[data.ref.to_json()], reason="another system's")
    assert book.result(EVAL).state is State.MET


def test_every_source_of_training_data_has_rights(book: Any) -> None:
    """Training data made from files that no provenance record covers says no, until one does."""
    control = "iso-42001-2023:A.7.3"
    record = book.add("data-provenance", control, derivedFrom=_file("9" * 64))
    assert book.result(control).state is State.FAILED
    assert _reason(book.result(control), "data.no-rights") == [record.index]
    book.add("data-provenance", contents=_file("9" * 64), split="production")
    assert _reason(book.result(control), "data.no-rights") is None
    assert book.result(control).state is not State.FAILED


def test_evidence_and_approvals_are_about_one_model(book: Any) -> None:
    """An approval of another model is named where its absence is felt; so is an eval of one."""
    book.add("system")
    record = book.add("eval-result", EVAL)
    approval = book.approve(record, artifacts=[book.other_model])
    other = book.add("eval-result", EVAL, model={"name": "m", "sha256": book.other_model})
    result = book.result(EVAL)
    assert result.state is State.UNAPPROVED
    codes = [reason.records[-1].index for reason in result.reasons if "other-model" in reason.code]
    assert codes == [approval.index, other.index]


def _report(book: Any, control: str, start: str, end: str, **fields: Any) -> Any:
    period = {"start": start, "end": end}
    return book.add(
        "monitoring-report", control, period=period, cadenceDays=fields.pop("cadence", 7), **fields
    )


MONITORED = "iso-42001-2023:A.6.2.6"


def test_monitoring_has_no_gap(book: Any) -> None:
    """The report after a gap longer than its cadence says no; a report of the days closes it."""
    first = _report(book, MONITORED, "2026-04-01", "2026-05-10")
    second = _report(book, MONITORED, "2026-05-19", "2026-05-31")
    result = book.result(MONITORED)
    assert result.state is State.FAILED
    assert _reason(result, "monitoring.gap") == [second.index, first.index]
    _report(book, MONITORED, "2026-05-11", "2026-05-12")
    assert book.result(MONITORED).state is not State.FAILED


@pytest.mark.parametrize(
    ("start", "gap"),
    [("2026-05-18", False), ("2026-05-19", True)],
    ids=["as planned", "a day late"],
)
def test_a_gap_is_longer_than_the_cadence(start: str, gap: bool, book: Any) -> None:
    """As many days as the cadence are no gap, one more is."""
    _report(book, MONITORED, "2026-04-01", "2026-05-10")
    _report(book, MONITORED, start, "2026-05-31")
    assert (_reason(book.result(MONITORED), "monitoring.gap") is not None) == gap


def test_old_gaps_are_forgotten(book: Any) -> None:
    """What ended over a year ago is held against nobody."""
    _report(book, MONITORED, "2024-01-01", "2024-01-31")
    _report(book, MONITORED, "2026-05-01", "2026-05-31")
    assert _reason(book.result(MONITORED), "monitoring.gap") is None


@pytest.mark.parametrize(("end", "stale"), [("2026-05-25", False), ("2026-05-24", True)])
def test_monitoring_that_stopped_is_stale(end: str, stale: bool, book: Any) -> None:
    """A report counts until the next one was planned, and no longer."""
    _report(book, MONITORED, "2026-05-01", end)
    codes = {reason.code for reason in book.result(MONITORED).reasons}
    assert ("evidence.stale" in codes) == stale


def test_an_owner_has_hours(book: Any) -> None:
    """A duty without hours is a "no"; one that ended is stale, and nobody's fault."""
    record = book.add("owner-assignment", OWNER, hoursPerWeek=0)
    assert book.result(OWNER).state is State.FAILED
    assert _reason(book.result(OWNER), "owner.no-hours") == [record.index]
    ended = book.add("owner-assignment", OWNER, hoursPerWeek=0, end="2026-05-30", supersedes=record)
    assert book.result(OWNER).state is State.STALE
    assert _reason(book.result(OWNER), "owner.no-hours") is None
    assert _reason(book.result(OWNER), "evidence.stale") == [ended.index]


@pytest.mark.parametrize(
    ("fields", "clash"),
    [
        ({"role": "executive owner"}, True),
        ({"role": "executive owner", "person": OTHER}, False),
        ({"role": "Executive owner", "duty": "may stop the operation", "person": OTHER}, False),
        ({"role": "head of cards"}, False),
        ({"role": "executive owner", "end": "2026-05-01"}, False),
    ],
)
def test_executive_owner_is_not_the_operator(
    fields: dict[str, Any], clash: bool, book: Any
) -> None:
    """One person holding both duties at one time says no at both records."""
    operating = book.add("owner-assignment", OWNER)
    executive = book.add("owner-assignment", **fields)
    result = book.result(OWNER)
    assert result.state is (State.FAILED if clash else State.MET)
    named = [operating.index, executive.index] if clash else None
    assert _reason(result, "owner.one-person") == named


def test_duties_are_separate_by_person(book: Any) -> None:
    """An approval with a second key of the author is named at the control it does not help."""
    record = book.add("eval-result", EVAL)
    approval = book.approve(record, signer="alice-approver")
    result = book.result(EVAL)
    assert result.state is State.UNAPPROVED
    assert _reason(result, "approval.same-person") == [approval.index, record.index]
