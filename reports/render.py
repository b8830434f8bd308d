"""The packet as HTML and as a PDF that is PDF/A-3a and PDF/UA-1 at once, the same bytes every time.

Rests on WeasyPrint; what of it is undocumented and pinned stands in ``archival.py``.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from muniment.controls.coverage import State
from muniment.schemas.errors import ReportError
from muniment.schemas.times import format_time

from . import charts, sampleview, views
from .model import Embedded, PacketInput
from .printable import MAX_TEXT, attribute, printable

MAX_PASSES = 6
"""Layouts after which page numbers that still move are an error; two are enough in practice."""

MEANINGS: Mapping[State, str] = {
    State.FAILED: "current evidence says no",
    State.MISSING: "no evidence of a kind that carries the control",
    State.STALE: "there was evidence; it is too old",
    State.UNAPPROVED: "there is evidence; a second person has not approved it",
    State.PARTIAL: "some of what is needed is there",
    State.MET: "current, approved where asked, and passing",
    State.WAIVED: "set aside by a signed record, with a reason and an end",
    State.NOT_APPLICABLE: "excluded by a signed record, with a justification",
}


def render_html(packet: PacketInput, pages: Mapping[str, int] | None = None) -> str:
    """The packet as one HTML document.

    Args:
        pages: page number of each anchor, for the contents and the register; ``000`` stands where
            a number is not known yet.
    """
    return _environment().get_template("packet.html").render(_context(packet, pages or {}))


def render_pdf(packet: PacketInput, attachments: Sequence[Embedded]) -> bytes:
    """The packet as an unsigned PDF with ``attachments`` embedded.

    Raises:
        ReportError: ``report.no-pango``, ``report.unstable-pages``, ``report.fetch-refused`` or
            ``report.attachment-name``.
    """
    from .archival import write_pdf

    with _hermetic(packet):
        weasyprint = _weasyprint()
        document = _settled(weasyprint, packet)
        return write_pdf(document, packet, attachments)


def _settled(weasyprint: Any, packet: PacketInput) -> Any:
    """Lay out until every page number printed is the page it stands on.

    NOTE: CSS ``target-counter()`` is not used: it prints wrong numbers where a table grows.
    """
    from .fetcher import BundledFetcher, refusals

    pages: dict[str, int] = {}
    for _ in range(MAX_PASSES):
        with refusals():
            source = weasyprint.HTML(
                string=render_html(packet, pages), url_fetcher=BundledFetcher()
            )
            document = source.render(pdf_variant="pdf/a-3a")
        found: dict[str, int] = {}
        for number, page in enumerate(document.pages, start=1):
            for anchor in page.anchors:
                # NOTE: what goes on over a page's end is an anchor on both pages; it begins here.
                found.setdefault(anchor, number)
        if found == pages:
            return document
        pages = found
    raise ReportError(
        "report.unstable-pages", f"page numbers still moved after {MAX_PASSES} layouts"
    )


@contextmanager
def _hermetic(packet: PacketInput) -> Iterator[None]:
    """Hide the machine's fonts and clock while the packet is laid out and written."""
    with resources.as_file(resources.files(__package__).joinpath("fonts/fonts.conf")) as config:
        wanted = {
            "FONTCONFIG_FILE": str(config),
            "SOURCE_DATE_EPOCH": str(int(packet.checkpoint_time.timestamp())),
        }
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def _weasyprint() -> Any:
    try:
        with warnings.catch_warnings():
            # NOTE: WeasyPrint warns on import that no system font is configured: that is the aim.
            warnings.simplefilter("ignore", UserWarning)
            import weasyprint
    except OSError as error:
        raise ReportError(
            "report.no-pango",
            f"the library that sets the packet's pages cannot be loaded: {error}",
            hint="apt-get install -y libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 "
            "(macOS: brew install pango)",
        ) from error
    return weasyprint


@cache
def _environment() -> Environment:
    from jinja2 import PackageLoader

    environment = Environment(
        loader=PackageLoader(__package__, "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
    )
    environment.filters["attr"] = attribute
    return environment


def _finalize(value: Any) -> Any:
    """Every value a template prints passes here: what is not markup of ours becomes printable."""
    return value if isinstance(value, Markup) else printable(str(value))


def _context(packet: PacketInput, pages: Mapping[str, int]) -> dict[str, Any]:
    coverage = packet.coverage
    total = views.counts(coverage.controls)
    missing = [(c, found) for c in coverage.catalogs if (found := views.needs(packet, c))]
    context: dict[str, Any] = {
        "packet": packet,
        "coverage": coverage,
        "system": str(coverage.system),
        "clock": format_time(packet.checkpoint_time),
        "css": Markup(_text("packet.css")),
        "pages": pages,
        "v": views,
        "charts": charts,
        "labels": charts.LABELS,
        "meanings": MEANINGS,
        "max_text": MAX_TEXT,
        "total": total,
        "shown": [state for state in charts.ORDER if total[state]],
        "known": {record.index for record in packet.records},
        "anchors": views.control_anchors(packet),
        "counted": views.counted_for(packet),
        "replaced": views.replaced(packet),
        "approvers": views.approvers(packet),
        "attention": views.attention(packet),
        "other_gaps": views.other_gaps(packet),
        "soon_stale": views.soon_stale(packet),
        "exceptions": views.exceptions(packet),
        "soa": views.soa(packet),
        "missing": missing,
        "missing_total": sum(len(need.controls) for _, needs in missing for need in needs),
        "results": sampleview.results(packet.records),
        "manifest": _script("manifest.sh", packet),
        "openssl": _script("signature.sh", packet),
        "python": _script("inclusion.sh", packet),
    }
    context["toc"] = _contents(packet, context)
    return context


def _contents(packet: PacketInput, context: Mapping[str, Any]) -> list[tuple[int, str, str]]:
    """Level, anchor and title of every line of the contents."""
    gaps = [
        ("gaps-blocking", "Controls that block the gate", True),
        ("gaps-other", "Open with some evidence", context["other_gaps"]),
        ("gaps-soon", "Met, but lapsing within 30 days", context["soon_stale"]),
        ("gaps-exceptions", "Waived or not applicable", context["exceptions"]),
        ("gaps-missing", "No evidence at all", context["missing"]),
    ]
    return [
        (1, "summary", "Summary"),
        (2, "areas", "Coverage by area"),
        (1, "scope", "Scope and system"),
        (1, "gaps", "Open gaps"),
        *((2, anchor, title) for anchor, title, there in gaps if there),
        (1, "matrix", "Control matrix"),
        *(
            (2, f"matrix-{number}", catalog.name)
            for number, catalog in enumerate(packet.coverage.catalogs, start=1)
        ),
        *([(1, "soa", "Statement of applicability")] if context["soa"] else []),
        *([(1, "sample", "Test sample")] if packet.sample or context["results"] else []),
        (1, "people", "Owners and approvals"),
        (1, "evaluations", "Evaluation results"),
        (1, "register", "Evidence register"),
        (1, "records", "Records in full"),
        (1, "custody", "Chain of custody"),
        (1, "omissions", "What this packet leaves out"),
        (1, "verify", "Verify this packet yourself"),
        (1, "signoff", "Sign-off"),
    ]


def _script(name: str, packet: PacketInput) -> str:
    number = packet.records[0].index if packet.records else 0
    return _text(name).replace("RECEIPT", f"receipt-{number:06d}.sigstore.json").rstrip()


def _text(name: str) -> str:
    return resources.files(__package__).joinpath("templates", name).read_text("utf-8")
