"""The summary page."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import pikepdf
import pytest

from muniment.controls.coverage import CatalogCoverage, State
from muniment.reports import summary
from muniment.reports.model import Look, PacketInput, PreviousPacket
from muniment.reports.render import render_pdf

BEFORE = datetime(2026, 10, 1, tzinfo=UTC)


def test_the_heat_map_adds_up(packet: PacketInput) -> None:
    """Every control is counted once in the lines of the frameworks, and once in their areas."""
    found = summary.heat(packet)
    assert found.is_whole
    for is_framework in (True, False):
        lines = [line for line in found.lines if line.is_framework is is_framework]
        assert sum(line.total for line in lines) == len(packet.coverage.controls)


def test_many_areas_become_one_line(build: ModuleType, packet: PacketInput) -> None:
    """A framework with many areas has one line, and the map says that it is not whole."""
    first = packet.coverage.catalogs[0]
    many = [replace(first.controls[0], id=f"x:{n}", group=f"Clause {n}") for n in range(40)]
    catalogs = (replace(first, controls=tuple(many)), packet.coverage.catalogs[1])
    found = summary.heat(replace(packet, coverage=replace(packet.coverage, catalogs=catalogs)))
    assert not found.is_whole
    assert [line.total for line in found.lines if line.is_framework] == [40, 3]


def test_trend_counts_from_the_packet_before(packet: PacketInput) -> None:
    """Each state shows what it was, what it is, and by how much it changed."""
    counts = {State.MET: 2, State.MISSING: 5}
    later = replace(packet, previous=PreviousPacket(BEFORE, 11, counts))
    steps = summary.trend(later)
    assert (steps[State.MET].before, steps[State.MET].now, steps[State.MET].change) == (2, 4, "+2")
    assert steps[State.MISSING].change == "−3"
    assert summary.trend_sentence(later) == (
        "8 records came since the packet of 1 October 2026, checkpoint 11."
    )
    assert "no trend yet" in summary.trend_sentence(packet)


@pytest.mark.parametrize("paper", ["a4", "letter"])
def test_the_summary_is_one_page(build: ModuleType, paper: str) -> None:
    """However long titles and needs are, the chapter that follows begins on the next page."""
    covered = build.coverage(build.ledger())
    gate = covered.catalogs[1]
    long = [
        replace(control, id=f"{control.id}{n}", title="Title " * 80, unblock="Attach " * 200)
        for n in range(3)
        for control in gate.controls
    ]
    catalogs = tuple(
        CatalogCoverage(
            f"{gate.catalog}-{n}", f"{n} " + "Framework " * 50, gate.sha256, tuple(long)
        )
        for n in range(12)
    )
    packet = build.make_packet(
        covered=replace(covered, catalogs=catalogs),
        profile_name="Profile " * 50,
        previous=PreviousPacket(BEFORE, 11, dict.fromkeys(State, 1)),
        look=Look(paper=paper),
    )
    with pikepdf.open(io.BytesIO(render_pdf(packet, ()))) as pdf:
        order: dict[Any, int] = {page.objgen: n for n, page in enumerate(pdf.pages, start=1)}
        names = list(pdf.Root.Names.Dests.Names)
        pages = {str(a): order[b[0].objgen] for a, b in zip(names[::2], names[1::2], strict=True)}
    assert pages["attention"] == pages["summary"]
    assert pages["areas"] == pages["summary"] + 1
