"""The evaluator: the state of every control, from verified records alone.

Pure: no clock and no files. ``coverage``, the gate and every report call it and nothing else, so
that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from muniment.controls.catalog import Catalog, Control
from muniment.controls.coverage import CatalogCoverage, ControlResult, Coverage, Reason, State
from muniment.controls.crosswalk import NONE, Crosswalk, Fit, Path, Paths
from muniment.controls.index import APPROVAL, LINK, RETRACTION, SYSTEM, Index, build_index
from muniment.controls.outcome import Verdict, outcome
from muniment.controls.profile import Profile
from muniment.controls.requirement import Requirement, SecondPerson
from muniment.controls.rule import broken, rule_variables
from muniment.schemas.record import Record
from muniment.schemas.statement import GATE_DECISION, RecordRef, SystemRef

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
_CLOCK_SLACK = timedelta(days=1)
"""How far facts may lie after their recording before it is remarked upon."""


def evaluate(
    records: Sequence[Record],
    catalogs: Sequence[Catalog],
    profile: Profile,
    system: SystemRef,
    as_of: datetime,
    artifact: str | None = None,
    crosswalk: Crosswalk = NONE,
    sources: Sequence[Catalog] | None = None,
) -> Coverage:
    """Compute the state of every control of ``catalogs`` for one system version.

    Args:
        records: verified and trusted records, in any order; those about other systems are ignored.
        as_of: UTC; nothing recorded later is known.
        artifact: SHA-256 of the model in question, in hexadecimal; by default the newest one that
            the version's ``system`` records name.
        crosswalk: pairs along which evidence carries over; inferred ones do not where the profile
            wants none.
        sources: catalogs that evidence may carry over from, in the answer or not; by default
            ``catalogs``.

    Raises:
        InputError: ``artifact.malformed``, ``rule.malformed``, ``rule.too-costly`` or
            ``crosswalk.unknown-control``.
    """
    index = build_index(records, system, as_of, artifact)
    carrying = {catalog.id: catalog for catalog in (catalogs if sources is None else sources)}
    weighed = {catalog.id: catalog for catalog in catalogs} | carrying
    evaluator = _Evaluator(index, as_of)
    cases = {
        control.id: evaluator.weigh(control)
        for catalog in weighed.values()
        for control in catalog.controls
    }
    used = crosswalk.among(cases.keys())
    pairs = used if profile.inferred else used.published()
    evaluator.carry_over(cases, Paths(pairs, carrying.keys()))
    covered = tuple(
        CatalogCoverage(
            catalog.id,
            catalog.name,
            catalog.sha256,
            tuple(evaluator.result(cases[control.id]) for control in catalog.controls),
        )
        for catalog in catalogs
    )
    return Coverage(
        system=system,
        as_of=as_of,
        profile=str(profile),
        profile_sha256=profile.sha256,
        artifact=index.artifact,
        catalogs=covered,
        considered=len(index.considered),
        left_out=(*index.left_out, *_unknown_claims(index, catalogs), *_unused(index, covered)),
        artifact_from=index.artifact_from,
        crosswalk_sha256=used.sha256 if used.pairs else None,
        sources={name: item.sha256 for name, item in carrying.items()} if used.pairs else {},
    )


@dataclass(frozen=True, slots=True)
class _Carried:
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


@dataclass(slots=True)
class _Case:
    """What is known of one control while it is being decided."""

    control: Control
    reasons: list[Reason] = field(default_factory=list)
    good: dict[str, list[Record]] = field(default_factory=dict)
    """Kind to its records that carry the control now."""
    failed: list[Record] = field(default_factory=list)
    stale: list[Record] = field(default_factory=list)
    unapproved: list[Record] = field(default_factory=list)
    rejected: list[Record] = field(default_factory=list)
    supporting: list[Record] = field(default_factory=list)
    carried: dict[str, _Carried] = field(default_factory=dict)
    """Kind to the best record that a crosswalk brings, where the control has none of its own."""

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
        self.reasons.append(Reason(code, text, _refs(records), path.hops if path else ()))


class _Evaluator:
    """Decides controls one by one over one index; each record's verdict is worked out once."""

    def __init__(self, index: Index, as_of: datetime) -> None:
        self._index = index
        self._as_of = as_of
        self._verdicts: dict[str, Verdict] = {}

    def weigh(self, control: Control) -> _Case:
        """Weigh what is claimed for one control."""
        case = _Case(control)
        for record in _by_place(self._index.claims.get(control.id, {})):
            self._weigh(case, record)
        for record in _by_place(self._index.elsewhere.get(control.id, {})):
            case.say("evidence.other-model", f"{record} is not about the model in question", record)
        return case

    def carry_over(self, cases: Mapping[str, _Case], paths: Paths) -> None:
        """Bring to each control what counts for others, once all that is claimed was weighed.

        What is carried over is never carried on, so the order of the controls does not matter.
        """
        states = {name: _state(case) for name, case in cases.items()}
        for name, case in cases.items():
            if states[name] not in (State.FAILED, State.MET):
                self._carry_to(case, paths, cases, states)

    def _carry_to(
        self,
        case: _Case,
        paths: Paths,
        cases: Mapping[str, _Case],
        states: Mapping[str, State],
    ) -> None:
        found: list[_Carried] = []
        failed: list[Path] = []
        for path in paths.to(case.control.id):
            source, state = cases[path.start], states[path.start]
            if state in (State.MET, State.PARTIAL):
                counts = state is State.MET and path.fit is Fit.CLOSE
                found += self._would_do(case.requirement, source, path, counts)
            elif state is State.FAILED and path.fit is Fit.CLOSE:
                failed.append(path)
        best: dict[str, _Carried] = {}
        for item in sorted(found, key=lambda item: item.rank):
            if item.record.kind not in case.good:
                best.setdefault(item.record.kind, item)
        if failed and best:
            # NOTE: a "no" about the same object outweighs what others lend.
            text = f"nothing is carried over while {failed[0].start} fails: {failed[0]}"
            case.say("evidence.not-carried", text, *cases[failed[0].start].failed, path=failed[0])
            return
        case.carried = best

    def _would_do(
        self, requirement: Requirement, source: _Case, path: Path, counts: bool
    ) -> list[_Carried]:
        """The record of each kind that would do for ``requirement`` and lasts longest."""
        end = self._fresh_until(source) if counts else None
        found = []
        for kind in source.good.keys() & set(requirement.any_of):
            holding = [
                (_fresh_until(record, requirement), record.index, record)
                for record in source.good[kind]
                if self._holds(record, requirement)
            ]
            if holding:
                until, _, record = max(holding)
                found.append(_Carried(record, path, min(until, end or until), counts))
        return found

    def _holds(self, record: Record, requirement: Requirement) -> bool:
        """Whether a record that counts elsewhere meets all of this requirement but its kind."""
        section = _section(record, requirement)
        return (
            section is not None
            and _fresh_until(record, requirement) >= self._as_of
            and self._is_approved(record, requirement)
            and self._broken_rule(record, requirement) is None
        )

    def result(self, case: _Case) -> ControlResult:
        """Decide one control."""
        control, state = case.control, _state(case)
        _explain(case, state)
        unblock, command = _unblock(case, state)
        good = case.evidence
        approvals = {vote.index: vote for record in good for vote in self._index.approvals(record)}
        return ControlResult(
            id=control.id,
            title=control.title,
            group=control.group,
            state=state,
            reasons=tuple(case.reasons),
            evidence=_refs(good),
            approvals=_refs([approvals[place] for place in sorted(approvals)]),
            fresh_until=self._fresh_until(case) if state is State.MET else None,
            unblock=unblock,
            command=command,
        )

    def _weigh(self, case: _Case, record: Record) -> None:
        """Put one claiming record where it belongs, the worst that holds of it first."""
        for link in self._index.links.get((case.control.id, record.sha256), ()):
            case.say("evidence.linked", f"{link} ties {record} to this control", record, link)
        if fault := self._failure(case, record):
            case.failed.append(record)
            case.say(*fault, record)
        elif self._carries(case, record):
            self._weigh_carrier(case, record)

    def _failure(self, case: _Case, record: Record) -> tuple[str, str] | None:
        """Why the record says no; whatever its age and kind, a current "no" is heard."""
        if record.sha256 not in self._verdicts:
            self._verdicts[record.sha256] = outcome(record)
        verdict = self._verdicts[record.sha256]
        if not verdict.holds:
            return "evidence.failed", f"{record} ({record.kind}) says no: {verdict.text}"
        if why := self._broken_rule(record, case.requirement):
            words = case.requirement.reason
            return "evidence.rule-failed", f"{record} breaks the rule ({words}): {why}"
        return None

    def _broken_rule(self, record: Record, requirement: Requirement) -> str | None:
        """Why the record breaks the rule; None where it holds or there is nothing to hold."""
        section = _section(record, requirement)
        if requirement.rule is None or section is None:
            return None
        variables = rule_variables(
            record.statement.body, section, self._record_variable(record), self._as_of
        )
        return broken(requirement.rule, variables)

    def _carries(self, case: _Case, record: Record) -> bool:
        requirement = case.requirement
        if record.kind in requirement.supporting:
            case.supporting.append(record)
            case.say("evidence.supporting", f"{record} ({record.kind}) supports", record)
        elif record.kind not in requirement.any_of:
            case.say(
                "evidence.wrong-kind",
                f"{record} is of kind {record.kind}, which does not carry this control",
                record,
            )
        elif _section(record, requirement) is None:
            case.say("evidence.no-section", f"{record} has no {requirement.section} part", record)
        else:
            return True
        return False

    def _weigh_carrier(self, case: _Case, record: Record) -> None:
        statement = record.statement
        if statement.collected_at > record.recorded_at + _CLOCK_SLACK:
            case.say(
                "evidence.future-dated",
                f"{record} says its facts are of {_day(statement.collected_at)}, after it was "
                f"recorded; the recording counts",
                record,
            )
        begin = _begin(record)
        if begin is not None and begin > self._as_of:
            case.say("evidence.not-yet", f"{record} holds from {_day(begin)} on", record)
            return
        until = _fresh_until(record, case.requirement)
        rejections = self._index.rejections(record)
        if until < self._as_of:
            case.stale.append(record)
            case.say("evidence.stale", f"{record} counted until {_day(until)}", record)
        elif rejections:
            case.rejected.append(record)
            for vote in rejections:
                text = f"{record} was rejected by {vote.signer.name} in {vote}"
                case.say("evidence.rejected", text, record, vote)
        elif not self._is_approved(record, case.requirement):
            case.unapproved.append(record)
            text = f"nobody but its signer, {record.signer.name}, has approved {record}"
            case.say("evidence.unapproved", text, record)
        else:
            case.good.setdefault(record.kind, []).append(record)

    def _is_approved(self, record: Record, requirement: Requirement) -> bool:
        return (
            requirement.second_person is not SecondPerson.EXPECTED
            or bool(self._index.approvals(record))
            or self._index.is_second_word(record)
        )

    def _record_variable(self, record: Record) -> dict[str, Any]:
        """What a rule may know of the record beside its body."""
        votes = self._index.approvals(record)
        return {
            "kind": record.kind,
            "signer": _person(record),
            "approvers": [_person(vote) for vote in votes],
        }

    def _fresh_until(self, case: _Case) -> datetime:
        """When fewer kinds than needed will be fresh, if nothing is added."""
        last = [
            max(_fresh_until(record, case.requirement) for record in records)
            for records in case.good.values()
        ]
        last += [item.until for item in case.carried.values() if item.counts]
        last.sort(reverse=True)
        return last[case.requirement.minimum_kinds - 1]


def _state(case: _Case) -> State:
    """The state, by what the evidence can carry.

    Between stale and unapproved the better prospect decides: were it the worse, taking evidence
    away could improve a state.
    """
    if case.failed:
        return State.FAILED
    if len(case.kinds) >= case.requirement.minimum_kinds:
        return State.MET
    if case.good or case.carried:
        return State.PARTIAL
    if case.unapproved or case.rejected:
        return State.UNAPPROVED
    return State.STALE if case.stale else State.MISSING


def _explain(case: _Case, state: State) -> None:
    """Add the sentence that sums the state up, where no record's own reason does."""
    requirement = case.requirement
    kinds = ", ".join(sorted(case.kinds))
    _explain_carried(case, state)
    if state is State.MET and len(case.good) >= requirement.minimum_kinds:
        case.reasons.insert(0, Reason("control.met", f"carried by {kinds}", _refs(case.evidence)))
    elif state is State.MET:
        text = f"carried by {kinds}, and met only because evidence of other controls carries over"
        case.reasons.insert(0, Reason("control.met-by-carry-over", text, _refs(case.evidence)))
    elif state is State.PARTIAL:
        there = f"{len(case.kinds)} of {requirement.minimum_kinds} kinds needed are there"
        lacking = _one_of([kind for kind in requirement.any_of if kind not in case.kinds])
        text = f"{there}{': ' if kinds else ''}{kinds}; {lacking} is wanted"
        case.reasons.insert(0, Reason("control.partial", text, _refs(case.evidence)))
    elif state is State.MISSING:
        wanted = " or ".join(requirement.any_of)
        text = f"no evidence of kind {wanted} carries this control"
        code = "evidence.missing"
        if case.supporting and not case.good:
            code = "evidence.only-supporting"
            text = f"only supporting evidence is there; {wanted} is needed"
        case.reasons.insert(0, Reason(code, text, _refs(case.supporting)))


def _explain_carried(case: _Case, state: State) -> None:
    """Say of each record that came over a crosswalk which way it came."""
    for kind in sorted(case.carried):
        item = case.carried[kind]
        if item.counts:
            text = f"{item.record} ({kind}) carries over: {item.path}"
            case.say("evidence.carried", text, item.record, path=item.path)
        elif state is State.PARTIAL:
            text = f"{item.record} ({kind}) helps, but settles nothing: {item.path}"
            case.say("evidence.helps", text, item.record, path=item.path)


def _unblock(case: _Case, state: State) -> tuple[str, str] | tuple[None, None]:
    """What would close the gap soonest: one sentence, and the command that does it."""
    if state is State.MET:
        return None, None
    control = f'--control "{case.control.id}"'
    if state is State.FAILED:
        first = case.failed[0]
        return (
            f"put right what {first} found and supersede it",
            f'muniment attach {first.kind} … {control} --supersedes "{first}"',
        )
    for record in case.unapproved:
        if record.kind not in case.kinds:
            return (
                f"have {record} approved by an approver other than {record.signer.name}",
                f'muniment approve "{record}"',
            )
    if state is State.UNAPPROVED:
        first = case.rejected[0]
        return (
            f"answer the rejection of {first} with better evidence",
            f'muniment attach {first.kind} … {control} --supersedes "{first}"',
        )
    if state is State.STALE:
        newest = case.stale[-1]
        return (
            f"attach a newer {newest.kind} than {newest}",
            f"muniment attach {newest.kind} … {control} --collected-at …",
        )
    kinds = [kind for kind in case.requirement.any_of if kind not in case.kinds]
    part = f", with its {case.requirement.section} part" if case.requirement.section else ""
    return (
        f"attach {_one_of(kinds)}{part}",
        f"muniment attach {kinds[0]} … {control}",
    )


def _one_of(kinds: Sequence[str]) -> str:
    return " or ".join(f"{'an' if kind[0] in 'aeio' else 'a'} {kind}" for kind in kinds)


def _fresh_until(record: Record, requirement: Requirement) -> datetime:
    """Last moment at which the record still counts; facts count from their recording at latest."""
    held_at = min(record.statement.collected_at, record.recorded_at)
    until = held_at + timedelta(days=requirement.validity_days)
    ends = [end for end in (record.statement.valid_until, _term(record)) if end]
    return min([until, *ends])


def _begin(record: Record) -> datetime | None:
    """When what the record says comes into force: the first second of that day."""
    field, _ = _WINDOWS.get(record.kind, (None, ""))
    day = _date(record, field)
    return datetime.combine(day, time(0, 0), UTC) if day else None


def _term(record: Record) -> datetime | None:
    """When what the record says ends or must be looked at again: the last second of that day."""
    _, field = _WINDOWS.get(record.kind, (None, None))
    day = _date(record, field)
    return datetime.combine(day, time(23, 59, 59), UTC) if day else None


def _date(record: Record, field: str | None) -> date | None:
    value = record.statement.body.get(field) if field else None
    return date.fromisoformat(value) if isinstance(value, str) else None


def _section(record: Record, requirement: Requirement) -> Any:
    """What the rule is about: the named part of the body, or all of it."""
    body = record.statement.body
    return body if requirement.section is None else body.get(requirement.section)


def _unknown_claims(index: Index, catalogs: Sequence[Catalog]) -> list[Reason]:
    """Claims of controls that a catalog at hand does not have."""
    known = {control.id for catalog in catalogs for control in catalog.controls}
    ids = {catalog.id for catalog in catalogs}
    return [
        Reason(
            "control.unknown",
            f"{', '.join(map(str, _by_place(records)))} claims {claim}, which its catalog lacks",
            _refs(_by_place(records)),
        )
        for claim, records in sorted(index.claims.items())
        if claim not in known and claim.partition(":")[0] in ids
    ]


def _unused(index: Index, covered: Sequence[CatalogCoverage]) -> list[Reason]:
    """Every record that no control and no other remark mentions, so that none goes unsaid."""
    said = {ref for reason in index.left_out for ref in reason.records}
    for control in (control for catalog in covered for control in catalog.controls):
        said.update(control.evidence, control.approvals)
        said.update(ref for reason in control.reasons for ref in reason.records)
    return [
        Reason("record.unused", f"{record} {_why_unused(record)}", (record.ref,))
        for record in index.considered
        if record.ref not in said and record.ref != index.artifact_from
    ]


def _why_unused(record: Record) -> str:
    return {
        SYSTEM: "describes the system; no control rests on it",
        APPROVAL: "approves nothing that counts for a control now",
        LINK: "links nothing that counts for a control now",
        GATE_DECISION: "is a gate decision; no control rests on it",
        RETRACTION: "takes back nothing that could count",
    }.get(record.kind, f"({record.kind}) claims no control of these catalogs")


def _person(record: Record) -> dict[str, Any]:
    signer = record.signer
    return {
        "name": signer.name,
        "email": signer.person,
        "type": signer.type,
        "roles": sorted(map(str, signer.roles)),
        "functions": sorted(signer.functions),
    }


def _by_place(records: Mapping[str, Record]) -> list[Record]:
    return sorted(records.values(), key=lambda record: record.index)


def _refs(records: Sequence[Record]) -> tuple[RecordRef, ...]:
    return tuple(record.ref for record in records)


def _day(moment: datetime) -> str:
    return moment.date().isoformat()
