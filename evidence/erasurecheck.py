"""What is gone, held against the records that order it."""

from __future__ import annotations

from muniment.schemas.finding import Check, Finding
from muniment.schemas.record import Record

from .merkle import hash_leaf
from .storage import Reader
from .trust import ERASURE_KIND


class ErasureCheck:
    """Gathers erased entries and erasure orders while a ledger is read, and compares them.

    Args:
        check: hears of faults, and notes what was erased rightly.
    """

    def __init__(self, check: Check, reader: Reader) -> None:
        self._check = check
        self._reader = reader
        self._gone: dict[int, str] = {}
        """Places without bytes, with their leaf hashes."""
        self._orders: dict[int, tuple[str, int]] = {}
        """Places that erasure records name, with the digest and the record's own place."""

    def gone(self, number: int, leaf_hash: bytes) -> None:
        """Take an entry without bytes."""
        self._gone[number] = leaf_hash.hex()

    def order(self, record: Record) -> None:
        """Take a record; only an erasure says anything here."""
        if record.kind == ERASURE_KIND:
            for item in record.statement.body["records"]:
                self._orders.setdefault(item["index"], (item["sha256"], record.index))

    def finish(self, start: int = 0) -> None:
        """Compare.

        Args:
            start: entries before this one were not read, and are looked up where an order names
                them.
        """
        rows = {
            number: by for number, by in self._reader.erasures().items() if max(number, by) >= start
        }
        unscrubbed = self._reader.unscrubbed()
        for number in sorted({*self._gone, *self._orders, *rows}):
            if number < start:
                self._look_up(number)
            self._compare(number, rows)
            if number in unscrubbed:
                text = (
                    f"the erased bytes of #{number} may still be in the database's files: "
                    f'repeating muniment erase "#{number}" finishes it'
                )
                self._check.notes.append(Finding("erasure.not-scrubbed", text, number))

    def _look_up(self, number: int) -> None:
        row = self._reader.entry(number)
        if row is not None and not row.envelope:
            self.gone(number, hash_leaf(row.leaf))

    def _compare(self, number: int, rows: dict[int, int]) -> None:
        leaf_hash = self._gone.get(number)
        ordered, by = self._orders.get(number, (None, None))
        if leaf_hash is None:
            text = f"#{number} was ordered to be erased, and its bytes are still there"
            self._check.findings.append(Finding("erasure.undone", text, number))
        elif ordered == leaf_hash and by != rows.get(number):
            text = f"the table of erasures does not say that #{by} erased #{number}"
            self._check.findings.append(
                Finding("erasure.row", text, number, str(by), str(rows.get(number, "no row")))
            )
        elif ordered != leaf_hash:
            text = f"the bytes of #{number} are gone, and no erasure record orders it"
            self._check.findings.append(
                Finding("erasure.without-order", text, number, str(ordered), leaf_hash)
            )
        else:
            text = f"#{number} was erased by #{by}; its place and its proof stay"
            self._check.notes.append(Finding("record.erased", text, number))
