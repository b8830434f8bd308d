"""``muniment key new`` with keys that lie elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ..tokens import PIN, URI, make_token
from .conftest import MUNIMENT, Cli


def enrol(name: str) -> list[str]:
    public = f"../config/keys/{name}.pub"
    return ["key", "add", public, "--name", "Carl Example", "--email", "carl@example.com"]


def attach(name: str, title: str) -> list[str]:
    body = (
        f'title: {title}\nversion: "4"\ninForceFrom: 2026-01-01\nreviewBy: 2030-01-01\n'
        "owner: {name: Ana Owner, email: ana@example.com}\n"
    )
    Path("carl.yaml").write_text(body)
    return ["attach", "policy", "policy.md", "--body", "carl.yaml", "--key", name]


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not installed")
@pytest.mark.parametrize("kind", [["ed25519"], ["ecdsa", "-b", "256"]])
def test_an_encrypted_openssh_key_signs(
    place: Path, cli: Cli, kind: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key of ssh-keygen's, with a passphrase, signs a record from where it lies."""
    file = place.parent / "id_key"
    command = ["ssh-keygen", "-q", "-t", *kind, "-N", "correct horse", "-f", str(file)]
    subprocess.run(command, check=True)
    assert cli("key", "new", "carl", "--from", str(file)).code == 2
    monkeypatch.setenv("MUNIMENT_PASSPHRASE", "correct horse")
    made = cli("key", "new", "carl", "--from", str(file), "--json").json["data"]
    shown = subprocess.run(["ssh-keygen", "-lf", str(file)], capture_output=True, text=True)
    assert made["fingerprint"] in shown.stdout
    assert cli(*enrol("carl")).code == 0
    assert cli(*attach("carl", "Signed with OpenSSH")).code == 0
    assert cli("verify").code == 0
    assert "carl" in cli("key", "list").out


def test_a_key_in_a_token_signs(place: Path, tmp_path: Path) -> None:
    """A key of a PKCS#11 token is taken in, enrolled, and signs; the ledger verifies."""
    # Its own process: the token's library reads its settings once.
    environment = {**os.environ, **make_token(tmp_path / "token"), "MUNIMENT_PIN": PIN}
    commands = [
        ["key", "new", "token", "--uri", URI],
        enrol("token"),
        attach("token", "Signed in a token"),
        ["verify"],
        ["packet", "--framework", "nist-ai-rmf-1.0", "-o", "../x.pdf", "--key", "token"],
    ]
    script = MUNIMENT + (
        "codes = [run(command) for command in json.loads(sys.argv[1])]\n"
        "print(json.dumps(codes), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, json.dumps(commands)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stderr.splitlines()[-1]) == [0, 0, 0, 0, 2]
    assert not (place.parent / "x.pdf").exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--from", "a", "--uri", "hsm:1"],
        ["--from", "a", "--passphrase"],
        ["--uri", "hsm:1", "--passphrase"],
        ["--public", "a"],
    ],
)
def test_options_that_do_not_go_together(empty: Path, cli: Cli, options: list[str]) -> None:
    """One key comes from one place."""
    said = cli("key", "new", "carl", *options, "--json")
    assert (said.code, said.json["error"]["code"]) == (2, "usage")
