"""The forms of coverage, and how a page is written in each."""

from __future__ import annotations

import csv
import io
from enum import StrEnum
from html import escape as escape_html
from typing import TYPE_CHECKING, assert_never

from muniment.schemas.text import shorten, visible

if TYPE_CHECKING:
    from .page import Page, Sheet

_MAX_CELL = 2000
"""Most characters of one cell; ``json`` and the signed records hold all of it."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")
"""What spreadsheets take for the beginning of a formula."""
_STYLE = """\
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem; color: #16202e; background: #fff }
table { border-collapse: collapse; margin: 1rem 0 2rem }
caption { text-align: left; font-weight: 600; padding: .3rem 0 }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem;
  border-bottom: 1px solid #b9c2cf; overflow-wrap: anywhere; white-space: pre-line }
.failed, .missing { background: #f9dbe0 } .stale, .unapproved, .partial { background: #fbefc8 }
.met { background: #d8efdc } .waived, .not-applicable { background: #dfe9f7 }
"""
_STATES = frozenset(
    ("failed", "missing", "stale", "unapproved", "partial", "met", "waived", "not-applicable")
)


class CoverageForm(StrEnum):
    """How ``muniment coverage`` writes its answer."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"
    MARKDOWN = "markdown"
    HTML = "html"


def render(page: Page, form: CoverageForm, *, text: str, document: str) -> str:
    """The page in one form, ending with a line feed.

    Args:
        text: what a person is shown on a terminal.
        document: what ``--json`` prints.
    """
    match form:
        case CoverageForm.TEXT:
            return text
        case CoverageForm.JSON:
            return document
        case CoverageForm.CSV:
            return to_csv(page.main)
        case CoverageForm.MARKDOWN:
            return to_markdown(page)
        case CoverageForm.HTML:
            return to_html(page)
        case _:
            assert_never(form)


def to_csv(sheet: Sheet) -> str:
    """One table as RFC 4180, every cell quoted; no cell is a formula to a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(sheet.columns)
    writer.writerows([_inert(cell) for cell in row] for row in sheet.rows)
    return out.getvalue()


def _inert(cell: str) -> str:
    # NOTE: a quote in front makes it text; it goes there for what comes after blanks as well, for
    # spreadsheets trim.
    text = _said(cell, "; ")
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def to_markdown(page: Page) -> str:
    """GitHub-flavoured Markdown; every text of a record is in it as text alone."""
    from muniment.reports.gateforms.markdown import escape

    def cell(text: str) -> str:
        return escape(_said(text, "; "))

    parts = [f"## {cell(page.title)}", *map(cell, page.lines)]
    for sheet in page.sheets:
        if sheet.title:
            parts.append(f"### {cell(sheet.title)}")
        if sheet.rows:
            rows = [f"| {' | '.join(map(cell, row))} |" for row in sheet.rows]
            head = f"| {' | '.join(map(cell, sheet.columns))} |"
            parts.append("\n".join([head, f"|{' --- |' * len(sheet.columns)}", *rows]))
        if sheet.note:
            parts.append(cell(sheet.note))
    return "\n\n".join(parts) + "\n"


def to_html(page: Page) -> str:
    """One page that needs nothing else: no script, no picture, no address; colours only repeat."""
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">",
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_html(page.title)}</title><style>{_STYLE}</style></head><body><main>",
        f"<h1>{_html(page.title)}</h1>",
        *(f"<p>{_html(line)}</p>" for line in page.lines),
        *map(_html_table, page.sheets),
        "</main></body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _html_table(sheet: Sheet) -> str:
    note = f"<p>{_html(sheet.note)}</p>" if sheet.note else ""
    if not sheet.rows:
        title = f"<p>{_html(sheet.title)}</p>" if sheet.title else ""
        return title + note
    caption = sheet.title or f"By {sheet.columns[0]}"
    head = "".join(f'<th scope="col">{_html(name)}</th>' for name in sheet.columns)
    rows = "\n".join(
        f'<tr><th scope="row">{_html(row[0])}</th>{"".join(map(_html_cell, row[1:]))}</tr>'
        for row in sheet.rows
    )
    return (
        f"<table><caption>{_html(caption)}</caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody></table>{note}"
    )


def _html_cell(cell: str) -> str:
    state = cell.rpartition(" ")[2]
    known = f' class="{state}"' if state in _STATES and len(cell.split(" ")) <= 2 else ""
    return f"<td{known}>{_html(cell)}</td>"


def _html(text: str) -> str:
    return escape_html(_said(text, "\n"))


def _said(text: str, between: str) -> str:
    """A text of strangers, cut, every character that does not print spelt out.

    Args:
        between: what stands between its lines.
    """
    return between.join(visible(shorten(line, _MAX_CELL)) for line in text.split("\n"))
