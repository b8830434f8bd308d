"""The statement of applicability as CSV and as a spreadsheet.

Cells hold what strangers signed: none of them becomes a formula.
"""

from __future__ import annotations

from collections.abc import Iterator

from muniment.controls.soa import Soa, SoaLine
from muniment.schemas.text import shorten, visible
from muniment.schemas.times import format_time

from . import inert, workbook
from .workbook import MAX_CELL, Sheet

COLUMNS = (
    "Control",
    "Title",
    "Applicable",
    "Justification",
    "Decided by",
    "Decided in",
    "Status",
    "Status by evidence alone",
    "Evidence",
    "Owner",
)
_WIDTHS = (10, 40, 16, 60, 20, 12, 16, 16, 20, 24)


def rows(soa: Soa) -> Iterator[tuple[str, ...]]:
    """One row for each control, in the order of ``COLUMNS``."""
    for line in soa.lines:
        yield tuple(shorten(visible(cell), MAX_CELL) for cell in _cells(line))


def heading(soa: Soa) -> list[tuple[str, str]]:
    """What the statement is about and rests on, as name and value."""
    ledger = soa.ledger
    return [
        ("System", str(soa.system)),
        ("As of", format_time(soa.as_of)),
        ("Profile", soa.profile),
        ("Profile SHA-256", soa.profile_sha256),
        ("Checkpoint", f"{ledger.origin}, size {ledger.size}, {ledger.root}" if ledger else ""),
    ]


def _cells(line: SoaLine) -> tuple[str, ...]:
    control, said = line.control, line.control.applicability
    return (
        line.short_id,
        control.title,
        line.decided,
        said.justification if said else "",
        said.by if said else "",
        f"#{said.record.index}" if said else "",
        str(control.state),
        str(control.underlying or control.state),
        ", ".join(f"#{ref.index}" for ref in control.evidence),
        ", ".join(line.owners),
    )


def to_csv(soa: Soa) -> str:
    """The statement as CSV (RFC 4180); a cell that looks like a formula begins with ``'``.

    The last columns say in every row what the statement is about.
    """
    names, about = zip(*heading(soa), strict=True)
    return inert.to_csv((*COLUMNS, *names), ((*row, *about) for row in rows(soa)))


def to_xlsx(soa: Soa) -> bytes:
    """The statement as a spreadsheet, every cell text; a second sheet says what it is about."""
    columns = tuple(zip(COLUMNS, _WIDTHS, strict=True))
    sheets = (
        Sheet("Statement of applicability", columns, tuple(rows(soa))),
        Sheet("About", (("About", 20), ("", 80)), heading(soa)),
    )
    return workbook.to_xlsx(f"Statement of applicability of {soa.system}", sheets, soa.as_of)
