"""Proof and receipt of one record, against the same in a small ledger and one point read."""

import itertools
import sqlite3
from pathlib import Path

from muniment import Workspace

from .ledgers import new_workspace
from .measure import Case

ROUNDS = 7
SIZE = 200_000
FEW = 1000
_TIMES = 20
FLOOR, SMALL = "SELECT of one entry by its number", f"receipt in a ledger of {FEW:,}"


def cases(size: int, folder: Path) -> list[Case]:
    """A piece is one receipt under the last checkpoint, which is itself checked each time."""
    large, small = new_workspace(folder, size), new_workspace(folder / "few", FEW)
    database = sqlite3.connect(large.storage.path or "")
    numbers = itertools.cycle(range(1, min(size, FEW), 37))

    def select() -> int:
        for _ in range(_TIMES):
            database.execute("SELECT * FROM entry WHERE number = ?", (next(numbers),)).fetchone()
        return _TIMES

    def receipts(workspace: Workspace) -> int:
        for _ in range(_TIMES):
            last = workspace.ledger.checkpoint()
            list(workspace.ledger.receipts([next(numbers)], last))
        return _TIMES

    def proven() -> int:
        for _ in range(_TIMES):
            large.ledger.proven(next(numbers))
        return _TIMES

    return [
        Case(FLOOR, select),
        Case(SMALL, lambda: receipts(small), (FLOOR,)),
        Case(f"receipt in a ledger of {size:,}", lambda: receipts(large), (SMALL, FLOOR)),
        Case("inclusion checked (Ledger.proven)", proven, (FLOOR,)),
    ]
