"""Where data came from, as the packet shows it: one table for each source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from muniment.schemas.record import Record

from . import views
from .model import PacketInput
from .printable import plain

MAX_SOURCES = 15
"""Sources with a table of their own; the register has the rest."""
MAX_FILES = 12
"""Files of one source that are listed."""
MAX_FIELD = 3000
"""Characters of one field; the register prints more."""
_ORDER = ("train", "tuning", "held-out", "production")
_NAMED = (
    ("Description", ("dataset", "description")),
    ("Origin", ("source", "origin")),
    ("Address", ("source", "url")),
    ("Collected by", ("source", "collectedBy")),
    ("How it was drawn", ("source", "method")),
    ("Licence", ("rights", "licence")),
    ("Consent or other ground", ("rights", "consentBasis")),
    ("Read from", ("rights", "basis")),
    ("Rights held by", ("rights", "holder")),
    ("Not allowed", ("rights", "restrictions")),
    ("Rows", ("rows",)),
    ("Preparation", ("preparation",)),
    ("Known gaps", ("knownGaps",)),
    ("Represents", ("representativeness",)),
    ("Data about people", ("personalData",)),
    ("Specially protected", ("sensitiveCategories",)),
    ("Kept until", ("retainedUntil",)),
)


@dataclass(frozen=True, slots=True)
class DataSource:
    """One data-provenance record."""

    record: Record
    name: str
    split: str
    """What the data was used for; ``not stated`` where the record does not say."""
    fields: tuple[views.Field, ...]
    files: tuple[tuple[str, str, str], ...]
    """Name, rows and SHA-256."""
    more: int
    """Files that are not listed."""


def data_sources(packet: PacketInput) -> tuple[DataSource, ...]:
    """The sources in force, by what they were used for, then those that were replaced."""
    old = views.replaced(packet)
    found = [_source(record) for record in views.of_kind(packet, "data-provenance")]
    rank = {name: place for place, name in enumerate(_ORDER)}
    ordered = sorted(
        found,
        key=lambda item: (
            item.record.index in old,
            rank.get(item.split, len(rank)),
            item.record.index,
        ),
    )
    return tuple(ordered)


def _source(record: Record) -> DataSource:
    body = record.statement.body
    dataset = _mapping(body.get("dataset"))
    parts = [dataset.get("name") or views.headline(record), dataset.get("version")]
    files = list(_files(record))
    return DataSource(
        record,
        " ".join(views.text_of(part) for part in parts if part),
        views.text_of(body.get("split") or "not stated"),
        tuple(_fields(body)),
        tuple(files[:MAX_FILES]),
        max(len(files) - MAX_FILES, 0),
    )


def _fields(body: Mapping[str, Any]) -> Iterator[views.Field]:
    period = _mapping(body.get("collectionPeriod"))
    if period:
        days = f"{views.text_of(period.get('start'))} to {views.text_of(period.get('end'))}"
        yield views.Field("Collected", days)
    for label, path in _NAMED:
        value: Any = body
        for name in path:
            value = _mapping(value).get(name)
        if value is not None:
            yield views.Field(label, plain(_lines(value), MAX_FIELD))


def _lines(value: Any) -> str:
    if isinstance(value, list) and not any(isinstance(item, (dict, list)) for item in value):
        shown = [views.text_of(item) for item in value[: views.MAX_ROWS]]
        more = len(value) - len(shown)
        return "\n".join([*shown, *([f"and {more:,} more"] * bool(more))]) or "none"
    return views.text_of(value)


def _files(record: Record) -> Iterator[tuple[str, str, str]]:
    listed = views.entries(record, "contents")
    for item in listed:
        rows = item.get("rows")
        yield (
            views.text_of(item.get("name")),
            "–" if rows is None else views.text_of(rows),
            views.text_of(item.get("sha256")),
        )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
