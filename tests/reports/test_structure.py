"""What a screen reader is given, of real packets and of one in several scripts: all of it, in the
order of the pages, with headings, tables, figures and links that say what they are."""

from __future__ import annotations

from itertools import pairwise
from types import ModuleType

import pytest

from muniment.reports.model import PacketInput
from muniment.reports.render import render_html, render_pdf

from ..readingorder import HEADINGS, Unit, differences, of_html, of_tree
from ..structure import Reading, bare, read
from .issuing import Issued

pytestmark = pytest.mark.xdist_group("issued")
SCRIPTS = {
    "Arabic": "سجل مخاطر النماذج 2026",
    "Hebrew": "רישום סיכוני מודלים 2026",
    "Japanese": "モデルリスク台帳 2026",
    "mixed": "Risk רישום 12, سجل 34, 台帳 56",
}


@pytest.fixture(scope="module")
def several_scripts(build: ModuleType) -> PacketInput:
    """A packet with titles, bodies and people in several scripts."""
    records = tuple(
        build.record(
            20 + number,
            "policy",
            {"title": text, "rules": [text, f"{name}: {text} " * 40], "owner": text},
            by=build.signer(f"{name} {text}"),
        )
        for number, (name, text) in enumerate(SCRIPTS.items())
    )
    every = (*build.ledger(), *records)
    packet: PacketInput = build.make_packet(every, build.coverage(every), organisation="銀行 בנק")
    return packet


@pytest.fixture(scope="module", params=["fixture", "scripts", "demo", "rich"])
def both(request: pytest.FixtureRequest) -> tuple[PacketInput, Reading]:
    """A packet, and what its PDF gives to a screen reader."""
    if request.param in ("demo", "rich"):
        one: Issued = request.getfixturevalue("issued")[request.param]
        return one.packet, read(one.pdf)
    name = {"fixture": "packet", "scripts": "several_scripts"}[request.param]
    packet: PacketInput = request.getfixturevalue(name)
    return packet, read(render_pdf(packet, ()))


@pytest.fixture(scope="module")
def reading(both: tuple[PacketInput, Reading]) -> Reading:
    return both[1]


def test_the_tree_is_read_in_the_order_of_the_pages(both: tuple[PacketInput, Reading]) -> None:
    """Every heading, row, figure and text of the HTML is in the tree, in the same order, once."""
    packet, reading = both
    wanted, found = of_html(render_html(packet)), of_tree(reading.root)
    assert list(differences(wanted, found)) == []
    assert len(wanted) > 150


def test_another_order_is_found(packet: PacketInput, unsigned: bytes) -> None:
    """Two units the other way round, one that is missing, one twice or one with another word are
    each a difference, wherever they stand."""
    wanted, units = of_html(render_html(packet)), of_tree(read(unsigned).root)
    for at in range(0, len(units) - 1, 7):
        if units[at].is_head or units[at + 1].is_head or units[at].texts == units[at + 1].texts:
            continue
        swapped = [*units[:at], units[at + 1], units[at], *units[at + 2 :]]
        changed = Unit(units[at].tag, [*units[at].texts[:-1], f"{units[at].texts[-1]}x"])
        for other in (
            swapped,
            [*units[:at], *units[at + 1 :]],
            [*units[: at + 1], *units[at:]],
            [*units[:at], changed, *units[at + 1 :]],
        ):
            assert list(differences(wanted, other)), units[at]


def test_nothing_is_drawn_that_is_neither_read_nor_an_artifact(reading: Reading) -> None:
    """All text is in the tree or a running header or footer; pages lead to the elements that hold
    it, and every glyph has a character."""
    assert reading.loose == []
    assert reading.unmapped == 0
    assert "\ufffd" not in reading.root.shown + "".join(reading.artifacts)
    assert all(text.strip() for text in reading.artifacts[1:])


def test_headings_skip_no_level(reading: Reading) -> None:
    """One heading of the first level, and none more than one level below the one before it."""
    levels = [int(node.tag[1]) for node in reading.root.walk(*HEADINGS)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert all(node.text.strip() for node in reading.root.walk(*HEADINGS))


def test_bookmarks_are_the_headings(reading: Reading) -> None:
    """Every bookmark leads to the page on which a heading with its words begins."""
    headings = {(bare(node.text), node.page) for node in reading.root.walk(*HEADINGS)}
    assert reading.outline
    assert {(bare(title), page) for title, page in reading.outline} <= headings


def test_tables_are_whole(reading: Reading) -> None:
    """All rows of a table are as wide, every header cell says of what, and every cell names headers
    of its own table."""
    for table in reading.root.walk("Table"):
        rows = list(table.walk("TR"))
        cells = [cell for row in rows for cell in row.children]
        assert {cell.tag for cell in cells} <= {"TH", "TD"}
        widths = {sum(int(cell.attributes.get("ColSpan", 1)) for cell in r.children) for r in rows}
        assert len(widths) == 1, table.text
        heads = [cell for cell in cells if cell.tag == "TH"]
        assert all(str(cell.attributes["Scope"]) in ("/Column", "/Row") for cell in heads)
        for part in table.walk("THead"):
            assert all(str(c.attributes["Scope"]) == "/Column" for c in part.walk("TH"))
        known = {cell.attributes["ID"] for cell in heads}
        named = [set(c.attributes.get("Headers", ())) for c in cells if c.tag == "TD"]
        assert all(names <= known for names in named)
        assert all(named) or not known


def test_header_cells_are_named_once(reading: Reading) -> None:
    """No two header cells of the document go by one name."""
    named = [node.attributes["ID"] for node in reading.root.walk("TH")]
    assert len(named) == len(set(named))


def test_figures_are_described(reading: Reading) -> None:
    """Each has words; what is written in it is not read a second time."""
    figures = list(reading.root.walk("Figure"))
    assert figures and all(figure.alt and figure.alt.strip() for figure in figures)


def test_links_lead_somewhere_and_say_where(reading: Reading) -> None:
    """Each has text to read, one annotation at least, a destination that is there, and words for it
    that are not the name of an anchor."""
    links = list(reading.root.walk("Link"))
    assert len(links) > 30
    for node in links:
        assert node.text.strip() and node.links
        for link in node.links:
            assert link.name in reading.destinations
            assert link.contents.strip() and link.contents != link.name


def test_language_and_order_of_tabbing(reading: Reading) -> None:
    """The document names its language, and Tab goes from link to link in the order of the tree."""
    assert reading.language == "en"
    assert reading.tabs == {"/S"}


def test_other_scripts_are_heard(several_scripts: PacketInput) -> None:
    """A character that the fonts lack is read as its code point, one that they have as itself."""
    heard = bare(read(render_pdf(several_scripts, ())).root.text)
    for text in SCRIPTS.values():
        for char in bare(text):
            assert char in heard or f"[U+{ord(char):04X}]" in heard
