"""Bodies of every kind: good ones pass, each broken one fails at the field that is broken."""

from __future__ import annotations

from typing import Any

import pytest

from muniment.schemas.kinds import KindRegistry
from muniment.schemas.paths import set_path

KINDS = [
    "approval", "attestation", "change-record", "data-provenance", "decision", "eval-result",
    "gate-decision", "impact-assessment", "incident", "key", "link", "model-card",
    "monitoring-report", "owner-assignment", "policy", "risk-assessment", "supplier-assessment",
    "system", "training-record", "retraction", "erasure",
    "waiver", "applicability", "sample-test", "packet",
]  # fmt: skip
DROP = object()
"""In the table: the field is taken out."""

# kind, path to set, value, path of the fault, part of its message
BROKEN: list[tuple[str, str, Any, str, str]] = [
    ("system", "name", DROP, "name", "is required"),
    ("system", "phase", "live", "phase", "must be one of experiment, pilot"),
    ("system", "riskTier", "High", "riskTier", "did you mean high?"),
    ("system", "owner.email", "ada", "owner.email", "must be an e-mail address"),
    ("system", "model.sha256", "A" * 64, "model.sha256", "64 lower-case hexadecimal"),
    ("system", "purpose", "  ", "purpose", "must not be blank"),
    ("system", "users", "officers", "users", "must be a list, not text"),
    ("data-provenance", "contents", [], "contents", "at least 1 entry"),
    ("data-provenance", "rights", {}, "rights", "at least one of licence, consentBasis"),
    ("data-provenance", "rights", {"basis": "Art. 6"}, "rights", "licence, consentBasis"),
    ("data-provenance", "split", "test", "split", "must be one of"),
    ("data-provenance", "personalData", "yes", "personalData", "must be true or false"),
    ("data-provenance", "knownGaps", DROP, "knownGaps", "is required"),
    ("data-provenance", "rows", 1.5, "rows", "must be a whole number"),
    ("data-provenance", "source.url", "javascript:alert(1)", "source.url", "https://"),
    ("data-provenance", "collectionPeriod.end", "2025-02-30", "collectionPeriod.end", "2026-01-31"),
    ("data-provenance", "contents[0].sha256", "ab", "contents[0].sha256", "64 lower-case"),
    ("eval-result", "model.sha256", DROP, "model.sha256", "is required"),
    ("eval-result", "dataset.sha256", DROP, "dataset.sha256", "is required"),
    ("eval-result", "evaluated", -1, "evaluated", "at least 0"),
    ("eval-result", "evaluated", "3", "evaluated", "must be a whole number, not text"),
    ("eval-result", "metrics", DROP, "metrics", "is required"),
    ("eval-result", "checks", DROP, "checks", "is required"),
    ("eval-result", "metrics[0].direction", DROP, "metrics[0].direction", "is required"),
    ("eval-result", "metrics[0].nonfinite", "NaN", "metrics[0].value", "must be null"),
    ("eval-result", "metrics[0].value", "0.9", "metrics[0].value", "must be null or a number"),
    ("eval-result", "metrics[0].value", float("nan"), "metrics[0].value", "is nan"),
    ("eval-result", "metrics[0].value", float("inf"), "metrics[0].value", "is inf"),
    ("eval-result", "checks[0].outcome", "passed", "checks[0].outcome", "did you mean pass?"),
    ("eval-result", "startedAt", "2026-09-01T08:00:00+02:00", "startedAt", "a time in UTC"),
    ("eval-result", "startedAt", "2026-13-01T08:00:00Z", "startedAt", "a time in UTC"),
    ("eval-result", "errorClasses", [], "errorClasses", "at least 1 entry"),
    ("eval-result", "errorClasses[0].errorRate", 3.1, "errorClasses[0].errorRate", "at most 1"),
    ("eval-result", "errorClasses[0].costPerError.currency", "eur",
     "errorClasses[0].costPerError.currency", "three capital letters"),
    ("eval-result", "productionTest.cleaned_by_hand", False, "productionTest.cleaned_by_hand",
     "did you mean cleanedByHand?"),
    ("eval-result", "goLive", {}, "goLive", "is not a known field"),
    ("approval", "records", [], "records", "at least 1 entry"),
    ("approval", "records[0].sha256", DROP, "records[0].sha256", "is required"),
    ("approval", "artifacts", DROP, "artifacts", "is required"),
    ("approval", "role", "Risk Officer", "role", "joined by hyphens"),
    ("approval", "role", "risk\n", "role", "joined by hyphens"),
    ("approval", "decision", "yes", "decision", "must be one of approved, rejected"),
    ("approval", "statement", "", "statement", "must not be blank"),
    ("approval", "goLive.conditions", DROP, "goLive.conditions", "is required"),
    ("approval", "goLive.verdict", "go with conditions", "goLive.verdict", "go-with-conditions?"),
    ("sample-test", "rule", "my-own/v1", "rule", "muniment-sample/v1"),
    ("sample-test", "salt", " word", "salt", "no blank at either end"),
    ("sample-test", "salt", "a\nb", "salt", "no blank at either end"),
    ("sample-test", "by", "signer", "by", "must be one of kind, control"),
    ("sample-test", "n", 0, "n", "at least 1"),
    ("sample-test", "records", [], "records", "at least 1 entry"),
    ("sample-test", "records[0].note", DROP, "records[0].note", "is required"),
    ("sample-test", "records[1].outcome", "not-tested", "records[1].note", "is required"),
    ("sample-test", "records[1].outcome", None, "records[1].outcome", "must be one of passed"),
    ("attestation", "keys", [], "keys", "at least 1 entry"),
    ("attestation", "keys[0].publicKey", DROP, "keys[0].publicKey", "is required"),
    ("attestation", "artifacts", [], "artifacts", "at least 1 entry"),
    ("attestation", "result", "PASSED", "result", "did you mean passed?"),
    ("owner-assignment", "hoursPerWeek", 169, "hoursPerWeek", "at most 168"),
    ("owner-assignment", "deputy", "Ben", "deputy", "must be a group of fields, not text"),
    ("owner-assignment", "start", "1 Sept", "start", "a day, written 2026-01-31"),
    ("owner-assignment", "start", "0001-01-01", "start", "a day, written 2026-01-31"),
    ("owner-assignment", "ownership.dashboardUrl", "ftp://x.example", "ownership.dashboardUrl",
     "web address"),
    ("key", "fingerprint", "SHA256:abc", "fingerprint", "43 base64 characters"),
    ("key", "publicKey", DROP, "publicKey", "is required"),
    ("key", "holder", DROP, "holder.type", "is required"),
    ("key", "roles", [], "roles", "at least 1 entry"),
    ("key", "roles", ["root", "root"], "roles", "the same entry twice"),
    ("key", "roles[0]", "admin", "roles[0]", "must be one of root"),
    ("key", "replaces", "SHA256:" + "B" * 43, "replaces", "must be left out here"),
    ("key", "compromisedSince", 4, "compromisedSince", "must be left out here"),
    ("key", "action", "revoke", "reason", "is required"),
    ("key", "action", "rotate", "replaces", "is required"),
    ("key", "action", "rotate", "ledger", "must be left out here"),
    ("key", "ledger", "no verifier key", "ledger", "a verifier key"),
    ("key", "fingerprint", DROP, "fingerprint", "is required"),
    ("key", "action", "threshold", "threshold", "is required"),
    ("key", "threshold", 2, "threshold", "must be left out here"),
    ("key", "expires", "2028-01-01", "expires", "a time in UTC"),
    ("link", "controls", [], "controls", "at least 1 entry"),
    ("link", "controls[0]", "MEASURE 2.3", "controls[0]", "must be catalog:control"),
    ("link", "controls", ["a:b", "a:b"], "controls", "the same entry twice"),
    ("link", "records", [{"index": 1, "sha256": "c" * 64}] * 2, "records", "the same entry twice"),
    ("approval", "records", [{"index": 1, "sha256": "c" * 64}] * 2, "records",
     "the same entry twice"),
    ("link", "reason", DROP, "reason", "is required"),
    ("waiver", "residualRisk", DROP, "residualRisk", "is required"),
    ("waiver", "until", DROP, "until", "is required"),
    ("waiver", "measure", " ", "measure", "must not be blank"),
    ("waiver", "controls", [], "controls", "at least 1 entry"),
    ("waiver", "type", "exception", "type", "must be one of waiver, risk-acceptance"),
    ("applicability", "controls", [], "controls", "at least 1 entry"),
    ("applicability", "controls[0].justification", DROP, "controls[0].justification",
     "is required"),
    ("applicability", "controls[0].applicable", "no", "controls[0].applicable",
     "must be true or false"),
    ("retraction", "reason", DROP, "reason", "is required"),
    ("packet", "sha256", DROP, "sha256", "is required"),
    ("packet", "checkpoint.size", 0, "checkpoint.size", "at least 1"),
    ("packet", "frameworks", [], "frameworks", "at least 1 entry"),
    ("packet", "passed", "no", "passed", "must be true or false"),
    ("retraction", "records", [], "records", "at least 1 entry"),
    ("erasure", "basis", DROP, "basis", "is required"),
    ("erasure", "records[0].kind", DROP, "records[0].kind", "is required"),
    ("gate-decision", "verificationResult", "passed", "verificationResult", "did you mean PASSED?"),
    ("gate-decision", "verificationResult", "PASSED", "muniment_decision.blocking", "at most 0"),
    ("gate-decision", "verifier.id", "muniment", "verifier.id", "a URI with its scheme"),
    ("gate-decision", "verifier.version.muniment", 1, "verifier.version.muniment", "in quotes"),
    ("gate-decision", "policy.digest.sha512", "0", "policy.digest.sha512", "not a known field"),
    ("gate-decision", "muniment_decision.counts.met", "3", "muniment_decision.counts.met",
     "must be a whole number"),
    ("gate-decision", "muniment_decision.blocking[0].state", "met",
     "muniment_decision.blocking[0].state", "must be one of failed"),
    ("risk-assessment", "risks", [], "risks", "at least 1 entry"),
    ("risk-assessment", "risks[0].acceptedBy", DROP, "risks[0].acceptedBy", "is required"),
    ("risk-assessment", "risks[0].likelihood", 3, "risks[0].likelihood", "must be one of very-low"),
    ("risk-assessment", "conclusion", "ok", "conclusion", "must be one of accepted"),
    ("impact-assessment", "conclusion", DROP, "conclusion", "is required"),
    ("impact-assessment", "affected", [], "affected", "at least 1 entry"),
    ("impact-assessment", "impacts[0].mitigation", DROP, "impacts[0].mitigation", "is required"),
    ("policy", "inForceFrom", DROP, "inForceFrom", "is required"),
    ("policy", "version", 1.2, "version", "put it in quotes"),
    ("policy", "owner", {"name": "Ada"}, "owner.email", "is required"),
    ("monitoring-report", "evaluated", DROP, "evaluated", "is required"),
    ("monitoring-report", "cadenceDays", 0, "cadenceDays", "at least 1"),
    ("monitoring-report", "period.start", DROP, "period.start", "is required"),
    ("monitoring-report", "drift.signals[0].kind", "output", "drift.signals[0].kind",
     "did you mean output-quality?"),
    ("incident", "resolvedAt", DROP, "resolvedAt", "is required"),
    ("incident", "cause", DROP, "cause", "is required"),
    ("incident", "severity", "grave", "severity", "must be one of low"),
    ("training-record", "attendees", [], "attendees", "at least 1 entry"),
    ("training-record", "attendees[0].score", 90, "attendees[0].score", "at most 1"),
    ("supplier-assessment", "checks", [], "checks", "at least 1 entry"),
    ("supplier-assessment", "conclusion", DROP, "conclusion", "is required"),
    ("model-card", "limitations", DROP, "limitations", "is required"),
    ("model-card", "intendedUse", None, "intendedUse", "must be text, not null"),
    ("change-record", "changedBy", DROP, "changedBy.email", "is required"),
    ("change-record", "material", "yes", "material", "must be true or false"),
    ("decision", "decidedBy", [], "decidedBy", "at least 1 entry"),
    ("decision", "reasons", "x" * 100_001, "reasons", "at most 100,000 characters"),
    ("decision", "title", "x" * 501, "title", "at most 500 characters"),
    ("decision", "unitCost.costParts[0].category", "people", "unitCost.costParts[0].category",
     "must be one of model-calls"),
    ("decision", "legalClass.euAiActClass", "high-risk", "legalClass.euAiActClass", "did you mean"),
]  # fmt: skip


def _break(body: dict[str, Any], path: str, value: Any) -> None:
    if value is not DROP:
        set_path(body, path, value)
        return
    parent, _, name = path.rpartition(".")
    node: Any = body
    for step in parent.replace("[", ".[").split(".") if parent else []:
        node = node[int(step[1:-1])] if step.startswith("[") else node[step]
    del node[name]


@pytest.mark.parametrize("kind", KINDS)
def test_full_example_passes(kind: str, registry: KindRegistry, bodies: dict[str, Any]) -> None:
    """A realistic body with every field of the kind filled has no fault."""
    assert registry.get(kind).problems(bodies[kind]) == []


@pytest.mark.parametrize("kind", KINDS)
def test_required_fields_suffice(kind: str, registry: KindRegistry, bodies: dict[str, Any]) -> None:
    """A body of the required fields alone passes, but where a field asks for another."""
    found = registry.get(kind)
    required = found.root.required()
    body = {name: value for name, value in bodies[kind].items() if name in required}
    conditional = {"key": {"publicKey", "holder", "roles", "functions"}, "incident": {"cause"}}
    conditional |= {"eval-result": {"dataset"}, "waiver": {"residualRisk"}}
    missing = {problem.path.partition(".")[0] for problem in found.problems(body)}
    assert missing >= conditional.get(kind, set())
    assert kind in conditional or not missing


@pytest.mark.parametrize("kind", KINDS)
def test_each_required_field_is_missed(
    kind: str, registry: KindRegistry, bodies: dict[str, Any]
) -> None:
    """An empty body is told every required field at once."""
    found = registry.get(kind)
    missed = {problem.path for problem in found.problems({}) if problem.message == "is required"}
    assert missed >= found.root.required()
    assert set(bodies[kind]) >= found.root.required()


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_field_is_named(kind: str, registry: KindRegistry, bodies: dict[str, Any]) -> None:
    """A field nobody knows is a fault of its own, wherever it stands."""
    body = bodies[kind]
    groups = {name: value for name, value in body.items() if isinstance(value, dict)}
    for group in groups.values():
        group["hidingPlace"] = {}
    body["hidingPlace"] = 1
    paths = [problem.path for problem in registry.get(kind).problems(body)]
    assert sorted(paths) == sorted(["hidingPlace", *(f"{name}.hidingPlace" for name in groups)])


@pytest.mark.parametrize(
    ("kind", "path", "value", "fault", "message"),
    BROKEN,
    ids=[f"{row[0]}:{row[1]}:{number}" for number, row in enumerate(BROKEN)],
)
def test_broken_body_fails_at_the_fault(
    kind: str,
    path: str,
    value: Any,
    fault: str,
    message: str,
    registry: KindRegistry,
    bodies: dict[str, Any],
) -> None:
    """Each broken body is refused, at the path that is broken and in words that help."""
    body = bodies[kind]
    _break(body, path, value)
    problems = {problem.path: problem for problem in registry.get(kind).problems(body)}
    assert fault in problems
    assert message in problems[fault].message


def test_table_breaks_every_kind() -> None:
    """No kind goes without a broken body."""
    assert {row[0] for row in BROKEN} == set(KINDS)


def test_examples_are_full(registry: KindRegistry, bodies: dict[str, Any]) -> None:
    """The examples leave no top-level field untried, but for those of another phase or action."""
    other = {
        "key": {"replaces", "reason", "compromisedSince", "threshold"},
        "system": {"retiredOn"},
    }
    for kind in registry:
        left = set(kind.root.properties()) - set(bodies[kind.name])
        assert left == other.get(kind.name, set())


KEY_ACTIONS: dict[str, dict[str, Any]] = {
    "revoke": {"reason": "left the bank"},
    "revoke since a record": {"reason": "stolen", "compromisedSince": 12},
    "revoke since a moment": {"reason": "stolen", "compromisedSince": "2026-10-01T00:00:00Z"},
}


@pytest.mark.parametrize("name", KEY_ACTIONS)
def test_revocation_needs_key_and_reason_alone(name: str, registry: KindRegistry) -> None:
    """A revocation is the fingerprint, the reason and, where known, since when."""
    body = {"action": "revoke", "fingerprint": "SHA256:" + "A" * 43, **KEY_ACTIONS[name]}
    assert registry.get("key").problems(body) == []


@pytest.mark.parametrize("since", [-1, "12", "yesterday", True, 1.5])
def test_compromise_begins_at_a_place_or_a_time(since: Any, registry: KindRegistry) -> None:
    """``compromisedSince`` takes a place in the ledger or a time in UTC and nothing else."""
    body = {"action": "revoke", "fingerprint": "SHA256:" + "A" * 43, "reason": "stolen"}
    problems = registry.get("key").problems({**body, "compromisedSince": since})
    assert [problem.path for problem in problems] == ["compromisedSince"]


def test_rotation_restates_the_key(registry: KindRegistry, bodies: dict[str, Any]) -> None:
    """A rotation carries the new key whole and the fingerprint of the old one."""
    body = {**bodies["key"], "action": "rotate", "replaces": "SHA256:" + "B" * 43}
    del body["ledger"]
    assert registry.get("key").problems(body) == []
