"""The requirement: what evidence meets one control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class SecondPerson(StrEnum):
    """Whether evidence wants the approval of somebody other than its signer."""

    EXPECTED = "expected"
    """Without it the evidence does not carry the control."""
    RECOMMENDED = "recommended"
    NOT_NEEDED = "not-needed"


@dataclass(frozen=True, slots=True)
class Requirement:
    """What must be there, how fresh, and seen by whom."""

    any_of: tuple[str, ...]
    """Kinds that carry the control; none where nobody has said yet, and then nothing meets it."""
    minimum_kinds: int
    """How many different kinds of ``any_of`` must be there; at least 1."""
    supporting: tuple[str, ...]
    """Kinds that strengthen the case but do not carry it."""
    validity_days: int
    """Oldest age that still counts, in days, inclusive."""
    second_person: SecondPerson
    reason: str
    """Why this much is asked, or the pass rule in words."""
    section: str | None = None
    """Part of the body that a record must have to count; None where the whole body counts."""
    rule: str | None = None
    """CEL text over the section that must hold; None where existing is enough."""
    approver: str | None = None
    """Function in which the second person must have approved; None for any. A profile sets it."""

    @property
    def is_unset(self) -> bool:
        """Whether nobody has said yet what evidence meets the control."""
        return not self.any_of

    def to_json(self) -> dict[str, Any]:
        """The requirement as a catalog document holds it."""
        return {
            "anyOf": list(self.any_of),
            "minimumKinds": self.minimum_kinds,
            "supporting": list(self.supporting),
            "validityDays": self.validity_days,
            "secondPerson": str(self.second_person),
            "reason": self.reason,
            "section": self.section,
            "rule": self.rule,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Requirement:
        """Read a requirement whose form was checked."""
        return cls(
            any_of=tuple(value["anyOf"]),
            minimum_kinds=value["minimumKinds"],
            supporting=tuple(value["supporting"]),
            validity_days=value["validityDays"],
            second_person=SecondPerson(value["secondPerson"]),
            reason=value["reason"],
            section=value["section"],
            rule=value["rule"],
        )
