"""garak's ``report.jsonl`` (tried with 0.17.1): a scan of a language model for weaknesses.

The report holds attack texts and answers; counts per probe and detector are all that is taken over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .document import Document, parse, unsupported
from .interface import Collected
from .values import (
    check,
    count,
    given,
    items,
    mapping,
    metric,
    moment,
    named,
    run_status,
    source,
    stamp,
    text,
    version_note,
)

FORMAT = "garak-report"
_TOOL = "garak"
_HEAD = re.compile(rb'\s*\{"entry_type":\s*"(start_run setup|init)"')
_DONE = 2
"""Status of an attempt's second row, written when it was judged."""


def matches(document: Document) -> bool:
    """Lines of JSON of which the first is the set-up of a run."""
    return _HEAD.match(document.data[:200]) is not None


def collect(document: Document) -> Collected:
    """Draft an ``eval-result`` with one check per probe and detector.

    A model that answers nothing passes every probe in garak; here such a probe is an error.
    """
    rows = _rows(document)
    init, end = _first(rows, "init"), _first(rows, "completion")
    judged = [row for row in rows if row.get("entry_type") == "eval"]
    _require_counts(document, judged)
    empty = _empty_probes(rows)
    version = text(init.get("garak_version"))
    notes = version_note(_TOOL, version, "0.17")
    notes.append("the report does not say above which score an answer counts as a failure")
    started, ended = moment(init.get("start_time"), notes), moment(end.get("end_time"), notes)
    cut = [] if end else [check("run completed", "error", message="the report has no last row")]
    checks = [*cut, *(_check(row, empty) for row in judged)]
    evaluated = _evaluated(judged, empty)
    body = {
        **given(model=_model(_first(rows, "start_run setup"))),
        "suite": _TOOL,
        "status": run_status(
            complete=all(entry["outcome"] in ("pass", "fail") for entry in checks),
            evaluated=evaluated,
        ),
        "evaluated": evaluated,
        "metrics": [_metric(row) for row in judged if row["probe"] not in empty],
        "checks": checks,
        **given(runId=text(init.get("run")), startedAt=stamp(started), endedAt=stamp(ended)),
    }
    return Collected(
        "eval-result",
        body,
        source(_TOOL, FORMAT, document.sha256, version=version, notes=notes),
        ended or started,
    )


def _rows(document: Document) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = []
    for line in document.data.splitlines():
        if line.strip():
            value, fault = parse(line)
            if fault is not None or not isinstance(value, dict):
                raise document.malformed(_TOOL, f"row {len(rows) + 1} is not a whole JSON object")
            rows.append(value)
    return rows


def _first(rows: list[Mapping[str, Any]], kind: str) -> Mapping[str, Any]:
    return next((row for row in rows if row.get("entry_type") == kind), {})


def _require_counts(document: Document, judged: list[Mapping[str, Any]]) -> None:
    for row in judged:
        if "total_evaluated" not in row or "fails" not in row:
            raise unsupported(
                document,
                "a garak report of another version",
                "eval rows with passed, fails, nones and total_evaluated",
                "eval rows without them",
                "scan with garak 0.17",
            )
        if not isinstance(row.get("probe"), str) or _counts(row) is None:
            raise document.malformed(
                _TOOL, "an eval row has no probe, or counts that do not add up"
            )


def _counts(row: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """Passed, failed and undecided answers; None if they do not add up to their total."""
    passed, fails, nones = (count(row.get(key)) for key in ("passed", "fails", "nones"))
    if passed is None or fails is None or nones is None:
        return None
    return (passed, fails, nones) if passed + fails == count(row["total_evaluated"]) else None


def _empty_probes(rows: list[Mapping[str, Any]]) -> set[str]:
    """Probes to which the model never answered with any text."""
    answered: dict[str, bool] = {}
    for row in rows:
        if row.get("entry_type") == "attempt" and row.get("status") == _DONE:
            probe = str(row.get("probe_classname"))
            answered[probe] = answered.get(probe, False) or any(
                map(_says, items(row.get("outputs")))
            )
    return {probe for probe, any_text in answered.items() if not any_text}


def _says(output: Any) -> bool:
    answer = mapping(output).get("text", output)
    return isinstance(answer, str) and bool(answer.strip())


def _check(row: Mapping[str, Any], empty: set[str]) -> dict[str, Any]:
    passed, fails, nones = _counts(row) or (0, 0, 0)
    outcome, message = "pass", None
    if fails:
        outcome = "fail"
    elif row["probe"] in empty:
        outcome, message = "error", "every answer was empty: nothing was tested"
    elif nones:
        outcome, message = "error", "not every answer could be judged"
    elif not passed:
        outcome, message = "not-run", "no answer was judged"
    return check(
        _name(row),
        outcome,
        message=message,
        observed=f"{passed} passed, {fails} failed, {nones} undecided",
    )


def _name(row: Mapping[str, Any]) -> str:
    return f"{named(row['probe'])}/{named(row.get('detector'))}"


def _metric(row: Mapping[str, Any]) -> dict[str, Any]:
    passed, fails, _ = _counts(row) or (0, 0, 0)
    total = passed + fails
    return metric(_name(row), passed / total if total else None, n=total, direction="higher")


def _evaluated(judged: list[Mapping[str, Any]], empty: set[str]) -> int:
    """Answers judged; those of one probe are counted once, however many detectors judged them."""
    most: dict[str, int] = {}
    for row in judged:
        if row["probe"] not in empty:
            total = count(row["total_evaluated"]) or 0
            most[row["probe"]] = max(most.get(row["probe"], 0), total)
    return sum(most.values())


def _model(setup: Mapping[str, Any]) -> dict[str, str] | None:
    keys = ("plugins.target_name", "plugins.target_type", "plugins.model_name")
    name = next((found for key in keys if (found := text(setup.get(key)))), None)
    return {"name": name} if name else None
