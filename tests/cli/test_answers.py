"""How commands answer: exit codes, one JSON document, help."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from muniment.cli import app, systems
from muniment.evidence import database as connections
from muniment.evidence.workspace import Workspace
from muniment.schemas import errors
from muniment.schemas.errors import MunimentError, SchemaError

from .conftest import ATTACH_EVAL, ATTACH_POLICY, Cli, isolated

CODES = {
    "MunimentError": 3,
    "InputError": 2,
    "SchemaError": 2,
    "VerificationError": 1,
    "SignatureError": 1,
    "InclusionError": 1,
    "ConsistencyError": 1,
    "CheckpointError": 1,
    "DamageError": 1,
    "TrustError": 1,
    "StoreError": 3,
    "StoreLockedError": 3,
    "GitError": 3,
    "ReportError": 3,
}
TREE = {
    name: item
    for name, item in vars(errors).items()
    if inspect.isclass(item) and issubclass(item, MunimentError)
}


def commands(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command there is."""
    found: Any = group or typer.main.get_command(app.app)
    for name, item in found.commands.items():
        if hasattr(item, "commands"):
            yield from commands(item, (*path, name))
        else:
            yield (*path, name)


def at(path: tuple[str, ...]) -> Any:
    """The parser of one command."""
    found: Any = typer.main.get_command(app.app)
    for name in path:
        found = found.commands[name]
    return found


def test_the_table_of_exit_codes_is_complete() -> None:
    """Every class of the error tree has its line in the table."""
    assert set(CODES) == set(TREE)


@pytest.mark.parametrize("name", CODES)
def test_each_error_leaves_with_its_code(
    name: str, empty: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of this class ends the command with this code, in text and in JSON."""

    def raise_it(*_: object) -> None:
        raise TREE[name]("area.fault", "it went wrong", hint="do better")

    monkeypatch.setattr(systems, "open_workspace", raise_it)
    said = cli("system", "list")
    assert (said.code, said.out) == (CODES[name], "")
    assert said.err == "muniment: error: it went wrong [area.fault]\nhint: do better\n"
    said = cli("system", "list", "--json")
    assert (said.code, said.err) == (CODES[name], "")
    assert said.json["ok"] is False
    assert said.json["error"]["code"] == "area.fault"


def test_there_are_commands() -> None:
    """The tests over every command look at all of them."""
    assert {("attach",), ("verify",), ("key", "new"), ("record", "show")} <= set(commands())


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_every_command_has_help_an_example_and_json(path: tuple[str, ...]) -> None:
    """One line on what it does, a documented example, and ``--json``."""
    command = at(path)
    first, _, rest = command.help.partition("\n")
    assert first.endswith(".")
    assert len(first) <= 100
    assert "Example: muniment " + " ".join(path) in rest
    options = {name for item in command.params for name in item.opts}
    assert "--json" in options
    for item in command.params:
        assert item.help, f"{item.name} has no help"


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_help_is_shown(path: tuple[str, ...], cli: Cli) -> None:
    """``--help`` answers 0, on stdout, with the usage of this command."""
    said = cli(*path, "--help")
    assert (said.code, said.err) == (0, "")
    assert "Usage: " in said.out
    assert "Example: muniment" in said.out


def test_version(cli: Cli) -> None:
    """``--version`` says which."""
    from muniment import __version__

    assert cli("--version").out == f"muniment {__version__}\n"


GOOD = [
    ("system", "list"),
    ("system", "show"),
    ("key", "list"),
    ("key", "show", "default"),
    ("key", "use", "default"),
    ("key", "new", "another"),
    ("kind", "list"),
    ("kind", "show", "policy"),
    ("kind", "show", "policy", "--template"),
    ("record", "list"),
    ("record", "show", "#3"),
    tuple(ATTACH_EVAL),
    ("approve", "#5", "--key", "risk"),
    ("coverage",),
    ("verify",),
    ("init",),
]
BAD: list[tuple[int, tuple[str, ...]]] = [
    (1, ("gate",)),
    (1, ("gate", "--dry-run")),
    (2, ("attach", "nothing")),
    (2, ("attach",)),
    (2, ("attach", "policy")),
    (2, ("attach", "policy", "--nope")),
    (2, ("attach", "policy", "--set", "x")),
    (2, ("attach", "policy", "--body", "nowhere.yaml")),
    (2, ("approve", "#99")),
    (2, ("approve",)),
    (2, ("assign", "Ana")),
    (2, ("key", "show", "nobody")),
    (2, ("key", "add", "nowhere.pub", "--name", "a", "--email", "a@example.com")),
    (2, ("key", "new", "../x")),
    (2, ("kind", "show", "nothing")),
    (2, ("kind", "nothing")),
    (2, ("record", "show", "#99")),
    (2, ("record", "list", "--kind", "nothing")),
    (2, ("record", "list", "--since", "soon")),
    (2, ("record", "list", "--since", "")),
    (2, ("coverage", "--framework", "nothing")),
    (2, ("coverage", "--profile", "nothing")),
    (2, ("coverage", "--as-of", "yesterday")),
    (2, ("coverage", "--as-of", "")),
    (2, ("packet",)),
    (2, ("verify", "nowhere.pdf")),
    (2, ("nothing",)),
    (2, ("system", "show", "nobody@1")),
    (2, ("system", "add", "no version")),
    (2, ()),
]


def held_to_the_form(said: Any) -> dict[str, Any]:
    document = said.json
    assert document["schema_version"] == 1
    assert document["ok"] is (said.code == 0)
    assert ("data" in document) != ("error" in document)
    assert not said.err.lstrip().startswith("{")
    return dict(document)


@pytest.mark.parametrize("command", GOOD, ids=" ".join)
def test_every_answer_is_one_document(command: tuple[str, ...], place: Path, cli: Cli) -> None:
    """With ``--json`` stdout is one document with schema_version, ok and data."""
    said = cli(*command, "--json")
    assert said.code == 0, said.out
    assert "data" in held_to_the_form(said)


@pytest.mark.parametrize(("code", "command"), BAD, ids=lambda item: str(item))
def test_every_no_and_every_fault_is_one_document(
    code: int, command: tuple[str, ...], place: Path, cli: Cli
) -> None:
    """A fault, wrong usage included, is a document too, with code, message and the exit code."""
    said = cli(*command, "--json")
    assert said.code == code, said.out
    document = held_to_the_form(said)
    if "error" in document:
        error = document["error"]
        assert said.err == ""
        assert error["code"]
        assert error["message"]
        assert not error["message"].endswith(".")
        plain = cli(*command)
        assert plain.code == code
        assert plain.out == ""
        if command:
            assert plain.err.startswith("muniment: error: ")
            assert f"[{error['code']}]" in plain.err


def test_a_packet_answers_in_json(packet: Path, place: Path, cli: Cli) -> None:
    """Verification of a packet is one document, its checks and findings in it."""
    data = held_to_the_form(cli("verify", str(packet), "--json"))["data"]
    assert data["ok"] is True
    assert {check["outcome"] for check in data["checks"]} == {"held", "not-checked"}


def says(said: Any, code: int, fault: str, *words: str) -> None:
    """The command failed with this exit code and fault, and names these words."""
    assert said.code == code, said.err
    assert said.out == ""
    assert f"[{fault}]" in said.err.splitlines()[0]
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err


def test_an_unknown_kind_is_refused_with_a_suggestion(place: Path, cli: Cli) -> None:
    """A typing error in the kind gives the nearest kind."""
    says(cli("attach", "polcy"), 2, "kind.unknown", "hint: did you mean policy?")


def test_an_unknown_control_is_refused_with_a_suggestion(place: Path, cli: Cli) -> None:
    """A typing error in a control gives the nearest one."""
    said = cli("attach", "policy", "--body", "policy.yaml", "--control", "MEASUR 2.3")
    says(said, 2, "control.unknown", "MEASURE 2.3")


def test_every_missing_field_is_listed_at_once(place: Path, cli: Cli) -> None:
    """All faults with what the field is for; in JSON as a list of problems."""
    said = cli("attach", "policy", "--set", "version=4")
    says(said, 2, "body.malformed", "title: is required", "owner: is required")
    assert "Person who keeps it up to date" in said.err
    problems = cli("attach", "policy", "--set", "version=4", "--json").json["error"]["problems"]
    assert {"title", "inForceFrom", "owner", "reviewBy"} <= {item["path"] for item in problems}


@pytest.mark.parametrize(
    ("setting", "fault"),
    [
        ("metrics[accuracy].value=NaN", "json.number"),
        ("metrics[accuracy].value=-Infinity", "json.number"),
        ("metrics[accuracy].value=1e999", "json.number"),
        ("evaluated=99999999999999999999", "json.number"),
        ('dataset={"name":"a","name":"b"}', "json.duplicate-key"),
        ("a..b=1", "path.malformed"),
        ("[0]=1", "path.malformed"),
        ("metrics[7].value=1", "path.malformed"),
        ("evaluated.x=1", "path.malformed"),
        ("no-equals-sign", "usage"),
        ("=1", "usage"),
        ("nothing=1", "body.malformed"),
        ("evaluated=true", "body.malformed"),
        ('evaluated="200"', "body.malformed"),
    ],
)
def test_a_bad_setting_is_refused(place: Path, cli: Cli, setting: str, fault: str) -> None:
    """NaN, overflow, duplicate keys, bad paths, unknown fields and wrong types: exit 2 each."""
    says(cli(*ATTACH_EVAL, "--set", setting), 2, fault)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("title: !!python/object/apply:os.system ['touch owned']\n", "yaml.malformed"),
        ("title: a\ntitle: b\n", "yaml.malformed"),
        ("- a\n", "yaml."),
        ("a: [\n", "yaml.malformed"),
        ("evaluated: .nan\n", ""),
        ("", ""),
        ("\x00", ""),
    ],
)
def test_a_bad_body_file_is_refused(place: Path, cli: Cli, text: str, fault: str) -> None:
    """Tags, duplicate keys, no mapping, NaN: exit 2, and nothing is run or added."""
    (place / "bad.yaml").write_text(text)
    said = cli("attach", "policy", "--body", "bad.yaml")
    assert said.code == 2, said.err
    assert f"[{fault}" in said.err
    assert not (place / "owned").exists()
    assert len(cli("record", "list", "--json").json["data"]["records"]) == 7


def test_a_missing_file_is_refused(place: Path, cli: Cli) -> None:
    """A file that is not there, or a folder: exit 2, and nothing is added."""
    says(cli("attach", "policy", "nowhere.md", "--body", "policy.yaml"), 2, "file.missing")
    says(cli("attach", "policy", "data", "--body", "policy.yaml"), 2, "file.not-a-file")


def test_not_a_workspace(empty: Path, cli: Cli) -> None:
    """Where there is no workspace: exit 2 and how to make one."""
    says(cli("record", "list"), 2, "workspace.missing", "hint: muniment init")


@pytest.mark.parametrize(
    "text", ["", "version: 2\n", "- a\n", "version: 1\nroot: x\n", "version: 1\nextra: 1\n"]
)
def test_a_damaged_muniment_yaml_is_refused(place: Path, cli: Cli, text: str) -> None:
    """A muniment.yaml that cannot be understood is never guessed at."""
    (place / "muniment.yaml").write_text(text)
    said = cli("record", "list")
    assert said.code == 2, said.err
    assert said.out == ""


def test_a_wrong_passphrase(place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encrypted key opens with its passphrase alone; without one, nothing waits."""
    monkeypatch.setenv("MUNIMENT_PASSPHRASE", "correct horse")
    assert cli("key", "new", "locked").code == 0
    key = place.parent / "config" / "keys" / "locked.pem"
    assert "ENCRYPTED" in key.read_text()
    monkeypatch.setenv("MUNIMENT_PASSPHRASE", "battery staple")
    says(cli(*ATTACH_POLICY, "--set", "title=x", "--key", "locked"), 2, "key.passphrase")
    monkeypatch.delenv("MUNIMENT_PASSPHRASE")
    says(
        cli(*ATTACH_POLICY, "--set", "title=x", "--key", "locked"),
        *(2, "key.passphrase", "MUNIMENT_PASSPHRASE"),
    )
    monkeypatch.setenv("MUNIMENT_PASSPHRASE", "correct horse")
    assert cli(*ATTACH_POLICY, "--set", "title=x", "--key", "locked").code == 2, "not enrolled"


def test_a_key_others_can_read_is_refused(place: Path, cli: Cli) -> None:
    """A private key with loose permissions is not used."""
    (place.parent / "config" / "keys" / "default.pem").chmod(0o644)
    says(cli(*ATTACH_POLICY, "--set", "title=x"), 2, "key.permissions", "chmod 600")


def test_a_key_of_the_wrong_type_is_refused(place: Path, cli: Cli) -> None:
    """RSA keys, private keys and rubbish are not enrolled."""
    public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    (place / "rsa.pub").write_bytes(
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    (place / "rubbish.pub").write_bytes(b"\xff\x00 no key")
    who = ["--name", "R", "--email", "r@example.com"]
    says(cli("key", "add", "rsa.pub", *who), 2, "key.wrong-type")
    says(cli("key", "add", "rubbish.pub", *who), 2, "key.malformed")
    private = place.parent / "config" / "keys" / "risk.pem"
    assert cli("key", "add", str(private), *who).code == 2
    says(cli("key", "add", "rsa.pub", *who, "--role", "king"), 2, "key.role", "contributor")


def test_a_locked_ledger(place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process writing: exit 3 after waiting, and nothing is added."""
    monkeypatch.setattr(connections, "LOCK_SECONDS", 0)
    holder = sqlite3.connect(place / ".muniment" / "ledger.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    says(cli(*ATTACH_POLICY, "--set", "title=x"), 3, "store.locked", "hint: ")
    holder.execute("ROLLBACK")
    holder.close()
    assert cli(*ATTACH_POLICY, "--set", "title=x").code == 0


@pytest.mark.parametrize("rubbish", [b"no database at all, " * 500, b"\x00" * 9000])
def test_a_corrupt_ledger(place: Path, cli: Cli, rubbish: bytes) -> None:
    """A damaged database file is an answer that could not be given: exit 3."""
    database = place / ".muniment" / "ledger.db"
    database.write_bytes(rubbish)
    for left in ("ledger.db-wal", "ledger.db-shm"):
        (database.parent / left).unlink(missing_ok=True)
    for command in (["record", "list"], ["verify"], ["coverage"], [*ATTACH_EVAL]):
        said = cli(*command)
        assert said.code == 3, (command, said)
        assert "muniment: error: " in said.err
        assert "Traceback" not in said.err


def test_pages_lost_in_the_middle_of_the_ledger(place: Path, cli: Cli) -> None:
    """A database whose inner pages are zeroed never holds, and never gives a traceback."""
    database = place / ".muniment" / "ledger.db"
    data = bytearray(database.read_bytes())
    half = len(data) // 2 // 4096 * 4096
    data[half:] = b"\x00" * (len(data) - half)
    database.write_bytes(data)
    said = cli("verify")
    assert said.code in (1, 3), said
    assert "Traceback" not in said.err
    assert "[internal]" not in said.err


def test_git_that_does_not_answer(place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file in a repository whose git cannot be asked: exit 3, not recorded as outside."""
    (place / ".git" / "HEAD").write_text("rubbish\n")
    said = cli(*ATTACH_POLICY, "--set", "title=x")
    assert said.code in (0, 3)
    if said.code == 0:
        assert "recorded by digest alone" in said.err
    monkeypatch.setenv("PATH", str(place / "no-programs"))
    says(cli(*ATTACH_POLICY, "--set", "title=y"), 3, "git.not-installed")


def test_an_interrupt_is_130(place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends with 130 and one line."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Workspace, "verified", interrupt)
    said = cli("record", "list")
    assert (said.code, said.out) == (130, "")
    assert said.err == "muniment: error: interrupted [interrupted]\n"
    document = cli("record", "list", "--json")
    assert (document.code, document.json["error"]["code"]) == (130, "interrupted")


def test_the_unforeseen(place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours: exit 3, code internal, no traceback unless MUNIMENT_DEBUG asks for it."""

    def break_down(*_: object) -> None:
        raise ZeroDivisionError("\x1b[31mfault\u202e")

    monkeypatch.setattr(Workspace, "verified", break_down)
    says(cli("record", "list"), 3, "internal", "ZeroDivisionError", "MUNIMENT_DEBUG=1", "[U+001B]")
    document = cli("record", "list", "--json")
    assert (document.code, document.json["error"]["code"]) == (3, "internal")
    monkeypatch.setenv("MUNIMENT_DEBUG", "1")
    said = cli("record", "list")
    assert said.code == 3
    assert "Traceback" in said.err
    assert "in break_down" in said.err


def test_debug_shows_where_a_foreseen_error_arose(
    place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MUNIMENT_DEBUG adds a traceback on stderr and changes neither stdout nor the exit code."""
    monkeypatch.setenv("MUNIMENT_DEBUG", "1")
    said = cli("record", "show", "#99", "--json")
    assert (said.code, said.json["error"]["code"]) == (2, "record.unknown")
    assert "Traceback" in said.err


def test_nothing_is_half_written(place: Path, cli: Cli) -> None:
    """A packet that cannot be written leaves no file behind."""
    said = cli("packet", "--framework", "nothing", "-o", "out.pdf")
    assert said.code == 2
    assert not (place / "out.pdf").exists()


def test_schema_errors_reach_json_with_their_problems(
    place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each problem has path, message and description."""

    def raise_it(*_: object) -> None:
        raise SchemaError("a.b", "wrong", [errors.Problem("x.y", "is required", "What it is.")])

    monkeypatch.setattr(Workspace, "verified", raise_it)
    assert cli("record", "list", "--json").json["error"]["problems"] == [
        {"path": "x.y", "message": "is required", "description": "What it is."}
    ]
    assert "  x.y: is required\n      What it is.\n" in cli("record", "list").err


def test_two_attach_at_once(place: Path) -> None:
    """Two processes appending at the same moment both succeed, in some order."""
    command = [sys.executable, "-m", "muniment", *ATTACH_POLICY, "--json", "--set"]
    running = [
        subprocess.Popen(
            [*command, f"title=Copy {number}"],
            env=isolated(place.parent),
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert sorted(json.loads(text)["data"]["record"]["index"] for text in said) == [7, 8]


def test_a_ledger_beside_a_lost_muniment_yaml_is_not_overwritten(place: Path, cli: Cli) -> None:
    """``init`` over an old ledger is refused: nothing is made and nothing lost."""
    kept = (place / "muniment.yaml").read_bytes()
    (place / "muniment.yaml").unlink()
    before = (place / ".muniment" / "ledger.db").read_bytes()
    said = cli("init", "--name", "A", "--email", "a@example.com", "--origin", "other.example.com")
    assert (said.code, "[store.exists]" in said.err) == (3, True)
    assert (place / ".muniment" / "ledger.db").read_bytes() == before
    (place / "muniment.yaml").write_bytes(kept)
    assert cli("verify").code == 0


def test_init_without_an_identity(empty: Path, cli: Cli) -> None:
    """Where git knows no name, init says what to give, and makes nothing."""
    said = cli("init")
    assert (said.code, "[identity.unknown]" in said.err) == (2, True)
    assert "--name" in said.err
    assert list(empty.iterdir()) == []
    shutil.rmtree(empty)


def test_a_packet_needs_a_place(place: Path, cli: Cli) -> None:
    """Where the packet cannot go is said before anything is rendered."""
    says(cli("packet", "-o", "nowhere/packet.pdf"), 2, "file.missing", "nowhere")
    says(cli("packet", "-o", "."), 2, "file.special")
    says(cli("packet", "-o", os.devnull), 2, "file.special")


def test_what_is_no_fingerprint_is_not_compared(place: Path, cli: Cli) -> None:
    """A mistyped root is a mistake, not a packet that fails."""
    (place / "page.pdf").write_bytes(b"%PDF-1.7 rubbish")
    says(cli("verify", "page.pdf", "--root", "SHA256:abc"), 2, "key.fingerprint", "43 characters")
    root = "SHA256:" + "A" * 43
    says(cli("verify", "--root", root), 2, "usage.root")


def test_a_file_that_is_no_pdf(place: Path, cli: Cli) -> None:
    """What bears a packet's name is held to it; of any other file it is said what is verified."""
    (place / "packet.pdf").write_text("hello")
    said = cli("verify", "packet.pdf")
    assert said.code == 1
    assert "the file is not a PDF" in said.out
    assert "found hello" in " ".join(said.out.split())
    says(cli("verify", "policy.md"), 2, "verify.unknown-file", "a packet (PDF or HTML)")


def test_a_password_does_not_get_into_git(empty: Path, cli: Cli) -> None:
    """muniment.yaml is kept in git, so a URL with a password makes no workspace."""
    url = "postgresql+psycopg://muniment:secret@db.example.com/evidence"
    said = cli("init", "--ledger", url, "--name", "Root Owner", "--email", "root@example.com")
    says(said, 2, "ledger.password", "PGPASSWORD")
    assert "secret" not in said.err
    assert not (empty / "muniment.yaml").exists()


def test_known_catalogs_are_named(place: Path, cli: Cli) -> None:
    """Who asks for a framework that is not there reads which are."""
    says(cli("coverage", "--framework", "soc2"), 2, "catalog.unknown", "iso-42001-2023")


def test_a_day_is_a_time(place: Path, cli: Cli) -> None:
    """Who mistypes a time reads that a date will do."""
    says(cli("coverage", "--as-of", "yesterday"), 2, "time.malformed", "2026-01-31,")


def test_a_no_after_a_yes_is_heard(place: Path, cli: Cli) -> None:
    """The same rejection as before a yes is a new word, not the old one."""
    reject = ("approve", "#3", "--reject", "--key", "risk", "--statement", "no")
    accept = ("approve", "#3", "--key", "risk", "--statement", "yes")
    numbers = [
        cli(*command, "--json").json["data"]["record"]["index"]
        for command in (reject, reject, accept, reject, accept)
    ]
    assert numbers == [7, 7, 8, 9, 10]


def test_evidence_that_was_superseded_is_no_duplicate(place: Path, cli: Cli) -> None:
    """Who sees the same failure again after it was put right adds a record."""
    bad = (*ATTACH_EVAL, "--set", "status=error")
    first = cli(*bad, "--json").json["data"]["record"]["index"]
    assert cli(*bad, "--json").json["data"]["record"]["index"] == first
    cli(*ATTACH_EVAL, "--set", "suite=again", "--supersedes", f"#{first}")
    assert cli(*bad, "--json").json["data"]["is_new"]


def test_the_same_facts_of_another_day_are_another_record(place: Path, cli: Cli) -> None:
    """Evidence is renewed by saying when its facts held."""
    again = (*ATTACH_POLICY, "--collected-at", "2026-03-01")
    assert [cli(*again, "--json").json["data"]["is_new"] for _ in range(2)] == [True, False]


def test_facts_from_the_future_are_refused(place: Path, cli: Cli) -> None:
    """Nobody stores freshness up."""
    says(cli(*ATTACH_POLICY, "--collected-at", "2090-01-01"), 2, "statement.future")


def test_nothing_is_stored_for_a_key_that_may_not_sign(place: Path, cli: Cli) -> None:
    """What the ledger would refuse leaves no bytes behind."""
    (place / "secret.txt").write_text("not for the store")
    store = place / ".muniment" / "artifacts"
    before = sorted(store.rglob("*"))
    command = ("attach", "policy", "secret.txt", "--body", "policy.yaml", "--key", "risk")
    says(cli(*command), 2, "trust.wrong-role")
    assert sorted(store.rglob("*")) == before


def test_only_like_supersedes_like(place: Path, cli: Cli) -> None:
    """A policy cannot take the place of an evaluation."""
    says(cli(*ATTACH_POLICY, "--set", "title=x", "--supersedes", "#3"), 2, "attach.supersedes")


def test_a_decision_is_of_today(place: Path, cli: Cli) -> None:
    """The gate signs nothing for another day; a dry run answers for one."""
    says(cli("gate", "--as-of", "2026-01-01"), 2, "gate.past", "--dry-run")
    assert cli("gate", "--as-of", "2099-01-01", "--dry-run").code == 1


def test_a_contributor_signs_no_packet(place: Path, cli: Cli) -> None:
    """Whoever answers for a packet is an approver or a root."""
    cli("key", "new", "dev")
    public = place.parent / "config" / "keys" / "dev.pub"
    assert cli("key", "add", str(public), "--name", "Dev", "--email", "dev@example.com").code == 0
    says(cli("packet", "-o", "p.pdf", "--key", "dev"), 2, "trust.reviewer")


def test_nothing_is_concluded_from_a_changed_artifact(place: Path, cli: Cli) -> None:
    """Gate and packet hash the evidence's files again."""
    stored = next(item for item in (place / ".muniment" / "artifacts").rglob("*") if item.is_file())
    stored.chmod(0o644)
    stored.write_bytes(stored.read_bytes() + b"!")
    says(cli("gate", "--dry-run"), 1, "artifact.unsound")
    says(cli("packet", "-o", "p.pdf"), 1, "artifact.unsound")


@pytest.mark.parametrize(
    "arguments, code",
    [
        (("attach", "policy", "x" * 300), "file.unreadable"),
        ((*ATTACH_POLICY, "--set", "title=" + "[" * 100_000), "json.too-deep"),
        ((*ATTACH_POLICY[:3], "--body", "pipe"), "file.special"),
        (("verify", "pipe"), "file.special"),
        (("verify", "."), "file.special"),
        (("record", "show", "#\u0661"), "record.malformed"),
        (("approve", "#0"), "approval.no-system"),
    ],
    ids=["long name", "deep value", "body from a pipe", "packet from a pipe", "folder", "digit",
         "a key record"],
)  # fmt: skip
def test_odd_arguments(place: Path, cli: Cli, arguments: tuple[str, ...], code: str) -> None:
    """Each is the user's mistake, said at once."""
    os.mkfifo(place / "pipe")
    says(cli(*arguments), 2, code)


def test_a_packet_goes_through_a_link(tmp_path: Path) -> None:
    """A link to the packet's place stays a link."""
    from muniment.reports.files import write_atomically

    (tmp_path / "link.pdf").symlink_to(tmp_path / "real.pdf")
    write_atomically(tmp_path / "link.pdf", b"x")
    assert (tmp_path / "link.pdf").is_symlink()
    assert (tmp_path / "real.pdf").read_bytes() == b"x"
