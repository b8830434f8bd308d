"""What the packet's pages show, worked out from a ``PacketInput``: pure functions, no layout."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeGuard

from muniment.controls.coverage import CatalogCoverage, ControlResult, State
from muniment.controls.soa import CATALOG, Soa, statement_of_applicability
from muniment.evidence.trust import PACKET_KIND
from muniment.schemas import strictjson
from muniment.schemas.record import Record
from muniment.schemas.statement import RecordRef, Subject
from muniment.schemas.text import figure, first_up, shorten

from .model import PacketInput

MAX_ROWS = 200
"""Most rows one record's list or body takes on paper; the rest stays in the embedded record."""
MAX_LINKS = 12
"""Most records or controls that one cell of a table names; the rest are counted."""
MAX_EVALUATIONS = 15
"""Evaluation results with tables and charts of their own; the register has the rest."""
ATTENTION = 5
"""How many controls the summary names."""
_MAX_COLUMNS = 6
_MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)  # fmt: skip
_WORD = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_-]+")
_SPELLED = {"sha256": "SHA-256", "n": "n", "id": "ID", "url": "URL", "uri": "URI"}
_DIGEST = re.compile(r"(SHA256:)?[A-Za-z0-9+/]{40,64}")
_APART = ("metrics", "checks", "errorClasses")
"""Lists of an evaluation result that have tables of their own."""


@dataclass(frozen=True, slots=True)
class Need:
    """One thing to do and the missing controls it would fill."""

    text: str
    controls: tuple[ControlResult, ...]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record's body."""

    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Grid:
    """A list of like entries in a record's body."""

    label: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    more: int
    """Entries left to the embedded record."""


@dataclass(frozen=True, slots=True)
class Body:
    """A record's body, ready to print."""

    fields: tuple[Field, ...]
    grids: tuple[Grid, ...]
    more: int
    """Parts left to the embedded record."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One measured value against its threshold."""

    name: str
    slice: str
    n: str
    value: str
    threshold: str
    held: bool | None
    """None where no threshold was set."""
    numbers: tuple[float, float] | None
    """Value and threshold, to draw."""


@dataclass(frozen=True, slots=True)
class GitLine:
    """Where a file lives, in words."""

    state: str
    words: str
    loud: bool
    """Whether the bytes are not those of a pushed, committed version."""


def long_time(moment: datetime) -> str:
    """``21 November 2026, 09:30 UTC``, whatever the locale."""
    at = moment.astimezone(UTC)
    return f"{long_date(at)}, {at:%H:%M} UTC"


def long_date(moment: datetime) -> str:
    """``21 November 2026``."""
    at = moment.astimezone(UTC)
    return f"{at.day} {_MONTHS[at.month - 1]} {at.year}"


def short_date(moment: datetime) -> str:
    """``2026-11-21``, UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d}"


def short_time(moment: datetime) -> str:
    """``2026-11-21 09:30 UTC``."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def grouped(text: str, size: int = 8) -> str:
    """``text`` in groups of ``size`` characters, to be read aloud and compared."""
    return " ".join(text[at : at + size] for at in range(0, len(text), size))


def counts(controls: Iterable[ControlResult]) -> dict[State, int]:
    """Number of controls in each state, every state present."""
    result = dict.fromkeys(State, 0)
    for control in controls:
        result[control.state] += 1
    return result


def verdict(packet: PacketInput) -> str:
    """The verdict in one sentence."""
    system, total = packet.coverage.system, len(packet.coverage.controls)
    profile = shorten(packet.profile_name, 60)
    open_ = sum(control.state.is_gap for control in packet.coverage.controls)
    day = long_date(packet.coverage.as_of)
    if packet.passed:
        rest = (
            f"{open_} of {total} controls stay open without holding it back"
            if open_
            else f"none of its {total} controls is open"
        )
        return f"{system} passes the {profile} gate as of {day}; {rest}."
    number = len(packet.blocking)
    which = "1 control blocks" if number == 1 else f"{number} controls block"
    return (
        f"{system} does not pass the {profile} gate as of {day}: {which} it, "
        f"and {open_} of {total} controls are open."
    )


def attention(packet: PacketInput) -> tuple[ControlResult, ...]:
    """The controls to look at first: blocking ones, then open ones, worst state first."""
    rank = {state: place for place, state in enumerate(State)}
    blocking = {control.id for control in packet.blocking}
    rest = [c for c in packet.coverage.controls if c.state.is_gap and c.id not in blocking]
    both = [sorted(group, key=lambda c: rank[c.state]) for group in (packet.blocking, rest)]
    return tuple([*both[0], *both[1]][:ATTENTION])


def other_gaps(packet: PacketInput) -> tuple[ControlResult, ...]:
    """Open controls with some evidence that do not block, worst state first."""
    rank = {state: place for place, state in enumerate(State)}
    blocking = {control.id for control in packet.blocking}
    found = [
        control
        for control in packet.coverage.controls
        if control.state.is_gap and control.state is not State.MISSING
        and control.id not in blocking
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda control: rank[control.state]))


def needs(packet: PacketInput, catalog: CatalogCoverage) -> tuple[Need, ...]:
    """Controls of ``catalog`` without evidence that do not block, by what would fill them."""
    blocking = {control.id for control in packet.blocking}
    found: dict[str, list[ControlResult]] = {}
    for control in catalog.controls:
        if control.state is State.MISSING and control.id not in blocking:
            found.setdefault(_wanted(control), []).append(control)
    return tuple(Need(text, tuple(controls)) for text, controls in found.items())


def exceptions(packet: PacketInput) -> tuple[ControlResult, ...]:
    """Controls that stand by a signed exception: waived or not applicable."""
    states = (State.WAIVED, State.NOT_APPLICABLE)
    return tuple(control for control in packet.coverage.controls if control.state in states)


def soa(packet: PacketInput) -> Soa | None:
    """The statement of applicability; None where the packet is not about ISO/IEC 42001."""
    if all(catalog.catalog != CATALOG for catalog in packet.coverage.catalogs):
        return None
    return statement_of_applicability(packet.coverage, packet.records)


def soon_stale(packet: PacketInput, days: int = 30) -> tuple[ControlResult, ...]:
    """Controls that are met now and lapse within ``days`` of the packet's date, first first."""
    as_of = packet.coverage.as_of
    found = [
        (control.fresh_until, control)
        for control in packet.coverage.controls
        if control.state is State.MET
        and control.fresh_until
        and (control.fresh_until - as_of).days < days
    ]
    return tuple(control for _, control in sorted(found, key=lambda item: item[0]))


def control_anchors(packet: PacketInput) -> dict[str, str]:
    """Anchor of each control's row, by full control id."""
    return {control.id: f"control-{n}" for n, control in enumerate(packet.coverage.controls)}


def considered(packet: PacketInput) -> str:
    """How many of the packet's records the evaluation looked at, and why not at the others."""
    every, seen = len(packet.records), packet.coverage.considered
    issued = len(of_kind(packet, PACKET_KIND))
    parts = [f"{seen:,} of {every:,}"]
    if issued:
        parts.append(f"that a packet was issued, as {issued:,} of them say, is no evidence")
    if later := every - seen - issued:
        parts.append(f"{later:,} came later")
    if packet.coverage.left_out:
        parts.append("“What this packet leaves out” names those that were set aside")
    return "; ".join(parts)


def short_id(control: str) -> str:
    """A control id without its catalog."""
    return control.partition(":")[2] or control


def weighed(control: ControlResult) -> list[RecordRef]:
    """Every record that was weighed for a control, whether it counts for it or against it."""
    said = (ref for reason in control.reasons for ref in reason.records)
    approvals = set(control.approvals)
    return sorted(
        {*control.evidence, *(ref for ref in said if ref not in approvals)},
        key=lambda ref: ref.index,
    )


def counted_for(packet: PacketInput) -> dict[int, tuple[str, ...]]:
    """Full ids of the controls that each record counts for, as evidence or approval."""
    found: dict[int, list[str]] = {}
    for control in packet.coverage.controls:
        for ref in dict.fromkeys((*control.evidence, *control.approvals)):
            found.setdefault(ref.index, []).append(control.id)
    return {index: tuple(ids) for index, ids in found.items()}


COUNTS_FOR = "counts for"
CLAIMS = "claims without effect"
_TIES = {
    "evidence.failed": "speaks against",
    "evidence.rule-failed": "speaks against",
    "evidence.rejected": "speaks against",
    "threshold.failed": "speaks against",
    "derivation.differs": "speaks against",
    "derivation.refused": "speaks against",
    "control.waived": "excuses",
    "control.risk-accepted": "excuses",
    "control.not-applicable": "decides on",
    "evidence.helps": "helps",
    "evidence.stale": "is too old for",
    "evidence.unapproved": "waits for an approval for",
    "evidence.other-model": "is about another model than asked for",
    "evidence.owner": "names an owner of",
}
"""A reason's code to what the record it names does to the control; of others it is weighed."""


def ties(packet: PacketInput) -> dict[int, dict[str, tuple[str, ...]]]:
    """What each record does to which of the packet's controls, by the record's place.

    A record has one tie to a control: it counts for it, or what the first reason says that names
    it, or it claims the control without effect.
    """
    found: dict[int, dict[str, dict[str, None]]] = {}
    tied: set[tuple[int, str]] = set()

    def tie(words: str, control: ControlResult, refs: Iterable[RecordRef]) -> None:
        for ref in refs:
            if (ref.index, control.id) not in tied:
                tied.add((ref.index, control.id))
                found.setdefault(ref.index, {}).setdefault(words, {})[control.id] = None

    for control in packet.coverage.controls:
        tie(COUNTS_FOR, control, (*control.evidence, *control.approvals))
        if control.applicability is not None:
            tie("decides on", control, (control.applicability.record,))
        for reason in control.reasons:
            tie(_TIES.get(reason.code, "is weighed for"), control, reason.records)
    controls = {control.id: control for control in packet.coverage.controls}
    for record in packet.records:
        claims = filter(None, map(controls.get, record.statement.controls))
        for control in claims:
            tie(CLAIMS, control, (record.ref,))
    first = {COUNTS_FOR: 0, CLAIMS: 2}
    return {
        index: {
            words: tuple(ids)
            for words, ids in sorted(by.items(), key=lambda item: first.get(item[0], 1))
        }
        for index, by in found.items()
    }


def of_kind(packet: PacketInput, *kinds: str) -> tuple[Record, ...]:
    """Records of the given kinds, in the ledger's order."""
    return tuple(record for record in packet.records if record.kind in kinds)


def replaced(packet: PacketInput) -> dict[int, int]:
    """Records that a later record supersedes: place of the old by place of the new."""
    return {
        record.statement.supersedes.index: record.index
        for record in packet.records
        if record.statement.supersedes is not None
    }


def approvers(packet: PacketInput) -> dict[int, tuple[Record, ...]]:
    """Approvals that name each record, by the record's place."""
    by_digest = {record.sha256: record.index for record in packet.records}
    found: dict[int, list[Record]] = {}
    for approval in of_kind(packet, "approval"):
        for digest in _digests(approval):
            if digest in by_digest and by_digest[digest] != approval.index:
                found.setdefault(by_digest[digest], []).append(approval)
    return {index: tuple(approvals) for index, approvals in found.items()}


def approved(packet: PacketInput) -> dict[int, tuple[RecordRef, ...]]:
    """The records that each approval names and that are in the packet, by the approval's place."""
    by_digest = {record.sha256: record.ref for record in packet.records}
    return {
        approval.index: tuple(
            sorted(
                (by_digest[digest] for digest in _digests(approval) if digest in by_digest),
                key=lambda ref: ref.index,
            )
        )
        for approval in of_kind(packet, "approval")
    }


def by_function(packet: PacketInput) -> dict[str, tuple[Record, ...]]:
    """Approvals by the function they speak for, functions by name."""
    found: dict[str, list[Record]] = {}
    for record in of_kind(packet, "approval"):
        found.setdefault(text_of(record.statement.body.get("role")), []).append(record)
    return {role: tuple(found[role]) for role in sorted(found)}


def headline(record: Record) -> str:
    """What a record is about, in a few words: its own title, or its files."""
    body = record.statement.body
    for name in ("title", "suite", "name", "summary", "duty", "statement", "dataset"):
        value = body.get(name)
        if isinstance(value, Mapping):
            value = value.get("name")
        if isinstance(value, str) and value.strip():
            return shorten(" ".join(value.split()), 110)
    files = [subject.name for subject in record.statement.subjects if subject.is_file]
    return shorten(", ".join(files), 110) or words(record.kind)


def words(name: str) -> str:
    """``collectionPeriod`` as ``Collection period``."""
    if name in _SPELLED:
        return _SPELLED[name]
    return first_up(_WORD.sub(" ", name).strip().lower())


def body_parts(record: Record) -> Body:
    """A record's body, ready to print; an evaluation's tables stand in their own chapter."""
    apart = _APART if record.kind == "eval-result" else ()
    return parts_of({k: v for k, v in record.statement.body.items() if k not in apart})


def parts_of(body: Mapping[str, Any]) -> Body:
    """A body's fields and lists, ready to print."""
    parts = list(_parts(body, ""))
    kept = parts[:MAX_ROWS]
    return Body(
        tuple(part for part in kept if isinstance(part, Field)),
        tuple(part for part in kept if isinstance(part, Grid)),
        len(parts) - len(kept),
    )


def is_digest(text: str) -> bool:
    """Whether ``text`` reads better with every character of one width."""
    return _DIGEST.fullmatch(text) is not None


def person(body: Mapping[str, Any]) -> str:
    """Who a record's body names."""
    return text_of(body.get("person"))


def evaluated(record: Record) -> str:
    """How many cases an evaluation looked at, in words."""
    number = record.statement.body.get("evaluated")
    return f"{text_of(number)} cases evaluated" if number is not None else "cases not counted"


def evaluations(packet: PacketInput) -> tuple[Record, ...]:
    """Evaluation results, those in force before those a later record replaced."""
    old = replaced(packet)
    found = of_kind(packet, "eval-result")
    return tuple(sorted(found, key=lambda record: record.index in old))


def charted(packet: PacketInput) -> tuple[Record, ...]:
    """The evaluation results that get tables and charts: the first of :func:`ranked`, in the order
    of :func:`evaluations`."""
    kept = {record.index for record in ranked(packet)[:MAX_EVALUATIONS]}
    return tuple(record for record in evaluations(packet) if record.index in kept)


def ranked(packet: PacketInput) -> tuple[Record, ...]:
    """Evaluation results, in force before replaced, those with a fault first, then the latest."""
    old = replaced(packet)
    found = of_kind(packet, "eval-result")
    return tuple(sorted(found, key=lambda r: (r.index in old, not _has_fault(r), -r.index)))


def _has_fault(record: Record) -> bool:
    failed = any(metric.held is False for metric in metrics(record))
    return failed or any(check.get("outcome") != "pass" for check in checks(record))


def metrics(record: Record) -> tuple[Metric, ...]:
    """All metrics of an evaluation result, failed ones first."""
    found = [_metric(item) for item in entries(record, "metrics")]
    return tuple(sorted(found, key=lambda metric: metric.held is not False))


def checks(record: Record) -> tuple[Mapping[str, Any], ...]:
    """All checks of an evaluation result, those that did not pass first."""
    found = entries(record, "checks")
    return tuple(sorted(found, key=lambda check: check.get("outcome") == "pass"))


def check_note(check: Mapping[str, Any]) -> str:
    """What a check expected, saw and said."""
    parts = [
        f"{name} {text_of(check[name])}"
        for name in ("expected", "observed")
        if check.get(name) is not None
    ]
    message = [text_of(check["message"])] if check.get("message") else []
    return "; ".join([", ".join(parts)] * bool(parts) + message) or "–"


def error_classes(record: Record) -> tuple[Mapping[str, Any], ...]:
    """All error classes of an evaluation result, the dearest first."""

    def cost(item: Mapping[str, Any]) -> float:
        money = item.get("costPerError")
        amount = money.get("amount") if isinstance(money, Mapping) else None
        return -float(amount) if _is_number(amount) else 0.0

    return tuple(sorted(entries(record, "errorClasses"), key=cost))


def costed(packet: PacketInput) -> tuple[Record, ...]:
    """The records in force that are no evaluation and say what each kind of error costs."""
    old = replaced(packet)
    found = of_kind(packet, "risk-assessment", "decision")
    return tuple(r for r in found if r.index not in old and entries(r, "errorClasses"))


def entries(record: Record, name: str) -> tuple[Mapping[str, Any], ...]:
    """The entries of one list of a record's body; none where there is no such list."""
    found = record.statement.body.get(name)
    if not isinstance(found, list):
        return ()
    return tuple(item for item in found if isinstance(item, Mapping))


def git_line(subject: Subject) -> GitLine | None:
    """The subject's git link in words; None for a subject that is no file."""
    git = subject.git
    if git is None:
        return None
    state = str(git.get("state", "outside"))
    commit = str(git.get("commit", ""))
    place = "\n".join(
        part
        for part in (
            f"repository {git['repository']}" if git.get("repository") else "",
            f"commit {commit}" if commit else "",
            f"path {git['path']}" if git.get("path") else "",
            f"blob {git['blob']}" if git.get("blob") else "",
        )
        if part
    )
    notes = [_GIT_STATES.get(state, state)]
    if git.get("pushed") is False:
        notes.append("commit not pushed")
    if git.get("filtered"):
        notes.append("git stores other bytes (LFS or line ends)")
    if git.get("signature"):
        signer = f" by {git['signer']}" if git.get("signer") else ""
        notes.append(f"commit signature {git['signature']}{signer}")
    loud = state != "committed" or git.get("pushed") is False or git.get("signature") == "bad"
    return GitLine("; ".join(notes), place, loud)


def text_of(value: Any) -> str:
    """A JSON value for a reader: numbers as they are, nested values as JSON."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if value is None:
        return "–"
    if isinstance(value, list) and not any(isinstance(item, (dict, list)) for item in value):
        return ", ".join(text_of(item) for item in value)
    if isinstance(value, Mapping) and set(value) == {"name", "email"}:
        return f"{value['name']} <{value['email']}>"
    if isinstance(value, Mapping) and set(value) == {"amount", "currency"}:
        return f"{value['currency']} {text_of(value['amount'])}"
    if isinstance(value, (Mapping, list)):
        return strictjson.canonical(value).decode()
    return str(value)


_GIT_STATES = {
    "committed": "committed",
    "modified": "MODIFIED since the commit: the commit does not hold these bytes",
    "untracked": "NOT COMMITTED: git does not track this file",
    "ignored": "NOT COMMITTED: git ignores this file",
    "outside": "OUTSIDE any git repository",
}


def _wanted(control: ControlResult) -> str:
    return control.unblock or "; ".join(reason.text for reason in control.reasons)


def _digests(approval: Record) -> frozenset[str]:
    """Digests of everything an approval names, in its references or its body."""
    found = {
        str(ref["sha256"]) for ref in approval.statement.references if ref["relation"] != "genesis"
    }
    named = approval.statement.body.get("records", ())
    found.update(str(item.get("sha256")) for item in named if isinstance(item, Mapping))
    return frozenset(found)


def _parts(body: Mapping[str, Any], prefix: str) -> Iterator[Field | Grid]:
    for name, value in body.items():
        label = f"{prefix}{words(name)}"
        if isinstance(value, Mapping) and value and not _is_short(value):
            yield from _parts(value, f"{label} / ")
        elif isinstance(value, list) and value and all(isinstance(v, Mapping) for v in value):
            yield from _listed(value, label)
        else:
            yield Field(label, text_of(value))


def _is_short(value: Mapping[str, Any]) -> bool:
    return set(value) in ({"name", "email"}, {"amount", "currency"})


def _listed(items: Sequence[Mapping[str, Any]], label: str) -> Iterator[Field | Grid]:
    columns = tuple(dict.fromkeys(key for item in items for key in item))
    if len(columns) <= _MAX_COLUMNS:
        rows = tuple(
            tuple(text_of(item[key]) if key in item else "" for key in columns)
            for item in items[:MAX_ROWS]
        )
        more = max(len(items) - MAX_ROWS, 0)
        yield Grid(label, tuple(words(column) for column in columns), rows, more)
        return
    for number, item in enumerate(items, start=1):
        yield from _parts(item, f"{label} {number} / ")


def _metric(item: Mapping[str, Any]) -> Metric:
    value, threshold, direction = (item.get(name) for name in ("value", "threshold", "direction"))
    sign = {"higher": "≥ ", "lower": "≤ "}.get(str(direction), "")
    held, numbers = None, None
    if _is_number(threshold) and sign:
        # A limit with nothing to hold against it is not kept: there is no pass without evidence.
        held = False
        if _is_number(value):
            held = value >= threshold if direction == "higher" else value <= threshold
            numbers = (float(value), float(threshold))
    return Metric(
        name=text_of(item.get("name")),
        slice=text_of(item.get("slice", "all")),
        n=f"{item['n']:,}" if isinstance(item.get("n"), int) else text_of(item.get("n")),
        value=_figure(value, threshold) or text_of(item.get("nonfinite", value)),
        threshold="–" if threshold is None else f"{sign}{text_of(threshold)}",
        held=held,
        numbers=numbers,
    )


def _figure(value: Any, threshold: Any) -> str | None:
    """The figure short enough for its column; the record in full has every digit."""
    if not isinstance(value, float):
        return None
    return figure(value, threshold if _is_number(threshold) else None)


def _is_number(value: Any) -> TypeGuard[int | float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
