"""The readiness gate's 29 rules: one example that passes, and what makes each fail."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from muniment.controls.catalog import load_catalog
from muniment.controls.rule import MAX_ENTRIES, broken, check_rule, rule_variables
from muniment.schemas.errors import InputError
from muniment.schemas.kinds import KindRegistry

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
MISSING = object()
"""In a table of changes: the field is taken away."""
EUR = {"amount": 5, "currency": "EUR"}

ALICE = {"name": "Alice", "email": "alice@example.com", "type": "person"}
RECORD: dict[str, Any] = {"kind": "decision", "signer": ALICE, "approvers": []}
APPROVED_BY_KIM: dict[str, Any] = {
    **RECORD,
    "approvers": [{"name": "Kim", "email": "kim@example.com"}],
}
APPROVED_BY_EVE: dict[str, Any] = {
    **RECORD,
    "approvers": [{"name": "Eve", "email": "eve@example.com"}],
}

PASSING: dict[str, Any] = {
    "RG-1": {
        "dataSource": "core banking",
        "periodStart": "2026-04-01",
        "periodEnd": "2026-04-30",
        "rowsTested": 4000,
        "cleanedByHand": False,
        "metric": "auc",
        "measuredValue": 0.8,
        "threshold": 0.8,
        "thresholdSetOn": "2026-05-02",
        "testedOn": "2026-05-02",
    },
    "RG-2": [
        {
            "name": "good applicant refused",
            "consequence": "lost loan",
            "costPerError": EUR,
            "errorRate": 0.03,
            "threshold": 0.05,
            "costly": False,
            "humanGate": False,
        },
        {
            "name": "bad applicant accepted",
            "consequence": "lost money",
            "costPerError": EUR,
            "errorRate": 0.01,
            "threshold": 0.01,
            "costly": True,
            "humanGate": True,
            "gateRole": "credit officer",
        },
    ],
    "RG-3": {
        "failureModes": [
            {
                "name": "no answer",
                "detection": "probe",
                "fallback": "score by table",
                "alertTo": "operations",
            }
        ],
        "manualBackup": "officer decides",
        "drillDate": "2026-03-01",
    },
    "RG-4": {
        "costPerTransaction": {"amount": 0.4, "currency": "EUR"},
        "costParts": [
            {"name": "clerk", "category": "human-review"},
            {"name": "server", "category": "hosting"},
        ],
        "volumePerDay": 300,
        "savingPerTransaction": {"amount": 1, "currency": "EUR"},
        "monthlyCost": EUR,
        "currency": "EUR",
        "method": "measured over April",
    },
    "RG-5": {
        "ownerName": "Pat",
        "ownerRole": "head of lending",
        "deputyName": "Kim",
        "hoursPerWeek": 0.5,
        "lineManagerConsent": True,
        "startDate": "2026-01-01",
        "dashboardUrl": "https://dash.example.com/credit",
        "watches": ["override rate"],
        "engagement": "permanent",
        "dashboardAnswers": True,
    },
    "RG-6": {
        "baselineMetric": "minutes per case",
        "baselineValue": 30,
        "baselinePeriod": "2025",
        "targetValue": 10,
        "investment": EUR,
        "yearlyBenefit": EUR,
        "paybackMonths": 12,
        "paybackLimitMonths": 12,
        "baselineTakenOn": "2025-12-31",
        "goLive": "2026-07-01",
        "reviewDate": "2027-01-01",
    },
    "RG-7": {
        "sources": [
            {
                "name": "bureau",
                "schemaMatch": 1,
                "schemaMatchMin": 0.99,
                "nullRate": 0,
                "nullRateMax": 0.01,
                "duplicateRate": 0,
                "duplicateRateMax": 0,
                "refreshHours": 24,
                "refreshHoursMax": 24,
                "dataOwner": "Lee",
            },
            {
                "name": "income",
                "schemaMatch": 1,
                "schemaMatchMin": 0.99,
                "nullRate": 0.5,
                "nullRateMax": 0.01,
                "duplicateRate": 0,
                "duplicateRateMax": 0,
                "refreshHours": 24,
                "refreshHoursMax": 24,
                "dataOwner": "Lee",
            },
        ],
        "gaps": [
            {
                "description": "income is often empty",
                "plan": "ask again",
                "source": "income",
                "owner": "Lee",
                "acceptedOn": "2026-05-01",
            }
        ],
    },
    "RG-8": {
        "datasets": [
            {
                "name": "loans",
                "origin": "own books",
                "licence": "own",
                "trainingPermitted": True,
                "personalData": True,
            }
        ],
        "clearedBy": "Lex",
        "clearedOn": "2026-04-01",
        "builtBy": "Alice",
    },
    "RG-9": {
        "tuningSetId": "t1",
        "holdoutSetId": "h1",
        "holdoutOrigin": "2026 loans",
        "overlapRows": 0,
        "overlapMethod": "by key",
        "timesScored": 1,
        "sealedOn": "2026-03-31",
        "modelFrozenOn": "2026-04-01",
        "metric": "auc",
        "holdoutValue": 0.81,
        "threshold": 0.8,
    },
    "RG-10": {
        "signals": [
            {"name": "psi", "kind": "input", "baseline": "2025", "limit": 0.2, "current": 0.1},
            {
                "name": "auc",
                "kind": "output-quality",
                "baseline": "2025",
                "limit": 0.8,
                "current": 0.85,
                "direction": "higher",
            },
            {
                "name": "volume",
                "kind": "business",
                "baseline": "2025",
                "limit": 10,
                "current": 20,
                "incident": "INC-4",
            },
        ],
        "checkIntervalHours": 24,
        "alertTo": "operations",
        "lastAlertTest": "2026-06-01",
        "reportPeriodEnd": "2026-05-31",
    },
    "RG-11": {
        "triggers": ["psi over 0.2"],
        "decider": "Pat",
        "dataUsed": "last year",
        "retestControls": ["RG-9"],
        "rollbackVersion": "2.0.0",
    },
    "RG-12": {
        "executiveName": "Eve",
        "executiveRole": "chief risk officer",
        "executiveEmail": "eve@example.com",
        "operatingOwner": "Pat",
        "accountableFor": ["delivery", "result"],
        "budgetAuthority": True,
        "escalationRoute": "board",
        "verdict": "go",
        "signedOn": "2026-05-20",
    },
    "RG-13": {
        "version": "2",
        "criteria": [{"name": "auc", "limit": "0.8"}],
        "signatures": [
            {"name": "Lex", "function": "legal", "signedOn": "2026-01-02", "version": "2"},
            {"name": "Kim", "function": "it", "signedOn": "2026-01-02", "version": "2"},
        ],
        "functionsRequired": ["it", "legal"],
        "agreedOn": "2026-01-03",
        "finalTestingOn": "2026-02-01",
    },
    "RG-14": {
        "problem": "slow answers",
        "users": "clerks",
        "decisionInfluenced": "grant or not",
        "kpi": "minutes per case",
        "kpiTarget": 10,
        "kpiOwner": "Pat",
        "fixedOn": "2025-01-01",
        "modelChosenOn": "2025-02-01",
    },
    "RG-15": {
        "eligibleUsers": 20,
        "activeUsers": 18,
        "adoptionRate": 0.9,
        "decisionChangeRate": 0.2,
        "overrideRate": 0.1,
        "overrideRateMin": 0.02,
        "overrideRateMax": 0.3,
        "periodEnd": "2026-05-31",
        "threshold": 0.9,
    },
    "RG-16": {
        "peopleTrained": 20,
        "peopleRequired": 20,
        "topics": ["limits", "override"],
        "materialVersion": "2",
        "currentMaterialVersion": "2",
        "trainedOn": "2026-05-01",
    },
    "RG-17": {
        "reviewer": "Example Security",
        "scope": ["access"],
        "environment": "staging",
        "productionEquivalent": True,
        "findingsOpenHigh": 0,
        "findingsOpenTotal": 3,
        "buildId": "2.1.0+7",
        "releasedBuildId": "2.1.0+7",
        "reviewedOn": "2026-05-01",
    },
    "RG-18": {
        "personalData": True,
        "purpose": "lending",
        "assessmentRef": "DPIA-12",
        "acceptedBy": "Ida",
        "acceptedOn": "2026-05-01",
    },
    "RG-19": {
        "jurisdictions": ["DE"],
        "euAiActClass": "high-risk-annex-III",
        "role": "provider",
        "classReason": "credit scoring",
        "duties": [
            {"name": "literacy", "appliesFrom": "2025-02-02", "evidence": ["#4"]},
            {"name": "logs", "appliesFrom": "2027-12-02"},
        ],
        "decidedBy": "Lex",
        "decidedOn": "2026-05-01",
    },
    "RG-20": {
        "interfaces": [
            {
                "name": "core",
                "authMethod": "mTLS",
                "retryTested": True,
                "rollbackTested": True,
                "errorRoute": "queue",
            }
        ],
        "writeBack": True,
        "testedOn": "2026-05-01",
    },
    "RG-21": {
        "modelVersion": "2.1.0",
        "codeCommit": "0a1b2c",
        "dataVersion": "2025",
        "pipelineAutomated": True,
        "testsInPipeline": ["smoke"],
        "rollbackMinutes": 5,
        "rollbackTestedOn": "2026-05-01",
    },
    "RG-22": {
        "peakPerHour": 100,
        "testedPerHour": 100,
        "latencyP95Ms": 250.5,
        "latencyLimitMs": 300,
        "errorRate": 0,
        "errorLimit": 0.01,
        "behaviourBeyondLimit": "a queue",
        "testedOn": "2026-05-01",
    },
    "RG-23": {
        "groups": ["under 25", "over 60"],
        "metric": "equal opportunity",
        "largestGap": 0.04,
        "threshold": 0.05,
        "explanationMethod": "reason codes",
        "testedOn": "2026-05-01",
    },
    "RG-24": {
        "suiteId": "s1",
        "repeatsPerCase": 3,
        "disagreementRate": 0.01,
        "adversarialCases": 40,
        "adversarialPassRate": 1,
        "thresholds": [
            {"name": "disagreementRate", "limit": 0.02},
            {"name": "adversarialPassRate", "limit": 0.95},
        ],
        "liveSampleRate": 0.05,
        "runOn": "2026-05-01",
    },
    "RG-25": {
        "processBefore": "by hand",
        "processAfter": "the clerk reads the score and decides",
        "actsOnOutput": "clerk",
        "mode": "act-alone",
        "previousModeProof": "#12",
        "processOwner": "Pat",
        "agreedOn": "2026-05-01",
    },
    "RG-26": {
        "goLive": "2026-07-01",
        "hardeningBudget": EUR,
        "watchBudget": EUR,
        "reviewDates": ["2026-07-15", "2026-08-15", "2026-09-29"],
        "exitCriteria": ["overrides under 10 %"],
        "team": [{"name": "Kim", "hoursPerWeek": 8}],
    },
    "RG-27": {
        "skillsNeeded": ["statistics", "operations"],
        "people": [
            {"name": "Kim", "function": "it", "hoursPerWeek": 8, "skills": ["operations"]},
            {
                "name": "Example Analytics",
                "function": "data-science",
                "hoursPerWeek": 4,
                "skills": ["statistics"],
                "contract": "C-9",
            },
        ],
        "gaps": [],
        "handoverDone": "2026-05-01",
    },
    "RG-28": {
        "logFields": ["input", "output", "version"],
        "retentionDays": 183,
        "retentionDutyDays": 183,
        "accessRoles": [{"name": "auditor", "rights": ["read"]}],
        "tamperProtection": "hash chain",
        "traceTestOn": "2026-05-01",
        "traceTestPassed": True,
    },
    "RG-29": {
        "reportChannel": "help desk",
        "channelTestedOn": "2026-05-01",
        "responder": "operations",
        "responseHours": 4,
        "severityLevels": [{"name": "high", "action": "switch off"}],
        "authorityNoticeApplies": True,
        "authorityNoticeDays": [{"name": "serious incident", "days": 15}],
        "drillOn": "2026-05-01",
    },
}

FAILING: list[tuple[str, tuple[str | int, ...], Any]] = [
    ("RG-1", ("cleanedByHand",), True),
    ("RG-1", ("rowsTested",), 0),
    ("RG-1", ("measuredValue",), 0.79),
    ("RG-1", ("thresholdSetOn",), "2026-05-03"),
    ("RG-2", (0, "errorRate"), 0.06),
    ("RG-2", (1, "humanGate"), False),
    ("RG-2", (1, "gateRole"), MISSING),
    ("RG-3", ("drillDate",), "2025-11-01"),
    ("RG-3", ("drillDate",), "2026-06-02"),
    ("RG-3", ("failureModes", 0, "alertTo"), ""),
    ("RG-4", ("savingPerTransaction", "amount"), 0.4),
    ("RG-4", ("savingPerTransaction", "currency"), "USD"),
    ("RG-4", ("costParts", 0, "category"), "other"),
    ("RG-4", ("volumePerDay",), 0),
    ("RG-5", ("hoursPerWeek",), 0),
    ("RG-5", ("engagement",), "pilot-only"),
    ("RG-5", ("engagement",), MISSING),
    ("RG-5", ("dashboardAnswers",), False),
    ("RG-6", ("paybackMonths",), 12.5),
    ("RG-6", ("baselineTakenOn",), "2026-07-01"),
    ("RG-7", ("sources", 0, "nullRate"), 0.02),
    ("RG-7", ("sources", 0, "refreshHoursMax"), MISSING),
    ("RG-7", ("gaps", 0, "acceptedOn"), MISSING),
    ("RG-7", ("gaps", 0, "source"), "bureau"),
    ("RG-8", ("datasets", 0, "trainingPermitted"), False),
    ("RG-8", ("clearedBy",), "Alice"),
    ("RG-8", ("builtBy",), MISSING),
    ("RG-9", ("overlapRows",), 1),
    ("RG-9", ("sealedOn",), "2026-04-01"),
    ("RG-9", ("holdoutValue",), 0.79),
    ("RG-10", ("signals", 0, "kind"), "business"),
    ("RG-10", ("signals", 1, "kind"), "business"),
    ("RG-10", ("signals", 0, "current"), 0.3),
    ("RG-10", ("signals", 1, "current"), 0.7),
    ("RG-10", ("signals", 2, "incident"), MISSING),
    ("RG-10", ("lastAlertTest",), "2026-06-02"),
    ("RG-11", ("triggers",), []),
    ("RG-11", ("rollbackVersion",), MISSING),
    ("RG-12", ("verdict",), "no-go"),
    ("RG-12", ("operatingOwner",), "Eve"),
    ("RG-12", ("operatingOwner",), MISSING),
    ("RG-13", ("functionsRequired", 0), "business"),
    ("RG-13", ("signatures", 0, "version"), "1"),
    ("RG-13", ("agreedOn",), "2026-02-01"),
    ("RG-14", ("fixedOn",), "2025-02-01"),
    ("RG-14", ("kpiOwner",), MISSING),
    ("RG-15", ("adoptionRate",), 0.89),
    ("RG-15", ("overrideRate",), 0.01),
    ("RG-15", ("overrideRate",), 0.31),
    ("RG-15", ("overrideRateMax",), MISSING),
    ("RG-15", ("eligibleUsers",), 0),
    ("RG-16", ("peopleTrained",), 19),
    ("RG-16", ("currentMaterialVersion",), "3"),
    ("RG-17", ("environment",), "sandbox"),
    ("RG-17", ("productionEquivalent",), MISSING),
    ("RG-17", ("findingsOpenHigh",), 1),
    ("RG-17", ("releasedBuildId",), "2.1.0+8"),
    ("RG-18", ("assessmentRef",), MISSING),
    ("RG-19", ("euAiActClass",), "prohibited"),
    ("RG-19", ("duties", 0, "evidence"), MISSING),
    ("RG-19", ("duties", 1, "appliesFrom"), "2026-06-01"),
    ("RG-20", ("interfaces", 0, "retryTested"), False),
    ("RG-20", ("interfaces", 0, "rollbackTested"), False),
    ("RG-21", ("testsInPipeline",), []),
    ("RG-21", ("rollbackTestedOn",), "2026-06-02"),
    ("RG-21", ("dataVersion",), MISSING),
    ("RG-22", ("testedPerHour",), 99),
    ("RG-22", ("latencyP95Ms",), 301),
    ("RG-22", ("errorRate",), 0.02),
    ("RG-23", ("largestGap",), 0.06),
    ("RG-23", ("explanationMethod",), MISSING),
    ("RG-24", ("liveSampleRate",), 0),
    ("RG-24", ("disagreementRate",), 0.03),
    ("RG-24", ("adversarialPassRate",), 0.9),
    ("RG-24", ("thresholds", 1, "name"), "disagreementRate"),
    ("RG-24", ("unsupportedClaimRate",), 0.1),
    ("RG-25", ("previousModeProof",), MISSING),
    ("RG-25", ("actsOnOutput",), MISSING),
    ("RG-26", ("watchBudget",), {"amount": 0, "currency": "EUR"}),
    ("RG-26", ("reviewDates", 2), "2026-09-30"),
    ("RG-26", ("reviewDates", 0), "2026-06-30"),
    ("RG-27", ("people", 1, "skills"), ["operations"]),
    ("RG-27", ("handoverDone",), "2026-06-02"),
    ("RG-28", ("traceTestPassed",), False),
    ("RG-28", ("retentionDays",), 182),
    ("RG-28", ("retentionDutyDays",), MISSING),
    ("RG-29", ("channelTestedOn",), MISSING),
    ("RG-29", ("drillOn",), "2026-06-02"),
    ("RG-29", ("authorityNoticeDays",), []),
]


def _requirement(control: str) -> Any:
    controls = {item.short_id: item for item in load_catalog("readiness-gate").controls}
    return controls[control].requirement


def _run(control: str, section: Any, record: Any = RECORD) -> str | None:
    requirement = _requirement(control)
    body = {requirement.section: section}
    return broken(requirement.rule, rule_variables(body, section, record, NOW))


def _changed(section: Any, path: tuple[str | int, ...], value: Any) -> Any:
    result = copy.deepcopy(section)
    part = result
    for step in path[:-1]:
        part = part[step]
    if value is MISSING:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return result


def test_every_control_has_examples() -> None:
    """All 29 rules are run both ways below."""
    ids = {item.short_id for item in load_catalog("readiness-gate").controls}
    assert len(ids) == 29
    assert set(PASSING) == {control for control, _, _ in FAILING} == ids


@pytest.mark.parametrize("control", PASSING)
def test_passing_example(control: str, bodies: dict[str, dict[str, Any]]) -> None:
    """The rule holds for an example that every kind it may stand in accepts."""
    requirement = _requirement(control)
    section = PASSING[control]
    kinds = [
        kind
        for kind in requirement.any_of
        if requirement.section in KindRegistry().get(kind).schema["properties"]
    ]
    assert kinds == list(requirement.any_of)
    for kind in set(kinds) & set(bodies):
        body = {**bodies[kind], requirement.section: section}
        assert KindRegistry().get(kind).problems(body) == []
    assert _run(control, section) is None


@pytest.mark.parametrize(("control", "path", "value"), FAILING)
def test_failing_example(control: str, path: tuple[str | int, ...], value: Any) -> None:
    """One change to the passing example breaks the rule."""
    why = _run(control, _changed(PASSING[control], path, value))
    assert why is not None
    assert value is MISSING or why == "it does not hold"


@pytest.mark.parametrize(
    ("record", "holds"),
    [
        (APPROVED_BY_EVE, True),
        (APPROVED_BY_KIM, False),
        ({**RECORD, "signer": {"name": "E. Example", "email": "eve@example.com"}}, True),
        ({**RECORD, "kind": "approval"}, False),
        ({**RECORD, "kind": "approval", "signer": APPROVED_BY_EVE["approvers"][0]}, True),
    ],
)
def test_executive_signs(record: dict[str, Any], holds: bool) -> None:
    """RG-12 wants the executive's own key behind the verdict, on the record or its approval."""
    assert (_run("RG-12", PASSING["RG-12"], record) is None) is holds


def test_accepted_exceptions() -> None:
    """What a pass rule lets be accepted or commented passes once it is."""
    gap = _changed(PASSING["RG-23"], ("largestGap",), 0.5)
    gap["acceptance"] = {"acceptedBy": "Eve", "acceptedOn": "2026-05-01", "reason": "few cases"}
    assert _run("RG-23", gap) is None
    overrides = _changed(PASSING["RG-15"], ("overrideRate",), 0.0)
    assert _run("RG-15", {**overrides, "overrideComment": "a first week"}) is None


def test_missing_field_is_named() -> None:
    """A rule that needs an absent field fails and says which."""
    why = _run("RG-5", _changed(PASSING["RG-5"], ("engagement",), MISSING))
    assert why == "the rule could not be decided: the record has no engagement"


@pytest.mark.parametrize(
    "text", ["1 + 1", "'yes'", "null", "asOf", "section.x", "1 / 0 == 1", "nobody"]
)
def test_only_true_holds(text: str) -> None:
    """A rule that gives anything but true, or an error, is a failure."""
    assert broken(text, rule_variables({}, {}, RECORD, NOW)) is not None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("section.", "rule.malformed"),
        ("", "rule.malformed"),
        ("true" + " || true" * 400, "rule.too-costly"),
        ("a.all(x, a.all(y, a.all(z, true)))", "rule.too-costly"),
        ("a . exists (x, a.all(y, a.filter(z, true).size() > 0))", "rule.too-costly"),
        ("[1].map(x, body).size() > 0", "rule.too-costly"),
        ('true // "\n && a.all(x, true)', "rule.too-costly"),
        (r'"\"" == "a"', "rule.too-costly"),
    ],
)
def test_bad_rules_are_refused(text: str, code: str) -> None:
    """A rule that is not CEL, or whose cost cannot be bounded, never runs."""
    with pytest.raises(InputError) as caught:
        check_rule(text, "own:a")
    assert caught.value.code == code


def test_loops_in_text_and_in_sequence_do_not_count() -> None:
    """Two nested loops are allowed, however many stand side by side or in quotes."""
    check_rule(
        "a.all(x, b.all(y, x == y)) && a.all(x, b.exists(y, x == y)) && c == '.all(.all(.all('",
        "own:a",
    )


def test_long_lists_are_not_looped_over() -> None:
    """A list over the limit fails a rule that reads it, and no other."""
    body = {"checks": [0] * (MAX_ENTRIES + 1)}
    variables = rule_variables(body, {}, RECORD, NOW)
    assert "entries" in str(broken("body.checks.all(x, x == 0)", variables))
    assert broken("record.kind == 'decision'", variables) is None


@pytest.mark.parametrize(
    ("text", "body"),
    [
        ("body.a.all(x, body.a.all(y, !(-1 in body.a)))", {"a": [1] * MAX_ENTRIES}),
        ("body.a.all(x, body.a.all(y, body.a == body.a))", {"a": [1] * MAX_ENTRIES}),
        (
            "body.a.all(x, body.a.all(y, !body.s.matches('a*b')))",
            {"a": [1] * 100, "s": "a" * 10**6},
        ),
        ("body.m.all(x, body.m.all(y, true))", {"m": {str(number): 1 for number in range(10**5)}}),
        ("body.a.all(x, body.b.c.size() > 0)", {"a": [1] * 900, "b": {"c": [["x"] * 900] * 900}}),
    ],
)
def test_work_without_end_is_refused_before_it_begins(text: str, body: dict[str, Any]) -> None:
    """What a rule does in its loops counts as well: a record that would keep it busy for minutes
    fails it, with the number of steps."""
    check_rule(text, "own:a")
    assert "at most 100,000,000 are taken" in str(broken(text, rule_variables(body, {}, {}, NOW)))


def test_records_of_a_usual_size_are_no_great_work() -> None:
    """Two nested loops over a hundred entries each are run."""
    body = {"a": [{"name": f"n{number}", "ok": True, "n": 1} for number in range(100)]}
    text = "body.a.all(x, body.a.exists(y, x.name == y.name && y.ok))"
    assert broken(text, rule_variables(body, {}, {}, NOW)) is None
