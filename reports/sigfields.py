"""The fields of a packet that take signatures: one for the reviewer, one for a counter-signature.

They are made with the pages, where the sign-off leaves room for them, and stand in the structure
tree: so the file stays PDF/UA-1 (ISO 14289-1 §7.18) when a signature with a stamp fills them.
"""

from __future__ import annotations

from typing import Any

REVIEWER = "Reviewer"
"""Name of the field that the reviewer's signature is in."""
COUNTER = "CounterSignature"
"""Name of the field that is kept for a second signature."""

_PLACES = {
    REVIEWER: ("sign-reviewer", "Signature of the reviewer"),
    COUNTER: ("sign-counter", "Counter-signature"),
}
"""Field to the anchor of its place on the pages, and what a screen reader calls it."""
_PRINTED_LOCKED = 4 | 128
_SCALE = 0.75
"""PDF points to a CSS pixel."""


def add_fields(document: Any, pdf: Any) -> None:
    """Add a field to each place on the pages that is kept for one.

    Args:
        document: a ``weasyprint.Document``.
        pdf: the ``pydyf.PDF`` made of it.
    """
    import pydyf

    fields = pydyf.Array()
    for name, (anchor, title) in _PLACES.items():
        for number, page in enumerate(document.pages):
            if anchor in page.anchors:
                box = _box(page, page.anchors[anchor])
                fields.append(_add_field(pdf, number, box, name, title).reference)
                break
    if fields:
        form = pydyf.Dictionary({"Fields": fields, "SigFlags": 1})
        pdf.add_object(form)
        pdf.catalog["AcroForm"] = form.reference


def _box(page: Any, corners: tuple[float, float, float, float]) -> list[float]:
    left, top, right, bottom = (round(number * _SCALE, 3) for number in corners)
    height = page.height * _SCALE
    return [left, round(height - bottom, 3), right, round(height - top, 3)]


def _add_field(pdf: Any, number: int, box: list[float], name: str, title: str) -> Any:
    import pydyf

    reference = pdf.page_references[number]
    look = pydyf.Stream(
        [],
        {
            "Type": "/XObject",
            "Subtype": "/Form",
            "BBox": pydyf.Array([0, 0, box[2] - box[0], box[3] - box[1]]),
            "Resources": pydyf.Dictionary(),
        },
    )
    pdf.add_object(look)
    root = _object(pdf, pdf.catalog["StructTreeRoot"])
    numbers = _object(pdf, root["ParentTree"])["Nums"]
    key = max(numbers[::2]) + 1
    widget = pydyf.Dictionary(
        {
            "Type": "/Annot",
            "Subtype": "/Widget",
            "FT": "/Sig",
            "T": pydyf.String(name),
            "TU": pydyf.String(title),
            "Rect": pydyf.Array(box),
            "F": _PRINTED_LOCKED,
            "P": reference,
            "AP": pydyf.Dictionary({"N": look.reference}),
            "StructParent": key,
        }
    )
    pdf.add_object(widget)
    whole = _object(pdf, root["K"][0])
    tied = pydyf.Dictionary({"Type": "/OBJR", "Obj": widget.reference, "Pg": reference})
    element = pydyf.Dictionary(
        {
            "Type": "/StructElem",
            "S": "/Form",
            "P": whole.reference,
            "Pg": reference,
            "K": pydyf.Array([tied]),
            "Alt": pydyf.String(title),
        }
    )
    pdf.add_object(element)
    whole["K"].append(element.reference)
    numbers.extend([key, element.reference])
    page = _object(pdf, reference)
    page.setdefault("Annots", pydyf.Array()).append(widget.reference)
    return widget


def _object(pdf: Any, reference: bytes) -> Any:
    return pdf.objects[int(reference.split()[0])]
