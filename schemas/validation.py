"""JSON Schema 2020-12 validation with every fault reported in words.

The work is done by jsonschema-rs; this module compiles a schema once, words its errors, and reads a
schema's own words for people.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from itertools import islice
from typing import Any
from urllib.parse import unquote, urljoin

from muniment.schemas.errors import InputError, Problem, SchemaError
from muniment.schemas.strictjson import MAX_DEPTH
from muniment.schemas.text import shorten, visible

MAX_PROBLEMS = 1000
"""Most faults of one document that are listed; that there are more is then a fault of its own."""

_MAX_REFERENCES = 8
_TYPES = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a group of fields",
    "null": "null",
}
_FORMATS = {
    "date": "a day, written 2026-01-31",
    "date-time": "a time, written 2026-01-31T09:30:00Z",
    "email": "an e-mail address",
    "uri": "a URI with its scheme",
}
_TEXT_FORM = {"pattern", "format", "minLength"}
"""Keywords that say the same of one text: it has not the form; the first of them is enough."""


class Validator:
    """One compiled schema.

    Args:
        schema: the JSON Schema.
        shared: other schemas it may refer to, by their ``$id``. Nothing is ever fetched.
    """

    def __init__(self, schema: Mapping[str, Any], shared: Mapping[str, Any] | None = None) -> None:
        self._schema = schema
        self._shared = dict(shared or {})

    @property
    def root(self) -> Node:
        """The schema, for reading."""
        base = str(self._schema.get("$id", ""))
        return Node({**self._shared, base: self._schema}, base, self._schema)

    @cached_property
    def _compiled(self) -> Any:
        import jsonschema_rs

        try:
            registry = jsonschema_rs.Registry(list(self._shared.items())) if self._shared else None
            return jsonschema_rs.Draft202012Validator(
                dict(self._schema), validate_formats=True, registry=registry, retriever=_refuse
            )
        except (ValueError, TypeError, jsonschema_rs.ReferencingError) as error:
            reason = getattr(error, "message", str(error))
            raise InputError(
                "schema.malformed",
                f"the schema {self._schema.get('$id', '')} cannot be used: {reason}",
            ) from error

    def compile(self) -> None:
        """Compile now, so that a malformed schema is found before it is needed.

        Raises:
            InputError: ``schema.malformed``.
        """
        _ = self._compiled

    @cached_property
    def fits(self) -> Callable[[Any], bool]:
        """Whether a JSON value has no fault; a property, so that nothing stands before the call."""
        return self._compiled.is_valid  # type: ignore[no-any-return]

    def problems(self, value: Any) -> list[Problem]:
        """Every fault of ``value``, each once; empty if there is none.

        A value that is not JSON, such as a date object, is reported as that and nothing else.
        """
        compiled = self._compiled
        try:
            if compiled.is_valid(value):
                return []
        except (ValueError, TypeError) as error:
            return list(_foreign(value, [])) or [Problem("", f"cannot be read as JSON: {error}")]
        return list(_foreign(value, [])) or self._worded(compiled.iter_errors(value))

    def require(self, value: Any, code: str, what: str) -> None:
        """Refuse a value that has a fault.

        Args:
            what: what it should be, with its article, for the message.

        Raises:
            SchemaError: ``code``, with every fault.
        """
        if problems := self.problems(value):
            first = problems[0]
            text = f"not {what}: {first.path or 'document'}: {first.message}"
            raise SchemaError(code, text, problems)

    def _worded(self, errors: Iterator[Any]) -> list[Problem]:
        root = self.root
        found: dict[Problem, None] = {}
        formless: set[str] = set()
        for error in islice(errors, MAX_PROBLEMS):
            for problem in _problems(error, root):
                if error.kind.name in _TEXT_FORM:
                    if problem.path in formless:
                        continue
                    formless.add(problem.path)
                found[problem] = None
        if next(errors, None) is not None:
            found[Problem("", f"has over {MAX_PROBLEMS:,} faults; the rest is not listed")] = None
        return list(found) or [Problem("", "does not fit its schema")]


def closed(properties: Mapping[str, Any], **optional: Any) -> dict[str, Any]:
    """The schema of an object with these fields, and perhaps the optional ones, but no others."""
    return {
        "type": "object",
        "properties": {**properties, **optional},
        "required": list(properties),
        "additionalProperties": False,
    }


class Node:
    """One place in a schema, references followed; what stands beside a reference comes first.

    Args:
        documents: the schemas a reference may lead to, by ``$id``.
        base: ``$id`` of the document that ``schema`` stands in.
        schema: the schema at this place.
    """

    __slots__ = ("_documents", "_layers")

    def __init__(self, documents: Mapping[str, Any], base: str, schema: Any) -> None:
        self._documents = documents
        self._layers = tuple(self._follow(base, schema, _MAX_REFERENCES))

    def _follow(self, base: str, schema: Any, left: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
        if not isinstance(schema, Mapping) or not left:
            return
        yield base, schema
        if "$ref" in schema:
            yield from self._follow(*self._target(base, str(schema["$ref"])), left - 1)
        for part in schema.get("allOf", ()):
            yield from self._follow(base, part, left - 1)

    def _target(self, base: str, reference: str) -> tuple[str, Any]:
        document, _, pointer = urljoin(base, reference).partition("#")
        target = self._documents.get(document)
        for step in filter(None, unquote(pointer).split("/")):
            key = step.replace("~1", "/").replace("~0", "~")
            target = target.get(key) if isinstance(target, Mapping) else None
        return document, target

    @property
    def identity(self) -> int:
        """The same for every place that refers to the same definition; tells recursion."""
        return id(self._layers[-1][1]) if self._layers else 0

    def get(self, keyword: str) -> Any:
        """The keyword's value; None where it is not said."""
        return next((layer[keyword] for _, layer in self._layers if keyword in layer), None)

    def properties(self) -> dict[str, Node]:
        """The fields, in the schema's order."""
        result: dict[str, Node] = {}
        for base, layer in self._layers:
            for name, part in layer.get("properties", {}).items():
                result.setdefault(name, Node(self._documents, base, part))
        return result

    def required(self) -> frozenset[str]:
        """Names of the fields that must always be there."""
        return frozenset(name for _, layer in self._layers for name in layer.get("required", ()))

    def items(self) -> Node | None:
        """What a list's entries are; None where it is no list, or says nothing of them."""
        for base, layer in self._layers:
            if "items" in layer:
                return Node(self._documents, base, layer["items"])
        return None

    def at(self, path: Sequence[str | int]) -> Node | None:
        """The place of the value at ``path`` in a document; None where the schema knows none."""
        node: Node | None = self
        for step in path:
            if node is None:
                return None
            node = node.items() if isinstance(step, int) else node.properties().get(step)
        return node

    @property
    def description(self) -> str:
        """What the field is for: its description, or else its title."""
        return str(self.get("description") or self.get("title") or "")


def dotted(path: Sequence[str | int]) -> str:
    """Write ``["metrics", 0, "value"]`` as ``metrics[0].value``, safe to show."""
    text = ""
    for step in path:
        name = visible(shorten(str(step), 100))
        text += f"[{name}]" if isinstance(step, int) else f".{name}" if text else name
    return text


def _problems(error: Any, root: Node) -> Iterator[Problem]:
    path: list[str | int] = list(error.instance_path)
    node = root.at(path)
    if error.kind.name == "required":
        yield from _missing(node, path, error.kind.property)
    elif error.kind.name in ("unevaluatedProperties", "additionalProperties"):
        known = list(node.properties()) if node else []
        for name in error.kind.unexpected:
            # NOTE: a branch that fails takes its fields with it; those have a fault of their own.
            if name not in known:
                yield Problem(dotted([*path, name]), f"is not a known field{_nearest(name, known)}")
    else:
        description = node.description if node else ""
        yield Problem(dotted(path), _message(error, node), description)


def _missing(node: Node | None, path: list[str | int], name: str) -> Iterator[Problem]:
    """A field that is not there, and all that a group would have to hold, said at once."""
    part = node.properties().get(name) if node else None
    here = [*path, name]
    yield Problem(dotted(here), "is required", part.description if part else "")
    if part is not None and len(here) < _MAX_REFERENCES:
        for inner in part.properties():
            if inner in part.required():
                yield from _missing(part, here, inner)


def _message(error: Any, node: Node | None) -> str:
    kind, found = error.kind, error.instance
    match kind.name:
        case "type":
            return _wrong_type(kind.types, found)
        case "enum":
            options = [str(option) for option in kind.options]
            return f"must be one of {', '.join(options)}{_nearest(str(found), options)}"
        case "const":
            return f"must be {kind.expected_value}"
        case "pattern" if isinstance(found, str) and not found.strip():
            return "must not be blank"
        case "minLength" if kind.limit == 1:
            return "must not be blank"
        case "pattern" | "format" if node is not None and node.get("x-form"):
            return f"must be {node.get('x-form')}"
        case "format":
            return f"must be {_FORMATS.get(kind.format, kind.format)}"
        case "anyOf" | "oneOf":
            return _no_branch(kind.context, len(error.instance_path))
        case "falseSchema":
            return "must be left out here"
        case "uniqueItems":
            return "holds the same entry twice"
        case "minItems" | "maxItems" | "minLength" | "maxLength" | "minimum" | "maximum":
            return _beyond_limit(kind.name, kind.limit)
    return visible(shorten(error.message, 300))


def _beyond_limit(keyword: str, limit: float) -> str:
    return {
        "minItems": f"must have at least {limit:,} {'entry' if limit == 1 else 'entries'}",
        "maxItems": f"must have at most {limit:,} {'entry' if limit == 1 else 'entries'}",
        "minLength": f"must have at least {limit:,} characters",
        "maxLength": f"must have at most {limit:,} characters",
        "minimum": f"must be at least {limit}",
        "maximum": f"must be at most {limit}",
    }[keyword]


def _wrong_type(types: Sequence[str], found: Any) -> str:
    wanted = " or ".join(_TYPES.get(name, name) for name in types)
    if "string" in types and isinstance(found, bool | int | float):
        return f"must be {wanted}; put it in quotes"
    return f"must be {wanted}, not {_TYPES[_type_of(found)]}"


def _type_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _no_branch(branches: Sequence[Sequence[Any]], depth: int) -> str:
    """Word a failed ``anyOf``; where each branch only lacks a field, name the fields.

    Where one form alone is of the value's own type, what is wrong is said of that form.

    Args:
        depth: length of the path to the value.
    """
    missing = [
        error.kind.property
        for branch in branches
        for error in branch
        if error.kind.name == "required"
    ]
    if missing and len(missing) == sum(map(len, branches)):
        return f"needs at least one of {', '.join(missing)}"
    near = [b for b in branches if not any(item.kind.name in ("type", "const") for item in b)]
    if len(near) == 1 and all(item.kind.name == "enum" for item in near[0]):
        return "; ".join(
            f"{dotted(list(item.instance_path)[depth:])} {_message(item, None)}, "
            f"not {shorten(str(item.instance), 100)!r}"
            for item in near[0]
        )
    return "fits none of the forms it may have"


def _nearest(name: str, known: Sequence[str]) -> str:
    import difflib

    lowered = {option.casefold(): option for option in known}
    near = difflib.get_close_matches(name[:100].casefold(), lowered, n=1, cutoff=0.6)
    return f"; did you mean {lowered[near[0]]}?" if near else ""


def _foreign(value: Any, path: list[str | int]) -> Iterator[Problem]:
    """Everything in ``value`` that JSON has no word for, as YAML and Python may bring it."""
    if len(path) > MAX_DEPTH:
        yield Problem("", f"nests deeper than {MAX_DEPTH} levels")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, str):
                yield from _foreign(item, [*path, key])
            else:
                yield Problem(
                    dotted(path), f"has the key {key}, which is no text; put it in quotes"
                )
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _foreign(item, [*path, index])
    elif isinstance(value, str):
        if any("\ud800" <= char <= "\udfff" for char in value):
            yield Problem(dotted(path), "holds half of a character")
    elif isinstance(value, float) and not math.isfinite(value):
        yield Problem(dotted(path), f"is {value}, which is not a number JSON can hold")
    elif isinstance(value, date):
        yield Problem(dotted(path), f"is a date and no text; write it in quotes: {str(value)!r}")
    elif not isinstance(value, bool | int | float | None):
        yield Problem(dotted(path), f"is {type(value).__name__}, which JSON has no word for")


def _refuse(uri: str) -> Any:
    raise ValueError(f"it refers to {uri}, which is not among the kinds; nothing is fetched")
