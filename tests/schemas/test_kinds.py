"""The registry: looking kinds up, showing them, and a workspace's own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from muniment.schemas import yamldoc
from muniment.schemas.errors import InputError
from muniment.schemas.kinds import Kind, KindRegistry, own_kinds
from muniment.schemas.statement import PREDICATE_PREFIX, Statement, SystemRef
from muniment.schemas.times import parse_time
from muniment.schemas.validation import Node


def _own(name: str, **more: Any) -> dict[str, Any]:
    return {
        "$id": f"{PREDICATE_PREFIX}{name}/v1",
        "title": "Red team",
        "type": "object",
        "properties": {
            "lead": {
                "description": "Who led it.",
                "$ref": "https://muniment.dev/evidence/common/v1#/$defs/person",
            }
        },
        "required": ["lead"],
        "unevaluatedProperties": False,
        **more,
    }


def _written(folder: Path, name: str, content: Any) -> Path:
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    (folder / name).write_bytes(data)
    return folder


def _uncommented(text: str) -> str:
    return "\n".join(line.removeprefix("# ") for line in text.splitlines())


def _required(node: Node) -> dict[str, Any]:
    """What a template leaves open: the required fields, one entry for a list of groups."""
    result: dict[str, Any] = {}
    for name, part in node.properties().items():
        if name in node.required():
            items = part.items()
            inner = _required(items or part)
            result[name] = ([inner] if items else inner) if inner else None
    return result


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    return [_shape(item) for item in value] if isinstance(value, list) else None


def _paths(node: Node, prefix: str = "") -> Iterator[str]:
    for name, part in node.properties().items():
        items = part.items()
        yield f"{prefix}{name}"
        yield from _paths(items or part, f"{prefix}{name}{'[].' if items else '.'}")


def _held(value: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for name, item in value.items():
            yield f"{prefix}{name}"
            mark = "[]." if isinstance(item, list) else "."
            yield from _held(item, f"{prefix}{name}{mark}")
    elif isinstance(value, list):
        for item in value:
            yield from _held(item, prefix)


def _filled(template: Any, body: Any) -> Any:
    if isinstance(template, dict):
        return {name: _filled(item, body[name]) for name, item in template.items()}
    if isinstance(template, list):
        return [_filled(template[0], item) for item in body]
    return body


def _kinds() -> list[Kind]:
    return list(KindRegistry())


@pytest.mark.parametrize("kind", _kinds(), ids=lambda kind: kind.name)
def test_template_leaves_exactly_the_required_open(kind: Kind) -> None:
    """A template is YAML whose uncommented keys are the required fields, at every depth."""
    parsed = yaml.safe_load(kind.template())
    assert _shape(parsed) == _required(kind.root)
    assert set(parsed) == kind.root.required()


@pytest.mark.parametrize("kind", _kinds(), ids=lambda kind: kind.name)
def test_template_without_marks_has_every_field(kind: Kind) -> None:
    """With the comment marks taken off, the template is YAML with every field of the kind."""
    parsed = yamldoc.load(_uncommented(kind.template()), what="template")
    assert set(_held(parsed)) == set(_paths(kind.root))


@pytest.mark.parametrize("kind", _kinds(), ids=lambda kind: kind.name)
def test_unfilled_template_is_refused(kind: Kind) -> None:
    """A template suggests no value: left as it is, every required field is a fault."""
    parsed = yaml.safe_load(kind.template())
    faults = {problem.path.replace("[0]", "[]") for problem in kind.problems(parsed)}
    leaves = {path for path in _held(parsed) if not _is_parent(path, parsed)}
    # A metric's value may be null: the tool could compute none.
    assert leaves - faults <= {"metrics[].value"}


def _is_parent(path: str, parsed: Any) -> bool:
    return any(other.startswith((f"{path}.", f"{path}[].")) for other in _held(parsed))


@pytest.mark.parametrize("kind", _kinds(), ids=lambda kind: kind.name)
def test_filled_template_loads(kind: Kind, bodies: dict[str, Any]) -> None:
    """A template with its required fields filled is a valid body, unless a field asks for more."""
    template = yamldoc.load(kind.template(), what="template")
    body = yamldoc.load(yaml.safe_dump(_filled(template, bodies[kind.name])), what="body")
    more = {
        "key": {"fingerprint", "publicKey", "holder", "roles", "functions"},
        "incident": {"resolvedAt", "cause"},
        "risk-assessment": {"risks[0].acceptedBy"},
        "waiver": {"residualRisk"},
        "sample-test": {"records[0].note"},
    }
    missing = {problem.path for problem in kind.problems(body) if "holder." not in problem.path}
    assert missing == more.get(kind.name, set())


@pytest.mark.parametrize("kind", _kinds(), ids=lambda kind: kind.name)
def test_template_explains_each_field(kind: Kind) -> None:
    """Every line of a template but list marks carries its field's type and meaning."""
    head, *lines = kind.template().splitlines()
    assert head == f"## {kind.title}: {kind.description}"
    assert [line for line in lines if ":" in line and "  # " not in line] == []


def test_fields_list_parents_before_parts(registry: KindRegistry) -> None:
    """The table of fields is in the schema's order, with types in words and list marks."""
    rows = {row.path: row for row in registry.get("eval-result").fields()}
    paths = list(rows)
    assert paths[:3] == ["model", "model.name", "model.sha256"]
    assert paths.index("metrics") < paths.index("metrics[].name")
    assert rows["metrics"].type == "list of group" and rows["metrics"].required
    assert rows["metrics[].value"].type == "number or nothing"
    assert rows["checks[].outcome"].type == "pass | fail | error | skipped | not-run"
    assert rows["startedAt"].type == "time" and not rows["startedAt"].required
    assert rows["productionTest"].title == "Test on live production data"
    assert rows["productionTest.testedOn"].type == "date"
    assert rows["errorClasses[].costly"].type == "yes/no"


def test_fields_are_all_the_schema_knows(registry: KindRegistry) -> None:
    """The table leaves no field out."""
    for kind in registry:
        assert [row.path for row in kind.fields()] == list(_paths(kind.root))


def test_unknown_kind_names_the_nearest(registry: KindRegistry) -> None:
    """A kind that is not there is refused with the nearest name."""
    with pytest.raises(InputError, match="there is no kind 'evalresult'") as caught:
        registry.get("evalresult")
    assert caught.value.code == "kind.unknown"
    assert caught.value.hint == "did you mean eval-result?"
    with pytest.raises(InputError) as caught:
        registry.get("zzzz")
    assert caught.value.hint == "see muniment kind list"


def _statement(predicate: str, body: dict[str, Any]) -> Statement:
    system = SystemRef("credit-risk", "2.1.0")
    time = parse_time("2026-10-31T12:00:00Z")
    return Statement((system.descriptor(),), predicate, system, time, body, "0" * 32)


def test_statement_is_checked_by_its_kind(registry: KindRegistry, bodies: dict[str, Any]) -> None:
    """A statement is checked by the kind of its predicate type; of another type nothing is said."""
    good = _statement(f"{PREDICATE_PREFIX}link/v1", bodies["link"])
    assert registry.problems(good) == []
    assert registry.problems(_statement(f"{PREDICATE_PREFIX}link/v1", {})) != []
    assert registry.problems(_statement("https://example.com/other/v1", {})) is None
    assert registry.problems(_statement(f"{PREDICATE_PREFIX}unheard-of/v1", {})) is None


def test_own_kind_joins_the_built_in(tmp_path: Path) -> None:
    """A schema dropped into the folder is a kind like any other, and may use the shared parts."""
    _written(tmp_path, "red-team.json", _own("red-team"))
    _written(tmp_path, "README.md", b"not a kind")
    registry = KindRegistry(own_kinds(tmp_path))
    kind = registry.get("red-team")
    assert kind.problems({"lead": {"name": "Ada", "email": "ada@example.com"}}) == []
    assert [problem.path for problem in kind.problems({"lead": {"name": "Ada"}})] == ["lead.email"]
    assert yaml.safe_load(kind.template()) == {"lead": {"name": "", "email": ""}}
    assert len(list(registry)) == len(_kinds()) + 1


def test_folder_that_is_not_there_is_no_fault(tmp_path: Path) -> None:
    """A workspace without own kinds has the built-in ones."""
    assert len(list(KindRegistry(own_kinds(tmp_path / "nowhere")))) == len(_kinds())


BAD_KINDS: dict[str, tuple[str, Any, str, str]] = {
    "name": ("Red Team.json", _own("red-team"), "kind.malformed", "lower-case letters"),
    "taken": ("approval.json", _own("approval"), "kind.malformed", "the name approval is taken"),
    "common": ("common.json", _own("common"), "kind.malformed", "the name common is taken"),
    "list": ("red-team.json", [], "kind.malformed", "must describe an object"),
    "no object": ("red-team.json", _own("red-team", type="array"), "kind.malformed", "an object"),
    "id": ("red-team.json", _own("blue-team"), "kind.malformed", "its $id must be"),
    "gate": ("red-team.json", _own("red-team", **{"$id": "https://slsa.dev/verification_summary/v1"}),
             "kind.malformed", "its $id must be"),
    "lax": ("red-team.json", _own("red-team", unevaluatedProperties=True), "kind.malformed",
            "unevaluatedProperties: false"),
    "not JSON": ("red-team.json", b"{", "kind.malformed", "it is not JSON"),
    "not UTF-8": ("red-team.json", b"\xff", "kind.malformed", "it is not UTF-8"),
    "duplicate key": ("red-team.json", b'{"type":1,"type":2}', "kind.malformed", "stands twice"),
    "bad keyword": ("red-team.json", _own("red-team", required="lead"), "schema.malformed",
                    "cannot be used"),
    "bad pattern": ("red-team.json", _own("red-team", patternProperties={"(": {}}),
                    "schema.malformed", "cannot be used"),
    "remote": ("red-team.json", _own("red-team", allOf=[{"$ref": "https://example.com/x"}]),
               "schema.malformed", "nothing is fetched"),
    "file": ("red-team.json", _own("red-team", allOf=[{"$ref": "file:///etc/hostname"}]),
             "schema.malformed", "nothing is fetched"),
    "nowhere": ("red-team.json", _own("red-team", allOf=[{"$ref": "#/$defs/x"}]),
                "schema.malformed", "cannot be used"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_KINDS)
def test_bad_own_kind_is_refused(case: str, tmp_path: Path) -> None:
    """Each file that is no kind is refused when the registry is made, with its own reason."""
    name, content, code, message = BAD_KINDS[case]
    with pytest.raises(InputError) as caught:
        KindRegistry(own_kinds(_written(tmp_path, name, content)))
    assert caught.value.code == code
    assert message in caught.value.message


def test_unreadable_kind_is_refused(tmp_path: Path) -> None:
    """A kind that cannot be read is an error of ours, not of the operating system."""
    (tmp_path / "red-team.json").mkdir()
    with pytest.raises(InputError) as caught:
        KindRegistry(own_kinds(tmp_path))
    assert caught.value.code == "file.special"


def test_kind_within_itself_is_listed_once(tmp_path: Path) -> None:
    """A kind that refers to itself has a finite table and template."""
    own = _own("tree", properties={"name": {"type": "string"}, "parts": {"$ref": "#/$defs/parts"}})
    own["$defs"] = {"parts": {"type": "array", "items": {"$ref": "#"}}}
    own["required"] = ["name"]
    kind = KindRegistry(own_kinds(_written(tmp_path, "tree.json", own))).get("tree")
    assert [row.path for row in kind.fields()][:3] == ["name", "parts", "parts[].name"]
    assert len(kind.fields()) < 10
    assert yaml.safe_load(kind.template()) == {"name": ""}
    assert kind.problems({"name": "a", "parts": [{"name": "b", "parts": []}]}) == []


def test_odd_names_and_words_stay_yaml(tmp_path: Path) -> None:
    """Names and descriptions that mean something to YAML do not break a template."""
    words = "a: b # c\u2028d\x07\n- e"
    names = ["yes", "null", "a: b", "1", "#x", "n", "-", "true"]
    fields: dict[str, Any] = {n: {"type": "string", "description": words} for n in names}
    fields["rows"] = {
        "type": "array",
        "description": words,
        "items": {"type": "object", "properties": {"x": {"type": "number"}}},
    }
    own = _own("odd", title=words, description=words, properties=fields, required=[*names, "rows"])
    kind = KindRegistry(own_kinds(_written(tmp_path, "odd.json", own))).get("odd")
    assert yaml.safe_load(kind.template()) == {**dict.fromkeys(names, ""), "rows": [None]}
    open_template = yaml.safe_load(_uncommented(kind.template()))
    assert open_template["rows"] == [{"x": None}]
