"""The record that a packet was issued."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from muniment.evidence.checkpoint import Checkpoint
from muniment.evidence.note import SignedNote
from muniment.evidence.statements import References
from muniment.evidence.trust import PACKET_KIND
from muniment.schemas import strictjson
from muniment.schemas.statement import Statement, Subject, SystemRef, predicate_type

from . import proofs
from .signature import read_attachments


def packet_statement(
    pdf: bytes, name: str, now: datetime, references: References, countersigns: bytes | None = None
) -> Statement:
    """What the ledger notes of a packet; everything is read from the file itself.

    Args:
        name: the file's name.
        countersigns: the packet before it got this second signature.

    Raises:
        VerificationError: ``packet.…``: the file cannot be read.
    """
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
