"""The error tree: every failure Muniment raises on purpose.

    MunimentError
    ├─ InputError            bad usage or input                     exit 2
    │  └─ SchemaError        a document breaks its schema; lists every problem
    ├─ VerificationError     the answer is "no"                     exit 1
    │  ├─ SignatureError     a signature does not hold
    │  ├─ InclusionError     a record is not where a proof says
    │  ├─ ConsistencyError   one checkpoint does not extend another
    │  ├─ CheckpointError    a signed note or checkpoint is malformed or unsigned
    │  └─ TrustError         the signer may not sign this, here
    ├─ StoreError            ledger, artifacts or disk did not answer  exit 3
    │  ├─ StoreLockedError   another process holds the ledger
    │  └─ GitError           git did not answer
    └─ ReportError           a report could not be made             exit 3

Codes are stable (``area.fault``); messages may be reworded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class MunimentError(Exception):
    """Root of the tree.

    Args:
        code: stable identifier, ``area.fault`` in lower case.
        message: what happened, lower case, no full stop.
        hint: what to do next.
        expected: what should have been there.
        found: what was there.
    """

    exit_code = 3

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        expected: str | None = None,
        found: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.expected = expected
        self.found = found


class InputError(MunimentError):
    """What was asked for, or given, is wrong."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a document."""

    path: str
    """Dotted path inside the document, empty for the whole."""
    message: str
    description: str = ""
    """What the schema says the field is for, where it says so."""


class SchemaError(InputError):
    """A document breaks its schema; ``problems`` holds every fault, not the first."""

    def __init__(
        self,
        code: str,
        message: str,
        problems: Sequence[Problem] = (),
        *,
        hint: str | None = None,
    ) -> None:
        super().__init__(code, message, hint=hint)
        self.problems = tuple(problems)


class VerificationError(MunimentError):
    """Something that was checked does not hold."""

    exit_code = 1


class SignatureError(VerificationError):
    """A signature does not hold, or its form is not allowed."""


class InclusionError(VerificationError):
    """A record is not where its proof says it is."""


class ConsistencyError(VerificationError):
    """One checkpoint is not an extension of another."""


class CheckpointError(VerificationError):
    """A signed note or checkpoint is malformed, or lacks the signature asked for."""


class DamageError(VerificationError):
    """The ledger that a command rests on is not what its last checkpoint signs."""


class TrustError(VerificationError):
    """The signer was not entitled to sign this at this place in the ledger."""


class StoreError(MunimentError):
    """The ledger, the artifact store or the disk did not answer."""

    exit_code = 3


class StoreLockedError(StoreError):
    """Another process holds the ledger."""


class GitError(StoreError):
    """Git did not answer."""


class ReportError(MunimentError):
    """A report could not be made."""

    exit_code = 3
