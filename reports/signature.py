"""Checking the packet's own signatures (PAdES B-B and B-T, ETSI EN 319 142-1), and reading the
files embedded in it.

The reviewer's signature certifies the file; a counter-signature may follow, in the field that is
kept for it, and nothing else. Every byte counts: those that the PDF signs, and those of the
signature's value itself, which must be written in its one form.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidSignature

from muniment.evidence.keys import from_cryptography
from muniment.schemas.errors import InputError, VerificationError
from muniment.schemas.finding import Finding
from muniment.schemas.text import shorten, visible

from .model import Embedded
from .sigfields import COUNTER, REVIEWER
from .streams import unpacked

MAX_FILE = 512 << 20
"""Most bytes that the embedded files of one packet may have together."""
_STAMP = "signature_time_stamp_token"


@dataclass(frozen=True, slots=True)
class SignatureStatus:
    """What a packet's signature proves."""

    ok: bool
    """Whether the signature holds, covers every byte, and nothing but a counter-signature that
    holds as well came after it."""
    fingerprint: str | None
    """OpenSSH fingerprint of the key that signed; None where no key could be read."""
    name: str | None
    """The name the certificate claims; only the ledger can vouch for it."""
    signed_at: datetime | None
    """The time the signer claims, UTC."""
    faults: tuple[Finding, ...]
    """Those of the counter-signature included."""
    stamp: tuple[bytes, bytes] | None = None
    """A time stamp (DER TimeStampResp) and the signature's value that it is over; not checked."""
    counter: SignatureStatus | None = None
    """The counter-signature, if there is one."""


def check_signature(pdf: bytes) -> SignatureStatus:
    """Check the packet's signature; every fault is a finding, none is raised."""
    if b"%PDF-" not in pdf[:1024]:
        begins = visible(pdf[:20].decode("ascii", "replace"))
        finding = Finding("packet.malformed", "the file is not a PDF", None, "%PDF-", begins)
        return SignatureStatus(False, None, None, None, (finding,))
    # NOTE: the bytes are a stranger's, and the parser behind this raises whatever it trips over,
    # RecursionError and MemoryError among them; each of these means the same to the reader.
    try:
        return _check(pdf)
    except Exception as error:
        finding = Finding(
            "packet.malformed",
            "the PDF or its signature cannot be read",
            found=_words(error),
        )
        return SignatureStatus(False, None, None, None, (finding,))


def read_attachments(pdf: bytes) -> dict[str, bytes]:
    """The files embedded in a packet, by name.

    Raises:
        VerificationError: ``packet.malformed``, ``packet.duplicate-file`` or ``packet.too-large``.
    """
    return {item.name: item.data for item in read_embedded(pdf)}


def read_embedded(pdf: bytes) -> list[Embedded]:
    """The files embedded in a packet, with what the PDF says of each.

    Raises:
        VerificationError: as ``read_attachments``.
    """
    import pikepdf

    try:
        # NOTE: the document must outlive every object read from it; qpdf crashes otherwise.
        with pikepdf.open(io.BytesIO(pdf)) as document:
            return _attachments(document)
    except VerificationError:
        raise
    except Exception as error:  # the same boundary as in check_signature
        raise VerificationError(
            "packet.malformed",
            "the files embedded in the PDF cannot be read",
            found=_words(error),
        ) from error


def _words(error: Exception) -> str:
    """What a library says, without the part that speaks of its own objects."""
    text = re.sub(r"(stream )?<[^>]*>:? ?", "", str(error))
    return shorten(visible(text or type(error).__name__), 300)


def _check(pdf: bytes) -> SignatureStatus:
    from pyhanko.pdf_utils.reader import PdfFileReader

    reader = PdfFileReader(io.BytesIO(pdf))
    found = reader.embedded_signatures
    names = [str(signature.field_name) for signature in found]
    if names not in ([REVIEWER], [REVIEWER, COUNTER]):
        finding = Finding(
            "packet.unsigned" if not found else "packet.many-signatures",
            "the PDF is not signed" if not found else "the PDF has other signatures than a packet",
            expected=f"a signature {REVIEWER}, and at most one {COUNTER}",
            found=", ".join(map(visible, names)) or "no signature",
        )
        return SignatureStatus(False, None, None, None, (finding,))
    status = _all_signed(pdf, found)
    # NOTE: what other bytes a changed file has is of no interest, and takes long to tell.
    faults = () if status.faults else tuple(_revision_faults(reader, found))
    return replace(status, ok=False, faults=faults) if faults else status


def _all_signed(pdf: bytes, found: list[Any]) -> SignatureStatus:
    """Whether each signature holds by itself; the second signs the first with its bytes."""
    if len(found) == 1:
        return _status(found[0], list(_coverage_faults(pdf, found[0])))
    first, last = found
    counter = _status(last, list(_coverage_faults(pdf, last)))
    end = sum([int(number) for number in first.byte_range][-2:])
    faults = [*_coverage_faults(pdf[:end], first), *counter.faults]
    return replace(_status(first, faults), counter=counter)


def first_revision(pdf: bytes) -> bytes:
    """The pages as they were before the first signature.

    Raises:
        VerificationError: ``packet.malformed``.
    """
    from pyhanko.pdf_utils.reader import PdfFileReader

    try:
        place = PdfFileReader(io.BytesIO(pdf)).xrefs.get_startxref_for_revision(0)
    except Exception as error:  # the same boundary as in check_signature
        raise VerificationError(
            "packet.malformed", "the PDF cannot be read", found=_words(error)
        ) from error
    # NOTE: where the first revision's own table of objects lies decides which bytes are its own;
    # a file may begin with others that no reader looks at.
    mark = b"startxref\n%d\n%%%%EOF\n" % place
    found = pdf.find(mark, place)
    return b"" if found < 0 else pdf[: found + len(mark)]


def _status(signature: Any, faults: list[Finding]) -> SignatureStatus:
    certificate = signature.signer_cert
    faults = [*faults, *_signature_faults(signature), *_form_faults(signature)]
    fingerprint = None
    try:
        fingerprint = _fingerprint(certificate)
    except InputError as error:
        faults.append(Finding("packet.key-type", error.message, found=error.found))
    claimed = signature.self_reported_timestamp
    name = certificate.subject.native.get("common_name")
    return SignatureStatus(
        not faults,
        fingerprint,
        str(name) if name else None,
        claimed,
        tuple(faults),
        _stamp(signature),
    )


def _stamp(signature: Any) -> tuple[bytes, bytes] | None:
    """The time stamp over a signature, as an authority answers with it."""
    from asn1crypto import tsp

    tokens = _tokens(signature)
    if not tokens:
        return None
    status = {"status": "granted"}
    response = tsp.TimeStampResp({"status": status, "time_stamp_token": tokens[0]})
    return response.dump(), signature.signer_info["signature"].native


def _tokens(signature: Any) -> list[Any]:
    attributes = signature.signer_info["unsigned_attrs"]
    return [
        value
        for attribute in (attributes if attributes.native is not None else ())
        if attribute["type"].native == _STAMP
        for value in attribute["values"]
    ]


def _revision_faults(reader: Any, signatures: list[Any]) -> Iterator[Finding]:
    """Each signature must be all that its revision of the file brings.

    NOTE: pyHanko's own rules take minutes on a large structure tree, and stumble over a field that
    stands in it. Ours are narrower: of the objects that were there, only the signature's field, the
    list of fields and, at first, the catalog may be written anew, and of them only what a signature
    brings. So no page can be changed, covered or noted on, by a signer either.
    """
    from pyhanko.sign.fields import MDPPerm

    numbers = [signature.signed_revision for signature in signatures]
    files = reader.xrefs
    if (
        numbers != list(range(1, len(signatures) + 1))
        or files.total_revisions != len(signatures) + 1
        or files.hybrid_xrefs_present
        or signatures[0].docmdp_level != MDPPerm.FILL_FORMS
        or not all(_brings_only(reader, item) for item in signatures)
    ):
        yield Finding("packet.updated", "more was changed in the file than its signatures' fields")


def _brings_only(reader: Any, signature: Any) -> bool:
    """Whether the revision that a signature made fills its field and does nothing else."""
    at, files = signature.signed_revision, reader.xrefs
    before, after = (reader.get_historical_resolver(number) for number in (at - 1, at))
    form = before.root.raw_get("/AcroForm")
    fields = before.root["/AcroForm"]["/Fields"]
    places = [fields.raw_get(place) for place in range(len(fields))]
    name = str(signature.field_name)
    (field,) = (item for item in places if before.get_object(item.reference)["/T"] == name)
    may_change = {
        _number(form): frozenset({"/SigFlags"}),
        _number(field): frozenset({"/V", "/AP"}),
    }
    if at == 1:
        catalog = _number(before.trailer_view.raw_get("/Root"))
        may_change[catalog] = frozenset({"/Perms", "/Extensions", "/Version"})
    there = {_number(ref) for old in range(at) for ref in files.explicit_refs_in_revision(old)}
    written = [ref for ref in files.explicit_refs_in_revision(at) if _number(ref) in there]
    return (
        not files.refs_freed_in_revision(at)
        and all(
            _number(before.trailer_view.raw_get(name)) == _number(after.trailer_view.raw_get(name))
            for name in ("/Root", "/Info")
        )
        and "/V" not in before.get_object(field.reference)
        and all(
            _number(ref) in may_change
            and _but(before, ref, may_change[_number(ref)])
            == _but(after, ref, may_change[_number(ref)])
            for ref in written
        )
    )


def _number(reference: Any) -> tuple[int, int]:
    return reference.idnum, reference.generation


def _but(resolver: Any, reference: Any, names: frozenset[str]) -> dict[str, bytes]:
    """The entries of a dictionary as they are written, but for those named."""
    found = resolver.get_object(reference)
    entries: dict[str, bytes] = {}
    for name in found:
        if name not in names:
            output = io.BytesIO()
            found.raw_get(name).write_to_stream(output, None)
            entries[str(name)] = output.getvalue()
    return entries


def _form_faults(signature: Any) -> Iterator[Finding]:
    """The signature's value must be written in the one form that its parts have.

    NOTE: of the value only the signed attributes are signed; what else stands in it, such as
    algorithms named twice or certificates, could be changed unseen.
    """
    from asn1crypto import cms

    signer, found = signature.signer_info, signature.signed_data
    own = signature.signer_cert
    certificates = [item.chosen for item in found["certificates"]]
    rest = [item for item in certificates if item.dump() != own.dump()]
    parts: dict[str, Any] = {
        "version": "v1",
        "sid": {
            "issuer_and_serial_number": {
                "issuer": own.issuer,
                "serial_number": own.serial_number,
            }
        },
        "digest_algorithm": {"algorithm": "sha256"},
        "signature_algorithm": {"algorithm": "sha256_ecdsa"},
        "signed_attrs": signer["signed_attrs"],
        "signature": signer["signature"],
    }
    if tokens := _tokens(signature):
        parts["unsigned_attrs"] = [{"type": _STAMP, "values": tokens[:1]}]
    whole = {
        "version": "v1",
        "digest_algorithms": [{"algorithm": "sha256"}],
        "encap_content_info": {"content_type": "data"},
        "certificates": certificates,
        "signer_infos": [parts],
    }
    expected = cms.ContentInfo({"content_type": "signed_data", "content": cms.SignedData(whole)})
    value = bytes(signature.pkcs7_content)
    if expected.dump() != value[: _der_length(value)] or not _is_chain(own, rest):
        yield Finding(
            "packet.signature-form", "the signature's value is not in the form that packets have"
        )
    named = [
        bytes(item["certs"][0]["cert_hash"].native)
        for attribute in signer["signed_attrs"]
        if attribute["type"].native == "signing_certificate_v2"
        for item in attribute["values"]
    ]
    if named != [hashlib.sha256(own.dump()).digest()]:
        yield Finding("packet.certificate", "the signature does not name its certificate")


def _is_chain(own: Any, rest: list[Any]) -> bool:
    """Whether every certificate beside the signer's vouches for the one before it, and the last
    for itself: so that none of their bytes can be changed."""
    from cryptography.x509 import load_der_x509_certificate

    chain = [load_der_x509_certificate(item.dump()) for item in (own, *rest)]
    try:
        for lower, upper in zip(chain, [*chain[1:], chain[-1]], strict=True):
            lower.verify_directly_issued_by(upper)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _coverage_faults(pdf: bytes, signature: Any) -> Iterator[Finding]:
    """The signature must cover every byte but its own value, and that must be nothing else.

    NOTE: pyHanko compares lengths only; a hole that is elsewhere or wider than the value would
    let other bytes hide in it.
    """
    numbers = [int(number) for number in signature.byte_range]
    start, before, after, rest = numbers if len(numbers) == 4 else (-1, 0, 0, 0)
    if start != 0 or before < 0 or rest < 0 or after + rest != len(pdf) or before >= after:
        yield Finding(
            "packet.not-whole",
            "the signature does not cover the whole file: something was added or cut off",
            expected=f"{len(pdf):,} bytes",
            found=f"byte range {numbers[:4]}",
        )
        return
    hole = pdf[before:after]
    inside = re.fullmatch(rb"<([0-9A-F]*)>", hole)
    value = bytes.fromhex(inside[1].decode()) if inside and len(inside[1]) % 2 == 0 else b""
    if value != signature.pkcs7_content or value[_der_length(value) :].strip(b"\x00"):
        yield Finding(
            "packet.signature-hole",
            "the unsigned part of the file holds more than the signature",
        )


def _der_length(value: bytes) -> int:
    from asn1crypto.parser import parse

    _, _, _, header, content, trailer = parse(value)
    return len(header) + len(content) + len(trailer)


def _signature_faults(signature: Any) -> Iterator[Finding]:
    from pyhanko.sign.validation.generic_cms import validate_sig_integrity

    if signature.md_algorithm != "sha256":
        yield Finding(
            "packet.digest-algorithm",
            "the signature rests on another digest than SHA-256",
            expected="sha256",
            found=str(signature.md_algorithm),
        )
    digest = signature.compute_digest()
    intact, valid = validate_sig_integrity(
        signature.signer_info, signature.signer_cert, "data", digest
    )
    if not intact:
        yield Finding("packet.changed", "the file was changed after it was signed")
    if not valid:
        yield Finding("packet.signature", "the signature is not by the key in its certificate")


def _fingerprint(certificate: Any) -> str:
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    key = load_der_public_key(certificate.public_key.dump())
    return from_cryptography(key).fingerprint


def _attachments(document: Any) -> list[Embedded]:
    if document.is_encrypted:
        raise VerificationError("packet.malformed", "the PDF is encrypted")
    names = document.Root.get("/Names", {}).get("/EmbeddedFiles", {})
    if "/Kids" in names:
        raise VerificationError("packet.malformed", "the list of embedded files is a tree")
    pairs = list(names.get("/Names", []))
    found: dict[str, Embedded] = {}
    room = MAX_FILE
    for name, entry in zip(pairs[::2], pairs[1::2], strict=True):
        text = str(name)
        if text in found:
            raise VerificationError(
                "packet.duplicate-file", f"two embedded files have the name {visible(text)}"
            )
        # NOTE: readers differ in which of the three names they show; they must agree.
        if str(entry.UF) != text or str(entry.F) != text:
            raise VerificationError(
                "packet.malformed", f"the embedded file {visible(text)} has another name as well"
            )
        data = unpacked(entry.EF.F, text, room)
        room -= len(data)
        media, relation = (str(name).removeprefix("/") for name in _kinds(entry))
        found[text] = Embedded(text, data, media, relation, str(entry.get("/Desc", "")))
    return list(found.values())


def _kinds(entry: Any) -> tuple[Any, Any]:
    """Media type and relationship of an embedded file, as PDF names."""
    return entry.EF.F.get("/Subtype", ""), entry.get("/AFRelationship", "")
