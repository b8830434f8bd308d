"""Records as the evaluator is given them: verified, trusted, and built in a few words."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from muniment.controls.catalog import load_catalogs
from muniment.controls.coverage import ControlResult, Coverage
from muniment.controls.evaluator import evaluate
from muniment.controls.profile import load_profile
from muniment.schemas.record import Record, Role, Signer
from muniment.schemas.statement import Statement, Subject, SystemRef, predicate_type

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SYSTEM = SystemRef("credit-risk", "2.1.0")
MODEL = "a" * 64
OTHER_MODEL = "b" * 64


def _signer(name: str, *roles: Role, key: str = "1", functions: Sequence[str] = ()) -> Signer:
    return Signer(
        fingerprint=f"SHA256:{name}-{key}",
        name=name.title(),
        email=f"{name}@example.com",
        type="person",
        roles=frozenset(roles),
        functions=frozenset(functions),
    )


SIGNERS = {
    "alice": _signer("alice", Role.CONTRIBUTOR),
    "alice-approver": _signer("alice", Role.CONTRIBUTOR, Role.APPROVER, key="2"),
    "bob": _signer("bob", Role.APPROVER),
    "carol": _signer("carol", Role.APPROVER, Role.CONTRIBUTOR),
    "root": _signer("root", Role.ROOT),
    "dan": _signer("dan", Role.CONTRIBUTOR),
    "rita": _signer("rita", Role.APPROVER, Role.CONTRIBUTOR, functions=["risk"]),
    "lena": _signer("lena", Role.APPROVER, functions=["legal"]),
    "sam": _signer("sam", Role.APPROVER, functions=["security"]),
}

BODIES: dict[str, dict[str, Any]] = {
    "eval-result": {
        "model": {"name": "model.onnx", "sha256": MODEL},
        "dataset": {"name": "holdout", "split": "held-out", "sha256": "c" * 64},
        "evaluated": 500,
        "metrics": [{"name": "auc", "value": 0.9, "threshold": 0.8, "direction": "higher"}],
        "checks": [],
    },
    "policy": {
        "title": "AI policy",
        "version": "3",
        "inForceFrom": "2026-01-01",
        "owner": {"name": "Pat", "email": "pat@example.com"},
        "reviewBy": "2027-01-01",
    },
    "risk-assessment": {
        "method": "five by five",
        "risks": [
            {
                "name": "wrong refusal",
                "likelihood": "medium",
                "impact": "high",
                "treatment": "reduce",
                "owner": "Pat",
                "residual": "low",
                "accepted": True,
                "acceptedBy": "Pat",
            }
        ],
    },
    "impact-assessment": {
        "scope": "consumer loans",
        "affected": [{"name": "applicants"}],
        "impacts": [
            {
                "name": "refusal",
                "affected": ["applicants"],
                "severity": "high",
                "likelihood": "low",
                "mitigation": "a person reviews",
                "residual": "low",
            }
        ],
        "conclusion": "accepted",
    },
    "supplier-assessment": {
        "supplier": {"name": "Example Data"},
        "supplies": "credit histories",
        "checks": [{"name": "contract", "outcome": "pass"}],
        "conclusion": "accepted",
        "reviewBy": "2027-01-01",
    },
    "monitoring-report": {
        "period": {"start": "2026-05-01", "end": "2026-05-31"},
        "evaluated": 9000,
        "checks": [{"name": "drift", "outcome": "pass"}],
    },
    "incident": {
        "title": "late scores",
        "description": "scores came late",
        "occurredAt": "2026-05-01T09:00:00Z",
        "detectedAt": "2026-05-01T09:10:00Z",
        "severity": "high",
        "status": "contained",
        "actions": [],
    },
    "decision": {
        "title": "who acts",
        "choice": "a clerk",
        "reasons": "judgement",
        "decidedBy": [{"name": "Pat"}],
        "decidedOn": "2026-05-01",
    },
    "change-record": {
        "summary": "new threshold",
        "reason": "calibration",
        "changedAt": "2026-05-01T09:00:00Z",
        "changedBy": {"name": "Alice", "email": "alice@example.com"},
    },
    "owner-assignment": {
        "person": {"name": "Pat", "email": "pat@example.com"},
        "role": "operating owner",
        "duty": "watches the figures",
        "hoursPerWeek": 6,
        "deputy": {"name": "Kim", "email": "kim@example.com"},
        "start": "2026-01-01",
    },
    "training-record": {
        "course": "overrides",
        "materialVersion": "2",
        "heldOn": "2026-05-01",
        "attendees": [{"name": "Kim", "completed": True}],
    },
    "data-provenance": {
        "dataset": {"name": "loans 2025"},
        "split": "train",
        "source": {"origin": "own books"},
        "rights": {"licence": "contract 7"},
        "collectionPeriod": {"start": "2025-01-01", "end": "2025-12-31"},
        "rows": 1000,
        "contents": [{"name": "loans.csv", "sha256": "d" * 64}],
        "preparation": [],
        "knownGaps": [],
        "personalData": True,
    },
    "model-card": {
        "model": {"name": "model.onnx", "sha256": MODEL},
        "intendedUse": "consumer loans",
        "outOfScope": ["mortgages"],
        "limitations": ["young applicants"],
    },
    "system": {
        "name": "Credit risk",
        "purpose": "scores loans",
        "phase": "pilot",
        "riskTier": "high",
        "owner": {"name": "Pat", "email": "pat@example.com"},
        "model": {"name": "model.onnx", "sha256": MODEL},
    },
}


class Book:
    """A ledger's worth of records about one system version."""

    now, system, model, other_model, signers = NOW, SYSTEM, MODEL, OTHER_MODEL, SIGNERS

    def __init__(self) -> None:
        self.records: list[Record] = []

    def add(
        self,
        kind: str,
        *controls: str,
        signer: str = "alice",
        age: float = 1,
        collected_age: float | None = None,
        system: SystemRef | None = SYSTEM,
        supersedes: Record | None = None,
        valid_until: datetime | None = None,
        subjects: Sequence[Subject] = (),
        body: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Record:
        """Append a record ``age`` days old; ``fields`` replace fields of the kind's plain body."""
        recorded_at = NOW - timedelta(days=age)
        collected = recorded_at if collected_age is None else NOW - timedelta(days=collected_age)
        index = len(self.records)
        if "controls_" in fields:
            fields["controls"] = fields.pop("controls_")
        statement = Statement(
            subjects=tuple(subjects) or (SYSTEM.descriptor(),),
            predicate_type=predicate_type(kind),
            system=system,
            collected_at=collected,
            body={**(BODIES.get(kind, {}) if body is None else body), **fields},
            salt="0" * 32,
            controls=controls,
            valid_until=valid_until,
            supersedes=supersedes.ref if supersedes else None,
        )
        digest = hashlib.sha256(f"{id(self)}/{index}".encode()).hexdigest()
        record = Record(index, digest, statement, SIGNERS[signer], recorded_at)
        self.records.append(record)
        return record

    def approve(
        self, *records: Record, signer: str = "bob", decision: str = "approved", **more: Any
    ) -> Record:
        """Append an approval of ``records``."""
        artifacts = [{"name": "file", "sha256": sha} for sha in more.pop("artifacts", ())]
        return self.add(
            "approval",
            *more.pop("controls", ()),
            signer=signer,
            decision=decision,
            role="risk",
            statement="read it",
            records=[record.ref.to_json() for record in records],
            artifacts=artifacts,
            **more,
        )

    def link(self, record: Record, *controls: str, signer: str = "alice") -> Record:
        """Append a link of ``record`` to ``controls``."""
        return self.add(
            "link",
            signer=signer,
            records=[record.ref.to_json()],
            controls=list(controls),
            reason="it serves",
        )

    def waive(
        self, *controls: str, until: str = "2026-12-31", signer: str = "rita", **more: Any
    ) -> Record:
        """Append a waiver of ``controls``."""
        fields = {"type": "waiver", "reason": "later", "measure": "by hand", **more}
        age = fields.pop("age", 1)
        return self.add(
            "waiver", signer=signer, age=age, controls_=list(controls), until=until, **fields
        )

    def decide(
        self, control: str, applicable: bool, *, signer: str = "rita", **more: Any
    ) -> Record:
        """Append a decision on whether ``control`` applies."""
        item = {"control": control, "applicable": applicable, "justification": "so it is"}
        return self.add("applicability", signer=signer, controls_=[item], **more)

    def coverage(
        self,
        *,
        as_of: datetime = NOW,
        artifact: str | None = None,
        records: Sequence[Record] | None = None,
        profile: str = "production",
    ) -> Coverage:
        """Evaluate all built-in catalogs."""
        return evaluate(
            self.records if records is None else records,
            load_catalogs(),
            load_profile(profile),
            SYSTEM,
            as_of,
            artifact,
        )

    def result(self, control: str, **options: Any) -> ControlResult:
        """The result of one control, by full id."""
        found = {item.id: item for item in self.coverage(**options).controls}
        return found[control]


@pytest.fixture
def book() -> Book:
    """An empty ledger."""
    return Book()


@pytest.fixture(scope="session")
def new_book() -> type[Book]:
    """Makes ledgers, for tests that need many."""
    return Book


@pytest.fixture(scope="session")
def bodies() -> dict[str, dict[str, Any]]:
    """A plain body of every kind."""
    return BODIES
