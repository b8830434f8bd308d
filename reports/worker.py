"""Rendering in a process of its own: what a packet's texts make of the renderer cannot harm or
hold up this one.

The process is a fresh interpreter fed through a pipe. It is told what to print, reads no file but
its own modules and the bundled fonts, and ends with the packet, at its limit of memory, or when its
time is up. Nothing that is secret goes to it: signing stays here.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING

from muniment.evidence.pipes import receive, send, start
from muniment.schemas.errors import ReportError

from .model import Embedded, PacketInput

if TYPE_CHECKING:
    from muniment.evidence.verification import Progress

MAX_SECONDS = 900
"""Longest that one packet may take."""
MAX_MEMORY = 4 << 30
"""Most address space that rendering may take, in bytes, where the system keeps such limits."""

_START = "from muniment.reports.worker import serve; serve()"
_STEP, _DONE, _FAILED = b"s", b"d", b"f"
"""What an answer begins with."""


class Renderer:
    """A process that loads what sets pages while this one gathers what they say; a context."""

    def __init__(self) -> None:
        """Start it.

        Raises:
            ReportError: ``report.renderer-failed``.
        """
        self._process = _started()

    def __enter__(self) -> Renderer:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()

    def render(
        self,
        packet: PacketInput,
        attachments: Sequence[Embedded],
        progress: Progress | None = None,
    ) -> bytes:
        """What :func:`render.render_pdf` gives, made in the other process; only once.

        Args:
            progress: told how many steps of how many are done.

        Raises:
            ReportError: ``report.too-slow``, ``report.too-large``, ``report.renderer-failed``, and
                what ``render_pdf`` raises.
        """
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(MAX_SECONDS, stop)
        timer.start()
        try:
            return self._rendered(packet, attachments, progress)
        except EOFError as error:
            if late.is_set():
                raise ReportError(
                    "report.too-slow",
                    f"the packet's pages were not ready after {MAX_SECONDS // 60} minutes",
                    hint="print fewer frameworks with --framework",
                ) from error
            raise ReportError(
                "report.renderer-failed",
                "the process that sets the packet's pages ended without an answer",
                hint="the system may have ended it for want of memory",
            ) from error
        finally:
            timer.cancel()

    def _rendered(
        self, packet: PacketInput, attachments: Sequence[Embedded], progress: Progress | None
    ) -> bytes:
        process = self._process
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(OSError):  # NOTE: a process that is gone is found out on reading.
            send(process.stdin, pickle.dumps((packet, list(attachments), MAX_MEMORY)))
        return _answer(process.stdout, progress)


def render(
    packet: PacketInput, attachments: Sequence[Embedded], progress: Progress | None = None
) -> bytes:
    """As :meth:`Renderer.render`."""
    with Renderer() as renderer:
        return renderer.render(packet, attachments, progress)


def _started() -> subprocess.Popen[bytes]:
    try:
        return start(_START)
    except OSError as error:
        raise ReportError(
            "report.renderer-failed", f"no process can be started to set the pages: {error}"
        ) from error


def _answer(file: IO[bytes], progress: Progress | None) -> bytes:
    while True:
        answer = receive(file)
        word, data = answer[:1], answer[1:]
        if word == _DONE:
            return data
        said = json.loads(data)
        if word == _FAILED:
            code = said.pop("code")
            raise ReportError(code, said.pop("message"), **said)
        if progress is not None:
            progress(*said)


def serve() -> None:
    """Render the packet on standard input and write what came of it to standard output."""
    import gc

    # NOTE: pages are held until the end, so that looking for garbage would be work for nothing.
    gc.disable()
    from .render import load

    load()
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        send(out, *_made(receive(sys.stdin.buffer), out))
    except (EOFError, OSError, KeyboardInterrupt):
        return


def _made(data: bytes, out: IO[bytes]) -> tuple[bytes, bytes]:
    from .render import render_pdf

    # NOTE: the bytes are of our own parent; nothing else has this pipe.
    packet, attachments, memory = pickle.loads(data)
    del data
    _limit_memory(memory)

    def tell(done: int, total: int) -> None:
        send(out, _STEP, json.dumps([done, total]).encode())

    try:
        return _DONE, render_pdf(packet, attachments, tell)
    except ReportError as error:
        names = ("code", "message", "hint", "expected", "found")
        return _FAILED, json.dumps({name: getattr(error, name) for name in names}).encode()
    except MemoryError:
        return _failed("report.too-large", f"the packet's pages need over {memory >> 20:,} MB")
    except Exception as error:
        return _failed("report.renderer-failed", f"the pages cannot be set: {error!r:.500}")


def _failed(code: str, message: str) -> tuple[bytes, bytes]:
    return _FAILED, json.dumps({"code": code, "message": message}).encode()


def _limit_memory(size: int) -> None:
    try:
        import resource
    except ImportError:  # NOTE: Windows has no such limit; the time limit holds there too.
        return
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (size, resource.getrlimit(resource.RLIMIT_AS)[1]))
