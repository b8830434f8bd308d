"""Texts of strangers, made so that no reader of a file takes them for anything but text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from muniment.schemas.text import shorten, visible

MAX_TEXT = 2000
"""Most characters of one text that is shown; the signed records and ``json`` hold it whole."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%", "＝", "＋", "－", "＠")
"""What spreadsheets take for the beginning of a formula."""
_MARKUP = re.compile(r"[!-$&*+:<-@\[-`{-~]|(?<=www)\.", re.I)
"""Whatever Markdown or HTML could take for markup, a link, a mention or an emoji."""


def said(text: str, between: str | None = None) -> str:
    """``text``, cut, every character that does not print spelt out.

    Args:
        between: what stands between its lines; by default the line feed is spelt out too.
    """
    if between is None:
        return visible(shorten(text, MAX_TEXT))
    return between.join(map(said, text.split("\n")))


def escape(text: str) -> str:
    """``text`` with every character that Markdown or HTML could read as markup made an entity."""
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", text)


def to_csv(columns: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """A table as RFC 4180, every cell quoted; no cell is a formula to a spreadsheet."""
    import csv
    import io

    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_no_formula(cell) for cell in row] for row in rows)
    return out.getvalue()


def _no_formula(cell: str) -> str:
    # NOTE: a quote in front makes it text; it goes there for what comes after blanks as well, for
    # spreadsheets trim.
    return f"'{cell}" if cell.lstrip().startswith(_FORMULA) else cell
