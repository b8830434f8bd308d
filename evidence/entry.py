"""An entry: envelope and leaf, and everything the ledger derives from them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muniment.schemas.errors import SignatureError
from muniment.schemas.statement import RecordRef, Statement
from muniment.schemas.times import format_time

from .dsse import Envelope
from .keys import PublicKey
from .leaf import leaf_bytes, leaf_key
from .merkle import hash_leaf


@dataclass(frozen=True, slots=True)
class Entry:
    """One record as the ledger holds it, parsed but not yet trusted."""

    index: int
    envelope: Envelope
    key: PublicKey
    """The signer's key, from the leaf."""
    statement: Statement
    leaf: bytes
    leaf_hash: bytes
    """RFC 6962 hash of the leaf, 32 bytes: the record's digest."""

    @property
    def sha256(self) -> str:
        """The record's digest in hexadecimal."""
        return self.leaf_hash.hex()

    @property
    def ref(self) -> RecordRef:
        """The reference other statements name this record by."""
        return RecordRef(self.index, self.sha256)

    @classmethod
    def new(cls, index: int, envelope: Envelope, key: PublicKey) -> Entry:
        """The entry that ``envelope``, signed by ``key``, makes at place ``index``."""
        leaf = leaf_bytes(envelope, key)
        statement = Statement.from_payload(envelope.payload)
        return cls(index, envelope, key, statement, leaf, hash_leaf(leaf))

    @classmethod
    def from_stored(cls, index: int, envelope: bytes, leaf: bytes) -> Entry:
        """Read stored bytes; the leaf must be exactly that of the envelope.

        Raises:
            SignatureError: ``envelope.malformed``, ``leaf.malformed`` or ``leaf.differs``.
            InputError: the payload is no statement, or the key is refused.
        """
        parsed = Envelope.from_bytes(envelope)
        entry = cls.new(index, parsed, leaf_key(leaf))
        if entry.leaf != leaf:
            raise SignatureError(
                "leaf.differs",
                "the leaf is not that of the envelope",
                expected=entry.sha256,
                found=hash_leaf(leaf).hex(),
            )
        if parsed.keyid != entry.key.fingerprint:
            raise SignatureError(
                "envelope.keyid",
                "the envelope names another key than the one that signed",
                expected=entry.key.fingerprint,
                found=parsed.keyid,
            )
        return entry

    def at(self, index: int) -> Entry:
        """The same at another place."""
        return Entry(index, self.envelope, self.key, self.statement, self.leaf, self.leaf_hash)

    def columns(self) -> dict[str, Any]:
        """The values of the derived columns."""
        statement = self.statement
        return {
            "leaf_hash": self.sha256,
            "fingerprint": statement.fingerprint(),
            "predicate_type": statement.predicate_type,
            "kind": statement.kind or "",
            "system_id": statement.system.id if statement.system else "",
            "system_version": statement.system.version if statement.system else "",
            "collected_at": format_time(statement.collected_at),
            "signer": self.key.fingerprint,
        }

    def row(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        """The row of table ``entry``.

        Args:
            columns: what ``columns`` gave, which takes long enough not to be done twice.
        """
        envelope = self.envelope.to_bytes()
        return {"number": self.index, "envelope": envelope, "leaf": self.leaf, **columns}

    def subject_rows(self) -> list[dict[str, Any]]:
        """The rows of table ``subject``."""
        return [
            {"number": self.index, "position": position, "sha256": sha256, "name": name}
            for position, sha256, name in self.subjects()
        ]

    def subjects(self) -> Sequence[tuple[int, str, str]]:
        """Position, SHA-256 and name of each subject."""
        return [
            (position, subject.sha256, subject.name)
            for position, subject in enumerate(self.statement.subjects)
        ]
