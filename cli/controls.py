"""``muniment controls``: what each control asks for, and how controls hang together."""

from typing import TYPE_CHECKING, Annotated

import typer

from .answer import Answer, command
from .options import AsJson, Frameworks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from muniment.controls.catalog import Control
    from muniment.controls.crosswalk import Outside, Path

app = typer.Typer(
    help="The controls of every framework, and what they ask for.", no_args_is_help=True
)

OneControl = Annotated[
    str, typer.Argument(metavar="CONTROL", help="Id, such as 'MEASURE 2.3' or iso-42001:A.6.2.4.")
]


@app.command("list")
@command
def list_controls(framework: Frameworks = None, as_json: AsJson = False) -> Answer:
    """List the controls of the frameworks that ship.

    Example: muniment controls list --framework eu-ai-act
    """
    from muniment.controls.catalog import SHIPPED, load_catalog

    from . import show

    catalogs = [load_catalog(name) for name in framework or SHIPPED]

    def text() -> None:
        for catalog in catalogs:
            show.line(f"{catalog.name} ({catalog.id}): {len(catalog.controls)} controls", "bold")
            show.table(
                ["control", "title", "evidence", "days"],
                [
                    [
                        control.short_id,
                        control.title,
                        ", ".join(control.requirement.any_of),
                        str(control.requirement.validity_days),
                    ]
                    for control in catalog.controls
                ],
            )
            show.line()

    return Answer({"catalogs": [catalog.to_json() for catalog in catalogs]}, text)


@app.command("show")
@command
def show_control(control: OneControl, as_json: AsJson = False) -> Answer:
    """Show what would meet a control, with the commands that do it.

    Example: muniment controls show "MEASURE 2.3"
    """
    from muniment.controls.guide import commands, sentences

    from . import show

    found = _control(control)
    asked, typed = sentences(found), commands(found)

    def text() -> None:
        show.line(f"{found.id} · {found.title}", "bold")
        show.line(found.summary)
        show.line()
        for sentence in asked:
            show.line(sentence)
        if found.facts:
            show.line()
            show.pairs((name.replace("-", " "), value) for name, value in found.facts)
        show.line()
        for line in typed:
            show.line(f"  {line}")

    return Answer({**found.to_json(), "id": found.id, "meets_it": asked, "commands": typed}, text)


@app.command("map")
@command
def map_control(control: OneControl, as_json: AsJson = False) -> Answer:
    """Show which other controls lend one their evidence.

    Example: muniment controls map "MEASURE 2.3"
    """
    from muniment.controls.catalog import SHIPPED
    from muniment.controls.crosswalk import Paths, load_crosswalk

    found = _control(control)
    crosswalk = load_crosswalk()
    paths = Paths(crosswalk, set(SHIPPED)).to(found.id)
    outside = [item for item in crosswalk.outside if item.control == found.id]
    return Answer(
        {
            "control": found.id,
            "paths": [
                {
                    "from": path.start,
                    "fit": str(path.fit),
                    "source": str(path.source),
                    "carries": path.carries,
                    "pairs": [pair.to_json() for pair in path.hops],
                }
                for path in paths
            ],
            "outside": [
                {"topic": item.topic, "fit": str(item.fit), "source": str(item.source)}
                for item in outside
            ],
        },
        lambda: _print_map(found, paths, outside),
    )


def _print_map(control: "Control", paths: "Sequence[Path]", outside: "Sequence[Outside]") -> None:
    from muniment.controls.catalog import catalogs_of

    from . import show

    titles = {
        item.id: item.title
        for catalog in catalogs_of(path.start for path in paths)
        for item in catalog.controls
    }
    show.line(f"{control.id} · {control.title}", "bold")
    if paths:
        show.table(
            ["evidence of", "title", "", "fit", "source", "by way of"],
            [
                [
                    path.start,
                    titles[path.start],
                    "carries over" if path.carries else "helps",
                    str(path.fit),
                    str(path.source),
                    ", ".join(path.ids[1:-1]),
                ]
                for path in paths
            ],
        )
    else:
        show.line("no pair of the crosswalk leads here")
    for pair in (hop for path in paths for hop in path.hops if hop.doubt):
        show.line(f"doubt about {pair.first} and {pair.second}: {pair.doubt}")
    for item in outside:
        show.line(f"beside the catalogs: {item.topic} ({item.fit}, {item.source})")


def _control(text: str) -> "Control":
    from muniment.controls.catalog import SHIPPED, catalogs_of, find_control

    wanted = find_control(text, SHIPPED)
    return next(item for item in catalogs_of([wanted])[0].controls if item.id == wanted)
