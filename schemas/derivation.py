"""What came of running a collector again over the file that a record was read from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from muniment.schemas.finding import Finding
from muniment.schemas.statement import RecordRef


class Derived(StrEnum):
    """How it ended; the value is the code of the reason or finding."""

    HELD = "derivation.held"
    """The record says what the file says."""
    DIFFERS = "derivation.differs"
    """It says something else."""
    REFUSED = "derivation.refused"
    """The collector takes nothing from the file, so the record cannot come of it."""
    NOT_CHECKED = "derivation.not-checked"


@dataclass(frozen=True, slots=True)
class Derivation:
    """One record, held against its file."""

    record: RecordRef
    code: Derived
    text: str
    """One sentence: what agrees, what differs, or why it was not checked."""
    findings: tuple[Finding, ...] = ()
    """What differs, one by one, as far as it is listed; not a part of the document."""

    @property
    def is_fault(self) -> bool:
        """Whether the record is not what it says it was read from."""
        return self.code in (Derived.DIFFERS, Derived.REFUSED)

    def to_json(self) -> dict[str, Any]:
        """``{"record": {"index", "sha256"}, "code", "text"}``."""
        return {"record": self.record.to_json(), "code": str(self.code), "text": self.text}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Derivation:
        """Read what ``to_json`` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        index, sha256 = value["record"]["index"], value["record"]["sha256"]
        if type(index) is not int or not isinstance(sha256, str):
            raise TypeError("a derivation names no record")
        return cls(RecordRef(index, sha256), Derived(value["code"]), str(value["text"]))
