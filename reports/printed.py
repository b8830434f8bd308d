"""What a packet prints, put together from what was verified and from ``pages.json``.

Whoever makes the packet and whoever verifies it come to the same pages by this one way.
"""

from __future__ import annotations

import base64
import hashlib
import os
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from muniment import __version__
from muniment.controls.gate import GateDecision
from muniment.evidence.checkpoint import SignedCheckpoint
from muniment.evidence.trust import KEY_KIND, EnrolledKey, KeyRing
from muniment.schemas.record import Record, Signer

from .model import KeyLine, PacketInput

PAGES = "pages.json"
"""Embedded file with what the pages say that follows from nothing else, and what set them."""
_LIBRARIES = (
    "weasyprint", "pydyf", "tinycss2", "tinyhtml5", "cssselect2", "fonttools", "jinja2",
    "markupsafe", "pillow", "pyphen",
)  # fmt: skip


def packet_input(
    decision: GateDecision,
    records: Iterable[Record],
    ring: KeyRing,
    checkpoint: SignedCheckpoint,
    said: Mapping[str, Any],
    *,
    reviewer: Signer,
) -> PacketInput:
    """What the pages are made from.

    Args:
        records: those of the packet, in ledger order; key records are not printed.
        said: ``pages.json``.
    """
    return PacketInput(
        organisation=str(said["organisation"]),
        coverage=decision.coverage,
        passed=decision.passed,
        profile_name=decision.profile.name,
        blocking=decision.blocking,
        records=tuple(record for record in records if record.kind != KEY_KIND),
        keys=tuple(map(_key_line, ring)),
        origin=checkpoint.checkpoint.origin,
        checkpoint=checkpoint.note.to_bytes().decode(),
        checkpoint_time=checkpoint.time,
        tree_size=checkpoint.size,
        root_hash=base64.b64encode(checkpoint.root).decode(),
        root_fingerprint=str(ring.root),
        reviewer=reviewer,
        muniment_version=str(said["renderer"]["muniment"]),
        not_included=tuple(map(str, said["not_included"])),
    )


def pages_document(organisation: str, not_included: Sequence[str]) -> dict[str, Any]:
    """``pages.json``.

    Raises:
        ReportError: ``report.no-pango``.
    """
    return {
        "schema_version": 1,
        "organisation": organisation,
        "not_included": list(not_included),
        "renderer": renderer(),
    }


@cache
def renderer() -> dict[str, str]:
    """Name to version of everything that decides on the pages' bytes.

    Raises:
        ReportError: ``report.no-pango``.
    """
    from .render import text_libraries

    return {
        "muniment": __version__,
        "code": _code(),
        **{name: metadata.version(name) for name in _LIBRARIES},
        **text_libraries(),
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
        "machine": os.uname().machine if hasattr(os, "uname") else os.name,
    }


def _code() -> str:
    """SHA-256 over every file of the package: two states of it may go by one version."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    # NOTE: in a checkout the package's folders are links; Path.rglob does not follow them.
    found = [
        Path(folder, name)
        for folder, _, names in os.walk(root, followlinks=True)
        for name in names
        if not name.endswith(".pyc")
    ]
    for path in sorted(found, key=lambda item: item.relative_to(root).as_posix()):
        data = path.read_bytes()
        digest.update(f"{path.relative_to(root).as_posix()}\n{len(data)}\n".encode() + data)
    return digest.hexdigest()


def _key_line(enrolled: EnrolledKey) -> KeyLine:
    signer = enrolled.signer
    return KeyLine(
        signer.fingerprint,
        signer.name,
        signer.email,
        signer.type,
        signer.roles,
        signer.functions,
        enrolled.enrolled,
        enrolled.expires,
    )
