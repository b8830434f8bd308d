"""Trust as keys end: what is learnt later, what expires, what is said twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from muniment.evidence.keys import new_p256
from muniment.evidence.trust import KeyRing
from muniment.evidence.verification import LedgerVerifier
from muniment.schemas.errors import MunimentError
from muniment.schemas.times import format_time


@pytest.fixture
def lab(tmp_path: Any, lab_on: Callable[[str], Any]) -> Any:
    """A ledger on SQLite; what is judged here does not depend on the database."""
    return lab_on(f"sqlite:///{tmp_path / 'ledger.db'}")


def refused(lab: Any, body: dict[str, Any], key: Any = None) -> MunimentError:
    """What a change of keys is refused with; the ledger must not have grown."""
    size = lab.size()
    with pytest.raises(MunimentError) as caught:
        lab.append(lab.key_statement(body), key=key)
    lab.assert_sound(size)
    return caught.value


def change(lab: Any, body: dict[str, Any], key: Any = None) -> Any:
    """Append a change of keys."""
    (appended,) = lab.append(lab.key_statement(body), key=key)
    return appended


def ring_of(lab: Any) -> KeyRing:
    """The keys as they stand."""
    with lab.storage.read() as reader:
        ring: KeyRing = lab.ledger.key_ring(reader, lab.kinds)
    return ring


def revocation(key: Any, **more: Any) -> dict[str, Any]:
    """The end of a key."""
    fingerprint = key.public.fingerprint
    return {"action": "revoke", "fingerprint": fingerprint, "reason": "It was lost.", **more}


def enrolment(lab: Any, name: str, roles: list[str], **more: Any) -> dict[str, Any]:
    """The enrolment of a new key."""
    body = lab.enrolment(new_p256(), roles, name=f"{name} Example", **more).body
    return dict(body)


def rotation(lab: Any, old: Any, name: str, roles: list[str], **more: Any) -> dict[str, Any]:
    """A new key in the place of one."""
    body = enrolment(lab, name, roles, **more)
    return {**body, "action": "rotate", "replaces": old.public.fingerprint}


def distrusted(lab: Any) -> list[int]:
    """Places of the records that lost their trust, in a sound ledger."""
    with lab.storage.read() as reader:
        verifier = LedgerVerifier(reader, lab.vkey, lab.root.public.fingerprint, lab.kinds)
        found = [record.index for record in verifier.records() if record.distrusted]
    assert list(verifier.report.findings) == []
    return found


@pytest.mark.parametrize("end", ["revoked", "rotated"])
def test_a_key_that_ended_is_called_compromised_later(lab: Any, end: str) -> None:
    """A theft is often learnt of after the key has gone: what it signed since loses its trust."""
    bea = lab.enrol(["contributor"], name="Bea Example")
    lab.append(*(lab.statement(title=str(number)) for number in range(3)), key=bea)
    is_revoked = end == "revoked"
    change(lab, revocation(bea) if is_revoked else rotation(lab, bea, "Bea", ["contributor"]))
    lab.append(lab.statement(title="Another's"))
    change(lab, revocation(bea, reason="It was stolen.", compromisedSince=3))
    assert distrusted(lab) == [3, 4]
    known = ring_of(lab).get(bea.public.fingerprint)
    assert known is not None
    assert (known.retired, known.compromised_since, known.compromised_by) == (5, 3, 7)
    assert known.retired_because == ("revoked" if is_revoked else "replaced")
    again = refused(lab, revocation(bea, reason="Earlier still.", compromisedSince=2))
    assert "compromised since #3 already" in again.message


def test_a_plain_revocation_is_not_said_twice(lab: Any) -> None:
    """Of a key that ended, nothing is news but that it was in other hands."""
    bea = lab.enrol(["contributor"], name="Bea Example")
    change(lab, revocation(bea))
    again = refused(lab, revocation(bea, reason="Once more."))
    assert (again.code, "was revoked by #2" in again.message) == ("trust.key-record", True)


def test_a_root_that_ended_is_called_compromised_by_the_threshold(lab: Any) -> None:
    """What takes the trust of a root's words needs as many roots as its revocation did."""
    rita = lab.enrol(["root"], name="Rita Example")
    carl = lab.enrol(["root"], name="Carl Example")
    change(lab, {"action": "threshold", "threshold": 2})
    for signer in (lab.root, carl):
        change(lab, revocation(rita), signer)
    lab.enrol(["contributor"], name="Bea Example")
    stolen = revocation(rita, compromisedSince=4)
    change(lab, stolen)
    assert ring_of(lab).compromised == {}
    change(lab, stolen, carl)
    assert ring_of(lab).compromised == {rita.public.fingerprint: 4}
    assert lab.verify().ok


def test_the_first_to_be_called_compromised_comes_first(lab: Any) -> None:
    """What counts is when a key was called compromised, not when it ended: what was said before
    stays said, although its signer falls with a key that ended earlier."""
    rita = lab.enrol(["root"], name="Rita Example")
    zoe = new_p256()
    change(lab, lab.enrolment(zoe, ["root"], name="Zoe Example").body, rita)
    bea = lab.enrol(["contributor"], name="Bea Example")
    change(lab, revocation(rita))
    change(lab, revocation(bea, compromisedSince=4), zoe)
    change(lab, revocation(rita, reason="It was stolen.", compromisedSince=2))
    assert ring_of(lab).compromised == {rita.public.fingerprint: 2, bea.public.fingerprint: 4}


@pytest.mark.parametrize("since", ["place", "moment"])
def test_nothing_is_compromised_since_later(lab: Any, clock: Any, since: str) -> None:
    """A place that no record has, or a time to come, is no time since which a key was stolen."""
    bea = lab.enrol(["contributor"], name="Bea Example")
    moments = {"place": lab.size(), "moment": format_time(clock() + timedelta(days=1))}
    body = revocation(bea, compromisedSince=moments[since])
    assert refused(lab, body).code == "trust.key-record"


def test_a_revoked_key_is_not_enrolled_again(lab: Any) -> None:
    """The same enrolment after the key's end is no repetition, and is refused by its reason."""
    body = enrolment(lab, "Eve", ["contributor"])
    assert change(lab, body).is_new
    assert not change(lab, body).is_new
    fingerprint = body["fingerprint"]
    change(lab, {"action": "revoke", "fingerprint": fingerprint, "reason": "Left."})
    again = refused(lab, body)
    assert (again.code, "revoked by #2: Left." in again.message) == ("trust.key-record", True)


def test_an_expired_key_is_not_enrolled_again(lab: Any, clock: Any) -> None:
    """The same enrolment after the key's expiry is no repetition either."""
    expires = format_time(clock() + timedelta(days=1))
    body = enrolment(lab, "Eve", ["contributor"], expires=expires)
    change(lab, body)
    clock.move(days=2)
    assert refused(lab, body).code == "trust.key-record"


def test_a_word_counts_again_under_a_lower_threshold(lab: Any) -> None:
    """A root's enrolment that waited takes effect when it is said again and enough have signed."""
    rita = lab.enrol(["root"], name="Rita Example")
    change(lab, {"action": "threshold", "threshold": 2})
    body = enrolment(lab, "Carl", ["root"])
    change(lab, body)
    assert not change(lab, body).is_new
    for signer in (lab.root, rita):
        change(lab, {"action": "threshold", "threshold": 1}, signer)
    assert change(lab, body).is_new
    assert ring_of(lab).get(body["fingerprint"]) is not None
    assert ring_of(lab).waiting(lab.clock()) == []


def test_roots_that_expire_make_no_threshold(lab: Any, clock: Any) -> None:
    """The threshold is within reach of the roots whose keys do not expire, so that no day comes on
    which nobody can change the roots any more."""
    expires = format_time(clock() + timedelta(days=9))
    rita = lab.enrol(["root"], name="Rita Example", expires=expires)
    threshold = {"action": "threshold", "threshold": 2}
    assert "do not expire" in refused(lab, threshold).message
    carl = lab.enrol(["root"], name="Carl Example")
    change(lab, threshold)
    for body in (
        revocation(carl),
        rotation(lab, carl, "Carl", ["root"], expires=expires),
        rotation(lab, carl, "Carl", ["contributor"]),
    ):
        assert "must remain" in refused(lab, body).message
    clock.move(days=10)
    renewed = rotation(lab, rita, "Rita", ["root"])
    change(lab, renewed)
    change(lab, renewed, carl)
    assert ring_of(lab).get(renewed["fingerprint"]) is not None


def test_a_machine_is_no_root(lab: Any) -> None:
    """Roots are persons: a machine's key would be a second vote of whoever runs it."""
    holder = {"name": "Build", "email": "build@example.com", "type": "machine"}
    for roles in (["root"], ["contributor", "root"]):
        body = enrolment(lab, "Build", roles, holder=holder)
        assert refused(lab, body).code == "trust.key-record"
    change(lab, enrolment(lab, "Build", ["contributor"], holder=holder))


def test_errors_stay_plain_after_a_key_was_compromised(lab: Any) -> None:
    """Once a key was called compromised, a change that makes no sense is still called that."""
    bea = lab.enrol(["contributor"], name="Bea Example")
    rita = lab.enrol(["root"], name="Rita Example")
    change(lab, revocation(bea, compromisedSince=1))
    again = lab.enrolment(rita, ["approver"], name="Rita Example").body
    for body, words in [
        ({"action": "threshold", "threshold": 5}, "5 roots cannot sign"),
        (dict(again), "is enrolled already"),
        (revocation(new_p256()), "there is no key"),
    ]:
        error = refused(lab, body)
        assert error.code == "trust.key-record"
        assert error.message.startswith(words) or words in error.message
    change(lab, {"action": "threshold", "threshold": 2})
    error = refused(lab, revocation(rita))
    assert (error.code, "must remain" in error.message) == ("trust.key-record", True)


def test_a_key_is_called_compromised_alone(lab: Any) -> None:
    """Nothing goes in with such a revocation, for it would be judged by keys that it unsays; two of
    them together could leave no root."""
    rita = lab.enrol(["root"], name="Rita Example")
    carl = lab.enrol(["root"], name="Carl Example")
    both = [
        lab.key_statement(revocation(key, compromisedSince=since))
        for key, since in ((rita, 0), (lab.root, 2))
    ]
    with pytest.raises(MunimentError) as caught:
        lab.append(*both, key=carl)
    assert caught.value.code == "trust.key-record"
    lab.assert_sound(3)
