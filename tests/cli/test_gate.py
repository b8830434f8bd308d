"""``muniment gate`` in CI and ``gate check`` where only the decision is at hand."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from defusedxml.ElementTree import fromstring

from muniment.controls import profile
from muniment.controls.profile import Profile, load_profile, shipped_layers
from muniment.reports import profiles

from .conftest import SYSTEM, Cli, Said, isolated

SMALL = Profile("small", "Small", "1", "One control", {"nist-ai-rmf-1.0": ("MEASURE 2.3",)})
FORMS = ["text", "json", "junit", "sarif", "markdown"]


@pytest.fixture
def small(place: Path, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """A profile that the story's evidence passes."""
    ship(SMALL, monkeypatch)
    return SMALL


def ship(asked: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a profile be one of those that ship."""
    known = {**shipped_layers(), asked.id: asked.to_json()}
    for module in (profile, profiles):
        monkeypatch.setattr(module, "shipped_layers", lambda: known)


@pytest.fixture
def decided(small: Profile, place: Path, cli: Cli) -> Path:
    """The decision of a gate that passed."""
    said = cli("gate", "--profile", "small", "--vsa", "vsa.json")
    assert said.code == 0, said
    return place / "vsa.json"


def signer(cli: Cli) -> str:
    keys = cli("key", "list", "--json").json["data"]["keys"]
    return str(next(item["fingerprint"] for item in keys if item["email"] == "ana@example.com"))


def records(cli: Cli) -> int:
    return len(cli("record", "list", "--json").json["data"]["records"])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("name", "code"), [("small", 0), ("production", 1)])
def test_every_form_has_the_exit_code(
    small: Profile, cli: Cli, form: str, name: str, code: int
) -> None:
    """Whatever the form, on stdout or in a file, a pass is 0 and a no is 1."""
    command = ("gate", "--dry-run", "--profile", name, "--format", form)
    said = cli(*command)
    assert (said.code, said.err) == (code, "")
    written = cli(*command, "-o", "answer")
    assert (written.code, written.err) == (code, "wrote answer\n")
    assert f"gate {name} for {SYSTEM}" in written.out
    data = Path("answer").read_text()
    if form == "json":
        assert said.json["data"]["passed"] is json.loads(data)["ok"] is (code == 0)
    elif form == "junit":
        assert fromstring(said.out).tag == fromstring(data).tag == "testsuites"
    elif form == "sarif":
        assert json.loads(said.out)["version"] == json.loads(data)["version"] == "2.1.0"
    elif form == "markdown":
        assert said.out.startswith("## Gate ")
        assert data.startswith("## Gate ")
    else:
        assert data == said.out


def test_json_and_a_file_in_another_form(small: Profile, cli: Cli) -> None:
    """``--json`` is about stdout, ``-o`` about the file."""
    said = cli("gate", "--dry-run", "--json", "--format", "junit", "-o", "gate.xml")
    assert said.json["data"]["passed"] is False
    assert Path("gate.xml").read_text().startswith("<?xml")
    dry = ("gate", "--dry-run")
    assert cli(*dry, "--json").out == cli(*dry, "--format", "json").out


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("usage.format", ("--json", "--format", "junit")),
        ("usage.vsa", ("--dry-run", "--vsa", "vsa.json")),
        ("usage.vsa", ("--vsa", "same", "-o", "same")),
        ("file.missing", ("-o", "nowhere/gate.xml")),
        ("file.special", ("--vsa", ".")),
        ("usage", ("--format", "pdf")),
        ("usage", ("nothing",)),
        ("profile.unknown", ("--profile", "nothing")),
        ("system.unknown", ("--system", "nobody@1")),
        ("system.malformed", ("--system", "nobody")),
        ("file.missing", ("--artifact", "nowhere.onnx")),
    ],
)
def test_what_cannot_be_asked_is_never_a_pass(
    place: Path, cli: Cli, code: str, arguments: tuple[str, ...]
) -> None:
    """Wrong usage, an unknown profile or system: exit 2, and nothing is signed or written."""
    before = records(cli)
    said = cli("gate", *arguments)
    assert said.code == 2
    assert f"[{code}]" in said.err or said.json["error"]["code"] == code
    assert records(cli) == before
    assert not Path("vsa.json").exists()


def test_no_evidence_is_no_pass(small: Profile, place: Path, cli: Cli) -> None:
    """A system version without any record but its own does not pass."""
    add = ["system", "add", "other@1", "--name", "Other", "--purpose", "None", "--phase", "pilot"]
    add += ["--risk-tier", "limited", "--owner", "Ana <ana@example.com>", "--model", "model.bin"]
    assert cli(*add).code == 0
    assert cli("gate", "--system", "other@1", "--profile", "small").code == 1
    (place / "other.bin").write_text("other")
    other = ("--system", SYSTEM, "--profile", "small", "--artifact", "other.bin")
    assert cli("gate", *other).code == 1


@pytest.mark.parametrize("actions", ["true", "", "false"])
def test_the_step_summary_is_githubs_alone(
    small: Profile, place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, actions: str
) -> None:
    """On GitHub Actions the Markdown is appended to the summary; elsewhere nothing is."""
    summary = place / "summary.md"
    summary.write_text("# Before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("GITHUB_ACTIONS", actions)
    said = cli("gate", "--dry-run", "--format", "junit")
    assert fromstring(said.out).tag == "testsuites"
    assert ("NOT PASSED" in summary.read_text()) is (actions == "true")
    assert summary.read_text().startswith("# Before\n")


def test_a_summary_that_cannot_be_written_is_said(
    small: Profile, place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict stands without it."""
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(place))
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    said = cli("gate", "--dry-run", "--profile", "small")
    assert said.code == 0
    assert "the step's summary cannot be written" in said.err


def test_options_before_check_are_refused(place: Path, cli: Cli) -> None:
    """An option of the gate itself would mean nothing to its check."""
    said = cli("gate", "--profile", "small", "check", "x", "--artifact", "y", "--key", "z")
    assert (said.code, said.out) == (2, "")
    assert "write them behind: muniment gate check" in said.err


def check(cli: Cli, file: Path, *more: str, key: str | None = None) -> Said:
    artifact = ("--artifact", "model.bin", "--key", key or signer(cli))
    return cli("gate", "check", str(file), *artifact, *more)


def test_a_decision_is_checked_from_its_file(decided: Path, cli: Cli) -> None:
    """What the gate wrote and named passes the check, with everything asked for."""
    note = cli("gate", "--profile", "small", "--vsa", "again.json").err
    named = note.split("keep for gate check: ")[1].split("\n")[0].split()
    assert named[:2] == ["--key", signer(cli)]
    Path("ledger.vkey").write_text(named[3] + "\n")
    asked = ("--system", SYSTEM, "--profile", "small", "--max-age", "7d")
    for vkey in (named[3], "ledger.vkey"):
        said = check(cli, decided, *asked, "--vkey", vkey)
        assert (said.code, said.err) == (0, ""), said
        assert "vsa.json: HOLDS" in said.out
    pinned = check(cli, decided, "--profile", SMALL.sha256, key="../config/keys/default.pub")
    assert pinned.code == 0, pinned
    assert "not checked: that a ledger holds the decision" in pinned.out
    document = check(cli, decided, "--json").json
    assert document["ok"] is document["data"]["ok"] is True


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("vsa.artifact", ("--artifact", "policy.md")),
        ("vsa.system", ("--system", "support@1.0.1")),
        ("vsa.profile", ("--profile", "production")),
        ("vsa.signer", ("--key", "SHA256:" + "A" * 43)),
    ],
)
def test_a_check_that_fails_is_a_no(
    decided: Path, cli: Cli, code: str, arguments: tuple[str, ...]
) -> None:
    """Exit 1 with the code of what does not hold."""
    given = {"--artifact": "model.bin", "--key": signer(cli), arguments[0]: arguments[1]}
    said = cli("gate", "check", "vsa.json", *(word for pair in given.items() for word in pair))
    assert said.code == 1, said
    assert code in said.out
    assert "DOES NOT HOLD" in said.out


def test_a_no_is_written_and_refused(place: Path, cli: Cli) -> None:
    """A gate that did not pass writes its decision too, and no check lets it through."""
    assert cli("gate", "--vsa", "vsa.json").code == 1
    said = check(cli, Path("vsa.json"))
    assert said.code == 1
    assert "vsa.failed: the gate did not pass" in said.out


@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        ("file.missing", ("nowhere.json", "--artifact", "model.bin", "--key", "KEY")),
        ("file.missing", ("vsa.json", "--artifact", "nowhere", "--key", "KEY")),
        ("file.missing", ("vsa.json", "--artifact", "model.bin", "--key", "nowhere.pub")),
        ("key.malformed", ("vsa.json", "--artifact", "model.bin", "--key", "model.bin")),
        ("usage", ("vsa.json", "--artifact", "model.bin")),
        ("usage", ("vsa.json", "--key", "KEY")),
        ("vkey.malformed", ("vsa.json", "--artifact", "a", "--key", "KEY", "--vkey", "a+b+c")),
        ("duration.malformed", ("vsa.json", "--artifact", "a", "--key", "KEY", "--max-age", "7")),
        ("profile.unknown", ("vsa.json", "--artifact", "a", "--key", "KEY", "--profile", "x")),
        ("system.malformed", ("vsa.json", "--artifact", "a", "--key", "KEY", "--system", "x")),
    ],
)
def test_a_check_that_cannot_be_made(
    decided: Path, place: Path, cli: Cli, code: str, arguments: tuple[str, ...]
) -> None:
    """Bad usage is exit 2, as text and as a document."""
    (place / "a").write_text("a")
    words = [signer(cli) if word == "KEY" else word for word in arguments]
    said = cli("gate", "check", *words)
    assert (said.code, said.out) == (2, ""), said
    assert f"[{code}]" in said.err
    assert cli("gate", "check", *words, "--json").json["error"]["code"] == code


OWN = """\
profile: ours
version: "1"
name: Ours
description: One control of our own.
extends: ours-base
blocks: {nist-ai-rmf-1.0: [MEASURE 2.3]}
"""
BASE = OWN.replace("ours\n", "ours-base\n").replace("extends: ours-base\n", "")


@pytest.fixture
def ours(place: Path, cli: Cli) -> Path:
    """The decision of a gate that passed under the workspace's own profile."""
    (place / "profiles").mkdir()
    (place / "profiles" / "ours.yaml").write_text(OWN)
    (place / "profiles" / "base.yaml").write_text(BASE)
    said = cli("gate", "--profile", "ours", "--vsa", "vsa.json")
    assert said.code == 0, said
    return place / "vsa.json"


def test_a_workspaces_own_profile_is_known_to_the_check(ours: Path, place: Path, cli: Cli) -> None:
    """By name or file, in a clone without the ledger too; an unknown one has its nearest."""
    key = "../config/keys/default.pub"
    for ledger in (True, False):
        if not ledger:
            shutil.rmtree(place / ".muniment")
        for name in ("ours", "profiles/ours.yaml"):
            said = check(cli, ours, "--profile", name, key=key)
            assert said.code == 0, said
        other = check(cli, ours, "--profile", "ours-base", key=key)
        assert (other.code, "vsa.profile" in other.out) == (1, True)
        near = check(cli, ours, "--profile", "our", key=key).err
        assert "[profile.unknown]" in near
        assert "did you mean ours" in near


def test_a_profile_by_its_file_where_there_is_no_workspace(
    ours: Path, place: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is enough if all it stands on ships; if not, what it lacks is named, and a way out."""
    (place / "profiles/alone.yaml").write_text(BASE.replace("ours-base", "alone"))
    assert cli("gate", "--profile", "alone", "--vsa", "alone.json").code == 0
    away = tmp_path / "away"
    away.mkdir()
    for name in ("alone.json", "model.bin", "profiles/alone.yaml", "profiles/ours.yaml"):
        (away / Path(name).name).write_bytes((place / name).read_bytes())
    (away / "changed.yaml").write_text(BASE.replace("2.3", "2.4").replace("ours-base", "alone"))
    monkeypatch.chdir(away)
    key = str(place.parent / "config/keys/default.pub")
    codes = {}
    for name in ("alone", "changed", "ours", "nowhere"):
        said = check(cli, Path("alone.json"), "--profile", f"{name}.yaml", key=key)
        codes[name] = said.code
        if name == "ours":
            assert "[profile.parent]" in said.err
            assert "SHA-256" in said.err
    assert codes == {"alone": 0, "changed": 1, "ours": 2, "nowhere": 2}


def test_a_profile_that_ships_is_what_ships(decided: Path, place: Path, cli: Cli) -> None:
    """Whatever folder somebody stands in, it does not say what a name that ships means."""
    (place / "profiles").mkdir()
    (place / "profiles" / "mine.yaml").write_text(BASE.replace("ours-base", "small"))
    said = check(cli, decided, "--profile", "small", key="../config/keys/default.pub")
    assert said.code == 0, said


def test_the_check_needs_no_workspace(decided: Path, cli: Cli, tmp_path: Path) -> None:
    """In an empty folder, without settings, and without the libraries of the ledger and the PDF."""
    away = tmp_path / "away"
    away.mkdir()
    decided.rename(away / "vsa.json")
    (away / "model.bin").write_text("weights")
    heavy = {"sqlmodel", "sqlalchemy", "weasyprint", "pyhanko", "pikepdf", "git", "jinja2"}
    script = (
        f"import sys\nfor name in {sorted(heavy)}: sys.modules[name] = None\n"
        "from muniment.cli.app import run\nraise SystemExit(run(sys.argv[1:]))"
    )
    words = ["gate", "check", "vsa.json", "--artifact", "model.bin", "--key", signer(cli)]
    done = subprocess.run(
        [sys.executable, "-c", script, *words],
        cwd=away,
        env=isolated(away),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in away.iterdir()) == ["model.bin", "vsa.json"]


def test_the_decision_names_what_it_saw(decided: Path, place: Path, cli: Cli) -> None:
    """The signed decision holds the ledger's state before it, and the records it rests on."""
    shown: Any = cli("record", "show", "#7", "--json").json["data"]["statement"]["predicate"]
    state = shown["muniment_decision"]["ledger"]
    assert (state["origin"], state["size"], len(state["sha256"])) == ("evidence.example.com", 7, 64)
    uris = [item["uri"] for item in shown["inputAttestations"]]
    assert uris == ["muniment:record/1", "muniment:record/3", "muniment:record/4"]
    assert shown["policy"]["digest"]["sha256"] == SMALL.sha256


HOSTILE = "::error::boom ##[add-mask]x <b>|@team\u202e"


def test_names_of_strangers_command_no_runner(
    small: Profile, place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an answer nor an error has a line that a CI runner would obey."""
    asked = replace(SMALL, blocks={"nist-ai-rmf-1.0": ("MEASURE 2.3", f"{HOSTILE}")})
    ship(asked, monkeypatch)
    for form in FORMS:
        said = cli("gate", "--dry-run", "--profile", "small", "--format", form)
        assert said.code == 1
        harmless(said)
    harmless(cli("gate", "--profile", f"\n{HOSTILE}"))
    harmless(cli("gate", "--json", "--profile", f"\n{HOSTILE}"))
    Path("bad.json").write_text(json.dumps({"mediaType": f"\n{HOSTILE}"}))
    harmless(check(cli, Path("bad.json")))


def harmless(said: Said) -> None:
    assert said.code != 0
    for line in (said.out + said.err).splitlines():
        assert not line.lstrip().startswith("::"), line
        assert "##[" not in line
        assert "\u202e" not in line


def test_load_profile_of_the_tests_is_the_real_one(small: Profile) -> None:
    """The small profile is looked up as every other."""
    assert load_profile("small") == SMALL
