"""The Merkle tree: hashes, proofs, and their verification. Pure.

Source: RFC 6962 §2.1 (hashing and proofs), RFC 9162 §2.1.3.2 and §2.1.4.2 (verification).
All hashes are SHA-256, 32 bytes; indices are zero-based.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Self

from muniment.schemas.errors import ConsistencyError, InclusionError

EMPTY_ROOT = sha256(b"").digest()
"""Root of the tree without leaves (RFC 6962 §2.1)."""

NodeReader = Callable[[int, int], bytes]
"""Hash of the complete subtree at (level, index): leaves are level 0."""


def hash_leaf(leaf: bytes) -> bytes:
    """Hash of a leaf: the prefix 0x00 keeps it apart from inner nodes."""
    return sha256(b"\x00" + leaf).digest()


def hash_node(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node: the prefix is 0x01."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """A growing tree that keeps only the roots of its complete subtrees: O(log n) memory."""

    def __init__(self) -> None:
        self.size = 0
        self._stack: list[bytes] = []

    @classmethod
    def of(cls, size: int, node: NodeReader) -> Self:
        """The tree of the first ``size`` leaves, whose nodes ``node`` reads."""
        frontier, start = cls(), 0
        for level in reversed(range(size.bit_length())):
            if size >> level & 1:
                frontier._stack.append(node(level, start >> level))
                start += 1 << level
        frontier.size = size
        return frontier

    def append(self, leaf_hash: bytes) -> None:
        """Add one leaf by its hash."""
        self._stack.append(leaf_hash)
        size = self.size
        while size & 1:
            right = self._stack.pop()
            self._stack.append(hash_node(self._stack.pop(), right))
            size >>= 1
        self.size += 1

    def root(self) -> bytes:
        """Root of the tree so far."""
        return self.root_with(None) or EMPTY_ROOT

    def root_with(self, last: bytes | None) -> bytes | None:
        """Root where ``last``, if there is one, stands for what comes after; None of nothing."""
        root = last
        for left in reversed(self._stack):
            root = left if root is None else hash_node(left, root)
        return root


def root_of(hashes: Sequence[bytes]) -> bytes:
    """Root over leaf (or subtree) hashes."""
    count = len(hashes)
    if count and not count & (count - 1):
        while len(hashes) > 1:
            pairs = zip(hashes[::2], hashes[1::2], strict=True)
            hashes = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
        return hashes[0]
    frontier = Frontier()
    for item in hashes:
        frontier.append(item)
    return frontier.root()


def tree_root(size: int, node: NodeReader) -> bytes:
    """Root of the tree of ``size`` leaves whose nodes ``node`` reads."""
    return _range_hash(0, size, node) if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """Sibling hashes from leaf ``index`` up to the root of ``size`` leaves (RFC 6962 §2.1.1).

    Raises:
        InclusionError: ``proof.out-of-range``.
    """
    if not 0 <= index < size:
        raise InclusionError("proof.out-of-range", f"there is no entry {index} in a tree of {size}")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + _split(high - low)
        if index < middle:
            path.append(_range_hash(middle, high, node))
            high = middle
        else:
            path.append(_range_hash(low, middle, node))
            low = middle
    return path[::-1]


def consistency_proof(old: int, new: int, node: NodeReader) -> list[bytes]:
    """Hashes that show the first ``old`` leaves of ``new`` unchanged (RFC 6962 §2.1.2).

    Raises:
        ConsistencyError: ``proof.out-of-range``.
    """
    if not 0 < old <= new:
        raise ConsistencyError(
            "proof.out-of-range", f"there is no consistency proof from size {old} to {new}"
        )
    path: list[bytes] = []
    low, high, whole = 0, new, True
    while old != high:
        middle = low + _split(high - low)
        if old <= middle:
            path.append(_range_hash(middle, high, node))
            high = middle
        else:
            path.append(_range_hash(low, middle, node))
            low, whole = middle, False
    if not whole:
        path.append(_range_hash(low, high, node))
    return path[::-1]


def verify_inclusion(
    leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that ``leaf_hash`` is entry ``index`` of the tree with ``root``.

    Args:
        proof: sibling hashes, leaf to root.

    Raises:
        InclusionError: ``proof.out-of-range``, ``proof.length`` or ``proof.root``.

    Source: RFC 9162 §2.1.3.2.
    """
    if not 0 <= index < size:
        raise InclusionError("proof.out-of-range", f"there is no entry {index} in a tree of {size}")
    position, last, result = index, size - 1, leaf_hash
    for sibling in proof:
        if last == 0:
            raise InclusionError("proof.length", "the inclusion proof is too long")
        if position & 1 or position == last:
            result = hash_node(sibling, result)
            while not position & 1 and position:
                position >>= 1
                last >>= 1
        else:
            result = hash_node(result, sibling)
        position >>= 1
        last >>= 1
    if last:
        raise InclusionError("proof.length", "the inclusion proof is too short")
    if result != root:
        raise InclusionError(
            "proof.root",
            f"entry {index} is not in the tree of {size} with this root",
            expected=root.hex(),
            found=result.hex(),
        )


def verify_consistency(
    old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """Check that the tree of ``new`` leaves extends the tree of ``old`` leaves.

    Raises:
        ConsistencyError: ``proof.out-of-range``, ``proof.length``, ``proof.root`` or
            ``proof.fork``.

    Source: RFC 9162 §2.1.4.2.
    """
    if not 0 < old <= new:
        raise ConsistencyError(
            "proof.out-of-range", f"there is no consistency proof from size {old} to {new}"
        )
    if old == new:
        if proof:
            raise ConsistencyError("proof.length", "the consistency proof is too long")
        if old_root != new_root:
            raise _fork(old, old_root, new_root)
        return
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        raise ConsistencyError("proof.length", "the consistency proof is too short")
    first, last = old - 1, new - 1
    while first & 1:
        first >>= 1
        last >>= 1
    old_result = new_result = path[0]
    for item in path[1:]:
        if last == 0:
            raise ConsistencyError("proof.length", "the consistency proof is too long")
        if first & 1 or first == last:
            old_result = hash_node(item, old_result)
            new_result = hash_node(item, new_result)
            while not first & 1 and first:
                first >>= 1
                last >>= 1
        else:
            new_result = hash_node(new_result, item)
        first >>= 1
        last >>= 1
    if last:
        raise ConsistencyError("proof.length", "the consistency proof is too short")
    if old_result != old_root:
        raise _fork(old, old_root, old_result)
    if new_result != new_root:
        raise ConsistencyError(
            "proof.root",
            f"the consistency proof does not lead to the root of {new}",
            expected=new_root.hex(),
            found=new_result.hex(),
        )


def _fork(size: int, expected: bytes, found: bytes) -> ConsistencyError:
    return ConsistencyError(
        "proof.fork",
        f"the first {size} entries are not the ones that were signed before",
        expected=expected.hex(),
        found=found.hex(),
        hint="keep both checkpoints: together they prove that history was rewritten",
    )


def _split(count: int) -> int:
    """Largest power of two below ``count``."""
    return 1 << ((count - 1).bit_length() - 1)


def _range_hash(low: int, high: int, node: NodeReader) -> bytes:
    """Hash of the leaves from ``low`` to before ``high``, a range the tree's own cuts make."""
    count = high - low
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return node(level, low >> level)
    middle = low + _split(count)
    return hash_node(_range_hash(low, middle, node), _range_hash(middle, high, node))
