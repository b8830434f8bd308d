"""Verification of a file that somebody handed over: a packet, or a receipt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from muniment.evidence.note import ED25519, VerifierKey
from muniment.schemas.errors import CheckpointError, InputError
from muniment.schemas.files import read_small
from muniment.schemas.finding import VerificationReport

from .packetforms.html import MARK
from .receipts import is_receipt, verify_receipt
from .verify import MAX_PACKET, verify_packet
from .verifypage import verify_page

_PDF = b"%PDF-"
_PDF_HEAD = 1024
"""Within so many bytes a PDF says that it is one."""
_MAX_VKEY = 10_000


@dataclass(frozen=True, slots=True)
class Here:
    """What the workspace around the verifier knows of its own ledger."""

    origin: str
    root: str
    """Fingerprint of the root key that muniment.yaml pins."""
    vkey: Callable[[], VerifierKey]
    """Gives the verifier key that the root vouches for."""


def is_pdf(data: bytes) -> bool:
    """Whether a file says that it is a PDF."""
    return _PDF in data[:_PDF_HEAD]


def verify_file(
    path: Path,
    *,
    root: str | None = None,
    vkey: str | None = None,
    since: Path | None = None,
    here: Here | None = None,
) -> VerificationReport:
    """Verify a packet or a receipt from the file alone.

    Args:
        root: the root key's fingerprint to expect in a packet; by default the workspace's, if the
            packet is of the same ledger.
        vkey: the ledger's verifier key for a receipt, or a file that holds it; by default the
            workspace's, if the receipt is of the same ledger.
        since: an old file that a packet's ledger must extend.
        here: the workspace one stands in.

    Raises:
        InputError: ``verify.unknown-file``, ``usage.root``, ``usage.since``, ``usage.vkey``,
            ``receipt.ledger-key``, ``receipt.leaf``, and what reading the files raises.
    """
    data = read_small(path, MAX_PACKET)
    is_pdf_file = is_pdf(data) or path.suffix.lower() == ".pdf"
    if is_pdf_file or MARK in data or path.suffix.lower() == ".html":
        if vkey is not None:
            raise InputError(
                "usage.vkey", "--vkey is for a receipt; a packet is held against --root"
            )
        pinned = None if here is None else (here.origin, here.root)
        verify = verify_packet if is_pdf_file else verify_page
        return verify(path, root, pinned=pinned, since=since)
    if is_receipt(path.name, data):
        if since is not None:
            raise InputError(
                "usage.since", "--since is for a packet or a ledger: a receipt proves no past"
            )
        if root is not None:
            raise InputError(
                "usage.root", "--root is for a packet; a receipt is held against --vkey"
            )
        return verify_receipt(path, data, lambda origin: _ledger_key(origin, vkey, here))
    raise InputError(
        "verify.unknown-file",
        f"{path} is nothing that can be verified",
        expected="a packet (PDF or HTML), a receipt (.sigstore.json), or a .tlog-proof beside its "
        ".leaf.json",
        hint="without a file, muniment verify verifies the workspace's ledger",
    )


def _ledger_key(origin: str, given: str | None, here: Here | None) -> VerifierKey:
    """The verifier key of the ledger with this origin, from whom the caller trusts for it."""
    if given is not None:
        return _parse(given)
    if here is not None and here.origin == origin:
        return here.vkey()
    raise InputError(
        "receipt.ledger-key",
        f"nothing here says which key the ledger {origin} has, and without it anybody could have "
        "made this receipt",
        hint="give the ledger's verifier key with --vkey (ledger.vkey of an export or packet that "
        "you trust), or stand in its workspace",
        expected=None if here is None else here.origin,
        found=None if here is None else origin,
    )


def _parse(text: str) -> VerifierKey:
    is_key = "+" in text and not Path(text).exists()
    try:
        vkey = VerifierKey.parse(
            text if is_key else read_small(Path(text), _MAX_VKEY).decode("utf-8")
        )
        if vkey.type != ED25519:
            raise CheckpointError("vkey.malformed", "it is a witness's key")
    except (CheckpointError, UnicodeError) as error:
        raise InputError(
            "vkey.malformed",
            f"{text} is no ledger's verifier key",
            expected="NAME+ID+KEY, or a file that holds it",
        ) from error
    return vkey
