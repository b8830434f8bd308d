"""What a reader of any format makes of a foreign framework, before anybody says what meets it.

Readers hand their controls to ``collect``, which gives them ids that people can type, one level of
groups, and texts of bounded length. What was left out or changed on the way is always said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from muniment.schemas.errors import InputError
from muniment.schemas.text import shorten

MAX_CONTROLS = 2000
"""Most controls of one catalog."""
MAX_DEPTH = 40
"""Deepest nesting of groups, controls and parts."""
_LONGEST_TEXT = 2000
_LONGEST_TITLE = 200
_LONGEST_ID = 100
_NAMED = 5
"""So many examples a note gives."""


@dataclass(frozen=True, slots=True)
class SourceControl:
    """One control as a foreign catalog has it."""

    id: str
    """Id within the catalog, as people write it."""
    title: str
    summary: str
    group: str
    origin: str
    """The id or URN that the foreign file itself uses."""


@dataclass(frozen=True, slots=True)
class SourceCatalog:
    """A foreign catalog, without requirements."""

    id: str
    name: str
    origin: str
    """UUID or URN of what it was read from."""
    controls: tuple[SourceControl, ...]
    notes: tuple[str, ...] = ()
    """What was left out or changed, one sentence each."""

    def to_json(self) -> dict[str, Any]:
        """The form of ``frameworks/ID.json``."""
        return {
            "catalog": self.id,
            "name": self.name,
            "origin": self.origin,
            "controls": [
                {
                    "id": control.id,
                    "title": control.title,
                    "summary": control.summary,
                    "group": control.group,
                    "origin": control.origin,
                }
                for control in self.controls
            ],
        }


@dataclass(frozen=True, slots=True)
class RawControl:
    """One control on its way: texts as they were found, possibly empty."""

    origin: str
    labels: tuple[str, ...]
    """Ids that people may write, best first; ``origin`` stands behind them."""
    title: str
    summary: str
    path: tuple[str, ...]
    """Names of the groups it stands in, outermost first."""


@dataclass(slots=True)
class Notes:
    """What a reader has to say about what it read: each kind of remark once, with examples."""

    _found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, remark: str, about: str) -> None:
        """Say ``remark`` of one more thing."""
        self._found.setdefault(remark, []).append(about)

    def sentences(self) -> tuple[str, ...]:
        """Every remark with how often and of what."""
        return tuple(f"{remark}: {_listed(about)}" for remark, about in self._found.items())


def collect(
    name: str, origin: str, controls: Sequence[RawControl], notes: Notes, as_id: str | None
) -> SourceCatalog:
    """Make a catalog of what was found.

    Args:
        as_id: the catalog's id; by default made of its name.

    Raises:
        InputError: ``framework.empty``, ``framework.too-many``, ``framework.id`` or
            ``framework.duplicate``.
    """
    if not controls:
        raise InputError("framework.empty", f"{shorten(name, 100)!r} holds no control")
    if len(controls) > MAX_CONTROLS:
        raise InputError(
            "framework.too-many",
            f"{shorten(name, 100)!r} holds more controls than one catalog may",
            expected=f"at most {MAX_CONTROLS}",
            found=str(len(controls)),
        )
    ids = _ids(controls, notes)
    groups = _groups([control.path for control in controls], name)
    return SourceCatalog(
        catalog_id(name if as_id is None else as_id, given=as_id is not None),
        _text(name, _LONGEST_TITLE),
        _text(origin, _LONGEST_TITLE),
        tuple(
            SourceControl(
                ids[control.origin],
                _text(control.title or control.summary or control.origin, _LONGEST_TITLE),
                _bounded(control, notes),
                _text(group, _LONGEST_TITLE),
                control.origin,
            )
            for control, group in zip(controls, groups, strict=True)
        ),
        notes.sentences(),
    )


def catalog_id(text: str, *, given: bool = False) -> str:
    """An id for a catalog called ``text``.

    Args:
        given: somebody chose it, so that it is taken as it is or not at all.

    Raises:
        InputError: ``framework.id``.
    """
    made = text if given else re.sub(r"[^a-z0-9.]+", "-", text.lower())[:60].strip("-.")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,99}", made) or made.endswith(".crosswalk"):
        raise InputError(
            "framework.id",
            f"{shorten(text, 100)!r} does not make the id of a catalog",
            hint="choose one with --as, such as --as csf-2.0",
            expected="lower-case letters, digits, hyphens and dots",
        )
    return made


def mapping(value: Any, what: str) -> Mapping[str, Any]:
    """``value`` if it is a group of named values.

    Raises:
        InputError: ``framework.malformed``.
    """
    if not isinstance(value, dict):
        raise malformed(f"{what} must be a group of named values", value)
    return value


def entries(node: Mapping[str, Any], name: str, what: str) -> list[Mapping[str, Any]]:
    """The list of groups under ``name``; empty where there is none.

    Raises:
        InputError: ``framework.malformed``.
    """
    value = node.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise malformed(f"{name} of {what} must be a list", value)
    return [mapping(item, f"an entry of {name} of {what}") for item in value]


def text_of(node: Mapping[str, Any], name: str, what: str, *, required: bool = False) -> str:
    """The text under ``name``, without outer white space; empty where there is none.

    Raises:
        InputError: ``framework.malformed``.
    """
    value = node.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value.strip()):
        raise malformed(f"{name} of {what} must be text", value)
    return value.strip()


def malformed(why: str, found: Any = None) -> InputError:
    """The error for a file that is not in the form it claims."""
    kind = None if found is None else type(found).__name__
    return InputError("framework.malformed", shorten(why, 300), found=kind)


def _ids(controls: Sequence[RawControl], notes: Notes) -> dict[str, str]:
    """Origin to the id that people write: the first label that no other control has as well."""
    if twice := [item for item, count in Counter(c.origin for c in controls).items() if count > 1]:
        raise InputError(
            "framework.duplicate",
            f"an id stands twice: {_listed(twice)}",
            hint="the file contradicts itself; ask whoever made it",
        )
    wanted = {c.origin: [_plain(label) for label in (*c.labels, c.origin)] for c in controls}
    seen = Counter(key for labels in wanted.values() for key in {id_key(label) for label in labels})
    found: dict[str, str] = {}
    for origin, labels in wanted.items():
        free = [label for label in labels if id_key(label) and seen[id_key(label)] == 1]
        if not free:
            raise InputError(
                "framework.duplicate",
                f"the id of {shorten(origin, 100)!r} cannot be told from another's",
                hint="ids are told apart by their letters and numbers alone",
            )
        if free[0] != labels[0]:
            notes.add("more than one control has the label, so the longer id is used", free[0])
        found[origin] = free[0]
    return found


def id_key(text: str) -> tuple[str, ...]:
    """What two ids must differ in: their letters and numbers."""
    words = re.findall(r"[a-z]+|[0-9]+", text.lower())
    return tuple(word.lstrip("0") or "0" for word in words)


def _plain(label: str) -> str:
    """A label in the characters that ids of controls have."""
    text = re.sub(r"[^A-Za-z0-9 ._()/-]+", "-", " ".join(label.split()))
    return re.sub(r"^[^A-Za-z0-9]+", "", text)[:_LONGEST_ID].rstrip(" -")


def _groups(paths: Sequence[tuple[str, ...]], name: str) -> list[str]:
    """One group each: the outermost level on which the controls differ."""
    shared = 0
    while all(len(path) > shared + 1 for path in paths) and len({p[shared] for p in paths}) == 1:
        shared += 1
    return [path[min(shared, len(path) - 1)] if path else name for path in paths]


def _bounded(control: RawControl, notes: Notes) -> str:
    text = control.summary or control.title or control.origin
    if len(text) > _LONGEST_TEXT:
        notes.add(f"the text is cut after {_LONGEST_TEXT} characters", control.origin)
    return _text(text, _LONGEST_TEXT)


def _text(text: str, limit: int) -> str:
    return shorten(" ".join(text.split()) if limit == _LONGEST_TITLE else text.strip(), limit)


def _listed(items: Iterable[str]) -> str:
    found = [shorten(item, 80) for item in items]
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + more
