"""What a packet is made of: all that its pages say comes from these types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from muniment.controls.coverage import ControlResult, Coverage, State
from muniment.schemas.record import Record, Role, Signer
from muniment.schemas.times import format_time

from .sampleview import Drawing


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
    state: str = "in force"
    """What became of it by the checkpoint's time, in one line."""


@dataclass(frozen=True, slots=True)
class KeyEvent:
    """One signed change of the keys, as the key history shows it."""

    index: int
    """Place of the record, zero-based."""
    recorded_at: datetime
    what: str
    """What was signed, in one sentence."""
    by: Signer


@dataclass(frozen=True, slots=True)
class OutsideProof:
    """What somebody outside signed over the packet's checkpoint."""

    kind: str
    """``cosignature`` or ``time stamp``."""
    source: str
    """Name and key id of the witness, or URL of the authority."""
    time: datetime | None
    """When it says that the checkpoint was there, UTC; None where nothing can be read."""
    held: bool | None
    """Whether the signature is that of somebody the workspace trusts; None if that is unknown."""
    note: str
    """What was checked, or why it was not, in one sentence."""

    def to_json(self) -> dict[str, Any]:
        """As ``pages.json`` has it."""
        when = None if self.time is None else format_time(self.time)
        return {
            "kind": self.kind,
            "source": self.source,
            "time": when,
            "held": self.held,
            "note": self.note,
        }


@dataclass(frozen=True, slots=True)
class PreviousPacket:
    """The packet that was issued before this one."""

    issued: datetime
    size: int
    """Number of records under its checkpoint."""
    counts: Mapping[State, int]
    """Number of controls in each state."""


@dataclass(frozen=True, slots=True)
class Logo:
    """An image for the cover that was checked; a packet embeds it as it is."""

    media_type: str
    """``image/png`` or ``image/svg+xml``."""
    data: bytes


@dataclass(frozen=True, slots=True)
class Cover:
    """What the reviewer adds; nothing of it is computed."""

    reviewer: str | None = None
    scope: str | None = None
    conclusions: tuple[str, ...] = ()
    """Paragraphs."""
    logo: Logo | None = None
    accent: str | None = None
    """``#rrggbb``."""


@dataclass(frozen=True, slots=True)
class Override:
    """One of the workspace's own templates, laid over that of the same name."""

    name: str
    text: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Look:
    """What a packet looks like beyond what it says."""

    cover: Cover = Cover()
    overrides: tuple[Override, ...] = ()
    """Sorted by name."""
    paper: str = "a4"
    """``a4`` or ``letter``."""


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
    sample: Drawing | None = None
    """The records drawn for the auditor to test, if that was asked for."""
    key_events: tuple[KeyEvent, ...] = ()
    """Every ``key`` record, in the ledger's order."""
    outside: tuple[OutsideProof, ...] = ()
    """Cosignatures and time stamps over the checkpoint."""
    outside_earlier: int = 0
    """How many there are over earlier checkpoints."""
    previous: PreviousPacket | None = None
    look: Look = Look()
    gated: tuple[str, ...] = ()
    """Ids of the catalogs with controls that the profile blocks on."""


class Embedded(NamedTuple):
    """One file to embed in the PDF."""

    name: str
    """ASCII letters, digits, ``.``, ``-`` and ``_``; no folder."""
    data: bytes
    media_type: str
    relationship: str
    """``Data``, ``Source``, ``Supplement`` or ``Alternative`` (PDF 2.0 §7.11.3)."""
    description: str
