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
RETRACTION_KIND = "retraction"
_EVIDENCE_ROLES = frozenset({Role.CONTRIBUTOR})
_ROLES = {
    KEY_KIND: frozenset({Role.ROOT}),
    "approval": frozenset({Role.APPROVER}),
    "link": frozenset({Role.CONTRIBUTOR, Role.APPROVER}),
    RETRACTION_KIND: frozenset({Role.CONTRIBUTOR, Role.APPROVER}),
    ERASURE_KIND: frozenset({Role.APPROVER}),
    GATE_DECISION: frozenset({Role.CONTRIBUTOR, Role.APPROVER}),
    "waiver": frozenset({Role.APPROVER}),
    "applicability": frozenset({Role.APPROVER}),
}
"""Roles of which one is needed for a kind; any other kind is evidence."""
KEPT_KINDS = frozenset(_ROLES)
"""Kinds that are not erased: what others count for rests on them, or a "no" could vanish."""
ANY_APPROVER = "reviewer"
"""The one role an approval may name that needs no function of the key."""
_OF_PERSONS = {
    "approval": "approves nothing",
    ERASURE_KIND: "erases nothing",
    "waiver": "waives nothing",
    "applicability": "decides nothing",
}
"""Kinds that only a person signs, and what a machine is told."""
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
    compromised_by: int | None = None
    """Place of the record that said so."""

    def is_in_force(self, moment: datetime) -> bool:
        """Whether it signs anything at ``moment``."""
        return self.retired is None and (self.expires is None or moment < self.expires)

    def state(self, moment: datetime) -> str:
        """What a person must know of it at ``moment``, in one line."""
        words = "in force"
        if self.retired is not None:
            words = f"{self.retired_because} by #{self.retired}"
        elif self.expires is not None:
            day = f"{self.expires:%Y-%m-%d}"
            words = f"in force until {day}" if moment < self.expires else f"expired {day}"
        if self.compromised_since is not None:
            words += f", compromised since {format_since(self.compromised_since)}"
        return f"{words}: {self.reason}" if self.reason else words


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

    @property
    def key(self) -> EnrolledKey | None:
        """The key that would be enrolled; its place is not known."""
        return _enrolled(-1, self.body) if "publicKey" in self.body else None


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

    def at(self, fingerprint: str, place: int) -> EnrolledKey | None:
        """The key, if it could sign a record at ``place``, its expiry apart; what is known later is
        known of it then, for a key's rights never change."""
        for known in (self._keys.get(fingerprint), self._void.get(fingerprint)):
            if known is not None and known.enrolled < place <= (known.retired or place):
                return known
        return None

    def replacement(self, known: EnrolledKey) -> EnrolledKey | None:
        """The key that took the place of one."""
        if known.retired_because != "replaced":
            return None
        return next((key for key in self if key.enrolled == known.retired), None)

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
        if body["holder"]["type"] == "machine":
            raise _genesis("a machine is no root")
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
        return f"the key {fingerprint} counts as compromised since {format_since(since)}"

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
        self._check_since(body, record)
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
        """Changes of the roots that wait for more of them at ``moment``, and can take effect."""
        found = [
            WaitingChange(change.body, self._counting(change, moment))
            for change in self._changes
            if self._is_possible(change.body, moment)
        ]
        return [change for change in found if change.votes]

    def _is_possible(self, body: Mapping[str, Any], moment: datetime) -> bool:
        try:
            self._check_change(body, moment)
        except TrustError:
            return False
        return body.get("threshold") != self.threshold

    def is_said(self, body: Mapping[str, Any], fingerprint: str, moment: datetime) -> bool:
        """Whether the same word of the same root again would change nothing.

        What it says is in force, or it counts and waits for other roots.
        """
        action = body["action"]
        for change in self._changes:
            if change.body == body:
                counting = self._counting(change, moment)
                root = self._keys[fingerprint].signer.person
                return root in counting and len(counting) < self.threshold
        if action == "threshold":
            return bool(self.threshold == body["threshold"])
        known = self._keys.get(body["fingerprint"])
        if known is None:
            return False
        if action == "revoke":
            since = _since(body.get("compromisedSince"))
            is_revoked = known.retired is not None and known.retired_because == "revoked"
            return is_revoked if since is None else known.compromised_since == since
        return known.is_in_force(moment) and known == _enrolled(known.enrolled, body)

    def roots(self, moment: datetime) -> list[EnrolledKey]:
        """Root keys that can sign ``key`` records at ``moment``."""
        return [
            key
            for key in self._keys.values()
            if Role.ROOT in key.signer.roles
            and key.is_in_force(moment)
            and (key.kinds is None or KEY_KIND in key.kinds)
        ]

    def lasting(self, moment: datetime, apart_from: str | None = None) -> set[str]:
        """Persons with a root key that does not expire.

        NOTE: the threshold must be within their reach alone: time passes without anybody's word.
        """
        return {
            key.signer.person
            for key in self.roots(moment)
            if key.expires is None and key.signer.fingerprint != apart_from
        }

    @staticmethod
    def _check_since(body: Mapping[str, Any], record: Record) -> None:
        """Refuse a revocation whose ``compromisedSince`` is not in the past."""
        since = _since(body.get("compromisedSince"))
        if isinstance(since, int) and since >= record.index:
            raise _refused(f"there is no record #{since} since which a key can be compromised")
        if isinstance(since, datetime) and since > record.recorded_at:
            raise _refused(f"{format_time(since)}, since which it is compromised, is still to come")

    def _check_change(self, body: Mapping[str, Any], moment: datetime) -> None:
        """Refuse what makes no sense here, before anybody's word for it is counted."""
        action = body["action"]
        if action == "threshold":
            lasting = len(self.lasting(moment))
            if body["threshold"] > lasting:
                raise _refused(
                    f"{body['threshold']} roots cannot sign: there are {lasting} whose keys do not "
                    "expire"
                )
            return
        if action != "revoke":
            self._check_new(body, moment)
        if action != "enrol":
            self._check_old(body, moment)

    def _check_old(self, body: Mapping[str, Any], moment: datetime) -> None:
        """Refuse to revoke or replace what is not there, has ended, or is needed."""
        action = body["action"]
        old = str(body["fingerprint"] if action == "revoke" else body["replaces"])
        known = self._keys.get(old)
        if known is None:
            raise _refused(f"there is no key {old} to {action}")
        if known.retired is not None:
            if "compromisedSince" not in body:
                raise _refused(f"the key {old} was {known.retired_because} by #{known.retired}")
            if known.compromised_since is not None:
                start = format_since(known.compromised_since)
                raise _refused(f"the key {old} counts as compromised since {start} already")
            return
        if action == "rotate" and body["holder"]["email"].casefold() != known.signer.person:
            raise _refused(f"a rotation keeps the holder, and {old} is {known.signer.email}'s")
        remaining = self.lasting(moment, apart_from=old)
        if action == "rotate" and Role.ROOT in body["roles"] and "expires" not in body:
            remaining.add(body["holder"]["email"].casefold())
        is_needed = Role.ROOT in known.signer.roles and known.expires is None
        if is_needed and len(remaining) < self.threshold:
            raise _refused(f"{self.threshold} roots must remain whose keys do not expire")

    def _check_new(self, body: Mapping[str, Any], moment: datetime) -> None:
        key, known = enrolled_key(body), self._keys.get(body["fingerprint"])
        if known is not None:
            raise _refused(
                f"the key {key.fingerprint} is enrolled already, {known.state(moment)}: "
                "no key is enrolled twice"
            )
        if "expires" in body and parse_time(body["expires"]) <= moment:
            raise TrustError(
                "trust.key-record",
                f"the key would have expired at {body['expires']} already",
                hint="give a later day with --expires",
            )
        if Role.ROOT in body["roles"] and KEY_KIND not in body.get("kinds", (KEY_KIND,)):
            raise _refused("a root that may not sign key records is none")
        if Role.ROOT in body["roles"] and body["holder"]["type"] == "machine":
            raise _refused("a machine is no root: roots are persons who answer for it")

    def _change(self, place: int, body: Mapping[str, Any]) -> None:
        if body["action"] == "threshold":
            self.threshold = body["threshold"]
            return
        if body["action"] in ("enrol", "rotate"):
            self._keys[body["fingerprint"]] = _enrolled(place, body)
        if body["action"] in ("revoke", "rotate"):
            old = body["fingerprint"] if body["action"] == "revoke" else body["replaces"]
            self._keys[old] = _ended(self._keys[old], place, body)


def _ended(known: EnrolledKey, place: int, body: Mapping[str, Any]) -> EnrolledKey:
    """A key after its revocation or rotation; of one that ended before, what more is known."""
    since = _since(body.get("compromisedSince"))
    if since is not None:
        known = replace(known, compromised_since=since, compromised_by=place)
    if known.retired is None:
        because = "revoked" if body["action"] == "revoke" else "replaced"
        known = replace(known, retired=place, retired_because=because)
    return replace(known, reason=body.get("reason", known.reason))


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


def format_since(since: Since) -> str:
    """As a person reads it: ``#17``, or a time."""
    return f"#{since}" if isinstance(since, int) else format_time(since)


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


def may_sign(known: EnrolledKey, kind: str) -> bool:
    """Whether a key's roles and kinds let it sign records of a kind."""
    is_role = bool(_ROLES.get(kind, _EVIDENCE_ROLES) & known.signer.roles)
    return is_role and (known.kinds is None or kind in known.kinds)


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
    if kind in _OF_PERSONS and known.signer.type == "machine":
        raise TrustError("trust.machine", f"{who} is a machine's: it {_OF_PERSONS[kind]}")
    if kind == "approval":
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
