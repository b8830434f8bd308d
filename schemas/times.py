"""Times: always UTC, whole seconds, written as RFC 3339 with a ``Z``."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from muniment.schemas.errors import InputError

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_DURATION = re.compile(r"([1-9][0-9]{0,5})([mhdw])")
_UNITS = {
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}


def now() -> datetime:
    """The clock, cut to whole seconds."""
    return datetime.now(UTC).replace(microsecond=0)


def format_time(moment: datetime) -> str:
    """Write ``moment`` as ``2026-01-31T09:30:00Z``."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="seconds")[:-6] + "Z"


@lru_cache(maxsize=1024)
def parse_time(text: str) -> datetime:
    """Read an RFC 3339 time with its offset; fractions of a second are dropped.

    Raises:
        InputError: ``time.malformed``, also for a time without an offset.
    """
    if _RFC3339.fullmatch(text):
        try:
            return datetime.fromisoformat(text).astimezone(UTC).replace(microsecond=0)
        except (ValueError, OverflowError):
            pass
    raise InputError(
        "time.malformed",
        f"{text!r} is not a time",
        hint="say in which zone: Z for UTC, or an offset such as +02:00"
        if _RFC3339.fullmatch(f"{text}Z")
        else None,
        expected="RFC 3339 with an offset, such as 2026-01-31T09:30:00Z",
        found=text,
    )


def parse_moment(text: str, *, day_begins: bool = False) -> datetime:
    """Read what a person types: a time, or a date that means the end of that day in UTC.

    Args:
        day_begins: take a date as the first second of the day instead of its last.

    Raises:
        InputError: ``time.malformed``.
    """
    if _DATE.fullmatch(text):
        try:
            day = date.fromisoformat(text)
        except ValueError:
            pass
        else:
            begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
            return begin if day_begins else begin + timedelta(hours=23, minutes=59, seconds=59)
    try:
        return parse_time(text)
    except InputError as error:
        error.expected = "a date such as 2026-01-31, or a time such as 2026-01-31T09:30:00Z"
        raise


def parse_duration(text: str) -> timedelta:
    """Read what a person types for a length of time: ``90m``, ``12h``, ``7d`` or ``2w``.

    Raises:
        InputError: ``duration.malformed``.
    """
    if match := _DURATION.fullmatch(text):
        return int(match[1]) * _UNITS[match[2]]
    raise InputError(
        "duration.malformed",
        f"{text!r} is no length of time",
        expected="a whole number with m, h, d or w, such as 7d",
        found=text,
    )
