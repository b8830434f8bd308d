"""A ledger made by independent code: ours reads it and makes the same bytes."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from muniment.evidence.checkpoint import Checkpoint, verify_checkpoint
from muniment.evidence.dsse import Envelope
from muniment.evidence.keys import Algorithm, PublicKey, load_public, load_spki
from muniment.evidence.leaf import leaf_bytes
from muniment.evidence.merkle import (
    NodeReader,
    consistency_proof,
    hash_leaf,
    inclusion_proof,
    root_of,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from muniment.evidence.note import SignedNote, VerifierKey
from muniment.evidence.receipt import Receipt, parse_tlog_proof, trusted_root
from muniment.evidence.tiles import add_leaf, node_reader
from muniment.schemas import strictjson
from muniment.schemas.errors import CheckpointError

HERE = Path(__file__).parent / "ledger"
PROOFS: dict[str, Any] = json.loads((HERE / "proofs.json").read_bytes())
LEAVES = [base64.b64decode(leaf) for leaf in PROOFS["leaves"]]
ROOTS = {size: base64.b64decode(PROOFS[f"root{size}"]) for size in (33, 70)}
SIGNERS = pytest.mark.parametrize("name, index", [("ec", 10), ("ed", 11)])


def read(name: str) -> bytes:
    """One file of the vectors."""
    return (HERE / name).read_bytes()


def vkey(name: str) -> VerifierKey:
    """A verifier key."""
    return VerifierKey.parse(read(f"{name}.vkey").decode())


def signer(name: str) -> PublicKey:
    """A record signer's key."""
    return load_public(read(f"{name}.pub.pem"))


def node() -> NodeReader:
    """The nodes of the tree of all leaves."""
    tiles: dict[tuple[int, int], bytes] = {}
    for place, leaf in enumerate(LEAVES):
        tiles.update(add_leaf(place, hash_leaf(leaf), lambda *tile: tiles.get(tile, b"")))
    return node_reader(lambda *tile: tiles[tile])


def receipt(name: str, index: int) -> Receipt:
    """A receipt made from envelope, key and tiles alone."""
    proof = inclusion_proof(index, 70, node())
    envelope = Envelope.from_bytes(read(f"env_{name}.json"))
    return Receipt(envelope, signer(name), index, tuple(proof), read("checkpoint"))


@SIGNERS
def test_keys(name: str, index: int) -> None:
    """Signers' keys read, have the fingerprints others computed, and write back."""
    key = signer(name)
    assert key.fingerprint == PROOFS["hints"][name]
    assert key.algorithm is {"ec": Algorithm.ECDSA_P256, "ed": Algorithm.ED25519}[name]
    assert key.pem().encode() == read(f"{name}.pub.pem")
    assert load_public(key.openssh().encode()) == load_spki(key.spki) == key


@pytest.mark.parametrize("name", ["log", "wit"])
def test_verifier_keys_write_back(name: str) -> None:
    """Verifier keys of the ledger (type 1) and of a witness (type 4) read and write back."""
    assert str(vkey(name)).encode() == read(f"{name}.vkey").strip()
    assert vkey(name).type == {"log": 1, "wit": 4}[name]


@SIGNERS
def test_envelopes(name: str, index: int) -> None:
    """Envelopes verify, and read from other layouts write to the same bytes."""
    data = read(f"env_{name}.json")
    envelope = Envelope.from_bytes(data)
    envelope.verify(signer(name))
    assert envelope.to_bytes() == data
    spaced = json.dumps(json.loads(data), indent=3, sort_keys=True).encode()
    assert Envelope.from_foreign(spaced) == envelope
    subject = json.loads(envelope.payload)["subject"][0]
    assert subject["digest"]["sha256"] == hashlib.sha256(read("artifact.txt")).hexdigest()


@SIGNERS
def test_leaves(name: str, index: int) -> None:
    """The leaf of an envelope is the very one, and is canonical JSON."""
    leaf = leaf_bytes(Envelope.from_bytes(read(f"env_{name}.json")), signer(name))
    assert leaf == read(f"{name}.leaf") == LEAVES[index]
    assert strictjson.canonical(strictjson.loads(leaf)) == leaf


def test_roots_and_proofs() -> None:
    """Both roots, the inclusion proof of record 10 and the proof 33 → 70 are made byte for byte."""
    for size, root in ROOTS.items():
        assert root_of([hash_leaf(leaf) for leaf in LEAVES[:size]]) == root
        assert tree_root(size, node()) == root
    inclusion = [base64.b64decode(item) for item in PROOFS["incl"]]
    assert inclusion_proof(10, 70, node()) == inclusion
    verify_inclusion(hash_leaf(LEAVES[10]), 10, 70, inclusion, ROOTS[70])
    consistency = [base64.b64decode(item) for item in PROOFS["cons"]]
    assert consistency_proof(33, 70, node()) == consistency
    verify_consistency(33, 70, consistency, ROOTS[33], ROOTS[70])


@pytest.mark.parametrize("name, size", [("checkpoint", 70), ("checkpoint33", 33)])
def test_checkpoints(name: str, size: int) -> None:
    """Checkpoints verify with the ledger's key and are written byte for byte."""
    data = read(name)
    note = SignedNote.from_bytes(data)
    assert note.verify(vkey("log")) is None
    assert note.to_bytes() == data
    checkpoint = Checkpoint("evidence.example.com", size, ROOTS[size])
    assert Checkpoint.from_text(note.text) == checkpoint
    assert checkpoint.to_text() == note.text


def test_witness_cosignature() -> None:
    """The witness's cosignature verifies and tells its time."""
    note = SignedNote.from_bytes(read("checkpoint"))
    seconds = note.verify(vkey("wit"))
    assert seconds is not None
    assert datetime.fromtimestamp(seconds, UTC).year == 2026


def test_a_checkpoint_without_the_ledgers_own_time_is_not_enough() -> None:
    """A witness's time never stands in for the ledger's: recorded times need its cosignature."""
    with pytest.raises(CheckpointError) as caught:
        verify_checkpoint(read("checkpoint"), vkey("log"))
    assert caught.value.code == "note.unsigned"


@SIGNERS
def test_bundles(name: str, index: int) -> None:
    """Sigstore bundles read, and are written byte for byte."""
    made = receipt(name, index)
    assert Receipt.from_bundle(read(f"bundle_{name}.json")) == made
    assert made.to_bundle(vkey("log"), 70, ROOTS[70]) == read(f"bundle_{name}.json")


@SIGNERS
def test_tlog_proofs(name: str, index: int) -> None:
    """Offline proofs read, and are written byte for byte."""
    made = receipt(name, index)
    data = read(f"{name}.tlog-proof")
    assert parse_tlog_proof(data) == (index, made.proof, read("checkpoint"))
    assert made.to_tlog_proof() == data


def test_trusted_root() -> None:
    """The trusted root is written byte for byte."""
    made = trusted_root(vkey("log"), datetime(2026, 1, 1, tzinfo=UTC))
    assert made == read("trusted_root.json")
