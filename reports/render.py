"""The packet as HTML and as a PDF that is PDF/A-3a and PDF/UA-1 at once, the same bytes every time.

Rests on WeasyPrint; what of it is undocumented and pinned stands in ``archival.py``.
"""

from __future__ import annotations

import base64
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import StrictUndefined
from markupsafe import Markup

from muniment.controls.coverage import State
from muniment.controls.crosswalk import Source
from muniment.schemas.errors import ReportError
from muniment.schemas.text import first_up, shorten
from muniment.schemas.times import format_time

from . import (
    carried,
    charts,
    lineage,
    register,
    sampleview,
    sources,
    summary,
    timeline,
    views,
    widefonts,
)
from .model import Embedded, Logo, Override, PacketInput
from .namespaces import CHARTS, VIEWS
from .overrides import NOTICE, STYLE, Sandbox, loader, told
from .printable import MAX_TEXT, attribute, bundled, printable, whole
from .qr import qr

if TYPE_CHECKING:
    from muniment.evidence.verification import Progress

MEANINGS: Mapping[State, str] = {
    State.FAILED: "current evidence says no",
    State.MISSING: "no evidence of a kind that carries the control",
    State.STALE: "there was evidence; it is too old",
    State.UNAPPROVED: "there is evidence; a second person has not approved it, or objects",
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

    with _hermetic(packet.checkpoint_time):
        return write_pdf(_laid_out(_weasyprint(), packet, progress), packet, attachments)


def load() -> None:
    """Load what sets pages, as far as it can be; ``render_pdf`` says what cannot."""
    with suppress(ReportError), _hermetic(datetime.fromtimestamp(0, UTC)):
        _weasyprint()


def _laid_out(weasyprint: Any, packet: PacketInput, progress: Progress | None) -> Any:
    """All pages as one ``weasyprint.Document``.

    The opening, which holds the contents, is laid out first for its length and last with the page
    numbers of all that follows: no number moves, for their column is fixed.

    NOTE: CSS ``target-counter()`` is not used: it prints wrong numbers where a table grows, and
    lays everything out again.
    """
    context = _context(packet)
    style = _Style(weasyprint, packet.look.overrides)
    opening, *rest = _parts(packet)
    tell = progress or (lambda done, total: None)
    steps = len(rest) + 2
    tell(0, steps)
    documents = [style.lay_out(opening, _html(context, opening, 1, {}))]
    pages: dict[str, int] = {}
    count = _number(documents[0], pages, 0)
    for done, part in enumerate(rest, start=1):
        documents.append(style.lay_out(part, _html(context, part, count + 1, pages)))
        count = _number(documents[-1], pages, count)
        tell(done, steps)
    first = style.lay_out(opening, _html(context | {"pages_total": count}, opening, 1, pages))
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

    def __init__(self, weasyprint: Any, overrides: Sequence[Override]) -> None:
        from weasyprint.text.fonts import FontConfiguration

        from .fetcher import BundledFetcher

        self._weasyprint = weasyprint
        self._fetcher = BundledFetcher()
        self._fonts = FontConfiguration()
        self._packaged = self._sheet(_text(STYLE))
        own = next((item.text for item in overrides if item.name == STYLE), None)
        self._chosen = self._packaged if own is None else self._sheet(own)
        self._wide = widefonts.covered() - bundled()
        """Characters whose fonts, large ones, are not read yet."""

    def _sheet(self, text: str) -> Any:
        from .fetcher import refusals

        with refusals():
            return self._weasyprint.CSS(
                string=text, url_fetcher=self._fetcher, font_config=self._fonts
            )

    def lay_out(self, part: Part, html: str) -> Any:
        """A ``weasyprint.Document``."""
        from .fetcher import refusals

        if not self._wide.isdisjoint(map(ord, set(html))):
            self._sheet(widefonts.style())
            self._wide = frozenset()
        sheet = self._packaged if part.template == NOTICE else self._chosen
        with refusals():
            source = self._weasyprint.HTML(string=html, url_fetcher=self._fetcher)
            return source.render(
                font_config=self._fonts, stylesheets=[sheet], pdf_variant="pdf/a-3a"
            )


def _parts(packet: PacketInput) -> list[Part]:
    first, *more = register.lots(packet.records)
    return [
        Part("opening.html", {}),
        Part("findings.html", {}),
        Part("evidence.html", {}),
        Part("register.html", {"records": first}),
        *(Part("register.html", {"records": lot, "chapter": "Evidence register"}) for lot in more),
        Part("closing.html", {}),
        *([Part(NOTICE, {})] if packet.look.overrides else []),
    ]


def _html(context: Mapping[str, Any], part: Part, first: int, pages: Mapping[str, int]) -> str:
    """One part.

    Args:
        first: number of its first page.
        pages: page number of each anchor; ``000`` stands where a number is not known yet.

    Raises:
        ReportError: ``report.template``, a template of the workspace's is at fault.
    """
    values = {**context, **part.values, "first": first, "pages": pages}
    packet: PacketInput = context["packet"]
    overrides = () if part.template == NOTICE else packet.look.overrides
    try:
        return _environment(overrides).get_template(part.template).render(values)
    except MemoryError:
        raise
    except Exception as error:
        if not overrides:
            raise
        raise told(error, overrides) from error


def set_stamp(lines: Sequence[str], width: int, height: int, moment: datetime) -> bytes:
    """A signature's stamp as a PDF of one page.

    Args:
        width: in mm, as ``height``.
        moment: the only clock, UTC.

    Raises:
        ReportError: ``report.no-pango``.
    """
    values = {"lines": [shorten(line, 60) for line in lines], "width": width, "height": height}
    html = _environment(()).get_template("stamp.html").render(values)
    with _hermetic(moment), warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        weasyprint = _weasyprint()
        from .fetcher import BundledFetcher, refusals

        with refusals():
            source = weasyprint.HTML(string=html, url_fetcher=BundledFetcher())
            data: bytes = source.write_pdf(pdf_identifier=b"stamp", output_intent="srgb")
    return data


@contextmanager
def _hermetic(moment: datetime) -> Iterator[None]:
    """Hide the machine's fonts and clock while pages are laid out and written."""
    with resources.as_file(resources.files(__package__).joinpath("fonts/fonts.conf")) as config:
        wanted = {
            "FONTCONFIG_FILE": str(config),
            "SOURCE_DATE_EPOCH": str(int(moment.timestamp())),
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


@lru_cache(maxsize=4)
def _environment(overrides: tuple[Override, ...]) -> Sandbox:
    environment = Sandbox(
        loader=loader(overrides),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
    )
    environment.filters["attr"] = attribute
    environment.filters["first_up"] = first_up
    environment.filters["whole"] = whole
    return environment


def _finalize(value: Any) -> Any:
    """Every value a template prints passes here: what is not markup of ours becomes printable."""
    return value if isinstance(value, Markup) else printable(str(value))


def _context(packet: PacketInput) -> dict[str, Any]:
    """Everything that templates can name."""
    context: dict[str, Any] = {
        "packet": packet,
        "coverage": packet.coverage,
        "cover": packet.look.cover,
        "logo": _logo(packet.look.cover.logo),
        "paper": packet.look.paper,
        "system": str(packet.coverage.system),
        "clock": format_time(packet.checkpoint_time),
        "chapter": None,
        "pages_total": None,
        "v": VIEWS,
        "charts": CHARTS,
        "labels": charts.LABELS,
        "meanings": MEANINGS,
        **_judged(packet),
        **_evidence(packet),
        **_register(packet),
        "code": qr(packet.checkpoint, f"QR code of the checkpoint: {packet.checkpoint}"),
        "results": sampleview.results(packet.records),
        "manifest": _script("manifest.sh", packet),
        "openssl": _script("signature.sh", packet),
        "python": _script("inclusion.sh", packet),
    }
    context["toc"] = _contents(packet, context)
    return context


def _judged(packet: PacketInput) -> dict[str, Any]:
    """What the summary, the gaps, the matrix and the crosswalk print."""
    coverage = packet.coverage
    total = views.counts(coverage.controls)
    missing = [(c, found) for c in coverage.catalogs if (found := views.needs(packet, c))]
    crossing = carried.crossing(packet)
    return {
        "total": total,
        "shown": [state for state in charts.ORDER if total[state]],
        "heat": summary.heat(packet),
        "trend": summary.trend(packet),
        "trend_sentence": summary.trend_sentence(packet),
        "attention": views.attention(packet),
        "other_gaps": views.other_gaps(packet),
        "soon_stale": views.soon_stale(packet),
        "exceptions": views.exceptions(packet),
        "soa": views.soa(packet),
        "missing": missing,
        "missing_total": sum(len(need.controls) for _, needs in missing for need in needs),
        "crossing": crossing,
        "published": crossing.by(Source.PUBLISHED),
        "inferred": crossing.by(Source.INFERRED),
        "max_crossings": carried.MAX_LINES,
    }


def _evidence(packet: PacketInput) -> dict[str, Any]:
    """What the chapters on people, evaluations, data, lineage and monitoring print."""
    charted = views.charted(packet)
    found, series = lineage.lineage(packet), timeline.monitoring(packet)
    return {
        "by_function": views.by_function(packet),
        "charted": charted,
        "apart": {record.index for record in charted},
        "uncharted": len(views.evaluations(packet)) - len(charted),
        "sources": sources.data_sources(packet),
        "max_sources": sources.MAX_SOURCES,
        "lineage": found,
        "lineage_drawing": lineage.drawing(found),
        "series": series,
        "max_series": timeline.MAX_SERIES,
        "monitoring_summary": timeline.summary(series),
        "monitoring_drawing": timeline.drawing(series, packet),
        "unlisted_reports": sum(max(len(one.reports) - views.MAX_LINKS, 0) for one in series),
    }


def _register(packet: PacketInput) -> dict[str, Any]:
    """What the register prints, and what ties it to the other chapters."""
    apart = {record.index for record in views.charted(packet)}
    return {
        "max_text": MAX_TEXT,
        "budget": register.BUDGET,
        "share": register.share(len(packet.records)),
        "rows": register.Rows(packet, apart),
        "roomy": len(packet.records) <= register.ROOMY,
        "known": {record.index for record in packet.records},
        "anchors": views.control_anchors(packet),
        "ties": views.ties(packet),
        "replaced": views.replaced(packet),
        "approved": views.approved(packet),
        "approvers": views.approvers(packet),
    }


def _logo(logo: Logo | None) -> Markup | None:
    if logo is None:
        return None
    return Markup(f"data:{logo.media_type};base64,{base64.b64encode(logo.data).decode()}")


def _contents(packet: PacketInput, context: Mapping[str, Any]) -> list[tuple[int, str, str]]:
    """Level, anchor and title of every line of the contents."""
    cover, crossing = packet.look.cover, context["crossing"]
    monitoring = (1, "monitoring", "Monitoring over time")
    gaps = [
        ("gaps-blocking", "Controls that block the gate", True),
        ("gaps-other", "Open with some evidence", context["other_gaps"]),
        ("gaps-soon", "Met, but lapsing within 30 days", context["soon_stale"]),
        ("gaps-exceptions", "Waived or not applicable", context["exceptions"]),
        ("gaps-missing", "Nothing that carries the control", context["missing"]),
    ]
    return [
        (1, "summary", "Summary"),
        *([(1, "reviewer", "The reviewer’s words")] if cover.scope or cover.conclusions else []),
        *([] if context["heat"].is_whole else [(1, "areas", "Coverage by area")]),
        (1, "scope", "Scope and system"),
        (1, "gaps", "Open gaps"),
        *((2, anchor, title) for anchor, title, there in gaps if there),
        (1, "matrix", "Control matrix"),
        *(
            (2, f"matrix-{number}", catalog.name)
            for number, catalog in enumerate(packet.coverage.catalogs, start=1)
        ),
        *([(1, "crosswalk", "Evidence carried over")] if crossing.rests or crossing.helps else []),
        *([(1, "soa", "Statement of applicability")] if context["soa"] else []),
        *([(1, "sample", "Test sample")] if packet.sample or context["results"] else []),
        (1, "people", "Owners and approvals"),
        (1, "evaluations", "Evaluation results"),
        (1, "data", "Data provenance"),
        *([] if context["series"] else [monitoring]),
        *([(1, "lineage", "From data to gate")] if context["lineage"].ties else []),
        *([monitoring] if context["series"] else []),
        (1, "register", "Evidence register"),
        (1, "omissions", "What this packet leaves out"),
        (1, "custody", "Chain of custody"),
        (1, "verify", "Verify this packet yourself"),
        (1, "signoff", "Sign-off"),
        *([(1, "templates", "Templates of the workspace")] if packet.look.overrides else []),
    ]


def _script(name: str, packet: PacketInput) -> str:
    number = packet.records[0].index if packet.records else 0
    return _text(name).replace("RECEIPT", f"receipt-{number:06d}.sigstore.json").rstrip()


def _text(name: str) -> str:
    return resources.files(__package__).joinpath("templates", name).read_text("utf-8")


_HARFBUZZ = ("libharfbuzz.so.0", "libharfbuzz.0.dylib", "libharfbuzz-0.dll")


def text_libraries() -> dict[str, str]:
    """Versions of the system's libraries that set text.

    Raises:
        ReportError: ``report.no-pango``.
    """
    import ctypes

    _weasyprint()
    from weasyprint.text.ffi import pango

    shaper = "unknown"
    for name in _HARFBUZZ:
        with suppress(OSError):
            function = ctypes.CDLL(name).hb_version_string
            function.restype = ctypes.c_char_p
            shaper = function().decode()
            break
    return {"pango": str(pango.pango_version()), "harfbuzz": shaper}
