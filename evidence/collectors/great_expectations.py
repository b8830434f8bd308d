"""Great Expectations validation results as JSON (tried with 1.24.1).

An empty suite reports success; what counts is what was evaluated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from .document import Document
from .interface import Collected
from .values import (
    check,
    count,
    given,
    items,
    mapping,
    moment,
    named,
    number,
    run_status,
    source,
    stamp,
    text,
    version_note,
)

FORMAT = "great-expectations-validation"
_TOOL = "Great Expectations"
_BOUNDS = ("min_value", "max_value", "mostly")


def matches(document: Document) -> bool:
    """A validation result, told by the version in its ``meta``."""
    return document.has_keys("results", "statistics", "success", "meta") and document.holds(
        b'"great_expectations_version"'
    )


def collect(document: Document) -> Collected:
    """Draft an ``eval-result`` with one check per expectation; rows are not taken over."""
    result = document.root(_TOOL)
    meta = mapping(result["meta"])
    checks = [_check(mapping(entry)) for entry in items(result["results"])]
    stated = count(mapping(result["statistics"]).get("evaluated_expectations"))
    if stated is None or stated > len(checks):
        raise document.malformed(_TOOL, f"it counts {stated} expectations and lists {len(checks)}")
    outcomes = Counter(entry["outcome"] for entry in checks)
    evaluated = outcomes["pass"] + outcomes["fail"]
    version = text(meta.get("great_expectations_version"))
    notes = version_note(_TOOL, version, "1")
    run = mapping(meta.get("run_id")).get("run_time")
    ended = moment(meta.get("validation_time"), notes) or moment(run, notes)
    asset = mapping(meta.get("active_batch_definition")).get("data_asset_name")
    body = {
        **given(
            dataset=given(name=text(asset)) or None,
            suite=text(result.get("suite_name")) or text(meta.get("expectation_suite_name")),
        ),
        "status": run_status(complete=evaluated == len(checks), evaluated=evaluated),
        "evaluated": evaluated,
        "skipped": outcomes["not-run"],
        "metrics": [],
        "checks": checks,
        **given(runId=text(meta.get("validation_id")), endedAt=stamp(ended)),
    }
    return Collected(
        "eval-result",
        body,
        source(_TOOL, FORMAT, document.sha256, version=version, notes=notes),
        ended,
    )


def _check(entry: Mapping[str, Any]) -> dict[str, Any]:
    config = mapping(entry.get("expectation_config"))
    kwargs = mapping(config.get("kwargs"))
    kind = text(config.get("type")) or named(config.get("expectation_type"))
    column = text(kwargs.get("column"))
    bounds = [
        f"{key} {value}" for key in _BOUNDS if (value := number(kwargs.get(key))[0]) is not None
    ]
    outcome, message = _outcome(entry)
    return check(
        f"{kind}({column})" if column else kind,
        outcome,
        message=message,
        expected=", ".join(bounds) or None,
        observed=_observed(mapping(entry.get("result"))),
    )


def _outcome(entry: Mapping[str, Any]) -> tuple[str, str | None]:
    if _raised(mapping(entry.get("exception_info"))):
        return "error", "the expectation raised an exception"
    if count(mapping(entry.get("result")).get("element_count")) == 0:
        return "not-run", "there were no rows"
    if not isinstance(entry.get("success"), bool):
        return "error", "the result is neither success nor failure"
    return ("pass" if entry["success"] else "fail"), None


def _raised(info: Mapping[str, Any]) -> bool:
    """The exception stands here, or under the id of the metric that raised it."""
    nested = (mapping(value).get("raised_exception") for value in info.values())
    return info.get("raised_exception") is True or any(raised is True for raised in nested)


def _observed(result: Mapping[str, Any]) -> str | None:
    rows, unexpected = count(result.get("element_count")), count(result.get("unexpected_count"))
    if rows is not None and unexpected is not None:
        return f"{unexpected} of {rows} rows unexpected"
    figure, nonfinite = number(result.get("observed_value"))
    return nonfinite if figure is None else str(figure)
