"""The one page that a busy reader reads: the heat map and the trend since the packet before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from muniment.controls.coverage import CatalogCoverage, State
from muniment.schemas.text import counted

from . import views
from .charts import ORDER
from .drawing import fitted
from .model import PacketInput

MAX_LINES = 7
"""Lines of the heat map on the summary page."""
_MAX_GROUPS = 6
"""A framework with more areas than this is one line there."""
_NAME = 172.0
"""Points of room in a line for a name, at 8.5 points."""
_MAX_TALL = 5
"""Frameworks up to which the name of each may take two lines."""


@dataclass(frozen=True, slots=True)
class HeatLine:
    """One line of the heat map."""

    name: str
    counts: Mapping[State, int]
    is_framework: bool
    """Otherwise an area of the framework above it."""

    @property
    def total(self) -> int:
        """Controls of the line."""
        return sum(self.counts.values())


@dataclass(frozen=True, slots=True)
class Heat:
    """The heat map of the summary page."""

    lines: tuple[HeatLine, ...]
    is_whole: bool
    """Whether every area of every framework has a line."""


@dataclass(frozen=True, slots=True)
class Step:
    """One state then and now."""

    before: int
    now: int

    @property
    def change(self) -> str:
        """``+3``, ``−1`` or ``±0``."""
        number = self.now - self.before
        return "±0" if number == 0 else f"+{number}" if number > 0 else f"−{-number}"


def heat(packet: PacketInput) -> Heat:
    """A line for each framework, and for its areas where they are few and there is room."""
    catalogs = packet.coverage.catalogs
    room = MAX_LINES - len(catalogs)
    lines: list[HeatLine] = []
    width = _NAME * 1.8 if len(catalogs) <= _MAX_TALL else _NAME
    is_whole = len(catalogs) <= MAX_LINES
    for catalog in catalogs[:MAX_LINES]:
        lines.append(HeatLine(fitted(catalog.name, width, 8.5, 600), catalog.counts(), True))
        areas = _areas(catalog)
        if len(areas) <= min(room, _MAX_GROUPS):
            lines.extend(areas)
            room -= len(areas)
        else:
            is_whole = False
    return Heat(tuple(lines), is_whole)


def _areas(catalog: CatalogCoverage) -> list[HeatLine]:
    return [
        HeatLine(fitted(name, _NAME - 12, 8.5), views.counts(controls), False)
        for name, controls in catalog.groups().items()
    ]


def trend(packet: PacketInput) -> dict[State, Step]:
    """Each state in the packet before and how it changed; empty where there was none."""
    if packet.previous is None:
        return {}
    now, then = views.counts(packet.coverage.controls), packet.previous.counts
    return {
        state: Step(then.get(state, 0), now[state])
        for state in ORDER
        if now[state] or then.get(state, 0)
    }


def trend_sentence(packet: PacketInput) -> str:
    """What changed since the packet before, in one sentence; that there was none, if so."""
    before = packet.previous
    if before is None:
        return (
            "No packet over these frameworks was issued for this system version before, so there "
            "is no trend yet."
        )
    return (
        f"{counted(packet.tree_size - before.size, 'record')} came since the packet of "
        f"{views.long_date(before.issued)}, checkpoint {before.size:,}."
    )
