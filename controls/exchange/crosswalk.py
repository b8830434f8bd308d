"""Mappings between two frameworks, tied to controls that the workspace knows.

Only ``equal`` carries evidence over (``close``); what merely overlaps is ``partial`` and supports.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muniment.controls.catalog import Catalog, catalog_named
from muniment.schemas.errors import InputError
from muniment.schemas.text import shorten

from .ciso_assistant import RawMapping
from .framework import Framework
from .source import Notes, catalog_id, id_key

CLOSE, PARTIAL = "close", "partial"


@dataclass(frozen=True, slots=True)
class Pair:
    """One control beside one of another catalog."""

    source: str
    """Full id, ``catalog:control``."""
    target: str
    fit: str
    """``close`` or ``partial``."""
    relation: str
    """The word of the file it came from."""
    rationale: str

    def to_json(self) -> dict[str, Any]:
        """The pair as ``frameworks/ID.crosswalk.json`` holds it."""
        return {
            "source": self.source,
            "target": self.target,
            "fit": self.fit,
            "relation": self.relation,
            "rationale": self.rationale,
        }


@dataclass(frozen=True, slots=True)
class SourceCrosswalk:
    """A set of pairs between two catalogs, and where it is from."""

    id: str
    name: str
    origin: str
    """URN of what it was read from."""
    pairs: tuple[Pair, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The form of ``frameworks/ID.crosswalk.json``."""
        return {
            "crosswalk": self.id,
            "name": self.name,
            "origin": self.origin,
            "pairs": [pair.to_json() for pair in self.pairs],
        }


def tie(
    found: RawMapping, frameworks: Sequence[Framework], catalogs: Sequence[Catalog]
) -> SourceCrosswalk:
    """Find the controls that a mapping speaks of.

    Args:
        frameworks: the workspace's own, found by the URN they were imported from.
        catalogs: every catalog that is known, found by the last part of the URN.

    Raises:
        InputError: ``crosswalk.framework``, ``crosswalk.empty`` or ``framework.id``.
    """
    notes = Notes()
    source = _controls(found.source, frameworks, catalogs)
    target = _controls(found.target, frameworks, catalogs)
    pairs: dict[tuple[str, str], Pair] = {}
    for raw in found.pairs:
        one, other = source.find(raw.source), target.find(raw.target)
        if raw.relation == "not_related":
            notes.add("not related, and so left out", f"{raw.source} and {raw.target}")
        elif one is None or other is None:
            notes.add("no control here, and so left out", raw.target if one else raw.source)
        else:
            fit = CLOSE if raw.relation == "equal" else PARTIAL
            pair = Pair(one, other, fit, raw.relation, shorten(raw.rationale, 500))
            if pairs.setdefault((one, other), pair) != pair:
                notes.add("mapped twice, the first counts", f"{one} and {other}")
    if not pairs:
        raise InputError(
            "crosswalk.empty",
            f"no pair of {shorten(found.name, 100)!r} names two controls that are known here",
        )
    return SourceCrosswalk(
        catalog_id(found.ref), found.name, found.origin, tuple(pairs.values()), notes.sentences()
    )


@dataclass(frozen=True, slots=True)
class _Controls:
    """The controls of one framework, by what a mapping may call them."""

    by_origin: Mapping[str, str]
    by_key: Mapping[tuple[str, ...], str]

    def find(self, urn: str) -> str | None:
        """The full id of the control with this URN."""
        return self.by_origin.get(urn) or self.by_key.get(id_key(urn.rpartition(":")[2]))


def _controls(urn: str, frameworks: Sequence[Framework], catalogs: Sequence[Catalog]) -> _Controls:
    for framework in frameworks:
        if framework.origin == urn:
            name = framework.catalog.id
            return _Controls({key: f"{name}:{id}" for key, id in framework.origins.items()}, {})
    tail = urn.rpartition(":")[2]
    try:
        catalog = catalog_named(tail, catalogs)
    except InputError as error:
        raise InputError(
            "crosswalk.framework",
            f"the mapping speaks of a framework that is not known here: {shorten(urn, 200)}",
            hint="import that framework first",
        ) from error
    return _Controls({}, {id_key(control.short_id): control.id for control in catalog.controls})
