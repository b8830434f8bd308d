"""Fairlearn ``MetricFrame`` figures as JSON, with the keys of the frame's own attributes.

Fairlearn has no file format; this one holds ``fairlearn_version``, ``overall``, ``by_group``,
``difference``, ``ratio`` and, where wanted, ``intersection`` and the two named disparities.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .document import Document
from .interface import Collected
from .values import count, given, mapping, metric, named, run_status, source, text, version_note

FORMAT = "fairlearn-metricframe"
_TOOL = "Fairlearn"
_DISPARITIES = {
    "demographic_parity_difference": "lower",
    "demographic_parity_ratio": "higher",
    "equalized_odds_difference": "lower",
    "equalized_odds_ratio": "higher",
    "equal_opportunity_difference": "lower",
    "equal_opportunity_ratio": "higher",
}
_SMALL = 30


def matches(document: Document) -> bool:
    """An object with the frame's version, overall figures and figures by group."""
    return document.has_keys("fairlearn_version", "overall", "by_group")


def collect(document: Document) -> Collected:
    """Draft an ``eval-result``: each group is a slice, each disparity a metric of its own."""
    frame = document.root(_TOOL)
    overall, groups = mapping(frame["overall"]), mapping(frame["by_group"])
    if not overall or not groups:
        raise document.malformed(_TOOL, "it has no figures overall, or none by group")
    cases = count(overall.get("count"))
    version = text(frame["fairlearn_version"])
    notes = version_note(_TOOL, version, "0.15") + _notes(cases, groups)
    body = {
        "status": run_status(complete=True, evaluated=cases),
        **given(evaluated=cases),
        "metrics": [
            *_figures(overall, None),
            *(entry for group in groups for entry in _figures(mapping(groups[group]), group)),
            *_disparities(frame),
            *_crossed(mapping(frame.get("intersection"))),
        ],
        "checks": [],
    }
    return Collected(
        "eval-result",
        body,
        source(_TOOL, FORMAT, document.sha256, version=version, notes=notes),
        None,
    )


def _figures(entry: Mapping[str, Any], group: str | None) -> Iterator[dict[str, Any]]:
    # NOTE: the number of cases goes with every figure as n; as a metric it would be compared.
    cases = count(entry.get("count"))
    for name, value in entry.items():
        if name != "count":
            yield metric(
                named(name), value, slice=named(group) if group is not None else None, n=cases
            )


def _crossed(groups: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Groups by several features at once; ``|`` stands between their values."""
    for group, entry in groups.items():
        yield from _figures(mapping(entry), group)


def _disparities(frame: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for key, direction in (("difference", "lower"), ("ratio", "higher")):
        for name, value in mapping(frame.get(key)).items():
            if name != "count":
                yield metric(f"{named(name)}/{key}", value, direction=direction)
    for name, direction in _DISPARITIES.items():
        if name in frame:
            yield metric(name, frame[name], direction=direction)


def _notes(cases: int | None, groups: Mapping[str, Any]) -> list[str]:
    notes = ["the file names neither the model nor the data, and has no time"]
    sizes = {group: count(mapping(entry).get("count")) for group, entry in groups.items()}
    if cases is None or None in sizes.values():
        return [*notes, "the file does not say how many cases every group has"]
    for group, size in sizes.items():
        if (size or 0) < _SMALL:
            notes.append(f"group {named(group)} has {size} cases; differences may be chance")
    if (total := sum(size or 0 for size in sizes.values())) != cases:
        notes.append(f"the groups hold {total} of {cases} cases")
    return notes
