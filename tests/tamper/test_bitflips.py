"""Any single byte of what is stored, changed anywhere, makes verification fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muniment.evidence.verification import LedgerVerifier

PLACES = [
    *[("entry", "envelope", f"number = {number}") for number in range(10)],
    *[("entry", "leaf", f"number = {number}") for number in range(10)],
    *[("checkpoint", "note", f"size = {size}") for size in (1, 2, 3, 4, 5, 6, 7, 10)],
    ("tile", "hashes", "level = 0 AND number = 0"),
]


@pytest.fixture
def edit(sqlite_victim: Any) -> Callable[..., Any]:
    """Changes one value, tells whether the ledger verifies, and puts the value back."""
    workspace = sqlite_victim.open()
    vkey, root, kinds = workspace.ledger.vkey, workspace.config.root, workspace.kinds

    def run(place: tuple[str, str, str], change: Callable[[bytes], bytes]) -> bool:
        old, _ = sqlite_victim.change(*place, change)
        try:
            if place[2] == "number = 0":
                # The genesis is read before all else, so it goes the whole way.
                return bool(sqlite_victim.open().verify().ok)
            with workspace.storage.read() as reader:
                verifier = LedgerVerifier(reader, vkey, root, kinds)
                list(verifier.records())
            return verifier.report.ok
        finally:
            sqlite_victim.change(*place, lambda _: old)

    return run


@settings(max_examples=150)
@given(st.sampled_from(PLACES), st.floats(0, 1, exclude_max=True), st.integers(1, 255))
def test_any_byte_of_the_stored_proofs(
    edit: Callable[..., Any], place: tuple[str, str, str], where: float, mask: int
) -> None:
    """One byte of an envelope, leaf, checkpoint or tile, changed to any other, is always found."""

    def change(data: bytes) -> bytes:
        at = int(where * len(data))
        return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]

    assert edit(place, change) is False


@settings(max_examples=50)
@given(st.sampled_from(PLACES), st.floats(0, 1, exclude_max=True), st.binary(max_size=5))
def test_any_cut_or_insertion(
    edit: Callable[..., Any], place: tuple[str, str, str], where: float, new: bytes
) -> None:
    """Bytes taken out or put in anywhere are found as well."""

    def change(data: bytes) -> bytes:
        at = int(where * len(data))
        changed = data[:at] + new + data[at + 1 :]
        return changed if changed != data else data[:at]

    assert edit(place, change) is False


def test_what_was_put_back_is_sound(sqlite_victim: Any, edit: Callable[..., Any]) -> None:
    """The tests above find their own change and nothing that was there before."""
    edit(PLACES[0], lambda data: data[:-1])
    assert sqlite_victim.codes() == []
