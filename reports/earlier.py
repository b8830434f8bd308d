"""What a packet proves about the ledger's past beyond its records: who outside saw a checkpoint,
and that the ledger only grew since the packets before this one.

=======================  ==========================================================================
``anchors.json``         cosignatures and time stamps, each with the checkpoint it is over
``witness-policy.txt``   the witnesses that the packet's maker trusts
``timestamp-roots.pem``  the roots that the packet's maker trusts to vouch for a time stamp
``previous.json``        earlier packets about the system, each with its checkpoint
=======================  ==========================================================================

Every checkpoint comes with a proof that the packet's own one extends it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from muniment.evidence.anchors import TIMESTAMP, WITNESS, stored_anchors
from muniment.evidence.checkpoint import SignedCheckpoint, verify_checkpoint
from muniment.evidence.ledger import Ledger
from muniment.evidence.merkle import verify_consistency
from muniment.evidence.note import SignedNote, VerifierKey
from muniment.evidence.outside import checkpoint_of
from muniment.evidence.policy import Policy
from muniment.evidence.storage import StoredAnchor
from muniment.evidence.timestamp import load_roots, roots_in, verify_token
from muniment.evidence.trust import PACKET_KIND
from muniment.schemas.errors import InputError, MunimentError
from muniment.schemas.files import read_small
from muniment.schemas.finding import Check, Finding
from muniment.schemas.record import Record
from muniment.schemas.text import counted
from muniment.schemas.times import format_time

from .custody import judged, latest
from .model import Embedded
from .proofs import document_file

if TYPE_CHECKING:
    from .workspace import Workspace

ANCHORS = "anchors.json"
POLICY = "witness-policy.txt"
ROOTS = "timestamp-roots.pem"
PREVIOUS = "previous.json"
MAX_PREVIOUS = 20
"""How many earlier packets are tied to a new one; the latest are."""
_MAX_TRUSTED = 1 << 20


def outside_files(workspace: Workspace, checkpoint: SignedCheckpoint) -> list[Embedded]:
    """The latest word of each witness and authority, and whom the workspace trusts of them.

    Raises:
        InputError: the policy or the roots cannot be read.
    """
    anchors = {"anchors": _anchors(workspace.ledger, checkpoint)}
    files = [document_file(ANCHORS, anchors, "Cosignatures and time stamps")]
    config = workspace.config
    if config.policy is not None:
        data = read_small(workspace.root / config.policy, _MAX_TRUSTED)
        Policy.parse(data)
        files.append(Embedded(POLICY, data, "text/plain", "Data", "Witnesses that are trusted"))
    if config.timestamp_roots is not None:
        path = workspace.root / config.timestamp_roots
        load_roots(path)
        data = read_small(path, _MAX_TRUSTED)
        words = "Roots trusted for time stamps"
        files.append(Embedded(ROOTS, data, "application/x-pem-file", "Data", words))
    return files


def previous_file(
    ledger: Ledger, checkpoint: SignedCheckpoint, records: Sequence[Record]
) -> Embedded:
    """The packets before this one.

    Args:
        records: all verified records about any version of the system.
    """
    packets = []
    issued = [record for record in records if record.kind == PACKET_KIND]
    for record in issued[-MAX_PREVIOUS:]:
        step = _step(ledger, int(record.statement.body["checkpoint"]["size"]), checkpoint)
        if step is not None:
            packets.append(
                {
                    "record": record.ref.to_json(),
                    "sha256": record.statement.body["sha256"],
                    "system": str(record.statement.system),
                    "issued": format_time(record.recorded_at),
                    **step,
                }
            )
    return document_file(PREVIOUS, {"packets": packets}, "Packets before this one")


def _anchors(ledger: Ledger, checkpoint: SignedCheckpoint) -> list[dict[str, Any]]:
    with ledger.storage.read() as reader:
        rows = [row for kind in (WITNESS, TIMESTAMP) for row in stored_anchors(reader, kind)[0]]
    found = []
    for row in latest(rows, checkpoint.size):
        step = _step(ledger, row.size, checkpoint)
        if step is not None:
            proof = base64.b64encode(row.proof).decode()
            found.append({"kind": row.kind, "source": row.source, "proof": proof, **step})
    return found


def _step(ledger: Ledger, size: int, checkpoint: SignedCheckpoint) -> dict[str, Any] | None:
    """A checkpoint of the ledger with the proof that the packet's one extends it."""
    with ledger.storage.read() as reader:
        note = checkpoint_of(reader, size)
    if note is None:
        return None
    proof = ledger.consistency(size, checkpoint.size)
    return {
        "size": size,
        "note": note.decode(),
        "consistency": [base64.b64encode(item).decode() for item in proof],
    }


def extended(
    step: Mapping[str, Any], vkey: VerifierKey, last: SignedCheckpoint
) -> SignedCheckpoint:
    """The checkpoint of a step, if the ledger signed it and ``last`` extends it.

    Raises:
        VerificationError: it does not.
        InputError: ``packet.malformed``.
    """
    try:
        note = str(step["note"]).encode()
        proof = [base64.b64decode(item, validate=True) for item in step["consistency"]]
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise InputError("packet.malformed", "a step of the ledger's past is malformed") from error
    signed = verify_checkpoint(note, vkey)
    verify_consistency(signed.size, last.size, proof, signed.root, last.root)
    return signed


def check_outside(
    check: Check,
    files: Mapping[str, bytes],
    document: Mapping[str, Any],
    vkey: VerifierKey,
    last: SignedCheckpoint,
) -> None:
    """Hold the embedded cosignatures and time stamps against their checkpoints.

    Args:
        files: the packet's, by name.
        document: ``anchors.json``.
    """
    policy = Policy.parse(files[POLICY]) if POLICY in files else None
    roots = roots_in(files[ROOTS], ROOTS) if ROOTS in files else ()
    steps = list(document["anchors"])
    if not steps:
        check.not_checked.append("nobody outside cosigned or time-stamped a checkpoint")
    lines: dict[bytes, list[bytes]] = {}
    for step in steps:
        try:
            signed = extended(step, vkey, last)
            proof = base64.b64decode(step["proof"], validate=True)
            if step["kind"] == WITNESS:
                lines.setdefault(signed.note.to_bytes(), []).append(proof)
            elif roots:
                time = verify_token(proof, signed.note.to_bytes(), roots)
                check.checked += 1
                text = (
                    f"{step['source']} says that the first {counted(signed.size, 'record')} were "
                    f"there at {format_time(time)}"
                )
                check.notes.append(Finding("timestamp.held", text))
            else:
                check.not_checked.append(f"the time stamp of {step['source']}: no root vouches")
        except MunimentError as error:
            check.findings.append(Finding.of(error))
    for note, proofs in lines.items():
        _cosigned(check, policy, verify_checkpoint(note, vkey), proofs)
    if check.checked:
        check.not_checked.append(
            "whether those who saw it deserve trust: witnesses and roots are those that the "
            f"packet's maker named in {POLICY} and {ROOTS}"
        )


def check_said(
    check: Check,
    files: Mapping[str, bytes],
    document: Mapping[str, Any],
    said: Mapping[str, Any],
    last: SignedCheckpoint,
    now: datetime,
) -> None:
    """Hold what the pages say of proofs from outside against those that the packet embeds.

    Args:
        document: ``anchors.json``.
        said: ``pages.json``.
        now: UTC.
    """
    anchors = [
        StoredAnchor(item["size"], item["kind"], item["source"], base64.b64decode(item["proof"]))
        for item in document["anchors"]
    ]
    policy = Policy.parse(files[POLICY]) if POLICY in files else None
    roots = roots_in(files[ROOTS], ROOTS) if ROOTS in files else ()
    proofs, earlier = judged(anchors, last, policy, roots, now)
    found = {"outside": [item.to_json() for item in proofs], "outside_earlier": earlier}
    for name, expected in found.items():
        if said[name] != expected:
            text = "the pages say something else of witnesses and authorities than their proofs do"
            finding = Finding("pages.outside", text, None, str(expected), str(said[name]))
            check.findings.append(finding)


def _cosigned(
    check: Check, policy: Policy | None, signed: SignedCheckpoint, lines: Iterable[bytes]
) -> None:
    if policy is None:
        count = counted(len(list(lines)), "cosignature")
        check.not_checked.append(f"{count} unread: the packet names no witnesses to trust")
        return
    judgement = policy.judge(SignedNote.of(signed.note.text, b"".join(lines)))
    check.checked += len(judgement.cosigned)
    check.findings.extend(Finding.of(fault) for fault in judgement.faults.values())
    if judgement.cosigned:
        names = ", ".join(sorted(judgement.cosigned))
        text = f"cosigned at {counted(signed.size, 'record')} by {names}"
        check.notes.append(Finding("witness.held", text))


def check_previous(
    check: Check, document: Mapping[str, Any], vkey: VerifierKey, last: SignedCheckpoint
) -> dict[str, SignedCheckpoint]:
    """Hold the earlier packets' checkpoints against this one; by the SHA-256 of their files."""
    found: dict[str, SignedCheckpoint] = {}
    for step in document["packets"]:
        try:
            signed = extended(step, vkey, last)
        except MunimentError as error:
            check.findings.append(Finding.of(error))
            continue
        check.checked += 1
        found[str(step["sha256"])] = signed
    if not document["packets"]:
        check.not_checked.append("the ledger knew of no packet about this system before this one")
    return found


def check_since(
    check: Check,
    old: bytes,
    note: bytes,
    known: Iterable[SignedCheckpoint],
    issued: Mapping[str, SignedCheckpoint],
    vkey: VerifierKey,
) -> None:
    """Hold an old file against the packet.

    Args:
        old: the file, whole.
        note: the checkpoint in it.
        known: checkpoints that the packet proves its own one to extend.
        issued: those of earlier packets, by the SHA-256 of their files.
    """
    try:
        signed = verify_checkpoint(note, vkey)
    except MunimentError as error:
        text = f"the old checkpoint is not of this packet's ledger: {error.message}"
        check.findings.append(Finding("outside.other-ledger", text, None, str(vkey), error.found))
        return
    same = [item for item in known if item.size == signed.size]
    if not same:
        check.findings.append(
            Finding(
                "since.no-proof",
                f"the packet holds no proof from the old checkpoint of "
                f"{counted(signed.size, 'record')}; the workspace can: muniment verify --since",
                expected=f"size {signed.size}",
                found=", ".join(f"size {size}" for size in sorted({item.size for item in known})),
            )
        )
        return
    check.checked += 1
    if any(item.root != signed.root for item in same):
        check.findings.append(
            Finding(
                "outside.fork",
                "the ledger is not the old one with records added: its history was rewritten",
                expected=signed.root.hex(),
                found=same[0].root.hex(),
            )
        )
        return
    if hashlib.sha256(old).hexdigest() in issued:
        text = "the ledger names the old file as a packet that was issued"
        check.notes.append(Finding("since.issued", text))
