"""The readiness gate's fields: each has a home in a section of exactly the kinds that carry it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from typing import Any

import pytest
import yaml

from muniment.schemas.kinds import KindRegistry
from muniment.schemas.validation import Node

SECTIONS = {
    "RG-1": "productionTest", "RG-2": "errorClasses", "RG-3": "fallback", "RG-4": "unitCost",
    "RG-5": "ownership", "RG-6": "businessCase", "RG-7": "productionData", "RG-8": "dataRights",
    "RG-9": "heldOutTest", "RG-10": "drift", "RG-11": "retraining", "RG-12": "goLive",
    "RG-13": "readinessCriteria", "RG-14": "businessProblem", "RG-15": "adoption",
    "RG-16": "userTraining", "RG-17": "securityReview", "RG-18": "privacyReview",
    "RG-19": "legalClass", "RG-20": "integration", "RG-21": "release", "RG-22": "load",
    "RG-23": "fairness", "RG-24": "robustness", "RG-25": "workProcess", "RG-26": "firstNinetyDays",
    "RG-27": "staffing", "RG-28": "auditTrail", "RG-29": "incidentRoute",
}  # fmt: skip


def _controls() -> dict[str, dict[str, Any]]:
    text = resources.files("muniment.controls").joinpath("catalogs/readiness-gate.yaml").read_text()
    return {control["id"]: control for control in yaml.safe_load(text)["controls"]}


CONTROLS = _controls()


def _camel(name: str) -> str:
    return re.sub(r"_(\w)", lambda match: match[1].upper(), name)


def _step(node: Node, name: str) -> tuple[str, Node]:
    """The field called ``name`` in the catalog; a list's may stand in the plural here."""
    fields = node.properties()
    for candidate in (_camel(name), f"{_camel(name)}s"):
        if candidate in fields:
            return candidate, fields[candidate]
    raise AssertionError(f"{name} has no home among {list(fields)}")


def _homes(control: str, section: Node) -> Iterator[tuple[dict[str, Any], Node, bool]]:
    """Each field of the control, its place in the section, and whether it is required there."""
    for field in CONTROLS[control]["fields"]:
        list_name, _, part = field["name"].rpartition(".")
        if control == "RG-2" and not list_name:
            yield field, section, True
            continue
        node = section
        if list_name:
            node = section if control == "RG-2" else _step(section, list_name)[1]
            items = node.items()
            assert items is not None
            node = items
        name, found = _step(node, part)
        yield field, found, name in node.required()


def _fits(kind: str, node: Node) -> bool:
    """Whether the schema's type is the one the catalog gives."""
    if kind == "money":
        return set(node.properties()) == {"amount", "currency"}
    if kind == "date":
        return bool(node.get("format") == "date")
    if kind == "enum":
        return bool(node.get("enum"))
    return bool(node.get("type") == {"list": "array"}.get(kind, kind))


@pytest.fixture
def sections(registry: KindRegistry) -> dict[str, Node]:
    """Each control's section, as the first kind that carries it shows it."""
    return {
        control: registry.get(entry["evidence"][0]).root.properties()[SECTIONS[control]]
        for control, entry in CONTROLS.items()
    }


def test_every_field_has_a_home(sections: dict[str, Node]) -> None:
    """Each of the 224 fields stands in its control's section, with its type."""
    count = 0
    for control, section in sections.items():
        for field, node, _ in _homes(control, section):
            assert _fits(field["type"], node), (control, field["name"])
            assert node.description
            count += 1
    assert count == 224


def test_required_as_in_the_catalog(sections: dict[str, Node]) -> None:
    """A field is required in its section exactly where the catalog says so."""
    for control, section in sections.items():
        for field, _, required in _homes(control, section):
            assert required is field["required"], (control, field["name"])


def test_choices_as_in_the_catalog(sections: dict[str, Node]) -> None:
    """A choice offers what the catalog lists, with hyphens for blanks."""
    seen = 0
    for control, section in sections.items():
        for field, node, _ in _homes(control, section):
            if field["type"] == "enum":
                words = re.split(r",\s*", field["meaning"])
                assert node.get("enum") == [word.replace(" ", "-") for word in words]
                seen += 1
    assert seen == 6


def test_section_says_its_control(sections: dict[str, Node]) -> None:
    """Each section names its control and has a title and a description."""
    for control, section in sections.items():
        assert section.get("x-readiness-gate") == control
        assert section.get("title") and section.get("description")


def test_sections_stand_in_exactly_their_kinds(registry: KindRegistry) -> None:
    """A section is an optional field of the kinds the catalog lists for it, and no other."""
    for kind in registry:
        root = kind.root
        held = {
            part.get("x-readiness-gate"): name
            for name, part in root.properties().items()
            if part.get("x-readiness-gate")
        }
        wanted = {
            control: SECTIONS[control]
            for control, entry in CONTROLS.items()
            if kind.name in entry["evidence"]
        }
        assert held == wanted
        assert not set(held.values()) & root.required()


def test_list_entries_can_be_told_apart(sections: dict[str, Node]) -> None:
    """Each entry of a list of groups has a required field that says which one it is."""
    seen = 0
    for control, section in sections.items():
        parts = {"": section, **section.properties()}
        for name, part in parts.items():
            items = part.items()
            if items is not None and items.properties():
                assert {"name", "skill", "description", "condition"} & items.required(), (
                    control,
                    name,
                )
                seen += 1
    assert seen > 15


def test_examples_fill_every_field(bodies: dict[str, Any], sections: dict[str, Node]) -> None:
    """The sample bodies, which are valid, fill each of the 224 fields."""
    samples: dict[str, Any] = {}
    for body in bodies.values():
        samples.update({name: body[name] for name in SECTIONS.values() if name in body})
    for control, section in sections.items():
        filled = _keys(samples[SECTIONS[control]])
        for field, node, _ in _homes(control, section):
            last = field["name"].rpartition(".")[2]
            assert node is section or {_camel(last), f"{_camel(last)}s"} & filled, field["name"]


def _keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(_keys, value.values()))
    return set().union(*map(_keys, value)) if isinstance(value, list) else set()
