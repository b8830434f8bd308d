"""Asking witnesses to cosign the ledger's last checkpoint.

Source: C2SP tlog-witness, ``POST URL/add-checkpoint``. What a witness answers is kept only after
its signature was checked.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

from muniment.schemas import times
from muniment.schemas.errors import (
    CheckpointError,
    ConsistencyError,
    InputError,
    MunimentError,
    StoreError,
    VerificationError,
)
from muniment.schemas.text import said_by, shorten, visible

from .anchors import WITNESS, stored_anchors
from .checkpoint import SignedCheckpoint
from .ledger import Ledger
from .note import NoteSignature, SignedNote
from .policy import Policy, Witness, cosigned_at
from .storage import AnchorRow, StoredAnchor

SIZE_TYPE = "text/x.tlog.size"
"""Content type of an answer that says which size the witness knows."""
PATH = "/add-checkpoint"
_SECONDS = 20
"""How long one answer may take."""
_MAX_ANSWER = 1 << 16
_TRIES = 4
"""A witness may be told of newer checkpoints by others while it is asked."""
_HTTP = re.compile(r"https?://", re.I)
_SIZE = re.compile(rb"(0|[1-9][0-9]{0,15})\n")


@dataclass(frozen=True, slots=True)
class Asked:
    """What asking one witness came to."""

    name: str
    """Its name in the policy."""
    is_new: bool = False
    """False if its cosignature was there already, or there is none."""
    time: int | None = None
    """Time of its cosignature, seconds since 1970."""
    error: MunimentError | None = None
    """Why there is none."""


@dataclass(frozen=True, slots=True)
class Witnessed:
    """What asking the witnesses of a policy came to."""

    size: int
    """Size of the checkpoint they were asked about."""
    asked: tuple[Asked, ...]
    is_met: bool
    """Whether the policy's quorum has cosigned it."""

    @property
    def contradicted(self) -> bool:
        """Whether a witness knows of another past than the ledger's."""
        codes = {item.error.code for item in self.asked if item.error is not None}
        return not codes.isdisjoint({"outside.fork", "outside.rollback"})


def anchor_at_witnesses(
    ledger: Ledger,
    policy: Policy,
    names: Sequence[str] = (),
    clock: Callable[[], datetime] = times.now,
) -> Witnessed:
    """Have the last checkpoint cosigned and keep what holds; who did so before is not asked.

    Args:
        names: witnesses of the policy to ask; without any, all of them.
        clock: our own time, UTC.

    Raises:
        InputError: ``witness.unknown``; ``witness.none``: the policy names no witness;
            ``policy.log``: it is not for this ledger.
        StoreError: ``witness.unreachable``: nobody answered; or the ledger did not.
    """
    chosen = [policy.witness(name) for name in dict.fromkeys(names)] or list(policy.witnesses)
    if not chosen:
        raise InputError("witness.none", "the policy names no witness to ask")
    if not policy.accepts(ledger.vkey):
        raise InputError("policy.log", "the policy is not for this ledger", found=str(ledger.vkey))
    checkpoint = ledger.checkpoint()
    with ledger.storage.read() as reader:
        anchors, _ = stored_anchors(reader, WITNESS)
    asked = tuple(_ask(ledger, witness, checkpoint, anchors, clock) for witness in chosen)
    _require_an_answer(asked)
    with ledger.storage.read() as reader:
        kept, _ = stored_anchors(reader, WITNESS, checkpoint.size)
    note = checkpoint.note
    if lines := b"".join(item.proof for item in kept):
        note = SignedNote.of(note.text, lines)
    judgement = policy.judge(note, (checkpoint.time, clock()))
    return Witnessed(checkpoint.size, asked, judgement.is_met)


def source_name(witness: Witness) -> str:
    """Under what name a witness's cosignatures are kept: its own, and the id of its key."""
    return f"{witness.vkey.name}+{witness.vkey.id.hex()}"


def _ask(
    ledger: Ledger,
    witness: Witness,
    checkpoint: SignedCheckpoint,
    anchors: Sequence[StoredAnchor],
    clock: Callable[[], datetime],
) -> Asked:
    kept = [item for item in anchors if item.source == source_name(witness)]
    period = checkpoint.time, clock()
    try:
        for item in kept:
            if item.size == checkpoint.size:
                note = SignedNote.of(checkpoint.note.text, item.proof)
                return Asked(witness.name, time=cosigned_at(note, witness.vkey, period))
        old = max((item.size for item in kept if item.size < checkpoint.size), default=0)
        line, at = cosign(
            witness,
            checkpoint,
            old,
            lambda size: ledger.consistency(size, checkpoint.size),
            clock,
        )
        with ledger.storage.write() as writer:
            row = AnchorRow(
                size=checkpoint.size,
                kind=WITNESS,
                source=source_name(witness),
                proof=str(line).encode(),
            )
            if row.source not in [item.source for item in writer.anchors(checkpoint.size)]:
                writer.add([row])
    except (VerificationError, StoreError, InputError) as error:
        return Asked(witness.name, error=error)
    return Asked(witness.name, is_new=True, time=at)


def _require_an_answer(asked: Sequence[Asked]) -> None:
    silent = [item for item in asked if item.error and item.error.code == "witness.unreachable"]
    if len(silent) == len(asked):
        raise StoreError(
            "witness.unreachable",
            "no witness could be reached",
            found="; ".join(f"{item.name}: {item.error}" for item in silent),
            hint="the checkpoint is not cosigned; ask again later",
        )


def cosign(
    witness: Witness,
    checkpoint: SignedCheckpoint,
    old: int,
    prove: Callable[[int], Sequence[bytes]],
    clock: Callable[[], datetime] = times.now,
) -> tuple[NoteSignature, int]:
    """Have one witness cosign a checkpoint.

    Args:
        old: size of the largest checkpoint that it is known to have cosigned; 0 if there is none.
        prove: gives the consistency proof from a size to the checkpoint's.
        clock: our own time, UTC; a cosignature's cannot be far from it.

    Returns:
        Its cosignature, checked, and the time in it (seconds since 1970).

    Raises:
        InputError: ``witness.url``.
        StoreError: ``witness.unreachable``: no answer, or none that can be used.
        ConsistencyError: ``outside.rollback`` or ``outside.fork``: it knows another past.
        CheckpointError: ``witness.refused``, ``witness.forgot`` (it no longer knows what it
            cosigned), or its answer is malformed or not signed by it.
        SignatureError: ``signature.invalid``.
    """
    cosigned = old
    for _ in range(_TRIES):
        hashes = prove(old) if old else []
        lines = "".join(base64.b64encode(item).decode() + "\n" for item in hashes)
        body = f"old {old}\n{lines}\n".encode() + checkpoint.note.to_bytes()
        status, kind, answer = _post(witness, body)
        if status == 200:
            return _cosignature(witness, checkpoint, answer, clock())
        if status != 409 or not kind.startswith(SIZE_TYPE):
            raise _refusal(witness, status, answer)
        known = _size(witness, answer)
        if known > checkpoint.size:
            raise ConsistencyError(
                "outside.rollback",
                f"{witness.name} has cosigned {known} records, and the ledger has "
                f"{checkpoint.size}",
                expected=f"{known} records or more",
                found=f"{checkpoint.size} records",
            )
        if known == old:
            # The protocol's first version said so of another root of the same size.
            raise _fork(witness)
        if known < cosigned:
            raise CheckpointError(
                "witness.forgot",
                f"{witness.name} has cosigned {cosigned} records before, and no longer knows it",
                hint="its memory was lost or taken back: do not count on it any more",
                expected=f"{cosigned} records or more",
                found=f"{known} records",
            )
        old = known
    raise _unreachable(witness, "the size it knows changes all the time")


def _cosignature(
    witness: Witness, checkpoint: SignedCheckpoint, answer: bytes, now: datetime
) -> tuple[NoteSignature, int]:
    vkey = witness.vkey
    note = SignedNote.of(checkpoint.note.text, answer)
    # NOTE: of several lines only the one that is judged is kept.
    own = [line for line in note.signatures if (line.name, line.key_id) == (vkey.name, vkey.id)]
    at = cosigned_at(SignedNote(note.text, tuple(own[:1])), vkey, (checkpoint.time, now))
    return own[0], at


def _size(witness: Witness, answer: bytes) -> int:
    match = _SIZE.fullmatch(answer)
    if not match:
        raise _unreachable(witness, "it answered with no size")
    return int(match[1])


def _fork(witness: Witness) -> ConsistencyError:
    return ConsistencyError(
        "outside.fork",
        f"{witness.name} has cosigned a past that the ledger's last checkpoint does not extend",
        hint="compare what it cosigned with this ledger: one of the two was rewritten",
    )


def _refusal(witness: Witness, status: int, answer: bytes) -> MunimentError:
    if status == 422:
        return _fork(witness)
    reasons = {
        400: "could not read the request",
        403: "does not trust the ledger's key",
        404: "does not know this ledger",
        409: "answered with a conflict and no size",
    }
    if status not in reasons:
        return _unreachable(witness, f"it answered with status {status}")
    words = visible(shorten(answer.decode("utf-8", "replace").strip(), 200))
    return CheckpointError(
        "witness.refused",
        f"{witness.name} {reasons[status]}",
        found=f"status {status}: {words}",
        hint="its operator adds the ledger's verifier key" if status in (403, 404) else None,
    )


def _unreachable(witness: Witness, why: str) -> StoreError:
    return StoreError("witness.unreachable", f"{witness.name} did not answer: {why}")


class _NoRedirect(HTTPRedirectHandler):
    """NOTE: a redirected POST would turn into a GET of somewhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _post(witness: Witness, body: bytes) -> tuple[int, str, bytes]:
    """Status, content type and body of the answer."""
    if witness.url is None or not _HTTP.match(witness.url):
        raise InputError(
            "witness.url",
            f"the policy gives no URL where {witness.name} can be asked",
            expected="http://… or https://…",
            found=witness.url,
        )
    deadline = time.monotonic() + _SECONDS
    try:
        request = Request(witness.url.rstrip("/") + PATH, data=body, method="POST")
        request.add_header("Content-Type", "text/plain; charset=utf-8")
        try:
            answer = build_opener(_NoRedirect).open(request, timeout=_SECONDS)
        except HTTPError as refused:
            answer = refused
        with answer:
            return answer.status, answer.headers.get("Content-Type", ""), _read(answer, deadline)
    except (OSError, HTTPException, ValueError) as error:
        raise _unreachable(witness, said_by(error)) from error


def _read(answer: Any, deadline: float) -> bytes:
    data = b""
    # NOTE: read1 gives what there is, so that a trickle of bytes does not get around the deadline.
    while chunk := answer.read1(4096):
        data += chunk
        if len(data) > _MAX_ANSWER:
            raise ValueError("its answer is too long")
        if time.monotonic() > deadline:
            raise TimeoutError("its answer takes too long")
    return data
