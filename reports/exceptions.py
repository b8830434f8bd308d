"""Signing exceptions: waivers, accepted risks, and which controls apply.

What would count for nothing is refused here, before it is signed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muniment.controls.exceptions import (
    MAX_DAYS,
    longest,
    may_exclude,
    own_evidence,
    refusal,
    refused,
)
from muniment.controls.index import APPLICABILITY, WAIVER, build_index
from muniment.evidence.draft import Evidence
from muniment.schemas.errors import InputError
from muniment.schemas.statement import SystemRef

from .evaluation import present

if TYPE_CHECKING:
    from muniment.controls.profile import Profile
    from muniment.evidence.workspace import Attached

    from .workspace import Workspace


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether one control applies, and why."""

    control: str
    """Id as people write it."""
    applicable: bool
    justification: str


def waive(
    workspace: Workspace,
    controls: Sequence[str],
    *,
    reason: str,
    measure: str,
    until: date,
    profile: Profile,
    residual: str | None = None,
    system: str | None = None,
) -> Attached:
    """Sign a waiver of controls, or with ``residual`` the acceptance of their risk.

    Args:
        controls: ids as people write them.
        measure: what is done instead.
        until: last day, UTC.
        profile: the one under which it shall count.
        residual: risk that is left and accepted.

    Raises:
        InputError: ``waiver.not-entitled``, ``waiver.nobody``, ``waiver.own``, ``waiver.past``,
            ``waiver.too-long``, or what a record may be refused for.
        VerificationError: ``ledger.unsound``.
    """
    today = workspace.clock().date()
    if until < today:
        raise InputError(
            "waiver.past",
            "the waiver would have ended before it was signed",
            expected=f"a day from {today} on",
            found=str(until),
        )
    _require_short(profile, today, until)
    named = list(dict.fromkeys(map(workspace.control, controls)))
    about = workspace.system(system)
    _require_entitled(workspace, WAIVER, frozenset(profile.waived_by), profile)
    _require_others_evidence(workspace, WAIVER, about, named)
    body: dict[str, Any] = {
        "type": "waiver" if residual is None else "risk-acceptance",
        "controls": named,
        "reason": reason,
        "measure": measure,
        "until": until.isoformat(),
    }
    if residual is not None:
        body["residualRisk"] = residual
    return workspace.add(Evidence(kind=WAIVER, system=about, body=body))


def decide_applicability(
    workspace: Workspace,
    decisions: Sequence[Decision],
    *,
    profile: Profile,
    system: str | None = None,
) -> Attached:
    """Sign which controls apply to a system version and which do not.

    Args:
        profile: the one under which it shall count.

    Raises:
        InputError: ``applicability.twice``, ``applicability.not-entitled``,
            ``applicability.nobody``, ``applicability.refused``, ``applicability.own``, or what a
            record may be refused for.
        VerificationError: ``ledger.unsound``.
    """
    items: dict[str, dict[str, Any]] = {}
    for decision in decisions:
        control = workspace.control(decision.control)
        if control in items:
            raise InputError("applicability.twice", f"{control} is decided twice")
        items[control] = {
            "control": control,
            "applicable": decision.applicable,
            "justification": decision.justification,
        }
    about = workspace.system(system)
    ruled_out = [control for control, item in items.items() if not item["applicable"]]
    for control in ruled_out:
        if workspace.catalog(control.partition(":")[0]).always_applies:
            raise InputError(
                "applicability.refused",
                f"{control} cannot be ruled out: {refused(control)}",
                hint=f'muniment waive "{control}" lets it stand open for a time',
            )
    _require_entitled(workspace, APPLICABILITY, may_exclude(profile.excluded_by), profile)
    _require_others_evidence(workspace, APPLICABILITY, about, ruled_out)
    body = {"controls": list(items.values())}
    return workspace.add(Evidence(kind=APPLICABILITY, system=about, body=body))


def read_decisions(file: Path) -> list[Decision]:
    """Read decisions from YAML: ``CONTROL: {applicable: false, justification: …}``.

    Raises:
        InputError: ``applicability.malformed``, or the file cannot be read.
    """
    from muniment.schemas.yamldoc import load_mapping

    return [
        _decision(str(name), value) for name, value in load_mapping(file, what=str(file)).items()
    ]


def _decision(control: str, value: Any) -> Decision:
    known = isinstance(value, Mapping) and set(value) == {"applicable", "justification"}
    if (
        not known
        or not isinstance(value["applicable"], bool)
        or not isinstance(value["justification"], str)
    ):
        raise InputError(
            "applicability.malformed",
            f"{control[:100]!r} does not say whether it applies, and why",
            expected="CONTROL: {applicable: true or false, justification: text}",
        )
    return Decision(control, value["applicable"], value["justification"])


def _require_short(profile: Profile, today: date, until: date) -> None:
    """Refuse a waiver that lasts longer than its profile allows."""
    days = profile.max_waiver_days or MAX_DAYS
    last = longest(today, days)
    if until > last:
        raise InputError(
            "waiver.too-long",
            f"under the profile {profile.id} a waiver lasts {min(days, MAX_DAYS)} days at most",
            expected=f"a day until {last}",
            found=str(until),
        )


def _require_entitled(
    workspace: Workspace, kind: str, functions: Set[str], profile: Profile
) -> None:
    """Refuse a key whose exceptions would count for nothing; one nobody knows is refused later.

    Args:
        functions: those of which its holder must speak for one.
        profile: the one that names them.
    """
    if not functions:
        did, name = ("waive", "waivedBy") if kind == WAIVER else ("rule out", "excludedBy")
        raise InputError(
            f"{kind}.nobody",
            f"under the profile {profile.id} nobody may {did} a control",
            hint=f"{name} in its file names the functions that may",
        )
    known = workspace.people.ring().get(workspace.signing_key.public.fingerprint)
    why = refusal(known.signer, functions) if known is not None else None
    if why is not None:
        under = f" under the profile {profile.id}"
        raise InputError(
            f"{kind}.not-entitled",
            f"this key may not sign it{under}: {why}",
            hint="choose the key of an approver who may with --key",
            expected=f"an approver for {' or '.join(sorted(functions))}",
        )


def _require_others_evidence(
    workspace: Workspace, kind: str, system: SystemRef, controls: Sequence[str]
) -> None:
    """Refuse who would excuse their own evidence."""
    if not controls:
        return
    verified = workspace.verified()
    now = present(workspace, verified)
    index = build_index(verified.records, system, now, None)
    known = workspace.people.ring().get(workspace.signing_key.public.fingerprint)
    person = known.signer.person if known is not None else ""
    for control in controls:
        if own := own_evidence(person, index.claims.get(control, {}).values()):
            raise InputError(
                f"{kind}.own",
                f"{own[0]} claims {control} and was signed by the same person: it needs another",
                hint="choose the key of another approver with --key",
            )
