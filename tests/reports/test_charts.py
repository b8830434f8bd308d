"""Charts."""

from __future__ import annotations

from xml.etree.ElementTree import fromstring

import pytest

from muniment.controls.coverage import State
from muniment.reports.charts import bar, describe, donut, gauge

SVG = "{http://www.w3.org/2000/svg}"
COUNTS = {State.MET: 3, State.STALE: 1, State.MISSING: 4}


@pytest.mark.parametrize("counts", [COUNTS, {State.MET: 5}, {}, dict.fromkeys(State, 1)])
def test_title_first_and_no_markup_from_outside(counts: dict[State, int]) -> None:
    """Every chart is well-formed and begins with a title that says the counts in words."""
    for chart in (donut(counts, "<script>"), bar(counts, "<script>")):
        first = fromstring(chart)[0]
        assert first.tag == f"{SVG}title"
        assert first.text == f"<script>: {describe(counts)}"


def test_share_is_rounded_down() -> None:
    """100% stands only where nothing is open."""
    assert ">99%<" in donut({State.MET: 999, State.FAILED: 1}, "x")
    assert ">100%<" in donut({State.MET: 3}, "x")


def test_bar_writes_its_numbers() -> None:
    """Each part of the bar carries its count as text."""
    texts = [node.text for node in fromstring(bar(COUNTS, "x")).iter(f"{SVG}text")]
    assert texts == ["3", "1", "4"]


@pytest.mark.parametrize(("value", "limit"), [(-1.0, 0.5), (1.7e308, 1.7e308), (0.5, -2.0)])
def test_no_gauge_off_the_scale(value: float, limit: float) -> None:
    """A value that has no place on a scale from nought gets no drawing."""
    assert gauge(value, limit, True, "x") == ""


def test_gauge_of_nought() -> None:
    """Nought against nought is drawn."""
    assert fromstring(gauge(0.0, 0.0, True, "none")).tag == f"{SVG}svg"
