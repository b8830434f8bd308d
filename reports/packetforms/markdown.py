"""The packet as GitHub-flavoured Markdown, for a pull request or a wiki: what stands and what does
not, of bounded size, without the proofs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from muniment.controls.coverage import State
from muniment.reports import views
from muniment.reports.inert import escape, said
from muniment.reports.markup import cell, details, table
from muniment.schemas.times import format_time

from .facts import register

if TYPE_CHECKING:
    from muniment.controls.coverage import CatalogCoverage, ControlResult
    from muniment.reports.model import PacketInput
    from muniment.reports.views import Metric
    from muniment.schemas.record import Record
    from muniment.schemas.statement import RecordRef

_MOST = 40_000
"""Bytes of one table, of which there are at most twenty; GitHub refuses a text over 1 MiB."""
_MOST_CATALOGS, _MOST_EVALUATIONS, _MOST_LINES = 4, 4, 20


def to_markdown(packet: PacketInput) -> str:
    """The document; every text of a record is in it as text alone."""
    parts = [
        f"# Evidence packet: {cell(str(packet.coverage.system))}",
        f"**{cell(views.verdict(packet))}**",
        _about(packet),
        _counts(packet.coverage.catalogs),
        *_section("What needs attention first", _gaps(views.attention(packet))),
        *_section("Controls that block the gate", _gaps(packet.blocking) or "None."),
        *_section("Open with some evidence", _gaps(views.other_gaps(packet))),
        *_section("Met, but lapsing within 30 days", _gaps(views.soon_stale(packet))),
        *_section("Waived or not applicable, by signed record", _gaps(views.exceptions(packet))),
        *_section("No evidence at all", _needs(packet)),
        *_section("Control matrix", *_matrix(packet)),
        *_section("Statement of applicability", _soa(packet)),
        *_section("Evaluation results", *_evaluations(packet)),
        *_section("Owners and approvals", _owners(packet), _approvals(packet)),
        *_section("Evidence register", _register(packet)),
        *_section("What this packet leaves out", _left_out(packet), _sentences(packet)),
        *_section("Chain of custody", _custody(packet)),
    ]
    return "\n\n".join(parts) + "\n"


def _section(title: str, *parts: str) -> Iterable[str]:
    there = [part for part in parts if part]
    return [f"## {title}", *there] if there else []


def _about(packet: PacketInput) -> str:
    coverage = packet.coverage
    rows = [
        ("Organisation", packet.organisation),
        ("As of", format_time(coverage.as_of)),
        ("Model digest", coverage.artifact or "none named"),
        ("Profile", f"{packet.profile_name}, sha256 {coverage.profile_sha256}"),
        ("Records", f"{len(packet.records):,} about the system, of {packet.tree_size:,}"),
        ("Ledger", packet.origin),
    ]
    return _table(["", ""], [[cell(name), cell(value)] for name, value in rows])


def _counts(catalogs: Sequence[CatalogCoverage]) -> str:
    rows = [
        [cell(item.name), *(str(item.counts()[state]) for state in State), str(len(item.controls))]
        for item in catalogs
    ]
    return _table(["framework", *map(str, State), "all"], rows)


def _gaps(controls: Sequence[ControlResult]) -> str:
    rows = [
        [*_named(control), str(control.state), _why(control), cell(control.unblock or "–")]
        for control in controls
    ]
    return _table(["control", "what is wanted", "state", "why", "what would unblock it"], rows)


def _needs(packet: PacketInput) -> str:
    rows = [
        [cell(need.text), cell(", ".join(control.id for control in need.controls))]
        for catalog in packet.coverage.catalogs
        for need in views.needs(packet, catalog)
    ]
    return _table(["what is wanted", "controls it would fill"], rows)


def _named(control: ControlResult) -> list[str]:
    return [f"<b>{cell(control.id)}</b>", cell(control.title)]


def _why(control: ControlResult) -> str:
    return cell("; ".join(reason.full() for reason in control.reasons) or "–")


def _matrix(packet: PacketInput) -> Iterable[str]:
    columns = ["control", "what is wanted", "state", "evidence", "approved by", "fresh until"]
    catalogs = packet.coverage.catalogs
    for catalog in catalogs[:_MOST_CATALOGS]:
        rows = [
            [
                *_named(control),
                str(control.state),
                _places(control.evidence),
                _places(control.approvals),
                views.short_date(control.fresh_until) if control.fresh_until else "–",
            ]
            for control in catalog.controls
        ]
        title = f"{said(catalog.name)}: {len(rows)} controls"
        yield details(title, _table(columns, rows))
    if len(catalogs) > _MOST_CATALOGS:
        yield f"and {len(catalogs) - _MOST_CATALOGS} more frameworks: {_ELSEWHERE}"


def _soa(packet: PacketInput) -> str:
    found = views.soa(packet)
    if found is None:
        return ""
    rows = [
        [
            cell(line.short_id),
            cell(line.control.title),
            line.decided,
            cell(line.justification or "–"),
            str(line.control.state),
            cell(", ".join(line.owners) or "–"),
        ]
        for line in found.lines
    ]
    title = ", ".join(f"{number} {word}" for word, number in found.counts().items())
    columns = ["control", "what is wanted", "decided", "justification", "state", "owner"]
    return details(title, _table(columns, rows))


def _evaluations(packet: PacketInput) -> Iterable[str]:
    found = views.evaluations(packet)
    old = views.replaced(packet)
    for record in found[:_MOST_EVALUATIONS]:
        by = f", superseded by #{old[record.index]}" if record.index in old else ""
        title = f"{record} {said(views.headline(record))}, {said(views.evaluated(record))}{by}"
        yield details(title, _metrics(record) or "The record holds no metrics.")
    if len(found) > _MOST_EVALUATIONS:
        yield f"and {len(found) - _MOST_EVALUATIONS:,} more: {_ELSEWHERE}"


def _metrics(record: Record) -> str:
    columns = ["metric", "slice", "n", "value", "threshold", "outcome"]
    return _table(columns, map(_metric, views.metrics(record)))


def _metric(metric: Metric) -> list[str]:
    outcome = {None: "no threshold", True: "holds", False: "**fails**"}[metric.held]
    texts = (metric.name, metric.slice, metric.n, metric.value, metric.threshold)
    return [*map(cell, texts), outcome]


def _owners(packet: PacketInput) -> str:
    old = views.replaced(packet)
    rows = [
        [
            str(record),
            cell(views.person(record.statement.body)),
            cell(views.text_of(record.statement.body.get("role"))),
            f"replaced by #{old[record.index]}" if record.index in old else "in force",
        ]
        for record in views.of_kind(packet, "owner-assignment")
    ]
    return _table(["record", "owner", "role", "standing"], rows) or "No record names an owner."


def _approvals(packet: PacketInput) -> str:
    rows = [
        [
            str(record),
            cell(record.signer.name),
            cell(views.text_of(record.statement.body.get("decision"))),
            cell(views.text_of(record.statement.body.get("statement"))),
        ]
        for record in views.of_kind(packet, "approval")
    ]
    return _table(["record", "approver", "decision", "statement"], rows) or "Nothing was approved."


def _register(packet: PacketInput) -> str:
    rows = [
        [
            str(facts.record),
            cell(facts.record.kind),
            cell(views.headline(facts.record)),
            cell(facts.record.signer.name),
            views.short_date(facts.record.statement.collected_at),
            views.short_date(facts.record.recorded_at),
            cell(", ".join(facts.counts_for) or "–"),
            f"<code>{facts.record.sha256}</code>",
        ]
        for facts in register(packet)
    ]
    columns = ["record", "kind", "about", "signed by", "facts of", "recorded", "counts for"]
    written = _table([*columns, "record digest"], rows)
    return details(f"{len(rows):,} records", written) if rows else "There is no verified record."


def _left_out(packet: PacketInput) -> str:
    rows = [[cell(item.code), cell(item.full())] for item in packet.coverage.left_out]
    return _table(["code", "why it counts for nothing"], rows)


def _sentences(packet: PacketInput) -> str:
    rest = len(packet.not_included) - _MOST_LINES
    lines = [f"- {cell(sentence)}" for sentence in packet.not_included[:_MOST_LINES]]
    if rest > 0:
        lines.append(f"- and {rest:,} more: {_ELSEWHERE}")
    return "\n".join([*lines, "- Long texts and tables are cut, and say so."])


def _custody(packet: PacketInput) -> str:
    when = escape(format_time(packet.checkpoint_time))
    return "\n\n".join([
        f"The ledger {cell(packet.origin)} signed its {packet.tree_size:,} records at {when}: root "
        f"hash <code>{escape(packet.root_hash)}</code>, root key "
        f"<code>{escape(packet.root_fingerprint)}</code>.",
        "This text proves nothing: the packet as PDF or HTML holds the signed records and is "
        "checked with `muniment verify`.",
    ])  # fmt: skip


def _places(refs: Sequence[RecordRef]) -> str:
    return cell(", ".join(f"#{ref.index}" for ref in refs) or "–")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return table(columns, rows, most=_MOST, where=_ELSEWHERE)


_ELSEWHERE = "the packet’s other forms list them"
