"""Profiles and the gate: default deny, and the form of the decision."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from muniment.controls.catalog import load_catalog, load_catalogs
from muniment.controls.coverage import Coverage, State
from muniment.controls.evaluator import evaluate
from muniment.controls.gate import LedgerState, decide, to_body
from muniment.controls.profile import Profile, load_profile, shipped_layers
from muniment.schemas.errors import InputError
from muniment.schemas.kinds import KindRegistry
from muniment.schemas.statement import VSA_TYPE, Statement

LEDGER = LedgerState("evidence.example.com", 3, "e" * 64)
SHIPPED = ["eu-ai-act-high-risk", "iso-42001-certification", "nist-ai-rmf", "pilot", "production"]
PILOT = ["RG-5", "RG-8", "RG-9", "RG-14", "RG-18", "RG-19"]


def _all_met(coverage: Coverage) -> Coverage:
    catalogs = tuple(
        replace(
            catalog,
            controls=tuple(
                replace(control, state=State.MET, unblock=None) for control in catalog.controls
            ),
        )
        for catalog in coverage.catalogs
    )
    return replace(coverage, catalogs=catalogs, artifact="a" * 64)


def _with_state(coverage: Coverage, control_id: str, state: State) -> Coverage:
    catalogs = tuple(
        replace(
            catalog,
            controls=tuple(
                replace(control, state=state) if control.id == control_id else control
                for control in catalog.controls
            ),
        )
        for catalog in coverage.catalogs
    )
    return replace(coverage, catalogs=catalogs)


def test_profiles() -> None:
    """Production blocks on all 29 readiness checks, a pilot on six of them, neither on NIST; the
    profiles of a framework on all of it."""
    ids = [control.id for catalog in load_catalogs() for control in catalog.controls]
    blocked = {
        name: [item for item in ids if load_profile(name).blocks_on(item)]
        for name in shipped_layers()
    }
    assert list(blocked) == SHIPPED
    assert blocked["pilot"] == [f"readiness-gate:{item}" for item in PILOT]
    assert blocked["production"] == [item for item in ids if item.startswith("readiness-gate:")]
    assert len(blocked["production"]) == 29
    assert {name: len(blocked[name]) for name in SHIPPED[:3]} == {
        "eu-ai-act-high-risk": 85,
        "iso-42001-certification": 70,
        "nist-ai-rmf": 72,
    }


@pytest.mark.parametrize("name", SHIPPED)
def test_embedded_profile_is_the_same(name: str) -> None:
    """A profile read back from what a packet embeds is equal and has the same digest."""
    profile = load_profile(name)
    again = Profile.from_json(profile.to_json())
    assert (again, again.sha256) == (profile, profile.sha256)
    changed = Profile.from_json({**profile.to_json(), "blocks": {"readiness-gate": ["RG-1"]}})
    assert changed.sha256 != profile.sha256


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        {**load_profile("pilot").to_json(), "extra": 1},
        {**load_profile("pilot").to_json(), "version": "one"},
        {**load_profile("pilot").to_json(), "blocks": {"readiness-gate": []}},
        {**load_profile("pilot").to_json(), "blocks": {"readiness-gate": "some"}},
        {**load_profile("pilot").to_json(), "blocks": ["readiness-gate"]},
    ],
)
def test_bad_profiles_are_refused(document: Any) -> None:
    """A profile is checked before it is used."""
    with pytest.raises(InputError, match="not a profile") as caught:
        Profile.from_json(document)
    assert caught.value.code == "profile.malformed"


def test_unknown_profile() -> None:
    """A profile that is not there is an error that lists those that are."""
    with pytest.raises(InputError, match="there is no profile 'prod'") as caught:
        load_profile("prod")
    assert caught.value.code == "profile.unknown"
    assert caught.value.expected == " or ".join(SHIPPED)


def test_passes_when_everything_in_scope_is_met(book: Any) -> None:
    """With every readiness check met the gate passes, whatever NIST and ISO lack."""
    coverage = _all_met(book.coverage())
    decision = decide(coverage, load_profile("production"))
    assert decision.passed
    assert (decision.blocking, len(decision.scope)) == ((), 29)
    nist = _with_state(coverage, "nist-ai-rmf-1.0:MAP 1.1", State.FAILED)
    assert decide(nist, load_profile("production")).passed


@pytest.mark.parametrize("state", [state for state in State if state.is_gap])
def test_any_gap_blocks(state: State, book: Any) -> None:
    """One control in scope in any state that is a gap blocks."""
    coverage = _with_state(_all_met(book.coverage()), "readiness-gate:RG-29", state)
    decision = decide(coverage, load_profile("production"))
    assert not decision.passed
    assert [control.id for control in decision.blocking] == ["readiness-gate:RG-29"]
    assert decide(
        replace(coverage, profile_sha256=load_profile("pilot").sha256), load_profile("pilot")
    ).passed


@pytest.mark.parametrize("state", [State.WAIVED, State.NOT_APPLICABLE])
def test_signed_exceptions_do_not_block(state: State, book: Any) -> None:
    """What a signed record waives or rules out is no gap."""
    coverage = _with_state(_all_met(book.coverage()), "readiness-gate:RG-29", state)
    assert decide(coverage, load_profile("production")).passed


def test_no_evidence_is_no_pass(book: Any) -> None:
    """Over an empty ledger every control blocks, each with what would unblock it."""
    decision = decide(book.coverage(), load_profile("production"))
    assert not decision.passed
    assert len(decision.blocking) == 29
    assert all(control.unblock for control in decision.blocking)


def test_catalog_that_was_not_evaluated_blocks(book: Any) -> None:
    """A coverage without the catalog, or without a control, the profile asks for is no pass."""
    for name, expected in [
        ("production", ["readiness-gate:all controls"]),
        ("pilot", [f"readiness-gate:{item}" for item in PILOT]),
    ]:
        profile = load_profile(name)
        nist = [load_catalog("nist-ai-rmf")]
        coverage = evaluate(book.records, nist, profile, book.system, book.now)
        decision = decide(_all_met(coverage), profile)
        assert not decision.passed
        assert [control.id for control in decision.blocking] == expected


def test_nothing_in_scope_is_no_pass(book: Any) -> None:
    """A profile that blocks on nothing passes nothing."""
    profile = replace(load_profile("pilot"), blocks={})
    coverage = evaluate(book.records, load_catalogs(), profile, book.system, book.now)
    decision = decide(_all_met(coverage), profile)
    assert not decision.passed
    assert [reason.code for reason in decision.reasons] == ["gate.empty"]
    unbound = replace(_all_met(coverage), artifact=None)
    assert [reason.code for reason in decide(unbound, profile).reasons] == [
        "gate.empty",
        "gate.no-model",
    ]


def test_coverage_of_another_profile_is_refused(book: Any) -> None:
    """A decision is made under the very profile the coverage was made for."""
    with pytest.raises(InputError, match="production@1, not for pilot@1") as caught:
        decide(book.coverage(), load_profile("pilot"))
    assert caught.value.code == "gate.other-profile"


def _statement(book: Any, body: dict[str, Any]) -> Statement:
    return Statement(
        subjects=(book.system.descriptor(),),
        predicate_type=VSA_TYPE,
        system=book.system,
        collected_at=book.now,
        body=body,
        salt="0" * 32,
    )


def test_failed_decision(book: Any) -> None:
    """A failed decision is a valid VSA that says FAILED, names what blocks and the records used."""
    book.add("system")
    problem = {"kpiOwner": "Pat", "fixedOn": "2026-02-01", "modelChosenOn": "2026-01-01"}
    record = book.add("decision", "readiness-gate:RG-14", businessProblem=problem)
    book.add("policy", "nist-ai-rmf-1.0:GOVERN 1.1")
    body = to_body(decide(book.coverage(), load_profile("production")), "0.1.0", LEDGER)
    assert KindRegistry().get("gate-decision").problems(body) == []
    assert body["verificationResult"] == "FAILED"
    assert body["verifiedLevels"] == ["FAILED"]
    assert body["policy"] == {
        "uri": "muniment:profile/production@1",
        "digest": {"sha256": load_profile("production").sha256},
    }
    assert [item["uri"] for item in body["inputAttestations"]] == [
        "muniment:record/0",
        "muniment:record/1",
    ]
    assert body["inputAttestations"][1]["digest"] == {"sha256": record.sha256}
    decision = body["muniment_decision"]
    assert decision["asOf"] == "2026-06-01T12:00:00Z"
    assert (decision["counts"]["missing"], len(decision["blocking"])) == (28, 29)
    assert Statement.from_payload(_statement(book, body).to_payload()).body == body


def test_passed_decision(book: Any) -> None:
    """A passed decision names the level reached and nothing that blocks."""
    decision = decide(_all_met(book.coverage()), load_profile("production"))
    body = to_body(decision, "0.1.0", LEDGER)
    assert KindRegistry().get("gate-decision").problems(body) == []
    assert (body["verificationResult"], body["verifiedLevels"]) == (
        "PASSED",
        ["MUNIMENT_PRODUCTION"],
    )
    assert body["muniment_decision"]["blocking"] == []
    assert body["muniment_decision"]["counts"]["met"] == 29
    assert body["verifier"] == {"id": "https://muniment.dev", "version": {"muniment": "0.1.0"}}


def test_an_unknown_model_passes_no_gate(book: Any) -> None:
    """Evidence about nobody knows which model is evidence about none."""
    profile = load_profile("production")
    coverage = _all_met(book.coverage())
    assert decide(coverage, profile).passed
    decision = decide(replace(coverage, artifact=None), profile)
    assert not decision.passed
    assert [reason.code for reason in decision.reasons] == ["gate.no-model"]
