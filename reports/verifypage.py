"""Verification of a packet that is one HTML file.

The same checks as of a PDF but for its signature, which a page does not have; instead the page is
written again from what was verified, where the same program is here, and compared to the last byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

from jinja2 import TemplateError

from muniment.controls.gate import GateDecision
from muniment.evidence.checkpoint import SignedCheckpoint
from muniment.schemas.errors import MunimentError
from muniment.schemas.finding import Finding, VerificationReport
from muniment.schemas.record import Signer
from muniment.schemas.text import visible

from . import proofs
from .archival import MANIFEST
from .model import Embedded, PacketInput
from .packetforms.html import read_page, to_html
from .printed import PAGES, packet_input, written_by
from .samplecheck import printed_sample
from .signature import SignatureStatus
from .verify import PacketVerifier, verify_packet

_AROUND = 40
"""Characters shown on each side of the first byte that differs."""
_PRINTED = ("pages", "rendering")
"""Checks of a PDF's pages; ``page`` takes their place."""


def verify_page(
    path: Path,
    root: str | None = None,
    *,
    pinned: tuple[str, str] | None = None,
    since: Path | None = None,
) -> VerificationReport:
    """Verify the HTML packet at ``path``; arguments and errors are those of ``verify_packet``."""
    return verify_packet(path, root, pinned=pinned, since=since, form=_PageVerifier)


class _PageVerifier(PacketVerifier):
    claims: ClassVar = {
        **{name: claim for name, claim in PacketVerifier.claims.items() if name not in _PRINTED},
        "page": "the page and its script are what the same program makes of the verified records",
    }

    def _signature(self, pdf: bytes) -> SignatureStatus:
        self._check("pdf-signature").not_checked.append(
            "a web page carries no signature; the packet as a PDF does"
        )
        return SignatureStatus(False, None, None, None, ())

    def _embedded(self, data: bytes) -> dict[str, bytes]:
        return read_page(data)

    def _pages(
        self,
        decision: GateDecision,
        given: Mapping[str, Any],
        times: Sequence[SignedCheckpoint],
        checkpoint: SignedCheckpoint,
        reviewer: Signer | None,
    ) -> None:
        check = self._check("page")
        said = self._json(PAGES)
        here = written_by()
        if said["renderer"]["muniment"] != here["muniment"]:
            check.findings.append(_other_program(said["renderer"], here))
            return
        try:
            again = to_html(self._said_again(decision, given, times, checkpoint), self._listed())
        except (TemplateError, ArithmeticError, MunimentError) as error:
            text = f"no page can be made of what the page embeds: {error}"
            check.findings.append(Finding("page.differs", text))
            return
        if again != self._pdf and said["renderer"] != here:
            check.findings.append(_other_program(said["renderer"], here))
            return
        check.checked = 1
        if again != self._pdf:
            check.findings.append(_difference(again, self._pdf))

    def _said_again(
        self,
        decision: GateDecision,
        given: Mapping[str, Any],
        times: Sequence[SignedCheckpoint],
        checkpoint: SignedCheckpoint,
    ) -> PacketInput:
        records, said, sample = self._printed(given), self._json(PAGES), None
        if proofs.SAMPLE in self._files:
            seeding = {item.size: item for item in (*times, checkpoint)}
            stated = self._json(proofs.SAMPLE)
            sample = printed_sample(stated, records, seeding, checkpoint.size)
        return packet_input(
            decision, records, self._ring, checkpoint, said, reviewer=None, sample=sample
        )

    def _listed(self) -> list[Embedded]:
        """The embedded files in the manifest's order, the manifest last."""
        names = {
            str(item["name"]): str(item["description"]) for item in self._json(MANIFEST)["files"]
        }
        names[MANIFEST] = proofs.MANIFEST_WORDS
        return [
            Embedded(name, self._files[name], "", "Data", description)
            for name, description in names.items()
        ]

    def _reviewer(self, status: SignatureStatus, moment: datetime) -> None:
        self._check("reviewer").not_checked.append("nobody signs a web page")

    def _signed_when(self, status: SignatureStatus) -> None:
        self._check("signature-time").not_checked.append("nobody signs a web page")


def _other_program(stated: Mapping[str, Any], here: Mapping[str, str]) -> Finding:
    """Nobody signed the page: what cannot be written again proves nothing of what it shows."""
    names = sorted({*stated, *here})
    other = [name for name in names if stated.get(name) != here.get(name)]
    return Finding(
        "page.not-compared",
        "the page says that other versions wrote it, so it cannot be compared here: verify it with "
        "those, or ask for the packet as a PDF, which is signed",
        expected=", ".join(f"{name} {here.get(name)}" for name in other),
        found=visible(", ".join(f"{name} {stated.get(name)}" for name in other))[:500],
    )


def _difference(expected: bytes, found: bytes) -> Finding:
    pairs = enumerate(zip(expected, found, strict=False))
    at = next((at for at, (one, other) in pairs if one != other), min(len(expected), len(found)))
    around = slice(max(at - _AROUND, 0), at + _AROUND)
    return Finding(
        "page.differs",
        f"the page is not what its records say, first at byte {at:,}",
        expected=_words(expected[around]),
        found=_words(found[around]),
    )


def _words(data: bytes) -> str:
    return " ".join(data.decode("utf-8", "replace").split())
