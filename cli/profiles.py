"""``muniment profile``: what a gate asks for, and what is wrong with it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .answer import Answer, command
from .options import AsJson, InWorkspace, workspace_here

if TYPE_CHECKING:
    from muniment.controls.lint import Fault
    from muniment.controls.profile import Profile
    from muniment.reports.profiles import Layer
    from muniment.reports.workspace import Workspace

app = typer.Typer(
    help="The profiles of the gate, and what is wrong with one.", no_args_is_help=True
)


@app.command("list")
@command
def list_profiles(workspace: InWorkspace = None, as_json: AsJson = False) -> Answer:
    """List the profiles that ship and the workspace's own.

    Example: muniment profile list
    """
    from . import show

    layers = _layers(workspace_here(workspace))
    rows = [
        [name, str(item.document["version"]), str(item.document["name"]), _place(item)]
        for name, item in layers.items()
    ]
    names = ("profile", "version", "name", "file")
    return Answer(
        {"profiles": [dict(zip(names, row, strict=True)) for row in rows]},
        lambda: show.table(list(names), rows),
    )


@app.command("show")
@command
def show_profile(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the profile.")],
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Show a profile with all its layers put together.

    Example: muniment profile show production
    """
    from muniment.controls.profile import resolve_profile

    layers = _layers(workspace_here(workspace))
    profile = resolve_profile(name, {key: item.document for key, item in layers.items()})
    data = {**profile.to_json(), "sha256": profile.sha256}
    return Answer(data, lambda: _print_profile(profile))


@app.command("lint")
@command
def lint_profile(
    profile: Annotated[
        str, typer.Argument(metavar="FILE|NAME", help="A profile's YAML file, or its name.")
    ],
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Find unknown ids, rules without effect and what nothing can meet; exit 1 if there are any.

    Example: muniment profile lint profiles/bank.yaml
    """
    from muniment.controls.catalog import load_catalog
    from muniment.controls.lint import lint
    from muniment.schemas.kinds import KindRegistry

    opened = workspace_here(workspace)
    layers, name = named_layers(profile, opened)
    if opened is not None:
        faults = opened.lint_profile(name, layers)
    else:
        documents = {key: item.document for key, item in layers.items()}
        faults = lint(name, documents, load_catalog, KindRegistry())
    data = {"profile": name, "faults": [fault.to_json() for fault in faults]}
    return Answer(data, lambda: _print_faults(name, faults), 1 if faults else 0)


def named_layers(text: str, opened: "Workspace | None") -> "tuple[dict[str, Layer], str]":
    """The profiles there are, with that of a file named by its path; and the name meant."""
    from muniment.reports.profiles import add, read_layer

    layers = _layers(opened)
    if not text.endswith((".yaml", ".yml")):
        return layers, text
    layer = read_layer(Path(text))
    add(layers, layer)
    return layers, layer.id


def _layers(opened: "Workspace | None") -> "dict[str, Layer]":
    from muniment.reports.profiles import all_layers

    return all_layers(None) if opened is None else dict(opened.profiles)


def _place(layer: "Layer") -> str:
    return f"{layer.file.parent.name}/{layer.file.name}" if layer.file else "ships with Muniment"


def _print_profile(profile: "Profile") -> None:
    from . import show

    show.line(f"{profile} · {profile.name}", "bold")
    show.line(profile.description)
    show.line()
    show.pairs(_facts(profile))
    for name, override in profile.overrides.items():
        asked = {key: value for key, value in override.to_json().items() if key != "reason"}
        show.line()
        show.line(f"{name} asks otherwise: {_words(asked)}")
        show.line(f"  why: {override.reason}")


def _facts(profile: "Profile") -> list[tuple[str, str]]:
    facts = []
    for catalog, controls in profile.blocks.items():
        wanted = "every control" if controls is None else ", ".join(controls)
        when = f" (for {profile.when[catalog]})" if catalog in profile.when else ""
        facts.append((f"blocks on {catalog}", f"{wanted}{when}"))
    for name, limit in profile.thresholds.items():
        facts.append((f"limits {name}", _words(limit.to_json())))
    facts.append(("inferred pairs", "count" if profile.inferred else "do not count"))
    facts.append(("may waive", ", ".join(profile.waived_by) or "nobody"))
    if profile.max_waiver_days is not None:
        facts.append(("longest waiver", f"{profile.max_waiver_days} days"))
    if profile.layers:
        facts.append(("stands on", ", ".join(profile.layers)))
    return [*facts, ("sha256", profile.sha256)]


def _words(document: dict[str, Any]) -> str:
    return "; ".join(
        f"{name} {', '.join(value) if isinstance(value, list) else value}"
        for name, value in document.items()
    )


def _print_faults(name: str, faults: "list[Fault]") -> None:
    from . import show

    if not faults:
        show.line(f"nothing is wrong with profile {name}")
        return
    show.table(
        ["", "where", "what is wrong", "code"],
        [
            [
                "stops the gate" if fault.stops else "",
                fault.where,
                f"{fault.text}\n{fault.hint or ''}".strip(),
                fault.code,
            ]
            for fault in faults
        ],
    )
