"""What a packet prints, put together from what was verified and from ``pages.json``.

Whoever makes the packet and whoever verifies it come to the same pages by this one way.
"""

from __future__ import annotations

import base64
import hashlib
import os
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from muniment import __version__
from muniment.controls.coverage import Coverage, State
from muniment.controls.gate import GateDecision
from muniment.evidence.checkpoint import SignedCheckpoint
from muniment.evidence.trust import KEY_KIND, PACKET_KIND, KeyRing
from muniment.schemas import strictjson
from muniment.schemas.errors import InputError
from muniment.schemas.record import Record, Signer
from muniment.schemas.times import parse_time

from . import widefonts
from .cover import embedded_logo, require_accent
from .custody import key_events, key_line
from .model import Cover, Look, OutsideProof, PacketInput, PreviousPacket
from .sampleview import Drawing

PAGES = "pages.json"
"""Embedded file with what the pages say that follows from nothing else, and what set them."""
_LIBRARIES = (
    "weasyprint", "pydyf", "tinycss2", "tinyhtml5", "cssselect2", "fonttools", "jinja2",
    "markupsafe", "pillow", "pyphen", "segno",
)  # fmt: skip
_WRITERS = ("fonttools", "jinja2", "markupsafe", "segno")


def packet_input(
    decision: GateDecision,
    records: Iterable[Record],
    ring: KeyRing,
    checkpoint: SignedCheckpoint,
    said: Mapping[str, Any],
    *,
    reviewer: Signer | None,
    sample: Drawing | None = None,
) -> PacketInput:
    """What the pages are made from, but for a logo (``with_look``) and templates of the workspace.

    Args:
        records: those of the packet, in ledger order; key records are not printed.
        said: ``pages.json``.
    """
    given = list(records)
    return PacketInput(
        organisation=str(said["organisation"]),
        coverage=decision.coverage,
        passed=decision.passed,
        profile_name=decision.profile.name,
        blocking=decision.blocking,
        records=tuple(record for record in given if record.kind != KEY_KIND),
        keys=tuple(key_line(key, checkpoint.time) for key in ring),
        origin=checkpoint.checkpoint.origin,
        checkpoint=checkpoint.note.to_bytes().decode(),
        checkpoint_time=checkpoint.time,
        tree_size=checkpoint.size,
        root_hash=base64.b64encode(checkpoint.root).decode(),
        root_fingerprint=str(ring.root),
        reviewer=reviewer,
        muniment_version=str(said["renderer"]["muniment"]),
        not_included=tuple(map(str, said["not_included"])),
        sample=sample,
        key_events=key_events(record for record in given if record.kind == KEY_KIND),
        outside=tuple(map(_outside, said["outside"])),
        outside_earlier=int(said["outside_earlier"]),
        previous=_previous(given, decision.coverage),
        look=_look(said["look"]),
        gated=tuple(dict.fromkeys(c.id.partition(":")[0] for c in decision.scope)),
    )


def with_look(packet: PacketInput, files: Mapping[str, bytes]) -> PacketInput:
    """The same with the logo that is embedded beside ``pages.json``, if one is; what goes into the
    pages as it is, the logo and the accent, is checked as when a packet is made.

    Args:
        files: the packet's, by name.

    Raises:
        InputError: ``cover.accent``; ``cover.logo``: it cannot be one, or is not the one that
            ``pages.json`` names.
    """
    if packet.look.cover.accent is not None:
        require_accent(packet.look.cover.accent)
    stated = strictjson.loads(files[PAGES], what=PAGES)["look"]["logo"]
    logo = embedded_logo(files)
    found = None if logo is None else hashlib.sha256(logo.data).hexdigest()
    if stated != found:
        raise InputError(
            "cover.logo",
            f"the embedded logo is not the one that {PAGES} names",
            expected=str(stated or "none"),
            found=found or "none",
        )
    cover = replace(packet.look.cover, logo=logo)
    return replace(packet, look=replace(packet.look, cover=cover))


def pages_document(
    organisation: str,
    not_included: Sequence[str],
    outside: Sequence[OutsideProof],
    outside_earlier: int,
    look: Look,
    made_by: Mapping[str, str],
) -> dict[str, Any]:
    """``pages.json``.

    Args:
        made_by: ``renderer()``, or ``written_by()`` of a form without printed pages.
    """
    return {
        "schema_version": 1,
        "organisation": organisation,
        "not_included": list(not_included),
        "outside": [item.to_json() for item in outside],
        "outside_earlier": outside_earlier,
        "look": _look_to_json(look),
        "renderer": dict(made_by),
    }


@cache
def written_by() -> dict[str, str]:
    """Name to version of everything that decides on the bytes of a packet that is not printed."""
    return {
        "muniment": __version__,
        "code": _code(),
        **{name: metadata.version(name) for name in _WRITERS},
        "unicode": unicodedata.unidata_version,
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
        **({widefonts.DISTRIBUTION: wide} if (wide := widefonts.version()) else {}),
        "zlib": zlib.ZLIB_RUNTIME_VERSION,
        "machine": os.uname().machine if hasattr(os, "uname") else os.name,
    }


def same_program(stated: Mapping[str, Any]) -> bool:
    """Whether a packet was written by this very Muniment, whatever set its pages.

    Args:
        stated: ``renderer`` of its ``pages.json``.
    """
    here = written_by()
    return all(stated.get(name) == here[name] for name in ("muniment", "code"))


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


def _previous(records: Iterable[Record], coverage: Coverage) -> PreviousPacket | None:
    """The last packet about the system version that was issued over the same frameworks."""
    ids = {item.catalog for item in coverage.catalogs}
    for record in reversed(list(records)):
        body = record.statement.body
        if record.kind != PACKET_KIND or record.distrusted or "countersigns" in body:
            continue
        if {item["id"] for item in body["frameworks"]} != ids:
            continue
        counts: Counter[State] = Counter()
        for item in body["frameworks"]:
            counts.update({State(name): number for name, number in item["counts"].items()})
        return PreviousPacket(record.recorded_at, body["checkpoint"]["size"], counts)
    return None


def _outside(value: Mapping[str, Any]) -> OutsideProof:
    when = None if value["time"] is None else parse_time(value["time"])
    return OutsideProof(value["kind"], value["source"], when, value["held"], value["note"])


def _look_to_json(look: Look) -> dict[str, Any]:
    """The look: the logo by its digest, for it is a file of its own, and templates by theirs, for
    no verifier runs another's."""
    cover, logo = look.cover, look.cover.logo
    return {
        "paper": look.paper,
        "reviewer": cover.reviewer,
        "scope": cover.scope,
        "conclusions": list(cover.conclusions),
        "accent": cover.accent,
        "logo": None if logo is None else hashlib.sha256(logo.data).hexdigest(),
        "templates": [{"name": item.name, "sha256": item.sha256} for item in look.overrides],
    }


def _look(value: Mapping[str, Any]) -> Look:
    cover = Cover(
        value["reviewer"], value["scope"], tuple(value["conclusions"]), None, value["accent"]
    )
    return Look(cover, (), value["paper"])
