"""Two real packets of one ledger, with what their pages were made from: the demo's, and a later one
with everything that a packet may have."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from muniment.cli import app
from muniment.evidence.keys import new_ed25519
from muniment.evidence.note import cosign_note
from muniment.evidence.storage import AnchorRow
from muniment.reports import issued, worker
from muniment.reports.demo.story import tell
from muniment.reports.model import Embedded, PacketInput
from muniment.reports.render import render_pdf
from muniment.reports.workspace import Workspace

FRAMEWORKS = ("iso-42001-2023", "eu-ai-act-high-risk")
COVER = """\
reviewer: Head of Model Risk
scope: The triage build, since July 2026.
conclusions:
  - 3 of the 9 blocking controls need a retrained model.
accent: "#1d5a91"
"""


@dataclass(frozen=True, slots=True)
class Issued:
    """One packet."""

    pdf: bytes
    packet: PacketInput


def issue(folder: Path) -> dict[str, Issued]:
    """``demo`` and ``rich``; pages are set in this process, whose environment is kept."""
    made: list[PacketInput] = []

    def render(
        _: object, packet: PacketInput, files: list[Embedded], progress: Any = None
    ) -> bytes:
        made.append(packet)
        return render_pdf(packet, files, progress)

    home = folder / "home"
    home.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name.startswith(("GIT_", "MUNIMENT_", "XDG_", "EMAIL")):
                patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setattr(worker.Renderer, "render", render)
        told = tell(folder / "story", lambda _: None)
        demo = Issued(told.packet.read_bytes(), made[0])
        rich = _rich(told.workspace, told.packet)
        return {"demo": demo, "rich": Issued(rich, made[-1])}


def _rich(root: Path, before: Path) -> bytes:
    """A packet after another, of a ledger that a record was taken back from and a witness saw."""
    place = ("--workspace", str(root))
    assert app.run(["retract", "#34", "--reason", "The course of 2025 was meant", *place]) == 0
    (root / "cover.yaml").write_text(COVER)
    workspace = Workspace(root)
    try:
        issued.record_packet(workspace, before.read_bytes(), before.name)
        last = workspace.ledger.checkpoint()
        line = cosign_note(
            last.note.text, "w.example.com", new_ed25519(), int(last.time.timestamp())
        )
        row = AnchorRow(size=last.size, kind="witness", source="w", proof=str(line).encode())
        with workspace.storage.write() as writer:
            writer.add([row])
        return workspace.packet(
            frameworks=FRAMEWORKS,
            sample="12",
            cover=root / "cover.yaml",
            paper="letter",
            with_artifacts=True,
        )
    finally:
        workspace.storage.close()
