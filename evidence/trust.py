"""Trust: which key may sign what at which place in the ledger. Pure.

Entry 0, the genesis, enrols a root key that signs it itself; every later ``key`` record, signed by
a root, changes the state for the records that follow. A record is judged by the state at its own
place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from muniment.schemas.errors import CheckpointError, InputError, TrustError
from muniment.schemas.record import Record, Role, Signer
from muniment.schemas.statement import GATE_DECISION, Statement
from muniment.schemas.times import parse_time

from .keys import PublicKey, load_spki
from .note import ED25519, VerifierKey

KEY_KIND = "key"
_EVIDENCE_ROLES = frozenset({Role.CONTRIBUTOR})
_ROLES = {
    KEY_KIND: frozenset({Role.ROOT}),
    "approval": frozenset({Role.APPROVER}),
    "link": frozenset({Role.CONTRIBUTOR, Role.APPROVER}),
    GATE_DECISION: frozenset({Role.CONTRIBUTOR, Role.APPROVER}),
}
"""Roles of which one is needed for a kind; any other kind is evidence."""
ANY_APPROVER = "reviewer"
"""The one role an approval may name that needs no function of the key."""


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


class KeyRing:
    """The state of all keys after the records applied so far."""

    def __init__(self) -> None:
        self._keys: dict[str, EnrolledKey] = {}
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
        enrolled = self._enrol(0, statement)
        self.root, self.ledger = key.fingerprint, vkey
        return enrolled.signer

    def authorise(self, statement: Statement, fingerprint: str, recorded_at: datetime) -> Signer:
        """Who signed, if that key may sign this here.

        Raises:
            TrustError: ``trust.unknown-key``, ``trust.revoked-key``, ``trust.expired-key``,
                ``trust.wrong-role``, ``trust.wrong-kind``, ``trust.machine`` or
                ``trust.wrong-function``.
        """
        known = self._keys.get(fingerprint)
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

    def apply(self, record: Record) -> None:
        """Take a trusted ``key`` record.

        Raises:
            TrustError: ``trust.key-record`` if it makes no sense here.
        """
        body, place = record.statement.body, record.index
        known: EnrolledKey | None = None
        if body["action"] in ("revoke", "rotate"):
            old = body["fingerprint"] if body["action"] == "revoke" else body.get("replaces")
            known = self._keys.get(str(old))
            if known is None or known.retired is not None:
                raise TrustError("trust.key-record", f"there is no key {old} to {body['action']}")
            if "compromisedSince" in body:
                raise TrustError(
                    "trust.key-record", "this version does not act on compromisedSince"
                )
        # NOTE: enrol first: a record that is refused must leave no trace in the state.
        if body["action"] in ("enrol", "rotate"):
            self._enrol(place, record.statement)
        if known is not None:
            word = "revoked" if body["action"] == "revoke" else "replaced"
            self._keys[known.key.fingerprint] = replace(known, retired=place, retired_because=word)

    def _enrol(self, place: int, statement: Statement) -> EnrolledKey:
        key, holder = enrolled_key(statement), statement.body["holder"]
        if key.fingerprint in self._keys:
            raise TrustError("trust.key-record", f"the key {key.fingerprint} is enrolled already")
        body = statement.body
        enrolled = EnrolledKey(
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
        self._keys[key.fingerprint] = enrolled
        return enrolled


def enrolled_key(statement: Statement) -> PublicKey:
    """The public key that a ``key`` statement carries.

    Raises:
        TrustError: ``trust.key-record``.
    """
    import base64
    import binascii

    try:
        key = load_spki(base64.b64decode(statement.body["publicKey"], validate=True))
    except (InputError, binascii.Error, KeyError) as error:
        raise TrustError("trust.key-record", f"the key cannot be used: {error}") from error
    if key.fingerprint != statement.body["fingerprint"]:
        raise TrustError(
            "trust.key-record",
            "the fingerprint is not that of the key",
            expected=key.fingerprint,
            found=str(statement.body["fingerprint"]),
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


def _genesis(why: str) -> TrustError:
    return TrustError("trust.genesis", f"entry 0 is no genesis: {why}")
