"""The evaluator: every state, and what moves a control from one to another."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from muniment.controls.catalog import load_catalogs
from muniment.controls.coverage import ControlResult, Coverage, State
from muniment.controls.evaluator import evaluate
from muniment.controls.profile import load_profile
from muniment.schemas.errors import InputError
from muniment.schemas.statement import Subject, SystemRef

EVAL = "nist-ai-rmf-1.0:MEASURE 2.5"
"""Wants an eval-result, seen by a second person."""
OWNER = "nist-ai-rmf-1.0:GOVERN 1.6"
"""Wants an owner-assignment, 180 days, no second person."""
TWO = "nist-ai-rmf-1.0:GOVERN 4.1"
"""Wants policy and decision, both, 365 days, no second person."""
TWO_SIGNED = "nist-ai-rmf-1.0:GOVERN 1.4"
"""Wants policy and risk-assessment, both approved."""
EITHER = "nist-ai-rmf-1.0:GOVERN 1.1"
"""Wants policy or risk-assessment, approved."""
BOTH_SIGNED = "iso-42001-2023:A.2.2"
"""Wants a policy and an approval, seen by a second person."""
MISSING, STALE, UNAPPROVED, FAILED, PARTIAL, MET = (
    State.MISSING,
    State.STALE,
    State.UNAPPROVED,
    State.FAILED,
    State.PARTIAL,
    State.MET,
)


def codes(result: ControlResult | Coverage) -> set[str]:
    """Codes of all reasons."""
    reasons = result.reasons if isinstance(result, ControlResult) else result.left_out
    return {reason.code for reason in reasons}


def _places(references: Any) -> list[int]:
    return [reference.index for reference in references]


# Each story fills an empty book and names the control it is about: (story, state, reason, unblock).


def _nothing(book: Any) -> str:
    return OWNER


def _met(book: Any) -> str:
    book.add("owner-assignment", OWNER)
    return OWNER


def _met_by_two_kinds(book: Any) -> str:
    book.add("policy", TWO)
    book.add("decision", TWO)
    return TWO


def _one_kind_twice(book: Any) -> str:
    book.add("policy", TWO)
    book.add("policy", TWO, title="Another")
    return TWO


def _one_kind_stale(book: Any) -> str:
    book.add("policy", TWO, age=400)
    book.add("decision", TWO)
    return TWO


def _only_supporting(book: Any) -> str:
    book.add("policy", OWNER)
    return OWNER


def _wrong_kind(book: Any) -> str:
    book.add("training-record", OWNER)
    return OWNER


def _stale(book: Any) -> str:
    book.add("owner-assignment", OWNER, age=181)
    return OWNER


def _old_facts_recorded_today(book: Any) -> str:
    book.add("owner-assignment", OWNER, age=0, collected_age=181)
    return OWNER


def _validity_over(book: Any) -> str:
    book.add("owner-assignment", OWNER, valid_until=book.now - timedelta(seconds=1))
    return OWNER


def _duty_over(book: Any) -> str:
    book.add("owner-assignment", OWNER, end="2026-05-31")
    return OWNER


def _unapproved(book: Any) -> str:
    book.add("eval-result", EVAL)
    return EVAL


def _approved(book: Any) -> str:
    book.approve(book.add("eval-result", EVAL))
    return EVAL


def _approved_by_self(book: Any) -> str:
    book.approve(book.add("eval-result", EVAL, signer="carol"), signer="carol")
    return EVAL


def _approved_by_own_other_key(book: Any) -> str:
    book.approve(book.add("eval-result", EVAL), signer="alice-approver")
    return EVAL


def _approved_by_no_approver(book: Any) -> str:
    book.approve(book.add("eval-result", EVAL), signer="dan")
    return EVAL


def _approved_something_else(book: Any) -> str:
    book.add("eval-result", EVAL)
    book.approve(book.add("policy"))
    return EVAL


def _rejected_later(book: Any) -> str:
    record = book.add("eval-result", EVAL)
    book.approve(record)
    book.approve(record, decision="rejected")
    return EVAL


def _rejected_by_another(book: Any) -> str:
    record = book.add("eval-result", EVAL)
    book.approve(record, signer="bob")
    book.approve(record, signer="carol", decision="rejected")
    return EVAL


def _rejection_shopped_away(book: Any) -> str:
    record = book.add("eval-result", EVAL)
    book.approve(record, signer="carol", decision="rejected")
    book.approve(record, signer="bob")
    return EVAL


def _rejection_taken_back(book: Any) -> str:
    record = book.add("eval-result", EVAL)
    book.approve(record, decision="rejected")
    book.approve(record)
    return EVAL


def _rejected_where_none_is_asked(book: Any) -> str:
    book.approve(book.add("owner-assignment", OWNER), decision="rejected")
    return OWNER


def _own_rejection_taken_back(book: Any) -> str:
    record = book.add("owner-assignment", OWNER, signer="carol")
    book.approve(record, signer="carol", decision="rejected")
    book.approve(record, signer="carol")
    return OWNER


def _own_rejection(book: Any) -> str:
    record = book.add("owner-assignment", OWNER, signer="carol")
    book.approve(record, signer="carol", decision="rejected")
    return OWNER


def _approval_withdrawn(book: Any) -> str:
    record = book.add("eval-result", EVAL)
    approval = book.approve(record)
    book.approve(book.add("policy"), supersedes=approval)
    return EVAL


def _approval_is_the_second_word(book: Any) -> str:
    policy = book.add("policy", BOTH_SIGNED)
    book.approve(policy, controls=[BOTH_SIGNED])
    return BOTH_SIGNED


def _own_approval_is_no_second_word(book: Any) -> str:
    policy = book.add("policy", BOTH_SIGNED, signer="carol")
    book.approve(policy, signer="bob")
    book.approve(policy, signer="carol", controls=[BOTH_SIGNED])
    return BOTH_SIGNED


def _one_of_two_approved(book: Any) -> str:
    policy = book.add("policy", TWO_SIGNED)
    book.add("risk-assessment", TWO_SIGNED)
    book.approve(policy)
    return TWO_SIGNED


def _failed(book: Any) -> str:
    book.approve(book.add("eval-result", EVAL, evaluated=0))
    return EVAL


def _failed_long_ago(book: Any) -> str:
    book.add("eval-result", EVAL, evaluated=0, age=4000)
    book.approve(book.add("eval-result", EVAL))
    return EVAL


def _supporting_failed(book: Any) -> str:
    book.add("owner-assignment", OWNER)
    book.add("monitoring-report", OWNER, checks=[{"name": "d", "outcome": "fail"}])
    return OWNER


def _failed_then_superseded(book: Any) -> str:
    bad = book.add("eval-result", EVAL, evaluated=0)
    book.approve(book.add("eval-result", EVAL, supersedes=bad))
    return EVAL


def _failed_then_superseded_by_stranger(book: Any) -> str:
    bad = book.add("eval-result", EVAL, evaluated=0)
    book.approve(book.add("eval-result", EVAL, signer="dan", supersedes=bad))
    return EVAL


def _failed_then_superseded_by_approver(book: Any) -> str:
    bad = book.add("eval-result", EVAL, evaluated=0)
    book.approve(book.add("eval-result", EVAL, signer="carol", supersedes=bad))
    return EVAL


def _other_model(book: Any) -> str:
    book.add("system")
    model = {"name": "old.onnx", "sha256": book.other_model}
    book.approve(book.add("eval-result", EVAL, model=model))
    return EVAL


def _other_model_failed(book: Any) -> str:
    book.add("system")
    model = {"name": "old.onnx", "sha256": book.other_model}
    book.add("eval-result", EVAL, model=model, evaluated=0)
    book.approve(book.add("eval-result", EVAL))
    return EVAL


def _approval_of_other_model(book: Any) -> str:
    book.add("system")
    book.approve(book.add("eval-result", EVAL), artifacts=[book.other_model])
    return EVAL


def _approval_of_this_model(book: Any) -> str:
    book.add("system")
    artifacts = [book.other_model, book.model]
    book.approve(book.add("eval-result", EVAL), artifacts=artifacts)
    return EVAL


def _approval_of_the_records_own_file(book: Any) -> str:
    book.add("system")
    file = Subject("policy.pdf", {"sha256": "e" * 64})
    book.approve(book.add("policy", EITHER, subjects=[file]), artifacts=["e" * 64])
    return EITHER


def _linked(book: Any) -> str:
    book.link(book.add("owner-assignment"), OWNER)
    return OWNER


def _other_version(book: Any) -> str:
    book.add("owner-assignment", OWNER, system=SystemRef("credit-risk", "2.0.0"))
    book.add("owner-assignment", OWNER, system=SystemRef("credit", "2.1.0"))
    book.add("owner-assignment", OWNER, system=None)
    return OWNER


def _better_prospect(book: Any) -> str:
    book.add("policy", EITHER, age=400)
    book.add("risk-assessment", EITHER)
    return EITHER


STORIES = [
    (_nothing, MISSING, "evidence.missing", "muniment attach owner-assignment"),
    (_met, MET, "control.met", None),
    (_met_by_two_kinds, MET, "control.met", None),
    (_one_kind_twice, PARTIAL, "control.partial", "muniment attach decision"),
    (_one_kind_stale, PARTIAL, "evidence.stale", "muniment attach policy"),
    (_only_supporting, MISSING, "evidence.only-supporting", "muniment attach owner-assignment"),
    (_wrong_kind, MISSING, "evidence.wrong-kind", "muniment attach owner-assignment"),
    (_stale, STALE, "evidence.stale", "muniment attach owner-assignment"),
    (_old_facts_recorded_today, STALE, "evidence.stale", "newer"),
    (_validity_over, STALE, "evidence.stale", "newer"),
    (_duty_over, STALE, "evidence.stale", "newer"),
    (_unapproved, UNAPPROVED, "evidence.unapproved", 'muniment approve "#0"'),
    (_approved, MET, "control.met", None),
    (_approved_by_self, UNAPPROVED, "evidence.unapproved", "other than Carol"),
    (_approved_by_own_other_key, UNAPPROVED, "evidence.unapproved", "other than Alice"),
    (_approved_by_no_approver, UNAPPROVED, "evidence.unapproved", "muniment approve"),
    (_approved_something_else, UNAPPROVED, "evidence.unapproved", "muniment approve"),
    (_rejected_later, UNAPPROVED, "evidence.rejected", "muniment attach eval-result"),
    (_rejected_by_another, UNAPPROVED, "evidence.rejected", "rejection of #0"),
    (_rejection_shopped_away, UNAPPROVED, "evidence.rejected", "rejection of #0"),
    (_rejection_taken_back, MET, "control.met", None),
    (_rejected_where_none_is_asked, UNAPPROVED, "evidence.rejected", "rejection of #0"),
    (_own_rejection, UNAPPROVED, "evidence.rejected", "rejection of #0"),
    (_own_rejection_taken_back, MET, "control.met", None),
    (_approval_withdrawn, UNAPPROVED, "evidence.unapproved", "muniment approve"),
    (_approval_is_the_second_word, MET, "control.met", None),
    (_own_approval_is_no_second_word, PARTIAL, "evidence.unapproved", 'muniment approve "#2"'),
    (_one_of_two_approved, PARTIAL, "evidence.unapproved", 'muniment approve "#1"'),
    (_failed, FAILED, "evidence.failed", "supersede"),
    (_failed_long_ago, FAILED, "evidence.failed", '--supersedes "#0"'),
    (_supporting_failed, FAILED, "evidence.failed", '--supersedes "#1"'),
    (_failed_then_superseded, MET, "control.met", None),
    (_failed_then_superseded_by_stranger, FAILED, "evidence.failed", '--supersedes "#0"'),
    (_failed_then_superseded_by_approver, MET, "control.met", None),
    (_other_model, MISSING, "evidence.other-model", "muniment attach eval-result"),
    (_other_model_failed, MET, "evidence.other-model", None),
    (_approval_of_other_model, UNAPPROVED, "evidence.unapproved", "muniment approve"),
    (_approval_of_this_model, MET, "control.met", None),
    (_approval_of_the_records_own_file, MET, "control.met", None),
    (_linked, MET, "evidence.linked", None),
    (_other_version, MISSING, "evidence.missing", "muniment attach"),
    (_better_prospect, UNAPPROVED, "evidence.stale", 'muniment approve "#1"'),
]


@pytest.mark.parametrize(
    ("story", "state", "code", "unblock"), STORIES, ids=[story[0].__name__ for story in STORIES]
)
def test_states(story: Any, state: State, code: str, unblock: str | None, book: Any) -> None:
    """Each story ends in its state, with its reason and what would close the gap."""
    result = book.result(story(book))
    assert result.state is state
    assert code in codes(result)
    if unblock is None:
        assert result.unblock is None and result.command is None
        assert result.fresh_until is not None
    else:
        assert unblock in f"{result.unblock}: {result.command}"
        assert result.fresh_until is None
        assert result.commands[-1].startswith("muniment a")
        assert "…" not in result.command


@pytest.mark.parametrize("story", [story[0] for story in STORIES])
def test_nothing_goes_unsaid(story: Any, book: Any) -> None:
    """Every record about the system is evidence, an approval, or named with a reason; and every
    state has one."""
    story(book)
    coverage = book.coverage()
    said = {ref for reason in coverage.left_out for ref in reason.records}
    for control in coverage.controls:
        assert control.reasons
        said.update(control.evidence, control.approvals)
        said.update(ref for reason in control.reasons for ref in reason.records)
    about = {record.ref for record in book.records if record.statement.system == coverage.system}
    assert about - said <= {coverage.artifact_from}
    assert len(about) == coverage.considered


@pytest.mark.parametrize(("days", "state"), [(180, MET), (180.01, STALE)])
def test_validity_is_inclusive(days: float, state: State, book: Any) -> None:
    """Evidence counts to the last second of its validity and no longer."""
    book.add("owner-assignment", OWNER, age=days)
    assert book.result(OWNER).state is state


def test_fresh_until_is_when_the_control_lapses(book: Any) -> None:
    """A met control says when too few kinds will be fresh; spare evidence carries it on."""
    later = {"reviewBy": "2029-01-01"}
    book.add("policy", TWO, age=100, **later)
    book.add("policy", TWO, age=10, **later)
    book.add("decision", TWO, age=20, **later)
    until = book.result(TWO).fresh_until
    assert until == book.now + timedelta(days=365 - 20)
    assert book.result(TWO, as_of=until).state is MET
    assert book.result(TWO, as_of=until + timedelta(seconds=1)).state is PARTIAL


def test_later_records_are_not_known(book: Any) -> None:
    """As of an earlier day only what was recorded by then counts, supersession included."""
    bad = book.add("eval-result", EVAL, evaluated=0, age=30)
    good = book.add("eval-result", EVAL, supersedes=bad, age=20)
    book.approve(good, age=10)
    day = timedelta(days=1)
    states = [book.result(EVAL, as_of=book.now - age * day).state for age in (31, 30, 20, 10)]
    assert states == [MISSING, FAILED, UNAPPROVED, MET]
    assert book.coverage(as_of=book.now - 25 * day).considered == 1


def test_facts_from_the_future(book: Any) -> None:
    """Facts dated after their recording count from the recording, and the date is remarked upon."""
    book.add("owner-assignment", OWNER, age=10, collected_age=-3000)
    result = book.result(OWNER)
    assert "evidence.future-dated" in codes(result)
    assert result.fresh_until == book.now + timedelta(days=170)
    book.records.clear()
    book.add("owner-assignment", OWNER, age=10, collected_age=9.5)
    assert "evidence.future-dated" not in codes(book.result(OWNER))


def test_model_in_question(book: Any) -> None:
    """The caller's model goes before the newest one a system record names; with neither, that
    nothing is bound is said."""
    assert codes(book.coverage()) == {"model.unbound"}
    assert book.coverage(artifact="F" * 64).artifact == "f" * 64
    first = book.add("system")
    assert book.coverage().artifact == book.model
    model = {"name": "new.onnx", "sha256": book.other_model}
    second = book.add("system", model=model)
    book.add("system", body={"name": "no model"})
    coverage = book.coverage()
    assert (coverage.artifact, coverage.artifact_from) == (book.other_model, second.ref)
    assert "model.unbound" not in codes(coverage)
    assert book.coverage(as_of=book.now - timedelta(days=1), records=[first]).artifact == book.model
    given = book.coverage(artifact=book.model)
    assert (given.artifact, given.artifact_from) == (book.model, None)


@pytest.mark.parametrize("artifact", ["", "abc", "g" * 64, "a" * 65, "../" + "a" * 61])
def test_bad_model_digest(artifact: str, book: Any) -> None:
    """A digest that is none is an error, not a model that nothing speaks of."""
    with pytest.raises(InputError, match="not a SHA-256") as caught:
        book.coverage(artifact=artifact)
    assert caught.value.code == "artifact.malformed"


@pytest.mark.parametrize(
    "kind", ["eval-result", "monitoring-report", "risk-assessment", "impact-assessment"]
)
def test_evidence_of_another_model_is_listed(kind: str, book: Any) -> None:
    """Whatever kind speaks of another model is left out by name."""
    book.add("system")
    record = book.add(kind, OWNER, model={"name": "x", "sha256": book.other_model})
    left = [reason for reason in book.coverage().left_out if record.ref in reason.records]
    assert [reason.code for reason in left] == ["evidence.other-model"]
    assert "evidence.other-model" not in codes(book.coverage(artifact=book.other_model))


def test_superseded_records_are_listed(book: Any) -> None:
    """A superseded record counts nowhere and is left out by name; a refused one is said too."""
    first = book.add("owner-assignment", OWNER)
    book.add("owner-assignment", OWNER, supersedes=first)
    third = book.add("owner-assignment", OWNER, signer="dan")
    fourth = book.add("owner-assignment", OWNER, supersedes=third)
    coverage = book.coverage(artifact=book.model)
    assert [(reason.code, _places(reason.records)) for reason in coverage.left_out] == [
        ("record.superseded", [0, 1]),
        ("record.supersede-refused", [3, 2]),
    ]
    result = book.result(OWNER)
    assert _places(result.evidence) == [1, third.index, fourth.index]


def test_superseding_across_versions_does_not_reach_back(book: Any) -> None:
    """A record about another version cannot take evidence from this one."""
    first = book.add("owner-assignment", OWNER)
    book.add("owner-assignment", OWNER, supersedes=first, system=SystemRef("credit-risk", "3"))
    assert book.result(OWNER).state is MET


def test_a_vote_is_nobody_elses_to_withdraw(book: Any) -> None:
    """An approver who wrote the evidence cannot supersede another approver's rejection of it."""
    record = book.add("owner-assignment", OWNER, signer="carol")
    rejection = book.approve(record, signer="bob", decision="rejected")
    book.approve(book.add("policy"), signer="carol", supersedes=rejection)
    assert book.result(OWNER).state is UNAPPROVED


def test_evidence_and_approvals_are_named(book: Any) -> None:
    """A met control names the records and the approvals it stands on."""
    record = book.add("eval-result", EVAL)
    book.approve(record, signer="bob")
    book.approve(record, signer="carol")
    result = book.result(EVAL)
    assert (_places(result.evidence), _places(result.approvals)) == ([0], [1, 2])


def test_claims_of_unknown_controls_are_listed(book: Any) -> None:
    """A claim of a control that its catalog lacks is said; other catalogs' are not judged."""
    book.add("policy", "nist-ai-rmf-1.0:GOVERN 99", "elsewhere:X 1")
    unknown = [item for item in book.coverage().left_out if item.code == "control.unknown"]
    assert [_places(reason.records) for reason in unknown] == [[0]]
    assert "GOVERN 99" in unknown[0].text


def test_links_need_a_record(book: Any) -> None:
    """A link of a record that is not there, or was superseded, ties nothing and is said."""
    record = book.add("owner-assignment")
    book.link(record, OWNER)
    assert book.result(OWNER).state is MET
    alone = [item for item in book.records if item is not record]
    assert book.result(OWNER, records=alone).state is MISSING
    assert "record.unused" in codes(book.coverage(records=alone))
    book.add("owner-assignment", supersedes=record)
    assert book.result(OWNER).state is MISSING


def test_a_machine_root_cannot_link(book: Any) -> None:
    """A link counts only if its signer contributes or approves."""
    book.link(book.add("owner-assignment"), OWNER, signer="root")
    assert book.result(OWNER).state is MISSING


class TestSections:
    """Readiness controls rest on a section of a body and a rule over it."""

    control = "readiness-gate:RG-14"

    def _section(self, **changes: Any) -> dict[str, Any]:
        return {
            "problem": "slow answers",
            "users": "clerks",
            "decisionInfluenced": "grant or not",
            "kpi": "minutes",
            "kpiTarget": 10,
            "kpiOwner": "Pat",
            "fixedOn": "2025-01-01",
            "modelChosenOn": "2025-02-01",
            **changes,
        }

    def test_met(self, book: Any) -> None:
        """A record with the section, whose rule holds, carries the control."""
        book.add("decision", self.control, businessProblem=self._section())
        assert book.result(self.control).state is MET

    def test_no_section(self, book: Any) -> None:
        """A record of the right kind without the section does not count."""
        book.add("decision", self.control)
        result = book.result(self.control)
        assert (result.state, "evidence.no-section" in codes(result)) == (MISSING, True)
        assert "businessProblem" in result.unblock

    def test_rule_broken(self, book: Any) -> None:
        """Every current record's rule must hold; the reason gives the rule's words."""
        bad = self._section(fixedOn="2025-03-01")
        book.add("decision", self.control, businessProblem=bad, age=3000)
        book.add("decision", self.control, businessProblem=self._section())
        result = book.result(self.control)
        assert result.state is FAILED
        [reason] = [item for item in result.reasons if item.code == "evidence.rule-failed"]
        assert "fixed_on is before model_chosen_on" in reason.text
        assert _places(reason.records) == [0]

    def test_executive_approves(self, book: Any) -> None:
        """RG-12 is unapproved until somebody approves, failed if it is not the executive, and met
        once the executive has."""
        control = "readiness-gate:RG-12"
        section = {"executiveName": "Carol", "operatingOwner": "Pat", "verdict": "go"}
        record = book.add("decision", control, goLive=section)
        assert book.result(control).state is UNAPPROVED
        book.approve(record, signer="bob")
        assert book.result(control).state is FAILED
        book.approve(record, signer="carol")
        assert book.result(control).state is MET


def test_coverage_document(book: Any) -> None:
    """The document holds every control, the digests it was made with and what was left out."""
    book.add("system")
    document = book.coverage().to_json()
    assert [len(item["controls"]) for item in document["catalogs"]] == [72, 70, 29, 212, 85]
    assert document["profile"] == "production@1"
    assert document["artifact_sha256"] == book.model
    assert document["artifact_from"]["index"] == 0
    assert sum(document["catalogs"][0]["counts"].values()) == 72


def test_embedded_catalogs_give_the_same_coverage(book: Any) -> None:
    """Evaluating with catalogs and profile read back from a packet changes nothing."""
    for story, *_ in STORIES:
        story(book)
    again = evaluate(
        book.records,
        [type(catalog).from_json(catalog.to_json()) for catalog in load_catalogs()],
        type(load_profile("production")).from_json(load_profile("production").to_json()),
        book.system,
        book.now,
    )
    assert again == book.coverage()


@pytest.mark.parametrize(
    "replacement",
    [
        {"kind": "policy"},
        {"kind": "eval-result", "model": {"name": "other.onnx", "sha256": "b" * 64}},
        {"kind": "eval-result", "controls": ()},
    ],
    ids=["another kind", "another model", "another control"],
)
def test_only_like_supersedes_like(book: Any, replacement: dict[str, Any]) -> None:
    """A signer cannot make their own "no" vanish behind a record about something else."""
    more = dict(replacement)
    kind, controls = more.pop("kind"), more.pop("controls", (EVAL,))
    bad = book.add("eval-result", EVAL, evaluated=0)
    good = book.add("eval-result", EVAL)
    book.approve(good)
    book.add(kind, *controls, supersedes=bad, **more)
    assert book.result(EVAL).state is FAILED
    assert "record.supersede-refused" in codes(book.coverage())


def test_an_approver_may_narrow_a_claim(book: Any) -> None:
    """What was claimed by mistake, an approver may take out of the claim."""
    wide = book.add("owner-assignment", OWNER, EVAL)
    book.add("owner-assignment", OWNER, supersedes=wide, signer="bob")
    assert "record.superseded" in codes(book.coverage())


@pytest.mark.parametrize(
    "kind, control, fields, state, reason",
    [
        ("owner-assignment", OWNER, {"start": "2090-01-01"}, MISSING, "evidence.not-yet"),
        ("policy", EITHER, {"inForceFrom": "2031-01-01"}, MISSING, "evidence.not-yet"),
        ("policy", EITHER, {"reviewBy": "2020-01-01"}, STALE, "evidence.stale"),
        ("risk-assessment", EITHER, {"reviewBy": "2020-01-01"}, STALE, "evidence.stale"),
    ],
)
def test_the_days_that_a_body_names_count(
    book: Any, kind: str, control: str, fields: dict[str, str], state: State, reason: str
) -> None:
    """What is not in force yet, or should have been looked at again, carries nothing."""
    book.approve(book.add(kind, control, **fields))
    result = book.result(control)
    assert (result.state, reason in codes(result)) == (state, True)


def test_a_machine_is_no_second_person(book: Any) -> None:
    """The approval of a machine counts for nothing, and is listed."""
    evidence = book.add("eval-result", EVAL)
    signers = book.signers
    bot = replace(signers["bob"], type="machine", name="Bot", email="bot@example.com")
    approval = book.approve(evidence)
    book.records[-1] = replace(approval, signer=bot)
    assert book.result(EVAL).state is UNAPPROVED
    assert "approval.machine" in codes(book.coverage())


def test_an_approval_names_number_and_digest(book: Any) -> None:
    """Where the two disagree, nobody can say what was approved, and nothing is."""
    evidence, other = book.add("eval-result", EVAL), book.add("eval-result", EVAL, age=2)
    approval = book.approve(evidence)
    body = dict(approval.statement.body)
    body["records"] = [{"index": other.index, "sha256": evidence.sha256}]
    statement = replace(approval.statement, body=body)
    book.records[-1] = replace(approval, statement=statement)
    assert book.result(EVAL).state is UNAPPROVED


@pytest.mark.parametrize(
    "fields",
    [{"checks": []}, {"period": {"start": "2026-05-31", "end": "2026-05-01"}}],
    ids=["nothing decided", "a period that ends before it begins"],
)
def test_an_empty_monitoring_report_is_a_no(book: Any, fields: dict[str, Any]) -> None:
    """A report that held nothing against anything is no monitoring."""
    monitored = "nist-ai-rmf-1.0:MEASURE 2.4"
    book.add("monitoring-report", monitored, **fields)
    assert book.result(monitored).state is FAILED


def test_a_retracted_record_counts_for_nothing(book: Any) -> None:
    """Its author or an approver takes it back; what it superseded stands again."""
    bad = book.add("eval-result", EVAL, evaluated=0)
    good = book.add("eval-result", EVAL, supersedes=bad)
    book.approve(good)
    assert book.result(EVAL).state is MET
    book.add("retraction", records=[good.ref.to_json()], reason="The wrong run")
    assert book.result(EVAL).state is FAILED
    assert "record.retracted" in codes(book.coverage())
    book.add("retraction", records=[bad.ref.to_json()], reason="Both", signer="bob")
    assert book.result(EVAL).state is MISSING


def test_nobody_retracts_for_others(book: Any) -> None:
    """A third person's retraction is not heard, an approval only its signer's."""
    evidence = book.add("eval-result", EVAL)
    approval = book.approve(evidence)
    strangers = [name for name in book.signers if name not in ("alice", "bob")]
    person = next(
        name
        for name in strangers
        if "approver" not in book.signers[name].roles
        and book.signers[name].person != book.signers["alice"].person
    )
    book.add("retraction", records=[evidence.ref.to_json()], reason="x", signer=person)
    book.add("retraction", records=[approval.ref.to_json()], reason="x", signer="alice")
    assert book.result(EVAL).state is MET
    assert "record.retract-refused" in codes(book.coverage())


def test_an_erased_record_leaves_what_it_replaced_behind(book: Any) -> None:
    """What an erased record had superseded does not come back to life."""
    old = book.add("eval-result", EVAL)
    book.approve(old)
    newer = book.add("eval-result", EVAL, supersedes=old, evaluated=0)
    assert book.result(EVAL).state is FAILED
    named = {**newer.ref.to_json(), "kind": "eval-result", "superseded": old.index}
    book.add("erasure", signer="bob", records=[named], artifacts=[], basis="law", reason="x")
    book.records.remove(newer)
    assert book.result(EVAL).state is MISSING
    assert "record.erased" in codes(book.coverage())


def _erase(book: Any, record: Any, superseded: int) -> None:
    named = {**record.ref.to_json(), "kind": record.kind, "superseded": superseded}
    book.add("erasure", signer="bob", records=[named], artifacts=[], basis="law", reason="x")
    book.records.remove(record)


def test_an_erasure_takes_no_rejection_away(book: Any) -> None:
    """A record that says no was put right by one that is erased since: whether that was rightful
    nobody can see any more, so the no stands."""
    old = book.add("eval-result", EVAL, evaluated=0)
    newer = book.add("eval-result", EVAL, supersedes=old)
    book.approve(newer)
    assert book.result(EVAL).state is MET
    _erase(book, newer, old.index)
    assert book.result(EVAL).state is FAILED
    assert "record.supersede-refused" in codes(book.coverage())


@pytest.mark.parametrize(("signer", "state"), [("bob", MET), ("alice", MISSING)])
def test_what_was_taken_back_before_its_erasure(book: Any, signer: str, state: State) -> None:
    """A correction that an approver took back supersedes nothing, erased or not; of one that
    somebody else took back it is not known whether they might."""
    old = book.add("eval-result", EVAL)
    book.approve(old)
    newer = book.add("eval-result", EVAL, supersedes=old)
    book.add("retraction", records=[newer.ref.to_json()], reason="x", signer=signer)
    assert book.result(EVAL).state is MET
    _erase(book, newer, old.index)
    assert book.result(EVAL).state is state


def test_a_distrusted_record_counts_for_nothing(book: Any) -> None:
    """What a compromised key signed is left out, and the coverage says so."""
    evidence = book.add("owner-assignment", OWNER)
    assert book.result(OWNER).state is MET
    book.records[-1] = replace(evidence, distrusted="the key was stolen")
    assert book.result(OWNER).state is MISSING
    assert "record.distrusted" in codes(book.coverage())
