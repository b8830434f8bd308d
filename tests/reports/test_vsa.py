"""A gate decision checked from its file alone: whatever does not hold has a code, and no pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from muniment.controls.gate import VERIFIER
from muniment.evidence.keys import new_p256
from muniment.reports.vsa import Pinned, check_decision
from muniment.reports.workspace import Workspace
from muniment.schemas.finding import VerificationReport
from muniment.schemas.statement import VSA_TYPE, Statement, Subject, SystemRef

MODEL = "a" * 64
PROFILE = "b" * 64
SYSTEM = SystemRef("credit-risk", "2.1.0")
Decide = Callable[..., bytes]


def body(**changes: Any) -> dict[str, Any]:
    """The body of a decision that passed; ``changes`` replace fields."""
    decision = {
        "profile": "small",
        "ledger": {"origin": "evidence.example.com", "size": 1, "sha256": "d" * 64},
        "asOf": "2026-03-01T09:00:00Z",
        "counts": {"met": 1, "waived": 2, "not-applicable": 3},
        "blocking": [],
    }
    return {
        "verifier": {"id": VERIFIER},
        "policy": {"uri": "muniment:profile/small@1", "digest": {"sha256": PROFILE}},
        "inputAttestations": [{"uri": "muniment:record/0", "digest": {"sha256": "c" * 64}}],
        "verificationResult": "PASSED",
        "verifiedLevels": ["MUNIMENT_SMALL"],
        "slsaVersion": "1.0",
        **changes,
        "muniment_decision": decision | changes.get("muniment_decision", {}),
    }


@pytest.fixture
def opened(make_workspace: Any, clock: Any) -> Workspace:
    return Workspace(make_workspace().root, clock=clock)


@pytest.fixture
def decide(opened: Workspace) -> Decide:
    """Signs and appends a decision; gives its receipt."""

    def sign(
        subjects: tuple[Subject, ...] = (Subject("model.onnx", {"sha256": MODEL}),),
        later: timedelta = timedelta(0),
        system: SystemRef = SYSTEM,
        **changes: Any,
    ) -> bytes:
        statement = Statement(
            subjects=subjects,
            predicate_type=VSA_TYPE,
            system=system,
            collected_at=opened.clock() + later,
            body=body(**changes),
            salt="0" * 32,
            references=({"relation": "genesis", **opened.ledger.genesis.to_json()},),
        )
        return opened.receipt(opened.append(statement).record)

    return sign


@pytest.fixture
def check(opened: Workspace) -> Callable[..., VerificationReport]:
    """Checks a receipt with everything pinned; ``changes`` replace what is pinned."""

    def run(data: bytes, later: timedelta = timedelta(hours=1), **changes: Any) -> Any:
        pinned: dict[str, Any] = {
            "fingerprints": frozenset({opened.signing_key.public.fingerprint}),
            "artifact": MODEL,
            "ledger": opened.ledger.vkey,
            "system": SYSTEM,
            "profile": PROFILE,
            "max_age": timedelta(days=7),
        }
        return check_decision(data, "vsa", Pinned(**(pinned | changes)), opened.clock() + later)

    return run


def codes(report: VerificationReport) -> list[str]:
    assert not report.ok
    return [finding.code for finding in report.findings]


def test_how_much_was_met_is_said(decide: Decide, check: Any) -> None:
    """The check says how many controls evidence met and how many a signed record let stand; a
    decision with none met is no pass, whoever signed it."""
    assert check(decide()).conclusions[-1] == (
        "of 6 controls 1 met by evidence, 2 waived, 3 ruled out as not applicable"
    )
    nothing = decide(muniment_decision={"counts": {"not-applicable": 29}})
    assert codes(check(nothing)) == ["vsa.nothing-met"]


def test_a_decision_that_passed_holds(decide: Decide, check: Any) -> None:
    """With all pinned, every check but what only the ledger shows was made, and held."""
    report = check(decide())
    assert report.ok, list(report.findings)
    assert [item.name for item in report.checks if item.not_checked] == ["beyond"]
    assert "PASSED for credit-risk@2.1.0" in report.conclusions[0]


def test_what_is_not_asked_is_listed(decide: Decide, check: Any) -> None:
    """Without ledger key, system, profile and age, each is named as not checked."""
    report = check(decide(), ledger=None, system=None, profile=None, max_age=None)
    assert report.ok
    listed = {item.name for item in report.checks if item.not_checked}
    assert listed == {"receipts", "system", "profile", "age", "beyond"}


@pytest.mark.parametrize(
    ("code", "pinned"),
    [
        ("vsa.artifact", {"artifact": "e" * 64}),
        ("vsa.system", {"system": SystemRef("credit-risk", "2.1.1")}),
        ("vsa.profile", {"profile": "e" * 64}),
        ("vsa.old", {"later": timedelta(days=7, seconds=1)}),
        ("vsa.future", {"later": timedelta(minutes=-6)}),
        ("vsa.signer", {"fingerprints": frozenset({new_p256().public.fingerprint})}),
        ("vsa.signer", {"fingerprints": frozenset()}),
    ],
)
def test_what_is_pinned_must_hold(
    decide: Decide, check: Any, code: str, pinned: dict[str, Any]
) -> None:
    """Another artifact, system, profile, signer, or a decision too old or yet to come."""
    assert codes(check(decide(), **pinned)) == [code]


def test_upper_case_and_the_last_second_hold(decide: Decide, check: Any) -> None:
    """A digest in capitals is the same digest; exactly as old as allowed is not too old."""
    assert check(decide(), artifact=MODEL.upper(), later=timedelta(days=7)).ok


def test_another_ledger_is_refused(decide: Decide, check: Any, make_workspace: Any) -> None:
    """A ledger of the same name with another key did not hold the decision."""
    other = make_workspace("other").ledger.vkey
    assert codes(check(decide(), ledger=other)) == ["note.unsigned"]


BLOCKED = {"control": "own:C-1", "state": "failed", "unblock": "mend it"}
STATE = {"origin": "evidence.example.com", "size": 1, "sha256": "d" * 64}


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        (
            "vsa.failed",
            {
                "verificationResult": "FAILED",
                "verifiedLevels": ["FAILED"],
                "muniment_decision": {"blocking": [BLOCKED]},
            },
        ),
        ("vsa.failed", {"verifiedLevels": ["FAILED"]}),
        ("vsa.verifier", {"verifier": {"id": "https://other.example.com"}}),
        ("vsa.no-evidence", {"inputAttestations": []}),
        ("vsa.inputs", {"muniment_decision": {"ledger": {**STATE, "size": 2}}}),
        (
            "vsa.inputs",
            {"inputAttestations": [{"uri": "muniment:record/9", "digest": {"sha256": MODEL}}]},
        ),
        ("vsa.inputs", {"inputAttestations": [{"uri": "x:y", "digest": {"sha256": MODEL}}]}),
        ("vsa.ledger", {"muniment_decision": {"ledger": {**STATE, "origin": "b.example.com"}}}),
        ("vsa.artifact", {"subjects": (SYSTEM.descriptor(),)}),
        ("vsa.time", {"later": timedelta(minutes=6)}),
    ],
)
def test_a_decision_that_says_other_things(
    decide: Decide, check: Any, code: str, changes: dict[str, Any]
) -> None:
    """Signed, recorded and pinned, and still no pass: the verdict, its basis, its time."""
    assert codes(check(decide(**changes))) == [code]


def test_a_decision_without_the_state_of_the_ledger(
    opened: Workspace, decide: Decide, check: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decision that does not say which records it saw is no pass."""
    whole = body()
    del whole["muniment_decision"]["ledger"]
    monkeypatch.setitem(decide.__globals__, "body", lambda: whole)
    assert codes(check(decide())) == ["vsa.no-ledger"]


def test_a_system_is_no_artifact(decide: Decide, check: Any) -> None:
    """A file made of a system's name has its descriptor's digest, and is not the model."""
    sha256 = SYSTEM.descriptor().sha256
    assert codes(check(decide((SYSTEM.descriptor(),)), artifact=sha256)) == ["vsa.artifact"]


def test_another_record_is_no_decision(opened: Workspace, check: Any) -> None:
    """The receipt of any other record, signed by the pinned key, is refused."""
    genesis = opened.verified().records[0]
    assert codes(check(opened.receipt(genesis))) == ["vsa.type"]


def test_every_changed_byte_is_refused(decide: Decide, check: Any) -> None:
    """With the ledger's key pinned, no byte of the file can be another one."""
    data = decide()
    assert check(data).ok
    for at in range(len(data)):
        for mask in (0x01, 0x20, 0x2A):
            changed = bytearray(data)
            changed[at] ^= mask
            assert not check(bytes(changed)).ok, (at, mask)


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[]", b"null", b"\xff", b"{" * 100, b'{"mediaType": 1}', b"x" * 1000],
)
def test_rubbish_is_refused(check: Any, data: bytes) -> None:
    """What is no receipt is a finding, never a fault of ours, and checks nothing else."""
    report = check(data)
    assert len(codes(report)) == 1
    assert all(item.not_checked for item in report.checks if not item.findings)


@pytest.mark.parametrize("change", ["cut", "longer", "reformatted", "key added"])
def test_the_file_has_one_form(decide: Decide, check: Any, change: str) -> None:
    """Cut, extended or written anew, it is not the file that was written."""
    data = decide()
    made = {
        "cut": data[:-1],
        "longer": data + b"\n",
        "reformatted": json.dumps(json.loads(data), indent=1).encode(),
        "key added": json.dumps(json.loads(data) | {"more": 1}).encode(),
    }[change]
    assert not check(made).ok


def test_a_payload_of_somebody_else(decide: Decide, check: Any) -> None:
    """One decision's envelope in another's proof is refused, with and without the ledger's key."""
    first, second = json.loads(decide()), json.loads(decide(system=SystemRef("other", "1")))
    mixed = json.dumps(first | {"dsseEnvelope": second["dsseEnvelope"]}).encode()
    for ledger in ({}, {"ledger": None}):
        assert codes(check(mixed, **ledger)) == ["bundle.leaf"]
