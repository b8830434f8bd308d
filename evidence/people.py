"""People and their keys: enrolling, rotating, revoking, and how many roots must agree."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from muniment.schemas.errors import InputError
from muniment.schemas.record import Role

from .keys import PublicKey
from .statements import (
    Holder,
    key_statement,
    revocation_statement,
    rotation_statement,
    threshold_statement,
)
from .trust import EnrolledKey, KeyRing

if TYPE_CHECKING:
    from .workspace import Attached, Workspace


class People:
    """The keys of one workspace's ledger; every change is a record that a root signs.

    A change of the roots takes as many of them as the threshold says: each runs the same command,
    and the last one's record takes effect. ``ring().waiting(moment)`` lists what waits for others.
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def ring(self) -> KeyRing:
        """The state of all keys now.

        Raises:
            VerificationError: a key record does not hold.
        """
        workspace = self._workspace
        with workspace.storage.read() as reader:
            return workspace.ledger.key_ring(reader, workspace.kinds)

    def now(self) -> datetime:
        """The workspace's time."""
        return self._workspace.clock()

    def find(
        self, text: str, ring: KeyRing | None = None, *, with_waiting: bool = False
    ) -> EnrolledKey:
        """The enrolled key called by its fingerprint, by a name on this machine, or by the e-mail
        address of a holder with one key in force, or with one key at all.

        Args:
            ring: where to look; by default the state of all keys now.
            with_waiting: look among enrolments that wait for more roots as well.

        Raises:
            InputError: ``key.unknown`` or ``key.ambiguous``.
        """
        ring = ring or self.ring()
        found = self._named(text, list(ring))
        if not found and with_waiting:
            found = self._named(text, [item.key for item in ring.waiting(self.now()) if item.key])
        if len(found) != 1:
            raise InputError(
                "key.ambiguous" if found else "key.unknown",
                f"{len(found) or 'no'} enrolled keys are called {text}",
                found=", ".join(key.signer.fingerprint for key in found) or text,
                hint="name it by its fingerprint; see muniment key list",
            )
        return found[0]

    def _named(self, text: str, keys: Sequence[EnrolledKey]) -> list[EnrolledKey]:
        if "@" in text and not text.startswith("SHA256:"):
            held = [key for key in keys if key.signer.person == text.casefold()]
            return [key for key in held if key.retired is None] or held
        is_full = text.startswith("SHA256:")
        fingerprint = text if is_full else self._workspace.keys.public(text).fingerprint
        return [key for key in keys if key.signer.fingerprint == fingerprint]

    def enrol(
        self,
        public: PublicKey,
        holder: Holder,
        *,
        roles: Sequence[Role],
        functions: Sequence[str] = (),
        kinds: Sequence[str] | None = None,
        expires: datetime | None = None,
    ) -> Attached:
        """Enrol a key; the signing key must be a root's."""
        workspace = self._workspace
        for kind in kinds or ():
            workspace.kinds.get(kind)
        return workspace.append(
            key_statement(
                public,
                holder,
                roles,
                functions,
                workspace.clock(),
                references=workspace.references,
                kinds=kinds,
                expires=expires,
            )
        )

    def rotate(
        self, old: EnrolledKey, public: PublicKey, expires: datetime | None = None
    ) -> Attached:
        """Put a new key in the place of ``old``; its holder stays the same person.

        Args:
            expires: when the new key expires; by default when the old one does.
        """
        workspace = self._workspace
        return workspace.append(
            rotation_statement(old, public, workspace.clock(), workspace.references, expires)
        )

    def revoke(
        self, key: EnrolledKey, reason: str, since: int | datetime | None = None
    ) -> Attached:
        """End a key; or say of one that has ended that it was in other hands.

        Args:
            since: place or time from which it may have been in other hands: its records from there
                on lose their trust; without it, only later records are refused.
        """
        workspace = self._workspace
        return workspace.append(
            revocation_statement(
                key, workspace.clock(), workspace.references, reason=reason, since=since
            )
        )

    def set_threshold(self, threshold: int) -> Attached:
        """Set how many roots, different persons, must sign a change of the roots."""
        workspace = self._workspace
        return workspace.append(
            threshold_statement(
                workspace.ledger.genesis, threshold, workspace.clock(), workspace.references
            )
        )
