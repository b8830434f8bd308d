"""Trust: which key may sign what at which place in the ledger. Pure.

Entry 0, the genesis, enrols a root key that signs it itself; every later ``key`` record, signed by
a root, changes the state for the records that follow. A record is judged by the state at its own
place, with one exception: where a revocation says since when the key was in other hands
(``compromisedSince``), the key's records from there on lose their trust.

What changes the roots (a root's enrolment, rotation or revocation, and the threshold itself) takes
effect once as many roots as the threshold says, different persons, have signed the same change. A
signature counts towards it for 90 days, and only while its key is a root's in force.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from muniment.schemas.errors import CheckpointError, InputError, TrustError
from muniment.schemas.record import Record, Role, Signer
from muniment.schemas.statement import GATE_DECISION, Statement
from muniment.schemas.times import format_time, parse_time

from .keys import PublicKey, load_spki
from .note import ED25519, VerifierKey

KEY_KIND = "key"
ERASURE_KIND = "erasure"
_EVIDENCE_ROLES = frozenset({Role.CONTRIBUTOR})
_ROLES = {
    KEY_KIND: frozenset({Role.ROOT}),
    "approval": frozenset({Role.APPROVER}),
    "link": frozenset({Role.CONTRIBUTOR, Role.APPROVER}),
    "retraction": frozenset({Role.CONTRIBUTOR, Role.APPROVER}),
    ERASURE_KIND: frozenset({Role.APPROVER}),
    GATE_DECISION: frozenset({Role.CONTRIBUTOR, Role.APPROVER}),
}
"""Roles of which one is needed for a kind; any other kind is evidence."""
ANY_APPROVER = "reviewer"
"""The one role an approval may name that needs no function of the key."""
VOTE_LIFE = timedelta(days=90)
"""How long, in recorded time, a root's word for a change of the roots counts."""


Since = int | datetime
"""A place in the ledger, or a recorded time in UTC."""


@dataclass(frozen=True, slots=True)
class EnrolledKey:
    """A key as the ledger knows it."""

    key: PublicKey
    signer: Signer
    enrolled: int
    """Place of the record that enrolled it."""
    kinds: frozenset[str] | None = None
    """Kinds it may sign; None for all that its roles allow."""
    expires: datetime | None = None
    retired: int | None = None
    """Place of the record that revoked or replaced it; later records of it are not trusted."""
    retired_because: str = ""
    reason: str = ""
    """Why it was revoked, in the root's words."""
    compromised_since: Since | None = None


class _Vote(NamedTuple):
    """One root's word for a change of the roots."""

    signer: Signer
    place: int
    recorded_at: datetime


@dataclass(slots=True)
class _Change:
    """A change of the roots that has not taken effect."""

    body: Mapping[str, Any]
    votes: list[_Vote] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class WaitingChange:
    """A change of the roots that too few of them have signed so far."""

    body: Mapping[str, Any]
    votes: Mapping[str, int]
    """Person to the place of the record they signed it in; only what counts."""


class KeyRing:
    """The state of all keys after the records applied so far.

    Args:
        compromised: keys with the place or time from which they count as being in other hands, as
            ``find_compromised`` learned from the whole ledger.
    """

    def __init__(self, compromised: Mapping[str, Since] | None = None) -> None:
        self._keys: dict[str, EnrolledKey] = {}
        self.compromised = dict(compromised or {})
        """Keys that count as being in other hands, each with since when."""
        self._void: dict[str, EnrolledKey] = {}
        """Keys enrolled by records that lost their trust; so that theirs can be told apart."""
        self.threshold = 1
        """How many roots must sign a change of the roots."""
        self._changes: list[_Change] = []
        self.root: str | None = None
        """Fingerprint of the genesis root."""
        self.ledger: VerifierKey | None = None
        """The ledger's verifier key, vouched for by the root."""

    def __iter__(self) -> Iterator[EnrolledKey]:
        return iter(self._keys.values())

    def get(self, fingerprint: str) -> EnrolledKey | None:
        """The key, whatever its state."""
        return self._keys.get(fingerprint)

    def apply_genesis(self, statement: Statement, key: PublicKey) -> Signer:
        """Take entry 0.

        Raises:
            TrustError: ``trust.genesis``.
        """
        body = statement.body
        try:
            vkey = VerifierKey.parse(str(body.get("ledger", "")))
        except (CheckpointError, InputError) as error:
            raise _genesis(f"it names no ledger key: {error}") from error
        if (
            statement.kind != KEY_KIND
            or body["action"] != "enrol"
            or Role.ROOT not in body["roles"]
        ):
            raise _genesis("it does not enrol a root")
        if body["fingerprint"] != key.fingerprint:
            raise _genesis("the root has not signed for itself")
        if vkey.type != ED25519:
            raise _genesis("the ledger's key is of the wrong type")
        enrolled = self._keys[key.fingerprint] = _enrolled(0, body)
        self.root, self.ledger = key.fingerprint, vkey
        return enrolled.signer

    def authorise(self, statement: Statement, fingerprint: str, recorded_at: datetime) -> Signer:
        """Who signed, if that key may sign this here.

        Raises:
            TrustError: ``trust.unknown-key``, ``trust.revoked-key``, ``trust.expired-key``,
                ``trust.wrong-role``, ``trust.wrong-kind``, ``trust.machine`` or
                ``trust.wrong-function``.
        """
        known = self._keys.get(fingerprint) or self._void.get(fingerprint)
        if known is None:
            raise TrustError(
                "trust.unknown-key",
                f"the key {fingerprint} is not enrolled at this place",
                found=fingerprint,
                hint="a root enrols it: muniment key add FILE --name … --email … --role …",
            )
        who = f"the key of {known.signer.name}"
        if known.retired is not None:
            raise TrustError(
                "trust.revoked-key", f"{who} was {known.retired_because} by #{known.retired}"
            )
        if known.expires is not None and recorded_at >= known.expires:
            raise TrustError("trust.expired-key", f"{who} expired at {known.expires:%Y-%m-%d}")
        _check_role(statement, known, who)
        return known.signer

    def reviewer(self, fingerprint: str, moment: datetime) -> Signer:
        """Who may answer for a packet at ``moment``: a person, approver or root, key in force.

        Raises:
            TrustError: ``trust.reviewer``.
        """
        known = self._keys.get(fingerprint)
        if known is None or known.retired is not None:
            raise _no_reviewer(fingerprint, "the key is not enrolled, or not any more")
        if known.expires is not None and moment >= known.expires:
            raise _no_reviewer(fingerprint, f"the key expired at {known.expires:%Y-%m-%d}")
        signer = known.signer
        if signer.type == "machine" or not signer.roles & {Role.APPROVER, Role.ROOT}:
            raise _no_reviewer(fingerprint, f"{signer.name} is no person with that role")
        return signer

    def distrust(self, fingerprint: str, place: int, recorded_at: datetime) -> str | None:
        """Why a sound record of this key counts for nothing; None if it counts."""
        void = self._void.get(fingerprint)
        if void is not None and fingerprint not in self._keys:
            return f"its key was enrolled by #{void.enrolled}, which counts for nothing"
        since = self.compromised.get(fingerprint)
        if since is None or not _has_come(since, place, recorded_at):
            return None
        start = f"#{since}" if isinstance(since, int) else format_time(since)
        return f"the key {fingerprint} counts as compromised since {start}"

    def void(self, record: Record) -> None:
        """Take a ``key`` record that counts for nothing: what it enrols is known, not trusted."""
        body = record.statement.body
        is_known = body.get("fingerprint") in self._keys or body.get("fingerprint") in self._void
        if body["action"] in ("enrol", "rotate") and not is_known:
            self._void[body["fingerprint"]] = _enrolled(record.index, body)

    def apply(self, record: Record) -> None:
        """Take a trusted ``key`` record.

        Raises:
            TrustError: ``trust.key-record`` if it makes no sense here.
        """
        body = record.statement.body
        self._check_change(body, record.recorded_at)
        if not self._is_about_roots(body) or self._has_enough_votes(record):
            self._change(record.index, body)

    def _is_about_roots(self, body: Mapping[str, Any]) -> bool:
        named = (self._keys.get(str(body.get(name))) for name in ("fingerprint", "replaces"))
        return (
            body["action"] == "threshold"
            or Role.ROOT in body.get("roles", ())
            or any(known is not None and Role.ROOT in known.signer.roles for known in named)
        )

    def _has_enough_votes(self, record: Record) -> bool:
        """Count one root's word for a change of the roots."""
        body = record.statement.body
        change = next((item for item in self._changes if item.body == body), None)
        if change is None:
            change = _Change(body)
            self._changes.append(change)
        change.votes.append(_Vote(record.signer, record.index, record.recorded_at))
        if len(self._counting(change, record.recorded_at)) < self.threshold:
            return False
        self._changes.remove(change)
        return True

    def _counting(self, change: _Change, moment: datetime) -> dict[str, int]:
        """Persons whose word for a change counts at ``moment``, each with its place."""
        standing = {key.signer.fingerprint for key in self.roots(moment)}
        return {
            vote.signer.person: vote.place
            for vote in change.votes
            if vote.signer.fingerprint in standing and moment < vote.recorded_at + VOTE_LIFE
        }

    def waiting(self, moment: datetime) -> list[WaitingChange]:
        """Changes of the roots that wait for more of them at ``moment``."""
        found = [
            WaitingChange(change.body, self._counting(change, moment)) for change in self._changes
        ]
        return [change for change in found if change.votes]

    def has_lapsed(self, place: int, moment: datetime) -> bool:
        """Whether the record at ``place`` is a root's word that came to nothing by ``moment``."""
        return any(
            vote.place == place and moment >= vote.recorded_at + VOTE_LIFE
            for change in self._changes
            for vote in change.votes
        )

    def roots(self, moment: datetime) -> list[EnrolledKey]:
        """Root keys that can sign ``key`` records at ``moment``."""
        return [
            key
            for key in self._keys.values()
            if Role.ROOT in key.signer.roles
            and key.retired is None
            and (key.expires is None or moment < key.expires)
            and (key.kinds is None or KEY_KIND in key.kinds)
        ]

    def _check_change(self, body: Mapping[str, Any], moment: datetime) -> None:
        """Refuse what makes no sense here, before anybody's word for it is counted."""
        action = body["action"]
        persons = {key.signer.person for key in self.roots(moment)}
        if action == "threshold":
            if body["threshold"] > len(persons):
                raise _refused(f"{body['threshold']} roots cannot sign: there are {len(persons)}")
            return
        if action != "revoke":
            self._check_new(body, moment)
        if action == "enrol":
            return
        old = str(body["fingerprint"] if action == "revoke" else body["replaces"])
        known = self._keys.get(old)
        if known is None or known.retired is not None:
            raise _refused(f"there is no key {old} to {action}")
        if action == "rotate" and body["holder"]["email"].casefold() != known.signer.person:
            raise _refused(f"a rotation keeps the holder, and {old} is {known.signer.email}'s")
        remaining = {
            key.signer.person for key in self.roots(moment) if key.signer.fingerprint != old
        }
        if action == "rotate" and Role.ROOT in body["roles"]:
            remaining.add(body["holder"]["email"].casefold())
        if Role.ROOT in known.signer.roles and len(remaining) < self.threshold:
            raise _refused(f"{self.threshold} roots must remain")

    def _check_new(self, body: Mapping[str, Any], moment: datetime) -> None:
        key = enrolled_key(body)
        if "expires" in body and parse_time(body["expires"]) <= moment:
            raise _refused(f"the key would have expired at {body['expires']} already")
        if Role.ROOT in body["roles"] and KEY_KIND not in body.get("kinds", (KEY_KIND,)):
            raise _refused("a root that may not sign key records is none")
        if key.fingerprint in self._keys:
            raise _refused(f"the key {key.fingerprint} is enrolled already")

    def _change(self, place: int, body: Mapping[str, Any]) -> None:
        if body["action"] == "threshold":
            self.threshold = body["threshold"]
            return
        if body["action"] in ("enrol", "rotate"):
            self._keys[body["fingerprint"]] = _enrolled(place, body)
        if body["action"] in ("revoke", "rotate"):
            old = body["fingerprint"] if body["action"] == "revoke" else body["replaces"]
            self._keys[old] = replace(
                self._keys[old],
                retired=place,
                retired_because="revoked" if body["action"] == "revoke" else "replaced",
                reason=body.get("reason", ""),
                compromised_since=_since(body.get("compromisedSince")),
            )


def _enrolled(place: int, body: Mapping[str, Any]) -> EnrolledKey:
    key, holder = enrolled_key(body), body["holder"]
    return EnrolledKey(
        key,
        Signer(
            key.fingerprint,
            holder["name"],
            holder["email"],
            holder["type"],
            frozenset(map(Role, body["roles"])),
            frozenset(body.get("functions", ())),
        ),
        place,
        frozenset(body["kinds"]) if "kinds" in body else None,
        parse_time(body["expires"]) if "expires" in body else None,
    )


def _has_come(since: Since, place: int, recorded_at: datetime) -> bool:
    return place >= since if isinstance(since, int) else recorded_at >= since


def _since(value: Any) -> Since | None:
    return parse_time(value) if isinstance(value, str) else value


def enrolled_key(body: Mapping[str, Any]) -> PublicKey:
    """The public key that the body of a ``key`` statement carries.

    Raises:
        TrustError: ``trust.key-record``.
    """
    import base64
    import binascii

    try:
        key = load_spki(base64.b64decode(body["publicKey"], validate=True))
    except (InputError, binascii.Error, KeyError) as error:
        raise TrustError("trust.key-record", f"the key cannot be used: {error}") from error
    if key.fingerprint != body["fingerprint"]:
        raise TrustError(
            "trust.key-record",
            "the fingerprint is not that of the key",
            expected=key.fingerprint,
            found=str(body["fingerprint"]),
        )
    return key


def _check_role(statement: Statement, known: EnrolledKey, who: str) -> None:
    kind = statement.kind or statement.predicate_type
    needed = _ROLES.get(kind, _EVIDENCE_ROLES)
    if not needed & known.signer.roles:
        raise TrustError(
            "trust.wrong-role",
            f"{who} may not sign {kind} records",
            expected=" or ".join(sorted(needed)),
            found=", ".join(sorted(known.signer.roles)),
        )
    if known.kinds is not None and kind not in known.kinds:
        raise TrustError(
            "trust.wrong-kind",
            f"{who} may not sign {kind} records",
            expected=", ".join(sorted(known.kinds)),
            found=kind,
        )
    if kind == "approval":
        if known.signer.type == "machine":
            raise TrustError("trust.machine", f"{who} is a machine's: it approves nothing")
        role = statement.body["role"]
        if role != ANY_APPROVER and role not in known.signer.functions:
            raise TrustError(
                "trust.wrong-function",
                f"{who} may not approve as {role}",
                expected=", ".join([*sorted(known.signer.functions), ANY_APPROVER]),
                found=role,
            )


def _no_reviewer(fingerprint: str, why: str) -> TrustError:
    return TrustError(
        "trust.reviewer",
        f"a packet is signed by an approver or a root: {why}",
        found=fingerprint,
    )


def _refused(why: str) -> TrustError:
    return TrustError("trust.key-record", why)


def _genesis(why: str) -> TrustError:
    return TrustError("trust.genesis", f"entry 0 is no genesis: {why}")
