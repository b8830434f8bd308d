"""promptfoo results as JSON, results version 3 (tried with 0.121.20).

Prompts, outputs, variables and the ``env`` block, which promptfoo exports in clear, stay out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from .document import Document, unsupported
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
    number,
    run_status,
    source,
    stamp,
    text,
    version_note,
)

FORMAT = "promptfoo-results-3"
_TOOL = "promptfoo"
_FAILED_ASSERTION = 1


def matches(document: Document) -> bool:
    """An exported evaluation: its id, results and configuration."""
    return document.has_keys("evalId", "results", "config")


def collect(document: Document) -> Collected:
    """Draft an ``eval-result`` with one check per test and prompt; none without assertions."""
    file = document.root(_TOOL)
    results = mapping(file["results"])
    if results.get("version") != 3:
        raise unsupported(
            document,
            "a promptfoo export of another version",
            "results version 3",
            f"version {text(str(results.get('version')))}",
            "export it with a current promptfoo: promptfoo export eval ID",
        )
    rows = [mapping(row) for row in items(results.get("results"))]
    _reconcile(document, mapping(results.get("stats")), len(rows))
    checks = [_check(row) for row in rows]
    outcomes = Counter(entry["outcome"] for entry in checks)
    evaluated = outcomes["pass"] + outcomes["fail"]
    meta = mapping(file.get("metadata"))
    version = text(meta.get("promptfooVersion"))
    notes = version_note(_TOOL, version, "0.121")
    when = moment(results.get("timestamp"), notes)
    body = {
        **given(model=_model(rows), suite=text(mapping(file["config"]).get("description"))),
        "status": run_status(complete=evaluated == len(rows), evaluated=evaluated),
        "evaluated": evaluated,
        "skipped": outcomes["not-run"],
        "metrics": list(_metrics(results)),
        "checks": checks,
        **given(runId=text(file["evalId"]), startedAt=stamp(when)),
    }
    return Collected(
        "eval-result",
        body,
        source(_TOOL, FORMAT, document.sha256, version=version, notes=notes),
        when,
    )


def _reconcile(document: Document, stats: Mapping[str, Any], listed: int) -> None:
    stated = sum(count(stats.get(key)) or 0 for key in ("successes", "failures", "errors"))
    if stated > listed:
        raise document.malformed(_TOOL, f"it counts {stated} results and lists {listed}")


def _model(rows: list[Mapping[str, Any]]) -> dict[str, str] | None:
    names = {_provider(row) for row in rows}
    name = names.pop() if len(names) == 1 else None
    return {"name": name} if name else None


def _provider(row: Mapping[str, Any]) -> str | None:
    provider = mapping(row.get("provider"))
    return text(provider.get("label")) or text(provider.get("id"))


def _check(row: Mapping[str, Any]) -> dict[str, Any]:
    case = mapping(row.get("testCase"))
    grading = mapping(row.get("gradingResult"))
    parts = [mapping(part) for part in items(grading.get("componentResults"))]
    held = sum(part.get("pass") is True for part in parts)
    label = text(case.get("description"), 100)
    name = f"test {count(row.get('testIdx'))}, prompt {count(row.get('promptIdx'))}"
    provider = _provider(row)
    return check(
        ", ".join(filter(None, (name, provider))) + (f": {label}" if label else ""),
        _outcome(row, case, parts, held),
        message=None if parts else "no assertions",
        observed=f"{held} of {len(parts)} assertions hold" if parts else None,
    )


def _outcome(
    row: Mapping[str, Any], case: Mapping[str, Any], parts: list[Mapping[str, Any]], held: int
) -> str:
    if row.get("failureReason", 0) not in (0, _FAILED_ASSERTION):
        return "error"
    if not parts:
        return "not-run" if row.get("success") is True else "error"
    # NOTE: only a threshold lets a test pass although an assertion does not hold.
    whole = held == len(parts) or number(case.get("threshold"))[0] is not None
    return "pass" if row.get("success") is True and whole else "fail"


def _metrics(results: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The mean of each named score, by prompt."""
    for index, prompt in enumerate(map(mapping, items(results.get("prompts")))):
        figures = mapping(prompt.get("metrics"))
        counts = mapping(figures.get("namedScoresCount"))
        for name, total in mapping(figures.get("namedScores")).items():
            cases, (sum_, nonfinite) = count(counts.get(name)), number(total)
            mean = sum_ / cases if sum_ is not None and cases else nonfinite
            yield metric(named(name), mean, slice=f"prompt={index}", n=cases)
