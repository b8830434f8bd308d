"""Tools that check: pytest, pip-audit, SARIF, Great Expectations, promptfoo, garak."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from muniment.evidence.collectors import Collected
from muniment.schemas.errors import InputError

Draft = Callable[..., Collected]
Loaded = Callable[[str], Any]
Sample = Callable[[str], bytes]

JUNIT = "pytest_junit/junit.xml"
AUDIT = "pip_audit/pip_audit.json"
BANDIT = "bandit/bandit.sarif"
RUFF = "ruff/ruff.sarif"
EXPECTATIONS = "great_expectations/validation_result.json"
PROMPTFOO = "promptfoo/results.json"
GARAK = "garak/report.jsonl"


def outcomes(collected: Collected) -> list[str]:
    return [entry["outcome"] for entry in collected.body["checks"]]


def test_junit(draft: Draft) -> None:
    """Errors are not failures, an expected failure is skipped, and only verdicts are evaluated."""
    collected = draft(JUNIT)
    accuracy = {"value": 0.9766081871345029, "direction": "higher"}
    assert collected.kind == "eval-result"
    assert collected.body == {
        "suite": "model-gate",
        "status": "partial",
        "evaluated": 4,
        "skipped": 2,
        "metrics": [
            {"name": "test_accuracy_gate/accuracy", **accuracy, "threshold": 0.95},
            {"name": "test_impossible_gate/accuracy", **accuracy, "threshold": 0.999},
        ],
        "checks": [
            {"name": "test_model_a::test_accuracy_gate", "outcome": "pass"},
            {
                "name": "test_model_a::test_impossible_gate",
                "outcome": "fail",
                "message": "AssertionError",
            },
            {"name": "test_model_a::test_class_recall[0]", "outcome": "pass"},
            {"name": "test_model_a::test_class_recall[1]", "outcome": "pass"},
            {"name": "test_model_a::test_gpu", "outcome": "skipped", "message": "needs GPU"},
            {
                "name": "test_model_a::test_known",
                "outcome": "skipped",
                "message": "known drift issue #12",
            },
            {
                "name": "test_model_a::test_errors",
                "outcome": "error",
                "message": "failed on setup",
            },
        ],
        "startedAt": "2026-11-21T02:01:37Z",
        "endedAt": "2026-11-21T02:01:42Z",
    }
    assert collected.collected_at == datetime(2026, 11, 21, 2, 1, 42, tzinfo=UTC)
    assert collected.source["tool"] == "pytest"
    assert "notes" not in collected.source


def test_junit_without_cases(draft: Draft) -> None:
    """A run that collected nothing evaluated nothing and is not whole."""
    body = draft(JUNIT, b'<testsuites><testsuite name="pytest" tests="0"/></testsuites>').body
    assert (body["evaluated"], body["checks"], body["status"]) == (0, [], "partial")


def test_junit_only_skipped(draft: Draft) -> None:
    """A suite of which every case is skipped evaluated nothing."""
    body = draft(JUNIT, b"<testsuite><testcase name='a'><skipped/></testcase></testsuite>").body
    assert (body["evaluated"], body["skipped"], body["status"]) == (0, 1, "partial")


@pytest.mark.parametrize("attribute", ["tests", "failures", "errors", "skipped"])
def test_junit_totals_beyond_cases(draft: Draft, sample: Sample, attribute: str) -> None:
    """A report that counts more than it lists is refused: cases were taken out of it."""
    report = sample(JUNIT).replace(f'{attribute}="'.encode(), f'{attribute}="9'.encode(), 1)
    with pytest.raises(InputError, match=f"it counts 9\\d {attribute} and lists"):
        draft(JUNIT, report)


def test_junit_entities_are_refused(draft: Draft) -> None:
    """A document type, where entities would stand, is refused."""
    bomb = b'<!DOCTYPE x [<!ENTITY a "b">]><testsuite name="&a;"><testcase/></testsuite>'
    with pytest.raises(InputError, match="declares a document type"):
        draft(JUNIT, bomb)


def test_junit_naive_time_is_noted(draft: Draft, sample: Sample) -> None:
    """A time without an offset is taken as UTC, and a note says so."""
    collected = draft(JUNIT, sample(JUNIT).replace(b"+00:00", b""))
    assert collected.body["startedAt"] == "2026-11-21T02:01:37Z"
    assert any("without an offset" in note for note in collected.source["notes"])


def test_junit_threshold_of_unknown_direction(draft: Draft, sample: Sample) -> None:
    """A threshold of a figure whose good side is not known is left out, and a note says so."""
    collected = draft(JUNIT, sample(JUNIT).replace(b'name="accuracy"', b'name="zing"'))
    assert all("threshold" not in entry for entry in collected.body["metrics"])
    assert any("test_accuracy_gate/zing, 0.95" in note for note in collected.source["notes"])


def test_junit_nan_property(draft: Draft, sample: Sample) -> None:
    """A property that is not a number keeps its threshold and has no value."""
    report = sample(JUNIT).replace(b'value="0.9766081871345029"', b'value="nan"', 1)
    assert draft(JUNIT, report).body["metrics"][0] == {
        "name": "test_accuracy_gate/accuracy",
        "value": None,
        "nonfinite": "NaN",
        "direction": "higher",
        "threshold": 0.95,
    }


def test_pip_audit_that_could_look_up_nothing(draft: Draft) -> None:
    """Skipped dependencies were not checked, though pip-audit reports no vulnerabilities."""
    collected = draft(AUDIT)
    reason = "Dependency not found on PyPI and could not be audited:"
    assert collected.body == {
        "suite": "pip-audit",
        "status": "partial",
        "evaluated": 0,
        "skipped": 2,
        "metrics": [],
        "checks": [
            {"name": "jinja2", "outcome": "not-run", "message": f"{reason} jinja2 (2.11.0)"},
            {"name": "requests", "outcome": "not-run", "message": f"{reason} requests (2.19.0)"},
        ],
    }


def test_pip_audit_verdicts(draft: Draft) -> None:
    """A dependency passes only if it was looked up and nothing was found."""
    report = {
        "dependencies": [
            {"name": "a", "version": "1", "vulns": []},
            {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": []}]},
            {"name": "c", "skip_reason": "none", "vulns": []},
        ],
        "fixes": [],
    }
    collected = draft(AUDIT, report)
    assert outcomes(collected) == ["pass", "fail", "not-run"]
    assert collected.body["checks"][1]["message"] == "PYSEC-1"
    assert (collected.body["evaluated"], collected.body["status"]) == (2, "partial")


def test_pip_audit_of_nothing(draft: Draft) -> None:
    """An audit of no dependencies evaluated nothing."""
    body = draft(AUDIT, {"dependencies": [], "fixes": [], "x": "vulns"}).body
    assert (body["evaluated"], body["status"]) == (0, "partial")


def _levels(**found: int) -> list[dict[str, Any]]:
    levels = ("error", "warning", "note", "none", "suppressed")
    return [
        {"name": f"findings/{level}", "value": found.get(level, 0), "direction": "lower"}
        for level in levels
    ]


def test_sarif_bandit(draft: Draft) -> None:
    """Each rule that found something fails; a result without a level is a warning."""
    collected = draft(BANDIT)
    assert collected.body == {
        "suite": "Bandit",
        "status": "ok",
        "evaluated": 1,
        "metrics": _levels(error=2, warning=1, note=1),
        "checks": [
            {"name": "B403", "outcome": "fail", "observed": "1 note"},
            {"name": "B301", "outcome": "fail", "observed": "1 warning"},
            {"name": "B602", "outcome": "fail", "observed": "1 error"},
            {"name": "B324", "outcome": "fail", "observed": "1 error"},
        ],
        "endedAt": "2026-11-21T02:03:39Z",
    }
    assert collected.collected_at == datetime(2026, 11, 21, 2, 3, 39, tzinfo=UTC)
    assert collected.source["tool"] == "Bandit"
    assert collected.source["version"] == "1.9.4"


def test_sarif_ruff(draft: Draft) -> None:
    """ruff says neither how many files it read nor whether it ended, so the draft does not."""
    collected = draft(RUFF)
    assert collected.body == {
        "suite": "ruff",
        "status": "ok",
        "metrics": _levels(error=5),
        "checks": [
            {"name": rule, "outcome": "fail", "observed": "1 error"}
            for rule in ("E401", "F401", "S301", "S602", "S324")
        ],
    }
    assert collected.source["notes"] == [
        "the log does not say how many files were scanned",
        "the log does not say whether the tool ran to its end",
    ]


def test_sarif_without_findings(draft: Draft, loaded: Loaded) -> None:
    """No findings pass no check: they prove only that the tool ran."""
    log = loaded(RUFF)
    log["runs"][0]["results"] = []
    collected = draft(RUFF, log)
    assert collected.body["checks"] == []
    assert "evaluated" not in collected.body
    assert "no findings: this proves only that the tool ran" in collected.source["notes"]


def test_sarif_without_results(draft: Draft, loaded: Loaded) -> None:
    """A run without a list of results did not scan, and is refused."""
    log = loaded(RUFF)
    del log["runs"][0]["results"]
    with pytest.raises(InputError, match="no list of results"):
        draft(RUFF, log)


def test_sarif_failed_execution(draft: Draft, loaded: Loaded) -> None:
    """A tool that did not run to its end errs."""
    log = loaded(BANDIT)
    log["runs"][0]["invocations"][0]["executionSuccessful"] = False
    collected = draft(BANDIT, log)
    assert collected.body["status"] == "error"
    assert collected.body["checks"][0] == {"name": "execution", "outcome": "error"}


def test_sarif_suppressed_and_passed_results(draft: Draft, loaded: Loaded) -> None:
    """A suppressed finding is skipped, not passed; a result that is no finding is not counted."""
    log = loaded(BANDIT)
    results = log["runs"][0]["results"]
    results[0]["suppressions"] = [{"kind": "inSource"}]
    results[1]["kind"] = "pass"
    collected = draft(BANDIT, log)
    assert outcomes(collected) == ["skipped", "fail", "fail"]
    assert collected.body["metrics"] == _levels(error=2, suppressed=1)


def test_great_expectations(draft: Draft) -> None:
    """An expectation that raised errs, also where the exception stands under a metric's id."""
    collected = draft(EXPECTATIONS)
    assert collected.body == {
        "dataset": {"name": "breast_cancer_asset"},
        "suite": "breast_cancer_quality",
        "status": "partial",
        "evaluated": 4,
        "skipped": 0,
        "metrics": [],
        "checks": [
            {
                "name": "expect_column_values_to_not_be_null(no_such_column)",
                "outcome": "error",
                "message": "the expectation raised an exception",
            },
            {
                "name": "expect_column_values_to_not_be_null(mean_texture)",
                "outcome": "fail",
                "observed": "1 of 80 rows unexpected",
            },
            {
                "name": "expect_column_values_to_be_between(mean_radius)",
                "outcome": "pass",
                "expected": "min_value 0.0, max_value 100.0, mostly 0.95",
                "observed": "0 of 80 rows unexpected",
            },
            {
                "name": "expect_column_values_to_be_in_set(target)",
                "outcome": "pass",
                "observed": "0 of 80 rows unexpected",
            },
            {
                "name": "expect_column_mean_to_be_between(mean_perimeter)",
                "outcome": "fail",
                "expected": "min_value 1000.0, max_value 2000.0",
                "observed": "89.683375",
            },
        ],
        "runId": "f2986cb3-bdcd-41b6-89d9-376ef99bb13c",
        "endedAt": "2026-11-21T02:10:46Z",
    }
    assert collected.collected_at == datetime(2026, 11, 21, 2, 10, 46, tzinfo=UTC)
    assert collected.source["version"] == "1.24.1"


def test_great_expectations_empty_suite(draft: Draft, loaded: Loaded) -> None:
    """An empty suite, which reports success, evaluated nothing."""
    result = loaded(EXPECTATIONS) | {
        "success": True,
        "results": [],
        "statistics": {"evaluated_expectations": 0, "success_percent": None},
    }
    body = draft(EXPECTATIONS, result).body
    assert (body["evaluated"], body["checks"], body["status"]) == (0, [], "partial")


def test_great_expectations_over_no_rows(draft: Draft, loaded: Loaded) -> None:
    """An expectation that succeeds over no rows was not run."""
    result = loaded(EXPECTATIONS)
    result["results"][2]["result"]["element_count"] = 0
    assert outcomes(draft(EXPECTATIONS, result))[2] == "not-run"


def test_great_expectations_missing_results(draft: Draft, loaded: Loaded) -> None:
    """A result that counts more expectations than it lists is refused."""
    result = loaded(EXPECTATIONS)
    del result["results"][1]
    with pytest.raises(InputError, match="counts 5 expectations and lists 4"):
        draft(EXPECTATIONS, result)


def test_promptfoo(draft: Draft) -> None:
    """Each test and prompt is a check by its assertions; named scores are means by prompt."""
    collected = draft(PROMPTFOO)
    cases = [("capital", "1 of 1", "pass"), ("refund policy", "2 of 2", "pass")]
    cases.append(("pii leak", "0 of 1", "fail"))
    assert collected.body == {
        "model": {"name": "canned-v1"},
        "suite": "Support bot release gate",
        "status": "ok",
        "evaluated": 6,
        "skipped": 0,
        "metrics": [
            {"name": name, "value": value, "slice": f"prompt={prompt}", "n": 1}
            for prompt in (0, 1)
            for name, value in (("groundedness", 1.0), ("privacy", 0.0))
        ],
        "checks": [
            {
                "name": f"test {test}, prompt {prompt}, canned-v1: {label}",
                "outcome": outcome,
                "observed": f"{held} assertions hold",
            }
            for test, (label, held, outcome) in enumerate(cases)
            for prompt in (0, 1)
        ],
        "runId": "eval-FDw-2026-11-21T01:56:35",
        "startedAt": "2026-11-21T01:56:35Z",
    }
    assert collected.source["version"] == "0.121.20"


def test_promptfoo_without_assertions(draft: Draft, loaded: Loaded) -> None:
    """A test without assertions, which reports success and score 1, was not run."""
    export = loaded(PROMPTFOO)
    export["results"]["results"][0]["gradingResult"] = {
        "pass": True,
        "score": 1,
        "reason": "No assertions",
        "componentResults": [],
    }
    collected = draft(PROMPTFOO, export)
    assert collected.body["checks"][0]["outcome"] == "not-run"
    assert collected.body["checks"][0]["message"] == "no assertions"
    assert (collected.body["evaluated"], collected.body["skipped"]) == (5, 1)
    assert collected.body["status"] == "partial"


def test_promptfoo_errors_and_contradictions(draft: Draft, loaded: Loaded) -> None:
    """A provider's error errs; success with a failed assertion and no threshold fails."""
    export = loaded(PROMPTFOO)
    rows = export["results"]["results"]
    rows[0] |= {"failureReason": 2, "success": False}
    rows[1]["gradingResult"]["componentResults"][0]["pass"] = False
    assert outcomes(draft(PROMPTFOO, export))[:2] == ["error", "fail"]


def test_promptfoo_cut_and_unknown(draft: Draft, loaded: Loaded) -> None:
    """An export with fewer results than it counts, or of another version, is refused."""
    export = loaded(PROMPTFOO)
    del export["results"]["results"][4:]
    with pytest.raises(InputError, match="counts 6 results and lists 4"):
        draft(PROMPTFOO, export)
    export["results"]["version"] = 4
    with pytest.raises(InputError) as caught:
        draft(PROMPTFOO, export)
    assert caught.value.code == "collector.unsupported"


def _rows(data: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in data.splitlines()]


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return b"\n".join(json.dumps(row).encode() for row in rows)


def test_garak_against_silence(draft: Draft) -> None:
    """A model that answers nothing, which garak scores as perfect, was not tested."""
    collected = draft(GARAK)
    why = "every answer was empty: nothing was tested"
    assert collected.body == {
        "model": {"name": "test.Blank"},
        "suite": "garak",
        "status": "partial",
        "evaluated": 0,
        "metrics": [],
        "checks": [
            {
                "name": "goodside.ThreatenJSON/goodside.PlainJSON",
                "outcome": "error",
                "message": why,
                "observed": "2 passed, 0 failed, 0 undecided",
            },
            {
                "name": "test.Test/always.Pass",
                "outcome": "error",
                "message": why,
                "observed": "16 passed, 0 failed, 0 undecided",
            },
        ],
        "runId": "20dd8cc1-d6bf-41a6-a7b5-4e374dd414e1",
        "startedAt": "2026-11-21T02:10:59Z",
        "endedAt": "2026-11-21T02:11:01Z",
    }
    assert any("without an offset" in note for note in collected.source["notes"])


def _answered(sample: Sample, **counts: int) -> list[dict[str, Any]]:
    """The report as it were had the model answered, with other counts for the first probe."""
    rows = _rows(sample(GARAK))
    for row in rows:
        if row["entry_type"] == "attempt":
            row["outputs"] = [{"text": "no"}]
    first = next(row for row in rows if row["entry_type"] == "eval")
    first |= counts
    return rows


@pytest.mark.parametrize(
    ("counts", "outcome"),
    [
        ({}, "pass"),
        ({"passed": 1, "fails": 1}, "fail"),
        ({"nones": 3}, "error"),
        ({"passed": 0, "total_evaluated": 0}, "not-run"),
    ],
)
def test_garak_outcomes(draft: Draft, sample: Sample, counts: dict[str, int], outcome: str) -> None:
    """A probe passes only if answers were judged, all of them, and none failed."""
    collected = draft(GARAK, _lines(_answered(sample, **counts)))
    assert outcomes(collected) == [outcome, "pass"]
    assert collected.body["evaluated"] == 16 + counts.get("total_evaluated", 2)


def test_garak_without_completion(draft: Draft, sample: Sample) -> None:
    """A report without its last row was cut off, and errs."""
    rows = [row for row in _answered(sample) if row["entry_type"] != "completion"]
    collected = draft(GARAK, _lines(rows))
    assert collected.body["status"] == "partial"
    assert collected.body["checks"][0]["outcome"] == "error"
    assert "endedAt" not in collected.body


def test_garak_broken(draft: Draft, sample: Sample) -> None:
    """A row cut in the middle, and counts that do not add up, are refused."""
    with pytest.raises(InputError, match="is not a whole JSON object"):
        draft(GARAK, sample(GARAK)[:-20])
    with pytest.raises(InputError, match="counts that do not add up"):
        draft(GARAK, _lines(_answered(sample, passed=7)))
