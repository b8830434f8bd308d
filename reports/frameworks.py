"""A workspace's own frameworks on disk: ``frameworks/`` beside ``muniment.yaml``, kept in git.

=====================  =============================================================================
``ID.json``            a framework's text, as it was imported
``ID.yaml``            what evidence meets each of its controls, for people to write
``ID.crosswalk.json``  pairs of controls of two catalogs
=====================  =============================================================================
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from muniment.controls.catalog import Catalog, catalog_id, find_control, load_catalogs
from muniment.controls.crosswalk import Crosswalk, Source
from muniment.controls.exchange import ciso_assistant, oscal
from muniment.controls.exchange.crosswalk import SourceCrosswalk, require_own, tie
from muniment.controls.exchange.framework import Framework, read_framework, requirements_file
from muniment.controls.exchange.source import SourceCatalog
from muniment.schemas import strictjson, yamldoc
from muniment.schemas.errors import InputError, SchemaError
from muniment.schemas.files import files_in, read_small
from muniment.schemas.kinds import KindRegistry
from muniment.schemas.text import shorten

from .files import told_as_report_error, write_atomically

if TYPE_CHECKING:
    from .rulebook import RuleBook

FOLDER = "frameworks"
_CROSSWALK = ".crosswalk.json"
_MAX_JSON = 32 << 20
_MAX_YAML = 4 << 20


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What an import of frameworks wrote."""

    catalogs: tuple[SourceCatalog, ...]
    crosswalks: tuple[SourceCrosswalk, ...]
    files: tuple[Path, ...]


def own_frameworks(root: Path, kinds: KindRegistry) -> tuple[Framework, ...]:
    """The frameworks of the workspace at ``root``, by id.

    Raises:
        InputError: ``framework.…``, ``kind.unknown``, and what reading the files raises.
    """
    return tuple(
        _own(file, kinds)
        for file in files_in(root / FOLDER, ".json", "framework")
        if not file.name.endswith(_CROSSWALK)
    )


def own_crosswalks(root: Path, catalog: Callable[[str], Catalog]) -> tuple[Crosswalk, ...]:
    """The crosswalks of the workspace at ``root``, by id.

    Args:
        catalog: one that ships or is the workspace's own, by its name.

    Raises:
        SchemaError: ``crosswalk.malformed``.
        InputError: ``crosswalk.…``, and what reading the files raises.
    """
    return tuple(
        _own_crosswalk(file, catalog)
        for file in files_in(root / FOLDER, ".json", "framework")
        if file.name.endswith(_CROSSWALK)
    )


def _own_crosswalk(file: Path, catalog: Callable[[str], Catalog]) -> Crosswalk:
    value = strictjson.loads(read_small(file, _MAX_JSON), what=file.name)
    try:
        found = Crosswalk.from_json(value)
    except SchemaError as error:
        raise SchemaError(error.code, f"{file} is {error.message}", error.problems) from error
    except InputError as error:
        raise InputError(error.code, f"{file}: {error.message}", found=error.found) from error
    for end in dict.fromkeys(end for pair in found.pairs for end in (pair.first, pair.second)):
        try:
            known = find_control(end, (), catalog)
        except InputError as error:
            known, hint = None, error.hint
        else:
            hint = f"did you mean {known}?"
        if known != end:
            raise InputError(
                "crosswalk.unknown-control",
                f"{file} pairs {shorten(end, 200)!r}, and there is no such control",
                hint=hint,
                found=shorten(end, 200),
            )
    for pair in found.pairs:
        catalogs = [end.partition(":")[0] for end in (pair.first, pair.second)]
        require_own(catalogs, f"{pair.first} and {pair.second} in {file}")
    # NOTE: who wrote the file is not known here, whatever word stands in it.
    own = tuple(replace(pair, source=Source.IMPORTED) for pair in found.pairs)
    return replace(found, pairs=own)


def _own(file: Path, kinds: KindRegistry) -> Framework:
    needs = file.with_suffix(".yaml")
    framework = read_framework(
        file.stem,
        read_small(file, _MAX_JSON),
        read_small(needs, _MAX_YAML) if needs.exists() else None,
    )
    _require_free(file.stem)
    for control in framework.catalog.controls:
        for kind in (*control.requirement.any_of, *control.requirement.supporting):
            kinds.get(kind)
    return framework


def _require_free(name: str) -> None:
    """Refuse an id by which somebody could mean a catalog that ships.

    Raises:
        InputError: ``framework.taken``.
    """
    try:
        catalog_id(name)
    except InputError as error:
        if error.code == "catalog.unknown":
            return
    raise InputError(
        "framework.taken",
        f"{name} names a catalog that ships with Muniment",
        hint="give it another id with --as",
    )


def holds_framework(path: Path) -> bool:
    """Whether a file is, or is meant to be, a framework: YAML, XML, or JSON with one in it.

    Raises:
        InputError: what reading the file raises.
    """
    ending = path.suffix.lower()
    if ending != ".json":
        return ending in (".yaml", ".yml", ".xml")
    value = _read(path)
    return oscal.is_oscal(value) or ciso_assistant.is_library(value)


def import_frameworks(
    workspace: RuleBook, file: Path, as_id: str | None = None, kinds: Sequence[str] = ()
) -> TakenIn:
    """Take what ``file`` holds into ``frameworks/``; all of it, or nothing.

    Args:
        as_id: the catalog's id; by default made of its name.
        kinds: kinds of which any one meets any control; without them, every control is left open.

    Raises:
        InputError: ``framework.…``, ``crosswalk.…``, ``profile.…``, ``oscal.version`` or
            ``kind.unknown``.
        ReportError: ``report.unwritable``.
    """
    for kind in kinds:
        workspace.kinds.get(kind)
    catalogs, crosswalks = _taken_in(workspace, file, as_id)
    new: dict[str, str] = {}
    for catalog in catalogs:
        _require_free(catalog.id)
        # NOTE: the text last, because by it the framework is there.
        new[f"{catalog.id}.yaml"] = requirements_file(catalog, kinds)
        new[f"{catalog.id}.json"] = _json(catalog.to_json())
        read_framework(
            catalog.id,
            new[f"{catalog.id}.json"].encode(),
            new[f"{catalog.id}.yaml"].encode(),
        )
    for crosswalk in crosswalks:
        new[f"{crosswalk.id}{_CROSSWALK}"] = _json(crosswalk.to_json())
    return TakenIn(catalogs, crosswalks, _write(workspace.root / FOLDER, new))


def _taken_in(
    workspace: RuleBook, file: Path, as_id: str | None
) -> tuple[tuple[SourceCatalog, ...], tuple[SourceCrosswalk, ...]]:
    value = _read(file)
    if oscal.is_oscal(value):
        return (oscal.read_oscal(value, str(file), _fetch, as_id),), ()
    if not ciso_assistant.is_library(value):
        raise InputError(
            "framework.unknown",
            f"{file} is no framework that is known",
            expected="an OSCAL catalog or profile, or a library of CISO Assistant",
        )
    library = ciso_assistant.read_library(value, as_id)
    own = [*workspace.frameworks, *map(_as_framework, library.catalogs)]
    known = (*load_catalogs(), *(framework.catalog for framework in own))
    return library.catalogs, tuple(tie(found, own, known) for found in library.mappings)


def _as_framework(catalog: SourceCatalog) -> Framework:
    return read_framework(catalog.id, _json(catalog.to_json()).encode(), None)


def _read(file: Path) -> Any:
    """Read JSON or YAML, by the file's ending."""
    ending = file.suffix.lower()
    if ending == ".xml":
        raise InputError(
            "framework.xml",
            f"{file} is XML, which is not read",
            hint="OSCAL catalogs are published as JSON as well; oscal-cli converts them",
        )
    if ending == ".json":
        return strictjson.loads(read_small(file, _MAX_JSON), what=file.name)
    return yamldoc.load(read_small(file, _MAX_YAML), what=file.name)


def _fetch(href: str, place: str) -> tuple[Any, str]:
    """The file that a profile imports; never anything from elsewhere."""
    parts = urlsplit(href)
    path = PurePosixPath(unquote(parts.path))
    if parts.scheme or parts.netloc or path.is_absolute() or not parts.path:
        raise InputError(
            "profile.remote",
            f"the profile imports {shorten(href, 200)!r}, and nothing is ever fetched",
            hint="put that file beside the profile and write its relative path into href",
        )
    file = Path(place).parent / path
    return _read(file), str(file.resolve())


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def _write(folder: Path, new: dict[str, str]) -> tuple[Path, ...]:
    """Write new files; if one cannot be written, none is left."""
    taken = [name for name in new if (folder / name).exists()]
    if taken:
        raise InputError(
            "framework.exists",
            f"{folder / taken[0]} is there already, and what people wrote in it is not replaced",
            hint="give it another id with --as, or take the files away first",
        )
    written: list[Path] = []
    try:
        with told_as_report_error(folder):
            folder.mkdir(exist_ok=True)
        for name, text in new.items():
            written.append(folder / name)
            write_atomically(written[-1], text.encode())
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise
    return tuple(written)
