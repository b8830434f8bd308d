"""Witnesses in both directions: our client and ``aics-witness``, its client and our witness.

Run with ``pytest -m interop``. It needs Python 3.12 or newer, so it runs in an environment of its
own, made with whichever ``python3.N`` is found.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from muniment.evidence.checkpoint import Checkpoint, sign_checkpoint
from muniment.evidence.keyfiles import KeyFiles
from muniment.evidence.note import SignedNote, VerifierKey
from muniment.evidence.policy import Policy, cosigned_at
from muniment.evidence.policy import Witness as Known
from muniment.evidence.witness import anchor_at_witnesses, cosign
from muniment.evidence.witness_server import WitnessServer, open_witness
from muniment.schemas.errors import MunimentError

pytestmark = pytest.mark.interop

FEEDER = Path(__file__).with_name("feed_witness.py")
NAME = "witness.example.com/one"


@pytest.fixture(scope="session")
def aics(tmp_path_factory: pytest.TempPathFactory, newer_python: str) -> Path:
    """The folder with the programs of ``aics-witness``."""
    folder = tmp_path_factory.mktemp("witness")
    subprocess.run([newer_python, "-m", "venv", folder], check=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    install = [*pip, "install", "aics-witness==0.1.0", "aics-tlog==0.2.1"]
    if subprocess.run(install, check=False).returncode:
        pytest.skip("aics-witness 0.1.0 cannot be installed here")
    return folder / "bin"


@pytest.fixture
def theirs(aics: Path, tmp_path: Path, sample: Any) -> Iterator[Known]:
    """A running ``aics-witness`` that knows our ledger."""
    config = str(tmp_path / "witness.json")
    command = str(aics / "aics-witness")
    init = [command, "init", "--config", config, "--name", NAME]
    vkey = subprocess.run(init, check=True, capture_output=True, text=True).stdout.strip()
    ledger = sample.workspace.ledger.vkey
    add = ["add-log", "--config", config, "--origin", ledger.name, "--vkey", str(ledger)]
    subprocess.run([command, *add], check=True, capture_output=True)
    serve = [command, "serve", "--config", config, "--listen", "127.0.0.1:0"]
    with subprocess.Popen(serve, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            port = next(
                line.split("127.0.0.1:")[1].split()[0].strip("/,;")
                for line in process.stderr
                if "127.0.0.1:" in line
            )
            url = f"http://127.0.0.1:{port}"
            yield Known("one", VerifierKey.parse(vkey), url)
        finally:
            process.terminate()


def test_aics_witness_cosigns_our_ledger(theirs: Known, sample: Any) -> None:
    """It cosigns an old checkpoint and then the last one; both hold under a policy, and are kept
    with the ledger. A second history of the same ledger it refuses, and an older one."""
    ledger = sample.workspace.ledger

    def prove(at: Any) -> Any:
        return lambda old: ledger.consistency(old, at.size)

    line, _ = cosign(theirs, sample.old, 0, prove(sample.old))
    assert line.key_id == theirs.vkey.id
    text = f"log {ledger.vkey}\nwitness one {theirs.vkey} {theirs.url}\nquorum one\n"
    policy = Policy.parse(text.encode())
    assert anchor_at_witnesses(ledger, policy).is_met
    with ledger.storage.read() as reader:
        (kept,) = reader.anchors(sample.checkpoint.size)
    note = SignedNote.from_bytes(f"{sample.checkpoint.note.text}\n".encode() + kept.proof)
    assert policy.judge(note).is_met
    with pytest.raises(MunimentError) as older:
        cosign(theirs, sample.old, 0, prove(sample.old))
    assert older.value.code == "outside.rollback"
    with pytest.raises(MunimentError) as other:
        cosign(theirs, forged(sample), 0, prove(sample.checkpoint))
    assert other.value.code == "outside.fork"


def forged(sample: Any) -> Any:
    """A checkpoint of the last size over other records, signed with the ledger's own key."""
    workspace, last = sample.workspace, sample.checkpoint
    key = workspace.keys.load(workspace.keys.ledger_path(workspace.ledger.vkey))
    other = Checkpoint(last.checkpoint.origin, last.size, bytes(32))
    return sign_checkpoint(other, key, last.time)


def test_a_witness_under_a_wrong_key_is_not_believed(theirs: Known, sample: Any) -> None:
    """Where the policy names another key under its name, its cosignature counts for nothing."""
    key = VerifierKey(theirs.vkey.name, theirs.vkey.type, sample.workspace.ledger.vkey.key)
    with pytest.raises(MunimentError) as caught:
        cosign(replace(theirs, vkey=key), sample.old, 0, lambda old: [])
    assert caught.value.code == "note.unsigned"


def test_our_witness_serves_aics_client(aics: Path, tmp_path: Path, sample: Any) -> None:
    """Their client is cosigned from 0 to 11 and on, whatever size it begins with, and believes our
    cosignatures; a second history is refused with 422."""
    ledger, old, last = sample.workspace.ledger, sample.old, sample.checkpoint
    keys = KeyFiles(tmp_path, lambda name: None)
    witness, lock = open_witness(tmp_path, NAME, [ledger.vkey], keys)
    proofs = {
        f"{old.size} {last.size}": [item.hex() for item in ledger.consistency(old.size, last.size)]
    }

    def step(at: Any, begin: int) -> dict[str, Any]:
        return {"checkpoint": at.note.to_bytes().decode(), "old": begin, "proofs": proofs}

    server = WitnessServer(witness, "127.0.0.1", 0, lambda line: None)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        question = {
            "url": server.url,
            "vkey": str(witness.vkey),
            "steps": [step(old, 0), step(last, 0), step(forged(sample), last.size), step(old, 0)],
        }
        answer = subprocess.run(
            [str(aics / "python"), FEEDER],
            input=json.dumps(question).encode(),
            stdout=subprocess.PIPE,
            check=True,
        )
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        lock.close()
    first, second, *refused = json.loads(answer.stdout)
    for signed, line in ((old, first), (last, second)):
        note = SignedNote.from_bytes(f"{signed.note.text}\n{line}".encode())
        assert cosigned_at(note, witness.vkey)
    assert refused == ["refused 422", "WitnessAhead"]
