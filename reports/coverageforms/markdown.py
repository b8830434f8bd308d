"""Coverage as GitHub-flavoured Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muniment.reports.inert import escape, said

if TYPE_CHECKING:
    from .page import Page


def to_markdown(page: Page) -> str:
    """GitHub-flavoured Markdown; every text of a record is in it as text alone."""

    def cell(text: str) -> str:
        return escape(said(text, "; "))

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
