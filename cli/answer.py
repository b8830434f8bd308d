"""How every command answers: data on stdout as text or one JSON document, talk on stderr."""

from __future__ import annotations

import functools
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NoReturn, ParamSpec, cast

import typer

from muniment.schemas.errors import MunimentError, SchemaError

SCHEMA_VERSION = 1
"""Version of the ``--json`` documents; it rises when a field changes its meaning or goes."""
DEBUG_VARIABLE = "MUNIMENT_DEBUG"
_JSON = "json"

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command has to say."""

    data: Mapping[str, Any]
    """For ``--json``."""
    text: Callable[[], None]
    """Prints the same for a person."""
    exit_code: int = 0
    """0 held, 1 answered "no"."""

    @property
    def document(self) -> Mapping[str, Any]:
        """What ``--json`` prints, but for its version."""
        return {"ok": self.exit_code == 0, "data": self.data}


class StdoutError(Exception):
    """Stdout cannot be written: whoever read it has gone, or the disk is full."""


def command(function: Callable[P, Answer]) -> Callable[P, None]:
    """Make a Typer command of a function that returns an ``Answer``.

    Of a group that does something itself it takes the ``context``, and is passed over where a
    command of the group is asked for.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        as_json = asks_json(kwargs)
        group = cast("typer.Context | None", kwargs.get("context"))
        try:
            if group is not None and group.invoked_subcommand is not None:
                return _refuse_stray(group)
            answer = function(*args, **kwargs)
            _say(answer, as_json)
        except MunimentError as error:
            fail(error, as_json)
        if answer.exit_code:
            raise typer.Exit(answer.exit_code)

    # NOTE: Typer reads the signature; without this it would find the return type misleading.
    run.__annotations__ = {**function.__annotations__, "return": None}
    return run


def _refuse_stray(group: typer.Context) -> None:
    """Refuse options of a group before its command."""
    from muniment.schemas.errors import InputError

    for option in group.params:
        source = group.get_parameter_source(option)
        if source is not None and source.name == "COMMANDLINE":
            name = group.info_name
            raise InputError(
                "usage",
                f"options of {name} stand before its command, where they mean nothing",
                hint=f"write them behind: muniment {name} {group.invoked_subcommand} …",
            )


def asks_json(options: Mapping[str, Any]) -> bool:
    """Whether a command's options ask for JSON on stdout: ``--json``, or ``--format json``."""
    form, output = options.get("form"), options.get("output")
    return bool(options.get("as_json")) or (form == _JSON and output is None)


def types_json(arguments: Sequence[str]) -> bool:
    """The same of a command line that cannot be understood."""
    words = " ".join(arguments).replace("=", " ").split(" ")
    has_form = ("--format", _JSON) in pairwise(words)
    has_file = any(word == "--output" or word.startswith("-o") for word in words)
    return "--json" in arguments or (has_form and not has_file)


def _say(answer: Answer, as_json: bool) -> None:
    try:
        if as_json:
            _print_json(answer.document)
        else:
            answer.text()
    except OSError as error:
        # NOTE: as it is, Typer would take a broken pipe for itself and leave with 1, our "no".
        raise StdoutError from error


def fail(error: MunimentError, as_json: bool) -> NoReturn:
    """Print an error and leave with its exit code."""
    report(error, as_json)
    raise typer.Exit(error.exit_code)


def report(error: MunimentError, as_json: bool) -> None:
    """Print an error: as the one JSON document on stdout, or for a person on stderr."""
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exc()
    if as_json:
        _print_json({"ok": False, "error": _error(error)})
    else:
        _print_error(error)


def _error(error: MunimentError) -> dict[str, Any]:
    problems = error.problems if isinstance(error, SchemaError) else ()
    return {
        "code": error.code,
        "message": error.message,
        "hint": error.hint,
        "expected": error.expected,
        "found": error.found,
        "problems": [
            {"path": item.path, "message": item.message, "description": item.description}
            for item in problems
        ],
    }


def _print_json(document: Mapping[str, Any]) -> None:
    print(as_document(document))


def as_document(document: Mapping[str, Any]) -> str:
    """The text of one ``--json`` document."""
    from muniment.schemas.text import disarm

    # NOTE: ASCII alone, so that no bidi mark or control code of a stranger's reaches a terminal.
    text = json.dumps({"schema_version": SCHEMA_VERSION, **document}, indent=2)
    return disarm(text, sharp="\\u0023")


def _print_error(error: MunimentError) -> None:
    from muniment.schemas.text import disarm, shorten, visible

    def say(line: str) -> None:
        print(disarm(visible(shorten(line, 2000))), file=sys.stderr)

    say(f"muniment: error: {error.message} [{error.code}]")
    if isinstance(error, SchemaError):
        for problem in error.problems:
            say(f"  {problem.path or 'document'}: {problem.message}")
            if problem.description:
                say(f"      {problem.description}")
    if error.expected is not None:
        say(f"  expected: {error.expected}")
    if error.found is not None:
        say(f"  found: {error.found}")
    if error.hint:
        say(f"hint: {error.hint}")
