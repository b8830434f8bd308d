"""Unpacking the streams of a PDF that may be hostile: never more bytes than there is room for."""

from __future__ import annotations

import zlib
from typing import Any

from muniment.schemas.errors import VerificationError
from muniment.schemas.text import visible


def unpacked(stream: Any, name: str, room: int) -> bytes:
    """The bytes of one stream.

    Args:
        stream: a ``pikepdf.Stream``, packed with Deflate or not at all.
        name: what it is called in an error.
        room: most bytes that it may unpack to.

    Raises:
        VerificationError: ``packet.malformed`` or ``packet.too-large``.
    """
    raw = bytes(stream.read_raw_bytes())
    packed = stream.get("/Filter")
    if packed is None:
        data = raw
    elif str(packed) == "/FlateDecode" and "/DecodeParms" not in stream:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(raw, room + 1)
        if len(data) <= room and not unpacker.eof:
            raise VerificationError("packet.malformed", f"{visible(name)} is cut off")
    else:
        raise VerificationError("packet.malformed", f"{visible(name)} is packed in another way")
    if len(data) > room:
        raise VerificationError(
            "packet.too-large",
            f"{visible(name)} is too large to read",
            expected=f"at most {room:,} bytes",
        )
    return data
