"""What a row of the evidence register prints."""

from __future__ import annotations

from types import ModuleType

import pytest

from muniment.reports import register, views
from muniment.reports.printable import MAX_TEXT


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
    text = rows(failed).lines
    assert failed.sha256 in text and failed.signer.email in text
    assert "superseded by #12" in rows(failed).kind
    assert all(metric.name in text and metric.value in text for metric in views.metrics(failed))
    assert "FAILS" in text and "Check scores within 0 and 1: fail" in text
    assert all(subject.sha256 in text for subject in failed.statement.subjects)


def test_charted_evaluations_are_not_printed_twice(build: ModuleType) -> None:
    """Where a chapter shows the metrics, the row leaves them to it."""
    packet = build.make_packet()
    failed = next(item for item in packet.records if item.index == 9)
    assert "FAILS" not in register.Rows(packet, [9])(failed).lines


def test_a_long_body_is_cut_and_says_so(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A text over the share is cut with the digest of the whole; what follows is counted."""
    monkeypatch.setattr(register, "BUDGET", 3000)
    body = {"a": "x" * 5000, "b": "after", "c": "after that"}
    records = tuple(build.record(number, "policy", body) for number in (1, 2))
    row = register.Rows(build.make_packet(records), ())(records[0])
    assert "3,500 more characters" in row.lines and "SHA-256 of the whole text" in row.lines
    assert "2 further parts in the embedded record only" in row.lines
    assert row.tall


def test_too_many_records_for_bodies(build: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the budget a row has who, when and the digest, and no body."""
    monkeypatch.setattr(register, "LEAST", 1 << 20)
    packet = build.make_packet()
    row = register.Rows(packet, ())(packet.records[0])
    assert len(row.lines.splitlines()) <= 4
    assert packet.records[0].sha256 in row.lines


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


def test_lots() -> None:
    """Records are laid out in lots of a fixed number; no record makes one empty lot."""
    assert register.lots([]) == [[]]
