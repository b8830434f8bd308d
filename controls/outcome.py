"""What a record itself concludes: a kind's own verdict, read from its body.

A kind that concludes nothing, such as a policy, holds by existing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from muniment.schemas.record import Record
from muniment.schemas.text import figure

_SHOWN = 5
"""Faults named in one sentence; the rest are counted."""
_GRAVE_RESIDUAL = frozenset({"medium", "high", "very-high"})
_GRAVE_INCIDENT = frozenset({"high", "critical"})


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a record says yes, and what of it does not."""

    holds: bool
    text: str
    """What failed; for a record that holds, what it rests on."""


def outcome(record: Record) -> Verdict:
    """The record's own verdict; it never depends on time or on other records."""
    judge = _JUDGES.get(record.kind)
    if judge is None:
        return Verdict(True, "it concludes nothing by itself")
    return judge(record.statement.body)


def _eval_result(body: Mapping[str, Any]) -> Verdict:
    faults = _run_faults(body) + _measured_faults(body)
    decided = [metric for metric in body.get("metrics", ()) if "threshold" in metric]
    passed = _with_outcome(body, "pass")
    if not decided and not passed:
        faults.append("no metric has a threshold and no check passed")
    skipped = _with_outcome(body, "skipped")
    left_out = f"; skipped: {_listed(skipped)}" if skipped else ""
    return _verdict(
        faults,
        f"{body.get('evaluated')} evaluated, {len(decided)} thresholds met, "
        f"{len(passed)} checks passed",
        left_out,
    )


def _monitoring_report(body: Mapping[str, Any]) -> Verdict:
    faults = _run_faults(body) + _measured_faults(body)
    decided = [metric for metric in body.get("metrics", ()) if "threshold" in metric]
    if not decided and not _with_outcome(body, "pass"):
        faults.append("no metric has a threshold and no check passed")
    period = body.get("period", {})
    if str(period.get("end", "")) < str(period.get("start", "")):
        faults.append("its period ends before it begins")
    return _verdict(faults, f"{body.get('evaluated')} looked at, nothing failed")


def _change_record(body: Mapping[str, Any]) -> Verdict:
    return _verdict(_measured_faults(body), "no check of the change failed")


def _incident(body: Mapping[str, Any]) -> Verdict:
    open_and_grave = body.get("status") == "open" and body.get("severity") in _GRAVE_INCIDENT
    faults = [f"the incident is open and {body.get('severity')}"] if open_and_grave else []
    return _verdict(faults, f"the incident is {body.get('status')}")


def _assessment(body: Mapping[str, Any]) -> Verdict:
    faults = ["its conclusion is rejected"] if body.get("conclusion") == "rejected" else []
    return _verdict(faults, "nothing in it was rejected")


def _risk_assessment(body: Mapping[str, Any]) -> Verdict:
    faults = ["its conclusion is rejected"] if body.get("conclusion") == "rejected" else []
    grave = [
        str(risk.get("name"))
        for risk in body.get("risks", ())
        if risk.get("accepted") is not True and risk.get("residual") in _GRAVE_RESIDUAL
    ]
    if grave:
        faults.append(f"nobody accepted what is left of {_listed(grave)}")
    return _verdict(faults, "what is left of every risk is low or accepted")


def _approval(body: Mapping[str, Any]) -> Verdict:
    approved = body.get("decision") == "approved"
    return _verdict([] if approved else ["it rejects what it names"], "it approves what it names")


def _attestation(body: Mapping[str, Any]) -> Verdict:
    result = body.get("result", "nothing by itself")
    faults = ["it says failed"] if result == "failed" else []
    return _verdict(faults, f"it is signed by a third party and says {result}")


def _go_live(body: Mapping[str, Any]) -> Verdict:
    no_go = body.get("goLive", {}).get("verdict") == "no-go"
    return _verdict(["the verdict is no-go"] if no_go else [], "it does not say no-go")


def _sample_test(body: Mapping[str, Any]) -> Verdict:
    ended = [(f"#{item.get('index')}", item.get("outcome")) for item in body.get("records", ())]
    found = [place for place, outcome in ended if outcome == "exception"]
    passed = [place for place, outcome in ended if outcome == "passed"]
    faults = [f"exceptions at {_listed(found)}"] if found else []
    if not found and not passed:
        faults.append("none of the records was tested")
    untested = len(ended) - len(found) - len(passed)
    left_out = f"; not tested: {untested}" if untested else ""
    return _verdict(faults, f"{len(passed)} records tested without exception", left_out)


def _system(body: Mapping[str, Any]) -> Verdict:
    refused = body.get("riskTier") == "unacceptable"
    return _verdict(
        ["its risk tier is unacceptable"] if refused else [], "its risk tier is allowed"
    )


def _training_record(body: Mapping[str, Any]) -> Verdict:
    done = [person for person in body.get("attendees", ()) if person.get("completed") is True]
    faults = [] if done else ["nobody completed it"]
    return _verdict(faults, f"{len(done)} completed it")


_JUDGES: dict[str, Callable[[Mapping[str, Any]], Verdict]] = {
    "approval": _approval,
    "attestation": _attestation,
    "change-record": _change_record,
    "decision": _go_live,
    "eval-result": _eval_result,
    "impact-assessment": _assessment,
    "incident": _incident,
    "monitoring-report": _monitoring_report,
    "owner-assignment": _go_live,
    "risk-assessment": _risk_assessment,
    "sample-test": _sample_test,
    "supplier-assessment": _assessment,
    "system": _system,
    "training-record": _training_record,
}


def _run_faults(body: Mapping[str, Any]) -> list[str]:
    """Whether anything was looked at, and the run came to its end."""
    faults = []
    if not body.get("evaluated", 0) > 0:
        faults.append("nothing was evaluated")
    if body.get("status", "ok") != "ok":
        faults.append(f"the run ended with status {body['status']}")
    return faults


def _measured_faults(body: Mapping[str, Any]) -> list[str]:
    """Checks that did not pass and figures beyond their limits."""
    faults = []
    for ended in ("fail", "error", "not-run"):
        if names := _with_outcome(body, ended):
            faults.append(f"checks with outcome {ended}: {_listed(names)}")
    missed = [
        fault for metric in body.get("metrics", ()) if (fault := _metric_fault(metric)) is not None
    ]
    return faults + ([f"figures beyond their limit: {_listed(missed)}"] if missed else [])


def _metric_fault(metric: Mapping[str, Any]) -> str | None:
    """Why a figure misses its threshold; None if it meets it or has none."""
    if "threshold" not in metric:
        return None
    value, limit, direction = metric.get("value"), metric["threshold"], metric.get("direction")
    where = f" on {metric['slice']}" if "slice" in metric else ""
    name = f"{metric.get('name')}{where}"
    if value is None or not math.isfinite(value):
        return f"{name} could not be computed"
    if direction == "higher":
        return None if value >= limit else f"{name} is {figure(value, limit)}, below {limit}"
    if direction == "lower":
        return None if value <= limit else f"{name} is {figure(value, limit)}, above {limit}"
    return f"{name} does not say which way is better"


def _with_outcome(body: Mapping[str, Any], ended: str) -> list[str]:
    checks = body.get("checks", ())
    return [str(check.get("name")) for check in checks if check.get("outcome") == ended]


def _verdict(faults: list[str], otherwise: str, addition: str = "") -> Verdict:
    return Verdict(not faults, ("; ".join(faults) or otherwise) + addition)


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
