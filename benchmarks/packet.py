"""The packet, against WeasyPrint setting a bare table of as many rows; and other typesetters."""

import importlib.util
import io
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from weasyprint import HTML

from .ledgers import SYSTEM, new_workspace
from .measure import Case

ROUNDS = 1
SIZE = 1000
FLOOR = "bare fixed-layout table"
TAGGED = "the same table as PDF/A-3a, tagged"
_AIM = 1.5
_SMALL = 150
_STYLE = "table {table-layout: fixed; width: 100%} td {overflow-wrap: anywhere}"
_CELLS = ("eval-result", "2026-01-01T00:00:00Z", "ana@example.com", "model.onnx", "a" * 64)
_CHROMIUM = ("chromium", "chromium-browser", "google-chrome")


def cases(size: int, folder: Path) -> list[Case]:
    """A piece is a record, or a row; packets are verified, evaluated, rendered, embedded, signed.

    Packets of a quarter of ``size`` and of four times as many show how cost grows.
    """
    html = _table(size)
    first, last = max(size // 4, 1), size * 4
    floors = [
        Case(FLOOR, lambda: len(HTML(string=html).write_pdf()) and size),
        Case(TAGGED, lambda: len(HTML(string=html).write_pdf(pdf_variant="pdf/a-3a")) and size),
    ]
    return [
        *floors,
        *_others(html, size, folder),
        _packet(folder, min(_SMALL, size), "small", ()),
        _packet(folder, first, "first", ()),
        _packet(folder, size, "usual", (FLOOR, TAGGED), _AIM),
        _packet(folder, last, "last", (f"packet, {first:,} first",)),
    ]


def _packet(
    folder: Path, size: int, name: str, floors: tuple[str, ...], aim: float | None = None
) -> Case:
    workspace = new_workspace(folder / name, size)

    def run() -> int:
        workspace.packet(str(SYSTEM))
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
        print(f"packet, {size:,}: the renderer took {peak} MB at most", file=sys.stderr)
        return size

    return Case(f"packet, {size:,} {name}", run, floors, aim, size)


def _others(html: str, size: int, folder: Path) -> list[Case]:
    """The same table by those typesetters that are installed."""
    found: dict[str, Callable[[], object]] = {}
    if importlib.util.find_spec("typst"):
        found["Typst"] = lambda: _typst(size)
    if importlib.util.find_spec("reportlab"):
        found["ReportLab"] = lambda: _reportlab(size)
    browser = next(filter(None, map(shutil.which, _CHROMIUM)), None)
    if browser:
        found["Chromium"] = lambda: _chromium(str(browser), html, folder)
    for name in {"Typst", "ReportLab", "Chromium"} - set(found):
        print(f"packet: {name} is not installed, and left out", file=sys.stderr)

    def counting(run: Callable[[], object]) -> Callable[[], int]:
        return lambda: size if run() is not None else 0

    return [Case(f"{name}, the same table", counting(run), (FLOOR,)) for name, run in found.items()]


def _table(size: int) -> str:
    row = "".join(f"<td>{cell}</td>" for cell in _CELLS)
    rows = "".join(f"<tr><td>#{number}</td>{row}</tr>" for number in range(size))
    head = f"<html lang=en><title>Records</title><style>{_STYLE}</style>"
    return f"{head}<table><colgroup>{'<col>' * 6}</colgroup>{rows}</table>"


def _typst(size: int) -> bytes:
    import typst

    cells = ", ".join(f'"{cell}"' for cell in (*_CELLS[:-1], "\u200b".join(_CELLS[-1])))
    rows = f'..range({size}).map(n => ("#" + str(n), {cells})).flatten()'
    made: bytes = typst.compile(f"#table(columns: (1fr,) * 6, {rows})".encode())
    return made


def _reportlab(size: int) -> bytes:
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import LongTable, Paragraph, SimpleDocTemplate

    style = getSampleStyleSheet()["Normal"].clone("cell", splitLongWords=1, fontSize=12)
    rows = [[Paragraph(cell, style) for cell in (f"#{number}", *_CELLS)] for number in range(size)]
    out = io.BytesIO()
    SimpleDocTemplate(out).build([LongTable(rows, colWidths=[75] * 6)])
    return out.getvalue()


def _chromium(browser: str, html: str, folder: Path) -> bytes:
    page, pdf = folder.parent / "table.html", folder.parent / "table.pdf"
    page.write_text(html, "utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", f"--print-to-pdf={pdf}"]
    subprocess.run([browser, *options, page.as_uri()], check=True, capture_output=True)
    return pdf.read_bytes()
