"""The pages read back from the PDF, and held against the coverage they were made from."""

from __future__ import annotations

import copy
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from muniment.reports.model import PacketInput
from muniment.reports.pagecheck import compare_pages
from muniment.reports.pagetext import Element, read_pages
from muniment.reports.render import render_pdf
from muniment.schemas.errors import VerificationError
from muniment.schemas.finding import Check


@pytest.fixture(scope="module")
def root(unsigned: bytes) -> Element:
    return read_pages(unsigned)[1]


def compared(root: Element, coverage: dict[str, Any]) -> Check:
    check = Check("pages", "")
    compare_pages(check, root, coverage)
    return check


def test_the_pages_say_what_the_coverage_says(root: Element, packet: PacketInput) -> None:
    """Every state, count, title and date of the packet's tables is that of its coverage."""
    check = compared(root, packet.coverage.to_json())
    assert check.findings == []
    assert check.checked > 2 * len(packet.coverage.controls)


def _state(coverage: Any) -> None:
    coverage["catalogs"][0]["controls"][2]["state"] = "failed"


def _swapped(coverage: Any) -> None:
    """Counts stay as they are."""
    first, second = coverage["catalogs"][0]["controls"][2], coverage["catalogs"][0]["controls"][0]
    first["state"], second["state"] = second["state"], first["state"]


def _date(coverage: Any) -> None:
    coverage["catalogs"][0]["controls"][2]["fresh_until"] = "2031-01-01T00:00:00Z"


def _lapses(coverage: Any) -> None:
    coverage["catalogs"][0]["controls"][3]["fresh_until"] = "2026-12-11T23:59:59Z"


def _title(coverage: Any) -> None:
    coverage["catalogs"][0]["controls"][0]["title"] = "Another title"


def _more(coverage: Any) -> None:
    control = {**coverage["catalogs"][1]["controls"][0], "id": "readiness-gate:RG-9"}
    coverage["catalogs"][1]["controls"].append(control)


def _fewer(coverage: Any) -> None:
    coverage["catalogs"][1]["controls"].pop()


def _framework(coverage: Any) -> None:
    coverage["catalogs"].append({"catalog": "x", "name": "Another", "controls": []})


@pytest.mark.parametrize(
    "change", [_state, _swapped, _date, _lapses, _title, _more, _fewer, _framework]
)
def test_every_difference_is_found(
    root: Element, packet: PacketInput, change: Callable[[Any], None]
) -> None:
    """One other state, date, title, control or framework in the data, and the pages do not fit."""
    coverage = copy.deepcopy(packet.coverage.to_json())
    change(coverage)
    assert {item.code for item in compared(root, coverage).findings} == {"pages.differ"}


def test_reading_order(root: Element) -> None:
    """What a screen reader hears comes in the order of the pages, the signature fields last."""
    tags = [element.tag for element in root.walk()]
    heard = root.text
    order = ["Summary", "Scope and system", "Open gaps", "Control matrix", "Sign-off"]
    places = [heard.index(f"\n{title}\n") for title in order]
    assert places == sorted(places)
    assert tags.count("Form") == 2 and tags[-1] == "Form"


def test_a_figure_is_heard_by_its_description(root: Element) -> None:
    """Charts are told in words."""
    told = [element.text for element in root.walk() if element.tag == "Figure"]
    assert any("All controls: " in text for text in told)
    assert all(text.strip() for text in told)


def test_nothing_on_the_pages_cannot_be_read(root: Element) -> None:
    """Every glyph has a character."""
    assert "\ufffd" not in root.text


def test_content_is_fixed(build: ModuleType, unsigned: bytes, signed: bytes) -> None:
    """A signature with its stamp leaves the pages' content as it was; another word changes it."""
    content, _ = read_pages(unsigned)
    assert read_pages(signed)[0] == content
    other, _ = read_pages(render_pdf(build.make_packet(organisation="Another Bank"), ()))
    assert other.content_sha256 != content.content_sha256


def test_no_pdf() -> None:
    """What is no PDF is an error of ours."""
    with pytest.raises(VerificationError, match="cannot be read"):
        read_pages(b"%PDF-1.7\nnothing")
