"""Every state, and every way from one to another: by time, by a later record, by a lost key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from muniment.controls.catalog import load_catalogs
from muniment.controls.coverage import State
from muniment.controls.crosswalk import Crosswalk, Fit, Pair, Source
from muniment.controls.evaluator import evaluate
from muniment.controls.profile import load_profile

EVAL = "nist-ai-rmf-1.0:MEASURE 2.5"
"""Wants an eval-result, seen by a second person."""
TWO = "nist-ai-rmf-1.0:GOVERN 4.1"
"""Wants policy and decision, both."""
POLICY = "nist-ai-rmf-1.0:GOVERN 1.1"
"""Wants policy or risk-assessment, approved."""
CROSSWALK = Crosswalk("made-up", "One pair", (Pair(POLICY, TWO, Source.PUBLISHED, Fit.PARTIAL),))
Step = Callable[[Any], None]


def _met(book: Any) -> None:
    book.approve(book.add("eval-result", EVAL, age=20), age=19)


def _unapproved(book: Any) -> None:
    book.add("eval-result", EVAL, age=20)


def _failed(book: Any) -> None:
    book.approve(book.add("eval-result", EVAL, evaluated=0, age=20), age=19)


def _one_of_two(book: Any) -> None:
    book.add("policy", TWO, age=20)


def _both(book: Any) -> None:
    _one_of_two(book)
    book.add("decision", TWO, age=20)


def _waived(book: Any) -> None:
    book.waive(EVAL, until="2026-06-30", age=20)


def _waived_failure(book: Any) -> None:
    _failed(book)
    _waived(book)


def _ruled_out(book: Any) -> None:
    book.decide(EVAL, False, age=20)


def _nothing(book: Any) -> None:
    """Leave the book empty."""


def _add(kind: str, *controls: str, **fields: Any) -> Step:
    return lambda book: book.add(kind, *controls, **fields)


def _supersede(**fields: Any) -> Step:
    return lambda book: book.add("eval-result", EVAL, supersedes=book.records[0], **fields)


def _retract(place: int, signer: str) -> Step:
    def step(book: Any) -> None:
        named = [book.records[place].ref.to_json()]
        book.add("retraction", signer=signer, records=named, reason="it was wrong")

    return step


def _vote(place: int, decision: str) -> Step:
    return lambda book: book.approve(book.records[place], decision=decision)


def _lose_key(name: str) -> Step:
    def step(book: Any) -> None:
        book.records[:] = [
            replace(record, distrusted="its key was stolen")
            if record.signer.name == name
            else record
            for record in book.records
        ]

    return step


def _days_pass(book: Any) -> None:
    """Add nothing."""


# name: (control, before, state, step, days that pass, state after)
TRANSITIONS: dict[str, tuple[str, Step, State, Step, int, State]] = {
    "missing to unapproved": (
        EVAL, _nothing, State.MISSING, _add("eval-result", EVAL), 0, State.UNAPPROVED),
    "missing to failed": (
        EVAL, _nothing, State.MISSING, _add("eval-result", EVAL, evaluated=0), 0, State.FAILED),
    "missing to partial": (TWO, _nothing, State.MISSING, _add("policy", TWO), 0, State.PARTIAL),
    "missing to partial by crosswalk": (
        TWO, _nothing, State.MISSING,
        lambda book: book.approve(book.add("policy", POLICY)), 0, State.PARTIAL),
    "missing to waived": (EVAL, _nothing, State.MISSING, _waived, 0, State.WAIVED),
    "missing to not applicable": (
        EVAL, _nothing, State.MISSING, _ruled_out, 0, State.NOT_APPLICABLE),
    "unapproved to met": (
        EVAL, _unapproved, State.UNAPPROVED, _vote(0, "approved"), 0, State.MET),
    "unapproved to stale by time": (
        EVAL, _unapproved, State.UNAPPROVED, _days_pass, 900, State.STALE),
    "unapproved to missing": (
        EVAL, _unapproved, State.UNAPPROVED, _retract(0, "alice"), 0, State.MISSING),
    "partial to met": (TWO, _one_of_two, State.PARTIAL, _add("decision", TWO), 0, State.MET),
    "partial to stale by time": (TWO, _one_of_two, State.PARTIAL, _days_pass, 900, State.STALE),
    "partial to missing": (
        TWO, _one_of_two, State.PARTIAL, _retract(0, "alice"), 0, State.MISSING),
    "met to stale by time alone": (EVAL, _met, State.MET, _days_pass, 900, State.STALE),
    "met to partial": (TWO, _both, State.MET, _retract(1, "alice"), 0, State.PARTIAL),
    "met to failed by a newer eval": (
        EVAL, _met, State.MET, _add("eval-result", EVAL, evaluated=0), 0, State.FAILED),
    "met to failed by what was trained on": (
        EVAL, _met, State.MET,
        _add("data-provenance", contents=[{"name": "x", "sha256": "c" * 64}]), 0, State.FAILED),
    "met to unapproved by rejection": (
        EVAL, _met, State.MET, _vote(0, "rejected"), 0, State.UNAPPROVED),
    "met to unapproved by the approver's lost key": (
        EVAL, _met, State.MET, _lose_key("Bob"), 0, State.UNAPPROVED),
    "met to missing by the author's lost key": (
        EVAL, _met, State.MET, _lose_key("Alice"), 0, State.MISSING),
    "met to missing for another model": (
        EVAL, _met, State.MET,
        _add("system", model={"name": "m", "sha256": "b" * 64}), 0, State.MISSING),
    "met to waived": (EVAL, _met, State.MET, _waived, 0, State.WAIVED),
    "met to not applicable": (EVAL, _met, State.MET, _ruled_out, 0, State.NOT_APPLICABLE),
    "failed to unapproved by a better eval": (
        EVAL, _failed, State.FAILED, _supersede(), 0, State.UNAPPROVED),
    "failed to met": (
        EVAL, _failed, State.FAILED,
        lambda book: book.approve(book.add("eval-result", EVAL, supersedes=book.records[0])),
        0, State.MET),
    "failed stays failed with time": (EVAL, _failed, State.FAILED, _days_pass, 900, State.FAILED),
    "failed to waived": (EVAL, _failed, State.FAILED, _waived, 0, State.WAIVED),
    "stale to unapproved": (
        EVAL, _add("eval-result", EVAL, age=900), State.STALE,
        _add("eval-result", EVAL), 0, State.UNAPPROVED),
    "waived to missing when it ends": (EVAL, _waived, State.WAIVED, _days_pass, 30, State.MISSING),
    "waived to failed when it ends": (
        EVAL, _waived_failure, State.WAIVED, _days_pass, 30, State.FAILED),
    "waived to failed by retraction": (
        EVAL, _waived_failure, State.WAIVED, _retract(2, "rita"), 0, State.FAILED),
    "waived to failed by the approver's lost key": (
        EVAL, _waived_failure, State.WAIVED, _lose_key("Rita"), 0, State.FAILED),
    "not applicable to missing": (
        EVAL, _ruled_out, State.NOT_APPLICABLE,
        lambda book: book.decide(EVAL, True), 0, State.MISSING),
    "not applicable to missing by the approver's lost key": (
        EVAL, _ruled_out, State.NOT_APPLICABLE, _lose_key("Rita"), 0, State.MISSING),
}  # fmt: skip


@pytest.mark.parametrize("name", TRANSITIONS)
def test_transitions(name: str, book: Any) -> None:
    """What happens moves the control from the one state to the other."""
    control, before, state, step, days, after = TRANSITIONS[name]

    def found(later: int) -> State:
        coverage = evaluate(
            book.records,
            load_catalogs(),
            load_profile("production"),
            book.system,
            book.now + timedelta(days=later),
            crosswalk=CROSSWALK,
        )
        return {item.id: item.state for item in coverage.controls}[control]

    before(book)
    assert found(0) is state
    step(book)
    assert found(days) is after


def test_every_state_is_left_and_reached() -> None:
    """The table has every state on both sides."""
    rows = TRANSITIONS.values()
    assert {row[2] for row in rows} == {row[5] for row in rows} == set(State)
