"""One moment of one system's records given to the evaluator: a workspace's only way to it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from muniment.controls.coverage import Coverage
from muniment.controls.evaluator import evaluate
from muniment.controls.profile import Profile
from muniment.controls.standing import counting
from muniment.evidence.admission import PastTrust
from muniment.evidence.derivation import derive, is_derived, orders
from muniment.evidence.verified import VerifiedLedger
from muniment.schemas.errors import InputError
from muniment.schemas.statement import SystemRef
from muniment.schemas.times import format_time

if TYPE_CHECKING:
    from .workspace import Workspace


def judge(
    workspace: Workspace,
    verified: VerifiedLedger,
    system: SystemRef,
    profile: Profile,
    frameworks: Sequence[str],
    as_of: datetime | None,
    artifact: str | None,
    size: int | None = None,
) -> Coverage:
    """The coverage of one system version at a moment, by default now.

    Args:
        frameworks: catalogs, by default those of ``muniment.yaml``.
        artifact: SHA-256 of the model in question.
        size: number of entries the ledger had at that moment, if that is known.
    """
    moment = as_of or present(workspace, verified)
    records = PastTrust(verified.keys, workspace.kinds).at(verified.records, moment, size)
    # NOTE: files are read for what counts alone, and a later erasure explains one that is gone.
    has_any = any(is_derived(record) for record in records if record.statement.system == system)
    counted = counting(records, system, moment) if has_any else ()
    about = [*counted, *orders(verified.records)]
    named = [workspace.catalog(name) for name in frameworks] or workspace.catalogs
    catalogs = {catalog.id: catalog for catalog in named}
    crosswalk = workspace.crosswalk
    wanted = (*workspace.config.frameworks, *profile.blocks)
    used = [workspace.catalog(name).id for name in wanted]
    carrying = [workspace.catalog(name) for name in crosswalk.reaching(catalogs, used)]
    derivations = derive(about, workspace.store, verified.derivations)
    return evaluate(
        records,
        tuple(catalogs.values()),
        profile,
        system,
        moment,
        artifact,
        crosswalk,
        carrying,
        derivations,
    )


def present(workspace: Workspace, verified: VerifiedLedger) -> datetime:
    """Now, UTC.

    Raises:
        VerificationError: ``ledger.unsound``.
    """
    # NOTE: a clock a little behind the ledger's must not hide what was just recorded.
    return max(workspace.clock(), verified.require().time)


def require_begun(
    verified: VerifiedLedger, as_of: datetime | None, system: SystemRef | None = None
) -> None:
    """Refuse a moment of which the ledger, or what it holds of a system, knows nothing yet.

    Raises:
        InputError: ``coverage.before-ledger`` or ``system.not-yet``.
    """
    if as_of is None:
        return
    first = verified.keys[0][1]
    if as_of < first:
        raise InputError(
            "coverage.before-ledger",
            "the ledger did not exist by then, so nothing can be said of that day",
            expected=f"{format_time(first)}, when its first record was recorded, or later",
            found=format_time(as_of),
        )
    if system is None:
        return
    times = [item.recorded_at for item in verified.records if item.statement.system == system]
    if times and as_of < min(times):
        raise InputError(
            "system.not-yet",
            f"{system} was not registered by then",
            expected=f"{format_time(min(times))}, when its first record was recorded, or later",
            found=format_time(as_of),
        )
