"""MLflow runs as JSON: ``Run.to_dictionary()`` or the REST ``runs/get`` (tried with 3.17.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .document import Document, parse
from .interface import Collected
from .values import count, epoch, given, items, mapping, metric, named, number, source, stamp, text

FORMAT = "mlflow-run"
_TOOL = "MLflow"
_STATES = {"FINISHED": "ok", "FAILED": "error", "KILLED": "error"}
_CASES = "example_count"


def matches(document: Document) -> bool:
    """A run: ``info`` with a run id, and ``data``; bare or within ``run``."""
    if not document.is_braced or not document.holds(b'"info"', b'"data"', b'"run_id"'):
        return False
    if document.fault is not None:
        return document.holds(b'"lifecycle_stage"')
    run = _run(document.object)
    return "run_id" in mapping(run.get("info")) and isinstance(run.get("data"), dict)


def collect(document: Document) -> Collected:
    """Draft an ``eval-result``; MLflow stores no thresholds, so there is no check to take over."""
    run = _run(document.root(_TOOL))
    info = mapping(run["info"])
    metrics = _metrics(document, mapping(run["data"]))
    notes = ["MLflow stores no thresholds: a finished run is not a passed one"]
    started, ended = (_moment(info.get(key)) for key in ("start_time", "end_time"))
    body = {
        **_identity(run, notes),
        **given(evaluated=_evaluated(metrics, notes)),
        "status": _status(info, notes),
        "metrics": metrics,
        "checks": [],
        **given(runId=text(info.get("run_id")), startedAt=stamp(started), endedAt=stamp(ended)),
    }
    return Collected(
        "eval-result",
        body,
        source(_TOOL, FORMAT, document.sha256, notes=notes),
        ended or started,
    )


def _run(file: Mapping[str, Any]) -> Mapping[str, Any]:
    return mapping(file["run"]) if "run" in file else file


def _moment(milliseconds: Any) -> Any:
    figure, _ = number(milliseconds)
    return None if figure is None else epoch(figure / 1000)


def _status(info: Mapping[str, Any], notes: list[str]) -> str:
    if info.get("lifecycle_stage") == "deleted":
        notes.append("the run is deleted in MLflow")
        return "error"
    # NOTE: a run that is still going, or in a state nobody knows, is not a whole one.
    return _STATES.get(str(info.get("status")), "partial")


def _metrics(document: Document, data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The client writes a mapping, REST a list of entries."""
    table = data.get("metrics")
    if isinstance(table, dict):
        return [metric(named(name), value) for name, value in table.items()]
    found = []
    for entry in map(mapping, items(table)):
        name = text(entry.get("key"))
        if name is None:
            raise document.malformed(_TOOL, "a metric has no name")
        found.append(metric(name, entry.get("value")))
    return found


def _evaluated(metrics: list[dict[str, Any]], notes: list[str]) -> int | None:
    cases = [count(entry["value"]) for entry in metrics if entry["name"] == _CASES]
    if len(cases) == 1 and cases[0] is not None:
        return cases[0]
    notes.append(f"the run does not say how many cases it evaluated (no {_CASES})")
    return None


def _identity(run: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """The logged model, and the data the run was tested on, where there is exactly one of each."""
    models = {
        name
        for side, key in (("outputs", "model_outputs"), ("inputs", "model_inputs"))
        for entry in items(mapping(run.get(side)).get(key))
        if (name := text(mapping(entry).get("model_id")))
    }
    inputs = map(mapping, items(mapping(run.get("inputs")).get("dataset_inputs")))
    tested = [mapping(entry.get("dataset")) for entry in inputs if _context(entry) != "training"]
    model = {"name": next(iter(models))} if len(models) == 1 else None
    dataset = _dataset(tested[0], notes) if len(tested) == 1 else None
    return given(model=model, dataset=dataset)


def _context(entry: Mapping[str, Any]) -> Any:
    for tag in map(mapping, items(entry.get("tags"))):
        if "mlflow.data.context" in tag:
            return tag["mlflow.data.context"]
        if tag.get("key") == "mlflow.data.context":
            return tag.get("value")
    return None


def _dataset(dataset: Mapping[str, Any], notes: list[str]) -> dict[str, Any] | None:
    profile = dataset.get("profile")
    rows = None
    if isinstance(profile, str):
        rows = count(mapping(parse(profile.encode("utf-8", "replace"))[0]).get("num_rows"))
    digest = text(dataset.get("digest"), 64)
    if digest:
        notes.append(f"MLflow's digest of the data, {digest}, is too short to identify it")
    return given(name=text(dataset.get("name")), rows=rows) or None
