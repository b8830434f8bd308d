"""Provenance and monitoring: Croissant, DVC, Evidently."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from muniment.evidence.collectors import Collected
from muniment.schemas.errors import InputError

Draft = Callable[..., Collected]
Loaded = Callable[[str], Any]

CARD = "croissant/croissant.json"
LOCK = "dvc/dvc.lock"
DRIFT = "evidently/drift_report.json"


def test_croissant(draft: Draft) -> None:
    """A card gives files by SHA-256, source, licence and known gaps."""
    collected = draft(CARD)
    assert collected.kind == "data-provenance"
    assert collected.body == {
        "dataset": {
            "name": "breast_cancer",
            "version": "1.2.0",
            "description": "Tabular screening data (copy of the scikit-learn bundled set).",
        },
        "source": {
            "origin": "Example Org",
            "url": "https://example.org/data",
            "method": "Fine-needle aspirate measurements, 1989-1991, secondary use.",
        },
        "rights": {"licence": "https://creativecommons.org/licenses/by/4.0/"},
        "contents": [
            {
                "name": "breast_cancer.csv",
                "sha256": "b016feb2bb043a2ce2612b0f0835b8b006c9dc7bf0bac0bc43df1193a9e05dd1",
            }
        ],
        "knownGaps": ["Single clinic; ages not recorded", "Not for diagnosis"],
        "sensitiveCategories": ["Health (de-identified)"],
        "labelling": "Biopsy-confirmed label",
    }
    assert collected.collected_at == datetime(2026, 11, 1, tzinfo=UTC)
    assert collected.source["notes"] == ["datePublished has no time zone and is taken as UTC"]


def test_croissant_one_item_lists_are_bare(draft: Draft, loaded: Loaded) -> None:
    """A list of one, written as its item, reads like the list."""
    card = loaded(CARD)
    card["distribution"] = card["distribution"][0]
    card["license"] = [card["license"]]
    card["creator"] = [card["creator"]]
    assert draft(CARD, card).body == draft(CARD).body


def test_croissant_file_without_sha256(draft: Draft, loaded: Loaded) -> None:
    """A file known by MD5 only is not among the contents, and a note says so."""
    card = loaded(CARD)
    card["distribution"].append({"name": "more.csv", "md5": "0" * 32})
    collected = draft(CARD, card)
    assert len(collected.body["contents"]) == 1
    assert "more.csv has no SHA-256 and is left out of the contents" in collected.source["notes"]


def test_croissant_people_and_secrets_stay_out(draft: Draft, loaded: Loaded) -> None:
    """A creator who is a person, and what a link carries besides its path, are not taken over."""
    card = loaded(CARD)
    card["creator"] = {"@type": "sc:Person", "name": "Ada Example"}
    card["url"] = "https://example.org/data?token=s3cret"
    collected = draft(CARD, card)
    assert collected.body["source"]["url"] == "https://example.org/data"
    assert "origin" not in collected.body["source"]
    card["url"] = "https://ada:s3cret@example.org/data"
    assert "url" not in draft(CARD, card).body["source"]


def test_croissant_collection_period(draft: Draft, loaded: Loaded) -> None:
    """Two dates are a period; a text about one is not."""
    card = loaded(CARD)
    card["rai:dataCollectionTimeframe"] = ["1991-12-31", "1989-01-01"]
    assert draft(CARD, card).body["collectionPeriod"] == {
        "start": "1989-01-01",
        "end": "1991-12-31",
    }
    card["rai:dataCollectionTimeframe"] = ["the eighties", "1991-12-31"]
    assert "collectionPeriod" not in draft(CARD, card).body


def test_croissant_other_version_is_noted(draft: Draft, loaded: Loaded) -> None:
    """A card of another version is read as 1.0, and a note says so."""
    card = loaded(CARD) | {"conformsTo": "http://mlcommons.org/croissant/9.9"}
    notes = draft(CARD, card).source["notes"]
    assert "read as Croissant 1.0; the file states http://mlcommons.org/croissant/9.9" in notes


def test_dvc_lock(draft: Draft) -> None:
    """Each stage is a preparation step; MD5 is not passed off as a content digest."""
    collected = draft(LOCK)
    assert collected.kind == "data-provenance"
    assert collected.body == {
        "preparation": [
            "prepare: data/raw.csv (md5 38c81714c4d5d646d5726db2bcc2ed60), "
            "prep.py (md5 6754d708cc84412b38a58a55245164a5) -> "
            "data/prepared.csv (md5 38c81714c4d5d646d5726db2bcc2ed60)",
            "train: data/prepared.csv (md5 38c81714c4d5d646d5726db2bcc2ed60), "
            "train.py (md5 1f18568908630caf89b2c0d5fdf56e60) -> "
            "metrics.json (md5 c39455b50fc9374f17e68aa01a57ac03), "
            "model.joblib (md5 78523288640b03a1878f860a8a3842b5)",
        ]
    }
    assert collected.collected_at is None
    assert collected.source["notes"] == [
        "DVC gives MD5 digests only: contents must be given with their SHA-256",
        "a lock file has no time: take that of its commit",
    ]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (b"schema: '2.0'", b"schema: '3.0'", "collector.unsupported"),
        (b"stages:", b"stages: [", "collector.malformed"),
        (b"    outs:", b"    outz:", "collector.malformed"),
    ],
)
def test_dvc_refused(
    draft: Draft, sample: Callable[[str], bytes], old: bytes, new: bytes, code: str
) -> None:
    """An unknown schema, broken YAML and a stage without outputs are refused."""
    with pytest.raises(InputError) as caught:
        draft(LOCK, sample(LOCK).replace(old, new))
    assert caught.value.code == code


def test_dvc_tags_build_nothing(draft: Draft, sample: Callable[[str], bytes]) -> None:
    """A YAML tag that asks for an object is read as plain text."""
    lock = sample(LOCK).replace(b"cmd: python prep.py", b"cmd: !!python/object/apply:os.getcwd []")
    assert draft(LOCK, lock).body == draft(LOCK).body


def _drift(column: str, value: float) -> dict[str, Any]:
    return {
        "name": "ValueDrift/K-S p_value",
        "value": value,
        "slice": f"column={column}",
        "threshold": 0.05,
        "direction": "higher",
    }


def test_evidently_report(draft: Draft) -> None:
    """For p-values higher is better, and a test that asks one to be low errs instead of passing."""
    collected = draft(DRIFT)
    values = {
        "mean_radius": 1.3193903408567473e-57,
        "mean_texture": 0.5163180949633048,
        "mean_perimeter": 0.6307572402348465,
        "mean_area": 0.5839178606520408,
        "mean_smoothness": 0.392185986985375,
        "mean_compactness": 0.6119300935958963,
    }
    assert collected.kind == "monitoring-report"
    assert collected.body["status"] == "partial"
    missing = {"slice": "column=mean_texture"}
    assert collected.body["metrics"] == [
        {"name": "DriftedColumnsCount/count", "value": 1.0},
        {"name": "DriftedColumnsCount/share", "value": 0.16666666666666666},
        *(_drift(column, value) for column, value in values.items()),
        {"name": "MissingValueCount/count", "value": 15.0, **missing},
        {"name": "MissingValueCount/share", "value": 0.08771929824561403, **missing},
    ]
    assert collected.body["checks"] == [
        {
            "name": "Share of Drifted Columns: Less 0.500",
            "outcome": "pass",
            "expected": "LessThanMetricTest 0.5",
        },
        *(
            {
                "name": f"Value Drift for column {column}",
                "outcome": "fail" if column == "mean_radius" else "pass",
                "observed": value,
            }
            for column, value in values.items()
        ),
        {
            "name": "Column 'mean_texture' missing values: Less or Equal 0.000",
            "outcome": "fail",
            "expected": "LessOrEqualMetricTest 0.0",
        },
        {
            "name": "Value drift for mean_radius: Less or Equal 0.100",
            "outcome": "error",
            "message": "asks a p-value to be low, which is so when there is drift",
            "expected": "LessOrEqualMetricTest 0.1",
            "observed": 1.3193903408567473e-57,
        },
    ]
    assert collected.collected_at is None


def test_evidently_distance_is_better_low(draft: Draft, loaded: Loaded) -> None:
    """For distances lower is better; a method nobody knows gets no threshold."""
    report = loaded(DRIFT)
    report["metrics"][1]["config"]["method"] = "Jensen-Shannon distance"
    report["metrics"][2]["config"]["method"] = "home-made"
    first, second = draft(DRIFT, report).body["metrics"][2:4]
    assert (first["threshold"], first["direction"]) == (0.05, "lower")
    assert "threshold" not in second


def test_evidently_labels_of_a_column_stay_out(draft: Draft, loaded: Loaded) -> None:
    """Figures keyed by values of a column are left out, and a note says so."""
    report = loaded(DRIFT)
    report["metrics"] = [
        {"config": {"type": "evidently:metric_v2:UniqueValueCount"}, "value": {"Ada Example": 3}}
    ]
    collected = draft(DRIFT, report)
    assert collected.body["metrics"] == []
    assert "figures of UniqueValueCount by label are left out" in collected.source["notes"]


def test_evidently_without_tests(draft: Draft, loaded: Loaded) -> None:
    """A report without tests has no checks, and a note says that it decides nothing."""
    collected = draft(DRIFT, loaded(DRIFT) | {"tests": []})
    assert collected.body["checks"] == []
    assert any("decides nothing" in note for note in collected.source["notes"])


def test_evidently_legacy_is_refused(draft: Draft) -> None:
    """A report of the legacy interface is refused by name."""
    with pytest.raises(InputError) as caught:
        draft("evidently/legacy_report.json")
    assert caught.value.code == "collector.unsupported"
