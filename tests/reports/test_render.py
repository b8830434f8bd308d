"""The packet as a PDF."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any

import pikepdf
import pytest

from muniment.reports import register, render
from muniment.reports.model import Embedded, PacketInput
from muniment.reports.pagetext import read_pages
from muniment.reports.render import render_html, render_pdf
from muniment.reports.signature import read_attachments
from muniment.schemas.errors import ReportError

ATTACK = (
    "<script>alert(1)</script><link rel=attachment href=file:///etc/passwd>"
    "<img src='http://evil.example.com/x'><svg><image href='file:///etc/hostname'/></svg>"
    "{{ packet }} 🙂 \u202etxt \x1b[2J \ud800"
)


def text_of(pdf: bytes, tmp_path: Path) -> list[str]:
    """Text of each page, by poppler."""
    file = tmp_path / "packet.pdf"
    file.write_bytes(pdf)
    done = subprocess.run(
        ["pdftotext", "-layout", "-enc", "UTF-8", str(file), "-"], capture_output=True, check=True
    )
    return done.stdout.decode().split("\f")[:-1]


def test_attachments_come_back(build: ModuleType, unsigned: bytes) -> None:
    """Embedded files come out as they went in, and two of equal content keep their own names; to
    the manifest alone something is added, the digests of the pages."""
    given = {item.name: item.data for item in build.ATTACHMENTS}
    found = read_attachments(unsigned)
    manifest = json.loads(found.pop("manifest.json"))
    assert manifest.pop("pages") == read_pages(unsigned)[0].to_json()
    assert manifest == json.loads(given.pop("manifest.json"))
    assert found == given


def test_attachments_carry_type_and_relationship(build: ModuleType, unsigned: bytes) -> None:
    """Media type and relationship are those given, and each file is associated once."""
    with pikepdf.open(io.BytesIO(unsigned)) as pdf:
        found = {
            str(item.UF): (str(item.EF.F.Subtype), str(item.AFRelationship)) for item in pdf.Root.AF
        }
        assert len(pdf.Root.AF) == len(build.ATTACHMENTS)
    assert found == {
        item.name: (f"/{item.media_type}", f"/{item.relationship}") for item in build.ATTACHMENTS
    }


def test_archival_and_accessible_identifiers(build: ModuleType, unsigned: bytes) -> None:
    """One plain XMP packet says PDF/A-3a, PDF/UA-1 and the checkpoint; the language is set."""
    with pikepdf.open(io.BytesIO(unsigned)) as pdf:
        xmp = pdf.Root.Metadata.read_raw_bytes().decode()
        assert str(pdf.Root.Lang) == "en"
        assert pdf.Root.MarkInfo.Marked and pdf.Root.ViewerPreferences.DisplayDocTitle
        assert str(pdf.docinfo["/CreationDate"]) == "D:20261120160405Z"
    assert 'pdfaid:part="3"' in xmp and 'pdfaid:conformance="A"' in xmp
    assert "<pdfuaid:part>1</pdfuaid:part>" in xmp
    assert f"evidence.example.com/credit 19 {build.ROOT}</muniment:checkpoint>" in xmp
    assert xmp.count("<rdf:RDF") == 1


def test_contents_name_the_pages_where_chapters_begin(unsigned: bytes, tmp_path: Path) -> None:
    """Every line of the contents gives the page that its link leads to, and its title is there."""
    pages = text_of(unsigned, tmp_path)
    listed = pages[1].partition("pages in all")[0]
    lines = re.findall(r"^\s*(\S.*?)\s{2,}(\d+)$", listed, re.MULTILINE)
    assert len(lines) >= 17
    for title, number in lines:
        assert title in pages[int(number) - 1], (title, number)
    with pikepdf.open(io.BytesIO(unsigned)) as pdf:
        order: dict[Any, int] = {page.objgen: n for n, page in enumerate(pdf.pages, start=1)}
        names = list(pdf.Root.Names.Dests.Names)
        places = {str(n): order[d[0].objgen] for n, d in zip(names[::2], names[1::2], strict=True)}
        links = [str(a.Dest) for a in pdf.pages[1].Annots if "/Dest" in a]
    assert [places[link] for link in links] == [int(number) for _, number in lines]


def test_every_control_and_record_is_printed(
    build: ModuleType, packet: PacketInput, unsigned: bytes, tmp_path: Path
) -> None:
    """No control, record, key, omission or digest is missing from the pages."""
    text = " ".join(" ".join(text_of(unsigned, tmp_path)).split())
    for control in packet.coverage.controls:
        assert control.id.partition(":")[2] in text and control.title in text
    for item in packet.records:
        assert item.sha256 in text and item.signer.fingerprint in text
    assert all(key.fingerprint[:40] in text for key in packet.keys)
    assert all(sentence in text for sentence in packet.not_included)
    assert "MODIFIED since the commit" in text
    assert "OUTSIDE any git repository" in text


def test_no_font_of_the_machine(unsigned: bytes) -> None:
    """Only the bundled fonts are in the file, all embedded."""
    with pikepdf.open(io.BytesIO(unsigned)) as pdf:
        names = {str(font.BaseFont) for page in pdf.pages for font in page.Resources.Font.values()}
    assert names and all("Plex" in name for name in names)


def test_same_input_same_bytes(unsigned: bytes, tmp_path: Path) -> None:
    """Two processes with other hash seeds, time zones and languages write the same bytes."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import conftest, hashlib;"
        "from muniment.reports.render import render_pdf;"
        "pdf = render_pdf(conftest.make_packet(), conftest.ATTACHMENTS);"
        "print(hashlib.sha256(pdf).hexdigest())"
    )
    settings = [
        {"PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo", "LANG": "C"},
        {
            "PYTHONHASHSEED": "77",
            "TZ": "America/Lima",
            "LANG": "de_DE.UTF-8",
            "HOME": str(tmp_path),
        },
    ]
    here = str(Path(__file__).parent)
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, here],
            env={**os.environ, **setting},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            text=True,
        )
        for setting in settings
    ]
    found = {process.communicate()[0].strip() for process in running}
    assert found == {hashlib.sha256(unsigned).hexdigest()}


class _Tags(HTMLParser):
    """Collects tag names and the addresses that tags hold."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, Any]]) -> None:
        self.tags.add(tag)
        self.addresses |= {value for name, value in attrs if name in ("href", "src")}


def hostile_packet(build: ModuleType) -> PacketInput:
    """A packet in which every text is an attack."""
    hostile = build.record(
        20,
        "policy",
        {
            "title": ATTACK,
            ATTACK: ATTACK,
            "long": "A" * 100_000,
            "huge": 9e307,
            "rows": [{ATTACK: 1}],
        },
    )
    records = (*build.ledger(), hostile)
    packet: PacketInput = build.make_packet(
        records,
        build.coverage(records),
        organisation=ATTACK,
        not_included=(ATTACK,),
        profile_name=ATTACK,
    )
    return packet


def test_hostile_text_is_never_markup(build: ModuleType) -> None:
    """No tag and no address on the page comes from a record."""
    page = _Tags(render_html(hostile_packet(build)))
    honest = _Tags(render_html(build.make_packet()))
    assert page.tags - {"wbr"} == honest.tags - {"wbr"}
    assert all(address.startswith("#") for address in page.addresses)


def test_hostile_text_makes_a_plain_pdf(build: ModuleType, tmp_path: Path) -> None:
    """Attacks are printed as text, nothing is embedded that was not given, nothing is fetched."""
    pdf = render_pdf(hostile_packet(build), ())
    assert read_attachments(pdf) == {}
    text = " ".join(" ".join(text_of(pdf, tmp_path)).split())
    assert "<script>alert(1)</script>" in text
    assert "[U+1F642]" in text and "[U+202E]" in text and "[U+D800]" in text
    assert re.search(r"3\d,\d{3} more characters are in the embedded record", text)
    with pikepdf.open(io.BytesIO(pdf)) as document:
        for page in document.pages:
            for annotation in page.get("/Annots", []):
                assert "/A" not in annotation


def test_a_packet_of_nothing_says_so(build: ModuleType, tmp_path: Path) -> None:
    """Without records the packet still renders and does not claim anything."""
    pdf = render_pdf(build.make_packet(records=(), keys=()), ())
    text = " ".join(text_of(pdf, tmp_path))
    assert "There is no verified record about this system." in text
    assert "No key is known at this checkpoint." in text
    with pikepdf.open(io.BytesIO(pdf)) as document:
        parts = [item for item in document.objects if isinstance(item, pikepdf.Dictionary)]
        bodies = [item for item in parts if item.get("/S") == "/TBody"]
        assert bodies and all(len(item.get("/K", [])) for item in bodies)


@pytest.mark.parametrize(
    "emptied", [{"keys": ()}, {"covered": "controls"}, {"covered": "catalogs"}]
)
def test_no_table_is_empty(build: ModuleType, emptied: dict[str, Any]) -> None:
    """Where there is nothing to list there is no table: one without rows breaks PDF/UA."""
    if asked := emptied.get("covered"):
        whole = build.coverage(build.ledger())
        bare = tuple(replace(item, controls=()) for item in whole.catalogs)
        found = replace(whole, catalogs=bare if asked == "controls" else (), left_out=())
        emptied = {"covered": found}
    pages = render_html(build.make_packet(records=(), **emptied))
    assert pages.count("<tbody>") > 5
    assert not re.findall(r"<(tbody|tr|thead)[^>]*>\s*</\1>", pages)


@pytest.mark.parametrize(
    ("name", "again"), [("../x", False), ("", False), ("a/b", False), ("é", False), ("a", True)]
)
def test_attachment_names(
    packet: PacketInput, monkeypatch: pytest.MonkeyPatch, name: str, again: bool
) -> None:
    """A name with a folder, beyond ASCII, empty or twice is refused."""
    from muniment.reports import archival

    item = Embedded(name, b"", "text/plain", "Data", "")
    with pytest.raises(ReportError, match="cannot be embedded") as caught:
        archival.check_names([item, item] if again else [item])
    assert caught.value.code == "report.attachment-name"


def test_missing_libraries_are_named(monkeypatch: pytest.MonkeyPatch, packet: PacketInput) -> None:
    """Without Pango the error names the packages to install."""

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "weasyprint":
            raise OSError("cannot load library 'libpango-1.0-0'")
        return real(name, *args, **kwargs)

    import builtins

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ReportError, match="cannot be loaded") as caught:
        render_pdf(packet, ())
    assert caught.value.code == "report.no-pango"
    assert "libharfbuzz-subset0" in str(caught.value.hint)


def test_pages_load_nothing() -> None:
    """A page that asks for a file or an address ends the rendering with our error."""
    weasyprint = render._weasyprint()
    from muniment.reports.fetcher import BundledFetcher, refusals

    for address in ("file:///etc/passwd", "http://example.com/x.png", "muniment:fonts/../x.ttf"):
        page = f"<link rel=stylesheet href='{address}'><img src='{address}'>"
        with pytest.raises(ReportError, match="tried to load") as caught, refusals():
            weasyprint.HTML(string=page, url_fetcher=BundledFetcher()).render()
        assert caught.value.code == "report.fetch-refused"


def test_page_numbers_that_move_pages(monkeypatch: pytest.MonkeyPatch, packet: PacketInput) -> None:
    """Contents that take more pages with their numbers than without are an error, not a guess."""
    monkeypatch.setattr(
        render,
        "_html",
        lambda context, *_: "<p>1</p>" * (200 if context["pages_total"] else 1),
    )
    with pytest.raises(ReportError, match="page numbers changed") as caught:
        render_pdf(packet, ())
    assert caught.value.code == "report.unstable-pages"


def test_every_page_carries_its_number(unsigned: bytes, tmp_path: Path) -> None:
    """Parts are laid out apart, yet their pages are numbered through; the cover has no number."""
    pages = text_of(unsigned, tmp_path)
    assert [page.split()[-1] for page in pages[1:]] == [str(n) for n in range(2, len(pages) + 1)]
    assert f"{len(pages)} pages in all." in pages[1]


def test_matrix_and_register_lead_to_each_other(build: ModuleType, unsigned: bytes) -> None:
    """Every link has a place to go, across the parts; records and controls have their own."""
    with pikepdf.open(io.BytesIO(unsigned)) as pdf:
        places = {str(name) for name in list(pdf.Root.Names.Dests.Names)[::2]}
        links = {
            str(note.Dest)
            for page in pdf.pages
            for note in page.get("/Annots", [])
            if "/Dest" in note
        }
    assert links <= places
    assert {f"record-{record.index}" for record in build.ledger()} <= places
    assert {"control-2", "record-12", "evaluation-12"} <= links


def test_a_second_lot_keeps_its_chapter(
    build: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Records beyond the first lot stand on pages of the same chapter, each once."""
    monkeypatch.setattr(register, "AT_ONCE", 3)
    pages = text_of(render_pdf(build.make_packet(), ()), tmp_path)
    lots = [page for page in pages if "What it says, who signed it" in page]
    assert len(lots) == 3 and all("Evidence register" in page for page in lots)
    text = " ".join(lots)
    assert all(text.count(f"Record digest: {r.sha256}") == 1 for r in build.ledger())


def test_environment_is_put_back(packet: PacketInput, unsigned: bytes) -> None:
    """Rendering leaves no variable behind."""
    assert "FONTCONFIG_FILE" not in os.environ
    assert "SOURCE_DATE_EPOCH" not in os.environ


def test_structure_follows_the_pages(unsigned: bytes, tmp_path: Path) -> None:
    """A screen reader meets the chapters in the order of the contents, and drawings by title."""
    file = tmp_path / "packet.pdf"
    file.write_bytes(unsigned)
    done = subprocess.run(
        ["pdfinfo", "-struct-text", str(file)], capture_output=True, check=True, text=True
    )
    headings = re.findall(r'^  *H2.*\n *Span.*\n *"(.*)"', done.stdout, re.MULTILINE)
    listed = [title for level, _, title in _contents_of() if level == 1]
    assert headings == ["Contents", *listed]
    with pikepdf.open(io.BytesIO(unsigned)) as pdf:
        figures = [str(item.Alt) for item in pdf.objects if _is_figure(item)]
    for words in ("All controls:", "From data to gate:", "QR code of the checkpoint"):
        assert any(figure.startswith(words) for figure in figures)


def _is_figure(item: Any) -> bool:
    return isinstance(item, pikepdf.Dictionary) and item.get("/S") == "/Figure"


def _contents_of() -> list[tuple[int, str, str]]:
    from .conftest import make_packet

    found: list[tuple[int, str, str]] = render._context(make_packet())["toc"]
    return found
