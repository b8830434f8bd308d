"""The packet, against WeasyPrint setting one bare table with as many rows as there are records."""

import io
from pathlib import Path

import pikepdf
from weasyprint import HTML

from .ledgers import SYSTEM, new_workspace
from .measure import Case

ROUNDS = 3
SIZE = 150
FLOOR = "bare fixed-layout table"
_STYLE = "table {table-layout: fixed; width: 100%} td {overflow-wrap: anywhere}"


def cases(size: int, folder: Path) -> list[Case]:
    """A piece is a page; the packet is verified, evaluated, rendered, embedded and signed."""
    workspace = new_workspace(folder, size)
    cells = ("eval-result", "2026-01-01T00:00:00Z", "ana@example.com", "model.onnx", "a" * 64)
    row = "".join(f"<td>{cell}</td>" for cell in cells)
    rows = "".join(f"<tr><td>#{number}</td>{row}</tr>" for number in range(size))
    table = f"<style>{_STYLE}</style><table><colgroup>{'<col>' * 6}</colgroup>{rows}</table>"
    return [
        Case(FLOOR, lambda: _pages(HTML(string=table).write_pdf())),
        Case("Workspace.packet", lambda: _pages(workspace.packet(str(SYSTEM))), (FLOOR,)),
    ]


def _pages(pdf: bytes) -> int:
    with pikepdf.open(io.BytesIO(pdf)) as document:
        return len(document.pages)
