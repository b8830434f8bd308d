"""The packet as HTML and as a PDF that is PDF/A-3a and PDF/UA-1 at once, the same bytes every time.

Rests on WeasyPrint; what of it is undocumented and pinned stands in ``archival.py``.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from muniment.controls.coverage import State
from muniment.schemas.errors import ReportError
from muniment.schemas.times import format_time

from . import charts, register, views
from .model import Embedded, PacketInput
from .printable import MAX_TEXT, attribute, printable, whole

if TYPE_CHECKING:
    from muniment.evidence.verification import Progress

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


@dataclass(frozen=True, slots=True)
class Part:
    """A run of pages that is laid out by itself, so that memory and time stay in proportion."""

    template: str
    values: Mapping[str, Any]


def render_html(packet: PacketInput) -> str:
    """Every part of the packet as HTML, one document after the other; the contents name no page."""
    context = _context(packet)
    return "\n".join(_html(context, part, 1, {}) for part in _parts(packet))


def render_pdf(
    packet: PacketInput, attachments: Sequence[Embedded], progress: Progress | None = None
) -> bytes:
    """The packet as an unsigned PDF with ``attachments`` embedded, made in this process.

    Args:
        progress: told how many steps of how many are done.

    Raises:
        ReportError: ``report.no-pango``, ``report.unstable-pages``, ``report.fetch-refused`` or
            ``report.attachment-name``.
    """
    from .archival import write_pdf

    with _hermetic(packet):
        return write_pdf(_laid_out(_weasyprint(), packet, progress), packet, attachments)


def _laid_out(weasyprint: Any, packet: PacketInput, progress: Progress | None) -> Any:
    """All pages as one ``weasyprint.Document``.

    The opening, which holds the contents, is laid out first for its length and last with the page
    numbers of all that follows: no number moves, for their column is fixed.

    NOTE: CSS ``target-counter()`` is not used: it prints wrong numbers where a table grows, and
    lays everything out again.
    """
    context = _context(packet)
    style = _Style(weasyprint)
    opening, *rest = _parts(packet)
    tell = progress or (lambda done, total: None)
    steps = len(rest) + 2
    tell(0, steps)
    documents = [style.lay_out(_html(context, opening, 1, {}))]
    pages: dict[str, int] = {}
    count = _number(documents[0], pages, 0)
    for done, part in enumerate(rest, start=1):
        documents.append(style.lay_out(_html(context, part, count + 1, pages)))
        count = _number(documents[-1], pages, count)
        tell(done, steps)
    first = style.lay_out(_html(context | {"pages_total": count}, opening, 1, pages))
    if len(first.pages) != len(documents[0].pages):
        raise ReportError("report.unstable-pages", "page numbers changed the pages they stand on")
    tell(steps - 1, steps)
    documents[0] = first
    return first.copy([page for document in documents for page in document.pages])


def _number(document: Any, pages: dict[str, int], before: int) -> int:
    """Note the page of each anchor of a document that ``before`` pages precede; their new count."""
    for number, page in enumerate(document.pages, start=before + 1):
        for anchor in page.anchors:
            # NOTE: what goes on over a page's end is an anchor on both pages; it begins here.
            pages.setdefault(anchor, number)
    return before + len(document.pages)


class _Style:
    """The style sheet and the fonts, read once for all parts."""

    def __init__(self, weasyprint: Any) -> None:
        from weasyprint.text.fonts import FontConfiguration

        from .fetcher import BundledFetcher

        self._weasyprint = weasyprint
        self._fetcher = BundledFetcher()
        self._fonts = FontConfiguration()
        self._sheet = weasyprint.CSS(
            string=_text("packet.css"), url_fetcher=self._fetcher, font_config=self._fonts
        )

    def lay_out(self, html: str) -> Any:
        """A ``weasyprint.Document``."""
        from .fetcher import refusals

        with refusals():
            source = self._weasyprint.HTML(string=html, url_fetcher=self._fetcher)
            return source.render(
                font_config=self._fonts, stylesheets=[self._sheet], pdf_variant="pdf/a-3a"
            )


def _parts(packet: PacketInput) -> list[Part]:
    first, *more = register.lots(packet.records)
    return [
        Part("opening.html", {}),
        Part("findings.html", {}),
        Part("register.html", {"records": first}),
        *(Part("register.html", {"records": lot, "chapter": "Evidence register"}) for lot in more),
        Part("closing.html", {}),
    ]


def _html(context: Mapping[str, Any], part: Part, first: int, pages: Mapping[str, int]) -> str:
    """One part.

    Args:
        first: number of its first page.
        pages: page number of each anchor; ``000`` stands where a number is not known yet.
    """
    values = {**context, **part.values, "first": first, "pages": pages}
    return _environment().get_template(part.template).render(values)


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
    environment.filters["whole"] = whole
    return environment


def _finalize(value: Any) -> Any:
    """Every value a template prints passes here: what is not markup of ours becomes printable."""
    return value if isinstance(value, Markup) else printable(str(value))


def _context(packet: PacketInput) -> dict[str, Any]:
    coverage = packet.coverage
    total = views.counts(coverage.controls)
    charted = views.charted(packet)
    apart = {record.index for record in charted}
    missing = [(c, found) for c in coverage.catalogs if (found := views.needs(packet, c))]
    context: dict[str, Any] = {
        "packet": packet,
        "coverage": coverage,
        "system": str(coverage.system),
        "clock": format_time(packet.checkpoint_time),
        "chapter": None,
        "pages_total": None,
        "v": views,
        "charts": charts,
        "labels": charts.LABELS,
        "meanings": MEANINGS,
        "max_text": MAX_TEXT,
        "budget": register.BUDGET,
        "share": register.share(len(packet.records)),
        "charted": charted,
        "apart": apart,
        "rows": register.Rows(packet, apart),
        "uncharted": len(views.evaluations(packet)) - len(charted),
        "approved": views.approved(packet),
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
        (1, "people", "Owners and approvals"),
        (1, "evaluations", "Evaluation results"),
        (1, "register", "Evidence register"),
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
