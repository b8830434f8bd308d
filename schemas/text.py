"""Text from strangers, made safe to show on a terminal or a page."""

from __future__ import annotations

import unicodedata

# NOTE: bidi overrides and isolates can make one text read as another (Trojan Source,
# CVE-2021-42574); escape codes can rewrite what a terminal already shows.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def visible(text: str, *, keep: str = "") -> str:
    """Return ``text`` with every character that does not print written as ``[U+202E]``.

    Args:
        keep: characters of those classes to leave alone, such as ``"\\n"``.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        f"[U+{ord(char):04X}]"
        if unicodedata.category(char) in _HIDDEN and char not in keep
        else char
        for char in text
    )


def shorten(text: str, limit: int) -> str:
    """Return ``text`` in at most ``limit`` characters, the cut marked with an ellipsis."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"


def figure(value: float, beside: float | None = None) -> str:
    """A number in four significant digits; in full where that would hide how it differs from the
    number it is shown ``beside``."""
    short = f"{value:.4g}"
    if beside is not None and value != beside and short == f"{beside:.4g}":
        return str(value)
    return str(value) if isinstance(value, int) else short
