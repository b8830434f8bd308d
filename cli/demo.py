"""``muniment demo``."""

import itertools
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from .answer import Answer, command
from .options import AsJson

_MORE = "coverage --expiring 60d, soa, gate --profile clinics --dry-run"
"""What there is to see beside it."""


@command
def demo(
    folder: Annotated[
        Path | None,
        typer.Argument(help="Folder to make; by default muniment-demo, or the next number."),
    ] = None,
    as_json: AsJson = False,
) -> Answer:
    """Tell a story: evidence, coverage, a gate, a packet.

    It is made of real tools' files in a new git repository, and ends with a changed packet refused.

    Example: muniment demo d
    """
    from muniment.reports.coverageforms.page import heat
    from muniment.reports.demo import story

    from . import gate, review, show

    folder = folder or _free_folder()
    told = story.tell(folder, show.note)

    def text() -> None:
        for catalog in told.coverage.catalogs:
            show.line(heat(catalog).title)
        gate.print_gate(told.gated)
        show.line()
        show.line(f"packet: {told.packet} ({told.packet.stat().st_size:,} bytes)")
        review.print_report(told.verified, brief=True)
        show.line()
        show.line(f"the same packet with byte {told.flipped_at:,} changed: {told.flipped}")
        review.print_report(told.refused, brief=True)
        show.line()
        program = "muniment" if shutil.which("muniment") else Path(sys.argv[0]).resolve()
        show.line(f"next: cd {folder} && {program} coverage && {program} verify")
        show.line(f"and: coverage --since {told.pilot_size} (since the pilot's gate), {_MORE}")

    return Answer(
        {
            "workspace": str(told.workspace),
            "packet": str(told.packet),
            "gate_passed": told.gated.decision.passed,
            "packet_holds": told.verified.ok,
            "changed_packet_holds": told.refused.ok,
        },
        text,
    )


def _free_folder() -> Path:
    names = itertools.chain(["muniment-demo"], (f"muniment-demo-{n}" for n in itertools.count(2)))
    return next(path for path in map(Path, names) if not path.exists())
