"""Statements that a command makes as a whole: keys and approvals. Pure but for the salt."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from muniment.schemas.record import Role
from muniment.schemas.statement import RecordRef, Statement, Subject, SystemRef, predicate_type
from muniment.schemas.times import format_time

from .entry import Entry
from .keys import PublicKey
from .trust import KEY_KIND

References = tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a key."""

    name: str
    email: str
    type: str = "person"
    """``person`` or ``machine``."""

    def to_json(self) -> dict[str, str]:
        """As a ``key`` record's body has it."""
        return {"name": self.name, "email": self.email, "type": self.type}


def key_statement(
    public: PublicKey,
    holder: Holder,
    roles: Iterable[Role],
    functions: Sequence[str],
    now: datetime,
    *,
    references: References,
    ledger: str | None = None,
    kinds: Sequence[str] | None = None,
    expires: datetime | None = None,
) -> Statement:
    """The enrolment of a key.

    Args:
        ledger: the ledger's verifier key; in the genesis only.
        kinds: kinds the key may sign; None for all that its roles allow.
    """
    body: dict[str, Any] = {
        "action": "enrol",
        "publicKey": base64.b64encode(public.spki).decode(),
        "fingerprint": public.fingerprint,
        "holder": holder.to_json(),
        "roles": [str(role) for role in roles],
        "functions": list(functions),
    }
    if kinds is not None:
        body["kinds"] = list(kinds)
    if expires is not None:
        body["expires"] = format_time(expires)
    if ledger is not None:
        body["ledger"] = ledger
    digest = hashlib.sha256(public.spki).hexdigest()
    return Statement(
        subjects=(Subject(f"key:{public.fingerprint}", {"sha256": digest}),),
        predicate_type=predicate_type(KEY_KIND),
        system=None,
        collected_at=now,
        body=body,
        salt=secrets.token_hex(16),
        references=references,
    )


def approval_statement(
    targets: Sequence[Entry],
    system: SystemRef,
    now: datetime,
    *,
    role: str,
    decision: str,
    words: str | None,
    conditions: Sequence[str],
    references: References,
) -> Statement:
    """Approval or rejection of records, naming their digests and those of their artifacts.

    Args:
        words: what the approver declares; by default a plain sentence.
    """
    artifacts = _artifacts([target.statement for target in targets])
    refs = [RecordRef(target.index, target.sha256) for target in targets]
    numbers = ", ".join(f"#{ref.index}" for ref in refs)
    body: dict[str, Any] = {
        "decision": decision,
        "role": role,
        "statement": words or f"Reviewed {numbers} for {role}: {decision}.",
        "records": [ref.to_json() for ref in refs],
        "artifacts": [{"name": name, "sha256": digest} for digest, name in artifacts.items()],
    }
    if conditions:
        body["conditions"] = list(conditions)
    return Statement(
        subjects=tuple(
            [Subject(f"record:#{ref.index}", {"sha256": ref.sha256}) for ref in refs]
            + [Subject(name, {"sha256": digest}) for digest, name in artifacts.items()]
        ),
        predicate_type=predicate_type("approval"),
        system=system,
        collected_at=now,
        body=body,
        salt=secrets.token_hex(16),
        references=references,
    )


def _artifacts(statements: Sequence[Statement]) -> dict[str, str]:
    """SHA-256 to name of every file the statements speak of, and of the models they name."""
    found: dict[str, str] = {}
    for statement in statements:
        for subject in statement.subjects:
            if "size" in subject.annotations:
                found.setdefault(subject.sha256, subject.name)
        model = statement.body.get("model")
        if isinstance(model, Mapping) and "sha256" in model:
            found.setdefault(str(model["sha256"]), str(model.get("name", "model")))
    return found
