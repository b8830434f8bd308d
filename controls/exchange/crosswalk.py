"""Mappings between two frameworks, tied to controls that the workspace knows.

Only ``equal`` carries evidence over (``close``); what merely overlaps is ``partial`` and supports.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muniment.controls.catalog import SHIPPED, Catalog, catalog_named
from muniment.schemas.errors import InputError
from muniment.schemas.text import shorten

from .ciso_assistant import RawMapping, RawPair
from .framework import Framework
from .source import Notes, catalog_id, id_key

CLOSE, PARTIAL = "close", "partial"
IMPORTED = "imported"
"""Who says so: whoever made the file, and not we."""
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class SourcePair:
    """One control beside one of another catalog."""

    first: str
    """Full id, ``catalog:control``."""
    second: str
    fit: str
    """``close`` or ``partial``."""
    doubt: str
    """The file's own word for how the two relate, where they are not equal."""

    def to_json(self) -> dict[str, str]:
        """The pair as ``frameworks/ID.crosswalk.json`` holds it."""
        pair = {"from": self.first, "to": self.second, "source": IMPORTED, "fit": self.fit}
        return {**pair, "doubt": self.doubt} if self.doubt else pair


@dataclass(frozen=True, slots=True)
class SourceCrosswalk:
    """A set of pairs between two catalogs, and where it is from."""

    id: str
    name: str
    origin: str
    """URN of what it was read from."""
    pairs: tuple[SourcePair, ...]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The form of ``frameworks/ID.crosswalk.json``."""
        return {
            "crosswalk": self.id,
            "name": self.name,
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
        InputError: ``crosswalk.framework``, ``crosswalk.same-catalog``, ``crosswalk.shipped``,
            ``crosswalk.empty``, ``crosswalk.too-many`` or ``framework.id``.
    """
    if found.source == found.target:
        raise InputError(
            "crosswalk.same-catalog", f"{found.origin[:200]} maps a framework to itself"
        )
    notes = Notes()
    source = _controls(found.source, frameworks, catalogs)
    target = _controls(found.target, frameworks, catalogs)
    require_own((source.catalog, target.catalog), repr(shorten(found.name, 100)))
    pairs: dict[frozenset[str], SourcePair] = {}
    for raw in found.pairs:
        one, other = source.find(raw.source), target.find(raw.target)
        if raw.relation == "not_related":
            notes.add("not related, and so left out", f"{raw.source} and {raw.target}")
        elif one is None or other is None:
            notes.add("no control here, and so left out", raw.target if one else raw.source)
        else:
            pair = _pair(one, other, raw)
            if pairs.setdefault(frozenset((one, other)), pair) != pair:
                notes.add("mapped twice, the first counts", f"{one} and {other}")
    if not pairs or len(pairs) > _MOST:
        raise InputError(
            "crosswalk.empty" if not pairs else "crosswalk.too-many",
            f"{len(pairs)} pairs of {shorten(found.name, 100)!r} name two controls that are known",
            expected=f"1 to {_MOST}",
        )
    return SourceCrosswalk(
        catalog_id(found.ref), found.name, found.origin, tuple(pairs.values()), notes.sentences()
    )


def require_own(catalogs: Iterable[str], what: str) -> None:
    """Refuse pairs between two catalogs that ship: those come with the program.

    Args:
        catalogs: ids of the two.
        what: the mapping or file is called.

    Raises:
        InputError: ``crosswalk.shipped``.
    """
    if set(catalogs) <= set(SHIPPED):
        raise InputError(
            "crosswalk.shipped",
            f"both catalogs of {what} ship, and so do their pairs",
            hint="import one of the two as a framework of your own first",
        )


def _pair(one: str, other: str, raw: RawPair) -> SourcePair:
    if raw.relation == "equal":
        return SourcePair(one, other, CLOSE, "")
    said = f"{raw.relation}: {raw.rationale}" if raw.rationale else raw.relation
    return SourcePair(one, other, PARTIAL, shorten(said, 500))


@dataclass(frozen=True, slots=True)
class _Controls:
    """The controls of one framework, by what a mapping may call them."""

    catalog: str
    by_origin: Mapping[str, str]
    by_key: Mapping[tuple[str, ...], str]

    def find(self, urn: str) -> str | None:
        """The full id of the control with this URN."""
        return self.by_origin.get(urn) or self.by_key.get(id_key(urn.rpartition(":")[2]))


def _controls(urn: str, frameworks: Sequence[Framework], catalogs: Sequence[Catalog]) -> _Controls:
    for framework in frameworks:
        if framework.origin == urn:
            name = framework.catalog.id
            return _Controls(
                name, {key: f"{name}:{id}" for key, id in framework.origins.items()}, {}
            )
    tail = urn.rpartition(":")[2]
    try:
        catalog = catalog_named(tail, catalogs)
    except InputError as error:
        raise InputError(
            "crosswalk.framework",
            f"the mapping speaks of a framework that is not known here: {shorten(urn, 200)}",
            hint="import that framework first",
        ) from error
    return _Controls(
        catalog.id, {}, {id_key(control.short_id): control.id for control in catalog.controls}
    )
