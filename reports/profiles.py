"""A workspace's own profiles on disk: ``profiles/*.yaml`` beside ``muniment.yaml``, kept in git."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from muniment.controls.layering import Document
from muniment.controls.profile import shipped_layers
from muniment.controls.profile_form import check_layer
from muniment.schemas import yamldoc
from muniment.schemas.errors import InputError, SchemaError
from muniment.schemas.files import files_in, read_small

FOLDER = "profiles"
_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Layer:
    """One profile's document and where it stands."""

    document: Document
    file: Path | None = None
    """None for one that ships."""

    @property
    def id(self) -> str:
        return str(self.document["profile"])


def all_layers(root: Path | None) -> dict[str, Layer]:
    """The profiles that ship and those of the workspace at ``root``, by id.

    Raises:
        InputError: ``profile.duplicate``, ``profile.unreadable`` and what ``read_layer`` raises.
    """
    found = {name: Layer(document) for name, document in shipped_layers().items()}
    for file in files_in(root / FOLDER, ".yaml", "profile") if root is not None else ():
        add(found, read_layer(file))
    return found


def add(layers: dict[str, Layer], layer: Layer) -> None:
    """Add a profile to others; the same file may stand there already.

    Raises:
        InputError: ``profile.duplicate``.
    """
    known = layers.get(layer.id)
    if known is not None and not _is_same(known, layer):
        other = known.file or "Muniment itself"
        raise InputError(
            "profile.duplicate",
            f"{layer.file} holds a profile {layer.id}, and so does {other}",
            hint="give one of them another name; a profile of another name can extend it",
        )
    layers[layer.id] = layer


def read_layer(file: Path) -> Layer:
    """One profile's file, checked for its form alone.

    Raises:
        SchemaError: ``profile.malformed``, with every fault.
        InputError: ``yaml.malformed``, and what reading the file raises.
    """
    document = yamldoc.load(read_small(file, _MAX_BYTES), what=file.name)
    try:
        check_layer(document)
    except SchemaError as error:
        raise SchemaError(error.code, f"{file} is {error.message}", error.problems) from error
    return Layer(document, file)


def _is_same(one: Layer, other: Layer) -> bool:
    return bool(one.file and other.file and one.file.resolve() == other.file.resolve())
