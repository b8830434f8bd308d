"""A profile's limit on a named metric, held against the figures of a record."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from muniment.schemas.record import Record
from muniment.schemas.text import figure

MEASURING = frozenset({"eval-result", "monitoring-report"})
"""Kinds whose metrics are held against a profile's limits."""

_FAMILIES = {"fairness": "fairlearn-metricframe"}
"""What a limit's name may begin with, and the format of the files whose metrics it then means:
``fairness.equalized_odds_ratio`` is the ``equalized_odds_ratio`` of a Fairlearn file."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """The least and the most that a metric may be; at least one of them."""

    least: float | None = None
    most: float | None = None
    controls: tuple[str, ...] = ()
    """Full ids of the controls that hang on it; where empty, every control that blocks and that a
    measuring kind may carry."""

    def to_json(self) -> dict[str, Any]:
        """The limit as a profile's document holds it."""
        return {
            **({} if self.least is None else {"min": self.least}),
            **({} if self.most is None else {"max": self.most}),
            **({"controls": list(self.controls)} if self.controls else {}),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Threshold:
        """Read a limit whose form was checked."""
        return cls(value.get("min"), value.get("max"), tuple(value.get("controls", ())))

    def fault(self, name: str, record: Record) -> str | None:
        """How the record's figures of this name break the limit, those on slices included."""
        for metric in record.statement.body.get("metrics", ()):
            if _is(name, metric, record) and (why := self._fault(metric)):
                where = f" on {metric['slice']}" if "slice" in metric else ""
                return f"{name}{where} {why}"
        return None

    def _fault(self, metric: Mapping[str, Any]) -> str | None:
        value = metric.get("value")
        if value is None or not math.isfinite(value):
            return "could not be computed"
        if self.least is not None and value < self.least:
            return f"is {figure(value, self.least)}, below {self.least}"
        if self.most is not None and value > self.most:
            return f"is {figure(value, self.most)}, above {self.most}"
        return None


def measures(name: str, record: Record) -> bool:
    """Whether the record has a figure of this name over all of its data."""
    return any(
        _is(name, metric, record) and "slice" not in metric
        for metric in record.statement.body.get("metrics", ())
    )


def nearest(name: str, records: Iterable[Record]) -> tuple[str, Record] | None:
    """The metric over all of the data that is likest by its name, and a record that has it."""
    found = {
        str(metric.get("name")): record
        for record in records
        for metric in record.statement.body.get("metrics", ())
        if "slice" not in metric
    }
    for wanted in (name, name.rpartition(".")[2]):
        if near := difflib.get_close_matches(wanted[:200], found, n=1):
            return near[0], found[near[0]]
    return None


def _is(name: str, metric: Mapping[str, Any], record: Record) -> bool:
    """Whether a limit of this name is about the metric."""
    if metric.get("name") == name:
        return True
    family, dot, rest = name.partition(".")
    source = record.statement.source or {}
    written = dot and source.get("format") == _FAMILIES.get(family, "")
    return bool(written) and metric.get("name") == rest
