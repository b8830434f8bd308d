"""``muniment system``: register system versions and look at them."""

from typing import Annotated, Any

import typer

from .answer import Answer, command
from .options import AsJson, InWorkspace, WithKey, open_workspace

app = typer.Typer(help="Register system versions and look at them.", no_args_is_help=True)


@app.command("add")
@command
def add(
    system: Annotated[str, typer.Argument(help="ID@VERSION, such as credit-risk@2.1.0.")],
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="Name people use.")
    ] = None,
    purpose: Annotated[
        str | None, typer.Option("--purpose", metavar="TEXT", help="What it is for.")
    ] = None,
    phase: Annotated[
        str | None,
        typer.Option("--phase", metavar="PHASE", help="experiment, pilot, production or retired."),
    ] = None,
    risk_tier: Annotated[
        str | None,
        typer.Option("--risk-tier", metavar="TIER", help="minimal, limited, high or unacceptable."),
    ] = None,
    owner: Annotated[
        str | None,
        typer.Option(
            "--owner", metavar="PERSON", help='Who answers for it: "Name <mail@example.com>".'
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", metavar="FILE", help="The model file that ships.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Set another field."),
    ] = None,
    supersedes: Annotated[
        str | None,
        typer.Option("--supersedes", metavar="RECORD", help="System record this one replaces."),
    ] = None,
    workspace: InWorkspace = None,
    key: WithKey = None,
    as_json: AsJson = False,
) -> Answer:
    """Register a version of a system.

    Example: muniment system add credit-risk@2.1.0 --name "Credit risk" --purpose "Rates loans"
    --phase pilot --risk-tier high --owner "Product Owner <owner@example.com>" --model model.onnx
    """
    from pathlib import Path

    from .attach import answer_attached, parse_person, parse_settings

    body: dict[str, Any] = {
        field: value
        for field, value in {
            "name": name,
            "purpose": purpose,
            "phase": phase,
            "riskTier": risk_tier,
            "owner": parse_person(owner) if owner else None,
            "model": {"name": Path(model).name} if model else None,
        }.items()
        if value is not None
    }
    attached = open_workspace(workspace, key).attach(
        "system",
        system=system,
        body=body,
        settings=parse_settings(settings),
        digests={"model.sha256": model} if model else {},
        supersedes=supersedes,
    )
    return answer_attached(attached)


@app.command("list")
@command
def list_systems(workspace: InWorkspace = None, as_json: AsJson = False) -> Answer:
    """List the registered system versions.

    Example: muniment system list
    """
    from . import show

    opened = open_workspace(workspace)
    verified = opened.verified()
    known = opened.registrations(verified, opened.standings(verified))
    latest = {str(system): record for system, record in known.items()}
    data = [
        {"system": name, "record": record.index, "body": dict(record.statement.body)}
        for name, record in latest.items()
    ]
    rows = [
        [
            name,
            str(record.statement.body["name"]),
            str(record.statement.body["phase"]),
            str(record.statement.body["riskTier"]),
            str(record.statement.body["owner"]["name"]),
            str(record),
        ]
        for name, record in latest.items()
    ]
    columns = ["system", "name", "phase", "risk tier", "owner", "record"]

    def text() -> None:
        if rows:
            show.table(columns, rows)
        else:
            show.line("no system is registered: muniment system add ID@VERSION …")

    return Answer({"systems": data}, text)


@app.command("show")
@command
def show_system(
    system: Annotated[str | None, typer.Argument(help="ID@VERSION.")] = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Show one system version and the evidence about it.

    Example: muniment system show credit-risk@2.1.0
    """
    from . import show
    from .records import answer_record, record_row, record_summary, record_table

    opened = open_workspace(workspace)
    ref = opened.system(system)
    verified = opened.verified()
    about = [record for record in verified.records if record.statement.system == ref]
    states = opened.standings(verified)
    latest = opened.registrations(verified, states)[ref]
    shown = answer_record(opened, verified, latest, states)

    def text() -> None:
        shown.text()
        show.line()
        record_table([record_row(record, states) for record in about])

    summaries = [record_summary(record, states) for record in about]
    return Answer({**shown.data, "records": summaries}, text)
