"""Pass rules: CEL (https://cel.dev) over one record, compiled once, bounded in cost.

A catalog may come out of a stranger's packet, so its rules are bounded before they are compiled:
length, depth of nested loops, the length of every list they run over, and before each run the work
that all of it could make.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from muniment.schemas.errors import InputError

MAX_TEXT = 2000
"""Longest rule in characters."""
MAX_LOOPS = 2
"""Deepest nesting of loops."""
MAX_ENTRIES = 1000
"""Longest list a rule is run over."""
MAX_WORK = 100_000_000
"""Most work of one run, as ``_work`` counts it: some seconds at worst."""
_TERM = 20
"""Characters of a rule in which it mentions an entry of a list about once."""
_PIECE = 32
"""Characters of a text that are as much work as one entry of a list."""

_TOKENS = re.compile(r""""[^"]*"|'[^']*'|\.\s*(?P<loop>\w+)\s*\(|(?P<open>\()|(?P<close>\))""")
_LOOPS = frozenset({"all", "exists", "exists_one", "existsOne", "filter"})
# NOTE: each of these could hide a loop from the count above, or build a value without bound.
_REFUSED = re.compile(r"""//|\\|`|\"{3}|'{3}|\.\s*map\s*\(""")


def check_rule(text: str, whose: str) -> None:
    """Refuse a rule whose cost cannot be bounded, or that is not CEL.

    Args:
        whose: full id of its control, for the message.

    Raises:
        InputError: ``rule.too-costly`` or ``rule.malformed``.
    """
    try:
        _program(text)
    except InputError as error:
        error.message = f"{whose}: {error.message}"
        raise


def broken(text: str, variables: Mapping[str, Any]) -> str | None:
    """Run a rule: None if it holds, otherwise why not, in a few words.

    An error inside the rule, or a result that is neither true nor false, is a failure.

    Args:
        variables: ``body``, ``section``, ``record`` and ``asOf``.

    Raises:
        InputError: ``rule.malformed`` or ``rule.too-costly``.
    """
    program = _program(text)
    read = {name: variables[name] for name in program.variables() if name in variables}
    if longest := _longest_list(read):
        return f"a list has {longest} entries; a rule reads at most {MAX_ENTRIES}"
    if (work := _work(text, read)) > MAX_WORK:
        return (
            f"the rule is too much work over a record this large: {work:,} steps, "
            f"and at most {MAX_WORK:,} are taken"
        )
    try:
        result = program.execute(read)
    except Exception as error:
        # NOTE: the engine raises KeyError, TypeError, RuntimeError and more for what the record
        # lacks; whatever it is, the rule was not shown to hold.
        return f"the rule could not be decided: {_words(error)}"
    if result is True:
        return None
    return "it does not hold" if result is False else f"the rule gave {type(result).__name__}"


def rule_variables(
    body: Mapping[str, Any], section: Any, record: Mapping[str, Any], as_of: datetime
) -> dict[str, Any]:
    """The names a rule may use."""
    return {"body": body, "section": section, "record": record, "asOf": as_of}


@lru_cache(maxsize=256)
def _program(text: str) -> Any:
    if excess := _excess(text):
        raise InputError(
            "rule.too-costly",
            "the cost of the rule cannot be bounded",
            expected=f"at most {MAX_TEXT} characters and {MAX_LOOPS} nested loops, no map, "
            "comment, backslash, backtick or triple quote",
            found=excess,
        )
    import cel

    try:
        return cel.compile(text)
    except Exception as error:
        raise InputError("rule.malformed", f"the rule is not CEL: {_words(error)}") from error


def _excess(text: str) -> str | None:
    """What of a rule is beyond the bounds, in words."""
    if len(text) > MAX_TEXT:
        return f"{len(text)} characters"
    if refused := _REFUSED.search(text):
        return refused[0]
    depth = _loop_depth(text)
    return f"{depth} nested loops" if depth > MAX_LOOPS else None


def _words(error: Exception) -> str:
    if isinstance(error, KeyError):
        return f"the record has no {error.args[0]}"
    return str(error).splitlines()[0][:200]


def _loop_depth(text: str) -> int:
    """Deepest nesting of loop macros; text in quotes does not count."""
    stack: list[bool] = []
    deepest = 0
    for token in _TOKENS.finditer(text):
        if token["open"] or token["loop"]:
            stack.append(token["loop"] in _LOOPS)
            deepest = max(deepest, sum(stack))
        elif token["close"] and stack:
            stack.pop()
    return deepest


def _work(text: str, read: Mapping[str, Any]) -> int:
    """Most work that a rule could make of what it reads, whatever it does in its loops.

    The engine copies a value wherever a rule mentions it, and ``in``, ``==`` or ``contains`` run
    through all of one: each mention of a variable may cost as much as there is, in every turn of
    the innermost loop. Entries of the list that is looped over cost that much together.
    """
    longest, size = 1, 0
    todo: list[Any] = [read]
    while todo:
        item = todo.pop()
        if isinstance(item, Mapping | list):
            longest = max(longest, len(item))
            size += len(item)
            todo.extend(item.values() if isinstance(item, Mapping) else item)
        elif isinstance(item, str):
            size += len(item) // _PIECE
    depth = _loop_depth(text)
    mentions = len(re.findall(rf"\b(?:{'|'.join(read)})\b", text)) if read else 0
    turns: int = longest**depth
    outer: int = longest ** max(depth - 1, 0)
    return size * (turns * mentions + outer * (len(text) // _TERM + 1))


def _longest_list(value: Any) -> int:
    """Length of a list over the limit anywhere within ``value``, else 0."""
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, Mapping):
            todo.extend(item.values())
        elif isinstance(item, list):
            if len(item) > MAX_ENTRIES:
                return len(item)
            todo.extend(item)
    return 0
