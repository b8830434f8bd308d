"""Signed notes: a text with signature lines, one per signer. Pure.

Source: C2SP signed-note v1.0.0 (https://c2sp.org/signed-note) and tlog-cosignature for key type 4.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from muniment.schemas.errors import CheckpointError

from .keys import PublicKey, SigningKey, load_ed25519

ED25519 = 0x01
"""Key type of a plain Ed25519 note signature."""
COSIGNATURE_V1 = 0x04
"""Key type of a timestamped Ed25519 cosignature."""

_NAME = re.compile(r"[^\s+\x00-\x1f\x7f]+")
_LINE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_MAX_NOTE = 1_000_000
_MAX_SIGNATURES = 100


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The public side of a note signer (a *vkey*)."""

    name: str
    type: int
    key: PublicKey

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise CheckpointError("vkey.malformed", f"{self.name!r} cannot name a note signer")

    @property
    def log_id(self) -> bytes:
        """SHA-256 of name and key, 32 bytes; Sigstore uses it as the log's id."""
        return hashlib.sha256(
            f"{self.name}\n".encode() + bytes([self.type]) + self.key.raw_ed25519()
        ).digest()

    @property
    def id(self) -> bytes:
        """The key id of signature lines, 4 bytes."""
        return self.log_id[:4]

    def cosigner(self) -> VerifierKey:
        """The same key as a signer of timestamped cosignatures."""
        return VerifierKey(self.name, COSIGNATURE_V1, self.key)

    def __str__(self) -> str:
        body = base64.b64encode(bytes([self.type]) + self.key.raw_ed25519()).decode()
        return f"{self.name}+{self.id.hex()}+{body}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read ``name+hash+base64``.

        Raises:
            CheckpointError: ``vkey.malformed``.
            InputError: ``key.small-order``.
        """
        try:
            name, key_id, body = text.strip().split("+", 2)
            raw = base64.b64decode(body, validate=True)
        except (ValueError, binascii.Error) as error:
            raise CheckpointError("vkey.malformed", f"not a verifier key: {text!r}") from error
        if len(raw) != 33 or raw[0] not in (ED25519, COSIGNATURE_V1):
            raise CheckpointError("vkey.malformed", "not an Ed25519 verifier key", found=text)
        vkey = cls(name, raw[0], load_ed25519(raw[1:]))
        if str(vkey) != text.strip():
            raise CheckpointError(
                "vkey.malformed", "the verifier key does not fit its hash", found=key_id
            )
        return vkey


@dataclass(frozen=True, slots=True)
class NoteSignature:
    """One signature line."""

    name: str
    key_id: bytes
    """4 bytes; a hint, never an authority."""
    signature: bytes
    """What follows the key id; for a cosignature 8 bytes of time and 64 of Ed25519."""

    def __str__(self) -> str:
        return f"— {self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class SignedNote:
    """A text and its signatures."""

    text: str
    """The signed text, with its last newline."""
    signatures: tuple[NoteSignature, ...]

    def to_bytes(self) -> bytes:
        """The note as it is stored and sent."""
        return (self.text + "\n" + "".join(map(str, self.signatures))).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> SignedNote:
        """Read a note; what does not write back to the same bytes is refused.

        Raises:
            CheckpointError: ``note.malformed``.
        """
        if len(data) > _MAX_NOTE:
            raise CheckpointError("note.malformed", f"the note has {len(data):,} bytes")
        try:
            whole = data.decode("utf-8", "strict")
        except UnicodeDecodeError as error:
            raise CheckpointError("note.malformed", "the note is not UTF-8") from error
        if _CONTROL.search(whole):
            raise CheckpointError("note.malformed", "the note holds a control character")
        text, separator, lines = whole.rpartition("\n\n")
        if not separator or not lines.endswith("\n"):
            raise CheckpointError("note.malformed", "the note has no signature lines")
        note = cls(text + "\n", tuple(map(_signature, lines[:-1].split("\n"))))
        if len(note.signatures) > _MAX_SIGNATURES or note.to_bytes() != data:
            raise CheckpointError("note.malformed", "the note is not in its one form")
        return note

    @classmethod
    def of(cls, text: str, lines: bytes) -> SignedNote:
        """A text with signature lines that came from elsewhere.

        Raises:
            CheckpointError: ``note.malformed``, also where they hold more than signature lines.
        """
        note = cls.from_bytes(text.encode() + b"\n" + lines)
        if note.text != text:
            # NOTE: a blank line among them would have made what stands before it part of the text.
            raise CheckpointError("note.malformed", "there is more than signature lines")
        return note

    def verify(self, vkey: VerifierKey) -> int | None:
        """Check the line of ``vkey``; every line with its name and id must hold.

        Returns:
            The time in the signature, seconds since 1970, for a cosignature; else None.

        Raises:
            CheckpointError: ``note.unsigned`` without such a line.
            SignatureError: ``signature.invalid``.
        """
        lines = [
            line for line in self.signatures if line.name == vkey.name and line.key_id == vkey.id
        ]
        if not lines:
            raise CheckpointError(
                "note.unsigned",
                f"the note has no signature of {vkey.name}",
                expected=str(vkey),
                found=", ".join(line.name for line in self.signatures) or "no signature",
            )
        return [self._verify_line(line, vkey) for line in lines][-1]

    def _verify_line(self, line: NoteSignature, vkey: VerifierKey) -> int | None:
        if vkey.type == ED25519:
            vkey.key.verify(line.signature, self.text.encode())
            return None
        time, signature = int.from_bytes(line.signature[:8], "big"), line.signature[8:]
        vkey.key.verify(signature, cosigned_message(self.text, time))
        return time


def sign_note(text: str, name: str, key: SigningKey) -> NoteSignature:
    """A plain Ed25519 signature line over ``text``."""
    vkey = VerifierKey(name, ED25519, key.public)
    return NoteSignature(name, vkey.id, key.sign(text.encode()))


def cosign_note(text: str, name: str, key: SigningKey, time: int) -> NoteSignature:
    """A ``cosignature/v1`` line over ``text``, saying that it stood so at ``time``.

    Args:
        time: seconds since 1970.
    """
    vkey = VerifierKey(name, COSIGNATURE_V1, key.public)
    signature = key.sign(cosigned_message(text, time))
    return NoteSignature(name, vkey.id, time.to_bytes(8, "big") + signature)


def cosigned_message(text: str, time: int) -> bytes:
    """The bytes a cosignature signs (C2SP tlog-cosignature)."""
    return f"cosignature/v1\ntime {time}\n{text}".encode()


def _signature(line: str) -> NoteSignature:
    match = _LINE.fullmatch(line)
    if not match:
        raise CheckpointError("note.malformed", "a signature line is malformed", found=line[:200])
    try:
        raw = base64.b64decode(match[2], validate=True)
    except binascii.Error as error:
        raise CheckpointError("note.malformed", "a signature is not base64") from error
    if len(raw) < 5:
        raise CheckpointError("note.malformed", "a signature line is too short", found=line[:200])
    return NoteSignature(match[1], raw[:4], raw[4:])
