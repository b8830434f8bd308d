"""The file in front of the collectors: its bytes, parsed at most once, with nothing trusted.

Tools write what strict JSON forbids (bare ``NaN``), so reading is lenient here, and every value is
checked again where it is taken over.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from muniment.schemas.errors import InputError

_EXACT_DIGITS = 17


class Document:
    """One file.

    Args:
        data: its bytes.
        name: its name, for messages only.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self.data = data
        self.name = name

    @cached_property
    def sha256(self) -> str:
        """Digest of the bytes, hexadecimal."""
        return hashlib.sha256(self.data).hexdigest()

    def holds(self, *marks: bytes) -> bool:
        """Whether every mark occurs somewhere in the bytes."""
        return all(mark in self.data for mark in marks)

    @property
    def is_braced(self) -> bool:
        """Whether the first character is that of a JSON object."""
        return self.data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"

    @cached_property
    def _parsed(self) -> tuple[Any, str | None]:
        """The JSON value, and what is wrong with it as JSON."""
        return parse(self.data)

    @property
    def fault(self) -> str | None:
        """What is wrong with the bytes as one JSON document; None if nothing is."""
        return self._parsed[1]

    @property
    def object(self) -> Mapping[str, Any]:
        """The JSON object; empty if the bytes are none."""
        value = self._parsed[0]
        return value if isinstance(value, dict) else {}

    def has_keys(self, *keys: str) -> bool:
        """Whether this is a JSON object with all ``keys``, or would be if it were not broken.

        A broken file is told by the keys' text, so that a truncated one is refused by name instead
        of passing as a file of no known kind.
        """
        if not self.is_braced or not self.holds(*(f'"{key}"'.encode() for key in keys)):
            return False
        return self.fault is not None or self.object.keys() >= set(keys)

    def root(self, tool: str) -> Mapping[str, Any]:
        """The JSON object of a recognised file.

        Raises:
            InputError: ``collector.malformed`` if it is broken.
        """
        if self.fault is not None:
            raise self.malformed(tool, self.fault)
        return self.object

    def malformed(self, tool: str, why: str) -> InputError:
        """The error for a file that ``tool`` seems to have written but that cannot be relied on."""
        return InputError(
            "collector.malformed",
            f"{self.name} looks like a file of {tool}, but {why}",
            hint="let the tool write it again; a broken file is no evidence",
        )


def unsupported(document: Document, what: str, expected: str, found: str, hint: str) -> InputError:
    """The error for a format or version that is recognised but not read."""
    return InputError(
        "collector.unsupported",
        f"{document.name} is {what}, which is not read",
        hint=hint,
        expected=expected,
        found=found,
    )


def parse(data: bytes) -> tuple[Any, str | None]:
    """Read JSON that may hold ``NaN`` and ``Infinity``; return the value and the fault found."""
    repeated: list[str] = []

    def build(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            repeated.append("a key stands twice in one object")
        return result

    try:
        value = json.loads(data.decode("utf-8-sig"), object_pairs_hook=build, parse_int=_integer)
    except (ValueError, RecursionError):
        return None, "it is not whole, well-formed JSON"
    return value, repeated[0] if repeated else None


def _integer(token: str) -> int | float:
    # NOTE: int() of a million digits is quadratic; no figure needs more digits than a float has.
    if len(token) <= _EXACT_DIGITS:
        return int(token)
    return float(token) if len(token) < 400 else math.inf
