"""The packet's own signature (PAdES B-B, ETSI EN 319 142-1) and the files embedded in it.

The certificate is issued by the signer's key to itself: it carries the key in the form that PDF
readers know. Who the key belongs to, the ledger says.
"""

from __future__ import annotations

import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from muniment.evidence.keys import from_cryptography
from muniment.schemas.errors import InputError, VerificationError
from muniment.schemas.finding import Finding
from muniment.schemas.record import Signer
from muniment.schemas.text import shorten, visible

from .model import Embedded

FIELD = "Reviewer"
"""Name of the signature field."""
CERTIFICATE_DAYS = 3653
"""Ten years: as long as a packet is commonly kept."""
MAX_FILE = 512 << 20
"""Most bytes that the embedded files of one packet may have together."""
_MAX_NAME = 64
"""Most bytes of UTF-8 in a certificate's common name or organisation (RFC 5280, appendix A)."""


@dataclass(frozen=True, slots=True)
class SignatureStatus:
    """What a packet's signature proves."""

    ok: bool
    """Whether exactly one signature covers every byte and holds."""
    fingerprint: str | None
    """OpenSSH fingerprint of the key that signed; None where no key could be read."""
    name: str | None
    """The name the certificate claims; only the ledger can vouch for it."""
    signed_at: datetime | None
    """The time the signer claims, UTC."""
    faults: tuple[Finding, ...]


def sign_pdf(
    pdf: bytes,
    private_key: ec.EllipticCurvePrivateKey,
    signer: Signer,
    organisation: str,
    signed_at: datetime,
) -> bytes:
    """Certify ``pdf`` so that any later change shows.

    Args:
        pdf: an unsigned packet; the result begins with the same bytes.
        signed_at: the time to claim, UTC.
    """
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
    from pyhanko.sign.signers import PdfSignatureMetadata, PdfSigner

    class Writer(IncrementalPdfFileWriter):
        def _update_meta(self) -> None:
            """NOTE: pyHanko would rewrite the XMP in a form that PDF/A refuses."""

    class AtTime(PdfSigner):
        def init_signing_session(self, *args: Any, **kwargs: Any) -> Any:
            session = super().init_signing_session(*args, **kwargs)
            session.system_time = signed_at
            return session

    metadata = PdfSignatureMetadata(
        field_name=FIELD,
        md_algorithm="sha256",
        subfilter=SigSeedSubFilter.PADES,
        certify=True,
        docmdp_permissions=MDPPerm.NO_CHANGES,
        name=visible(signer.name),
        reason="Issued as a Muniment evidence packet",
    )
    identity = _identity(private_key, signer, organisation, signed_at)
    output = AtTime(metadata, identity).sign_pdf(Writer(io.BytesIO(pdf)))
    return bytes(output.getvalue())


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


def _identity(
    key: ec.EllipticCurvePrivateKey, signer: Signer, organisation: str, signed_at: datetime
) -> Any:
    from asn1crypto import keys, x509
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )
    from pyhanko.sign.signers import SimpleSigner
    from pyhanko_certvalidator.registry import SimpleCertificateStore

    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    certificate = x509.Certificate.load(_certificate(key, signer, organisation, signed_at))
    return SimpleSigner(
        signing_cert=certificate,
        signing_key=keys.PrivateKeyInfo.load(der),
        cert_registry=SimpleCertificateStore(),  # type: ignore[no-untyped-call]
    )


def _certificate(
    key: ec.EllipticCurvePrivateKey, signer: Signer, organisation: str, signed_at: datetime
) -> bytes:
    """A certificate that the key issues to itself, DER."""
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import NameOID

    names = {
        NameOID.COMMON_NAME: signer.name or signer.email,
        NameOID.ORGANIZATION_NAME: organisation,
    }
    subject = x509.Name(
        x509.NameAttribute(oid, _clipped(text)) for oid, text in names.items() if text
    )
    start = signed_at - timedelta(days=1)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    # NOTE: X.509 knows an e-mail address in ASCII only; another one stands in the ledger alone.
    if signer.email.isascii() and "@" in signer.email:
        address = x509.SubjectAlternativeName([x509.RFC822Name(signer.email)])
        builder = builder.add_extension(address, critical=False)
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)


def _clipped(text: str) -> str:
    return visible(text).encode("utf-8", "replace")[:_MAX_NAME].decode("utf-8", "ignore")


def _usage() -> Any:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _check(pdf: bytes) -> SignatureStatus:
    from pyhanko.pdf_utils.reader import PdfFileReader

    found = PdfFileReader(io.BytesIO(pdf)).embedded_signatures
    if len(found) != 1:
        finding = Finding(
            "packet.unsigned" if not found else "packet.many-signatures",
            "the PDF is not signed" if not found else "the PDF has more than one signature",
            expected="1 signature",
            found=f"{len(found)} signatures",
        )
        return SignatureStatus(False, None, None, None, (finding,))
    (signature,) = found
    certificate = signature.signer_cert
    faults = [*_coverage_faults(pdf, signature), *_signature_faults(signature)]
    fingerprint = None
    try:
        fingerprint = _fingerprint(certificate)
    except InputError as error:
        faults.append(Finding("packet.key-type", error.message, found=error.found))
    claimed = signature.self_reported_timestamp
    name = certificate.subject.native.get("common_name")
    return SignatureStatus(
        not faults, fingerprint, str(name) if name else None, claimed, tuple(faults)
    )


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
    inside = re.fullmatch(rb"<([0-9a-fA-F]*)>", hole)
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
    signed = signature.signer_info["signed_attrs"]
    if "signing_certificate_v2" not in [attribute["type"].native for attribute in signed]:
        yield Finding("packet.certificate", "the signature does not name its certificate")
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
        data = _content(entry.EF.F, text, room)
        room -= len(data)
        media, relation = (str(name).removeprefix("/") for name in _kinds(entry))
        found[text] = Embedded(text, data, media, relation, str(entry.get("/Desc", "")))
    return list(found.values())


def _kinds(entry: Any) -> tuple[Any, Any]:
    """Media type and relationship of an embedded file, as PDF names."""
    return entry.EF.F.get("/Subtype", ""), entry.get("/AFRelationship", "")


def _content(stream: Any, name: str, room: int) -> bytes:
    """Bytes of one embedded file, never more than ``room``, whatever the stream unpacks to."""
    raw = bytes(stream.read_raw_bytes())
    packed = stream.get("/Filter")
    if packed is None:
        data = raw
    elif str(packed) == "/FlateDecode" and "/DecodeParms" not in stream:
        unpacker = zlib.decompressobj()
        data = unpacker.decompress(raw, room + 1)
        if len(data) <= room and not unpacker.eof:
            raise VerificationError("packet.malformed", f"{visible(name)} is cut off")
    else:
        raise VerificationError("packet.malformed", f"{visible(name)} is packed in another way")
    if len(data) > room:
        raise VerificationError(
            "packet.too-large",
            "the embedded files are too large to read",
            expected=f"at most {MAX_FILE:,} bytes together",
        )
    return data
