"""A drawn sample as people read it: on a terminal, as CSV, as YAML to fill, in a packet."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from muniment.controls.index import APPLICABILITY, APPROVAL, SAMPLE_TEST, WAIVER, is_approved
from muniment.controls.sample import By, Drawn, Sample, population
from muniment.controls.standing import standings
from muniment.evidence.checkpoint import SignedCheckpoint
from muniment.schemas.record import Record
from muniment.schemas.text import counted, shorten, visible
from muniment.schemas.times import format_time

from . import inert
from .erased import erasures

COLUMNS = (
    "Record", "Stratum", "Kind", "Title", "Controls", "Signed by", "Recorded", "Standing",
    "SHA-256",
)  # fmt: skip
OUTCOMES = ("passed", "exception", "not-tested")
"""What a test may come to, as in the kind ``sample-test``."""
_SHOWN = 8
"""Controls or strata that one sentence names; the rest are counted."""


@dataclass(frozen=True, slots=True)
class Line:
    """One record of the sample."""

    drawn: Drawn
    record: Record | None
    """None if it was erased."""
    standing: str
    """``counts``, or what became of it, such as ``superseded by #9``."""

    @property
    def index(self) -> int:
        """Place of the record in the ledger."""
        return self.drawn.candidate.index

    @property
    def title(self) -> str:
        """What it is about, in a few words."""
        return _title(self.record)

    @property
    def controls(self) -> str:
        """The controls it claims itself, or excuses, as one text."""
        return ", ".join(self.drawn.candidate.controls or _excused(self.record)) or "–"

    @property
    def says(self) -> str:
        """What a judgement is about: ``waives A.6.2.6``; empty of evidence."""
        record = self.record
        if record is not None and record.kind == APPROVAL:
            word = "approves" if is_approved(record) else "rejects"
            named = [f"#{item['index']}" for item in record.statement.body.get("records", ())]
            return f"{word} {_some(named)}" if named else ""
        verb = {WAIVER: "waives", APPLICABILITY: "decides whether to apply"}
        excused = _excused(record)
        return f"{verb[self.drawn.candidate.kind]} {_some(excused)}" if excused else ""

    @property
    def signer(self) -> str:
        """Who signed it, as far as that is known."""
        return "not known" if self.record is None else self.record.signer.name

    @property
    def recorded(self) -> str:
        """The day it was recorded, UTC."""
        return "not known" if self.record is None else f"{self.record.recorded_at:%Y-%m-%d}"

    def cells(self) -> tuple[str, ...]:
        """The record in the order of ``COLUMNS``."""
        return (
            f"#{self.index}",
            self.drawn.stratum,
            self.drawn.candidate.kind,
            self.title,
            self.controls,
            self.signer,
            self.recorded,
            self.standing,
            self.drawn.candidate.sha256,
        )

    def to_json(self) -> dict[str, Any]:
        """The record as part of the document."""
        record = self.record
        return {
            **self.drawn.to_json(),
            "kind": self.drawn.candidate.kind,
            "title": None if record is None else self.title,
            "controls": list(self.drawn.candidate.controls or ()),
            "signer": None if record is None else record.signer.fingerprint,
            "recorded_at": None if record is None else format_time(record.recorded_at),
            "standing": self.standing,
        }


@dataclass(frozen=True, slots=True)
class Drawing:
    """A sample with what a person must know to test it."""

    sample: Sample
    origin: str
    """The ledger's name."""
    time: datetime
    """Signed time of the checkpoint that seeds the draw, UTC."""
    is_last: bool
    """Whether that is the ledger's last checkpoint."""
    lines: tuple[Line, ...]
    later: int
    """Records about the system that stand behind the checkpoint and could not be drawn."""

    @property
    def title(self) -> str:
        """What was drawn from what."""
        sample = self.sample
        return (
            f"{counted(len(sample.drawn), 'record')} of {sample.population:,} about "
            f"{sample.system}, by {sample.by}"
        )

    @property
    def root(self) -> str:
        """Root hash of the checkpoint that seeds the draw, base64 as in the checkpoint itself."""
        return _base64(self.sample.seed.root)

    def remarks(self) -> Iterator[str]:
        """What limits what the sample shows, one sentence each."""
        sample = self.sample
        if sample.n > sample.population:
            yield f"{sample.n} were asked for; there are no more, so every record is drawn"
        empty = [stratum.name for stratum in sample.strata if not stratum.drawn]
        if empty:
            yield f"{sample.n} do not reach every {sample.by}: nothing is drawn from {_some(empty)}"
        if sample.unseen and sample.by is By.CONTROL:
            yield f"no drawn record claims {_some(sample.unseen)}"
        if self.later:
            verb = "stands" if self.later == 1 else "stand"
            yield (
                f"{counted(self.later, 'record')} about the system {verb} behind this checkpoint "
                "and could not be drawn"
            )
        if not sample.seed.salt:
            yield (
                "no word of the auditor is in the seed: whoever kept the ledger could have tried "
                "records until the draw suited (--salt)"
            )
        if self.is_last:
            yield (
                "the seed is the ledger's last checkpoint: one that others held before the test "
                "was announced is safer (--seed-from)"
            )

    def to_json(self) -> dict[str, Any]:
        """The document."""
        sample, body = self.sample, self.sample.to_json()
        checkpoint = {"origin": self.origin, **body["checkpoint"], "time": format_time(self.time)}
        return {
            **body,
            "checkpoint": checkpoint,
            "salt": sample.seed.salt or None,
            "population": sample.population,
            "records": [line.to_json() for line in self.lines],
            "controls_not_drawn": list(sample.unseen),
            "later": self.later,
            "remarks": list(self.remarks()),
        }


def drawn(
    sample: Sample, records: Sequence[Record], seeding: SignedCheckpoint, size: int
) -> Drawing:
    """A sample with what is known of its records.

    Args:
        records: verified, all of the system's among them.
        size: number of records under the last checkpoint.
    """
    by_place = {record.index: record for record in records}
    states, orders = standings(records), erasures(records)
    lines = []
    for item in sample.drawn:
        index = item.candidate.index
        standing = f"erased by {orders[index]}" if item.candidate.is_erased else states[index]
        lines.append(Line(item, by_place.get(index), standing))
    return Drawing(
        sample,
        seeding.checkpoint.origin,
        seeding.time,
        seeding.size == size,
        tuple(lines),
        len(population(records, sample.system, size)) - sample.population,
    )


def to_csv(drawing: Drawing) -> str:
    """The sample as CSV (RFC 4180), a row for each record; no cell is a formula."""
    return inert.to_csv(
        COLUMNS, ([visible(cell) for cell in line.cells()] for line in drawing.lines)
    )


def to_template(drawing: Drawing) -> str:
    """YAML to fill with what the tests come to; nothing left open can pass."""
    sample, body = drawing.sample, drawing.sample.to_body()
    lines = [
        f"## Sample of {drawing.title}, under checkpoint {sample.seed.size} of {drawing.origin}.",
        "## Fill in every outcome: passed, exception or not-tested; the last two need a note.",
        "## Nothing else may be changed. Then: muniment sample record THIS-FILE --key NAME",
        f"system: {json.dumps(str(sample.system))}",
        *(
            f"{name}: {json.dumps(body[name])}"
            for name in body
            if name not in ("strata", "records")
        ),
        "strata:",
        *(f"  - {json.dumps(item)}" for item in body["strata"]),
        "records:",
    ]
    for line, item in zip(drawing.lines, body["records"], strict=True):
        claims = line.drawn.candidate.controls
        about = [line.says, f"claims {_some(claims)}" if claims else ""]
        about += [f"signed by {line.signer}", line.standing]
        lines += [
            f"  # #{line.index}, {line.drawn.candidate.kind}: {_comment(line.title)}",
            f"  #   {_comment('; '.join(filter(None, about)))}",
            f"  - index: {item['index']}",
            f"    sha256: {json.dumps(item['sha256'])}",
            f"    stratum: {json.dumps(item['stratum'])}",
            "    outcome:",
            "    note:",
        ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True, slots=True)
class Result:
    """What the test of one record came to."""

    index: int
    title: str
    """What the record is about, in a few words."""
    kind: str
    """Empty where the record is not there any more."""
    outcome: str
    """One of ``OUTCOMES``."""
    note: str
    """Empty where the auditor wrote none."""


@dataclass(frozen=True, slots=True)
class Tested:
    """One signed record of an auditor's tests."""

    record: Record
    standing: str
    """``counts``, or what became of it."""
    lines: tuple[Result, ...]
    """In the order of the signed list."""

    @property
    def size(self) -> int:
        """Size of the checkpoint that seeded the draw."""
        return int(self.record.statement.body["checkpoint"]["size"])

    @property
    def root(self) -> str:
        """Root hash of that checkpoint, base64."""
        return _base64(self.record.statement.body["checkpoint"]["root"])

    @property
    def salt(self) -> str:
        """The auditor's word; empty where there is none."""
        return str(self.record.statement.body.get("salt", ""))

    @property
    def counts(self) -> tuple[int, ...]:
        """How many records came to each, in the order of ``OUTCOMES``."""
        count = Counter(line.outcome for line in self.lines)
        return tuple(count[name] for name in OUTCOMES)

    @property
    def exceptions(self) -> tuple[tuple[int, str], ...]:
        """Place and note of each exception."""
        return tuple((line.index, line.note) for line in self.lines if line.outcome == OUTCOMES[1])


def results(records: Iterable[Record]) -> list[Tested]:
    """The auditors' results among records, in their order."""
    given = list(records)
    by_digest = {record.sha256: record for record in given}
    states = standings(given)
    return [
        Tested(
            record,
            states[record.index],
            tuple(
                _result(item, by_digest.get(item["sha256"]))
                for item in record.statement.body["records"]
            ),
        )
        for record in given
        if record.kind == SAMPLE_TEST
    ]


def _result(item: Mapping[str, Any], record: Record | None) -> Result:
    kind = "" if record is None else record.kind or ""
    return Result(item["index"], _title(record), kind, item["outcome"], item.get("note", ""))


def _title(record: Record | None) -> str:
    from .views import headline  # NOTE: which rests on this module, by way of the packet's model

    return "not known any more" if record is None else headline(record)


def _excused(record: Record | None) -> list[str]:
    """The controls that a waiver or a decision on applicability is about."""
    if record is None or record.kind not in (WAIVER, APPLICABILITY):
        return []
    named = record.statement.body["controls"]
    return [item if isinstance(item, str) else item["control"] for item in named]


def _base64(root: str) -> str:
    return base64.b64encode(bytes.fromhex(root)).decode()


def _comment(text: str) -> str:
    return visible(shorten(" ".join(text.split()), 200))


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = len(listed) - _SHOWN
    return ", ".join(listed[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
