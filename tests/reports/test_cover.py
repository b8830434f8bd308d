"""Cover notes, logos, colours, paper, and a workspace's own templates."""

from __future__ import annotations

import io
import json
import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pikepdf
import pytest
from PIL import Image

from muniment.reports.cover import MAX_DEPTH, contrast_with_white, read_cover
from muniment.reports.look import read_look
from muniment.reports.model import Cover, Logo, Look, PacketInput
from muniment.reports.overrides import Sandbox, read_overrides, replaceable
from muniment.reports.printed import pages_document, with_look
from muniment.reports.render import _context, render_html, render_pdf
from muniment.schemas.errors import InputError, ReportError, SchemaError

SVG = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{}</svg>'


def png(width: int = 40, height: int = 20) -> bytes:
    file = io.BytesIO()
    Image.new("RGBA", (width, height), (10, 80, 60, 200)).save(file, "PNG")
    return file.getvalue()


def raw_png(width: int, height: int, pixels: bytes, *first: tuple[bytes, bytes]) -> bytes:
    """A PNG of 8-bit greys put together by hand: every length and checksum in it is right."""
    parts = [*first, (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))]
    parts += [(b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
    found = b"\x89PNG\r\n\x1a\n"
    for name, data in parts:
        checksum = struct.pack(">I", zlib.crc32(name + data))
        found += struct.pack(">I", len(data)) + name + data + checksum
    return found


def deep_grey() -> bytes:
    file = io.BytesIO()
    Image.new("I;16", (4, 4)).save(file, "PNG")
    return file.getvalue()


def cover(folder: Path, text: str) -> Cover:
    file = folder / "cover.yaml"
    file.write_text(text)
    return read_cover(file)


def packet_with(packet: PacketInput, folder: Path, **templates: str) -> PacketInput:
    (folder / "packet").mkdir()
    for name, text in templates.items():
        (folder / "packet" / f"{name}.html").write_text(text)
    return replace(packet, look=Look(overrides=read_overrides(folder)))


def test_a_cover_is_read(tmp_path: Path) -> None:
    """Every field of a cover file comes in, the logo relative to the file."""
    (tmp_path / "logo.png").write_bytes(png())
    found = cover(
        tmp_path,
        "reviewer: Head of Risk\nscope: All of it.\nconclusions: Ready.\nlogo: logo.png\n"
        "accent: '#1d5a91'\n",
    )
    logo = Logo("image/png", png())
    assert found == Cover("Head of Risk", "All of it.", ("Ready.",), logo, "#1d5a91")


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("colour: red\n", "colour"),
        ("accent: red\n", "accent"),
        ("accent: '#12345'\n", "accent"),
        ("reviewer: 12\n", "reviewer"),
        ("scope: ''\n", "scope"),
        ("conclusions: [1]\n", "conclusions"),
        ("", ""),
    ],
)
def test_faults_of_a_cover_are_named(tmp_path: Path, text: str, path: str) -> None:
    """A field that is unknown or of the wrong form is refused by its name."""
    with pytest.raises(SchemaError) as caught:
        cover(tmp_path, text)
    assert caught.value.code == "cover.malformed"
    assert path in str(caught.value)


def test_accents_keep_contrast(tmp_path: Path) -> None:
    """A colour on which white cannot be read is refused, with its ratio."""
    assert contrast_with_white("#000000") == pytest.approx(21)
    assert contrast_with_white("#ffffff") == pytest.approx(1)
    with pytest.raises(InputError) as caught:
        cover(tmp_path, "accent: '#ffdd00'\n")
    assert (caught.value.code, caught.value.found) == ("cover.accent", "1.35")


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        '<image href="file:///etc/passwd"/>',
        '<use href="#a"/>',
        "<style>@import url(http://example.com/x.css);</style>",
        '<rect onload="alert(1)"/>',
        '<rect style="fill: url(http://example.com/x)"/>',
        '<rect fill="url(http://example.com/x)"/>',
        '<a href="http://example.com/"><rect/></a>',
        "<foreignObject/>",
        "<text>words</text>",
        '<rect xmlns:l="http://www.w3.org/1999/xlink" l:href="http://example.com/x"/>',
    ],
)
def test_drawings_that_do_more_than_draw(tmp_path: Path, inside: str) -> None:
    """An SVG logo that could fetch, run or need a font is refused."""
    (tmp_path / "logo.svg").write_text(SVG.format(inside))
    with pytest.raises(InputError) as caught:
        cover(tmp_path, "logo: logo.svg\n")
    assert caught.value.code == "cover.logo"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"<!DOCTYPE svg [<!ENTITY a 'a'>]>" + SVG.format("").encode(), "cover.logo"),
        (b"<html/>", "cover.logo"),
        (b"GIF89a", "cover.logo"),
        (b"", "cover.logo"),
        (png()[:60], "cover.logo"),
        (png(2001, 1), "cover.logo"),
        (raw_png(100, 100, b"\0" * 10), "cover.logo"),
        (raw_png(60_000, 60_000, b"", (b"tEXt", b"\0" * 16)), "cover.logo"),
        (raw_png(10_000, 10_000, b""), "cover.logo"),
        (raw_png(4, 4, b"\0" * 20, (b"cHRM", b"\0" * 3)), "cover.logo"),
        (deep_grey(), "cover.logo"),
        (SVG.format("<g>" * 9_000 + "</g>" * 9_000).encode(), "cover.logo"),
        (b"x" * (256 * 1024 + 1), "file.too-large"),
    ],
    ids=[
        "entity",
        "html",
        "gif",
        "empty",
        "cut",
        "wide",
        "few pixels",
        "bomb",
        "large",
        "chunk",
        "16 bits",
        "deep",
        "long",
    ],
)
def test_files_that_are_no_logo(tmp_path: Path, data: bytes, code: str) -> None:
    """What is no whole, small PNG or plain SVG is refused, also once WeasyPrint is loaded, which
    has Pillow forgive a cut file."""
    pytest.importorskip("weasyprint")
    (tmp_path / "logo").write_bytes(data)
    with pytest.raises(InputError) as caught:
        cover(tmp_path, "logo: logo\n")
    assert caught.value.code == code


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_a_png_is_drawn_as_it_is(packet: PacketInput, tmp_path: Path, mode: str) -> None:
    """PDF/A forbids that a reader smooths an image (ISO 19005-3 §6.2.8): no image asks for it, nor
    does its mask, whatever the workspace's style sheet says."""
    (tmp_path / "packet").mkdir()
    (tmp_path / "packet/packet.css").write_text("img { image-rendering: auto }")
    file = io.BytesIO()
    Image.new(mode, (40, 20)).save(file, "PNG")
    (tmp_path / "logo.png").write_bytes(file.getvalue())
    found = cover(tmp_path, "logo: logo.png\n")
    pdf = render_pdf(replace(packet, look=Look(found, read_overrides(tmp_path))), ())
    with pikepdf.open(io.BytesIO(pdf)) as document:
        streams = [item for item in document.objects if isinstance(item, pikepdf.Stream)]
        images = [item for item in streams if item.get("/Subtype") == "/Image"]
        assert len(images) == (2 if mode.endswith("A") else 1)
        assert not any(item.Interpolate for item in images)


def test_the_deepest_drawing_keeps_to_the_limit(packet: PacketInput, tmp_path: Path) -> None:
    """Groups as deep as a logo may have them leave the page with no more saved states than PDF/A
    allows (ISO 19005-3 §6.1.13); one more is refused."""
    levels = MAX_DEPTH - 2
    shape = '<rect width="9" height="9" fill="#fff"/>'
    drawn = SVG.format('<g transform="scale(.9)">' * levels + shape + "</g>" * levels)
    (tmp_path / "logo.svg").write_text(drawn)
    pdf = render_pdf(replace(packet, look=Look(cover(tmp_path, "logo: logo.svg\n"))), ())
    depth = deepest = 0
    with pikepdf.open(io.BytesIO(pdf)) as document:
        streams: list[Any] = [document.pages[0], *document.pages[0].Resources.XObject.values()]
        for form in streams:
            for step in pikepdf.parse_content_stream(form):
                depth += {"q": 1, "Q": -1}.get(str(step.operator), 0)
                deepest = max(depth, deepest)
    assert levels < deepest <= 28
    (tmp_path / "logo.svg").write_text(drawn.replace(shape, f"<g>{shape}</g>"))
    with pytest.raises(InputError, match="too deep") as caught:
        cover(tmp_path, "logo: logo.svg\n")
    assert caught.value.code == "cover.logo"


def test_a_logo_that_is_missing(tmp_path: Path) -> None:
    """A logo that is not there is said so."""
    with pytest.raises(InputError) as caught:
        cover(tmp_path, "logo: nowhere.png\n")
    assert caught.value.code == "file.missing"


def test_letter_paper_with_cover(packet: PacketInput, tmp_path: Path) -> None:
    """Pages are letter size, upright or across; the cover holds the logo and the words."""
    (tmp_path / "logo.svg").write_text(SVG.format('<rect width="9" height="9" fill="#fff"/>'))
    found = cover(
        tmp_path, "reviewer: Head of Risk\nconclusions: <b>Not</b> ready.\nlogo: logo.svg\n"
    )
    pdf = render_pdf(replace(packet, look=Look(found, (), "letter")), ())
    with pikepdf.open(io.BytesIO(pdf)) as document:
        sizes = {tuple(round(float(x)) for x in page.mediabox)[2:] for page in document.pages}
        first = document.pages[0]
        text = document.pages[0].Contents.read_bytes()
    assert sizes == {(612, 792), (792, 612)}
    assert "/XObject" in first.Resources and text
    page = render_html(replace(packet, look=Look(found)))
    assert "&lt;b&gt;Not&lt;/b&gt; ready." in page and "<b>Not</b>" not in page


def test_other_paper_is_refused(tmp_path: Path) -> None:
    """Paper of another size is refused with those there are."""
    with pytest.raises(InputError, match="no paper") as caught:
        read_look(tmp_path, None, "a3")
    assert caught.value.expected == "a4 or letter"


def test_a_template_is_laid_over(packet: PacketInput, tmp_path: Path) -> None:
    """A workspace's template takes the place of the packet's, may extend it, and is named with its
    digest on a page of our own."""
    own = packet_with(
        packet,
        tmp_path,
        register='{% extends "muniment/register.html" %}{% block body %}{{ super() }}'
        "<p>House rule 7</p>{% endblock %}",
        base='{% extends "muniment/base.html" %}',
    )
    page = render_html(own)
    assert "House rule 7" in page and "Evidence register" in page
    notice = page[page.index('id="templates"') :]
    assert all(item.name in notice and item.sha256 in notice for item in own.look.overrides)
    assert 'id="templates"' not in render_html(packet)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{% if %}", "line 1"),
        ("\n\n{{ nothing }}", "line 3: 'nothing' is undefined"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ v.re.enum.sys.modules }}", "line 1"),
        ("{{ v.text_of.__globals__ }}", "line 1"),
        ("{{ ''.__class__.__mro__ }}", "line 1"),
        ("{{ packet.organisation|safe }}", "No filter named 'safe'"),
        ('{% include "../packet.py" %}', "packet.py"),
        ('{% include "notice.html" %}{% include "nowhere.html" %}', "nowhere.html"),
    ],
)
def test_faults_of_templates_are_named(
    packet: PacketInput, tmp_path: Path, text: str, said: str
) -> None:
    """A template that is wrong, or reaches behind its data, is named with its line."""
    own = packet_with(packet, tmp_path, register=text)
    with pytest.raises(ReportError) as caught:
        render_html(own)
    assert caught.value.code == "report.template"
    assert said in str(caught.value) and "packet/" in str(caught.value)


UNESCAPED = {
    "module": "{{ charts.Markup(packet.organisation) }}",
    "other module": "{{ v.Markup(packet.organisation) }}",
    "class": "{{ code.__class__(packet.organisation) }}",
    "filter": "{{ packet.organisation|safe }}",
    "mapped filter": "{{ [packet.organisation]|map('safe')|first }}",
    "indent": "{{ code|indent(packet.organisation, true) }}",
    "mapped indent": "{{ [code]|map('indent', packet.organisation, true)|first }}",
    "translate": "{{ code.translate({60: packet.organisation}) }}",
    "attr of translate": "{{ (code|attr('translate'))({60: packet.organisation}) }}",
    "replace": "{{ code.replace('<', packet.organisation) }}",
    "replace filter": "{{ code|replace('<', packet.organisation) }}",
    "join": "{{ code[:1].join([packet.organisation, packet.organisation]) }}",
    "format": "{{ code[:1].format(packet.organisation) ~ packet.organisation }}",
    "format of markup": "{% set m %}{0} %s{% endset %}{{ m.format(packet.organisation) }}",
    "percent": "{% set m %}%s{% endset %}{{ m % packet.organisation }}{{ m|format(v) }}",
    "pad": "{{ code[:1].ljust(9, packet.organisation[:1]) }}{{ packet.organisation }}",
    "no escaping": "{% autoescape false %}{{ packet.organisation }}{% endautoescape %}",
    "no escaping, set": "{% autoescape false %}{% set m %}{{ packet.organisation }}{% endset %}"
    "{{ m }}{% endautoescape %}{{ packet.organisation|string }}",
    "macro": "{% autoescape false %}{% macro m(x) %}{{ x }}{% endmacro %}"
    "{{ m(packet.organisation) }}{% endautoescape %}",
    "wrap": "{{ code|wordwrap(9, wrapstring=packet.organisation) }}",
    "cut": "{{ code|truncate(9, true, packet.organisation) }}",
    "json": "{{ [packet.organisation]|tojson(indent=packet.organisation) }}",
    "attributes": "{{ {'a': packet.organisation}|xmlattr }}",
    "names of attributes": "{{ {packet.organisation: 'a'}|xmlattr }}",
    "links": "{{ packet.organisation|urlize(rel=packet.organisation) }}",
    "a chart's name": "{{ charts.donut(total, packet.organisation) }}",
    "a chart's value": "{{ charts.gauge(packet.organisation, 1, true, 'x') }}",
}


@pytest.mark.parametrize("text", UNESCAPED.values(), ids=UNESCAPED)
def test_no_template_makes_markup_of_a_text(packet: PacketInput, tmp_path: Path, text: str) -> None:
    """Whatever a template asks for, what a record says is text, or the template is refused."""
    own = packet_with(replace(packet, organisation="<b>bold</b>"), tmp_path, register=text)
    try:
        page = render_html(own)
    except ReportError as error:
        assert error.code == "report.template"
        return
    assert "bold" in page and "<b>" not in page


def test_templates_reach_no_class_and_no_module(packet: PacketInput) -> None:
    """From all that a template is given no step leads to a module, a class or a path, but those
    that the sandbox refuses."""
    sandbox = Sandbox()
    seen: dict[int, Any] = {}
    todo: list[tuple[str, Any]] = list(_context(packet).items())
    while todo:
        path, value = todo.pop()
        assert not isinstance(value, ModuleType | type | Path), path
        if id(value) in seen or path.count(".") > 5:
            continue
        seen[id(value)] = value
        if isinstance(value, Mapping):
            todo.extend((f"{path}.", inner) for inner in value.values())
        elif isinstance(value, tuple | list | set | frozenset):
            todo.extend((f"{path}.", inner) for inner in value)
        elif type(value).__module__.startswith(("muniment.", "types")):
            for name in dir(value):
                inner = getattr(value, name, None)
                if sandbox.is_safe_attribute(value, name, inner):
                    todo.append((f"{path}.{name}", inner))
    assert len(seen) > 100


def test_templates_of_other_names_are_refused(tmp_path: Path) -> None:
    """A file that takes no template's place, or that of the notice, is an error and not ignored."""
    (tmp_path / "packet").mkdir()
    for name in ("summary.html", "notice.html", "stamp.html", "webpage.html", "other.css"):
        file = tmp_path / "packet" / name
        file.write_text("x")
        with pytest.raises(InputError) as caught:
            read_overrides(tmp_path)
        assert (caught.value.code, caught.value.found) == ("template.unknown", name)
        file.unlink()


DOCUMENT = (Path(__file__).parents[2] / "docs" / "packet.md").read_text("utf-8")


def test_the_document_lists_the_templates() -> None:
    """What docs/packet.md names is what a workspace may lay over."""
    told = DOCUMENT.partition("the template of the same name:")[2].partition("A file of any")[0]
    assert sorted(re.findall("`([a-z.]+)`", told)) == replaceable()


def test_the_example_of_the_document(packet: PacketInput, tmp_path: Path) -> None:
    """The template of docs/packet.md puts its paragraph into the sign-off, and changes no more."""
    (example,) = re.findall("```jinja\n(.*?)```", DOCUMENT, re.S)
    own, plain = render_html(packet_with(packet, tmp_path, closing=example)), render_html(packet)
    notice = own.partition('id="templates"')[2]
    (added,) = re.findall("<p>It was reviewed .*?</p>", example)
    signoff = own.partition('id="signoff"')[2]
    assert signoff.index(added) < signoff.index(">Reviewer</th>")
    assert own.replace(added, "").count("<p>") == plain.count("<p>") + notice.count("<p>")


def test_a_template_fetches_nothing(packet: PacketInput, tmp_path: Path) -> None:
    """Neither a template nor a style sheet loads a file or an address."""
    (tmp_path / "packet").mkdir()
    for name, text in (
        ("register.html", "<img src='file:///etc/passwd'>"),
        ("packet.css", "@import url(http://example.com/x.css);"),
    ):
        file = tmp_path / "packet" / name
        file.write_text(text)
        own = replace(packet, look=Look(overrides=read_overrides(tmp_path)))
        with pytest.raises(ReportError) as caught:
            render_pdf(own, ())
        assert caught.value.code == "report.fetch-refused"
        file.unlink()


def test_an_accent_colours_the_cover(packet: PacketInput, tmp_path: Path) -> None:
    """The colour stands in the pages' own style, and without one there is none."""
    look: Any = Look(cover(tmp_path, "accent: '#6a1b4d'\n"))
    assert ".cover .band { background: #6a1b4d }" in render_html(replace(packet, look=look))
    assert "background: #" not in render_html(packet)


DRAWN = SVG.format('<rect width="9" height="9"/>').encode()
LIES: dict[str, dict[str, bytes | None]] = {
    "another logo": {"logo.svg": DRAWN.replace(b"9", b"8")},
    "no logo": {"logo.svg": None},
    "one that runs": {"logo.svg": DRAWN.replace(b"<rect", b"<script/><rect")},
    "one too large": {"logo.svg": DRAWN + b" " * (256 << 10)},
}


@pytest.mark.parametrize("name", LIES)
def test_a_logo_that_was_swapped(packet: PacketInput, name: str) -> None:
    """Neither does the verifier draw a logo that making a packet would refuse, nor another than the
    one that ``pages.json`` names."""
    logo = Logo("image/svg+xml", DRAWN)
    said = pages_document("Bank", [], [], 0, Look(Cover(logo=logo)), {})
    files = {"pages.json": json.dumps(said).encode(), "logo.svg": logo.data}
    assert with_look(packet, files).look.cover.logo == logo
    changed = {**files, **LIES[name]}
    with pytest.raises(InputError) as caught:
        with_look(packet, {key: data for key, data in changed.items() if data is not None})
    assert caught.value.code == "cover.logo"
    if name == "another logo":
        bare = pages_document("Bank", [], [], 0, Look(), {})
        with pytest.raises(InputError, match="not the one"):
            with_look(packet, {**files, "pages.json": json.dumps(bare).encode()})


@pytest.mark.parametrize("accent", ["red } .verdict { display: none", "#ffffff"])
def test_an_accent_that_hides_something(packet: PacketInput, accent: str) -> None:
    """Whoever signs a packet puts no style of their own into pages that a verifier sets again."""
    said = {"pages.json": b'{"look": {"logo": null}}'}
    with pytest.raises(InputError) as caught:
        with_look(replace(packet, look=Look(Cover(accent=accent))), said)
    assert caught.value.code == "cover.accent"
