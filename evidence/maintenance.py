"""Upkeep of a ledger: rebuild what is derived (fsck), and copy it while it is in use (backup).

Envelopes, leaves and checkpoints are what a ledger is; everything else in it is computed from them.
``fsck`` computes it anew and reports every difference. It writes only if asked, only what is
derived, and only if the entries are those that the last checkpoint signs: over other entries it
would make a forgery look tidy.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from muniment.schemas.errors import InputError, MunimentError, StoreError, VerificationError
from muniment.schemas.finding import Check, Finding, VerificationReport
from muniment.schemas.statement import Statement
from muniment.schemas.text import counted

from .checkpoint import SignedCheckpoint, verify_checkpoint
from .entry import Entry
from .ledger import Ledger
from .merkle import Frontier, hash_leaf
from .rowcheck import subjects_text
from .storage import (
    ERASED_COLUMNS,
    Reader,
    Rebuilder,
    Storage,
    StoredEntry,
    sync_folder,
)
from .tiles import HASH_SIZE, WIDTH, add_leaf
from .trust import ERASURE_KIND

_CHUNK = 512
_FULL = WIDTH * HASH_SIZE

Progress = Callable[[int, int], None]
"""Called with entries done and entries in all."""
SubjectRows = Sequence[tuple[int, str, str]]
"""Position, SHA-256 and name of each subject of one record."""


def fsck(
    ledger: Ledger, *, repair: bool = False, progress: Progress | None = None
) -> VerificationReport:
    """Compute everything derived from the entries and report where the ledger says otherwise.

    Args:
        repair: write what was computed, in one transaction.

    Returns:
        The differences that were found, repaired or not; ``conclusions`` says what was done.

    Raises:
        StoreError: the database did not answer; nothing was written.
    """
    with ledger.storage.read() as reader:
        missing = reader.missing_triggers()
        if not repair:
            return _Rebuilding(reader, ledger, missing, progress).report
    with ledger.storage.rebuild() as rebuilder:
        rebuilding = _Rebuilding(rebuilder, ledger, missing, progress)
        rebuilding.write(rebuilder)
    return rebuilding.report


class _Rebuilding:
    """What is derived from the entries, and where it differs from what is stored.

    1. the entries are there without a gap, and each can be read or was erased;
    2. their tree is the one that the last checkpoint signs;
    3. the derived columns are those of the entries;
    4. so are the subject rows;
    5. so are the tiles;
    6. so is the table of erasures, and what is erased was ordered to be;
    7. the triggers are there; writing anything makes them anew.

    Signatures and signers are not judged; verification does that.
    """

    def __init__(
        self, reader: Reader, ledger: Ledger, missing: Sequence[str], progress: Progress | None
    ) -> None:
        self._reader = reader
        self._entries = Check("entries", "the entries are those that the last checkpoint signs")
        self._columns = Check("columns", "the derived columns are those of the entries")
        self._subjects = Check("subjects", "the subject rows are those of the entries")
        self._tiles = Check("tiles", "the tiles are those of the leaves")
        self._erasures = Check("erasures", "the table of erasures is what the erasure records say")
        self._triggers = Check("triggers", "the database refuses to change or remove rows", 1)
        for name in missing:
            text = f"the trigger {name} is gone, switched off or another"
            self._triggers.findings.append(Finding("trigger.missing", text))
        checks = [self._entries, self._columns, self._subjects, self._tiles, self._erasures]
        checks.append(self._triggers)
        self.report = VerificationReport(ledger.vkey.name, checks)
        self._emptied: list[tuple[StoredEntry, SubjectRows]] = []
        self._orders: dict[int, tuple[str, int]] = {}
        """Places that erasure records name, with the digest and the record's own place."""
        self._new_erasures: dict[int, int] | None = None
        self._size = reader.size()
        self._frontier = Frontier()
        self._growing: dict[tuple[int, int], bytes] = {}
        self._new_columns: dict[int, Mapping[str, str]] = {}
        self._new_subjects: dict[int, SubjectRows] = {}
        self._new_tiles: dict[tuple[int, int], bytes] = {}
        self._seen_subjects = 0
        for chunk in _chunks(reader.entries()):
            self._compare(chunk)
            if progress:
                progress(self._frontier.size, self._size)
        self._check_erasures()
        self._is_signed = self._check_tree(ledger)
        self._check_leftovers()

    def _compare(self, chunk: Sequence[StoredEntry]) -> None:
        stored: dict[int, list[tuple[int, str, str]]] = {}
        for item in self._reader.subjects(chunk[0].number, chunk[-1].number + 1):
            stored.setdefault(item.number, []).append((item.position, item.sha256, item.name))
            self._seen_subjects += 1
        for row in chunk:
            self._grow(row)
            self._entries.checked += 1
            subjects = stored.get(row.number, [])
            if not row.envelope:
                self._emptied.append((row, subjects))
            elif (entry := self._read(row)) is not None:
                self._gather_orders(entry)
                self._compare_columns(row, entry.columns())
                self._compare_subjects(row.number, subjects, entry.subjects())

    # (1)
    def _read(self, row: StoredEntry) -> Entry | None:
        try:
            return Entry.from_stored(row.number, row.envelope, row.leaf)
        except MunimentError as error:
            self._entries.findings.append(Finding.of(error, row.number))
            return None

    # (2)
    def _check_tree(self, ledger: Ledger) -> bool:
        note = self._reader.last_checkpoint()
        try:
            if note is None:
                raise VerificationError("checkpoint.missing", "the ledger has no checkpoint")
            last = verify_checkpoint(note, ledger.vkey)
            root = self._frontier.root()
            if (last.size, last.root) != (self._size, root):
                raise VerificationError(
                    "checkpoint.root",
                    "the last checkpoint was signed over other entries",
                    expected=f"{last.size} entries, root {last.root.hex()}",
                    found=f"{self._frontier.size} entries, root {root.hex()}",
                )
        except VerificationError as error:
            self._entries.findings.append(Finding.of(error))
            return False
        return True

    # (3)
    def _compare_columns(self, row: StoredEntry, columns: Mapping[str, str]) -> None:
        self._columns.checked += 1
        for name, expected in columns.items():
            found = getattr(row, name)
            if found != expected:
                text = f"the column {name} does not say what the record says"
                self._columns.findings.append(
                    Finding("column.differs", text, row.number, expected, str(found))
                )
                self._new_columns[row.number] = columns

    # (4)
    def _compare_subjects(self, number: int, stored: SubjectRows, subjects: SubjectRows) -> None:
        self._subjects.checked += 1
        if stored != list(subjects):
            text = "the subject rows are not those of the record"
            self._subjects.findings.append(
                Finding(
                    "subjects.differ", text, number, subjects_text(subjects), subjects_text(stored)
                )
            )
            self._new_subjects[number] = subjects

    # (5)
    def _grow(self, row: StoredEntry) -> None:
        """Add a leaf to the tree; tiles that it fills are compared and let go."""
        leaf_hash = hash_leaf(row.leaf)
        at = self._frontier.size
        changed = add_leaf(at, leaf_hash, lambda *place: self._growing.get(place, b""))
        self._frontier.append(leaf_hash)
        for place, hashes in changed.items():
            self._growing[place] = hashes
            if len(hashes) == _FULL:
                self._compare_tile(place, self._growing.pop(place))

    def _compare_tile(self, place: tuple[int, int], hashes: bytes) -> None:
        self._tiles.checked += 1
        found = self._reader.tile(*place)
        if found != hashes:
            self._differing_tile(place, hashes, "is not that of the leaves" if found else "is gone")

    def _differing_tile(self, place: tuple[int, int], hashes: bytes, how: str) -> None:
        code = "tile.missing" if how == "is gone" else "tile.differs"
        self._tiles.findings.append(Finding(code, f"tile {place[0]}/{place[1]} {how}"))
        self._new_tiles[place] = hashes

    def _check_leftovers(self) -> None:
        """Rows that belong to no entry, and the tiles that are not full yet."""
        for place, hashes in self._growing.items():
            self._compare_tile(place, hashes)
        for level, number, _ in self._reader.tiles():
            if not _is_place(level, number, self._size):
                self._tiles.checked += 1
                self._differing_tile((level, number), b"", "belongs to no entry")
        self._stray = self._reader.count_subjects() - self._seen_subjects
        if self._stray:
            text = f"{self._stray} subject rows belong to no entry"
            self._subjects.findings.append(Finding("subjects.stray", text))

    # (6)
    def _gather_orders(self, entry: Entry) -> None:
        if entry.statement.kind == ERASURE_KIND:
            for number, sha256 in _ordered(entry.statement):
                self._orders.setdefault(number, (sha256, entry.index))

    def _check_erasures(self) -> None:
        """Hold what is erased, and the table that says so, against the orders."""
        for row, subjects in self._emptied:
            leaf_hash = hash_leaf(row.leaf).hex()
            ordered, _ = self._orders.get(row.number, (None, None))
            if ordered != leaf_hash:
                text = f"the bytes of #{row.number} are gone, and no erasure record orders it"
                self._entries.findings.append(
                    Finding("erasure.without-order", text, row.number, ordered, leaf_hash)
                )
                continue
            self._compare_columns(row, {"leaf_hash": leaf_hash, **ERASED_COLUMNS})
            self._compare_subjects(row.number, subjects, [])
        expected, found = self._due_erasures(), self._reader.erasures()
        self._erasures.checked = len({*expected, *found})
        for number in sorted({*expected, *found}):
            if expected.get(number) != found.get(number):
                text = f"the table of erasures does not say of #{number} what the records say"
                self._erasures.findings.append(
                    Finding(
                        "erasure.row",
                        text,
                        number,
                        _by(expected.get(number)),
                        _by(found.get(number)),
                    )
                )
                self._new_erasures = expected

    def _due_erasures(self) -> dict[int, int]:
        """Rows of the table of erasures: those of orders that name a record by its digest."""
        found: dict[int, int] = {}
        for number, (sha256, by) in self._orders.items():
            row = self._reader.entry(number) if number < by else None
            if row is not None and hash_leaf(row.leaf).hex() == sha256:
                found[number] = by
        return found

    def write(self, rebuilder: Rebuilder) -> None:
        """Put what was computed in the place of what differs, where that is allowed."""
        if not any(self.report.findings):
            return
        if not self._is_signed:
            self.report.conclusions.append(
                "nothing was repaired: only entries that the last checkpoint signs may be built "
                "on; muniment verify says what was changed"
            )
            return
        rebuilder.rewrite_columns(self._new_columns)
        for number, subjects in self._new_subjects.items():
            rebuilder.rewrite_subjects(number, subjects)
        if self._stray:
            rebuilder.remove_subjects_outside(self._size)
        if self._new_erasures is not None:
            rebuilder.rewrite_erasures(self._new_erasures)
        for place, hashes in self._new_tiles.items():
            rebuilder.rewrite_tile(*place, hashes)
        left, triggers = len(self._entries.findings), len(self._triggers.findings)
        done = sum(1 for _ in self.report.findings) - left - triggers
        self.report.conclusions.append(
            f"{done} repaired from the entries"
            + (f", {counted(triggers, 'trigger')} made anew" if triggers else "")
            + (f", {left} not: envelopes are never written anew" if left else "")
        )


def backup(ledger: Ledger, target: Path) -> SignedCheckpoint:
    """Copy the ledger, as it is at one moment, into a new SQLite file.

    Other processes go on appending meanwhile. The copy's tree is held against its last checkpoint
    before it gets its name. Artifacts are not part of it.

    Returns:
        The last checkpoint of the copy.

    Raises:
        InputError: ``backup.exists`` or ``file.missing``.
        StoreError: ``backup.unwritable``, ``ledger.damaged``, or what the database says.
    """
    if not target.parent.is_dir():
        raise InputError("file.missing", f"there is no folder {target.parent}")
    try:
        # NOTE: takes the name, so that nobody's file is ever replaced.
        target.open("xb").close()
    except FileExistsError as error:
        raise InputError(
            "backup.exists", f"{target} is there already", hint="a backup replaces no file"
        ) from error
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        return _copy(ledger, target)
    except BaseException as error:
        target.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _unwritable(target, error) from error
        raise


def _copy(ledger: Ledger, target: Path) -> SignedCheckpoint:
    with tempfile.TemporaryDirectory(prefix=".muniment-backup-", dir=target.parent) as folder:
        file = Path(folder) / "ledger.db"
        ledger.storage.copy_to(file)
        copy = Storage(f"sqlite:///{file.name}", file.parent)
        try:
            checkpoint = Ledger(copy, ledger.vkey, ledger.root).checkpoint()
        finally:
            copy.close()
        with file.open("rb+") as written:
            os.fsync(written.fileno())
        file.replace(target)
        sync_folder(target.parent)
    return checkpoint


def _unwritable(target: Path, error: OSError) -> StoreError:
    return StoreError("backup.unwritable", f"{target} cannot be written: {error.strerror}")


def _is_place(level: object, number: object, size: int) -> bool:
    """Whether a ledger of ``size`` entries has a tile there."""
    # NOTE: SQLite columns take any type.
    if not isinstance(level, int) or not isinstance(number, int):
        return False
    return 0 <= level < 8 and number >= 0 and number * WIDTH < size >> (8 * level)


def _ordered(statement: Statement) -> Iterator[tuple[int, str]]:
    """Number and digest of each record that an erasure names, whatever form its body has."""
    records = statement.body.get("records")
    for item in records if isinstance(records, list) else ():
        if isinstance(item, dict):
            number, sha256 = item.get("index"), item.get("sha256")
            if isinstance(number, int) and isinstance(sha256, str):
                yield number, sha256


def _by(number: int | None) -> str:
    return "no row" if number is None else f"#{number}"


def _chunks(rows: Iterator[StoredEntry]) -> Iterator[list[StoredEntry]]:
    while chunk := list(islice(rows, _CHUNK)):
        yield chunk
