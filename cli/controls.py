"""``muniment controls``: what each control asks for, and how controls hang together."""

from typing import TYPE_CHECKING, Annotated

import typer

from .answer import Answer, command
from .options import AsJson, Frameworks, InWorkspace, workspace_here

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from muniment.controls.catalog import Catalog, Control
    from muniment.controls.crosswalk import Crosswalk, Outside, Path
    from muniment.reports.workspace import Workspace

app = typer.Typer(
    help="The controls of every framework, and what they ask for.", no_args_is_help=True
)

OneControl = Annotated[
    str, typer.Argument(metavar="CONTROL", help="Id, such as 'MEASURE 2.3' or iso-42001:A.6.2.4.")
]


@app.command("list")
@command
def list_controls(
    framework: Frameworks = None, workspace: InWorkspace = None, as_json: AsJson = False
) -> Answer:
    """List the controls of every framework.

    Those that ship, and the workspace's own from frameworks/.

    Example: muniment controls list --framework eu-ai-act
    """
    from . import show

    opened = workspace_here(workspace)
    catalogs = [_catalog(name, opened) for name in framework or _catalogs(opened)]

    def text() -> None:
        for catalog in catalogs:
            show.line(f"{catalog.name} ({catalog.id}): {len(catalog.controls)} controls", "bold")
            show.table(
                ["control", "title", "evidence", "days"],
                [
                    [
                        control.short_id,
                        control.title,
                        ", ".join(control.requirement.any_of) or "nobody has said",
                        str(control.requirement.validity_days),
                    ]
                    for control in catalog.controls
                ],
            )
            show.line()

    return Answer({"catalogs": [catalog.to_json() for catalog in catalogs]}, text)


@app.command("show")
@command
def show_control(
    control: OneControl, workspace: InWorkspace = None, as_json: AsJson = False
) -> Answer:
    """Show what would meet a control, with the commands that do it.

    Example: muniment controls show "MEASURE 2.3"
    """
    from muniment.controls.guide import commands, sentences

    from . import show

    found = _control(control, workspace_here(workspace))
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
def map_control(
    control: OneControl, workspace: InWorkspace = None, as_json: AsJson = False
) -> Answer:
    """Show which other controls lend one their evidence.

    Example: muniment controls map "MEASURE 2.3"
    """
    from muniment.controls.crosswalk import Paths, load_crosswalk

    opened = workspace_here(workspace)
    found = _control(control, opened)
    crosswalk: Crosswalk = load_crosswalk() if opened is None else opened.crosswalk
    paths = Paths(crosswalk, set(_catalogs(opened))).to(found.id)
    titles = _titles((path.start for path in paths), opened)
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
        lambda: _print_map(found, paths, titles, outside),
    )


def _print_map(
    control: "Control",
    paths: "Sequence[Path]",
    titles: "Mapping[str, str]",
    outside: "Sequence[Outside]",
) -> None:
    from . import show

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


def _catalogs(opened: "Workspace | None") -> list[str]:
    """Ids of the catalogs there are."""
    from muniment.controls.catalog import SHIPPED

    own = () if opened is None else opened.frameworks
    return [*SHIPPED, *(framework.catalog.id for framework in own)]


def _catalog(name: str, opened: "Workspace | None") -> "Catalog":
    from muniment.controls.catalog import load_catalog

    return load_catalog(name) if opened is None else opened.catalog(name)


def _titles(controls: "Iterable[str]", opened: "Workspace | None") -> dict[str, str]:
    """Titles of all controls of the catalogs that hold these."""
    return {
        item.id: item.title
        for name in sorted({control.partition(":")[0] for control in controls})
        for item in _catalog(name, opened).controls
    }


def _control(text: str, opened: "Workspace | None") -> "Control":
    from muniment.controls.catalog import SHIPPED, find_control

    wanted = find_control(text, SHIPPED) if opened is None else opened.control(text)
    catalog = _catalog(wanted.partition(":")[0], opened)
    return next(item for item in catalog.controls if item.id == wanted)
