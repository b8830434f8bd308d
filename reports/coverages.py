"""Coverage of several systems, over time: as it stands, what changed, what will lapse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from muniment.controls.changes import Change, changes, lapses
from muniment.controls.coverage import Coverage, State
from muniment.controls.gate import LedgerState
from muniment.controls.hindsight import Hindsight, hindsight
from muniment.evidence.admission import PastTrust
from muniment.evidence.checkpoint import SignedCheckpoint, verify_checkpoint
from muniment.evidence.verified import VerifiedLedger
from muniment.schemas.errors import InputError
from muniment.schemas.record import Record
from muniment.schemas.statement import SystemRef
from muniment.schemas.times import format_time

from .evaluation import present, require_begun

if TYPE_CHECKING:
    from muniment.controls.requirement import Requirement

    from .workspace import Workspace

Judge = Callable[[VerifiedLedger, SystemRef, datetime, int | None], Coverage]
"""Evaluates one system as of a moment, of a ledger of that size."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to see; the fields are the arguments of ``Workspace.views``."""

    systems: tuple[str, ...]
    every: bool
    owner: str | None
    as_of: datetime | int | None
    since: datetime | int | None
    expiring: timedelta | None


@dataclass(frozen=True, slots=True)
class SystemView:
    """One system version: its coverage, and what belongs beside it."""

    coverage: Coverage
    owner: str | None
    """E-mail address of the owner its record named then."""
    hindsight: tuple[Hindsight, ...]
    """What became known after the moment of the coverage."""
    requirements: dict[str, Requirement]
    """By full control id."""
    before: Coverage | None = None
    """The coverage it is compared with."""
    changes: tuple[Change, ...] = ()
    """What is different since then, in the catalogs' order."""
    until: datetime | None = None
    """How far it was looked ahead, UTC."""
    lapses: tuple[Change, ...] = ()
    """What falls back by then if nothing is added, soonest first."""

    def to_json(self) -> dict[str, Any]:
        """The coverage document with further fields; ``since`` and ``expiring`` if asked for."""
        document = {
            **self.coverage.to_json(),
            "owner": self.owner,
            "hindsight": [item.to_json() for item in self.hindsight],
        }
        if self.before is not None:
            document["since"] = {
                "as_of": format_time(self.before.as_of),
                "considered": self.before.considered,
                "changes": [change.to_json() for change in self.changes],
            }
        if self.until is not None:
            document["expiring"] = {
                "until": format_time(self.until),
                "lapses": [change.to_json() for change in self.lapses],
            }
        return document


@dataclass(frozen=True, slots=True)
class Narrowed:
    """Which controls to show; an empty field narrows nothing, and all that are given must hold."""

    functions: tuple[str, ...] = ()
    """Groups of controls, such as ``GOVERN``, in any case."""
    kinds: tuple[str, ...] = ()
    """Kinds of evidence that a control asks for, or is supported by."""
    states: tuple[State, ...] = ()

    def to_json(self) -> dict[str, list[str]]:
        """What was asked for, as the ``--json`` document repeats it."""
        return {
            "functions": list(self.functions),
            "kinds": list(self.kinds),
            "states": [str(state) for state in self.states],
        }

    def of(self, view: SystemView) -> SystemView:
        """The view with the fitting controls alone; counts are then of these.

        Raises:
            InputError: ``coverage.no-function``.
        """
        if self == Narrowed():
            return view
        groups = {control.group.casefold(): control.group for control in view.coverage.controls}
        if unknown := [name for name in self.functions if name.casefold() not in groups]:
            raise InputError(
                "coverage.no-function",
                f"no control of these catalogs stands under {unknown[0][:100]!r}",
                expected=", ".join(groups.values()),
                found=unknown[0],
            )
        wanted = {name.casefold() for name in self.functions}
        fitting = {
            control.id
            for control in view.coverage.controls
            if (not wanted or control.group.casefold() in wanted)
            and (not self.kinds or _kinds(view.requirements[control.id]) & set(self.kinds))
        }

        def shown(found: tuple[Change, ...]) -> tuple[Change, ...]:
            return tuple(
                item
                for item in found
                if item.after.id in fitting and (not self.states or item.after.state in self.states)
            )

        catalogs = tuple(
            replace(
                catalog,
                controls=tuple(
                    control
                    for control in catalog.controls
                    if control.id in fitting and (not self.states or control.state in self.states)
                ),
            )
            for catalog in view.coverage.catalogs
        )
        return replace(
            view,
            coverage=replace(view.coverage, catalogs=catalogs),
            changes=shown(view.changes),
            lapses=shown(view.lapses),
        )


def ledger_state(verified: VerifiedLedger) -> LedgerState:
    """What the answer was made from."""
    last = verified.require()
    return LedgerState(last.checkpoint.origin, last.size, last.root.hex())


def known_then(
    workspace: Workspace,
    verified: VerifiedLedger,
    coverage: Coverage,
    asked: datetime | int | None,
) -> list[Record]:
    """The records that a coverage was made from, with the trust they had at its moment."""
    past = PastTrust(verified.keys, workspace.kinds)
    size = asked if isinstance(asked, int) else None
    return past.at(verified.records, coverage.as_of, size)


def known_since(
    workspace: Workspace,
    verified: VerifiedLedger,
    coverage: Coverage,
    asked: datetime | int | None = None,
) -> list[Hindsight]:
    """What became known after the moment of a coverage.

    Args:
        asked: that moment as somebody named it; as a number, how many entries the ledger had then.
    """
    size = asked if isinstance(asked, int) else None
    own = [item for item in verified.records if item.statement.system == coverage.system]
    then = [item for item in own if item.recorded_at <= coverage.as_of]
    past = PastTrust(verified.keys, workspace.kinds)
    found = hindsight(own, coverage, past.lost_since(then, coverage.as_of, size))
    now = present(workspace, verified)
    if own and coverage.as_of.date() > now.date():
        text = (
            f"no more than what was recorded until {now:%Y-%m-%d}: the moment asked about is after "
            "today, and nothing recorded later is known"
        )
        found.append(Hindsight("moment.later", text, own[-1].ref))
    return found


def views(
    workspace: Workspace, verified: VerifiedLedger, asked: Asked, judge: Judge
) -> list[SystemView]:
    """One view for each system version; see ``Workspace.views``."""
    now = present(workspace, verified)
    at, size = (now, None) if asked.as_of is None else _moment(workspace, asked.as_of)
    begun = None if asked.as_of is None else at
    require_begun(verified, begun)
    past = PastTrust(verified.keys, workspace.kinds)
    stood = [
        item
        for item in past.at(verified.records, at, size)
        if item.recorded_at <= at and not item.distrusted
    ]
    found = []
    for system in _systems(workspace, stood, asked):
        own = [item for item in verified.records if item.statement.system == system]
        require_begun(verified, begun, system)
        found.append(
            _view(
                workspace,
                replace(verified, records=own),
                asked,
                judge(replace(verified, records=own), system, at, size),
                size,
                _owner(stood, system),
                judge,
            )
        )
    return found


def _view(
    workspace: Workspace,
    ledger: VerifiedLedger,
    asked: Asked,
    coverage: Coverage,
    size: int | None,
    owner: str | None,
    judge: Judge,
) -> SystemView:
    catalogs = [workspace.catalog(item.catalog) for item in coverage.catalogs]
    view = SystemView(
        coverage,
        owner,
        tuple(known_since(workspace, ledger, coverage, size)),
        {control.id: control.requirement for item in catalogs for control in item.controls},
    )
    if asked.since is not None:
        begin, smaller = _moment(workspace, asked.since)
        if begin > coverage.as_of:
            raise InputError(
                "coverage.since",
                "what it is compared with is later than the moment that is judged",
                expected=f"{format_time(coverage.as_of)} or earlier",
                found=format_time(begin),
            )
        before = judge(ledger, coverage.system, begin, smaller)
        found_changes = sorted(changes(before, coverage), key=lambda change: not change.is_worse)
        view = replace(view, before=before, changes=tuple(found_changes))
    if asked.expiring is not None:
        until = _later(coverage.as_of, asked.expiring)
        # NOTE: only what was recorded by the moment that is judged; what came later is no forecast.
        known = [item for item in ledger.records if item.recorded_at <= coverage.as_of]
        known = PastTrust(ledger.keys, workspace.kinds).at(known, coverage.as_of, size)
        frozen = replace(ledger, records=known, keys=())
        found = lapses(
            coverage,
            until,
            lambda moment: judge(frozen, coverage.system, moment, size),
            {item.sha256: item for item in known},
            view.requirements,
        )
        view = replace(view, until=until, lapses=found)
    return view


def _later(start: datetime, span: timedelta) -> datetime:
    try:
        return start + span
    except OverflowError as error:
        raise InputError(
            "duration.malformed", "that is later than any date", expected="such as 30d"
        ) from error


def _moment(workspace: Workspace, asked: datetime | int) -> tuple[datetime, int | None]:
    """The time of a moment, and the size of the ledger then where a checkpoint was named.

    Raises:
        InputError: ``checkpoint.unknown``.
    """
    if isinstance(asked, datetime):
        return asked, None
    signed = checkpoint_of(workspace, asked)
    return signed.time, signed.size


def checkpoint_of(workspace: Workspace, asked: int) -> SignedCheckpoint:
    """The ledger's checkpoint of this size.

    Raises:
        InputError: ``checkpoint.unknown``.
    """
    with workspace.storage.read() as reader:
        total = reader.size()
        note = reader.covering_checkpoint(asked - 1) if 0 < asked <= total else None
    signed = verify_checkpoint(note, workspace.ledger.vkey) if note is not None else None
    if signed is None or signed.size != asked:
        nearest = f"{signed.size}, the next one" if signed else f"a size from 1 to {total}"
        raise InputError(
            "checkpoint.unknown",
            f"there is no checkpoint of size {asked}",
            expected=nearest,
            found=str(asked),
        )
    return signed


def require_told_apart(
    verified: VerifiedLedger, coverage: Coverage, asked: datetime | int | None
) -> None:
    """Refuse the size of a checkpoint in whose very second more was recorded.

    For documents that name a moment by its time alone: their readers would count those records.

    Raises:
        InputError: ``checkpoint.same-second``.
    """
    last = max((r.index for r in verified.records if r.recorded_at <= coverage.as_of), default=0)
    if isinstance(asked, int) and last >= asked:
        raise InputError(
            "checkpoint.same-second",
            f"record #{last} was recorded in the second of the checkpoint of size {asked}, and "
            "what is written here names a moment by its time alone",
            hint=f"--as-of {format_time(coverage.as_of)} takes all that was recorded by then",
            found=str(asked),
        )


def _systems(workspace: Workspace, stood: Sequence[Record], asked: Asked) -> list[SystemRef]:
    """The system versions that are wanted.

    Raises:
        InputError: ``system.…`` or ``coverage.no-system``.
    """
    if asked.systems:
        found = list(dict.fromkeys(map(workspace.system, asked.systems)))
    elif asked.every or asked.owner is not None:
        registered = [item.statement.system for item in stood if item.kind == "system"]
        found = list(dict.fromkeys(item for item in registered if item is not None))
    else:
        return [workspace.system(None)]
    if asked.owner is None:
        chosen = found
    else:
        owners = {system: _owner(stood, system) for system in found}
        chosen = [item for item in found if owners[item] == asked.owner.strip().casefold()]
    if not chosen:
        named = sorted({owner for owner in (_owner(stood, item) for item in found) if owner})
        raise InputError(
            "coverage.no-system",
            "no system version that was registered by then has this owner"
            if asked.owner is not None
            else "no system version was registered by then",
            expected=", ".join(named) or None,
            found=asked.owner,
        )
    return chosen


def _owner(stood: Sequence[Record], system: SystemRef) -> str | None:
    """The owner that the last ``system`` record names: their e-mail address in lower case."""
    named = [
        item.statement.body["owner"]["email"]
        for item in stood
        if item.kind == "system" and item.statement.system == system
    ]
    return str(named[-1]).casefold() if named else None


def _kinds(requirement: Requirement) -> set[str]:
    return {*requirement.any_of, *requirement.supporting}
