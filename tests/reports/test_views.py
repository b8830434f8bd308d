"""What pages say, before they are pages."""

from __future__ import annotations

from types import ModuleType

import pytest

from muniment.controls.coverage import State
from muniment.reports import views
from muniment.reports.model import PacketInput
from muniment.reports.render import render_html


def test_verdict_names_both_counts(packet: PacketInput) -> None:
    """A shut gate's sentence counts what blocks and what is open."""
    assert views.verdict(packet) == (
        "credit-risk@2.1.0 does not pass the production gate as of 20 November 2026: "
        "1 control blocks it, and 6 of 12 controls are open."
    )


def test_verdict_of_an_open_gate_still_counts_gaps(build: ModuleType) -> None:
    """A pass does not hide what is open."""
    text = views.verdict(build.make_packet(passed=True, blocking=()))
    assert text.endswith("6 of 12 controls stay open without holding it back.")


def test_every_gap_stands_in_exactly_one_list(packet: PacketInput) -> None:
    """Blocking, other and missing controls together are all gaps, each once."""
    listed = [c.id for c in (*packet.blocking, *views.other_gaps(packet))]
    for catalog in packet.coverage.catalogs:
        listed += [c.id for need in views.needs(packet, catalog) for c in need.controls]
    assert sorted(listed) == sorted(c.id for c in packet.coverage.controls if c.state.is_gap)


def test_missing_controls_are_grouped_by_need(build: ModuleType, packet: PacketInput) -> None:
    """Controls that want the same thing share a row."""
    (need,) = views.needs(packet, packet.coverage.catalogs[0])
    assert need.text == "attach a current record"
    assert len(need.controls) == 2


def test_attention_begins_with_what_blocks(packet: PacketInput) -> None:
    """The summary names blocking controls first, then the worst states."""
    states = [control.state for control in views.attention(packet)]
    assert states[0] is State.FAILED
    assert states[1:] == sorted(states[1:], key=list(State).index)


def test_soon_stale(packet: PacketInput) -> None:
    """A control that lapses within 30 days is named."""
    assert [views.short_id(c.id) for c in views.soon_stale(packet)] == ["MAP 2.3"]


def test_approvals_are_found_both_ways(packet: PacketInput) -> None:
    """An approval leads to the records it names, and they lead back."""
    approval = next(r for r in packet.records if r.kind == "approval")
    assert [ref.index for ref in views.approved(packet)[approval.index]] == [7, 12]
    assert {
        index: [a.index for a in found] for index, found in views.approvers(packet).items()
    } == {
        7: [15],
        12: [15],
    }


def test_failed_metrics_and_checks_come_first(build: ModuleType) -> None:
    """What did not hold is not buried."""
    failed = next(r for r in build.ledger() if r.index == 9)
    assert [m.held for m in views.metrics(failed)] == [False, True, True, None]
    assert [c["outcome"] for c in views.checks(failed)] == ["fail", "pass"]
    assert [e["name"] for e in views.error_classes(failed)] == [
        "wrongly accepted",
        "wrongly declined",
    ]


@pytest.mark.parametrize(
    ("metric", "held"),
    [
        ({"value": 0.5, "threshold": 0.5, "direction": "higher"}, True),
        ({"value": 0.5, "threshold": 0.5, "direction": "lower"}, True),
        ({"value": 0.6, "threshold": 0.5, "direction": "lower"}, False),
        ({"value": None, "nonfinite": "NaN", "threshold": 0.5, "direction": "higher"}, False),
        ({"value": 0.6}, None),
        ({"value": 0.6, "threshold": 0.5}, None),
    ],
)
def test_metric_against_threshold(
    build: ModuleType, metric: dict[str, object], held: bool | None
) -> None:
    """A limit with no number to hold against it is not kept, and no limit decides nothing."""
    made = build.record(1, "eval-result", {"metrics": [{"name": "m", **metric}]})
    (found,) = views.metrics(made)
    assert found.held is held


def test_uncommitted_files_are_loud(packet: PacketInput) -> None:
    """Only a committed, pushed file is quiet."""
    loud = {
        subject.name: git.loud
        for item in packet.records
        for subject in item.statement.subjects
        if (git := views.git_line(subject))
    }
    assert loud == {
        "train.parquet": False,
        "heldout.parquet": True,
        "eval-1.json": False,
        "eval-2.json": True,
        "notes.txt": True,
    }


def test_kinds_of_error_outside_evaluations(build: ModuleType) -> None:
    """What an assessment or a decision says an error costs is printed, while it is in force."""
    costs = {"errorClasses": [{"name": "missed fraud", "costPerError": "EUR 900"}]}
    old = build.record(1, "risk-assessment", costs)
    new = build.record(2, "risk-assessment", costs, supersedes=old)
    plain = build.record(3, "decision", {"title": "Go"})
    packet = build.make_packet((old, new, plain))
    assert [item.index for item in views.costed(packet)] == [2]
    page = render_html(packet)
    assert page.count("kinds of error, the dearest first") == 1
    assert page.count("missed fraud") == 3  # NOTE: the chapter, and the register of both records


def test_body_limits_say_what_is_left(build: ModuleType) -> None:
    """A list or a body over the limit is cut and the rest counted."""
    long = build.record(1, "policy", {"items": [{"a": n} for n in range(300)]}, by=build.ASTRID)
    (grid,) = views.body_parts(long).grids
    assert (len(grid.rows), grid.more) == (views.MAX_ROWS, 100)
    wide = build.record(1, "policy", {f"field{n}": n for n in range(250)})
    assert views.body_parts(wide).more == 50


def test_dates_do_not_follow_the_machine(build: ModuleType) -> None:
    """Dates are in UTC and English everywhere."""
    assert views.long_time(build.AS_OF) == "20 November 2026, 23:59 UTC"
