"""Private keys that never come here: PKCS#11 tokens and key services, by a securesystemslib URI.

The URIs are those of ``securesystemslib.signer``: ``hsm:2?label=TOKEN`` (with ``PYKCS11LIB`` naming
the token's library), ``awskms:…``, ``gcpkms:…``, ``azurekms://…``, ``hv:…``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from muniment.schemas.errors import InputError, MunimentError, SignatureError, StoreError

from .keys import PublicKey, load_spki

PIN_VARIABLE = "MUNIMENT_PIN"
_TOKEN = "hsm"
_KEY_NUMBER = re.compile(r"[0-9]{0,9}", re.ASCII)
_WRONG_PIN = "Pin"
"""How the names of the errors begin that the library raises for a PIN that does not do."""

AskPin = Callable[[], str | None]
"""Asks for the PIN of the token; None where nobody can be asked."""


@dataclass
class RemoteKey:
    """A private key that a token or a key service holds."""

    uri: str
    public: PublicKey
    _ask: AskPin = field(repr=False)
    _pin: str | None = field(default=None, init=False, repr=False)

    def sign(self, message: bytes) -> bytes:
        """Have ``message`` signed: DER for ECDSA, 64 bytes for Ed25519.

        Raises:
            InputError: ``key.uri``, ``key.library`` or ``key.pin``.
            StoreError: ``key.unavailable``: token or service did not sign.
            SignatureError: ``key.differs``: they signed with another key.
        """
        with _translated(self.uri):
            _check_token(self.uri)
            from cryptography.hazmat.primitives.serialization import load_der_public_key
            from securesystemslib.signer import (  # type: ignore[attr-defined]
                Signer,
                SSlibKey,
            )

            # NOTE: load_spki let P-256 and Ed25519 through, which are both among its types.
            key: Any = load_der_public_key(self.public.spki)
            signer = Signer.from_priv_key_uri(self.uri, SSlibKey.from_crypto(key), self._secret)
            signature = bytes.fromhex(signer.sign(message).signature)
        try:
            self.public.verify(signature, message)
        except SignatureError as error:
            raise SignatureError(
                "key.differs",
                f"{self.uri} signs with another key than the one of that name",
                expected=self.public.fingerprint,
                hint="muniment key new NAME --uri URI takes it in under another name",
            ) from error
        return signature

    def _secret(self, _: str) -> str:
        if self._pin is None:
            self._pin = _pin(self.uri, self._ask)
        return self._pin


def find_public(uri: str, ask: AskPin) -> PublicKey:
    """The public half that a PKCS#11 token holds.

    Raises:
        InputError: ``key.public`` for a key service, else as ``RemoteKey.sign``.
        StoreError: ``key.unavailable``.
    """
    with _translated(uri):
        parts = urlsplit(uri)
        if parts.scheme != _TOKEN:
            raise InputError(
                "key.public",
                "only a PKCS#11 token is asked for its public key",
                hint="fetch it with the key service's own tool, and name the file with --public",
                found=uri,
            )
        _check_token(uri)
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
        from securesystemslib.signer import HSMSigner  # type: ignore[attr-defined]

        from .keys import from_cryptography

        number = int(parts.path) if parts.path else None
        label = dict(parse_qsl(parts.query)).get("label")
        _, key = HSMSigner.import_(number, label, lambda _: _pin(uri, ask))
        return from_cryptography(load_pem_public_key(key.keyval["public"].encode()))


def take_in(uri: str, public: PublicKey, ask: AskPin) -> RemoteKey:
    """The key at ``uri``, after it has signed something with the private half of ``public``.

    Raises:
        MunimentError: as ``RemoteKey.sign``.
    """
    key = RemoteKey(uri, load_spki(public.spki), ask)
    key.sign(b"muniment: is this the key?")
    return key


def _check_token(uri: str) -> None:
    """Refuse a token's key that is named by anything but a number."""
    parts = urlsplit(uri)
    if parts.scheme == _TOKEN and not _KEY_NUMBER.fullmatch(parts.path):
        raise InputError(
            "key.uri",
            f"{uri} names no key of a token",
            expected="hsm:ID?label=TOKEN, where ID is a number",
            found=parts.path,
        )


def _pin(uri: str, ask: AskPin) -> str:
    pin = os.environ.get(PIN_VARIABLE) or ask()
    if not pin:
        raise InputError(
            "key.pin",
            f"{uri} wants a PIN",
            hint=f"set {PIN_VARIABLE}, or run in a terminal to be asked",
        )
    return pin


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """Turn what libraries, tokens and services say into our own errors."""
    try:
        yield
    except MunimentError:
        raise
    except ImportError as error:
        raise _library(str(error)) from error
    except ValueError as error:
        raise InputError("key.uri", f"{uri} names no usable key: {error}") from error
    except Exception as error:
        # NOTE: every service raises errors of its own, and the library says to catch them all.
        kind = type(error).__name__
        if kind == "UnsupportedLibraryError":
            raise _library(str(error)) from error
        if kind.startswith(_WRONG_PIN):
            raise InputError(
                "key.pin",
                f"the PIN does not open {uri}",
                found=kind,
                hint="nothing was written; a token locks itself after a few wrong PINs",
            ) from error
        raise StoreError(
            "key.unavailable",
            f"{uri} does not sign: {f'{kind}: {error}'.removesuffix(': ')}",
            hint="nothing was written",
        ) from error


def _library(why: str) -> InputError:
    return InputError(
        "key.library",
        f"a library for this key is not installed: {why}",
        hint="pip install 'muniment[hsm]' for PKCS#11; for a key service "
        "'securesystemslib[awskms]', '[azurekms]', '[gcpkms]' or '[vault]'",
    )
