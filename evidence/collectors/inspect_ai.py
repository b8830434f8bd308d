"""Inspect AI eval logs in JSON, log format 2 (``inspect log schema``, tried with 0.3.285)."""

from __future__ import annotations

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
    source,
    spread,
    stamp,
    text,
    version_note,
)

FORMAT = "inspect-eval-log-2"
_TOOL = "Inspect AI"
_STATES = {"success": "ok", "error": "error", "cancelled": "partial", "started": "partial"}
_AVERAGES = ("accuracy", "mean")


def matches(document: Document) -> bool:
    """An eval log in JSON, or the zip archive ``.eval``."""
    if document.data[:4] == b"PK\x03\x04":
        # NOTE: local file headers carry member names in clear, whatever the compression.
        return document.holds(b"_journal/start.json")
    return document.has_keys("eval", "status", "version") and document.holds(b'"eval_id"')


def collect(document: Document) -> Collected:
    """Draft an ``eval-result``; a run that failed or was invalidated has an errored check."""
    if document.data[:2] == b"PK":
        raise unsupported(
            document,
            "an Inspect AI archive compressed with zstd",
            "an eval log in JSON",
            ".eval archive (zip method 93)",
            "write it as JSON: inspect log dump --header-only LOG.eval > LOG.json",
        )
    log = document.root(_TOOL)
    if log["version"] != 2:
        raise unsupported(
            document,
            "an Inspect AI log of another format version",
            "version 2",
            f"version {text(str(log['version']))}",
            "convert it: inspect log convert",
        )
    run, notes = mapping(log["eval"]), list[str]()
    stats = mapping(log.get("stats"))
    started, ended = (moment(stats.get(key), notes) for key in ("started_at", "completed_at"))
    version = text(mapping(run.get("packages")).get("inspect_ai"))
    notes += version_note(_TOOL, version, "0.3")
    body = {
        **_identity(run),
        **_results(document, log, notes),
        **given(
            runId=text(run.get("run_id")),
            startedAt=stamp(started),
            endedAt=stamp(ended),
        ),
    }
    return Collected(
        "eval-result",
        body,
        source(_TOOL, FORMAT, document.sha256, version=version, notes=notes),
        ended or started or moment(run.get("created"), notes),
    )


def _identity(run: Mapping[str, Any]) -> dict[str, Any]:
    dataset = mapping(run.get("dataset"))
    return given(
        model=given(name=text(run.get("model"))) or None,
        dataset=given(name=text(dataset.get("name")), rows=count(dataset.get("samples"))) or None,
        suite=text(run.get("task")),
    )


def _results(document: Document, log: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """Status, counts and metrics, and an errored check for a run that did not end well."""
    status = _STATES.get(str(log["status"]))
    if status is None:
        raise document.malformed(_TOOL, "its status is none that is known")
    if log.get("invalidated") is True:
        status = "error"
        notes.append("the log is marked as invalidated")
    results = mapping(log.get("results"))
    scores = [mapping(score) for score in items(results.get("scores"))]
    if status == "ok" and not scores:
        raise document.malformed(_TOOL, "it reports success and has no scores")
    evaluated, skipped = _counts(log, results, scores)
    if status == "ok" and (skipped or not evaluated):
        status = "partial"
    whole = log["status"] == "success" and status != "error"
    return {
        "status": status,
        "evaluated": evaluated,
        "skipped": skipped,
        "metrics": [entry for score in scores for entry in _metrics(score)],
        # NOTE: a run that ended well has decided nothing yet, so it is not a passed check.
        "checks": [] if whole else [check("run completed", "error", observed=str(log["status"]))],
    }


def _counts(
    log: Mapping[str, Any], results: Mapping[str, Any], scores: list[Mapping[str, Any]]
) -> tuple[int, int]:
    """Cases that every scorer scored, and cases that at least one did not.

    ``total_samples`` and ``completed_samples`` count every epoch; ``scored_samples`` does not.
    """
    run = mapping(log["eval"])
    epochs = count(mapping(run.get("config")).get("epochs")) or 1
    planned = (count(results.get("total_samples")) or 0) // epochs
    completed = (count(results.get("completed_samples")) or 0) // epochs
    scored = [count(score["scored_samples"]) or 0 for score in scores if "scored_samples" in score]
    evaluated = min([completed, *scored]) if scores else 0
    if not results:
        planned = count(mapping(run.get("dataset")).get("samples")) or 0
    return evaluated, max(planned - evaluated, 0)


def _metrics(score: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The scorer's metrics; ``stderr`` goes with the average it belongs to."""
    metrics = mapping(score.get("metrics"))
    reducer = text(score.get("reducer"))
    scorer = "/".join(filter(None, (named(score.get("name")), reducer)))
    average = next((key for key in _AVERAGES if key in metrics), None)
    for key, value in metrics.items():
        entry = mapping(value)
        if key == "stderr" and average is not None:
            continue
        if entry.get("group") is not None:
            yield _grouped(scorer, key, entry)
            continue
        error = mapping(metrics.get("stderr")).get("value") if key == average else None
        yield metric(
            f"{scorer}/{named(key)}",
            entry.get("value"),
            n=count(score.get("scored_samples")),
            stderr=spread(error),
        )


def _grouped(scorer: str, key: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """A metric over one group of the cases, or over ``all`` of them."""
    params = mapping(entry.get("params"))
    name = text(mapping(params.get("metric")).get("name")) or named(entry.get("group"))
    by = text(params.get("group_key"), 190) or "group"
    group = None if key == "all" else f"{by}={named(key)}"
    return metric(f"{scorer}/{name}", entry.get("value"), slice=group)
