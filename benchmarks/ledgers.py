"""Ledgers to measure with: one P-256 signer, statements of about 1 KB."""

import secrets
from collections.abc import Iterable
from pathlib import Path

from muniment import Workspace
from muniment.evidence.dsse import Envelope
from muniment.evidence.keys import RecordKey
from muniment.reports.workspace import Holder
from muniment.schemas import times
from muniment.schemas.statement import GENESIS, Statement, SystemRef, predicate_type

BATCH = 1000
SYSTEM = SystemRef("credit-risk", "1.0.0")
BODY = {
    "model": {"name": "model.onnx", "sha256": "a" * 64},
    "dataset": {"name": "held-out", "split": "held-out", "sha256": "b" * 64},
    "evaluated": 1000,
    "metrics": [
        {"name": f"AUC {name}", "value": 0.9, "threshold": 0.8, "direction": "higher", "n": 1000}
        for name in ("all", "age under 25", "self-employed")
    ],
    "checks": [],
}


def new_workspace(folder: Path, records: int = 0) -> Workspace:
    """A workspace with a system and ``records`` evaluations, a thousand under each checkpoint.

    Its origin is the folder's name: two ledgers of one name and root would be a fork.
    """
    workspace = Workspace.init(
        folder,
        organisation="Example Bank",
        origin=f"evidence.example.com/{folder.name}",
        frameworks=["nist-ai-rmf-1.0"],
        holder=Holder("Ana", "ana@example.com"),
    )
    system = {"name": "Credit risk", "purpose": "Scores.", "phase": "pilot", "riskTier": "high"}
    owner = {"name": "Ana", "email": "ana@example.com"}
    workspace.attach("system", system=str(SYSTEM), body={**system, "owner": owner})
    for start in range(0, records, BATCH):
        append(workspace, sign(workspace, range(start, min(start + BATCH, records))))
    return workspace


def sign(workspace: Workspace, numbers: Iterable[int]) -> list[tuple[Envelope, RecordKey]]:
    """One signed evaluation for each number."""
    key = workspace.signing_key
    genesis = {"relation": GENESIS, **workspace.ledger.genesis.to_json()}
    statements = (
        Statement(
            subjects=(SYSTEM.descriptor(),),
            predicate_type=predicate_type("eval-result"),
            system=SYSTEM,
            collected_at=times.now(),
            body={**BODY, "runId": str(number)},
            salt=secrets.token_hex(16),
            controls=("nist-ai-rmf-1.0:MEASURE 2.3",),
            references=(genesis,),
        )
        for number in numbers
    )
    return [(Envelope.sign(statement.to_payload(), key), key) for statement in statements]


def append(workspace: Workspace, envelopes: list[tuple[Envelope, RecordKey]]) -> None:
    """Append under one checkpoint."""
    key = workspace.keys.load(workspace.keys.ledger_path(workspace.ledger.vkey))
    workspace.ledger.append(key, envelopes, workspace.kinds)
