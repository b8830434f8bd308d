"""What inline SVG is put together from: text that fits its place, boxes, and the mark-up around."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib import resources
from unicodedata import east_asian_width

from markupsafe import Markup

from .printable import attribute, plain
from .widefonts import FACES

INK = "#10233f"
GREY = "#5a6577"
HAIR = "#b9c2cf"
GROUND = "#e8ecf1"
RED = "#a3213c"
SANS = ", ".join(("Plex Sans", *FACES))
_NS = 'xmlns="http://www.w3.org/2000/svg"'
_BOLD = 1.06
"""How much wider than regular the heavier weights run, at most."""


def svg(width: float, height: float, title: str, parts: Iterable[str]) -> Markup:
    """A drawing; its ``title`` comes first, for those who listen."""
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    inside = "".join(parts)
    return Markup(f"<svg {_NS} {size}><title>{attribute(title, 2000)}</title>{inside}</svg>")


def text(
    x: float,
    y: float,
    words: str,
    *,
    size: float,
    fill: str = INK,
    weight: int = 400,
    anchor: str = "middle",
) -> str:
    """One line of text; it is escaped here."""
    return (
        f'<text x="{x:.2f}" y="{y:.2f}" font-family="{SANS}" font-size="{size:g}" '
        f'font-weight="{weight}" fill="{fill}" text-anchor="{anchor}">{attribute(words)}</text>'
    )


def fitted(words: str, width: float, size: float, weight: int = 400) -> str:
    """``words`` on one line, cut with an ellipsis where they are wider than ``width``."""
    line = plain(" ".join(words[:400].split()))
    wider = _BOLD if weight > 400 else 1.0
    room = width / size / wider
    if len(line) == len(words) and _width(line) <= room:
        return line
    kept, left = "", room - _width("…")
    for char in line:
        left -= _width(char)
        if left < 0:
            return f"{kept.rstrip()}…"
        kept += char
    return kept if len(words) <= 400 else f"{kept}…"


def _width(words: str) -> float:
    """Width of a line in the regular weight, in units of its size."""
    advances, usual = _advances()
    return sum(
        advances.get(ord(char), 1.0 if east_asian_width(char) in "WF" else usual) for char in words
    )


@cache
def _advances() -> tuple[dict[int, float], float]:
    from fontTools.ttLib import TTFont

    with resources.files(__package__).joinpath("fonts/IBMPlexSans-Regular.ttf").open("rb") as file:
        font = TTFont(file, lazy=True)
        unit, widths = font["head"].unitsPerEm, font["hmtx"]
        found = {code: widths[name][0] / unit for code, name in font.getBestCmap().items()}
    return found, 0.6
