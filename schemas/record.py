"""The record: a statement, who signed it, and its place in the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from muniment.schemas.statement import RecordRef, Statement


class Role(StrEnum):
    """What a key may do."""

    ROOT = "root"
    """Enrol, rotate and revoke keys."""
    CONTRIBUTOR = "contributor"
    """Sign evidence."""
    APPROVER = "approver"
    """Sign approvals and gate decisions."""


@dataclass(frozen=True, slots=True)
class Signer:
    """The holder of a key, as the ledger knew them when the record was added."""

    fingerprint: str
    """OpenSSH fingerprint of the key, ``SHA256:`` and 43 base64 characters."""
    name: str
    email: str
    type: str
    """``person`` or ``machine``."""
    roles: frozenset[Role]
    functions: frozenset[str] = frozenset()
    """What an approver may speak for, such as ``risk`` or ``legal``."""

    @property
    def person(self) -> str:
        """What two keys of one holder have in common: the e-mail address, in lower case."""
        return self.email.casefold()

    def to_json(self) -> dict[str, Any]:
        """The signer in the product's JSON documents; roles and functions in order."""
        return {
            "fingerprint": self.fingerprint,
            "name": self.name,
            "email": self.email,
            "type": self.type,
            "roles": sorted(self.roles),
            "functions": sorted(self.functions),
        }


@dataclass(frozen=True, slots=True)
class Record:
    """A verified record whose signer was entitled; anything else never becomes one."""

    index: int
    """Place in the ledger, zero-based; people write it ``#17``."""
    sha256: str
    """RFC 6962 leaf hash in hexadecimal: the record's digest."""
    statement: Statement
    signer: Signer
    recorded_at: datetime
    """Signed time of the first checkpoint that covers the record, UTC."""
    distrusted: str | None = None
    """Why it counts for nothing although it is sound: its key was later called compromised."""

    @property
    def ref(self) -> RecordRef:
        """The reference other statements name this record by."""
        return RecordRef(self.index, self.sha256)

    @property
    def kind(self) -> str:
        """The kind's name; the predicate type for a third party's."""
        return self.statement.kind or self.statement.predicate_type

    def __str__(self) -> str:
        return f"#{self.index}"
