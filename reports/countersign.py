"""A second person's signature on a packet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from muniment.evidence.note import SignedNote
from muniment.schemas.errors import InputError, VerificationError
from muniment.schemas.files import read_small

from . import proofs
from .packet import signing_identity
from .sigfields import COUNTER
from .signature import check_signature, read_attachments
from .verify import MAX_PACKET
from .verifyfile import is_pdf

if TYPE_CHECKING:
    from muniment.evidence.verification import Progress

    from .workspace import Workspace


def read_pdf(file: Path) -> bytes:
    """A packet to sign, as it was issued.

    Raises:
        InputError: ``packet.not-pdf``, and what ``read_small`` raises.
    """
    data = read_small(file, MAX_PACKET)
    if not is_pdf(data):
        raise InputError(
            "packet.not-pdf",
            f"{file} is no PDF, and of a packet's forms only a PDF is signed",
            hint="muniment packet -o packet.pdf makes one",
        )
    return data


def countersign(
    workspace: Workspace, pdf: bytes, certificate: Path | None, progress: Progress | None
) -> bytes:
    """The packet with a second signature; the result begins with the same bytes.

    Only the packet's signature and its ledger are looked at: what it says is for the signer to
    judge, with ``verify``.

    Raises:
        VerificationError: ``packet.…`` or ``ledger.unsound``.
        InputError: ``packet.other-ledger``, ``packet.countersigned``, ``packet.same-person``,
            ``packet.late-key``, and what making a packet raises.
    """
    status = check_signature(pdf)
    if not status.ok:
        fault = status.faults[0]
        raise VerificationError(
            fault.code, fault.message, expected=fault.expected, found=fault.found
        )
    if status.counter is not None:
        raise InputError(
            "packet.countersigned",
            "the packet is counter-signed already",
            found=status.counter.name,
        )
    verified = workspace.verified(progress)
    _require_own(workspace, pdf)
    identity = signing_identity(workspace, verified, certificate)
    first = verified.ring.get(status.fingerprint or "")
    if first is None or first.signer.person == identity.signer.person:
        raise InputError(
            "packet.same-person",
            "a counter-signature is a second person's",
            hint="choose another key with --key",
            found=identity.signer.email,
        )
    _require_known(workspace, pdf, identity.signer.fingerprint)
    return identity.sign(pdf, COUNTER)


def _require_own(workspace: Workspace, pdf: bytes) -> None:
    """Refuse a packet of another ledger: nobody here knows its people."""
    note = read_attachments(pdf).get(proofs.CHECKPOINT, b"")
    try:
        SignedNote.from_bytes(note).verify(workspace.ledger.vkey)
    except VerificationError as error:
        raise InputError(
            "packet.other-ledger",
            "the packet is not of this workspace's ledger",
            expected=workspace.config.origin,
        ) from error


def _require_known(workspace: Workspace, pdf: bytes, fingerprint: str) -> None:
    """Refuse a key that the packet's own key history does not have."""
    known = [
        data
        for name, data in read_attachments(pdf).items()
        if name.startswith("key-") and name.endswith(".pem")
    ]
    if workspace.signing_key.public.pem().encode() not in known:
        raise InputError(
            "packet.late-key",
            "the packet does not know the key: it was enrolled after the packet was made",
            hint="make the packet again, then counter-sign it",
            found=fingerprint,
        )
