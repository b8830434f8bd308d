"""Coverage as CSV, Markdown and HTML: no text of a record is ever more than text."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from types import ModuleType

import pytest
from markdown_it import MarkdownIt

from muniment.controls.coverage import CatalogCoverage, Coverage, Reason, State
from muniment.reports.coverageforms.form import CoverageForm, render
from muniment.reports.coverageforms.html import to_html
from muniment.reports.coverageforms.markdown import to_markdown
from muniment.reports.coverageforms.page import Page, page
from muniment.reports.coverages import SystemView

from .test_gateforms import HOSTILE, RAW, control

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\n=1", "=cmd|'/c calc'!A0", "%0A=1"]
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "main", "h1", "p", "table", "caption"),
    *("thead", "tbody", "tr", "th", "td"),
}


@pytest.fixture
def hostile(build: ModuleType) -> Page:
    """Every text of a record is an attack."""
    texts = [*HOSTILE, *FORMULAS]
    controls = tuple(
        replace(control(f"C-{number}", State.FAILED, text), title=text, group=text)
        for number, text in enumerate(texts)
    )
    coverage: Coverage = replace(
        build.coverage(build.ledger()),
        catalogs=(CatalogCoverage("own", texts[3], "0" * 64, controls),),
        left_out=tuple(Reason("record.unused", text) for text in texts),
    )
    return page([SystemView(coverage, "=owner", (), {})], detail=True, narrowed=False)


def test_no_cell_of_csv_is_a_formula(hostile: Page) -> None:
    """A spreadsheet finds text in every cell, and the file has the columns it says."""
    written = render(hostile, CoverageForm.CSV, text="", document="")
    rows = list(csv.reader(io.StringIO(written)))
    assert {len(row) for row in rows} == {len(hostile.main.columns)}
    assert len(rows) == 1 + len(HOSTILE) + len(FORMULAS)
    for cell in (cell for row in rows for cell in row):
        assert not cell.lstrip().startswith(("=", "+", "-", "@", "|", "%"))
        assert not RAW.search(cell)


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_html_has_our_own_tags_alone(hostile: Page) -> None:
    """No script, no picture, no address, no attribute of a stranger; tables are accessible."""
    text = to_html(hostile)
    parser = _Tags()
    parser.feed(text)
    assert {tag for tag, _ in parser.seen} <= TAGS
    for tag, attributes in parser.seen:
        assert not {"src", "href", "onerror", "onload", "style"} & attributes.keys()
        assert tag != "th" or attributes.get("scope") in ("col", "row")
    tables = [tag for tag, _ in parser.seen if tag == "table"]
    captions = re.findall(r"<caption>[^<]+</caption>", text)
    assert tables and len(captions) == len(tables)
    assert parser.seen[0] == ("html", {"lang": "en"})
    assert not RAW.search(text.replace("\t", "")) or "\t" in text


def test_markdown_is_text_in_tables(hostile: Page) -> None:
    """No link, picture, raw HTML or code comes out of a record's text."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(to_markdown(hostile))
    kinds = {item.type for token in tokens for item in (token, *(token.children or ()))}
    assert "table_open" in kinds
    assert not kinds & {"link_open", "image", "html_inline", "html_block", "code_inline", "fence"}


def test_every_state_is_said_in_words(build: ModuleType) -> None:
    """Colour only repeats what a cell says: every coloured cell names its state."""
    coverage = build.coverage(build.ledger())
    text = to_html(page([SystemView(coverage, None, (), {})], detail=True, narrowed=False))
    cells = re.findall(r'<td class="([a-z-]+)">([^<]*)</td>', text)
    assert {name for name, _ in cells} >= {"met", "failed", "missing", "waived"}
    assert all(said.endswith(name) for name, said in cells if name != "prose")
