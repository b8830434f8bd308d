"""Single values taken out of a tool's file: each checked, bounded and safe to sign and to show."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from muniment.schemas.strictjson import MAX_INTEGER
from muniment.schemas.text import shorten, visible
from muniment.schemas.times import format_time

TEXT_LIMIT = 300
"""Characters kept of a text."""
LINE_LIMIT = 500
"""Characters of a name put together from several texts; the schemas allow no more in a line."""

_NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,3})?")
_NONFINITE = {
    "nan": "NaN",
    "inf": "Infinity",
    "+inf": "Infinity",
    "infinity": "Infinity",
    "-inf": "-Infinity",
    "-infinity": "-Infinity",
}
# NOTE: a path betrays user and machine names; only its last part says what the thing is.
_PATH = re.compile(
    r"""(?<![\w:/.])(?:file://|~)?/(?:[^\s/"'|]+/)+[^\s/"'|]*|\b[A-Za-z]:\\(?:[^\s\\"'|]+\\)*[^\s\\"'|]*"""
)
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


def mapping(value: Any) -> Mapping[str, Any]:
    """``value`` if it is a JSON object, else an empty one."""
    return value if isinstance(value, dict) else {}


def items(value: Any) -> list[Any]:
    """``value`` if it is a list; a list of it if it is anything else but null."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def text(value: Any, limit: int = TEXT_LIMIT) -> str | None:
    """A text on one line, without absolute paths or hidden characters; None if there is none."""
    if not isinstance(value, str):
        return None
    # NOTE: cut first, so that the patterns never run over megabytes.
    line = " ".join(value[: 4 * limit].split())
    return shorten(visible(_PATH.sub(_last_part, line)), limit) or None


def named(value: Any) -> str:
    """``value`` as a text, or ``unnamed``."""
    return text(value) or "unnamed"


def _last_part(match: re.Match[str]) -> str:
    parts = [part for part in re.split(r"[/\\]", match[0]) if part]
    return parts[-1] if parts else ""


def sha256(value: Any) -> str | None:
    """A SHA-256 in lower-case hexadecimal; None if it is none."""
    return value.lower() if isinstance(value, str) and _SHA256.fullmatch(value) else None


def number(value: Any) -> tuple[float | int | None, str | None]:
    """A figure and, where it has none, the name of what stands in its place (such as ``NaN``).

    Figures printed as text are read; anything else gives ``(None, None)``.
    """
    if isinstance(value, str):
        word = value.strip().lower()
        if word in _NONFINITE:
            return None, _NONFINITE[word]
        if not _NUMBER.fullmatch(value.strip()):
            return None, None
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None, None
    if math.isnan(value):
        return None, "NaN"
    if math.isinf(value):
        return None, "Infinity" if value > 0 else "-Infinity"
    return (float(value) if abs(value) > MAX_INTEGER else value), None


def count(value: Any) -> int | None:
    """A whole number of things, at least 0; None if it is none."""
    figure, _ = number(value)
    if figure is None or figure < 0 or figure != int(figure) or figure > MAX_INTEGER:
        return None
    return int(figure)


def spread(value: Any) -> float | int | None:
    """A standard error: a figure of at least 0, else None."""
    figure, _ = number(value)
    return figure if figure is not None and figure >= 0 else None


def metric(name: str, value: Any, **more: Any) -> dict[str, Any]:
    """One metric; a value that is no finite number is null, and ``nonfinite`` says what it was.

    Args:
        more: optional fields; those that are None are left out.
    """
    figure, nonfinite = number(value)
    result: dict[str, Any] = {"name": shorten(name, LINE_LIMIT), "value": figure}
    return result | given(nonfinite=nonfinite, **more)


def check(name: str, outcome: str, **more: Any) -> dict[str, Any]:
    """One check with its outcome; optional fields that are None are left out."""
    return {"name": shorten(name, LINE_LIMIT), "outcome": outcome} | given(**more)


def given(**fields: Any) -> dict[str, Any]:
    """``fields`` without those that are None."""
    return {name: value for name, value in fields.items() if value is not None}


def run_status(*, complete: bool, evaluated: int | None) -> str:
    """``ok`` only for a complete run that evaluated something, else ``partial``."""
    return "ok" if complete and evaluated != 0 else "partial"


def moment(value: Any, notes: list[str]) -> datetime | None:
    """An ISO 8601 time, in UTC; one without an offset is taken as UTC, and ``notes`` says so."""
    if not isinstance(value, str) or not 10 <= len(value) <= 40:
        return None
    try:
        time = datetime.fromisoformat(value)
    except ValueError:
        return None
    if time.tzinfo is None:
        notes.append("the file gives times without an offset; they are taken as UTC")
        time = time.replace(tzinfo=UTC)
    return _plausible(time)


def stamp(time: datetime | None) -> str | None:
    """The time as bodies write it; None stays None."""
    return None if time is None else format_time(time)


def epoch(seconds: Any) -> datetime | None:
    """Seconds since 1970 (a number, or one printed as text), in UTC."""
    figure, _ = number(seconds)
    try:
        return None if figure is None else _plausible(datetime.fromtimestamp(figure, UTC))
    except (ValueError, OverflowError, OSError):
        return None


def _plausible(time: datetime) -> datetime | None:
    try:
        time = time.astimezone(UTC).replace(microsecond=0)
    except (ValueError, OverflowError):
        return None
    return time if 1970 <= time.year < 3000 else None


def source(
    tool: str,
    form: str,
    digest: str,
    *,
    version: str | None = None,
    notes: Iterable[str] = (),
) -> dict[str, Any]:
    """The predicate's ``source``; each note once, in the order made."""
    unique = list(dict.fromkeys(notes))
    return {"tool": tool, **given(version=version), "format": form, "sha256": digest} | given(
        notes=unique or None
    )


def version_note(tool: str, version: str | None, known: str) -> list[str]:
    """A note if the tool's version is not of the series the collector was tested with.

    Args:
        known: the series, such as ``0.4``.
    """
    if version is not None and (version == known or version.startswith(f"{known}.")):
        return []
    found = f"version {version}" if version else "an unknown version"
    return [f"read as {tool} {known} writes it; the file is from {found}"]
