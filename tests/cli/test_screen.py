"""What reaches a terminal: nothing hostile, nothing too wide, no colour nobody asked for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from muniment.cli import show

from .conftest import ATTACH_POLICY, SYSTEM, Cli, isolated

# Colour, clearing the screen, a title, an 8-bit CSI, and marks that turn text round or hide it.
HOSTILE = "\x1b[31m\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2066\u200b\r"
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2069]")
LOOKING = [
    ("record", "list"),
    ("record", "show", "#7"),
    ("record", "show", "#8"),
    ("system", "list"),
    ("system", "show", SYSTEM),
    ("key", "list"),
    ("key", "show", "default"),
    ("kind", "list"),
    ("coverage", "--detail"),
    ("gate", "--dry-run"),
    ("verify",),
]


@pytest.fixture
def hostile(place: Path, cli: Cli) -> Cli:
    """A ledger with hostile text wherever the schemas let it in."""
    name = f"a{HOSTILE}b.txt"
    (place / name).write_text("x")
    title = f"title=Policy {HOSTILE}end"
    assert cli("attach", "policy", name, "--body", "policy.yaml", "--set", title).code == 0
    enrol = ("key", "add", "../config/keys/ci.pub", "--name", f"Eve {HOSTILE}end")
    assert cli("key", "new", "ci").code == 0
    assert cli(*enrol, "--email", "eve@example.com").code == 0
    return cli


@pytest.mark.parametrize("command", LOOKING, ids=" ".join)
def test_text_of_strangers_never_reaches_the_terminal_raw(
    hostile: Cli, command: tuple[str, ...]
) -> None:
    """Names, bodies and file names are shown with every control and bidi character spelt out."""
    plain = hostile(*command)
    assert not RAW.search(plain.out + plain.err)
    document = hostile(*command, "--json")
    assert not RAW.search(document.out + document.err)


def test_hostile_text_is_shown_not_dropped(hostile: Cli) -> None:
    """What cannot be printed is named, so that nobody misses it."""
    shown = hostile("record", "show", "#7").out
    assert "a[U+001B][31m" in shown
    assert "[U+202E]" in shown
    body = hostile("record", "show", "#7", "--json").json["data"]["statement"]["predicate"]["body"]
    assert body["title"] == f"Policy {HOSTILE}end"
    assert "Eve [U+001B]" in hostile("key", "list").out


@pytest.mark.parametrize(
    "command",
    [
        ("attach", HOSTILE),
        ("attach", "policy", f"{HOSTILE}.md", "--body", "policy.yaml"),
        ("attach", "policy", "--control", HOSTILE),
        ("attach", "policy", "--set", f"{HOSTILE}=1"),
        ("attach", "policy", "--body", HOSTILE),
        ("attach", "policy", "--body", "policy.yaml", "--set", f"{HOSTILE[-4:]}x=1"),
        ("attach", "policy", "--body", "policy.yaml", "--set", f"inForceFrom={HOSTILE}"),
        ("system", "show", HOSTILE),
        ("system", "add", f"{HOSTILE}@1"),
        ("record", "show", HOSTILE),
        ("record", "list", "--since", HOSTILE),
        ("coverage", "--framework", HOSTILE),
        ("gate", "--profile", HOSTILE),
        ("kind", "show", HOSTILE),
        ("key", "show", HOSTILE),
        ("key", "new", HOSTILE),
        ("verify", HOSTILE),
        ("verify", "--root", HOSTILE, "policy.md"),
        ("coverage", "--workspace", HOSTILE),
        (HOSTILE,),
        ("record", f"--{HOSTILE}"),
    ],
)
def test_errors_spell_out_what_was_typed(place: Path, cli: Cli, command: tuple[str, ...]) -> None:
    """An error repeats what it was given without its escape codes, and exits 1 or 2."""
    for arguments in (command, (*command, "--json")):
        said = cli(*arguments)
        assert said.code in (1, 2), said
        assert not RAW.search(said.out + said.err)


@pytest.mark.parametrize("name", ["-rf", "--json", "--set", "a b.txt", "ünï.txt", "x\ny"])
def test_a_file_may_have_any_name(place: Path, cli: Cli, name: str) -> None:
    """After ``--``, or with ``./`` before it, a name is never taken for an option."""
    (place / name).write_text("x")
    assert cli("attach", "policy", f"./{name}", "--body", "policy.yaml").code == 0
    again = cli("attach", "--body", "policy.yaml", "policy", "--", name)
    assert again.code == 0, again
    assert "was attached already" in again.out


def test_a_name_that_is_not_utf8(place: Path, cli: Cli) -> None:
    """A file whose name is not text is refused or recorded, never a fault of ours."""
    name = os.fsdecode(b"caf\xe9.txt")
    (place / name).write_text("x")
    for extra in ([], ["--json"]):
        said = cli("attach", "policy", name, "--body", "policy.yaml", *extra)
        assert said.code in (0, 2), said
        (said.out + said.err).encode()
    assert "[internal]" not in said.err


def test_path_traversal_in_a_name(place: Path, cli: Cli) -> None:
    """A file above the workspace is recorded by its name alone, and stored under its digest."""
    (place.parent / "outside.txt").write_text("from above")
    before = {path for path in place.parent.rglob("*") if path.is_file()}
    done = cli("attach", "policy", "../outside.txt", "--body", "policy.yaml", "--json")
    assert done.code == 0, done.out
    (subject,) = done.json["data"]["record"]["subjects"]
    assert subject["name"] == "outside.txt"
    made = {path for path in place.parent.rglob("*") if path.is_file()} - before
    assert all(place / ".muniment" in path.parents for path in made)
    for bad in ("../x", "a/b", "..", ".hidden", "-rf", "", "x" * 200):
        said = cli("key", "new", "--", bad)
        assert (said.code, "[key.name]" in said.err) == (2, True), bad
    for bad in ("../../etc/passwd@1", "a/../b@1", "-rf@1", "@", "a@", "@1"):
        assert cli("system", "add", "--name", "x", "--", bad).code == 2, bad


def stdout_to(target: int | None, home: Path, *arguments: str, **more: str) -> tuple[int, str, str]:
    """Run the real command with its stdout somewhere."""
    done = subprocess.run(
        [sys.executable, "-m", "muniment", *arguments],
        cwd=home / "ws",
        env={**isolated(home), **more},
        stdout=subprocess.PIPE if target is None else target,
        stderr=subprocess.PIPE,
        check=False,
    )
    return done.returncode, (done.stdout or b"").decode(), done.stderr.decode()


@pytest.mark.parametrize(
    "arguments",
    [
        ("record", "list"),
        ("record", "list", "--json"),
        ("kind", "show", "eval-result", "--json"),
        ("kind", "show", "eval-result"),
        ("--help",),
    ],
    ids=" ".join,
)
def test_a_reader_that_goes_away_is_no_fault(story: Path, arguments: tuple[str, ...]) -> None:
    """``muniment record list | head -1``: no traceback, no complaint, and never exit 0 or 1."""
    reading, writing = os.pipe()
    os.close(reading)
    code, _, err = stdout_to(writing, story, *arguments)
    os.close(writing)
    assert (code, err) == (3, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("arguments", [("record", "list"), ("kind", "show", "eval-result")])
def test_a_full_disk_under_stdout(story: Path, arguments: tuple[str, ...]) -> None:
    """An answer that cannot be written is an error with code 3, said once."""
    with Path("/dev/full").open("wb") as full:
        code, _, err = stdout_to(full.fileno(), story, *arguments)
    assert code == 3
    assert err.startswith("muniment: error: stdout cannot be written: ")
    assert err.count("\n") == 1


def test_a_terminal_that_is_not_utf8(story: Path) -> None:
    """Where ✓ has no place, its number stands; nothing breaks."""
    code, out, err = stdout_to(None, story, "verify", PYTHONIOENCODING="ascii")
    assert (code, err) == (0, "")
    assert "\\u2713 entries" in out


def test_nobody_asks_for_colour_through_a_pipe(story: Path) -> None:
    """Away from a terminal there is no escape code, whatever FORCE_COLOR says."""
    for more in ({}, {"FORCE_COLOR": "1"}, {"NO_COLOR": "1"}):
        code, out, err = stdout_to(None, story, "gate", "--dry-run", **more)
        assert code == 1
        assert "\x1b" not in out + err


def coloured(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    said = cli("gate", "--dry-run")
    assert said.code == 1
    return said.out


def test_a_terminal_gets_colour(place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal states are coloured, and still spelt out."""
    out = coloured(cli, monkeypatch)
    assert "\x1b[" in out
    assert "NOT PASSED" in out
    assert "missing" in out


def test_no_color(place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR takes the colours away."""
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search("\x1b\\[[0-9;]*3[0-9]m", coloured(cli, monkeypatch))


TABLES = [
    ("record", "list"),
    ("key", "list"),
    ("kind", "list"),
    ("kind", "show", "eval-result"),
    ("system", "list"),
    ("gate", "--dry-run"),
]


@pytest.mark.parametrize("command", TABLES, ids=" ".join)
@pytest.mark.parametrize("width", [60, 200])
def test_tables_fit_the_terminal(
    place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], width: int
) -> None:
    """No line of a table is wider than the terminal, none ends in blanks, and nothing is cut."""
    monkeypatch.setenv("COLUMNS", str(width))
    lines = cli(*command).out.splitlines()
    # NOTE: what is typed is never broken.
    whole = ("A test or ", "dry run: ", "model ", "    muniment ")
    table = [line for line in lines if not line.startswith(whole)]
    assert max(map(len, table)) <= width
    assert not [line for line in lines if line != line.rstrip()]
    assert "…" not in "".join(lines).replace("attach", "").replace(" … ", "")
    monkeypatch.setenv("COLUMNS", "5000")
    wide = cli(*command).out

    def letters(text: str) -> list[str]:
        return sorted(re.sub(r"[\s─]", "", text))

    assert letters("".join(lines)) == letters(wide)


def test_a_senseless_width_is_ignored(
    place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COLUMNS of one, of nothing, of rubbish: there is still a table."""
    for width in ("1", "0", "-5", "", "wide"):
        monkeypatch.setenv("COLUMNS", width)
        said = cli("record", "list")
        assert said.code == 0
        assert "#6" in said.out


def test_progress_is_silent_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    """Away from a terminal a bar writes nothing."""
    with show.progress("hashing") as step:
        step(1, 2)
    assert capsys.readouterr() == ("", "")


def test_a_large_file_is_hashed_with_a_bar_for_who_looks(
    place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bar moves on stderr; stdout holds the answer alone."""
    with (place / "large.bin").open("wb") as file:
        file.truncate(65 << 20)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    attach = [*ATTACH_POLICY[:2], "large.bin", *ATTACH_POLICY[3:], "--link-only", "--json"]
    said = cli(*attach)
    assert said.code == 0, said
    assert said.json["data"]["record"]["subjects"][0]["annotations"]["size"] == 65 << 20
