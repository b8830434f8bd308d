"""A believable packet, made by hand: one system, eight records, two small catalogs."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from muniment.controls.coverage import CatalogCoverage, ControlResult, Coverage, Reason, State
from muniment.evidence.dsse import Envelope
from muniment.evidence.keys import SigningKey
from muniment.reports.identity import Identity
from muniment.reports.model import Embedded, KeyLine, PacketInput
from muniment.reports.render import render_pdf
from muniment.reports.sigfields import REVIEWER
from muniment.reports.workspace import Workspace
from muniment.schemas.record import Record, Role, Signer
from muniment.schemas.statement import (
    RecordRef,
    Statement,
    Subject,
    SystemRef,
    predicate_type,
)

AS_OF = datetime(2026, 11, 20, 23, 59, 59, tzinfo=UTC)
CHECKPOINT_TIME = datetime(2026, 11, 20, 16, 4, 5, tzinfo=UTC)
ROOT = "3x0FrwRTE4RwgzN0Gfy2fUVUXaBuCyFx+mOkk/lKYw4="
SYSTEM = SystemRef("credit-risk", "2.1.0")


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def signer(name: str, *roles: Role, functions: frozenset[str] = frozenset()) -> Signer:
    email = f"{name.split()[0].lower()}@example.com"
    fingerprint = "SHA256:" + digest(name)[:43]
    return Signer(fingerprint, name, email, "person", frozenset(roles), functions)


ASTRID = signer("Astrid Example", Role.CONTRIBUTOR)
BRUNO = signer("Bruno Exámple", Role.CONTRIBUTOR)
CARLA = signer("Carla Exampleß", Role.APPROVER, functions=frozenset({"risk"}))
DENIZ = signer("Deniz Exampleı", Role.ROOT, Role.APPROVER)


def record(
    index: int,
    kind: str,
    body: Mapping[str, Any],
    *,
    by: Signer = ASTRID,
    subjects: tuple[Subject, ...] = (),
    controls: tuple[str, ...] = (),
    supersedes: Record | None = None,
    days_ago: int = 30,
) -> Record:
    """One verified record."""
    held = AS_OF - timedelta(days=days_ago)
    statement = Statement(
        subjects=subjects or (SYSTEM.descriptor(),),
        predicate_type=predicate_type(kind),
        system=SYSTEM,
        collected_at=held,
        body=body,
        salt="00" * 16,
        controls=controls,
        supersedes=supersedes.ref if supersedes else None,
    )
    return Record(index, digest(f"{kind} {index}"), statement, by, held + timedelta(hours=5))


def file(name: str, state: str = "committed", **git: Any) -> Subject:
    """A file with its git link."""
    link: dict[str, Any] = {"state": state}
    if state != "outside":
        link |= {
            "repository": "https://git.example.com/risk/credit-risk.git",
            "commit": digest(name)[:40],
            "path": f"evidence/{name}",
            "blob": digest(name)[20:60],
            "pushed": True,
            "signature": "good",
        }
    annotations = {"size": 48_213, "stored": True, "git": link | git}
    return Subject(name, {"sha256": digest(name)}, None, "application/json", annotations)


def ledger() -> tuple[Record, ...]:
    """The system's story so far."""
    system = record(
        3,
        "system",
        {
            "title": "Credit risk scoring",
            "purpose": "Scores applications for consumer credit before a person decides.",
            "phase": "production",
            "riskTier": "high",
            "owner": {"name": "Deniz Exampleı", "email": "deniz@example.com"},
            "users": ["credit officers", "second-line risk"],
        },
        by=DENIZ,
    )
    owner = record(
        4,
        "owner-assignment",
        {
            "person": {"name": "Bruno Exámple", "email": "bruno@example.com"},
            "role": "Model owner",
            "duty": "Keeps the model within its limits and answers for retraining",
            "hoursPerWeek": 12,
            "deputy": {"name": "Astrid Example", "email": "astrid@example.com"},
            "start": "2026-07-01",
        },
        by=DENIZ,
        controls=("nist-ai-rmf-1.0:GOVERN 2.1", "readiness-gate:RG-5"),
    )
    data = record(
        7,
        "data-provenance",
        {
            "name": "Applications 2023 to 2025",
            "source": "Core banking warehouse, table applications",
            "licence": "internal, consent under the credit contract",
            "collectionPeriod": {"start": "2023-01-01", "end": "2025-12-31"},
            "splits": [
                {"split": "training", "rows": 1_204_331, "sha256": digest("train")},
                {"split": "held-out", "rows": 150_221, "sha256": digest("held")},
            ],
            "knownGaps": ["few applicants under 21", "no self-employed before 2024"],
        },
        subjects=(file("train.parquet"), file("heldout.parquet", "modified")),
        controls=("nist-ai-rmf-1.0:MAP 2.3",),
        days_ago=80,
    )
    failed = record(9, "eval-result", _evaluation(0.741), by=BRUNO, subjects=(file("eval-1.json"),))
    passed = record(
        12,
        "eval-result",
        _evaluation(0.8123),
        by=BRUNO,
        subjects=(file("eval-2.json", pushed=False), file("notes.txt", "outside")),
        controls=("nist-ai-rmf-1.0:MEASURE 2.3", "readiness-gate:RG-1"),
        supersedes=failed,
        days_ago=12,
    )
    approval = record(
        15,
        "approval",
        {
            "decision": "approved",
            "role": "Head of model risk",
            "statement": "I looked at the slices and the costs of error and accept them.",
            "records": [passed.ref.to_json(), data.ref.to_json()],
            "artifacts": [{"name": "model.onnx", "sha256": digest("model.onnx")}],
        },
        by=CARLA,
        days_ago=9,
    )
    monitoring = record(
        17,
        "monitoring-report",
        {"title": "Drift, third quarter", "findings": "Population stability index 0.08, no alarm."},
        controls=("nist-ai-rmf-1.0:MANAGE 4.1",),
        days_ago=230,
    )
    policy = record(
        18,
        "policy",
        {"title": "AI risk policy", "version": "4", "inForceFrom": "2026-01-01"},
        by=DENIZ,
        controls=("nist-ai-rmf-1.0:GOVERN 1.2",),
    )
    return (system, owner, data, failed, passed, approval, monitoring, policy)


def _evaluation(auc: float) -> dict[str, Any]:
    return {
        "title": "Discrimination and calibration on held-out applications",
        "dataset": {"name": "Applications, held-out", "sha256": digest("held")},
        "evaluated": 150_221,
        "metrics": [
            {"name": "AUC", "value": auc, "threshold": 0.78, "direction": "higher", "n": 150_221},
            {
                "name": "AUC",
                "slice": "age under 25",
                "value": 0.7911,
                "threshold": 0.76,
                "direction": "higher",
                "n": 8_112,
            },
            {
                "name": "Expected calibration error",
                "value": 0.021,
                "threshold": 0.03,
                "direction": "lower",
                "n": 150_221,
            },
            {"name": "Population", "value": 150_221},
        ],
        "errorClasses": [
            _error("wrongly declined", "A sound applicant goes elsewhere.", 400, 0.031, 0.04),
            _error("wrongly accepted", "The loan defaults.", 5200.5, 0.012, 0.015),
        ],
        "checks": [
            {"name": "no training rows in held-out", "outcome": "pass"},
            {"name": "scores within 0 and 1", "outcome": "fail", "expected": 0, "observed": 3},
        ],
    }


def _error(name: str, consequence: str, cost: float, rate: float, limit: float) -> dict[str, Any]:
    return {
        "name": name,
        "consequence": consequence,
        "costPerError": {"amount": cost, "currency": "EUR"},
        "errorRate": rate,
        "threshold": limit,
        "costly": cost > 1000,
        "humanGate": cost > 1000,
        "gateRole": "credit officer",
    }


def control(
    id: str, title: str, group: str, state: State, *evidence: Record, **more: Any
) -> ControlResult:
    """One evaluated control."""
    reasons = {
        State.MET: (),
        State.MISSING: (Reason("evidence.missing", f"no record of a fitting kind claims {id}"),),
    }.get(state, (Reason(f"evidence.{state}", f"the evidence is {state}", tuple(_refs(evidence))),))
    return ControlResult(
        id,
        title,
        group,
        state,
        reasons,
        evidence=tuple(_refs(evidence)),
        unblock="attach a current record" if state.is_gap else None,
        **more,
    )


def _refs(records: tuple[Record, ...]) -> list[RecordRef]:
    return [item.ref for item in records]


def coverage(records: tuple[Record, ...]) -> Coverage:
    """Two catalogs with every state but waivers' absence."""
    by = {item.index: item for item in records}
    nist, gate = "nist-ai-rmf-1.0", "readiness-gate"
    soon = AS_OF + timedelta(days=20)
    later = AS_OF + timedelta(days=200)
    first = (
        control(f"{nist}:GOVERN 1.1", "Register of laws that bind AI", "GOVERN", State.MISSING),
        control(
            f"{nist}:GOVERN 1.2", "Goals written into policy", "GOVERN", State.UNAPPROVED, by[18]
        ),
        control(f"{nist}:GOVERN 2.1", "Named roles", "GOVERN", State.MET, by[4], fresh_until=later),
        control(
            f"{nist}:MAP 2.3",
            "Test plan and data choice",
            "MAP",
            State.MET,
            by[7],
            fresh_until=soon,
            approvals=(by[15].ref,),
        ),
        control(f"{nist}:MAP 4.1", "Rights in parts from others", "MAP", State.NOT_APPLICABLE),
        control(
            f"{nist}:MEASURE 2.3",
            "Performance is shown",
            "MEASURE",
            State.MET,
            by[12],
            fresh_until=later,
            approvals=(by[15].ref,),
        ),
        control(f"{nist}:MEASURE 2.11", "Fairness is judged", "MEASURE", State.PARTIAL, by[12]),
        control(f"{nist}:MANAGE 4.1", "Watch after launch", "MANAGE", State.STALE, by[17]),
        control(f"{nist}:MANAGE 4.3", "Incidents are told", "MANAGE", State.MISSING),
    )
    second = (
        control(f"{gate}:RG-1", "Tested on live data", "six-check", State.FAILED, by[12]),
        control(f"{gate}:RG-2", "Accuracy by cost of error", "six-check", State.WAIVED),
        control(f"{gate}:RG-5", "Named owner", "six-check", State.MET, by[4], fresh_until=later),
    )
    return Coverage(
        system=SYSTEM,
        as_of=AS_OF,
        profile="production",
        profile_sha256=digest("profile"),
        artifact=digest("model.onnx"),
        catalogs=(
            CatalogCoverage(nist, "NIST AI RMF 1.0", digest(nist), first),
            CatalogCoverage(gate, "Production-readiness gate", digest(gate), second),
        ),
        considered=len(records) + 1,
        left_out=(Reason("record.superseded", "a later record takes its place", (by[9].ref,)),),
    )


def make_packet(
    records: tuple[Record, ...] | None = None, covered: Coverage | None = None, **changes: Any
) -> PacketInput:
    """The packet; ``changes`` replaces fields of it."""
    records = ledger() if records is None else records
    covered = coverage(ledger()) if covered is None else covered
    keys = tuple(
        KeyLine(p.fingerprint, p.name, p.email, p.type, p.roles, p.functions, number)
        for number, p in enumerate((DENIZ, ASTRID, BRUNO, CARLA))
    )
    fields: dict[str, Any] = {
        "organisation": "Example Bank",
        "coverage": covered,
        "passed": False,
        "profile_name": "production",
        "blocking": tuple(c for c in covered.controls if c.state is State.FAILED),
        "records": records,
        "keys": keys,
        "origin": "evidence.example.com/credit",
        "checkpoint": f"evidence.example.com/credit\n19\n{ROOT}\n\n— evidence.example.com/credit "
        "vYG/50bhZ/bbRJ7DEVTU7fF+T/DGw2N1rHvKtknB5KpWnyffAlJTywoZoRhNHFxBwuCep1VmjTV9C/4JQD5c\n",
        "checkpoint_time": CHECKPOINT_TIME,
        "tree_size": 19,
        "root_hash": ROOT,
        "root_fingerprint": DENIZ.fingerprint,
        "reviewer": CARLA,
        "muniment_version": "0.1.0",
        "not_included": ("The bytes of 4 artifacts are not embedded: they stay in the store.",),
    }
    return PacketInput(**(fields | changes))


ATTACHMENTS = (
    Embedded("manifest.json", b'{"files": []}', "application/json", "Data", "Digests of files"),
    Embedded("coverage.json", b'{"a": 1}', "application/json", "Source", "The evaluation"),
    Embedded("checkpoint.txt", b"note\n", "text/plain", "Data", "Signed note of the ledger"),
    Embedded(
        "receipt-000012.sigstore.json",
        b'{"a": 1}',
        "application/vnd.dev.sigstore.bundle.v0.3+json",
        "Data",
        "Record 12 with its proof",
    ),
)


@pytest.fixture(scope="session")
def build() -> ModuleType:
    """This module: the builders above, for tests that make their own records."""
    return sys.modules[__name__]


@pytest.fixture(scope="session")
def packet() -> PacketInput:
    return make_packet()


@pytest.fixture(scope="session")
def unsigned(packet: PacketInput) -> bytes:
    return render_pdf(packet, ATTACHMENTS)


@pytest.fixture(scope="session")
def reviewer_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def identity(
    key: ec.EllipticCurvePrivateKey, who: Signer, organisation: str, **more: Any
) -> Identity:
    """Who signs, at the checkpoint's time."""
    return Identity.of(SigningKey(key), who, organisation, CHECKPOINT_TIME, **more)


@pytest.fixture(scope="session")
def signed(packet: PacketInput, unsigned: bytes, reviewer_key: ec.EllipticCurvePrivateKey) -> bytes:
    who = packet.reviewer
    assert who is not None
    return identity(reviewer_key, who, packet.organisation).sign(unsigned, REVIEWER)


@pytest.fixture(scope="session")
def issued(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The demo's packet, and a later one with everything that a packet may have."""
    # NOTE: another process imports this module as a script.
    from .issuing import issue

    return issue(tmp_path_factory.mktemp("issued"))


@pytest.fixture
def grown(make_workspace: Callable[..., Any], clock: Any) -> Callable[..., Workspace]:
    """Makes a workspace whose ledger has so many records, appended in three batches."""

    def grow(size: int, folder: str = "workspace") -> Workspace:
        workspace = Workspace(make_workspace(folder).root, clock=clock)
        fill(workspace, size)
        return workspace

    return grow


def fill(workspace: Workspace, size: int) -> None:
    """Append policies in three batches, until the ledger has ``size`` records."""
    ledger, signer = workspace.ledger, workspace.signing_key
    key = workspace.keys.load(workspace.keys.ledger_path(ledger.vkey))
    genesis = {"relation": "genesis", **ledger.genesis.to_json()}
    envelopes = [
        Envelope.sign(_policy(number, workspace.clock(), genesis).to_payload(), signer)
        for number in range(1, size)
    ]
    for part in range(3):
        batch = envelopes[part * size // 3 : (part + 1) * size // 3]
        ledger.append(key, [(envelope, signer) for envelope in batch], workspace.kinds)


def _policy(number: int, now: datetime, genesis: Mapping[str, Any]) -> Statement:
    body = {
        "title": f"Rule {number}",
        "version": "1",
        "inForceFrom": "2026-01-01",
        "owner": {"name": "Ada Example", "email": "ada@example.com"},
        "reviewBy": "2027-01-01",
    }
    return Statement(
        subjects=(SYSTEM.descriptor(),),
        predicate_type=predicate_type("policy"),
        system=SYSTEM,
        collected_at=now,
        body=body,
        salt=f"{number:032x}",
        references=(genesis,),
    )
