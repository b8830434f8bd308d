"""Admission: whether an entry may stand at its place, judged from what stands before it. Pure.

A key record moves the state of the keys on, so entries are judged in ledger order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from muniment.schemas import times
from muniment.schemas.errors import MunimentError, TrustError, VerificationError
from muniment.schemas.kinds import KindRegistry, check_body
from muniment.schemas.record import Record
from muniment.schemas.statement import GENESIS, RecordRef, Statement

from .entry import Entry
from .trust import ERASURE_KIND, KEY_KIND, KeyRing, Since

DatedEntry = tuple[Entry, datetime]
"""An entry with its recorded time."""
_FUTURE = timedelta(days=1)
"""How far facts may lie after their recording, for clocks and time zones that are wrong."""


def admit(
    entry: Entry,
    ring: KeyRing,
    recorded_at: datetime,
    kinds: KindRegistry,
    genesis: str | None,
    *,
    is_new: bool = False,
) -> Record:
    """Judge an entry at its place: schema, ledger, signer. A key record moves the ring on.

    Args:
        genesis: digest of entry 0; None if this is entry 0.
        is_new: it is about to be added; a key record must then make sense as things stand.

    Raises:
        SchemaError: ``kind.unknown`` or ``body.malformed``.
        TrustError: the signer was not entitled.
        VerificationError: ``statement.foreign-ledger`` or ``statement.future``.
    """
    check_body(entry.statement, kinds)
    if genesis is None:
        signer = ring.apply_genesis(entry.statement, entry.key)
        return Record(entry.index, entry.sha256, entry.statement, signer, recorded_at)
    fingerprint = entry.key.fingerprint
    return entitle(
        entry.ref, entry.statement, fingerprint, ring, recorded_at, genesis, is_new=is_new
    )


def entitle(
    place: RecordRef,
    statement: Statement,
    fingerprint: str,
    ring: KeyRing,
    recorded_at: datetime,
    genesis: str,
    *,
    is_new: bool = False,
) -> Record:
    """Judge a statement that fits its kind: ledger and signer. A key record moves the ring on.

    Args:
        fingerprint: of the key that signed it.
        genesis: digest of entry 0.
        is_new: as in ``admit``.

    Raises:
        TrustError: the signer was not entitled.
        VerificationError: ``statement.foreign-ledger`` or ``statement.future``.
    """
    if statement.genesis != genesis:
        raise VerificationError(
            "statement.foreign-ledger",
            "the statement was made for another ledger",
            expected=f"a {GENESIS} reference to {genesis}",
            found=str(statement.genesis),
        )
    # NOTE: recorded times can be made later by whoever removes checkpoints; facts from the future
    # would gain by it.
    if statement.collected_at > recorded_at + _FUTURE:
        raise VerificationError(
            "statement.future",
            "the facts are said to be from after their recording",
            expected=f"{times.format_time(recorded_at)} or earlier",
            found=times.format_time(statement.collected_at),
        )
    signer = ring.authorise(statement, fingerprint, recorded_at)
    distrusted = ring.distrust(fingerprint, place.index, recorded_at)
    record = Record(place.index, place.sha256, statement, signer, recorded_at, distrusted)
    if statement.kind != KEY_KIND:
        return record
    if distrusted is not None:
        ring.void(record)
        return record
    try:
        ring.apply(record)
    except TrustError as error:
        if is_new or not ring.compromised:
            raise
        # It made sense when it was added: what it rests on has lost its trust since.
        ring.void(record)
        return replace(record, distrusted=f"it rests on what counts for nothing: {error.message}")
    if ring.compromised:
        # NOTE: a change that took effect when it was added may now wait for votes that were lost.
        ring.void(record)
    return record


def replay_keys(dated: Sequence[DatedEntry], kinds: KindRegistry) -> KeyRing:
    """The state of all keys after ``key`` entries from the genesis on.

    Raises:
        VerificationError: one of them does not hold.
    """
    ring = KeyRing(find_compromised(dated, kinds))
    genesis: str | None = None
    for entry, recorded_at in dated:
        admit(entry, ring, recorded_at, kinds, genesis)
        genesis = genesis or entry.sha256
    return ring


def find_compromised(dated: Sequence[DatedEntry], kinds: KindRegistry) -> dict[str, Since]:
    """Keys that a trusted revocation calls compromised, each with since when.

    A revocation takes trust from records before it, key records among them, so the state is built
    again after each one that is found, the first in the ledger first. What was called compromised
    stays so, whatever is found later: a root that turns on another is answered by a threshold, not
    by whoever speaks last.

    Args:
        dated: sound ``key`` entries from the genesis on, with their recorded times.
    """
    known: dict[str, Since] = {}
    while True:
        ring, genesis = KeyRing(known), None
        for entry, recorded_at in dated:
            try:
                admit(entry, ring, recorded_at, kinds, genesis)
            except MunimentError:
                continue  # what does not hold is the full verification's to report
            finally:
                genesis = genesis or entry.sha256
        found = [
            key
            for key in ring
            if key.compromised_since is not None and key.signer.fingerprint not in known
        ]
        if not found:
            return known
        first = min(found, key=lambda key: key.compromised_by or 0)
        assert first.compromised_since is not None
        known[first.signer.fingerprint] = first.compromised_since


def digest_of_keys(keys: Sequence[DatedEntry]) -> str:
    """Digest of key records with their places and recorded times."""
    lines = "".join(
        f"{entry.index} {entry.sha256} {times.format_time(recorded_at)}\n"
        for entry, recorded_at in keys
    )
    return hashlib.sha256(lines.encode()).hexdigest()


class PastTrust:
    """The trust that records had when the ledger ended earlier than it does now.

    Args:
        keys: sound ``key`` entries from the genesis on, with their recorded times.
    """

    def __init__(self, keys: Sequence[DatedEntry], kinds: KindRegistry) -> None:
        self._keys = keys
        self._kinds = kinds

    def at(
        self, records: Sequence[Record], as_of: datetime, size: int | None = None
    ) -> list[Record]:
        """The records, each trusted or not as the keys stood in the ledger then.

        Args:
            records: verified, with the trust they have now.
            as_of: UTC; records of later stay as they are, for the evaluator leaves them out.
            size: number of entries the ledger had, if that is known closer than by the time; what
                stands behind them is left out, but for erasures: they tell what stood before.
        """
        end = float("inf") if size is None else size
        found = [item for item in records if item.index < end or item.kind == ERASURE_KIND]
        then = [item for item in self._keys if item[0].index < end and item[1] <= as_of]
        if len(then) == len(self._keys):
            return found
        ring = replay_keys(then, self._kinds)
        return [
            replace(item, distrusted=ring.distrust(item.signer.fingerprint, *_place(item)))
            if item.index < end and item.recorded_at <= as_of
            else item
            for item in found
        ]

    def lost_since(
        self, records: Sequence[Record], as_of: datetime, size: int | None = None
    ) -> list[tuple[Record, RecordRef, datetime, str | None]]:
        """What later key records say of records and their signers.

        Returns:
            The record, the key record that speaks of it, when that was recorded, and why the
            record counts for nothing since; None where its signer's key was merely revoked.
        """
        found: list[tuple[Record, RecordRef, datetime, str | None]] = []
        end = float("inf") if size is None else size
        for number, (entry, recorded_at) in enumerate(self._keys):
            if entry.index < end and recorded_at <= as_of:
                continue
            body = entry.statement.body
            if body["action"] != "revoke" and "compromisedSince" not in body:
                continue
            before, after = (
                replay_keys(self._keys[:stop], self._kinds) for stop in (number, number + 1)
            )
            for item in records:
                signer, place = item.signer.fingerprint, _place(item)
                now = after.distrust(signer, *place)
                if now is not None and before.distrust(signer, *place) is None:
                    found.append((item, entry.ref, recorded_at, now))
                elif now is None and body["action"] == "revoke" and body["fingerprint"] == signer:
                    found.append((item, entry.ref, recorded_at, None))
        return found


def _place(record: Record) -> tuple[int, datetime]:
    return record.index, record.recorded_at
