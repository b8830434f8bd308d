"""Stored proofs from outside, as the kinds that there are; what can be none is told apart."""

from __future__ import annotations

from muniment.schemas.finding import Finding

from .storage import Reader, StoredAnchor

WITNESS = "witness"
"""``kind`` of the anchors that are cosignature lines."""
TIMESTAMP = "rfc3161"
"""``kind`` of the anchors that are time-stamp responses."""


def stored_anchors(
    reader: Reader, kind: str, size: int | None = None
) -> tuple[list[StoredAnchor], list[Finding]]:
    """The anchors of a kind, smallest size first, and a fault for each row that can be none.

    NOTE: SQLite takes any value into any column. Rows of a kind that is none are told with the
    time stamps.

    Args:
        size: only those of one checkpoint.
    """
    found, faults = [], []
    for row in reader.anchors(size):
        if (row.kind == WITNESS) != (kind == WITNESS):
            continue
        is_one = row.kind == kind and isinstance(row.source, str)
        if is_one and isinstance(row.size, int):
            found.append(row)
        else:
            text = "a row stands where proofs from outside are, and can be none"
            faults.append(
                Finding("anchor.malformed", text, None, f"a {kind} of a size", repr(row[:3])[:200])
            )
    return found, faults
