"""What others hold of the ledger, against what the ledger says now: its past, proved or refuted.

Whoever has the ledger's key and its database can rebuild it so that every signature holds. Only a
checkpoint that they could not take back shows it: one kept in a file, packet or receipt
(``since``), cosigned by witnesses (``witnesses``), in git (``git-anchor``), or remembered on the
machine that verifies (``remembered``).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from muniment.schemas.errors import (
    CheckpointError,
    ConsistencyError,
    GitError,
    InputError,
    MunimentError,
    VerificationError,
)
from muniment.schemas.files import read_small
from muniment.schemas.finding import Check, Finding, Outcome, VerificationReport
from muniment.schemas.text import counted

from .anchors import WITNESS, stored_anchors
from .checkpoint import Checkpoint, SignedCheckpoint, verify_checkpoint
from .ledger import Ledger
from .merkle import NodeReader, consistency_proof, verify_consistency
from .note import SignedNote, VerifierKey
from .pinned import ledger_name
from .policy import NONE, Policy
from .receipt import Receipt, parse_tlog_proof
from .storage import Reader, StoredAnchor
from .tiles import node_reader

if TYPE_CHECKING:
    from .gitanchor import GitCheckpoints

_MAX_NOTE = 1_000_000
_TREE = ("entries", "tree", "checkpoints")
"""Checks that must hold before the ledger's tree can speak of its past."""
_CLAIMS = {
    "since": "the ledger is the old one with records added",
    "witnesses": "the policy's quorum of witnesses saw this ledger, and no other",
    "git-anchor": "the ledger holds every checkpoint that was put into git",
    "remembered": "the ledger is the one this machine verified before, with records added",
}

_NOTHING_REMEMBERED = "nothing of this ledger was remembered on this machine before"


def checkpoint_in(data: bytes) -> bytes:
    """The signed checkpoint in an old file: a checkpoint, a Sigstore bundle or a ``.tlog-proof``.

    Raises:
        InputError: ``since.malformed``.
    """
    try:
        if data.lstrip()[:1] == b"{":
            return Receipt.from_bundle(data).checkpoint
        note = parse_tlog_proof(data)[2] if data.startswith(b"c2sp.org/tlog-proof@") else data
        Checkpoint.from_text(SignedNote.from_bytes(note).text)
    except MunimentError as error:
        raise InputError(
            "since.malformed",
            f"the old file holds no checkpoint: {error.message}",
            expected="a checkpoint, a packet, or a receipt",
            found=error.found,
        ) from error
    return note


def require_extension(
    old: bytes, vkey: VerifierKey, now: SignedCheckpoint, node: NodeReader | None
) -> Checkpoint:
    """Prove that the ledger extends an old checkpoint.

    Args:
        old: a signed note from outside.
        vkey: the ledger's verifier key.
        now: the ledger's last checkpoint.
        node: reads the ledger's tree; None where it is damaged, and then only sizes are compared.

    Returns:
        The old checkpoint.

    Raises:
        CheckpointError: it is malformed, or ``outside.other-ledger``.
        SignatureError: ``signature.invalid``.
        ConsistencyError: ``outside.rollback`` or ``outside.fork``.
    """
    note = SignedNote.from_bytes(old)
    checkpoint = Checkpoint.from_text(note.text)
    try:
        if checkpoint.origin != vkey.name:
            raise CheckpointError("note.unsigned", "it names another origin")
        note.verify(vkey)
    except CheckpointError as error:
        raise CheckpointError(
            "outside.other-ledger",
            f"the old checkpoint is not of this ledger, or not signed with its key: {error}",
            expected=str(vkey),
            found=", ".join([checkpoint.origin, *(str(line.name) for line in note.signatures)]),
        ) from error
    if checkpoint.size > now.size:
        raise ConsistencyError(
            "outside.rollback",
            f"the ledger once had {checkpoint.size} records and now has {now.size}",
            expected=f"{checkpoint.size} records or more",
            found=f"{now.size} records",
            hint="keep the old checkpoint: it proves that records were taken off",
        )
    if node is not None and checkpoint.size:
        _require_same_past(checkpoint, now, node)
    return checkpoint


def _require_same_past(old: Checkpoint, now: SignedCheckpoint, node: NodeReader) -> None:
    proof = consistency_proof(old.size, now.size, node)
    try:
        verify_consistency(old.size, now.size, proof, old.root, now.root)
    except ConsistencyError as error:
        raise ConsistencyError(
            "outside.fork",
            f"the first {old.size} records are not those that the old checkpoint signs: the "
            "ledger's key has signed two histories",
            expected=error.expected,
            found=error.found,
            hint="keep both checkpoints: together they prove that history was rewritten",
        ) from error


@dataclass(frozen=True, slots=True)
class Outside:
    """What is known from elsewhere; gathered before the ledger is read, so that records which are
    added meanwhile make no fault."""

    vkey: VerifierKey
    root: str
    """Fingerprint of the root key that is pinned."""
    folder: Path
    """The user's configuration folder."""
    moment: datetime
    """The verifier's own time, UTC."""
    since: bytes | None = None
    """An old checkpoint that the user gave."""
    policy: Policy | None = None
    git: GitCheckpoints | None = None
    git_fault: Finding | None = None
    """Why git holds something that cannot be read."""
    git_reason: str | None = None
    """Why there is nothing from git."""
    remembered: bytes | None = None

    @classmethod
    def gather(
        cls,
        vkey: VerifierKey,
        root: str,
        folder: Path,
        moment: datetime,
        *,
        since: bytes | None,
        policy: Policy | None,
        workspace: Path,
        ref: str | None,
    ) -> Outside:
        """Collect what there is.

        Args:
            root: fingerprint of the root key that is pinned.
            folder: the user's configuration folder.
            moment: the verifier's own time, UTC.
            workspace: whose git repository is looked into.
            ref: the git ref that holds checkpoints, if the user named one.

        Raises:
            InputError: the remembered checkpoint cannot be read; ``git.no-checkpoints``: the ref
                that the user named holds none of this ledger.
            GitError: git did not answer about the ref that the user named.
        """
        git, fault, reason = _from_git(workspace, ref, vkey.name)
        remembered = read_remembered(folder, vkey.name, root)
        return cls(
            vkey, root, folder, moment, since, policy, git, fault, reason, remembered=remembered
        )

    def checks(
        self, report: VerificationReport, now: SignedCheckpoint, reader: Reader
    ) -> list[Check]:
        """Hold all of it against the ledger.

        Args:
            report: what the ledger's own verification found.
            now: the ledger's last checkpoint.
        """
        damaged = any(check.findings for check in report.checks if check.name in _TREE)
        node = None if damaged else node_reader(reader.tile)
        since, witnesses, git, remembered = unchecked()
        if self.since is None:
            since.not_checked.append("no old checkpoint, packet or receipt was given (--since)")
        else:
            self._compare(since, "the old file", self.since, now, node)
        self.check_witnesses(witnesses, now, reader)
        self._check_git(git, now, node)
        if self.remembered is None:
            remembered.not_checked.append(_NOTHING_REMEMBERED)
        else:
            where = str(remembered_path(self.folder, self.vkey.name, self.root))
            self._compare(remembered, where, self.remembered, now, node)
        return [since, witnesses, git, remembered]

    def remember(self, now: SignedCheckpoint) -> str | None:
        """Remember a checkpoint that held, unless a larger one is remembered already.

        Returns:
            Why it could not be written; None if it was.
        """
        path = remembered_path(self.folder, self.vkey.name, self.root)
        try:
            known = read_remembered(self.folder, self.vkey.name, self.root)
            if known is not None and verify_checkpoint(known, self.vkey).size >= now.size:
                return None
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_durably(path, now.note.to_bytes())
        except (OSError, MunimentError) as error:
            return f"this checkpoint could not be remembered for the next time: {error}"
        return None

    def _check_git(self, check: Check, now: SignedCheckpoint, node: NodeReader | None) -> None:
        if self.git_fault is not None:
            check.findings.append(self.git_fault)
        if self.git_reason is not None:
            check.not_checked.append(self.git_reason)
        if self.git is None:
            return
        for where, note in self.git.notes:
            self._compare(check, where, note, now, node)
        for where in self.git.missing:
            check.checked += 1
            text = f"{where}: its bytes are not in the repository, or not those of its id"
            check.findings.append(Finding("git.corrupt", f"{text} (a partial clone lacks them)"))
        if self.git.is_shallow:
            check.not_checked.append(
                "checkpoints that older commits took away again: the repository is a shallow clone "
                "(git fetch --unshallow)"
            )

    def _compare(
        self,
        check: Check,
        where: str,
        old: bytes,
        now: SignedCheckpoint,
        node: NodeReader | None,
    ) -> None:
        try:
            found = require_extension(old, self.vkey, now, node)
        except VerificationError as error:
            check.checked += 1
            finding = Finding.of(error)
            check.findings.append(replace(finding, message=f"{where}: {finding.message}"))
            return
        if node is None:
            check.not_checked.append(
                f"{where}: whether its {found.size} records are the same, for the ledger itself "
                "does not hold"
            )
        else:
            check.checked += 1

    def check_witnesses(self, check: Check, now: SignedCheckpoint, reader: Reader) -> None:
        """Hold the stored cosignatures against the policy.

        Args:
            check: hears what was found.
            now: the ledger's last checkpoint.
        """
        anchors, faults = stored_anchors(reader, WITNESS)
        check.findings.extend(faults)
        if self.policy is None:
            check.not_checked.append(
                "no policy says which witnesses are trusted (policy in muniment.yaml, or --policy)"
                + (f"; {counted(len(anchors), 'cosignature')} unread" if anchors else "")
            )
            return
        if not self.policy.accepts(self.vkey):
            check.findings.append(
                Finding(
                    "policy.log",
                    "the policy is not for this ledger",
                    expected=", ".join(str(log.vkey) for log in self.policy.logs),
                    found=str(self.vkey),
                )
            )
        seen = self._judge(check, self.policy, anchors, now, reader)
        if self.policy.quorum == NONE:
            check.not_checked.append("the policy asks for no witness (quorum none)")
        elif seen is None:
            check.checked += 1
            check.findings.append(
                Finding(
                    "witness.quorum",
                    "no checkpoint of the ledger is cosigned by a quorum of the policy",
                    expected=f"quorum {self.policy.quorum}",
                    found=f"{len(anchors)} cosignatures",
                )
            )
        elif seen < now.size:
            check.not_checked.append(
                f"{_places(seen, now.size)} came after the last checkpoint that a quorum "
                f"cosigned, of {seen} records (muniment anchor witness)"
            )

    def _judge(
        self,
        check: Check,
        policy: Policy,
        anchors: Sequence[StoredAnchor],
        now: SignedCheckpoint,
        reader: Reader,
    ) -> int | None:
        """Judge every cosigned checkpoint; gives the size of the largest with a quorum."""
        largest = None
        for size in sorted({item.size for item in anchors}):
            lines = [item.proof for item in anchors if item.size == size]
            note = checkpoint_of(reader, size)
            if note is None:
                check.findings.append(
                    Finding(
                        "witness.stray",
                        f"there are cosignatures of a checkpoint of {size} records that the ledger "
                        "does not have",
                        found=f"{now.size} records",
                    )
                )
                continue
            if size > now.size:
                continue  # it came while the ledger was verified
            met = self._judge_one(check, policy, size, note, lines)
            largest = size if met else largest
        return largest

    def _judge_one(
        self, check: Check, policy: Policy, size: int, note: bytes, lines: Sequence[bytes]
    ) -> bool:
        where = f"the checkpoint of {size} records"
        try:
            signed = verify_checkpoint(note, self.vkey)
            cosigned = SignedNote.of(signed.note.text, b"".join(lines))
            judgement = policy.judge(cosigned, (signed.time, self.moment))
        except VerificationError as error:
            finding = Finding.of(error)
            check.findings.append(replace(finding, message=f"{where}: {finding.message}"))
            return False
        check.checked += len(judgement.cosigned)
        for name, fault in judgement.faults.items():
            if fault.code == "witness.time":
                finding = Finding.of(fault)
                check.findings.append(replace(finding, message=f"{where}: {finding.message}"))
                continue
            check.findings.append(
                Finding(
                    "witness.invalid",
                    f"{where}: the cosignature of {name} does not fit it: it was made up, or the "
                    "ledger was rebuilt under it",
                    expected=str(policy.witness(name).vkey),
                )
            )
        return judgement.is_met


def _from_git(
    workspace: Path, ref: str | None, origin: str
) -> tuple[GitCheckpoints | None, Finding | None, str | None]:
    """What git holds of a ledger; or what is wrong there; or why there is nothing."""
    from .gitanchor import DEFAULT_REF, anchored_checkpoints

    try:
        found = anchored_checkpoints(workspace, ref or DEFAULT_REF, origin)
    except GitError as error:
        if error.code == "git.corrupt":
            return None, Finding.of(error), None
        if ref is not None:
            raise
        return None, None, error.message
    except InputError as error:
        if ref is not None:
            raise
        return None, None, error.message
    if found.notes or found.missing:
        return found, None, None
    reason = f"{found.ref} holds nothing of this ledger"
    if not found.exists:
        reason = f"{found.ref} is not in this repository"
    if ref is not None:
        raise InputError(
            "git.no-checkpoints",
            reason,
            hint="git fetch REMOTE REF:REF brings a ref that a remote has",
            found=ref,
        )
    return None, None, reason


def _places(start: int, end: int) -> str:
    return f"#{start}" if end - start == 1 else f"#{start} to #{end - 1}"


def unchecked(reason: str | None = None) -> list[Check]:
    """The checks of this module before anything was checked."""
    reasons = [] if reason is None else [reason]
    return [Check(name, claim, not_checked=list(reasons)) for name, claim in _CLAIMS.items()]


def conclusion(checks: Sequence[Check], now: SignedCheckpoint) -> str:
    """What the ledger's end is, and who besides its holder can vouch for it."""
    held = [check.name for check in checks if check.outcome is Outcome.HELD]
    vouched = (
        f"its past was held against: {', '.join(held)}"
        if held
        else "nothing from outside vouches for it: whoever holds the ledger's key could have cut "
        "its end off, or built it anew"
    )
    records = counted(now.size, "record")
    return f"the last checkpoint covers {records}, root {now.root.hex()}; {vouched}"


def checkpoint_of(reader: Reader, size: int) -> bytes | None:
    """The stored checkpoint of exactly this size."""
    note = reader.covering_checkpoint(size - 1)
    if note is None:
        return None
    try:
        found = Checkpoint.from_text(SignedNote.from_bytes(note).text).size
    except CheckpointError:
        return note  # whoever reads it will say what is wrong
    return note if found == size else None


# What this machine remembers


def remembered_path(folder: Path, origin: str, root: str) -> Path:
    """File with the largest checkpoint of a ledger that was verified here.

    Args:
        root: fingerprint of the root key that is pinned.
    """
    return folder / "remembered" / f"{ledger_name(origin, root)}.checkpoint"


def read_remembered(folder: Path, origin: str, root: str) -> bytes | None:
    """The largest checkpoint that was verified here; None before the first time.

    Raises:
        InputError: the file cannot be read.
    """
    path = remembered_path(folder, origin, root)
    return read_small(path, _MAX_NOTE) if path.exists() else None


def require_remembered(folder: Path, ledger: Ledger) -> bool:
    """Refuse a ledger that is not the one this machine verified, before anybody signs into it.

    Args:
        folder: the user's configuration folder.

    Returns:
        Whether it verified any.

    Raises:
        VerificationError: ``outside.rollback``, ``outside.fork`` or ``outside.other-ledger``.
        InputError: the remembered checkpoint cannot be read.
    """
    vkey, root = ledger.vkey, ledger.root
    old = read_remembered(folder, vkey.name, root)
    if old is None:
        return False
    now = ledger.checkpoint()
    try:
        with ledger.storage.read() as reader:
            require_extension(old, vkey, now, node_reader(reader.tile))
    except VerificationError as error:
        where = remembered_path(folder, vkey.name, root)
        error.hint = (
            "nothing was signed; if you restored a backup or made the ledger anew: "
            f"docs/witnesses.md ({where})"
        )
        raise
    return True


def check_remembered(folder: Path, ledger: Ledger) -> Check:
    """The check that a sound ledger is the one this machine verified before, or more.

    Raises:
        InputError: the remembered checkpoint cannot be read.
    """
    check = Check("remembered", _CLAIMS["remembered"])
    try:
        known = require_remembered(folder, ledger)
    except VerificationError as error:
        check.findings.append(Finding.of(error))
        return check
    if known:
        check.checked = 1
    else:
        check.not_checked.append(_NOTHING_REMEMBERED)
    return check


def write_durably(path: Path, data: bytes) -> None:
    """Put ``data`` in the place of a file, whole or not at all, and on the disk on return.

    Raises:
        OSError: it could not be written; the old file is as it was.
    """
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except OSError:
        with suppress(OSError):
            Path(temporary).unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
