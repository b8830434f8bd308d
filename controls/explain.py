"""The words for a state: why a control has it, and what would close the gap."""

from __future__ import annotations

from collections.abc import Sequence

from muniment.schemas.text import shorten

from .case import Case, Rejected, refs
from .coverage import ControlResult, Reason, State
from .guide import approve, attach
from .index import SAMPLE_TEST
from .requirement import SecondPerson

_NOTE = 200
"""Most characters of an auditor's note that a reason quotes."""

_DECIDING: dict[State, tuple[str, ...]] = {
    State.FAILED: (
        *("evidence.failed", "evidence.rule-failed", "threshold.failed", "data.", "monitoring."),
        *("owner.", "derivation.differs", "derivation.refused"),
    ),
    State.STALE: ("evidence.stale",),
    State.UNAPPROVED: ("evidence.rejected", "evidence.unapproved"),
}
"""How the codes of the reasons begin that make a state; in other states the first one does."""


def explain(case: Case, state: State) -> None:
    """Add the sentence that sums the state up, where no record's own reason does."""
    requirement = case.requirement
    kinds = ", ".join(sorted(case.kinds))
    _explain_carried(case, state)
    if state is State.MET and len(case.good) >= requirement.minimum_kinds:
        case.reasons.insert(0, Reason("control.met", f"carried by {kinds}", refs(case.evidence)))
    elif state is State.MET:
        text = f"carried by {kinds}, and met only because evidence of other controls carries over"
        case.reasons.insert(0, Reason("control.met-by-carry-over", text, refs(case.evidence)))
    elif state is State.PARTIAL:
        there = f"{len(case.kinds)} of {requirement.minimum_kinds} kinds needed are there: {kinds}"
        if not kinds:
            there = "evidence of other controls helps, but none carries this one"
        lacking = _one_of([kind for kind in requirement.any_of if kind not in case.kinds])
        text = f"{there}; {lacking} is wanted"
        if _is_only_unmeasured(case):
            text = f"{kinds} would carry it, but {', '.join(case.unmeasured)} is not shown"
        case.reasons.insert(0, Reason("control.partial", text, refs(case.evidence)))
    elif state is State.MISSING:
        wanted = " or ".join(requirement.any_of)
        text = f"no evidence of kind {wanted} carries this control"
        code = "evidence.missing"
        if requirement.is_unset:
            code, text = "requirement.unset", "nobody has written what evidence meets this control"
        elif case.supporting and not case.good:
            code = "evidence.only-supporting"
            text = f"only supporting evidence is there; {wanted} is needed"
        named = list(case.supporting)
        if case.unlent and not requirement.is_unset:
            item = case.unlent[0]
            text += (
                f"; {item.record} ({item.record.kind}) could come over, {item.path}, but "
                f"{refused(item)}"
            )
            named += [item.record, item.vote]
        case.reasons.insert(0, Reason(code, text, refs(named)))


def _explain_carried(case: Case, state: State) -> None:
    """Say of each record that came over a crosswalk which way it came."""
    for kind in sorted(case.carried):
        item = case.carried[kind]
        if item.counts:
            text = f"{item.record} ({kind}) carries over: {item.path}"
            case.say("evidence.carried", text, item.record, path=item.path)
        elif state is State.PARTIAL:
            text = f"{item.record} ({kind}) helps, but settles nothing: {item.path}"
            case.say("evidence.helps", text, item.record, path=item.path)


def unblock(case: Case, state: State) -> tuple[str | None, str | None]:
    """What would close the gap soonest: one sentence, and the commands that do it, one a line."""
    if state is State.MET:
        return None, None
    if case.requirement.is_unset and state is State.MISSING:
        return "write into its framework's file what evidence meets it", None
    control = case.control
    if state is State.FAILED:
        first = case.failed[0]
        return (
            f"put right what {first} found and supersede it",
            attach(first.kind, control, f' --supersedes "{first}"'),
        )
    for record in case.unapproved:
        if record.kind not in case.kinds:
            wanted = case.requirement.approver
            return (
                f"have {record} approved by an approver other than {record.signer.name}"
                + (f", as {wanted}" if wanted else ""),
                approve(str(record), case.requirement),
            )
    if _is_only_unmeasured(case):
        expected = case.requirement.second_person is SecondPerson.EXPECTED
        return (
            "attach an eval-result or a monitoring-report that names the model and shows "
            f"{', '.join(case.unmeasured)}{', and have it approved' if expected else ''}",
            attach("eval-result", control),
        )
    for item in case.rejected:
        if item.record.kind not in case.kinds:
            return (
                _answer(item),
                attach(item.record.kind, control, f' --supersedes "{item.record}"'),
            )
    if state is State.STALE:
        newest = case.stale[-1]
        return (
            f"attach a newer {newest.kind} than {newest}",
            attach(newest.kind, control),
        )
    kinds = [kind for kind in case.requirement.any_of if kind not in case.kinds]
    part = f", with its {case.requirement.section} part" if case.requirement.section else ""
    lent = [item for item in case.unlent if item.path is not None and item.path.carries]
    instead = f"{_answer(lent[0])}, or " if lent and state is State.MISSING else ""
    return (
        f"{instead}attach {_one_of(kinds)}{part}",
        attach(kinds[0], control),
    )


def refused(item: Rejected) -> str:
    """What somebody said of a record that carries nothing for it, and where."""
    vote = item.vote
    if vote.kind != SAMPLE_TEST:
        return f"was rejected by {vote.signer.name} in {vote}"
    noted = [
        " ".join(said.get("note", "").split())
        for said in vote.statement.body["records"]
        if said["sha256"] == item.record.sha256
    ]
    text = f"was tested, with an exception, by {vote.signer.name} in {vote}"
    return f"{text}: {shorten(noted[0], _NOTE)}" if noted and noted[0] else text


def _answer(item: Rejected) -> str:
    """What is to be done about a record that was refused."""
    if item.vote.kind == SAMPLE_TEST:
        return f"put right what the test of {item.record} found, in {item.vote}, and supersede it"
    return f"answer the rejection of {item.record} with better evidence"


def decisive(control: ControlResult) -> Reason | None:
    """The reason that the state rests on, and that ``unblock`` answers.

    A remark, such as who owns the control, decides nothing.
    """
    reasons = list(control.reasons)
    if control.state is State.STALE:
        reasons.reverse()  # the newest evidence
    wanted = _DECIDING.get(control.state, ())
    for reason in reasons:
        if reason.code.startswith(wanted):
            return reason
    return control.reasons[0] if control.reasons else None


def _is_only_unmeasured(case: Case) -> bool:
    """Whether nothing but metrics that the profile limits is wanted."""
    return bool(case.unmeasured) and len(case.kinds) >= case.requirement.minimum_kinds


def _one_of(kinds: Sequence[str]) -> str:
    return " or ".join(f"{'an' if kind[0] in 'aeio' else 'a'} {kind}" for kind in kinds)
