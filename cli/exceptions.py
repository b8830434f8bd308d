"""``muniment waive``, ``applicability`` and ``soa``: what is excused, and what was decided."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .answer import Answer, command
from .attach import answer_attached
from .forms import Output, in_form, require_form
from .options import (
    AsJson,
    AsOf,
    InWorkspace,
    OfSystem,
    WithKey,
    WithProfile,
    moment,
    open_workspace,
)

if TYPE_CHECKING:
    from muniment.controls.soa import Soa
    from muniment.reports.exceptions import Decision


class SoaForm(StrEnum):
    """Form of the statement of applicability."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    XLSX = "xlsx"


@command
def waive(
    controls: Annotated[
        list[str], typer.Argument(metavar="CONTROL…", help="Controls that stay open for a time.")
    ],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why they cannot be met now.")
    ],
    measure: Annotated[
        str, typer.Option("--measure", metavar="TEXT", help="What is done instead.")
    ],
    until: Annotated[
        str, typer.Option("--until", metavar="DATE", help="Last day; at most a year away.")
    ],
    profile: Annotated[
        str,
        typer.Option(
            "--profile",
            metavar="NAME",
            help="Profile under which it shall count: it says who may waive, and how long.",
        ),
    ] = "production",
    risk_acceptance: Annotated[
        bool, typer.Option("--risk-acceptance", help="Accept the risk that is left.")
    ] = False,
    residual: Annotated[
        str | None,
        typer.Option("--residual", metavar="TEXT", help="That risk; with --risk-acceptance."),
    ] = None,
    system: OfSystem = None,
    workspace: InWorkspace = None,
    key: WithKey = None,
    as_json: AsJson = False,
) -> Answer:
    """Let controls stand open for a time, by signed record.

    A waived control never counts as met. An approver signs, for a function that the profile names.

    Example: muniment waive A.6.2.6 --reason "Starts in May" --measure "Checked by hand"
    --until 2026-05-31 --key risk
    """
    from muniment.schemas.errors import InputError

    if risk_acceptance != (residual is not None):
        raise InputError(
            "usage.residual",
            "--risk-acceptance and --residual go together",
            hint="--residual says which risk is accepted",
        )
    opened = open_workspace(workspace, key)
    return answer_attached(
        opened.waive(
            controls,
            reason=reason,
            measure=measure,
            until=moment(until).date(),
            profile=profile,
            residual=residual,
            system=system,
        )
    )


@command
def applicability(
    controls: Annotated[
        list[str] | None, typer.Argument(metavar="CONTROL…", help="Controls that are decided.")
    ] = None,
    applicable: Annotated[
        bool | None,
        typer.Option("--applicable/--not-applicable", help="What is decided.", show_default=False),
    ] = None,
    justification: Annotated[
        str | None, typer.Option("--justification", metavar="TEXT", help="Why.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            metavar="FILE",
            help="YAML with many: CONTROL: {applicable: false, justification: …}",
        ),
    ] = None,
    system: OfSystem = None,
    workspace: InWorkspace = None,
    key: WithKey = None,
    as_json: AsJson = False,
) -> Answer:
    """Decide by signed record which controls apply.

    An approver for risk, legal or the executive owner signs.

    Example: muniment applicability A.10.3 --not-applicable --justification "No supplier" --key risk
    """
    decisions = _decisions(controls or [], applicable, justification, file)
    return answer_attached(
        open_workspace(workspace, key).decide_applicability(decisions, system=system)
    )


@command
def soa(
    system: OfSystem = None,
    as_of: AsOf = None,
    profile: WithProfile = "production",
    form: Annotated[SoaForm, typer.Option("--format", help="Form of the answer.")] = SoaForm.TABLE,
    output: Output = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Show the statement of applicability (ISO/IEC 42001).

    Every control of Annex A: whether it applies and why, its state, evidence and owner.

    Example: muniment soa --format xlsx -o soa.xlsx
    """
    from . import show

    _require_sense(form, output)
    require_form(form, SoaForm.TABLE, output, as_json=as_json)
    opened = open_workspace(workspace)
    with show.progress("verifying") as bar:
        found = opened.soa(system, profile=profile, as_of=moment(as_of), progress=bar)
    # NOTE: with a file, its rows go there alone.
    shown = _print if output is None else _print_title
    return in_form(
        Answer(found.to_json(), lambda: shown(found)),
        form,
        SoaForm.TABLE,
        output,
        lambda _, document: _render(found, form, document),
    )


def _decisions(
    controls: list[str], applicable: bool | None, justification: str | None, file: Path | None
) -> "list[Decision]":
    from muniment.reports.exceptions import Decision, read_decisions
    from muniment.schemas.errors import InputError

    given = (bool(controls), applicable is not None, justification is not None)
    if file is not None and not any(given):
        return read_decisions(file)
    if file is not None or applicable is None or justification is None or not controls:
        raise InputError(
            "usage.applicability",
            "say which controls, whether they apply and why, or name a file that does",
            expected="CONTROL… --applicable or --not-applicable --justification TEXT; or --file",
        )
    return [Decision(control, applicable, justification) for control in controls]


def _require_sense(form: SoaForm, output: Path | None) -> None:
    """Refuse forms and files that do not go together before anything is read."""
    from muniment.schemas.errors import InputError

    if form is SoaForm.XLSX and output is None:
        raise InputError("usage.output", "a spreadsheet is written to a file", hint="-o FILE")
    if form is SoaForm.TABLE and output is not None:
        raise InputError(
            "usage.output", "a table is for the terminal", hint="--format json, csv or xlsx"
        )


def _render(soa: "Soa", form: SoaForm, document: str) -> bytes:
    """The statement as a spreadsheet, as CSV, or as the document that ``--json`` prints."""
    from muniment.reports.soafiles import to_csv, to_xlsx

    if form is SoaForm.XLSX:
        return to_xlsx(soa)
    return (to_csv(soa) if form is SoaForm.CSV else document).encode()


def _print_title(soa: "Soa") -> None:
    from . import show

    counts = ", ".join(f"{number} {word}" for word, number in soa.counts().items())
    show.line(f"Statement of applicability of {soa.system}: {counts}", "bold")


def _print(soa: "Soa") -> None:
    from muniment.schemas.text import shorten

    from . import show

    _print_title(soa)
    show.table(
        ["control", "title", "decided", "state", "evidence", "owner", "justification"],
        [
            [
                line.short_id,
                line.control.title,
                line.decided,
                str(line.control.state),
                " ".join(f"#{ref.index}" for ref in line.control.evidence) or "–",
                ", ".join(line.owners) or "nobody",
                shorten(line.justification or "–", 100),
            ]
            for line in soa.lines
        ],
        style=3,
    )
