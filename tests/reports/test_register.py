"""What a row of the evidence register prints."""

from __future__ import annotations

import hashlib
from types import ModuleType

import pytest

from muniment.reports import register, views
from muniment.reports.printable import MAX_TEXT
from muniment.schemas import strictjson


@pytest.mark.parametrize(
    ("records", "characters"),
    [(0, MAX_TEXT), (1, MAX_TEXT), (1000, 2000), (5000, 400), (5001, 0)],
)
def test_share(records: int, characters: int) -> None:
    """All bodies together stay within the budget; below a useful share none is printed."""
    assert register.share(records) == characters
    assert records * characters <= max(register.BUDGET, MAX_TEXT)


def test_a_row_holds_every_fact(build: ModuleType) -> None:
    """Signer, dates, digest, body, metrics and files of a record are all in its row."""
    packet = build.make_packet()
    rows = register.Rows(packet, ())
    failed = next(item for item in packet.records if item.index == 9)
    text = rows(failed).text
    assert failed.sha256 in text and failed.signer.email in text
    assert "superseded by #12" in rows(failed).kind
    assert all(metric.name in text and metric.value in text for metric in views.metrics(failed))
    assert "FAILS" in text and "Check scores within 0 and 1: fail" in text
    assert all(subject.sha256 in text for subject in failed.statement.subjects)


def test_charted_evaluations_are_not_printed_twice(build: ModuleType) -> None:
    """Where a chapter shows the metrics, the row leaves them to it."""
    packet = build.make_packet()
    failed = next(item for item in packet.records if item.index == 9)
    assert "FAILS" not in register.Rows(packet, [9])(failed).text


def test_a_decision_names_what_it_rests_on(build: ModuleType) -> None:
    """A gate decision's row has every fact but the digests of its records and catalogs: it says
    which they are, and one digest over each list, as who has the record can compute it."""
    packet = build.make_packet()
    known = [item for item in packet.records if item.index in (9, 12)]
    digests = [*(item.sha256 for item in known), "f" * 64]
    inputs = [{"uri": "muniment:record/0", "digest": {"sha256": item}} for item in digests]
    catalogs = {"nist-ai-rmf-1.0": "a" * 64, "readiness-gate": "b" * 64}
    blocking = [{"control": "readiness-gate:RG-1", "state": "failed", "unblock": "mend it"}]
    body = {
        "verifier": {"id": "https://muniment.dev", "version": {"muniment": "1"}},
        "policy": {"uri": "muniment:profile/production@1", "digest": {"sha256": "c" * 64}},
        "inputAttestations": inputs,
        "verificationResult": "FAILED",
        "verifiedLevels": ["FAILED"],
        "muniment_decision": {
            "profile": "production",
            "ledger": {"origin": "evidence.example.com", "size": 1200, "sha256": "d" * 64},
            "catalogs": catalogs,
            "crosswalk": "e" * 64,
            "asOf": "2026-11-21T09:30:00Z",
            "counts": {"failed": 1, "met": 1023, "stale": 0},
            "blocking": blocking,
        },
    }
    text = register.Rows(packet, ())(build.record(30, "gate-decision", body)).text
    assert "Verdict: FAILED  ·  Controls: 1 failed, 1,023 met" in text and "stale" not in text
    assert "Rests on: 3 records: #9, #12; 1 not in this packet" in text
    assert "By the catalogs: nist-ai-rmf-1.0, readiness-gate" in text
    assert not [item for item in (*digests, *catalogs.values()) if item in text]
    for listed in (inputs, catalogs):
        over_all = hashlib.sha256(strictjson.canonical(listed)).hexdigest()
        assert f"SHA-256 of the embedded list (RFC 8785): {over_all}" in text
    facts = ("production@1", "2026-11-21T09:30:00Z", "evidence.example.com", "1200", "mend it")
    assert all(fact in text for fact in (*facts, "c" * 64, "d" * 64, "e" * 64))


def test_a_decision_on_nothing(build: ModuleType) -> None:
    """A gate decision without evidence says that it rests on no record, and digests no list."""
    body = {
        "inputAttestations": [],
        "verificationResult": "PASSED",
        "muniment_decision": {"profile": "p", "counts": {"met": 0}, "blocking": []},
    }
    row = register.Rows(build.make_packet(), ())(build.record(30, "gate-decision", body))
    assert "Rests on: 0 records" in row.text and "Controls: none" in row.text
    assert "RFC 8785" not in row.text and "Blocking" not in row.text


def test_a_long_body_is_cut_and_says_so(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text over the share is cut with the digest of the whole; what follows is counted."""
    monkeypatch.setattr(register, "BUDGET", 3000)
    body = {"a": "x" * 5000, "b": "after", "c": "after that"}
    records = tuple(build.record(number, "policy", body) for number in (1, 2))
    row = register.Rows(build.make_packet(records), ())(records[0])
    assert "3,500 more characters" in row.text and "SHA-256 of the whole text" in row.text
    assert "2 further parts in the embedded record only" in row.text
    assert row.tall


def test_what_belongs_together_shares_a_line(build: ModuleType) -> None:
    """Fields of one thing stand in one line under its name, digests last; a list below its head."""
    body = {
        "dataset": {"name": "held-out", "sha256": "d" * 64, "split": "held-out"},
        "limits": {"deepest": {"low": 1, "high": 2}},
        "status": "ok",
        "parts": [{"name": "first", "size": 7}],
    }
    record = build.record(1, "eval-result", body)
    lines = register.Rows(build.make_packet((record,)), ())(record).lines
    assert lines[2:7] == (
        ("", "Status: ok"),
        ("Dataset", f"Name: held-out  ·  Split: held-out  ·  SHA-256: {'d' * 64}"),
        ("Limits / Deepest", "Low: 1  ·  High: 2"),
        ("Parts (Name | Size)", ""),
        ("", "– first | 7"),
    )


def test_too_many_records_for_bodies(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the budget a row has who, when and the digest, and no body."""
    monkeypatch.setattr(register, "LEAST", 1 << 20)
    packet = build.make_packet()
    row = register.Rows(packet, ())(packet.records[0])
    assert len(row.lines) <= 4
    assert packet.records[0].sha256 in row.text


def test_faults_and_the_latest_are_charted(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where not all evaluations get charts, those with a fault do, then the latest."""
    monkeypatch.setattr(views, "MAX_EVALUATIONS", 2)
    metric = {"name": "AUC", "value": 0.5, "direction": "higher"}
    results = tuple(
        build.record(number, "eval-result", {"metrics": [{**metric, "threshold": limit}]})
        for number, limit in enumerate((0.4, 0.6, 0.4, 0.4), start=20)
    )
    charted = views.charted(build.make_packet(results))
    assert [item.index for item in charted] == [21, 23]


@pytest.mark.parametrize(("records", "lots"), [(1, [1]), (500, [500]), (501, [251, 250])])
def test_lots(build: ModuleType, records: int, lots: list[int]) -> None:
    """Records are laid out in lots of one size, so that none is left with a page to itself."""
    ledger = [build.record(number, "policy", {}) for number in range(records)]
    found = register.lots(ledger)
    assert [len(lot) for lot in found] == lots
    assert [item for lot in found for item in lot] == ledger


def test_no_record_is_one_lot() -> None:
    """An empty register is a chapter as well."""
    assert register.lots([]) == [[]]
