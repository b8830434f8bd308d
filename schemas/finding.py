"""What a verification found: checks made, checks that could not be made, and faults."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from muniment.schemas.errors import MunimentError
from muniment.schemas.record import Record


class Outcome(StrEnum):
    """How one check ended."""

    HELD = "held"
    FAILED = "failed"
    NOT_CHECKED = "not-checked"


_WORST_FIRST = (Outcome.FAILED, Outcome.HELD, Outcome.NOT_CHECKED)
PROMISES = {
    "nothing was changed": (
        *(
            "form",
            "pdf-signature",
            "manifest",
            "pinned",
            "entries",
            "columns",
            "subjects",
            "tree",
            "tiles",
            "erasures",
            "triggers",
            "receipts",
        ),
    ),
    "nothing was removed": (
        *("checkpoints", "since", "remembered", "git-anchor", "witnesses", "previous"),
    ),
    "who signed": ("root", "signatures", "trust", "reviewer"),
    "when": ("checkpoint", "history", "timestamps", "age", "outside", "signature-time"),
    "what it says": (
        *("schema", "rules", "coverage", "verdict", "system", "profile", "derivation", "sample"),
        *("pages", "rendering", "page"),
    ),
    "what the artifacts are": ("artifacts", "git", "attestations", "artifact"),
    "what this cannot show": ("beyond",),
}
"""What a reader wants to know, and the checks that answer it."""
_PROMISE = {name: promise for promise, names in PROMISES.items() for name in names}


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault, with enough to look it up."""

    code: str
    """Stable identifier, ``area.fault``."""
    message: str
    record: int | None = None
    """Place of the record in the ledger, zero-based."""
    expected: str | None = None
    found: str | None = None

    @classmethod
    def of(cls, error: MunimentError, record: int | None = None) -> Finding:
        """The fault that an error tells of."""
        return cls(error.code, error.message, record, error.expected, error.found)

    def to_json(self) -> dict[str, Any]:
        """The finding as the ``--json`` documents show it."""
        return {
            "code": self.code,
            "message": self.message,
            "record": self.record,
            "expected": self.expected,
            "found": self.found,
        }


@dataclass(slots=True)
class Check:
    """One kind of check over everything it applies to."""

    name: str
    """Stable identifier, such as ``signatures``."""
    claim: str
    """What holds if the check holds, one sentence."""
    checked: int = 0
    """How many things were checked; a check of nothing is not a pass."""
    findings: list[Finding] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)
    """What could not be checked, each with the reason."""
    notes: list[Finding] = field(default_factory=list)
    """What is no fault but must be known, such as a record that lost its trust."""

    @property
    def promise(self) -> str:
        """The promise of ``PROMISES`` that this check is a part of."""
        return _PROMISE[self.name]

    def note_distrust(self, record: Record) -> None:
        """Note a record that counts for nothing because its key was later called compromised."""
        if record.distrusted is not None:
            text = f"{record} counts for nothing: {record.distrusted}"
            self.notes.append(Finding("record.distrusted", text, record.index))

    @property
    def outcome(self) -> Outcome:
        """Failed if anything failed, held only if something was checked."""
        if self.findings:
            return Outcome.FAILED
        return Outcome.HELD if self.checked else Outcome.NOT_CHECKED

    def to_json(self) -> dict[str, Any]:
        """The check as the ``--json`` documents show it."""
        return {
            "name": self.name,
            "promise": self.promise,
            "claim": self.claim,
            "outcome": str(self.outcome),
            "checked": self.checked,
            "findings": [finding.to_json() for finding in self.findings],
            "not_checked": self.not_checked,
            "notes": [note.to_json() for note in self.notes],
        }


@dataclass(slots=True)
class VerificationReport:
    """All checks of one verification, in the order they were made."""

    subject: str
    """What was verified, such as a ledger's origin or a file's name."""
    checks: list[Check] = field(default_factory=list)
    conclusions: list[str] = field(default_factory=list)
    """What was computed from what was verified; one sentence each."""
    extent: str = "full"
    """``full`` or ``incremental``: whether what was verified before was verified again."""

    @property
    def ok(self) -> bool:
        """True if something was checked and nothing failed."""
        outcomes = {check.outcome for check in self.checks}
        return Outcome.HELD in outcomes and Outcome.FAILED not in outcomes

    def promises(self) -> Iterator[tuple[str, Outcome, list[Check]]]:
        """Checks by promise, each with its worst outcome; one that nothing answers is left out."""
        for promise in PROMISES:
            checks = [check for check in self.checks if check.promise == promise]
            outcomes = {check.outcome for check in checks}
            if checks:
                worst = next(item for item in _WORST_FIRST if item in outcomes)
                yield promise, worst, checks

    @property
    def findings(self) -> Iterator[Finding]:
        """Every fault of every check."""
        return (finding for check in self.checks for finding in check.findings)

    def to_json(self) -> dict[str, Any]:
        """The report as the ``--json`` documents show it."""
        return {
            "ok": self.ok,
            "subject": self.subject,
            "extent": self.extent,
            "conclusions": self.conclusions,
            "checks": [check.to_json() for check in self.checks],
        }
