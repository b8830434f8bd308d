"""What would meet one control, in plain words, with the commands that do it."""

from __future__ import annotations

from collections.abc import Sequence

from .catalog import Control
from .requirement import Requirement, SecondPerson

_SECOND = {
    SecondPerson.EXPECTED: "Somebody else, whose key has the role approver, must approve it; "
    "without that it does not count.",
    SecondPerson.RECOMMENDED: "Approval by somebody else, whose key has the role approver, is good "
    "practice, but nothing hangs on it.",
    SecondPerson.NOT_NEEDED: "Its signer's word is enough; no second person is needed.",
}


def sentences(control: Control) -> list[str]:
    """What is asked for, one sentence each."""
    requirement = control.requirement
    if requirement.is_unset:
        name = control.id.partition(":")[0]
        return [
            "Nobody has written what evidence meets it, so nothing does: "
            f"frameworks/{name}.yaml is the place."
        ]
    said = [_kinds(requirement)]
    if requirement.section is not None:
        said.append(
            f"The record must have its {requirement.section} part: "
            f"muniment kind show {requirement.any_of[0]} lists the fields."
        )
    if requirement.rule is not None:
        said.append(f"A rule must hold over it: {requirement.reason}.")
    else:
        said.append(f"Why: {requirement.reason}")
    said.append(
        f"It counts for {requirement.validity_days} days from the day its facts held, or less "
        "where the evidence says so itself."
    )
    said.append(_SECOND[requirement.second_person])
    if requirement.supporting:
        said.append(
            f"{_listed(requirement.supporting, 'and')} would support it, but not carry it alone."
        )
    return said


def commands(control: Control) -> list[str]:
    """Commands that meet the control with the kinds asked for first, in order.

    ``…`` stands for what only the user knows.
    """
    requirement = control.requirement
    if requirement.is_unset:
        return []
    said = []
    for kind in requirement.any_of[: requirement.minimum_kinds]:
        said.append(f"muniment kind show {kind} --template > {kind}.yaml")
        said.append(f'muniment attach {kind} --body {kind}.yaml --control "{control.id}"')
    if requirement.second_person is not SecondPerson.NOT_NEEDED:
        said.append('muniment approve "#…" --key … --statement "…"')
    return said


def _kinds(requirement: Requirement) -> str:
    kinds, least = requirement.any_of, requirement.minimum_kinds
    if len(kinds) == least == 1:
        return f"Evidence of kind {kinds[0]} carries it."
    if least == len(kinds):
        return f"Evidence of {least} kinds carries it, all of them: {_listed(kinds, 'and')}."
    if least == 1:
        return f"Evidence of any one of these kinds carries it: {_listed(kinds, 'or')}."
    return f"Evidence of {least} of these kinds carries it: {_listed(kinds, 'or')}."


def _listed(kinds: Sequence[str], word: str) -> str:
    *most, last = kinds
    return f"{', '.join(most)} {word} {last}" if most else last
