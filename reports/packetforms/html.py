"""The packet as one HTML file that holds its proofs and verifies them itself."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from muniment.controls.coverage import State
from muniment.reports import charts, views
from muniment.reports.inert import MAX_TEXT, said
from muniment.reports.render import MEANINGS
from muniment.schemas import strictjson
from muniment.schemas.errors import MunimentError, VerificationError
from muniment.schemas.times import format_time

from .facts import approved

if TYPE_CHECKING:
    from jinja2 import Environment

    from muniment.reports.model import Embedded, PacketInput

_OPENS = '<script type="application/json" id="proof">'
_BLOCK = re.compile(rb'%s(\{"files":[^<>]*\})</script>' % _OPENS.encode())
MARK = _OPENS.encode()
"""What tells such a page from any other file."""
_CHAPTERS = (
    ("verification", "Does this page hold?"),
    ("summary", "Summary"),
    ("gaps", "Open gaps"),
    ("matrix", "Control matrix"),
    ("soa", "Statement of applicability"),
    ("evaluations", "Evaluation results"),
    ("people", "Owners and approvals"),
    ("register", "Evidence register"),
    ("omissions", "What it leaves out"),
    ("custody", "Chain of custody"),
)


def to_html(packet: PacketInput, files: Sequence[Embedded]) -> bytes:
    """The page: nothing is fetched, and what a stranger wrote is text and nothing else.

    Args:
        files: the proofs, the manifest last.
    """
    css, js = _text("webpage.css"), _text("webpage.js")
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


def _context(packet: PacketInput) -> dict[str, Any]:
    coverage = packet.coverage
    soa = views.soa(packet)
    missing = [(item, found) for item in coverage.catalogs if (found := views.needs(packet, item))]
    return {
        "packet": packet,
        "coverage": coverage,
        "v": views,
        "charts": charts,
        "states": list(State),
        "meanings": MEANINGS,
        "max_text": MAX_TEXT,
        "chapters": [item for item in _CHAPTERS if item[0] != "soa" or soa],
        "known": {record.index for record in packet.records},
        "anchors": views.control_anchors(packet),
        "counted": views.counted_for(packet),
        "replaced": views.replaced(packet),
        "approvers": views.approvers(packet),
        "approved": approved(packet),
        "attention": views.attention(packet),
        "gaps": [
            ("Open with some evidence", views.other_gaps(packet)),
            ("Met, but lapsing within 30 days", views.soon_stale(packet)),
            ("Waived or not applicable, by signed record", views.exceptions(packet)),
        ],
        "missing": missing,
        "soa": soa,
        # NOTE: a line feed at the beginning of a pre is not part of it; the note has none.
        "checkpoint": Markup(escape(packet.checkpoint)),
    }


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
    return environment


def _finalize(value: Any) -> Any:
    """Every value the template prints passes here: what is not markup of ours becomes inert."""
    return value if isinstance(value, Markup) else said(str(value))


def _lines(value: Any) -> Markup:
    """Text whose line feeds break lines."""
    return Markup('<span class="text">{}</span>').format(said(str(value), "\n"))


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _text(name: str) -> str:
    return resources.files("muniment.reports").joinpath("templates", name).read_text("utf-8")
