"""What changed between two coverages of one system, and what will lapse. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from muniment.schemas.record import Record
from muniment.schemas.statement import RecordRef
from muniment.schemas.times import format_time

from .case import fresh_until
from .coverage import ControlResult, Coverage, State
from .requirement import Requirement

_SECOND = timedelta(seconds=1)
_RANK = {state: place for place, state in enumerate(State)}
_NO_EVIDENCE = (State.MISSING, State.STALE)


@dataclass(frozen=True, slots=True)
class Change:
    """A control whose state is another than it was."""

    before: ControlResult
    after: ControlResult
    at: datetime
    """First second, UTC, at which the later state is known to hold."""

    @property
    def what(self) -> str:
        """``newly met``, ``newly stale`` and so on."""
        return f"newly {self.after.state}"

    @property
    def gained(self) -> tuple[RecordRef, ...]:
        """Records that count now and did not before, approvals included."""
        return _less(_standing(self.after), _standing(self.before))

    @property
    def lost(self) -> tuple[RecordRef, ...]:
        """Records that counted before and do not now, approvals included."""
        return _less(_standing(self.before), _standing(self.after))

    @property
    def behind(self) -> tuple[RecordRef, ...]:
        """Every record that the change rests on, those that came or went with a reason included."""
        old, new = self.before.reasons, self.after.reasons
        differing = [reason for reason in (*old, *new) if reason not in old or reason not in new]
        named = [ref for reason in differing for ref in reason.records]
        return _less((*self.lost, *self.gained, *named), ())

    @property
    def is_worse(self) -> bool:
        """Whether the control fell back."""
        return _RANK[self.after.state] < _RANK[self.before.state]

    def to_json(self) -> dict[str, Any]:
        """The change as the ``--json`` documents show it."""
        return {
            "id": self.after.id,
            "title": self.after.title,
            "group": self.after.group,
            "what": self.what,
            "before": str(self.before.state),
            "after": str(self.after.state),
            "at": format_time(self.at),
            "reasons": [reason.to_json() for reason in self.after.reasons],
            "gained": [ref.to_json() for ref in self.gained],
            "lost": [ref.to_json() for ref in self.lost],
            "records": [ref.to_json() for ref in self.behind],
            "unblock": self.after.unblock,
            "command": self.after.command,
        }


def changes(before: Coverage, after: Coverage) -> tuple[Change, ...]:
    """The controls of ``after`` whose state differs, in its order.

    Both must be of the same catalogs.
    """
    known = {control.id: control for control in before.controls}
    return tuple(
        Change(known[control.id], control, after.as_of)
        for control in after.controls
        if known[control.id].state is not control.state
    )


def lapses(
    now: Coverage,
    until: datetime,
    evaluate: Callable[[datetime], Coverage],
    records: Mapping[str, Record],
    requirements: Mapping[str, Requirement],
) -> tuple[Change, ...]:
    """What will fall back by ``until`` if nothing is added, soonest first.

    Time is moved forward and everything is evaluated again: whenever the last record of a kind that
    a control rests on ends, and at the end. What fell back between two of these, by a rule that
    looks at the clock, is sought by halving.

    Args:
        evaluate: the coverage as of a moment, from the same records and for the same controls.
        records: what is known now, by digest.
        requirements: by full control id.
    """
    forward = _Forward(evaluate, now)
    found: list[Change] = []
    at, reached = now.as_of, now
    while at < until:
        step = min(min(_ends(reached, at, records, requirements), default=until), until)
        later = forward.at(step)
        if step > at + _SECOND:
            quiet = forward.at(step - _SECOND)
            found += forward.sought(reached, quiet)
            reached = quiet
        found += [change for change in changes(reached, later) if change.is_worse]
        at, reached = step, later
    found.sort(key=lambda change: change.at)
    return tuple(found)


class _Forward:
    """Coverages at later moments, each computed once."""

    def __init__(self, evaluate: Callable[[datetime], Coverage], now: Coverage) -> None:
        self._evaluate = evaluate
        self._known = {now.as_of: now}

    def at(self, moment: datetime) -> Coverage:
        """The coverage as of a moment."""
        if moment not in self._known:
            self._known[moment] = self._evaluate(moment)
        return self._known[moment]

    def sought(self, first: Coverage, last: Coverage) -> list[Change]:
        """What falls back after ``first`` and by ``last``, each at the second it does."""
        return [
            self._narrowed(change.after.id, first, last)
            for change in changes(first, last)
            if change.is_worse
        ]

    def _narrowed(self, control: str, first: Coverage, last: Coverage) -> Change:
        before, begin, end = _of(first, control), first.as_of, last.as_of
        while end - begin > _SECOND:
            middle = (begin + (end - begin) / 2).replace(microsecond=0)
            if _RANK[_of(self.at(middle), control).state] < _RANK[before.state]:
                end = middle
            else:
                begin = middle
        return Change(before, _of(self.at(end), control), end)


def _of(coverage: Coverage, control: str) -> ControlResult:
    return next(item for item in coverage.controls if item.id == control)


def _ends(
    coverage: Coverage,
    after: datetime,
    records: Mapping[str, Record],
    requirements: Mapping[str, Requirement],
) -> Iterable[datetime]:
    """The moments after ``after`` at which a control no longer rests on any record of some kind."""
    for control in coverage.controls:
        if control.state in _NO_EVIDENCE:
            continue
        last: dict[str, datetime] = {}
        for ref in control.evidence:
            record = records[ref.sha256]
            until = fresh_until(record, requirements[control.id])
            last[record.kind] = max(until, last.get(record.kind, until))
        ends = [*last.values(), *([control.fresh_until] if control.fresh_until else [])]
        yield from (end + _SECOND for end in ends if end + _SECOND > after)


def _standing(control: ControlResult) -> tuple[RecordRef, ...]:
    return (*control.evidence, *control.approvals)


def _less(refs: Iterable[RecordRef], without: Iterable[RecordRef]) -> tuple[RecordRef, ...]:
    """The references not in ``without``, each once, by place."""
    left = set(refs) - set(without)
    return tuple(sorted(left, key=lambda ref: ref.index))
