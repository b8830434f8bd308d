"""Exceptions by signed record: waivers, accepted risks, and what is said not to apply.

None of them makes a control met: the state by the evidence stays in the reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from muniment.schemas.record import Record, Role, Signer
from muniment.schemas.text import shorten

from .coverage import Applicability, ControlResult, Reason, State
from .index import APPLICABILITY, APPROVAL, WAIVER, Index

MAX_DAYS = 365
"""Longest that a waiver may last from the day it is recorded."""
FUNCTIONS = frozenset({"executive-owner", "legal", "risk"})
"""Functions of which an approver must speak for one."""
_RISK_ACCEPTANCE = "risk-acceptance"
_SHOWN = 300
"""Characters of a signed reason that are repeated in a control's reason."""


def refusal(signer: Signer, functions: Set[str] = FUNCTIONS) -> str | None:
    """Why ``signer`` may sign no exception; None if they may."""
    if signer.type == "machine":
        return f"{signer.name} is a machine"
    if Role.APPROVER not in signer.roles:
        return f"{signer.name} is no approver"
    if not signer.functions & functions:
        return f"{signer.name} speaks for none of {', '.join(sorted(functions)) or 'those who may'}"
    return None


def longest(recorded_on: date, days: int = MAX_DAYS) -> date:
    """Last day that a waiver recorded on this day may name."""
    return recorded_on + timedelta(days=min(days, MAX_DAYS))


def own_evidence(person: str, claiming: Iterable[Record]) -> list[Record]:
    """Records among ``claiming`` that ``person`` signed: nobody excuses their own evidence."""
    return [
        record for record in claiming if record.signer.person == person and record.kind != APPROVAL
    ]


@dataclass(slots=True)
class Exceptions:
    """What entitled people said of controls, by full control id, in the ledger's order."""

    waivers: dict[str, list[Record]] = field(default_factory=dict)
    decisions: dict[str, list[Record]] = field(default_factory=dict)


def gather_exceptions(index: Index, waived_by: Set[str], max_days: int) -> Exceptions:
    """Sort out the waivers and decisions on applicability that may count.

    Those that may not are added to ``index.left_out``.

    Args:
        waived_by: functions of which a waiver's signer must speak for one.
        max_days: longest that a waiver may last.
    """
    found = Exceptions()
    for record in sorted(index.current.values(), key=lambda record: record.index):
        if record.kind not in (WAIVER, APPLICABILITY):
            continue
        functions = waived_by if record.kind == WAIVER else FUNCTIONS
        if fault := _fault(index, record, functions, max_days):
            code, text, *others = fault
            refs = tuple(item.ref for item in (record, *others))
            index.left_out.append(Reason(f"{record.kind}.{code}", text, refs))
        elif record.kind == WAIVER:
            for control in record.statement.body["controls"]:
                found.waivers.setdefault(control, []).append(record)
        else:
            for control in dict.fromkeys(item["control"] for item in _items(record)):
                found.decisions.setdefault(control, []).append(record)
    return found


def _fault(
    index: Index, record: Record, functions: Set[str], max_days: int
) -> tuple[str, str, *tuple[Record, ...]] | None:
    """Code, sentence and further records of why an exception counts for nothing."""
    if why := refusal(record.signer, functions):
        return "not-entitled", f"{record} does not count: {why}"
    if votes := index.rejections(record):
        names = ", ".join(vote.signer.name for vote in votes)
        return "rejected", f"{record} was rejected by {names}", *votes
    last = longest(record.recorded_at.date(), max_days)
    if record.kind == WAIVER and _until(record) > last:
        text = f"{record} would last until {_until(record)}, and {last} is the last day allowed"
        return "too-long", text
    return None


def settle(
    exceptions: Exceptions,
    result: ControlResult,
    claiming: Mapping[str, Record],
    as_of: datetime,
) -> ControlResult:
    """The control with what was signed of it: not applicable goes before waived.

    Args:
        claiming: records that claim the control, by digest.
    """
    notes: list[Reason] = []
    said = _decision(exceptions.decisions.get(result.id, ()), result.id, claiming, notes)
    waiver = _waiver(exceptions.waivers.get(result.id, ()), claiming, as_of, notes)
    result = replace(result, reasons=(*result.reasons, *notes), applicability=said)
    if said is not None and not said.applicable:
        text = (
            f"not applicable, says {said.by} in #{said.record.index}: {_short(said.justification)}"
        )
        reason = Reason("control.not-applicable", text, (said.record,))
        return replace(
            _over(result, State.NOT_APPLICABLE, reason),
            fresh_until=None,
            unblock=None,
            command=None,
        )
    if waiver is not None:
        end = datetime.combine(_until(waiver), time(23, 59, 59), UTC)
        return replace(_over(result, State.WAIVED, _waived(waiver)), fresh_until=end)
    return result


def _over(result: ControlResult, state: State, reason: Reason) -> ControlResult:
    underlying = Reason("control.underlying", f"by the evidence alone it is {result.state}")
    reasons = (reason, underlying, *result.reasons)
    return replace(result, state=state, underlying=result.state, reasons=reasons)


def _decision(
    records: Iterable[Record],
    control: str,
    claiming: Mapping[str, Record],
    notes: list[Reason],
) -> Applicability | None:
    """The newest word on whether the control applies; what is refused is noted."""
    found = None
    for record in records:
        items = [item for item in _items(record) if item["control"] == control]
        # NOTE: where one record says both, the answer that asks for more stands.
        item = next((item for item in items if item["applicable"]), items[-1])
        if not item["applicable"] and _is_own(record, claiming, notes):
            continue
        found = Applicability(
            item["applicable"], item["justification"], record.signer.name, record.ref
        )
    return found


def _waiver(
    records: Iterable[Record],
    claiming: Mapping[str, Record],
    as_of: datetime,
    notes: list[Reason],
) -> Record | None:
    """The current waiver that lasts longest; what ended or is refused is noted."""
    current = []
    for record in records:
        if _until(record) < as_of.date():
            accepts = record.statement.body["type"] == _RISK_ACCEPTANCE
            did = "accepted the risk of" if accepts else "waived"
            text = f"{record} {did} this control until {_until(record)}, and not any longer"
            notes.append(Reason("waiver.expired", text, (record.ref,)))
        elif not _is_own(record, claiming, notes):
            current.append(record)
    return max(current, key=lambda record: (_until(record), -record.index), default=None)


def _is_own(record: Record, claiming: Mapping[str, Record], notes: list[Reason]) -> bool:
    earlier = [item for item in claiming.values() if item.index < record.index]
    own = sorted(own_evidence(record.signer.person, earlier), key=lambda item: item.index)
    if own:
        numbers = ", ".join(map(str, own))
        text = f"{record} does not count here: {record.signer.name} also signed {numbers}"
        refs = (record.ref, *(item.ref for item in own))
        notes.append(Reason(f"{record.kind}.same-person", text, refs))
    return bool(own)


def _waived(record: Record) -> Reason:
    body = record.statement.body
    accepts = body["type"] == _RISK_ACCEPTANCE
    word = "its risk accepted" if accepts else "waived"
    text = (
        f"{word} until {body['until']} by {record.signer.name} in {record}: "
        f"{_short(body['reason'])}; instead: {_short(body['measure'])}"
    )
    if accepts:
        text += f"; what is left: {_short(body['residualRisk'])}"
    return Reason("control.risk-accepted" if accepts else "control.waived", text, (record.ref,))


def _items(record: Record) -> Iterator[Mapping[str, Any]]:
    yield from record.statement.body["controls"]


def _until(record: Record) -> date:
    return date.fromisoformat(record.statement.body["until"])


def _short(text: str) -> str:
    return shorten(" ".join(text.split()).rstrip("."), _SHOWN)
