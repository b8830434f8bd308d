"""lm-evaluation-harness ``results_*.json`` (tried with 0.4.13)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .document import Document
from .interface import Collected
from .values import (
    count,
    epoch,
    given,
    mapping,
    metric,
    named,
    run_status,
    source,
    spread,
    stamp,
    text,
    version_note,
)

FORMAT = "lm-eval-results"
_TOOL = "lm-evaluation-harness"
_TESTED = "0.4"
_DIRECTIONS = {"True": "higher", "False": "lower"}


def matches(document: Document) -> bool:
    """A results file, told by the three tables every one has."""
    return document.has_keys("results", "versions", "configs") and document.holds(b'"n-shot"')


def collect(document: Document) -> Collected:
    """Draft an ``eval-result``: every task's metrics, each with the number of cases it rests on."""
    file = document.root(_TOOL)
    results = mapping(file["results"])
    if not results:
        raise document.malformed(_TOOL, "it has no results")
    sizes = _sizes(file, results)
    short = [task for task, (done, planned) in sizes.items() if done < planned]
    evaluated = sum(done for done, _ in sizes.values())
    version = text(file.get("lm_eval_version"))
    started = epoch(file.get("date"))
    body = {
        **_identity(file, results, sizes),
        "status": run_status(complete=bool(sizes) and not short, evaluated=evaluated),
        "evaluated": evaluated,
        "skipped": sum(planned - done for done, planned in sizes.values()),
        "metrics": [entry for task in results for entry in _metrics(file, task, sizes)],
        "checks": [],
        **given(startedAt=stamp(started)),
    }
    notes = version_note(_TOOL, version, _TESTED) + _notes(file, short, sizes)
    return Collected(
        "eval-result",
        body,
        source(_TOOL, FORMAT, document.sha256, version=version, notes=notes),
        started,
    )


def _sizes(file: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """For each task: cases evaluated, and cases there are."""
    table = mapping(file.get("n-samples"))
    sizes: dict[str, tuple[int, int]] = {}
    for task, entry in table.items():
        done, planned = (
            count(mapping(entry).get("effective")),
            count(mapping(entry).get("original")),
        )
        if done is not None and planned is not None and task in results:
            sizes[task] = (min(done, planned), planned)
    return sizes


def _identity(
    file: Mapping[str, Any], results: Mapping[str, Any], sizes: Mapping[str, tuple[int, int]]
) -> dict[str, Any]:
    task = next(iter(results)) if len(results) == 1 else None
    rows = sizes[task][1] if task is not None and task in sizes else None
    dataset = given(name=text(task), rows=rows)
    return given(
        model=given(name=text(file.get("model_name"))) or None,
        dataset=dataset or None,
        suite=text(", ".join(results)),
    )


def _metrics(
    file: Mapping[str, Any], task: str, sizes: Mapping[str, tuple[int, int]]
) -> Iterator[dict[str, Any]]:
    """Metrics stand under ``name,filter``, their errors under ``name_stderr,filter``."""
    entry = mapping(mapping(file["results"])[task])
    better = mapping(mapping(file.get("higher_is_better")).get(task))
    alone = len(mapping(file["results"])) == 1
    for key, value in entry.items():
        name, comma, chosen = key.partition(",")
        if not comma or name.endswith("_stderr"):
            continue
        yield metric(
            named(name if chosen == "none" else key),
            value,
            slice=None if alone else f"task={named(task)}",
            n=sizes[task][0] if task in sizes else None,
            stderr=spread(entry.get(f"{name}_stderr,{chosen}")),
            direction=_DIRECTIONS.get(str(better.get(name))),
        )


def _notes(
    file: Mapping[str, Any], short: list[str], sizes: Mapping[str, tuple[int, int]]
) -> list[str]:
    notes = []
    for task in short:
        done, planned = sizes[task]
        notes.append(f"a limited run: {done} of {planned} cases of {named(task)}")
    if not mapping(file.get("task_hashes")):
        notes.append("no task hashes: the file does not bind the cases (written without samples)")
    return notes
