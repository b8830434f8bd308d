"""Appending, against signing, hashing and inserting the same bytes with SQLite alone."""

import hashlib
import itertools
import sqlite3
from pathlib import Path

from muniment.evidence.dsse import Envelope

from .ledgers import append, new_workspace, sign
from .measure import Case

ROUNDS = 7
SIZE = 10_000
BATCH_SIZE = 1000
ONE, BATCH = "sign, hash, INSERT, COMMIT each", "sign, hash, INSERT, COMMIT a thousand"
_SHARE = 100
"""One at a time is slow: it gets this part of the batch."""


def cases(size: int, folder: Path) -> list[Case]:
    """Both databases stay and grow; each commit waits for the disk."""
    workspace = new_workspace(folder)
    key = workspace.signing_key
    ((sample, _),) = sign(workspace, [0])
    database = sqlite3.connect(folder / "floor.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE entry (number INTEGER PRIMARY KEY, hash BLOB, envelope BLOB)")
    numbers = itertools.count(1)

    def insert() -> None:
        envelope = Envelope.sign(sample.payload, key).to_bytes()
        row = (hashlib.sha256(envelope).digest(), envelope)
        database.execute("INSERT INTO entry (hash, envelope) VALUES (?, ?)", row)

    def floor(count: int, per_commit: int) -> int:
        for start in range(0, count, per_commit):
            database.execute("BEGIN IMMEDIATE")
            for _ in range(min(per_commit, count - start)):
                insert()
            database.execute("COMMIT")
        return count

    def ours(count: int, per_commit: int) -> int:
        for start in range(0, count, per_commit):
            some = itertools.islice(numbers, min(per_commit, count - start))
            append(workspace, sign(workspace, some))
        return count

    few = max(1, size // _SHARE)
    return [
        Case(ONE, lambda: floor(few, 1)),
        Case("Ledger.append, one at a time", lambda: ours(few, 1), (ONE,)),
        Case(BATCH, lambda: floor(size, BATCH_SIZE)),
        Case("Ledger.append, in batches", lambda: ours(size, BATCH_SIZE), (BATCH,), aim=2),
    ]
