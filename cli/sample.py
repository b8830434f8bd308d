"""``muniment sample`` and ``sample record``: the auditor's test sample and what it came to."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .answer import Answer, command
from .attach import answer_attached
from .forms import Output, in_form, require_form
from .options import AsJson, InWorkspace, OfSystem, WithKey, open_workspace

if TYPE_CHECKING:
    from muniment.reports.sampleview import Drawing


class SampleForm(StrEnum):
    """Form of the sample."""

    TEXT = "text"
    JSON = "json"
    CSV = "csv"


class Division(StrEnum):
    """What the records are divided by; the values of ``controls.sample.By``."""

    KIND = "kind"
    CONTROL = "control"


app = typer.Typer()


@app.callback(invoke_without_command=True)
@command
def sample(
    context: typer.Context,
    n: Annotated[int, typer.Option("--n", metavar="N", help="How many records.")] = 25,
    seed_from: Annotated[
        str,
        typer.Option(
            "--seed-from",
            metavar="CHECKPOINT",
            help="Seed: a checkpoint's size, a file that holds one, or latest.",
        ),
    ] = "latest",
    salt: Annotated[
        str, typer.Option("--salt", metavar="WORD", help="The auditor's word, part of the seed.")
    ] = "",
    by: Annotated[
        Division, typer.Option("--by", help="What the records are divided by.")
    ] = Division.KIND,
    system: OfSystem = None,
    template: Annotated[
        Path | None,
        typer.Option(
            "--template", metavar="FILE", help="Write YAML to fill, for sample record and packet."
        ),
    ] = None,
    form: Annotated[
        SampleForm, typer.Option("--format", help="Form of the answer.")
    ] = SampleForm.TEXT,
    output: Output = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Draw records for an auditor to test, by a published rule.

    The same checkpoint, word and number give the same records on every machine. docs/formats.md has
    the rule, and who could influence the seed.

    Example: muniment sample --n 25 --seed-from 240 --salt 9f2c81d07b --template results.yaml
    """
    from muniment.controls.sample import By
    from muniment.reports.files import write_atomically
    from muniment.reports.sampleview import to_csv, to_template
    from muniment.reports.sampling import draw_sample

    from . import show

    _require_sense(form, output, template, as_json)
    opened = open_workspace(workspace)
    with show.progress("verifying") as bar:
        drawing = draw_sample(
            opened, n, system=system, seed_from=seed_from, salt=salt, by=By(by), progress=bar
        )
    answer = Answer(drawing.to_json(), lambda: _print(drawing))
    if template is not None:
        write_atomically(template, to_template(drawing).encode())
        show.note(f"wrote {template}; filled in, it is signed with: muniment sample record")
    return in_form(
        answer,
        form,
        SampleForm.TEXT,
        output,
        lambda _, document: (to_csv(drawing) if form is SampleForm.CSV else document).encode(),
    )


@app.command("record")
@command
def record(
    file: Annotated[Path, typer.Argument(help="The YAML of --template, every outcome filled in.")],
    workspace: InWorkspace = None,
    key: WithKey = None,
    as_json: AsJson = False,
) -> Answer:
    """Sign what the tests of a sample came to.

    An approver signs, a person, who signed none of the records they tested. The sample is drawn
    again: a list that the rule does not give is refused.

    Example: muniment sample record results.yaml --key auditor
    """
    from muniment.reports.sampling import record_results

    return answer_attached(record_results(open_workspace(workspace, key), file))


def _require_sense(
    form: SampleForm, output: Path | None, template: Path | None, as_json: bool
) -> None:
    """Refuse forms and files that do not go together before anything is read."""
    from muniment.reports.files import require_target
    from muniment.schemas.errors import InputError

    if form is SampleForm.TEXT and output is not None:
        raise InputError("usage.output", "text is for the terminal", hint="--format json or csv")
    require_form(form, SampleForm.TEXT, output, as_json=as_json)
    if template is not None:
        require_target(template)


def _print(drawing: "Drawing") -> None:
    from muniment.schemas.text import shorten

    from . import show

    drawn = drawing.sample
    show.line(drawing.title, "bold")
    show.line(f"seed: checkpoint {drawn.seed.size} of {drawing.origin}, root {drawn.seed.root}")
    if drawn.seed.salt:
        show.line(f"auditor's word: {drawn.seed.salt}")
    show.line()
    show.table(
        [str(drawn.by), "records", "drawn"],
        [[item.name, f"{item.population:,}", f"{item.drawn:,}"] for item in drawn.strata],
    )
    show.line()
    show.table(
        ["record", str(drawn.by), "signed by", "recorded", "standing", "digest"],
        [
            [
                f"#{line.index}",
                line.drawn.stratum,
                shorten(line.signer, 60),
                line.recorded,
                shorten(line.standing, 60),
                line.drawn.candidate.sha256[:12],
            ]
            for line in drawing.lines
        ],
    )
    for remark in drawing.remarks():
        show.line(f"note: {remark}")
