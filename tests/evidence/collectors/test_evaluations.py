"""Evaluation tools: Inspect AI, lm-evaluation-harness, MLflow, scikit-learn, Fairlearn."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from muniment.evidence.collectors import Collected
from muniment.schemas.errors import InputError

Draft = Callable[..., Collected]
Loaded = Callable[[str], Any]

INSPECT = "inspect_ai/policy-qa.json"
LM_EVAL = "lm_eval/results.json"
RUN = "mlflow/run.json"
REPORT = "sklearn/classification_report.json"
DEGENERATE = "sklearn/classification_report_degenerate_nan.json"
FRAME = "fairlearn/metricframe.json"


def test_inspect_log(draft: Draft) -> None:
    """Every score of an Inspect log is taken over, groups as slices, with the run's counts."""
    collected = draft(INSPECT)
    assert collected.kind == "eval-result"
    assert collected.body == {
        "model": {"name": "mockllm/model"},
        "dataset": {"name": "policy_qa", "rows": 6},
        "suite": "policy_qa",
        "status": "ok",
        "evaluated": 6,
        "skipped": 0,
        "metrics": [
            {
                "name": "includes/accuracy",
                "value": 0.8333333333333334,
                "n": 6,
                "stderr": 0.16666666666666669,
            },
            {"name": "topical/accuracy", "value": 1.0, "slice": "topic=geo"},
            {"name": "topical/accuracy", "value": 1.0, "slice": "topic=math"},
            {"name": "topical/accuracy", "value": 0.5, "slice": "topic=science"},
            {"name": "topical/accuracy", "value": 0.8333333333333334},
            {"name": "topical/stderr", "value": 0.16666666666666669, "n": 6},
        ],
        "checks": [],
        "runId": "GJaENcYonfxVGmVqztcUAt",
        "startedAt": "2026-11-21T01:52:37Z",
        "endedAt": "2026-11-21T01:52:38Z",
    }
    assert collected.collected_at == datetime(2026, 11, 21, 1, 52, 38, tzinfo=UTC)
    assert collected.source["tool"] == "Inspect AI"
    assert collected.source["version"] == "0.3.285"
    assert "notes" not in collected.source


def test_inspect_error_has_no_results(draft: Draft, loaded: Loaded) -> None:
    """A log with status error, which has no results, evaluated nothing and errs."""
    log = loaded(INSPECT)
    del log["results"]
    log["status"] = "error"
    body = draft(INSPECT, log).body
    assert body["status"] == "error"
    assert (body["evaluated"], body["skipped"], body["metrics"]) == (0, 6, [])
    assert body["checks"] == [{"name": "run completed", "outcome": "error", "observed": "error"}]


@pytest.mark.parametrize("status", ["started", "cancelled"])
def test_inspect_unfinished(draft: Draft, loaded: Loaded, status: str) -> None:
    """A log of a run that did not end is partial and errs, whatever scores it has."""
    body = draft(INSPECT, loaded(INSPECT) | {"status": status}).body
    assert body["status"] == "partial"
    assert [entry["outcome"] for entry in body["checks"]] == ["error"]


def test_inspect_invalidated(draft: Draft, loaded: Loaded) -> None:
    """An invalidated log errs although its status is success."""
    collected = draft(INSPECT, loaded(INSPECT) | {"invalidated": True})
    assert collected.body["status"] == "error"
    assert collected.body["checks"][0]["outcome"] == "error"
    assert "the log is marked as invalidated" in collected.source["notes"]


def test_inspect_success_without_scores(draft: Draft, loaded: Loaded) -> None:
    """Success without a single score is refused."""
    log = loaded(INSPECT)
    log["results"]["scores"] = []
    with pytest.raises(InputError, match="reports success and has no scores"):
        draft(INSPECT, log)


def test_inspect_counts_cases_that_every_scorer_scored(draft: Draft, loaded: Loaded) -> None:
    """A case that one scorer could not score is not evaluated, and the run is partial."""
    log = loaded(INSPECT)
    log["results"]["scores"][1] |= {"scored_samples": 4, "unscored_samples": 2}
    body = draft(INSPECT, log).body
    assert (body["evaluated"], body["skipped"], body["status"]) == (4, 2, "partial")


def test_inspect_epochs_are_not_cases(draft: Draft, loaded: Loaded) -> None:
    """Three epochs over six cases are six cases."""
    log = loaded(INSPECT)
    log["eval"]["config"]["epochs"] = 3
    log["results"] |= {"total_samples": 18, "completed_samples": 18}
    body = draft(INSPECT, log).body
    assert (body["evaluated"], body["skipped"], body["status"]) == (6, 0, "ok")


def test_inspect_archive_is_refused_with_the_way_out(draft: Draft) -> None:
    """An ``.eval`` archive is refused, and the hint gives the command that makes it readable."""
    with pytest.raises(InputError) as caught:
        draft("inspect_ai/policy-qa.eval")
    assert caught.value.code == "collector.unsupported"
    assert "inspect log dump --header-only" in str(caught.value.hint)


@pytest.mark.parametrize("version", [1, 3, "2", None])
def test_inspect_unknown_log_version(draft: Draft, loaded: Loaded, version: object) -> None:
    """A log format that is not known is refused, not guessed at."""
    with pytest.raises(InputError) as caught:
        draft(INSPECT, loaded(INSPECT) | {"version": version})
    assert caught.value.code == "collector.unsupported"


def test_lm_eval_results(draft: Draft) -> None:
    """A task's metrics come with their error, direction and number of cases."""
    collected = draft(LM_EVAL)
    assert collected.kind == "eval-result"
    assert collected.body == {
        "model": {"name": "tiny-a"},
        "dataset": {"name": "local_mc", "rows": 5},
        "suite": "local_mc",
        "status": "ok",
        "evaluated": 5,
        "skipped": 0,
        "metrics": [
            {
                "name": "acc",
                "value": 0.8,
                "n": 5,
                "stderr": 0.20000000000000004,
                "direction": "higher",
            },
            {"name": "acc_norm", "value": 0.0, "n": 5, "stderr": 0.0, "direction": "higher"},
        ],
        "checks": [],
        "startedAt": "2026-11-21T01:53:39Z",
    }
    assert collected.collected_at == datetime(2026, 11, 21, 1, 53, 39, tzinfo=UTC)
    assert collected.source["version"] == "0.4.13"
    assert "notes" not in collected.source


def test_lm_eval_limited_run(draft: Draft, loaded: Loaded) -> None:
    """A run over fewer cases than there are is partial, and a note says so."""
    file = loaded(LM_EVAL)
    file["n-samples"]["local_mc"]["effective"] = 2
    collected = draft(LM_EVAL, file)
    body = collected.body
    assert (body["evaluated"], body["skipped"], body["status"]) == (2, 3, "partial")
    assert body["metrics"][0]["n"] == 2
    assert collected.source["notes"] == ["a limited run: 2 of 5 cases of local_mc"]


def test_lm_eval_stderr_not_available(draft: Draft, loaded: Loaded) -> None:
    """An error printed as ``N/A`` is left out; figures printed as text are read."""
    file = loaded(LM_EVAL)
    file["results"]["local_mc"] |= {"acc_stderr,none": "N/A", "acc,none": "0.75"}
    entry = draft(LM_EVAL, file).body["metrics"][0]
    assert "stderr" not in entry
    assert entry["value"] == 0.75


def test_lm_eval_several_tasks_are_slices(draft: Draft, loaded: Loaded) -> None:
    """With several tasks, each figure names its task, and cases are summed over tasks."""
    file = loaded(LM_EVAL)
    file["results"]["other"] = {"exact_match,strict": 0.5}
    file["n-samples"]["other"] = {"original": 4, "effective": 4}
    body = draft(LM_EVAL, file).body
    assert body["evaluated"] == 9
    assert "dataset" not in body
    assert body["metrics"][-1] == {
        "name": "exact_match,strict",
        "value": 0.5,
        "slice": "task=other",
        "n": 4,
    }


def test_lm_eval_without_counts_evaluated_nothing(draft: Draft, loaded: Loaded) -> None:
    """Results without a number of cases evaluated none that can be shown."""
    file = loaded(LM_EVAL)
    del file["n-samples"]
    body = draft(LM_EVAL, file).body
    assert (body["evaluated"], body["status"]) == (0, "partial")


def test_lm_eval_notes(draft: Draft, loaded: Loaded) -> None:
    """An untried version and missing task hashes are noted."""
    notes = draft(LM_EVAL, loaded(LM_EVAL) | {"lm_eval_version": "0.5.0", "task_hashes": {}})
    assert any("0.5.0" in note for note in notes.source["notes"])
    assert any("no task hashes" in note for note in notes.source["notes"])


MLFLOW_METRICS: list[dict[str, Any]] = [
    {"name": "accuracy", "value": 0.9766081871345029},
    {"name": "f1_macro", "value": 0.9751814223512336},
    {"name": "undefined_metric", "value": None, "nonfinite": "NaN"},
    {"name": "score", "value": 0.9766081871345029},
    {"name": "true_negatives", "value": 63.0},
    {"name": "false_positives", "value": 1.0},
    {"name": "false_negatives", "value": 3.0},
    {"name": "true_positives", "value": 104.0},
    {"name": "example_count", "value": 171.0},
    {"name": "accuracy_score", "value": 0.9766081871345029},
    {"name": "recall_score", "value": 0.9719626168224299},
    {"name": "precision_score", "value": 0.9904761904761905},
    {"name": "f1_score", "value": 0.9811320754716981},
    {"name": "log_loss", "value": 0.05734867161153844},
    {"name": "roc_auc", "value": 0.9988317757009346},
    {"name": "precision_recall_auc", "value": 0.9993050055869666},
]


@pytest.mark.parametrize("name", [RUN, "mlflow/rest_runs_get.json"])
def test_mlflow_run(draft: Draft, name: str) -> None:
    """The client's mapping with a bare NaN and the REST list with the text NaN say the same."""
    collected = draft(name)
    assert collected.kind == "eval-result"
    assert collected.body == {
        "model": {"name": "m-58cd26114205499aa46c5cc63b1b3b3b"},
        "dataset": {"name": "breast_cancer-test", "rows": 171},
        "evaluated": 171,
        "status": "ok",
        "metrics": MLFLOW_METRICS,
        "checks": [],
        "runId": "9a8711e4469840cf8fbac89e6a1a0696",
        "startedAt": "2026-11-21T01:57:22Z",
        "endedAt": "2026-11-21T01:57:40Z",
    }
    assert collected.collected_at == datetime(2026, 11, 21, 1, 57, 40, tzinfo=UTC)
    assert "version" not in collected.source
    assert collected.source["notes"] == [
        "MLflow stores no thresholds: a finished run is not a passed one",
        "MLflow's digest of the data, 9022a905, is too short to identify it",
    ]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"status": "FAILED"}, "error"),
        ({"status": "KILLED"}, "error"),
        ({"status": "RUNNING"}, "partial"),
        ({"status": "NEW_STATE"}, "partial"),
        ({"lifecycle_stage": "deleted"}, "error"),
    ],
)
def test_mlflow_states(draft: Draft, loaded: Loaded, change: dict[str, str], status: str) -> None:
    """Only a finished run that nobody deleted is whole."""
    run = loaded(RUN)
    run["info"] |= change
    assert draft(RUN, run).body["status"] == status


def test_mlflow_without_example_count(draft: Draft, loaded: Loaded) -> None:
    """A run that does not say how many cases it evaluated leaves that to be supplied."""
    run = loaded(RUN)
    del run["data"]["metrics"]["example_count"]
    collected = draft(RUN, run)
    assert "evaluated" not in collected.body
    assert any("how many cases" in note for note in collected.source["notes"])


def test_mlflow_times_as_text(draft: Draft, loaded: Loaded) -> None:
    """Milliseconds printed as text, as in protobuf dumps, are the same moments."""
    run = loaded(RUN)
    run["info"] |= {"start_time": "1795226242104", "end_time": "1795226260525"}
    assert draft(RUN, run).collected_at == datetime(2026, 11, 21, 1, 57, 40, tzinfo=UTC)


def _class(name: str, n: int, *values: float) -> list[dict[str, Any]]:
    """A class's three measures, as they stand in a report."""
    return [
        {"name": m, "value": v, "slice": f"class={name}", "n": n, "direction": "higher"}
        for m, v in zip(("precision", "recall", "f1-score"), values, strict=True)
    ]


def _overall(name: str, value: float) -> dict[str, Any]:
    return {"name": name, "value": value, "n": 171, "direction": "higher"}


def test_sklearn_report(draft: Draft) -> None:
    """Accuracy and averages stand for all cases, and each class is a slice with its support."""
    collected = draft(REPORT)
    assert collected.kind == "eval-result"
    assert collected.body == {
        "status": "ok",
        "evaluated": 171,
        "metrics": [
            _overall("accuracy", 0.9766081871345029),
            _overall("macro avg/precision", 0.9725108225108225),
            _overall("macro avg/recall", 0.978168808411215),
            _overall("macro avg/f1-score", 0.9751814223512336),
            _overall("weighted avg/precision", 0.9770284296600088),
            _overall("weighted avg/recall", 0.9766081871345029),
            _overall("weighted avg/f1-score", 0.9766777854166137),
            *_class("malignant", 64, 0.9545454545454546, 0.984375, 0.9692307692307692),
            *_class("benign", 107, 0.9904761904761905, 0.9719626168224299, 0.9811320754716981),
        ],
        "checks": [],
    }
    assert collected.collected_at is None


def test_sklearn_average_that_drops_a_class(draft: Draft) -> None:
    """An average that silently leaves out a class without precision errs and is no metric."""
    body = draft(DEGENERATE).body
    assert body["status"] == "partial"
    averages = {m["name"] for m in body["metrics"] if "avg" in m["name"]}
    assert averages == {
        f"{a} avg/{m}" for a in ("macro", "weighted") for m in ("recall", "f1-score")
    }
    why = "the average leaves out malignant, where precision is not a number"
    assert body["checks"] == [
        {"name": "macro avg/precision", "outcome": "error", "message": why},
        {"name": "weighted avg/precision", "outcome": "error", "message": why},
    ]
    assert {
        "name": "precision",
        "value": None,
        "nonfinite": "NaN",
        "slice": "class=malignant",
        "n": 64,
        "direction": "higher",
    } in body["metrics"]


def test_sklearn_several_classes_per_case(draft: Draft, loaded: Loaded) -> None:
    """Without one accuracy the supports do not sum to cases, so their number is left open."""
    report = loaded(REPORT)
    del report["accuracy"]
    report["micro avg"] = report["macro avg"]
    assert "evaluated" not in draft(REPORT, report).body


def _figures(where: str | None, n: int | None, *values: float) -> list[dict[str, Any]]:
    names: tuple[str, ...] = ("accuracy", "recall", "selection_rate", "fpr")
    if n is None:
        names = ("accuracy", "selection_rate")
    more = {key: value for key, value in (("slice", where), ("n", n)) if value is not None}
    return [{"name": m, "value": v, **more} for m, v in zip(names, values, strict=True)]


def _gap(name: str, value: float, direction: str) -> dict[str, Any]:
    return {"name": name, "value": value, "direction": direction}


def test_fairlearn_frame(draft: Draft) -> None:
    """Groups are slices with their size; differences of counts are no metric."""
    collected = draft(FRAME)
    assert collected.kind == "eval-result"
    assert collected.body == {
        "status": "ok",
        "evaluated": 171,
        "metrics": [
            *_figures(
                None, 171, 0.9766081871345029, 0.9719626168224299, 0.6140350877192983, 0.015625
            ),
            *_figures("A", 103, 0.9805825242718447, 0.9841269841269841, 0.6116504854368932, 0.025),
            *_figures("B", 58, 0.9827586206896551, 0.9736842105263158, 0.6379310344827587, 0.0),
            *_figures("C", 10, 0.9, 0.8333333333333334, 0.5, 0.0),
            _gap("accuracy/difference", 0.08275862068965512, "lower"),
            _gap("recall/difference", 0.1507936507936507, "lower"),
            _gap("selection_rate/difference", 0.13793103448275867, "lower"),
            _gap("fpr/difference", 0.025, "lower"),
            _gap("accuracy/ratio", 0.9157894736842106, "higher"),
            _gap("recall/ratio", 0.8467741935483872, "higher"),
            _gap("selection_rate/ratio", 0.7837837837837838, "higher"),
            _gap("fpr/ratio", 0.0, "higher"),
            _gap("demographic_parity_difference", 0.13793103448275867, "lower"),
            _gap("equalized_odds_difference", 0.1507936507936507, "lower"),
            *_figures("<40|A", None, 0.9791666666666666, 0.625),
            *_figures("<40|B", None, 0.9629629629629629, 0.6666666666666666),
            *_figures("<40|C", None, 0.8571428571428571, 0.7142857142857143),
            *_figures(">=40|A", None, 0.9818181818181818, 0.6),
            *_figures(">=40|B", None, 1.0, 0.6129032258064516),
            *_figures(">=40|C", None, 1.0, 0.0),
        ],
        "checks": [],
    }
    assert "group C has 10 cases; differences may be chance" in collected.source["notes"]


def test_fairlearn_nan_is_null(draft: Draft, loaded: Loaded) -> None:
    """A group without a figure has null, not zero."""
    frame = loaded(FRAME)
    frame["by_group"]["C"]["recall"] = float("nan")
    entry = next(
        m
        for m in draft(FRAME, frame).body["metrics"]
        if m["name"] == "recall" and m.get("slice") == "C"
    )
    assert entry == {"name": "recall", "value": None, "nonfinite": "NaN", "slice": "C", "n": 10}


def test_fairlearn_cases_outside_every_group(draft: Draft, loaded: Loaded) -> None:
    """Cases that are in no group are noted."""
    frame = loaded(FRAME)
    frame["by_group"]["A"]["count"] = 100
    assert "the groups hold 168 of 171 cases" in draft(FRAME, frame).source["notes"]
