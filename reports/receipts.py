"""Verification of one receipt: a Sigstore bundle, or a ``.tlog-proof`` with its leaf beside it.

1. The record is signed by the key in its leaf.
2. The ledger signed the checkpoint.
3. The leaf stands under that checkpoint, where the receipt says.

Whose key it is and whether they were entitled, only the ledger's ``key`` records can say.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from muniment.evidence.checkpoint import Checkpoint, verify_checkpoint
from muniment.evidence.entry import Entry
from muniment.evidence.leaf import verify_leaf
from muniment.evidence.merkle import hash_leaf, verify_inclusion
from muniment.evidence.note import SignedNote, VerifierKey
from muniment.evidence.receipt import BUNDLE_TYPE, TLOG_PROOF, Receipt, parse_tlog_proof
from muniment.schemas.errors import InputError, MunimentError
from muniment.schemas.files import read_small
from muniment.schemas.finding import Check, Finding, VerificationReport
from muniment.schemas.text import counted
from muniment.schemas.times import format_time

BUNDLE_ENDING = ".sigstore.json"
PROOF_ENDING = ".tlog-proof"
LEAF_ENDING = ".leaf.json"
_MAX_LEAF = 1 << 16
_MEDIA_TYPE = re.compile(rb'"mediaType"\s*:\s*"' + re.escape(BUNDLE_TYPE.encode()) + rb'"')

FindKey = Callable[[str], VerifierKey]
"""Gives the verifier key of the ledger with an origin, from a source that is trusted."""


def is_receipt(name: str, data: bytes) -> bool:
    """Whether a file is a receipt, or was one before somebody broke it."""
    return (
        name.endswith((BUNDLE_ENDING, PROOF_ENDING))
        or data.startswith(TLOG_PROOF.encode())
        or (data.lstrip()[:1] == b"{" and _MEDIA_TYPE.search(data) is not None)
    )


def verify_receipt(path: Path, data: bytes, find_key: FindKey) -> VerificationReport:
    """Verify the receipt in ``data``, the content of ``path``.

    Raises:
        InputError: ``receipt.leaf``: a ``.tlog-proof`` without its leaf; and what ``find_key``
            raises.
    """
    form = Check("form", "the receipt can be read")
    report = VerificationReport(path.name, [form])
    try:
        proven = _read(path, data)
        origin = Checkpoint.from_text(SignedNote.from_bytes(proven.note).text).origin
    except InputError as error:
        if error.code == "receipt.leaf":
            raise
        form.findings.append(Finding.of(error))
        return report
    except MunimentError as error:
        form.findings.append(Finding.of(error))
        return report
    form.checked = 1
    _Verification(report, proven).run(find_key(origin))
    return report


@dataclass(frozen=True, slots=True)
class _Proven:
    """What a receipt holds."""

    index: int
    leaf: bytes
    proof: tuple[bytes, ...]
    note: bytes
    receipt: Receipt | None
    """None for a ``.tlog-proof``, which holds no envelope."""


def _read(path: Path, data: bytes) -> _Proven:
    if not data.startswith(TLOG_PROOF.encode()) and not path.name.endswith(PROOF_ENDING):
        receipt = Receipt.from_bundle(data)
        return _Proven(receipt.index, receipt.leaf, receipt.proof, receipt.checkpoint, receipt)
    index, proof, note = parse_tlog_proof(data)
    beside = path.with_name(path.name.removesuffix(PROOF_ENDING) + LEAF_ENDING)
    try:
        leaf = read_small(beside, _MAX_LEAF)
    except InputError as error:
        raise InputError(
            "receipt.leaf",
            f"a tlog-proof proves the place of a leaf, and the leaf cannot be read: {error}",
            hint=f"put it beside the proof, as {beside.name}",
        ) from error
    return _Proven(index, leaf, proof, note, None)


class _Verification:
    """One verification; each step adds its check to the report."""

    def __init__(self, report: VerificationReport, proven: _Proven) -> None:
        self._report = report
        self._proven = proven

    def run(self, vkey: VerifierKey) -> None:
        """All steps."""
        self._signature()
        proven = self._proven
        place = self._check("receipts", "the record stands in the ledger where it says")
        checkpoint = self._check("checkpoint", "the checkpoint is signed by the ledger")
        checkpoint.checked = 1
        try:
            signed = verify_checkpoint(proven.note, vkey)
        except MunimentError as error:
            checkpoint.findings.append(Finding.of(error))
            place.not_checked.append("the checkpoint does not hold")
            return
        place.checked = 1
        try:
            verify_inclusion(
                hash_leaf(proven.leaf), proven.index, signed.size, proven.proof, signed.root
            )
        except MunimentError as error:
            place.findings.append(Finding.of(error, proven.index))
        beyond = self._check("beyond", "what a receipt alone cannot show")
        beyond.not_checked += [
            "whose key signed, and whether they were entitled to: the ledger's key records say it "
            "(muniment verify in its workspace, or a packet)",
            "when exactly it was recorded: it was there when this checkpoint was signed, at "
            f"{format_time(signed.time)}",
            "whether it was retracted, superseded or erased since",
        ]
        try:
            named = self._named()
        except MunimentError as error:
            self._report.checks[0].findings.append(Finding.of(error, proven.index))
        if self._report.ok:
            self._report.conclusions.append(
                f"{named} stands in {vkey.name}, which had {counted(signed.size, 'record')} at "
                f"{format_time(signed.time)}"
            )

    def _signature(self) -> None:
        check = self._check("signatures", "the record is signed by the key in its leaf")
        proven = self._proven
        try:
            if proven.receipt is not None:
                proven.receipt.envelope.verify(proven.receipt.key)
            elif not verify_leaf(proven.leaf):
                check.not_checked.append(
                    "an Ed25519 signature cannot be checked without the record's envelope"
                )
                return
        except MunimentError as error:
            check.findings.append(Finding.of(error, proven.index))
        check.checked = 1

    def _named(self) -> str:
        """The record with its digest and kind.

        Raises:
            MunimentError: its statement is none.
        """
        proven = self._proven
        digest = f"#{proven.index} with the digest {hash_leaf(proven.leaf).hex()}"
        if proven.receipt is None:
            return digest
        statement = Entry.new(proven.index, proven.receipt.envelope, proven.receipt.key).statement
        return f"{digest} ({statement.kind or statement.predicate_type})"

    def _check(self, name: str, claim: str) -> Check:
        check = Check(name, claim)
        self._report.checks.append(check)
        return check
