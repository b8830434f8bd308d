"""The ledger: the append-only Merkle log of all records, over storage.

One append is one transaction: entries, tiles and a checkpoint signed twice by the ledger, or
nothing. What is appended is verified first, so that the ledger never takes what it would not count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from muniment.schemas import times
from muniment.schemas.errors import (
    DamageError,
    InputError,
    StoreError,
    TrustError,
    VerificationError,
)
from muniment.schemas.kinds import KindRegistry, check_body
from muniment.schemas.record import Record
from muniment.schemas.statement import RecordRef, Statement

from .admission import DatedEntry, admit, replay_keys
from .checkpoint import Checkpoint, SignedCheckpoint, sign_checkpoint, verify_checkpoint
from .dsse import Envelope
from .entry import Entry
from .erasure import carry_out
from .garbage import uncollected
from .keys import RecordKey, SigningKey
from .merkle import consistency_proof, hash_leaf, inclusion_proof, tree_root, verify_inclusion
from .note import ED25519, VerifierKey
from .receipt import Receipt
from .storage import (
    CheckpointRow,
    EntryRow,
    Reader,
    Storage,
    StoredEntry,
    SubjectRow,
    Writer,
)
from .tiles import add_leaf, node_reader
from .trust import KEY_KIND, KeyRing

_CLOCK_SLACK = timedelta(seconds=60)
_MANY = 100
"""From here on the signatures of a batch are checked in threads; OpenSSL lets them run."""
_THREADS = 2
_PRESENT = timedelta(minutes=5)
"""A time this near to now was not given by anybody."""


@dataclass(frozen=True, slots=True)
class Appended:
    """What an append answered."""

    record: Record
    is_new: bool
    """False if the same statement by the same signer was there already."""


class Ledger:
    """One ledger.

    Args:
        storage: its database.
        vkey: the ledger's verifier key; its name is the origin.
        root: pinned fingerprint of the genesis root.
        clock: gives the recorded time, UTC.
    """

    def __init__(
        self,
        storage: Storage,
        vkey: VerifierKey,
        root: str,
        clock: Callable[[], datetime] = times.now,
    ) -> None:
        self.storage = storage
        self.vkey = vkey
        self.root = root
        self._clock = clock

    @classmethod
    def open(
        cls,
        storage: Storage,
        origin: str,
        root: str,
        kinds: KindRegistry,
        clock: Callable[[], datetime] = times.now,
    ) -> Ledger:
        """Open a ledger by its pinned root: the genesis it signed names the ledger's key.

        Raises:
            StoreError: ``store.missing``.
            VerificationError: the genesis does not hold, or is another's.
        """
        with storage.read() as reader:
            row = reader.entry(0)
        if row is None:
            raise VerificationError("entry.missing", "the ledger has no genesis")
        ring = KeyRing()
        try:
            entry = Entry.from_stored(0, row.envelope, row.leaf)
            entry.envelope.verify(entry.key)
            check_body(entry.statement, kinds)
        except InputError as error:
            raise VerificationError(
                error.code,
                f"the genesis does not hold: {error}",
                expected=error.expected,
                found=error.found,
            ) from error
        ring.apply_genesis(entry.statement, entry.key)
        assert ring.ledger is not None
        for what, expected, found in (
            ("root key", root, str(ring.root)),
            ("origin", origin, ring.ledger.name),
        ):
            if expected != found:
                raise VerificationError(
                    "root.differs",
                    f"the ledger has another {what} than muniment.yaml pins",
                    expected=expected,
                    found=found,
                )
        return cls(storage, ring.ledger, root, clock)

    @classmethod
    def create(
        cls,
        storage: Storage,
        ledger_key: SigningKey,
        origin: str,
        envelope: Envelope,
        signer: RecordKey,
        kinds: KindRegistry,
        clock: Callable[[], datetime] = times.now,
    ) -> Ledger:
        """Start a ledger with its genesis.

        Raises:
            StoreError: ``store.exists``.
            TrustError: ``trust.genesis``.
        """
        vkey = VerifierKey(origin, ED25519, ledger_key.public)
        ledger = cls(storage, vkey, signer.public.fingerprint, clock)
        storage.create()
        with storage.write() as writer:
            ledger._append(writer, ledger_key, [(envelope, signer)], kinds)
        return ledger

    def append(
        self, key: SigningKey, envelopes: Sequence[tuple[Envelope, RecordKey]], kinds: KindRegistry
    ) -> list[Appended]:
        """Verify and add records, all or none.

        Args:
            key: the ledger's own key.
            envelopes: each with the key that signed it.

        Raises:
            TrustError, SignatureError: a signer was not entitled.
            SchemaError: a body breaks its kind.
            StoreError: the ledger did not take it; nothing is written.
        """
        with uncollected(), self.storage.write() as writer:
            return self._append(writer, key, envelopes, kinds)

    def _append(
        self,
        writer: Writer,
        key: SigningKey,
        envelopes: Sequence[tuple[Envelope, RecordKey]],
        kinds: KindRegistry,
    ) -> list[Appended]:
        if key.public != self.vkey.key:
            raise InputError(
                "ledger.wrong-key",
                "this is not the ledger's key",
                expected=self.vkey.key.fingerprint,
                found=key.public.fingerprint,
            )
        last = self._last(writer)
        size = last.size if last else 0
        now = self._now(last)
        ring = self.key_ring(writer, kinds)
        genesis = self._genesis(writer, size)
        appended: list[Appended] = []
        entries: list[tuple[Entry, dict[str, Any]]] = []
        fresh: dict[tuple[str, str], Record] = {}
        new = _checked(envelopes)
        rows = [entry.columns() for entry in new]
        repeated = writer.repeated([row["fingerprint"] for row in rows])
        for parsed, row in zip(new, rows, strict=True):
            entry, fingerprint = parsed.at(size), row["fingerprint"]
            evidence = fingerprint, entry.key.fingerprint
            known = fresh.get(evidence)
            if known is None and fingerprint in repeated:
                known = self._known(writer, entry, fingerprint, ring, now)
            if known is not None:
                appended.append(Appended(known, False))
                continue
            record = admit(entry, ring, now, kinds, genesis, is_new=True)
            if record.distrusted is not None:
                raise TrustError("trust.compromised-key", record.distrusted)
            self._check_revision(writer, entry, now, kinds, is_alone=len(new) == 1)
            genesis = genesis or record.sha256
            fresh[evidence] = record
            entries.append((entry, row))
            appended.append(Appended(record, True))
            size += 1
        if entries:
            self._insert(writer, entries)
            for entry, _ in entries:
                carry_out(writer, entry)
            read = writer.tile
            root = tree_root(size, node_reader(read))
            signed = sign_checkpoint(Checkpoint(self.vkey.name, size, root), key, now)
            writer.add([CheckpointRow(size=size, note=signed.note.to_bytes())])
        return appended

    def _check_revision(
        self, reader: Reader, entry: Entry, now: datetime, kinds: KindRegistry, *, is_alone: bool
    ) -> None:
        """Refuse a revocation that takes the trust of the very roots it rests on.

        Args:
            is_alone: nothing else is appended with it, which would be judged by keys it unsays.

        Raises:
            TrustError: ``trust.key-record``.
        """
        if entry.statement.kind != KEY_KIND or "compromisedSince" not in entry.statement.body:
            return
        if not is_alone:
            raise TrustError(
                "trust.key-record", "a key is called compromised in an append of its own"
            )
        ring = replay_keys([*self._key_entries(reader), (entry, now)], kinds)
        fingerprint = entry.statement.body["fingerprint"]
        revoked = ring.get(fingerprint)
        is_unsaid = fingerprint in ring.compromised and (
            revoked is None or revoked.compromised_since is None
        )
        if is_unsaid or len(ring.lasting(now)) < ring.threshold:
            raise TrustError(
                "trust.key-record",
                "from there on too few roots would remain: others rest on what this key signed",
                hint="choose a later place or time, or enrol another root first",
            )

    @staticmethod
    def _insert(writer: Writer, entries: Sequence[tuple[Entry, Mapping[str, Any]]]) -> None:
        """Insert entries, each with its derived columns."""
        writer.add_many(EntryRow, [entry.row(columns) for entry, columns in entries])
        writer.add_many(SubjectRow, [row for entry, _ in entries for row in entry.subject_rows()])
        changed: dict[tuple[int, int], bytes] = {}

        def read(level: int, number: int) -> bytes:
            known = changed.get((level, number))
            return writer.tile(level, number) if known is None else known

        for entry, _ in entries:
            changed.update(add_leaf(entry.index, entry.leaf_hash, read))
        for (level, number), hashes in changed.items():
            writer.put_tile(level, number, hashes)

    def _last(self, reader: Reader) -> SignedCheckpoint | None:
        """The last checkpoint, after checking that the tree in storage is the one it signs."""
        note, size = reader.last_checkpoint(), reader.size()
        if note is None:
            if size:
                raise DamageError("ledger.damaged", "the ledger has entries but no checkpoint")
            return None
        try:
            last = verify_checkpoint(note, self.vkey)
            root = tree_root(last.size, node_reader(reader.tile))
        except VerificationError as error:
            raise DamageError(
                "ledger.damaged",
                f"the last checkpoint does not hold: {error}",
                hint="muniment verify says what was changed",
            ) from error
        if last.size != size or root != last.root:
            raise DamageError(
                "ledger.damaged",
                "the ledger is not the one its last checkpoint signs",
                expected=f"{last.size} entries, root {last.root.hex()}",
                found=f"{size} entries, root {root.hex()}",
                hint="muniment verify says what was changed",
            )
        return last

    def _now(self, last: SignedCheckpoint | None) -> datetime:
        now = self._clock()
        if last is None or now >= last.time:
            return now
        if last.time - now > _CLOCK_SLACK:
            raise StoreError(
                "clock.backwards",
                "this machine's clock is behind the ledger's last checkpoint",
                expected=f"{times.format_time(last.time)} or later",
                found=times.format_time(now),
                hint="set the clock; recorded times must not run backwards",
            )
        return last.time

    def key_ring(self, reader: Reader, kinds: KindRegistry) -> KeyRing:
        """The state of all keys, from the key records alone; entry 0 was checked on opening.

        Raises:
            VerificationError: a key record does not hold.
        """
        return replay_keys(self._key_entries(reader), kinds)

    def _key_entries(self, reader: Reader) -> list[DatedEntry]:
        return [dated_entry(row, reader, self.vkey) for row in reader.find(kind=KEY_KIND)]

    def _known(
        self, writer: Writer, entry: Entry, fingerprint: str, ring: KeyRing, now: datetime
    ) -> Record | None:
        """The same statement by the same signer, if it was appended before and still stands.

        The time it speaks of must be the same as well, unless it is just the present, which nobody
        had to give.
        """
        statement, signer = entry.statement, entry.key.fingerprint
        holder = ring.get(signer)
        if holder is None:
            return None
        is_dated = abs(now - statement.collected_at) > _PRESENT
        # NOTE: a key record repeats the last that said it; one that came to nothing is no answer.
        for row in reversed(list(writer.find(fingerprint=fingerprint, signer=signer))):
            first = Entry.from_stored(row.number, row.envelope, row.leaf)
            first.envelope.verify(first.key)
            if is_dated and first.statement.collected_at != statement.collected_at:
                continue
            if statement.kind == KEY_KIND:
                stands = ring.is_said(statement.body, signer, now)
            else:
                stands = self._stands(writer, first)
            if stands:
                recorded_at = covering(first.index, writer, self.vkey).time
                return Record(
                    first.index, first.sha256, first.statement, holder.signer, recorded_at
                )
        return None

    @staticmethod
    def _stands(reader: Reader, entry: Entry) -> bool:
        """Whether nothing later took the place of a record, or said otherwise in its signer's name.

        NOTE: without this, a second "no" after a "yes" would be taken for the first one and lost.
        """
        statement = entry.statement
        targets = _approved(statement)
        system = statement.system
        alike = {"kind": statement.kind or "", "system_id": system.id if system else ""}
        rows = [
            *reader.find(entry.index + 1, **alike),
            *reader.find(entry.index + 1, **{**alike, "kind": "retraction"}),
        ]
        spoken_of = [digest.encode() for digest in {entry.sha256, *targets}]
        for row in rows:
            if not _speaks_of(row, spoken_of):
                continue
            later = Entry.from_stored(row.number, row.envelope, row.leaf)
            superseded = later.statement.supersedes
            if superseded is not None and superseded.sha256 == entry.sha256:
                return False
            if row.kind == "retraction" and entry.sha256 in _named(later.statement):
                return False
            if row.signer == entry.key.fingerprint and targets & _approved(later.statement):
                return False
        return True

    def _genesis(self, reader: Reader, size: int) -> str | None:
        row = reader.entry(0) if size else None
        return hash_leaf(row.leaf).hex() if row else None

    @cached_property
    def genesis(self) -> RecordRef:
        """The genesis record, which every statement names."""
        with self.storage.read() as reader:
            row = reader.entry(0)
        if row is None:
            raise DamageError("ledger.damaged", "the ledger has no genesis")
        return RecordRef(0, hash_leaf(row.leaf).hex())

    def checkpoint(self) -> SignedCheckpoint:
        """The last checkpoint, verified against the tree.

        Raises:
            DamageError: ``ledger.damaged``.
        """
        with self.storage.read() as reader:
            last = self._last(reader)
        if last is None:
            raise DamageError("ledger.damaged", "the ledger has no checkpoint")
        return last

    def proven(self, index: int) -> Entry:
        """One entry, its signature and its inclusion under the last checkpoint checked.

        Raises:
            InputError: ``record.unknown``.
            DamageError: ``ledger.damaged``.
        """
        with self.storage.read() as reader:
            last, row = self._last(reader), reader.entry(index)
            if last is None or row is None:
                raise InputError("record.unknown", f"there is no record #{index}")
            if not row.envelope:
                raise InputError("record.erased", f"#{index} was erased: muniment record list")
            try:
                entry = Entry.from_stored(index, row.envelope, row.leaf)
                entry.envelope.verify(entry.key)
                proof = inclusion_proof(index, last.size, node_reader(reader.tile))
                verify_inclusion(entry.leaf_hash, index, last.size, proof, last.root)
            except VerificationError as error:
                raise DamageError(
                    "ledger.damaged",
                    f"#{index} is not what the ledger's checkpoint signs: {error}",
                    hint="muniment verify says what was changed",
                ) from error
        return entry

    def receipts(self, indices: Sequence[int], at: SignedCheckpoint) -> Iterator[Receipt]:
        """Receipts of entries under the checkpoint ``at``."""
        with self.storage.read() as reader:
            node = node_reader(reader.tile)
            for index in indices:
                row = reader.entry(index)
                if row is None:
                    raise InputError("record.unknown", f"there is no record #{index}")
                entry = Entry.from_stored(index, row.envelope, row.leaf)
                proof = tuple(inclusion_proof(index, at.size, node))
                yield Receipt(entry.envelope, entry.key, index, proof, at.note.to_bytes())

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Proof that the tree of ``new`` entries extends that of ``old``."""
        with self.storage.read() as reader:
            return consistency_proof(old, new, node_reader(reader.tile))

    def recording_checkpoints(self, indices: Sequence[int]) -> dict[int, SignedCheckpoint]:
        """For each entry the first checkpoint that covers it: the source of its recorded time."""
        with self.storage.read() as reader:
            return {index: covering(index, reader, self.vkey) for index in indices}


def covering(index: int, reader: Reader, vkey: VerifierKey) -> SignedCheckpoint:
    """The first checkpoint that covers an entry.

    Raises:
        DamageError: ``ledger.damaged``: there is none.
        VerificationError: it does not hold.
    """
    note = reader.covering_checkpoint(index)
    if note is None:
        raise DamageError("ledger.damaged", f"no checkpoint covers #{index}")
    return verify_checkpoint(note, vkey)


def dated_entry(row: StoredEntry, reader: Reader, vkey: VerifierKey) -> DatedEntry:
    """An entry whose signature holds, with its recorded time.

    Raises:
        MunimentError: what of it does not hold.
    """
    entry = Entry.from_stored(row.number, row.envelope, row.leaf)
    entry.envelope.verify(entry.key)
    return entry, covering(entry.index, reader, vkey).time


def _checked(envelopes: Sequence[tuple[Envelope, RecordKey]]) -> list[Entry]:
    """The entries that envelopes make, signatures checked; their places are not known yet.

    Raises:
        SignatureError: ``signature.invalid``.
    """
    new = [Entry.new(0, envelope, signer.public) for envelope, signer in envelopes]
    if len(new) < _MANY:
        for entry in new:
            entry.envelope.verify(entry.key)
        return new
    with ThreadPoolExecutor(_THREADS) as pool:
        parts = [new[start::_THREADS] for start in range(_THREADS)]
        for _ in pool.map(lambda part: [item.envelope.verify(item.key) for item in part], parts):
            pass
    return new


def _speaks_of(row: StoredEntry, digests: Sequence[bytes]) -> bool:
    """Whether a record may speak of one of these: a quick look at bytes that are not checked."""
    try:
        payload = Envelope.payload_in(row.envelope)
    except ValueError:
        return bool(row.envelope)
    return any(digest in payload for digest in digests)


def _approved(statement: Statement) -> set[str]:
    """Digests of the records that an approval speaks of."""
    return _named(statement) if statement.kind == "approval" else set()


def _named(statement: Statement) -> set[str]:
    return {str(item["sha256"]) for item in statement.body["records"]}
