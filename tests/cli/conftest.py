"""A workspace with a short story in it, made once, copied for each test; and the command to run."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from muniment.cli import app
from muniment.evidence.storage import Storage
from muniment.reports import verifypages, worker
from muniment.reports.model import Embedded, PacketInput
from muniment.reports.render import render_pdf

SYSTEM = "support@1.0.0"
MUNIMENT = "import json, sys\nfrom muniment.cli.app import run\n"
EVAL = """\
model: {name: model.bin}
dataset: {name: tickets, split: held-out}
evaluated: 200
metrics:
  - {name: accuracy, value: 0.93, threshold: 0.9, direction: higher, n: 200}
checks: []
"""
POLICY = """\
title: Oversight policy
version: "4"
inForceFrom: 2026-01-01
reviewBy: 2030-01-01
owner: {name: Ana Owner, email: ana@example.com}
"""
PERSON = "Ana Owner <ana@example.com>"
FILES = {
    "model.bin": "weights",
    "data/heldout.csv": "a,b\n1,2\n",
    "report.txt": "all well\n",
    "policy.md": "# Oversight\n",
    "eval.yaml": EVAL,
    "policy.yaml": POLICY,
}
INIT = [
    *("init", "--organisation", "Example Bank", "--origin", "evidence.example.com"),
    *("--name", "Ana Owner", "--email", "ana@example.com", "--function", "risk"),
]
ADD_SYSTEM = [
    *("system", "add", SYSTEM, "--name", "Support triage", "--purpose", "Sorts mails"),
    *("--phase", "pilot", "--risk-tier", "limited", "--owner", PERSON, "--model", "model.bin"),
]
ATTACH_EVAL = [
    *("attach", "eval-result", "report.txt", "--body", "eval.yaml", "--control", "MEASURE 2.3"),
    *("--digest", "model.sha256=model.bin", "--digest", "dataset.sha256=data/heldout.csv"),
]
ATTACH_POLICY = [
    *("attach", "policy", "policy.md", "--body", "policy.yaml", "--control", "GOVERN 1.1"),
]
ADD_KEY = [
    *("key", "add", "../config/keys/risk.pub", "--name", "Rita Risk"),
    *("--email", "rita@example.com", "--role", "approver", "--function", "risk"),
]
ASSIGN = [
    *("assign", PERSON, "--role", "Head of support", "--duty", "operation", "--hours", "6"),
    *("--deputy", "Deputy Owner <deputy@example.com>", "--start", "2026-01-01"),
    *("--control", "RG-5"),
]
STORY = [
    INIT,  # 0
    ADD_SYSTEM,  # 1
    ["key", "new", "risk"],
    ADD_KEY,  # 2
    ATTACH_EVAL,  # 3
    ["approve", "#3", "--key", "risk", "--statement", "Reviewed"],  # 4
    ATTACH_POLICY,  # 5
    ASSIGN,  # 6
]


@dataclass(frozen=True, slots=True)
class Said:
    """What one command answered."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one document on stdout."""
        document = json.loads(self.out)
        assert isinstance(document, dict)
        return document


Cli = Callable[..., Said]


def isolated(home: Path) -> dict[str, str]:
    """An environment whose settings and keys are all inside ``home``."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MUNIMENT_", "GIT_")) and name not in ("COLUMNS", "FORCE_COLOR")
    }
    return {
        **inherited,
        "HOME": str(home),
        "MUNIMENT_CONFIG": str(home / "config"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }


def run_all(home: Path, commands: list[list[str]]) -> list[int]:
    """Run commands one after the other in one process; returns their exit codes."""
    script = MUNIMENT + (
        "codes = [run(command) for command in json.loads(sys.argv[1])]\n"
        "print(json.dumps(codes), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(commands)],
        cwd=home / "ws",
        env=isolated(home),
        capture_output=True,
        text=True,
        check=True,
    )
    codes = json.loads(done.stderr.splitlines()[-1])
    assert isinstance(codes, list)
    return codes


def make_repository(folder: Path) -> None:
    """A git repository with the story's files committed."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git = ["git", "-C", str(folder), "-c", "user.name=Ana", "-c", "user.email=ana@example.com"]
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Files"]):
        subprocess.run([*git, *command], check=True, env=isolated(folder))


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``ws``, a workspace of seven records, and ``config``, its keys."""
    home = tmp_path_factory.mktemp("story")
    make_repository(home / "ws")
    assert run_all(home, STORY) == [0] * len(STORY)
    return home


@pytest.fixture(scope="session")
def packet(story: Path) -> Path:
    """The packet of the story."""
    command = ["packet", "--framework", "nist-ai-rmf-1.0", "--no-record", "-o", "../packet.pdf"]
    assert run_all(story, [command]) == [0]
    return story / "packet.pdf"


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to stand in, with settings and keys of its own beside it."""
    for name in set(os.environ) - set(isolated(tmp_path)):
        monkeypatch.delenv(name)
    for name, value in isolated(tmp_path).items():
        monkeypatch.setenv(name, value)
    (tmp_path / "ws").mkdir()
    monkeypatch.chdir(tmp_path / "ws")
    return tmp_path / "ws"


@pytest.fixture
def place(story: Path, empty: Path) -> Path:
    """A copy of the story's workspace to stand in."""
    for name in ("ws", "config"):
        shutil.copytree(story / name, empty.parent / name, dirs_exist_ok=True)
    return empty


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Cli]:
    """Runs one command in this process."""
    opened: list[Storage] = []
    begin = Storage.__init__

    def remember(self: Storage, *args: Any, **options: Any) -> None:
        begin(self, *args, **options)
        opened.append(self)

    monkeypatch.setattr(Storage, "__init__", remember)

    def run(*arguments: str) -> Said:
        capsys.readouterr()
        code = app.run(list(arguments))
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    yield run
    for storage in opened:
        storage.close()


def change_ledger(place: Path, *statements: str) -> None:
    """Change the ledger's database past its triggers, as whoever holds the file can."""
    connection = sqlite3.connect(place / ".muniment" / "ledger.db")
    query = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
    for (name,) in connection.execute(query).fetchall():
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


class _Here:
    """Sets pages in this process: a fresh one for each packet would be most of the time."""

    def __enter__(self) -> _Here:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def render(self, packet: PacketInput, files: list[Embedded], progress: Any = None) -> bytes:
        return render_pdf(packet, files, progress)


def set_pages_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have packets made and verified without another process."""
    monkeypatch.setattr(worker, "Renderer", _Here)
    monkeypatch.setattr(verifypages, "render", lambda packet, files: render_pdf(packet, files))
