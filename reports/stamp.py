"""The visible stamp of a signature, set with the packet's own fonts: embedded, as PDF/A asks."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

WIDTH, HEIGHT = 80, 22
"""Size in mm; the places kept on the sign-off page have the same."""


@contextmanager
def stamp_style(lines: Sequence[str], moment: datetime) -> Iterator[Any]:
    """What pyHanko draws into a field.

    Args:
        lines: each is cut where the stamp ends.
        moment: the only clock that the stamp's file is written by, UTC.

    Raises:
        ReportError: ``report.no-pango``.
    """
    from pyhanko.stamp import StaticStampStyle

    from .render import set_stamp

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "stamp.pdf")
        file.write_bytes(set_stamp(lines, WIDTH, HEIGHT, moment))
        # NOTE: the file is read when the field is filled, not before.
        yield StaticStampStyle.from_pdf_file(str(file), border_width=0, background_opacity=1)
