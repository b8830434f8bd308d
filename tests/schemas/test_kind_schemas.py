"""The schema files themselves: valid, strict at every level, and readable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

import jsonschema_rs
import yaml

from muniment.schemas.kinds import FieldRow, KindRegistry
from muniment.schemas.statement import predicate_type

FOURTEEN = {
    "data-provenance", "eval-result", "approval", "owner-assignment", "risk-assessment",
    "impact-assessment", "policy", "monitoring-report", "incident", "training-record",
    "supplier-assessment", "model-card", "change-record", "decision",
}  # fmt: skip
_SUBSCHEMA_MAPS = ("properties", "$defs")
_SUBSCHEMA_LISTS = ("allOf", "anyOf", "oneOf")
_CONDITIONS = ("if", "then", "else", "not")


def _schemas(node: Any, where: str, condition: bool = False) -> Iterator[tuple[str, Any, bool]]:
    """Every subschema with its place, and whether it only narrows one that stands around it."""
    if not isinstance(node, Mapping):
        return
    yield where, node, condition
    for keyword in _SUBSCHEMA_MAPS:
        for name, part in node.get(keyword, {}).items():
            yield from _schemas(part, f"{where}/{keyword}/{name}", condition)
    for keyword in _SUBSCHEMA_LISTS:
        for number, part in enumerate(node.get(keyword, ())):
            yield from _schemas(part, f"{where}/{keyword}/{number}", True)
    for keyword in _CONDITIONS:
        yield from _schemas(node.get(keyword), f"{where}/{keyword}", True)
    for keyword in ("items", "additionalProperties"):
        yield from _schemas(node.get(keyword), f"{where}/{keyword}", condition)


def _all(documents: Mapping[str, Any]) -> Iterator[tuple[str, Any, bool]]:
    for name, document in documents.items():
        yield from _schemas(document, name)


def test_registry_holds_the_kinds_promised(registry: KindRegistry) -> None:
    """The registry holds the fourteen of evidence, nine of the machinery, and attestations."""
    names = {kind.name for kind in registry}
    machinery = {"system", "key", "link", "gate-decision", "retraction", "erasure"}
    machinery |= {"waiver", "applicability", "sample-test", "packet"}
    assert names == FOURTEEN | machinery | {"attestation"}


def test_fourteen_are_those_the_catalog_names() -> None:
    """Every kind that evidence-needs.yaml speaks of is one of the fourteen."""
    text = resources.files("muniment.controls").joinpath("catalogs/evidence-needs.yaml").read_text()
    assert {entry["kind"] for entry in yaml.safe_load(text)["vocabulary"]} == FOURTEEN


def test_every_file_is_a_valid_schema(documents: dict[str, Any]) -> None:
    """Every file says it is JSON Schema 2020-12, and the meta-schema agrees."""
    for document in documents.values():
        assert document["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        jsonschema_rs.meta.validate(document)


def test_every_kind_compiles(registry: KindRegistry) -> None:
    """Every reference of every kind leads somewhere."""
    for kind in registry:
        kind.compile()


def test_id_is_the_predicate_type(registry: KindRegistry) -> None:
    """A kind's ``$id`` is the predicate type its statements carry."""
    for kind in registry:
        assert kind.schema["$id"] == kind.predicate_type == predicate_type(kind.name)
        assert kind.title and kind.description


def test_strict_at_every_object(documents: dict[str, Any]) -> None:
    """No object at any depth takes a field its schema does not name."""
    objects = [
        (where, node)
        for where, node, condition in _all(documents)
        if not condition and (node.get("type") == "object" or "properties" in node)
    ]
    assert len(objects) >= 100
    lax = [where for where, node in objects if node.get("unevaluatedProperties") is not False]
    assert lax == []


def test_open_maps_are_bounded(documents: dict[str, Any]) -> None:
    """The few objects with free names bound the names, the number and the type of the values."""
    maps = [node for _, node, _ in _all(documents) if "additionalProperties" in node]
    assert len(maps) == 4
    for node in maps:
        assert {"propertyNames", "maxProperties"} <= set(node)
        assert isinstance(node["additionalProperties"], dict)


def test_texts_and_lists_are_bounded(documents: dict[str, Any]) -> None:
    """Every list has a longest length, and every text a longest length or fixed values."""
    free = [
        where
        for where, node, condition in _all(documents)
        if not condition
        and (
            (node.get("type") == "array" and "maxItems" not in node)
            or (node.get("type") == "string" and not _bounded(node))
        )
    ]
    assert free == []


def _bounded(node: Mapping[str, Any]) -> bool:
    if "enum" in node or "maxLength" in node:
        return True
    pattern = str(node.get("pattern", ""))
    return pattern.startswith("^") and pattern.endswith("$") and not set("*+") & set(pattern[1:2])


def test_every_type_is_said(documents: dict[str, Any]) -> None:
    """Nothing is left untyped: each field has a type or refers to something that has one."""
    for name, document in documents.items():
        nodes = list(_schemas(document, name))
        fields = [
            (where, node)
            for where, node, condition in nodes
            if not condition and where.split("/")[-2:-1] in (["properties"], ["$defs"])
        ]
        assert fields
        assert [where for where, node in fields if "type" not in node and "$ref" not in node] == []


def test_every_field_is_described(registry: KindRegistry) -> None:
    """Every field of every kind, at any depth, has a title or a description."""
    rows = [(kind.name, row) for kind in registry for row in kind.fields()]
    assert len(rows) > 500
    assert [(name, row.path) for name, row in rows if not (row.title or row.description)] == []


def test_descriptions_are_sentences(registry: KindRegistry) -> None:
    """A description ends with a full stop and says more than the field's name."""
    for kind in registry:
        for row in kind.fields():
            assert row.description.endswith("."), (kind.name, row.path)
            assert row.description.rstrip(".").casefold() != _last(row).casefold()


def _last(row: FieldRow) -> str:
    return row.path.removesuffix("[]").rpartition(".")[2]


def test_files_are_formatted(documents: dict[str, Any]) -> None:
    """Schema files are UTF-8 without escapes, indented by two, with one newline at the end."""
    folder = resources.files("muniment.schemas").joinpath("kinds")
    for name in documents:
        text = folder.joinpath(f"{name}.json").read_text(encoding="utf-8")
        assert text.endswith("}\n") and not text.endswith("\n\n")
        assert "\\u" not in text and "\t" not in text
        assert all((len(line) - len(line.lstrip(" "))) % 2 == 0 for line in text.splitlines())
