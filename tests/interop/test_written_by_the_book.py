"""docs/formats.md is enough to write a verifier: the one in docs/, which uses nothing of Muniment,
takes the receipts that we write, and refuses what was changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import Sample

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "docs/verify_receipt.py"


def run(*files: Path) -> subprocess.CompletedProcess[str]:
    """The script, without this project on its path."""
    return subprocess.run(
        [sys.executable, "-I", str(SCRIPT), *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_uses_nothing_of_ours() -> None:
    """The verifier imports the standard library and ``cryptography`` alone."""
    assert "muniment" not in SCRIPT.read_text().lower().partition('"""\n\nimport')[2]


@pytest.fixture
def exported(sample: Sample, tmp_path: Path) -> Path:
    """The sample's receipts in both forms."""
    sample.workspace.export("bundles", tmp_path / "bundles")
    sample.workspace.export("proofs", tmp_path / "proofs")
    return tmp_path


def test_our_receipts(sample: Sample, exported: Path) -> None:
    """Every signer's receipts verify in both forms; without its envelope an Ed25519 record's
    signature is said to be unchecked."""
    said = []
    last = sample.checkpoint.size
    leaves = [
        (exported / "proofs" / f"receipt-{n:06d}.leaf.json").read_bytes() for n in range(last)
    ]
    by_machine = next(number for number, leaf in enumerate(leaves) if b"ED25519" in leaf)
    for index in (0, by_machine, last // 2, last - 1):
        name = f"receipt-{index:06d}"
        proofs = exported / "proofs"
        for files in (
            [exported / "bundles" / f"{name}.sigstore.json"],
            [proofs / f"{name}.tlog-proof", proofs / f"{name}.leaf.json"],
        ):
            done = run(proofs / "ledger.vkey", *files)
            assert done.returncode == 0, done.stderr
            said.append(done.stdout)
            assert f"#{index} " in done.stdout
    assert any("NOT CHECKED" in line for line in said)
    assert any("over the digest in the leaf" in line for line in said)


def test_a_change_is_refused(exported: Path) -> None:
    """A changed statement, place, checkpoint or leaf does not hold."""
    bundle = exported / "bundles/receipt-000005.sigstore.json"
    proof = exported / "proofs/receipt-000005.tlog-proof"
    leaf, vkey = exported / "proofs/receipt-000005.leaf.json", exported / "proofs/ledger.vkey"
    other = exported / "proofs/receipt-000006.leaf.json"
    assert run(vkey, proof, other).returncode == 1
    text = bundle.read_text()
    at = text.index('"payload": "') + 40
    changed = "A" if text[at] != "A" else "B"
    bundle.write_text(text[:at] + changed + text[at + 1 :])
    assert run(vkey, bundle).returncode == 1
    note = proof.read_text()
    proof.write_text(note.replace("index 5\n", "index 4\n"))
    assert run(vkey, proof, leaf).returncode == 1
    proof.write_text(note[:-8] + "AAAAAA=\n")
    assert run(vkey, proof, leaf).returncode == 1
