"""Signing a packet: who signs, with which certificate, and who dates the signature.

By default the certificate is issued by the signer's key to itself: it carries the key in the form
that PDF readers know. Who the key belongs to, the ledger says. The private key may be a token's:
all that is asked of it is a signature.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec

from muniment.evidence.keys import Algorithm, RecordKey, from_cryptography
from muniment.evidence.timestamp import Authority, ask, verify_token
from muniment.schemas.errors import InputError
from muniment.schemas.files import read_small
from muniment.schemas.record import Signer
from muniment.schemas.text import visible
from muniment.schemas.times import format_time

from .sigfields import REVIEWER
from .stamp import stamp_style

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

CERTIFICATE_DAYS = 3653
"""Ten years: as long as a packet is commonly kept."""
_MAX_NAME = 64
"""Most bytes of UTF-8 in a certificate's common name or organisation (RFC 5280, appendix A)."""
_MAX_CERTIFICATES = 1 << 20
_RESERVED = 32 << 10
"""Hexadecimal digits kept for a signature's value with a time stamp in it."""


@dataclass(frozen=True, slots=True)
class Identity:
    """One signer of packets."""

    key: RecordKey
    signer: Signer
    chain: tuple[bytes, ...]
    """Certificates, DER: the key's own, and those above it up to the root."""
    signed_at: datetime
    """The time to claim, UTC."""
    authority: Authority | None = None
    """Whose time stamp the signature gets; None for a signature without one (PAdES B-B)."""

    @classmethod
    def of(
        cls,
        key: RecordKey,
        signer: Signer,
        organisation: str,
        signed_at: datetime,
        authority: Authority | None = None,
        certificate: Path | None = None,
    ) -> Identity:
        """Put an identity together.

        Args:
            certificate: PEM file with the key's certificate and those above it up to the root; by
                default the key issues one to itself.

        Raises:
            InputError: ``packet.key`` or ``packet.certificate``.
        """
        if key.public.algorithm is not Algorithm.ECDSA_P256:
            raise InputError(
                "packet.key",
                "a packet is signed with a P-256 key: PDF readers do not know Ed25519",
                hint="choose another key with --key",
            )
        chain = (
            (self_issued(key, signer, organisation, signed_at),)
            if certificate is None
            else _load_chain(certificate, key, signed_at)
        )
        return cls(key, signer, chain, signed_at, authority)

    def sign(self, pdf: bytes, field: str) -> bytes:
        """Sign ``pdf`` in one of the fields it keeps; the result begins with the same bytes.

        The first signature certifies the file: after it only the other field may be filled.

        Raises:
            StoreError: the time-stamping authority did not answer.
            VerificationError: its time stamp does not hold.
        """
        from pyhanko.sign.fields import MDPPerm, SigSeedSubFilter
        from pyhanko.sign.signers import PdfSignatureMetadata

        is_first = field == REVIEWER
        metadata = PdfSignatureMetadata(
            field_name=field,
            md_algorithm="sha256",
            subfilter=SigSeedSubFilter.PADES,
            certify=is_first,
            docmdp_permissions=MDPPerm.FILL_FORMS,
            name=visible(self.signer.name),
            reason="Issued as a Muniment evidence packet" if is_first else "Counter-signed",
        )
        signed = _signed(pdf, metadata, self)
        self._check_stamp(signed)
        return signed

    def _check_stamp(self, pdf: bytes) -> None:
        from .signature import check_signature

        if self.authority is None:
            return
        status = check_signature(pdf)
        stamp = (status.counter or status).stamp
        if stamp is not None:
            verify_token(*stamp, self.authority.roots)

    def words(self) -> list[str]:
        """What the visible stamp says."""
        dated = "claimed, PAdES B-B" if self.authority is None else "time-stamped, PAdES B-T"
        return [
            f"Signed by {self.signer.name}",
            f"{format_time(self.signed_at)} ({dated})",
            self.signer.fingerprint,
        ]


def _signed(pdf: bytes, metadata: Any, identity: Identity) -> bytes:
    from asn1crypto import x509
    from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
    from pyhanko.sign.signers import PdfSigner, Signer
    from pyhanko_certvalidator.registry import SimpleCertificateStore

    class Writer(IncrementalPdfFileWriter):
        def _update_meta(self) -> None:
            """NOTE: pyHanko would rewrite the XMP in a form that PDF/A refuses."""

    class KeySigner(Signer):
        async def async_sign_raw(
            self, data: bytes, digest_algorithm: str, dry_run: bool = False
        ) -> bytes:
            return bytes(72) if dry_run else identity.key.sign(data)

    class AtTime(PdfSigner):
        def init_signing_session(self, *args: Any, **kwargs: Any) -> Any:
            session = super().init_signing_session(*args, **kwargs)
            session.system_time = identity.signed_at
            return session

    own, *above = [x509.Certificate.load(item) for item in identity.chain]
    store = SimpleCertificateStore()  # type: ignore[no-untyped-call]
    store.register_multiple(above)
    authority = identity.authority
    keeper = KeySigner(signing_cert=own, cert_registry=store)
    dated = None if authority is None else _timestamper(authority)
    with stamp_style(identity.words(), identity.signed_at) as style:
        signer = AtTime(metadata, keeper, timestamper=dated, stamp_style=style)
        # NOTE: left to itself, pyHanko asks the authority once more, to know the length.
        room = None if authority is None else _RESERVED
        output = signer.sign_pdf(Writer(io.BytesIO(pdf)), bytes_reserved=room)
    return bytes(output.getvalue())


def _timestamper(authority: Authority) -> Any:
    from asn1crypto import tsp
    from pyhanko.sign.timestamps import TimeStamper

    class Asked(TimeStamper):
        async def async_request_tsa_response(self, req: Any) -> Any:
            return tsp.TimeStampResp.load(ask(authority.url, req.dump()))

    return Asked()  # type: ignore[no-untyped-call]


def _load_chain(file: Path, key: RecordKey, moment: datetime) -> tuple[bytes, ...]:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509 import load_pem_x509_certificates

    try:
        chain = load_pem_x509_certificates(read_small(file, _MAX_CERTIFICATES))
    except ValueError as error:
        raise _certificate(f"{file} holds no certificates: {error}") from error
    own = from_cryptography_or_none(chain[0])
    if own != key.public.fingerprint:
        raise _certificate(
            "the first certificate is not of the key that signs", key.public.fingerprint, own
        )
    if not all(item.not_valid_before_utc <= moment < item.not_valid_after_utc for item in chain):
        raise _certificate("a certificate is not valid now", found=format_time(moment))
    try:
        for lower, upper in zip(chain, [*chain[1:], chain[-1]], strict=True):
            lower.verify_directly_issued_by(upper)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise _certificate("the certificates do not lead one to the next up to a root") from error
    return tuple(item.public_bytes(Encoding.DER) for item in chain)


def from_cryptography_or_none(certificate: Certificate) -> str | None:
    """Fingerprint of a certificate's key; None if no ledger could enrol it."""
    try:
        return from_cryptography(certificate.public_key()).fingerprint
    except InputError:
        return None


def _certificate(why: str, expected: str | None = None, found: str | None = None) -> InputError:
    return InputError(
        "packet.certificate",
        why,
        hint="PEM: the certificate of the signing key first, then those above it, the root last",
        expected=expected,
        found=found,
    )


def self_issued(key: RecordKey, signer: Signer, organisation: str, signed_at: datetime) -> bytes:
    """A certificate that the key issues to itself, DER; the key may be a token's."""
    from asn1crypto import x509 as asn1
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key
    from cryptography.x509.oid import NameOID

    public: Any = load_der_public_key(key.public.spki)
    names = {
        NameOID.COMMON_NAME: certified_name(signer),
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
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )
    # NOTE: X.509 knows an e-mail address in ASCII only; another one stands in the ledger alone.
    if signer.email.isascii() and "@" in signer.email:
        address = x509.SubjectAlternativeName([x509.RFC822Name(signer.email)])
        builder = builder.add_extension(address, critical=False)
    # NOTE: only a private key in this process can sign here; another one's place is taken by one
    # made for the purpose, and its signature by the right one.
    drawn = builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA256())
    parts = asn1.Certificate.load(drawn.public_bytes(Encoding.DER))
    parts["signature_value"] = key.sign(drawn.tbs_certificate_bytes)
    return bytes(parts.dump(force=True))


def certified_name(signer: Signer) -> str:
    """What a certificate that the signer's key issues to itself calls them."""
    return _clipped(signer.name or signer.email)


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
