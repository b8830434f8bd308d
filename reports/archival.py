"""One PDF that meets PDF/A-3a (ISO 19005-3) and PDF/UA-1 (ISO 14289-1), written the same way twice.

WeasyPrint writes one of the two at a time. It writes PDF/A-3a here, and two of its undocumented
methods are wrapped to add the PDF/UA identifier and ours to the one XMP packet; hence the pin
``weasyprint<71``.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from xml.etree.ElementTree import Element, SubElement, fromstring, register_namespace, tostring

from muniment.schemas.errors import ReportError

from .model import Embedded, PacketInput
from .pagetext import PageContent
from .sigfields import add_fields
from .tagging import mend_tags, object_at, pages_of

MANIFEST = "manifest.json"
"""Embedded file that names every other by its SHA-256, and the pages."""
XMP_NAMESPACE = "https://muniment.dev/ns/packet/1.0/"
"""Namespace of the packet's own metadata: ``checkpoint`` and ``system``."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_RELATIONSHIPS = frozenset({"Data", "Source", "Supplement", "Alternative", "Unspecified"})
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_UA = "http://www.aiim.org/pdfua/ns/id/"
_EXTENSION = "http://www.aiim.org/pdfa/ns/extension/"
_SCHEMA = "http://www.aiim.org/pdfa/ns/schema#"
_PROPERTY = "http://www.aiim.org/pdfa/ns/property#"
_PREFIXES = {
    "pdfuaid": _UA, "muniment": XMP_NAMESPACE, "pdfaExtension": _EXTENSION,
    "pdfaSchema": _SCHEMA, "pdfaProperty": _PROPERTY,
}  # fmt: skip
_NON_NAME = re.compile(rb"[^A-Za-z0-9.+_-]")


def write_pdf(document: Any, packet: PacketInput, attachments: Sequence[Embedded]) -> bytes:
    """Write a laid-out document.

    Args:
        document: a ``weasyprint.Document`` rendered as ``pdf/a-3a``.

    Raises:
        ReportError: ``report.attachment-name``.
    """
    _wrap_metadata(document.metadata, packet)
    ordered = sorted(attachments, key=lambda item: item.name)
    check_names(ordered)
    with warnings.catch_warnings(), _remembered_pages():
        # NOTE: WeasyPrint leaves its colour profile open to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        data: bytes = document.write_pdf(
            pdf_variant="pdf/a-3a",
            pdf_identifier=base64.b64decode(packet.root_hash)[:16],
            attachments=[_attachment(item, packet, document.url_fetcher) for item in ordered],
            finisher=lambda laid_out, pdf: _finish(laid_out, pdf, packet, ordered),
        )
    return data


@contextmanager
def _remembered_pages() -> Iterator[None]:
    """Have pydyf list the pages' references once, not again for every tag on every page, which
    takes quadratic time."""
    import pydyf

    listed = pydyf.PDF.page_references
    known: tuple[int, tuple[bytes, ...]] = (0, ())

    def page_references(pdf: Any) -> tuple[bytes, ...]:
        nonlocal known
        count = len(pdf.pages["Kids"])
        if known[0] != count:
            known = (count, listed.fget(pdf))
        return known[1]

    pydyf.PDF.page_references = property(page_references)
    try:
        yield
    finally:
        pydyf.PDF.page_references = listed


def check_names(attachments: Sequence[Embedded]) -> None:
    """Refuse names that readers would show or save in different ways.

    Args:
        attachments: sorted by name.

    Raises:
        ReportError: ``report.attachment-name``.
    """
    for before, item in zip([None, *attachments], attachments, strict=False):
        twice = before is not None and before.name == item.name
        if twice or not _NAME.fullmatch(item.name) or item.relationship not in _RELATIONSHIPS:
            raise ReportError(
                "report.attachment-name",
                f"{item.name!r} cannot be embedded",
                expected="names once each, of letters, digits, dot, hyphen and underscore",
                found=item.name,
            )


def _attachment(item: Embedded, packet: PacketInput, fetcher: Any) -> Any:
    import weasyprint

    return weasyprint.Attachment(
        string=item.data,
        url_fetcher=fetcher,
        name=item.name,
        description=item.description,
        created=packet.checkpoint_time,
        modified=packet.checkpoint_time,
        relationship=item.relationship,
    )


def _finish(document: Any, pdf: Any, packet: PacketInput, attachments: Sequence[Embedded]) -> None:
    mend_tags(pdf, packet)
    add_fields(document, pdf)
    _forbid_smoothing(pdf)
    _finish_attachments(pdf, attachments)
    _fix_pages(pdf)
    _settle(pdf)


def _forbid_smoothing(pdf: Any) -> None:
    """Have no image drawn smoother than it is (ISO 19005-3 §6.2.8), whatever a style sheet says."""
    for item in pdf.objects:
        if "Interpolate" in getattr(item, "extra", {}):
            item.extra["Interpolate"] = "false"


def _fix_pages(pdf: Any) -> None:
    """Write the digest of the pages into the embedded manifest, if there is one."""
    named = {item["UF"].string: item["EF"]["F"] for item in filter(_is_filespec, pdf.objects)}
    if MANIFEST not in named:
        return
    manifest = object_at(pdf, named[MANIFEST])
    content = PageContent.of(_content(object_at(pdf, page["Contents"])) for page in pages_of(pdf))
    listed = json.loads(b"".join(manifest.stream)) | {"pages": content.to_json()}
    data = json.dumps(listed, ensure_ascii=False, indent=1).encode()
    manifest.stream = [data]
    digest = hashlib.md5(data, usedforsecurity=False).hexdigest()
    manifest.extra["Params"] |= {"CheckSum": f"<{digest}>", "Size": len(data)}


def _content(stream: Any) -> bytes:
    """What a stream holds, without a filter."""
    import pydyf

    written: bytes = pydyf.Stream(stream.stream).data
    data = written.partition(b"\nstream\n")[2].removesuffix(b"\nendstream")
    stream.stream = [data]
    return data


def _settle(pdf: Any) -> None:
    """Put each object's bytes in its place: pydyf would make and compress them anew for the file
    and for the file's identifier."""
    import pydyf

    class Settled(pydyf.Object):  # type: ignore[misc]
        data = b""
        compressible = False

    for number, item in enumerate(pdf.objects):
        if item.free == "n":
            settled = Settled()
            settled.number, settled.generation = number, item.generation
            settled.data, settled.compressible = item.data, item.compressible
            pdf.objects[number] = settled


def _finish_attachments(pdf: Any, attachments: Sequence[Embedded]) -> None:
    """Set each file's media type and relationship, which WeasyPrint guesses from the machine's
    tables and from an MD5 that two files may share; and name each file once in /AF."""
    import pydyf

    by_name = {item.name: item for item in attachments}
    references = []
    for item in filter(_is_filespec, pdf.objects):
        known = by_name[item["UF"].string]
        stream = object_at(pdf, item["EF"]["F"])
        stream.extra["Subtype"] = _pdf_name(known.media_type)
        item["AFRelationship"] = f"/{known.relationship}"
        references.append(item.reference)
    if references:
        pdf.catalog["AF"] = pydyf.Array(references)


def _is_filespec(item: Any) -> bool:
    return isinstance(item, dict) and item.get("Type") == "/Filespec"


def _pdf_name(text: str) -> str:
    """A PDF name object (ISO 32000-1 §7.3.5)."""
    return "/" + _NON_NAME.sub(lambda m: b"#%02x" % m[0][0], text.encode()).decode()


def _wrap_metadata(metadata: Any, packet: PacketInput) -> None:
    rdf, include = metadata.generate_rdf_metadata, metadata.include_in_pdf

    def generate_rdf_metadata(variant: str, version: int, conformance: str) -> bytes:
        return _with_identifiers(rdf(variant, version, conformance), packet)

    def include_in_pdf(
        pdf: Any, variant: str, version: int, conformance: str, compress: bool
    ) -> None:
        # NOTE: uncompressed, so that any reader can find the metadata without a PDF parser.
        include(pdf, variant, version, conformance, compress=False)

    metadata.generate_rdf_metadata = generate_rdf_metadata
    metadata.include_in_pdf = include_in_pdf


def _with_identifiers(data: bytes, packet: PacketInput) -> bytes:
    for prefix, uri in _PREFIXES.items():
        register_namespace(prefix, uri)
    root = fromstring(data)
    ours = SubElement(root, f"{{{_RDF}}}Description", {f"{{{_RDF}}}about": ""})
    SubElement(ours, f"{{{_UA}}}part").text = "1"
    checkpoint = f"{packet.origin} {packet.tree_size} {packet.root_hash}"
    SubElement(ours, f"{{{XMP_NAMESPACE}}}checkpoint").text = checkpoint
    SubElement(ours, f"{{{XMP_NAMESPACE}}}system").text = str(packet.coverage.system)
    schemas = SubElement(ours, f"{{{_EXTENSION}}}schemas")
    bag = SubElement(schemas, f"{{{_RDF}}}Bag")
    _schema(bag, "PDF/UA identification", _UA, "pdfuaid", {"part": ("Integer", "internal")})
    text = ("Text", "external")
    _schema(bag, "Muniment packet", XMP_NAMESPACE, "muniment", {"checkpoint": text, "system": text})
    return bytes(tostring(root, encoding="utf-8"))


def _schema(
    bag: Element, title: str, uri: str, prefix: str, properties: dict[str, tuple[str, str]]
) -> None:
    """Describe one namespace that PDF/A does not know (ISO 19005-3 §6.6.2.3.3)."""
    item = _resource(SubElement(bag, f"{{{_RDF}}}li"))
    SubElement(item, f"{{{_SCHEMA}}}schema").text = title
    SubElement(item, f"{{{_SCHEMA}}}namespaceURI").text = uri
    SubElement(item, f"{{{_SCHEMA}}}prefix").text = prefix
    listed = SubElement(SubElement(item, f"{{{_SCHEMA}}}property"), f"{{{_RDF}}}Seq")
    for name, (kind, category) in properties.items():
        entry = _resource(SubElement(listed, f"{{{_RDF}}}li"))
        SubElement(entry, f"{{{_PROPERTY}}}name").text = name
        SubElement(entry, f"{{{_PROPERTY}}}valueType").text = kind
        SubElement(entry, f"{{{_PROPERTY}}}category").text = category
        SubElement(entry, f"{{{_PROPERTY}}}description").text = f"{title}: {name}"


def _resource(element: Element) -> Element:
    element.set(f"{{{_RDF}}}parseType", "Resource")
    return element
