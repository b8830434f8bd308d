"""A text as a QR code, drawn as one path of inline SVG."""

from __future__ import annotations

from markupsafe import Markup

from .drawing import svg

_QUIET = 4
"""Modules of white around the code (ISO/IEC 18004 §5.3.8)."""


def qr(data: str, title: str) -> Markup:
    """The code of ``data``, at most 2,953 bytes in UTF-8."""
    import segno

    rows = segno.make(data, error="l", micro=False, encoding="utf-8").matrix
    side = len(rows) + 2 * _QUIET
    runs = []
    for y, row in enumerate(rows):
        x = 0
        while x < len(row):
            end = x
            while end < len(row) and row[end]:
                end += 1
            if end > x:
                runs.append(f"M{x + _QUIET} {y + _QUIET}h{end - x}v1h-{end - x}z")
            x = max(end, x + 1)
    path = f'<path d="{"".join(runs)}" fill="#000000"/>'
    return svg(side, side, title, [path])
