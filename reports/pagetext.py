"""What a packet's pages say, read back from the PDF: content, and text in the order of its tags.

The text is what a screen reader is given: the structure tree (ISO 32000-1 §14.7) from its root,
depth first, each marked-content sequence decoded by the font's own ToUnicode map.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from muniment.schemas.errors import VerificationError

from .streams import unpacked

_INLINE = frozenset({"Span", "Link", "NonStruct", "Lbl", "LBody", "Form"})
"""Structure types after which the line of text goes on."""
_DEEPEST = 100
_OPERATORS = "BDC BMC EMC Tf Tj TJ q Q"
_MAP_BLOCK = re.compile(rb"begin(bfchar|bfrange)(.*?)end(?:bfchar|bfrange)", re.S)
_MAP_ITEM = re.compile(rb"<([0-9A-Fa-f\s]*)>|(\[)|(\])")
_MOST_CODES = 1 << 16
_MAX_PAGES = 256 << 20
"""Most bytes that the contents of all pages may have together."""
_MAX_MAP = 4 << 20


@dataclass(slots=True)
class Element:
    """One structure element with everything below it."""

    tag: str
    """Structure type without its slash, such as ``TD``."""
    text: str = ""
    """Its own text and that of all below it, in reading order; a figure's is its description."""
    children: list[Element] = field(default_factory=list)

    def walk(self) -> Iterator[Element]:
        """This element and all below it, in reading order."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class PageContent:
    """The pages, as the manifest fixes them."""

    count: int
    content_sha256: str
    """SHA-256 over every page's decoded content, each after its length (8 bytes, big-endian)."""

    @classmethod
    def of(cls, pages: Iterable[bytes]) -> PageContent:
        """What the decoded contents of all pages come to."""
        count, digest = 0, hashlib.sha256()
        for data in pages:
            count += 1
            digest.update(len(data).to_bytes(8, "big"))
            digest.update(data)
        return cls(count, digest.hexdigest())

    def to_json(self) -> dict[str, Any]:
        """As the manifest has it."""
        return {"count": self.count, "content_sha256": self.content_sha256}


def read_pages(pdf: bytes) -> tuple[PageContent, Element]:
    """The pages of a packet and its structure tree.

    Raises:
        VerificationError: ``packet.malformed``.
    """
    import pikepdf

    try:
        # NOTE: the document must outlive every object read from it; qpdf crashes otherwise.
        with pikepdf.open(io.BytesIO(pdf)) as document:
            return _read(document)
    except VerificationError:
        raise
    except Exception as error:  # a stranger's bytes: the library raises whatever it trips over
        raise _malformed(f"its pages cannot be read ({type(error).__name__})") from error


def _read(document: Any) -> tuple[PageContent, Element]:
    contents, room = [], _MAX_PAGES
    for page in document.pages:
        contents.append(_content(page.obj, room))
        room -= len(contents[-1])
    content = PageContent.of(contents)
    del contents
    spoken: dict[tuple[Any, int], str] = {}
    fonts: dict[Any, Mapping[bytes, str]] = {}
    for page in document.pages:
        for mcid, text in _marked(page, fonts).items():
            spoken[page.obj.objgen, mcid] = text
    tree = document.Root.get("/StructTreeRoot")
    if tree is None:
        raise _malformed("it has no structure tree")
    return content, _TreeReader(spoken).read(tree)


def _content(page: Any, room: int) -> bytes:
    """A page's content streams, decoded; several are one, with a line feed between them.

    Raises:
        VerificationError: as ``unpacked``.
    """
    import pikepdf

    streams = page.get("/Contents")
    if streams is None:
        return b""
    parts = list(streams) if isinstance(streams, pikepdf.Array) else [streams]
    found: list[bytes] = []
    for part in parts:
        found.append(unpacked(part, "a page's content", room))
        room -= len(found[-1])
    return b"\n".join(found)


def _marked(page: Any, fonts: dict[Any, Mapping[bytes, str]]) -> dict[int, str]:
    """Text of each marked-content sequence of a page, by its MCID."""
    import pikepdf

    found: dict[int, list[str]] = {}
    open_: list[int | None] = []
    known: Mapping[bytes, str] = {}
    saved: list[Mapping[bytes, str]] = []
    for instruction in pikepdf.parse_content_stream(page, _OPERATORS):
        operator, operands = str(instruction.operator), instruction.operands
        if operator == "BDC":
            properties = operands[1]
            is_numbered = isinstance(properties, pikepdf.Dictionary) and "/MCID" in properties
            open_.append(int(properties.MCID) if is_numbered else None)
        elif operator == "BMC":
            open_.append(None)
        elif operator == "EMC":
            open_.pop()
        elif operator == "Tf":
            known = _font(page, str(operands[0]), fonts)
        elif operator == "q":
            saved.append(known)
        elif operator == "Q":
            known = saved.pop()
        else:
            mcid = next((number for number in reversed(open_) if number is not None), None)
            if mcid is not None:
                found.setdefault(mcid, []).append(_shown(operands[0], known))
    return {mcid: "".join(parts) for mcid, parts in found.items()}


def _shown(operand: Any, known: Mapping[bytes, str]) -> str:
    import pikepdf

    parts = operand if isinstance(operand, pikepdf.Array) else [operand]
    data = b"".join(bytes(part) for part in parts if isinstance(part, pikepdf.String))
    codes = (data[at : at + 2] for at in range(0, len(data), 2))
    return "".join(known.get(code, "\ufffd") for code in codes)


def _font(page: Any, name: str, fonts: dict[Any, Mapping[bytes, str]]) -> Mapping[bytes, str]:
    """Two-byte code to text, by the ToUnicode map of a font of the page's resources."""
    font = page.resources.Font[name]
    if font.objgen not in fonts:
        fonts[font.objgen] = _to_unicode(unpacked(font.ToUnicode, "a font's map", _MAX_MAP))
    return fonts[font.objgen]


def _to_unicode(data: bytes) -> dict[bytes, str]:
    """A ToUnicode CMap (ISO 32000-1 §9.10.3)."""
    found: dict[bytes, str] = {}
    for block in _MAP_BLOCK.finditer(data):
        items = [
            bytes.fromhex(item[1].decode()) if item[1] is not None else item[0]
            for item in _MAP_ITEM.finditer(block[2])
        ]
        step = 2 if block[1] == b"bfchar" else 3
        for at in range(0, len(items) - step + 1, step):
            first, last = items[at], items[at + step - 2]
            start = int.from_bytes(first, "big")
            end = int.from_bytes(last, "big")
            if end - start + len(found) > _MOST_CODES:
                raise _malformed("a font names too many characters")
            target = items[at + step - 1]
            for code in range(start, end + 1):
                moved = target[:-1] + bytes([(target[-1] + code - start) & 0xFF]) if target else b""
                found[code.to_bytes(len(first), "big")] = moved.decode("utf-16-be", "replace")
    return found


class _TreeReader:
    """Reads the structure tree; each element once."""

    def __init__(self, spoken: Mapping[tuple[Any, int], str]) -> None:
        self._spoken = spoken
        self._seen: set[Any] = set()

    def read(self, tree: Any) -> Element:
        root = Element("Root")
        for kid in _kids(tree):
            root.children.append(self._element(kid, 0))
        root.text = "".join(child.text for child in root.children)
        return root

    def _element(self, item: Any, depth: int) -> Element:
        if depth > _DEEPEST or item.objgen in self._seen:
            raise _malformed("its structure tree is no tree")
        self._seen.add(item.objgen)
        element = Element(str(item.S).removeprefix("/"))
        page = item.get("/Pg")
        parts: list[str] = []
        for kid in _kids(item):
            if isinstance(kid, int):
                parts.append(self._spoken.get((page.objgen, kid), ""))
            elif str(kid.get("/Type", "")) == "/MCR":
                parts.append(self._spoken.get((kid.get("/Pg", page).objgen, int(kid.MCID)), ""))
            elif "/S" in kid:
                element.children.append(self._element(kid, depth + 1))
                parts.append(element.children[-1].text)
        described = item.get("/Alt")
        text = "".join(parts) if described is None else str(described)
        element.text = text if element.tag in _INLINE or text.endswith("\n") else f"{text}\n"
        return element


def _kids(item: Any) -> list[Any]:
    import pikepdf

    kids = item.get("/K")
    if kids is None:
        return []
    return list(kids) if isinstance(kids, pikepdf.Array) else [kids]


def _malformed(why: str) -> VerificationError:
    return VerificationError("packet.malformed", f"the PDF is malformed: {why}")
