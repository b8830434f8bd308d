"""YAML read as plain data: no tags beyond JSON's, no dates, no duplicate keys, no aliases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from muniment.schemas.errors import InputError
from muniment.schemas.files import read_small

_MAX_BYTES = 4 << 20
_TAG = "tag:yaml.org,2002:"
_TAGS = {_TAG + name for name in ("null", "bool", "int", "float", "str", "seq", "map")}


def load(data: bytes | str, *, what: str) -> Any:
    """Read one YAML document into JSON-like data; dates stay text.

    Args:
        what: what is read, for the message.

    Raises:
        InputError: ``yaml.malformed``.
    """
    import yaml

    if len(data) > _MAX_BYTES:
        raise InputError("yaml.malformed", f"{what} is larger than {_MAX_BYTES:,} bytes")
    try:
        return yaml.load(data, Loader=_loader())
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError) as error:
        raise InputError("yaml.malformed", f"{what} cannot be read: {_why(error)}") from error


def _why(error: Exception) -> str:
    from yaml.reader import ReaderError

    if isinstance(error, ReaderError):
        if error.encoding == "unicode":
            return f"the character U+{error.character:04X} is not allowed in YAML"
        return f"it is not {error.encoding.upper()} text, at byte {error.position}"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, UnicodeError):
        return "it is not UTF-8 text"
    return " ".join(str(error).split())


def load_mapping(path: Path, *, what: str) -> dict[str, Any]:
    """Read a YAML file that holds one mapping.

    Raises:
        InputError: what ``read_small`` raises, or ``yaml.malformed``.
    """
    data = read_small(path, _MAX_BYTES)
    value = load(data, what=what)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InputError(
            "yaml.malformed", f"{what} must hold names with values", found=type(value).__name__
        )
    return value


def _loader() -> Any:
    import yaml

    class StrictLoader(yaml.SafeLoader):
        """``SafeLoader`` without aliases, duplicate keys and what JSON has not."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            # NOTE: nested aliases make a small file expand without bound.
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases are not used here")
            return super().compose_node(parent, index)

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: set[str] = set()
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise yaml.YAMLError("a key must be a name")
                if key.value in seen:
                    raise yaml.YAMLError(f"the key {key.value!r} stands twice")
                seen.add(key.value)
            return super().construct_mapping(node, deep)

    StrictLoader.yaml_implicit_resolvers = {
        first: [pair for pair in pairs if pair[0] != f"{_TAG}timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    # What stands under None refuses every other tag.
    StrictLoader.yaml_constructors = {
        tag: construct
        for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag in _TAGS
    }
    return StrictLoader
