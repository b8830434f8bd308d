"""``muniment migrate``, ``fsck`` and ``backup``: for those who keep the ledger's database."""

from pathlib import Path
from typing import Annotated

import typer

from .answer import Answer, command
from .options import AsJson, InWorkspace, open_workspace


@command
def migrate(workspace: InWorkspace = None, as_json: AsJson = False) -> Answer:
    """Bring an older ledger's tables to this version.

    All of it happens, or nothing; records and checkpoints stay as they are.

    Example: muniment migrate
    """
    from . import show

    found, now = open_workspace(workspace).storage.migrate()

    def text() -> None:
        if found == now:
            show.line(f"the ledger has version {now} already")
        else:
            show.line(f"the ledger went from version {found} to {now}")

    return Answer({"from": found, "to": now}, text)


@command
def fsck(
    repair: Annotated[
        bool, typer.Option("--repair", help="Write what was rebuilt in the place of what differs.")
    ] = False,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Rebuild what is derived and report every difference.

    Index columns, subject rows, tiles and the table of erasures are computed anew from the entries.
    Exit 1 if anything differed, repaired or not. Records and checkpoints are never written, and not
    judged: that is ``muniment verify``.

    Example: muniment fsck --repair
    """
    from muniment.evidence import maintenance

    from . import show
    from .review import print_check

    opened = open_workspace(workspace)
    with show.progress("rebuilding") as bar:
        report = maintenance.fsck(opened.ledger, repair=repair, progress=bar)

    def text() -> None:
        found = "nothing differs" if report.ok else "differences were found"
        show.line(f"{report.subject}: {found}; whether the records hold, muniment verify says")
        for conclusion in report.conclusions:
            show.line(conclusion)
        for check in report.checks:
            print_check(check)

    return Answer(report.to_json(), text, 0 if report.ok else 1)


@command
def backup(
    file: Annotated[Path, typer.Argument(help="SQLite file to make; never one that is there.")],
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Copy the ledger into a new SQLite file.

    The copy is the ledger at one moment; others go on appending meanwhile. The artifacts' folder is
    not part of it.

    Example: muniment backup ledger-2026-03-01.db
    """
    from muniment.evidence import maintenance
    from muniment.schemas.text import counted

    from . import show

    checkpoint = maintenance.backup(open_workspace(workspace).ledger, file)
    data = {"file": str(file), "size": checkpoint.size, "root": checkpoint.root.hex()}

    def text() -> None:
        show.line(
            f"wrote {file}: {counted(checkpoint.size, 'record')}, root {checkpoint.root.hex()}"
        )

    return Answer(data, text)
