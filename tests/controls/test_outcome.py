"""Verdicts: what a record concludes by itself."""

from __future__ import annotations

from typing import Any

import pytest

from muniment.controls.outcome import outcome
from muniment.schemas.kinds import KindRegistry

PASSED = {"name": "latency", "outcome": "pass"}
METRIC = {"name": "auc", "value": 0.9, "threshold": 0.8, "direction": "higher"}
LOWER = {"name": "fpr", "value": 0.05, "threshold": 0.05, "direction": "lower"}
RISK = {
    "name": "wrong refusal",
    "likelihood": "medium",
    "impact": "high",
    "treatment": "reduce",
    "owner": "Pat",
    "residual": "high",
    "accepted": False,
}
TESTED = {"index": 3, "sha256": "c" * 64, "stratum": "policy", "outcome": "passed"}
NOT_TESTED = {**TESTED, "index": 4, "outcome": "not-tested", "note": "not to hand"}
WRONG = {**TESTED, "index": 5, "outcome": "exception", "note": "another file"}
TESTS = {
    "rule": "muniment-sample/v1",
    "checkpoint": {"size": 9, "root": "d" * 64},
    "by": "kind",
    "n": 2,
    "strata": [{"name": "policy", "population": 4, "drawn": 2}],
}


def _check(outcome: str, name: str = "c") -> dict[str, str]:
    return {"name": name, "outcome": outcome}


@pytest.mark.parametrize(
    ("kind", "fields", "word"),
    [
        ("eval-result", {"metrics": [METRIC, LOWER]}, "500 evaluated, 2 thresholds met"),
        ("eval-result", {"metrics": [], "checks": [PASSED]}, "1 checks passed"),
        ("eval-result", {"status": "ok"}, ""),
        ("eval-result", {"checks": [_check("skipped", "slow one")]}, "skipped: slow one"),
        ("eval-result", {"metrics": [METRIC, {"name": "f1", "value": None}]}, ""),
        ("monitoring-report", {}, "9000 looked at"),
        ("monitoring-report", {"metrics": [METRIC]}, ""),
        ("incident", {}, "contained"),
        ("incident", {"status": "open", "severity": "medium"}, "open"),
        ("change-record", {}, ""),
        ("change-record", {"checks": [PASSED]}, ""),
        ("supplier-assessment", {}, ""),
        ("impact-assessment", {"conclusion": "accepted-with-conditions"}, ""),
        ("risk-assessment", {}, ""),
        ("risk-assessment", {"risks": [{**RISK, "residual": "low"}]}, ""),
        ("decision", {}, ""),
        ("owner-assignment", {}, ""),
        ("training-record", {}, "1 completed"),
        ("policy", {}, "concludes nothing"),
        ("system", {}, ""),
        ("sample-test", TESTS | {"records": [TESTED, NOT_TESTED]}, "1 records tested"),
        ("sample-test", TESTS | {"records": [TESTED, NOT_TESTED]}, "not tested: 1"),
    ],
)
def test_holds(kind: str, fields: dict[str, Any], word: str, new_book: Any) -> None:
    """A record with a good conclusion, or none of its own, holds."""
    record = new_book().add(kind, **fields)
    assert KindRegistry().get(kind).problems(record.statement.body) == []
    verdict = outcome(record)
    assert verdict.holds
    assert word in verdict.text


@pytest.mark.parametrize(
    ("kind", "fields", "word"),
    [
        ("eval-result", {"evaluated": 0}, "nothing was evaluated"),
        ("eval-result", {"status": "error"}, "status error"),
        ("eval-result", {"status": "partial"}, "status partial"),
        ("eval-result", {"metrics": [], "checks": []}, "no metric has a threshold"),
        ("eval-result", {"metrics": [{"name": "auc", "value": 0.99}]}, "no metric has a threshold"),
        (
            "eval-result",
            {"metrics": [], "checks": [_check("skipped", "a"), _check("skipped", "b")]},
            "no check passed; skipped: a, b",
        ),
        ("eval-result", {"checks": [PASSED, _check("fail", "bias")]}, "fail: bias"),
        ("eval-result", {"checks": [PASSED, _check("error", "bias")]}, "error: bias"),
        ("eval-result", {"checks": [PASSED, _check("not-run", "bias")]}, "not-run: bias"),
        ("eval-result", {"metrics": [{**METRIC, "value": 0.79}]}, "auc is 0.79, below 0.8"),
        ("eval-result", {"metrics": [{**LOWER, "value": 0.06}]}, "fpr is 0.06, above 0.05"),
        (
            "eval-result",
            {"metrics": [METRIC, {**METRIC, "value": 0.5, "slice": "age<25"}]},
            "auc on age<25",
        ),
        (
            "eval-result",
            {"metrics": [{**METRIC, "value": None, "nonfinite": "NaN"}]},
            "could not be computed",
        ),
        (
            "eval-result",
            {"checks": [_check("fail", f"c{number}") for number in range(9)]},
            "c0, c1, c2, c3, c4 and 4 more",
        ),
        ("monitoring-report", {"evaluated": 0, "checks": []}, "nothing was evaluated"),
        ("monitoring-report", {"checks": [_check("fail", "drift")]}, "drift"),
        ("monitoring-report", {"checks": [_check("not-run", "drift")]}, "drift"),
        ("monitoring-report", {"metrics": [{**LOWER, "value": 1}]}, "fpr"),
        ("monitoring-report", {"status": "partial"}, "partial"),
        ("incident", {"status": "open", "severity": "critical"}, "open and critical"),
        ("change-record", {"checks": [_check("fail", "smoke")]}, "smoke"),
        ("supplier-assessment", {"conclusion": "rejected"}, "rejected"),
        ("impact-assessment", {"conclusion": "rejected"}, "rejected"),
        ("risk-assessment", {"conclusion": "rejected"}, "rejected"),
        ("risk-assessment", {"risks": [RISK]}, "wrong refusal"),
        ("training-record", {"attendees": [{"name": "Kim", "completed": False}]}, "nobody"),
        ("system", {"riskTier": "unacceptable"}, "unacceptable"),
        ("sample-test", TESTS | {"records": [TESTED, WRONG]}, "exceptions at #5"),
        ("sample-test", TESTS | {"records": [NOT_TESTED]}, "none of the records was tested"),
    ],
)
def test_does_not_hold(kind: str, fields: dict[str, Any], word: str, new_book: Any) -> None:
    """A record with a bad conclusion, or that looked at nothing, does not hold and says why."""
    record = new_book().add(kind, **fields)
    assert KindRegistry().get(kind).problems(record.statement.body) == []
    verdict = outcome(record)
    assert not verdict.holds
    assert word in verdict.text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_figure_that_is_no_number_never_holds(value: float, new_book: Any) -> None:
    """Strict JSON keeps NaN and Infinity out; were one to come in all the same, it is no pass."""
    for direction in ("higher", "lower"):
        metric = {**METRIC, "value": value, "direction": direction}
        assert not outcome(new_book().add("eval-result", metrics=[metric])).holds


def test_threshold_without_direction_does_not_hold(new_book: Any) -> None:
    """A limit that says not which way is better decides nothing."""
    metric = {"name": "auc", "value": 0.9, "threshold": 0.8}
    verdict = outcome(new_book().add("eval-result", metrics=[metric]))
    assert (verdict.holds, "which way" in verdict.text) == (False, True)


@pytest.mark.parametrize("kind", ["decision", "owner-assignment"])
def test_no_go(kind: str, new_book: Any) -> None:
    """A go-live verdict of no-go is heard wherever it may stand."""
    assert not outcome(new_book().add(kind, goLive={"verdict": "no-go"})).holds
    assert outcome(new_book().add(kind, goLive={"verdict": "go-with-conditions"})).holds


def test_approval_speaks_by_its_decision(book: Any) -> None:
    """A rejection says no where it is itself the evidence."""
    policy = book.add("policy")
    assert outcome(book.approve(policy)).holds
    assert not outcome(book.approve(policy, decision="rejected")).holds
