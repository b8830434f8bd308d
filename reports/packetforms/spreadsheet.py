"""The packet as a spreadsheet: evidence register, controls, omissions. Times are ISO 8601 text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from muniment.reports import sampleview, views, workbook
from muniment.reports.workbook import Sheet
from muniment.schemas.times import format_time

from .facts import RecordFacts, register

if TYPE_CHECKING:
    from muniment.controls.coverage import ControlResult
    from muniment.reports.model import PacketInput
    from muniment.reports.sampleview import Drawing
    from muniment.schemas.statement import RecordRef, Subject

_REGISTER = (
    ("Record", 9),
    ("Record digest (SHA-256)", 24),
    ("Kind", 20),
    ("About", 40),
    ("Signed by", 24),
    ("E-mail", 24),
    ("Signer’s key", 24),
    ("Signer’s roles", 16),
    ("Collected at", 21),
    ("Recorded at", 21),
    ("Valid until, by its own word", 21),
    ("Claims controls", 30),
    ("Counts for controls", 30),
    ("Controls fresh until", 21),
    ("Approved by", 30),
    ("Supersedes", 11),
    ("Superseded by", 11),
    ("Not trusted", 24),
    ("Files with SHA-256", 60),
    ("Git commit", 42),
)
_CONTROLS = (
    ("Framework", 20),
    ("Control", 16),
    ("Title", 40),
    ("Group", 16),
    ("State", 14),
    ("Blocks the gate", 10),
    ("Evidence", 16),
    ("Approvals", 16),
    ("Fresh until", 21),
    ("Why", 60),
    ("What would unblock it", 60),
    ("State by evidence alone", 14),
)
_OMISSIONS = (("Code", 24), ("Records", 16), ("Why", 100))
_SAMPLE = (
    *zip(sampleview.COLUMNS, (9, 24, 20, 40, 30, 24, 12, 24, 24), strict=True),
    ("Outcome", 14),
    ("Note", 60),
)
_ABOUT = (("What", 26), ("", 100))


def to_xlsx(packet: PacketInput) -> bytes:
    """The spreadsheet; every cell is text."""
    return workbook.to_xlsx(
        f"Evidence register of {packet.coverage.system}",
        (
            Sheet("Evidence register", _REGISTER, map(_record, register(packet))),
            Sheet("Controls", _CONTROLS, _controls(packet)),
            Sheet("Omissions", _OMISSIONS, _omissions(packet)),
            *([Sheet("Test sample", _SAMPLE, _sample(packet.sample))] if packet.sample else []),
            Sheet("About", _ABOUT, _about(packet)),
        ),
        packet.checkpoint_time,
    )


def _record(facts: RecordFacts) -> tuple[str, ...]:
    record = facts.record
    signer, said = record.signer, record.statement
    return (
        str(record),
        record.sha256,
        record.kind,
        views.headline(record),
        signer.name,
        signer.email,
        signer.fingerprint,
        ", ".join(sorted(signer.roles)),
        format_time(said.collected_at),
        format_time(record.recorded_at),
        _time(said.valid_until),
        "\n".join(said.controls),
        "\n".join(facts.counts_for),
        _time(facts.fresh_until),
        "\n".join(f"{approval.signer.name} ({approval})" for approval in facts.approved_by),
        f"#{said.supersedes.index}" if said.supersedes else "",
        "" if facts.superseded_by is None else f"#{facts.superseded_by}",
        record.distrusted or "",
        "\n".join(map(_file, said.subjects)),
        "\n".join(facts.commits),
    )


def _file(subject: Subject) -> str:
    return f"{subject.name} {subject.sha256}"


def _controls(packet: PacketInput) -> Iterator[tuple[str, ...]]:
    blocking = {control.id for control in packet.blocking}
    for catalog in packet.coverage.catalogs:
        for control in catalog.controls:
            yield (catalog.catalog, *_control(control, control.id in blocking))


def _control(control: ControlResult, blocks: bool) -> tuple[str, ...]:
    return (
        views.short_id(control.id),
        control.title,
        control.group,
        str(control.state),
        "yes" if blocks else "no",
        _places(control.evidence),
        _places(control.approvals),
        _time(control.fresh_until),
        "\n".join(reason.full() for reason in control.reasons),
        control.unblock or "",
        str(control.underlying or control.state),
    )


def _omissions(packet: PacketInput) -> Iterator[tuple[str, ...]]:
    for reason in packet.coverage.left_out:
        yield reason.code, _places(reason.records), reason.text
    for sentence in packet.not_included:
        yield "", "", sentence
    yield "", "", f"Cells over {workbook.MAX_CELL:,} characters are cut, and end with an ellipsis."


def _sample(drawing: Drawing) -> Iterator[tuple[str, ...]]:
    """A row for each record; outcome and note are the auditor's to fill."""
    for line in drawing.lines:
        yield (*line.cells(), "", "")


def _about(packet: PacketInput) -> Iterator[tuple[str, ...]]:
    coverage = packet.coverage
    yield "Verdict", views.verdict(packet)
    yield "Organisation", packet.organisation
    yield "System", str(coverage.system)
    yield "As of", format_time(coverage.as_of)
    yield "Model digest", coverage.artifact or "none named"
    yield "Profile", f"{packet.profile_name}, sha256 {coverage.profile_sha256}"
    yield "Ledger", packet.origin
    yield "Root key", packet.root_fingerprint
    yield "Checkpoint", packet.checkpoint
    cover = packet.look.cover
    if cover.reviewer:
        yield "Reviewed by", cover.reviewer
    for text in cover.conclusions:
        yield "The reviewer’s conclusion", text
    if cover.scope:
        yield "The reviewer on the scope", cover.scope
    if packet.sample:
        seed = packet.sample.sample.seed
        yield "Test sample", f"{packet.sample.title}; auditor’s word: {seed.salt or 'none'}"
        yield "Seed of the sample", f"checkpoint of {seed.size:,} records, root hash {seed.root}"
    yield (
        "Proof",
        "A spreadsheet proves nothing: the packet as PDF or HTML holds the signed records.",
    )


def _places(refs: Iterable[RecordRef]) -> str:
    return ", ".join(f"#{ref.index}" for ref in refs)


def _time(moment: datetime | None) -> str:
    return format_time(moment) if moment else ""
