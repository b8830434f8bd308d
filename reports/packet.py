"""Making a packet: what the verified ledger says of one system version, rendered, proved and
signed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from muniment.controls.coverage import Coverage
from muniment.controls.gate import GateDecision
from muniment.controls.profile import Profile
from muniment.evidence.timestamp import Authority
from muniment.evidence.trust import KEY_KIND
from muniment.evidence.verified import VerifiedLedger
from muniment.evidence.workspace import as_input_error
from muniment.schemas.record import Record, Signer
from muniment.schemas.text import counted, first_up

from .artifactfiles import MAX_BYTES, LeftOut, carry
from .cover import logo_file
from .coverages import known_since
from .custody import outside_proofs
from .earlier import outside_files, previous_file
from .erased import erased_words, erasures
from .identity import Identity
from .model import Embedded, Look, PacketInput
from .printed import PAGES, packet_input, pages_document, renderer, written_by
from .proofs import derivation_words, document_file, proof_files
from .sampling import sample_for_packet
from .sigfields import REVIEWER
from .views import MAX_ROWS

if TYPE_CHECKING:
    from muniment.evidence.verification import Progress

    from .packetforms.form import PacketForm
    from .workspace import Workspace

_NO_ARTIFACTS = "The bytes of the artifacts are not in this packet; each is named by its SHA-256."


@dataclass(frozen=True, slots=True)
class Extras:
    """What a packet may have beyond the usual."""

    look: Look = field(default_factory=Look)
    """What the reviewer and the workspace add to the pages."""
    sample: str | None = None
    """What ``sampling.sample_for_packet`` takes; None for no sample."""
    with_artifacts: bool = False
    """Whether the stored files are embedded, as far as there is room."""
    certificate: Path | None = None
    """PEM file with the certificate of the reviewer's key, and those above it."""


def assemble(
    workspace: Workspace,
    verified: VerifiedLedger,
    coverage: Coverage,
    decision: GateDecision,
    profile: Profile,
    progress: Progress | None = None,
    extras: Extras | None = None,
) -> bytes:
    """The signed PDF.

    Args:
        progress: told how far the pages are.
        extras: what is asked for beyond the usual.

    Raises:
        InputError: ``packet.key`` if the reviewer's key cannot sign a PDF, ``trust.reviewer`` if
            its holder may not sign a packet, ``packet.certificate``, ``timestamp.…``,
            ``sample.…``.
        StoreError: the time-stamping authority did not answer.
        ReportError: the PDF cannot be made.
    """
    from .worker import Renderer

    asked = extras or Extras()
    identity = signing_identity(workspace, verified, asked.certificate)
    with Renderer() as renderer:
        packet, files = gather(
            workspace, verified, coverage, decision, profile, identity.signer, asked
        )
        pdf = renderer.render(packet, files, progress)
    return identity.sign(pdf, REVIEWER)


def unsigned(
    workspace: Workspace,
    verified: VerifiedLedger,
    coverage: Coverage,
    decision: GateDecision,
    profile: Profile,
    form: PacketForm,
    extras: Extras | None = None,
) -> bytes:
    """The packet in a form that nobody signs: any but ``pdf``; it follows no templates.

    Raises:
        InputError: ``usage.format`` for an extra that the form has no place for, ``sample.…``.
    """
    from .packetforms.form import render

    asked = extras or Extras()
    form.require_shown(asked)
    look = replace(asked.look, cover=form.fitted(asked.look.cover), overrides=())
    asked = replace(asked, look=look)
    packet, files = gather(workspace, verified, coverage, decision, profile, None, asked)
    return render(packet, files, form)


def gather(
    workspace: Workspace,
    verified: VerifiedLedger,
    coverage: Coverage,
    decision: GateDecision,
    profile: Profile,
    reviewer: Signer | None,
    asked: Extras,
) -> tuple[PacketInput, list[Embedded]]:
    """What a packet says in any form, and the files that prove it, the manifest last.

    Args:
        reviewer: who will sign it; None for a form that nobody signs.
    """
    checkpoint = verified.require()
    used = [
        record
        for record in verified.records
        if record.statement.system == coverage.system or record.kind == KEY_KIND
    ]
    taken, left_out = carry(used, workspace.store, MAX_BYTES if asked.with_artifacts else 0)
    drawing = None
    if asked.sample is not None:
        drawing = sample_for_packet(workspace, verified, coverage.system, asked.sample)
    said = pages_document(
        workspace.config.organisation,
        [
            *(_artifact_words(taken, left_out) if asked.with_artifacts else [_NO_ARTIFACTS]),
            *_frameworks_left_out(workspace, coverage),
            *_not_included(verified.records, used),
            *(f"{words}." for words in [derivation_words(coverage.derivations)] if words),
            *(f"{first_up(item.sentence)}." for item in known_since(workspace, verified, coverage)),
        ],
        *outside_proofs(workspace, checkpoint),
        asked.look,
        renderer() if reviewer else written_by(),
    )
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
        None if drawing is None else drawing.sample,
        [
            *outside_files(workspace, checkpoint),
            previous_file(workspace.ledger, checkpoint, _of_system(verified.records, coverage)),
            *taken,
            document_file(PAGES, said, "What the pages say beside, and what set them"),
            *(logo_file(logo) for logo in [asked.look.cover.logo] if logo is not None),
        ],
        left_out,
    )
    packet = packet_input(
        decision, used, verified.ring, checkpoint, said, reviewer=reviewer, sample=drawing
    )
    return replace(packet, look=asked.look), files


def signing_identity(
    workspace: Workspace, verified: VerifiedLedger, certificate: Path | None = None
) -> Identity:
    """Who signs a packet here, with which certificate, and who dates the signature.

    Raises:
        InputError: as ``assemble``.
    """
    key, checkpoint = workspace.signing_key, verified.require()
    with as_input_error():
        signer = verified.ring.reviewer(key.public.fingerprint, checkpoint.time)
    config = workspace.config
    authority = None
    if config.timestamps is not None:
        authority = Authority.of(config, workspace.root, None, None)
    now = workspace.clock()
    return Identity.of(key, signer, config.organisation, now, authority, certificate)


def _of_system(records: Sequence[Record], coverage: Coverage) -> list[Record]:
    """The records about any version of the system."""
    return [
        record
        for record in records
        if record.statement.system is not None and record.statement.system.id == coverage.system.id
    ]


def _artifact_words(taken: Sequence[Embedded], left_out: Sequence[LeftOut]) -> list[str]:
    """What became of the files: each that was left out, with its digest."""
    named = sorted({item.sha256 for item in left_out})
    words = [item.sentence() for item in left_out[:MAX_ROWS]]
    if len(named) > MAX_ROWS:
        rest = counted(len(left_out) - MAX_ROWS, "further file")
        words.append(f"{rest} left out are listed in manifest.json.")
    return words or ([] if taken else ["No record names a file."])


def _frameworks_left_out(workspace: Workspace, coverage: Coverage) -> list[str]:
    """The workspace's frameworks that nobody asked this packet about."""
    shown = {item.catalog for item in coverage.catalogs}
    others = [name for name in workspace.config.frameworks if name not in shown]
    if not others:
        return []
    return [f"Of the workspace’s frameworks this packet was not asked about {', '.join(others)}."]


def _not_included(records: list[Record], used: list[Record]) -> list[str]:
    sentences = [
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
