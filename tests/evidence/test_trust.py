"""Trust: which key may sign what at which place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from muniment.evidence.entry import Entry
from muniment.evidence.keys import new_ed25519, new_p256
from muniment.evidence.ledger import admit
from muniment.evidence.note import COSIGNATURE_V1, ED25519, VerifierKey
from muniment.evidence.trust import KeyRing
from muniment.schemas.errors import MunimentError, TrustError
from muniment.schemas.record import Role
from muniment.schemas.times import format_time


@pytest.fixture
def lab(tmp_path: Any, lab_on: Callable[[str], Any]) -> Any:
    """A ledger on SQLite; what is judged here does not depend on the database."""
    return lab_on(f"sqlite:///{tmp_path / 'ledger.db'}")


def refused(lab: Any, action: Callable[[], object]) -> str:
    """The code ``action`` is refused with; the ledger must not have grown."""
    size = lab.size()
    with pytest.raises(MunimentError) as caught:
        action()
    lab.assert_sound(size)
    return caught.value.code


def test_roles(lab: Any) -> None:
    """Contributors sign evidence, approvers approve, roots manage keys, and nobody else does."""
    bea = lab.enrol(["contributor"], name="Bea Example")
    carl = lab.enrol(["approver"], name="Carl Example")
    rita = lab.enrol(["root"], name="Rita Example")
    (policy,) = lab.append(lab.statement(), key=bea)
    approval = lab.approval(policy.record)
    another = lab.enrolment(new_p256(), ["contributor"])
    for statement, signer in [
        (lab.statement(title="By an approver"), carl),
        (lab.statement(title="By a root"), rita),
        (approval, bea),
        (approval, rita),
        (another, bea),
        (another, carl),
    ]:
        with pytest.raises(TrustError) as caught:
            lab.append(statement, key=signer)
        assert caught.value.code == "trust.wrong-role"
        assert caught.value.expected and caught.value.found
    lab.append(approval, key=carl)
    lab.append(another, key=rita)
    lab.assert_sound(7)


def test_kinds(lab: Any) -> None:
    """A key enrolled for some kinds signs no other, its role notwithstanding."""
    bea = lab.enrol(["contributor"], name="Bea Example", kinds=["eval-result"])
    assert refused(lab, lambda: lab.append(lab.statement(), key=bea)) == "trust.wrong-kind"


def test_functions(lab: Any) -> None:
    """An approver speaks for the functions of the key, or as a plain reviewer."""
    carl = lab.enrol(["approver"], name="Carl Example", functions=["risk"])
    (policy,) = lab.append(lab.statement())
    assert (
        refused(lab, lambda: lab.append(lab.approval(policy.record, "legal"), key=carl))
        == "trust.wrong-function"
    )
    lab.append(lab.approval(policy.record, "risk"), key=carl)
    lab.append(lab.approval(policy.record, "reviewer"), key=carl)
    lab.assert_sound(5)


def test_unknown_key(lab: Any) -> None:
    """A key nobody enrolled signs nothing."""
    assert refused(lab, lambda: lab.append(lab.statement(), key=new_p256())) == "trust.unknown-key"


@pytest.mark.parametrize(
    "seconds, code", [(-1, None), (0, "trust.expired-key"), (60, "trust.expired-key")]
)
def test_expiry(lab: Any, clock: Any, seconds: int, code: str | None) -> None:
    """A key is not trusted from the moment it expires; what it signed before stays."""
    expires = clock() + timedelta(days=1)
    bea = lab.enrol(["contributor"], name="Bea Example", expires=format_time(expires))
    lab.append(lab.statement(title="In time"), key=bea)
    clock.time = expires + timedelta(seconds=seconds)
    if code is None:
        lab.append(lab.statement(title="At the last moment"), key=bea)
    else:
        late = lab.statement(title="Too late")
        assert refused(lab, lambda: lab.append(late, key=bea)) == code
    clock.move(days=400)
    lab.assert_sound(3 + (code is None))


def test_revocation(lab: Any) -> None:
    """A revoked key signs nothing more; its earlier records stay trusted."""
    bea = lab.enrol(["contributor"], name="Bea Example")
    lab.append(lab.statement(title="Before"), key=bea)
    lab.append(lab.key_statement(revocation(bea)))
    late = lab.statement(title="After")
    assert refused(lab, lambda: lab.append(late, key=bea)) == "trust.revoked-key"
    assert lab.verify().ok


def revocation(key: Any, **more: Any) -> dict[str, Any]:
    return {
        "action": "revoke",
        "fingerprint": key.public.fingerprint,
        "reason": "The laptop was lost.",
        **more,
    }


def rotation(lab: Any, old: Any, new: Any) -> Any:
    body = lab.enrolment(new, ["contributor"], name="Bea Example").body
    return lab.key_statement({**body, "action": "rotate", "replaces": old.public.fingerprint})


def test_rotation(lab: Any) -> None:
    """A rotation puts a new key in the place of the old one, and breaks no old record."""
    old, new = lab.enrol(["contributor"], name="Bea Example"), new_p256()
    lab.append(lab.statement(title="With the old one"), key=old)
    lab.append(rotation(lab, old, new))
    lab.append(lab.statement(title="With the new one"), key=new)
    late = lab.statement(title="Late")
    assert refused(lab, lambda: lab.append(late, key=old)) == "trust.revoked-key"
    lab.assert_sound(5)


def test_key_records_that_make_no_sense(lab: Any) -> None:
    """Enrolling twice, retiring what is not there or gone, and wrong fingerprints are refused."""
    bea, gone = lab.enrol(["contributor"], name="Bea Example"), lab.enrol(["contributor"])
    lab.append(lab.key_statement(revocation(gone)))
    other = lab.enrolment(new_p256(), ["contributor"])
    mismatch = {**other.body, "fingerprint": new_p256().public.fingerprint}
    for statement in [
        lab.enrolment(bea, ["contributor", "approver"], name="Bea Example"),
        lab.enrolment(gone, ["contributor"], name="Bea Again"),
        lab.key_statement(revocation(new_p256())),
        lab.key_statement(revocation(gone, reason="Once more.")),
        lab.key_statement(revocation(bea, compromisedSince=1)),
        rotation(lab, gone, new_p256()),
        rotation(lab, bea, bea),
        lab.key_statement(mismatch),
        lab.key_statement({**other.body, "publicKey": "A" * 60}),
    ]:
        assert refused(lab, lambda item=statement: lab.append(item)) == "trust.key-record"  # type: ignore[misc]


@pytest.mark.parametrize("encoded", ["01" + "00" * 31, "00" * 32, "ec" + "ff" * 30 + "7f"])
def test_small_order_keys_cannot_be_enrolled(lab: Any, encoded: str) -> None:
    """A key with which anybody can sign is refused in a record as well."""
    import base64

    spki = bytes.fromhex("302a300506032b6570032100" + encoded)
    body = lab.enrolment(new_p256(), ["contributor"]).body
    forged = lab.key_statement({**body, "publicKey": base64.b64encode(spki).decode()})
    assert refused(lab, lambda: lab.append(forged)) == "trust.key-record"


def test_a_refused_key_record_leaves_no_trace(lab: Any) -> None:
    """A rotation to a key that is enrolled already retires nothing."""
    ring = KeyRing()
    with lab.storage.read() as reader:
        row = reader.entry(0)
    genesis = Entry.from_stored(0, row.envelope, row.leaf)
    admit(genesis, ring, lab.clock(), lab.kinds, None)
    bea = new_p256()
    enrolment = lab.sign(lab.enrolment(bea, ["contributor"]))
    admit(Entry.new(1, enrolment, lab.root.public), ring, lab.clock(), lab.kinds, genesis.sha256)
    before = list(ring)
    twice = Entry.new(2, lab.sign(rotation(lab, bea, lab.root)), lab.root.public)
    with pytest.raises(TrustError):
        admit(twice, ring, lab.clock(), lab.kinds, genesis.sha256)
    assert list(ring) == before


def genesis_of(lab: Any, **changes: Any) -> Any:
    """The ledger's genesis statement, its body changed; None removes a field."""
    with lab.storage.read() as reader:
        row = reader.entry(0)
    statement = Entry.from_stored(0, row.envelope, row.leaf).statement
    body = {key: item for key, item in (dict(statement.body) | changes).items() if item is not None}
    return replace(statement, body=body)


STRANGER = new_ed25519()
BAD_GENESES: dict[str, dict[str, Any]] = {
    "no ledger key": {"ledger": None},
    "ledger key malformed": {"ledger": "name+00000000+AAAA"},
    "ledger key of small order": {
        "ledger": "a.example+00000000+AQEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    },
    "ledger key of a witness": {
        "ledger": str(VerifierKey("evidence.example.com", COSIGNATURE_V1, STRANGER.public))
    },
    "no root": {"roles": ["contributor"]},
    "a revocation": {
        "action": "revoke",
        "reason": "x",
        **dict.fromkeys(["publicKey", "roles", "functions", "ledger"]),
    },
}


@pytest.mark.parametrize("name", BAD_GENESES)
def test_malformed_genesis(lab: Any, name: str) -> None:
    """Entry 0 must be a root that enrols itself and names a sound ledger key."""
    entry = Entry.new(0, lab.sign(genesis_of(lab, **BAD_GENESES[name])), lab.root.public)
    with pytest.raises(TrustError) as caught:
        admit(entry, KeyRing(), lab.clock(), lab.kinds, None)
    assert caught.value.code == "trust.genesis"


def test_a_genesis_of_another_kind_or_signer(lab: Any) -> None:
    """A policy is no genesis, nor is an enrolment that the root did not sign itself."""
    other = new_p256()
    for statement, key in [(lab.statement(), lab.root), (genesis_of(lab), other)]:
        entry = Entry.new(0, lab.sign(statement, key), key.public)
        with pytest.raises(TrustError) as caught:
            admit(entry, KeyRing(), lab.clock(), lab.kinds, None)
        assert caught.value.code == "trust.genesis"


def test_the_ring_tells_who_holds_what(lab: Any) -> None:
    """After the records the ring knows root, ledger key, and every key with its place."""
    bea = lab.enrol(["contributor", "approver"], name="Bea Example", functions=["risk"])
    lab.append(lab.key_statement(revocation(bea)))
    with lab.storage.read() as reader:
        ring = lab.ledger.key_ring(reader, lab.kinds)
    assert ring.root == lab.root.public.fingerprint
    assert ring.ledger == VerifierKey("evidence.example.com", ED25519, lab.key.public)
    known = ring.get(bea.public.fingerprint)
    assert known is not None
    assert (known.key, known.enrolled, known.retired) == (bea.public, 1, 2)
    assert (known.signer.name, known.signer.functions) == ("Bea Example", {"risk"})
    assert known.signer.roles == {Role.CONTRIBUTOR, Role.APPROVER}
    assert len(list(ring)) == 2
    assert ring.get("SHA256:nobody") is None
