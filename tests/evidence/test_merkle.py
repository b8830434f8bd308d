"""The Merkle tree against a second, naive implementation written from the text of RFC 6962."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.evidence.merkle import (
    Frontier,
    consistency_proof,
    hash_leaf,
    hash_node,
    inclusion_proof,
    root_of,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from muniment.evidence.tiles import add_leaf, node_reader
from muniment.schemas.errors import ConsistencyError, InclusionError

Tiles = dict[tuple[int, int], bytes]
BORDERS = [1, 2, 3, 255, 256, 257, 511, 512, 513, 65535, 65536, 65537, 65792, 65793]


def fake(index: int) -> bytes:
    """A stand-in for the hash of leaf ``index``."""
    return hashlib.sha256(b"leaf %d" % index).digest()


MANY = [fake(index) for index in range(BORDERS[-1] + 3)]


def power_below(size: int) -> int:
    """RFC 6962 §2.1: the largest power of two smaller than ``size``."""
    k = 1
    while k * 2 < size:
        k *= 2
    return k


def naive_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, MTH."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = power_below(len(leaves))
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(index: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962 §2.1.1, PATH."""
    if len(leaves) == 1:
        return []
    k = power_below(len(leaves))
    if index < k:
        return [*naive_path(index, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(index - k, leaves[k:]), naive_root(leaves[:k])]


def naive_subproof(old: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """RFC 6962 §2.1.2, SUBPROOF."""
    if old == len(leaves):
        return [] if whole else [naive_root(leaves)]
    k = power_below(len(leaves))
    if old <= k:
        return [*naive_subproof(old, leaves[:k], whole), naive_root(leaves[k:])]
    return [*naive_subproof(old - k, leaves[k:], False), naive_root(leaves[:k])]


def tiles_of(leaves: list[bytes]) -> Tiles:
    """Tiles grown one leaf at a time."""
    tiles: Tiles = {}
    for index, leaf in enumerate(leaves):
        tiles.update(add_leaf(index, leaf, lambda *tile: tiles.get(tile, b"")))
    return tiles


def reader(tiles: Tiles) -> Callable[[int, int], bytes]:
    return node_reader(lambda *tile: tiles.get(tile, b""))


SMALL = reader(tiles_of(MANY[:600]))
PLACES = st.integers(1, 600).flatmap(
    lambda size: st.tuples(st.integers(0, size - 1), st.just(size))
)
PAIRS = st.integers(1, 600).flatmap(lambda new: st.tuples(st.integers(1, new), st.just(new)))


def flipped(data: bytes, bit: int) -> bytes:
    """``data`` with one bit turned."""
    changed = bytearray(data)
    changed[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(changed)


def test_roots_across_tile_borders() -> None:
    """Tiles, the growing tree and the naive recursion agree at 256 and 65,536 leaves and beside."""
    tiles: Tiles = {}
    frontier = Frontier()
    for index, leaf in enumerate(MANY):
        tiles.update(add_leaf(index, leaf, lambda *tile: tiles.get(tile, b"")))
        frontier.append(leaf)
        if (size := index + 1) in BORDERS:
            root = tree_root(size, reader(tiles))
            assert root == frontier.root() == naive_root(MANY[:size])
            assert {level for level, _ in tiles} == set(range(1 + (size > 255) + (size > 65535)))
    node = reader(tiles)
    # The tiles of a larger tree still tell the root of every smaller one.
    for size in BORDERS:
        root = tree_root(size, node)
        for place in {0, size // 2, size - 1}:
            verify_inclusion(MANY[place], place, size, inclusion_proof(place, size, node), root)
        proof = consistency_proof(size, len(MANY), node)
        verify_consistency(size, len(MANY), proof, root, frontier.root())


@given(st.integers(0, 600))
def test_roots_of_any_size(size: int) -> None:
    """The root over the leaves is the naive one, whatever the size."""
    assert root_of(MANY[:size]) == naive_root(MANY[:size]) == tree_root(size, SMALL)


@given(PLACES)
def test_inclusion_proofs_are_those_of_the_rfc_and_verify(place: tuple[int, int]) -> None:
    """Every inclusion proof is the RFC's, hash for hash, and verifies."""
    index, size = place
    proof = inclusion_proof(index, size, SMALL)
    assert proof == naive_path(index, MANY[:size])
    verify_inclusion(MANY[index], index, size, proof, naive_root(MANY[:size]))


@given(PLACES, st.data())
def test_no_changed_inclusion_proof_verifies(place: tuple[int, int], data: st.DataObject) -> None:
    """One bit of a hash, root or leaf, a hash more or less, two swapped, another index: refused."""
    index, size = place
    leaf, root = MANY[index], naive_root(MANY[:size])
    proof = inclusion_proof(index, size, SMALL)
    bit = data.draw(st.integers(0, 255))
    other = data.draw(st.integers(-2, size + 2).filter(lambda value: value != index))
    changed = [
        (flipped(leaf, bit), index, size, proof, root),
        (leaf, index, size, proof, flipped(root, bit)),
        (leaf, other, size, proof, root),
        (leaf, index, size, [*proof, fake(-1)], root),
        (leaf, index, 0, proof, root),
        (leaf, index, -size, proof, root),
    ]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        changed += [
            (leaf, index, size, [*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]], root),
            (leaf, index, size, [*proof[:at], *proof[at + 1 :]], root),
        ]
    if len(proof) > 1:
        changed.append((leaf, index, size, [proof[1], proof[0], *proof[2:]], root))
    for arguments in changed:
        with pytest.raises(InclusionError):
            verify_inclusion(*arguments)


@given(PLACES, st.integers(1, 600))
def test_a_proof_under_another_checkpoint_does_not_verify(
    place: tuple[int, int], other: int
) -> None:
    """A proof holds under the size and root it was made for, and under no other pair."""
    index, size = place
    proof = inclusion_proof(index, size, SMALL)
    if other != size:
        with pytest.raises(InclusionError):
            verify_inclusion(MANY[index], index, other, proof, naive_root(MANY[:other]))


@given(PAIRS)
def test_consistency_proofs_are_those_of_the_rfc_and_verify(pair: tuple[int, int]) -> None:
    """Every consistency proof is the RFC's, hash for hash, and verifies."""
    old, new = pair
    proof = consistency_proof(old, new, SMALL)
    assert proof == naive_subproof(old, MANY[:new], True)
    verify_consistency(old, new, proof, naive_root(MANY[:old]), naive_root(MANY[:new]))


@given(PAIRS, st.data())
def test_no_changed_consistency_proof_verifies(pair: tuple[int, int], data: st.DataObject) -> None:
    """One bit of a hash or root, a hash more or less, sizes exchanged: refused."""
    old, new = pair
    roots = naive_root(MANY[:old]), naive_root(MANY[:new])
    proof = consistency_proof(old, new, SMALL)
    bit = data.draw(st.integers(0, 255))
    changed = [
        (old, new, proof, flipped(roots[0], bit), roots[1]),
        (old, new, proof, roots[0], flipped(roots[1], bit)),
        (old, new, [*proof, fake(-1)], *roots),
        (0, new, proof, *roots),
        (new + 1, new, proof, *roots),
    ]
    if old != new:
        changed.append((new, old, proof, *roots))
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        changed += [
            (old, new, [*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]], *roots),
            (old, new, [*proof[:at], *proof[at + 1 :]], *roots),
        ]
    for arguments in changed:
        with pytest.raises(ConsistencyError):
            verify_consistency(*arguments)


@given(PAIRS, st.data())
def test_a_rewritten_history_has_no_proof(pair: tuple[int, int], data: st.DataObject) -> None:
    """A tree in which an old leaf was changed has no proof from the old checkpoint.

    Where the old size is a power of two the old root is itself the first hash of the path, so the
    fault shows at the new root.
    """
    old, new = pair
    at = data.draw(st.integers(0, old - 1))
    forged = [*MANY[:at], fake(-1), *MANY[at + 1 : new]]
    proof = consistency_proof(old, new, reader(tiles_of(forged)))
    with pytest.raises(ConsistencyError) as caught:
        verify_consistency(old, new, proof, naive_root(MANY[:old]), naive_root(forged))
    at_new_root = old & (old - 1) == 0 and old != new
    assert caught.value.code == ("proof.root" if at_new_root else "proof.fork")


def test_codes_of_proofs_that_cannot_be() -> None:
    """Places and sizes out of range are named as such, for making and for checking."""
    for index, size in [(-1, 5), (5, 5), (0, 0)]:
        with pytest.raises(InclusionError) as inclusion:
            inclusion_proof(index, size, SMALL)
        assert inclusion.value.code == "proof.out-of-range"
    for old, new in [(0, 5), (6, 5), (-1, 5)]:
        with pytest.raises(ConsistencyError) as consistency:
            consistency_proof(old, new, SMALL)
        assert consistency.value.code == "proof.out-of-range"
    for old, new, proof in [(3, 5, []), (5, 5, [MANY[0]])]:
        with pytest.raises(ConsistencyError) as consistency:
            verify_consistency(old, new, proof, naive_root(MANY[:old]), naive_root(MANY[:new]))
        assert consistency.value.code == "proof.length"


@pytest.mark.parametrize("lost", [(0, 0), (0, 1), (1, 0)])
def test_a_lost_tile_never_gives_a_proof_that_verifies(lost: tuple[int, int]) -> None:
    """A proof read from tiles with a gap is wrong, not accepted."""
    tiles = tiles_of(MANY[:600])
    del tiles[lost]
    changed = 0
    for index in (0, 300, 599):
        proof = inclusion_proof(index, 600, reader(tiles))
        if proof != inclusion_proof(index, 600, SMALL):
            changed += 1
            with pytest.raises(InclusionError):
                verify_inclusion(MANY[index], index, 600, proof, naive_root(MANY[:600]))
    assert changed


def test_leaf_and_node_hashes_are_apart() -> None:
    """The same 64 bytes hash differently as a leaf and as an inner node."""
    assert hash_leaf(MANY[0] + MANY[1]) != hash_node(MANY[0], MANY[1])
