"""Coverage as one page of HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from muniment.reports.inert import said

if TYPE_CHECKING:
    from .page import Page, Sheet

_STYLE = """\
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem; color: #16202e; background: #fff }
table { border-collapse: collapse; margin: 1rem 0 2rem }
caption { text-align: left; font-weight: 600; padding: .3rem 0 }
th, td { text-align: left; vertical-align: top; padding: .3rem .7rem;
  border-bottom: 1px solid #b9c2cf; white-space: pre-line }
tbody th { white-space: nowrap }
.prose { overflow-wrap: anywhere; min-width: 16em }
.failed, .missing { background: #f9dbe0 } .stale, .unapproved, .partial { background: #fbefc8 }
.met { background: #d8efdc } .waived, .not-applicable { background: #dfe9f7 }
"""
_LONGEST_WORDS = 30
"""Characters of a cell that breaks between words alone: states, numbers of records."""
_STATES = frozenset(
    ("failed", "missing", "stale", "unapproved", "partial", "met", "waived", "not-applicable")
)


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
    if len(cell) > _LONGEST_WORDS or "\n" in cell:
        return f'<td class="prose">{_html(cell)}</td>'
    state = cell.rpartition(" ")[2]
    known = f' class="{state}"' if state in _STATES and len(cell.split(" ")) <= 2 else ""
    return f"<td{known}>{_html(cell)}</td>"


def _html(text: str) -> str:
    return escape(said(text, "\n"))
