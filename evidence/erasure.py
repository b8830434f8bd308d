"""Carrying out an erasure when its record is appended; what the order must be for that."""

from __future__ import annotations

from muniment.schemas.errors import InputError
from muniment.schemas.statement import RecordRef, Statement

from .entry import Entry
from .merkle import hash_leaf
from .statements import erased_item
from .storage import Reader, Writer
from .trust import ERASURE_KIND, KEPT_KINDS


def carry_out(writer: Writer, entry: Entry) -> None:
    """Empty the entries that an erasure names; any other record does nothing.

    Raises:
        InputError: ``record.unknown``, ``record.erased``, ``erasure.kind`` or ``erasure.differs``.
    """
    if entry.statement.kind != ERASURE_KIND:
        return
    for item in entry.statement.body["records"]:
        row = writer.entry(item["index"]) if item["index"] < entry.index else None
        if row is None or hash_leaf(row.leaf).hex() != item["sha256"]:
            raise InputError("record.unknown", f"there is no record #{item['index']} to erase")
        if not row.envelope:
            raise InputError("record.erased", f"#{item['index']} was erased already")
        # NOTE: what the signed statement says, not the columns derived from it.
        erased = Entry.from_stored(row.number, row.envelope, row.leaf).statement
        if erased.kind in KEPT_KINDS:
            raise InputError(
                "erasure.kind",
                f"#{row.number} is of kind {erased.kind}: what others count for rests on it",
            )
        if item != erased_item(RecordRef(row.number, item["sha256"]), erased):
            raise InputError(
                "erasure.differs", f"the order does not say of #{row.number} what it is"
            )
        _check_registered(writer, erased, row.number, entry)
        writer.erase(row.number, entry.index)


def _check_registered(reader: Reader, erased: Statement, number: int, erasure: Entry) -> None:
    """Refuse to erase the record without which a system version would not be known.

    Raises:
        InputError: ``erasure.kind``.
    """
    system = erased.system
    if erased.kind != "system" or system is None:
        return
    going = {item["index"] for item in erasure.statement.body["records"]}
    of_it = {"system_id": system.id, "system_version": system.version}
    for row in reader.find(0, kind="retraction", **of_it):
        taken_back = Entry.from_stored(row.number, row.envelope, row.leaf).statement
        going |= {item["index"] for item in taken_back.body["records"]}
    if all(row.number in going for row in reader.find(0, kind="system", **of_it)):
        raise InputError(
            "erasure.kind",
            f"#{number} is the only record that registers {system}, which would go with it",
            hint=f'register it anew first: muniment system add {system} --supersedes "#{number}" …',
        )
