"""The checkpoint inside an old file that somebody kept: a packet, a receipt, a checkpoint."""

from __future__ import annotations

from pathlib import Path

from muniment.evidence.outside import checkpoint_in
from muniment.schemas.errors import InputError, VerificationError
from muniment.schemas.files import read_small

from . import proofs
from .packetforms.html import MARK, read_page

_MAX_BYTES = 1 << 30
"""Largest packet that is read."""


def old_checkpoint(path: Path) -> bytes:
    """The signed checkpoint in an old file; its signature is for whoever compares it to check.

    Raises:
        InputError: ``since.malformed``, and what ``read_small`` raises.
    """
    data = read_small(path, _MAX_BYTES)
    try:
        found = _embedded(data)
    except VerificationError as error:
        raise InputError(
            "since.malformed", f"{path.name} cannot be read as a packet: {error.message}"
        ) from error
    if found is None:
        return checkpoint_in(data)
    if proofs.CHECKPOINT not in found:
        raise InputError("since.malformed", f"{path.name} is a packet that holds no checkpoint")
    return checkpoint_in(found[proofs.CHECKPOINT])


def _embedded(data: bytes) -> dict[str, bytes] | None:
    """The files in a packet, by name; None of what is none."""
    if data.startswith(b"%PDF-"):
        from .signature import read_attachments

        return read_attachments(data)
    if MARK in data:
        return read_page(data)
    return None
