"""Approvals carried to where they were not given, and given by those who may not give them.

Each attack is made on a real ledger, by insiders with their own keys or by whoever stole the
ledger's; coverage must not count the approval, and say why.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError

from muniment.controls.coverage import ControlResult, Coverage, State
from muniment.evidence.dsse import Envelope
from muniment.evidence.entry import Entry
from muniment.evidence.keys import new_p256
from muniment.evidence.workspace import Evidence, Holder
from muniment.reports.workspace import Workspace
from muniment.schemas.record import Role
from muniment.schemas.statement import SystemRef

from .conftest import ADA, LATER, SYSTEM

CONTROL = "nist-ai-rmf-1.0:MEASURE 2.5"
MODEL, OTHER = (hashlib.sha256(name).hexdigest() for name in (b"model", b"other model"))
EVAL = {
    "model": {"name": "model.bin", "sha256": MODEL},
    "dataset": {"name": "loans", "split": "held-out", "sha256": "d" * 64},
    "evaluated": 200,
    "metrics": [
        {"name": "accuracy", "value": 0.93, "threshold": 0.9, "direction": "higher", "n": 200}
    ],
    "checks": [],
}


@pytest.fixture
def approved(victim: Any) -> Any:
    """The ledger with a model (#10), Bea's evaluation of it (#11), and Carl's approval (#12)."""
    register(victim, MODEL)
    victim.open(key="bea", clock=lambda: LATER).add(
        Evidence("eval-result", SYSTEM, body=EVAL, controls=[CONTROL])
    )
    victim.open(key="carl", clock=lambda: LATER).approve(["#11"])
    return victim


def register(victim: Any, model: str) -> None:
    """Say of the system which model it is, as its owner."""
    old = victim.open().verified().records[4].statement.body
    body = {**old, "model": {"name": "model.bin", "sha256": model}, "owner": ADA}
    victim.open(key="ada", clock=lambda: LATER).add(Evidence("system", SYSTEM, body=body))


def coverage(victim: Any, system: SystemRef = SYSTEM) -> Coverage:
    """What the records are worth the moment after."""
    opened = Workspace(victim.root)
    victim.opened.append(opened)
    return opened.coverage(str(system), as_of=LATER)


def control(found: Coverage) -> ControlResult:
    """The control that the evaluation claims."""
    (result,) = (item for item in found.controls if item.id == CONTROL)
    return result


def said(found: Coverage) -> set[str]:
    """Codes of all that is said of the control and of what was left out."""
    return {reason.code for reason in (*control(found).reasons, *found.left_out)}


def test_the_approval_counts_before(approved: Any) -> None:
    """Unharmed, the control is met: what the attacks show is theirs."""
    found = coverage(approved)
    assert control(found).state is State.MET
    assert [ref.index for ref in control(found).approvals] == [12]


def test_another_model_ships(approved: Any) -> None:
    """Evaluation and approval name the digest of the model: of another they say nothing."""
    register(approved, OTHER)
    assert approved.codes() == []
    found = coverage(approved)
    assert control(found).state is State.MISSING
    assert control(found).approvals == ()
    assert "evidence.other-model" in said(found)


def test_an_evaluation_of_another_model_under_the_old_approval(approved: Any) -> None:
    """A second evaluation, of the model that ships, is not approved by what was said of the first:
    the approval names digests, not a name."""
    register(approved, OTHER)
    body = {**EVAL, "model": {"name": "model.bin", "sha256": OTHER}}
    approved.open(key="bea", clock=lambda: LATER).add(
        Evidence("eval-result", SYSTEM, body=body, controls=[CONTROL])
    )
    found = coverage(approved)
    assert control(found).state is State.UNAPPROVED
    assert {"evidence.unapproved", "evidence.other-model"} <= said(found)


def rewritten(old: Entry, **fields: Any) -> Entry:
    """The approval with another body under the old signature."""
    statement = old.statement
    other = replace(statement, body={**statement.body, **fields}, salt="0" * 32)
    envelope = replace(old.envelope, payload=other.to_payload())
    return Entry.new(old.index, envelope, old.key)


@pytest.mark.parametrize(
    "fields",
    [
        {"artifacts": [{"name": "model.bin", "sha256": OTHER}]},
        {"records": [{"index": 7, "sha256": "ab" * 32}]},
        {"decision": "rejected"},
        {"role": "legal"},
    ],
    ids=["another model", "another record", "another decision", "another role"],
)
def test_the_text_of_an_approval_rewritten(approved: Any, fields: dict[str, Any]) -> None:
    """Put into the ledger with its stolen key, the old signature does not fit the new text."""
    old = approved.open().entry("#12")
    forged = rewritten(old, **fields)
    approved.put(forged.envelope.to_bytes(), forged.leaf, forged.columns(), forged.subjects())
    approved.sign(approved.ledger_key(), LATER)
    assert approved.codes() == ["signature.invalid"]


def test_the_very_bytes_again(approved: Any) -> None:
    """The approval's own bytes, put behind another model's registration, are told apart from a new
    approval: the database takes no leaf twice, and they name the old model anyway."""
    register(approved, OTHER)
    old = approved.open().entry("#12")
    with pytest.raises(IntegrityError):
        approved.put(old.envelope.to_bytes(), old.leaf, old.columns(), old.subjects())
    assert control(coverage(approved)).state is State.MISSING


def test_for_another_system(approved: Any) -> None:
    """Evidence and approval of one system version do not count for another."""
    other = SystemRef("credit-risk", "2.0.0")
    body = approved.open().verified().records[10].statement.body
    approved.open(key="ada", clock=lambda: LATER).add(Evidence("system", other, body=body))
    found = coverage(approved, other)
    assert (control(found).state, control(found).approvals) == (State.MISSING, ())


def own_key_twice(victim: Any) -> None:
    """Bea has a second key with an approver's role, under her own e-mail in other letters."""
    second(victim, Holder("B. Example", "BEA@example.com"), Role.APPROVER)


def same_key(victim: Any) -> None:
    """Bea's own key becomes an approver's too: the old one is replaced by one with both roles."""
    people = victim.open(key="ada", clock=lambda: LATER).people
    people.revoke(people.find("bea@example.com"), "Another role.")
    second(victim, Holder("Bea", "bea@example.com"), Role.CONTRIBUTOR, Role.APPROVER)


def second(victim: Any, holder: Holder, *roles: Role) -> None:
    """Enrol one more key, which approves the evaluation."""
    key, opened = new_p256(), victim.open(key="ada", clock=lambda: LATER)
    opened.keys.save(opened.keys.path("second"), key, None)
    opened.people.enrol(key.public, holder, roles=list(roles), functions=["risk"])
    victim.open(key="second", clock=lambda: LATER).approve(["#11"])


SELF: dict[str, Callable[[Any], None]] = {
    "two keys of one person": own_key_twice,
    "a new key for the old one": same_key,
}


@pytest.mark.parametrize("name", SELF)
def test_self_approval(victim: Any, name: str) -> None:
    """One person's second key is no second person: the ledger is sound, the control unapproved."""
    register(victim, MODEL)
    victim.open(key="bea", clock=lambda: LATER).add(
        Evidence("eval-result", SYSTEM, body=EVAL, controls=[CONTROL])
    )
    SELF[name](victim)
    assert victim.codes() == []
    found = coverage(victim)
    assert control(found).state is State.UNAPPROVED
    assert {"approval.same-person", "evidence.unapproved"} <= said(found)


def test_self_approval_with_one_key(approved: Any) -> None:
    """With one key that has both roles, the client refuses; forced in, it does not count."""
    people = approved.open(key="ada", clock=lambda: LATER).people
    key = new_p256()
    people.enrol(
        key.public,
        Holder("Eve", "eve@example.com"),
        roles=[Role.CONTRIBUTOR, Role.APPROVER],
        functions=["risk"],
    )
    opened = approved.open()
    own = replace(opened.entry("#11").statement, body={**EVAL, "evaluated": 300}, salt="1" * 32)
    approved.forge(own, key)
    entry = approved.open().entry("#14")
    old = opened.entry("#12").statement
    body = {**old.body, "records": [entry.ref.to_json()]}
    approved.forge(replace(old, body=body, salt="2" * 32), key)
    assert approved.codes() == []
    assert "approval.same-person" in said(coverage(approved))


def test_a_stranger_approves(approved: Any) -> None:
    """An approval under a key that nobody enrolled makes the ledger unsound, whoever put it in."""
    old = approved.open().entry("#12").statement
    made = Envelope.sign(replace(old, salt="3" * 32).to_payload(), key := new_p256())
    entry = Entry.new(13, made, key.public)
    approved.put(made.to_bytes(), entry.leaf, entry.columns(), entry.subjects())
    approved.sign(approved.ledger_key(), LATER)
    assert approved.codes() == ["trust.unknown-key"]
