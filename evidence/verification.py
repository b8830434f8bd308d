"""Verification of a whole ledger: everything it says, held against everything it proves.

Steps for each entry, in ledger order:

1. the envelope and leaf are in their one form and agree;
2. the signature holds;
3. the statement and its body are of a known kind;
4. the statement was made for this ledger and its signer was entitled at this place;
5. the derived columns and subject rows are those of the envelope;

and for the whole:

6. the tiles are those of the leaves;
7. every checkpoint is signed twice by the ledger and signs the root over the entries, times do not
run backwards, and the last one covers the last entry;
8. the root key is the one that is pinned.

Artifacts and git links come after (``verify_artifacts``, ``verify_git_links``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path

from muniment.schemas.errors import MunimentError
from muniment.schemas.finding import Check, Finding, VerificationReport
from muniment.schemas.kinds import KindRegistry
from muniment.schemas.record import Record
from muniment.schemas.statement import Subject

from .artifacts import ArtifactStore
from .checkpoint import SignedCheckpoint, verify_checkpoint
from .entry import Entry
from .leaf import verify_leaf
from .ledger import admit, find_compromised
from .merkle import Frontier, hash_leaf
from .note import VerifierKey
from .storage import Reader, StoredEntry
from .tiles import add_leaf
from .trust import ERASURE_KIND, KEY_KIND, KeyRing

_EMPTIED = (
    "fingerprint",
    "predicate_type",
    "kind",
    "system_id",
    "system_version",
    "collected_at",
    "signer",
)
"""Columns that an erasure empties."""
_CHUNK = 512
_THREADS = 2

Progress = Callable[[int, int], None]
"""Called with entries done and entries in all."""


@dataclass(slots=True)
class _Checks:
    """The checks of one run, in the order they are reported."""

    entries: Check = field(
        default_factory=lambda: Check("entries", "every entry is there, in its one form")
    )
    signatures: Check = field(
        default_factory=lambda: Check("signatures", "every record is signed by the key in its leaf")
    )
    schema: Check = field(
        default_factory=lambda: Check("schema", "every record is of a known kind and fits it")
    )
    trust: Check = field(
        default_factory=lambda: Check("trust", "every signer was entitled at that place")
    )
    columns: Check = field(
        default_factory=lambda: Check("columns", "the index columns say what the records say")
    )
    tree: Check = field(
        default_factory=lambda: Check("tree", "the Merkle tree is that of the entries")
    )
    checkpoints: Check = field(
        default_factory=lambda: Check(
            "checkpoints", "every checkpoint is signed and covers these very entries"
        )
    )
    root: Check = field(
        default_factory=lambda: Check("root", "the root key is the one that is pinned")
    )

    def all(self) -> list[Check]:
        return [
            self.entries,
            self.signatures,
            self.schema,
            self.trust,
            self.columns,
            self.tree,
            self.checkpoints,
            self.root,
        ]


class LedgerVerifier:
    """One verification of one ledger.

    Args:
        reader: a consistent view of its storage.
        vkey: the ledger's verifier key.
        root: the pinned fingerprint.
        kinds: the kinds known.

    After ``records`` is exhausted, ``report``, ``ring`` and ``last`` are complete.
    """

    def __init__(
        self,
        reader: Reader,
        vkey: VerifierKey,
        root: str,
        kinds: KindRegistry,
        progress: Progress | None = None,
    ) -> None:
        self._reader = reader
        self._vkey = vkey
        self._pinned = root
        self._kinds = kinds
        self._progress = progress
        self._checks = _Checks()
        self.ring = KeyRing()
        self.report = VerificationReport(vkey.name, self._checks.all())
        self.last: SignedCheckpoint | None = None
        """The last checkpoint, if it verified."""
        self._tiles: dict[tuple[int, int], bytes] = {}
        self._frontier = Frontier()
        self._genesis: str | None = None
        self._erased: dict[int, str] = {}
        """Places without bytes, with their leaf hashes."""
        self._orders: dict[int, tuple[str, int]] = {}
        """Places that erasure records name, with the digest and the record's own place."""
        self._time: datetime | None = None

    def records(self) -> Iterator[Record]:
        """Verify everything; give each record that is sound and trusted, in ledger order."""
        size = self._reader.size()
        self.ring = KeyRing(find_compromised(list(self._key_entries()), self._kinds))
        checkpoints = self._reader.checkpoints()
        pending = next(checkpoints, None)
        covering: SignedCheckpoint | None = None
        tried: tuple[int, bytes] | None = None
        rows = self._reader.entries()
        expected = 0
        with ThreadPoolExecutor(_THREADS) as pool:
            for chunk, faults in _chunks(pool, rows):
                subjects = self._subject_rows(chunk)
                for row, entry in chunk:
                    self._check_number(row.number, expected)
                    expected = row.number + 1
                    self._grow(row, entry)
                    while pending is not None and pending[0] <= row.number:
                        pending = self._stray(pending, checkpoints)
                    if covering is None or covering.size <= row.number:
                        # A checkpoint that does not hold is one fault, however many it covers.
                        covering = self._checkpoint_for(pending) if pending != tried else None
                        tried = pending
                    record = self._record(row, entry, covering, faults, subjects)
                    if pending is not None and pending[0] == self._frontier.size:
                        self._check_root(covering, pending[0])
                        pending = next(checkpoints, None)
                    if record is not None:
                        yield record
                if self._progress:
                    self._progress(expected, size)
        self._finish(size, pending, checkpoints)

    def _key_entries(self) -> Iterator[tuple[Entry, datetime]]:
        """Key records that look sound; what is wrong with the others is found on the way."""
        for row in self._reader.find(kind=KEY_KIND):
            try:
                entry = Entry.from_stored(row.number, row.envelope, row.leaf)
                entry.envelope.verify(entry.key)
                note = self._reader.covering_checkpoint(row.number)
                if note is not None:
                    yield entry, verify_checkpoint(note, self._vkey).time
            except MunimentError:
                continue

    # (1) and what hangs on it
    def _check_number(self, number: int, expected: int) -> None:
        check = self._checks.entries
        check.checked += 1
        if number < expected:
            check.findings.append(
                Finding(
                    "entry.stray",
                    "an entry stands where no entry can be",
                    number,
                    expected=str(expected),
                    found=str(number),
                )
            )
        elif number > expected:
            check.findings.append(
                Finding(
                    "entry.missing",
                    f"entries {expected} to {number - 1} are gone",
                    expected,
                    expected=str(expected),
                    found=str(number),
                )
            )

    def _grow(self, row: StoredEntry, entry: Entry | MunimentError) -> None:
        """Add the stored leaf to the tree; a leaf that is unsound still has its place."""
        leaf_hash = entry.leaf_hash if isinstance(entry, Entry) else hash_leaf(row.leaf)
        changed = add_leaf(self._frontier.size, leaf_hash, lambda *tile: self._tiles.get(tile, b""))
        self._tiles.update(changed)
        self._frontier.append(leaf_hash)

    def _record(
        self,
        row: StoredEntry,
        entry: Entry | MunimentError,
        covering: SignedCheckpoint | None,
        faults: dict[int, MunimentError],
        subjects: dict[int, list[tuple[int, str, str]]],
    ) -> Record | None:
        checks = self._checks
        if not row.envelope:
            self._note_erased(row, subjects.get(row.number, []))
            return None
        if not isinstance(entry, Entry):
            checks.entries.findings.append(Finding.of(entry, row.number))
            return None
        checks.signatures.checked += 1
        if row.number in faults:
            checks.signatures.findings.append(Finding.of(faults[row.number], row.number))
            return None
        self._check_columns(row, entry, subjects.get(row.number, []))
        if covering is None:
            checks.trust.not_checked.append(
                f"#{row.number}: no sound checkpoint covers it, so its time is not known"
            )
            return None
        return self._admit(entry, covering.time)

    def _note_erased(self, row: StoredEntry, subjects: list[tuple[int, str, str]]) -> None:
        """A record whose bytes are gone: the leaf must hold by itself, and nothing else be left."""
        self._erased[row.number] = hash_leaf(row.leaf).hex()
        self._checks.signatures.checked += 1
        try:
            if not verify_leaf(row.leaf):
                self._checks.signatures.not_checked.append(
                    f"#{row.number} was erased: an Ed25519 signature cannot be checked without it"
                )
        except MunimentError as error:
            self._checks.signatures.findings.append(Finding.of(error, row.number))
        left = [name for name in _EMPTIED if getattr(row, name)]
        if left or subjects:
            self._checks.columns.findings.append(
                Finding(
                    "erasure.undone",
                    f"#{row.number} was erased, but columns or subject rows still speak of it",
                    row.number,
                    found=", ".join(left) or _subjects_text(subjects),
                )
            )

    def _check_erasures(self) -> None:
        """Hold what was erased against the records that order it."""
        check, rows = self._checks.entries, self._reader.erasures()
        for number in sorted({*self._erased, *self._orders, *rows}):
            leaf_hash, order = self._erased.get(number), self._orders.get(number)
            ordered, by = order if order else (None, None)
            if leaf_hash is None:
                text = f"#{number} was ordered to be erased, and its bytes are still there"
                check.findings.append(Finding("erasure.undone", text, number))
            elif ordered != leaf_hash or by != rows.get(number):
                check.findings.append(
                    Finding(
                        "erasure.without-order",
                        f"the bytes of #{number} are gone, and no erasure record orders it",
                        number,
                        expected=str(ordered),
                        found=leaf_hash,
                    )
                )
            else:
                text = f"#{number} was erased by #{by}; its place and its proof stay"
                check.notes.append(Finding("record.erased", text, number))

    # (3) and (4)
    def _admit(self, entry: Entry, recorded_at: datetime) -> Record | None:
        from muniment.schemas.errors import SchemaError

        checks = self._checks
        checks.schema.checked += 1
        checks.trust.checked += 1
        try:
            record = admit(entry, self.ring, recorded_at, self._kinds, self._genesis)
        except MunimentError as error:
            check = checks.schema if isinstance(error, SchemaError) else checks.trust
            check.findings.append(Finding.of(error, entry.index))
            return None
        finally:
            if entry.index == 0:
                self._genesis = entry.sha256
        checks.trust.note_distrust(record)
        if record.kind == ERASURE_KIND:
            for item in record.statement.body["records"]:
                self._orders.setdefault(item["index"], (item["sha256"], record.index))
        return record

    # (5)
    def _check_columns(
        self, row: StoredEntry, entry: Entry, subjects: list[tuple[int, str, str]]
    ) -> None:
        check = self._checks.columns
        check.checked += 1
        for name, expected in entry.columns().items():
            found = getattr(row, name)
            if found != expected:
                check.findings.append(
                    Finding(
                        "column.differs",
                        f"the column {name} does not say what the record says",
                        row.number,
                        str(expected),
                        str(found),
                    )
                )
        if subjects != list(entry.subjects()):
            check.findings.append(
                Finding(
                    "subjects.differ",
                    "the subject rows are not those of the record",
                    row.number,
                    _subjects_text(entry.subjects()),
                    _subjects_text(subjects),
                )
            )

    def _subject_rows(
        self, chunk: Sequence[tuple[StoredEntry, Entry | MunimentError]]
    ) -> dict[int, list[tuple[int, str, str]]]:
        found: dict[int, list[tuple[int, str, str]]] = {}
        for row in self._reader.subjects(chunk[0][0].number, chunk[-1][0].number + 1):
            found.setdefault(row.number, []).append((row.position, row.sha256, row.name))
        return found

    # (7)
    def _checkpoint_for(self, pending: tuple[int, bytes] | None) -> SignedCheckpoint | None:
        if pending is None:
            return None
        check = self._checks.checkpoints
        check.checked += 1
        try:
            signed = verify_checkpoint(pending[1], self._vkey)
        except MunimentError as error:
            text = f"the checkpoint of size {pending[0]} does not hold: {error.message}"
            check.findings.append(Finding(error.code, text, None, error.expected, error.found))
            return None
        if signed.size != pending[0]:
            check.findings.append(
                Finding(
                    "checkpoint.column",
                    "the size column is not the size that is signed",
                    expected=str(signed.size),
                    found=str(pending[0]),
                )
            )
            return None
        if self._time is not None and signed.time < self._time:
            check.findings.append(
                Finding(
                    "checkpoint.time",
                    f"the checkpoint of size {signed.size} is older than the one before",
                    expected=f"{self._time:%Y-%m-%dT%H:%M:%SZ} or later",
                    found=f"{signed.time:%Y-%m-%dT%H:%M:%SZ}",
                )
            )
        self._time = signed.time
        self.last = signed
        return signed

    def _check_root(self, signed: SignedCheckpoint | None, size: int) -> None:
        if signed is None:
            return
        root = self._frontier.root()
        if signed.root != root:
            self._checks.checkpoints.findings.append(
                Finding(
                    "checkpoint.root",
                    f"the checkpoint of size {size} was signed over other entries",
                    expected=signed.root.hex(),
                    found=root.hex(),
                )
            )

    def _stray(
        self, pending: tuple[int, bytes], rest: Iterator[tuple[int, bytes]]
    ) -> tuple[int, bytes] | None:
        self._checks.checkpoints.checked += 1
        self._checks.checkpoints.findings.append(
            Finding(
                "checkpoint.stray",
                f"there is a checkpoint of size {pending[0]} that fits no entry",
                found=str(pending[0]),
            )
        )
        return next(rest, None)

    # (6), (7) and (8): the whole
    def _finish(
        self, size: int, pending: tuple[int, bytes] | None, rest: Iterator[tuple[int, bytes]]
    ) -> None:
        while pending is not None:
            signed = self._checkpoint_for(pending)
            if signed is not None and signed.size > size:
                self._checks.checkpoints.findings.append(
                    Finding(
                        "checkpoint.ahead",
                        "a checkpoint covers entries that are gone",
                        size,
                        expected=f"{signed.size} entries",
                        found=f"{size} entries",
                    )
                )
            pending = next(rest, None)
        covered = self.last.size if self.last else 0
        if covered < size:
            self._checks.checkpoints.findings.append(
                Finding(
                    "checkpoint.behind",
                    "the last entries are under no checkpoint",
                    covered,
                    expected=f"{size} entries",
                    found=f"{covered} entries",
                )
            )
        self._check_erasures()
        self._check_tiles()
        self._check_leftovers(size)
        self._check_pinned_root(size)

    def _check_tiles(self) -> None:
        check = self._checks.tree
        missing = set(self._tiles)
        for level, number, hashes in self._reader.tiles():
            place = (level, number)
            check.checked += 1
            missing.discard(place)
            if self._tiles.get(place) != hashes:
                check.findings.append(
                    Finding(
                        "tile.differs", f"tile {place[0]}/{place[1]} is not that of the entries"
                    )
                )
        for level, number in sorted(missing):
            check.checked += 1
            check.findings.append(Finding("tile.missing", f"tile {level}/{number} is gone"))

    def _check_leftovers(self, size: int) -> None:
        stray = self._reader.count_subjects() - sum(1 for _ in self._reader.subjects(0, size))
        if stray:
            self._checks.columns.findings.append(
                Finding("subjects.stray", f"{stray} subject rows belong to no entry")
            )

    def _check_pinned_root(self, size: int) -> None:
        check = self._checks.root
        if not size:
            self._checks.entries.findings.append(
                Finding("entry.missing", "the ledger has no entries, not even a genesis", 0)
            )
            return
        check.checked = 1
        if self.ring.root != self._pinned:
            check.findings.append(
                Finding(
                    "root.differs",
                    "the ledger's root key is not the pinned one",
                    0,
                    expected=self._pinned,
                    found=str(self.ring.root),
                )
            )
        if self.ring.ledger is not None and self.ring.ledger != self._vkey:
            check.findings.append(
                Finding(
                    "root.ledger-key",
                    "the root vouches for another ledger key",
                    0,
                    expected=str(self.ring.ledger),
                    found=str(self._vkey),
                )
            )


def verify_artifacts(
    subjects: Sequence[tuple[int, Subject]],
    store: ArtifactStore,
    erased: Sequence[tuple[int, str]] = (),
) -> Check:
    """Re-hash every artifact that a record says was stored, each digest once.

    Args:
        erased: places of erasure records, and digests that each ordered to be removed.
    """
    check = Check("artifacts", "every stored artifact has the bytes its record names")
    seen: set[str] = set()
    for record, subject in subjects:
        if subject.annotations.get("stored") is False and subject.sha256 not in seen:
            check.not_checked.append(
                f"#{record}: {subject.name} was linked only, its bytes are not in the store"
            )
        if not subject.stored or subject.sha256 in seen:
            continue
        seen.add(subject.sha256)
        check.checked += 1
        fault = store.check(subject.sha256)
        if fault is not None:
            check.findings.append(
                Finding(
                    fault.code,
                    f"{subject.name}: {fault.message}",
                    record,
                    fault.expected,
                    fault.found,
                )
            )
    for record, sha256 in erased:
        check.checked += 1
        if sha256 not in seen and store.path(sha256).exists():
            text = "an artifact that was to be erased is still there: muniment erase finishes it"
            check.findings.append(Finding("erasure.undone", text, record, found=sha256))
    if not seen and not check.not_checked:
        check.not_checked.append("no record speaks of a file")
    return check


def verify_git_links(subjects: Sequence[tuple[int, Subject]], repository: Path) -> Check:
    """Hold the git links against the repository the workspace stands in."""
    from .gitlinks import check_links

    check = Check("git", "every committed file is in git as its record says")
    linked = [item for item in subjects if (item[1].git or {}).get("state") == "committed"]
    if not linked:
        check.not_checked.append("no record speaks of a committed file")
        return check
    try:
        check.checked, check.findings, check.not_checked = check_links(linked, repository)
    except MunimentError as error:
        check.not_checked = [f"{len(linked)} links: {error}"]
    return check


_Parsed = list[tuple[StoredEntry, Entry | MunimentError]]


def _chunks(
    pool: ThreadPoolExecutor, rows: Iterator[StoredEntry]
) -> Iterator[tuple[_Parsed, dict[int, MunimentError]]]:
    """Parsed rows with their faulty signatures, a chunk at a time.

    NOTE: parsing holds the interpreter's lock and OpenSSL does not, but the two side by side are
    slower than one after the other: each thread would wait for the lock after every signature.
    """
    while chunk := [(row, _parse(row)) for row in islice(rows, _CHUNK)]:
        faults: dict[int, MunimentError] = {}
        for part in pool.map(
            _check_signatures, [chunk[start::_THREADS] for start in range(_THREADS)]
        ):
            faults.update(part)
        yield chunk, faults


def _parse(row: StoredEntry) -> Entry | MunimentError:
    try:
        return Entry.from_stored(row.number, row.envelope, row.leaf)
    except MunimentError as error:
        return error


def _check_signatures(chunk: _Parsed) -> dict[int, MunimentError]:
    """Faulty signatures by number; OpenSSL lets other threads run while it works."""
    faults: dict[int, MunimentError] = {}
    for row, entry in chunk:
        if isinstance(entry, Entry):
            try:
                entry.envelope.verify(entry.key)
            except MunimentError as error:
                faults[row.number] = error
    return faults


def _subjects_text(subjects: Sequence[tuple[int, str, str]]) -> str:
    return ", ".join(f"{name} {sha256}" for _, sha256, name in subjects) or "none"
