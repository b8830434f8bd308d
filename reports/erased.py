"""Which records of a packet were erased, from the signed orders that it holds.

An order names places of one system version, and stands in every packet of that version.
"""

from __future__ import annotations

from collections.abc import Iterable

from muniment.evidence.trust import ERASURE_KIND
from muniment.schemas.record import Record


def erasures(records: Iterable[Record]) -> dict[int, Record]:
    """Places of erased records, each with the record that ordered it."""
    return {
        item["index"]: record
        for record in records
        if record.kind == ERASURE_KIND
        for item in record.statement.body["records"]
        if item["index"] < record.index
    }


def erased_words(order: Record) -> str:
    """What is said of a record that this order erased."""
    basis = order.statement.body["basis"]
    return (
        f"was erased by {order}, on the basis of {basis}: what it said is not known any more; its "
        "place and its proof stay in the ledger"
    )
