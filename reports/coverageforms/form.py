"""The forms of coverage, and which of them is written how."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, assert_never

if TYPE_CHECKING:
    from .page import Page


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
    from muniment.reports.inert import said, to_csv

    from .html import to_html
    from .markdown import to_markdown

    match form:
        case CoverageForm.TEXT:
            return text
        case CoverageForm.JSON:
            return document
        case CoverageForm.CSV:
            rows = ([said(cell, "; ") for cell in row] for row in page.main.rows)
            return to_csv(page.main.columns, rows)
        case CoverageForm.MARKDOWN:
            return to_markdown(page)
        case CoverageForm.HTML:
            return to_html(page)
        case _:
            assert_never(form)
