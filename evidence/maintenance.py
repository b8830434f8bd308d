"""Upkeep of a ledger: rebuild what is derived (fsck), and copy it while it is in use (backup).

Envelopes, leaves and checkpoints are what a ledger is; everything else in it is computed from them.
``fsck`` computes it anew and reports every difference. It writes only if asked, only what is
derived, and only if the entries are those that the last checkpoint signs: over other entries it
would make a forgery look tidy.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

from muniment.schemas.errors import InputError, MunimentError, StoreError, VerificationError
from muniment.schemas.finding import Check, Finding, VerificationReport

from .checkpoint import SignedCheckpoint, verify_checkpoint
from .entry import Entry
from .ledger import Ledger
from .merkle import Frontier, hash_leaf
from .storage import (
    ERASED_COLUMNS,
    Reader,
    Rebuilder,
    Storage,
    StoredEntry,
    sync_folder,
)
from .tiles import HASH_SIZE, WIDTH, add_leaf

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
    if not repair:
        with ledger.storage.read() as reader:
            return _Rebuilding(reader, ledger, progress).report
    with ledger.storage.rebuild() as rebuilder:
        rebuilding = _Rebuilding(rebuilder, ledger, progress)
        rebuilding.write(rebuilder)
    return rebuilding.report


class _Rebuilding:
    """What is derived from the entries, and where it differs from what is stored.

    1. the entries are there without a gap, and each can be read or was erased;
    2. their tree is the one that the last checkpoint signs;
    3. the derived columns are those of the entries;
    4. so are the subject rows;
    5. so are the tiles.
    """

    def __init__(self, reader: Reader, ledger: Ledger, progress: Progress | None) -> None:
        self._reader = reader
        self._entries = Check("entries", "the entries are those that the last checkpoint signs")
        self._columns = Check("columns", "the derived columns are those of the entries")
        self._subjects = Check("subjects", "the subject rows are those of the entries")
        self._tiles = Check("tiles", "the tiles are those of the leaves")
        checks = [self._entries, self._columns, self._subjects, self._tiles]
        self.report = VerificationReport(ledger.vkey.name, checks)
        self._erased = reader.erasures()
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
        self._is_signed = self._check_tree(ledger)
        self._check_leftovers()

    def _compare(self, chunk: Sequence[StoredEntry]) -> None:
        stored: dict[int, list[tuple[int, str, str]]] = {}
        for row in self._reader.subjects(chunk[0].number, chunk[-1].number + 1):
            stored.setdefault(row.number, []).append((row.position, row.sha256, row.name))
            self._seen_subjects += 1
        for entry in chunk:
            self._grow(entry)
            derived = self._derive(entry)
            if derived is not None:
                self._compare_columns(entry, derived[0])
                self._compare_subjects(entry.number, stored.get(entry.number, []), derived[1])

    # (1)
    def _derive(self, row: StoredEntry) -> tuple[Mapping[str, str], SubjectRows] | None:
        """Columns and subjects of one entry; None if it cannot be read."""
        self._entries.checked += 1
        if not row.envelope and row.number in self._erased:
            return {"leaf_hash": hash_leaf(row.leaf).hex(), **ERASED_COLUMNS}, []
        try:
            entry = Entry.from_stored(row.number, row.envelope, row.leaf)
        except MunimentError as error:
            self._entries.findings.append(Finding.of(error, row.number))
            return None
        return entry.columns(), entry.subjects()

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
                Finding("subjects.differ", text, number, _text(subjects), _text(stored))
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
            held = self._size >> (8 * level) if 0 <= level < 8 else 0
            if number < 0 or number * WIDTH >= held:
                self._tiles.checked += 1
                self._differing_tile((level, number), b"", "belongs to no entry")
        self._stray = self._reader.count_subjects() - self._seen_subjects
        if self._stray:
            text = f"{self._stray} subject rows belong to no entry"
            self._subjects.findings.append(Finding("subjects.stray", text))

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
        for place, hashes in self._new_tiles.items():
            rebuilder.rewrite_tile(*place, hashes)
        left = len(self._entries.findings)
        done = sum(1 for _ in self.report.findings) - left
        self.report.conclusions.append(
            f"{done} repaired from the entries"
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


def _chunks(rows: Iterator[StoredEntry]) -> Iterator[list[StoredEntry]]:
    while chunk := list(islice(rows, _CHUNK)):
        yield chunk


def _text(subjects: Iterable[tuple[int, str, str]]) -> str:
    return ", ".join(f"{name} {sha256}" for _, sha256, name in subjects) or "none"
