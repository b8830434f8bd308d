"""Chinese, Japanese and Korean text, with the fonts of the extra ``cjk`` and without."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pikepdf
import pytest

from muniment.reports import printable, printed, widefonts
from muniment.reports.model import PacketInput
from muniment.reports.render import render_pdf

WORDS = "信用评分模型 スコアリング 신용 평가"


@pytest.fixture
def spoken(build: ModuleType) -> PacketInput:
    """A packet whose policy is written in three scripts."""
    packet: PacketInput = build.make_packet((build.record(1, "policy", {"title": WORDS}),))
    return packet


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that has not installed the extra."""
    caches = (widefonts.covered, printable.covered, printed.renderer)
    monkeypatch.setattr(widefonts, "_PACKAGE", "package_that_is_not_there")
    for function in caches:
        function.cache_clear()
    yield
    for function in caches:
        function.cache_clear()


def _text(pdf: bytes, folder: Path) -> str:
    file = folder / "packet.pdf"
    file.write_bytes(pdf)
    return subprocess.run(["pdftotext", file, "-"], capture_output=True, text=True).stdout


def _fonts(file: Path) -> set[str]:
    with pikepdf.open(file) as document:
        return {
            str(font.BaseFont).partition("+")[2]
            for page in document.pages
            for font in page.resources.Font.values()
        }


def test_printed_with_the_extra(spoken: PacketInput, tmp_path: Path) -> None:
    """Where the fonts are installed the words are on the pages, in embedded fonts, and the packet
    names the fonts among what set it."""
    assert WORDS in _text(render_pdf(spoken, ()), tmp_path)
    assert any(name.startswith("Noto-Sans") for name in _fonts(tmp_path / "packet.pdf"))
    assert printed.renderer()[widefonts.DISTRIBUTION] == widefonts.version()


def test_not_read_without_need(packet: PacketInput, tmp_path: Path) -> None:
    """Pages that have none of their characters do not load the large fonts."""
    _text(render_pdf(packet, ()), tmp_path)
    assert not any("Noto" in name for name in _fonts(tmp_path / "packet.pdf"))


def test_code_points_without_the_extra(spoken: PacketInput, without: None, tmp_path: Path) -> None:
    """Where they are not, each character is printed as its code point."""
    text = _text(render_pdf(spoken, ()), tmp_path).replace("\n", "")
    assert "[U+4FE1][U+7528]" in text and WORDS[0] not in text
    assert widefonts.DISTRIBUTION not in printed.renderer()
