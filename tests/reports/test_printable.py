"""Untrusted text on pages."""

from __future__ import annotations

import hashlib

import pytest
from markupsafe import Markup

from muniment.reports.printable import MAX_TEXT, RUN, attribute, covered, plain, printable

HOSTILE = {
    "markup": ("<b>&", "&lt;b&gt;&amp;"),
    "emoji": ("ok 🙂", "ok [U+1F642]"),
    "bidi override": ("a\u202eb", "a[U+202E]b"),
    "zero width": ("a\u200bb", "a[U+200B]b"),
    "escape code": ("\x1b[31m", "[U+001B][31m"),
    "lone surrogate": ("\ud800", "[U+D800]"),
    "private use": ("\ue000", "[U+E000]"),
    "not in the fonts": ("ก", "[U+0E01]"),
    "line ends": ("a\r\nb\rc\td", "a\nb\nc d"),
    "latin, greek, cyrillic": ("Åse α Ж ≥", "Åse α Ж ≥"),
}


@pytest.mark.parametrize(("text", "page"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_text(text: str, page: str) -> None:
    """What has no glyph or hides is printed as its code point, and markup is escaped."""
    assert printable(text) == Markup(page)


def test_every_character_left_has_a_glyph() -> None:
    """Whatever the text, only characters of the bundled fonts and line feeds are left."""
    everything = "".join(map(chr, range(0x11000)))
    left = {ord(char) for char in plain(everything, len(everything))}
    assert left - {10} <= covered()


def test_long_runs_may_break() -> None:
    """An unbroken run gets a place to break every 64 characters, outside of escapes."""
    pieces = printable("&" * 130).split("<wbr>")
    assert [len(piece) for piece in pieces] == [5 * RUN, 5 * RUN, 5 * (130 - 2 * RUN)]
    assert printable("word " * 40) == "word " * 40


def test_long_text_is_cut_with_its_digest() -> None:
    """A text over 64 K characters is cut, and the page says how much and gives the digest."""
    text = "word " * 20_000
    cut = plain(text)
    assert len(cut) < MAX_TEXT + 300
    assert f"{len(text) - MAX_TEXT:,} more characters" in cut
    assert hashlib.sha256(text.encode()).hexdigest() in cut
    assert plain("x" * MAX_TEXT) == "x" * MAX_TEXT


def test_attribute_is_one_short_line() -> None:
    """Text in an attribute has no quotes, no line feeds and no more than its limit."""
    assert attribute('a"\n b', 20) == "a&#34; b"
    assert len(attribute("x" * 500, 30)) == 30


@pytest.mark.parametrize("text", ["\n" * 100_000, "x\n" * 50_000, "🙂" * 100_000])
def test_no_text_takes_more_room_than_its_limit(text: str) -> None:
    """Empty lines and code points take room too: neither makes a thousand pages of one note."""
    cut = plain(text)
    assert len(cut) < MAX_TEXT + 300 and cut.count("\n") < 1200
    assert "more characters are in the embedded record" in cut
