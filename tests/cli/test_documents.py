"""What the documents say about the command is true of the command."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from muniment.cli import app

from .conftest import Cli

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_BLOCK = re.compile(r"^```(console|sh)\n(.*?)^```$", re.M | re.S)
_STOPS = {"|", ">", ">>", "&&", "||", ";", "2>", "2>&1", "<"}
_PROGRAMS = {"muniment", ".venv/bin/muniment"}


def shown(text: str) -> Iterator[tuple[str, str]]:
    """Every command line of a document's blocks, with what it says the command prints."""
    for language, block in _BLOCK.findall(text):
        joined = block.replace("\\\n", " ")
        if language == "sh":
            yield from ((line, "") for line in joined.splitlines() if line.strip())
            continue
        for part in re.split(r"^\$ ", joined, flags=re.M)[1:]:
            line, _, output = part.partition("\n")
            yield line, output


def calls(line: str) -> Iterator[list[str]]:
    """The arguments of every call of muniment in one command line."""
    words = shlex.split(line, comments=True)
    while words:
        stop = next((at for at, word in enumerate(words) if word in _STOPS), len(words))
        call, words = words[:stop], words[stop + 1 :]
        while call and re.fullmatch(r"[A-Z_]+=.*", call[0]):
            call = call[1:]
        if call and call[0] in _PROGRAMS:
            yield call[1:]


def check(arguments: list[str]) -> None:
    """The command exists, has the options that are given, and takes as many words."""
    node: Any = typer.main.get_command(app.app)
    words = list(arguments)
    while hasattr(node, "commands") and words and not words[0].startswith("-"):
        assert words[0] in node.commands, f"there is no command {words[0]}: {arguments}"
        node = node.commands[words.pop(0)]
    options = {
        name: item
        for item in node.params
        for name in (*item.opts, *item.secondary_opts)
        if name[0] == "-"
    }
    places = [item for item in node.params if item.param_type_name == "argument"]
    given = 0
    while words:
        word = words.pop(0)
        name, sign, _ = word.partition("=")
        if word in ("-h", "--help"):
            return
        if not word.startswith("-"):
            given += 1
        elif not (options[name].is_flag or sign):
            assert name in options, f"there is no option {name}: {arguments}"
            assert words, f"{name} wants a value: {arguments}"
            words.pop(0)
    if not any(item.nargs == -1 for item in places):
        assert given <= len(places), f"too many words: {arguments}"
    assert given >= sum(item.required for item in places), f"too few words: {arguments}"


LINES = [
    (document.relative_to(ROOT).as_posix(), line, output)
    for document in DOCUMENTS
    for line, output in shown(document.read_text("utf-8"))
]


def test_the_documents_show_commands() -> None:
    """There is something to check."""
    assert sum(len(list(calls(line))) for _, line, _ in LINES) >= 5


@pytest.mark.parametrize(
    "line",
    [
        "muniment nothing",
        "muniment attach policy --nothing",
        "muniment attach",
        "muniment verify a.pdf b.pdf",
        "muniment kind show policy --templat > x",
        "true && muniment gate --system",
    ],
)
def test_a_wrong_line_would_be_found(line: str) -> None:
    """The check below can fail."""
    (call,) = calls(line)
    with pytest.raises((AssertionError, KeyError)):
        check(call)


@pytest.mark.parametrize(("document", "line"), [(name, line) for name, line, _ in LINES])
def test_command_lines_of_the_documents_exist(document: str, line: str) -> None:
    """Every muniment command line in a document names real commands and options."""
    for call in calls(line):
        check(call)


@pytest.mark.parametrize(
    ("document", "line", "output"),
    [item for item in LINES if item[1].endswith("--help") and item[2].strip()] or [("", "", "")],
)
def test_help_in_the_documents_is_the_real_one(
    document: str, line: str, output: str, cli: Cli
) -> None:
    """A help text printed in a document is what the command prints."""
    for call in calls(line):
        assert cli(*call).out.strip() == output.strip(), document


def examples(node: Any) -> Iterator[str]:
    for item in getattr(node, "commands", {}).values():
        yield from examples(item)
        if not hasattr(item, "commands") or "Example: " in item.help:
            _, _, example = item.help.partition("Example: ")
            yield " ".join(example.split())


@pytest.mark.parametrize("line", list(examples(typer.main.get_command(app.app))))
def test_examples_in_help_are_real(line: str) -> None:
    """The example of every command is a command line that it takes."""
    (call,) = calls(line)
    check(call)


def test_no_line_of_help_is_cut(cli: Cli) -> None:
    """Lists of commands show each first line whole."""
    groups = ("key", "kind", "controls", "record", "system", "export", "anchor", "gate", "profile")
    for group in ([], *([name] for name in groups)):
        assert not re.search(r"\w\.\.\.$", cli(*group, "--help").out, re.M)


def test_inline_commands_exist() -> None:
    """``muniment word`` in running text names a real command or group."""
    known = set(typer.main.get_command(app.app).commands)  # type: ignore[attr-defined]
    for document in DOCUMENTS:
        for word in re.findall(r"`muniment ([a-z]+)", document.read_text("utf-8")):
            assert word in known, f"{document.name}: muniment {word}"


def exit_codes(text: str) -> dict[int, str]:
    return {int(code): words for code, words in re.findall(r"^\| (\d+) \| (.+) \|$", text, re.M)}


def test_the_readme_lists_every_exit_code() -> None:
    """The table in the README has the codes of the error tree, and no other."""
    from muniment.schemas import errors

    raised = {
        item.exit_code
        for item in vars(errors).values()
        if isinstance(item, type) and issubclass(item, errors.MunimentError)
    }
    assert set(exit_codes((ROOT / "README.md").read_text("utf-8"))) == {0, 130, *raised}


def test_the_readme_lists_every_variable() -> None:
    """Every environment variable the code reads is in the README, and no other."""
    read = {
        name
        for folder in ("schemas", "evidence", "controls", "reports", "cli")
        for path in (ROOT / folder).rglob("*.py")
        for name in re.findall(r"\"(MUNIMENT_[A-Z]+)\"", path.read_text("utf-8"))
    }
    listed = set(re.findall(r"^\| `(MUNIMENT_[A-Z]+)` \|", (ROOT / "README.md").read_text(), re.M))
    assert listed == read
