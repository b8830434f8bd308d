"""The evaluator: the state of every control, from verified records alone.

Pure: no clock and no files. ``coverage``, the gate and every report call it and nothing else, so
that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from muniment.schemas.derivation import Derivation, Derived
from muniment.schemas.record import Record
from muniment.schemas.statement import GATE_DECISION, SystemRef

from .case import (
    Carried,
    Case,
    Rejected,
    begin_of,
    day,
    fresh_until,
    lapse,
    refs,
    section_of,
    state_of,
)
from .catalog import Catalog, Control
from .coverage import EXEMPT, CatalogCoverage, ControlResult, Coverage, Reason, State
from .crosschecks import (
    Faults,
    cross_faults,
    derivation_faults,
    joined,
    monitoring_gaps,
    refused_approvals,
)
from .crosswalk import NONE, Crosswalk, Path, Paths
from .exceptions import MAX_DAYS, gather_exceptions, may_exclude, settle
from .explain import explain, refused, unblock
from .index import (
    APPLICABILITY,
    APPROVAL,
    LINK,
    OWNER,
    RETRACTION,
    SAMPLE_TEST,
    SYSTEM,
    WAIVER,
    Index,
    build_index,
)
from .outcome import Verdict, outcome
from .profile import Profile
from .requirement import Requirement, SecondPerson
from .rule import broken, rule_variables
from .threshold import Threshold, measures, nearest

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
    derivations: Sequence[Derivation] = (),
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
        derivations: what came of running collectors again over the records' files.

    Raises:
        InputError: ``artifact.malformed``, ``rule.malformed``, ``rule.too-costly`` or
            ``crosswalk.unknown-control``.
    """
    index = build_index(records, system, as_of, artifact)
    carrying = {catalog.id: catalog for catalog in (catalogs if sources is None else sources)}
    weighed = {catalog.id: catalog for catalog in catalogs} | carrying
    exempt, standing = _exempt(index, profile)
    derived = _derived(index, derivations)
    evaluator = _Evaluator(index, as_of, profile, derived)
    cases = {
        control.id: evaluator.weigh(control)
        for catalog in weighed.values()
        for control in catalog.controls
    }
    used = crosswalk.among(cases.keys())
    pairs = used if profile.inferred else used.published()
    evaluator.carry_over(cases, Paths(pairs, carrying.keys()))
    covered = [evaluator.catalog(catalog, cases) for catalog in catalogs]
    weak = [Reason("profile.weaker", profile.weakness)] if profile.weakness else []
    remarks = (*index.left_out, *weak, *exempt.values(), *standing)
    return Coverage(
        system=system,
        as_of=as_of,
        profile=str(profile),
        profile_sha256=profile.sha256,
        artifact=index.artifact,
        catalogs=tuple(covered),
        considered=len(index.considered),
        left_out=(*remarks, *_unknown_claims(index, catalogs), *_unused(index, covered, remarks)),
        artifact_from=index.artifact_from,
        crosswalk_sha256=used.sha256 if used.pairs else None,
        sources={name: item.sha256 for name, item in carrying.items()} if used.pairs else {},
        exempt=tuple(exempt),
        derivations=tuple(derived.values()),
    )


class _Evaluator:
    """Decides controls one by one over one index; each record's verdict is worked out once."""

    def __init__(
        self, index: Index, as_of: datetime, profile: Profile, derived: Mapping[str, Derivation]
    ) -> None:
        self._index = index
        self._as_of = as_of
        self._profile = profile
        self._verdicts: dict[str, Verdict] = {}
        self._fresh: dict[tuple[str, int], datetime] = {}
        self._lasting: dict[str, datetime] = {}
        """By id of a met control that others are lent to from, when it lapses."""
        self._figures: dict[str, list[tuple[Record, str | None]]] = {}
        days = profile.max_waiver_days or MAX_DAYS
        self._exceptions = gather_exceptions(
            index, frozenset(profile.waived_by), days, may_exclude(profile.excluded_by)
        )
        self._derived = derived
        self._faults = joined(derivation_faults(derived.values()), cross_faults(index, as_of))
        self._refused = refused_approvals(index)

    def weigh(self, control: Control) -> Case:
        """Weigh what is claimed for one control, by what catalog and profile ask of it."""
        case = Case(self._profile.adapt(control))
        if override := self._profile.overrides.get(control.id):
            text = f"{self._profile} asks otherwise than the catalog: {override.reason}"
            case.say("requirement.overridden", text)
        records = _by_place(self._index.claims.get(control.id, {}))
        faults = joined(self._faults, monitoring_gaps(records, self._as_of))
        for record in records:
            self._weigh(case, record, faults)
        for record in _by_place(self._index.elsewhere.get(control.id, {})):
            case.say("evidence.other-model", f"{record} is not about the model in question", record)
        for name, limit in self._profile.limits(case.control).items():
            self._hold(case, name, limit)
        return case

    def carry_over(self, cases: Mapping[str, Case], paths: Paths) -> None:
        """Bring to each control what counts for others, once all that is claimed was weighed.

        What is carried over is never carried on, so the order of the controls does not matter.
        """
        states = {name: state_of(case) for name, case in cases.items()}
        for name, case in cases.items():
            if states[name] not in (State.FAILED, State.MET):
                self._carry_to(case, paths, cases, states)

    def _carry_to(
        self,
        case: Case,
        paths: Paths,
        cases: Mapping[str, Case],
        states: Mapping[str, State],
    ) -> None:
        found: list[Carried] = []
        failed: list[Path] = []
        for path in paths.to(case.control.id):
            source, state = cases[path.start], states[path.start]
            case.unlent += [
                replace(item, path=path)
                for item in source.rejected
                if item.record.kind in case.requirement.any_of
                and self._fits(item.record, case.requirement)
            ]
            if state in (State.MET, State.PARTIAL):
                counts = state is State.MET and path.carries
                found += self._would_do(case.requirement, source, path, counts)
            elif state is State.FAILED and path.carries:
                failed.append(path)
        best: dict[str, Carried] = {}
        for item in sorted(found, key=lambda item: item.rank):
            if item.record.kind not in case.good:
                best.setdefault(item.record.kind, item)
        if failed and best:
            # NOTE: a "no" about the same object outweighs what others lend.
            lender = failed[0].start
            text = f"nothing is carried over while {lender} fails by the evidence: {failed[0]}"
            case.say("evidence.not-carried", text, *cases[lender].failed, path=failed[0])
            return
        case.carried = best

    def _would_do(
        self, requirement: Requirement, source: Case, path: Path, counts: bool
    ) -> list[Carried]:
        """The record of each kind that would do for ``requirement`` and lasts longest."""
        end = None
        if counts:
            name = source.control.id
            end = self._lasting[name] = self._lasting.get(name) or self._lapses(source)
        found = []
        for kind in source.good.keys() & set(requirement.any_of):
            lasting = sorted(
                (
                    (self._fresh_until(item, requirement), item.index, item)
                    for item in source.good[kind]
                ),
                reverse=True,
            )
            for until, _, record in lasting:
                if self._holds(record, requirement):
                    found.append(Carried(record, path, min(until, end or until), counts))
                    break
        return found

    def _fresh_until(self, record: Record, requirement: Requirement) -> datetime:
        """``fresh_until``, worked out once for each record and validity."""
        asked = record.sha256, requirement.validity_days
        if asked not in self._fresh:
            self._fresh[asked] = fresh_until(record, requirement)
        return self._fresh[asked]

    def _holds(self, record: Record, requirement: Requirement) -> bool:
        """Whether a record that counts elsewhere meets all of this requirement but its kind."""
        return self._is_approved(record, requirement) and self._fits(record, requirement)

    def _fits(self, record: Record, requirement: Requirement) -> bool:
        """Whether a record meets all that a requirement asks for but kind and approval."""
        section = section_of(record, requirement)
        return (
            section is not None
            and self._fresh_until(record, requirement) >= self._as_of
            and self._broken_rule(record, requirement) is None
        )

    def catalog(self, catalog: Catalog, cases: Mapping[str, Case]) -> CatalogCoverage:
        """Decide every control of one catalog."""
        results = tuple(self.result(cases[control.id]) for control in catalog.controls)
        return CatalogCoverage(catalog.id, catalog.name, catalog.sha256, results)

    def result(self, case: Case) -> ControlResult:
        """Decide one control."""
        control, state = case.control, state_of(case)
        explain(case, state)
        # NOTE: who answers for a control explains no state.
        case.reasons.sort(key=lambda reason: reason.code == "evidence.owner")
        wanted, command = unblock(case, state)
        good = case.evidence
        approvals = {vote.index: vote for record in good for vote in self._index.approvals(record)}
        result = ControlResult(
            id=control.id,
            title=control.title,
            group=control.group,
            state=state,
            reasons=tuple(case.reasons),
            evidence=refs(good),
            approvals=refs([approvals[place] for place in sorted(approvals)]),
            fresh_until=self._lapses(case) if state is State.MET else None,
            unblock=wanted,
            command=command,
        )
        claiming = self._index.claims.get(control.id, {})
        return settle(self._exceptions, result, claiming, self._as_of, control.always_applies)

    def _weigh(self, case: Case, record: Record, faults: Faults) -> None:
        """Put one claiming record where it belongs, the worst that holds of it first."""
        for link in self._index.links.get((case.control.id, record.sha256), ()):
            case.say("evidence.linked", f"{link} ties {record} to this control", record, link)
        fault, found = self._failure(case, record), faults.get(record.sha256, ())
        if fault is not None:
            case.say(*fault, record)
        case.reasons += found
        if fault is not None or found:
            case.failed.append(record)
        elif self._carries(case, record):
            self._weigh_carrier(case, record)

    def _failure(self, case: Case, record: Record) -> tuple[str, str] | None:
        """Why the record says no; whatever its age and kind, a current "no" is heard."""
        verdict = self._verdict(record)
        if not verdict.holds:
            return "evidence.failed", f"{record} ({record.kind}) says no: {verdict.text}"
        if why := self._broken_rule(record, case.requirement):
            words = case.requirement.reason
            return "evidence.rule-failed", f"{record} breaks the rule ({words}): {why}"
        return None

    def _verdict(self, record: Record) -> Verdict:
        if record.sha256 not in self._verdicts:
            self._verdicts[record.sha256] = outcome(record)
        return self._verdicts[record.sha256]

    def _hold(self, case: Case, name: str, limit: Threshold) -> None:
        """Hold a limit of the profile against every record that has the metric.

        A figure beyond it is heard as any "no" is; one within it counts as evidence would.
        """
        requirement, there = case.requirement, []
        for record, why in self._measured(name, limit):
            if why is not None:
                if record not in case.failed:
                    case.failed.append(record)
                text = f"{record} ({record.kind}) breaks a limit of {self._profile}: {why}"
                case.say("threshold.failed", text, record)
            elif self._shows(record, name, requirement):
                there.append((self._fresh_until(record, requirement), record.index, record))
        if not there:
            case.unmeasured.append(name)
            near = [record for record, why in self._measured(name, limit) if why is None]
            text = f"nothing that counts shows {name} of the model; {self._profile} limits it"
            like = None if near else nearest(name, self._index.measuring)
            text += f". {like[1]} shows {like[0]}: is that meant?" if like else ""
            case.say("threshold.missing", text, *near, *(like[1:] if like else ()))
            for other in near:
                if other not in case.failed:
                    case.reasons += self._faults.get(other.sha256, ())
            return
        _, _, record = max(there)
        case.measured[name] = record
        text = f"{record} ({record.kind}) shows {name} within the limit of {self._profile}"
        case.say("threshold.held", text, record, *self._index.approvals(record))

    def _measured(self, name: str, limit: Threshold) -> list[tuple[Record, str | None]]:
        """The records that have the metric, each with how it breaks the limit."""
        if name not in self._figures:
            self._figures[name] = [
                (record, why)
                for record in self._index.measuring
                if (why := limit.fault(name, record)) is not None or measures(name, record)
            ]
        return self._figures[name]

    def _shows(self, record: Record, name: str, requirement: Requirement) -> bool:
        """Whether a record may stand for a metric where this is required."""
        return (
            measures(name, record)
            and self._index.names_model(record)
            and self._verdict(record).holds
            and record.sha256 not in self._faults
            and self._fresh_until(record, requirement) >= self._as_of
            and not self._index.rejections(record)
            and self._is_approved(record, requirement)
        )

    def _broken_rule(self, record: Record, requirement: Requirement) -> str | None:
        """Why the record breaks the rule; None where it holds or there is nothing to hold."""
        section = section_of(record, requirement)
        if requirement.rule is None or section is None:
            return None
        variables = rule_variables(
            record.statement.body, section, self._record_variable(record), self._as_of
        )
        return broken(requirement.rule, variables)

    def _carries(self, case: Case, record: Record) -> bool:
        requirement = case.requirement
        if record.kind in requirement.supporting:
            case.supporting.append(record)
            case.say("evidence.supporting", f"{record} ({record.kind}) supports", record)
        elif record.kind == OWNER and OWNER not in requirement.any_of:
            who = record.statement.body["person"]["name"]
            case.say("evidence.owner", f"{record} names {who} as an owner", record)
        elif record.kind not in requirement.any_of:
            case.say(
                "evidence.wrong-kind",
                f"{record} is of kind {record.kind}, which does not carry this control",
                record,
            )
        elif section_of(record, requirement) is None:
            case.say("evidence.no-section", f"{record} has no {requirement.section} part", record)
        else:
            return True
        return False

    def _weigh_carrier(self, case: Case, record: Record) -> None:
        statement = record.statement
        if statement.collected_at > record.recorded_at + _CLOCK_SLACK:
            case.say(
                "evidence.future-dated",
                f"{record} says its facts are of {day(statement.collected_at)}, after it was "
                f"recorded; the recording counts",
                record,
            )
        begin = begin_of(record)
        if begin is not None and begin > self._as_of:
            case.say("evidence.not-yet", f"{record} holds from {day(begin)} on", record)
            return
        until = self._fresh_until(record, case.requirement)
        rejections = self._index.rejections(record)
        if until < self._as_of:
            case.stale.append(record)
            case.say("evidence.stale", f"{record} counted until {lapse(until)}", record)
        elif rejections:
            case.rejected.append(Rejected(record, rejections[0]))
            for vote in rejections:
                text = f"{record} {refused(Rejected(record, vote))}"
                case.say("evidence.rejected", text, record, vote)
        elif not self._is_approved(record, case.requirement):
            case.unapproved.append(record)
            who = f"nobody but its signer, {record.signer.name},"
            if case.requirement.approver is not None:
                who = f"nobody who approves as {case.requirement.approver}"
            text = f"{who} has approved {record}"
            case.say("evidence.unapproved", text, record)
            case.reasons += self._refused.get(record.sha256, ())
        else:
            case.good.setdefault(record.kind, []).append(record)
            self._say_what_was_held(case, record)

    def _say_what_was_held(self, case: Case, record: Record) -> None:
        """How far what carries the control was held against the file that it was read from."""
        derived, section = self._derived.get(record.sha256), case.requirement.section
        if derived is not None and derived.code is Derived.NOT_CHECKED:
            case.say(str(derived.code), derived.text, record)
        elif derived is not None and derived.code is Derived.HELD and section is not None:
            # NOTE: no collector writes such a part; it may say otherwise than figures beside it.
            text = (
                f"the {section} part of {record} is the word of {record.signer.name}: the tool's "
                "file has none, and it was not held against it"
            )
            case.say("evidence.section-unheld", text, record)

    def _is_approved(self, record: Record, requirement: Requirement) -> bool:
        if requirement.second_person is not SecondPerson.EXPECTED:
            return True
        votes = [*self._index.approvals(record)]
        votes += [record] if self._index.is_second_word(record) else []
        wanted = requirement.approver
        return any(wanted in (None, vote.statement.body.get("role")) for vote in votes)

    def _record_variable(self, record: Record) -> dict[str, Any]:
        """What a rule may know of the record beside its body."""
        votes = self._index.approvals(record)
        return {
            "kind": record.kind,
            "signer": _person(record),
            "approvers": [_person(vote) for vote in votes],
        }

    def _lapses(self, case: Case) -> datetime:
        """When fewer kinds than needed will be fresh, or a limited metric is not, if nothing is
        added."""
        last = [
            max(self._fresh_until(record, case.requirement) for record in records)
            for records in case.good.values()
        ]
        last += [item.until for item in case.carried.values() if item.counts]
        last.sort(reverse=True)
        shown = [self._fresh_until(record, case.requirement) for record in case.measured.values()]
        return min([last[case.requirement.minimum_kinds - 1], *shown])


def _derived(index: Index, derivations: Sequence[Derivation]) -> dict[str, Derivation]:
    """What is said of the records that were looked at, by digest and in ledger order."""
    said = {item.record: item for item in derivations}
    return {item.sha256: said[item.ref] for item in index.considered if item.ref in said}


def _exempt(index: Index, profile: Profile) -> tuple[dict[str, Reason], list[Reason]]:
    """Catalogs that do not block for this system, each with why, and why others still do.

    NOTE: where current records describe it differently, or none does, the block stands; so it does
    until a second person has approved every record by which it would be lifted.
    """
    described = [record for record in index.current.values() if record.kind == SYSTEM]
    bodies = [record.statement.body for record in described]
    told = [(body.get("phase"), body.get("riskTier")) for body in bodies]
    unapproved = [item for item in described if not index.approvals(item) or index.rejections(item)]
    said = ", ".join(map(str, described))
    exempt: dict[str, Reason] = {}
    standing: list[Reason] = []
    for catalog, when in profile.when.items():
        if not described or any(when.fits(*words) for words in told):
            continue
        if unapproved:
            text = (
                f"{catalog} blocks, though {said} says {_told(told)} and {profile} blocks on it "
                f"for {when}: no second person has approved {', '.join(map(str, unapproved))}"
            )
            standing.append(Reason("profile.exempt-unapproved", text, refs(unapproved)))
            continue
        votes = {vote.index: vote for item in described for vote in index.approvals(item)}
        approved = ", ".join(f"#{place}" for place in sorted(votes))
        text = (
            f"{catalog} does not block: {profile} blocks on it for {when}, and {said} says "
            f"{_told(told)}, approved in {approved}"
        )
        named = refs([*described, *(votes[place] for place in sorted(votes))])
        exempt[catalog] = Reason(EXEMPT, text, named)
    return exempt, standing


def _told(told: Sequence[tuple[str | None, str | None]]) -> str:
    return " and ".join(dict.fromkeys(f"phase {phase}, risk tier {tier}" for phase, tier in told))


def _unknown_claims(index: Index, catalogs: Sequence[Catalog]) -> list[Reason]:
    """Claims of controls that a catalog at hand does not have."""
    known = {control.id for catalog in catalogs for control in catalog.controls}
    ids = {catalog.id for catalog in catalogs}
    return [
        Reason(
            "control.unknown",
            f"{', '.join(map(str, _by_place(records)))} claims {claim}, which its catalog lacks",
            refs(_by_place(records)),
        )
        for claim, records in sorted(index.claims.items())
        if claim not in known and claim.partition(":")[0] in ids
    ]


def _unused(
    index: Index, covered: Sequence[CatalogCoverage], remarks: Sequence[Reason]
) -> list[Reason]:
    """Every record that no control and no other remark mentions, so that none goes unsaid."""
    said = {ref for reason in remarks for ref in reason.records}
    known = {control.id for catalog in covered for control in catalog.controls}
    for control in (control for catalog in covered for control in catalog.controls):
        said.update(control.evidence, control.approvals)
        said.update(ref for reason in control.reasons for ref in reason.records)
        said.update({control.applicability.record} if control.applicability else ())
    return [
        Reason("record.unused", f"{record} {_why_unused(record, known)}", (record.ref,))
        for record in index.considered
        if record.ref not in said and record.ref != index.artifact_from
    ]


def _why_unused(record: Record, known: Set[str]) -> str:
    """Why no control mentions it; ``known`` are the ids of those that were decided."""
    if record.kind == WAIVER and known & set(record.statement.body["controls"]):
        return "waives nothing now: its controls are met, do not apply or are waived for longer"
    return {
        SYSTEM: "describes the system; no control rests on it",
        APPROVAL: "approves nothing that counts for a control now",
        LINK: "links nothing that counts for a control now",
        GATE_DECISION: "is a gate decision; no control rests on it",
        RETRACTION: "takes back nothing that could count",
        WAIVER: "waives no control of these catalogs",
        APPLICABILITY: "speaks of no control of these catalogs",
        SAMPLE_TEST: "found no exception that counts for a control now",
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
