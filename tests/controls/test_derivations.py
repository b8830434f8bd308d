"""The derivation of records as the evaluator is told of it: data in, reasons at the control out."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from muniment.controls.catalog import load_catalogs
from muniment.controls.coverage import Coverage, State
from muniment.controls.crosswalk import load_crosswalk
from muniment.controls.evaluator import evaluate
from muniment.controls.profile import load_profile
from muniment.schemas.derivation import Derivation, Derived
from muniment.schemas.record import Record
from muniment.schemas.statement import RecordRef

EVAL, OTHER = "nist-ai-rmf-1.0:MEASURE 2.5", "nist-ai-rmf-1.0:MEASURE 2.3"
MONITORING = "nist-ai-rmf-1.0:MEASURE 2.4"
BORROWER = "eu-ai-act-high-risk:AIA-15.1"


def said(record: Record, code: Derived) -> Derivation:
    """What is said of a record."""
    return Derivation(record.ref, code, f"{record} and its file: {code}")


def covered(book: Any, *derivations: Derivation, carry: bool = False) -> Coverage:
    """All built-in catalogs, with what is said of the records."""
    return evaluate(
        book.records,
        load_catalogs(),
        load_profile("production"),
        book.system,
        book.now,
        crosswalk=load_crosswalk() if carry else replace(load_crosswalk(), pairs=()),
        derivations=derivations,
    )


def state(coverage: Coverage, control: str) -> tuple[State, dict[str, list[int]]]:
    """State of a control, and its reasons' codes with the records they name."""
    found = next(item for item in coverage.controls if item.id == control)
    return found.state, {
        reason.code: [ref.index for ref in reason.records] for reason in found.reasons
    }


@pytest.mark.parametrize("code", [Derived.DIFFERS, Derived.REFUSED])
def test_a_fault_fails_every_control_the_record_fills(code: Derived, book: Any) -> None:
    """Claimed or linked, beside better evidence too, the control fails and names the record."""
    good, bad = book.add("eval-result", EVAL, OTHER), book.add("eval-result", EVAL)
    book.approve(good, bad)
    book.link(bad, OTHER)
    coverage = covered(book, said(bad, code), said(good, Derived.HELD))
    for control in (EVAL, OTHER):
        found, codes = state(coverage, control)
        assert found is State.FAILED
        assert codes[str(code)] == [bad.index]
    assert state(covered(book, said(good, Derived.HELD)), EVAL)[0] is State.MET


def test_superseding_it_heals(book: Any) -> None:
    """Once a record that agrees takes its place, nothing is held against the control."""
    bad = book.add("eval-result", EVAL)
    better = book.add("eval-result", EVAL, supersedes=bad)
    book.approve(better)
    coverage = covered(book, said(bad, Derived.DIFFERS), said(better, Derived.HELD))
    assert state(coverage, EVAL)[0] is State.MET


def test_a_fault_is_heard_of_a_record_that_would_only_support(book: Any) -> None:
    """Of whatever kind and age: a signed figure that its file contradicts is a "no"."""
    old = book.add("eval-result", EVAL, age=4000)
    odd = book.add("data-provenance", OTHER)
    coverage = covered(book, said(old, Derived.DIFFERS), said(odd, Derived.DIFFERS))
    assert state(coverage, EVAL)[0] is State.FAILED
    assert state(coverage, OTHER)[0] is State.FAILED


def test_nothing_is_lent_by_it(book: Any) -> None:
    """What differs carries over to no other catalog."""
    record = book.add("eval-result", EVAL)
    book.approve(record)
    assert state(covered(book, carry=True), BORROWER)[0] is State.MET
    found, codes = state(covered(book, said(record, Derived.DIFFERS), carry=True), BORROWER)
    assert found is not State.MET
    assert "evidence.carried" not in codes


def test_what_was_not_checked_counts_and_is_said(book: Any) -> None:
    """The state stays, and the control has the reason; nothing is said where it holds."""
    record = book.add("eval-result", EVAL)
    book.approve(record)
    found, codes = state(covered(book, said(record, Derived.NOT_CHECKED)), EVAL)
    assert (found, codes["derivation.not-checked"]) == (State.MET, [record.index])
    assert covered(book, said(record, Derived.HELD)).to_json() == covered(book).to_json()


def test_two_faults_of_one_record_are_both_said(book: Any) -> None:
    """A gap in monitoring hides no difference."""
    months = [("2026-01-01", "2026-01-31"), ("2026-05-01", "2026-05-31")]
    reports = [
        book.add("monitoring-report", MONITORING, cadenceDays=31, period={"start": a, "end": b})
        for a, b in months
    ]
    _, codes = state(covered(book, said(reports[1], Derived.DIFFERS)), MONITORING)
    assert codes.keys() >= {"monitoring.gap", "derivation.differs"}


def test_only_the_very_record_is_meant(book: Any) -> None:
    """What is said of another record, or of another system's, changes nothing."""
    record = book.add("eval-result", EVAL)
    book.approve(record)
    strange = [
        Derivation(RecordRef(record.index, "f" * 64), Derived.DIFFERS, "x"),
        Derivation(RecordRef(99, record.sha256), Derived.DIFFERS, "x"),
        Derivation(RecordRef(99, "e" * 64), Derived.DIFFERS, "x"),
    ]
    coverage = covered(book, *strange)
    assert coverage.to_json() == covered(book).to_json()
    assert coverage.derivations == ()


def test_order_does_not_matter_and_no_fault_improves(book: Any) -> None:
    """The same is answered in whatever order it is told, and a fault makes no state better."""
    records = [book.add("eval-result", random.Random(n).choice([EVAL, OTHER])) for n in range(8)]
    book.approve(*records[:4])
    plain = covered(book)
    told = [
        said(record, [Derived.HELD, Derived.NOT_CHECKED, Derived.DIFFERS][record.index % 3])
        for record in records
    ]
    first = covered(book, *told)
    for seed in range(5):
        random.Random(seed).shuffle(told)
        assert covered(book, *told) == first
    worst_first = list(State)
    for before, after in zip(plain.controls, first.controls, strict=True):
        assert worst_first.index(after.state) <= worst_first.index(before.state)
