"""Records forced into the ledger with its own stolen key: the ledger holds them, nobody is fooled.

Whoever has the database and the ledger's key appends what they like, under a sound checkpoint. Who
signed it, with which right at that place, is judged from the ledger alone.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from muniment.evidence.dsse import Envelope
from muniment.evidence.entry import Entry
from muniment.evidence.keys import SigningKey, new_p256
from muniment.evidence.merkle import hash_leaf
from muniment.evidence.statements import (
    Holder,
    key_statement,
    revocation_statement,
    threshold_statement,
)
from muniment.evidence.workspace import Workspace
from muniment.schemas.record import Role
from muniment.schemas.statement import Statement

from .conftest import LATER

NOON = datetime(2026, 4, 1, 12, 0, tzinfo=UTC)
"""When honest changes of keys are made, after the template and before what is forged."""


def root(victim: Any) -> Workspace:
    """The workspace as its root uses it."""
    opened: Workspace = victim.open(key="ada", clock=lambda: NOON)
    return opened


def enrol(victim: Any, **options: Any) -> SigningKey:
    """Enrol a new key, honestly."""
    key = new_p256()
    holder = options.pop("holder", Holder("Eve Example", "eve@example.com"))
    roles = options.pop("roles", [Role.CONTRIBUTOR])
    root(victim).people.enrol(key.public, holder, roles=roles, **options)
    return key


def unknown(victim: Any) -> None:
    victim.forge(victim.statement(), new_p256())


def revoked(victim: Any) -> None:
    people = root(victim).people
    people.revoke(people.find("bea@example.com"), "Left the bank.")
    victim.forge(victim.statement(), victim.key("bea"))


def replaced(victim: Any) -> None:
    people = root(victim).people
    people.rotate(people.find("bea@example.com"), new_p256().public)
    victim.forge(victim.statement(), victim.key("bea"))


def expired(victim: Any) -> None:
    key = enrol(victim, expires=NOON + timedelta(days=1))
    victim.forge(victim.statement(), key)


def contributes_as_approver(victim: Any) -> None:
    victim.forge(victim.statement(), victim.key("carl"))


def approves_as_contributor(victim: Any) -> None:
    victim.forge(approval(victim), victim.key("bea"))


def erases_as_contributor(victim: Any) -> None:
    target = victim.open().verified().records[7]
    item = {**target.ref.to_json(), "kind": "policy"}
    body = {"records": [item], "artifacts": [], "basis": "law", "reason": "x"}
    kind = "https://muniment.dev/evidence/erasure/v1"
    victim.forge(victim.statement(predicate_type=kind, body=body), victim.key("bea"))


def signs_another_kind(victim: Any) -> None:
    victim.forge(victim.statement(), enrol(victim, kinds=["eval-result"]))


def approves_for_another_function(victim: Any) -> None:
    victim.forge(approval(victim, role="legal"), victim.key("carl"))


def approves_as_machine(victim: Any) -> None:
    holder = Holder("Build", "build@example.com", "machine")
    key = enrol(victim, holder=holder, roles=[Role.APPROVER], functions=["risk"])
    victim.forge(approval(victim), key)


def approval(victim: Any, **fields: Any) -> Statement:
    """Carl's approval once more, with another text; signed by whoever."""
    statement: Statement = victim.open().verified().records[6].statement
    return replace(statement, body={**statement.body, "statement": "Forged.", **fields})


def enrolment(victim: Any, key: SigningKey, *roles: Role) -> Statement:
    """Mallory's enrolment, which no root has signed."""
    holder = Holder("Mallory Example", "mallory@example.com")
    references = victim.open().references
    return key_statement(key.public, holder, roles, [], LATER, references=references)


def enrols(signer: str) -> Callable[[Any], None]:
    def attack(victim: Any) -> None:
        victim.forge(enrolment(victim, new_p256(), Role.CONTRIBUTOR), victim.key(signer))

    return attack


def revokes_as_contributor(victim: Any) -> None:
    opened = root(victim)
    statement = revocation_statement(
        opened.people.find("carl@example.com"), LATER, opened.references, reason="x", since=None
    )
    victim.forge(statement, victim.key("bea"))


def sets_threshold_as_contributor(victim: Any) -> None:
    opened = root(victim)
    statement = threshold_statement(opened.ledger.genesis, 1, LATER, opened.references)
    victim.forge(statement, victim.key("bea"))


def replayed_from_another_ledger(victim: Any) -> None:
    foreign = ({"relation": "genesis", "index": 0, "sha256": "ab" * 32},)
    victim.forge(victim.statement(references=foreign), victim.key("bea"))


def bound_to_no_ledger(victim: Any) -> None:
    victim.forge(victim.statement(references=()), victim.key("bea"))


def of_an_unknown_kind(victim: Any) -> None:
    kind = "https://muniment.dev/evidence/unheard/v1"
    victim.forge(victim.statement(predicate_type=kind), victim.key("bea"))


def against_its_kind(victim: Any) -> None:
    victim.forge(victim.statement(body={"title": "x"}), victim.key("bea"))


def of_facts_to_come(victim: Any) -> None:
    victim.forge(victim.statement(collected_at=LATER + timedelta(days=3)), victim.key("bea"))


def of_an_enrolled_key_that_anybody_can_sign_for(victim: Any) -> None:
    """An honest root's signature under an Ed25519 key of order 1."""
    body = dict(enrolment(victim, new_p256(), Role.CONTRIBUTOR).body)
    spki = bytes.fromhex("302a300506032b6570032100" + "01" + "00" * 31)
    body["publicKey"] = base64.b64encode(spki).decode()
    statement = enrolment(victim, new_p256(), Role.CONTRIBUTOR)
    victim.forge(replace(statement, body=body), victim.key("ada"))


ATTACKS: dict[str, tuple[Callable[[Any], None], str]] = {
    "unknown key": (unknown, "trust.unknown-key"),
    "revoked key": (revoked, "trust.revoked-key"),
    "replaced key": (replaced, "trust.revoked-key"),
    "expired key": (expired, "trust.expired-key"),
    "wrong role: an approver's evidence": (contributes_as_approver, "trust.wrong-role"),
    "wrong role: a contributor's approval": (approves_as_contributor, "trust.wrong-role"),
    "wrong role: a contributor's erasure": (erases_as_contributor, "trust.wrong-role"),
    "wrong kind": (signs_another_kind, "trust.wrong-kind"),
    "wrong function": (approves_for_another_function, "trust.wrong-function"),
    "a machine's approval": (approves_as_machine, "trust.machine"),
    "enrolment by a contributor": (enrols("bea"), "trust.wrong-role"),
    "enrolment by an approver": (enrols("carl"), "trust.wrong-role"),
    "revocation by a contributor": (revokes_as_contributor, "trust.wrong-role"),
    "threshold by a contributor": (sets_threshold_as_contributor, "trust.wrong-role"),
    "replayed from another ledger": (replayed_from_another_ledger, "statement.foreign-ledger"),
    "bound to no ledger": (bound_to_no_ledger, "statement.foreign-ledger"),
    "unknown kind": (of_an_unknown_kind, "kind.unknown"),
    "against its kind": (against_its_kind, "body.malformed"),
    "facts to come": (of_facts_to_come, "statement.future"),
    "a small-order key enrolled": (
        of_an_enrolled_key_that_anybody_can_sign_for,
        "trust.key-record",
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_forced_in(victim: Any, name: str) -> None:
    """The record is found under its own code, never becomes one, and spoils nothing before it."""
    attack, code = ATTACKS[name]
    attack(victim)
    report = victim.open().verify()
    ((last,),) = victim.sql("SELECT max(number) FROM entry")
    assert [(finding.code, finding.record) for finding in report.findings] == [(code, last)]
    assert [record.index for record in victim.open().verified().records] == list(range(last))


def test_a_key_that_no_root_enrolled_stays_unknown(victim: Any) -> None:
    """What is signed with a key that a contributor enrolled is a stranger's."""
    key = new_p256()
    victim.forge(enrolment(victim, key, Role.CONTRIBUTOR), victim.key("bea"))
    victim.forge(victim.statement(), key)
    found = [(finding.code, finding.record) for finding in victim.open().verify().findings]
    assert found == [("trust.wrong-role", 10), ("trust.unknown-key", 11)]


def test_one_root_of_two_enrols_no_root(victim: Any) -> None:
    """Alone, a root's word for another root is sound and waits: nobody is enrolled by it."""
    enrol(victim, holder=Holder("Rita Example", "rita@example.com"), roles=[Role.ROOT])
    root(victim).people.set_threshold(2)
    key = new_p256()
    victim.forge(enrolment(victim, key, Role.ROOT), victim.key("ada"))
    assert victim.codes() == []
    victim.forge(enrolment(victim, new_p256(), Role.CONTRIBUTOR), key)
    assert victim.codes() == ["trust.unknown-key"]


def test_a_stolen_personal_key_counts_until_it_is_called_compromised(victim: Any) -> None:
    """With a person's own key nothing shows, until a root says since when it was stolen."""
    victim.forge(victim.statement(), victim.key("bea"), NOON - timedelta(days=1))
    assert victim.codes() == []
    people = root(victim).people
    people.revoke(people.find("bea@example.com"), "Stolen.", 10)
    assert victim.codes() == []
    distrusted = [item.index for item in victim.open().verified().records if item.distrusted]
    assert distrusted == [10]


# Dates


def test_a_checkpoint_dated_back(victim: Any) -> None:
    """The ledger's key cannot date a record before the ones that stand before it."""
    past = datetime(2026, 1, 1, tzinfo=UTC)
    victim.forge(victim.statement(collected_at=past), victim.key("bea"), past)
    assert victim.codes() == ["checkpoint.time"]


def test_a_record_slipped_in_between(victim: Any) -> None:
    """A record put where it would look older moves the ones behind it: their checkpoints fit no
    more, though its signer was entitled and all rows and tiles are as they should be."""
    for table in ("subject", "entry"):
        for number in (9, 8, 7):
            victim.sql(f"UPDATE {table} SET number = {number + 1} WHERE number = {number}")
    put_at(victim, 7)
    victim.sign(victim.ledger_key(), LATER)
    assert victim.codes() == ["checkpoint.root"]


def put_at(victim: Any, place: int) -> None:
    """Put a record at a free place, and make the tiles those of the leaves."""
    victim.insert(victim.statement(), victim.key("bea"))
    for table in ("subject", "entry"):
        victim.sql(f"UPDATE {table} SET number = {place} WHERE number = 11")
    leaves = [bytes(leaf) for (leaf,) in victim.sql("SELECT leaf FROM entry ORDER BY number")]
    victim.put_tiles({(0, 0): b"".join(map(hash_leaf, leaves))})


def test_facts_said_to_be_old_are_no_fault_and_no_gain(victim: Any) -> None:
    """Old facts may be recorded late: the recorded time stands beside them, and is the ledger's."""
    past = datetime(2020, 1, 1, tzinfo=UTC)
    victim.forge(victim.statement(collected_at=past), victim.key("bea"))
    assert victim.codes() == []
    record = victim.open().verified().records[10]
    assert (record.statement.collected_at, record.recorded_at) == (past, LATER)


def test_the_leaf_of_a_record_names_who_signed(victim: Any) -> None:
    """A stranger's signature under an enrolled person's key in the leaf does not hold."""
    stranger, bea = new_p256(), victim.key("bea")
    made = Envelope.sign(victim.statement().to_payload(), stranger)
    envelope = replace(made, keyid=bea.public.fingerprint)
    entry = Entry.new(10, envelope, bea.public)
    victim.put(envelope.to_bytes(), entry.leaf, entry.columns(), entry.subjects())
    victim.sign(victim.ledger_key(), LATER)
    assert victim.codes() == ["signature.invalid"]
