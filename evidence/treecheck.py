"""The stored tiles, held against the tree that the entries make, in one pass and little memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from muniment.schemas.finding import Check, Finding

from .tiles import WIDTH, TileTree

_BLOCK = 16 * WIDTH
_Place = tuple[int, int]


class GrowingTree(Protocol):
    """A tree of entries that are added one by one."""

    @property
    def size(self) -> int: ...

    def append(self, leaf_hash: bytes) -> None: ...

    def root(self) -> bytes: ...

    def finish(self) -> None: ...


class TreeCheck:
    """Grows the tree of the entries and compares each tile as it is finished.

    Args:
        check: where faults go.
        stored: level, number and bytes of the stored tiles, in order of level and number.
    """

    def __init__(self, check: Check, stored: Iterator[tuple[int, int, bytes]]) -> None:
        self._check = check
        self._stored = stored
        self._next: tuple[int, int, bytes] | None = None
        self._tree = TileTree(self._take)
        self._new: list[bytes] = []
        self._upper: dict[_Place, bytes] = {}
        """Full tiles above level 0: 1/256 of the tree."""
        self._missing: list[_Place] = []

    @property
    def size(self) -> int:
        """Entries so far."""
        return self._tree.size + len(self._new)

    def append(self, leaf_hash: bytes) -> None:
        """Add one entry."""
        self._new.append(leaf_hash)
        if len(self._new) >= _BLOCK:
            self._grow()

    def root(self) -> bytes:
        """Root of the entries so far."""
        self._grow()
        return self._tree.root()

    def finish(self) -> None:
        """Compare what is left, and report what is missing."""
        self._grow()
        rest = [*self._upper.items()]
        rest += [((level, number), data) for level, number, data in self._tree.partial()]
        for place, data in sorted(rest):
            self._compare(place, data)
        while self._peek() is not None:
            self._differs()
        for level, number in self._missing:
            self._check.checked += 1
            self._check.findings.append(Finding("tile.missing", f"tile {level}/{number} is gone"))

    def _grow(self) -> None:
        if self._new:
            self._tree.extend(self._new)
            self._new = []

    def _take(self, level: int, number: int, data: bytes) -> None:
        if level:
            self._upper[level, number] = data
        else:
            self._compare((level, number), data)

    def _compare(self, place: _Place, data: bytes) -> None:
        while (stored := self._peek()) is not None and _comes_before(stored, place):
            self._differs()
        if stored is None or stored[:2] != place:
            self._missing.append(place)
        elif stored[2] != data:
            self._differs()
        else:
            self._check.checked += 1
            self._next = None

    def _differs(self) -> None:
        assert self._next is not None
        self._check.checked += 1
        level, number, _ = self._next
        text = f"tile {level}/{number} is not that of the entries"
        self._check.findings.append(Finding("tile.differs", text))
        self._next = None

    def _peek(self) -> tuple[int, int, bytes] | None:
        if self._next is None:
            row = next(self._stored, None)
            self._next = None if row is None else (row[0], row[1], row[2])
        return self._next


def _comes_before(stored: tuple[int, int, bytes], place: _Place) -> bool:
    # NOTE: SQLite columns take any type; what is no number comes after all that are.
    numbers = stored[:2]
    return all(isinstance(item, int | float) for item in numbers) and numbers < place
