"""What one stored row shows by itself, whatever stands before it. Pure.

These checks need no state, so that they can be made for many rows at once, in any process; what
depends on the place in the ledger is ``verification``'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

from muniment.schemas.errors import MunimentError, SchemaError
from muniment.schemas.finding import Finding
from muniment.schemas.kinds import KindRegistry, check_body
from muniment.schemas.statement import GENESIS, Statement

from .entry import Entry
from .exact import exact_bytes
from .garbage import uncollected
from .leaf import verify_leaf
from .merkle import hash_leaf
from .soundrow import LOOKED_AT, ClaimFields, Sound, SoundRows, SubjectColumns, Task, Unproven

Fault = tuple[str, str, int | None, str | None, str | None]
"""The fields of a ``Finding``."""


class Claim(NamedTuple):
    """What of a record its signer's right to make it depends on."""

    signer: str
    """Fingerprint of the key in the leaf."""
    predicate_type: str
    role: str | None
    """What an approval is given as."""
    genesis: str | None

    def statement(self, collected_at: datetime) -> Statement:
        """A statement that holds nothing else."""
        genesis = () if self.genesis is None else ({"relation": GENESIS, "sha256": self.genesis},)
        body = {} if self.role is None else {"role": self.role}
        return Statement((), self.predicate_type, None, collected_at, body, "", references=genesis)


class Verdict(NamedTuple):
    """What a row shows that is not plainly sound; plain values only, as in ``Sound``."""

    leaf_hash: bytes
    entry: Fault | None
    """The fault that keeps it from being read; nothing else was then looked at."""
    signature: Fault | None = None
    columns: tuple[Fault, ...] = ()
    schema: Fault | None = None
    claim: ClaimFields | None = None
    collected_at: str = ""
    is_wanted: bool = False
    """As in ``Sound``."""
    is_erased: bool = False
    """Its bytes are gone; the leaf was checked by itself."""
    is_signed: bool = True
    """Whether the signature could be checked."""


Spread = Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]]
"""Runs a function over the parts of a list, like ``map``."""


class RowChecker:
    """Checks rows against these kinds."""

    def __init__(self, kinds: KindRegistry) -> None:
        self._kinds = kinds
        self._sound = SoundRows(kinds)

    def check(
        self, tasks: Sequence[Task], spread: Spread = map, parts: int = 1
    ) -> list[Sound | Verdict]:
        """What each row shows.

        Args:
            spread: OpenSSL lets other threads run while it checks signatures.
            parts: how many parts to spread them in.
        """
        with uncollected():
            # NOTE: reading holds the interpreter's lock and OpenSSL does not, but the two side by
            # side are slower than one after the other: each thread would wait for the lock after
            # every signature.
            read = [self._sound.read(task) for task in tasks]
            size = -(-len(read) // parts) or 1
            proven = spread(_proven, [read[at : at + size] for at in range(0, len(read), size)])
            return [
                sound or self._look(*task)
                for task, sound in zip(tasks, chain.from_iterable(proven), strict=True)
            ]

    def _look(self, row: tuple[Any, ...], subjects: Sequence[SubjectColumns]) -> Verdict:
        envelope, leaf = exact_bytes(row[1]), exact_bytes(row[2])
        if not envelope:
            return _erased(row, leaf, subjects)
        try:
            entry = Entry.from_stored(row[0], envelope, leaf)
        except MunimentError as error:
            return Verdict(hash_leaf(leaf), _fault(error, row[0]))
        try:
            entry.envelope.verify(entry.key)
        except MunimentError as error:
            return Verdict(entry.leaf_hash, None, _fault(error, entry.index))
        return self._verdict(row, entry, subjects)

    def _verdict(
        self, row: tuple[Any, ...], entry: Entry, subjects: Sequence[SubjectColumns]
    ) -> Verdict:
        statement = entry.statement
        schema = None
        try:
            check_body(statement, self._kinds)
        except SchemaError as error:
            schema = _fault(error, entry.index)
        role = statement.body.get("role") if statement.kind == "approval" else None
        columns = entry.columns()
        return Verdict(
            entry.leaf_hash,
            None,
            None,
            _column_faults(row, columns, entry, subjects),
            schema,
            (
                entry.key.fingerprint,
                statement.predicate_type,
                role if isinstance(role, str) else None,
                statement.genesis,
            ),
            columns["collected_at"],
            statement.kind in LOOKED_AT
            or statement.supersedes is not None
            or any(subject.is_file for subject in statement.subjects),
        )


def _proven(rows: Sequence[Unproven | None]) -> list[Sound | None]:
    return [row.sound if row is not None and row.holds() else None for row in rows]


def _erased(row: tuple[Any, ...], leaf: bytes, subjects: Sequence[SubjectColumns]) -> Verdict:
    """A row whose bytes are gone: the leaf must hold by itself, and nothing else be left."""
    fault, is_signed = None, False
    try:
        is_signed = verify_leaf(leaf)
    except MunimentError as error:
        fault, is_signed = _fault(error, row[0]), True
    left = ", ".join(str(value) for value in row[4:] if value)
    faults: tuple[Fault, ...] = ()
    if left or subjects:
        text = f"#{row[0]} was erased, but columns or subject rows still speak of it"
        faults = (("erasure.undone", text, row[0], None, left or subjects_text(subjects)),)
    return Verdict(hash_leaf(leaf), None, fault, faults, is_erased=True, is_signed=is_signed)


def _column_faults(
    row: tuple[Any, ...],
    columns: dict[str, Any],
    entry: Entry,
    subjects: Sequence[SubjectColumns],
) -> tuple[Fault, ...]:
    expected = tuple(columns.values())
    own = entry.subjects()
    if row[3:] == expected and subjects == own:
        return ()
    faults: list[Fault] = [
        (
            "column.differs",
            f"the column {name} does not say what the record says",
            entry.index,
            str(right),
            str(found),
        )
        for name, right, found in zip(columns, expected, row[3:], strict=True)
        if found != right
    ]
    if subjects != own:
        faults.append(
            (
                "subjects.differ",
                "the subject rows are not those of the record",
                entry.index,
                subjects_text(own),
                subjects_text(subjects),
            )
        )
    return tuple(faults)


def subjects_text(subjects: Iterable[SubjectColumns]) -> str:
    """Subject rows in words, for a finding."""
    return ", ".join(f"{name} {sha256}" for _, sha256, name in subjects) or "none"


def _fault(error: MunimentError, number: int) -> Fault:
    found = Finding.of(error, number)
    return found.code, found.message, found.record, found.expected, found.found
