"""Every page number, state, count and date that real packets print, held against the data that they
embed: none is printed that the data do not account for."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby

import pytest

from muniment.controls.coverage import State
from muniment.reports.render import render_pdf

from .. import statements
from ..accounting import changed, unaccounted
from ..blocks import Block, blocks
from ..embedded import Facts
from ..expected import Expected
from ..structure import Reading, bare, read
from .issuing import Issued

pytestmark = pytest.mark.xdist_group("issued")
STEP = 5
"""Every so many blocks are tried with each of their numbers changed."""
LIMIT = 0.1
"""Share of changed numbers that may go by in a place where another number of the same record or
control may stand as well."""


@dataclass(frozen=True, slots=True)
class Printed:
    """A packet: what it prints, what it embeds and what may follow from that."""

    reading: Reading
    blocks: list[Block]
    facts: Facts
    expected: Expected


@pytest.fixture(scope="module", params=["demo", "rich"])
def printed(request: pytest.FixtureRequest, issued: dict[str, Issued]) -> Printed:
    pdf = issued[request.param].pdf
    reading, facts = read(pdf), Facts(pdf)
    found = blocks(reading.root)
    return Printed(reading, found, facts, Expected(facts, reading.destinations, found))


def faults(printed: Printed) -> list[str]:
    return statements.faults(printed.facts, printed.blocks)


def test_every_number_and_date_is_accounted_for(printed: Printed) -> None:
    """Of each heading, paragraph, figure and row: by the record or control that it is about, or by
    the sentences of its chapter."""
    left = [
        (block.chapter, block.section, block.key, numbers)
        for block in printed.blocks
        if (numbers := unaccounted(block.text, printed.expected.scope_of(block)))
    ]
    assert left == []
    assert sum(len(re.findall(r"\d+", block.text)) for block in printed.blocks) > 5000


def test_sentences_with_counts_are_printed_whole(printed: Printed) -> None:
    """Verdict, trend, totals and omissions, each in its chapter, the numbers counted again."""
    for chapter, sentences in printed.expected.sentences.items():
        text = bare("".join(b.text for b in printed.blocks if b.chapter == chapter))
        for sentence in sentences if text else []:
            assert bare(sentence) in text, (chapter, sentence)
    assert bare(printed.expected.told.middle) in bare(printed.reading.root.shown)


def test_states_counts_and_records_are_those_of_the_data(printed: Printed) -> None:
    """Cell by cell: matrices, gaps, exceptions, statement of applicability, heat maps, summary,
    trend, register and sample."""
    assert faults(printed) == []


def test_contents_name_the_pages_that_their_links_lead_to(printed: Printed) -> None:
    """Every line links to a heading with its title, on the page that it names; the total is that of
    the pages, which the manifest has too."""
    reading = printed.reading
    lines = [b for b in printed.blocks if b.chapter == "Contents" and b.tag == "TR"]
    headings = {(bare(title), page) for title, page in reading.outline}
    for line in lines:
        page = reading.destinations[line.link]
        assert int(line.cells[1]) == page
        assert any(title.startswith(line.cells[0]) and at == page for title, at in headings)
    assert len(lines) > 20
    assert reading.count == printed.facts.manifest["pages"]["count"]


def test_every_page_but_the_first_carries_its_number(printed: Printed) -> None:
    """With checkpoint, system, organisation and chapter, of which nothing else is a number."""
    facts = printed.facts
    system = "@".join(facts.coverage["system"].values())
    above = bare(f"{system} · {facts.pages['organisation']}")
    below = f"checkpoint{facts.size}·{facts.root}"
    chapters = {bare(block.chapter) for block in printed.blocks}
    first, *rest = printed.reading.artifacts
    assert not first.strip()
    for number, text in enumerate(rest, start=2):
        line = bare(text)
        assert line.startswith(above) and line.endswith(f"{below}{number}")
        assert line[len(above) : -len(f"{below}{number}")] in chapters


def test_links_lead_to_what_they_name(printed: Printed) -> None:
    """``#12`` leads to the page on which the register's row of record 12 begins, and the short id
    of a control to the page of its row in the matrix."""
    at: dict[str, int] = {}
    chapter = ""
    for node in printed.reading.root.walk("H2", "TR"):
        chapter = " ".join(node.text.split()) if node.tag == "H2" else chapter
        if node.tag == "TR" and chapter in ("Evidence register", "Control matrix"):
            at.setdefault(bare(node.children[0].text), node.page)
    ids = [name.partition(":")[2] for name in printed.facts.controls]
    links = [(link.name, node) for node in printed.reading.root.walk("Link") for link in node.links]
    checked = 0
    # NOTE: a link that goes on over a line's end is two.
    for name, parts in groupby(links, key=lambda item: item[0]):
        kind, _, number = name.partition("-")
        if kind not in ("record", "control") or not number.isdigit():
            continue
        wanted = f"#{number}" if kind == "record" else bare(ids[int(number)])
        said = bare("".join(node.text for _, node in parts))
        assert re.fullmatch(rf"(([a-z][\w.-]*:)?{re.escape(wanted)})+", said), (wanted, said)
        assert printed.reading.destinations[name] == at[wanted]
        checked += 1
    assert checked > 300


# -- tests of the tests above


def test_a_changed_number_is_found(printed: Printed) -> None:
    """One digit changed in any number of any fifth block: found, but where the record or control
    has both numbers. The heat maps and the summary are held cell by cell instead."""
    tried = missed = 0
    for block in printed.blocks[::STEP]:
        if block.tag == "TR" and block.chapter in ("Summary", "Coverage by area"):
            continue
        scope = printed.expected.scope_of(block)
        for text in changed(block.text):
            tried += 1
            missed += not unaccounted(text, scope)
    assert tried > 1000
    assert missed < LIMIT * tried


def test_pages_of_other_data_are_found(issued: dict[str, Issued]) -> None:
    """Pages set from one record more and one control in another state, beside the data as they
    were: the counts, the sentences and the cells are each found."""
    demo = issued["demo"]
    first, *rest = demo.packet.coverage.catalogs
    changed_state = replace(first.controls[0], state=State.STALE)
    other = replace(first, controls=(changed_state, *first.controls[1:]))
    coverage = replace(demo.packet.coverage, catalogs=(other, *rest))
    packet = replace(demo.packet, coverage=coverage, tree_size=demo.packet.tree_size + 1)
    reading, facts = read(render_pdf(packet, ())), Facts(demo.pdf)
    found = blocks(reading.root)
    expected = Expected(facts, reading.destinations, found)
    left = {b.chapter for b in found if unaccounted(b.text, expected.scope_of(b))}
    assert {"", "Scope and system", "Chain of custody"} <= left
    assert len(statements.faults(facts, found)) > 3


def _state(block: Block) -> bool:
    return block.tag == "TR" and "State" in block.head and "Control" in block.head


def _count(block: Block) -> bool:
    return block.tag == "TR" and ("All" in block.head or "Meaning" in block.head)


def _record(block: Block) -> bool:
    return block.tag == "TR" and block.chapter == "Evidence register"


@pytest.mark.parametrize(
    ("chosen", "old", "new"),
    [
        (_state, r"^(Met|Missing|Failed|Partial|Stale|Unapproved|Waived)$", "Notapplicable"),
        (_count, r"^\d+$", "999"),
        (_record, r"Recorddigest:.", "Recorddigest:x"),
        (_record, r"countsfor", "countsforA.1,"),
    ],
)
def test_a_changed_cell_is_found(
    printed: Printed, chosen: Callable[[Block], bool], old: str, new: str
) -> None:
    """Another state, count, digest or control in any fifth of the rows that have one."""
    found = [block for block in printed.blocks if chosen(block) and len(block.cells) > 1]
    for block in found[::STEP]:
        place = printed.blocks.index(block)
        for number, cell in enumerate(block.cells):
            other = copy.copy(block)
            other.cells = [*block.cells]
            other.cells[number] = re.sub(old, new, cell)
            if other.cells != block.cells:
                every = [*printed.blocks[:place], other, *printed.blocks[place + 1 :]]
                assert list(statements.faults(printed.facts, every)), block
    assert len(found) > 5
