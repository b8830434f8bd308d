"""The record that a packet was issued."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime
from typing import TYPE_CHECKING

from muniment.evidence.checkpoint import Checkpoint
from muniment.evidence.note import SignedNote
from muniment.evidence.statements import References
from muniment.evidence.trust import PACKET_KIND
from muniment.schemas import strictjson
from muniment.schemas.statement import Statement, Subject, SystemRef, predicate_type

from . import proofs
from .signature import read_attachments

if TYPE_CHECKING:
    from muniment.evidence.workspace import Attached, Workspace


def record_packet(
    workspace: Workspace, pdf: bytes, name: str, countersigns: bytes | None = None
) -> Attached:
    """Note in the ledger that a packet was issued: its SHA-256, checkpoint and result.

    Args:
        name: the file's name.
        countersigns: the packet before it got its second signature.

    Raises:
        VerificationError: ``packet.…``: the file cannot be read.
        InputError: ``trust.…``: the key may not issue a packet.
    """
    now = workspace.clock()
    statement = _statement(pdf, name, now, workspace.references, countersigns)
    return workspace.append(statement)


def _statement(
    pdf: bytes, name: str, now: datetime, references: References, countersigns: bytes | None
) -> Statement:
    """Everything is read from the file itself."""
    files = read_attachments(pdf)
    coverage = strictjson.loads(files[proofs.COVERAGE], what=proofs.COVERAGE)
    note = SignedNote.from_bytes(files[proofs.CHECKPOINT])
    checkpoint = Checkpoint.from_text(note.text)
    digest = hashlib.sha256(pdf).hexdigest()
    body = {
        "sha256": digest,
        "size": len(pdf),
        "asOf": coverage["as_of"],
        "checkpoint": {
            "origin": checkpoint.origin,
            "size": checkpoint.size,
            "root": checkpoint.root.hex(),
        },
        "profile": {"id": coverage["profile"], "sha256": coverage["profile_sha256"]},
        "frameworks": [
            {"id": item["catalog"], "counts": item["counts"]} for item in coverage["catalogs"]
        ],
        "passed": strictjson.loads(files[proofs.GATE], what=proofs.GATE)["passed"],
    }
    if countersigns is not None:
        body["countersigns"] = hashlib.sha256(countersigns).hexdigest()
    return Statement(
        subjects=(Subject(name, {"sha256": digest}),),
        predicate_type=predicate_type(PACKET_KIND),
        system=SystemRef(coverage["system"]["id"], coverage["system"]["version"]),
        collected_at=now,
        body=body,
        salt=secrets.token_hex(16),
        references=references,
    )
