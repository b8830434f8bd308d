"""What a verification of a ledger gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

from muniment.schemas.derivation import Derivation
from muniment.schemas.errors import VerificationError
from muniment.schemas.finding import Check, Finding, VerificationReport
from muniment.schemas.record import Record

from .admission import DatedEntry
from .checkpoint import SignedCheckpoint
from .pinned import Pinned
from .trust import KeyRing
from .verification import LedgerVerifier


@dataclass(slots=True)
class VerifiedLedger:
    """A ledger after verification."""

    report: VerificationReport
    records: list[Record]
    """Sound and trusted records, in ledger order."""
    ring: KeyRing
    checkpoint: SignedCheckpoint | None
    """The last checkpoint, if it holds."""
    pin: Pinned | None = None
    """What a later verification may rest on, if all else holds too."""
    keys: tuple[DatedEntry, ...] = ()
    """The key records with their recorded times: what trust at an earlier time follows from."""
    derivations: dict[str, Derivation] = field(default_factory=dict)
    """What came of running collectors again, by record digest; filled where it is asked for."""

    @classmethod
    def of(cls, verifier: LedgerVerifier, records: Sequence[Record]) -> Self:
        """What a verification that went through found."""
        report, ring, last = verifier.report, verifier.ring, verifier.last
        return cls(report, list(records), ring, last, keys=verifier.keys)

    @classmethod
    def without_genesis(cls, origin: str, error: VerificationError) -> Self:
        """What can be said of a ledger whose first record does not hold: nothing was verified."""
        root = Check("root", "the root key is the one that is pinned", checked=1)
        root.findings.append(Finding(error.code, error.message, 0, error.expected, error.found))
        rest = Check("entries", "every entry is there, in its one form")
        rest.not_checked.append("without a sound genesis nothing says which keys hold")
        return cls(VerificationReport(origin, [root, rest]), [], KeyRing(), None)

    def require(self) -> SignedCheckpoint:
        """The checkpoint, if everything held.

        Raises:
            VerificationError: ``ledger.unsound``.
        """
        first = next(self.report.findings, None)
        if first is not None or self.checkpoint is None:
            raise VerificationError(
                "ledger.unsound",
                f"the ledger does not hold: {first.message if first else 'nothing was checked'}",
                hint="muniment verify lists every fault; nothing is concluded from such a ledger",
            )
        return self.checkpoint
