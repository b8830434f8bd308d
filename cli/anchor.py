"""``muniment anchor``: put checkpoints where the ledger's holder cannot take them back."""

from typing import Annotated

import typer

from .answer import Answer, command
from .options import AsJson, InRef, InWorkspace, open_workspace

app = typer.Typer(help="Put checkpoints out of the ledger holder's reach.", no_args_is_help=True)


@app.command("git")
@command
def git(
    ref: InRef = "refs/notes/muniment",
    push: Annotated[
        str | None,
        typer.Option("--push", metavar="REMOTE", help="Push the ref there, never by force."),
    ] = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Commit the last checkpoint to a git ref of its own.

    Working tree and index stay as they are. Nothing is written if the ref holds a checkpoint that
    the ledger does not extend.

    Example: muniment anchor git --push origin
    """
    from muniment.evidence.gitanchor import anchor_in_git
    from muniment.schemas.text import counted

    from . import show

    opened = open_workspace(workspace)
    made = anchor_in_git(opened.root, opened.ledger, ref=ref, push=push)

    def text() -> None:
        word = "is now" if made.is_new else "was already"
        show.line(
            f"the checkpoint of {counted(made.size, 'record')} {word} in {made.ref} ({made.commit})"
        )
        if made.pushed is not None:
            show.line(f"pushed to {made.pushed}")
        else:
            show.line("it proves more where you cannot change it: --push REMOTE")

    return Answer(
        {
            "ref": made.ref,
            "commit": made.commit,
            "size": made.size,
            "new": made.is_new,
            "pushed": made.pushed,
        },
        text,
    )


@app.command("witness")
@command
def witness(
    name: Annotated[
        list[str] | None,
        typer.Argument(help="Witnesses of the policy to ask; by default all of them."),
    ] = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Have the last checkpoint cosigned by witnesses.

    They are those of the policy that muniment.yaml names.

    Exit 0 if the policy's quorum has cosigned it, 1 if not, or if a witness knows another past.

    Example: muniment anchor witness
    """
    from muniment.evidence.witness import anchor_at_witnesses
    from muniment.schemas.finding import Finding
    from muniment.schemas.text import counted

    from . import show

    opened = open_workspace(workspace)
    done = anchor_at_witnesses(opened.ledger, opened.policy(), name or ())
    held = done.is_met and not done.contradicted

    def text() -> None:
        show.line(f"the checkpoint of {counted(done.size, 'record')}:")
        for item in done.asked:
            if item.error is not None:
                show.line(f"  {item.name}: {item.error.message} [{item.error.code}]")
                if item.error.found is not None:
                    show.line(f"    found {item.error.found}")
            else:
                word = "cosigned" if item.is_new else "had cosigned before"
                show.line(f"  {item.name}: {word}, {_time(item.time)}")
        show.line("the quorum is met" if done.is_met else "the quorum is NOT met", "bold")

    return Answer(
        {
            "size": done.size,
            "quorum": done.is_met,
            "witnesses": [
                {
                    "name": item.name,
                    "new": item.is_new,
                    "time": None if item.time is None else _time(item.time),
                    "error": None if item.error is None else Finding.of(item.error).to_json(),
                }
                for item in done.asked
            ],
        },
        text,
        0 if held else 1,
    )


def _time(seconds: int | None) -> str:
    from datetime import UTC, datetime

    from muniment.schemas.times import format_time

    try:
        return format_time(datetime.fromtimestamp(seconds or 0, UTC))
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s after 1970"
