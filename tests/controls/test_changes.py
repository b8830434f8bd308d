"""What changed, what will lapse and what is known by hindsight, from records alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from muniment.controls.catalog import load_catalogs
from muniment.controls.changes import Change, changes, lapses
from muniment.controls.coverage import Coverage, State
from muniment.controls.evaluator import evaluate
from muniment.controls.hindsight import hindsight
from muniment.controls.profile import load_profile

CONTROL = "nist-ai-rmf-1.0:MEASURE 2.3"
DAY = timedelta(days=1)


def forward(book: Any, days: int) -> tuple[Change, ...]:
    """What lapses in the book within so many days of its now."""
    return lapses(
        book.coverage(),
        book.now + days * DAY,
        lambda moment: book.coverage(as_of=moment),
        {record.sha256: record for record in book.records},
        {
            control.id: control.requirement
            for catalog in load_catalogs()
            for control in catalog.controls
        },
    )


def state(coverage: Coverage, control: str) -> State:
    return next(item.state for item in coverage.controls if item.id == control)


def only(found: tuple[Change, ...], control: str = CONTROL) -> Change:
    (change,) = (item for item in found if item.after.id == control)
    return change


def met(book: Any, age: float = 1) -> Any:
    """An approved evaluation, by which the control is met."""
    evidence = book.add("eval-result", CONTROL, age=age)
    book.approve(evidence, age=age)
    return evidence


def test_newly_met_names_evidence_and_approval(book: Any) -> None:
    """A control that became met has its new records behind it, and nothing is lost."""
    book.add("system", age=9)
    before = book.coverage(as_of=book.now - 5 * DAY)
    evidence = met(book)
    change = only(changes(before, book.coverage()))
    assert (change.what, change.before.state) == ("newly met", State.MISSING)
    assert {ref.index for ref in change.gained} == {evidence.index, evidence.index + 1}
    assert (change.lost, change.is_worse) == ((), False)
    assert change.after.reasons


def test_newly_stale_by_time_alone_names_what_lapsed(book: Any) -> None:
    """No record was added; the change names the one that no longer counts."""
    evidence = met(book)
    later = book.coverage(as_of=book.now + 4000 * DAY)
    change = only(changes(book.coverage(), later))
    assert (change.what, change.is_worse) == ("newly stale", True)
    assert evidence.ref in change.lost


def test_newly_failed_names_the_record_that_says_no(book: Any) -> None:
    """A failing evaluation after a good one is behind the change."""
    met(book, age=5)
    bad = book.add(
        "eval-result",
        CONTROL,
        metrics=[{"name": "auc", "value": 0.1, "threshold": 0.8, "direction": "higher"}],
    )
    change = only(changes(book.coverage(as_of=book.now - 3 * DAY), book.coverage()))
    assert change.what == "newly failed"
    assert bad.ref in change.behind


def test_newly_missing_and_newly_unapproved(book: Any) -> None:
    """A retraction and a rejection both show, with the record that did it."""
    first = met(book, age=5)
    rejected = book.approve(first, decision="rejected", age=3)
    retraction = book.add("retraction", records=[first.ref.to_json()], reason="wrong data", age=1)
    at = [book.coverage(as_of=book.now - days * DAY) for days in (4, 2, 0)]
    one, two = only(changes(at[0], at[1])), only(changes(at[1], at[2]))
    assert (one.what, two.what) == ("newly unapproved", "newly missing")
    assert rejected.ref in one.behind
    assert retraction.index not in {ref.index for ref in one.behind}


def test_nothing_changed_is_no_change(book: Any) -> None:
    """Two coverages of one moment have no changes."""
    met(book)
    assert changes(book.coverage(), book.coverage()) == ()


def test_a_lapse_is_at_the_second_after_the_last_that_counts(book: Any) -> None:
    """At the moment before, the control is met; at the moment of the lapse, it is not."""
    evidence = met(book, age=100)
    until = next(item for item in book.coverage().controls if item.id == CONTROL).fresh_until
    assert until is not None
    days = (until - book.now).days
    change = only(forward(book, days + 1))
    assert change.at == until + timedelta(seconds=1)
    assert evidence.ref in change.lost
    assert state(book.coverage(as_of=until), CONTROL) is State.MET
    assert state(book.coverage(as_of=change.at), CONTROL) is change.after.state is State.STALE
    assert forward(book, days - 1) == ()


def test_what_a_fresher_record_carries_does_not_lapse(book: Any) -> None:
    """Only the last record of a kind to end takes the control down."""
    old, new = met(book, age=100), met(book, age=1)
    found = forward(book, 4000)
    change = only(found)
    assert new.ref in change.lost and old.ref not in change.lost


def test_lapses_agree_with_every_day_evaluated(book: Any) -> None:
    """Nothing lapses unsaid: the days on which states fall back are those of the lapses."""
    met(book, age=100)
    policy = book.add("policy", "nist-ai-rmf-1.0:GOVERN 1.4", "nist-ai-rmf-1.0:GOVERN 1.1", age=40)
    risk = book.add("risk-assessment", "nist-ai-rmf-1.0:GOVERN 1.4", age=10)
    book.approve(policy, risk, age=2)
    book.add("monitoring-report", "nist-ai-rmf-1.0:MANAGE 4.1", age=3)
    span = 420
    coverages = [book.coverage(as_of=book.now + day * DAY) for day in range(span + 1)]
    rank = list(State).index
    expected = [
        (day, control.id)
        for day in range(1, span + 1)
        for control, was in zip(coverages[day].controls, coverages[day - 1].controls, strict=True)
        if rank(control.state) < rank(was.state)
    ]
    found = [(-((book.now - item.at) // DAY), item.after.id) for item in forward(book, span)]
    assert expected and sorted(found) == sorted(expected)
    assert [day for day, _ in found] == sorted(day for day, _ in found)


def test_a_lapse_by_a_rule_alone_is_found_to_the_second(book: Any) -> None:
    """A state that falls at a moment no record names is sought, not missed."""
    met(book)
    bad = book.now + timedelta(days=17, hours=3, minutes=7, seconds=11)

    def judged(moment: datetime) -> Coverage:
        covered: Coverage = book.coverage(as_of=moment)
        if moment < bad:
            return covered
        catalogs = tuple(
            replace(
                catalog,
                controls=tuple(
                    replace(item, state=State.FAILED) if item.id == CONTROL else item
                    for item in catalog.controls
                ),
            )
            for catalog in covered.catalogs
        )
        return replace(covered, catalogs=catalogs)

    requirements = {
        control.id: control.requirement
        for catalog in load_catalogs()
        for control in catalog.controls
    }
    records = {record.sha256: record for record in book.records}
    found = lapses(judged(book.now), book.now + 30 * DAY, judged, records, requirements)
    assert only(found).at == bad


def test_what_was_erased_later_superseded_then_too(book: Any) -> None:
    """At a date before the erasure the corrected record does not come back to life."""
    first = met(book, age=9)
    second = book.add("eval-result", CONTROL, supersedes=first, age=8)
    order = book.add(
        "erasure",
        signer="bob",
        records=[{**second.ref.to_json(), "kind": "eval-result", "superseded": first.index}],
        artifacts=[],
        basis="GDPR Art. 17(1)(b)",
        reason="consent withdrawn",
        age=2,
    )
    records = [item for item in book.records if item is not second]
    then = book.now - 5 * DAY
    covered = book.coverage(as_of=then, records=records)
    assert state(covered, CONTROL) is State.MISSING
    (known,) = hindsight(records, covered, ())
    assert (known.code, known.record, known.by) == ("record.erased", second.ref, order.ref)
    assert known.since == order.recorded_at
    before_both = book.coverage(as_of=book.now - 8.5 * DAY, records=records)
    assert before_both.considered == 2


def test_a_later_retraction_is_hindsight_and_no_more(book: Any) -> None:
    """The state of then stands; the retraction is listed with its day, and only beside the past."""
    evidence = met(book, age=5)
    order = book.add("retraction", records=[evidence.ref.to_json()], reason="wrong data", age=1)
    then = book.coverage(as_of=book.now - 3 * DAY)
    assert state(then, CONTROL) is State.MET
    (known,) = hindsight(book.records, then, ())
    assert (known.code, known.record, known.by) == ("record.retracted", evidence.ref, order.ref)
    assert "wrong data" in known.sentence and f"{order.recorded_at:%Y-%m-%d}" in known.sentence
    assert hindsight(book.records, book.coverage(), ()) == []


def test_other_catalogs_than_a_gate_saw_are_hindsight(book: Any) -> None:
    """A gate decision of then names digests of catalogs; where today's differ, it is said."""
    met(book, age=9)
    said = {"profile": "production", "catalogs": {"nist-ai-rmf-1.0": "0" * 64}}
    body = {"policy": {"digest": {"sha256": "0" * 64}}, "muniment_decision": said}
    decision = book.add("eval-result", age=7)
    vsa = replace(
        decision,
        statement=replace(
            decision.statement,
            predicate_type="https://slsa.dev/verification_summary/v1",
            body=body,
        ),
    )
    records = [vsa if item is decision else item for item in book.records]
    covered = evaluate(
        records, load_catalogs(), load_profile("production"), book.system, book.now - 3 * DAY
    )
    (known,) = hindsight(records, covered, ())
    assert (known.code, known.by, known.since) == ("rules.changed", None, None)
    assert "nist-ai-rmf-1.0" in known.text and "profile production" in known.text
