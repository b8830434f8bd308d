"""What one stored row shows by itself, whatever stands before it. Pure.

These checks need no state, so that they can be made for many rows at once, in any process; what
depends on the place in the ledger is ``verification``'s.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from muniment.schemas.errors import MunimentError, SchemaError
from muniment.schemas.finding import Finding
from muniment.schemas.kinds import KindRegistry, check_body
from muniment.schemas.statement import GENESIS, Statement

from .attestation import KIND as ATTESTATION
from .entry import Entry
from .leaf import verify_leaf
from .merkle import hash_leaf
from .trust import ERASURE_KIND

Fault = tuple[str, str, int | None, str | None, str | None]
"""The fields of a ``Finding``."""
SubjectColumns = tuple[int, str, str]
"""Position, SHA-256 and name of a subject row."""
Task = tuple[tuple[Any, ...], Sequence[SubjectColumns]]
"""The columns of an ``entry`` row in their order, and its subject rows."""


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


ClaimFields = tuple[str, str, str | None, str | None]
"""The fields of a ``Claim``."""


class Verdict(NamedTuple):
    """What one row shows; plain values only, so that it goes from process to process."""

    leaf_hash: bytes
    entry: Fault | None
    """The fault that keeps it from being read; nothing else was then looked at."""
    signature: Fault | None = None
    columns: tuple[Fault, ...] = ()
    schema: Fault | None = None
    claim: ClaimFields | None = None
    collected_at: str = ""
    is_wanted: bool = False
    """Whether it speaks of files, of what is erased or of a third party's word: what an audit
    looks at after the ledger itself."""
    is_erased: bool = False
    """Its bytes are gone; the leaf was checked by itself."""
    is_signed: bool = True
    """Whether the signature could be checked."""


_LOOKED_AT = frozenset({ERASURE_KIND, ATTESTATION})


class RowChecker:
    """Checks rows against these kinds."""

    def __init__(self, kinds: KindRegistry) -> None:
        self._kinds = kinds
        self._claims: dict[ClaimFields, ClaimFields] = {}
        """Each claim once, so that it is sent once."""

    def check(
        self,
        tasks: Sequence[Task],
        spread: Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]] = map,
        parts: int = 1,
    ) -> list[Verdict]:
        """A verdict for each row.

        Args:
            spread: runs a function over the parts of a list, like ``map``; OpenSSL lets other
                threads run while it checks signatures.
            parts: how many parts.
        """
        with _uncollected():
            return self._check(tasks, spread, parts)

    def _check(
        self,
        tasks: Sequence[Task],
        spread: Callable[[Callable[[Any], Any], Iterable[Any]], Iterable[Any]],
        parts: int,
    ) -> list[Verdict]:
        # NOTE: parsing holds the interpreter's lock and OpenSSL does not, but the two side by side
        # are slower than one after the other: each thread would wait for the lock after every
        # signature.
        entries = [_parse(row) for row, _ in tasks]
        faults: dict[int, Fault] = {}
        for part in spread(_check_signatures, [entries[start::parts] for start in range(parts)]):
            faults.update(part)
        return [
            _erased(row, subjects)
            if not row[1]
            else Verdict(hash_leaf(row[2]), _fault(entry, row[0]))
            if isinstance(entry, MunimentError)
            else Verdict(entry.leaf_hash, None, faults[entry.index])
            if entry.index in faults
            else self._verdict(row, entry, subjects)
            for (row, subjects), entry in zip(tasks, entries, strict=True)
        ]

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
        claim = (
            entry.key.fingerprint,
            statement.predicate_type,
            role if isinstance(role, str) else None,
            statement.genesis,
        )
        columns = entry.columns()
        return Verdict(
            entry.leaf_hash,
            None,
            None,
            _column_faults(row, columns, entry, subjects),
            schema,
            self._claims.setdefault(claim, claim),
            columns["collected_at"],
            statement.kind in _LOOKED_AT or any(subject.is_file for subject in statement.subjects),
        )


def _erased(row: tuple[Any, ...], subjects: Sequence[SubjectColumns]) -> Verdict:
    """A row whose bytes are gone: the leaf must hold by itself, and nothing else be left."""
    fault, is_signed = None, False
    try:
        is_signed = verify_leaf(row[2])
    except MunimentError as error:
        fault, is_signed = _fault(error, row[0]), True
    left = ", ".join(str(value) for value in row[4:] if value)
    faults: tuple[Fault, ...] = ()
    if left or subjects:
        text = f"#{row[0]} was erased, but columns or subject rows still speak of it"
        faults = (("erasure.undone", text, row[0], None, left or _subjects_text(subjects)),)
    return Verdict(hash_leaf(row[2]), None, fault, faults, is_erased=True, is_signed=is_signed)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Keep the garbage collector from going through everything after every few rows.

    What is made of rows holds no cycles, and all of it is gone when their verdicts are there.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _parse(row: tuple[Any, ...]) -> Entry | MunimentError:
    try:
        return Entry.from_stored(row[0], row[1], row[2])
    except MunimentError as error:
        return error


def _check_signatures(entries: Sequence[Entry | MunimentError]) -> dict[int, Fault]:
    """Faulty signatures by number."""
    faults: dict[int, Fault] = {}
    for entry in entries:
        if isinstance(entry, Entry):
            try:
                entry.envelope.verify(entry.key)
            except MunimentError as error:
                faults[entry.index] = _fault(error, entry.index)
    return faults


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
                _subjects_text(own),
                _subjects_text(subjects),
            )
        )
    return tuple(faults)


def _subjects_text(subjects: Iterable[SubjectColumns]) -> str:
    return ", ".join(f"{name} {sha256}" for _, sha256, name in subjects) or "none"


def _fault(error: MunimentError, number: int) -> Fault:
    found = Finding.of(error, number)
    return found.code, found.message, found.record, found.expected, found.found
