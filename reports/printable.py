"""Text from strangers, made printable: no character a bundled font lacks, none that hides, none of
markup's, no run too long to break.

WeasyPrint draws a missing glyph (``.notdef``) for a character that no font has, which breaks PDF/A
and PDF/UA, and takes quadratic time over long unbroken strings.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from functools import cache
from importlib import resources

from markupsafe import Markup, escape

from . import widefonts

MAX_TEXT = 64 * 1024
"""Most characters of one text that are printed; the rest stays in the embedded data."""
RUN = 64
"""Characters without a space after which a line may break."""

_LINE = 60
"""Characters of room that a line's end takes."""
_CODE_POINT = 9
"""Characters of room that ``[U+1F642]`` takes."""
_SPACES = re.compile(" {3,}")
_LONG_RUN = re.compile(rf"\S{{{RUN + 1},}}")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@cache
def bundled() -> frozenset[int]:
    """Code points that every weight of the bundled sans serif has; the monospaced face falls back
    on it."""
    from fontTools.ttLib import TTFont

    with resources.files(__package__).joinpath("fonts/IBMPlexSans-Regular.ttf").open("rb") as file:
        return frozenset(TTFont(file, lazy=True).getBestCmap())


@cache
def covered() -> frozenset[int]:
    """Code points that some font here has."""
    return bundled() | widefonts.covered()


def plain(text: str, limit: int = MAX_TEXT) -> str:
    """Return ``text`` with everything that would not print written as ``[U+1F642]``.

    Line feeds stay, other line ends become one, tabs become spaces. A text that takes more room
    than ``limit`` characters is cut, with the digest of the whole and a note of what was cut.
    """
    end = _end(text, limit)
    kept = _visible(text[:end])
    if end == len(text):
        return kept
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return (
        f"{kept} [cut here: {len(text) - end:,} more characters are in the embedded record; "
        f"SHA-256 of the whole text {digest}]"
    )


def printable(text: str, limit: int = MAX_TEXT) -> Markup:
    """Return ``text`` as HTML: :func:`plain`, escaped, long runs given places to break."""
    return _breakable(plain(text, limit))


def whole(text: str) -> Markup:
    """Return ``text`` as HTML, uncut: for what was put together of texts that were cut."""
    return _breakable(_visible(text))


def _breakable(clean: str) -> Markup:
    parts: list[str] = []
    end = 0
    # NOTE: the pages show one space for many, and are slow to find that out.
    clean = _SPACES.sub("  ", clean)
    for run in _LONG_RUN.finditer(clean):
        parts.append(escape(clean[end : run.start()]))
        word = run[0]
        parts.append("<wbr>".join(escape(word[at : at + RUN]) for at in range(0, len(word), RUN)))
        end = run.end()
    parts.append(escape(clean[end:]))
    return Markup("".join(parts))


def attribute(text: str, limit: int = 300) -> Markup:
    """Return ``text`` for an attribute, a title or an SVG: escaped, on one line, cut short."""
    line = " ".join(text[: limit + 1].split())
    return escape(plain(line if len(text) <= limit else f"{line[: limit - 1]}…"))


def _end(text: str, limit: int) -> int:
    """How many characters of ``text`` fit: a line's end and a code point take more room."""
    start = text[:limit]
    if start.isascii() and start.isprintable():
        return len(start)
    known, room = covered(), limit
    for at, char in enumerate(start):
        room -= _LINE if char in "\r\n" else 1 if _prints(char, known) else _CODE_POINT
        if room < 0:
            return at
    return len(start)


def _visible(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    known = covered()
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    return "".join(char if _prints(char, known) else f"[U+{ord(char):04X}]" for char in text)


def _prints(char: str, known: frozenset[int]) -> bool:
    if char == "\n":
        return True
    return ord(char) in known and unicodedata.category(char) not in _HIDDEN
