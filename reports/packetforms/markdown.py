"""The packet as GitHub-flavoured Markdown, for a pull request or a wiki: what stands and what does
not, of bounded size, without the proofs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from muniment.controls.coverage import State
from muniment.reports import (
    carried,
    lineage,
    sampleview,
    sources,
    summary,
    timeline,
    views,
)
from muniment.reports.inert import escape, said
from muniment.reports.markup import cell, cut, details, table
from muniment.schemas.text import counted
from muniment.schemas.times import format_time

from .facts import register

if TYPE_CHECKING:
    from muniment.controls.coverage import CatalogCoverage, ControlResult
    from muniment.controls.crosswalk import Pair
    from muniment.reports.model import PacketInput
    from muniment.reports.views import Metric
    from muniment.schemas.record import Record
    from muniment.schemas.statement import RecordRef

_MOST = 28_000
"""Bytes of one table, of which there are two dozen beside matrices and evaluations; GitHub refuses
a text over 1 MiB."""
_MOST_MATRICES, _MOST_EVALUATIONS = 150_000, 100_000
"""Bytes of all tables of that sort."""
_MOST_LINES = 20


def to_markdown(packet: PacketInput) -> str:
    """The document; every text of a record is in it as text alone."""
    parts = [
        f"# Evidence packet: {cell(str(packet.coverage.system))}",
        f"**{cell(views.verdict(packet))}**",
        _about(packet),
        _counts(packet.coverage.catalogs),
        _trend(packet),
        *_section("The reviewer’s words", _words(packet)),
        *_section("What needs attention first", _gaps(views.attention(packet))),
        *_section("Controls that block the gate", _gaps(packet.blocking) or "None."),
        *_section("Open with some evidence", _gaps(views.other_gaps(packet))),
        *_section("Met, but lapsing within 30 days", _gaps(views.soon_stale(packet))),
        *_section("Waived or not applicable, by signed record", _gaps(views.exceptions(packet))),
        *_section("No evidence at all", _needs(packet)),
        *_section("Control matrix", *_matrix(packet)),
        *_section("Evidence carried over", *_crossing(packet)),
        *_section("Statement of applicability", _soa(packet)),
        *_section("Test sample", *_sample(packet), *_results(packet)),
        *_section("Owners and approvals", _owners(packet), _approvals(packet)),
        *_section("Evaluation results", *_evaluations(packet)),
        *_section("Data provenance", _data(packet)),
        *_section("From data to gate", *_lineage(packet)),
        *_section("Monitoring over time", *_monitoring(packet)),
        *_section("Evidence register", _register(packet)),
        *_section("What this packet leaves out", _left_out(packet), _sentences(packet)),
        *_section("Chain of custody", _custody(packet), _outside(packet)),
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


def _trend(packet: PacketInput) -> str:
    steps = summary.trend(packet)
    rows = [
        [str(state), str(step.before), str(step.now), step.change] for state, step in steps.items()
    ]
    parts = [
        cell(summary.trend_sentence(packet)),
        _table(["state", "before", "now", "change"], rows),
    ]
    return "\n\n".join(part for part in parts if part)


def _words(packet: PacketInput) -> str:
    cover = packet.look.cover
    said_of = [("Conclusion", text) for text in cover.conclusions]
    said_of += [("On the scope", cover.scope)] if cover.scope else []
    table = _table(["", ""], [[name, _lines(text)] for name, text in said_of])
    by = f"{cell(cover.reviewer)} wrote" if cover.reviewer else "The reviewer wrote"
    note = f"{by} this for the packet; nothing of it is computed, and nobody signed it."
    return f"{note}\n\n{table}" if table else ""


def _lines(text: str) -> str:
    return "<br>".join(escape(said(line)) for line in text.strip().split("\n"))


def _text(text: str) -> str:
    """As ``cell``, but that line feeds break lines."""
    return escape(cut(said(text, "\n"))).replace("\n", "<br>")


def _gaps(controls: Sequence[ControlResult]) -> str:
    rows = [
        [*_named(control), str(control.state), _why(control), _text(control.unblock or "–")]
        for control in controls
    ]
    return _table(["control", "what is wanted", "state", "why", "what would unblock it"], rows)


def _needs(packet: PacketInput) -> str:
    rows = [
        [_text(need.text), cell(", ".join(control.id for control in need.controls))]
        for catalog in packet.coverage.catalogs
        for need in views.needs(packet, catalog)
    ]
    return _table(["what is wanted", "controls it would fill"], rows)


def _named(control: ControlResult) -> list[str]:
    return [f"<b>{cell(control.id)}</b>", cell(control.title)]


def _why(control: ControlResult) -> str:
    return _text("; ".join(reason.full() for reason in control.reasons) or "–")


def _matrix(packet: PacketInput) -> Iterable[str]:
    columns = ["control", "what is wanted", "state", "evidence", "approved by", "fresh until"]
    # NOTE: those that the verdict is about come first, so that no other takes their room.
    catalogs = sorted(packet.coverage.catalogs, key=lambda item: item.catalog not in packet.gated)
    found = []
    for catalog in catalogs:
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
        title = f"{said(catalog.name)}: {counted(len(rows), 'control')}"
        found.append(details(title, _table(columns, rows)))
    return _fitting(found, _MOST_MATRICES, "further framework")


def _crossing(packet: PacketInput) -> Iterable[str]:
    found = carried.crossing(packet)
    titles = ("Counts, or speaks against", "Helps, and settles nothing")
    for title, lines in zip(titles, (found.rests, found.helps), strict=True):
        rows = [
            [
                f"<b>{cell(line.control.id)}</b>",
                str(line.control.state),
                _places(line.records),
                ("" if line.held else "**speaks against:** ")
                + "; through ".join(map(_hop, line.hops)),
            ]
            for line in lines
        ]
        columns = ["control", "state", "records", "came from, and how the pair fits"]
        if rows:
            yield details(f"{title}: {len(lines):,}", _table(columns, rows))


def _hop(pair: Pair) -> str:
    doubt = f" ({_text(pair.doubt)})" if pair.doubt else ""
    return f"{cell(pair.first)}, {pair.fit.value}, {pair.source.value}{doubt}"


def _soa(packet: PacketInput) -> str:
    found = views.soa(packet)
    if found is None:
        return ""
    rows = [
        [
            cell(line.short_id),
            cell(line.control.title),
            line.decided,
            _text(line.justification or "–"),
            str(line.control.state),
            cell(", ".join(line.owners) or "–"),
        ]
        for line in found.lines
    ]
    title = ", ".join(f"{number} {word}" for word, number in found.counts().items())
    columns = ["control", "what is wanted", "decided", "justification", "state", "owner"]
    return details(title, _table(columns, rows))


def _evaluations(packet: PacketInput) -> Iterable[str]:
    old = views.replaced(packet)
    found = []
    for record in views.ranked(packet):
        by = f", superseded by #{old[record.index]}" if record.index in old else ""
        title = f"{record} {said(views.headline(record))}, {said(views.evaluated(record))}{by}"
        parts = [part for part in (_metrics(record), _checks(record)) if part]
        found.append(details(title, "\n\n".join(parts) or "The record holds no figures."))
    return _fitting(found, _MOST_EVALUATIONS, "further evaluation")


def _fitting(parts: Sequence[str], most: int, what: str) -> Iterator[str]:
    """The first parts that take no more than ``most`` bytes, and how many there are beyond."""
    sizes = accumulate(len(part.encode()) for part in parts)
    shown = sum(size <= most for size in sizes)
    yield from parts[:shown]
    if shown < len(parts):
        yield f"and {counted(len(parts) - shown, what)}: {_ELSEWHERE}"


def _metrics(record: Record) -> str:
    columns = ["metric", "slice", "n", "value", "threshold", "outcome"]
    return _table(columns, map(_metric, views.metrics(record)))


def _metric(metric: Metric) -> list[str]:
    outcome = {None: "no threshold", True: "holds", False: "**fails**"}[metric.held]
    texts = (metric.name, metric.slice, metric.n, metric.value, metric.threshold)
    return [*map(cell, texts), outcome]


def _checks(record: Record) -> str:
    rows = [
        [
            cell(views.text_of(check.get("name"))),
            cell(views.text_of(check.get("outcome"))),
            _text(views.check_note(check)),
        ]
        for check in views.checks(record)
    ]
    return _table(["check", "outcome", "detail"], rows)


def _sample(packet: PacketInput) -> Iterable[str]:
    drawing = packet.sample
    if drawing is None:
        return
    seed = drawing.sample.seed
    yield (
        f"{cell(drawing.title)}: drawn by the rule <code>muniment-sample/v1</code> under the "
        f"checkpoint of {seed.size:,} records, root hash <code>{escape(seed.root)}</code>, "
        f"auditor’s word: {cell(seed.salt or 'none')}."
    )
    yield "\n".join(f"- {cell(remark)}" for remark in drawing.remarks())
    rows = [list(map(cell, line.cells())) for line in drawing.lines]
    yield _table([name.lower() for name in sampleview.COLUMNS], rows)


def _results(packet: PacketInput) -> Iterable[str]:
    found = sampleview.results(packet.records)
    rows = [
        [str(test.record), cell(test.record.signer.name), f"{test.size:,}", *map(str, test.counts)]
        for test in found
    ]
    columns = ["result", "tested by", "checkpoint", "passed", "exception", "not tested"]
    yield _table(columns, rows)
    exceptions = [
        [str(test.record), f"#{index}", _text(note)]
        for test in found
        for index, note in test.exceptions
    ]
    yield _table(["result", "exception at", "note"], exceptions)


def _data(packet: PacketInput) -> str:
    rows = []
    for source in sources.data_sources(packet):
        facts = {field.label: field.value for field in source.fields}
        shown = [_text(facts.get(name, "–")) for name in ("Origin", "Licence", "Known gaps")]
        rows.append([str(source.record), cell(source.name), cell(source.split), *shown])
    columns = ["record", "source", "used as", "origin", "licence", "known gaps"]
    return _table(columns, rows) or "No record says where data came from."


def _lineage(packet: PacketInput) -> Iterable[str]:
    found = lineage.lineage(packet)
    rows = [
        [cell(_node(node)), cell(node.detail), cell("; ".join(map(_tie, by)))]
        for node, by in found.rests
    ]
    if not rows:
        return
    yield _table(["what", "says", "rests on"], rows)
    if found.unlisted:
        yield f"{found.unlisted:,} further rows are not listed."


def _tie(tie: lineage.Tie) -> str:
    """The records by their places alone, since there may be many."""
    named = (str(node.record) if node.record else node.title for node in tie.listed)
    more = f" and {tie.more:,} more" if tie.more else ""
    return f"{tie.how} {', '.join(named)}{more}"


def _node(node: lineage.Node) -> str:
    return f"{node.record} {node.title}" if node.record else node.title


def _monitoring(packet: PacketInput) -> Iterable[str]:
    series = timeline.monitoring(packet)
    if not series:
        yield "No monitoring report in force is among the records."
        return
    yield cell(timeline.summary(series))
    rows = [
        [
            str(report.record),
            cell(report.about),
            f"{report.start} to {report.end}",
            _gap(one, report),
        ]
        for one in series
        for report in one.reports
    ]
    yield details(f"{len(rows):,} reports", _table(["report", "about", "days", "gap"], rows))


def _gap(series: timeline.Series, report: timeline.Report) -> str:
    if report.gap is not None:
        return f"**{report.gap} days** after #{report.after}"
    is_late = report is series.reports[-1] and series.overdue is not None
    return f"**overdue** by {series.overdue} days" if is_late else "none"


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
            _text(views.text_of(record.statement.body.get("statement"))),
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
    rows = [[cell(item.code), _text(item.full())] for item in packet.coverage.left_out]
    return _table(["code", "why it counts for nothing"], rows)


def _sentences(packet: PacketInput) -> str:
    rest = len(packet.not_included) - _MOST_LINES
    lines = [f"- {_text(sentence)}" for sentence in packet.not_included[:_MOST_LINES]]
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


def _outside(packet: PacketInput) -> str:
    words = {None: "not checked", True: "holds", False: "**does not hold**"}
    rows = [
        [
            cell(proof.kind),
            cell(proof.source),
            views.short_time(proof.time) if proof.time else "not known",
            words[proof.held],
            _text(proof.note),
        ]
        for proof in packet.outside
    ]
    columns = ["proof from outside", "by", "at", "outcome", "note"]
    return _table(columns, rows) or "Nobody outside has cosigned or time-stamped this checkpoint."


def _places(refs: Sequence[RecordRef]) -> str:
    return cell(", ".join(f"#{ref.index}" for ref in refs) or "–")


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return table(columns, rows, most=_MOST, where=_ELSEWHERE)


_ELSEWHERE = "see the packet’s other forms"
