"""Making a packet: what the verified ledger says of one system version, rendered, proved and
signed."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from muniment import __version__
from muniment.controls.coverage import Coverage
from muniment.controls.gate import GateDecision
from muniment.controls.profile import Profile
from muniment.evidence.checkpoint import SignedCheckpoint
from muniment.evidence.keys import SigningKey
from muniment.evidence.trust import KEY_KIND, EnrolledKey, KeyRing
from muniment.evidence.verified import VerifiedLedger
from muniment.evidence.workspace import as_input_error
from muniment.schemas.errors import InputError
from muniment.schemas.record import Record, Signer
from muniment.schemas.text import counted

from .coverages import known_since
from .erased import erased_words, erasures
from .model import Embedded, KeyLine, PacketInput
from .proofs import derivation_words, proof_files

if TYPE_CHECKING:
    from muniment.evidence.verification import Progress

    from .workspace import Workspace


def assemble(
    workspace: Workspace,
    verified: VerifiedLedger,
    coverage: Coverage,
    decision: GateDecision,
    profile: Profile,
    progress: Progress | None = None,
) -> bytes:
    """The signed PDF.

    Args:
        progress: told how far the pages are.

    Raises:
        InputError: ``packet.key`` if the reviewer's key cannot sign a PDF, ``trust.reviewer`` if
            its holder may not sign a packet.
        ReportError: the PDF cannot be made.
    """
    from .signature import sign_pdf
    from .worker import render

    signing_key = workspace.signing_key
    with as_input_error():
        reviewer = verified.ring.reviewer(signing_key.public.fingerprint, verified.require().time)
    key = signing_key.private if isinstance(signing_key, SigningKey) else None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise InputError(
            "packet.key",
            "a packet is signed with a P-256 key in a file: PDF readers do not know Ed25519, "
            "and tokens do not sign a packet",
            hint="choose another key with --key",
        )
    packet, files = gather(workspace, verified, coverage, decision, profile, reviewer)
    pdf = render(packet, files, progress)
    return sign_pdf(pdf, key, reviewer, packet.organisation, workspace.clock())


def gather(
    workspace: Workspace,
    verified: VerifiedLedger,
    coverage: Coverage,
    decision: GateDecision,
    profile: Profile,
    reviewer: Signer | None = None,
) -> tuple[PacketInput, list[Embedded]]:
    """What a packet says in any form, and the files that prove it, the manifest last."""
    checkpoint = verified.require()
    used = [
        record
        for record in verified.records
        if record.statement.system == coverage.system or record.kind == KEY_KIND
    ]
    names = (*(catalog.catalog for catalog in coverage.catalogs), *coverage.sources)
    catalogs = [workspace.catalog(name) for name in dict.fromkeys(names)]
    files = proof_files(
        workspace.ledger,
        checkpoint,
        used,
        verified.ring,
        workspace.kinds,
        catalogs,
        workspace.crosswalk.among({item.id for catalog in catalogs for item in catalog.controls}),
        profile,
        coverage,
        decision,
    )
    not_included = (
        *_not_included(verified.records, used),
        *(f"{words}." for words in [derivation_words(coverage.derivations)] if words),
        *(f"{_first_up(item.sentence)}." for item in known_since(workspace, verified, coverage)),
    )
    packet = packet_input(
        decision,
        used,
        verified.ring,
        checkpoint,
        organisation=workspace.config.organisation,
        not_included=not_included,
        reviewer=reviewer,
    )
    return packet, files


def packet_input(
    decision: GateDecision,
    records: Iterable[Record],
    ring: KeyRing,
    checkpoint: SignedCheckpoint,
    *,
    organisation: str,
    not_included: tuple[str, ...],
    reviewer: Signer | None = None,
) -> PacketInput:
    """What a packet says, by what was verified; only the last three cannot be derived from it.

    Args:
        records: those about the system, in ledger order; key records among them are left out.
    """
    return PacketInput(
        organisation=organisation,
        coverage=decision.coverage,
        passed=decision.passed,
        profile_name=decision.profile.name,
        blocking=decision.blocking,
        records=tuple(record for record in records if record.kind != KEY_KIND),
        keys=tuple(map(_key_line, ring)),
        origin=checkpoint.checkpoint.origin,
        checkpoint=checkpoint.note.to_bytes().decode(),
        checkpoint_time=checkpoint.time,
        tree_size=checkpoint.size,
        root_hash=base64.b64encode(checkpoint.root).decode(),
        root_fingerprint=str(ring.root),
        reviewer=reviewer,
        muniment_version=__version__,
        not_included=not_included,
    )


def _first_up(text: str) -> str:
    return text[:1].upper() + text[1:]


def _key_line(enrolled: EnrolledKey) -> KeyLine:
    signer = enrolled.signer
    return KeyLine(
        signer.fingerprint,
        signer.name,
        signer.email,
        signer.type,
        signer.roles,
        signer.functions,
        enrolled.enrolled,
        enrolled.expires,
    )


def _not_included(records: list[Record], used: list[Record]) -> list[str]:
    sentences = [
        "The bytes of the artifacts are not in this packet; each is named by its SHA-256.",
    ]
    sentences += [
        f"Record #{number} {erased_words(order)}."
        for number, order in sorted(erasures(used).items())
    ]
    others = len(records) - len(used)
    if others:
        speak, are = ("speaks", "is") if others == 1 else ("speak", "are")
        sentences.append(
            f"{counted(others, 'record')} of the ledger {speak} of other systems or versions and "
            f"{are} not in this packet. The checkpoint covers their places; what they say is not "
            "shown."
        )
    return sentences
