"""Rendering in a process of its own."""

from __future__ import annotations

import sys

import pytest

from muniment.reports import worker
from muniment.reports.model import Embedded, PacketInput
from muniment.schemas.errors import ReportError


def test_same_bytes_as_in_this_process(packet: PacketInput, unsigned: bytes, build: object) -> None:
    """The other process writes what this one would, and says how far it is."""
    steps: list[tuple[int, int]] = []
    made = worker.render(packet, build.ATTACHMENTS, lambda *step: steps.append(step))  # type: ignore[attr-defined]
    assert made == unsigned
    assert [done for done, _ in steps] == list(range(len(steps)))
    assert {total for _, total in steps} == {len(steps)}


def test_errors_come_back_whole(packet: PacketInput) -> None:
    """An error of the renderer arrives with its code and what it expected."""
    bad = Embedded("../x", b"", "text/plain", "Data", "")
    with pytest.raises(ReportError, match="cannot be embedded") as caught:
        worker.render(packet, [bad])
    assert caught.value.code == "report.attachment-name"
    assert caught.value.found == "../x"


def test_too_slow(packet: PacketInput, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet that takes longer than allowed is given up, and the error says so."""
    monkeypatch.setattr(worker, "MAX_SECONDS", 0.01)
    with pytest.raises(ReportError, match="not ready") as caught:
        worker.render(packet, ())
    assert caught.value.code == "report.too-slow"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps a limit of address space")
def test_too_large(packet: PacketInput, monkeypatch: pytest.MonkeyPatch) -> None:
    """A packet that needs more memory than allowed ends with our error, never a traceback."""
    monkeypatch.setattr(worker, "MAX_MEMORY", 64 << 20)
    with pytest.raises(ReportError) as caught:
        worker.render(packet, ())
    assert caught.value.code in ("report.too-large", "report.renderer-failed")


def test_no_process(packet: PacketInput, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no process can be started the error says what failed."""
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(ReportError, match="no process can be started") as caught:
        worker.render(packet, ())
    assert caught.value.code == "report.renderer-failed"
