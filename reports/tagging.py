"""What a screen reader needs beyond what WeasyPrint tags, after ISO 14289-1 §7.5, 7.8 and 7.18.

WeasyPrint gives a running header a tag outside the structure tree, leaves the scope of a table's
headers to be guessed, and has a link announced by the name of its anchor.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from muniment.schemas.text import shorten

from . import views
from .model import PacketInput

_PAGINATION = {"Type": "/Pagination"}


def mend_tags(pdf: Any, packet: PacketInput) -> None:
    """Set right the tags of a PDF that is about to be written.

    Args:
        pdf: a ``pydyf.PDF``.
    """
    _set_scopes(pdf)
    _mark_artifacts(pdf)
    _name_links(pdf, packet)


def _set_scopes(pdf: Any) -> None:
    """A header in a table's head is that of its column, any other that of its row."""
    for item in _elements(pdf, "/TH"):
        row = object_at(pdf, item["P"])
        is_head = object_at(pdf, row["P"])["S"] == "/THead"
        item["A"]["Scope"] = "/Column" if is_head else "/Row"


def _mark_artifacts(pdf: Any) -> None:
    """Make an artifact of all text that no element in the structure tree holds."""
    import pydyf

    root = object_at(pdf, pdf.catalog["StructTreeRoot"])
    held = _reachable(pdf, root)
    by_key = {page["StructParents"]: page for page in pages_of(pdf)}
    numbers = object_at(pdf, root["ParentTree"])["Nums"]
    for key, holders in zip(numbers[::2], numbers[1::2], strict=True):
        if not isinstance(holders, list):
            continue
        outside = {mcid for mcid, holder in enumerate(holders) if holder not in held}
        stream = object_at(pdf, by_key[key]["Contents"]).stream
        for place, operand in enumerate(stream):
            if isinstance(operand, dict) and operand.get("MCID") in outside:
                stream[place - 1 : place + 1] = ["/Artifact", pydyf.Dictionary(_PAGINATION)]
        for mcid in outside:
            holders[mcid] = "null"


def _reachable(pdf: Any, root: Any) -> set[bytes]:
    """References of everything below the root of the structure tree."""
    found: set[bytes] = set()
    waiting = list(root["K"])
    while waiting:
        kid = waiting.pop()
        if isinstance(kid, bytes):
            found.add(kid)
            item = object_at(pdf, kid)
            waiting.extend(item.get("K", ()))
    return found


def _name_links(pdf: Any, packet: PacketInput) -> None:
    """Have each link announced by what it leads to."""
    import pydyf

    words = _destinations(packet)
    for item in pdf.objects:
        if isinstance(item, dict) and item.get("Subtype") == "/Link" and "Dest" in item:
            name = item["Dest"].string
            item["Contents"] = pydyf.String(words.get(name) or views.words(name))


def _destinations(packet: PacketInput) -> Mapping[str, str]:
    """Anchor to what stands there."""
    catalogs = enumerate(packet.coverage.catalogs, start=1)
    return {
        **{f"record-{item.index}": f"Record #{item.index}" for item in packet.records},
        **{f"evaluation-{item.index}": f"Results of #{item.index}" for item in packet.records},
        **{
            anchor: f"Control {shorten(control, 100)}"
            for control, anchor in views.control_anchors(packet).items()
        },
        **{f"matrix-{n}": f"Matrix of {shorten(item.name, 100)}" for n, item in catalogs},
    }


def _elements(pdf: Any, tag: str) -> Iterator[Any]:
    for item in pdf.objects:
        if isinstance(item, dict) and item.get("S") == tag and item.get("Type") == "/StructElem":
            yield item


def pages_of(pdf: Any) -> list[Any]:
    """The pages of a PDF that is about to be written, in order."""
    return [item for item in pdf.objects if isinstance(item, dict) and item.get("Type") == "/Page"]


def object_at(pdf: Any, reference: bytes | str) -> Any:
    """The object that a reference names."""
    return pdf.objects[int(reference.split()[0])]
