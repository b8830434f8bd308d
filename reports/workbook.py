"""Spreadsheets whose every cell is text: no formula, no date that a program guesses, and the same
bytes every time."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO

from muniment.schemas.text import visible
from muniment.schemas.times import format_time

MAX_CELL = 32_000
"""UTF-16 units of a cell, in which spreadsheet programs count; they hold 32,767."""
_MODIFIED = re.compile(rb"(<dcterms:modified[^>]*>)[^<]*")
_CORE = "docProps/core.xml"
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every part of the file: the earliest that a ZIP can say."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table."""

    title: str
    """At most 31 characters."""
    columns: Sequence[tuple[str, int]]
    """Name and width, in characters, of each column."""
    rows: Iterable[Sequence[str]]


def cell_text(text: str) -> str:
    """What a cell shows: cut, and characters that do not print spelt out, but for line feeds."""
    shown = visible(text, keep="\n")
    units = shown.encode("utf-16-le")
    if len(units) <= 2 * MAX_CELL:
        return shown
    # NOTE: half of a character that takes two units is left away.
    return units[: 2 * (MAX_CELL - 1)].decode("utf-16-le", "ignore") + "…"


def to_xlsx(title: str, sheets: Iterable[Sheet], moment: datetime) -> bytes:
    """A spreadsheet.

    Args:
        moment: when it says that it was made.
    """
    from openpyxl import Workbook

    book = Workbook()
    book.remove(book.active)
    book.properties.creator = "Muniment"
    book.properties.title = cell_text(title)
    book.properties.created = moment.replace(tzinfo=None)
    for sheet in sheets:
        _fill(book.create_sheet(sheet.title), sheet)
    written = BytesIO()
    book.save(written)
    return _settled(written.getvalue(), moment)


def _fill(page: object, sheet: Sheet) -> None:
    from openpyxl.cell import Cell
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.worksheet import Worksheet

    assert isinstance(page, Worksheet)
    top, bold = Alignment(wrap_text=True, vertical="top"), Font(bold=True)
    rows = ([name for name, _ in sheet.columns], *sheet.rows)
    for number, row in enumerate(rows, start=1):
        for column, text in enumerate(row, start=1):
            cell: Cell = page.cell(number, column, cell_text(text))
            # NOTE: as it is, openpyxl would make a formula of what begins with an equals sign; and
            # without the prefix a program may make one of it, or a date, when somebody edits it.
            cell.data_type = "s"
            cell.quotePrefix = True
            cell.alignment = top
            if number == 1:
                cell.font = bold
    for column, (_, width) in enumerate(sheet.columns, start=1):
        page.column_dimensions[get_column_letter(column)].width = width
    page.freeze_panes = "B2"
    page.auto_filter.ref = page.dimensions


def _settled(data: bytes, moment: datetime) -> bytes:
    """The same file without the time at which it was written."""
    settled = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as old, zipfile.ZipFile(settled, "w") as new:
        for name in sorted(old.namelist()):
            part = old.read(name)
            if name == _CORE:
                part = _MODIFIED.sub(rb"\g<1>" + format_time(moment).encode(), part)
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            new.writestr(entry, part)
    return settled.getvalue()
