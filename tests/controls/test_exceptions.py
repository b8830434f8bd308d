"""Waivers and decisions on applicability: by signed record only, and never met."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from muniment.controls.coverage import ControlResult, State
from muniment.controls.exceptions import refusal
from muniment.controls.gate import decide
from muniment.controls.profile import load_profile

OWNER = "nist-ai-rmf-1.0:GOVERN 1.6"
EVAL = "nist-ai-rmf-1.0:MEASURE 2.5"
GATED = "readiness-gate:RG-10"


def _codes(result: ControlResult) -> set[str]:
    return {reason.code for reason in result.reasons}


def _left_out(book: Any) -> set[str]:
    return {reason.code for reason in book.coverage().left_out}


def _unmet(book: Any, state: State) -> None:
    """Fill the book so that ``EVAL`` has ``state``."""
    if state is State.FAILED:
        book.add("eval-result", EVAL, evaluated=0)
    elif state is State.UNAPPROVED:
        book.add("eval-result", EVAL)
    elif state is State.STALE:
        book.add("eval-result", EVAL, age=900)
    elif state is State.MET:
        book.approve(book.add("eval-result", EVAL))


@pytest.mark.parametrize(
    "state", [State.FAILED, State.MISSING, State.UNAPPROVED, State.STALE, State.MET]
)
def test_a_waived_control_is_waived_whatever_the_evidence(state: State, book: Any) -> None:
    """Whatever its state, it shows as waived, never as met, and keeps the state in its reasons."""
    _unmet(book, state)
    before = book.result(EVAL)
    assert before.state is state
    waiver = book.waive(EVAL)
    result = book.result(EVAL)
    assert result.state is State.WAIVED
    assert result.underlying is state
    assert result.reasons[0].code == "control.waived"
    assert result.reasons[0].records == (waiver.ref,)
    assert str(state) in result.reasons[1].text
    assert set(before.reasons) <= set(result.reasons)
    assert result.to_json()["underlying"] == str(state)
    assert result.fresh_until == datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_a_risk_acceptance_says_what_is_left(book: Any) -> None:
    """The accepted risk is in the reason."""
    book.waive(EVAL, type="risk-acceptance", residualRisk="seen late")
    reason = book.result(EVAL).reasons[0]
    assert reason.code == "control.risk-accepted"
    assert "what is left: seen late" in reason.text


@pytest.mark.parametrize(
    ("moment", "state"),
    [
        (datetime(2026, 6, 10, 23, 59, 59, tzinfo=UTC), State.WAIVED),
        (datetime(2026, 6, 11, tzinfo=UTC), State.FAILED),
        (datetime(2026, 5, 31, 11, tzinfo=UTC), State.FAILED),
    ],
)
def test_a_waiver_ends_with_its_last_day(moment: datetime, state: State, book: Any) -> None:
    """On the next day the control stands by its evidence again; before it was signed as well."""
    book.add("eval-result", EVAL, evaluated=0, age=30)
    book.waive(EVAL, until="2026-06-10")
    result = book.result(EVAL, as_of=moment)
    assert result.state is state
    assert ("waiver.expired" in _codes(result)) == (moment > book.now and state is State.FAILED)


def test_the_waiver_that_lasts_longest_stands(book: Any) -> None:
    """A shorter waiver takes nothing from a longer one."""
    longer = book.waive(EVAL, until="2027-01-31")
    book.waive(EVAL, until="2026-07-01", signer="lena")
    assert book.result(EVAL).reasons[0].records == (longer.ref,)


@pytest.mark.parametrize(
    ("signer", "more", "code"),
    [
        ("alice", {}, "waiver.not-entitled"),
        ("bob", {}, "waiver.not-entitled"),
        ("sam", {}, "waiver.not-entitled"),
        ("rita", {"until": "2027-06-02"}, "waiver.too-long"),
    ],
)
def test_waivers_that_count_for_nothing(
    signer: str, more: dict[str, Any], code: str, book: Any
) -> None:
    """An approver for risk, legal or the executive owner waives, for a year at most."""
    book.waive(EVAL, signer=signer, **more)
    assert book.result(EVAL).state is State.MISSING
    assert code in _left_out(book)


def test_a_machine_waives_nothing(book: Any) -> None:
    """A machine with the role and the function is refused like anybody else without them."""
    assert refusal(book.signers["rita"]) is None
    machine = replace(book.signers["rita"], type="machine")
    assert refusal(machine) == "Rita is a machine"


@pytest.mark.parametrize("kind", ["waiver", "applicability"])
def test_nobody_excuses_their_own_evidence(kind: str, book: Any) -> None:
    """Who signed evidence for a control neither waives it nor rules it out; another may."""
    book.add("eval-result", EVAL, evaluated=0, signer="rita")

    def sign(signer: str) -> None:
        if kind == "waiver":
            book.waive(EVAL, signer=signer)
        else:
            book.decide(EVAL, False, signer=signer)

    sign("rita")
    result = book.result(EVAL)
    assert result.state is State.FAILED
    assert f"{kind}.same-person" in _codes(result)
    sign("lena")
    assert book.result(EVAL).state in (State.WAIVED, State.NOT_APPLICABLE)


@pytest.mark.parametrize("kind", ["waiver", "applicability"])
def test_what_is_taken_back_falls_away(kind: str, book: Any) -> None:
    """Retracted, rejected or signed by a stolen key: the control stands by its evidence."""
    record = book.waive(EVAL) if kind == "waiver" else book.decide(EVAL, False)
    assert not book.result(EVAL).state.is_gap
    named = [record.ref.to_json()]
    rejection = book.approve(record, decision="rejected")
    assert book.result(EVAL).state is State.MISSING
    assert f"{kind}.rejected" in _left_out(book)
    book.records.remove(rejection)
    retraction = book.add("retraction", signer="rita", records=named, reason="no more")
    assert book.result(EVAL).state is State.MISSING
    book.records.remove(retraction)
    book.records[0] = replace(record, distrusted="its key was stolen")
    assert book.result(EVAL).state is State.MISSING
    assert "record.distrusted" in _left_out(book)


def test_not_applicable_by_signature_only(book: Any) -> None:
    """A signed decision rules a control out, and goes before a waiver; the newest one stands."""
    book.waive(EVAL)
    decision = book.decide(EVAL, False)
    result = book.result(EVAL)
    assert result.state is State.NOT_APPLICABLE
    assert result.underlying is State.MISSING
    assert result.applicability is not None
    assert result.applicability.record == decision.ref
    assert (result.unblock, result.command, result.fresh_until) == (None, None, None)
    book.decide(EVAL, True, signer="lena")
    result = book.result(EVAL)
    assert result.state is State.WAIVED
    assert result.applicability is not None
    assert result.applicability.by == "Lena"


def test_a_record_that_says_both_rules_nothing_out(book: Any) -> None:
    """Where one record says of a control that it applies and that it does not, it applies."""
    record = book.decide(EVAL, True)
    body = record.statement.body
    items = [*body["controls"], {**body["controls"][0], "applicable": False}]
    statement = replace(record.statement, body={**body, "controls": items})
    book.records[0] = replace(record, statement=statement)
    assert book.result(EVAL).state is State.MISSING


def test_a_waiver_of_nothing_here_is_said(book: Any) -> None:
    """Exceptions for controls of other catalogs are listed as unused."""
    book.waive("elsewhere:X 1")
    book.decide("elsewhere:X 1", False)
    reasons = [item for item in book.coverage().left_out if item.code == "record.unused"]
    assert len(reasons) == 2


def test_a_decision_that_a_control_applies_is_no_record_unused(book: Any) -> None:
    """It stands at its control, so it is not listed among what speaks of none; one that was
    overruled by a newer one is."""
    book.decide(EVAL, True)
    codes = [item.code for item in book.coverage().left_out]
    assert "record.unused" not in codes
    newer = book.decide(EVAL, True, signer="lena")
    (said,) = (item for item in book.coverage().left_out if item.code == "record.unused")
    assert said.records == (book.records[0].ref,) != (newer.ref,)


def test_an_exception_carries_no_control(book: Any) -> None:
    """A waiver that claims a control in its statement is no evidence for it."""
    book.add(
        "waiver", OWNER, signer="rita", type="waiver", controls_=[EVAL], until="2026-12-31",
        reason="later", measure="by hand",
    )  # fmt: skip
    assert book.result(OWNER).state is State.MISSING
    assert not book.result(OWNER).reasons[0].records


def test_a_waived_control_lends_what_its_evidence_carries(book: Any) -> None:
    """A waiver moves no other control."""
    book.add("eval-result", EVAL, evaluated=0)
    before = {item.id: item.state for item in book.coverage().controls}
    book.waive(EVAL)
    after = {item.id: item.state for item in book.coverage().controls}
    assert {name for name in before if before[name] is not after[name]} == {EVAL}


def test_the_gate_lists_exceptions_apart(book: Any) -> None:
    """A waived control neither blocks nor counts as met."""
    book.add("system")
    profile = load_profile("production")
    wanted = next(
        item.id for item in decide(book.coverage(), profile).blocking if item.id.startswith("read")
    )
    book.waive(wanted)
    decision = decide(book.coverage(), profile)
    assert wanted not in {item.id for item in (*decision.blocking, *decision.met)}
    assert [item.id for item in decision.excepted] == [wanted]
    assert not decision.passed


def test_the_order_of_records_does_not_matter(book: Any) -> None:
    """Exceptions are judged by their places in the ledger."""
    book.add("eval-result", EVAL, signer="rita")
    book.waive(EVAL)
    book.waive(EVAL, signer="lena", until="2026-08-01")
    book.decide(OWNER, False)
    book.decide(OWNER, True, signer="lena")
    forward = book.coverage()
    assert book.coverage(records=book.records[::-1]) == forward


def test_later_evidence_of_the_signer_takes_nothing(book: Any) -> None:
    """Only what was there when it was signed makes a waiver one's own."""
    book.waive(EVAL)
    book.add("eval-result", EVAL, signer="rita")
    assert book.result(EVAL).state is State.WAIVED
    assert book.now - timedelta(days=1) == book.records[0].recorded_at
