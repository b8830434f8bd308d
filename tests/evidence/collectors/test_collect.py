"""What holds for every collector: recognition, refusal, privacy, canonical form, schemas."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muniment.evidence import collectors
from muniment.evidence.collectors import FORMATS, Collected, collect
from muniment.schemas import strictjson
from muniment.schemas.errors import InputError
from muniment.schemas.kinds import KindRegistry

DATA = Path(__file__).parent / "data"
READ = {
    "inspect_ai/policy-qa.json": "inspect-eval-log-2",
    "lm_eval/results.json": "lm-eval-results",
    "mlflow/run.json": "mlflow-run",
    "mlflow/rest_runs_get.json": "mlflow-run",
    "pytest_junit/junit.xml": "junit-xml",
    "croissant/croissant.json": "croissant-1.0",
    "dvc/dvc.lock": "dvc-lock-2.0",
    "sklearn/classification_report.json": "sklearn-classification-report",
    "sklearn/classification_report_degenerate_nan.json": "sklearn-classification-report",
    "fairlearn/metricframe.json": "fairlearn-metricframe",
    "evidently/drift_report.json": "evidently-report-0.7",
    "pip_audit/pip_audit.json": "pip-audit-json",
    "bandit/bandit.sarif": "sarif-2.1.0",
    "ruff/ruff.sarif": "sarif-2.1.0",
    "great_expectations/validation_result.json": "great-expectations-validation",
    "promptfoo/results.json": "promptfoo-results-3",
    "garak/report.jsonl": "garak-report",
}
BYTES = {name: (DATA / name).read_bytes() for name in READ}
# Texts that stand in the samples and must not get out: prompts, answers, code, people, places.
PRIVATE = (
    "Paris",
    "Answer briefly",
    "ml-eval@example.org",
    "pretty_env",
    "Debian",
    "/home/",
    "/opt/",
    "file:",
    "sk-not-a-real-key",
    "pickle",
    "hostname",
    "Traceback",
    "123-45-6789",
    "JSON dictionary",
    "python train.py",
    "rc1",
)
REQUIRED = "is required"
registry = KindRegistry()


def check_draft(collected: Collected | None, data: bytes) -> None:
    """Whatever the file, a draft has a canonical form and lacks nothing but required fields."""
    if collected is None:
        return
    strictjson.canonical(dict(collected.body))
    strictjson.canonical(dict(collected.source))
    assert collected.source["sha256"] == hashlib.sha256(data).hexdigest()
    problems = registry.get(collected.kind).problems(collected.body)
    assert [problem for problem in problems if not missing(problem.message)] == []


def missing(message: str) -> bool:
    return message == REQUIRED


def survive(data: bytes) -> None:
    """Collect, letting nothing out but an InputError of the collectors."""
    try:
        collected = collect(data, "file")
    except InputError as error:
        assert error.code in {
            "collector.malformed",
            "collector.unsupported",
            "collector.too-large",
        }
        assert error.hint
    else:
        check_draft(collected, data)


@pytest.mark.parametrize("name", READ)
def test_samples_are_recognised_by_content(name: str) -> None:
    """Every sample is recognised whatever its name, and always gives the same draft."""
    data = BYTES[name]
    collected = collect(data, "file")
    assert collected is not None
    assert collected.source["format"] == READ[name]
    assert collected == collect(data, "other.txt")
    check_draft(collected, data)


def test_formats() -> None:
    """Every format that is announced is read from a sample, and no other."""
    assert set(FORMATS) == set(READ.values())
    assert len(FORMATS) == len(set(FORMATS))


@pytest.mark.parametrize("name", READ)
def test_nothing_private_gets_out(name: str) -> None:
    """Prompts, answers, source code, people, hosts and absolute paths stay in the file."""
    collected = collect(BYTES[name], name)
    assert collected is not None
    out = json.dumps([collected.body, collected.source])
    assert [text for text in PRIVATE if text in out] == []


@pytest.mark.parametrize("name", [name for name in READ if name != "dvc/dvc.lock"])
@pytest.mark.parametrize("share", [0.7, 0.9, 0.99])
def test_truncated_files_never_pass(name: str, share: float) -> None:
    """A file that was cut off is refused, or not recognised; it never gives a whole draft."""
    data = BYTES[name].rstrip()
    try:
        collected = collect(data[: int(len(data) * share)], name)
    except InputError as error:
        assert error.code == "collector.malformed"
    else:
        assert collected is None


@pytest.mark.parametrize(
    "name", ["inspect_ai/policy-qa.json", "mlflow/run.json", "pytest_junit/junit.xml"]
)
def test_truncated_file_is_refused_by_name(name: str) -> None:
    """A file cut near its end is still told, so that the user learns what is wrong with it."""
    with pytest.raises(InputError) as caught:
        collect(BYTES[name].rstrip()[:-5], name)
    assert caught.value.code == "collector.malformed"
    assert Path(name).name in str(caught.value)


def test_duplicate_keys_are_refused() -> None:
    """A file that gives one key twice can mean two things, and is refused."""
    name = "sklearn/classification_report.json"
    data = BYTES[name].replace(b'"accuracy":', b'"accuracy": 1.0, "accuracy":')
    with pytest.raises(InputError, match="a key stands twice"):
        collect(data, name)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b"NaN",
        b"{",
        b"PK\x03\x04",
        b"<html></html>",
        b"<?xml version='1.0'?>",
        b"<!--" * 900,
        b"a,b\n1,2\n",
        b"schema: '2.0'\n",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"x": 1' + b"0" * 100_000 + b"}",
        b"\xff\xfe\x00",
        json.dumps({"accuracy": 0.9}).encode(),
    ],
)
def test_other_files_are_not_recognised(data: bytes) -> None:
    """Files of other tools, and broken ones that resemble none, are not recognised."""
    assert collect(data, "file") is None


def test_files_above_the_limit_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file above the limit is not read at all."""
    data = BYTES["pytest_junit/junit.xml"]
    monkeypatch.setattr(collectors, "MAX_BYTES", len(data) - 1)
    assert collect(data, "junit.xml") is None


def test_body_that_fits_no_record() -> None:
    """A body too large for a record is refused, not cut."""
    cases = "".join(f"<testcase name='{'x' * 200}{index}'/>" for index in range(6000))
    with pytest.raises(InputError) as caught:
        collect(f"<testsuite>{cases}</testsuite>".encode(), "junit.xml")
    assert caught.value.code == "collector.too-large"


def test_hidden_characters_and_paths_in_names() -> None:
    """A name is shown without bidi marks, escape codes, half characters or its folders."""
    report = BYTES["sklearn/classification_report.json"]
    evil = json.dumps("\u202eevil\x1b[31m\ud800 /home/ada/secret/class.txt").encode()
    collected = collect(report.replace(b'"malignant"', evil), "r.json")
    check_draft(collected, report.replace(b'"malignant"', evil))
    assert collected is not None
    slices = {entry.get("slice") for entry in collected.body["metrics"]}
    assert "class=[U+202E]evil[U+001B][31m[U+D800] class.txt" in slices


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_random_bytes(data: bytes) -> None:
    """Arbitrary bytes raise nothing but an InputError."""
    survive(data)


@settings(deadline=None)
@given(st.sampled_from(sorted(BYTES)), st.binary(max_size=200))
def test_random_bytes_after_a_head(name: str, tail: bytes) -> None:
    """Arbitrary bytes after a genuine beginning raise nothing but an InputError."""
    survive(BYTES[name][:300] + tail)


KEYS = sorted({key for data in BYTES.values() for key in data.decode().split('"') if len(key) < 30})
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(KEYS)
    | st.sampled_from(["NaN", "-1", "1e999", "0.5", "2026-11-21T01:52:37", "9999-12-31T23:59:59Z"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), inner, max_size=5)
    ),
    max_leaves=12,
)


JSON_SAMPLES = [name for name in READ if name.endswith((".json", ".sarif"))]
# Words by which collectors tell a file apart and that are no key at its top.
MARKS = [
    "eval_id",
    "n-shot",
    "run_id",
    "http://mlcommons.org/croissant/",
    "evidently:metric_v2:",
    "vulns",
    "driver",
    "tool",
    "great_expectations_version",
]


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(JSON_SAMPLES), st.data())
def test_random_json(name: str, data: st.DataObject) -> None:
    """Arbitrary JSON under the keys that a tool's file has raises nothing but an InputError."""
    keys = sorted(json.loads(BYTES[name]))
    value = data.draw(st.fixed_dictionaries(dict.fromkeys(keys, VALUES)))
    survive(json.dumps({**value, "marks": [{mark: mark} for mark in MARKS]}).encode())


def mutate(value: Any, chance: random.Random, new: Any) -> Any:
    """A copy in which one random place is replaced or removed."""
    if not isinstance(value, dict | list) or not value or chance.random() < 0.15:
        return new
    if isinstance(value, dict):
        key = chance.choice(list(value))
        if chance.random() < 0.15:
            return {other: item for other, item in value.items() if other != key}
        return {**value, key: mutate(value[key], chance, new)}
    index = chance.randrange(len(value))
    return [*value[:index], mutate(value[index], chance, new), *value[index + 1 :]]


@settings(max_examples=600, deadline=None)
@given(st.sampled_from(JSON_SAMPLES), st.randoms(use_true_random=False), VALUES)
def test_mutated_samples(name: str, chance: random.Random, new: Any) -> None:
    """A sample with any one place changed to anything raises nothing but an InputError."""
    survive(json.dumps(mutate(json.loads(BYTES[name]), chance, new)).encode())


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(sorted(BYTES)),
    st.integers(min_value=0, max_value=10**6),
    st.integers(min_value=0, max_value=30),
    st.binary(max_size=10),
)
def test_mutated_bytes(name: str, place: int, length: int, new: bytes) -> None:
    """A sample with any few bytes changed raises nothing but an InputError."""
    data = BYTES[name]
    place %= len(data)
    survive(data[:place] + new + data[place + length :])


def edited(name: str, *path: str | int, value: Any) -> bytes:
    """A JSON sample with the value at ``path`` replaced."""
    document = json.loads(BYTES[name])
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return json.dumps(document).encode()


GARAK_OLD = b'{"entry_type": "init"}\n{"entry_type": "eval", "probe": "a", "passed": 1, "total": 1}'
REFUSED = {
    "YAML that is no mapping": (b'"\nschema: 2.0\nstages: x"', "it is not a mapping"),
    "a lock without stages": (b"schema: '2.0'\nstages: {}\n", "it has no stages"),
    "XML of another kind": (b"<!-- <testsuite> --><html/>", "its first element is another one"),
    "an old garak report": (GARAK_OLD, "a garak report of another version"),
    "garak counts that are none": (
        GARAK_OLD.replace(b'"total": 1', b'"total_evaluated": 1, "fails": "no"'),
        "counts that do not add up",
    ),
    "an unknown status": (
        edited("inspect_ai/policy-qa.json", "status", value="fine"),
        "its status is none that is known",
    ),
    "a metric without a name": (
        edited("mlflow/rest_runs_get.json", "run", "data", "metrics", 0, "key", value=None),
        "a metric has no name",
    ),
    "a dependency without a name": (
        edited("pip_audit/pip_audit.json", "dependencies", 0, "name", value=""),
        "a dependency has no name",
    ),
    "a card of something else": (
        edited("croissant/croissant.json", "@type", value="sc:Person"),
        "it does not describe a dataset",
    ),
    "a frame without groups": (
        edited("fairlearn/metricframe.json", "by_group", value={}),
        "no figures overall, or none by group",
    ),
    "results without a task": (
        edited("lm_eval/results.json", "results", value={}),
        "it has no results",
    ),
    "a class without cases": (
        edited("sklearn/classification_report.json", "benign", "support", value="many"),
        "a class has no number of cases",
    ),
    "SARIF of another version": (
        edited("ruff/ruff.sarif", "version", value="2.2.0"),
        "SARIF of another version",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    """A file that contradicts its format is refused, and the message says why."""
    data, why = REFUSED[case]
    with pytest.raises(InputError, match=why):
        collect(data, "file")


@pytest.mark.parametrize(
    ("printed", "name"), [("1e999", "Infinity"), ("-Infinity", "-Infinity"), ('"inf"', "Infinity")]
)
def test_infinite_figures(printed: str, name: str) -> None:
    """A figure without bounds is null, and its name is kept."""
    data = BYTES["mlflow/run.json"].replace(b"NaN", printed.encode())
    collected = collect(data, "run.json")
    assert collected is not None
    assert {"name": "undefined_metric", "value": None, "nonfinite": name} in collected.body[
        "metrics"
    ]


@pytest.mark.parametrize("end", [1e300, -(10**15), "never", None])
def test_impossible_times(end: object) -> None:
    """A time outside of any calendar is left out."""
    data = edited("mlflow/run.json", "info", "end_time", value=end)
    collected = collect(data, "run.json")
    assert collected is not None
    assert "endedAt" not in collected.body
    assert collected.body["startedAt"] == "2026-11-21T01:57:22Z"


DRAFTS = {1: "e189b5077875f1c334b2caf5d478844462cce9faae1827cb5289979e30e3261e"}
"""Version of the collectors to the digest of what they draft from all samples."""


def test_the_version_stands_for_the_drafts() -> None:
    """Collectors that draft otherwise from the same bytes have another version, or records that
    older ones read would be called wrong: raise ``VERSION`` and name the digest here."""
    drafts = hashlib.sha256()
    for name in sorted(READ):
        collected = collect(BYTES[name], "file")
        assert collected is not None
        drafts.update(strictjson.canonical(dict(collected.body)))
    assert DRAFTS[collectors.VERSION] == drafts.hexdigest()
