"""Reading OSCAL catalogs and profiles, JSON or YAML, versions 1.0 to 1.2.

Source: https://pages.nist.gov/OSCAL-Reference/models/v1.1.2/. Nothing is fetched: what a profile
imports is read by whoever calls, from files at hand. Of a profile's changes, parameters are set and
everything else under ``alters`` is left out and said.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from muniment.schemas.errors import InputError
from muniment.schemas.text import shorten

from .source import (
    MAX_DEPTH,
    Notes,
    RawControl,
    SourceCatalog,
    collect,
    entries,
    id_key,
    malformed,
    mapping,
    text_of,
)

Fetch = Callable[[str, str], tuple[Any, str]]
"""Given an href and the place of the file it stands in: the document there, and its place."""
_VERSIONS = re.compile(r"v?1\.[0-2]\.[0-9]{1,3}")
_INSERT = re.compile(r"\{\{\s*(?:insert:\s*param\s*,\s*)?([^\s{}]{1,200})\s*\}\}")
_LONGEST_PARAM = 500
_LONGEST_LABEL = 40


def is_oscal(value: Any) -> bool:
    """Whether a document is an OSCAL catalog or profile, by its one top-level name."""
    return isinstance(value, dict) and bool({"catalog", "profile"} & set(value))


def read_oscal(value: Any, place: str, fetch: Fetch, as_id: str | None = None) -> SourceCatalog:
    """Read a catalog, or a profile with the catalogs it imports.

    Args:
        place: where the document is, for ``fetch``.
        as_id: the catalog's id; by default made of its title.

    Raises:
        InputError: ``framework.…``, ``oscal.version``, ``profile.…`` and what ``fetch`` raises.
    """
    notes = Notes()
    reading = _Reading(fetch, notes)
    found = reading.document(value, place, {})
    title, origin = _identity(value)
    return collect(title, origin, [item.raw(notes) for item in found], notes, as_id)


def _identity(value: Any) -> tuple[str, str]:
    root = mapping(value["catalog" if "catalog" in value else "profile"], "the document")
    metadata = mapping(root.get("metadata"), "metadata")
    version = text_of(metadata, "oscal-version", "metadata", required=True)
    if not _VERSIONS.fullmatch(version):
        raise InputError(
            "oscal.version",
            "this version of OSCAL is not read",
            expected="1.0, 1.1 or 1.2; drafts of 1.0.0 have another form",
            found=shorten(version, 40),
        )
    return text_of(metadata, "title", "metadata", required=True), text_of(
        root, "uuid", "the document", required=True
    )


@dataclass(frozen=True, slots=True)
class _Found:
    """A control with all that stands around it."""

    node: Mapping[str, Any]
    id: str
    path: tuple[str, ...]
    parents: tuple[str, ...]
    """Ids of the controls it stands within."""
    parameters: Mapping[str, Mapping[str, Any]]

    def raw(self, notes: Notes) -> RawControl:
        """Its texts, parameters put in."""
        what = f"control {self.id}"
        prose = _Prose(self.parameters, notes)
        return RawControl(
            self.id,
            tuple(label for label in _labels(self.node, what) if _is_short(label, self.id)),
            prose.fill(text_of(self.node, "title", what)),
            _summary(self.node, what, prose),
            self.path,
        )


@dataclass(slots=True)
class _Reading:
    """One reading of a document and of all that it imports."""

    fetch: Fetch
    notes: Notes
    open: list[str] = field(default_factory=list)
    """Places of the documents that are being read, outermost first."""

    def document(
        self, value: Any, place: str, set_parameters: Mapping[str, Mapping[str, Any]]
    ) -> list[_Found]:
        """Every control of a catalog or profile, in order."""
        if not is_oscal(value):
            raise malformed("this is neither an OSCAL catalog nor a profile")
        if place in self.open or len(self.open) > MAX_DEPTH:
            raise InputError("profile.cycle", f"profiles import each other: {shorten(place, 200)}")
        _identity(value)
        self.open.append(place)
        if "catalog" in value:
            root = mapping(value["catalog"], "the catalog")
            found = list(self._controls(root, (), (), {}, set_parameters, 0))
        else:
            found = self._profile(mapping(value["profile"], "the profile"), place, set_parameters)
        self.open.pop()
        return found

    def _controls(
        self,
        node: Mapping[str, Any],
        path: tuple[str, ...],
        parents: tuple[str, ...],
        parameters: Mapping[str, Mapping[str, Any]],
        settings: Mapping[str, Mapping[str, Any]],
        depth: int,
    ) -> Iterator[_Found]:
        """Controls under a catalog, group or control, those nested in others after them."""
        what = parents[-1] if parents else " / ".join(path) or "the catalog"
        if depth > MAX_DEPTH:
            raise malformed(f"{what} is nested deeper than {MAX_DEPTH} levels")
        parameters = {**parameters, **_parameters(node, what, settings)}
        for control in entries(node, "controls", what):
            name = text_of(control, "id", f"a control of {what}", required=True)
            if _is_withdrawn(control, name):
                self.notes.add("withdrawn, and so left out", name)
            else:
                own = {**parameters, **_parameters(control, name, settings)}
                yield _Found(control, name, path, parents, own)
            inner = (*parents, name)
            yield from self._controls(
                {"controls": control.get("controls")}, path, inner, parameters, settings, depth + 1
            )
        for group in entries(node, "groups", what):
            name = text_of(group, "title", f"a group of {what}") or text_of(
                group, "id", f"a group of {what}", required=True
            )
            yield from self._controls(group, (*path, name), (), parameters, settings, depth + 1)

    def _profile(
        self,
        root: Mapping[str, Any],
        place: str,
        settings: Mapping[str, Mapping[str, Any]],
    ) -> list[_Found]:
        modify = mapping(root.get("modify") or {}, "modify")
        own = {
            text_of(item, "param-id", "set-parameters", required=True): item
            for item in entries(modify, "set-parameters", "modify")
        }
        for alter in entries(modify, "alters", "modify"):
            name = text_of(alter, "control-id", "alters", required=True)
            self.notes.add("the profile alters the control, which is left out", name)
        chosen: dict[str, _Found] = {}
        for item in entries(root, "imports", "the profile"):
            href = text_of(item, "href", "an import", required=True)
            value, where = self.fetch(_resource(root, href), place)
            offered = self.document(value, where, {**own, **settings})
            for control in _selected(item, offered, href):
                if chosen.setdefault(control.id, control).node != control.node:
                    raise InputError(
                        "framework.duplicate",
                        f"two imports have different controls with the id {control.id[:100]!r}",
                    )
        return list(chosen.values())


def _selected(item: Mapping[str, Any], offered: list[_Found], href: str) -> list[_Found]:
    """The controls that one import of a profile takes."""
    if "include-all" in item or "include-controls" not in item:
        wanted = {control.id for control in offered}
    else:
        wanted = _named(item, "include-controls", offered, href)
    unwanted = _named(item, "exclude-controls", offered, href)
    return [control for control in offered if control.id in wanted - unwanted]


def _named(item: Mapping[str, Any], name: str, offered: list[_Found], href: str) -> set[str]:
    known = {control.id for control in offered} | {p for c in offered for p in c.parents}
    found: set[str] = set()
    for choice in entries(item, name, "an import"):
        ids = choice.get("with-ids", [])
        if not isinstance(ids, list) or not all(isinstance(value, str) for value in ids):
            raise malformed(f"with-ids of {name} must be a list of ids", ids)
        if missing := sorted(set(ids) - known):
            raise InputError(
                "profile.unknown-control",
                f"the profile names {shorten(missing[0], 100)!r}, which {shorten(href, 200)} "
                "does not have, or has withdrawn",
            )
        here = set(ids)
        for match in entries(choice, "matching", name):
            pattern = text_of(match, "pattern", "matching", required=True)
            here |= {value for value in known if fnmatch.fnmatchcase(value, pattern)}
        if choice.get("with-child-controls") == "yes":
            here |= {control.id for control in offered if here & set(control.parents)}
        found |= here
    return found


def _resource(root: Mapping[str, Any], href: str) -> str:
    """Where ``href`` leads: to itself, or for ``#uuid`` to a file that the back matter names.

    Raises:
        InputError: ``profile.href``.
    """
    if not href.startswith("#"):
        return href
    matter = mapping(root.get("back-matter") or {}, "back-matter")
    for resource in entries(matter, "resources", "back-matter"):
        if resource.get("uuid") == href[1:]:
            links = [
                text_of(link, "href", "rlinks", required=True)
                for link in entries(resource, "rlinks", "a resource")
            ]
            readable = [link for link in links if link.endswith((".json", ".yaml", ".yml"))]
            if links:
                return (readable or links)[0]
    raise InputError("profile.href", f"the back matter names no file for {shorten(href, 200)}")


def _parameters(
    node: Mapping[str, Any], what: str, settings: Mapping[str, Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for item in entries(node, "params", what):
        name = text_of(item, "id", f"a parameter of {what}", required=True)
        found[name] = {**item, **settings.get(name, {})}
    return found


class _Prose:
    """Text with its parameters put in: their values, else in brackets what is to be chosen."""

    def __init__(self, parameters: Mapping[str, Mapping[str, Any]], notes: Notes) -> None:
        self._parameters = parameters
        self._notes = notes
        # NOTE: each is worked out once and cut, so that parameters within parameters cannot grow
        # without bound; what is being worked out stands here already, so that a cycle ends.
        self._known: dict[str, str] = {}

    def fill(self, text: str) -> str:
        """``text`` with every insertion replaced."""
        return _INSERT.sub(lambda match: self._value(match[1]), text)

    def _value(self, name: str) -> str:
        if name not in self._known:
            self._known[name] = f"[{name}]"
            if name in self._parameters:
                self._known[name] = shorten(self._written(name), _LONGEST_PARAM)
            else:
                self._notes.add("a parameter that the catalog does not have stays open", name)
        return self._known[name]

    def _written(self, name: str) -> str:
        node, what = self._parameters[name], f"parameter {name}"
        values = node.get("values")
        if isinstance(values, list) and values:
            return self.fill(", ".join(map(str, values)))
        select = mapping(node.get("select") or {}, what)
        choices = select.get("choice")
        if isinstance(choices, list) and choices:
            word = "one or more of" if select.get("how-many") == "one-or-more" else "one of"
            return f"[{word}: {self.fill('; '.join(map(str, choices)))}]"
        return f"[{self.fill(text_of(node, 'label', what)) or name}]"


def _summary(node: Mapping[str, Any], what: str, prose: _Prose) -> str:
    """What the control states; where it states nothing, the first prose there is."""
    parts = entries(node, "parts", what)
    stated = [part for part in parts if part.get("name") == "statement"]
    for chosen in (stated, parts):
        lines = [line for part in chosen for line in _lines(part, what, prose, 0)]
        if lines:
            return "\n".join(lines if chosen is stated else lines[:1])
    return ""


def _lines(part: Mapping[str, Any], what: str, prose: _Prose, depth: int) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise malformed(f"a part of {what} is nested deeper than {MAX_DEPTH} levels")
    if text := prose.fill(text_of(part, "prose", what)):
        label = next(iter(_labels(part, what)), "") if depth else ""
        yield f"{label} {text}".strip()
    for inner in entries(part, "parts", what):
        yield from _lines(inner, what, prose, depth + 1)


def _labels(node: Mapping[str, Any], what: str) -> tuple[str, ...]:
    """The label that a person writes: one without a class before one for sorting."""
    found = [item for item in entries(node, "props", what) if item.get("name") == "label"]
    found.sort(key=lambda item: "class" in item)
    return tuple(text_of(item, "value", f"label of {what}", required=True) for item in found[:1])


def _is_short(label: str, name: str) -> bool:
    """Whether a label is an id and no more; ``Oversight (GV.OV)`` is the id and something else."""
    words, known = set(id_key(label)), set(id_key(name))
    return len(label) <= _LONGEST_LABEL and not known < words


def _is_withdrawn(node: Mapping[str, Any], what: str) -> bool:
    return any(
        item.get("name") == "status" and str(item.get("value")).lower() == "withdrawn"
        for item in entries(node, "props", what)
    )
