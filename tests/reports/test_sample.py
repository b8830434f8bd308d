"""The sample in a packet: what its page says, and what of a false one is found."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import yaml

from muniment.controls.sample import By, Sample, Seed, Stratum, draw
from muniment.reports import views
from muniment.reports.printable import printable
from muniment.reports.render import Part, _environment, _hermetic, _number, _Style, _weasyprint
from muniment.reports.samplecheck import check_samples
from muniment.reports.sampleview import Drawing, Line, results, to_csv, to_template
from muniment.schemas.finding import Check, Outcome
from muniment.schemas.record import Record
from muniment.schemas.statement import predicate_type

ROOT = hashlib.sha256(b"root").hexdigest()
HOSTILE = "<script>alert(1)</script>\n- index: 3 # \u202e=1+1"


def _sample(packet: Any, by: By = By.KIND, n: int = 3) -> Sample:
    return draw(packet.records, packet.coverage.system, Seed(19, ROOT), n, by)


def _drawing(packet: Any, sample: Sample) -> Drawing:
    records = {record.index: record for record in packet.records}
    lines = tuple(Line(item, records.get(item.candidate.index), "counts") for item in sample.drawn)
    return Drawing(sample, packet.origin, packet.checkpoint_time, True, lines, 2)


def _tested(packet: Any, sample: Sample, **changes: Any) -> Record:
    """A sample test after the packet's records, every outcome an exception."""
    body = sample.to_body()
    body["records"] = [
        {**item, "outcome": "exception", "note": HOSTILE} for item in body["records"]
    ]
    last = packet.records[-1]
    statement = replace(
        last.statement, predicate_type=predicate_type("sample-test"), body={**body, **changes}
    )
    auditor = replace(last.signer, name="Outside Auditor", email="auditor@example.com")
    tested: Record = replace(last, index=18, sha256="9" * 64, statement=statement, signer=auditor)
    return tested


def _page(packet: Any, found: list[Any]) -> str:
    values = {
        "packet": packet,
        "v": views,
        "known": {record.index for record in packet.records},
        "anchors": views.control_anchors(packet),
        "ties": views.ties(packet),
        "results": found,
    }
    return _environment(()).get_template("sample.html").render(values)


def test_the_page_has_a_row_with_boxes_for_each_record(packet: Any) -> None:
    """Three boxes and room for a note beside each drawn record, and nothing else to tick."""
    sample = _sample(packet, n=4)
    page = _page(replace(packet, sample=_drawing(packet, sample)), [])
    assert page.count('class="tick"') == 3 * 4
    for item in sample.drawn:
        assert f'<a href="#record-{item.candidate.index}">' in page
        assert item.candidate.sha256[:16] in page
    for stratum in sample.strata:
        assert stratum.name in page
    assert "Auditor’s word" in page and "Results on record" not in page


def test_no_sample_no_page(packet: Any) -> None:
    """Where none was asked for and none was tested, the packet says nothing of it."""
    assert _page(packet, []).strip() == ""


def test_results_are_printed_as_text(packet: Any) -> None:
    """What an auditor writes is shown, and never markup."""
    record = _tested(packet, _sample(packet))
    (found,) = results([*packet.records, record])
    assert (found.counts, found.size) == ((0, 3, 0), 19)
    page = _page(packet, [found])
    assert "&lt;script&gt;" in page and "<script>" not in page
    assert "[U+202E]" in page and page.count("<b>Exception</b>") == 3


def test_a_row_says_what_is_to_be_tested(packet: Any) -> None:
    """Title, and the controls that it counts for; what is erased is not known."""
    drawing = _drawing(packet, _sample(packet, n=99))
    page = _page(replace(packet, sample=drawing), [])
    for line in drawing.lines:
        assert line.record is not None
        row = page.partition(f'href="#record-{line.index}">#{line.index}</a></th>')[2]
        row = row.partition("</tr>")[0]
        assert printable(views.headline(line.record)) in row
        tied = views.ties(packet).get(line.index, {})
        for control in (control for ids in tied.values() for control in ids[: views.MAX_LINKS]):
            assert views.short_id(control) in row
        assert ("No control here rests on it" in row) is (not tied and not line.says)
    gone = replace(drawing.lines[0], record=None)
    page = _page(replace(packet, sample=replace(drawing, lines=(gone,))), [])
    assert "not known any more" in page


def test_a_judgement_is_named_by_what_it_is_about(packet: Any, build: ModuleType) -> None:
    """A waiver's row, comment and cell name the controls that it excuses, an approval's its
    records."""
    bodies = {
        "waiver": {"controls": ["a:1", "a:2"]},
        "applicability": {"controls": [{"control": "a:3"}]},
        "approval": {"decision": "rejected", "records": [{"index": 4, "sha256": "4" * 64}]},
    }
    made = [build.record(90 + n, *item) for n, item in enumerate(bodies.items())]
    given = replace(packet, records=tuple(made))
    drawing = _drawing(given, draw(made, given.coverage.system, Seed(99, ROOT), 3, By.KIND))
    says = ["waives a:1, a:2", "decides whether to apply a:3", "rejects #4"]
    assert [line.says for line in drawing.lines] == says
    assert [line.controls for line in drawing.lines] == ["a:1, a:2", "a:3", "–"]
    assert all(text in to_template(drawing) for text in says)
    page = _page(replace(given, sample=drawing), [])
    assert all(text in page for text in says)


def test_every_result_is_printed(packet: Any) -> None:
    """Each record's outcome and note, the seed, the word, and who tested when, not counts alone."""
    sample = _sample(packet)
    outcomes = ("passed", "exception", "not-tested")
    listed = [
        {**item, "outcome": outcome, **({"note": f"note on {outcome}"} if number else {})}
        for number, (item, outcome) in enumerate(
            zip(sample.to_body()["records"], outcomes, strict=True)
        )
    ]
    record = _tested(packet, sample, records=listed, salt="a word")
    (found,) = results([*packet.records[:-1], record])
    assert (found.counts, found.standing) == ((1, 1, 1), "counts")
    page = _page(packet, [found])
    table = page.partition("<h4>")[2].partition('<table class="tall">')
    for text in (
        *("Checkpoint of 19 records", "a word", record.signer.email),
        *(views.long_time(record.recorded_at), "1 passed, 1 exception, 1 not tested"),
        views.grouped(base64.b64encode(bytes.fromhex(ROOT)).decode()),
    ):
        assert text in table[0]
    rows = table[2].partition("<tbody>")[2].partition("</tbody>")[0].split("</tr>")[:-1]
    assert len(rows) == 3
    for row, item, shown in zip(
        rows, listed, ("Passed", "<b>Exception</b>", "Not tested"), strict=True
    ):
        assert f"#{item['index']}" in row and shown in row and item.get("note", "–") in row


def test_root_hashes_are_printed_as_on_the_cover(packet: Any) -> None:
    """One form on all pages, base64; the embedded sample keeps the hexadecimal the rule hashes."""
    drawing = _drawing(packet, _sample(packet))
    page = _page(replace(packet, sample=drawing), [])
    assert views.grouped(base64.b64encode(bytes.fromhex(ROOT)).decode()) in page
    assert views.grouped(ROOT) not in page
    assert drawing.sample.to_json()["checkpoint"]["root"] == ROOT
    assert ROOT in to_template(drawing)


def test_names_of_strangers_do_not_leave_their_cell(packet: Any) -> None:
    """A signer's name is a comment in the template and text in a spreadsheet, whatever it says."""
    drawing = _drawing(packet, _sample(packet))
    first = drawing.lines[0]
    assert first.record is not None
    signer = replace(first.record.signer, name=f"={HOSTILE}")
    line = replace(first, record=replace(first.record, signer=signer))
    drawing = replace(drawing, lines=(line, *drawing.lines[1:]))
    filled = yaml.safe_load(to_template(drawing))
    assert [item["index"] for item in filled["records"]] == [item.index for item in drawing.lines]
    assert {item["outcome"] for item in filled["records"]} == {None}
    assert "\"'=<script>" in to_csv(drawing)


def _checked(packet: Any, *more: Record, printed: Any = None, roots: Any = None) -> Check:
    system = packet.coverage.system
    records = [*packet.records, *more]
    check = check_samples(printed, records, system, {19: ROOT} if roots is None else roots)
    assert check is not None
    return check


def test_what_the_rule_draws_holds(packet: Any) -> None:
    """The printed sample and the tested one are both drawn again."""
    sample = _sample(packet)
    check = _checked(packet, _tested(packet, sample), printed=sample.to_json())
    assert not check.findings and (check.outcome, check.checked) == (Outcome.HELD, 2)
    assert check_samples(None, packet.records, packet.coverage.system, {}) is None


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"system": {"id": "other", "version": "1"}}, "sample.other-system"),
        ({"checkpoint": {"size": 19, "root": "ab" * 32}}, "sample.seed-differs"),
        ({"checkpoint": {"size": 18, "root": ROOT}}, "sample.seed-differs"),
        ({"salt": "a word that was tried"}, "sample.differs"),
        ({"n": 2}, "sample.differs"),
        ({"n": 0}, "sample.number"),
        ({"by": "control"}, "sample.differs"),
        ({"records": []}, "sample.differs"),
        ({"strata": []}, "sample.differs"),
    ],
)
def test_a_false_sample_is_found(changes: dict[str, Any], code: str, packet: Any) -> None:
    """Whatever of the embedded sample is changed, the draw does not give it."""
    printed = {**_sample(packet).to_json(), **changes}
    check = _checked(packet, printed=printed)
    assert check.outcome is Outcome.FAILED
    assert code in {finding.code for finding in check.findings}


def test_a_picked_list_that_was_signed_is_found(packet: Any) -> None:
    """An approver with a client of their own can sign any list; the verification names it."""
    sample = _sample(packet)
    drawn = {item.candidate.index for item in sample.drawn}
    other = next(item for item in packet.records if item.index not in drawn)
    picked = {**other.ref.to_json(), "stratum": other.kind, "outcome": "passed"}
    check = _checked(packet, _tested(packet, sample, records=[picked]))
    (finding,) = check.findings
    assert (finding.code, finding.record) == ("sample.differs", 18)


def test_records_of_ones_own_that_were_tested_are_found(packet: Any) -> None:
    """A client of one's own lets a signer test what they signed; the verification names it."""
    sample = _sample(packet)
    test = _tested(packet, sample)
    first = next(item for item in packet.records if item.index == sample.drawn[0].candidate.index)
    check = _checked(packet, replace(test, signer=first.signer))
    assert {finding.code for finding in check.findings} == {"sample.own"}
    assert any(f"#{first.index} themselves" in item.message for item in check.findings)


def test_a_draw_by_control_that_an_erasure_changed_is_not_checked(
    packet: Any, build: ModuleType
) -> None:
    """What the erased record claimed is not known: that is no fault, and no pass."""
    sample = _sample(packet, By.CONTROL, n=19)
    gone = packet.records[1]
    order = replace(
        packet.records[-1],
        index=30,
        sha256="8" * 64,
        statement=replace(
            gone.statement,
            predicate_type=predicate_type("erasure"),
            controls=(),
            body={
                "records": [{**gone.ref.to_json(), "kind": gone.kind}],
                "artifacts": [],
                "basis": "b",
                "reason": "r",
            },
        ),
    )
    left = replace(packet, records=tuple(item for item in packet.records if item is not gone))
    check = _checked(left, order, printed=sample.to_json())
    assert check.outcome is Outcome.NOT_CHECKED
    assert re.search("were erased", check.not_checked[0])
    assert not re.search("#", check.not_checked[0])


def _pages(packet: Any, strata: int) -> dict[str, int]:
    """The pages on which the heading of the records and the first of them stand."""
    drawing = _drawing(packet, _sample(packet))
    padded = tuple(Stratum(f"kind-{number}", 1, 0) for number in range(strata))
    drawing = replace(drawing, sample=replace(drawing.sample, strata=padded))
    page = _page(replace(packet, sample=drawing), [])
    start, _, rest = page.partition('id="sample-records"')
    rest = rest.replace(
        '<tbody>\n<tr><th scope="row">', '<tbody>\n<tr><th id="row" scope="row">', 1
    )
    html = f'<html lang="en"><body>{start}id="sample-records"{rest}</body></html>'
    with _hermetic(packet.checkpoint_time):
        document = _Style(_weasyprint(), ()).lay_out(Part("sample.html", {}), html)
    found: dict[str, int] = {}
    _number(document, found, 0)
    return found


def test_the_table_to_fill_does_not_part_from_its_heading(packet: Any) -> None:
    """However long the table before it is, heading, instruction and first row share a page."""
    placed = [_pages(packet, strata) for strata in range(8, 14)]
    for page in placed:
        assert page["sample-records"] == page["row"]
    assert {page["row"] for page in placed} == {1, 2}  # it did come to a page's end
