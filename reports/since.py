"""The checkpoint inside an old file that somebody kept: a packet, a receipt, a checkpoint."""

from __future__ import annotations

from pathlib import Path

from muniment.evidence.outside import checkpoint_in
from muniment.schemas.errors import InputError, VerificationError
from muniment.schemas.files import read_small

from . import proofs

_MAX_BYTES = 1 << 30
"""Largest packet that is read."""


def old_checkpoint(path: Path) -> bytes:
    """The signed checkpoint in an old file; its signature is for whoever compares it to check.

    Raises:
        InputError: ``since.malformed``, and what ``read_small`` raises.
    """
    data = read_small(path, _MAX_BYTES)
    if not data.startswith(b"%PDF-"):
        return checkpoint_in(data)
    from .signature import read_attachments

    try:
        found = read_attachments(data).get(proofs.CHECKPOINT)
    except VerificationError as error:
        raise InputError(
            "since.malformed", f"{path.name} cannot be read as a packet: {error.message}"
        ) from error
    if found is None:
        raise InputError("since.malformed", f"{path.name} is a PDF that holds no checkpoint")
    return checkpoint_in(found)
