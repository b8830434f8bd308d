"""Charts as inline SVG: words beside every colour, and a ``<title>`` first for those who listen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from markupsafe import Markup

from muniment.controls.coverage import State

from .drawing import GROUND, INK, svg, text

COLOURS: Mapping[State, str] = {
    State.FAILED: "#a3213c",
    State.MISSING: "#8a94a6",
    State.STALE: "#b8751a",
    State.UNAPPROVED: "#6d55a3",
    State.PARTIAL: "#2f6fae",
    State.MET: "#1b7a57",
    State.WAIVED: "#4d7f86",
    State.NOT_APPLICABLE: "#c9d0da",
}
ORDER = (
    State.MET, State.WAIVED, State.PARTIAL, State.UNAPPROVED, State.STALE, State.FAILED,
    State.MISSING, State.NOT_APPLICABLE,
)  # fmt: skip
"""Best first, as charts read from the left or clockwise from the top."""
LABELS: Mapping[State, str] = {
    State.FAILED: "Failed",
    State.MISSING: "Missing",
    State.STALE: "Stale",
    State.UNAPPROVED: "Unapproved",
    State.PARTIAL: "Partial",
    State.MET: "Met",
    State.WAIVED: "Waived",
    State.NOT_APPLICABLE: "Not applicable",
}


def donut(counts: Mapping[State, int], name: str) -> Markup:
    """Share of controls in each state; the share that is met stands in the middle."""
    total = sum(counts.values())
    share = _percent(counts.get(State.MET, 0), total)
    parts = [f'<circle cx="60" cy="60" r="46" fill="none" stroke="{GROUND}" stroke-width="17"/>']
    at = 0.0
    for state in _present(counts):
        part = counts[state] / total
        parts.append(_arc(at, part, COLOURS[state]))
        at += part
    parts.append(text(60, 63, share, size=21, weight=600))
    parts.append(text(60, 76, f"{counts.get(State.MET, 0)} of {total} met", size=8))
    return svg(120, 120, f"{name}: {describe(counts)}", parts)


def bar(counts: Mapping[State, int], name: str, width: int = 640) -> Markup:
    """One bar of all states; every part wide enough carries its number."""
    total = sum(counts.values())
    parts = [f'<rect x="0" y="0" width="{width}" height="20" fill="{GROUND}"/>']
    at = 0.0
    for state in _present(counts):
        wide = width * counts[state] / total
        parts.append(
            f'<rect x="{at:.2f}" y="0" width="{max(wide - 1, 0.5):.2f}" height="20" '
            f'fill="{COLOURS[state]}"/>'
        )
        if wide >= 16:
            ink = INK if state in (State.NOT_APPLICABLE, State.MISSING) else "#ffffff"
            number = str(counts[state])
            parts.append(text(at + wide / 2, 14, number, size=10, fill=ink, weight=600))
        at += wide
    return svg(width, 20, f"{name}: {describe(counts)}", parts)


def gauge(value: float, threshold: float, held: bool, name: str) -> Markup:
    """A measured value as a bar and its threshold as a mark, both on a scale from nought."""
    top = max(value, threshold, 0.0) * 1.15 or 1.0
    # NOTE: a value below nought, or a ratio beyond what a float holds, has no place on the scale.
    if not (math.isfinite(top) and value >= 0 and threshold >= 0):
        return Markup("")
    mark = 96 * threshold / top
    colour = COLOURS[State.MET if held else State.FAILED]
    parts = [
        f'<rect x="0" y="3" width="96" height="6" fill="{GROUND}"/>',
        f'<rect x="0" y="3" width="{96 * value / top:.2f}" height="6" fill="{colour}"/>',
        f'<rect x="{mark:.2f}" y="0" width="1.4" height="12" fill="{INK}"/>',
    ]
    return svg(100, 12, name, parts)


def describe(counts: Mapping[State, int]) -> str:
    """The counts in words, best first: ``12 met, 3 stale``."""
    words = (f"{counts[state]} {LABELS[state].lower()}" for state in _present(counts))
    return ", ".join(words) or "no controls"


def _present(counts: Mapping[State, int]) -> Iterable[State]:
    return (state for state in ORDER if counts.get(state, 0))


def _percent(part: int, total: int) -> str:
    # NOTE: rounded down, so that 100% stands only where nothing is open.
    return f"{100 * part // total}%" if total else "–"


def _arc(start: float, part: float, colour: str) -> str:
    if part >= 1:
        return f'<circle cx="60" cy="60" r="46" fill="none" stroke="{colour}" stroke-width="17"/>'
    x1, y1 = _point(start)
    x2, y2 = _point(start + part)
    large = 1 if part > 0.5 else 0
    return (
        f'<path d="M {x1} {y1} A 46 46 0 {large} 1 {x2} {y2}" fill="none" '
        f'stroke="{colour}" stroke-width="17"/>'
    )


def _point(turn: float) -> tuple[str, str]:
    angle = 2 * math.pi * turn
    return f"{60 + 46 * math.sin(angle):.2f}", f"{60 - 46 * math.cos(angle):.2f}"
