"""Tiles: the tree stored as rows of up to 256 hashes. Pure.

Source: C2SP tlog-tiles. Tile (level L, number N) holds the hashes of the nodes at tree level 8·L
from index 256·N on, so any proof reads O(log n) tiles, and a full tile never changes.
"""

from __future__ import annotations

from collections.abc import Callable

from .merkle import NodeReader, root_of

WIDTH = 256
_HEIGHT = 8
HASH_SIZE = 32

TileReader = Callable[[int, int], bytes]
"""Bytes of tile (level, number): its hashes one after the other."""


def add_leaf(index: int, leaf_hash: bytes, read: TileReader) -> dict[tuple[int, int], bytes]:
    """The tiles that change when leaf ``index`` is added, with their new bytes.

    Args:
        index: place of the new leaf, equal to the size before.
        read: reads a tile; ``b""`` for one that does not exist yet.
    """
    changed: dict[tuple[int, int], bytes] = {}
    level, item = 0, leaf_hash
    while True:
        number = index // WIDTH
        data = read(level, number) + item if index % WIDTH else item
        changed[level, number] = data
        if len(data) < WIDTH * HASH_SIZE:
            return changed
        item = root_of(split(data))
        level, index = level + 1, number


def split(data: bytes) -> list[bytes]:
    """The hashes of a tile."""
    return [data[at : at + HASH_SIZE] for at in range(0, len(data), HASH_SIZE)]


def node_reader(read: TileReader) -> NodeReader:
    """Read single nodes of the tree out of tiles, each tile at most once."""
    seen: dict[tuple[int, int], list[bytes]] = {}

    def hashes(level: int, number: int) -> list[bytes]:
        if (level, number) not in seen:
            seen[level, number] = split(read(level, number))
        return seen[level, number]

    def node(level: int, index: int) -> bytes:
        height = level % _HEIGHT
        first = index << height
        row = hashes(level // _HEIGHT, first // WIDTH)
        start = first % WIDTH
        part = row[start : start + (1 << height)]
        if len(part) != 1 << height:
            # NOTE: a missing hash gives a proof that does not verify, never a wrong "yes".
            return bytes(HASH_SIZE)
        return root_of(part)

    return node
