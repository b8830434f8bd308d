"""Every state, and every way from one to another: by time, by a later record, by a lost key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from muniment.controls.catalog import load_catalogs
from muniment.controls.coverage import ControlResult, State
from muniment.controls.crosswalk import Crosswalk, Fit, Pair, Source
from muniment.controls.evaluator import evaluate
from muniment.controls.profile import load_profile

EVAL = "nist-ai-rmf-1.0:MEASURE 2.5"
"""Wants an eval-result, seen by a second person."""
TWO = "nist-ai-rmf-1.0:GOVERN 4.1"
"""Wants policy and decision, both."""
POLICY = "nist-ai-rmf-1.0:GOVERN 1.1"
"""Wants policy or risk-assessment, approved."""
LENT = "iso-42001-2023:A.6.2.4"
"""Wants what EVAL wants, and borrows it."""
WATCHED = "nist-ai-rmf-1.0:GOVERN 1.5"
"""Wants a decision or a monitoring-report."""
CROSSWALK = Crosswalk(
    "made-up",
    "One pair that helps, one that carries",
    (
        Pair(POLICY, TWO, Source.PUBLISHED, Fit.PARTIAL),
        Pair(EVAL, LENT, Source.PUBLISHED, Fit.CLOSE),
    ),
)
LAST_DAY = "2026-06-30"
"""29 days after the book's present."""
Step = Callable[[Any], None]


def _nothing(book: Any) -> None:
    """Leave the book empty."""


def _days_pass(book: Any) -> None:
    """Add nothing."""


def _then(*steps: Step) -> Step:
    def step(book: Any) -> None:
        for item in steps:
            item(book)

    return step


def _add(kind: str, *controls: str, age: float = 20, **fields: Any) -> Step:
    return lambda book: book.add(kind, *controls, age=age, **fields)


def _supersede(**fields: Any) -> Step:
    return lambda book: book.add("eval-result", EVAL, supersedes=book.records[0], **fields)


def _vote(place: int, decision: str) -> Step:
    return lambda book: book.approve(book.records[place], decision=decision)


def _approved(*controls: str, kind: str = "eval-result", **fields: Any) -> Step:
    return lambda book: book.approve(book.add(kind, *controls, age=20, **fields), age=19)


def _retract(place: int, signer: str) -> Step:
    def step(book: Any) -> None:
        named = [book.records[place].ref.to_json()]
        book.add("retraction", signer=signer, records=named, reason="it was wrong")

    return step


def _erase(place: int) -> Step:
    """The order stays; what it names is gone."""

    def step(book: Any) -> None:
        gone = book.records[place]
        named = [{**gone.ref.to_json(), "kind": gone.kind}]
        book.add(
            "erasure", signer="rita", records=named, artifacts=[], basis="a law", reason="asked"
        )
        book.records.remove(gone)

    return step


def _lose_key(name: str) -> Step:
    def step(book: Any) -> None:
        book.records[:] = [
            replace(record, distrusted="its key was stolen")
            if record.signer.name == name
            else record
            for record in book.records
        ]

    return step


def _waive(control: str, until: str = LAST_DAY, **fields: Any) -> Step:
    return lambda book: book.waive(control, until=until, age=20, **fields)


def _decide(control: str, applicable: bool) -> Step:
    return lambda book: book.decide(control, applicable, age=20)


def _watch(month: str) -> Step:
    period = {"start": f"2026-{month}-01", "end": f"2026-{month}-28"}
    return _add("monitoring-report", WATCHED, age=1, period=period, cadenceDays=31)


UNAPPROVED = _add("eval-result", EVAL)
MET = _approved(EVAL)
FAILED = _approved(EVAL, evaluated=0)
FAILING = _add("eval-result", EVAL, evaluated=0, age=1)
OLD = _add("eval-result", EVAL, age=900)
ONE = _add("policy", TWO)
OTHER = _add("decision", TWO)
REJECTED = _then(ONE, _vote(0, "rejected"))
NO = _add("eval-result", TWO, evaluated=0)
LENDING = _approved(POLICY, kind="policy")
ACCEPT = _waive(EVAL, type="risk-acceptance", residualRisk="a late answer")
OUT, IN = _decide(EVAL, False), _decide(EVAL, True)
OUT_TWO, IN_TWO = _decide(TWO, False), _decide(TWO, True)

# name: (control, before, state, step, days that pass, state after)
TRANSITIONS: dict[str, tuple[str, Step, State, Step, int, State]] = {
    # from missing
    "missing to failed": (EVAL, _nothing, State.MISSING, FAILING, 0, State.FAILED),
    "missing to stale": (EVAL, _nothing, State.MISSING, OLD, 0, State.STALE),
    "missing to unapproved": (EVAL, _nothing, State.MISSING, UNAPPROVED, 0, State.UNAPPROVED),
    "missing to partial": (TWO, _nothing, State.MISSING, ONE, 0, State.PARTIAL),
    "missing to partial by crosswalk": (TWO, _nothing, State.MISSING, LENDING, 0, State.PARTIAL),
    "missing to met": (EVAL, _nothing, State.MISSING, MET, 0, State.MET),
    "missing to met by crosswalk": (LENT, _nothing, State.MISSING, MET, 0, State.MET),
    "missing to waived": (EVAL, _nothing, State.MISSING, _waive(EVAL), 0, State.WAIVED),
    "missing to waived by an accepted risk": (
        EVAL, _nothing, State.MISSING, ACCEPT, 0, State.WAIVED),
    "missing to not applicable": (EVAL, _nothing, State.MISSING, OUT, 0, State.NOT_APPLICABLE),
    # from stale
    "stale to failed by a newer eval": (EVAL, OLD, State.STALE, FAILING, 0, State.FAILED),
    "stale to failed by a gap in monitoring": (
        WATCHED, _watch("01"), State.STALE, _watch("05"), 0, State.FAILED),
    "stale to missing by retraction": (
        EVAL, OLD, State.STALE, _retract(0, "alice"), 0, State.MISSING),
    "stale to unapproved": (EVAL, OLD, State.STALE, UNAPPROVED, 0, State.UNAPPROVED),
    "stale to partial": (TWO, _add("policy", TWO, age=900), State.STALE, OTHER, 0, State.PARTIAL),
    "stale to met": (EVAL, OLD, State.STALE, MET, 0, State.MET),
    "stale to waived": (EVAL, OLD, State.STALE, _waive(EVAL), 0, State.WAIVED),
    "stale to not applicable": (EVAL, OLD, State.STALE, OUT, 0, State.NOT_APPLICABLE),
    # from unapproved
    "unapproved to failed by a newer eval": (
        EVAL, UNAPPROVED, State.UNAPPROVED, FAILING, 0, State.FAILED),
    "unapproved to missing by retraction": (
        EVAL, UNAPPROVED, State.UNAPPROVED, _retract(0, "alice"), 0, State.MISSING),
    "unapproved to stale by time alone": (
        EVAL, UNAPPROVED, State.UNAPPROVED, _days_pass, 900, State.STALE),
    "unapproved to partial": (TWO, REJECTED, State.UNAPPROVED, OTHER, 0, State.PARTIAL),
    "unapproved to met": (EVAL, UNAPPROVED, State.UNAPPROVED, _vote(0, "approved"), 0, State.MET),
    "unapproved to waived": (EVAL, UNAPPROVED, State.UNAPPROVED, _waive(EVAL), 0, State.WAIVED),
    "unapproved to not applicable": (
        EVAL, UNAPPROVED, State.UNAPPROVED, OUT, 0, State.NOT_APPLICABLE),
    # from partial
    "partial to failed": (TWO, ONE, State.PARTIAL, NO, 0, State.FAILED),
    "partial to missing by retraction": (
        TWO, ONE, State.PARTIAL, _retract(0, "alice"), 0, State.MISSING),
    "partial by crosswalk to missing by the approver's lost key": (
        TWO, LENDING, State.PARTIAL, _lose_key("Bob"), 0, State.MISSING),
    "partial by crosswalk to missing by time alone": (
        TWO, LENDING, State.PARTIAL, _days_pass, 900, State.MISSING),
    "partial to stale by time alone": (TWO, ONE, State.PARTIAL, _days_pass, 900, State.STALE),
    "partial to unapproved by rejection": (
        TWO, ONE, State.PARTIAL, _vote(0, "rejected"), 0, State.UNAPPROVED),
    "partial to met": (TWO, ONE, State.PARTIAL, OTHER, 0, State.MET),
    "partial by crosswalk to met by its own": (
        TWO, LENDING, State.PARTIAL, _then(ONE, OTHER), 0, State.MET),
    "partial to waived": (TWO, ONE, State.PARTIAL, _waive(TWO), 0, State.WAIVED),
    "partial to not applicable": (TWO, ONE, State.PARTIAL, OUT_TWO, 0, State.NOT_APPLICABLE),
    # from met
    "met to failed by a newer eval": (EVAL, MET, State.MET, FAILING, 0, State.FAILED),
    "met to failed by what was trained on": (
        EVAL, MET, State.MET,
        _add("data-provenance", contents=[{"name": "x", "sha256": "c" * 64}]), 0, State.FAILED),
    "met to missing by retraction": (EVAL, MET, State.MET, _retract(0, "alice"), 0, State.MISSING),
    "met to missing by erasure": (EVAL, MET, State.MET, _erase(0), 0, State.MISSING),
    "met to missing by the author's lost key": (
        EVAL, MET, State.MET, _lose_key("Alice"), 0, State.MISSING),
    "met to missing for another model": (
        EVAL, MET, State.MET,
        _add("system", model={"name": "m", "sha256": "b" * 64}), 0, State.MISSING),
    "met by crosswalk to missing while its lender fails": (
        LENT, MET, State.MET, FAILING, 0, State.MISSING),
    "met by crosswalk to missing by time alone": (
        LENT, MET, State.MET, _days_pass, 900, State.MISSING),
    "met to stale by time alone": (EVAL, MET, State.MET, _days_pass, 900, State.STALE),
    "met to unapproved by rejection": (
        EVAL, MET, State.MET, _vote(0, "rejected"), 0, State.UNAPPROVED),
    "met to unapproved by the approval's retraction": (
        EVAL, MET, State.MET, _retract(1, "bob"), 0, State.UNAPPROVED),
    "met to unapproved by the approval's erasure": (
        EVAL, MET, State.MET, _erase(1), 0, State.UNAPPROVED),
    "met to unapproved by the approver's lost key": (
        EVAL, MET, State.MET, _lose_key("Bob"), 0, State.UNAPPROVED),
    "met to partial by retraction": (
        TWO, _then(ONE, OTHER), State.MET, _retract(1, "alice"), 0, State.PARTIAL),
    "met to waived": (EVAL, MET, State.MET, _waive(EVAL), 0, State.WAIVED),
    "met to not applicable": (EVAL, MET, State.MET, OUT, 0, State.NOT_APPLICABLE),
    # from failed
    "failed to missing by retraction": (
        EVAL, FAILED, State.FAILED, _retract(0, "alice"), 0, State.MISSING),
    "failed to stale by an eval of long ago in its place": (
        EVAL, FAILED, State.FAILED, _supersede(collected_age=900), 0, State.STALE),
    "failed to unapproved by a better eval": (
        EVAL, FAILED, State.FAILED, _supersede(), 0, State.UNAPPROVED),
    "failed to partial by retraction": (
        TWO, _then(ONE, NO), State.FAILED, _retract(1, "alice"), 0, State.PARTIAL),
    "failed to met by a better eval": (
        EVAL, FAILED, State.FAILED, _then(_supersede(), _vote(2, "approved")), 0, State.MET),
    "failed stays failed with time": (EVAL, FAILED, State.FAILED, _days_pass, 900, State.FAILED),
    "failed stays failed beside a better eval": (EVAL, FAILED, State.FAILED, MET, 0, State.FAILED),
    "failed to waived": (EVAL, FAILED, State.FAILED, _waive(EVAL), 0, State.WAIVED),
    "failed to waived by an accepted risk": (EVAL, FAILED, State.FAILED, ACCEPT, 0, State.WAIVED),
    "failed to not applicable": (EVAL, FAILED, State.FAILED, OUT, 0, State.NOT_APPLICABLE),
    # from waived: it holds on its last day, and the day after stands as if it had never been
    "waived on its last day": (EVAL, _waive(EVAL), State.WAIVED, _days_pass, 29, State.WAIVED),
    "waived to missing the day after": (
        EVAL, _waive(EVAL), State.WAIVED, _days_pass, 30, State.MISSING),
    "waived for today alone to missing": (
        EVAL, _waive(EVAL, "2026-06-01"), State.WAIVED, _days_pass, 1, State.MISSING),
    "waived to failed the day after": (
        EVAL, _then(FAILED, _waive(EVAL)), State.WAIVED, _days_pass, 30, State.FAILED),
    "risk accepted to failed the day after": (
        EVAL, _then(FAILED, ACCEPT), State.WAIVED, _days_pass, 30, State.FAILED),
    "waived to failed by retraction": (
        EVAL, _then(FAILED, _waive(EVAL)), State.WAIVED, _retract(2, "rita"), 0, State.FAILED),
    "waived to failed by rejection": (
        EVAL, _then(FAILED, _waive(EVAL)), State.WAIVED, _vote(2, "rejected"), 0, State.FAILED),
    "waived to failed by the approver's lost key": (
        EVAL, _then(FAILED, _waive(EVAL)), State.WAIVED, _lose_key("Rita"), 0, State.FAILED),
    "waived to stale the day after": (
        EVAL, _then(OLD, _waive(EVAL)), State.WAIVED, _days_pass, 30, State.STALE),
    "waived to unapproved the day after": (
        EVAL, _then(UNAPPROVED, _waive(EVAL)), State.WAIVED, _days_pass, 30, State.UNAPPROVED),
    "waived to partial the day after": (
        TWO, _then(ONE, _waive(TWO)), State.WAIVED, _days_pass, 30, State.PARTIAL),
    "waived to met the day after": (
        EVAL, _then(_waive(EVAL), MET), State.WAIVED, _days_pass, 30, State.MET),
    "waived to not applicable": (EVAL, _waive(EVAL), State.WAIVED, OUT, 0, State.NOT_APPLICABLE),
    # from not applicable
    "not applicable to missing by a newer word": (
        EVAL, OUT, State.NOT_APPLICABLE, IN, 0, State.MISSING),
    "not applicable to missing by retraction": (
        EVAL, OUT, State.NOT_APPLICABLE, _retract(0, "rita"), 0, State.MISSING),
    "not applicable to missing by the approver's lost key": (
        EVAL, OUT, State.NOT_APPLICABLE, _lose_key("Rita"), 0, State.MISSING),
    "not applicable to failed": (
        EVAL, _then(FAILED, OUT), State.NOT_APPLICABLE, IN, 0, State.FAILED),
    "not applicable to stale": (EVAL, _then(OLD, OUT), State.NOT_APPLICABLE, IN, 0, State.STALE),
    "not applicable to unapproved": (
        EVAL, _then(UNAPPROVED, OUT), State.NOT_APPLICABLE, IN, 0, State.UNAPPROVED),
    "not applicable to partial": (
        TWO, _then(ONE, OUT_TWO), State.NOT_APPLICABLE, IN_TWO, 0, State.PARTIAL),
    "not applicable to met": (EVAL, _then(MET, OUT), State.NOT_APPLICABLE, IN, 0, State.MET),
    "not applicable to waived": (
        EVAL, _then(_waive(EVAL), OUT), State.NOT_APPLICABLE, IN, 0, State.WAIVED),
    "not applicable stays with time": (
        EVAL, OUT, State.NOT_APPLICABLE, _days_pass, 900, State.NOT_APPLICABLE),
}  # fmt: skip
BY_RECORD = (State.WAIVED, State.NOT_APPLICABLE)


@pytest.mark.parametrize("name", TRANSITIONS)
def test_transitions(name: str, book: Any) -> None:
    """What happens moves the control from the one state to the other; what a signed record excuses
    keeps the state by its evidence underneath."""
    control, before, state, step, days, after = TRANSITIONS[name]

    def found(later: int) -> ControlResult:
        coverage = evaluate(
            book.records,
            load_catalogs(),
            load_profile("production"),
            book.system,
            book.now + timedelta(days=later),
            crosswalk=CROSSWALK,
        )
        return {item.id: item for item in coverage.controls}[control]

    before(book)
    assert found(0).state is state
    step(book)
    result = found(days)
    assert result.state is after
    assert (result.underlying is not None) == (after in BY_RECORD)
    if after in BY_RECORD and state not in BY_RECORD:
        assert result.underlying is state


def test_the_table_has_every_way_from_one_state_to_another() -> None:
    """All 56 of them."""
    moves = {(row[2], row[5]) for row in TRANSITIONS.values()}
    assert set(permutations(State, 2)) <= moves
