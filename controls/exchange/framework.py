"""A workspace's own frameworks, two files each: the text as it came, and what evidence meets it.

``ID.json`` is written by the import. ``ID.yaml`` is for people: it holds the requirement of every
control, and a control left open there is missing until somebody says what it needs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from muniment.controls.catalog import Catalog
from muniment.schemas import strictjson, yamldoc
from muniment.schemas.errors import InputError, SchemaError
from muniment.schemas.text import shorten, visible

from .source import SourceCatalog, entries, mapping, text_of

_DEFAULTS: Mapping[str, Any] = {
    "minimumKinds": 1,
    "supporting": [],
    "validityDays": 365,
    "secondPerson": "expected",
    "reason": "What the organisation itself asks for.",
    "section": None,
    "rule": None,
}
"""What a requirement that names only its kinds asks for besides: the strictest of each."""
_UNSET: Mapping[str, Any] = {
    **_DEFAULTS,
    "anyOf": [],
    "reason": "Nobody has written yet what evidence meets this control.",
}
_HEAD = """\
# What evidence meets each control of {name}
# ({file} beside this file holds their text).
#
# A control left open is missing, whatever is attached, until somebody writes what it needs:
#   "AC-1": {{anyOf: [policy, decision]}}
# and where that is not enough: minimumKinds, supporting, validityDays (365), secondPerson
# (expected, recommended or not-needed; expected), reason, section, rule.
"""


@dataclass(frozen=True, slots=True)
class Framework:
    """One of the workspace's own frameworks."""

    catalog: Catalog
    origin: str
    """UUID or URN of what it was imported from."""
    origins: Mapping[str, str] = field(default_factory=dict)
    """The foreign file's own name of each control, to the id within the catalog."""


def requirements_file(catalog: SourceCatalog, kinds: Sequence[str]) -> str:
    """The text of ``ID.yaml`` as the import writes it.

    Args:
        kinds: kinds of which any one meets any control; without them every control is left open.
    """
    lines = [
        _HEAD.format(name=visible(catalog.name), file=f"{catalog.id}.json"),
        "# for every control that is left open below",
        f"every: {json.dumps({'anyOf': list(kinds)}) if kinds else ''}".rstrip(),
        "controls:",
    ]
    # NOTE: quoted, as YAML would otherwise read 1.10 as a number.
    lines += [
        f"  {json.dumps(control.id)}:  # {visible(shorten(control.title, 90))}"
        for control in catalog.controls
    ]
    return "\n".join(lines) + "\n"


def read_framework(name: str, text: bytes, requirements: bytes | None) -> Framework:
    """Put a framework together.

    Args:
        name: the files' name without ending, which is the catalog's id.
        text: ``ID.json``.
        requirements: ``ID.yaml``; without it every control is left open.

    Raises:
        InputError: ``framework.…``, and what reading JSON and YAML raises.
        SchemaError: ``catalog.malformed``.
    """
    value = mapping(strictjson.loads(text, what=f"{name}.json"), f"{name}.json")
    if value.get("catalog") != name:
        raise InputError(
            "framework.name",
            f"{name}.json holds another catalog than its name says",
            expected=name,
            found=shorten(str(value.get("catalog")), 100),
        )
    every, written = _requirements(name, requirements)
    controls = entries(value, "controls", f"{name}.json")
    known = {str(control.get("id")) for control in controls}
    if strange := sorted(set(written) - known):
        raise InputError(
            "framework.unknown-control",
            f"{name}.yaml speaks of {shorten(strange[0], 100)!r}, which {name}.json does not have",
        )
    document = {
        "catalog": name,
        "name": value.get("name"),
        "controls": [
            {
                **{part: control.get(part) for part in ("id", "title", "summary", "group")},
                "requirement": _filled(written.get(str(control.get("id"))) or every),
            }
            for control in controls
        ],
    }
    try:
        catalog = Catalog.from_json(document)
    except SchemaError as error:
        raise SchemaError(
            error.code, f"framework {name}: {error.message}", error.problems, hint=error.hint
        ) from error
    origins = {text_of(control, "origin", name): str(control["id"]) for control in controls}
    return Framework(catalog, text_of(value, "origin", name), origins)


def _requirements(
    name: str, data: bytes | None
) -> tuple[Mapping[str, Any] | None, Mapping[str, Any]]:
    """What ``ID.yaml`` asks of every control, and of single ones."""
    what = f"{name}.yaml"
    value = mapping((data and yamldoc.load(data, what=what)) or {}, what)
    if strange := sorted(map(str, set(value) - {"every", "controls"})):
        raise InputError(
            "framework.malformed",
            f"{what} holds {shorten(strange[0], 100)!r}",
            expected="every and controls",
        )
    controls = mapping(value.get("controls") or {}, f"controls of {what}")
    every = value.get("every")
    written = {
        str(key): mapping(item, f"{key} of {what}")
        for key, item in controls.items()
        if item is not None
    }
    return (None if every is None else mapping(every, f"every of {what}")), written


def _filled(written: Mapping[str, Any] | None) -> dict[str, Any]:
    return {**_DEFAULTS, **written} if written else dict(_UNSET)
