"""A ledger with its keys in memory, on either database."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from muniment.evidence.dsse import Envelope
from muniment.evidence.keys import SigningKey, new_ed25519, new_p256
from muniment.evidence.ledger import Appended, Ledger
from muniment.evidence.note import ED25519, VerifierKey
from muniment.evidence.storage import Storage
from muniment.evidence.verification import LedgerVerifier
from muniment.schemas.finding import VerificationReport
from muniment.schemas.kinds import KindRegistry
from muniment.schemas.record import Record
from muniment.schemas.statement import Statement, Subject, SystemRef, predicate_type

ORIGIN = "evidence.example.com"
SYSTEM = SystemRef("credit-risk", "1.0.0")


class Lab:
    """A ledger, its own key, and the root's."""

    def __init__(self, url: str, clock: Callable[[], datetime], kinds: KindRegistry) -> None:
        self.url, self.clock, self.kinds = url, clock, kinds
        self.storage = Storage(url)
        self.root = new_p256()
        self.key = new_ed25519()
        self.vkey = VerifierKey(ORIGIN, ED25519, self.key.public)
        self._genesis: tuple[dict[str, Any], ...] = ()
        roles = ["root", "contributor", "approver"]
        envelope = self.sign(self.enrolment(self.root, roles, ledger=str(self.vkey)))
        self.ledger = Ledger.create(
            self.storage, self.key, ORIGIN, envelope, self.root, kinds, clock
        )
        self._genesis = ({"relation": "genesis", **self.ledger.genesis.to_json()},)

    def statement(self, kind: str = "policy", **fields: Any) -> Statement:
        """A statement about the system; a policy whose title is ``title``."""
        title = fields.pop("title", "Rules for models")
        policy = {
            "title": title,
            "version": "1",
            "inForceFrom": "2026-01-01",
            "owner": {"name": "Ada Example", "email": "ada@example.com"},
            "reviewBy": "2027-01-01",
        }
        made = Statement(
            subjects=(SYSTEM.descriptor(),),
            predicate_type=predicate_type(kind),
            system=SYSTEM,
            collected_at=self.clock(),
            body=policy,
            salt=secrets.token_hex(16),
            references=self._genesis,
        )
        return replace(made, **fields)

    def key_statement(self, body: Mapping[str, Any]) -> Statement:
        """A ``key`` statement."""
        subject = Subject("key", {"sha256": hashlib.sha256(b"key").hexdigest()})
        return self.statement("key", subjects=(subject,), system=None, body=body)

    def enrolment(self, key: SigningKey, roles: Sequence[str], **body: Any) -> Statement:
        """A statement that enrols ``key``."""
        name = body.pop("name", "Ada Example")
        holder = {"name": name, "email": f"{name.split()[0].lower()}@example.com", "type": "person"}
        return self.key_statement(
            {
                "action": "enrol",
                "publicKey": base64.b64encode(key.public.spki).decode(),
                "fingerprint": key.public.fingerprint,
                "holder": holder,
                "roles": list(roles),
                "functions": [],
                **body,
            }
        )

    def enrol(self, roles: Sequence[str], **body: Any) -> SigningKey:
        """Enrol a new key."""
        key = new_p256()
        self.append(self.enrolment(key, roles, **body))
        return key

    def approval(self, target: Record, role: str = "reviewer") -> Statement:
        """An approval of one record."""
        body = {
            "decision": "approved",
            "role": role,
            "statement": "Looked at.",
            "records": [target.ref.to_json()],
            "artifacts": [],
        }
        return self.statement("approval", body=body)

    def sign(self, statement: Statement, key: SigningKey | None = None) -> Envelope:
        """Sign as ``key``, by default the root's."""
        return Envelope.sign(statement.to_payload(), key or self.root)

    def append(self, *statements: Statement, key: SigningKey | None = None) -> list[Appended]:
        """Sign and append in one batch."""
        signer = key or self.root
        signed = [(self.sign(item, signer), signer) for item in statements]
        return self.ledger.append(self.key, signed, self.kinds)

    def size(self) -> int:
        """Number of entries."""
        with self.storage.read() as reader:
            return reader.size()

    def verify(self) -> VerificationReport:
        """Verify the whole ledger."""
        with self.storage.read() as reader:
            verifier = LedgerVerifier(reader, self.vkey, self.root.public.fingerprint, self.kinds)
            list(verifier.records())
        return verifier.report

    def change(self, *statements: str) -> None:
        """Change the database past its triggers, as whoever holds it can."""
        engine = create_engine(self.url)
        with engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
                first = [f"DROP TRIGGER {name}" for (name,) in connection.execute(text(query))]
            else:
                first = ["SET LOCAL session_replication_role = replica"]
            for statement in (*first, *statements):
                connection.execute(text(statement))
        engine.dispose()

    def assert_sound(self, size: int) -> None:
        """The ledger verifies and has ``size`` entries, no more and no fewer."""
        report = self.verify()
        assert (report.ok, list(report.findings)) == (True, [])
        assert self.size() == size


@pytest.fixture(scope="session")
def kinds() -> KindRegistry:
    """The built-in kinds."""
    return KindRegistry()


@pytest.fixture
def lab(ledger_url: str, clock: Callable[[], datetime], kinds: KindRegistry) -> Iterator[Lab]:
    """A ledger with a genesis; the test runs on both databases."""
    made = Lab(ledger_url, clock, kinds)
    yield made
    made.storage.close()


@pytest.fixture
def lab_on(clock: Callable[[], datetime], kinds: KindRegistry) -> Iterator[Callable[[str], Lab]]:
    """Makes a ledger with a genesis at a URL."""
    made: list[Lab] = []

    def make(url: str) -> Lab:
        made.append(Lab(url, clock, kinds))
        return made[-1]

    yield make
    for item in made:
        item.storage.close()


@pytest.fixture
def system_body() -> dict[str, Any]:
    """A valid body of a ``system`` record."""
    return {
        "name": "Credit risk scoring",
        "purpose": "Scores loan applications for a clerk who decides.",
        "phase": "pilot",
        "riskTier": "high",
        "owner": {"name": "Ada Example", "email": "ada@example.com"},
    }
