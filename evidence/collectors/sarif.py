"""SARIF 2.1.0 logs of static analysis (OASIS; tried with ruff 0.17.5 and bandit 1.9.4).

Messages and snippets can hold source code and secrets: rule ids, levels and counts are taken over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from .document import Document, unsupported
from .interface import Collected
from .values import (
    check,
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
)

FORMAT = "sarif-2.1.0"
_TOOL = "a static analyser (SARIF)"
_LEVELS = ("error", "warning", "note", "none")
_DEFAULT_LEVEL = "warning"
"""SARIF 2.1.0 §3.27.10; what a rule's own configuration may say instead is not followed."""
_QUIET = ("pass", "notApplicable", "informational")
"""Kinds of result that are no finding (§3.27.9)."""


def matches(document: Document) -> bool:
    """A log: its version, and runs of a tool with a driver."""
    return document.has_keys("version", "runs") and document.holds(b'"tool"', b'"driver"')


def collect(document: Document) -> Collected:
    """Draft an ``eval-result`` with one failed check per rule that found something.

    No findings prove only that the tool ran: that is no passed check.
    """
    log = document.root(_TOOL)
    if log["version"] != "2.1.0":
        raise unsupported(
            document, "SARIF of another version", "2.1.0", str(text(log["version"])), "write 2.1.0"
        )
    runs = [mapping(run) for run in items(log["runs"])]
    drivers = [mapping(mapping(run.get("tool")).get("driver")) for run in runs]
    findings = [_finding(result) for run in runs for result in _results(document, run)]
    notes: list[str] = []
    evaluated = _files(runs, notes)
    broken = list(_broken(runs, notes))
    started, ended = _times(runs, notes)
    tool = text(", ".join(dict.fromkeys(named(driver.get("name")) for driver in drivers)))
    body = {
        **given(suite=tool),
        "status": "error" if broken else run_status(complete=True, evaluated=evaluated),
        **given(evaluated=evaluated),
        "metrics": list(_metrics(findings)),
        "checks": [*broken, *_checks(findings)],
        **given(startedAt=stamp(started), endedAt=stamp(ended)),
    }
    if not findings:
        notes.append("no findings: this proves only that the tool ran")
    version = text(drivers[0].get("version")) if len(drivers) == 1 else None
    return Collected(
        "eval-result",
        body,
        source(tool or "unknown", FORMAT, document.sha256, version=version, notes=notes),
        ended or started,
    )


def _results(document: Document, run: Mapping[str, Any]) -> list[Any]:
    results = run.get("results")
    if not isinstance(results, list):
        # NOTE: without results a tool says that it did not scan at all (§3.14.23).
        raise document.malformed(_TOOL, "a run has no list of results")
    return results


def _finding(result: Any) -> tuple[str, str] | None:
    """Rule and level; level ``suppressed`` where somebody waved it through; None for no finding."""
    entry = mapping(result)
    if entry.get("kind") in _QUIET:
        return None
    rule = text(entry.get("ruleId")) or named(mapping(entry.get("rule")).get("id"))
    if items(entry.get("suppressions")):
        return rule, "suppressed"
    level = entry.get("level", _DEFAULT_LEVEL)
    return rule, level if level in _LEVELS else _DEFAULT_LEVEL


def _checks(findings: list[tuple[str, str] | None]) -> Iterator[dict[str, Any]]:
    for rule in dict.fromkeys(found[0] for found in findings if found):
        levels = Counter(found[1] for found in findings if found and found[0] == rule)
        observed = ", ".join(f"{levels[level]} {level}" for level in levels)
        open_ones = levels.total() - levels["suppressed"]
        yield check(rule, "fail" if open_ones else "skipped", observed=observed)


def _metrics(findings: list[tuple[str, str] | None]) -> Iterator[dict[str, Any]]:
    levels = Counter(found[1] for found in findings if found)
    for level in (*_LEVELS, "suppressed"):
        yield metric(f"findings/{level}", levels[level], direction="lower")


def _files(runs: list[Mapping[str, Any]], notes: list[str]) -> int | None:
    """How many files were scanned, where every run says so."""
    total = 0
    for run in runs:
        table = mapping(mapping(run.get("properties")).get("metrics"))
        files = len(items(run.get("artifacts"))) or len(table.keys() - {"_totals"})
        if not files:
            notes.append("the log does not say how many files were scanned")
            return None
        total += files
    return total


def _invocations(runs: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [mapping(entry) for run in runs for entry in items(run.get("invocations"))]


def _broken(runs: list[Mapping[str, Any]], notes: list[str]) -> Iterator[dict[str, Any]]:
    invocations = _invocations(runs)
    if not invocations:
        notes.append("the log does not say whether the tool ran to its end")
    for invocation in invocations:
        alarms = map(mapping, items(invocation.get("toolExecutionNotifications")))
        alarmed = any(alarm.get("level") == "error" for alarm in alarms)
        if alarmed or invocation.get("executionSuccessful") is not True:
            yield check("execution", "error")


def _times(
    runs: list[Mapping[str, Any]], notes: list[str]
) -> tuple[datetime | None, datetime | None]:
    invocations = _invocations(runs)
    starts = [moment(entry.get("startTimeUtc"), notes) for entry in invocations]
    ends = [moment(entry.get("endTimeUtc"), notes) for entry in invocations]
    return (
        min((time for time in starts if time), default=None),
        max((time for time in ends if time), default=None),
    )
