"""``muniment coverage``: the state of every control, over systems and over time."""

import shutil
from typing import TYPE_CHECKING, Annotated

import typer

from muniment.reports.coverageforms.form import CoverageForm

from .answer import Answer, command
from .forms import Output, in_form, require_form
from .options import AsJson, Frameworks, InWorkspace, OfArtifact, WithProfile, open_workspace

if TYPE_CHECKING:
    from datetime import datetime

    from muniment.controls.coverage import State
    from muniment.reports.coverageforms.page import Page, Sheet
    from muniment.reports.coverages import Narrowed, SystemView

_MOST_DIGITS = 12
_PLAIN_WIDTH = 120


@command
def coverage(
    system: Annotated[
        list[str] | None,
        typer.Option(
            "--system",
            metavar="ID@VERSION",
            help="May be left out where there is only one; repeatable: side by side.",
        ),
    ] = None,
    all_systems: Annotated[
        bool, typer.Option("--all-systems", help="Every system version, side by side.")
    ] = False,
    owner: Annotated[
        str | None,
        typer.Option("--owner", metavar="EMAIL", help="The systems whose record names this owner."),
    ] = None,
    framework: Frameworks = None,
    function: Annotated[
        list[str] | None,
        typer.Option(
            "--function", metavar="GROUP", help="Controls of this group, as GOVERN; repeatable."
        ),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="Controls this evidence helps; repeatable."),
    ] = None,
    state: Annotated[
        list[str] | None,
        typer.Option("--state", metavar="STATE", help="Controls in this state; repeatable."),
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option(
            "--as-of",
            metavar="WHEN",
            help="Judge at this date or time (UTC), or checkpoint size, instead of now.",
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="WHEN",
            help="Show what changed since this date, time or checkpoint size.",
        ),
    ] = None,
    expiring: Annotated[
        str | None,
        typer.Option(
            "--expiring", metavar="TIME", help="Show what will lapse within this time, as 30d."
        ),
    ] = None,
    artifact: OfArtifact = None,
    profile: WithProfile = "production",
    detail: Annotated[
        bool, typer.Option("--detail", help="List every control, not only those with evidence.")
    ] = False,
    form: Annotated[
        CoverageForm, typer.Option("--format", help="Form of the answer.")
    ] = CoverageForm.TEXT,
    output: Output = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Show the state of every control, with reasons.

    --owner chooses systems; --function, --kind and --state choose controls, which must fit all of
    them. What became known only after --as-of is listed apart.

    Example: muniment coverage --framework nist-ai-rmf-1.0 --as-of 2026-06-30
    """
    from muniment.reports.coverageforms.form import render
    from muniment.reports.coverageforms.page import page
    from muniment.schemas.times import parse_duration

    from . import show

    require_form(form, CoverageForm.TEXT, output, as_json=as_json)
    _require_sense(system, all_systems, since, expiring)
    opened = open_workspace(workspace)
    narrowed = _narrowed(function, [opened.kinds.get(name).name for name in kind or ()], state)
    with show.progress("verifying") as bar:
        found = opened.views(
            system or (),
            profile=profile,
            frameworks=framework or (),
            as_of=_when(as_of),
            since=_when(since, day_begins=True),
            expiring=None if expiring is None else parse_duration(expiring),
            artifact=artifact,
            every=all_systems,
            owner=owner,
            progress=bar,
        )
    seen = [narrowed.of(view) for view in found]
    is_plural = all_systems or owner is not None or len(system or ()) > 1
    is_narrowed = any(narrowed.to_json().values())
    data = _data(seen, is_plural, narrowed if is_narrowed else None)
    shown = page(seen, detail=detail, narrowed=is_narrowed)
    return in_form(
        Answer(data, lambda: print_page(shown)),
        form,
        CoverageForm.TEXT,
        output,
        lambda text, document: render(shown, form, text=text, document=document).encode(),
    )


def _require_sense(
    system: list[str] | None,
    all_systems: bool,
    since: str | None,
    expiring: str | None,
) -> None:
    """Refuse options that contradict each other, before any work is done."""
    from muniment.schemas.errors import InputError

    if system and all_systems:
        raise InputError("usage.systems", "--system and --all-systems exclude each other")
    if since is not None and expiring is not None:
        raise InputError(
            "usage.since", "--since looks back and --expiring ahead: ask for one of them"
        )


def _narrowed(
    functions: list[str] | None, kinds: list[str], states: list[str] | None
) -> "Narrowed":
    from muniment.reports.coverages import Narrowed

    return Narrowed(tuple(functions or ()), tuple(kinds), tuple(map(_state, states or ())))


def _state(text: str) -> "State":
    from muniment.controls.coverage import State
    from muniment.schemas.errors import InputError

    try:
        return State(text.lower())
    except ValueError:
        raise InputError(
            "coverage.no-state",
            f"there is no state {text[:100]!r}",
            expected=", ".join(State),
            found=text,
        ) from None


def _when(text: str | None, *, day_begins: bool = False) -> "datetime | int | None":
    """A date, a time, or the size of a checkpoint."""
    from muniment.schemas.times import parse_moment

    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
        return int(text)
    return parse_moment(text, day_begins=day_begins)


def _data(
    views: "list[SystemView]", is_plural: bool, narrowed: "Narrowed | None"
) -> dict[str, object]:
    """The document: of one system its coverage, of several a list of these."""
    documents = [view.to_json() for view in views]
    data: dict[str, object] = {"systems": documents} if is_plural else documents[0]
    return data if narrowed is None else {**data, "shown": narrowed.to_json()}


def print_page(page: "Page") -> None:
    """The page on a terminal."""
    from . import show

    show.line(page.title, "bold")
    for line in page.lines:
        show.line(line)
    for sheet in page.sheets:
        show.line()
        if sheet.title:
            show.line(sheet.title, "bold")
        _print_sheet(sheet)
        if sheet.note:
            show.line(sheet.note)


def _print_sheet(sheet: "Sheet") -> None:
    """A table; one that counts states has a line for each row where the terminal is narrow."""
    from . import show

    if not sheet.rows:
        return
    width = shutil.get_terminal_size((_PLAIN_WIDTH, 24)).columns
    widest = [max(map(len, column)) for column in zip(sheet.columns, *sheet.rows, strict=True)]
    if sheet.is_heat and sum(widest) + 2 * len(widest) > width:
        for name, *cells, total in sheet.rows:
            counts = ", ".join(cell for cell in cells if cell[0].isdigit())
            show.line(f"{name}: {counts}, of {total}")
        return
    show.table(sheet.columns, sheet.rows, states=True)
