"""Validation: every fault at once, in words, and nothing fetched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from muniment.schemas.errors import InputError, Problem
from muniment.schemas.kinds import KindRegistry
from muniment.schemas.validation import MAX_PROBLEMS, Validator, dotted

COMMON = {
    "$id": "https://example.com/common",
    "$defs": {
        "word": {"type": "string", "pattern": "^[a-z]+$", "x-form": "one word", "title": "A word"},
        "pair": {
            "type": "object",
            "description": "Two words.",
            "properties": {"left": {"$ref": "#/$defs/word"}, "right": {"$ref": "#/$defs/word"}},
            "required": ["left"],
            "unevaluatedProperties": False,
        },
    },
}
SCHEMA = {
    "$id": "https://example.com/kinds/thing",
    "type": "object",
    "properties": {
        "pair": {"description": "The first pair.", "$ref": "../common#/$defs/pair"},
        "pairs": {"type": "array", "items": {"$ref": "https://example.com/common#/$defs/pair"}},
        "local": {"$ref": "#/$defs/a~1b"},
        "kind": {"const": "thing"},
        "size": {"type": "integer", "multipleOf": 2},
    },
    "$defs": {"a/b": {"type": "boolean", "title": "Escaped"}},
    "allOf": [{"properties": {"extra": {"type": "string", "description": "From allOf."}}}],
    "unevaluatedProperties": False,
}
VALIDATOR = Validator(SCHEMA, {str(COMMON["$id"]): COMMON})


def _found(value: Any) -> dict[str, Problem]:
    return {problem.path: problem for problem in VALIDATOR.problems(value)}


def test_valid_value_has_no_problem() -> None:
    """A value of the schema has no fault."""
    assert VALIDATOR.problems({"pair": {"left": "a"}, "local": True, "extra": "x"}) == []


def test_all_faults_at_once() -> None:
    """Every fault is reported, not the first."""
    found = _found({"pair": {"right": "B C"}, "pairs": [{"left": "a"}, 5], "size": 3, "other": 1})
    assert set(found) == {"pair.left", "pair.right", "pairs[1]", "size", "other"}


@pytest.mark.parametrize(
    ("value", "path", "description"),
    [
        ({"pair": {}}, "pair.left", "A word"),
        ({"pair": 1}, "pair", "The first pair."),
        ({"pairs": [1]}, "pairs[0]", "Two words."),
        ({"pairs": [{"left": "!"}]}, "pairs[0].left", "A word"),
        ({"local": 1}, "local", "Escaped"),
        ({"extra": 1}, "extra", "From allOf."),
    ],
)
def test_description_is_found_through_references(value: Any, path: str, description: str) -> None:
    """A fault carries what the schema says of the field, also across references and lists."""
    assert _found(value)[path].description == description


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ({"pair": {"lefft": "a", "left": "a"}}, "pair.lefft", "did you mean left?"),
        ({"pair": {"zzz": "a", "left": "a"}}, "pair.zzz", "is not a known field"),
        ({"EXTRA": "a"}, "EXTRA", "did you mean extra?"),
        ({"pair": {"left": "A"}}, "pair.left", "must be one word"),
        ({"pair": {"left": " "}}, "pair.left", "must not be blank"),
        ({"kind": "other"}, "kind", "must be thing"),
        ({"extra": 1.0}, "extra", "put it in quotes"),
        ({"extra": []}, "extra", "must be text, not a list"),
        ({"size": 3}, "size", "multiple"),
    ],
)
def test_words_of_a_fault(value: Any, path: str, message: str) -> None:
    """A fault says what to write instead."""
    assert message in _found(value)[path].message


def test_blank_text_is_one_fault(registry: KindRegistry) -> None:
    """A text that breaks pattern, length and format alike is reported once."""
    body = {"records": [], "controls": ["a:b"], "reason": ""}
    paths = [problem.path for problem in registry.get("link").problems(body)]
    assert paths.count("reason") == 1


def test_missing_group_names_what_it_must_hold() -> None:
    """A group that is missing is reported with the fields it would have to hold."""
    schema = {"properties": {"group": COMMON["$defs"]["pair"]}, "required": ["group"]}  # type: ignore[index]
    problems = Validator({**schema, "$defs": COMMON["$defs"]}).problems({})
    assert [problem.path for problem in problems] == ["group", "group.left"]


def test_known_field_is_never_called_unknown() -> None:
    """A field of a branch that failed is not reported as unknown on top of its own fault."""
    assert [problem.path for problem in VALIDATOR.problems({"extra": 1})] == ["extra"]


def test_invalid_value_always_has_a_problem() -> None:
    """What is not valid never comes back without a fault, even where none can be worded."""
    hidden = Validator({"properties": {"a": True}, "allOf": [{"unevaluatedProperties": False}]})
    [problem] = hidden.problems({"a": 1})
    assert problem.message == "does not fit its schema"


def test_alternatives_are_named() -> None:
    """Where one of several fields is needed, all are named; else the fault stays general."""
    either = Validator({"anyOf": [{"required": ["a"]}, {"required": ["b"]}]})
    assert [problem.message for problem in either.problems({})] == ["needs at least one of a, b"]
    mixed = Validator({"oneOf": [{"type": "string"}, {"required": ["b"], "type": "object"}]})
    assert mixed.problems({})[0].message == "fits none of the forms it may have"


@pytest.mark.parametrize(
    ("value", "path", "message"),
    [
        ({"extra": date(2026, 1, 31)}, "extra", "write it in quotes: '2026-01-31'"),
        ({"extra": datetime(2026, 1, 31, tzinfo=UTC)}, "extra", "is a date"),
        ({"extra": b"x"}, "extra", "is bytes"),
        ({"extra": {1, 2}}, "extra", "is set"),
        ({"pair": {"left": "\ud800"}}, "pair.left", "half of a character"),
        ({"size": float("nan")}, "size", "is nan"),
        ({"pair": {1: "a"}}, "pair", "has the key 1"),
        ({"pairs": [{"left": date(2026, 1, 31)}]}, "pairs[0].left", "is a date"),
    ],
)
def test_what_json_cannot_hold_is_a_fault(value: Any, path: str, message: str) -> None:
    """What JSON has no word for is a fault with a path, not a traceback."""
    assert message in _found(value)[path].message


def test_deep_nesting_is_a_fault() -> None:
    """A value nested without end is refused, not followed."""
    value: Any = {}
    for _ in range(5000):
        value = {"pair": value}
    assert any("nests deeper" in problem.message for problem in VALIDATOR.problems(value))


def test_a_flood_of_faults_is_cut_and_said() -> None:
    """Past the limit the rest is left out, and that is a fault of its own."""
    problems = Validator({"items": {"type": "string"}}).problems([1] * (MAX_PROBLEMS + 5))
    assert len(problems) == MAX_PROBLEMS + 1
    assert "the rest is not listed" in problems[-1].message


def test_hostile_names_are_made_visible() -> None:
    """Escape codes and bidi marks in a field's name do not reach the terminal."""
    [problem] = VALIDATOR.problems({"a\x1b[2J\u202e": 1})
    assert problem.path == "a[U+001B][2J[U+202E]"
    assert problem.message.isprintable()


def test_long_values_are_not_repeated() -> None:
    """A fault's message does not carry the whole value."""
    [problem] = Validator({"not": {"type": "string"}}).problems("x" * 100_000)
    assert len(problem.message) <= 300


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "thing"},
        {"$ref": "#/$defs/nowhere"},
        {"$ref": "https://example.com/elsewhere"},
        {"$ref": "file:///etc/hostname"},
        {"properties": {"a": {"pattern": "("}}},
        {"items": [1]},
    ],
)
def test_malformed_schema_is_refused(schema: dict[str, Any]) -> None:
    """A schema that cannot be used gives schema.malformed, whichever way it is broken."""
    with pytest.raises(InputError) as caught:
        Validator(schema).compile()
    assert caught.value.code == "schema.malformed"
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("use", [Validator.compile, lambda validator: validator.problems({})])
def test_nothing_is_fetched(
    use: Callable[[Validator], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reference to another place is refused before any connection is made."""
    import socket

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket, "socket", refuse)
    with pytest.raises(InputError, match="nothing is fetched"):
        use(Validator({"$ref": "http://127.0.0.1:9/schema"}))


def test_unknown_reference_reads_as_nothing() -> None:
    """Reading a schema that refers nowhere, or only to itself, ends and finds nothing."""
    root = Validator({"properties": {"a": {"$ref": "#/x/y"}, "b": {"$ref": "#/properties/b"}}}).root
    assert root.properties()["a"].description == ""
    assert root.properties()["b"].properties() == {}
    assert root.at(["a", "b", 0]) is None


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ([], ""),
        (["a"], "a"),
        (["a", 0, "b"], "a[0].b"),
        ([3, "a"], "[3].a"),
        (["a\nb"], "a[U+000A]b"),
    ],
)
def test_dotted(path: list[str | int], text: str) -> None:
    """A path is written with dots and brackets, and safe to show."""
    assert dotted(path) == text
