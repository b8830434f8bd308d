"""Receipts, verified by ``@sigstore/verify``, the verifier that npm itself uses.

Run with ``pytest -m interop``; npm fetches the verifier and a Node that suits it.
"""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from muniment.evidence.keys import Algorithm, new_ed25519
from muniment.evidence.note import ED25519, VerifierKey
from muniment.evidence.receipt import trusted_root

pytestmark = pytest.mark.interop

HERE = Path(__file__).parent
Bundle = dict[str, Any]
Ask = Callable[[Any], dict[str, str | None]]


@pytest.fixture(scope="session")
def sigstore(ask: Ask) -> Callable[..., dict[str, str | None]]:
    """Verify bundles by name: answers None, or why Sigstore refused."""

    def verify(sample: Any, bundles: dict[str, Bundle], **more: Any) -> dict[str, str | None]:
        root = trusted_root(sample.workspace.ledger.vkey, sample.old.time)
        keys = {receipt.key.fingerprint: receipt.key.pem() for receipt in sample.receipts}
        return ask({"trustedRoot": json.loads(root), "keys": keys, "bundles": bundles} | more)

    return verify


@pytest.fixture(scope="session")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Give Sigstore's verifier a trusted root, keys and bundles."""
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is needed to fetch @sigstore/verify, and it is not installed")
    folder = tmp_path_factory.mktemp("sigstore")
    for name in ("package.json", "verify.js"):
        shutil.copy(HERE / name, folder)
    install = [npm, "install", "--no-audit", "--no-fund"]
    if subprocess.run(install, cwd=folder, check=False).returncode:
        pytest.skip("npm cannot fetch @sigstore/verify here")
    node = folder / "node_modules/.bin/node"

    def put(question: Any) -> dict[str, str | None]:
        answer = subprocess.run(
            [node, "verify.js"],
            cwd=folder,
            input=json.dumps(question).encode(),
            stdout=subprocess.PIPE,
            check=True,
        )
        return dict(json.loads(answer.stdout))

    return put


def _bundles(sample: Any) -> dict[str, Bundle]:
    ledger, last = sample.workspace.ledger.vkey, sample.checkpoint
    return {
        str(receipt.index): json.loads(receipt.to_bundle(ledger, last.size, last.root))
        for receipt in sample.receipts
    }


def test_every_receipt_verifies(sigstore: Any, sample: Any) -> None:
    """Sigstore's verifier accepts the receipt of every record: signature, checkpoint, inclusion."""
    answers = sigstore(sample, _bundles(sample))
    assert {receipt.key.algorithm for receipt in sample.receipts} == set(Algorithm)
    assert answers == {str(index): None for index in range(sample.checkpoint.size)}


def _payload(bundle: Bundle, other: Bundle) -> None:
    envelope = bundle["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"])
    assert b"0.8125" in payload
    envelope["payload"] = base64.b64encode(payload.replace(b"0.8125", b"0.9125")).decode()


def _proof_hash(bundle: Bundle, other: Bundle) -> None:
    hashes = _proof(bundle)["hashes"]
    hashes[0] = base64.b64encode(bytes(32)).decode()


def _proof_cut(bundle: Bundle, other: Bundle) -> None:
    del _proof(bundle)["hashes"][-1]


def _place(bundle: Bundle, other: Bundle) -> None:
    _proof(bundle)["logIndex"] = _proof(other)["logIndex"]


def _checkpoint_size(bundle: Bundle, other: Bundle) -> None:
    checkpoint = _proof(bundle)["checkpoint"]
    origin, _, rest = checkpoint["envelope"].split("\n", 2)
    checkpoint["envelope"] = f"{origin}\n36\n{rest}"


def _other_statement(bundle: Bundle, other: Bundle) -> None:
    bundle["dsseEnvelope"] = other["dsseEnvelope"]


def _other_entry(bundle: Bundle, other: Bundle) -> None:
    material = bundle["verificationMaterial"]
    material["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]


def _proof(bundle: Bundle) -> Bundle:
    (entry,) = bundle["verificationMaterial"]["tlogEntries"]
    return dict(entry)["inclusionProof"]  # type: ignore[no-any-return]


EDITS: dict[str, tuple[Callable[[Bundle, Bundle], None], str]] = {
    "a figure in the payload": (_payload, "TLOG_BODY_ERROR"),
    "a hash of the proof": (_proof_hash, "TLOG_INCLUSION_PROOF_ERROR"),
    "a hash fewer": (_proof_cut, "TLOG_INCLUSION_PROOF_ERROR"),
    "another place": (_place, "TLOG_INCLUSION_PROOF_ERROR"),
    "the size in the checkpoint": (_checkpoint_size, "TLOG_INCLUSION_PROOF_ERROR"),
    "another record's statement": (_other_statement, "TLOG_BODY_ERROR"),
    "another record's entry": (_other_entry, "TLOG_BODY_ERROR"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_receipt_is_refused(sigstore: Any, sample: Any, edit: str) -> None:
    """Whatever part of a receipt is edited, Sigstore's verifier refuses, and for that reason."""
    change, code = EDITS[edit]
    bundles = _bundles(sample)
    chosen = [f"{index}" for index in (12, 13)]
    for name in chosen:
        change(bundles[name], _bundles(sample)["14"])
    answers = sigstore(sample, bundles)
    assert {name for name, answer in answers.items() if answer} == set(chosen)
    for name in chosen:
        assert answers[name].startswith(code)


def test_another_ledger_is_not_trusted(sigstore: Any, sample: Any) -> None:
    """With the key of another ledger of the same name, no receipt verifies."""
    key = new_ed25519().public
    other = VerifierKey(sample.workspace.ledger.vkey.name, ED25519, key)
    root = json.loads(trusted_root(other, sample.old.time))
    answers = sigstore(sample, _bundles(sample), trustedRoot=root)
    assert all(answer.startswith("TLOG_INCLUSION_PROOF_ERROR") for answer in answers.values())


def test_every_exported_bundle_verifies(ask: Any, exported: Any) -> None:
    """Of a thousand exported bundles Sigstore's verifier accepts each, with nothing but the trusted
    root and the key files exported beside them."""
    folder = exported.folder / "bundles"
    files = sorted(folder.glob("receipt-*.sigstore.json"))
    keys = exported.keys("bundles")
    question = {
        "trustedRoot": json.loads((folder / "trusted_root.json").read_bytes()),
        "keys": {fingerprint: key.pem() for fingerprint, key in keys.items()},
        "bundles": {path.name: json.loads(path.read_bytes()) for path in files},
    }
    assert len(files) == 1000
    assert ask(question) == {path.name: None for path in files}
