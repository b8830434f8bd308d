"""What was verified before is recalled only where it is what it was, and else not at all."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.evidence.pinned import Pinned
from muniment.evidence.recall import NotRecalledError, recall
from muniment.evidence.verification import LedgerVerifier
from muniment.schemas.kinds import KindRegistry
from muniment.schemas.record import Record
from muniment.schemas.statement import SystemRef

ONE, TWO = SystemRef("credit-risk", "1.0.0"), SystemRef("chat", "2.0.0")


def verify(lab: Any) -> tuple[list[Record], Pinned]:
    """Verify all of it; its records, and what is remembered."""
    with lab.storage.read() as reader:
        verifier = LedgerVerifier(reader, lab.vkey, lab.root.public.fingerprint, lab.kinds)
        records = list(verifier.records())
        pinned = verifier.pin()
    assert pinned is not None
    return records, pinned


def recalled(
    lab: Any, since: Pinned, *about: SystemRef, kinds: KindRegistry | None = None
) -> tuple[LedgerVerifier, list[Record]]:
    """The records of some systems."""
    root, known = lab.root.public.fingerprint, kinds or lab.kinds
    with lab.storage.read() as reader:
        return recall(reader, lab.vkey, root, known, since, about or (ONE,), None)


def own(records: list[Record], *about: SystemRef) -> list[Record]:
    """The records of some systems among all."""
    return [item for item in records if item.statement.system in (about or (ONE,))]


@pytest.fixture
def old(lab: Any, clock: Any) -> Pinned:
    """What is remembered of a ledger: #1 to #3 about one system, #4 a key, #5 about the other."""
    lab.append(lab.statement(title="One"))
    clock.move(minutes=5)
    lab.append(lab.statement(title="Two"))
    clock.move(minutes=5)
    lab.append(lab.statement(title="Three"))
    lab.enrol(["contributor"], name="Bea Example")
    clock.move(minutes=5)
    lab.append(lab.statement(title="Four", system=TWO))
    return verify(lab)[1]


def test_what_is_recalled_is_what_verification_gives(lab: Any, old: Pinned) -> None:
    """Old and new records of each system come as they come from a full verification."""
    lab.append(lab.statement(title="Five"), lab.statement(title="Six", system=TWO))
    records, _ = verify(lab)
    for about in ((ONE,), (TWO,), (ONE, TWO)):
        verifier, found = recalled(lab, old, *about)
        assert own(found, *about) == own(records, *about)
        assert verifier.report.ok
        assert (verifier.report.extent, verifier.last.size) == ("incremental", 8)  # type: ignore[union-attr]


def test_what_came_since_is_verified(lab: Any, old: Pinned) -> None:
    """A fault in a new record is a finding, though all the old ones are as they were."""
    lab.append(lab.statement(title="Five"))
    lab.change("UPDATE entry SET kind = 'approval' WHERE number = 6")
    report = recalled(lab, old)[0].report
    assert [item.code for item in report.findings] == ["column.differs"]


HIDDEN = "UPDATE entry SET system_version = '0' WHERE number = 2"
CHANGES = {
    "hidden in another system": HIDDEN,
    "hidden in none": "UPDATE entry SET system_id = '' WHERE number = 2",
    "taken from another system": (
        "UPDATE entry SET system_id = 'credit-risk', system_version = '1.0.0' WHERE number = 5"
    ),
    "removed": "DELETE FROM subject WHERE number = 2; DELETE FROM entry WHERE number = 2",
    "another envelope": (
        "UPDATE entry SET envelope = (SELECT envelope FROM entry WHERE number = 1) WHERE number = 2"
    ),
    "no envelope": "UPDATE entry SET envelope = '' WHERE number = 2",
    "another leaf": (
        "UPDATE entry SET leaf = (SELECT leaf FROM entry WHERE number = 1) WHERE number = 2"
    ),
    "recorded later": "DELETE FROM checkpoint WHERE size = 3",
    "never recorded": "DELETE FROM checkpoint",
    "a damaged checkpoint": "UPDATE checkpoint SET note = substr(note, 100) WHERE size = 3",
    "a damaged tile": "UPDATE tile SET hashes = substr(hashes, 2)",
    "a hidden key": "UPDATE entry SET kind = 'x' WHERE number = 4",
    "a key of another time": "DELETE FROM checkpoint WHERE size = 5",
    "a shorter ledger": (
        "DELETE FROM subject WHERE number = 5; DELETE FROM entry WHERE number = 5;"
        "DELETE FROM checkpoint WHERE size = 6"
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_nothing_is_recalled_of_what_was_changed(lab: Any, old: Pinned, what: str) -> None:
    """Whatever is not as it was, the whole ledger has to be verified again."""
    lab.change(*CHANGES[what].split(";"))
    with pytest.raises(NotRecalledError):
        recalled(lab, old)


def test_a_system_that_was_not_touched_is_recalled(lab: Any, old: Pinned) -> None:
    """Each system stands for itself: the rows of another are not looked at."""
    lab.change(HIDDEN)
    assert [str(item) for item in recalled(lab, old, TWO)[1]] == ["#5"]


@pytest.mark.parametrize(
    "changed",
    [
        {"rules": "0" * 64},
        {"ledger": "evidence.example.com+00000000+AAAA"},
        {"root": bytes(32)},
        {"keys": "0" * 64},
        {"systems": {}},
        {"systems": {ONE: bytes(32)}},
    ],
)
def test_nothing_is_recalled_of_another_memory(lab: Any, old: Pinned, changed: Any) -> None:
    """A memory of other rules, another ledger or other records is not this one's."""
    with pytest.raises(NotRecalledError):
        recalled(lab, replace(old, **changed))


def test_other_rules_are_noticed(lab: Any, old: Pinned) -> None:
    """Records that were sound by the kinds of then are judged again by those of now."""
    kind = b'{"$id": "%s", "type": "object", "unevaluatedProperties": false}'
    own_kind = kind % b"https://muniment.dev/evidence/house-rule/v1"
    with pytest.raises(NotRecalledError):
        recalled(lab, old, kinds=KindRegistry({"house-rule": own_kind}))


def test_an_erasure_is_noticed(lab: Any, old: Pinned) -> None:
    """Where one of a system's records was erased since, nothing of that system is recalled until
    the ledger was verified again."""
    with lab.storage.read() as reader:
        target = reader.entry(2)
    named = {"index": 2, "sha256": target.leaf_hash, "kind": "policy"}
    body = {"records": [named], "artifacts": [], "basis": "gdpr-17", "reason": "Asked for it."}
    lab.append(lab.statement("erasure", body=body))
    with pytest.raises(NotRecalledError):
        recalled(lab, old)
    records, new = verify(lab)
    verifier, found = recalled(lab, new)
    assert verifier.report.ok
    assert own(found) == own(records)


def test_trust_is_that_of_now(lab: Any, clock: Any) -> None:
    """A key that was called compromised since takes its old records' trust, as it does in full."""
    key = lab.enrol(["contributor"], name="Bea Example")
    lab.append(lab.statement(title="Hers"), key=key)
    _, old = verify(lab)
    clock.move(minutes=5)
    body = {
        "action": "revoke",
        "fingerprint": key.public.fingerprint,
        "reason": "It was stolen.",
        "compromisedSince": 2,
    }
    lab.append(lab.key_statement(body))
    records, _ = verify(lab)
    found = recalled(lab, old)[1]
    assert own(found) == own(records)
    assert [item.distrusted is None for item in own(found)] == [False]


ACTIONS = st.lists(st.sampled_from(["one", "two", "enrol", "bea", "revoke"]), max_size=8)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(before=ACTIONS, after=ACTIONS)
def test_any_history_is_recalled_as_it_is_verified(
    lab_on: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory, before: Any, after: Any
) -> None:
    """Property: whatever was appended before and after, both ways give the same records."""
    lab = lab_on(f"sqlite:///{tmp_path_factory.mktemp('any')}/ledger.db")
    keys: list[Any] = []
    for number, action in enumerate(["one", *before, "pin", *after]):
        if action == "pin":
            _, old = verify(lab)
        elif action == "enrol":
            keys.append(lab.enrol(["contributor"], name=f"Bea{number} Example"))
        elif action == "revoke" and keys:
            fingerprint = keys.pop().public.fingerprint
            body = {"action": "revoke", "fingerprint": fingerprint, "reason": "She left."}
            lab.append(lab.key_statement(body))
        elif action == "bea" and keys:
            lab.append(lab.statement(title=f"Rule {number}"), key=keys[-1])
        else:
            system = TWO if action == "two" else ONE
            lab.append(lab.statement(title=f"Rule {number}", system=system))
    records, _ = verify(lab)
    for system in (ONE, TWO):
        assert own(recalled(lab, old, system)[1], system) == own(records, system)
