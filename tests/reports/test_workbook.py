"""Cells of a spreadsheet."""

from __future__ import annotations

import pytest

from muniment.reports.workbook import MAX_CELL, cell_text


@pytest.mark.parametrize("char", ["a", "ä", "漢", "🙂"])
@pytest.mark.parametrize("more", [-1, 0, 1, 2, MAX_CELL])
def test_cells_hold_what_programs_hold(char: str, more: int) -> None:
    """A cell is cut by UTF-16 units, of which a character beyond the first 65,536 takes two; what
    fits is whole, and no half of a character is left."""
    units = len(char.encode("utf-16-le")) // 2
    for text in (char * ((MAX_CELL + more) // units), "x" + char * ((MAX_CELL + more) // units)):
        shown = cell_text(text)
        length = len(text.encode("utf-16-le")) // 2
        if length <= MAX_CELL:
            assert shown == text
        else:
            assert shown.endswith("…") and text.startswith(shown[:-1])
            assert MAX_CELL - 1 <= len(shown.encode("utf-16-le")) // 2 <= MAX_CELL
