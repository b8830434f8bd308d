"""The catalog: a framework's controls, each with its requirement, and how people name them.

``shipped.py`` reads those that ship.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from muniment.controls.requirement import Requirement, SecondPerson
from muniment.controls.rule import check_rule
from muniment.schemas import strictjson
from muniment.schemas.errors import InputError
from muniment.schemas.text import shorten
from muniment.schemas.validation import Validator, closed

SHIPPED = (
    "nist-ai-rmf-1.0",
    "iso-42001-2023",
    "readiness-gate",
    "nist-ai-600-1",
    "eu-ai-act-high-risk",
)
"""Ids of the catalogs that ship."""


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
    facts: tuple[tuple[str, str], ...] = ()
    """What else is known of it, as name and value: dates and how sure they are, roles, risks.
    A name may repeat. For people; nothing is computed from it."""

    @property
    def short_id(self) -> str:
        """The id within the catalog, as the framework writes it."""
        return self.id.partition(":")[2]

    def to_json(self) -> dict[str, Any]:
        """The control as a catalog document holds it."""
        document = {
            "id": self.short_id,
            "title": self.title,
            "summary": self.summary,
            "group": self.group,
            "requirement": self.requirement.to_json(),
        }
        facts = [{"name": name, "value": value} for name, value in self.facts]
        return {**document, "facts": facts} if facts else document


@dataclass(frozen=True, slots=True)
class Catalog:
    """One framework's controls, in its order."""

    id: str
    name: str
    controls: tuple[Control, ...]

    @property
    def sha256(self) -> str:
        """Digest of the catalog with its requirements, in hexadecimal; two loads agree."""
        return strictjson.digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        """The catalog with its requirements, whole: what a packet embeds."""
        return {
            "catalog": self.id,
            "name": self.name,
            "controls": [control.to_json() for control in self.controls],
        }

    @classmethod
    def from_json(cls, value: Any) -> Catalog:
        """Read what ``to_json`` wrote, perhaps by a stranger.

        Raises:
            SchemaError: ``catalog.malformed``, with every fault.
            InputError: ``catalog.duplicate``, ``rule.malformed`` or ``rule.too-costly``.
        """
        catalog = _read(value)
        for control in catalog.controls:
            if control.requirement.rule is not None:
                check_rule(control.requirement.rule, control.id)
        return catalog


def _read(value: Any) -> Catalog:
    _form().require(value, "catalog.malformed", "a control catalog")
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
        facts=tuple((fact["name"], fact["value"]) for fact in value.get("facts", ())),
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
        "requirement": closed(requirement),
    }
    facts = {"type": "array", "items": closed({"name": text, "value": text}), "maxItems": 100}
    return Validator(
        closed(
            {
                "catalog": {"type": "string", "pattern": "^[a-z0-9][a-z0-9._-]{0,99}$"},
                "name": text,
                "controls": {
                    "type": "array",
                    "items": closed(control, facts=facts),
                    "maxItems": 2000,
                },
            }
        )
    )


_MANY = 10
"""So many names are not listed in an error."""


def catalog_named(text: str, catalogs: Sequence[Catalog]) -> Catalog:
    """Find a catalog by its id, or the first words of it, in any case and punctuation.

    Raises:
        InputError: ``catalog.unknown`` or ``catalog.ambiguous``, with the nearest ids.
    """
    by_id = {catalog.id: catalog for catalog in catalogs}
    return by_id[_only("catalog", text, _catalog_ids(text, list(by_id)), list(by_id))]


def _catalog_ids(text: str, known: Sequence[str]) -> list[str]:
    """The id that is meant, or else those that begin with the words meant, two at least."""
    wanted = _key(text)
    if exact := [item for item in known if _key(item) == wanted]:
        return exact
    size = len(wanted)
    return [item for item in known if size > 1 and _key(item)[:size] == wanted]


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
    known = {control.id: control for catalog in among for control in catalog.controls}
    found = [item for item, control in known.items() if _key(control.short_id) == wanted]
    if not found and rest.isalnum():
        run_together = "".join(wanted)
        found = [
            item
            for item, control in known.items()
            if "".join(_key(control.short_id)) == run_together
        ]
    return _only("control", text, found, list(known))


def _only(what: str, text: str, found: Sequence[str], known: Sequence[str]) -> str:
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"{what}.ambiguous",
            f"{shorten(text, 100)!r} names more than one {what}",
            hint=f"write one of: {', '.join(found)}",
            found=shorten(text, 100),
        )
    near = _nearest(text, known)
    raise InputError(
        f"{what}.unknown",
        f"there is no {what} {shorten(text, 100)!r}",
        hint=f"did you mean {' or '.join(near)}?" if near else None,
        expected=", ".join(known) if 0 < len(known) < _MANY else None,
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


def catalog_id(name: str, own: Sequence[str] = ()) -> str:
    """The id of a shipped catalog, by any name ``catalog_named`` takes; loads none.

    Args:
        own: ids of further catalogs, a workspace's own.

    Raises:
        InputError: ``catalog.unknown`` or ``catalog.ambiguous``.
    """
    known = (*SHIPPED, *own)
    return _only("catalog", name, _catalog_ids(name, known), known)


def load_catalog(name: str) -> Catalog:
    """One shipped catalog, by any name ``catalog_named`` takes.

    Raises:
        InputError: ``catalog.unknown`` or ``catalog.ambiguous``.
    """
    return _shipped(catalog_id(name))


def load_catalogs() -> tuple[Catalog, ...]:
    """All catalogs that ship."""
    return tuple(map(_shipped, SHIPPED))


def find_control(
    text: str,
    used: Sequence[str],
    load: Callable[[str], Catalog] = load_catalog,
    own: Sequence[str] = (),
) -> str:
    """The full id of the control that a person means, as ``resolve`` finds it.

    Args:
        used: names of catalogs in which an id without its catalog is looked for first; the others
            are loaded only if none of these has it.
        load: a catalog by its name.
        own: ids of catalogs that do not ship.

    Raises:
        InputError: as ``resolve``.
    """
    prefix, colon, _ = text.rpartition(":")
    if colon:
        return resolve(text, [load(prefix)])
    try:
        return resolve(text, [load(name) for name in used])
    except InputError as error:
        if error.code != "control.unknown":
            raise
        return resolve(text, [*load_catalogs(), *map(load, own)])


@cache
def _shipped(name: str) -> Catalog:
    """A catalog of ours; its rules are compiled only once they are needed."""
    from .shipped import document

    return _read(document(name))
