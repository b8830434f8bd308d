"""The audit of a workspace: its ledger, what the records speak of, and what others hold of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from muniment.schemas.errors import VerificationError
from muniment.schemas.finding import Check, Finding, VerificationReport
from muniment.schemas.record import Record
from muniment.schemas.statement import Subject
from muniment.schemas.times import format_time

from .attestation import KIND as ATTESTATION
from .attestation import verify_attestations
from .checkpoint import SignedCheckpoint
from .derivation import verify_derivations
from .filechecks import verify_artifacts, verify_git_links
from .keyfiles import config_folder
from .outside import Outside, conclusion, unchecked
from .trust import ERASURE_KIND
from .verification import Progress

if TYPE_CHECKING:
    from .verified import VerifiedLedger
    from .workspace import Workspace

_APART = timedelta(days=1)
"""How far the ledger's clock may be ahead of the verifier's."""


def audit(
    workspace: Workspace,
    progress: Progress | None,
    *,
    since: bytes | None,
    policy: Path | None,
    ref: str | None,
    incremental: bool,
) -> VerificationReport:
    """Verify everything there is to verify; see ``Workspace.verify``."""
    outside = _outside(workspace, since, policy, ref)
    records: list[Record] = []

    verified = workspace.verify_ledger(
        records.append, progress, files_only=True, incremental=incremental
    )
    report = verified.report
    is_partial = report.extent == "incremental"
    beside = list(_beside(workspace, records, "new record" if is_partial else "record"))
    if is_partial:
        for check in beside:
            check.not_checked = [
                *(
                    item.replace("no record speaks", "no new record speaks", 1)
                    for item in check.not_checked
                ),
                "the files of the records verified before",
            ]
    report.checks.extend(beside)
    report.checks.append(_timestamps(workspace, verified.checkpoint is not None))
    _check_outside(workspace, verified, outside)
    if report.ok and verified.pin is not None:
        # NOTE: not before all of it held, or the next time would rest on what never did.
        verified.pin.save(config_folder(), workspace.config.origin, workspace.config.root)
    return report


def _check_clock(workspace: Workspace, last: SignedCheckpoint, report: VerificationReport) -> None:
    """The last checkpoint has the latest time, and that cannot be far in the future."""
    now = workspace.clock()
    if last.time <= now + _APART:
        return
    (check,) = (item for item in report.checks if item.name == "checkpoints")
    check.findings.append(
        Finding(
            "checkpoint.future",
            f"the checkpoint of size {last.size} is dated later than today: the clock that made it "
            "was wrong, or this one is",
            expected=f"{format_time(now)} or earlier",
            found=format_time(last.time),
        )
    )


def _beside(workspace: Workspace, records: list[Record], what: str) -> Iterator[Check]:
    """What the records speak of: files in the store and in git.

    Args:
        what: these records are called.
    """
    subjects = [(record.index, item) for record in records for item in _files(record)]
    erased = [
        (record.index, sha256)
        for record in records
        if record.kind == ERASURE_KIND
        for sha256 in record.statement.body["artifacts"]
    ]
    yield verify_artifacts(subjects, workspace.store, erased, what=what)
    yield verify_git_links(subjects, workspace.root, what=what)
    attested = [record for record in records if record.kind == ATTESTATION]
    if attested:
        yield verify_attestations(attested, workspace.store)
    withdrawn = workspace.withdrawn(records)
    yield verify_derivations(records, workspace.store, withdrawn, what=what)


def _files(record: Record) -> Iterator[Subject]:
    return (item for item in record.statement.subjects if item.is_file)


def _timestamps(workspace: Workspace, is_sound: bool) -> Check:
    from .timestamp import verify_timestamps

    roots = workspace.config.timestamp_roots
    file = None if roots is None else workspace.root / roots
    vkey = workspace.ledger.vkey if is_sound else None
    with workspace.storage.read() as reader:
        return verify_timestamps(reader, vkey, file)


def _outside(
    workspace: Workspace, since: bytes | None, policy: Path | None, ref: str | None
) -> Outside | None:
    has_policy = policy is not None or workspace.config.policy is not None
    trusted = workspace.policy(policy) if has_policy else None
    try:
        vkey = workspace.ledger.vkey
    except VerificationError:
        return None
    return Outside.gather(
        vkey,
        workspace.config.root,
        config_folder(),
        workspace.clock(),
        since=since,
        policy=trusted,
        workspace=workspace.root,
        ref=ref,
    )


def _check_outside(workspace: Workspace, verified: VerifiedLedger, outside: Outside | None) -> None:
    report = verified.report
    if outside is None or verified.checkpoint is None:
        report.checks.extend(unchecked("the ledger has no checkpoint that holds"))
        return
    with workspace.storage.read() as reader:
        checks = outside.checks(report, verified.checkpoint, reader)
    report.checks.extend(checks)
    report.conclusions.append(conclusion(checks, verified.checkpoint))
    _check_clock(workspace, verified.checkpoint, report)
    if report.ok and (fault := outside.remember(verified.checkpoint)):
        checks[-1].not_checked.append(fault)
