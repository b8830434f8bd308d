"""What was carried over, where data came from, the way from data to gate, and monitoring."""

from __future__ import annotations

import re
from dataclasses import replace
from types import ModuleType
from typing import Any
from xml.etree.ElementTree import fromstring

import pytest

from muniment.controls.coverage import Reason
from muniment.controls.crosswalk import Fit, Pair, Source
from muniment.reports import carried, lineage, sources, timeline
from muniment.reports.model import Look, PacketInput
from muniment.reports.render import render_html, render_pdf

from ..structure import bare, read

SVG = "{http://www.w3.org/2000/svg}"


def story(build: ModuleType, evaluations: int = 1) -> PacketInput:
    """Data, evaluations on it, an approval of the first, and a decision that weighs both."""
    model = {"name": "scorer", "sha256": build.digest("model.onnx")}
    body = {"dataset": {"name": "Applications"}, "rights": {"licence": "CC-BY-4.0"}, "rows": 7}
    train = build.record(
        1,
        "data-provenance",
        {**body, "split": "train", "contents": [{"name": "t", "sha256": build.digest("t")}]},
    )
    held = build.record(
        2,
        "data-provenance",
        {**body, "split": "held-out", "contents": [{"name": "h", "sha256": build.digest("h")}]},
    )
    evals = [
        build.record(
            10 + n,
            "eval-result",
            {
                "model": model,
                "dataset": {"name": "h", "split": "held-out", "sha256": build.digest("h")},
                "evaluated": 7,
                "metrics": [{"name": "AUC", "value": 0.5, "threshold": 0.9, "direction": "higher"}],
            },
        )
        for n in range(evaluations)
    ]
    approval = build.record(
        5000,
        "approval",
        {"decision": "approved", "role": "risk", "records": [evals[-1].ref.to_json()]},
        by=build.CARLA,
    )
    weighed = [{"uri": "x", "digest": {"sha256": item.sha256}} for item in (evals[-1], approval)]
    decision = build.record(
        5001, "gate-decision", {"verificationResult": "FAILED", "inputAttestations": weighed}
    )
    packet: PacketInput = build.make_packet((train, held, *evals, approval, decision))
    return packet


def test_ties_are_those_of_digests(build: ModuleType) -> None:
    """A line joins records of which one names the other's digest; training is told apart."""
    found = lineage.lineage(story(build))
    assert [len(found.column(n)) for n in range(5)] == [2, 1, 1, 1, 1]
    proved = {(s.column, t.end.column) for t in found.ties if t.proved for s in t.starts}
    assert proved == {(0, 2), (1, 2), (2, 3), (2, 4), (3, 4)}
    (word,) = [tie for tie in found.ties if not tie.proved]
    assert [node.record.index for node in word.starts if node.record] == [1]
    assert word.end.column == 1 and "no digest" in word.how


def test_another_digest_is_no_tie(build: ModuleType) -> None:
    """An evaluation on another file and of another model hangs on neither."""
    packet = story(build)
    other = build.record(
        30,
        "eval-result",
        {
            "model": {"name": "other", "sha256": "0" * 64},
            "dataset": {"name": "h", "sha256": "1" * 64},
            "evaluated": 1,
        },
    )
    found = lineage.lineage(replace(packet, records=(*packet.records, other)))
    (tie,) = [tie for tie in found.ties if tie.end.key == other.sha256]
    assert [node.title for node in tie.starts] == ["other"]


def test_the_drawing_is_bounded_and_says_so(build: ModuleType) -> None:
    """Of a thousand evaluations some are drawn, and the rest is counted."""
    found = lineage.lineage(story(build, 1000))
    assert len(found.column(2)) == lineage.MAX_NODES
    assert found.left_out is not None and "990 evaluations" in found.left_out
    drawn = fromstring(lineage.drawing(found))
    assert drawn[0].tag == f"{SVG}title"
    assert len(list(drawn.iter(f"{SVG}rect"))) == len(found.nodes)


def test_what_bears_on_a_control_is_drawn_first(build: ModuleType) -> None:
    """An evaluation that counts for a control, or against one, comes before the later ones of the
    model in question, and those before the later ones of another model."""
    packet = story(build, 12)
    first, second = packet.coverage.controls[2], packet.coverage.controls[5]
    counts, against = packet.records[2].ref, packet.records[4].ref
    other = [
        build.record(
            40 + n,
            "eval-result",
            {"model": {"name": "o", "sha256": "0" * 64}, "dataset": {"name": "h"}, "evaluated": 1},
        )
        for n in range(5)
    ]
    unheard = Reason("evidence.other-model", "of another model", (other[0].ref,))
    changed = {
        first.id: replace(first, evidence=(counts,)),
        second.id: replace(
            second, reasons=(Reason("evidence.failed", "says no", (against,)), unheard)
        ),
    }
    catalogs = tuple(
        replace(
            item, controls=tuple(changed.get(c.id, replace(c, evidence=())) for c in item.controls)
        )
        for item in packet.coverage.catalogs
    )
    coverage = replace(packet.coverage, catalogs=catalogs, left_out=(unheard,))
    coverage = replace(coverage, artifact=build.digest("model.onnx"))
    packet = replace(packet, records=(*packet.records, *other), coverage=coverage)
    drawn = [node.record.index for node in lineage.lineage(packet).column(2) if node.record]
    assert drawn == [10, 12, *range(14, 22)]
    few = replace(packet, records=(*packet.records[:8], *other))
    drawn = [node.record.index for node in lineage.lineage(few).column(2) if node.record]
    assert drawn == [*range(10, 16), 41, 42, 43, 44]


def test_what_is_not_drawn_is_in_words(build: ModuleType) -> None:
    """A gate decision's row names every record that it weighs: those without a box, and those of
    kinds that have none; the row of an evaluation that is not drawn is there as well."""
    packet = story(build, 15)
    plan = build.record(3, "decision", {"title": "Why"})
    weighed = [item for item in (plan, *packet.records) if item.kind != "gate-decision"]
    decision = build.record(
        6000,
        "gate-decision",
        {
            "verificationResult": "FAILED",
            "inputAttestations": [{"uri": "x", "digest": {"sha256": r.sha256}} for r in weighed],
        },
    )
    found = lineage.lineage(replace(packet, records=(plan, *packet.records, decision)))
    rows = {node.record.index: by for node, by in found.rests if node.record}
    (tie,) = rows[6000]
    assert [node.record.index for node in tie.listed if node.record] == sorted(
        record.index for record in weighed
    )
    assert {*range(10, 25)} < rows.keys() and found.unlisted == tie.more == 0


@pytest.mark.parametrize("paper", ["a4", "letter"])
def test_a_full_drawing_has_a_page_with_its_heading_and_note(build: ModuleType, paper: str) -> None:
    """Heading, drawing with every column full, and what it says of itself stand on one page."""
    (packet, body) = (story(build, 15), {"dataset": {"name": "h"}, "evaluated": 1})
    evaluation = packet.records[2]
    weighs = [{"uri": "x", "digest": {"sha256": evaluation.sha256}}]
    approval = {"decision": "approved", "role": "risk", "records": [evaluation.ref.to_json()]}
    made = {"profile": "p", "counts": {}}
    gate = {"verificationResult": "FAILED", "inputAttestations": weighs, "muniment_decision": made}
    records = [record for record in packet.records if record.kind != "gate-decision"]
    for n in range(15):
        model = {"name": "o", "sha256": build.digest(f"m{n}")}
        records += [
            build.record(100 + n, "data-provenance", {"dataset": {"name": f"D{n}"}}),
            build.record(200 + n, "eval-result", body | {"model": model}),
            build.record(5100 + n, "approval", approval, by=build.CARLA),
            build.record(7000 + n, "gate-decision", gate),
        ]
    full = replace(packet, records=tuple(records), reviewer=build.CARLA, look=Look(paper=paper))
    assert all(lineage.lineage(full).more)
    root = read(render_pdf(full, ())).root
    (heading,) = [n for n in root.walk("H2") if bare(n.text) == "Fromdatatogate"]
    (note,) = [n for n in root.walk("P") if "Notdrawn:" in bare(n.text)]
    (drawn,) = [n for n in root.walk("Figure") if bare(n.text).startswith("Fromdatatogate")]
    assert heading.page == drawn.page == note.page


def test_the_words_are_bounded_and_say_so(build: ModuleType) -> None:
    """Above 200 rows and 200 records in a row the rest is counted, and no kind is crowded out."""
    packet = story(build, 1000)
    weighed = [{"uri": "x", "digest": {"sha256": item.sha256}} for item in packet.records]
    decision = build.record(
        6000, "gate-decision", {"verificationResult": "FAILED", "inputAttestations": weighed}
    )
    found = lineage.lineage(replace(packet, records=(*packet.records, decision)))
    assert len(found.rests) == lineage.MAX_LISTED
    assert found.unlisted == 1000 + 1 + 1 + 2 - lineage.MAX_LISTED
    (tie,) = found.rests[-1][1]
    assert tie.end.key == decision.sha256
    assert (len(tie.listed), tie.more) == (200, len(packet.records) - 200)


@pytest.mark.parametrize(
    ("outcomes", "values", "good", "short", "full"),
    [
        (
            "pass fail pass pass skipped skipped error",
            (0.5, 0.95),
            False,
            "1 metric, 2 checks failed",
            "7 cases; 1 of 2 limits not kept; 2 of 7 checks failed, 2 skipped",
        ),
        ("", (0.5,), False, "1 metric failed", "7 cases; 1 of 1 limit not kept"),
        ("", (None,), False, "1 metric failed", "7 cases; 1 of 1 limit not kept"),
        (
            "pass skipped",
            (),
            None,
            "7 cases; 1 of 2 checks not run",
            "7 cases; 1 of 2 checks passed, 1 skipped",
        ),
        (
            "not-run",
            (0.95,),
            None,
            "7 cases; 1 of 1 check not run",
            "7 cases; 1 limit kept; 0 of 1 check passed, 1 not run",
        ),
        ("pass pass", (0.95,), True, "7 cases; all hold", "7 cases; 1 limit kept; 2 checks passed"),
        ("", (), None, "7 cases; no threshold", "7 cases; no threshold"),
    ],
)
def test_an_evaluation_is_counted_by_what_came_of_it(
    build: ModuleType,
    outcomes: str,
    values: tuple[float | None, ...],
    good: bool | None,
    short: str,
    full: str,
) -> None:
    """Limits and checks are counted apart; what was skipped or not run is neither a failure nor a
    pass."""
    limit = {"name": "AUC", "threshold": 0.9, "direction": "higher"}
    body = {
        "evaluated": 7,
        "dataset": {"name": "h"},
        "model": {"name": "m", "sha256": "0" * 64},
        "metrics": [limit | {"value": value} for value in values],
        "checks": [{"name": "c", "outcome": outcome} for outcome in outcomes.split()],
    }
    packet = build.make_packet((build.record(1, "eval-result", body),))
    (node,) = lineage.lineage(packet).column(2)
    assert (node.good, node.short, node.detail) == (good, short, full)


def test_a_skipped_check_is_not_red(build: ModuleType) -> None:
    """On the pages a check that was skipped or not run has a colour of its own."""
    outcomes = ("pass", "fail", "error", "skipped", "not-run")
    body = {
        "evaluated": 7,
        "dataset": {"name": "h"},
        "checks": [{"name": f"c {outcome}", "outcome": outcome} for outcome in outcomes],
    }
    packet = build.make_packet((build.record(1, "eval-result", body),))
    found = re.findall(r'pill ([\w-]+)">(pass|fail|error|skipped|not-run)<', render_html(packet))
    assert {outcome: colour for colour, outcome in found} == {
        "pass": "met", "fail": "failed", "error": "failed", "skipped": "stale", "not-run": "stale",
    }  # fmt: skip


def report(build: ModuleType, index: int, start: str, end: str, **more: Any) -> Any:
    body = {"period": {"start": start, "end": end}, "evaluated": 5, "cadenceDays": 7, "checks": []}
    return build.record(index, "monitoring-report", body | more, controls=("readiness-gate:RG-10",))


def test_gaps_are_longer_than_planned(build: ModuleType) -> None:
    """A gap beyond the cadence is counted in days, one within it is none; the last is overdue."""
    records = (
        report(build, 1, "2026-09-01", "2026-09-07"),
        report(build, 2, "2026-09-15", "2026-09-21"),
        report(build, 3, "2026-10-01", "2026-10-07"),
    )
    (series,) = timeline.monitoring(build.make_packet(records))
    assert [one.gap for one in series.reports] == [None, None, 9]
    assert series.reports[2].after == 2
    assert series.overdue == 37  # 7 October to 20 November are 44 days, 7 of them planned
    assert timeline.summary([series]) == (
        "3 reports in 1 series: 2 gaps longer than planned, "
        "1 of them at the end, where a report is overdue."
    )


def test_sentence_rows_and_drawing_agree_on_gaps(build: ModuleType) -> None:
    """As many frames, and rows with a gap, as the sentence counts, an overdue report among them;
    where no next report is planned none of them says that there is no gap."""
    records = (
        report(build, 1, "2026-11-01", "2026-11-10"),
        report(build, 2, "2026-09-01", "2026-09-07", cadenceDays=None),
    )
    other = replace(records[1].statement, controls=("readiness-gate:RG-15",))
    packet = build.make_packet((records[0], replace(records[1], statement=other)))
    series = timeline.monitoring(packet)
    said = [one.gap(row) for one in series for row in one.reports]
    assert said == [
        ("10 days", "since, overdue by 3 days"),
        (None, "no later report; none planned, so no gap is known"),
    ]
    assert timeline.summary(series) == (
        "2 reports in 2 series: 1 gap longer than planned, at the end, where a report is overdue; "
        "for 1 of the series no next report is planned."
    )
    frames = [
        rect
        for rect in fromstring(timeline.drawing(series, packet)).iter(f"{SVG}rect")
        if rect.get("stroke-dasharray")
    ]
    assert len(frames) == 1


def test_a_replaced_report_closes_nothing(build: ModuleType) -> None:
    """Only reports in force are on the time line."""
    first = report(build, 1, "2026-09-01", "2026-09-07")
    again = replace(report(build, 2, "2026-09-01", "2026-09-06"))
    again = replace(again, statement=replace(again.statement, supersedes=first.ref))
    (series,) = timeline.monitoring(build.make_packet((first, again)))
    assert [one.record.index for one in series.reports] == [2]


def test_odd_periods_are_drawn(build: ModuleType) -> None:
    """Thousands of reports, backward periods and far years make a drawing, and no error."""
    odd = [
        report(build, 1, "1000-01-01", "2999-12-31"),
        report(build, 2, "2026-09-07", "2026-09-01"),
        build.record(3, "monitoring-report", {"title": "no period"}),
        *(report(build, n, "2026-09-01", "2026-09-02", cadenceDays=n) for n in range(4, 2000)),
    ]
    packet = build.make_packet(tuple(odd))
    series = timeline.monitoring(packet)
    drawn = timeline.drawing(series, packet)
    assert fromstring(drawn)[0].tag == f"{SVG}title"
    assert len(drawn) < 60_000
    assert timeline.drawing((), packet) == ""


def test_carried_evidence_names_its_pairs(build: ModuleType, packet: PacketInput) -> None:
    """Evidence that counts and evidence that helps stand apart, each with record and pairs."""
    first, second = packet.coverage.controls[2], packet.coverage.controls[5]
    ref = build.ledger()[4].ref
    close = Pair(second.id, first.id, Source.INFERRED, Fit.CLOSE)
    loose = Pair(first.id, second.id, Source.PUBLISHED, Fit.PARTIAL)
    changed = {
        first.id: replace(first, reasons=(Reason("evidence.carried", "x", (ref,), (close,)),)),
        second.id: replace(second, reasons=(Reason("evidence.helps", "x", (ref,), (loose,)),)),
    }
    catalogs = tuple(
        replace(item, controls=tuple(changed.get(c.id, c) for c in item.controls))
        for item in packet.coverage.catalogs
    )
    found = carried.crossing(replace(packet, coverage=replace(packet.coverage, catalogs=catalogs)))
    ((rests,), (helps,)) = (found.rests, found.helps)
    assert (rests.control.id, rests.records, rests.source, rests.fit) == (
        first.id,
        (ref,),
        Source.INFERRED,
        Fit.CLOSE,
    )
    assert helps.source is Source.PUBLISHED
    assert (found.controls, found.by(Source.INFERRED), found.by(Source.PUBLISHED)) == (1, 1, 0)


def test_sources_say_split_and_right(build: ModuleType) -> None:
    """Training data comes first, with its licence, its split and its files."""
    found = sources.data_sources(story(build))
    assert [item.split for item in found] == ["train", "held-out"]
    fields = {field.label: field.value for field in found[0].fields}
    assert fields["Licence"] == "CC-BY-4.0" and fields["Rows"] == "7"
    assert found[0].files == (("t", "–", build.digest("t")),)


def test_a_table_of_files_names_their_data(build: ModuleType) -> None:
    """Its head, which each page repeats, says of what the files are, wherever the table begins."""
    packet = story(build)
    data = tuple(record for record in packet.records if record.kind == "data-provenance")
    pages = render_html(replace(packet, records=data))
    heads = re.findall('<th scope="col">File of ([^<]*)</th>', pages)
    assert heads == ["Applications", "Applications"]
