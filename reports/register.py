"""The evidence register: how much of each record its row prints, and in what words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

from muniment.schemas import strictjson
from muniment.schemas.record import Record
from muniment.schemas.statement import GATE_DECISION, Subject
from muniment.schemas.text import counted

from . import views
from .model import PacketInput
from .printable import MAX_TEXT, plain

BUDGET = 2_000_000
"""Characters of records' bodies that one packet prints, shared evenly among its records."""
LEAST = 400
"""A share below this many characters is not worth its space: rows then show headlines only."""
AT_ONCE = 500
"""Most records that are laid out together; each lot begins a page."""
ROOMY = 500
"""Records up to which what a line is about stands out from it, which costs a tenth of the time."""
_TALL = 1500
"""Characters above which a row may run over a page's end."""
_PER_FILE = 200
"""Characters of its share that a record spends on each file it speaks of."""
_BETWEEN = "  ·  "
_WITHIN = " / "
_SHORT = 90
"""Characters up to which phrases share a line."""
_OVER_ALL = "SHA-256 of the embedded list (RFC 8785)"
_HELD = {True: "holds", False: "FAILS", None: "no threshold"}


@dataclass(frozen=True, slots=True)
class Row:
    """What the register prints of one record, beside its controls: lines of text.

    NOTE: one cell of many lines is set several times faster than as many rows.
    """

    kind: str
    """Kind, and what the record replaces or is replaced by."""
    elsewhere: str
    """How many controls it claims that the packet does not show; empty if none."""
    lines: tuple[Line, ...]
    """Who signed, when, the record's digest, its body and its files."""
    loud: tuple[str, ...]
    """Why bytes of its files are not those of a pushed, committed version."""
    tall: bool
    """Whether the row may run over a page's end."""

    @property
    def text(self) -> str:
        """The lines as one text."""
        parts = (f"{line.lead}: {line.text}" if line.lead else line.text for line in self.lines)
        return "\n".join(parts)


class Line(NamedTuple):
    """One line of a row."""

    lead: str
    """What it is about; empty where the text says so itself."""
    text: str


class Phrase(NamedTuple):
    """One thing that a body says."""

    label: str
    """Names from the outermost to its own, with ``_WITHIN`` between them."""
    text: str
    alone: bool = False
    """Whether it has a line of its own however short it is."""


def share(records: int) -> int:
    """Most characters that one of so many records may take; nought for headlines only."""
    characters = min(MAX_TEXT, BUDGET // max(records, 1))
    return characters if characters >= LEAST else 0


def lots(records: Sequence[Record]) -> list[Sequence[Record]]:
    """The records in lots of one size, laid out together; one empty lot where there are none."""
    size = ceil(len(records) / ceil(len(records) / AT_ONCE)) if records else 1
    return [records[at : at + size] for at in range(0, max(len(records), 1), size)]


class Rows:
    """Makes the rows of one packet."""

    def __init__(self, packet: PacketInput, apart: Iterable[int]) -> None:
        """Take what all rows share.

        Args:
            apart: places of the records whose metrics, checks and kinds of error stand in a
                chapter of their own.
        """
        self.share = share(len(packet.records))
        self._apart = frozenset(apart)
        self._replaced = views.replaced(packet)
        self._places = {record.sha256: record.index for record in packet.records}
        self._controls = {control.id for control in packet.coverage.controls}
        self._keys = {key.fingerprint: key.enrolled for key in packet.keys}
        self._descriptor = packet.coverage.system.descriptor().sha256

    def __call__(self, record: Record) -> Row:
        """One row."""
        phrases = list(self._phrases(record)) if self.share else []
        shown = record.statement.subjects[: max(1, min(views.MAX_ROWS, self.share // _PER_FILE))]
        body = list(_lines(phrases, self.share))
        lines = (*self._signed(record), *body, *self._files(record, shown, body))
        length = sum(len(line.lead) + len(line.text) for line in lines)
        others = sum(claim not in self._controls for claim in record.statement.controls)
        elsewhere = counted(others, "control") if others else ""
        return Row(self._kind(record), elsewhere, lines, _loud(shown), length > _TALL)

    def _kind(self, record: Record) -> str:
        old, new = record.statement.supersedes, self._replaced.get(record.index)
        parts = [record.kind]
        if old is not None:
            parts.append(f"supersedes #{old.index}")
        if new is not None:
            parts.append(f"superseded by #{new}")
        return "; ".join(parts)

    def _signed(self, record: Record) -> Iterator[Line]:
        signer, said = record.signer, record.statement
        key = self._keys.get(signer.fingerprint)
        named = signer.fingerprint if key is None else f"key #{key}"
        parts = [
            f"{signer.name} <{signer.email}>, {named}",
            f"facts of {views.short_time(said.collected_at)}",
            f"recorded {views.short_time(record.recorded_at)}",
        ]
        if said.valid_until:
            parts.append(f"valid until {views.short_time(said.valid_until)} by its own word")
        if said.source:
            names = [said.source[name] for name in ("tool", "version") if said.source.get(name)]
            tool = " ".join(map(views.text_of, names))
            parts.append(f"read from {tool}, format {views.text_of(said.source.get('format'))}")
        yield Line("", _BETWEEN.join(parts))
        yield Line("Record digest", record.sha256)

    def _phrases(self, record: Record) -> Iterator[Phrase]:
        """Everything in a record's body."""
        if record.kind == GATE_DECISION:
            yield from _decision(record.statement.body, self._places)
            return
        yield from _parts(views.body_parts(record))
        if record.kind == "eval-result" and record.index not in self._apart:
            yield from _measurements(record)

    def _files(
        self, record: Record, shown: Sequence[Subject], body: Sequence[Line]
    ) -> Iterator[Line]:
        for subject in shown:
            # NOTE: a record about no file speaks of the system, which the whole packet is about.
            if subject.sha256 == self._descriptor:
                continue
            if subject.is_file or not any(subject.sha256 in line.text for line in body):
                yield Line("File" if subject.is_file else "About", _file(subject))
        if more := len(record.statement.subjects) - len(shown):
            yield Line("", _only_embedded(more, "file"))


def _lines(phrases: Sequence[Phrase], limit: int) -> Iterator[Line]:
    """Lines of text: short phrases share the first, and those within one thing share one."""
    left = limit
    short: list[str] = []
    rest: list[Line] = []
    for number, phrase in enumerate(phrases):
        if left <= 0:
            rest.append(Line("", _only_embedded(len(phrases) - number, "part")))
            break
        label, text = plain(phrase.label, 300), plain(phrase.text, left)
        left -= len(label) + len(text)
        within, _, name = label.rpartition(_WITHIN)
        if phrase.alone:
            rest.append(Line(label, text))
        elif within and rest and rest[-1].lead == within:
            rest[-1] = Line(within, f"{rest[-1].text}{_BETWEEN}{name}: {text}")
        elif within:
            rest.append(Line(within, f"{name}: {text}"))
        elif views.is_digest(phrase.text) or len(label) + len(text) > _SHORT:
            rest.append(Line(label, text))
        else:
            short.append(f"{label}: {text}")
    if short:
        yield Line("", _BETWEEN.join(short))
    yield from rest


def _parts(body: views.Body) -> Iterator[Phrase]:
    """A body, field by field and list by list."""
    yield from (Phrase(field.label, field.value) for field in _together(body.fields))
    for grid in body.grids:
        yield Phrase(f"{grid.label} ({' | '.join(grid.columns)})", "", True)
        yield from (Phrase("", f"– {' | '.join(cells)}", True) for cells in grid.rows)
        if grid.more:
            yield Phrase("", _only_embedded(grid.more, "row"), True)
    if body.more:
        yield Phrase("", _only_embedded(body.more, "part"), True)


def _decision(body: Mapping[str, Any], places: Mapping[str, int]) -> Iterator[Phrase]:
    """A gate decision's body; of the digests that it lists, what they are of and one over all."""
    rest = {**body["muniment_decision"], **body}
    del rest["muniment_decision"]
    inputs, catalogs = rest.pop("inputAttestations"), rest.pop("catalogs", {})
    counts = rest.pop("counts")
    yield Phrase("Verdict", rest.pop("verificationResult"))
    yield Phrase(
        "Controls", ", ".join(f"{n:,} {state}" for state, n in counts.items() if n) or "none"
    )
    yield from _parts(views.parts_of({name: value for name, value in rest.items() if value != []}))
    yield Phrase("Rests on", _named({item["digest"]["sha256"] for item in inputs}, places), True)
    yield from _digested(inputs)
    yield Phrase("By the catalogs", ", ".join(catalogs) or "none", True)
    yield from _digested(catalogs)


def _named(digests: Set[str], places: Mapping[str, int]) -> str:
    """How many records, and which of them stand in the packet."""
    known = sorted(places[digest] for digest in digests if digest in places)
    named = [f": {', '.join(f'#{place}' for place in known)}"] if known else []
    if others := len(digests) - len(known):
        named.append(f"{others:,} not in this packet")
    return counted(len(digests), "record") + "; ".join(named)


def _digested(listed: Any) -> Iterator[Phrase]:
    """One digest for a list that has a digest in every line."""
    if listed:
        digest = hashlib.sha256(strictjson.canonical(listed)).hexdigest()
        yield Phrase(_OVER_ALL, digest)


def _together(fields: Iterable[views.Field]) -> list[views.Field]:
    """The fields of one thing beside each other, its digests last."""
    things: dict[str, int] = {}

    def place(field: views.Field) -> tuple[int, bool]:
        thing = field.label.rpartition(_WITHIN)[0]
        return things.setdefault(thing, len(things)), views.is_digest(field.value)

    return sorted(fields, key=place)


def _measurements(record: Record) -> Iterator[Phrase]:
    """What would stand in the chapter of evaluation results, were there not too many."""
    for metric in views.metrics(record):
        yield Phrase(f"{metric.name}, {metric.slice}", _measured(metric))
    for check in views.checks(record):
        note = f"{views.text_of(check.get('outcome'))}; {views.check_note(check)}"
        yield Phrase(f"Check {views.text_of(check.get('name'))}", note.removesuffix("; –"))
    for error in views.error_classes(record):
        yield Phrase("Kind of error", views.text_of(error), True)


def _only_embedded(number: int, what: str) -> str:
    return f"… {counted(number, f'further {what}')} in the embedded record only"


def _measured(metric: views.Metric) -> str:
    limit = "" if metric.held is None else f" against {metric.threshold}"
    return f"{metric.value}{limit}, n {metric.n}, {_HELD[metric.held]}"


def _file(subject: Subject) -> str:
    """Name, size, digest and place of a file in one phrase."""
    size, git = subject.annotations.get("size"), views.git_line(subject)
    parts = [plain(subject.name, 300)]
    if isinstance(size, int):
        kept = "" if subject.stored else ", not kept in the artifact store"
        parts.append(f"{size:,} bytes{kept}")
    parts.append(f"SHA-256: {subject.sha256}")
    if git:
        parts += [git.state, *([plain(git.words.replace("\n", ", "), 1000)] * bool(git.words))]
    return _BETWEEN.join(parts)


def _loud(subjects: Sequence[Subject]) -> tuple[str, ...]:
    lines = filter(None, map(views.git_line, subjects))
    return tuple(dict.fromkeys(git.state for git in lines if git.loud))
