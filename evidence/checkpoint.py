"""Checkpoints: the ledger's size and root hash, signed. Pure.

Source: C2SP tlog-checkpoint v1.0.0. The ledger signs each twice: a plain signature, and a
``cosignature/v1`` whose time is the recorded time of the entries the checkpoint is first to cover.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from muniment.schemas.errors import CheckpointError, InputError

from .keys import SigningKey
from .merkle import EMPTY_ROOT
from .note import SignedNote, VerifierKey, cosign_note, sign_note

_ORIGIN = re.compile(
    r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*(/[a-z0-9][a-z0-9._-]*)*"
)
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Size and root of a ledger at one moment."""

    origin: str
    size: int
    root: bytes
    """32 bytes."""

    def to_text(self) -> str:
        """The text that is signed."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def from_text(cls, text: str) -> Checkpoint:
        """Read the signed text; extension lines are refused, we write none.

        Raises:
            CheckpointError: ``checkpoint.malformed``.
        """
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not lines[0] or not _SIZE.fullmatch(lines[1]):
            raise CheckpointError("checkpoint.malformed", "not a checkpoint", found=text[:200])
        try:
            root = base64.b64decode(lines[2], validate=True)
        except ValueError as error:
            raise CheckpointError("checkpoint.malformed", "the root is not base64") from error
        checkpoint = cls(lines[0], int(lines[1]), root)
        if len(root) != 32 or checkpoint.to_text() != text:
            raise CheckpointError("checkpoint.malformed", "the root is not a SHA-256")
        if checkpoint.size == 0 and root != EMPTY_ROOT:
            raise CheckpointError("checkpoint.malformed", "an empty tree has another root")
        return checkpoint


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint whose ledger signatures were checked."""

    checkpoint: Checkpoint
    note: SignedNote
    time: datetime
    """Time of the ledger's cosignature, UTC."""

    @property
    def size(self) -> int:
        """Number of entries it covers."""
        return self.checkpoint.size

    @property
    def root(self) -> bytes:
        """Root hash, 32 bytes."""
        return self.checkpoint.root


def sign_checkpoint(checkpoint: Checkpoint, key: SigningKey, time: datetime) -> SignedCheckpoint:
    """Sign and cosign ``checkpoint`` as the ledger named by its origin."""
    text, name = checkpoint.to_text(), checkpoint.origin
    note = SignedNote(
        text,
        (sign_note(text, name, key), cosign_note(text, name, key, int(time.timestamp()))),
    )
    return SignedCheckpoint(checkpoint, note, time)


def verify_checkpoint(data: bytes, vkey: VerifierKey) -> SignedCheckpoint:
    """Read a checkpoint and check both signatures of the ledger ``vkey``.

    Raises:
        CheckpointError: malformed, of another ledger, or not signed twice.
        SignatureError: ``signature.invalid``.
    """
    note = SignedNote.from_bytes(data)
    checkpoint = Checkpoint.from_text(note.text)
    if checkpoint.origin != vkey.name:
        raise CheckpointError(
            "checkpoint.foreign",
            "the checkpoint is of another ledger",
            expected=vkey.name,
            found=checkpoint.origin,
        )
    note.verify(vkey)
    seconds = note.verify(vkey.cosigner())
    try:
        time = datetime.fromtimestamp(seconds or 0, UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise CheckpointError(
            "checkpoint.malformed", "the cosignature's time is impossible"
        ) from error
    return SignedCheckpoint(checkpoint, note, time)


def claimed_time(data: bytes, vkey: VerifierKey) -> datetime | None:
    """The time that a stored checkpoint claims, no signature checked, UTC; None if it claims none.

    Raises:
        CheckpointError: ``note.malformed``.
        ValueError, OverflowError: the time is impossible.
    """
    cosigner = vkey.cosigner()
    for line in SignedNote.from_bytes(data).signatures:
        if line.name == cosigner.name and line.key_id == cosigner.id:
            return datetime.fromtimestamp(int.from_bytes(line.signature[:8], "big"), UTC)
    return None


def check_origin(origin: str) -> None:
    """Refuse a name that cannot be an origin.

    Raises:
        InputError: ``origin.malformed``.
    """
    if len(origin) > 200 or not _ORIGIN.fullmatch(origin):
        raise InputError(
            "origin.malformed",
            f"{origin!r} cannot name a ledger",
            expected="a bare host-like name, such as evidence.example.com",
            found=origin,
        )
