"""Bytes from a database whose columns may hold anything. Pure."""

from __future__ import annotations

from typing import Any


def exact_bytes(value: Any) -> bytes:
    """What a column of bytes holds; SQLite takes any type into any column."""
    # NOTE: bytes(10**12) would fill the memory.
    return bytes(value) if isinstance(value, _BYTES) else repr(value).encode()


_BYTES = (bytes, bytearray, memoryview)
