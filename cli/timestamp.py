"""``muniment timestamp``: have an authority outside sign that the ledger was there."""

from pathlib import Path
from typing import Annotated

import typer

from .answer import Answer, command
from .options import AsJson, InWorkspace, open_workspace


@command
def timestamp(
    tsa: Annotated[
        str | None,
        typer.Option("--tsa", metavar="URL", help="Authority to ask; by default muniment.yaml's."),
    ] = None,
    roots: Annotated[
        Path | None,
        typer.Option(
            "--roots",
            metavar="FILE",
            help="Root certificates to trust, PEM.",
        ),
    ] = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Get an RFC 3161 time stamp over the latest checkpoint.

    Example: muniment timestamp --tsa https://tsa.example.com --roots tsa.pem
    """
    from muniment.schemas.times import format_time

    from . import show

    stamped = open_workspace(workspace).timestamp(tsa, roots)
    data = {
        "size": stamped.size,
        "source": stamped.source,
        "time": format_time(stamped.time),
        "new": stamped.is_new,
    }

    def text() -> None:
        if not stamped.is_new:
            show.line("there is a time stamp over this checkpoint already")
        show.line(
            f"the first {stamped.size} records were there at {data['time']}, says {stamped.source}"
        )

    return Answer(data, text)
