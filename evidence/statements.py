"""Statements that a command makes as a whole: keys, approvals, withdrawals. Pure but for salt."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from muniment.schemas.record import Role
from muniment.schemas.statement import RecordRef, Statement, Subject, SystemRef, predicate_type
from muniment.schemas.times import format_time

from .entry import Entry
from .keys import PublicKey
from .trust import KEY_KIND, EnrolledKey

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
    return _about_keys(_key_subject(public), body, now, references)


def rotation_statement(
    old: EnrolledKey,
    public: PublicKey,
    now: datetime,
    references: References,
    expires: datetime | None = None,
) -> Statement:
    """A new key in the place of ``old``: the same holder, roles, functions and kinds.

    Args:
        expires: when the new key expires; by default when the old one does.
    """
    signer = old.signer
    holder = Holder(signer.name, signer.email, signer.type)
    statement = key_statement(
        public,
        holder,
        sorted(signer.roles),
        sorted(signer.functions),
        now,
        references=references,
        kinds=sorted(old.kinds) if old.kinds is not None else None,
        expires=expires or old.expires,
    )
    body = {**statement.body, "action": "rotate", "replaces": signer.fingerprint}
    return replace(statement, body=body)


def revocation_statement(
    key: EnrolledKey,
    now: datetime,
    references: References,
    *,
    reason: str,
    since: int | datetime | None,
) -> Statement:
    """The end of a key.

    Args:
        since: place or time from which it may have been in other hands.
    """
    body: dict[str, Any] = {
        "action": "revoke",
        "fingerprint": key.signer.fingerprint,
        "reason": reason,
    }
    if since is not None:
        body["compromisedSince"] = format_time(since) if isinstance(since, datetime) else since
    return _about_keys(_key_subject(key.key), body, now, references)


def threshold_statement(
    genesis: RecordRef, threshold: int, now: datetime, references: References
) -> Statement:
    """How many roots must sign a change of the roots."""
    subject = Subject(f"record:#{genesis.index}", {"sha256": genesis.sha256})
    body = {"action": "threshold", "threshold": threshold}
    return _about_keys(subject, body, now, references)


def _key_subject(public: PublicKey) -> Subject:
    digest = hashlib.sha256(public.spki).hexdigest()
    return Subject(f"key:{public.fingerprint}", {"sha256": digest})


def _about_keys(
    subject: Subject, body: Mapping[str, Any], now: datetime, references: References
) -> Statement:
    return Statement(
        subjects=(subject,),
        predicate_type=predicate_type(KEY_KIND),
        system=None,
        collected_at=now,
        body=body,
        salt=secrets.token_hex(16),
        references=references,
    )


def erased_item(ref: RecordRef, statement: Statement) -> dict[str, Any]:
    """What an erasure says of one record: as much as must be known when its bytes are gone."""
    found: dict[str, Any] = {
        **ref.to_json(),
        "kind": statement.kind or statement.predicate_type,
    }
    if statement.supersedes is not None:
        found["superseded"] = statement.supersedes.index
    return found


def withdrawal_statement(
    kind: str,
    targets: Sequence[Entry],
    system: SystemRef | None,
    now: datetime,
    body: Mapping[str, Any],
    references: References,
) -> Statement:
    """A retraction or an erasure of records, which are its subjects."""
    return Statement(
        subjects=tuple(
            Subject(f"record:#{target.index}", {"sha256": target.sha256}) for target in targets
        ),
        predicate_type=predicate_type(kind),
        system=system,
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
    refs = [target.ref for target in targets]
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
            if subject.is_file:
                found.setdefault(subject.sha256, subject.name)
        model = statement.body.get("model")
        if isinstance(model, Mapping) and "sha256" in model:
            found.setdefault(str(model["sha256"]), str(model.get("name", "model")))
    return found
