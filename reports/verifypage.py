"""Verification of a packet that is one HTML file.

The same checks as of a PDF but for its signature, which a page does not have; instead the page is
written again from what was verified, and compared to the last byte.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import ClassVar

from jinja2 import TemplateError

from muniment import __version__
from muniment.controls.gate import GateDecision
from muniment.evidence.checkpoint import SignedCheckpoint
from muniment.schemas.files import read_small
from muniment.schemas.finding import Finding, VerificationReport

from . import proofs
from .model import Embedded
from .packet import packet_input
from .packetforms.html import PageData, read_page, to_html
from .verify import MAX_PACKET, PacketVerifier, require_fingerprint

_AROUND = 40
"""Characters shown on each side of the first byte that differs."""


def verify_page(
    path: Path, root: str | None = None, *, pinned: tuple[str, str] | None = None
) -> VerificationReport:
    """Verify the HTML packet at ``path``; arguments and errors are those of ``verify_packet``."""
    require_fingerprint(root)
    return _PageVerifier(path.name, root, pinned).run(read_small(path, MAX_PACKET))


class _PageVerifier(PacketVerifier):
    claims: ClassVar = {
        **PacketVerifier.claims,
        "page": "the page and its script are what this version makes of the verified records",
    }
    pages = (
        "the organisation's name, and what the page says is not included: nobody signed these words"
    )
    _bytes: bytes
    _data: PageData

    def _signature(self, pdf: bytes) -> str | None:
        self._bytes = pdf
        self._check("pdf-signature").not_checked.append(
            "a web page carries no signature; the packet as a PDF does"
        )
        return None

    def _embedded(self, pdf: bytes) -> dict[str, bytes]:
        self._data = read_page(pdf)
        return dict(self._data.files)

    def _page(self, decision: GateDecision, checkpoint: SignedCheckpoint) -> None:
        check = self._check("page")
        data = self._data
        if data.version != __version__:
            check.not_checked.append(
                f"the page was written by Muniment {data.version!r} and this is {__version__}: "
                "verify with that version, or read the page against what is computed here"
            )
            return
        indices = self._json(proofs.INPUT)["records"]
        packet = packet_input(
            decision,
            [self._records[index] for index in indices if index in self._records],
            self._ring,
            checkpoint,
            organisation=data.organisation,
            not_included=data.not_included,
        )
        check.checked = 1
        try:
            again = to_html(packet, self._listed(data))
        except (TemplateError, ArithmeticError) as error:
            text = f"no page can be made of what the page embeds: {error}"
            check.findings.append(Finding("page.differs", text))
            return
        if again != self._bytes:
            check.findings.append(_difference(again, self._bytes))

    def _listed(self, data: PageData) -> list[Embedded]:
        """The embedded files in the manifest's order, the manifest last."""
        names = {
            str(item["name"]): str(item["description"])
            for item in self._json(proofs.MANIFEST)["files"]
        }
        names[proofs.MANIFEST] = proofs.MANIFEST_WORDS
        return [
            Embedded(name, data.files[name], "", "Data", description)
            for name, description in names.items()
        ]

    def _reviewer(self, fingerprint: str | None, moment: datetime) -> None:
        self._check("reviewer").not_checked.append("nobody signs a web page")


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
