"""Public and private keys: ECDSA P-256 and Ed25519, and no others. Pure: no files.

A key is known by its OpenSSH fingerprint (``ssh-keygen -l``), which people can compare by eye.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property, lru_cache
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
    load_ssh_public_key,
)

from muniment.schemas.errors import InputError, SignatureError

# Prime of the field, and the y coordinates of the eight points of small order (RFC 7748 §4.1,
# RFC 8032 §5.1.7): with such a key one signature fits every message, and OpenSSL accepts it.
_P = 2**255 - 19
_Y8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
_SMALL_ORDER_Y = {0, 1, _P - 1, _Y8, _P - _Y8}

_ECDSA = ec.ECDSA(SHA256())
_PREHASHED = ec.ECDSA(Prehashed(SHA256()))
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


class Algorithm(Enum):
    """A signature algorithm; the value is its name in Sigstore's ``PublicKeyDetails``."""

    ECDSA_P256 = "PKIX_ECDSA_P256_SHA_256"
    ED25519 = "PKIX_ED25519"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A public key that has passed the checks of ``load_*``."""

    algorithm: Algorithm
    spki: bytes
    """DER SubjectPublicKeyInfo (RFC 5280 §4.1)."""
    fingerprint: str
    """``SHA256:`` and the unpadded base64 of the SHA-256 of the OpenSSH wire form."""
    _key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey = field(repr=False, compare=False)

    def verify(self, signature: bytes, message: bytes) -> None:
        """Check ``signature`` over ``message``.

        Args:
            signature: DER for ECDSA, 64 bytes for Ed25519.

        Raises:
            SignatureError: ``signature.invalid``.
        """
        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                self._key.verify(signature, message)
            else:
                self._key.verify(signature, message, _ECDSA)
        except InvalidSignature:
            raise SignatureError(
                "signature.invalid", f"the signature is not by the key {self.fingerprint}"
            ) from None

    def verify_digest(self, signature: bytes, digest: bytes) -> bool:
        """Check ``signature`` over a message of which only the SHA-256 is known.

        Returns:
            Whether that could be done: not for Ed25519.

        Raises:
            SignatureError: ``signature.invalid``.
        """
        if isinstance(self._key, ed25519.Ed25519PublicKey):
            return False
        try:
            self._key.verify(signature, digest, _PREHASHED)
        except InvalidSignature:
            raise SignatureError(
                "signature.invalid", f"the signature is not by the key {self.fingerprint}"
            ) from None
        return True

    def raw_ed25519(self) -> bytes:
        """The 32 bytes of an Ed25519 key (RFC 8032 §5.1.5)."""
        return self.spki[-32:]

    def openssh(self) -> str:
        """One line of an OpenSSH ``.pub`` file, without comment."""
        return self._key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()

    def pem(self) -> str:
        """PEM SubjectPublicKeyInfo, as ``openssl pkey -pubin`` reads it."""
        return self._key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


class RecordKey(Protocol):
    """A private key that signs records: in memory, in a token or with a key service."""

    @property
    def public(self) -> PublicKey:
        """Its public half."""

    def sign(self, message: bytes) -> bytes:
        """Sign ``message``: DER for ECDSA, 64 bytes for Ed25519."""


@dataclass(frozen=True)
class SigningKey:
    """A private key in memory."""

    private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey = field(repr=False)

    @cached_property
    def public(self) -> PublicKey:
        """Its public half."""
        return from_cryptography(self.private.public_key())

    def sign(self, message: bytes) -> bytes:
        """Sign ``message``: DER for ECDSA, 64 bytes for Ed25519."""
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.sign(message)
        return self.private.sign(message, _ECDSA)


def new_p256() -> SigningKey:
    """A fresh P-256 key, for people and machines that sign records."""
    return SigningKey(ec.generate_private_key(ec.SECP256R1()))


def new_ed25519() -> SigningKey:
    """A fresh Ed25519 key, for ledgers and witnesses."""
    return SigningKey(ed25519.Ed25519PrivateKey.generate())


def from_cryptography(key: object) -> PublicKey:
    """Take a public key of the ``cryptography`` library.

    Raises:
        InputError: ``key.wrong-type`` or ``key.small-order``.
    """
    if isinstance(key, ed25519.Ed25519PublicKey):
        algorithm = Algorithm.ED25519
        _refuse_small_order(key.public_bytes(Encoding.Raw, PublicFormat.Raw))
    elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        algorithm = Algorithm.ECDSA_P256
    else:
        raise _wrong_type(type(key).__name__)
    wire = key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).split(b" ")[1]
    digest = hashlib.sha256(base64.b64decode(wire)).digest()
    return PublicKey(
        algorithm,
        key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "SHA256:" + base64.b64encode(digest).decode().rstrip("="),
        key,
    )


def is_fingerprint(text: str) -> bool:
    """Whether ``text`` has the form of a key's fingerprint."""
    return bool(_FINGERPRINT.fullmatch(text))


@lru_cache(maxsize=4096)
def load_spki(spki: bytes) -> PublicKey:
    """Read DER SubjectPublicKeyInfo; the bytes must be the very ones we would write.

    Raises:
        InputError: ``key.malformed``, ``key.wrong-type`` or ``key.small-order``.
    """
    try:
        key = from_cryptography(load_der_public_key(spki))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError("key.malformed", f"not a public key: {error}") from error
    if key.spki != spki:
        raise InputError("key.malformed", "the public key is not in its one DER form")
    return key


def load_public(data: bytes) -> PublicKey:
    """Read a public key file: PEM, or one OpenSSH line.

    Raises:
        InputError: ``key.malformed``, ``key.wrong-type`` or ``key.small-order``.
    """
    data = data.strip()
    is_pem = data.startswith(b"-----BEGIN")
    if b"PRIVATE KEY-----" in data:
        raise _no_public_key("it is a private one: never hand it out")
    # NOTE: the library reads the first line or the first block only, and a security key's as if it
    # were a plain one; what such a key signs is not what we verify.
    if data.count(b"-----BEGIN") > 1:
        raise _no_public_key("the file holds several keys")
    if not is_pem and b"\n" in data:
        raise _no_public_key("the file holds several lines")
    if data.startswith(b"sk-"):
        raise _wrong_type("a security key")
    try:
        return from_cryptography(load_pem_public_key(data) if is_pem else load_ssh_public_key(data))
    except (ValueError, UnsupportedAlgorithm, binascii.Error) as error:
        raise _no_public_key("the file cannot be read as one") from error


def _no_public_key(why: str) -> InputError:
    return InputError(
        "key.malformed",
        f"not a public key: {why}",
        hint="give a PEM file or an OpenSSH .pub file with a P-256 or Ed25519 key",
    )


def load_ed25519(raw: bytes) -> PublicKey:
    """Take the 32 raw bytes of an Ed25519 key.

    Raises:
        InputError: ``key.malformed`` or ``key.small-order``.
    """
    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(raw)
    except ValueError as error:
        raise InputError("key.malformed", f"not an Ed25519 key: {error}") from error
    return from_cryptography(key)


def _refuse_small_order(raw: bytes) -> None:
    y = int.from_bytes(raw, "little") & ((1 << 255) - 1)
    if y >= _P or y in _SMALL_ORDER_Y:
        raise InputError(
            "key.small-order",
            "this Ed25519 key is of small order: anybody can sign anything in its name",
            hint="whoever holds it makes another",
        )


def _wrong_type(found: str) -> InputError:
    return InputError(
        "key.wrong-type",
        "the key is of a type that Muniment does not use",
        expected="ECDSA P-256 or Ed25519",
        found=found,
    )
