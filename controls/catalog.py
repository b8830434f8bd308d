"""The catalog: a framework's controls, each with its requirement, and how people name them.

The built-in catalogs stand as YAML in ``catalogs/``; ``NOTES.md`` there says where each comes from.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from muniment.controls.requirement import Requirement, SecondPerson
from muniment.controls.rule import check_rule
from muniment.schemas import strictjson
from muniment.schemas.errors import InputError, SchemaError
from muniment.schemas.text import shorten
from muniment.schemas.validation import Validator


@dataclass(frozen=True, slots=True)
class Control:
    """One control and what meets it."""

    id: str
    """Full id, ``catalog:control``, such as ``nist-ai-rmf-1.0:MEASURE 2.3``."""
    title: str
    summary: str
    group: str
    """Function, clause or area it stands under, such as ``GOVERN``, ``Clause 4`` or ``A.2``."""
    requirement: Requirement

    @property
    def short_id(self) -> str:
        """The id within the catalog, as the framework writes it."""
        return self.id.partition(":")[2]


@dataclass(frozen=True, slots=True)
class Catalog:
    """One framework's controls, in its order."""

    id: str
    name: str
    controls: tuple[Control, ...]

    @property
    def sha256(self) -> str:
        """Digest of the catalog with its requirements, in hexadecimal; two loads agree."""
        return hashlib.sha256(strictjson.canonical(self.to_json())).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The catalog with its requirements, whole: what a packet embeds."""
        return {
            "catalog": self.id,
            "name": self.name,
            "controls": [
                {
                    "id": control.short_id,
                    "title": control.title,
                    "summary": control.summary,
                    "group": control.group,
                    "requirement": control.requirement.to_json(),
                }
                for control in self.controls
            ],
        }

    @classmethod
    def from_json(cls, value: Any) -> Catalog:
        """Read what ``to_json`` wrote, perhaps by a stranger.

        Raises:
            SchemaError: ``catalog.malformed``, with every fault.
            InputError: ``catalog.duplicate``, ``rule.malformed`` or ``rule.too-costly``.
        """
        catalog = _read(value)
        for rule in {control.requirement.rule for control in catalog.controls} - {None}:
            check_rule(str(rule))
        return catalog


def _read(value: Any) -> Catalog:
    if problems := _form().problems(value):
        first = problems[0]
        raise SchemaError(
            "catalog.malformed",
            f"not a control catalog: {first.path or 'document'}: {first.message}",
            problems,
        )
    catalog = Catalog(
        value["catalog"],
        value["name"],
        tuple(_control(value["catalog"], item) for item in value["controls"]),
    )
    if len({_key(control.id) for control in catalog.controls}) != len(catalog.controls):
        raise InputError("catalog.duplicate", f"an id stands twice in catalog {catalog.id}")
    return catalog


def _control(catalog: str, value: Mapping[str, Any]) -> Control:
    return Control(
        id=f"{catalog}:{value['id']}",
        title=value["title"],
        summary=value["summary"],
        group=value["group"],
        requirement=Requirement.from_json(value["requirement"]),
    )


@cache
def _form() -> Validator:
    text = {"type": "string", "minLength": 1, "maxLength": 2000}
    kinds = {"type": "array", "items": text, "uniqueItems": True}
    requirement = {
        "anyOf": kinds,
        "minimumKinds": {"type": "integer", "minimum": 1},
        "supporting": kinds,
        "validityDays": {"type": "integer", "minimum": 1, "maximum": 36500},
        "secondPerson": {"enum": [str(item) for item in SecondPerson]},
        "reason": text,
        "section": {**text, "type": ["string", "null"]},
        "rule": {**text, "type": ["string", "null"]},
    }
    control = {
        **dict.fromkeys(("title", "summary", "group"), text),
        "id": {**text, "pattern": "^[A-Za-z0-9][A-Za-z0-9 ._()/-]*$"},
        "requirement": _closed(requirement),
    }
    return Validator(
        _closed(
            {
                "catalog": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,99}$"},
                "name": text,
                "controls": {"type": "array", "items": _closed(control), "maxItems": 2000},
            }
        )
    )


def _closed(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The schema of an object with exactly these fields."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


_T = TypeVar("_T", Catalog, Control)
_MANY = 10
"""So many names are not listed in an error."""


def catalog_named(text: str, catalogs: Sequence[Catalog]) -> Catalog:
    """Find a catalog by its id, with or without the version, in any case and punctuation.

    Raises:
        InputError: ``catalog.unknown`` or ``catalog.ambiguous``, with the nearest ids.
    """
    wanted = _key(text)
    found = [catalog for catalog in catalogs if _key(catalog.id) == wanted]
    found = found or [catalog for catalog in catalogs if _key(_unversioned(catalog.id)) == wanted]
    return _only("catalog", text, {catalog.id: catalog for catalog in found}, catalogs)


def resolve(text: str, catalogs: Sequence[Catalog]) -> str:
    """The full id of the control that a person means.

    Case and punctuation do not matter, but numbers stay apart: ``A.6.1`` is not ``A.61``. The
    catalog may be left out where that is not ambiguous.

    Raises:
        InputError: ``control.unknown``, ``control.ambiguous``, ``catalog.unknown`` or
            ``catalog.ambiguous``, with the nearest ids.
    """
    prefix, colon, rest = text.rpartition(":")
    among = [catalog_named(prefix, catalogs)] if colon else list(catalogs)
    wanted = _key(rest)
    found = {
        control.id: control
        for catalog in among
        for control in catalog.controls
        if _key(control.short_id) == wanted
    }
    everything = [control for catalog in among for control in catalog.controls]
    return _only("control", text, found, everything).id


def _only(what: str, text: str, found: Mapping[str, _T], known: Sequence[_T]) -> _T:
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise InputError(
            f"{what}.ambiguous",
            f"{shorten(text, 100)!r} names more than one {what}",
            hint=f"write one of: {', '.join(found)}",
            found=shorten(text, 100),
        )
    near = _nearest(text, [item.id for item in known])
    raise InputError(
        f"{what}.unknown",
        f"there is no {what} {shorten(text, 100)!r}",
        hint=f"did you mean {' or '.join(near)}?" if near else None,
        expected=", ".join(item.id for item in known) if len(known) < _MANY else None,
        found=shorten(text, 100),
    )


def _nearest(text: str, ids: Sequence[str]) -> list[str]:
    import difflib

    by_word = {item.lower(): item for item in ids}
    by_word |= {item.partition(":")[2].lower(): item for item in ids if ":" in item}
    near = difflib.get_close_matches(text[:200].lower(), by_word, n=5, cutoff=0.5)
    return list(dict.fromkeys(by_word[word] for word in near))[:3]


def _key(text: str) -> tuple[str, ...]:
    """Letters and numbers of an id, apart; anything that no id has keeps it from matching."""
    if not re.fullmatch(r"[A-Za-z0-9 ._:/()-]{1,200}", text):
        return ("", text)
    words = re.findall(r"[a-z]+|[0-9]+", text.lower())
    return tuple(word.lstrip("0") or "0" for word in words)


def _unversioned(catalog_id: str) -> str:
    return re.sub(r"-[0-9][0-9.]*$", "", catalog_id)


def load_catalog(name: str) -> Catalog:
    """One built-in catalog, by any name ``catalog_named`` takes.

    Raises:
        InputError: ``catalog.unknown`` or ``catalog.ambiguous``.
    """
    return catalog_named(name, load_catalogs())


@cache
def load_catalogs() -> tuple[Catalog, ...]:
    """The built-in catalogs: NIST AI RMF 1.0, ISO/IEC 42001:2023 and the readiness gate."""
    from muniment.controls.data import read_yaml

    needs = read_yaml("catalogs/evidence-needs.yaml")
    nist, iso = (
        read_yaml("catalogs/nist-ai-rmf-1.0.yaml"),
        read_yaml("catalogs/iso-42001-2023.yaml"),
    )
    gate = read_yaml("catalogs/readiness-gate.yaml")
    iso_needs = needs["iso_42001_clauses"] + needs["iso_42001_annex_a"]
    return (
        _catalog(nist, _nist_controls(nist), needs["nist_ai_rmf"]),
        _catalog(iso, _iso_controls(iso), iso_needs),
        _catalog(gate, ((item["gate"], item) for item in gate["controls"]), gate["controls"]),
    )


def _catalog(
    data: Mapping[str, Any],
    controls: Iterable[tuple[str, Mapping[str, Any]]],
    needs: Sequence[Mapping[str, Any]],
) -> Catalog:
    """Build a catalog; its rules are ours, so they are compiled only once they are needed."""
    by_id = {need["id"]: need for need in needs}
    return _read(
        {
            "catalog": data["catalog"],
            "name": data["name"],
            "controls": [
                {
                    "id": control["id"],
                    "title": control["title"],
                    "summary": control.get("summary") or control["ask"],
                    "group": group,
                    "requirement": _requirement(by_id[control["id"]]),
                }
                for group, control in controls
            ],
        }
    )


def _requirement(need: Mapping[str, Any]) -> dict[str, Any]:
    """One entry of evidence-needs.yaml or readiness-gate.yaml as a catalog document holds it."""
    return {
        "anyOf": need.get("any_of") or need["evidence"],
        "minimumKinds": need.get("minimum_kinds", 1),
        "supporting": need.get("supporting", []) if "any_of" in need else [],
        "validityDays": need["validity_days"],
        "secondPerson": need["second_person"],
        "reason": need.get("reason") or need["pass_rule"],
        "section": need.get("section"),
        "rule": need.get("rule"),
    }


def _nist_controls(data: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for function in data["functions"]:
        for category in function["categories"]:
            for control in category["subcategories"]:
                yield function["id"], control


def _iso_controls(data: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Clauses that have no parts, then Annex A."""
    for main in data["clauses"]:
        for clause in main["clauses"]:
            for leaf in clause.get("subclauses", [clause]):
                yield f"Clause {main['id']}", leaf
    for area in data["annex_a"]:
        for part in area.get("subgroups", [area]):
            for control in part["controls"]:
                yield area["id"], control
