"""Tiles: the tree stored as rows of up to 256 hashes. Pure.

Source: C2SP tlog-tiles. Tile (level L, number N) holds the hashes of the nodes at tree level 8·L
from index 256·N on, so any proof reads O(log n) tiles, and a full tile never changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .merkle import EMPTY_ROOT, Frontier, NodeReader, root_of

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


class TileTree:
    """A growing tree that gives each tile away once it is full: O(log n) memory.

    Args:
        take: called with level, number and bytes of every full tile.
    """

    def __init__(self, take: Callable[[int, int, bytes], None]) -> None:
        self._take = take
        self._levels = [_OpenTile()]
        self.size = 0

    def extend(self, leaf_hashes: Sequence[bytes]) -> None:
        """Add leaves by their hashes."""
        self.size += len(leaf_hashes)
        at = 0
        while at < len(leaf_hashes):
            room = WIDTH - len(self._levels[0].hashes)
            self._add(0, leaf_hashes[at : at + room])
            at += room

    def _add(self, level: int, hashes: Sequence[bytes]) -> None:
        """Add at most as many hashes as the open tile of ``level`` has room for."""
        if level == len(self._levels):
            self._levels.append(_OpenTile())
        tile = self._levels[level]
        if len(hashes) == WIDTH:
            data, node = b"".join(hashes), root_of(hashes)
        else:
            for item in hashes:
                tile.frontier.append(item)
            tile.hashes.extend(hashes)
            if len(tile.hashes) < WIDTH:
                return
            data, node = b"".join(tile.hashes), tile.frontier.root()
        self._levels[level] = _OpenTile(tile.number + 1)
        self._take(level, tile.number, data)
        self._add(level + 1, [node])

    def root(self) -> bytes:
        """Root of the tree so far."""
        root: bytes | None = None
        for tile in self._levels:
            root = tile.frontier.root_with(root)
        return root or EMPTY_ROOT

    def partial(self) -> list[tuple[int, int, bytes]]:
        """Level, number and bytes of the tiles that are not full yet."""
        return [
            (level, tile.number, b"".join(tile.hashes))
            for level, tile in enumerate(self._levels)
            if tile.hashes
        ]


class _OpenTile:
    """The last tile of a level, while it has room."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.hashes: list[bytes] = []
        self.frontier = Frontier()


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
