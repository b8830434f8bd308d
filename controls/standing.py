"""Whether each record still counts, as coverage sees it, or what became of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from muniment.schemas.record import Record
from muniment.schemas.statement import SystemRef

from .index import ERASURE, SYSTEM, build_index

COUNTS = "counts"
_WORDS = {
    "record.superseded": "superseded",
    "record.retracted": "retracted",
}
"""Why ``build_index`` leaves a record out to how that is said; the later, the stronger."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What is still known of an erased record: what the order says."""

    index: int
    sha256: str
    kind: str
    system: SystemRef | None
    by: int
    """Place of the erasure record."""


def standings(records: Iterable[Record]) -> dict[int, str]:
    """By place: ``counts``, ``superseded by #9``, ``retracted by #9`` or ``distrusted: why``.

    Args:
        records: all of the ledger, verified.
    """
    groups: dict[SystemRef | None, list[Record]] = {}
    found: dict[int, str] = {}
    for record in records:
        groups.setdefault(record.statement.system, []).append(record)
        why = record.distrusted
        found[record.index] = COUNTS if why is None else f"distrusted: {why}"
    for system, group in groups.items():
        if system is None:
            continue
        latest = max(record.recorded_at for record in group)
        left_out = build_index(group, system, latest, None).left_out
        for code, word in _WORDS.items():
            for reason in left_out:
                if reason.code == code:
                    target, by = reason.records
                    found[target.index] = f"{word} by #{by.index}"
    return found


def withdrawn(records: Iterable[Record]) -> dict[int, str]:
    """Of ``standings``, the records that were rightly superseded or retracted, and no others."""
    words = tuple(_WORDS.values())
    return {place: word for place, word in standings(records).items() if word.startswith(words)}


def counting(records: Iterable[Record], system: SystemRef, as_of: datetime) -> list[Record]:
    """The records about one system version that still counted at that moment."""
    return list(build_index(records, system, as_of, None).current.values())


def registrations(records: Iterable[Record], states: Mapping[int, str]) -> dict[SystemRef, Record]:
    """The record that registers each system version: the last that counts, or the last of all.

    Args:
        states: what ``standings`` gave.
    """
    everything, found = list(records), dict[SystemRef, Record]()
    for counts in (False, True):
        for record in everything:
            is_wanted = states[record.index] == COUNTS or not counts
            if record.kind == SYSTEM and is_wanted and record.statement.system is not None:
                found[record.statement.system] = record
    return found


def erased(records: Iterable[Record]) -> Iterator[Erased]:
    """What erasure records say of the records they removed."""
    for record in records:
        if record.kind == ERASURE:
            for item in record.statement.body["records"]:
                yield Erased(
                    item["index"],
                    item["sha256"],
                    item["kind"],
                    record.statement.system,
                    record.index,
                )
