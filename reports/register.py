"""The evidence register: how much of each record its row prints, and in what words."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
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
"""Records that are laid out together; each lot begins a page."""
_TALL = 1500
"""Characters above which a row may run over a page's end."""
_PER_FILE = 200
"""Characters of its share that a record spends on each file it speaks of."""
_BETWEEN = "  ·  "
_SHORT = 90
"""Characters up to which phrases share a line."""
_OVER_ALL = "SHA-256 of the embedded list (RFC 8785)"
_HELD = {True: "holds", False: "FAILS", None: "no threshold"}


@dataclass(frozen=True, slots=True)
class Row:
    """What the register prints of one record, beside its controls: lines of text.

    NOTE: one text of many lines is set several times faster than as many elements.
    """

    kind: str
    """Kind, and what the record replaces or is replaced by."""
    lines: str
    """Who signed, when, the record's digest, its body and its files."""
    loud: tuple[str, ...]
    """Why bytes of its files are not those of a pushed, committed version."""
    tall: bool
    """Whether the row may run over a page's end."""


class Phrase(NamedTuple):
    """One thing that a body says."""

    label: str
    text: str
    alone: bool = False
    """Whether it has a line of its own however short it is."""


def share(records: int) -> int:
    """Most characters that one of so many records may take; nought for headlines only."""
    characters = min(MAX_TEXT, BUDGET // max(records, 1))
    return characters if characters >= LEAST else 0


def lots(records: Sequence[Record]) -> list[Sequence[Record]]:
    """The records in the lots that are laid out together; one empty lot where there are none."""
    return [records[at : at + AT_ONCE] for at in range(0, max(len(records), 1), AT_ONCE)]


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
        self._keys = {key.fingerprint: key.enrolled for key in packet.keys}
        self._descriptor = packet.coverage.system.descriptor().sha256

    def __call__(self, record: Record) -> Row:
        """One row."""
        phrases = list(self._phrases(record)) if self.share else []
        shown = record.statement.subjects[: max(1, min(views.MAX_ROWS, self.share // _PER_FILE))]
        lines = [
            *self._signed(record),
            *_lines(phrases, self.share),
            *self._files(record, shown),
        ]
        text = "\n".join(lines)
        return Row(self._kind(record), text, _loud(shown), len(text) > _TALL)

    def _kind(self, record: Record) -> str:
        old, new = record.statement.supersedes, self._replaced.get(record.index)
        parts = [record.kind]
        if old is not None:
            parts.append(f"supersedes #{old.index}")
        if new is not None:
            parts.append(f"superseded by #{new}")
        return "; ".join(parts)

    def _signed(self, record: Record) -> Iterator[str]:
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
        yield _BETWEEN.join(parts)
        yield f"Record digest: {record.sha256}"

    def _phrases(self, record: Record) -> Iterator[Phrase]:
        """Everything in a record's body."""
        if record.kind == GATE_DECISION:
            yield from _decision(record.statement.body, self._places)
            return
        yield from _parts(views.body_parts(record))
        if record.kind == "eval-result" and record.index not in self._apart:
            yield from _measurements(record)

    def _files(self, record: Record, shown: Sequence[Subject]) -> Iterator[str]:
        for subject in shown:
            # NOTE: a record about no file speaks of the system, which the whole packet is about.
            if subject.sha256 != self._descriptor:
                yield f"File {_file(subject)}"
                yield f"SHA-256: {subject.sha256}"
        if more := len(record.statement.subjects) - len(shown):
            yield _only_embedded(more, "file")


def _lines(phrases: Sequence[Phrase], limit: int) -> Iterator[str]:
    """Lines of text: short phrases share the first, the others follow."""
    left = limit
    short: list[str] = []
    long: list[str] = []
    for number, phrase in enumerate(phrases):
        if left <= 0:
            long.append(_only_embedded(len(phrases) - number, "part"))
            break
        text = plain(phrase.text, left)
        line = f"{plain(phrase.label, 300)}: {text}" if phrase.label else text
        left -= len(line)
        alone = phrase.alone or views.is_digest(phrase.text) or len(line) > _SHORT
        (long if alone else short).append(line)
    if short:
        yield _BETWEEN.join(short)
    yield from long


def _parts(body: views.Body) -> Iterator[Phrase]:
    """A body, field by field and list by list."""
    yield from (Phrase(field.label, field.value) for field in body.fields)
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
    """Name, size and place of a file in one phrase."""
    size, git = subject.annotations.get("size"), views.git_line(subject)
    parts = [plain(subject.name, 300)]
    if isinstance(size, int):
        kept = "" if subject.stored else ", not kept in the artifact store"
        parts.append(f"{size:,} bytes{kept}")
    if git:
        parts += [git.state, *([plain(git.words.replace("\n", ", "), 1000)] * bool(git.words))]
    return "; ".join(parts)


def _loud(subjects: Sequence[Subject]) -> tuple[str, ...]:
    lines = filter(None, map(views.git_line, subjects))
    return tuple(dict.fromkeys(git.state for git in lines if git.loud))
