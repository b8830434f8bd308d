"""The workspace with everything on it: attach evidence, read coverage, pass the gate, write the
packet.

This is the public Python API, ``from muniment import Workspace``; the command line calls nothing
else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muniment.controls.claims import remarks
from muniment.controls.coverage import Coverage
from muniment.controls.gate import GateDecision, decide, decided, to_body
from muniment.controls.profile import Profile
from muniment.controls.standing import Erased, erased, registrations, standings, withdrawn
from muniment.evidence import withdrawal
from muniment.evidence.artifacts import digest_of, is_digest
from muniment.evidence.draft import Evidence
from muniment.evidence.filechecks import require_artifacts
from muniment.evidence.garbage import uncollected
from muniment.evidence.statements import Holder
from muniment.evidence.verified import VerifiedLedger
from muniment.evidence.workspace import Attached
from muniment.schemas.errors import InputError
from muniment.schemas.record import Record
from muniment.schemas.statement import GATE_DECISION, Statement, SystemRef
from muniment.schemas.text import with_article

from .coverages import checkpoint_of, known_then, ledger_state, require_told_apart
from .evaluation import judge, require_begun
from .rulebook import RuleBook
from .selection import Around, around, files_about, is_signer, speaks_of

if TYPE_CHECKING:
    from muniment.controls.hindsight import Hindsight
    from muniment.controls.soa import Soa
    from muniment.evidence.keys import PublicKey
    from muniment.evidence.verification import Progress

    from .coverages import SystemView
    from .exceptions import Decision
    from .export import Exported
    from .imports import Restored
    from .oscal import OscalExport

__all__ = ["Around", "Attached", "Gated", "Holder", "Workspace"]

DEFAULT_PROFILE = "production"
_MADE_ELSEWHERE = {
    "key": "key add",
    GATE_DECISION: "gate",
    "attestation": "import",
    "waiver": "waive",
    "applicability": "applicability",
    "sample-test": "sample record",
    "packet": "packet",
}
"""Kinds whose records a command of their own computes."""


@dataclass(frozen=True, slots=True)
class Gated:
    """What the gate answered."""

    decision: GateDecision
    attached: Attached | None
    """The signed decision; None after a dry run."""
    hindsight: tuple[Hindsight, ...] = ()
    """What became known after the moment that a dry run was asked about."""


class Workspace(RuleBook):
    """One workspace; ``Workspace.find()`` opens the one you stand in."""

    def attach(
        self,
        kind: str,
        *files: Path | str,
        system: str | None = None,
        controls: Sequence[str] = (),
        body: Mapping[str, Any] | None = None,
        settings: Sequence[tuple[str, Any]] = (),
        digests: Mapping[str, Path | str] | None = None,
        collected_at: datetime | None = None,
        valid_until: datetime | None = None,
        supersedes: str | None = None,
        reason: str | None = None,
        link_only: bool = False,
        on_bytes: Callable[[int], None] | None = None,
    ) -> Attached:
        """Sign one record and append it.

        Args:
            kind: the kind's name, such as ``eval-result``.
            files: the subjects: hashed, stored, linked to git; a known tool's file also fills the
                body.
            system: ``ID@VERSION``; may be left out where there is only one.
            controls: control ids as people write them.
            body: the kind's fields, laid over what the tool's file says.
            settings: paths into the body with values, laid over ``body``.
            digests: paths into the body that get the SHA-256 of a file.
            collected_at: when the facts held, UTC; by default what the tool's file says, else now.
            valid_until: when the evidence lapses by its own word, UTC.
            supersedes: the record this one takes the place of.
            reason: why it does.
            link_only: do not copy the files into the artifact store.
            on_bytes: called with the number of bytes read since the last call.

        Raises:
            InputError, SchemaError: what is wrong, all faults at once.
            TrustError: the key may not sign this.
            StoreError: a file or the ledger did not answer.
        """
        if kind in _MADE_ELSEWHERE:
            raise InputError(
                "attach.kind",
                f"{with_article(kind)} record is not attached by hand",
                hint=f"muniment {_MADE_ELSEWHERE[kind]}",
            )
        attached = self.add(
            Evidence(
                kind=kind,
                system=SystemRef.parse(system) if system is not None else None,
                files=[Path(file) for file in files],
                controls=[self.control(text) for text in controls],
                body=body or {},
                settings=settings,
                digests=[(path, Path(file)) for path, file in (digests or {}).items()],
                collected_at=collected_at,
                valid_until=valid_until,
                supersedes=supersedes,
                supersedes_because=reason,
                link_only=link_only,
            ),
            on_bytes,
        )
        named = sorted({claim.partition(":")[0] for claim in attached.record.statement.controls})
        said = remarks(attached.record, map(self.catalog, named), self.catalogs)
        return replace(attached, warnings=(*attached.warnings, *said))

    def retract(self, records: Sequence[str], reason: str) -> Attached:
        """Take records back; see ``muniment.evidence.withdrawal``."""
        return withdrawal.retract(self, records, reason)

    def erase(self, records: Sequence[str], basis: str, reason: str) -> Attached:
        """Remove what records say, for good; see ``muniment.evidence.withdrawal``.

        The warnings name the stored files that stay because other records speak of them.
        """
        before = self._stored_files(records)
        attached = withdrawal.erase(self, records, basis, reason)
        removed = attached.record.statement.body["artifacts"]
        kept = [
            f"{name} stays in the store: another record speaks of it"
            for sha256, name in before.items()
            if sha256 not in removed
        ]
        return replace(attached, warnings=(*attached.warnings, *kept))

    def _stored_files(self, records: Sequence[str]) -> dict[str, str]:
        """SHA-256 to name of the stored files of records that are not erased yet."""
        found: dict[str, str] = {}
        for text in records:
            try:
                subjects = self.entry(text).statement.subjects
            except InputError:
                continue  # erasing words it, or finishes what was interrupted
            found.update((item.sha256, item.name) for item in subjects if item.stored)
        return found

    def select(
        self,
        verified: VerifiedLedger,
        *,
        system: str | None = None,
        kind: str | None = None,
        control: str | None = None,
        signer: str | None = None,
        subject: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> list[Record]:
        """The verified records that fit every filter given.

        Args:
            signer: part of a name or e-mail address, or a fingerprint.
            subject: a file, or its SHA-256.
            since: earliest recorded time, inclusive.
            until: latest recorded time, inclusive.

        Raises:
            InputError: a filter names something that does not exist.
        """
        wanted_system = self.system(system) if system is not None else None
        wanted_kind = self.kinds.get(kind).name if kind else None
        wanted_control = self.control(control) if control else None
        digest = _digest(subject)
        return [
            record
            for record in verified.records
            if (wanted_system is None or record.statement.system == wanted_system)
            and (wanted_kind is None or record.kind == wanted_kind)
            and (wanted_control is None or wanted_control in record.statement.controls)
            and (signer is None or is_signer(record, signer))
            and (digest is None or speaks_of(record, digest))
            and (since is None or record.recorded_at >= since)
            and (until is None or record.recorded_at <= until)
        ]

    def standings(self, verified: VerifiedLedger) -> dict[int, str]:
        """By place, whether a record still counts; see ``muniment.controls.standing``."""
        return standings(verified.records)

    def withdrawn(self, records: Sequence[Record]) -> Mapping[int, str]:
        """Those of the records that others withdrew; see ``muniment.controls.standing``."""
        return withdrawn(records)

    def registrations(
        self, verified: VerifiedLedger, states: Mapping[int, str]
    ) -> dict[SystemRef, Record]:
        """The record that registers each system version, by what ``standings`` gave."""
        return registrations(verified.records, states)

    def erased(
        self, verified: VerifiedLedger, *, system: str | None = None, kind: str | None = None
    ) -> list[Erased]:
        """The erased records that fit every filter given, as far as anything is known of them."""
        wanted = self.system(system) if system is not None else None
        return [
            item
            for item in erased(verified.records)
            if wanted in (None, item.system) and kind in (None, item.kind)
        ]

    def around(self, verified: VerifiedLedger, record: Record) -> Around:
        """What other verified records say of this one."""
        return around(verified.records, record)

    @uncollected()
    def coverage(
        self,
        system: str | None = None,
        *,
        profile: str = DEFAULT_PROFILE,
        frameworks: Sequence[str] = (),
        as_of: datetime | None = None,
        artifact: str | Path | None = None,
        progress: Progress | None = None,
    ) -> Coverage:
        """State of every control of one system version.

        Args:
            frameworks: catalogs, by default those of ``muniment.yaml``.
            as_of: the moment to judge, UTC; by default now.
            artifact: the model in question, a file or its SHA-256; by default the one that the
                system's record names.

        Raises:
            VerificationError: ``ledger.unsound``; nothing is concluded from such a ledger.
        """
        verified = self.verified(progress, self._registered([system]))
        verified.require()
        return self._evaluate(
            verified, self.system(system), self.profile(profile), frameworks, as_of, artifact
        )

    def waive(
        self,
        controls: Sequence[str],
        *,
        reason: str,
        measure: str,
        until: date,
        profile: str = DEFAULT_PROFILE,
        residual: str | None = None,
        system: str | None = None,
    ) -> Attached:
        """Sign a waiver, or with ``residual`` a risk acceptance; see ``reports.exceptions``."""
        from .exceptions import waive

        return waive(
            self,
            controls,
            reason=reason,
            measure=measure,
            until=until,
            profile=self.profile(profile),
            residual=residual,
            system=system,
        )

    def decide_applicability(
        self,
        decisions: Sequence[Decision],
        *,
        profile: str = DEFAULT_PROFILE,
        system: str | None = None,
    ) -> Attached:
        """Sign which controls apply and which do not; see ``reports.exceptions``."""
        from .exceptions import decide_applicability

        known = self.profile(profile)
        return decide_applicability(self, decisions, profile=known, system=system)

    @uncollected()
    def soa(
        self,
        system: str | None = None,
        *,
        profile: str = DEFAULT_PROFILE,
        as_of: datetime | int | None = None,
        progress: Progress | None = None,
    ) -> Soa:
        """The statement of applicability for ISO/IEC 42001.

        Raises:
            VerificationError: ``ledger.unsound``.
        """
        from muniment.controls.soa import CATALOG, statement_of_applicability

        verified = self.verified(progress, self._registered([system]))
        verified.require()
        about, known = self.system(system), self.profile(profile)
        coverage = self._evaluate(verified, about, known, (CATALOG,), as_of, None)
        then = known_then(self, verified, coverage, as_of)
        return statement_of_applicability(coverage, then, ledger_state(verified))

    @uncollected()
    def views(
        self,
        systems: Sequence[str] = (),
        *,
        profile: str = DEFAULT_PROFILE,
        frameworks: Sequence[str] = (),
        as_of: datetime | int | None = None,
        since: datetime | int | None = None,
        expiring: timedelta | None = None,
        artifact: str | Path | None = None,
        every: bool = False,
        owner: str | None = None,
        progress: Progress | None = None,
    ) -> list[SystemView]:
        """The coverage of one or several system versions, with what changed and what will lapse.

        Args:
            systems: by default the only one there is.
            as_of: the moment to judge, UTC, or the size of a checkpoint; by default now.
            since: what to compare with, likewise.
            expiring: how far to look ahead from that moment.
            every: every system version that was registered by then.
            owner: e-mail address of the owner whose systems are wanted; of ``systems``, if given.

        Raises:
            VerificationError: ``ledger.unsound``; nothing is concluded from such a ledger.
            InputError: ``system.…``, ``checkpoint.unknown``, ``coverage.before-ledger``,
                ``coverage.no-system`` or ``coverage.since``.
        """
        from .coverages import Asked, views

        wanted = None if every or owner is not None else self._registered(systems or [None])
        verified = self.verified(progress, wanted)
        verified.require()
        known = self.profile(profile)

        def judged(
            ledger: VerifiedLedger, about: SystemRef, at: datetime, size: int | None
        ) -> Coverage:
            return judge(self, ledger, about, known, frameworks, at, _digest(artifact), size)

        asked = Asked(tuple(systems), every, owner, as_of, since, expiring)
        return views(self, verified, asked, judged)

    @uncollected()
    def gate(
        self,
        system: str | None = None,
        *,
        profile: str = DEFAULT_PROFILE,
        as_of: datetime | int | None = None,
        artifact: str | Path | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Gated:
        """Whether the system version may launch; the decision is signed and appended.

        Raises:
            InputError: ``gate.past``; a decision is signed for now.
            VerificationError: ``ledger.unsound`` or ``artifact.unsound``.
        """
        if as_of is not None and not dry_run:
            raise InputError(
                "gate.past",
                "a decision is signed for the present, never for another day",
                hint="--dry-run shows what the gate would have said",
            )
        from .coverages import known_since

        verified = self.verified(progress, self._registered([system]))
        verified.require()
        known = self.profile(profile)
        named = self.system(system)
        require_artifacts(files_about(verified.records, named), self.store)
        coverage = self._evaluate(verified, named, known, tuple(known.blocks), as_of, artifact)
        decision = decide(coverage, known)
        attached = None if dry_run else self.append(self._decided(decision, verified, artifact))
        return Gated(decision, attached, tuple(known_since(self, verified, coverage, as_of)))

    def receipt(self, record: Record) -> bytes:
        """A record as a Sigstore bundle, with the proof of it under the last checkpoint.

        What ``reports.vsa.check_decision`` reads of a gate decision.
        """
        checkpoint = self.ledger.checkpoint()
        (receipt,) = self.ledger.receipts([record.index], checkpoint)
        return receipt.to_bundle(self.ledger.vkey, checkpoint.size, checkpoint.root)

    def packet(
        self,
        system: str | None = None,
        *,
        profile: str = DEFAULT_PROFILE,
        frameworks: Sequence[str] = (),
        as_of: datetime | int | None = None,
        artifact: str | Path | None = None,
        sample: str | None = None,
        cover: Path | str | None = None,
        paper: str = "a4",
        progress: Progress | None = None,
        with_artifacts: bool = False,
        certificate: Path | str | None = None,
        form: str = "pdf",
    ) -> bytes:
        """The audit packet of one system version: a signed PDF that holds its own proof.

        Templates in the workspace's folder ``packet/`` take the place of those of the same name.
        Nothing is appended; ``issued.record_packet`` notes that it was issued.

        Args:
            sample: what ``sampling.sample_for_packet`` takes; None for no sample.
            cover: a file with the reviewer's own words, logo and colour.
            paper: ``a4`` or ``letter``.
            with_artifacts: embed the stored files, as far as there is room.
            certificate: PEM file with the certificate of the signing key and those above it; by
                default the key issues one to itself.
            form: ``pdf``; or unsigned ``html``, ``markdown``, ``json`` or ``xlsx``.

        Raises:
            InputError, SchemaError: ``cover.…``, ``template.…``, ``packet.paper``, ``usage.…``.
            VerificationError: ``ledger.unsound`` or ``artifact.unsound``.
            ReportError: the PDF cannot be made.
        """
        from .look import read_look
        from .packet import Extras, assemble, unsigned
        from .packetforms.form import PacketForm

        look = read_look(self.root, None if cover is None else Path(cover), paper)
        chain = None if certificate is None else Path(certificate)
        extras = Extras(look, sample, with_artifacts, chain)
        PacketForm(form).require_shown(extras)
        verified = self.verified(progress)
        verified.require()
        known = self.profile(profile)
        about, named = self.system(system), frameworks or self.config.frameworks
        require_artifacts(files_about(verified.records, about), self.store)
        coverage = self._evaluate(verified, about, known, (*named, *known.blocks), as_of, artifact)
        require_told_apart(verified, coverage, as_of)
        decision = decide(coverage, known)
        if form != PacketForm.PDF:
            return unsigned(self, verified, coverage, decision, known, PacketForm(form), extras)
        return assemble(self, verified, coverage, decision, known, progress, extras)

    def export(self, form: str, folder: Path | str, progress: Progress | None = None) -> Exported:
        """Write the ledger as files that other tools read; ``tiles`` is the complete form.

        Args:
            form: ``bundles``, ``proofs``, ``tiles`` or ``intoto``.
            folder: new or empty.

        Raises:
            VerificationError: ``ledger.unsound``.
            InputError: ``export.not-empty``.
            ReportError: ``report.unwritable``.
        """
        from .export import Form, export

        return export(self, Form(form), Path(folder), progress)

    def restore(self, folder: Path | str, progress: Progress | None = None) -> Restored:
        """Make this workspace's ledger again from an export of form ``tiles``.

        Raises:
            InputError: ``import.exists`` or ``import.no-export``.
            VerificationError: the first thing in the export that does not hold.
        """
        from .imports import restore

        return restore(self, Path(folder), progress)

    def import_attestations(
        self,
        file: Path | str,
        keys: Sequence[PublicKey],
        *,
        system: str | None = None,
        controls: Sequence[str] = (),
    ) -> list[Attached]:
        """Take what third parties signed as evidence: a record for each attestation in a file.

        Args:
            keys: of which at least one must have signed each.

        Raises:
            SignatureError: ``attestation.signature``; nothing is stored.
            InputError: what is wrong with the file.
        """
        from .attest import import_attestations

        return import_attestations(self, Path(file), keys, system, controls)

    def export_oscal(
        self,
        folder: Path | str,
        system: str | None = None,
        *,
        profile: str = DEFAULT_PROFILE,
        frameworks: Sequence[str] = (),
        as_of: datetime | int | None = None,
        artifact: str | Path | None = None,
        progress: Progress | None = None,
    ) -> OscalExport:
        """Write one system's coverage as OSCAL documents; the same state gives the same bytes.

        Args:
            folder: new or empty.
            as_of: the moment to judge, UTC, or the size of a checkpoint; by default the last one.

        Raises:
            VerificationError: ``ledger.unsound`` or ``artifact.unsound``.
            InputError: ``export.not-empty``.
            ReportError: ``report.unwritable``.
        """
        from .oscal import export_oscal

        verified = self.verified(progress)
        moment = verified.require().time if as_of is None else as_of
        known, about = self.profile(profile), self.system(system)
        require_artifacts(files_about(verified.records, about), self.store)
        named = (*(frameworks or self.config.frameworks), *known.blocks)
        coverage = self._evaluate(verified, about, known, named, moment, artifact)
        require_told_apart(verified, coverage, as_of)
        catalogs = [self.catalog(item.catalog) for item in coverage.catalogs]
        return export_oscal(self, verified, coverage, catalogs, known, Path(folder))

    def _registered(self, systems: Sequence[str | None]) -> list[SystemRef] | None:
        """The systems by what the index says; None if it knows not all of them.

        Whether the ledger holds must be known before anybody is told that there is no such system.
        """
        try:
            return [self.system(system) for system in systems]
        except InputError:
            return None

    def _evaluate(
        self,
        verified: VerifiedLedger,
        system: SystemRef,
        profile: Profile,
        frameworks: Sequence[str],
        as_of: datetime | int | None,
        artifact: str | Path | None,
    ) -> Coverage:
        """Judge a moment that was asked for; see ``reports.evaluation``.

        Args:
            as_of: a moment, or the size of a checkpoint; by default now.

        Raises:
            InputError: ``coverage.before-ledger``, ``system.not-yet`` or ``checkpoint.unknown``.
        """
        size = None
        if isinstance(as_of, int):
            size, as_of = as_of, checkpoint_of(self, as_of).time
        require_begun(verified, as_of, system)
        return judge(self, verified, system, profile, frameworks, as_of, _digest(artifact), size)

    def _decided(
        self, decision: GateDecision, verified: VerifiedLedger, artifact: str | Path | None
    ) -> Statement:
        from muniment import __version__

        body = to_body(decision, __version__, ledger_state(verified))
        name = Path(artifact).name if artifact and not is_digest(artifact) else "model"
        return decided(decision, body, name, self.clock(), self.references)


def _digest(artifact: str | Path | None) -> str | None:
    return None if artifact is None else digest_of(artifact)
