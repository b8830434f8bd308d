"""Rows that are plainly sound: what nearly all rows are, found out as fast as Python can. Pure.

A row is sound if envelope, leaf, signature, statement, body and derived columns are all exactly as
they must be. Whatever is unusual or wrong is left to ``rowcheck``, which says what it is; every row
that is called sound here is found without fault there.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from muniment.schemas import strictjson
from muniment.schemas.errors import MunimentError, SignatureError
from muniment.schemas.kinds import KindRegistry
from muniment.schemas.statement import (
    GATE_DECISION,
    GENESIS,
    MAX_PAYLOAD,
    cut_fingerprint,
    is_statement,
)
from muniment.schemas.times import parse_time

from .attestation import KIND as ATTESTATION
from .dsse import decode, pae, split_envelope
from .keys import PublicKey
from .leaf import join_leaf, leaf_ending, leaf_key
from .merkle import hash_leaf
from .trust import ERASURE_KIND, RETRACTION_KIND

SubjectColumns = tuple[int, str, str]
"""Position, SHA-256 and name of a subject row."""
Task = tuple[tuple[Any, ...], Sequence[SubjectColumns]]
"""The columns of an ``entry`` row in their order, as the driver gave them, and its subject rows."""
ClaimFields = tuple[str, str, str | None, str | None]
"""The fields of a ``Claim``: signer, predicate type, role, genesis."""

LOOKED_AT = frozenset({ERASURE_KIND, RETRACTION_KIND, ATTESTATION})
"""Kinds that an audit looks at after the ledger itself, beside all that speak of files or take a
record's place."""
_MAX_KEYS = 4096


class Sound(NamedTuple):
    """A row without fault; plain values only, so that it goes from process to process."""

    leaf_hash: bytes
    claim: ClaimFields
    collected_at: str
    is_wanted: bool
    """Whether it speaks of files, of what is erased, taken back or replaced, or of a third party's
    word: what an audit looks at after the ledger itself."""


class Unproven(NamedTuple):
    """A row that is sound if its signature holds."""

    sound: Sound
    key: PublicKey
    signature: bytes
    payload: bytes
    digest: bytes
    """SHA-256 of what is signed."""

    def holds(self) -> bool:
        """Whether the signature holds."""
        try:
            if not self.key.verify_digest(self.signature, self.digest):
                self.key.verify(self.signature, pae(self.payload))
        except SignatureError:
            return False
        return True


class SoundRows:
    """Knows sound rows, with these kinds."""

    def __init__(self, kinds: KindRegistry) -> None:
        self._kinds = {kind.predicate_type: kind for kind in kinds if kind.name != GATE_DECISION}
        self._keys: dict[bytes, tuple[PublicKey, bytes]] = {}
        """By the key id of an envelope: the key, and how a leaf with it ends."""
        self._claims: dict[ClaimFields, ClaimFields] = {}
        """Each claim once, so that it is sent once."""

    def read(self, task: Task) -> Unproven | None:
        """Look at everything but the signature; None if the row is not plainly sound."""
        row, subjects = task
        if type(row[1]) is not bytes or type(row[2]) is not bytes:
            return None
        try:
            return self._read(row, subjects)
        except (ValueError, LookupError, MunimentError):
            return None

    def _read(self, row: tuple[Any, ...], subjects: Sequence[SubjectColumns]) -> Unproven | None:
        _, envelope, leaf, leaf_hash, fingerprint, type_, name, system, version, time, signer = row
        payload64, keyid, signature64 = split_envelope(envelope)
        key, ending = self._keys.get(keyid) or self._learn(keyid, leaf)
        payload, signature = decode(payload64), decode(signature64)
        digest = sha256(pae(payload)).digest()
        hashed = hash_leaf(leaf)
        if (
            leaf != join_leaf(digest, signature64, ending)
            or hashed.hex() != leaf_hash
            or key.fingerprint != signer
            or len(payload) > MAX_PAYLOAD
        ):
            return None
        statement = strictjson.read_canonical(payload)
        if statement is None or not is_statement(statement):
            return None
        kind, predicate = self._kinds[statement["predicateType"]], statement["predicate"]
        body, place = predicate["body"], predicate["system"]
        if (
            not kind.fits(body)
            or kind.predicate_type != type_
            or kind.name != name
            or place["id"] != system
            or place["version"] != version
            or predicate["collectedAt"] != time
            or cut_fingerprint(payload, time, predicate["salt"]) != fingerprint
        ):
            return None
        parse_time(time)
        if "validUntil" in predicate:
            parse_time(predicate["validUntil"])
        is_wanted = name in LOOKED_AT or "supersedes" in predicate
        own = []
        for position, subject in enumerate(statement["subject"]):
            own.append((position, subject["digest"]["sha256"], subject["name"]))
            if "annotations" in subject:
                if not subject["annotations"]:
                    return None
                is_wanted = is_wanted or "size" in subject["annotations"]
        if own != subjects:
            return None
        role = body["role"] if name == "approval" else None
        claim = (signer, type_, role, _genesis(predicate["references"]))
        sound = Sound(hashed, self._claims.setdefault(claim, claim), time, is_wanted)
        return Unproven(sound, key, signature, payload, digest)

    def _learn(self, keyid: bytes, leaf: bytes) -> tuple[PublicKey, bytes]:
        """The key in a leaf, if it is the one the envelope names."""
        key = leaf_key(leaf)
        if key.fingerprint.encode() != keyid:
            raise ValueError("another key")
        if len(self._keys) >= _MAX_KEYS:
            self._keys.clear()
        self._keys[keyid] = known = key, leaf_ending(key)
        return known


def _genesis(references: Sequence[dict[str, Any]]) -> str:
    for reference in references:
        if reference["relation"] == GENESIS:
            return str(reference["sha256"])
    raise ValueError("it was made for no ledger")
