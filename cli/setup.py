"""``muniment init``."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from muniment.schemas.errors import InputError

from .answer import Answer, command
from .options import AsJson, Frameworks, WithKey, ask_passphrase

_FRAMEWORKS = ("nist-ai-rmf-1.0", "iso-42001-2023", "readiness-gate")
"""What a workspace uses unless it says otherwise."""


@command
def init(
    folder: Annotated[Path, typer.Argument(help="Folder of the workspace.")] = Path(),
    organisation: Annotated[
        str | None,
        typer.Option(
            "--organisation", metavar="NAME", help="Who runs the system; shown in packets."
        ),
    ] = None,
    origin: Annotated[
        str | None,
        typer.Option(
            "--origin", metavar="NAME", help="Name of the ledger, host-like: evidence.example.com."
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Your name.")] = None,
    email: Annotated[
        str | None, typer.Option("--email", metavar="ADDRESS", help="Your e-mail address.")
    ] = None,
    function: Annotated[
        list[str] | None,
        typer.Option(
            "--function", metavar="NAME", help="Function you approve for, such as risk; repeatable."
        ),
    ] = None,
    framework: Frameworks = None,
    ledger: Annotated[
        str | None,
        typer.Option(
            "--ledger", metavar="URL", help="Database URL; by default an SQLite file in .muniment/."
        ),
    ] = None,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask for a passphrase to encrypt new keys with.")
    ] = False,
    key: WithKey = None,
    as_json: AsJson = False,
) -> Answer:
    """Make a workspace: keys, ledger and muniment.yaml.

    Running it again changes nothing and says so. MUNIMENT_PASSPHRASE encrypts the new keys.

    Example: muniment init --organisation "Example Bank" --origin evidence.example.com
    """
    from muniment.controls.catalog import catalog_id
    from muniment.evidence.config import FILE_NAME
    from muniment.evidence.identity import git_identity, slug
    from muniment.reports.workspace import Holder, Workspace

    from . import show

    here = folder.resolve()
    if (here / FILE_NAME).exists():
        found = Workspace(here, key=key)
        return Answer(
            {"created": False, "workspace": str(here), "root": found.config.root},
            lambda: show.line(f"{here} is a workspace already; nothing was changed"),
        )
    if name is None or email is None:
        known_name, known_email = git_identity(here)
        name, email = name or known_name, email or known_email
    made = Workspace.init(
        here,
        organisation=organisation or here.name,
        origin=origin or slug(here),
        frameworks=[catalog_id(item) for item in framework or _FRAMEWORKS],
        holder=Holder(name, email),
        functions=function or [],
        passphrase=new_passphrase(passphrase),
        ledger=ledger,
        key=key,
        ask=ask_passphrase,
    )

    def text() -> None:
        show.line(f"made a workspace in {here}")
        show.pairs(
            [
                ("ledger", made.config.origin),
                ("root key", made.config.root),
                ("your key", str(made.keys.path(made.key_name))),
                ("ledger key", str(made.keys.ledger_path(made.ledger.vkey))),
            ]
        )
        show.line(f"commit {FILE_NAME}: it pins the root key")
        if not any((folder / ".git").exists() for folder in (here, *here.parents)):
            show.note(f"{here} is in no git repository: files cannot be linked to commits")
        show.line(
            "next: muniment system add ID@VERSION --name … --purpose … --phase pilot "
            "--risk-tier high --owner 'NAME <ADDRESS>' --model FILE"
        )

    return Answer(
        {
            "created": True,
            "workspace": str(here),
            "origin": made.config.origin,
            "root": made.config.root,
            "ledger_key": str(made.ledger.vkey),
        },
        text,
    )


def new_passphrase(ask: bool) -> str | None:
    """The passphrase for keys about to be made; None for none."""
    if ask and not os.environ.get("MUNIMENT_PASSPHRASE"):
        if not sys.stdin.isatty():
            raise InputError(
                "key.passphrase",
                "there is no terminal to ask for a passphrase",
                hint="set MUNIMENT_PASSPHRASE",
            )
        return str(
            typer.prompt(
                "Passphrase for the new keys", hide_input=True, confirmation_prompt=True, err=True
            )
        )
    return os.environ.get("MUNIMENT_PASSPHRASE")
