"""scikit-learn ``classification_report(output_dict=True)`` as JSON (tried with 1.9.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .document import Document
from .interface import Collected
from .values import check, count, given, mapping, metric, named, run_status, source, text

FORMAT = "sklearn-classification-report"
_TOOL = "scikit-learn"
_MEASURES = ("precision", "recall", "f1-score")
_AVERAGES = ("micro avg", "macro avg", "weighted avg", "samples avg")


def matches(document: Document) -> bool:
    """A report, told by its two averages and their measures."""
    if not document.has_keys("macro avg", "weighted avg"):
        return False
    average = mapping(document.object.get("macro avg"))
    return document.fault is not None or average.keys() >= {*_MEASURES, "support"}


def collect(document: Document) -> Collected:
    """Draft an ``eval-result`` with each class as a slice.

    An average over classes of which one is NaN leaves that class out without saying so
    (``zero_division=nan``): such an average becomes an errored check instead of a metric.
    """
    report = document.root(_TOOL)
    classes = {
        name: mapping(entry)
        for name, entry in report.items()
        if name not in (*_AVERAGES, "accuracy")
    }
    notes = ["the report names neither the model nor the data, and has no time"]
    evaluated = _evaluated(document, report, classes, notes)
    undefined = {
        measure: [
            name
            for name, entry in classes.items()
            if metric(measure, entry.get(measure))["value"] is None
        ]
        for measure in _MEASURES
    }
    body = {
        "status": run_status(complete=not any(undefined.values()), evaluated=evaluated),
        **given(evaluated=evaluated),
        "metrics": [
            *_overall(report, evaluated, undefined),
            *(entry for name in classes for entry in _class(name, classes[name])),
        ],
        "checks": list(_broken(report, undefined)),
    }
    return Collected("eval-result", body, source(_TOOL, FORMAT, document.sha256, notes=notes), None)


def _evaluated(
    document: Document,
    report: Mapping[str, Any],
    classes: Mapping[str, Mapping[str, Any]],
    notes: list[str],
) -> int | None:
    """Every case has one class only where the report gives one accuracy."""
    supports = [count(entry.get("support")) for entry in classes.values()]
    if not classes or None in supports:
        raise document.malformed(_TOOL, "a class has no number of cases")
    if "accuracy" in report:
        return sum(support or 0 for support in supports)
    notes.append("cases may have several classes or none, so their number is not known")
    return None


def _overall(
    report: Mapping[str, Any], cases: int | None, undefined: Mapping[str, list[str]]
) -> Iterator[dict[str, Any]]:
    if "accuracy" in report:
        yield metric("accuracy", report["accuracy"], n=cases, direction="higher")
    for average in _AVERAGES:
        for measure in _MEASURES:
            if average in report and not undefined[measure]:
                value = mapping(report[average]).get(measure)
                yield metric(f"{average}/{measure}", value, n=cases, direction="higher")


def _class(name: str, entry: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for measure in _MEASURES:
        yield metric(
            measure,
            entry.get(measure),
            slice=f"class={named(name)}",
            n=count(entry.get("support")),
            direction="higher",
        )


def _broken(
    report: Mapping[str, Any], undefined: Mapping[str, list[str]]
) -> Iterator[dict[str, Any]]:
    for average in _AVERAGES:
        for measure, names in undefined.items():
            if average in report and names:
                out = text(", ".join(names))
                yield check(
                    f"{average}/{measure}",
                    "error",
                    message=f"the average leaves out {out}, where {measure} is not a number",
                )
