"""Options that several commands share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from muniment.reports.workspace import Workspace

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
InWorkspace = Annotated[
    Path | None,
    typer.Option(
        "--workspace",
        metavar="FOLDER",
        envvar="MUNIMENT_WORKSPACE",
        show_envvar=True,
        help="Folder of the workspace; by default the one you stand in.",
    ),
]
WithKey = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="NAME",
        envvar="MUNIMENT_KEY",
        show_envvar=True,
        help="Name of the signing key.",
    ),
]
OfSystem = Annotated[
    str | None,
    typer.Option(
        "--system",
        metavar="ID@VERSION",
        help="May be left out where there is only one.",
    ),
]
AsOf = Annotated[
    str | None,
    typer.Option(
        "--as-of", metavar="WHEN", help="Judge at this date or time (UTC) instead of now."
    ),
]
OfArtifact = Annotated[
    str | None,
    typer.Option(
        "--artifact", metavar="FILE", help="The model in question: a file, or its SHA-256."
    ),
]
WithProfile = Annotated[str, typer.Option("--profile", metavar="NAME", help="Profile of the gate.")]
Frameworks = Annotated[
    list[str] | None,
    typer.Option("--framework", metavar="CATALOG", help="Catalog to use; repeatable."),
]

InRef = Annotated[str, typer.Option("--ref", metavar="REF", help="Git ref that holds checkpoints.")]


def open_workspace(folder: Path | None, key: str | None = None) -> "Workspace":
    """The workspace at ``folder``, or the one around the current folder."""
    from muniment.reports.workspace import Workspace

    return Workspace.find(folder, key=key, ask=ask_passphrase)


def workspace_here(folder: Path | None) -> "Workspace | None":
    """The workspace; None where nobody named one and there is none around."""
    from muniment.schemas.errors import InputError

    try:
        return open_workspace(folder)
    except InputError as error:
        if error.code != "workspace.missing" or folder is not None:
            raise
        return None


def ask_passphrase(name: str) -> str | None:
    """Ask on the terminal; None where there is none."""
    import sys

    if not sys.stdin.isatty():
        return None
    return str(typer.prompt(f"Passphrase of key {name}", hide_input=True, err=True))


def moment(text: str | None, *, day_begins: bool = False) -> Any:
    """A date or time a person typed; a date is the end of that day, or its beginning."""
    from muniment.schemas.times import parse_moment

    return None if text is None else parse_moment(text, day_begins=day_begins)
