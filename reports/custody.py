"""What the custody annex shows: who outside signed the checkpoint, and what became of every key."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from muniment.evidence.anchors import TIMESTAMP, WITNESS, stored_anchors
from muniment.evidence.checkpoint import SignedCheckpoint
from muniment.evidence.note import SignedNote
from muniment.evidence.policy import Policy, cosigned_at
from muniment.evidence.storage import StoredAnchor
from muniment.evidence.timestamp import load_roots, stated_time, verify_token
from muniment.evidence.trust import EnrolledKey, format_since
from muniment.evidence.witness import source_name
from muniment.schemas.errors import MunimentError
from muniment.schemas.record import Record
from muniment.schemas.text import first_up
from muniment.schemas.times import parse_time

from .model import KeyEvent, KeyLine, OutsideProof

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

    from .workspace import Workspace

_NO_POLICY = "Its key is not among the witnesses that the workspace trusts; it was not checked."
_NO_ROOTS = "No root certificate is trusted to vouch for it; who signed it was not checked."


def outside_proofs(
    workspace: Workspace, checkpoint: SignedCheckpoint
) -> tuple[tuple[OutsideProof, ...], int]:
    """The proofs from outside over a checkpoint, and how many there are over earlier ones.

    Raises:
        InputError: the policy or the file of roots cannot be read.
    """
    with workspace.storage.read() as reader:
        rows = [row for kind in (WITNESS, TIMESTAMP) for row in stored_anchors(reader, kind)[0]]
    policy = workspace.policy() if workspace.config.policy is not None else None
    named = workspace.config.timestamp_roots
    roots = load_roots(workspace.root / named) if named is not None else ()
    return judged(latest(rows, checkpoint.size), checkpoint, policy, roots, workspace.clock())


def latest(rows: Iterable[StoredAnchor], size: int) -> list[StoredAnchor]:
    """The last word of each witness and authority on a ledger of at most ``size`` entries.

    Args:
        rows: smallest size first.
    """
    return list({(row.kind, row.source): row for row in rows if row.size <= size}.values())


def judged(
    anchors: Sequence[StoredAnchor],
    checkpoint: SignedCheckpoint,
    policy: Policy | None,
    roots: tuple[Certificate, ...],
    now: datetime,
) -> tuple[tuple[OutsideProof, ...], int]:
    """What proofs over a checkpoint are worth, and how many are over earlier ones."""
    on = [anchor for anchor in anchors if anchor.size == checkpoint.size]
    found = [
        *(_cosignature(item, checkpoint, policy, now) for item in on if item.kind == WITNESS),
        *(_stamp(item, checkpoint, roots) for item in on if item.kind != WITNESS),
    ]
    return tuple(found), len(anchors) - len(on)


def _cosignature(
    anchor: StoredAnchor, checkpoint: SignedCheckpoint, policy: Policy | None, now: datetime
) -> OutsideProof:
    witnesses = policy.witnesses if policy is not None else ()
    known = next((item for item in witnesses if source_name(item) == anchor.source), None)
    if known is None:
        return OutsideProof("cosignature", anchor.source, None, None, _NO_POLICY)
    try:
        note = SignedNote.of(checkpoint.note.text, anchor.proof)
        seconds = cosigned_at(note, known.vkey, (checkpoint.time, now))
    except MunimentError as error:
        return OutsideProof(
            "cosignature", anchor.source, None, False, f"{first_up(error.message)}."
        )
    moment = datetime.fromtimestamp(seconds, UTC)
    note_of = f"Its signature holds; the workspace’s policy calls it {known.name}."
    return OutsideProof("cosignature", anchor.source, moment, True, note_of)


def _stamp(
    anchor: StoredAnchor, checkpoint: SignedCheckpoint, roots: tuple[Certificate, ...]
) -> OutsideProof:
    note = checkpoint.note.to_bytes()
    try:
        if not roots:
            moment = stated_time(anchor.proof, note)
            return OutsideProof("time stamp", anchor.source, moment, None, _NO_ROOTS)
        moment = verify_token(anchor.proof, note, roots)
    except MunimentError as error:
        return OutsideProof("time stamp", anchor.source, None, False, f"{first_up(error.message)}.")
    words = "It is over this checkpoint, and a trusted root vouches for who signed it."
    return OutsideProof("time stamp", anchor.source, moment, True, words)


def key_line(enrolled: EnrolledKey, moment: datetime) -> KeyLine:
    """One enrolled key as of ``moment``."""
    signer = enrolled.signer
    return KeyLine(
        signer.fingerprint,
        signer.name,
        signer.email,
        signer.type,
        signer.roles,
        signer.functions,
        enrolled.enrolled,
        enrolled.expires,
        enrolled.state(moment),
    )


def key_events(records: Iterable[Record]) -> tuple[KeyEvent, ...]:
    """What each ``key`` record signed.

    NOTE: where several roots must agree, each of their records is an event of its own.
    """
    return tuple(
        KeyEvent(
            record.index,
            record.recorded_at,
            _said(record),
            record.signer,
        )
        for record in records
    )


def _said(record: Record) -> str:
    body = record.statement.body
    action = body["action"]
    if action == "threshold":
        return f"Changes of the roots need {body['threshold']} of them from here on."
    if action == "revoke":
        since = body.get("compromisedSince")
        known = parse_time(since) if isinstance(since, str) else since
        words = "" if known is None else f", compromised since {format_since(known)}"
        why = f": {body['reason']}" if body.get("reason") else "."
        return f"Revoked {body['fingerprint']}{words}{why}"
    holder, roles = body["holder"], ", ".join(body["roles"])
    if action == "rotate":
        return f"Takes the place of {body['replaces']} for {holder['name']}, as {roles}."
    return f"Enrolled for {holder['name']}, as {roles}."
