"""The gate: a profile's verdict over a coverage, and its form as a SLSA Verification Summary.

Source: https://slsa.dev/spec/v1.0/verification_summary
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from muniment.controls.coverage import EXEMPT, ControlResult, Coverage, Reason, State
from muniment.controls.profile import Profile
from muniment.schemas.errors import InputError
from muniment.schemas.statement import VSA_TYPE, RecordRef, Statement, Subject
from muniment.schemas.times import format_time

VERIFIER = "https://muniment.dev"
_SLSA_VERSION = "1.0"


@dataclass(frozen=True, slots=True)
class GateDecision:
    """Whether a system version may pass, and what stands in the way."""

    passed: bool
    blocking: tuple[ControlResult, ...]
    """Controls in scope that are gaps, those the coverage does not hold included."""
    coverage: Coverage
    scope: tuple[ControlResult, ...]
    """Controls the profile blocks on, blocking or not."""
    profile: Profile
    reasons: tuple[Reason, ...] = ()
    """What the verdict rests on beside the controls, such as that there were none."""

    @property
    def met(self) -> tuple[ControlResult, ...]:
        """Controls in scope that the evidence carries."""
        return tuple(control for control in self.scope if control.state is State.MET)

    @property
    def excepted(self) -> tuple[ControlResult, ...]:
        """Controls in scope that a signed record waives or rules out: never counted as met."""
        return tuple(
            control
            for control in self.scope
            if control.state is not State.MET and not control.state.is_gap
        )

    @property
    def outside(self) -> tuple[ControlResult, ...]:
        """Evaluated controls that the profile does not block on."""
        scope = {control.id for control in self.scope}
        return tuple(control for control in self.coverage.controls if control.id not in scope)


@dataclass(frozen=True, slots=True)
class LedgerState:
    """What the decision was made from: every record under one checkpoint, and none later."""

    origin: str
    """Name of the ledger."""
    size: int
    """Number of its records."""
    root: str
    """Root hash over them, in hexadecimal."""

    def to_json(self) -> dict[str, Any]:
        """The state as the decision's statement holds it."""
        return {"origin": self.origin, "size": self.size, "sha256": self.root}


def decide(coverage: Coverage, profile: Profile) -> GateDecision:
    """Pass only if the model is known, a control is met, and none it blocks on is a gap.

    Raises:
        InputError: ``gate.other-profile``, the coverage was made for another profile.
    """
    if coverage.profile_sha256 != profile.sha256:
        raise InputError(
            "gate.other-profile",
            f"the coverage was made for profile {coverage.profile}, not for {profile}",
            expected=profile.sha256,
            found=coverage.profile_sha256,
        )
    exempt = coverage.exempt
    found = [control for control in coverage.controls if profile.blocks_on(control.id, exempt)]
    scope = (*found, *_not_evaluated(coverage, profile))
    blocking = tuple(control for control in scope if control.state.is_gap)
    reasons = []
    if not scope:
        reasons.append(Reason("gate.empty", "no control is in scope; nothing was shown"))
    elif not blocking and not any(control.state is State.MET for control in scope):
        reasons.append(
            Reason(
                "gate.nothing-met",
                "no control in scope is met by evidence: waived and ruled out, nothing was shown",
            )
        )
    if coverage.artifact is None:
        reasons.append(
            Reason(
                "gate.no-model",
                "no system record names the digest of the model, so nothing is shown of any model: "
                "muniment system add … --model FILE, or --artifact FILE",
            )
        )
    passed = not blocking and not reasons
    return GateDecision(passed, blocking, coverage, scope, profile, tuple(reasons))


def to_body(decision: GateDecision, muniment_version: str, ledger: LedgerState) -> dict[str, Any]:
    """The predicate of the decision, but for what the statement itself adds (subject, time).

    Args:
        muniment_version: version of the program that decided.
        ledger: what it read: whoever has these records can compute the verdict again.
    """
    profile, passed = decision.profile, decision.passed
    crosswalk = decision.coverage.crosswalk_sha256
    counts = Counter(control.state for control in decision.scope)
    return {
        "verifier": {"id": VERIFIER, "version": {"muniment": muniment_version}},
        "policy": {
            "uri": f"muniment:profile/{profile}",
            "digest": {"sha256": profile.sha256},
        },
        "inputAttestations": [
            {"uri": f"muniment:record/{ref.index}", "digest": {"sha256": ref.sha256}}
            for ref in _inputs(decision)
        ],
        "verificationResult": "PASSED" if passed else "FAILED",
        "verifiedLevels": [_level(profile) if passed else "FAILED"],
        "slsaVersion": _SLSA_VERSION,
        "muniment_decision": {
            "profile": profile.id,
            "ledger": ledger.to_json(),
            "catalogs": {
                **decision.coverage.sources,
                **{item.catalog: item.sha256 for item in decision.coverage.catalogs},
            },
            **({"crosswalk": crosswalk} if crosswalk else {}),
            "asOf": format_time(decision.coverage.as_of),
            "counts": {str(state): counts[state] for state in State},
            "blocking": [
                {"control": control.id, "state": str(control.state), "unblock": control.unblock}
                for control in decision.blocking
            ],
        },
    }


def decided(
    decision: GateDecision,
    body: dict[str, Any],
    model: str,
    moment: datetime,
    references: tuple[Mapping[str, Any], ...],
) -> Statement:
    """The statement that is signed: about the model in question, else about the system version.

    Args:
        body: what ``to_body`` gave.
        model: file name of the model.
        references: what binds it to its ledger.
    """
    coverage = decision.coverage
    subject = coverage.system.descriptor()
    if coverage.artifact is not None:
        subject = Subject(model, {"sha256": coverage.artifact})
    return Statement(
        subjects=(subject,),
        predicate_type=VSA_TYPE,
        system=coverage.system,
        collected_at=moment,
        body=body,
        salt=secrets.token_hex(16),
        references=references,
    )


def _not_evaluated(coverage: Coverage, profile: Profile) -> list[ControlResult]:
    """What the profile asks for and the coverage does not hold: missing, not waved through."""
    held = {control.id for control in coverage.controls}
    catalogs = {catalog.catalog for catalog in coverage.catalogs if catalog.controls}
    result = []
    for catalog, controls in profile.blocks.items():
        if catalog in coverage.exempt:
            continue
        wanted = [f"{catalog}:{control}" for control in controls or ()]
        if controls is None and catalog not in catalogs:
            wanted = [f"{catalog}:all controls"]
        result += [_missing(control, catalog) for control in wanted if control not in held]
    return result


def _missing(control: str, catalog: str) -> ControlResult:
    return ControlResult(
        id=control,
        title="Not evaluated",
        group=catalog,
        state=State.MISSING,
        reasons=(Reason("gate.not-evaluated", f"the coverage does not hold {control}"),),
        unblock=f"evaluate the catalog {catalog} and run the gate again",
    )


def _inputs(decision: GateDecision) -> list[RecordRef]:
    """Every record the verdict rests on, by place: the specification asks for all or none."""
    named = decision.coverage.artifact_from
    refs = {named} if named else set()
    for reason in decision.coverage.left_out:
        refs.update(reason.records if reason.code == EXEMPT else ())
    for control in decision.scope:
        refs.update(control.evidence, control.approvals)
        refs.update(ref for reason in control.reasons for ref in reason.records)
    return sorted(refs, key=lambda ref: ref.index)


def _level(profile: Profile) -> str:
    """A level of our own; the specification keeps ``SLSA_`` for itself."""
    return "MUNIMENT_" + profile.id.upper().replace("-", "_")
