"""The packet as one HTML file that holds its proofs and verifies them itself."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from muniment.controls.coverage import State
from muniment.controls.crosswalk import Source
from muniment.reports import (
    carried,
    charts,
    lineage,
    sampleview,
    sources,
    summary,
    timeline,
    views,
)
from muniment.reports.inert import MAX_TEXT, said
from muniment.reports.qr import qr
from muniment.reports.render import MEANINGS
from muniment.schemas import strictjson
from muniment.schemas.errors import MunimentError, ReportError, VerificationError
from muniment.schemas.text import visible
from muniment.schemas.times import format_time

if TYPE_CHECKING:
    from jinja2 import Environment

    from muniment.reports.model import Embedded, PacketInput

_OPENS = '<script type="application/json" id="proof">'
_BLOCK = re.compile(rb'%s(\{"files":[^<>]*\})</script>' % _OPENS.encode())
MARK = _OPENS.encode()
"""What tells such a page from any other file."""
_COLOUR = re.compile("#[0-9A-Fa-f]{6}")


def to_html(packet: PacketInput, files: Sequence[Embedded]) -> bytes:
    """The page: nothing is fetched, and what a stranger wrote is text and nothing else.

    Args:
        files: the proofs, the manifest last.

    Raises:
        ReportError: ``report.accent``, the accent is no colour.
    """
    css, js = _style(packet), _text("webpage.js")
    policy = (
        f"default-src 'none'; script-src '{_digest(js)}'; style-src '{_digest(css)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    page = (
        _environment()
        .get_template("webpage.html")
        .render(
            **_context(packet),
            files=files,
            manifest=hashlib.sha256(files[-1].data).hexdigest(),
            policy=policy,
            css=Markup(css),
            js=Markup(js),
            proof=Markup(_proof(files)),
        )
    )
    return page.encode()


def read_page(page: bytes) -> dict[str, bytes]:
    """The proofs that a page holds, by name.

    Raises:
        VerificationError: ``packet.malformed``.
    """
    found = _BLOCK.findall(page)
    if len(found) != 1 or page.count(MARK) != 1:
        raise VerificationError(
            "packet.malformed", "the page does not hold its proofs in the one form they have"
        )
    try:
        block = strictjson.loads(found[0], what="the page's data")
        return {name: _unbase64(text) for name, text in block["files"].items()}
    except (MunimentError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise VerificationError(
            "packet.malformed", "the page's data cannot be read", found=str(error)
        ) from error


def _unbase64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _proof(files: Sequence[Embedded]) -> str:
    block = {"files": {file.name: base64.b64encode(file.data).decode() for file in files}}
    return json.dumps(block, separators=(",", ":"))


def _style(packet: PacketInput) -> str:
    css, accent = _text("webpage.css"), packet.look.cover.accent
    if accent is None:
        return css
    # NOTE: whoever made a page that is verified chose this text, and it goes into the style as it
    # is.
    if not _COLOUR.fullmatch(accent):
        raise ReportError("report.accent", "the accent is no colour", found=accent[:60])
    return f"{css}:root {{ --accent: {accent} }}\n"


def _context(packet: PacketInput) -> dict[str, Any]:
    context = {
        "packet": packet,
        "coverage": packet.coverage,
        "v": views,
        "charts": charts,
        "states": list(State),
        "meanings": MEANINGS,
        "max_text": MAX_TEXT,
        "known": {record.index for record in packet.records},
        "anchors": views.control_anchors(packet),
        "counted": views.counted_for(packet),
        "replaced": views.replaced(packet),
        "approvers": views.approvers(packet),
        "approved": views.approved(packet),
        # NOTE: a line feed at the beginning of a pre is not part of it; the note has none.
        "checkpoint": Markup(escape(packet.checkpoint)),
        "code": qr(packet.checkpoint, f"QR code of the checkpoint: {packet.checkpoint}"),
        **_judged(packet),
        **_evidence(packet),
    }
    return context | {"chapters": list(_chapters(packet, context))}


def _judged(packet: PacketInput) -> dict[str, Any]:
    """What follows from the coverage."""
    coverage = packet.coverage
    crossing = carried.crossing(packet)
    return {
        "cover": packet.look.cover,
        "total": views.counts(coverage.controls),
        "trend": summary.trend(packet),
        "trend_sentence": summary.trend_sentence(packet),
        "attention": views.attention(packet),
        "gaps": [
            ("Open with some evidence", views.other_gaps(packet)),
            ("Met, but lapsing within 30 days", views.soon_stale(packet)),
            ("Waived or not applicable, by signed record", views.exceptions(packet)),
        ],
        "missing": [
            (item, found) for item in coverage.catalogs if (found := views.needs(packet, item))
        ],
        "soa": views.soa(packet),
        "crossing": crossing,
        "published": crossing.by(Source.PUBLISHED),
        "inferred": crossing.by(Source.INFERRED),
        "max_crossings": carried.MAX_LINES,
    }


def _evidence(packet: PacketInput) -> dict[str, Any]:
    """What follows from the records."""
    found, series = lineage.lineage(packet), timeline.monitoring(packet)
    return {
        "results": sampleview.results(packet.records),
        "sources": sources.data_sources(packet),
        "max_sources": sources.MAX_SOURCES,
        "lineage": found,
        "lineage_drawing": lineage.drawing(found),
        "series": series,
        "max_series": timeline.MAX_SERIES,
        "monitoring_summary": timeline.summary(series),
        "monitoring_drawing": timeline.drawing(series, packet),
    }


def _chapters(packet: PacketInput, context: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Anchor and title of every chapter that there is."""
    cover, crossing = packet.look.cover, context["crossing"]
    every = [
        ("verification", "Does this page hold?", True),
        ("summary", "Summary", True),
        ("reviewer", "The reviewer’s words", cover.scope or cover.conclusions),
        ("gaps", "Open gaps", True),
        ("matrix", "Control matrix", True),
        ("crosswalk", "Evidence carried over", crossing.rests or crossing.helps),
        ("soa", "Statement of applicability", context["soa"]),
        ("sample", "Test sample", packet.sample or context["results"]),
        ("people", "Owners and approvals", True),
        ("evaluations", "Evaluation results", True),
        ("data", "Data provenance", True),
        ("lineage", "From data to gate", context["lineage"].ties),
        ("monitoring", "Monitoring over time", True),
        ("register", "Evidence register", True),
        ("omissions", "What it leaves out", True),
        ("custody", "Chain of custody", True),
    ]
    return ((anchor, title) for anchor, title, there in every if there)


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("muniment.reports", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["time"] = format_time
    environment.filters["lines"] = _lines
    environment.filters["whole"] = _whole
    return environment


def _finalize(value: Any) -> Any:
    """Every value the template prints passes here: what is not markup of ours becomes inert."""
    return value if isinstance(value, Markup) else said(str(value))


def _lines(value: Any) -> Markup:
    """Text whose line feeds break lines."""
    return Markup('<span class="text">{}</span>').format(said(str(value), "\n"))


def _whole(value: Any) -> Markup:
    """Text as ``_lines``, uncut: for the words of whoever makes the packet."""
    return Markup('<span class="text">{}</span>').format(visible(str(value), keep="\n"))


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _text(name: str) -> str:
    return resources.files("muniment.reports").joinpath("templates", name).read_text("utf-8")
