"""What would meet one control, in plain words, with the commands that do it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .catalog import Control
from .requirement import Requirement, SecondPerson
from .threshold import MEASURING

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
        said.append(f"A rule must hold over it: {_as_fields(requirement.reason)}.")
        said.append(f"In CEL: {' '.join(requirement.rule.split())}")
    else:
        said.append(f"Why: {requirement.reason}")
    said.append(
        f"It counts for {requirement.validity_days} days from the day its facts held, or less "
        "where the evidence says so itself."
    )
    said.append(_SECOND[requirement.second_person])
    if control.always_applies:
        said.append(
            "It applies to every system: nobody rules it out; muniment waive lets it stand open "
            "for a time."
        )
    if requirement.supporting:
        said.append(
            f"{_listed(requirement.supporting, 'and')} would support it, but not carry it alone."
        )
    return said


def commands(control: Control) -> list[str]:
    """Commands that meet the control with the kinds asked for first, in order.

    Words in capitals stand for what only the user knows.
    """
    requirement = control.requirement
    if requirement.is_unset:
        return []
    said = []
    for kind in requirement.any_of[: requirement.minimum_kinds]:
        said += by_template(kind, control.id)
    if requirement.second_person is not SecondPerson.NOT_NEEDED:
        said.append(f'{approve("#NUMBER", requirement)} --statement "TEXT"')
    return said


def by_template(kind: str, control: str, more: str = "") -> list[str]:
    """Commands that make a body to fill in, and attach it once it is filled in."""
    return [
        f"muniment kind show {kind} --template > {kind}.yaml",
        f'muniment attach {kind} --body {kind}.yaml --control "{control}"{more}',
    ]


def attach(kind: str, control: Control, more: str = "") -> str:
    """The commands that attach evidence of a kind, one a line.

    Figures come out of a tool's FILE, where no part of the body is asked for that no tool writes.
    """
    if kind in MEASURING and control.requirement.section is None:
        return f'muniment attach {kind} FILE --control "{control.id}"{more}'
    return "\n".join(by_template(kind, control.id, more))


def approve(record: str, requirement: Requirement) -> str:
    """The command that approves a record; KEY stands for the name of the approver's key."""
    role = f" --role {requirement.approver}" if requirement.approver else ""
    return f'muniment approve "{record}" --key KEY{role}'


def _as_fields(text: str) -> str:
    """Names of fields as the kind writes them: ``cleanedByHand`` for ``cleaned_by_hand``."""
    return re.sub(r"(?<=[a-z])_([a-z])", lambda found: found[1].upper(), text)


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
