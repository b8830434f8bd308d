"""A packet's pages as blocks of text, each with the place that says what it may hold."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from .structure import Node, bare

_TEXT = ("P", "LI", "Figure", "NonStruct", "Span", "Link")
_LETTER = re.compile(r"[^\W\d]")
_PLACE = re.compile(r"#(\d+)")


@dataclass(slots=True)
class Block:
    """A heading, a paragraph, a figure or a row of a table."""

    tag: str
    chapter: str
    """Heading of the second level; empty on the cover."""
    section: str
    """Heading of the third level."""
    part: str
    """Heading of the fourth level."""
    text: str
    head: tuple[str, ...] = ()
    """The heading of each column, of a row; without spaces, as ``cells``."""
    cells: list[str] = field(default_factory=list)
    key: str = ""
    """First cell of a row, that of the row before where it goes on over a page's end."""
    link: str = ""
    """Destination of the first link in it."""
    records: tuple[int, ...] = ()
    """Places of the records that the heading or paragraph above it, or its own, begins with."""

    def cell(self, column: str) -> str:
        """What a row says under a column's heading."""
        return self.cells[self.head.index(bare(column))]


def blocks(root: Node) -> list[Block]:
    """All blocks, in reading order."""
    return list(_Walk().blocks(root))


def rows(found: list[Block], chapter: str, *columns: str) -> Iterator[Block]:
    """The rows of a chapter's tables with these columns, but for heads and lines over the whole
    width; a row that goes on over a page's end as one."""
    wanted = set(map(bare, columns))
    whole: Block | None = None
    for block in found:
        fits = block.tag == "TR" and block.chapter == chapter and wanted <= set(block.head)
        if not fits or len(block.cells) != len(block.head):
            continue
        if whole is not None and not block.cells[0] and whole.head == block.head:
            both = [a + b for a, b in zip(whole.cells, block.cells, strict=True)]
            whole = replace(whole, cells=both)
            continue
        if whole is not None:
            yield whole
        whole = block
    if whole is not None:
        yield whole


class _Walk:
    def __init__(self) -> None:
        self._chapter, self._section, self._part = "", "", ""
        self._key = ""
        self._records: tuple[int, ...] = ()

    def blocks(self, node: Node) -> Iterator[Block]:
        if node.tag == "Table":
            yield from self._table(node)
        elif node.tag[0] == "H" and node.tag[1:].isdigit():
            level = int(node.tag[1])
            title = " ".join(node.text.split())
            if level == 2:
                self._chapter, self._section, self._part = title, "", ""
            elif level == 3:
                self._section, self._part = title, ""
            elif level == 4:
                self._part = title
            if level <= 3:
                self._records = _places(title)
            yield self._block(node)
        elif node.tag in _TEXT:
            said = _places(node.text.strip().removeprefix("Record").strip())
            self._records = said if node.tag == "P" and said else self._records
            yield self._block(node)
        else:
            assert not any(isinstance(part, str) and part.strip() for part in node.parts)
            for child in node.children:
                yield from self.blocks(child)

    def _block(self, node: Node) -> Block:
        text = node.shown
        if node.alt is not None:
            # NOTE: a drawing has no spaces between words, so its letters are left out.
            text = f"{node.alt}\n{_LETTER.sub(' ', text)}"
        return Block(
            node.tag, self._chapter, self._section, self._part, text, records=self._records
        )

    def _table(self, table: Node) -> Iterator[Block]:
        head: tuple[str, ...] = ()
        for part in table.children:
            for row in part.walk("TR"):
                raw = [_whole(cell) for cell in row.children]
                cells = [bare(text) for text in raw]
                if part.tag == "THead":
                    head = tuple(cells)
                else:
                    self._key = cells[0] or self._key
                links = [link.name for each in row.walk("Link") for link in each.links]
                yield Block(
                    "TR" if part.tag != "THead" else "Head",
                    self._chapter,
                    self._section,
                    self._part,
                    "\n".join(raw),
                    head,
                    cells,
                    self._key,
                    links[0] if links else "",
                    self._records,
                )


def _whole(cell: Node) -> str:
    """A cell's text, with both the words for a figure and those drawn in it."""
    figures = [each.alt or "" for each in cell.walk("Figure")]
    return "\n".join([cell.shown, *figures])


def _places(text: str) -> tuple[int, ...]:
    match = _PLACE.match(text)
    return (int(match[1]),) if match else ()
