"""Evidently reports as ``save_json`` writes them since 0.7 (tried with 0.7.23).

A small p-value means drift, so a test that asks a p-value to be *low* passes when there is drift.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from .document import Document, unsupported
from .interface import Collected
from .values import check, items, mapping, metric, named, number, run_status, source, text

FORMAT = "evidently-report-0.7"
_TOOL = "Evidently"
_OUTCOMES = {"SUCCESS": "pass", "FAIL": "fail", "WARNING": "fail", "SKIPPED": "skipped"}
_PARTS = ("count", "share", "mean", "std")
"""Parts of a figure in several parts that say nothing about single rows."""
_P_VALUE = "p_value"
_DISTANCES = ("distance", "divergence", "PSI")
_UPPER_BOUNDS = ("LessThanMetricTest", "LessOrEqualMetricTest")


def matches(document: Document) -> bool:
    """A report: metrics with typed configurations, and tests; or one of the legacy interface."""
    if document.has_keys("metrics", "tests"):
        return document.holds(b"evidently:metric_v2:")
    return document.fault is None and _is_legacy(document)


def _is_legacy(document: Document) -> bool:
    if not document.has_keys("version", "metrics", "timestamp"):
        return False
    metrics = [mapping(entry) for entry in items(document.object["metrics"])]
    return bool(metrics) and all(entry.keys() >= {"metric", "result"} for entry in metrics)


def collect(document: Document) -> Collected:
    """Draft a ``monitoring-report``; period and number of rows are not in the file."""
    if document.fault is None and _is_legacy(document):
        raise unsupported(
            document,
            "a report of Evidently's legacy interface",
            "a report of Evidently 0.7 or later",
            "metrics with result",
            "build the report with evidently.Report and save it with save_json",
        )
    report = document.root(_TOOL)
    entries = [mapping(entry) for entry in items(report["metrics"])]
    metrics = {text(entry.get("id")): entry for entry in entries}
    notes = ["the report has no version, time, period or number of rows"]
    figures = [figure for entry in entries for figure in _metrics(entry, notes)]
    checks = [_check(mapping(entry), metrics) for entry in items(report["tests"])]
    if not checks:
        notes.append("the report holds no tests: it shows figures and decides nothing")
    outcomes = Counter(entry["outcome"] for entry in checks)
    complete = not outcomes["error"] and not outcomes["skipped"]
    # NOTE: one figure with two tests stands twice in the file.
    unique = list({repr(figure): figure for figure in figures}.values())
    body = {
        "status": run_status(complete=complete, evaluated=None),
        "metrics": unique,
        "checks": checks,
    }
    return Collected(
        "monitoring-report", body, source(_TOOL, FORMAT, document.sha256, notes=notes), None
    )


def _kind(config: Mapping[str, Any]) -> str:
    """``evidently:metric_v2:ValueDrift`` is ``ValueDrift``."""
    return named(config.get("type")).rpartition(":")[2]


def _metrics(entry: Mapping[str, Any], notes: list[str]) -> Iterator[dict[str, Any]]:
    config = mapping(entry.get("config"))
    method, column = text(config.get("method")), text(config.get("column"))
    name = "/".join(filter(None, (_kind(config), method)))
    where = f"column={column}" if column else None
    value = entry.get("value")
    if isinstance(value, dict):
        # NOTE: other keys can be values of the column, so data about people.
        if value.keys() - set(_PARTS):
            notes.append(f"figures of {name} by label are left out")
        for part in _PARTS:
            if part in value:
                yield metric(f"{name}/{part}", value[part], slice=where)
        return
    threshold, direction = number(config.get("threshold"))[0], _direction(method)
    if threshold is not None and direction is None:
        notes.append(f"the threshold of {name} is left out: its good side is not known")
        threshold = None
    yield metric(name, value, slice=where, threshold=threshold, direction=direction)


def _direction(method: str | None) -> str | None:
    if method is None:
        return None
    if method.endswith(_P_VALUE):
        return "higher"
    return "lower" if any(word in method for word in _DISTANCES) else None


def _check(
    entry: Mapping[str, Any], metrics: Mapping[str | None, Mapping[str, Any]]
) -> dict[str, Any]:
    about = mapping(entry.get("metric_config"))
    config, params = mapping(entry.get("test_config")), mapping(about.get("params"))
    outcome, message = _OUTCOMES.get(str(entry.get("status")), "error"), None
    method = text(params.get("method")) or ""
    if method.endswith(_P_VALUE) and _kind(config) in _UPPER_BOUNDS:
        outcome, message = "error", "asks a p-value to be low, which is so when there is drift"
    limit = number(config.get("threshold"))[0]
    value = number(mapping(metrics.get(text(about.get("metric_id")))).get("value"))[0]
    return check(
        named(entry.get("name")),
        outcome,
        message=message,
        expected=None if limit is None else f"{_kind(config)} {limit}",
        observed=value,
    )
