"""Helper processes of the program's own, and the messages to and from them over their pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import IO

_LENGTH = 8
"""Bytes of a message's length, big-endian, before it."""


def start(code: str) -> subprocess.Popen[bytes]:
    """A fresh interpreter that runs ``code`` with this one's module path, fed through pipes.

    Raises:
        OSError: it cannot be started.
    """
    paths = [os.path.abspath(path) for path in sys.path]  # noqa: PTH100
    # NOTE: isolated, so that neither this folder nor PYTHON* variables add code.
    return subprocess.Popen(
        [sys.executable, "-I", "-c", f"import sys; sys.path[:] = sys.argv[1:]; {code}", *paths],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )


def send(file: IO[bytes], *parts: bytes) -> None:
    """Write one message: the parts, one after the other, and never none at all."""
    file.write(sum(map(len, parts)).to_bytes(_LENGTH, "big"))
    for part in parts:
        file.write(part)
    file.flush()


def receive(file: IO[bytes]) -> bytes:
    """Read one message.

    Raises:
        EOFError: the other side is gone.
    """
    size = int.from_bytes(file.read(_LENGTH), "big")
    data = file.read(size) if size else b""
    if len(data) != size or not size:
        raise EOFError
    return data
