"""``muniment kind``: the kinds of evidence and their fields."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .answer import Answer, command
from .options import AsJson, InWorkspace, workspace_here

if TYPE_CHECKING:
    from muniment.schemas.kinds import KindRegistry

app = typer.Typer(help="The kinds of evidence and their fields.", no_args_is_help=True)


@app.command("list")
@command
def list_kinds(workspace: InWorkspace = None, as_json: AsJson = False) -> Answer:
    """List the kinds of evidence.

    Example: muniment kind list
    """
    from . import show

    kinds = list(_registry(workspace))
    return Answer(
        {
            "kinds": [
                {"name": kind.name, "title": kind.title, "description": kind.description}
                for kind in kinds
            ]
        },
        lambda: show.table(
            ["kind", "title", "what it is"],
            [[kind.name, kind.title, kind.description] for kind in kinds],
        ),
    )


@app.command("show")
@command
def show_kind(
    name: Annotated[str, typer.Argument(help="Name of the kind.")],
    template: Annotated[
        bool, typer.Option("--template", help="Print a YAML file to fill.")
    ] = False,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Show the fields of a kind; with --json its JSON Schema.

    Example: muniment kind show eval-result --template > body.yaml
    """
    from . import show

    kind = _registry(workspace).get(name)
    if template:
        filled = kind.template()
        return Answer({"template": filled}, lambda: show.line(filled.removesuffix("\n")))

    def text() -> None:
        show.line(f"{kind.title} ({kind.name})", "bold")
        show.line(kind.description)
        show.table(
            ["field", "type", "", "meaning"],
            [
                [
                    row.path,
                    row.type,
                    "required" if row.required else "",
                    row.description or row.title,
                ]
                for row in kind.fields()
            ],
        )

    return Answer({"kind": kind.name, "schema": dict(kind.schema)}, text)


def _registry(folder: Path | None) -> "KindRegistry":
    """The workspace's kinds; outside a workspace the built-in ones."""
    from muniment.schemas.kinds import KindRegistry

    opened = workspace_here(folder)
    return KindRegistry() if opened is None else opened.kinds
