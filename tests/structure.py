"""What a PDF gives to a screen reader, read without any code of the package: its structure tree,
each marked-content sequence as text, its artifacts and its links.

After ISO 32000-1 §14.6 (marked content), §14.7 (logical structure) and §9.10 (text extraction).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pikepdf

_HEX = re.compile(r"<([0-9A-Fa-f]*)>")
_BLOCK = re.compile(r"begin(bfchar|bfrange)(.*?)end", re.S)


@dataclass(slots=True)
class Link:
    """A link annotation."""

    page: int
    """Number of the page that it is on, from 1."""
    name: str
    """Name of its destination."""
    contents: str
    """What a screen reader may say instead of the linked text."""


@dataclass(slots=True)
class Node:
    """One structure element."""

    tag: str
    page: int
    """Number of its page, from 1; nought where it names none."""
    attributes: dict[str, Any] = field(default_factory=dict)
    """``Scope``, ``ColSpan``, ``RowSpan``, ``Headers`` and ``ID``, as far as they are there."""
    alt: str | None = None
    parts: list[Node | str | Link] = field(default_factory=list)
    """Elements, text of its own and links, in reading order."""

    @property
    def children(self) -> list[Node]:
        """The elements right below it."""
        return [part for part in self.parts if isinstance(part, Node)]

    @property
    def links(self) -> list[Link]:
        """Its own link annotations."""
        return [part for part in self.parts if isinstance(part, Link)]

    @property
    def text(self) -> str:
        """All text in it in reading order, a figure's description for the figure; the pieces of a
        line, and the lines, each begin with a line feed."""
        if self.alt is not None:
            return f"\n{self.alt}"
        return "".join(
            part.text if isinstance(part, Node) else f"\n{part}"
            for part in self.parts
            if not isinstance(part, Link)
        )

    @property
    def shown(self) -> str:
        """As ``text``, with what is drawn in a figure."""
        return "".join(
            part.shown if isinstance(part, Node) else f"\n{part}"
            for part in self.parts
            if not isinstance(part, Link)
        )

    def walk(self, *tags: str) -> Iterator[Node]:
        """This element and all below it, those of the given tags if any are given."""
        if not tags or self.tag in tags:
            yield self
        for child in self.children:
            yield from child.walk(*tags)


@dataclass(slots=True)
class Reading:
    """A whole document."""

    root: Node
    artifacts: list[str]
    """What is drawn as an artifact on each page: running headers and footers."""
    loose: list[str]
    """Text that is neither an artifact nor in the structure tree."""
    destinations: dict[str, int]
    """Number of the page that each named destination is on, from 1."""
    outline: list[tuple[str, int]]
    """Title and page of each bookmark."""
    language: str
    tabs: set[str]
    """The orders in which pages have the reader step from link to link."""
    unmapped: int
    """Marked-content sequences that the parent tree leads to another element than holds them."""

    @property
    def count(self) -> int:
        """How many pages there are."""
        return len(self.artifacts)


def read(pdf: bytes) -> Reading:
    """The whole document."""
    with pikepdf.open(io.BytesIO(pdf)) as document:
        return _Reader(document).read()


def bare(text: str) -> str:
    """``text`` without any space: the end of a line has none in a PDF."""
    return "".join(text.split())


class _Reader:
    def __init__(self, document: pikepdf.Pdf) -> None:
        self._document = document
        self._numbers = {page.obj.objgen: n for n, page in enumerate(document.pages, start=1)}
        self._fonts: dict[Any, Mapping[str, str]] = {}
        self._marked: dict[tuple[int, int], str] = {}
        self._artifacts: list[str] = []
        self._loose: list[str] = []
        self._holders: dict[tuple[int, int], Any] = {}

    def read(self) -> Reading:
        document = self._document
        for number, page in enumerate(document.pages, start=1):
            self._artifacts.append("")
            self._content(number, page, page.obj.get("/Resources"), [])
        tree = document.Root.StructTreeRoot
        root = self._element(tree.K if not isinstance(tree.K, pikepdf.Array) else tree.K[0], 0)
        left = {key: text for key, text in self._marked.items() if key not in self._holders}
        named = document.Root.Names.Dests
        return Reading(
            root,
            self._artifacts,
            [*self._loose, *(text for text in left.values() if text.strip())],
            {str(name): self._page(place) for name, place in pikepdf.NameTree(named).items()},
            list(self._bookmarks()),
            str(document.Root.get("/Lang", "")),
            {str(page.obj.get("/Tabs", "")) for page in document.pages},
            self._unmapped(tree.ParentTree),
        )

    def _page(self, place: Any) -> int:
        array = place.D if isinstance(place, pikepdf.Dictionary) else place
        return self._numbers[array[0].objgen]

    def _bookmarks(self) -> Iterator[tuple[str, int]]:
        with self._document.open_outline() as outline:
            waiting = list(outline.root)
            while waiting:
                item = waiting.pop(0)
                waiting[:0] = item.children
                yield str(item.title), self._page(item.destination)

    def _unmapped(self, tree: Any) -> int:
        """How many sequences a reader that comes from the page would find elsewhere (§14.7.4.4)."""
        by_number = pikepdf.NumberTree(tree)
        wrong = 0
        for (page, mcid), holder in self._holders.items():
            key = int(self._document.pages[page - 1].obj.StructParents)
            wrong += by_number[key][mcid].objgen != holder
        return wrong

    # -- content streams

    def _content(self, number: int, page: Any, resources: Any, around: Sequence[int | str]) -> None:
        open_ = list(around)
        font: Mapping[str, str] = {}
        saved: list[Mapping[str, str]] = []
        for item in pikepdf.parse_content_stream(page):
            operator, operands = str(item.operator), item.operands
            if operator in ("BDC", "BMC"):
                open_.append(_mark(operands))
            elif operator == "EMC":
                open_.pop()
            elif operator == "q":
                saved.append(font)
            elif operator == "Q":
                font = saved.pop()
            elif operator == "Tf":
                font = self._font(resources.Font[str(operands[0])])
            elif operator == "ET":
                self._say(number, open_, "\n")
            elif operator in ("Tj", "TJ"):
                self._say(number, open_, _decode(operands[0], font))
            elif operator == "Do":
                form = resources.XObject[str(operands[0])]
                if str(form.Subtype) == "/Form":
                    self._content(number, form, form.get("/Resources"), open_)

    def _say(self, number: int, open_: list[int | str], text: str) -> None:
        if "/Artifact" in open_:
            self._artifacts[number - 1] += text
            return
        mcid = next((mark for mark in reversed(open_) if isinstance(mark, int)), None)
        if mcid is not None:
            self._marked[number, mcid] = self._marked.get((number, mcid), "") + text
        elif text.strip():
            self._loose.append(text)

    def _font(self, font: Any) -> Mapping[str, str]:
        if font.objgen not in self._fonts:
            self._fonts[font.objgen] = _to_unicode(font.ToUnicode.read_bytes().decode("ascii"))
        return self._fonts[font.objgen]

    # -- structure tree

    def _element(self, item: Any, page: int) -> Node:
        page = self._numbers[item.Pg.objgen] if "/Pg" in item else page
        alt = item.get("/Alt")
        node = Node(str(item.S)[1:], page, _attributes(item), None if alt is None else str(alt))
        kids = item.get("/K", pikepdf.Array())
        for kid in list(kids) if isinstance(kids, pikepdf.Array) else [kids]:
            if isinstance(kid, int):
                assert (page, kid) not in self._holders, "one sequence in two elements"
                self._holders[page, kid] = item.objgen
                node.parts.append(self._marked.get((page, kid), "").rstrip("\n"))
            elif str(kid.get("/Type", "")) == "/OBJR":
                if str(kid.Obj.Subtype) == "/Link":
                    link = kid.Obj
                    node.parts.append(Link(page, str(link.Dest), str(link.get("/Contents", ""))))
            else:
                assert kid.P.objgen == item.objgen, "a child that names another parent"
                node.parts.append(self._element(kid, page))
        return node


def _mark(operands: Any) -> int | str:
    """MCID of a marked-content sequence, or its tag where it has none."""
    properties = operands[1] if len(operands) > 1 else None
    if isinstance(properties, pikepdf.Dictionary) and "/MCID" in properties:
        return int(properties.MCID)
    return str(operands[0])


def _attributes(item: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    owners = item.get("/A", pikepdf.Array())
    for owner in list(owners) if isinstance(owners, pikepdf.Array) else [owners]:
        for name in ("Scope", "ColSpan", "RowSpan", "Headers"):
            value = owner.get(f"/{name}")
            if value is not None:
                is_list = isinstance(value, pikepdf.Array)
                found[name] = [bytes(each) for each in value] if is_list else value
    if "/ID" in item:
        found["ID"] = bytes(item.ID)
    return found


def _decode(operand: Any, font: Mapping[str, str]) -> str:
    parts = operand if isinstance(operand, pikepdf.Array) else [operand]
    codes = "".join(bytes(part).hex() for part in parts if isinstance(part, pikepdf.String))
    return "".join(font.get(codes[at : at + 4], "\ufffd") for at in range(0, len(codes), 4))


def _to_unicode(cmap: str) -> dict[str, str]:
    """Code, as four hexadecimal digits, to text."""
    found: dict[str, str] = {}
    for block in _BLOCK.finditer(cmap):
        listed = _HEX.findall(block[2])
        if block[1] == "bfchar":
            for code, text in zip(listed[::2], listed[1::2], strict=True):
                found[code.lower()] = bytes.fromhex(text).decode("utf-16-be")
            continue
        for first, last, text in zip(listed[::3], listed[1::3], listed[2::3], strict=True):
            for step in range(int(last, 16) - int(first, 16) + 1):
                found[f"{int(first, 16) + step:04x}"] = chr(int(text, 16) + step)
    return found
