"""Checkpoints, proofs and tiles, checked by ``aics-tlog``, another implementation of C2SP.

Run with ``pytest -m interop``. It needs Python 3.12 or newer, so it runs in an environment of its
own, made with whichever ``python3.N`` is found.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from muniment.evidence.merkle import hash_leaf
from muniment.evidence.note import VerifierKey
from muniment.evidence.receipt import parse_tlog_proof
from muniment.evidence.tiles import HASH_SIZE, WIDTH, add_leaf

pytestmark = pytest.mark.interop

CHECKER = Path(__file__).with_name("check_tlog.py")
MANY = WIDTH * WIDTH + 300
"""Leaves enough for three levels of tiles, the last of each not full."""


@pytest.fixture(scope="session")
def tlog(tmp_path_factory: pytest.TempPathFactory, newer_python: str) -> Callable[[Any], Any]:
    """Ask ``aics-tlog``."""
    folder = tmp_path_factory.mktemp("tlog")
    subprocess.run([newer_python, "-m", "venv", folder], check=True)
    python = str(folder / "bin/python")
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    if subprocess.run([*pip, "install", "aics-tlog==0.2.1"], check=False).returncode:
        pytest.skip("aics-tlog 0.2.1 cannot be installed here")

    def ask(question: Any) -> Any:
        text = json.dumps(question).encode()
        answer = subprocess.run([python, CHECKER], input=text, stdout=subprocess.PIPE, check=True)
        return json.loads(answer.stdout)

    return ask


@pytest.fixture
def question(sample: Any) -> dict[str, Any]:
    """All there is to ask about the ledger."""
    vkey, old, last = sample.workspace.ledger.vkey, sample.old, sample.checkpoint
    return {
        "origin": last.checkpoint.origin,
        "vkey": str(vkey),
        "cosigner": str(vkey.cosigner()),
        "old": old.note.to_bytes().decode(),
        "checkpoint": last.note.to_bytes().decode(),
        "leaves": [_text(receipt.leaf) for receipt in sample.receipts],
        "proofs": [list(map(_text, receipt.proof)) for receipt in sample.receipts],
        "consistency": list(map(_text, sample.workspace.ledger.consistency(old.size, last.size))),
        "numbers": 0,
    }


def test_the_ledger_holds(tlog: Any, sample: Any, question: dict[str, Any]) -> None:
    """aics-tlog accepts both signatures of two checkpoints, reads our times in them, computes the
    same root from the leaves, and accepts every inclusion proof and the proof from old to new."""
    answer = tlog(question)
    assert answer["checkpoints"] == [
        [True, None, signed.size, [int(signed.time.timestamp())]]
        for signed in (sample.old, sample.checkpoint)
    ]
    assert answer["root"] and answer["consistent"]
    assert answer["included"] == [True] * sample.checkpoint.size


def test_a_changed_ledger_does_not(tlog: Any, sample: Any, question: dict[str, Any]) -> None:
    """One leaf exchanged, one hash of the history exchanged, and aics-tlog says no to just that."""
    question["leaves"][7] = question["leaves"][8]
    question["consistency"][0] = _text(bytes(32))
    answer = tlog(question)
    assert not answer["root"] and not answer["consistent"]
    assert [place for place, held in enumerate(answer["included"]) if not held] == [7]


def test_a_changed_checkpoint_is_refused(tlog: Any, question: dict[str, Any]) -> None:
    """A ledger signature moved from one checkpoint to another does not hold there."""
    text = question["checkpoint"].partition("\n\n")[0]
    signatures = question["old"].partition("\n\n")[2]
    answer = tlog(question | {"checkpoint": f"{text}\n\n{signatures}"})
    assert [item[0] for item in answer["checkpoints"]] == [True, False]


def test_tiles_are_the_same(tlog: Any, question: dict[str, Any]) -> None:
    """Grown leaf by leaf, our tiles are those that aics-tlog makes of all leaves at once."""
    tiles: dict[tuple[int, int], bytes] = {}

    def read(level: int, number: int) -> bytes:
        return tiles.get((level, number), b"")

    for number in range(MANY):
        tiles.update(add_leaf(number, hash_leaf(b"%d" % number), read))
    expected = tlog(question | {"numbers": MANY})["tiles"]
    assert {_path(*place, data): _text(data) for place, data in tiles.items()} == expected
    assert max(level for level, _ in tiles) == 2


def test_an_exported_ledger_holds(tlog: Any, exported: Any) -> None:
    """Of the thousand exported records aics-tlog accepts every tlog-proof and the checkpoints, and
    makes of the leaves the very tile tree that was exported, entry bundles and all."""
    tiles, proofs = exported.folder / "tiles", exported.folder / "proofs"
    vkey = VerifierKey.parse((tiles / "ledger.vkey").read_text())
    read = [parse_tlog_proof(path.read_bytes()) for path in sorted(proofs.glob("*.tlog-proof"))]
    lines = (tiles / "checkpoints.jsonl").read_text().splitlines()
    notes = [json.loads(line)["note"] for line in lines]
    old = int(notes[4].split("\n")[1])
    consistency = exported.workspace.ledger.consistency(old, exported.checkpoint.size)
    answer = tlog(
        {
            "origin": vkey.name,
            "vkey": str(vkey),
            "cosigner": str(vkey.cosigner()),
            "old": notes[4],
            "checkpoint": (tiles / "checkpoint").read_text(),
            "leaves": list(map(_text, exported.leaves())),
            "proofs": [list(map(_text, proof)) for _, proof, _ in read],
            "consistency": list(map(_text, consistency)),
            "numbers": 0,
        }
    )
    assert [item[0] for item in answer["checkpoints"]] == [True, True]
    assert answer["root"] and answer["consistent"]
    assert answer["included"] == [True] * 1000
    files = [path for path in (tiles / "tile").rglob("*") if path.is_file()]
    tree = {path.relative_to(tiles).as_posix(): _text(path.read_bytes()) for path in files}
    assert answer["tree"] == tree


def _path(level: int, number: int, data: bytes) -> str:
    """Where C2SP tlog-tiles puts a tile, for numbers below a thousand."""
    count = len(data) // HASH_SIZE
    return f"tile/{level}/{number:03}" + (f".p/{count}" if count < WIDTH else "")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
