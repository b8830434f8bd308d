"""Setting one field of a body by its path, as ``--set metrics[accuracy].threshold=0.9`` does."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from muniment.schemas.errors import InputError

_STEP = re.compile(r"\.?([A-Za-z_][A-Za-z0-9_-]*)|\[([^\[\]]+)\]")
_MAX_INDEX = 10_000


def set_path(body: dict[str, Any], path: str, value: Any) -> None:
    """Set the field at ``path``, making what is missing on the way.

    ``[3]`` is an entry by place, ``[accuracy]`` the entry whose ``name`` is ``accuracy``.

    Raises:
        InputError: ``path.malformed``.
    """
    steps = _parse(path)
    node: Any = body
    for step, following in pairwise(steps):
        node = _enter(node, step, following, path)
    _assign(node, steps[-1], value, path)


def _parse(path: str) -> list[str | int]:
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        match = _STEP.match(path, at)
        if not match or (match[2] is None and (at == 0) == match[0].startswith(".")):
            raise _malformed(path, "write name.name, name[0].name or name[entry].name")
        name, entry = match[1], match[2]
        if name is not None:
            steps.append(name)
        else:
            if steps and _is_entry(steps[-1]):
                raise _malformed(path, "an entry of a list has fields, not entries")
            if entry.isdecimal() and len(entry) > 9:
                raise _malformed(path, "no list has so many entries")
            steps.append(int(entry) if entry.isdecimal() else f"[{entry}")
        at = match.end()
    if not steps or _is_entry(steps[0]):
        raise _malformed(path, "a path begins with the name of a field")
    return steps


def _is_entry(step: str | int) -> bool:
    return isinstance(step, int) or step.startswith("[")


def _enter(node: Any, step: str | int, following: str | int, path: str) -> Any:
    is_list = _is_entry(following)
    if _is_entry(step):
        place = _place(node, step, path)
        if not isinstance(node[place], dict):
            raise _malformed(path, f"the entry {step} has no fields")
        return node[place]
    if not isinstance(node, dict):
        raise _malformed(path, f"there is no field {step} here")
    inner = node.setdefault(step, [] if is_list else {})
    if not isinstance(inner, list if is_list else dict):
        raise _malformed(path, f"{step} is not a {'list' if is_list else 'group'}")
    return inner


def _assign(node: Any, step: str | int, value: Any, path: str) -> None:
    if isinstance(step, int):
        node[_place(node, step, path, fill=value)] = value
    elif step.startswith("["):
        node[_place(node, step, path)] = value
    elif isinstance(node, dict):
        node[step] = value
    else:
        raise _malformed(path, f"there is no field {step} here")


def _place(node: list[Any], step: str | int, path: str, fill: Any = None) -> int:
    """Index of an entry; one past the end, or an unknown name, makes a new entry."""
    if isinstance(step, int):
        if step > min(len(node), _MAX_INDEX):
            raise _malformed(path, f"entry {step} would leave a hole after {len(node)} entries")
        if step == len(node):
            node.append({} if fill is None else fill)
        return step
    name = step.removeprefix("[")
    for place, entry in enumerate(node):
        if isinstance(entry, dict) and entry.get("name") == name:
            return place
    node.append({"name": name})
    return len(node) - 1


def _malformed(path: str, why: str) -> InputError:
    return InputError("path.malformed", f"the path {path!r} cannot be set: {why}")
