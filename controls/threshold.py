"""A profile's limit on a named metric, held against the figures of a record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from muniment.schemas.record import Record
from muniment.schemas.text import figure

MEASURING = frozenset({"eval-result", "monitoring-report"})
"""Kinds whose metrics are held against a profile's limits."""


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
            if metric.get("name") == name and (why := self._fault(metric)):
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
        metric.get("name") == name and "slice" not in metric
        for metric in record.statement.body.get("metrics", ())
    )
