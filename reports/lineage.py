"""From data to gate: which records rest on which, by the digests that they sign. Words and drawing.

A tie is drawn where one record names another's digest, or both name the digest of one file. The one
exception is the step from training data to the model: no record proves by digest what a model was
trained on, so that this tie says that it rests on the record's word.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from markupsafe import Markup

from muniment.schemas.record import Record
from muniment.schemas.statement import GATE_DECISION
from muniment.schemas.text import counted

from . import views
from .drawing import GREY, INK, fitted, svg, text
from .model import PacketInput
from .outcomes import tally

COLUMNS = ("Data", "Model", "Evaluations", "Approvals", "Gate decisions")
MAX_NODES = 10
"""Nodes of one column that are drawn, which fill a landscape page; the rest is counted."""
MAX_LISTED = views.MAX_ROWS
"""Rows of the table, and ties of one kind in a row, that are listed; the rest is counted."""
_TRAINED = (("train", "trained"), ("tuning", "tuned"))
_ASKED = "model in question"
_WIDE, _TALL, _BETWEEN, _ROW = 156.0, 39.0, 55.0, 46.0
_TOP = 26.0
_FILL = {True: "#dcf1e8", False: "#fbe4e8", None: "#f4f6f9"}
_EDGE = {True: "#1b7a57", False: "#a3213c", None: "#7b8595"}


@dataclass(frozen=True, slots=True)
class Node:
    """One box: a record, or a model that records name."""

    key: str
    """Digest of the record or the model."""
    column: int | None
    """None for a record that is tied to others and has no box."""
    title: str
    detail: str
    record: Record | None
    good: bool | None = None
    """Whether what it says is good; None where it says neither."""
    short: str | None = None
    """The detail in the words that a box has room for, where those are other ones."""


@dataclass(frozen=True, slots=True)
class Tie:
    """What one node rests on in one way."""

    end: Node
    how: str
    starts: Sequence[Node]
    """By their places in the ledger."""
    proved: bool
    """Whether a digest ties them."""

    @property
    def listed(self) -> Sequence[Node]:
        """The starts that a row of the table names."""
        return self.starts[:MAX_LISTED]

    @property
    def more(self) -> int:
        """How many starts it does not name."""
        return max(len(self.starts) - MAX_LISTED, 0)


@dataclass(frozen=True, slots=True)
class Lineage:
    """What is drawn, what is listed, and how much is not."""

    nodes: tuple[Node, ...]
    """What is drawn."""
    more: tuple[int, ...]
    """Nodes of each column that are not drawn."""
    ties: tuple[Tie, ...]
    """Of everything in force, whether it is drawn or not."""
    rests: tuple[tuple[Node, tuple[Tie, ...]], ...]
    """The rows of the table: each node that rests on others, with its ties."""
    unlisted: int
    """Nodes that rest on others and have no row."""

    def column(self, number: int) -> tuple[Node, ...]:
        """The drawn nodes of one column."""
        return tuple(node for node in self.nodes if node.column == number)

    @property
    def left_out(self) -> str | None:
        """How many of what is not drawn, in one sentence."""
        parts = [
            f"{counted(more, word)}" for more, word in zip(self.more, _WORDS, strict=True) if more
        ]
        order = "what counts for or against a control comes first"
        return f"Not drawn: {', '.join(parts)}; {order}." if parts else None


_WORDS = ("data source", "model", "evaluation", "approval", "gate decision")


def lineage(packet: PacketInput) -> Lineage:
    """The records in force of each column, the weightiest drawn, and the ties of all of them."""
    columns = _columns(packet)
    nodes = [node for column in columns for node in sorted(column, key=_place)]
    ties = tuple(_ties(nodes, packet.records))
    drawn = [node for col in columns for node in sorted(col[:MAX_NODES], key=_place)]
    more = tuple(max(len(column) - MAX_NODES, 0) for column in columns)
    rests: dict[int, list[Tie]] = {}
    for tie in ties:
        rests.setdefault(id(tie.end), []).append(tie)
    # NOTE: no column crowds another out of the rows, nor what weighs little what weighs much.
    ranked = [
        id(node)
        for row in zip_longest(*([node for node in col if id(node) in rests] for col in columns))
        for node in row
        if node is not None
    ]
    listed = set(ranked[:MAX_LISTED])
    rows = tuple((node, tuple(rests[id(node)])) for node in nodes if id(node) in listed)
    return Lineage(tuple(drawn), more, ties, rows, len(ranked) - len(rows))


def _columns(packet: PacketInput) -> list[list[Node]]:
    """The nodes of each column, those first that bear on a control, then those of the model in
    question, then the latest."""
    old, bearing = views.replaced(packet), _bearing(packet)
    data, evaluations, approvals, decisions = (
        [record for record in views.of_kind(packet, kind) if record.index not in old]
        for kind in ("data-provenance", "eval-result", "approval", GATE_DECISION)
    )
    measured = {digest for record in evaluations for digest in _data_of(record)}
    named = {record.sha256 for record in (*data, *evaluations)}

    def ranked(records: Iterable[Record], near: Callable[[Record], object]) -> list[Record]:
        return sorted(records, key=lambda r: (r.index not in bearing, not near(r), -r.index))

    data = ranked(data, lambda r: _split(r) in dict(_TRAINED) or _files(r) & measured)
    evaluations = ranked(evaluations, lambda r: packet.coverage.artifact in _models_of(r))
    approvals = ranked(approvals, lambda record: _approved(record) & named)
    return [
        [_data(record) for record in data],
        _models(packet, evaluations),
        [_evaluation(record) for record in evaluations],
        [_approval(record) for record in approvals],
        [_decision(record) for record in reversed(decisions)],
    ]


def _bearing(packet: PacketInput) -> set[int]:
    """Places of the records that count for a control or speak against it."""
    controls = packet.coverage.controls
    found = {ref.index for one in controls for ref in (*views.weighed(one), *one.approvals)}
    return found - {
        reason.records[0].index for reason in packet.coverage.left_out if reason.records
    }


def _place(node: Node) -> int:
    return node.record.index if node.record is not None else -1


def _models(packet: PacketInput, evaluations: Sequence[Record]) -> list[Node]:
    """The model in question, then every other that evaluations name."""
    names: dict[str, str] = {}
    for record in evaluations:
        model = record.statement.body.get("model")
        if isinstance(model, Mapping) and isinstance(model.get("sha256"), str):
            names.setdefault(model["sha256"], views.text_of(model.get("name")))
    asked = packet.coverage.artifact
    found = [Node(asked, 1, _model_name(packet, asked, names), _ASKED, None)] if asked else []
    return found + [
        Node(digest, 1, name, f"another model, sha256 {digest[:8]}…", None)
        for digest, name in names.items()
        if digest != asked
    ]


def _model_name(packet: PacketInput, digest: str, names: Mapping[str, str]) -> str:
    for record in reversed(views.of_kind(packet, "system", "model-card")):
        model = record.statement.body.get("model")
        if isinstance(model, Mapping) and model.get("sha256") == digest and model.get("name"):
            return views.text_of(model["name"])
    return names.get(digest, f"sha256 {digest[:16]}…")


def _data(record: Record) -> Node:
    body = record.statement.body
    split = views.text_of(body.get("split") or "split not stated")
    rows = body.get("rows")
    detail = f"{split}, {views.text_of(rows)} rows" if rows is not None else split
    dataset = body.get("dataset")
    name = dataset.get("name") if isinstance(dataset, Mapping) else None
    return Node(record.sha256, 0, views.text_of(name or views.headline(record)), detail, record)


def _evaluation(record: Record) -> Node:
    found, cases = tally(record), _cases(record)
    short = found.short if found.good is False else f"{cases}; {found.short}"
    return Node(
        record.sha256,
        2,
        views.headline(record),
        f"{cases}; {found.full}",
        record,
        found.good,
        short,
    )


def _cases(record: Record) -> str:
    number = record.statement.body.get("evaluated")
    if number is None:
        return "cases not counted"
    return "1 case" if number == 1 else f"{views.text_of(number)} cases"


def _approval(record: Record) -> Node:
    body = record.statement.body
    decision = views.text_of(body.get("decision"))
    detail = f"{decision} for {views.text_of(body.get('role'))}"
    return Node(record.sha256, 3, record.signer.name, detail, record, decision == "approved")


def _decision(record: Record) -> Node:
    body = record.statement.body
    passed = body.get("verificationResult") == "PASSED"
    made = body.get("muniment_decision")
    profile = made.get("profile") if isinstance(made, Mapping) else None
    title = f"{views.text_of(profile)} gate" if profile else "Gate"
    day = views.short_date(record.recorded_at)
    return Node(
        record.sha256, 4, title, f"{'passed' if passed else 'not passed'}, {day}", record, passed
    )


def _ties(nodes: Sequence[Node], records: Sequence[Record]) -> Iterator[Tie]:
    """What each node rests on: data, model, and any record of the packet."""
    by_digest = {record.sha256: _other(record) for record in records}
    by_digest |= {node.key: node for node in nodes if node.record is not None}
    models = {node.key: node for node in nodes if node.column == 1}
    data = [node for node in nodes if node.column == 0 and node.record is not None]
    by_file: dict[str, list[Node]] = {}
    for node in data:
        for digest in _files(node.record) if node.record else ():
            by_file.setdefault(digest, []).append(node)
    for node in nodes:
        if node.column == 1:
            yield from _trained(node, data)
        elif node.column and node.record is not None:
            yield from _tied(node, node.record, by_file, models, by_digest)


def _tied(
    end: Node,
    record: Record,
    by_file: Mapping[str, Sequence[Node]],
    models: Mapping[str, Node],
    by_digest: Mapping[str, Node],
) -> Iterator[Tie]:
    named = _models_of(record) | (_artifacts(record) if end.column == 3 else frozenset())
    records = (_approved(record) | _weighed(record)) - {record.sha256}
    word = "approves by digest" if end.column == 3 else "weighs by digest"
    files = [by_file.get(digest, ()) for digest in _data_of(record) if end.column == 2]
    found: list[tuple[str, Sequence[Node]]] = [
        *(("was measured on a file, named by digest, of", starts) for starts in files),
        ("names the digest of the model", [models[item] for item in sorted(named & models.keys())]),
        (word, sorted((by_digest[item] for item in records if item in by_digest), key=_place)),
    ]
    for how, starts in found:
        if starts:
            yield Tie(end, how, starts, True)


def _trained(end: Node, data: Sequence[Node]) -> Iterator[Tie]:
    for split, word in _TRAINED if end.detail == _ASKED else ():
        starts = [node for node in data if node.record and _split(node.record) == split]
        if starts:
            how = f"was {word}, by the record’s word and no digest, on"
            yield Tie(end, how, starts, False)


def _other(record: Record) -> Node:
    return Node(record.sha256, None, views.headline(record), "", record)


def _split(record: Record) -> str:
    return views.text_of(record.statement.body.get("split"))


def _files(record: Record) -> frozenset[str]:
    listed = (item.get("sha256") for item in views.entries(record, "contents"))
    found = {item for item in listed if isinstance(item, str)}
    return frozenset(found | {subject.sha256 for subject in record.statement.subjects})


def _data_of(record: Record) -> frozenset[str]:
    return _digest_in(record.statement.body.get("dataset"))


def _models_of(record: Record) -> frozenset[str]:
    subjects = (subject.sha256 for subject in record.statement.subjects)
    return _digest_in(record.statement.body.get("model")).union(subjects)


def _digest_in(value: Any) -> frozenset[str]:
    digest = value.get("sha256") if isinstance(value, Mapping) else None
    return frozenset([digest] if isinstance(digest, str) else [])


def _artifacts(record: Record) -> frozenset[str]:
    return frozenset(str(item.get("sha256")) for item in views.entries(record, "artifacts"))


def _approved(record: Record) -> frozenset[str]:
    return frozenset(str(item.get("sha256")) for item in views.entries(record, "records"))


def _weighed(record: Record) -> frozenset[str]:
    listed = (item.get("digest") for item in views.entries(record, "inputAttestations"))
    return frozenset(str(item.get("sha256")) for item in listed if isinstance(item, Mapping))


def drawing(found: Lineage) -> Markup:
    """Boxes in five columns, lines between them; nothing where there are no boxes."""
    if not found.nodes:
        return Markup("")
    tallest = max(len(found.column(number)) for number in range(len(COLUMNS)))
    width = len(COLUMNS) * _WIDE + (len(COLUMNS) - 1) * _BETWEEN
    height = _TOP + tallest * _ROW
    places = {}
    for number in range(len(COLUMNS)):
        column = found.column(number)
        space = (tallest - len(column)) * _ROW / 2
        for row, node in enumerate(column):
            places[id(node)] = (number * (_WIDE + _BETWEEN), _TOP + space + row * _ROW)
    parts = [_head(number) for number in range(len(COLUMNS))]
    # NOTE: what passes a column lies below the rest.
    lines = sorted(_lines(found), key=lambda line: _span(*line[:2]))
    parts += [
        _curve(places[id(start)], places[id(end)], _span(start, end) < -1, proved)
        for start, end, proved in lines
    ]
    parts += [part for node in found.nodes for part in _box(node, *places[id(node)])]
    counts = ", ".join(
        f"{len(found.column(number))} {name.lower()}" for number, name in enumerate(COLUMNS)
    )
    ties = counted(sum(len(tie.starts) for tie in found.ties), "tie")
    return svg(width, height, f"From data to gate: {counts}, and {ties}, listed below", parts)


def _lines(found: Lineage) -> Iterator[tuple[Node, Node, bool]]:
    """The ties between boxes, without those that a longer way through the columns shows as well;
    and whether a digest proves each."""
    drawn = {id(node) for node in found.nodes}
    pairs = [
        (start, tie.end, tie.proved)
        for tie in found.ties
        if id(tie.end) in drawn
        for start in tie.starts
        if id(start) in drawn
    ]
    after: dict[int, set[int]] = {}
    for start, end, _ in pairs:
        after.setdefault(id(start), set()).add(id(end))
    for start, end, proved in pairs:
        others = after[id(start)] - {id(end)}
        if not any(id(end) in after.get(other, ()) for other in others):
            yield start, end, proved


def _span(start: Node, end: Node) -> int:
    """Columns from one box to the other, as a number below nought."""
    return (start.column or 0) - (end.column or 0)


def _head(number: int) -> str:
    x = number * (_WIDE + _BETWEEN)
    return text(x, 12, COLUMNS[number], size=11, weight=600, anchor="start")


def _curve(start: tuple[float, float], end: tuple[float, float], is_far: bool, proved: bool) -> str:
    x1, y1 = start[0] + _WIDE, start[1] + _TALL / 2
    x2, y2 = end[0], end[1] + _TALL / 2
    bend = _BETWEEN * 0.6
    if not proved:
        stroke = f'stroke="{GREY}" stroke-width="0.9" stroke-dasharray="4 3"'
    elif is_far:
        stroke = 'stroke="#a9bbd3" stroke-width="0.7"'
    else:
        stroke = 'stroke="#5b7ba3" stroke-width="1"'
    return (
        f'<path d="M {x1:.1f} {y1:.1f} C {x1 + bend:.1f} {y1:.1f} {x2 - bend:.1f} {y2:.1f} '
        f'{x2:.1f} {y2:.1f}" fill="none" {stroke}/>'
    )


def _box(node: Node, x: float, y: float) -> Iterator[str]:
    yield (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{_WIDE:g}" height="{_TALL:g}" rx="3" '
        f'fill="{_FILL[node.good]}" stroke="{_EDGE[node.good]}" stroke-width="0.8"/>'
    )
    title = node.title if node.record is None else f"#{node.record.index} {node.title}"
    title = fitted(title, _WIDE - 16, 10, 600)
    yield text(x + 8, y + 16, title, size=10, weight=600, anchor="start", fill=INK)
    detail = fitted(node.short or node.detail, _WIDE - 16, 9)
    yield text(x + 8, y + 30, detail, size=9, anchor="start", fill=GREY)
