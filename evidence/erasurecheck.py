"""What is gone, held against the records that order it."""

from __future__ import annotations

from typing import NamedTuple

from muniment.schemas.errors import MunimentError
from muniment.schemas.finding import Check, Finding
from muniment.schemas.record import Record, Role

from .leaf import leaf_key
from .merkle import hash_leaf
from .storage import Reader
from .trust import ERASURE_KIND, KEPT_KINDS, KeyRing, may_sign


class _Order(NamedTuple):
    """What an erasure record says of one entry."""

    sha256: str
    kind: str
    by: int
    """Place of the erasure record."""


class ErasureCheck:
    """Gathers erased entries and erasure orders while a ledger is read, and compares them.

    An erased entry no longer shows its kind, only the key that signed it. So the kind that its
    order names must be one that may be erased, and one that this key could sign at that place; else
    an approver could erase a revocation or a rejection and call it a policy.

    Args:
        check: hears of faults, and notes what was erased rightly.
    """

    def __init__(self, check: Check, reader: Reader) -> None:
        self._check = check
        self._reader = reader
        self._gone: dict[int, bytes] = {}
        """Places without bytes, with their leaves."""
        self._orders: dict[int, _Order] = {}
        """By the place that it names; the first order counts."""

    def gone(self, number: int, leaf: bytes) -> None:
        """Take an entry without bytes."""
        self._gone[number] = leaf

    def order(self, record: Record) -> None:
        """Take a record; only an erasure says anything here."""
        if record.kind == ERASURE_KIND:
            for item in record.statement.body["records"]:
                order = _Order(item["sha256"], item["kind"], record.index)
                self._orders.setdefault(item["index"], order)

    def finish(self, ring: KeyRing, start: int = 0) -> None:
        """Compare.

        Args:
            ring: the keys after the whole ledger.
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
            self._compare(number, rows, ring)
            if number in unscrubbed:
                text = (
                    f"the erased bytes of #{number} may still be in the database's files: "
                    f'repeating muniment erase "#{number}" finishes it'
                )
                self._check.notes.append(Finding("erasure.not-scrubbed", text, number))

    def _look_up(self, number: int) -> None:
        row = self._reader.entry(number)
        if row is not None and not row.envelope:
            self.gone(number, row.leaf)

    def _compare(self, number: int, rows: dict[int, int], ring: KeyRing) -> None:
        findings = self._check.findings
        leaf, order = self._gone.get(number), self._orders.get(number)
        if leaf is None:
            text = f"#{number} was ordered to be erased, and its bytes are still there"
            findings.append(Finding("erasure.undone", text, number))
            return
        found = hash_leaf(leaf).hex()
        if order is None or order.sha256 != found:
            text = f"the bytes of #{number} are gone, and no erasure record orders it"
            expected = order.sha256 if order else "an erasure record"
            findings.append(Finding("erasure.without-order", text, number, expected, found))
            return
        if order.by != rows.get(number):
            text = f"the table of erasures does not say that #{order.by} erased #{number}"
            row = str(rows.get(number, "no row"))
            findings.append(Finding("erasure.row", text, number, str(order.by), row))
            return
        text = f"#{number} was erased by #{order.by}; its place and its proof stay"
        roles = _roles(number, leaf, order.kind, ring)
        if order.kind in KEPT_KINDS or roles is None:
            said = f"#{number} was erased by #{order.by}, as of kind {order.kind}"
            why = "that is kept" if order.kind in KEPT_KINDS else "its key could not sign that"
            findings.append(Finding("erasure.kind", f"{said}: {why}", number))
        elif roles:
            may = " and ".join(roles)
            text += (
                f"; only #{order.by} says that it was of kind {order.kind}: its signer is {may} too"
            )
            self._check.notes.append(Finding("record.erased-unproven", text, number))
        else:
            self._check.notes.append(Finding("record.erased", text, number))


def _roles(number: int, leaf: bytes, kind: str, ring: KeyRing) -> list[str] | None:
    """Roles of the signer of an erased entry by which it may have been of a kind that is kept.

    None if its key could not sign the kind that it is said to be of.
    """
    try:
        known = ring.at(leaf_key(leaf).fingerprint, number)
    except MunimentError:
        return []  # a finding already
    if known is None or not may_sign(known, kind):
        return None
    if known.kinds is not None and not known.kinds & KEPT_KINDS:
        return []
    return sorted(known.signer.roles - {Role.CONTRIBUTOR})
