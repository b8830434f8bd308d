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

Steps 1, 2, 3 and 5 need a row alone and are made in several processes (``rowcheck``, ``workers``);
the others go through the ledger from its beginning, here. An incremental verification takes steps 1
to 5 and 7 for new entries only, and holds the older ones against the root that was verified before
(``pinned``).

Artifacts and git links come after (``filechecks``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import Any

from muniment.schemas.errors import MunimentError
from muniment.schemas.finding import Check, Finding, VerificationReport
from muniment.schemas.kinds import KindRegistry
from muniment.schemas.record import Record
from muniment.schemas.statement import RecordRef, Statement, SystemRef, predicate_type
from muniment.schemas.text import counted
from muniment.schemas.times import format_time, parse_time

from .admission import DatedEntry, admit, digest_of_keys, entitle, find_compromised
from .checkpoint import SignedCheckpoint, verify_checkpoint
from .dsse import Envelope
from .entry import Entry
from .erasurecheck import ErasureCheck
from .exact import exact_bytes
from .ledger import dated_entry
from .merkle import hash_leaf
from .note import VerifierKey
from .pinned import Pinned, chain, digest_of_rules
from .rowcheck import Claim, Verdict
from .soundrow import ClaimFields, Sound, SubjectColumns, Task
from .storage import Reader
from .treecheck import GrowingTree, TreeCheck
from .trust import KEY_KIND, KeyRing
from .workers import check_all

_CHUNK = 256
_MANY = 4000
"""From here on helper processes are worth their start."""
_KEY_TYPE = predicate_type(KEY_KIND)
SYSTEM_KIND = "system"
"""Kind that registers a system version."""

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
        since: what was verified before; the entries under it are then held against its root alone.

    After ``records`` is exhausted, ``report``, ``ring`` and ``last`` are complete.
    """

    def __init__(
        self,
        reader: Reader,
        vkey: VerifierKey,
        root: str,
        kinds: KindRegistry,
        progress: Progress | None = None,
        since: Pinned | None = None,
    ) -> None:
        self._reader = reader
        self._vkey = vkey
        self._pinned = root
        self._kinds = kinds
        self._progress = progress
        self._since = since
        self._checks = _Checks()
        self.ring = KeyRing()
        self.report = VerificationReport(vkey.name, self._checks.all())
        self.last: SignedCheckpoint | None = None
        """The last checkpoint, if it verified."""
        self._erasures = ErasureCheck(self._checks.entries, reader)
        self._tree: GrowingTree = TreeCheck(self._checks.tree, reader.tiles())
        self._genesis: str | None = None
        self._time: datetime | None = None
        self._keys: list[DatedEntry] = []
        self._subjects_seen = 0
        self._about: set[tuple[str, str]] | None = None
        self._chains: dict[tuple[str, str], bytes] = {}
        """By id and version of each system, the digest over its records."""
        self._registrations = b""
        """Digest over the records that register one."""
        self._entitled: dict[tuple[ClaimFields | None, datetime], str] = {}
        """What was found entitled since the last key record: claim and recorded time to the latest
        time such a statement spoke of."""

    def records(
        self, *, files_only: bool = False, about: Collection[SystemRef] | None = None
    ) -> Iterator[Record]:
        """Verify everything; give each record that is sound and trusted, in ledger order.

        Args:
            files_only: give only the records that speak of a file; as much is verified.
            about: give all that speak of these systems or register one, and few others.
        """
        if about is not None:
            self._about = {(system.id, system.version) for system in about}
            files_only = True
        size = self._reader.size()
        self._keys = list(self._key_entries())
        self.ring = KeyRing(find_compromised(self._keys, self._kinds))
        expected = self._resume(size) if self._since else 0
        checkpoints = self._reader.checkpoints(expected if self._since else None)
        pending = next(checkpoints, None)
        covering: SignedCheckpoint | None = None
        tried: tuple[int, bytes] | None = None
        if expected and pending is not None and pending[0] == expected:
            self._check_root(self._checkpoint_for(pending), expected)
            pending = next(checkpoints, None)
        processes = _processes() if size - expected >= _MANY else 1
        for tasks, verdicts in check_all(self._tasks(expected), self._kinds, processes=processes):
            self._checks.entries.checked += len(tasks)
            sound = 0
            for (row, _), verdict in zip(tasks, verdicts, strict=True):
                number = row[0]
                if number != expected:
                    self._misplaced(number, expected)
                expected = number + 1
                self._tree.append(verdict.leaf_hash)
                while pending is not None and pending[0] <= number:
                    pending = self._stray(pending, checkpoints)
                if covering is None or covering.size <= number:
                    # A checkpoint that does not hold is one fault, however many it covers.
                    covering = self._checkpoint_for(pending) if pending != tried else None
                    tried = pending
                if isinstance(verdict, Sound):
                    sound += 1
                    record = self._timed(row, verdict, covering, files_only)
                else:
                    record = self._record(row, verdict, covering, files_only)
                if covering is not None and row[7]:
                    self._chain(row, covering.time, verdict.leaf_hash)
                if pending is not None and pending[0] == self._tree.size:
                    self._check_root(covering, pending[0])
                    pending = next(checkpoints, None)
                if record is not None:
                    self._erasures.order(record)
                    if not files_only or self._is_wanted(row, verdict):
                        yield record
            self._checks.signatures.checked += sound
            self._checks.columns.checked += sound
            if self._progress:
                self._progress(expected, size)
        self._finish(size, pending, checkpoints)
        self._conclude(expected)

    def _chain(self, row: Sequence[Any], recorded_at: datetime, leaf_hash: bytes) -> None:
        """Add a record to what a later verification may rest on."""
        number, kind, system = row[0], row[6], (row[7], row[8])
        before = self._chains.get(system, b"")
        self._chains[system] = chain(before, number, recorded_at, leaf_hash)
        if kind == SYSTEM_KIND:
            self._registrations = chain(self._registrations, number, recorded_at, leaf_hash)

    def _conclude(self, size: int) -> None:
        since = self._since
        if since is None:
            self.report.conclusions.append(
                f"a full audit: every record was looked at, {size:,} in all"
            )
            return
        self.report.extent = "incremental"
        if self._tree.size < since.size:
            self.report.conclusions.append(
                f"an incremental verification: of the {since.size:,} records verified before only "
                f"{self._tree.size:,} are there"
            )
            return
        self.report.conclusions.append(
            f"an incremental verification: {counted(size - since.size, 'new record')} looked at "
            f"in full, {counted(since.size, 'record')} verified before held against their root "
            "alone"
        )

    def _tasks(self, start: int) -> Iterator[list[Task]]:
        """Rows from a number on with their subject rows, a chunk at a time."""
        rows = self._reader.plain_entries(start if self._since else None)
        subjects = self._reader.plain_subjects(start)
        subject = next(subjects, None)
        while chunk := list(islice(rows, _CHUNK)):
            found: dict[int, list[SubjectColumns]] = {}
            last = chunk[-1][0]
            while subject is not None and subject[0] <= last:
                found.setdefault(subject[0], []).append(subject[1:])
                self._subjects_seen += 1
                subject = next(subjects, None)
            yield [(row, found.get(row[0], [])) for row in chunk]
        for _ in subjects:
            pass  # rows of no entry; a cursor that is left open holds the connection

    def _key_entries(self) -> Iterator[DatedEntry]:
        """Key records that look sound; what is wrong with the others is found on the way."""
        for row in self._reader.find(kind=KEY_KIND):
            try:
                yield dated_entry(row, self._reader, self._vkey)
            except MunimentError:
                continue

    @property
    def keys(self) -> tuple[DatedEntry, ...]:
        """The key records that look sound, with their recorded times."""
        return tuple(self._keys)

    def pin(self) -> Pinned | None:
        """What a later verification may rest on; None if anything failed."""
        size = self._reader.size()
        if self.last is None or self.last.size != size or next(self.report.findings, None):
            return None
        return Pinned(
            ledger=str(self._vkey),
            size=size,
            root=self.last.root,
            time=self.last.time,
            keys=digest_of_keys(self._keys),
            rules=digest_of_rules(self._kinds),
            registrations=self._registrations,
            systems={SystemRef(*system): found for system, found in sorted(self._chains.items())},
        )

    # Entries that were verified before
    def _resume(self, size: int) -> int:
        """Hold the older entries against what was verified before; how many those are."""
        since = self._since
        assert since is not None
        check = Check("pinned", "what was verified before is unchanged", 1)
        self.report.checks.insert(0, check)
        if since.ledger != str(self._vkey):
            text = "a ledger with another key was verified before, of this name and under this root"
            found = Finding("pinned.ledger", text, None, since.ledger, str(self._vkey))
            check.findings.append(found)
        for leaf in self._reader.leaves(since.size):
            self._tree.append(hash_leaf(leaf))
        if self._tree.size < since.size:
            text, expected = "entries that were verified before are gone", f"{since.size} entries"
            left = f"{self._tree.size} entries"
            check.findings.append(Finding("pinned.size", text, None, expected, left))
        elif (root := self._tree.root()) != since.root:
            text = f"the first {since.size} entries are not the ones that were verified before"
            check.findings.append(Finding("pinned.root", text, None, since.root.hex(), root.hex()))
        old = [dated for dated in self._keys if dated[0].index < since.size]
        if (keys := digest_of_keys(old)) != since.keys:
            text = "the key records and their times are not the ones that were verified before"
            check.findings.append(Finding("pinned.keys", text, None, since.keys, keys))
        for entry, recorded_at in old:
            try:
                admit(entry, self.ring, recorded_at, self._kinds, self._genesis)
            except MunimentError as error:
                check.findings.append(Finding.of(error, entry.index))
            self._genesis = self._genesis or entry.sha256
        self._time = since.time
        self._chains = {
            (system.id, system.version): found for system, found in since.systems.items()
        }
        self._registrations = since.registrations
        self._note_unchecked(since)
        return since.size

    def _note_unchecked(self, since: Pinned) -> None:
        checks = self._checks
        for check in (
            *(checks.entries, checks.signatures, checks.schema),
            *(checks.trust, checks.columns, checks.checkpoints),
        ):
            check.not_checked.append(
                f"{counted(since.size, 'record')} verified before, as of "
                f"{format_time(since.time)}: only their leaves were looked at again"
            )

    # (1) and what hangs on it
    def _misplaced(self, number: int, expected: int) -> None:
        check = self._checks.entries
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
        else:
            check.findings.append(
                Finding(
                    "entry.missing",
                    f"#{expected} is gone"
                    if number == expected + 1
                    else f"#{expected} to #{number - 1} are gone",
                    expected,
                    expected=str(expected),
                    found=str(number),
                )
            )

    def _record(
        self,
        row: Sequence[Any],
        verdict: Verdict,
        covering: SignedCheckpoint | None,
        files_only: bool,
    ) -> Record | None:
        checks = self._checks
        if verdict.entry is not None:
            checks.entries.findings.append(Finding(*verdict.entry))
            return None
        if verdict.is_erased:
            self._erasures.gone(row[0], exact_bytes(row[2]))
            checks.columns.findings.extend(Finding(*fault) for fault in verdict.columns)
        if verdict.is_erased and not verdict.is_signed:
            checks.signatures.not_checked.append(
                f"#{row[0]} was erased: an Ed25519 signature cannot be checked without it"
            )
        else:
            checks.signatures.checked += 1
        if verdict.signature is not None:
            checks.signatures.findings.append(Finding(*verdict.signature))
            return None
        if verdict.is_erased:
            return None
        checks.columns.checked += 1
        for fault in verdict.columns:
            checks.columns.findings.append(Finding(*fault))
        record = None
        if verdict.schema is None:
            record = self._timed(row, verdict, covering, files_only)
        else:
            checks.schema.checked += 1
            checks.schema.findings.append(Finding(*verdict.schema))
        if row[0] == 0:
            self._genesis = verdict.leaf_hash.hex()
        return record

    # (4)
    def _timed(
        self,
        row: Sequence[Any],
        verdict: Sound | Verdict,
        covering: SignedCheckpoint | None,
        files_only: bool,
    ) -> Record | None:
        """Judge whether the signer was entitled, which the time of recording decides."""
        trust = self._checks.trust
        if covering is None:
            trust.not_checked.append(
                f"#{row[0]}: no sound checkpoint covers it, so its time is not known"
            )
            return None
        self._checks.schema.checked += 1
        trust.checked += 1
        is_wanted = not files_only or self._is_wanted(row, verdict)
        claim = verdict.claim, covering.time
        if not is_wanted and self._entitled.get(claim, "") >= verdict.collected_at:
            return None
        try:
            record = self._judged(row, verdict, covering.time, is_wanted)
        except MunimentError as error:
            trust.findings.append(Finding.of(error, row[0]))
            return None
        trust.note_distrust(record)
        return record

    def _is_wanted(self, row: Sequence[Any], verdict: Sound | Verdict) -> bool:
        """Whether whoever asked wants the record; its columns are held against it all the same."""
        if verdict.is_wanted or self._about is None:
            return verdict.is_wanted
        kind, *system = row[6:9]
        return kind == SYSTEM_KIND or tuple(system) in self._about

    def _judged(
        self, row: Sequence[Any], verdict: Sound | Verdict, recorded_at: datetime, wanted: bool
    ) -> Record:
        number, envelope, leaf = row[:3]
        if self._genesis is None:
            entry = Entry.from_stored(number, envelope, leaf)
            return admit(entry, self.ring, recorded_at, self._kinds, None)
        assert verdict.claim is not None
        claim = Claim._make(verdict.claim)
        changes_keys = claim.predicate_type == _KEY_TYPE
        statement = (
            Statement.reread(Envelope.payload_in(envelope))
            if wanted or changes_keys
            else claim.statement(parse_time(verdict.collected_at))
        )
        ref = RecordRef(number, verdict.leaf_hash.hex())
        record = entitle(ref, statement, claim.signer, self.ring, recorded_at, self._genesis)
        if changes_keys or self.ring.compromised:
            self._entitled.clear()
        else:
            # NOTE: with the keys as they are, the same claim at the same time has the same answer.
            self._entitled[claim, recorded_at] = verdict.collected_at
        return record

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
        root = self._tree.root()
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
        self._erasures.finish(self.ring, self._since.size if self._since else 0)
        self._tree.finish()
        self._check_leftovers()
        self._check_pinned_root(size)

    def _check_leftovers(self) -> None:
        if self._since is not None:
            return
        stray = self._reader.count_subjects() - self._subjects_seen
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


def _processes() -> int:
    """How many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1
