"""Kinds of evidence: one JSON Schema 2020-12 file each, built in (``kinds/``) or of a workspace.

A file is named ``<kind>.json``; its ``$id`` is the predicate type. ``common.json`` holds what
several kinds share. Schemas must be strict (``unevaluatedProperties: false``): a field nobody
knows is a mistake or a hiding place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from muniment.schemas import strictjson
from muniment.schemas.errors import InputError, Problem, SchemaError
from muniment.schemas.files import files_in, read_small
from muniment.schemas.statement import Statement, predicate_type
from muniment.schemas.text import visible
from muniment.schemas.validation import Node, Validator, dotted

_NAME = re.compile(r"[a-z][a-z0-9-]{0,63}")
_COMMON = "common"
_PLAIN_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_YAML_WORDS = {"yes", "no", "on", "off", "true", "false", "null"}


@dataclass(frozen=True, slots=True)
class FieldRow:
    """One field of a kind, for a person to read."""

    path: str
    """Dotted; ``[]`` marks a list's entries."""
    type: str
    required: bool
    """Whether it must be there wherever the group it stands in is."""
    title: str
    description: str


class Kind:
    """One kind of evidence and the schema of its body."""

    def __init__(
        self,
        name: str,
        schema: Mapping[str, Any],
        shared: Mapping[str, Any],
        *,
        built_in: bool = True,
    ) -> None:
        self.name = name
        self.built_in = built_in
        self.schema = schema
        self.title = str(schema.get("title", name))
        self.description = str(schema.get("description", ""))
        self.predicate_type = predicate_type(name)
        self._validator = Validator(schema, shared)

    @property
    def root(self) -> Node:
        """The schema, for reading field by field."""
        return self._validator.root

    def problems(self, body: Mapping[str, Any]) -> list[Problem]:
        """Every fault of ``body``; empty if it is of this kind."""
        return self._validator.problems(body)

    @property
    def fits(self) -> Callable[[Any], bool]:
        """Whether a body that was read from JSON is of this kind."""
        return self._validator.fits

    def compile(self) -> None:
        """Compile the schema now.

        Raises:
            InputError: ``schema.malformed``.
        """
        self._validator.compile()

    def fields(self) -> list[FieldRow]:
        """Every field, parents before their parts, in the schema's order."""
        return list(_rows(self.root, "", frozenset()))

    def template(self) -> str:
        """YAML to fill: required fields open and first, optional ones commented out.

        No value is suggested, so that nothing left unfilled can pass. Without the ``# `` a line
        begins with, an optional field is YAML as well.
        """
        head = f"## {self.title}: {self.description}" if self.description else f"## {self.title}"
        lines = [_one_line(head), *_template(self.root, "", False, frozenset())]
        return "\n".join(lines) + "\n"


_MAX_BYTES = 1 << 20
"""Largest schema of a kind."""


def own_kinds(folder: Path) -> dict[str, bytes]:
    """The workspace's own kinds: files ``<name>.json``; other files are left alone.

    Raises:
        InputError: ``kind.unreadable``.
    """
    files = files_in(folder, ".json", "kind")
    return {file.name.removesuffix(".json"): read_small(file, _MAX_BYTES) for file in files}


class KindRegistry:
    """The kinds a workspace knows.

    Args:
        own: kinds beside the built-in ones: name to the bytes of the schema, as ``own_kinds``
            reads them from a workspace's folder.

    Raises:
        InputError: ``kind.malformed`` for what is no kind, ``schema.malformed`` for one whose
            schema cannot be used.
    """

    def __init__(self, own: Mapping[str, bytes] | None = None) -> None:
        built_in = resources.files(__package__).joinpath("kinds")
        schemas = {
            file.name.removesuffix(".json"): strictjson.loads(file.read_bytes(), what=file.name)
            for file in sorted(built_in.iterdir(), key=lambda item: item.name)
            if file.name.endswith(".json")
        }
        common = schemas.pop(_COMMON)
        self._shared = {common["$id"]: common}
        self._kinds = {name: Kind(name, item, self._shared) for name, item in schemas.items()}
        for name, data in (own or {}).items():
            kind = self._own(name, data)
            kind.compile()
            self._kinds[name] = kind

    def _own(self, name: str, data: bytes) -> Kind:
        cause: InputError | None = None
        try:
            schema = strictjson.loads(data, what="it")
            fault = self._fault(name, schema)
        except InputError as error:
            cause, fault = error, error.message
        if fault is None:
            return Kind(name, schema, self._shared, built_in=False)
        raise InputError(
            "kind.malformed",
            f"{visible(name)}.json is not a kind: {fault}",
            hint="start from a built-in kind: muniment kind show NAME --json",
        ) from cause

    def _fault(self, name: str, schema: Any) -> str | None:
        if not _NAME.fullmatch(name):
            return "its name must be lower-case letters, digits and hyphens"
        if name in self._kinds or name == _COMMON:
            return f"the name {name} is taken"
        if not isinstance(schema, dict) or schema.get("type") != "object":
            return "the schema must describe an object"
        if schema.get("$id") != predicate_type(name):
            return f"its $id must be {predicate_type(name)}"
        if schema.get("unevaluatedProperties") is not False:
            return "it must say unevaluatedProperties: false"
        return None

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._kinds.values())

    def get(self, name: str) -> Kind:
        """The kind called ``name``.

        Raises:
            InputError: ``kind.unknown``, with the nearest names.
        """
        if name in self._kinds:
            return self._kinds[name]
        import difflib

        near = difflib.get_close_matches(name, self._kinds, n=3, cutoff=0.5)
        raise InputError(
            "kind.unknown",
            f"there is no kind {name!r}",
            hint=f"did you mean {' or '.join(near)}?" if near else "see muniment kind list",
            expected=", ".join(self._kinds),
            found=name,
        )

    def problems(self, statement: Statement) -> list[Problem] | None:
        """Every fault of the statement's body; None if the kind is not known."""
        kind = self._kinds.get(statement.kind or "")
        return None if kind is None else kind.problems(statement.body)


def check_body(statement: Statement, kinds: KindRegistry) -> None:
    """Hold a statement's body against its kind.

    Raises:
        SchemaError: ``kind.unknown`` or ``body.malformed``, with every fault.
    """
    problems = kinds.problems(statement)
    if problems is None:
        raise SchemaError("kind.unknown", f"no kind is known for {statement.predicate_type}")
    if problems:
        raise SchemaError(
            "body.malformed",
            f"this is no {statement.kind}: {problems[0].path or 'the body'} {problems[0].message}",
            problems,
        )


def _rows(node: Node, prefix: str, inside: frozenset[int]) -> Iterator[FieldRow]:
    required = node.required()
    for name, part in node.properties().items():
        path = f"{prefix}{dotted([name])}"
        yield FieldRow(
            path,
            _type_name(part),
            name in required,
            str(part.get("title") or ""),
            str(part.get("description") or ""),
        )
        items = part.items()
        inner = items or part
        # NOTE: a kind may hold itself; its fields are then listed once, not for ever.
        if inner.identity not in inside:
            mark = "[]." if items else "."
            yield from _rows(inner, f"{path}{mark}", inside | {inner.identity})


def _template(node: Node, pad: str, off: bool, inside: frozenset[int]) -> Iterator[str]:
    required = node.required()
    fields = node.properties().items()
    for name, part in sorted(fields, key=lambda field: field[0] not in required):
        hidden = off or name not in required
        mark = "# " if hidden else ""
        items = part.items()
        inner = items or part
        step = "    " if items else "  "
        parts: list[str] = []
        if inner.identity not in inside:
            parts = list(_template(inner, pad + step, hidden, inside | {inner.identity}))
        value = ' ""' if not parts and _is_text(part) else ""
        yield f"{mark}{pad}{_key(name)}:{value}  # {_note(part, name in required)}"
        if parts and items:
            # The dash of a list's entry goes where its first field begins, unless that is hidden.
            if parts[0].startswith("# ") and not hidden:
                yield f"{pad}  -"
            else:
                parts[0] = f"{mark}{pad}  - {parts[0].removeprefix(mark).lstrip()}"
        yield from parts


def _key(name: str) -> str:
    plain = _PLAIN_KEY.fullmatch(name) and name.casefold() not in _YAML_WORDS
    return name if plain else json.dumps(name)


def _note(part: Node, required: bool) -> str:
    note = _type_name(part) + ("" if required else ", optional")
    return _one_line(f"{note}: {part.description}" if part.description else note)


def _one_line(text: str) -> str:
    return visible(" ".join(text.split()))


def _is_text(part: Node) -> bool:
    return bool(part.get("enum") or part.get("const") or part.get("type") == "string")


def _type_name(part: Node) -> str:
    if part.get("const") is not None:
        return f"always {part.get('const')}"
    if options := part.get("enum"):
        return " | ".join(map(str, options))
    names = part.get("type")
    if isinstance(names, list):
        return " or ".join(_word(str(name), part) for name in names)
    return _word(str(names or "any"), part)


def _word(name: str, part: Node) -> str:
    if name == "array":
        items = part.items()
        return f"list of {_type_name(items)}" if items else "list"
    if name == "string":
        return {"date": "date", "date-time": "time"}.get(str(part.get("format")), "text")
    words = {"object": "group", "boolean": "yes/no", "integer": "whole number", "null": "nothing"}
    return words.get(name, name)
