"""The result of an evaluation: the state of every control, with reasons and record ids."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from muniment.controls.crosswalk import Pair
from muniment.schemas.derivation import Derivation
from muniment.schemas.statement import RecordRef, SystemRef
from muniment.schemas.times import format_time

EXEMPT = "profile.exempt"
"""Code of the reason why a catalog does not block for a system."""
_NUMBER = re.compile(r"#[0-9]+")


class State(StrEnum):
    """State of one control, worst first; the last two stand by signed record only."""

    FAILED = "failed"
    """Current evidence says no."""
    MISSING = "missing"
    """No evidence of a kind that carries the control."""
    STALE = "stale"
    """There was evidence; it is too old."""
    UNAPPROVED = "unapproved"
    """There is evidence; the second person has not approved it, or somebody refused it."""
    PARTIAL = "partial"
    """Some of what is needed is there."""
    MET = "met"
    WAIVED = "waived"
    NOT_APPLICABLE = "not-applicable"

    @property
    def is_gap(self) -> bool:
        """Whether the control still wants something."""
        return self not in (State.MET, State.WAIVED, State.NOT_APPLICABLE)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a control has its state."""

    code: str
    """Stable identifier, such as ``evidence.stale``."""
    text: str
    """One sentence for a person."""
    records: tuple[RecordRef, ...] = ()
    path: tuple[Pair, ...] = ()
    """The pairs that the evidence came over; empty where it is the control's own."""

    def full(self) -> str:
        """The sentence with the numbers of the records it does not name itself."""
        said = set(_NUMBER.findall(self.text))
        more = [f"#{ref.index}" for ref in self.records if f"#{ref.index}" not in said]
        return f"{self.text} ({', '.join(more)})" if more else self.text

    def to_json(self) -> dict[str, Any]:
        """The reason as the ``--json`` documents show it; ``path`` only where there is one."""
        path = {"path": [pair.to_json() for pair in self.path]} if self.path else {}
        return {
            "code": self.code,
            "text": self.text,
            "records": [record.to_json() for record in self.records],
            **path,
        }


@dataclass(frozen=True, slots=True)
class Applicability:
    """A signed word on whether a control applies."""

    applicable: bool
    justification: str
    by: str
    """Name of the approver who signed it."""
    record: RecordRef

    def to_json(self) -> dict[str, Any]:
        """The decision as the ``--json`` documents show it."""
        return {
            "applicable": self.applicable,
            "justification": self.justification,
            "by": self.by,
            "record": self.record.to_json(),
        }


@dataclass(frozen=True, slots=True)
class ControlResult:
    """One control of one catalog, evaluated."""

    id: str
    """Full id, ``catalog:control``."""
    title: str
    group: str
    """Function, clause or area the control stands under, such as ``GOVERN``."""
    state: State
    reasons: tuple[Reason, ...]
    evidence: tuple[RecordRef, ...] = ()
    """Records that count for the control now."""
    approvals: tuple[RecordRef, ...] = ()
    """Approvals that count for that evidence."""
    fresh_until: datetime | None = None
    """When the first of the evidence it stands on lapses, or the waiver ends; only where the state
    is met or waived."""
    unblock: str | None = None
    """What would close the gap, one sentence; None where there is none."""
    command: str | None = None
    """The commands that do it, one a line, with words in capitals for what only the user knows."""
    underlying: State | None = None
    """State by the evidence alone, where a signed record waives the control or rules it out."""
    applicability: Applicability | None = None
    """The signed word on whether it applies; None where nobody decided."""

    @property
    def commands(self) -> tuple[str, ...]:
        """The lines of ``command``."""
        return tuple(self.command.split("\n")) if self.command else ()

    def to_json(self) -> dict[str, Any]:
        """The result as the ``--json`` documents show it; the last two only where they are set."""
        more: dict[str, Any] = {}
        if self.underlying is not None:
            more["underlying"] = str(self.underlying)
        if self.applicability is not None:
            more["applicability"] = self.applicability.to_json()
        return {
            "id": self.id,
            "title": self.title,
            "group": self.group,
            "state": str(self.state),
            "reasons": [reason.to_json() for reason in self.reasons],
            "evidence": [record.to_json() for record in self.evidence],
            "approvals": [record.to_json() for record in self.approvals],
            "fresh_until": format_time(self.fresh_until) if self.fresh_until else None,
            "unblock": self.unblock,
            "command": self.command,
            **more,
        }


@dataclass(frozen=True, slots=True)
class CatalogCoverage:
    """All controls of one catalog, in the catalog's order."""

    catalog: str
    """Catalog id, such as ``nist-ai-rmf-1.0``."""
    name: str
    sha256: str
    """Digest of the catalog's data, its requirements included."""
    controls: tuple[ControlResult, ...]

    def counts(self) -> dict[State, int]:
        """Number of controls in each state, every state present."""
        found = Counter(control.state for control in self.controls)
        return {state: found[state] for state in State}

    def groups(self) -> dict[str, tuple[ControlResult, ...]]:
        """Controls by group, in the catalog's order."""
        result: dict[str, list[ControlResult]] = {}
        for control in self.controls:
            result.setdefault(control.group, []).append(control)
        return {name: tuple(controls) for name, controls in result.items()}

    def to_json(self) -> dict[str, Any]:
        """The catalog's part of the coverage document."""
        return {
            "catalog": self.catalog,
            "name": self.name,
            "sha256": self.sha256,
            "counts": {str(state): count for state, count in self.counts().items()},
            "controls": [control.to_json() for control in self.controls],
        }


@dataclass(frozen=True, slots=True)
class Coverage:
    """The state of every control for one system version at one time."""

    system: SystemRef
    as_of: datetime
    profile: str
    profile_sha256: str
    artifact: str | None
    """SHA-256 of the model in question, hexadecimal; None where no record or caller names one."""
    catalogs: tuple[CatalogCoverage, ...]
    considered: int
    """Records about the system that were looked at."""
    left_out: tuple[Reason, ...] = ()
    """Records about the system that count for nothing, and why; an omission is always listed."""
    artifact_from: RecordRef | None = None
    """The system record that names the model; None where the caller named it, or nobody did."""
    crosswalk_sha256: str | None = None
    """Digest of the pairs between the catalogs, in hexadecimal; None where there are none."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Catalogs that evidence may carry over from, by id, with their digests."""
    exempt: tuple[str, ...] = ()
    """Catalogs on which the profile blocks, but not for a system of this phase and risk tier."""
    derivations: tuple[Derivation, ...] = ()
    """What the evaluator was told of the derivation of those records, in ledger order; its reasons
    say what follows from it."""

    @property
    def controls(self) -> tuple[ControlResult, ...]:
        """Every control of every catalog."""
        return tuple(control for catalog in self.catalogs for control in catalog.controls)

    def to_json(self) -> dict[str, Any]:
        """The coverage document."""
        return {
            "system": self.system.to_json(),
            "as_of": format_time(self.as_of),
            "profile": self.profile,
            "profile_sha256": self.profile_sha256,
            "artifact_sha256": self.artifact,
            "artifact_from": self.artifact_from.to_json() if self.artifact_from else None,
            "crosswalk_sha256": self.crosswalk_sha256,
            "sources": dict(self.sources),
            "exempt": list(self.exempt),
            "considered": self.considered,
            "left_out": [reason.to_json() for reason in self.left_out],
            "catalogs": [catalog.to_json() for catalog in self.catalogs],
        }
