"""The order of reading, of the HTML that pages are made from and of a PDF's structure tree: both as
one list of units, to be held against each other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser

from .structure import Node, bare

HEADINGS = ("H1", "H2", "H3", "H4", "H5", "H6")
_VOID = {"br", "wbr", "meta", "img", "col", "link"}
_UNKNOWN_PAGE = "000"


@dataclass(slots=True)
class Unit:
    """A heading, a row of a table, a figure, or the text between them; without any space."""

    tag: str
    """``H1`` to ``H6``, ``TR``, ``Figure`` or ``Text``."""
    texts: list[str]
    """One text, or that of each cell."""
    is_head: bool = False
    """Whether it is a row of a table's head, which begins every page that the table goes on to."""


def of_html(html: str) -> list[Unit]:
    """What the HTML says, in its order; a drawing by its title."""
    parser = _Html()
    parser.feed(html)
    return _joined(parser.units)


def of_tree(root: Node) -> list[Unit]:
    """What the structure tree says, in its order."""
    return _joined(_units(root, False))


def differences(wanted: list[Unit], found: list[Unit]) -> Iterator[str]:
    """Where the tree says something else than the HTML, or elsewhere; the first is enough.

    A table's head may come again, and a row that goes on over a page's end comes in two parts.
    """
    rest = list(reversed(found))
    head: Unit | None = None
    for unit in wanted:
        got = _next(rest, head, unit)
        while got is not None and got.tag == "TR" and rest and _goes_on(got.texts, unit.texts):
            more = _next(rest, head, None)
            assert more is not None
            got = Unit("TR", [a + b for a, b in zip(got.texts, more.texts, strict=True)])
        if got is None or got.tag != unit.tag or not _same(unit.texts, got.texts):
            yield f"{unit} is read as {got}"
            return
        if unit.is_head:
            head = unit
    if rest:
        yield f"{rest[-1]} is read after everything"


def _next(rest: list[Unit], head: Unit | None, wanted: Unit | None) -> Unit | None:
    """The next unit; the head of a table that comes again is passed over."""
    while rest and rest[-1].is_head and head is not None and rest[-1].texts == head.texts:
        if wanted is not None and wanted.is_head and wanted.texts == rest[-1].texts:
            break
        rest.pop()
    return rest.pop() if rest else None


def _goes_on(got: list[str], wanted: list[str]) -> bool:
    starts = all(text.startswith(part) for text, part in zip(wanted, got, strict=False))
    return len(got) == len(wanted) and got != wanted and starts


def _same(wanted: list[str], got: list[str]) -> bool:
    """Whether the texts are the same, the numbers of pages apart that the HTML leaves open."""
    if len(wanted) != len(got):
        return False
    for one, other in zip(wanted, got, strict=True):
        if one.startswith(_UNKNOWN_PAGE):
            other = _UNKNOWN_PAGE + other.lstrip("0123456789")
        if one != other:
            return False
    return True


def _joined(units: list[Unit] | Iterator[Unit]) -> list[Unit]:
    """Texts that follow each other as one, empty ones left out."""
    found: list[Unit] = []
    for unit in units:
        if unit.tag == "Text":
            if not unit.texts[0]:
                continue
            if found and found[-1].tag == "Text":
                found[-1].texts[0] += unit.texts[0]
                continue
        found.append(unit)
    return found


def _units(node: Node, is_head: bool) -> Iterator[Unit]:
    if node.tag in ("Lbl", "Form"):
        return
    if node.tag == "TR":
        cells = [bare(cell.text) for cell in node.children if cell.tag in ("TH", "TD")]
        yield Unit("TR", cells, is_head)
    elif node.tag in HEADINGS:
        yield Unit(node.tag, [bare(node.text)])
    elif node.tag == "Figure":
        yield Unit("Figure", [bare(node.text)])
    else:
        for part in node.parts:
            if isinstance(part, str):
                yield Unit("Text", [bare(part)])
            elif isinstance(part, Node):
                yield from _units(part, node.tag == "THead")


class _Html(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.units: list[Unit] = []
        self._row: Unit | None = None
        self._open: list[str] = []
        self._is_head = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.units.append(Unit("Figure", [bare(dict(attrs).get("alt") or "")]))
        if tag in _VOID:
            return
        self._open.append(tag)
        if tag.upper() in HEADINGS:
            self.units.append(Unit(tag.upper(), [""]))
        elif tag == "tr":
            self._row = Unit("TR", [], "thead" in self._open)
            self.units.append(self._row)
        elif tag in ("td", "th") and self._row is not None:
            self._row.texts.append("")
        elif tag == "svg" and self._row is None:
            self.units.append(Unit("Figure", [""]))

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        while self._open and self._open.pop() != tag:
            pass
        if tag == "tr":
            self._row = None

    def handle_data(self, data: str) -> None:
        open_ = self._open
        if "head" in open_ or ("svg" in open_ and open_[-2:] != ["svg", "title"]):
            return
        text = bare(data)
        if self._row is not None:
            if self._row.texts:
                self._row.texts[-1] += text
        elif any(tag.upper() in HEADINGS for tag in open_) or "svg" in open_:
            self.units[-1].texts[0] += text
        else:
            self.units.append(Unit("Text", [text]))
