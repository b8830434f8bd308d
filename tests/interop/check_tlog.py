"""Checks a ledger with ``aics-tlog``; runs in a virtual environment of its own, without Muniment.

Standard input is one JSON object, bytes in base64; standard output answers each question.
"""

import base64
import json
import sys
from typing import Any

from aics_tlog import (  # type: ignore[import-not-found]
    MerkleTree,
    parse_note,
    parse_vkey,
    verify_checkpoint,
    verify_consistency,
    verify_leaf_inclusion,
)
from aics_tlog.tiles import materialise_tiles  # type: ignore[import-not-found]


def _answers(question: dict[str, Any]) -> dict[str, Any]:
    log, cosigner = parse_vkey(question["vkey"]), parse_vkey(question["cosigner"])
    old, new = (
        verify_checkpoint(
            parse_note(question[name]), log, [cosigner], 1, expected_origin=question["origin"]
        )
        for name in ("old", "checkpoint")
    )
    leaves = [_bytes(leaf) for leaf in question["leaves"]]
    proofs = [list(map(_bytes, proof)) for proof in question["proofs"]]
    return {
        "checkpoints": [
            [item.ok, item.error, item.size, list(item.timestamps.values())] for item in (old, new)
        ],
        "root": new.root == MerkleTree(leaves).root(),
        "included": [
            verify_leaf_inclusion(leaf, index, new.size, proof, new.root)
            for index, (leaf, proof) in enumerate(zip(leaves, proofs, strict=True))
        ],
        "consistent": verify_consistency(
            old.size, new.size, old.root, new.root, list(map(_bytes, question["consistency"]))
        ),
        "tiles": {
            path: base64.b64encode(data).decode()
            for path, data in materialise_tiles(_numbers(question["numbers"])).items()
            if "/entries/" not in path
        },
        "tree": {
            path: base64.b64encode(data).decode()
            for path, data in materialise_tiles(leaves).items()
        },
    }


def _numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


print(json.dumps(_answers(json.load(sys.stdin))))
