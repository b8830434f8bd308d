"""``--format`` and ``-o``, the same wherever a command has them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Cli

WITH_FORMS = {
    "gate": ("gate", "--dry-run"),
    "coverage": ("coverage", "--framework", "iso-42001"),
    "soa": ("soa",),
}
FORM = ("--format", "json")
WRONG = [
    ("profile.unknown", ("--profile", "nothing")),
    ("system.unknown", ("--system", "nobody@1")),
    ("time.malformed", ("--as-of", "yesterday")),
    ("workspace.missing", ("--workspace", "data")),
    ("usage", ("--no-such-option",)),
]


@pytest.mark.parametrize("name", WITH_FORMS)
def test_json_on_stdout_is_one_thing(place: Path, cli: Cli, name: str) -> None:
    """``--json`` and ``--format json`` give the same document, and so does the file."""
    command = WITH_FORMS[name]
    asked = [cli(*command, *more) for more in (("--json",), FORM, (*FORM, "--json"))]
    assert len({said.code for said in asked}) == 1
    found = [{**said.json["data"], "as_of": None} for said in asked]
    assert found[0] == found[1] == found[2]
    assert cli(*command, *FORM, "-o", "answer.json").err == "wrote answer.json\n"
    written = json.loads((place / "answer.json").read_text())
    assert (written["schema_version"], {**written["data"], "as_of": None}) == (1, found[0])


@pytest.mark.parametrize(("code", "wrong"), WRONG)
@pytest.mark.parametrize("name", WITH_FORMS)
def test_who_asked_for_json_gets_errors_in_json(
    place: Path, cli: Cli, name: str, code: str, wrong: tuple[str, ...]
) -> None:
    """An error is the versioned document on stdout, wrong usage included, as with ``--json``."""
    command = WITH_FORMS[name]
    said = cli(*command, *FORM, *wrong)
    assert (said.code, said.err) == (2, "")
    assert (said.json["schema_version"], said.json["ok"]) == (1, False)
    assert said.json["error"]["code"] == code
    assert said.out == cli(*command, "--format=json", *wrong).out
    assert said.out == cli(*command, "--json", *wrong).out


@pytest.mark.parametrize("name", WITH_FORMS)
@pytest.mark.parametrize("output", [("-o", "x.json"), ("-ox.json",), ("--output=x.json",)])
def test_a_file_leaves_stdout_to_people(
    place: Path, cli: Cli, name: str, output: tuple[str, ...]
) -> None:
    """Where the JSON goes to a file, an error is for a person, and no file is made."""
    for wrong in (("--profile", "nothing"), ("--no-such-option",)):
        said = cli(*WITH_FORMS[name], *FORM, *output, *wrong)
        assert (said.code, said.out) == (2, "")
        assert said.err.startswith("muniment: error: ")
    assert not (place / "x.json").exists()


@pytest.mark.parametrize(("name", "form"), [("gate", "junit"), ("coverage", "csv"), ("soa", "csv")])
def test_two_forms_want_stdout(place: Path, cli: Cli, name: str, form: str) -> None:
    """``--json`` beside another form is refused with the way out, unless that goes to a file."""
    command = (*WITH_FORMS[name], "--json", "--format", form)
    error = cli(*command).json["error"]
    assert error["code"] == "usage.format"
    assert error["message"] == f"--json and --format {form} both want stdout"
    assert "-o" in error["hint"]
    said = cli(*command, "-o", "answer")
    assert "data" in said.json
    assert (place / "answer").read_text()


def test_a_statement_in_a_file_is_summed_up(place: Path, cli: Cli) -> None:
    """With a file, ``soa`` shows the counts and not the table."""
    said = cli("soa", "--format", "csv", "-o", "soa.csv")
    assert said.err == "wrote soa.csv\n"
    assert said.out.startswith("Statement of applicability of support@1.0.0: ")
    assert said.out.count("\n") == 1


@pytest.mark.parametrize(
    "command",
    [
        *((*command, *FORM, "-o", "-") for command in WITH_FORMS.values()),
        ("packet", "--format", "markdown", "-o", "-"),
        ("packet", "-o", "./-"),
        ("gate", "--vsa", "-"),
    ],
)
def test_a_dash_is_no_file(place: Path, cli: Cli, command: tuple[str, ...]) -> None:
    """``-o -`` neither writes to stdout nor a file of that name: it is bad usage, and says so."""
    said = cli(*command)
    assert said.code == 2 and "file.dash" in said.out + said.err
    assert not (place / "-").exists()
