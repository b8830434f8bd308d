"""GitHub-flavoured Markdown of bounded size, in which every text of a stranger is text alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate

from .inert import escape, said

MOST_IN_CELL = 600
"""Most characters of one text in a cell."""


def cell(text: str) -> str:
    """A text for a cell: cut, and without markup."""
    return escape(cut(said(text)))


def cut(text: str) -> str:
    """``text``, with an ellipsis where it is longer than a cell may be."""
    return text if len(text) <= MOST_IN_CELL else text[: MOST_IN_CELL - 1] + "…"


def details(summary: str, body: str) -> str:
    """A part that is folded until somebody asks for it."""
    return f"<details><summary>{escape(summary)}</summary>\n\n{body}\n\n</details>"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, most: int, where: str) -> str:
    """A table of cells that are markup already; nothing where there are no rows.

    Args:
        most: bytes after which rows are counted instead of shown.
        where: what has the rest, as in ``muniment gate lists them``.
    """
    listed = [f"| {' | '.join(row)} |" for row in rows]
    if not listed:
        return ""
    sizes = accumulate(len(line.encode()) + 1 for line in listed)
    shown = sum(size <= most for size in sizes)
    head = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    written = "\n".join([*head, *listed[:shown]])
    hidden = len(listed) - shown
    return f"{written}\n\nand {hidden:,} more: {where}" if hidden else written
