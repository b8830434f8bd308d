"""From data to gate: which records rest on which, by the digests that they sign. Words and drawing.

A tie is drawn where one record names another's digest, or both name the digest of one file. The one
exception is the step from training data to the model: no record proves by digest what a model was
trained on, so that this tie says that it rests on the record's word.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from muniment.schemas.record import Record
from muniment.schemas.statement import GATE_DECISION
from muniment.schemas.text import counted

from . import views
from .drawing import GREY, INK, fitted, svg, text
from .model import PacketInput

COLUMNS = ("Data", "Model", "Evaluations", "Approvals", "Gate decisions")
MAX_NODES = 7
"""Nodes of one column that are drawn; the rest is counted."""
_TRAINED = ("train", "tuning")
_ASKED = "model in question"
_WIDE, _TALL, _BETWEEN, _ROW = 156.0, 43.0, 55.0, 53.0
_TOP = 26.0
_FILL = {True: "#dcf1e8", False: "#fbe4e8", None: "#f4f6f9"}
_EDGE = {True: "#1b7a57", False: "#a3213c", None: "#7b8595"}


@dataclass(frozen=True, slots=True)
class Node:
    """One box: a record, or a model that records name."""

    key: str
    """Digest of the record or the model."""
    column: int
    title: str
    detail: str
    record: Record | None
    good: bool | None = None
    """Whether what it says is good; None where it says neither."""


@dataclass(frozen=True, slots=True)
class Tie:
    """One line between two boxes."""

    start: Node
    end: Node
    how: str
    proved: bool
    """Whether a digest ties them."""


@dataclass(frozen=True, slots=True)
class Lineage:
    """What is drawn, and how much is not."""

    nodes: tuple[Node, ...]
    ties: tuple[Tie, ...]
    more: tuple[int, ...]
    """Nodes of each column that are not drawn."""

    def column(self, number: int) -> tuple[Node, ...]:
        """The nodes of one column."""
        return tuple(node for node in self.nodes if node.column == number)

    @property
    def left_out(self) -> str | None:
        """How many of what is not drawn, in one sentence."""
        beyond = self.beyond
        return f"Not drawn: {beyond}; the latest in force come first." if beyond else None

    @property
    def beyond(self) -> str:
        """What there is beside the nodes, counted: ``3 evaluations, 1 approval``."""
        parts = zip(self.more, _WORDS, strict=True)
        return ", ".join(counted(more, word) for more, word in parts if more)

    def rests(self) -> Iterator[tuple[Node, dict[str, tuple[Node, ...]]]]:
        """Each node that rests on others, with those by what ties them."""
        for node in self.nodes:
            found: dict[str, list[Node]] = {}
            for tie in self.ties:
                if tie.end is node:
                    found.setdefault(tie.how, []).append(tie.start)
            if found:
                yield node, {how: tuple(nodes) for how, nodes in found.items()}


_WORDS = ("source of data", "model", "evaluation", "approval", "gate decision")


def lineage(packet: PacketInput) -> Lineage:
    """The latest records in force of each column, and the ties between them."""
    old = views.replaced(packet)
    by_kind = {
        kind: sorted(
            (record for record in views.of_kind(packet, kind) if record.index not in old),
            key=lambda record: -record.index,
        )
        for kind in ("data-provenance", "eval-result", "approval", GATE_DECISION)
    }
    models = _models(packet, by_kind["eval-result"])
    tied = {digest for record in by_kind["eval-result"] for digest in _data_of(record)}
    data = sorted(by_kind["data-provenance"], key=lambda item: not (_files(item) & tied))
    named = {ref for record in by_kind["data-provenance"] for ref in [record.sha256]}
    named |= {record.sha256 for record in by_kind["eval-result"]}
    approvals = sorted(by_kind["approval"], key=lambda item: not (_approved(item) & named))
    columns: list[Sequence[Node]] = [
        [_data(record) for record in data],
        models,
        [_evaluation(record) for record in by_kind["eval-result"]],
        [_approval(record) for record in approvals],
        [_decision(record) for record in by_kind[GATE_DECISION]],
    ]
    kept = [sorted(column[:MAX_NODES], key=_place) for column in columns]
    nodes = tuple(node for column in kept for node in column)
    more = tuple(max(len(column) - MAX_NODES, 0) for column in columns)
    return Lineage(nodes, tuple(_ties(nodes)), more)


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
    faults = sum(metric.held is False for metric in views.metrics(record))
    bad = sum(check.get("outcome") != "pass" for check in views.checks(record))
    count = faults + bad
    judged = bool(views.checks(record)) or any(m.held is not None for m in views.metrics(record))
    good = False if count else True if judged else None
    said = counted(count, "failure") if count else "all hold" if judged else "no threshold"
    return Node(record.sha256, 2, views.headline(record), f"{_cases(record)}; {said}", record, good)


def _cases(record: Record) -> str:
    number = record.statement.body.get("evaluated")
    return f"{views.text_of(number)} cases" if number is not None else "cases not counted"


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


def _ties(nodes: Sequence[Node]) -> Iterator[Tie]:
    for end in nodes:
        for start in nodes:
            if start.column < end.column and (tie := _tie(start, end)):
                yield tie


def _tie(start: Node, end: Node) -> Tie | None:
    if end.column == 1:
        return _trained(start, end)
    record = end.record
    assert record is not None
    if start.column == 1:
        names = _model_of(record) | (_artifacts(record) if end.column == 3 else frozenset())
        said = start.key in names or any(
            item.sha256 == start.key for item in record.statement.subjects
        )
        return Tie(start, end, "names the digest of the model", True) if said else None
    if start.key in _approved(record) | _weighed(record):
        word = "approves by digest" if end.column == 3 else "weighs by digest"
        return Tie(start, end, word, True)
    if start.record is not None and end.column == 2 and _files(start.record) & _data_of(record):
        return Tie(start, end, "was measured on a file, named by digest, of", True)
    return None


def _trained(start: Node, end: Node) -> Tie | None:
    split = start.record.statement.body.get("split") if start.record else None
    if split not in _TRAINED or end.detail != _ASKED:
        return None
    word = "trained" if split == "train" else "tuned"
    return Tie(start, end, f"was {word}, by the record’s word and no digest, on", False)


def _files(record: Record) -> frozenset[str]:
    listed = (item.get("sha256") for item in views.entries(record, "contents"))
    found = {item for item in listed if isinstance(item, str)}
    return frozenset(found | {subject.sha256 for subject in record.statement.subjects})


def _data_of(record: Record) -> frozenset[str]:
    return _digest_in(record.statement.body.get("dataset"))


def _model_of(record: Record) -> frozenset[str]:
    return _digest_in(record.statement.body.get("model"))


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
    lines = sorted(_drawn(found.ties), key=lambda tie: tie.start.column - tie.end.column)
    parts += [_curve(places[id(tie.start)], places[id(tie.end)], tie) for tie in lines]
    parts += [part for node in found.nodes for part in _box(node, *places[id(node)])]
    counts = ", ".join(
        f"{len(found.column(number))} {name.lower()}" for number, name in enumerate(COLUMNS)
    )
    ties = f"{counted(len(found.ties), 'tie')} between them, listed below"
    title = f"From data to gate: {counts}, and {ties}"
    return svg(width, height, title, parts)


def _drawn(ties: Sequence[Tie]) -> Iterator[Tie]:
    """The ties without those that a longer way through the columns shows as well."""
    after: dict[int, set[int]] = {}
    for tie in ties:
        after.setdefault(id(tie.start), set()).add(id(tie.end))
    for tie in ties:
        others = after[id(tie.start)] - {id(tie.end)}
        if not any(id(tie.end) in after.get(other, ()) for other in others):
            yield tie


def _head(number: int) -> str:
    x = number * (_WIDE + _BETWEEN)
    return text(x, 12, COLUMNS[number], size=11, weight=600, anchor="start")


def _curve(start: tuple[float, float], end: tuple[float, float], tie: Tie) -> str:
    x1, y1 = start[0] + _WIDE, start[1] + _TALL / 2
    x2, y2 = end[0], end[1] + _TALL / 2
    bend = _BETWEEN * 0.6
    if not tie.proved:
        stroke = f'stroke="{GREY}" stroke-width="0.9" stroke-dasharray="4 3"'
    elif tie.end.column - tie.start.column > 1:
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
    yield text(x + 8, y + 17, title, size=10, weight=600, anchor="start", fill=INK)
    detail = fitted(node.detail, _WIDE - 16, 9)
    yield text(x + 8, y + 32, detail, size=9, anchor="start", fill=GREY)
