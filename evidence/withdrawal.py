"""Withdrawing records: retraction, which leaves them in sight, and erasure, which removes bytes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from muniment.schemas.errors import InputError, StoreError
from muniment.schemas.record import Record, Role

from .entry import Entry
from .lookup import find_row
from .statements import erased_item, withdrawal_statement
from .trust import ERASURE_KIND

if TYPE_CHECKING:
    from .storage import Reader
    from .trust import KeyRing
    from .workspace import Attached, Workspace


def retract(workspace: Workspace, records: Sequence[str], reason: str) -> Attached:
    """Take records back: they stay visible and count for nothing.

    Their author may, and an approver; nobody else is heard when coverage is computed.

    Raises:
        InputError: ``withdrawal.mixed``, ``withdrawal.not-yours``, ``record.retracted``, or a
            record is unknown.
    """
    targets = [workspace.entry(text) for text in records]
    require_author(workspace, targets)
    body = {
        "records": [target.ref.to_json() for target in targets],
        "reason": reason,
    }
    _check_standing(workspace, targets, body)
    return _append(workspace, "retraction", targets, body)


def _check_standing(workspace: Workspace, targets: Sequence[Entry], body: dict[str, Any]) -> None:
    """Refuse to take back again what counts for nothing already; the same words are no fault."""
    ring, me = workspace.people.ring(), workspace.keys.public(workspace.key_name)
    with workspace.storage.read() as reader:
        rows = list(reader.find(kind="retraction"))
    for row in rows:
        later = Entry.from_stored(row.number, row.envelope, row.leaf)
        if later.key == me and later.statement.body == body:
            continue
        named = {item["sha256"] for item in later.statement.body["records"]}
        for target in targets:
            if target.sha256 in named and _is_taken_back(workspace, ring, target, later):
                raise InputError(
                    "record.retracted",
                    f"#{target.index} was retracted by #{later.index} already",
                    hint=f'muniment record show "#{target.index}"',
                )


def _is_taken_back(workspace: Workspace, ring: KeyRing, target: Entry, later: Entry) -> bool:
    """Whether a retraction counts: its key is trusted there, and its signer may."""
    signer = ring.at(later.key.fingerprint, later.index)
    author = ring.at(target.key.fingerprint, target.index)
    time = workspace.ledger.recording_checkpoints([later.index])[later.index].time
    is_distrusted = ring.distrust(later.key.fingerprint, later.index, time) is not None
    if signer is None or author is None or is_distrusted:
        return False
    is_own = signer.signer.person == author.signer.person
    is_vote = target.statement.kind in ("approval", "sample-test")
    return is_own or (Role.APPROVER in signer.signer.roles and not is_vote)


def require_author(workspace: Workspace, targets: Sequence[Entry]) -> None:
    """Refuse to withdraw what others said, unless as an approver; coverage would not heed it.

    Raises:
        InputError: ``withdrawal.not-yours``.
    """
    ring = workspace.people.ring()
    me = ring.get(workspace.keys.public(workspace.key_name).fingerprint)
    if me is None or Role.APPROVER in me.signer.roles:
        return
    for target in targets:
        author = ring.get(target.key.fingerprint)
        if author is None or author.signer.person != me.signer.person:
            raise InputError(
                "withdrawal.not-yours",
                f"#{target.index} is not {me.signer.name}'s to take back or replace",
                hint="its author may, and an approver",
            )


def erase(workspace: Workspace, records: Sequence[str], basis: str, reason: str) -> Attached:
    """Remove the bytes of records, and of the files only they speak of; leaves and proofs stay.

    The record that orders it is signed by an approver. Copies elsewhere, such as backups, packets
    and exports, are not reached. Where the records were erased before and only the scrubbing of the
    database's files was interrupted, that is finished and nothing is added.

    Raises:
        InputError: ``withdrawal.mixed``, ``erasure.kind``, or a record is unknown.
        StoreError: ``erasure.not-scrubbed`` if the bytes may still be in the database's files.
    """
    finish_erasures(workspace)
    attached = _interrupted(workspace, records) or _order(workspace, records, basis, reason)
    finish_erasures(workspace)
    try:
        workspace.storage.scrub()
    except StoreError as error:
        names = " ".join(f'"{text}"' for text in records)
        raise StoreError(
            "erasure.not-scrubbed",
            f"{attached.record} erased it, but the bytes may still be in the database's files: "
            f"{error.message}",
            found=error.found,
            hint=f"repeat the command, muniment erase {names}, when that is over: it finishes this",
        ) from error
    return attached


def _order(workspace: Workspace, records: Sequence[str], basis: str, reason: str) -> Attached:
    targets = [workspace.entry(text) for text in records]
    artifacts = sorted(_own_files(workspace, targets))
    body = {
        "records": [erased_item(target.ref, target.statement) for target in targets],
        "artifacts": artifacts,
        "basis": basis,
        "reason": reason,
    }
    return _append(workspace, ERASURE_KIND, targets, body)


def _interrupted(workspace: Workspace, records: Sequence[str]) -> Attached | None:
    """The last of the erasures that ordered these records, if only the scrubbing is left to do."""
    from .workspace import Attached

    rows = [find_row(workspace.storage, text) for text in records]
    with workspace.storage.read() as reader:
        by, due = reader.erasures(), reader.unscrubbed()
    if any(row.envelope or row.number not in by for row in rows):
        return None
    if not any(row.number in due for row in rows):
        return None
    order = workspace.ledger.proven(max(by[row.number] for row in rows))
    fingerprint = order.key.fingerprint
    recorded_at = workspace.ledger.recording_checkpoints([order.index])[order.index].time
    holder = workspace.people.ring().get(fingerprint)
    if order.statement.kind != ERASURE_KIND or holder is None:
        return None
    record = Record(order.index, order.sha256, order.statement, holder.signer, recorded_at)
    return Attached(record, False)


def finish_erasures(workspace: Workspace) -> None:
    """Remove every file that an erasure names and nobody speaks of.

    NOTE: the order stands in the ledger before a file is touched, so that an interruption loses
    nothing that was not to be lost; this finishes what was interrupted. Nobody appends meanwhile,
    so a record that speaks of such a file comes either before, and the file is kept, or after, and
    its author finds the file gone and stores it again.
    """
    ordered: set[str] = set()
    with workspace.storage.read() as reader:
        for row in reader.find(kind=ERASURE_KIND):
            statement = Entry.from_stored(row.number, row.envelope, row.leaf).statement
            ordered.update(statement.body["artifacts"])
    left = sorted(sha256 for sha256 in ordered if workspace.store.has(sha256))
    if not left:
        return
    with workspace.storage.write() as writer:
        for sha256 in left:
            if not _is_kept(writer, sha256):
                workspace.store.remove(sha256)


def _append(
    workspace: Workspace, kind: str, targets: Sequence[Entry], body: dict[str, Any]
) -> Attached:
    systems = {target.statement.system for target in targets}
    if len(systems) != 1 or None in systems:
        raise InputError(
            "withdrawal.mixed",
            f"one {kind} speaks of records of one system version; a key is revoked instead",
        )
    return workspace.append(
        withdrawal_statement(
            kind, targets, systems.pop(), workspace.clock(), body, workspace.references
        )
    )


def _own_files(workspace: Workspace, targets: Sequence[Entry]) -> set[str]:
    """Digests of the stored files that no other record speaks of."""
    stored = {
        subject.sha256
        for target in targets
        for subject in target.statement.subjects
        if subject.stored
    }
    places = {target.index for target in targets}
    with workspace.storage.read() as reader:
        return {sha256 for sha256 in stored if not _is_kept(reader, sha256, places)}


def _is_kept(reader: Reader, sha256: str, apart_from: Collection[int] = ()) -> bool:
    """Whether another record stored this file; one that only names its digest did not."""
    for number in reader.speaking_of(sha256).difference(apart_from):
        row = reader.entry(number)
        assert row is not None
        statement = Entry.from_stored(number, row.envelope, row.leaf).statement
        if any(item.sha256 == sha256 and item.stored for item in statement.subjects):
            return True
    return False
