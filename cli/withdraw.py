"""``muniment supersede``, ``retract`` and ``erase``."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from .answer import Answer, command
from .attach import answer_attached, hashing, parse_digests, parse_settings
from .options import AsJson, InWorkspace, WithKey, moment, open_workspace

Records = Annotated[list[str], typer.Argument(help="Records, such as #17 or a digest prefix.")]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")]


@command
def supersede(
    record: Annotated[str, typer.Argument(help="Record to replace, such as #17.")],
    reason: Why,
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="[FILE]...", help="Files it speaks of.")
    ] = None,
    control: Annotated[
        list[str] | None,
        typer.Option("--control", metavar="CONTROL", help="By default those of the old record."),
    ] = None,
    body: Annotated[
        Path | None, typer.Option("--body", metavar="FILE", help="YAML or JSON with the fields.")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="Set one field.")
    ] = None,
    digest: Annotated[
        list[str] | None,
        typer.Option("--digest", metavar="PATH=FILE", help="Set a field to a file's SHA-256."),
    ] = None,
    collected_at: Annotated[
        str | None,
        typer.Option("--collected-at", metavar="WHEN", help="When the facts held (UTC)."),
    ] = None,
    workspace: InWorkspace = None,
    key: WithKey = None,
    as_json: AsJson = False,
) -> Answer:
    """Put better evidence in the place of a record.

    It is of the same kind, and by default claims the same controls; the old one stays in sight.

    Example: muniment supersede "#17" eval.json --reason "Run again on the corrected data"
    """
    from muniment.schemas.yamldoc import load_mapping

    opened = open_workspace(workspace, key)
    old = opened.entry(record).statement
    with ExitStack() as stack:
        attached = opened.attach(
            old.kind or old.predicate_type,
            *(files or ()),
            system=str(old.system) if old.system else None,
            controls=control or old.controls,
            body=load_mapping(body, what=str(body)) if body else None,
            settings=parse_settings(settings),
            digests=parse_digests(digest),
            collected_at=moment(collected_at, day_begins=True),
            supersedes=record,
            reason=reason,
            on_bytes=hashing(stack, files or []),
        )
    return answer_attached(attached)


@command
def retract(
    records: Records,
    reason: Why,
    workspace: InWorkspace = None,
    key: WithKey = None,
    as_json: AsJson = False,
) -> Answer:
    """Take records back; they count for nothing.

    They stay in the ledger and in sight. Their author may, and an approver.

    Example: muniment retract "#17" --reason "The wrong log file was attached"
    """
    return answer_attached(open_workspace(workspace, key).retract(records, reason))


@command
def erase(
    records: Records,
    basis: Annotated[
        str,
        typer.Option("--basis", metavar="TEXT", help="Law or order that asks for it."),
    ],
    reason: Why,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    workspace: InWorkspace = None,
    key: WithKey = None,
    as_json: AsJson = False,
) -> Answer:
    """Remove records' bytes because the law asks for it.

    An approver signs the order. The bytes and the files that only these records speak of go; places
    and proofs stay. Only evidence is erased: no key record, approval, retraction, erasure, link or
    gate decision, and of a system not the last record that registers it. If the answer is that
    bytes may still be in the database's files, the same command finishes it later.

    Example: muniment erase "#17" --basis "GDPR Art. 17(1)(b)" --reason "Consent was withdrawn"
    """
    from muniment.schemas.errors import InputError

    from . import show

    opened = open_workspace(workspace, key)
    if not yes:
        if as_json or not sys.stdin.isatty():
            raise InputError("erase.unconfirmed", "nothing brings erased bytes back", hint="--yes")
        typer.confirm(f"Erase {', '.join(records)} for good?", abort=True, err=True)
    attached = opened.erase(records, basis, reason)
    answer, body = answer_attached(attached), attached.record.statement.body
    places = [item["index"] for item in body["records"]]

    def text() -> None:
        answer.text()
        names = ", ".join(f"#{place}" for place in places)
        show.line(f"erased {names}, and stored files: {len(body['artifacts'])}")
        for sha256 in body["artifacts"]:
            show.line(f"file {sha256}")

    data = {**answer.data, "erased": places, "artifacts": list(body["artifacts"])}
    return Answer(data, text)
