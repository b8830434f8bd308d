"""The published vectors of the RFCs that the proof core follows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from muniment.evidence.merkle import (
    EMPTY_ROOT,
    Frontier,
    consistency_proof,
    hash_leaf,
    inclusion_proof,
    root_of,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from muniment.evidence.tiles import add_leaf, node_reader
from muniment.schemas import strictjson

HERE = Path(__file__).parent
TREE: dict[str, Any] = json.loads((HERE / "rfc6962.json").read_bytes())
HASHES = [hash_leaf(bytes.fromhex(leaf)) for leaf in TREE["leaves"]]
ROOTS = [bytes.fromhex(root) for root in TREE["roots"]]


def node(level: int, index: int) -> bytes:
    """A node of the tree of all leaves."""
    tiles: dict[tuple[int, int], bytes] = {}
    for place, item in enumerate(HASHES):
        tiles.update(add_leaf(place, item, lambda *tile: tiles.get(tile, b"")))
    return node_reader(lambda *tile: tiles[tile])(level, index)


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    """Every way to compute a root gives the published one, from no leaf to eight."""
    assert root_of(HASHES[:size]) == ROOTS[size]
    assert tree_root(size, node) == ROOTS[size]
    frontier = Frontier()
    for item in HASHES[:size]:
        frontier.append(item)
    assert (frontier.size, frontier.root()) == (size, ROOTS[size])
    assert ROOTS[0] == EMPTY_ROOT


@pytest.mark.parametrize("case", TREE["inclusion"], ids=lambda case: f"{case['index']}")
def test_inclusion_proofs_are_those_of_certificate_transparency(case: dict[str, Any]) -> None:
    """The published inclusion proofs are made, and verify."""
    proof = [bytes.fromhex(item) for item in case["proof"]]
    index, size = case["index"], case["size"]
    assert inclusion_proof(index, size, node) == proof
    verify_inclusion(HASHES[index], index, size, proof, ROOTS[size])


@pytest.mark.parametrize(
    "case", TREE["consistency"], ids=lambda case: f"{case['old']}-{case['new']}"
)
def test_consistency_proofs_are_those_of_certificate_transparency(case: dict[str, Any]) -> None:
    """The published consistency proofs are made, and verify."""
    proof = [bytes.fromhex(item) for item in case["proof"]]
    old, new = case["old"], case["new"]
    assert consistency_proof(old, new, node) == proof
    verify_consistency(old, new, proof, ROOTS[old], ROOTS[new])


@pytest.mark.parametrize("name", ["types", "order"])
def test_canonical_json_is_that_of_rfc_8785(name: str) -> None:
    """The examples of RFC 8785 come out byte for byte, and a canonical text stays as it is."""
    expected = (HERE / "rfc8785" / f"{name}.out.json").read_bytes()
    value = strictjson.loads((HERE / "rfc8785" / f"{name}.in.json").read_bytes())
    assert strictjson.canonical(value) == expected
    assert strictjson.canonical(strictjson.loads(expected)) == expected
