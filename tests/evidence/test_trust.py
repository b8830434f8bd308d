"""Trust: which key may sign what at which place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from muniment.evidence.admission import admit
from muniment.evidence.entry import Entry
from muniment.evidence.keys import new_ed25519, new_p256
from muniment.evidence.note import COSIGNATURE_V1, ED25519, VerifierKey
from muniment.evidence.trust import KeyRing
from muniment.evidence.verification import LedgerVerifier
from muniment.schemas.errors import MunimentError, TrustError
from muniment.schemas.record import Record, Role
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


def test_rotation_keeps_the_person(lab: Any) -> None:
    """What a person signed with the old key and the new is the same person's."""
    old, new = lab.enrol(["contributor"], name="Bea Example"), new_p256()
    (before,) = lab.append(lab.statement(title="Before"), key=old)
    lab.append(rotation(lab, old, new))
    (after,) = lab.append(lab.statement(title="After"), key=new)
    assert before.record.signer.person == after.record.signer.person
    assert before.record.signer.fingerprint != after.record.signer.fingerprint


def records(lab: Any) -> list[Record]:
    """Every record of the ledger, which must be sound."""
    with lab.storage.read() as reader:
        verifier = LedgerVerifier(reader, lab.vkey, lab.root.public.fingerprint, lab.kinds)
        found = list(verifier.records())
    assert list(verifier.report.findings) == []
    return found


def distrusted(lab: Any) -> list[int]:
    """Places of the records that lost their trust."""
    return [record.index for record in records(lab) if record.distrusted]


def test_a_compromised_key_loses_what_came_after(lab: Any) -> None:
    """From the place that a revocation names, the key's records count for nothing; before, all."""
    bea = lab.enrol(["contributor"], name="Bea Example")
    lab.append(*(lab.statement(title=str(number)) for number in range(4)), key=bea)
    lab.append(lab.statement(title="Another's"))
    lab.append(lab.key_statement(revocation(bea, compromisedSince=4)))
    assert distrusted(lab) == [4, 5]
    notes = [note for check in lab.verify().checks for note in check.notes]
    assert [(note.code, note.record) for note in notes] == [
        ("record.distrusted", 4),
        ("record.distrusted", 5),
    ]


def test_compromised_since_a_moment(lab: Any, clock: Any) -> None:
    """A time in place of a number: the recorded time decides, not what the record says."""
    bea = lab.enrol(["contributor"], name="Bea Example")
    lab.append(lab.statement(title="Before"), key=bea)
    clock.move(days=1)
    since = clock()
    backdated = since - timedelta(days=30)
    lab.append(lab.statement(title="After", collected_at=backdated), key=bea)
    lab.append(lab.key_statement(revocation(bea, compromisedSince=format_time(since))))
    assert distrusted(lab) == [3]


def test_a_compromised_root_takes_its_enrolments_along(lab: Any) -> None:
    """A key enrolled by a root that was in other hands was never enrolled."""
    rita = lab.enrol(["root"], name="Rita Example")
    enrolment = lab.enrolment(mallory := new_p256(), ["contributor"], name="Mallory Example")
    lab.append(enrolment, key=rita)
    lab.append(lab.statement(title="Forged"), key=mallory)
    lab.append(lab.key_statement(revocation(rita, compromisedSince=2)))
    assert distrusted(lab) == [2, 3]
    more = lab.statement(title="More")
    assert refused(lab, lambda: lab.append(more, key=mallory)) == "trust.compromised-key"
    with lab.storage.read() as reader:
        ring = lab.ledger.key_ring(reader, lab.kinds)
    assert ring.get(mallory.public.fingerprint) is None


def test_what_rests_on_a_forged_key_record_falls_with_it(lab: Any) -> None:
    """An honest root's word on a key that was never rightly there counts for nothing either."""
    rita = lab.enrol(["root"], name="Rita Example")
    enrolment = lab.enrolment(mallory := new_p256(), ["contributor"], name="Mallory Example")
    lab.append(enrolment, key=rita)
    lab.append(lab.key_statement(revocation(mallory)))
    lab.append(lab.key_statement(revocation(rita, compromisedSince=2)))
    assert distrusted(lab) == [2, 3]
    lab.enrol(["contributor"], name="Bea Example")
    lab.assert_sound(6)


def test_a_key_put_in_place_of_a_forged_one_is_told_apart(lab: Any) -> None:
    """What rested on a forged enrolment loses its trust with it; the ledger stays sound."""
    rita = lab.enrol(["root"], name="Rita Example")
    first, second = new_p256(), new_p256()
    lab.append(lab.enrolment(first, ["contributor"], name="Bea Example"), key=rita)
    lab.append(rotation(lab, first, second))
    lab.append(lab.statement(title="By the second key"), key=second)
    lab.append(lab.key_statement(revocation(rita, compromisedSince=2)))
    assert distrusted(lab) == [2, 3, 4]


def test_a_change_that_waits_again_is_told_apart(lab: Any) -> None:
    """Where a lost vote had lowered the threshold, what was done under it loses its trust."""
    rita = two_roots(lab)
    third = new_p256()
    body = lab.enrolment(third, ["root"], name="Carl Example").body
    lab.append(lab.key_statement(body))
    lab.append(lab.key_statement(body), key=rita)
    lower = {"action": "threshold", "threshold": 1}
    lab.append(lab.key_statement(lower))
    lab.append(lab.key_statement(lower), key=rita)
    alone = lab.enrol(["root", "contributor"], name="Dora Example")
    lab.append(lab.statement(title="By the fourth root"), key=alone)
    revoke = lab.key_statement(revocation(rita, compromisedSince=6))
    lab.append(lab.key_statement({"action": "threshold", "threshold": 2}))
    lab.append(revoke)
    lab.append(lab.key_statement(revoke.body), key=third)
    assert distrusted(lab) == [6, 8]


@pytest.mark.parametrize("limits", [{"kinds": ["policy"]}, {"expires": "2020-01-01T00:00:00Z"}])
def test_a_root_that_cannot_act_is_none(lab: Any, limits: dict[str, Any]) -> None:
    """Nobody enrols a root that may not sign key records, or one that has expired."""
    statement = lab.enrolment(new_p256(), ["root"], name="Rita Example", **limits)
    assert refused(lab, lambda: lab.append(statement)) == "trust.key-record"


def test_the_last_root_that_can_act_stays(lab: Any, clock: Any) -> None:
    """A root that has expired since does not count among those that remain."""
    expires = format_time(clock() + timedelta(days=1))
    lab.enrol(["root"], name="Rita Example", expires=expires)
    clock.move(days=2)
    statement = lab.key_statement(revocation(lab.root))
    assert refused(lab, lambda: lab.append(statement)) == "trust.key-record"


def test_no_revocation_saws_off_its_own_branch(lab: Any) -> None:
    """A root whose word made others roots cannot be unsaid so far back that too few remain."""
    rita = two_roots(lab)
    third = new_p256()
    body = lab.enrolment(third, ["root"], name="Carl Example").body
    lab.append(lab.key_statement(body))
    lab.append(lab.key_statement(body), key=rita)
    change = lab.key_statement(revocation(rita, compromisedSince=1))
    lab.append(change)
    last = lab.key_statement(change.body)
    assert refused(lab, lambda: lab.append(last, key=third)) == "trust.key-record"


def test_roots_that_turn_on_each_other(lab: Any) -> None:
    """Without a threshold the first root that speaks prevails, and no loop comes of it."""
    rita = lab.enrol(["root"], name="Rita Example")
    lab.append(lab.key_statement(revocation(rita, compromisedSince=1)))
    late = lab.key_statement(revocation(lab.root, compromisedSince=1))
    assert refused(lab, lambda: lab.append(late, key=rita)) == "trust.revoked-key"


def two_roots(lab: Any) -> Any:
    """A ledger whose roots change only if both of two roots agree; gives the second's key."""
    rita = lab.enrol(["root"], name="Rita Example")
    lab.append(lab.key_statement({"action": "threshold", "threshold": 2}))
    return rita


def ring_of(lab: Any) -> KeyRing:
    with lab.storage.read() as reader:
        ring: KeyRing = lab.ledger.key_ring(reader, lab.kinds)
    return ring


def test_a_change_of_the_roots_needs_the_threshold(lab: Any) -> None:
    """One of two roots enrols contributors alone; another root, only with the other."""
    rita = two_roots(lab)
    lab.enrol(["contributor"], name="Bea Example")
    third = new_p256()
    body = lab.enrolment(third, ["root"], name="Carl Example").body
    lab.append(lab.key_statement(body))
    assert ring_of(lab).get(third.public.fingerprint) is None
    assert [len(change.votes) for change in ring_of(lab).waiting(lab.clock())] == [1]
    lab.append(lab.key_statement({**body, "functions": ["risk"]}), key=rita)
    assert ring_of(lab).get(third.public.fingerprint) is None, "another change"
    lab.append(lab.key_statement(body), key=rita)
    enrolled = ring_of(lab).get(third.public.fingerprint)
    assert enrolled is not None and enrolled.enrolled == 6
    lab.assert_sound(7)


def test_one_person_is_one_vote(lab: Any) -> None:
    """Two root keys of one person do not make two."""
    two_roots(lab)
    second = new_p256()
    body = lab.enrolment(second, ["root"], name="Ada Example").body
    lab.append(lab.key_statement(body))
    lab.append(lab.key_statement(body))
    assert ring_of(lab).get(second.public.fingerprint) is None


def vote_for_a_root(lab: Any) -> tuple[Any, dict[str, Any]]:
    """The first root of two asks for a third; gives the second's key and the change."""
    rita = two_roots(lab)
    body = dict(lab.enrolment(new_p256(), ["root"], name="Carl Example").body)
    lab.append(lab.key_statement(body))
    return rita, body


@pytest.mark.parametrize("days, counts", [(89, True), (90, False)])
def test_a_vote_lapses(lab: Any, clock: Any, days: int, counts: bool) -> None:
    """A root's word for a change of the roots counts for 90 days of recorded time."""
    rita, body = vote_for_a_root(lab)
    clock.move(days=days)
    lab.append(lab.key_statement(body), key=rita)
    assert (ring_of(lab).get(body["fingerprint"]) is not None) is counts
    waiting = [list(change.votes.values()) for change in ring_of(lab).waiting(clock())]
    assert waiting == ([] if counts else [[4]])
    lab.assert_sound(5)


def test_a_lapsed_vote_is_given_again(lab: Any, clock: Any) -> None:
    """The same word of the same root is a new record once the first has lapsed, and only then."""
    rita, body = vote_for_a_root(lab)
    assert not lab.append(lab.key_statement(body))[0].is_new
    clock.move(days=90)
    assert ring_of(lab).waiting(clock()) == []
    for is_new in (True, False):
        (again,) = lab.append(lab.key_statement(body))
        assert (again.is_new, again.record.index) == (is_new, 4)
    lab.append(lab.key_statement(body), key=rita)
    assert ring_of(lab).get(body["fingerprint"]) is not None


@pytest.mark.parametrize("end", ["revoked", "expired", "revoked, with another left"])
def test_a_vote_falls_with_its_key(lab: Any, clock: Any, end: str) -> None:
    """The word of a root whose key ended meanwhile no longer counts, though it was good when
    given, and though the person be a root by another key."""
    limits = {"expires": format_time(clock() + timedelta(days=9))} if end == "expired" else {}
    carl, rita = lab.enrol(["root"], name="Carl Example"), new_p256()
    lab.append(lab.enrolment(rita, ["root"], name="Rita Example", **limits))
    if end == "revoked, with another left":
        lab.enrol(["root"], name="Rita Example")
    lab.append(lab.key_statement({"action": "threshold", "threshold": 2}))
    body = lab.enrolment(new_p256(), ["root"], name="Dora Example").body
    lab.append(lab.key_statement(body), key=rita)
    if end == "expired":
        clock.move(days=10)
    else:
        for signer in (lab.root, carl):
            lab.append(lab.key_statement(revocation(rita)), key=signer)
    lab.append(lab.key_statement(body))
    assert ring_of(lab).get(body["fingerprint"]) is None
    lab.append(lab.key_statement(body), key=carl)
    assert ring_of(lab).get(body["fingerprint"]) is not None
    assert lab.verify().ok


@pytest.mark.parametrize("change", ["revoke", "rotate", "threshold"])
def test_one_root_cannot_take_over(lab: Any, change: str) -> None:
    """Alone, a root neither removes nor replaces another, nor lowers the threshold."""
    rita = two_roots(lab)
    third = new_p256()
    body = lab.enrolment(third, ["root"], name="Carl Example").body
    lab.append(lab.key_statement(body), lab.statement())
    lab.append(lab.key_statement(body), key=rita)
    lab.append(lab.statement(title="More"))
    bodies = {
        "revoke": revocation(rita, compromisedSince=6),
        "rotate": {
            **lab.enrolment(new_p256(), ["root"], name="Rita Example").body,
            "action": "rotate",
            "replaces": rita.public.fingerprint,
        },
        "threshold": {"action": "threshold", "threshold": 1},
    }
    lab.append(lab.key_statement(bodies[change]))
    ring = ring_of(lab)
    known = ring.get(rita.public.fingerprint)
    assert known is not None and known.retired is None
    waiting = ring.waiting(lab.clock())
    assert (ring.threshold, len(waiting), distrusted(lab)) == (2, 1, [])
    lab.append(lab.key_statement(bodies[change]), key=third)
    ring = ring_of(lab)
    assert ring.waiting(lab.clock()) == []
    known = ring.get(rita.public.fingerprint)
    assert (known is not None and known.retired is None) == (change == "threshold")


def test_the_threshold_is_never_out_of_reach(lab: Any) -> None:
    """More than there are roots, or fewer roots than it takes, is refused."""
    rita = two_roots(lab)
    for body in [revocation(rita), {"action": "threshold", "threshold": 3}]:
        statement = lab.key_statement(body)
        assert refused(lab, lambda item=statement: lab.append(item)) == "trust.key-record"  # type: ignore[misc]


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
        rotation(lab, gone, new_p256()),
        rotation(lab, lab.root, new_p256()),
        lab.key_statement(revocation(lab.root)),
        lab.key_statement({"action": "threshold", "threshold": 2}),
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
    "a machine": {
        "holder": {"name": "Build", "email": "build@example.com", "type": "machine"},
    },
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
