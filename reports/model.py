"""What a packet is made of: all that its pages say comes from these types."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from muniment.controls.coverage import ControlResult, Coverage
from muniment.schemas.record import Record, Role, Signer


@dataclass(frozen=True, slots=True)
class KeyLine:
    """One enrolled key, as the packet's list of keys shows it."""

    fingerprint: str
    """OpenSSH fingerprint, ``SHA256:…``."""
    name: str
    email: str
    type: str
    """``person`` or ``machine``."""
    roles: frozenset[Role]
    functions: frozenset[str]
    enrolled: int
    """Place of the record that enrolled the key, zero-based."""
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class PacketInput:
    """All that one packet is made from; its only clocks are ``coverage.as_of`` and
    ``checkpoint_time``."""

    organisation: str
    coverage: Coverage
    passed: bool
    """Whether the gate of the profile opens."""
    profile_name: str
    blocking: tuple[ControlResult, ...]
    """Controls that keep the gate shut; empty where it opens."""
    records: tuple[Record, ...]
    """Every verified record about the system, in the ledger's order."""
    keys: tuple[KeyLine, ...]
    origin: str
    """The ledger's name."""
    checkpoint: str
    """The signed note, verbatim."""
    checkpoint_time: datetime
    """Signed time of the checkpoint, UTC."""
    tree_size: int
    """Number of records the checkpoint covers."""
    root_hash: str
    """Base64, as in the checkpoint."""
    root_fingerprint: str
    """OpenSSH fingerprint of the root key, the one thing a reader must know from elsewhere."""
    reviewer: Signer | None
    """Who signs the packet; None in a form that nobody signs."""
    muniment_version: str
    not_included: tuple[str, ...] = ()
    """What was left out of the packet and why, one sentence each."""


class Embedded(NamedTuple):
    """One file to embed in the PDF."""

    name: str
    """ASCII letters, digits, ``.``, ``-`` and ``_``; no folder."""
    data: bytes
    media_type: str
    relationship: str
    """``Data``, ``Source``, ``Supplement`` or ``Alternative`` (PDF 2.0 §7.11.3)."""
    description: str
