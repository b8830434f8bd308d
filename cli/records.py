"""``muniment record``: look at records."""

from collections.abc import Mapping, Sequence
from textwrap import indent
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .answer import Answer, command
from .options import AsJson, InWorkspace, OfSystem, moment, open_workspace

if TYPE_CHECKING:
    from muniment.controls.standing import Erased
    from muniment.evidence.verified import VerifiedLedger
    from muniment.reports.workspace import Workspace
    from muniment.schemas.record import Record
    from muniment.schemas.statement import Subject

app = typer.Typer(help="Look at records.", no_args_is_help=True)


@app.command("list")
@command
def list_records(
    system: OfSystem = None,
    kind: Annotated[
        str | None, typer.Option("--kind", metavar="KIND", help="Only this kind.")
    ] = None,
    control: Annotated[
        str | None,
        typer.Option("--control", metavar="CONTROL", help="Only records that claim this control."),
    ] = None,
    signer: Annotated[
        str | None,
        typer.Option("--signer", metavar="WHO", help="Name, e-mail or fingerprint of the signer."),
    ] = None,
    subject: Annotated[
        str | None, typer.Option("--subject", metavar="FILE", help="A file, or the SHA-256 of one.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="WHEN", help="Recorded at this time or later (UTC)."),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="WHEN", help="Recorded at this time or earlier (UTC)."),
    ] = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """List records with their state; every record shown was verified.

    Of erased ones, what their erasure says of them is shown.

    Example: muniment record list --kind eval-result --control "MEASURE 2.3"
    """
    from . import show

    opened = open_workspace(workspace)
    with show.progress("verifying") as bar:
        verified = opened.verified(bar)
    found = opened.select(
        verified,
        system=system,
        kind=kind,
        control=control,
        signer=signer,
        subject=subject,
        since=moment(since, day_begins=True),
        until=moment(until),
    )
    faults = len(list(verified.report.findings))
    states = opened.standings(verified)
    # What an erased record claimed, and who signed it when, is not known any more.
    is_unknown = any(option is not None for option in (control, signer, subject, since, until))
    gone = [] if is_unknown else opened.erased(verified, system=system, kind=kind)
    gone = [item for item in gone if item.index not in states]
    listed = sorted(
        [(item.index, record_row(item, states), record_summary(item, states)) for item in found]
        + [(item.index, _erased_row(item), _erased_summary(item)) for item in gone],
        key=lambda item: item[0],
    )

    def text() -> None:
        record_table([row for _, row, _ in listed])
        _say_faults(faults)

    return Answer({"records": [item for _, _, item in listed], "faults": faults}, text)


@app.command("show")
@command
def show_record(
    record: Annotated[str, typer.Argument(help="#NUMBER, or the beginning of its digest.")],
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Show a record and what other records say of it.

    Example: muniment record show "#17"
    """
    from muniment.schemas.errors import VerificationError

    opened = open_workspace(workspace)
    ref = opened.resolve(record)
    verified = opened.verified()
    found = [item for item in verified.records if item.sha256 == ref.sha256]
    if not found:
        fault = next((item for item in verified.report.findings if item.record == ref.index), None)
        why = fault.message if fault else "the ledger does not hold"
        raise VerificationError(
            fault.code if fault else "record.untrusted",
            f"#{ref.index} is not trusted: {why}",
            hint="muniment verify lists every fault",
        )
    return answer_record(opened, verified, found[0], opened.standings(verified))


def answer_record(
    opened: "Workspace", verified: "VerifiedLedger", record: "Record", states: Mapping[int, str]
) -> Answer:
    """One record with everything around it.

    Args:
        states: what ``Workspace.standings`` gave.
    """
    from muniment.schemas.times import format_time

    from . import show

    statement = record.statement
    around = opened.around(verified, record)
    checkpoint = verified.require() if not list(verified.report.findings) else None
    data = {
        **record_summary(record, states),
        "statement": statement.to_json(),
        "receipt": {
            "leaf_sha256": record.sha256,
            "checkpoint": checkpoint.note.to_bytes().decode() if checkpoint else None,
        },
        "approvals": [record_summary(item) for item in around.approvals],
        "superseded_by": [record_summary(item) for item in around.superseded_by],
        "retracted_by": [record_summary(item) for item in around.retracted_by],
        "linked_by": [record_summary(item) for item in around.linked_by],
    }

    def text() -> None:
        show.line(f"{record} {record.kind}", "bold")
        show.pairs(
            [
                ("state", states[record.index]),
                ("system", str(statement.system or "the ledger itself")),
                ("digest", record.sha256),
                ("signed by", f"{record.signer.name} <{record.signer.email}>"),
                ("key", record.signer.fingerprint),
                ("collected", format_time(statement.collected_at)),
                ("recorded", format_time(record.recorded_at)),
                ("controls", ", ".join(statement.controls) or "none claimed"),
                ("source", _source(statement.source)),
                (
                    "receipt",
                    f"entry {record.index} of {checkpoint.size}, root {checkpoint.root.hex()}"
                    if checkpoint
                    else "the ledger does not hold: muniment verify",
                ),
                ("approved by", _people(around.approvals, "decision")),
                ("superseded by", ", ".join(map(str, around.superseded_by)) or "nothing"),
                ("retracted by", _retractions(around.retracted_by)),
                ("linked by", _links(around.linked_by)),
            ]
        )
        for item in statement.subjects:
            show.line()
            show.line(f"subject {item.name}", "bold")
            show.pairs([("  sha256", item.sha256), *_git(item)])
        import yaml

        show.line()
        show.line("body", "bold")
        body = yaml.safe_dump(_plain(statement.body), sort_keys=False, allow_unicode=True)
        show.line(indent(body.rstrip(), "  "))

    return Answer(data, text)


def record_summary(record: "Record", states: Mapping[int, str] | None = None) -> dict[str, Any]:
    """A record in one JSON object, without its body.

    Args:
        states: by place, whether a record counts; left out where that was not asked.
    """
    from muniment.schemas.times import format_time

    statement = record.statement
    return {
        "index": record.index,
        "sha256": record.sha256,
        "kind": record.kind,
        "system": statement.system.to_json() if statement.system else None,
        "controls": list(statement.controls),
        "signer": {
            "name": record.signer.name,
            "email": record.signer.email,
            "fingerprint": record.signer.fingerprint,
        },
        "collected_at": format_time(statement.collected_at),
        "recorded_at": format_time(record.recorded_at),
        "subjects": [subject.to_json() for subject in statement.subjects],
        **({"state": states[record.index]} if states is not None else {}),
    }


def _erased_summary(erased: "Erased") -> dict[str, Any]:
    return {
        "index": erased.index,
        "sha256": erased.sha256,
        "kind": erased.kind,
        "system": erased.system.to_json() if erased.system else None,
        "controls": [],
        "signer": None,
        "collected_at": None,
        "recorded_at": None,
        "subjects": [],
        "state": f"erased by #{erased.by}",
    }


def _erased_row(erased: "Erased") -> list[str]:
    system = str(erased.system or "")
    state = f"erased by #{erased.by}"
    return [f"#{erased.index}", erased.kind, system, "", "", "", state, ""]


def record_row(record: "Record", states: Mapping[int, str]) -> list[str]:
    """A record in one line of a table."""
    statement = record.statement
    return [
        str(record),
        record.kind,
        str(statement.system or ""),
        record.signer.name,
        statement.collected_at.strftime("%Y-%m-%d"),
        record.recorded_at.strftime("%Y-%m-%d"),
        states[record.index].partition(":")[0],
        ", ".join(control.partition(":")[2] for control in statement.controls),
    ]


def record_table(rows: Sequence[Sequence[str]]) -> None:
    """A table of records."""
    from . import show

    if not rows:
        return show.line("no records")
    columns = ["#", "kind", "system", "signed by", "collected", "recorded", "state", "controls"]
    show.table(columns, rows)


def _say_faults(faults: int) -> None:
    from muniment.schemas.text import counted

    from . import show

    if faults:
        show.note(
            f"the ledger has {counted(faults, 'fault')}; records at fault are not shown: "
            "muniment verify"
        )


def _git(subject: "Subject") -> list[tuple[str, str]]:
    link = subject.git
    if not link:
        return []
    if link["state"] != "committed":
        return [("  git", f"{str(link['state']).upper()}: known by its digest alone")]
    words = [f"commit {link['commit'][:12]}", f"signature {link['signature']}"]
    if link.get("pushed") is False:
        words.append("NOT PUSHED when it was recorded")
    return [("  git", ", ".join(words))]


def _source(source: Any) -> str:
    if not source:
        return "given by the signer"
    version = f" {source['version']}" if "version" in source else ""
    return f"{source['tool']}{version}, {source['format']}"


def _people(records: "Sequence[Record]", field: str) -> str:
    return (
        ", ".join(
            f"{record.signer.name} as {record.statement.body['role']} "
            f"({record.statement.body[field]}, {record})"
            for record in records
        )
        or "nobody"
    )


def _retractions(records: "Sequence[Record]") -> str:
    return (
        ", ".join(
            f"{record}, {record.signer.name}: {record.statement.body['reason']}"
            for record in records
        )
        or "nobody"
    )


def _links(records: "Sequence[Record]") -> str:
    return (
        ", ".join(
            f"{record} to {' and '.join(record.statement.body['controls'])}" for record in records
        )
        or "nothing"
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value
