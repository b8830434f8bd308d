"""What a collector is: it recognises one tool's file and drafts the body of an evidence record.

A collector takes over figures and names, never samples, prompts, parameters, tags, environment,
host names or absolute paths. What the tool does not know is left out, for a person to supply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .document import Document


@dataclass(frozen=True, slots=True)
class Collected:
    """The draft of a record, read from one file; the same bytes always give the same draft."""

    kind: str
    """The kind of evidence, such as ``eval-result``."""
    body: Mapping[str, Any]
    """The kind's own fields, without those the tool does not know."""
    source: Mapping[str, Any]
    """The predicate's ``source``: tool, version, format, the file's SHA-256, and notes on what had
    to be assumed or was left out."""
    collected_at: datetime | None
    """When the facts held, from the file, in UTC; None if the file does not say."""


class Collector(Protocol):
    """One module per tool, used as an object."""

    FORMAT: str
    """Name of the file format and the version of it that is read."""

    def matches(self, document: Document, /) -> bool:
        """Whether the tool wrote this file; never raises, whatever the bytes."""
        ...

    def collect(self, document: Document, /) -> Collected:
        """Draft the body from a file that matched.

        Raises:
            InputError: ``collector.malformed`` if the file is broken or contradicts itself,
                ``collector.unsupported`` if its format is of a version that is not known.
        """
        ...
