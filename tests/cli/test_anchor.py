"""``muniment anchor``, ``muniment witness serve`` and the outside checks of ``muniment verify``."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from muniment.evidence.note import ED25519, VerifierKey
from muniment.evidence.workspace import Workspace

from .conftest import ATTACH_POLICY, MUNIMENT, Cli, isolated

NAME = "witness.example.com/one"


def check(document: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [item for item in document["data"]["checks"] if item["name"] == name]
    return dict(found)


def ledger_vkey(place: Path) -> VerifierKey:
    workspace = Workspace(place)
    vkey = workspace.ledger.vkey
    workspace.storage.close()
    return vkey


def say_policy(place: Path, text: str) -> None:
    (place / "witnesses.policy").write_text(text)
    settings = place / "muniment.yaml"
    if "policy:" not in settings.read_text():
        settings.write_text(settings.read_text() + "policy: witnesses.policy\n")


@pytest.fixture
def serve(place: Path) -> Iterator[Callable[..., tuple[Any, str]]]:
    """Starts ``muniment witness serve``; gives the process and its line for a policy."""
    started: list[Any] = []

    def start(*options: str) -> tuple[Any, str]:
        script = MUNIMENT + "sys.exit(run(json.loads(sys.argv[1])))"
        words = ["witness", "serve", "--name", NAME, "--listen", "127.0.0.1:0", *options]
        process = subprocess.Popen(
            [sys.executable, "-c", script, json.dumps(words)],
            env=isolated(place.parent / "elsewhere"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process, process.stderr.readline().strip()  # type: ignore[union-attr]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_anchor_at_a_witness(place: Path, cli: Cli, serve: Any) -> None:
    """A team's ledger is cosigned by another team's witness, verify says so, and a record that
    comes later is said to be unseen."""
    process, line = serve("--log", str(ledger_vkey(place)))
    assert line.startswith(f"witness {NAME} {NAME}+")
    _, _, vkey, url = line.split()
    say_policy(place, f"witness one {vkey} {url}\nquorum one\n")
    before = cli("verify", "--json")
    assert before.code == 1
    assert [item["code"] for item in check(before.json, "witnesses")["findings"]] == [
        "witness.quorum"
    ]
    done = cli("anchor", "witness", "--json")
    assert (done.code, done.json["data"]["quorum"], done.json["data"]["size"]) == (0, True, 7)
    again = cli("anchor", "witness", "one")
    assert (again.code, "had cosigned before" in again.out) == (0, True)
    assert check(cli("verify", "--json").json, "witnesses")["outcome"] == "held"
    cli(*ATTACH_POLICY, "--set", "title=Another")
    late = check(cli("verify", "--json").json, "witnesses")
    assert late["outcome"] == "held" and late["not_checked"][0].startswith("#7 came after")
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, f"witness {NAME} stopped\n")
    silent = cli("anchor", "witness", "--json")
    assert (silent.code, silent.json["error"]["code"]) == (3, "witness.unreachable")


def test_a_witness_that_does_not_know_the_ledger(place: Path, cli: Cli, serve: Any) -> None:
    """It refuses, the quorum is not met: exit 1 with the reason."""
    key = ledger_vkey(place).key
    _, line = serve("--log", str(VerifierKey("other.example.com", ED25519, key)))
    _, _, vkey, url = line.split()
    say_policy(place, f"witness one {vkey} {url}\nquorum one\n")
    done = cli("anchor", "witness")
    assert done.code == 1
    assert "one does not know this ledger [witness.refused]" in done.out
    assert "the quorum is NOT met" in done.out


def test_policy_faults(place: Path, cli: Cli) -> None:
    """No policy, a malformed one, an unknown name, a policy of nobody: exit 2."""
    cases = [
        (None, [], "policy.none"),
        ("quorum nobody\n", [], "policy.malformed"),
        ("quorum none\n", ["x"], "witness.unknown"),
        ("quorum none\n", [], "witness.none"),
    ]
    for text, names, code in cases:
        if text is not None:
            say_policy(place, text)
        done = cli("anchor", "witness", *names, "--json")
        assert (done.code, done.json["error"]["code"]) == (2, code)
    assert cli("verify", "--policy", "nowhere", "--json").json["error"]["code"] == "file.missing"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--name", NAME], "witness.logs"),
        (["--name", "a b", "--log", "VKEY"], "witness.name"),
        (["--name", NAME, "--log", "x"], "witness.log"),
        (["--name", NAME, "--log", "VKEY", "--listen", "here"], "witness.listen"),
        (["--name", NAME, "--log", "VKEY", "--listen", "x:70000"], "witness.listen"),
    ],
)
def test_serve_faults(place: Path, cli: Cli, options: list[str], code: str) -> None:
    """What cannot be served is said at once, and nothing is made: exit 2."""
    vkey = str(ledger_vkey(place))
    words = [vkey if word == "VKEY" else word for word in options]
    done = cli("witness", "serve", *words, "--json")
    assert (done.code, done.json["error"]["code"]) == (2, code)
    assert not (place.parent / "config" / "witnesses").exists()


def test_anchor_in_git(place: Path, cli: Cli, tmp_path: Path) -> None:
    """Committed, pushed, read back by verify; a repeat changes nothing."""
    remote = tmp_path / "remote.git"
    subprocess.run(["git", "init", "-q", "--bare", str(remote)], check=True)
    status = ["git", "-C", str(place), "status", "--porcelain"]
    before = subprocess.run(status, capture_output=True, check=True).stdout
    assert check(cli("verify", "--json").json, "git-anchor")["outcome"] == "not-checked"
    done = cli("anchor", "git", "--push", str(remote), "--json")
    assert (done.code, done.json["data"]["new"], done.json["data"]["size"]) == (0, True, 7)
    again = cli("anchor", "git", "--push", str(remote))
    assert (again.code, "was already" in again.out) == (0, True)
    assert subprocess.run(status, capture_output=True, check=True).stdout == before
    found = check(cli("verify", "--json").json, "git-anchor")
    assert (found["outcome"], found["checked"]) == ("held", 1)
    other = cli("anchor", "git", "--ref", "refs/heads/proof", "--json")
    assert other.json["data"]["ref"] == "refs/heads/proof"
    seen = check(cli("verify", "--ref", "refs/heads/proof", "--json").json, "git-anchor")
    assert seen["outcome"] == "held"


def test_a_ref_that_is_named_must_be_there(place: Path, cli: Cli) -> None:
    """A ref that is not there, or holds nothing of the ledger, is the request's mistake; so is a
    ref for a packet."""
    for ref in ("refs/notes/typo", "HEAD", "refs/notes/muniment", ""):
        done = cli("verify", "--ref", ref, "--json")
        assert (done.code, done.json["error"]["code"]) == (2, "git.no-checkpoints"), ref
    assert cli("verify", "x.pdf", "--ref", "refs/notes/muniment").code == 2
    (place / ".git").rename(place / "gone")
    done = cli("verify", "--ref", "refs/notes/muniment", "--json")
    assert (done.code, done.json["error"]["code"]) == (2, "git.none")
    assert cli("verify").code == 0


def old_files(place: Path, packet: Path, folder: Path) -> dict[str, Path]:
    """A checkpoint, a receipt in both forms, a packet."""
    workspace = Workspace(place)
    ledger = workspace.ledger
    last = ledger.checkpoint()
    (receipt,) = ledger.receipts([3], last)
    files = {
        "checkpoint": last.note.to_bytes(),
        "bundle": receipt.to_bundle(ledger.vkey, last.size, last.root),
        "tlog-proof": receipt.to_tlog_proof(),
    }
    workspace.storage.close()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return {"packet": packet, **{name: folder / name for name in files}}


def test_since_takes_what_people_keep(
    place: Path, packet: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkpoint, a packet and a receipt prove that the ledger only grew; and show that another
    copy of it, taken back to an earlier state, is a rollback."""
    early = (place / ".muniment" / "ledger.db").read_bytes()
    cli(*ATTACH_POLICY, "--set", "title=Another")
    files = old_files(place, packet, tmp_path)
    for name, path in files.items():
        done = cli("verify", "--since", str(path), "--json")
        assert (done.code, check(done.json, "since")["outcome"]) == (0, "held"), name
    for leftover in (place / ".muniment").glob("ledger.db*"):
        leftover.unlink()
    (place / ".muniment" / "ledger.db").write_bytes(early)
    done = cli("verify", "--since", str(files["bundle"]), "--json")
    assert done.code == 1
    for name in ("since", "remembered"):
        codes = [item["code"] for item in check(done.json, name)["findings"]]
        assert codes == ["outside.rollback"]


def test_since_refuses_what_holds_no_checkpoint(place: Path, cli: Cli, tmp_path: Path) -> None:
    """Another text, another JSON, another PDF, nothing: exit 2."""
    for name, data in {
        "text": b"hello\n",
        "empty": b"",
        "json": b"{}",
        "deep": b"[" * 5000,
        "note": b"a\n\n\xe2\x80\x94 a AAAAAAAA\n",
        "proof": b"c2sp.org/tlog-proof@v1\nindex 1\n\nx",
    }.items():
        (tmp_path / name).write_bytes(data)
        done = cli("verify", "--since", str(tmp_path / name), "--json")
        assert (done.code, done.json["error"]["code"]) == (2, "since.malformed"), name
    (tmp_path / "x.pdf").write_bytes(b"%PDF-1.7\n")
    done = cli("verify", "--since", str(tmp_path / "x.pdf"), "--json")
    assert (done.code, done.json["error"]["code"]) == (2, "since.malformed")
    assert cli("verify", "--since", str(tmp_path / "none")).code == 2
    assert cli("verify", "x.pdf", "--since", str(tmp_path / "text")).code == 2


def test_verify_says_what_it_remembers(place: Path, cli: Cli) -> None:
    """The first time nothing is remembered, and verify says that nothing vouches; then it does."""
    first = cli("verify")
    assert "nothing from outside vouches for it" in first.out
    assert "not checked: nothing of this ledger was remembered" in first.out
    second = cli("verify")
    assert "its past was held against: remembered" in second.out
    assert len(list((place.parent / "config" / "remembered").iterdir())) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written(place: Path, cli: Cli) -> None:
    """Verify answers all the same, and says that it will not remember."""
    (place.parent / "config").chmod(0o500)
    done = cli("verify", "--json")
    (place.parent / "config").chmod(0o700)
    assert done.code == 0
    assert "could not be remembered" in check(done.json, "remembered")["not_checked"][-1]


def test_nothing_is_signed_into_a_ledger_that_was_taken_back(place: Path, cli: Cli) -> None:
    """Where this machine verified more than there is, adding evidence is refused: what would follow
    is a fork, with its owner's own signature."""
    early = (place / ".muniment" / "ledger.db").read_bytes()
    cli(*ATTACH_POLICY, "--set", "title=Another")
    assert cli("verify").code == 0
    for leftover in (place / ".muniment").glob("ledger.db*"):
        leftover.unlink()
    (place / ".muniment" / "ledger.db").write_bytes(early)
    done = cli(*ATTACH_POLICY, "--set", "title=A third", "--json")
    assert (done.code, done.json["error"]["code"]) == (1, "outside.rollback")
    assert "docs/witnesses.md" in done.json["error"]["hint"]
    assert (place / ".muniment" / "ledger.db").read_bytes() == early
