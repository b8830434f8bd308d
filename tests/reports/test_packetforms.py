"""The packet as HTML, Markdown, JSON and a spreadsheet: the same facts, and no text of a stranger
is ever more than text."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from datetime import timedelta
from html import unescape
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from types import ModuleType
from zipfile import ZipFile

import pytest
from markdown_it import MarkdownIt
from openpyxl import load_workbook

from muniment.controls.coverage import CatalogCoverage, Reason, State
from muniment.controls.crosswalk import Fit, Pair, Source
from muniment.reports import render, views
from muniment.reports.model import (
    Cover,
    Embedded,
    KeyEvent,
    Logo,
    Look,
    OutsideProof,
    PacketInput,
    PreviousPacket,
)
from muniment.reports.packet import Extras
from muniment.reports.packetforms import form as forms_of
from muniment.reports.packetforms.document import document, to_json
from muniment.reports.packetforms.facts import register
from muniment.reports.packetforms.form import PacketForm
from muniment.reports.packetforms.html import read_page, to_html
from muniment.reports.packetforms.markdown import to_markdown
from muniment.reports.packetforms.spreadsheet import to_xlsx
from muniment.reports.printed import written_by
from muniment.schemas.errors import InputError, ReportError, VerificationError
from muniment.schemas.statement import Subject
from muniment.schemas.times import format_time

from .test_coverageforms import FORMULAS
from .test_gateforms import HOSTILE, RAW, control

FILES = [
    Embedded("a.json", b'{"a": "</script>"}', "application/json", "Data", "A"),
    Embedded("manifest.json", b"{}", "application/json", "Data", "Digests"),
]
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "a", "header", "nav", "main", "footer"),
    *("section", "h1", "h2", "h3", "p", "ul", "li", "dl", "dt", "dd", "table", "caption", "thead"),
    *("tbody", "tr", "th", "td", "details", "summary", "span", "code", "pre", "strong", "br"),
    *("form", "label", "input", "button", "div", "noscript", "script"),
    *("svg", "rect", "circle", "path", "text", "line"),
}


@pytest.fixture
def hostile(build: ModuleType) -> PacketInput:
    """Every text of a record, a signer and a control is an attack."""
    texts = [*HOSTILE, *FORMULAS]
    records = tuple(
        replace(
            build.record(
                number,
                "policy",
                {"title": text, "notes": [{"x": text}], text[:50] or "x": text},
                by=replace(build.ASTRID, name=text, email=text),
                subjects=(
                    Subject(text, {"sha256": "a" * 64}, None, None, {"git": {"path": text}}),
                ),
            ),
            distrusted=text,
        )
        for number, text in enumerate(texts)
    )
    evaluation = {
        "title": texts[3],
        "metrics": [{"name": t, "slice": t, "value": 1.5, "threshold": 1} for t in texts],
        "checks": [{"name": t, "outcome": t, "message": t} for t in texts],
        "errorClasses": [{"name": t, "consequence": t} for t in texts],
    }
    roles = {"person": {"name": texts[3], "email": "x"}, "role": texts[4], "duty": texts[5]}
    approval = {"decision": texts[3], "statement": texts[3], "role": texts[3]}
    period = {"period": {"start": "2026-01-01", "end": "2026-01-31"}, "summary": texts[3]}
    data = {"dataset": {"name": texts[3]}, "split": texts[4], "rights": {"licence": texts[5]}}
    files = [{"name": t, "sha256": t, "rows": t} for t in texts]
    tested = {"index": 1, "sha256": "a" * 64, "outcome": "exception", "note": texts[3]}
    more = (
        build.record(103, "data-provenance", data | {"contents": files}),
        build.record(104, "monitoring-report", period),
        build.record(
            105, "sample-test", {"checkpoint": {"size": 9, "root": "9" * 64}, "records": [tested]}
        ),
        build.record(100, "eval-result", evaluation),
        build.record(101, "owner-assignment", roles),
        build.record(102, "approval", approval),
    )
    controls = tuple(
        replace(control(f"C-{number}", State.FAILED, text), title=text, group=text)
        for number, text in enumerate(texts)
    )
    coverage = replace(
        build.coverage(build.ledger()),
        catalogs=(CatalogCoverage("own", texts[3], "0" * 64, controls),),
        left_out=tuple(Reason("record.unused", text) for text in texts),
    )
    packet: PacketInput = build.make_packet(
        (*records, *more),
        coverage,
        blocking=controls,
        organisation=texts[3],
        profile_name=texts[3],
        not_included=tuple(texts),
        reviewer=None,
        outside=tuple(OutsideProof(text, text, None, False, text) for text in texts),
        key_events=tuple(KeyEvent(1, build.AS_OF, t, replace(build.ASTRID, name=t)) for t in texts),
        look=Look(Cover(texts[3], texts[4], tuple(texts))),
    )
    return packet


@pytest.fixture
def rich(build: ModuleType, packet: PacketInput) -> PacketInput:
    """A packet with something in every chapter."""
    source, target = packet.coverage.controls[2], "iso-42001-2023:A.2.2"
    pair = Pair(source.id, target, Source.INFERRED, Fit.CLOSE, "a doubt")
    reason = Reason("evidence.carried", "came over", source.evidence, (pair,))
    met = replace(source, id=target, reasons=(reason,))
    catalog = CatalogCoverage("iso-42001-2023", "ISO/IEC 42001:2023", "0" * 64, (met,))
    report = {"period": {"start": "2026-01-01", "end": "2026-01-31"}, "cadenceDays": 31}
    test = {"index": 7, "sha256": "a" * 64, "outcome": "exception", "note": "no licence was found"}
    rights = {"licence": "CC BY 4.0", "holder": "the clinics"}
    data = {"dataset": {"name": "Intake"}, "split": "train", "rights": rights}
    more = (
        build.record(19, "data-provenance", data),
        build.record(20, "monitoring-report", report),
        build.record(
            21, "sample-test", {"checkpoint": {"size": 9, "root": "9" * 64}, "records": [test]}
        ),
    )
    return replace(
        packet,
        records=(*packet.records, *more),
        coverage=replace(packet.coverage, catalogs=(*packet.coverage.catalogs, catalog)),
        outside=(OutsideProof("time stamp", "https://tsa.example.com", None, True, "It holds."),),
        outside_earlier=2,
        previous=PreviousPacket(build.AS_OF - timedelta(days=30), 12, {State.MET: 1}),
        look=Look(Cover("Head of Risk", "Since July.", ("The data chain\nis sound.",))),
        reviewer=None,
    )


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_html_has_our_own_tags_alone(hostile: PacketInput) -> None:
    """No picture, no address, no handler, no style of a stranger; two scripts, ours."""
    text = to_html(hostile, FILES).decode()
    page = _Page(text)
    assert {tag for tag, _ in page.seen} - TAGS == set()
    assert [tag for tag, _ in page.seen].count("script") == 2
    for tag, attributes in page.seen:
        assert not {"src", "style", "action", "srcset"} & attributes.keys()
        assert not any(name.startswith("on") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
        assert tag != "th" or attributes.get("scope") in ("col", "row")
    assert not RAW.search(text.replace("\n", ""))


def test_the_formats_name_what_writes_a_page() -> None:
    """The document on formats lists each field of ``renderer`` in ``pages.json``."""
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")
    told = text.partition("names\nwhat writes such a page: ")[2].partition(". It has")[0]
    assert re.findall("`([a-z0-9]+)`", told) == list(written_by())


NOT_ON_A_PAGE = {
    *("Scope and system", "Coverage by area", "Verify this packet yourself", "Sign-off"),
    "Templates of the workspace",
}
"""Chapters of the PDF that a page says otherwise, or that are about printing and signing."""


def test_a_page_has_the_chapters_of_the_pdf(build: ModuleType, rich: PacketInput) -> None:
    """Every chapter of the PDF is on the page, in the same order, and in its list of chapters."""
    printed = render._context(replace(rich, reviewer=build.CARLA))["toc"]
    wanted = [title for level, _, title in printed if level == 1 and title not in NOT_ON_A_PAGE]
    text = to_html(rich, FILES).decode()
    titles = re.findall(r"<h2 id=[^>]*>(.*?)</h2>", text)
    assert titles == ["Does this page hold?", *wanted]
    linked = re.findall(r'<li><a href="#([a-z]+)">', text.partition("</nav>")[0])
    assert len(linked) == len(titles) and all(f'id="{name}"' in text for name in linked)


@pytest.mark.parametrize(
    "said",
    [
        "Head of Risk wrote this",
        "is sound.",
        "Since July.",
        "7 records came since the packet of 21 October 2026, checkpoint 12.",
        "Rights held by the clinics",
        "close, inferred",
        "a doubt",
        "after 31 days",
        "no licence was found",
        "https://tsa.example.com",
        "2 proofs from outside are over earlier checkpoints",
        "approves by digest",
    ],
)
def test_the_page_says_what_the_pdf_says(build: ModuleType, rich: PacketInput, said: str) -> None:
    """Trend, cover, crosswalk, data, lineage, monitoring, tests, outside: the same words."""
    printed = render.render_html(replace(rich, reviewer=build.CARLA))
    for text in (to_html(rich, FILES).decode(), printed):
        assert said in " ".join(re.sub("<[^>]*>", " ", text).split())


def test_markdown_has_the_new_chapters(rich: PacketInput) -> None:
    """What a table can say of cover, trend, crosswalk, tests, data, monitoring and outside."""
    text = unescape(to_markdown(rich))
    for said in (
        "| Conclusion | The data chain<br>is sound. |",
        "| met | 1 | 5 | +4 |",
        "close, inferred (a doubt)",
        "| #21 | #7 | no licence was found |",
        "| #19 | Intake | train | – | CC BY 4.0 | – |",
        "approves by digest #7",
        "2026-01-01 to 2026-01-31 | **overdue** by",
        "| time stamp | https://tsa.example.com | not known | holds | It holds. |",
    ):
        assert said in text, said


def test_json_has_the_new_parts(rich: PacketInput) -> None:
    """Cover, trend, tests, lineage, monitoring and outside proofs as data."""
    data = json.loads(to_json(rich))["data"]
    assert data["cover"]["conclusions"] == ["The data chain\nis sound."]
    assert data["previous"]["counts"] == {"met": 1}
    assert data["sample"] is None
    assert data["sample_results"][0]["counts"] == {"passed": 0, "exception": 1, "not-tested": 0}
    assert {tie["proved"] for tie in data["lineage"]} == {True, False}
    assert data["monitoring"][0]["overdue"] > 0
    assert data["outside"][0]["held"] is True


def test_the_accent_is_the_pages(rich: PacketInput) -> None:
    """A colour of the cover is in the page's style; a text that is none never gets there."""
    cover = Cover("Head of Risk", accent="#7a1f3d")
    text = to_html(replace(rich, look=Look(cover)), FILES).decode()
    assert ":root { --accent: #7a1f3d }" in text
    bad = Look(replace(cover, accent="red } #outcome { display: none"))
    with pytest.raises(ReportError) as caught:
        to_html(replace(rich, look=bad), FILES)
    assert caught.value.code == "report.accent"


COVER = Cover("R", "S", ("C",), Logo("image/png", b""), "#7a1f3d")
REFUSED: dict[str, tuple[Extras, set[str]]] = {
    "paper": (Extras(Look(paper="letter")), {"pdf"}),
    "certificate": (Extras(certificate=Path("chain.pem")), {"pdf"}),
    "artifacts": (Extras(with_artifacts=True), {"pdf", "html"}),
    "cover": (Extras(Look(COVER)), set(PacketForm)),
    "sample": (Extras(sample="2"), set(PacketForm)),
}


@pytest.mark.parametrize("form", PacketForm)
@pytest.mark.parametrize("name", REFUSED)
def test_a_form_takes_what_it_shows_and_refuses_the_rest(name: str, form: PacketForm) -> None:
    """Nothing that is asked for is passed over in silence."""
    asked, forms = REFUSED[name]
    if form in forms:
        form.require_shown(asked)
        return
    with pytest.raises(InputError) as caught:
        form.require_shown(asked)
    assert caught.value.code == "usage.format" and caught.value.found == str(form)


@pytest.mark.parametrize("form", PacketForm)
def test_a_form_leaves_out_looks_and_never_words(form: PacketForm) -> None:
    """One cover does for every form: what a form cannot show of the look goes, and is named."""
    shown = {"pdf": {"logo", "accent"}, "html": {"accent"}}.get(form, set())
    fitted = form.fitted(COVER)
    assert (fitted.reviewer, fitted.scope, fitted.conclusions) == ("R", "S", ("C",))
    assert {name for name in ("logo", "accent") if getattr(fitted, name)} == shown
    gone = [name for name in ("logo", "accent") if name not in shown]
    assert form.warnings(COVER) == tuple(
        f"the cover's {name} has no place in a packet that is {form}; it is left out"
        for name in gone
    )
    assert form.warnings(fitted) == ()


def test_the_policy_lets_nothing_else_run(hostile: PacketInput) -> None:
    """The page's own policy allows this script and this style by digest, and fetches nothing."""
    text = to_html(hostile, FILES).decode()
    (policy,) = (
        attributes["content"]
        for _, attributes in _Page(text).seen
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )

    def digest(pattern: str) -> str:
        (found,) = re.findall(pattern, text, re.S)
        return base64.b64encode(hashlib.sha256(found.encode()).digest()).decode()

    assert policy == (
        f"default-src 'none'; script-src 'sha256-{digest('<script>(.*?)</script>')}'; "
        f"style-src 'sha256-{digest('<style>(.*?)</style>')}'; base-uri 'none'; form-action 'none'"
    )


def test_what_a_page_embeds_is_read_back(packet: PacketInput) -> None:
    """The embedded files come back byte for byte, by name."""
    assert read_page(to_html(packet, FILES)) == {file.name: file.data for file in FILES}


@pytest.mark.parametrize(
    "block", [b"", b"{}", b'{"files":1}', b'{"files":{"a":1}}', b'{"files":{"a":"!"}}']
)
def test_a_block_that_is_none(packet: PacketInput, block: bytes) -> None:
    """Whatever stands where the proofs should is an error of ours."""
    page = re.sub(rb'(id="proof">)[^<]*', lambda found: found[1] + block, to_html(packet, FILES))
    with pytest.raises(VerificationError) as caught:
        read_page(page)
    assert caught.value.code == "packet.malformed"


def test_a_page_with_two_blocks(packet: PacketInput) -> None:
    """Two blocks, of which one reader might take the first and another the second, are refused."""
    page = to_html(packet, FILES)
    block = re.findall(rb'<script type="application/json".*?</script>', page, re.S)[0]
    with pytest.raises(VerificationError):
        read_page(page.replace(b"</body>", block + b"</body>"))


def test_markdown_is_text(hostile: PacketInput) -> None:
    """No text of a record is markup, a link, a heading or HTML when it is rendered."""
    text = to_markdown(hostile)
    assert not RAW.search(text.replace("\n", ""))
    html = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable("table").render(text)
    found = {tag for tag, _ in _Page(html).seen}
    assert found <= {
        *("h1", "h2", "p", "strong", "b", "code", "table", "thead", "tbody", "tr", "th", "td"),
        *("details", "summary", "ul", "li", "br"),
    }
    assert "evil.example" in text and "https://evil" not in text
    headings = {line for line in text.splitlines() if line.startswith("#")}
    assert len(headings) <= 24


def test_markdown_says_what_the_packet_says(packet: PacketInput) -> None:
    """Verdict, every control's state, every record's digest, every omission."""
    text = to_markdown(packet)
    for record in packet.records:
        assert f"<code>{record.sha256}</code>" in text
    for item in packet.coverage.controls:
        row = next(line for line in text.splitlines() if item.title in line and item.state in line)
        assert row.startswith("|")
    assert "does not pass the production gate" in text
    assert "a later record takes its place" in text
    assert "they stay in the store" in text


def test_markdown_is_bounded(build: ModuleType, packet: PacketInput) -> None:
    """However many records and controls: never over 1 MiB, and what is cut is counted."""
    records = tuple(
        build.record(number, "policy", {"title": "t" * 400}, controls=("own:x",) * 30)
        for number in range(5000)
    )
    controls = tuple(control(f"C-{n}", State.FAILED, "why " * 300) for n in range(3000))
    catalogs = tuple(CatalogCoverage(f"own{n}", "Own", "0" * 64, controls) for n in range(9))
    covered = replace(packet.coverage, catalogs=catalogs, left_out=())
    look = Look(Cover("R", "s " * 10_000, ("<" * 20_000,) * 50))
    outside = (OutsideProof("time stamp", "*" * 600, None, True, "*" * 600),) * 100
    checks = [{"name": "*" * 600, "outcome": "pass", "message": "\n" * 600}] * 100
    measured = tuple(build.record(n, "eval-result", {"checks": checks}) for n in range(5000, 5040))
    big = replace(
        packet,
        records=(*records, *measured),
        coverage=covered,
        blocking=controls,
        look=look,
        outside=outside,
        not_included=("*" * 600,) * 50,
    )
    text = to_markdown(big)
    assert len(text.encode()) < 1 << 20
    assert re.search(r"and [\d,]+ more: see the packet’s other forms", text)
    assert "and 4 further frameworks: see the packet’s other forms" in text
    assert re.search(r"and \d+ further evaluations: see the packet’s other forms", text)


def test_markdown_cuts_by_size_alone(build: ModuleType, packet: PacketInput) -> None:
    """Twenty small frameworks and evaluations are all there: those that the verdict is about come
    first, and results with a fault before others of later date."""
    rows = (control("own:C-1", State.MET, ""),)
    catalogs = tuple(CatalogCoverage(f"own{n}", f"Own {n}", "0" * 64, rows) for n in range(20))
    covered = replace(packet.coverage, catalogs=catalogs)
    fault = {"checks": [{"name": "smoke", "outcome": "fail", "message": "one\ntwo"}]}
    measured = tuple(
        build.record(n, "eval-result", {"title": f"Run {n}"} | (fault if n == 103 else {}))
        for n in range(100, 120)
    )
    text = unescape(
        to_markdown(replace(packet, records=measured, coverage=covered, gated=("own7",)))
    )
    frameworks = re.findall(r"<summary>Own (\d+): 1 control</summary>", text)
    assert frameworks == ["7", *(str(n) for n in range(20) if n != 7)]
    runs = re.findall(r"<summary>#(\d+) Run", text)
    assert runs == ["103", *(str(n) for n in range(119, 99, -1) if n != 103)]
    assert "| smoke | fail | one<br>two |" in text
    assert "other forms" not in text.partition("## Evaluation results")[2].partition("## ")[0]


def test_markdown_counts_one_as_one(build: ModuleType, packet: PacketInput) -> None:
    """A single framework that has no room is said in the singular."""
    rows = tuple(control(f"own:C-{n}", State.MET, "") for n in range(400))
    rows = tuple(replace(row, title="t" * 400) for row in rows)
    catalogs = tuple(CatalogCoverage(f"own{n}", "Own", "0" * 64, rows) for n in range(6))
    text = to_markdown(replace(packet, coverage=replace(packet.coverage, catalogs=catalogs)))
    assert "and 1 further framework: see the packet’s other forms" in text


def test_markdown_breaks_lines_in_cells(build: ModuleType, packet: PacketInput) -> None:
    """Where a record's text has lines, a cell has them too, and no code point in their place."""
    body = {
        "dataset": {"name": "Intake"},
        "split": "train",
        "knownGaps": ["no night shifts", "few children"],
        "source": {"origin": "two clinics\nin <one> town"},
    }
    record = build.record(19, "data-provenance", body)
    text = to_markdown(replace(packet, records=(*packet.records, record)))
    assert "no night shifts<br>few children" in text
    assert "two clinics<br>in &#60;one&#62; town" in text and "U+000A" not in text


def test_json_says_what_the_packet_says(packet: PacketInput) -> None:
    """One document: the coverage as it is embedded, every record's whole statement, the rest."""
    written = json.loads(to_json(packet))
    data = written["data"]
    assert (written["schema_version"], written["ok"]) == (1, True)
    assert data["coverage"] == packet.coverage.to_json()
    assert data["blocking"] == [item.id for item in packet.blocking]
    assert [r["statement"] for r in data["records"]] == [
        json.loads(json.dumps(record.statement.to_json())) for record in packet.records
    ]
    assert [r["sha256"] for r in data["records"]] == [record.sha256 for record in packet.records]
    assert data["not_included"] == list(packet.not_included)
    assert data["ledger"]["checkpoint"] == packet.checkpoint
    assert data["verdict"] == views.verdict(packet)
    assert len(data["keys"]) == len(packet.keys)


def test_json_is_plain_ascii(hostile: PacketInput) -> None:
    """No control code of a stranger's stands in the file, and it reads back whole."""
    data = to_json(hostile)
    assert data.isascii() and not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", data)
    assert json.loads(data)["data"] == json.loads(json.dumps(document(hostile)))


def _sheets(data: bytes) -> dict[str, list[tuple[str, ...]]]:
    book = load_workbook(BytesIO(data))
    return {
        sheet.title: [tuple(cell or "" for cell in row) for row in sheet.values]
        for sheet in book.worksheets
    }


def test_the_register_has_every_record(packet: PacketInput) -> None:
    """One row for each record with what the packet says of it, control and omission."""
    sheets = _sheets(to_xlsx(packet))
    assert list(sheets) == ["Evidence register", "Controls", "Omissions", "About"]
    head, *rows = sheets["Evidence register"]
    lines = [dict(zip(head, row, strict=True)) for row in rows]
    assert [line["Record"] for line in lines] == [str(record) for record in packet.records]
    line, record = lines[4], packet.records[4]
    subject = record.statement.subjects[0]
    assert line["Record digest (SHA-256)"] == record.sha256
    assert line["Collected at"] == format_time(record.statement.collected_at)
    assert line["Recorded at"] == format_time(record.recorded_at)
    assert line["Signer’s roles"] == "contributor"
    assert line["Approved by"] == "Carla Exampleß (#15)"
    assert line["Supersedes"] == "#9" and lines[3]["Superseded by"] == "#12"
    assert f"{subject.name} {subject.sha256}" in line["Files with SHA-256"].split("\n")
    assert line["Git commit"] == str((subject.git or {})["commit"])
    assert "nist-ai-rmf-1.0:MEASURE 2.3" in line["Counts for controls"].split("\n")
    states = [(row[0] + ":" + row[1], row[4]) for row in sheets["Controls"][1:]]
    assert states == [(item.id, str(item.state)) for item in packet.coverage.controls]
    assert sheets["Omissions"][1][0] == "record.superseded"


def test_no_cell_is_more_than_text(hostile: PacketInput) -> None:
    """No formula, no date, no link: every cell is a string, and stays one when it is edited."""
    book = load_workbook(BytesIO(to_xlsx(hostile)))
    for sheet in book.worksheets:
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.value is None or cell.data_type == "s", cell.coordinate
                assert cell.hyperlink is None and cell.quotePrefix
                assert not RAW.search(str(cell.value).replace("\n", ""))
    parts = ZipFile(BytesIO(to_xlsx(hostile))).namelist()
    assert not [name for name in parts if "external" in name or "vba" in name.lower()]


def test_forms_are_the_same_bytes_every_time(
    packet: PacketInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No clock and no time zone gets into a form."""
    forms = [form for form in PacketForm if form is not PacketForm.PDF]
    first = [forms_of.render(packet, FILES, form) for form in forms]
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    import time

    time.tzset()
    monkeypatch.setattr(time, "time", lambda: 4_000_000_000.0)
    try:
        assert [forms_of.render(packet, FILES, form) for form in forms] == first
    finally:
        monkeypatch.undo()
        time.tzset()


def test_freshness_of_a_record_is_that_of_the_first_control_to_lapse(packet: PacketInput) -> None:
    """A record that stands behind two controls is fresh until the first of them lapses."""
    facts = {item.record.index: item for item in register(packet)}
    soonest = packet.coverage.as_of + timedelta(days=20)
    assert facts[7].fresh_until == soonest
    assert facts[9].fresh_until is None


@pytest.mark.parametrize(
    ("name", "form"), [("a.pdf", "html"), ("a.HTML", "pdf"), ("a.md", "json"), ("a.xlsx", "pdf")]
)
def test_a_name_that_says_another_form(name: str, form: str) -> None:
    """A file never gets the name of another form than its own."""
    with pytest.raises(InputError) as caught:
        PacketForm(form).require_name(Path(name))
    assert caught.value.code == "usage.format"
    PacketForm(form).require_name(Path("a.out"))


def test_a_pdf_is_not_rendered_unsigned(packet: PacketInput) -> None:
    """What is signed has another way."""
    with pytest.raises(ValueError):
        forms_of.render(packet, FILES, PacketForm.PDF)
