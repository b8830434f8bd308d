"""Reading CISO Assistant libraries: YAML with frameworks and with mappings between frameworks.

Source: https://intuitem.gitbook.io/ciso-assistant, "Designing your own libraries". An assessable
requirement node becomes a control; the others become its group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muniment.schemas.errors import InputError
from muniment.schemas.text import shorten

from .source import (
    MAX_DEPTH,
    Notes,
    RawControl,
    SourceCatalog,
    catalog_id,
    collect,
    entries,
    malformed,
    mapping,
    text_of,
)

_RELATIONS = {"equal", "intersect", "subset", "superset", "not_related"}
_TITLE = 120


@dataclass(frozen=True, slots=True)
class RawPair:
    """One mapping as the library has it."""

    source: str
    """URN of a requirement node."""
    target: str
    relation: str
    """``equal``, ``intersect``, ``subset`` or ``superset``, of the source to the target."""
    rationale: str


@dataclass(frozen=True, slots=True)
class RawMapping:
    """A set of mappings between two frameworks."""

    ref: str
    name: str
    origin: str
    """URN of the set."""
    source: str
    """URN of a framework."""
    target: str
    pairs: tuple[RawPair, ...]


@dataclass(frozen=True, slots=True)
class Library:
    """What a library holds that Muniment uses."""

    catalogs: tuple[SourceCatalog, ...]
    mappings: tuple[RawMapping, ...]


def is_library(value: Any) -> bool:
    """Whether a document is a CISO Assistant library."""
    return isinstance(value, dict) and "objects" in value and "urn" in value


def read_library(value: Any, as_id: str | None = None) -> Library:
    """Read every framework and every set of mappings.

    Args:
        as_id: the id of the one framework's catalog; by default its ``ref_id``.

    Raises:
        InputError: ``framework.…`` or ``crosswalk.relation``.
    """
    objects = mapping(mapping(value, "the library").get("objects"), "objects")
    frameworks = _several(objects, "framework")
    mappings = _several(objects, "requirement_mapping_set")
    if not frameworks and not mappings:
        raise InputError(
            "framework.empty",
            "the library holds no framework and no mapping",
            hint="threats, risk matrices and reference controls are not used here",
            found=", ".join(sorted(map(str, objects)))[:200] or None,
        )
    if as_id is not None and len(frameworks) != 1:
        raise InputError("framework.id", "--as names one framework; the library does not hold one")
    return Library(
        tuple(_framework(item, as_id) for item in frameworks),
        tuple(_mapping(item) for item in _forward(mappings)),
    )


def _several(objects: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """What stands under ``name`` or its plural, which libraries of different age use."""
    found = entries(objects, f"{name}s", "objects")
    single = objects.get(name)
    if isinstance(single, list):
        return [*entries(objects, name, "objects"), *found]
    return [*([mapping(single, name)] if single is not None else []), *found]


def _framework(node: Mapping[str, Any], as_id: str | None) -> SourceCatalog:
    urn = text_of(node, "urn", "the framework", required=True)
    name = text_of(node, "name", "the framework") or text_of(node, "ref_id", urn) or urn
    nodes = _nodes(entries(node, "requirement_nodes", "the framework"))
    notes = Notes()
    prefix = urn.lower().replace(":framework:", ":req_node:") + ":"
    controls = [
        _control(item_urn, item, nodes, prefix)
        for item_urn, item in nodes.items()
        if item.get("assessable") is True
    ]
    return collect(name, urn.lower(), controls, notes, as_id or _made_id(node, urn))


def _made_id(node: Mapping[str, Any], urn: str) -> str:
    return catalog_id(text_of(node, "ref_id", "the framework") or urn.rpartition(":")[2])


def _nodes(found: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Requirement nodes by URN; every parent is there, and nobody is their own ancestor."""
    nodes: dict[str, Mapping[str, Any]] = {}
    for item in found:
        urn = text_of(item, "urn", "a requirement node", required=True).lower()
        if urn in nodes:
            raise InputError("framework.duplicate", f"an id stands twice: {shorten(urn, 200)}")
        nodes[urn] = item
    for urn in nodes:
        _ancestors(nodes, urn)
    return nodes


def _ancestors(nodes: Mapping[str, Mapping[str, Any]], urn: str) -> list[str]:
    """URNs of the nodes that a node stands under, outermost first."""
    found: list[str] = []
    at = urn
    while parent := text_of(nodes[at], "parent_urn", at).lower():
        if parent not in nodes:
            raise InputError(
                "framework.parent",
                f"the parent of {shorten(at, 200)} is not in the library",
                found=shorten(parent, 200),
            )
        if parent == urn or parent in found:
            raise InputError("framework.cycle", f"a node is its own ancestor: {parent[:200]}")
        if len(found) == MAX_DEPTH:
            raise malformed(f"{urn} is nested deeper than {MAX_DEPTH} levels")
        found.append(parent)
        at = parent
    return found[::-1]


def _control(
    urn: str, node: Mapping[str, Any], nodes: Mapping[str, Mapping[str, Any]], prefix: str
) -> RawControl:
    name, text = text_of(node, "name", urn), text_of(node, "description", urn)
    tail = urn.removeprefix(prefix) if urn.startswith(prefix) else urn.rpartition(":")[2]
    ref = text_of(node, "ref_id", urn)
    return RawControl(
        urn,
        tuple(label for label in (ref, tail) if label),
        name or shorten(text.partition("\n")[0], _TITLE) or ref,
        text or name,
        tuple(_group(item, nodes[item]) for item in _ancestors(nodes, urn)),
    )


def _group(urn: str, node: Mapping[str, Any]) -> str:
    for name in ("ref_id", "name", "description"):
        if text := text_of(node, name, urn):
            return shorten(text, 80)
    return urn.rpartition(":")[2]


def _forward(found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The sets but for those that say another one backwards, as the converter writes them."""
    kept: list[Mapping[str, Any]] = []
    seen: set[tuple[str, str]] = set()
    for item in found:
        ends = tuple(
            text_of(item, f"{end}_framework_urn", "the mapping", required=True).lower()
            for end in ("source", "target")
        )
        if (ends[1], ends[0]) not in seen:
            kept.append(item)
        seen.add((ends[0], ends[1]))
    return kept


def _mapping(node: Mapping[str, Any]) -> RawMapping:
    urn = text_of(node, "urn", "the mapping", required=True).lower()
    ref = text_of(node, "ref_id", urn) or urn.rpartition(":")[2]
    pairs = []
    for item in entries(node, "requirement_mappings", urn):
        relation = text_of(item, "relationship", urn, required=True).lower()
        if relation not in _RELATIONS:
            raise InputError(
                "crosswalk.relation",
                "a mapping has a relationship that is not known",
                expected=", ".join(sorted(_RELATIONS)),
                found=shorten(relation, 100),
            )
        pairs.append(
            RawPair(
                text_of(item, "source_requirement_urn", urn, required=True).lower(),
                text_of(item, "target_requirement_urn", urn, required=True).lower(),
                relation,
                text_of(item, "rationale", urn),
            )
        )
    if not pairs:
        raise malformed(f"{urn} maps nothing")
    return RawMapping(
        ref,
        text_of(node, "name", urn) or ref,
        urn,
        text_of(node, "source_framework_urn", urn, required=True).lower(),
        text_of(node, "target_framework_urn", urn, required=True).lower(),
        tuple(pairs),
    )
