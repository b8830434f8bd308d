"""One control while it is being decided: the records that bear on it, and the state they make."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from muniment.schemas.record import Record
from muniment.schemas.statement import RecordRef

from .catalog import Control
from .coverage import Reason, State
from .crosswalk import Path
from .requirement import Requirement

_WINDOWS: dict[str, tuple[str | None, str]] = {
    "owner-assignment": ("start", "end"),
    "policy": ("inForceFrom", "reviewBy"),
    "decision": (None, "reviewBy"),
    "impact-assessment": (None, "reviewBy"),
    "risk-assessment": (None, "reviewBy"),
    "supplier-assessment": (None, "reviewBy"),
    "training-record": (None, "repeatBy"),
}
"""Kinds whose body says from which day to which day they hold, and the fields that do."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A record of one control that would do for another, and the way from the one to the other."""

    record: Record
    path: Path
    until: datetime
    """Last moment at which it counts for both."""
    counts: bool
    """Whether it carries; otherwise it only helps."""

    @property
    def rank(self) -> tuple[Any, ...]:
        """What carries sorts first, then what lasts longest, then the better path."""
        return not self.counts, -self.until.timestamp(), self.path.rank, self.record.index


@dataclass(frozen=True, slots=True)
class Rejected:
    """A record that would carry the control, had nobody refused it."""

    record: Record
    vote: Record
    """The first rejection that stands: of an approver, or an auditor's exception."""
    path: Path | None = None
    """The way it would have come over a crosswalk; None where it is the control's own."""


@dataclass(slots=True)
class Case:
    """What is known of one control while it is being decided."""

    control: Control
    reasons: list[Reason] = field(default_factory=list)
    good: dict[str, list[Record]] = field(default_factory=dict)
    """Kind to its records that carry the control now."""
    failed: list[Record] = field(default_factory=list)
    stale: list[Record] = field(default_factory=list)
    unapproved: list[Record] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)
    unlent: list[Rejected] = field(default_factory=list)
    """What another control has, and cannot lend because it was refused there."""
    supporting: list[Record] = field(default_factory=list)
    carried: dict[str, Carried] = field(default_factory=dict)
    """Kind to the best record that a crosswalk brings, where the control has none of its own."""
    measured: dict[str, Record] = field(default_factory=dict)
    """Metric that the profile limits to the record that shows it and lasts longest."""
    unmeasured: list[str] = field(default_factory=list)
    """Metrics that the profile limits and no record shows now."""

    @property
    def kinds(self) -> set[str]:
        """Kinds that are there, carried over or not."""
        return {*self.good, *(kind for kind, item in self.carried.items() if item.counts)}

    @property
    def evidence(self) -> list[Record]:
        """Records that count for the control, in ledger order."""
        found = {record.index: record for records in self.good.values() for record in records}
        found |= {item.record.index: item.record for item in self.carried.values() if item.counts}
        return [found[place] for place in sorted(found)]

    @property
    def requirement(self) -> Requirement:
        return self.control.requirement

    def say(self, code: str, text: str, *records: Record, path: Path | None = None) -> None:
        self.reasons.append(Reason(code, text, refs(records), path.hops if path else ()))


def state_of(case: Case) -> State:
    """The state, by what the evidence can carry.

    Between stale and unapproved the better prospect decides: were it the worse, taking evidence
    away could improve a state.
    """
    if case.failed:
        return State.FAILED
    if len(case.kinds) >= case.requirement.minimum_kinds:
        return State.PARTIAL if case.unmeasured else State.MET
    if case.good or case.carried:
        return State.PARTIAL
    if case.unapproved or case.rejected:
        return State.UNAPPROVED
    return State.STALE if case.stale else State.MISSING


def fresh_until(record: Record, requirement: Requirement) -> datetime:
    """Last moment at which the record still counts; facts count from their recording at latest."""
    held_at = min(record.statement.collected_at, record.recorded_at)
    until = held_at + timedelta(days=requirement.validity_days)
    ends = [end for end in (record.statement.valid_until, term_of(record)) if end]
    return min([until, *ends])


def begin_of(record: Record) -> datetime | None:
    """When what the record says comes into force: the first second of that day."""
    field, _ = _WINDOWS.get(record.kind, (None, ""))
    day = _date(record, field)
    return datetime.combine(day, time(0, 0), UTC) if day else None


def term_of(record: Record) -> datetime | None:
    """When what the record says ends or must be looked at again: the last second of that day."""
    _, field = _WINDOWS.get(record.kind, (None, None))
    day = _next_report(record) or _date(record, field)
    return datetime.combine(day, time(23, 59, 59), UTC) if day else None


def _next_report(record: Record) -> date | None:
    """When the report after this one was planned for; None where that is not said."""
    body = record.statement.body
    if record.kind != "monitoring-report" or "cadenceDays" not in body:
        return None
    try:
        return date.fromisoformat(body["period"]["end"]) + timedelta(days=body["cadenceDays"])
    except OverflowError:
        return date.max


def _date(record: Record, field: str | None) -> date | None:
    value = record.statement.body.get(field) if field else None
    return date.fromisoformat(value) if isinstance(value, str) else None


def section_of(record: Record, requirement: Requirement) -> Any:
    """What the rule is about: the named part of the body, or all of it."""
    body = record.statement.body
    return body if requirement.section is None else body.get(requirement.section)


def refs(records: Sequence[Record]) -> tuple[RecordRef, ...]:
    return tuple(record.ref for record in records)


def day(moment: datetime) -> str:
    return moment.date().isoformat()


def lapse(moment: datetime) -> str:
    """The last day on which something counted, with the time where that ends within the day."""
    return day(moment) if moment.time() == time(23, 59, 59) else f"{moment:%Y-%m-%d %H:%M} UTC"
