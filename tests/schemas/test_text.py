"""Text from strangers, made safe to show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.schemas.text import disarm, shorten, visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Müller – 東京 😀", "Müller – 東京 😀"),
        ("\x1b[31mred", "[U+001B][31mred"),
        ("\u202egpj.exe", "[U+202E]gpj.exe"),
        ("a\u2066b\u2069", "a[U+2066]b[U+2069]"),
        ("a\nb\tc\r", "a[U+000A]b[U+0009]c[U+000D]"),
        ("a\u2028b\u2029", "a[U+2028]b[U+2029]"),
        ("\x9b2J", "[U+009B]2J"),
        ("\ud800", "[U+D800]"),
        ("\ue000", "[U+E000]"),
        ("a\u200bb", "a[U+200B]b"),
        ("", ""),
    ],
)
def test_visible(text: str, shown: str) -> None:
    """Characters that do not print, or turn text round, are written as their number."""
    assert visible(text) == shown


def test_visible_keeps_what_is_named() -> None:
    """A caller may keep line breaks, and nothing else with them."""
    assert visible("a\nb\x1b", keep="\n") == "a\nb[U+001B]"


@given(st.text())
def test_visible_text_is_stable_and_encodes(text: str) -> None:
    """Once visible, text stays as it is and can be written as UTF-8."""
    shown = visible(text)
    assert visible(shown) == shown
    shown.encode()


@given(st.text(), st.integers(0, 20))
def test_shorten_keeps_to_the_limit(text: str, limit: int) -> None:
    """Shortened text is within the limit, and a cut is marked where there is room for it."""
    short = shorten(text, limit)
    assert len(short) <= max(limit, 1)
    assert short == text or short.endswith("…")


def test_shorten_marks_the_cut() -> None:
    """Only text that is too long is cut."""
    assert shorten("abc", 3) == "abc"
    assert shorten("abcd", 3) == "ab…"


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("::error::x", "[U+003A]:error::x"),
        ("a\n \t::add-mask::x", "a\n \t[U+003A]:add-mask::x"),
        ("a ##[error]b ##vso[c] ###[d]", "a [U+0023]#[error]b [U+0023]#vso[c] #[U+0023]#[d]"),
        ("a::b # c ## d #[e] ##", "a::b # c ## d #[e] ##"),
    ],
)
def test_no_line_commands_a_runner(text: str, harmless: str) -> None:
    """What a CI runner would obey is broken where it begins; all else stays."""
    assert disarm(text) == harmless
    assert disarm(disarm(text)) == harmless
