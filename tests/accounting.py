"""Which numbers and dates a text holds, and which of them no piece of data accounts for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_CLOCK = r"(?:,?\s*\d\d:\d\d\s*UTC)?"
_DATE = re.compile(
    rf"\d{{4}}-\d\d-\d\d{_CLOCK}|\d{{1,2}}\s*(?:{'|'.join(MONTHS)})\s*\d{{4}}{_CLOCK}"
)
_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00))?")
_ID = re.compile(r"[a-z][\w.-]*:(.+)")
"""A control's id: the pages leave its catalog out."""
_NUMBER = re.compile(r"#?\w*\d(?:[\w%]|[.,:/](?=\w))*")
_LONG = re.compile(r"[\w+/=:.-]{15,}\w")
"""What may be broken anywhere at the end of a line: digests, keys, long names."""


@dataclass(slots=True)
class Scope:
    """The numbers and dates that may stand in one place."""

    tokens: set[str] = field(default_factory=set)
    dates: set[str] = field(default_factory=set)
    longs: set[str] = field(default_factory=set)

    def __or__(self, other: Scope) -> Scope:
        return Scope(self.tokens | other.tokens, self.dates | other.dates, self.longs | other.longs)


def scope(*values: Any) -> Scope:
    """Everything that may be printed of JSON values: numbers as they are, in thousands and with
    four digits; times as days and minutes, in figures and words; digests whole, and their first
    eight and sixteen digits."""
    found = Scope()
    for value in values:
        for text in _texts(value):
            if not any(map(str.isdigit, text)):
                continue
            found.dates.update(_days(text))
            found.dates.update("".join(date.split()) for date in _DATE.findall(text))
            found.tokens.update(_NUMBER.findall(_DATE.sub(" ", text)))
            for long in _LONG.findall(text):
                found.longs.add(long)
                found.tokens.update((long[:8], long[:16]))
    return found


def unaccounted(text: str, allowed: Scope) -> list[str]:
    """The numbers and dates of ``text`` that are not in ``allowed``."""
    joined = "".join(text.split())
    for long in allowed.longs:
        if long in joined:
            text = re.sub(r"\s*".join(map(re.escape, long)), " ", text)
    dates = [date for date in _DATE.findall(text) if "".join(date.split()) not in allowed.dates]
    rest = _DATE.sub(" ", text)
    return dates + [token for token in _NUMBER.findall(rest) if token not in allowed.tokens]


def changed(text: str) -> Iterator[str]:
    """``text`` with one digit of one number or date changed, for each number in it."""
    for match in re.finditer(r"\d+", text):
        last = match.end() - 1
        digit = str((int(text[last]) + 1) % 10)
        yield f"{text[:last]}{digit}{text[last + 1 :]}"


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield str(name)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from (str(value), f"{value:,}", f"{value:.4g}")
    elif isinstance(value, str):
        yield value
        if named := _ID.fullmatch(value):
            yield named[1]


def _days(text: str) -> Iterator[str]:
    """All forms in which the pages may print the times in a text, without spaces."""
    for found in _ISO.findall(text):
        try:
            at = datetime.fromisoformat(found.replace("Z", "+00:00"))
        except ValueError:
            continue
        at = at.astimezone(UTC) if at.tzinfo else at
        day = f"{at.day}{MONTHS[at.month - 1]}{at.year}"
        yield from (f"{at:%Y-%m-%d}", f"{at:%Y-%m-%d%H:%M}UTC", day, f"{day},{at:%H:%M}UTC")
