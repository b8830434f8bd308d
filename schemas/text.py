"""Text from strangers, made safe to show on a terminal or a page."""

from __future__ import annotations

import re
import unicodedata

# NOTE: bidi overrides and isolates can make one text read as another (Trojan Source,
# CVE-2021-42574); escape codes can rewrite what a terminal already shows.
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
# NOTE: CI runners take commands from what a program prints: GitHub `::error …` at the start of a
# line and `##[…]` anywhere in it, Azure `##vso[…]`, TeamCity `##teamcity[…]`.
_COMMAND_AT_START = re.compile(r"^(\s*):(?=:)", re.M)
_COMMAND = re.compile(r"#(?=#\w*\[)")


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


def disarm(text: str, *, colon: str = "[U+003A]", sharp: str = "[U+0023]") -> str:
    """Return ``text`` so that no CI runner finds a command of its own in any line of it.

    Args:
        colon, sharp: what stands for the first character of such a command.
    """
    text = _COMMAND_AT_START.sub(lambda found: found[1] + colon, text)
    return _COMMAND.sub(lambda found: sharp, text)


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


def counted(number: int, noun: str) -> str:
    """A number with its noun: ``1 record``, ``1,024 records``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def with_article(word: str) -> str:
    """A word with the article that it is spoken with: ``a policy``, ``an attestation``."""
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"


def first_up(text: str) -> str:
    """Return ``text`` with its first letter a capital; the others stay as they are."""
    return text[:1].upper() + text[1:]


def said_by(error: Exception) -> str:
    """What a network or system error says, in words for a person: ``connection refused``."""
    reason = getattr(error, "reason", None)
    cause = reason if isinstance(reason, Exception) else error
    words = getattr(cause, "strerror", None) or reason or cause
    text = visible(str(words))
    if not text:
        return type(error).__name__
    return text[:1].lower() + text[1:] if text[1:2].islower() else text
