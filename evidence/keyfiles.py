"""Private keys on disk: PKCS#8 or OpenSSH files, mode 0600, in the user's configuration folder.

A name may also stand for a key that lies elsewhere: then there is a ``.uri`` file instead of the
private one, with the path of a key file (``file:///…``) or the URI of a token or key service.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from muniment.schemas.errors import InputError
from muniment.schemas.files import read_small

from .keys import PublicKey, RecordKey, SigningKey, from_cryptography, load_public
from .note import VerifierKey
from .remotekeys import RemoteKey, find_public, take_in

AskPassphrase = Callable[[str], str | None]
"""Asks for the passphrase of the named key; None where nobody can be asked."""

CONFIG_VARIABLE = "MUNIMENT_CONFIG"
_LEDGERS = "ledgers"
_FILE = "file://"
_REFERENCE = ".uri"
_MAX_URI = 1 << 12
_MAX_KEY = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def config_folder() -> Path:
    """The user's configuration folder: ``$MUNIMENT_CONFIG`` or the platform's."""
    if chosen := os.environ.get(CONFIG_VARIABLE):
        return Path(chosen)
    from platformdirs import user_config_path

    return user_config_path("muniment")


class KeyFiles:
    """The keys of one user.

    Args:
        folder: the configuration folder.
        ask: asks for a passphrase when a file is encrypted.
    """

    def __init__(self, folder: Path, ask: AskPassphrase) -> None:
        self._folder = folder
        self._ask = ask

    def path(self, name: str) -> Path:
        """File of the key called ``name``.

        Raises:
            InputError: ``key.name``.
        """
        if not _NAME.fullmatch(name):
            raise InputError(
                "key.name",
                f"{name!r} cannot name a key",
                expected="letters, digits, dot, hyphen and underscore",
                found=name,
            )
        return self._folder / "keys" / f"{name}.pem"

    def ledger_path(self, vkey: VerifierKey) -> Path:
        """File of a ledger's own key."""
        name = vkey.name.replace("/", "_")
        return self._folder / _LEDGERS / f"{name}-{vkey.id.hex()}.pem"

    def names(self) -> list[str]:
        """Names of the user's keys."""
        files = (self._folder / "keys").iterdir() if (self._folder / "keys").is_dir() else ()
        return sorted({file.stem for file in files if file.suffix in (".pem", _REFERENCE)})

    def exists(self, name: str) -> bool:
        """Whether there is a key of that name."""
        path = self.path(name)
        return path.exists() or path.with_suffix(_REFERENCE).exists()

    def refer(self, name: str, uri: str, public: PublicKey | None = None) -> PublicKey:
        """Let ``name`` stand for a key that lies elsewhere; the private half is not copied.

        Args:
            uri: ``file:///…`` for a key file, else what ``remotekeys`` takes.
            public: the public half; a file and a PKCS#11 token are asked for it.

        Raises:
            InputError: ``key.exists``, ``key.unwritable`` or the key cannot be used.
            StoreError: ``key.unavailable``.
            SignatureError: ``key.differs``.
        """
        path = self.path(name)
        if self.exists(name):
            raise _exists(path)
        if not (uri.isascii() and uri.isprintable() and len(uri) < _MAX_URI):
            raise InputError("key.uri", f"{uri!r} names no key", found=uri)
        if file := _local(uri):
            public = self.load(file).public
        else:
            ask = self._asking(name)
            public = take_in(uri, public or find_public(uri, ask), ask).public
        self._write(path.with_suffix(_REFERENCE), uri.encode() + b"\n", public)
        return public

    def open(self, name: str) -> RecordKey:
        """The key called ``name``, wherever it lies.

        Raises:
            InputError: as ``load``, or ``key.differs`` if the file it stands for has changed.
        """
        path = self.path(name)
        reference = path.with_suffix(_REFERENCE)
        if path.exists() or not reference.exists():
            return self.load(path)
        public = self.public(name)
        uri = read_small(reference, _MAX_URI).decode("utf-8", "replace").strip()
        file = _local(uri)
        if file is None:
            return RemoteKey(uri, public, self._asking(name))
        key = self.load(file)
        if key.public != public:
            raise InputError(
                "key.differs",
                f"{file} holds another key now than when it was taken in as {name}",
                expected=public.fingerprint,
                found=key.public.fingerprint,
                hint="muniment key new NAME --from FILE takes it in under another name",
            )
        return key

    def _asking(self, name: str) -> Callable[[], str | None]:
        return lambda: self._ask(name)

    def save(self, path: Path, key: SigningKey, passphrase: str | None) -> None:
        """Write a new key file and, beside it, its public half; an old one is never overwritten.

        Raises:
            InputError: ``key.exists``, ``key.passphrase`` or ``key.unwritable``.
        """
        try:
            encryption: KeySerializationEncryption = (
                BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
            )
            pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        except ValueError as error:
            raise InputError("key.passphrase", f"the passphrase cannot be used: {error}") from error
        if path.with_suffix(_REFERENCE).exists():
            raise _exists(path)
        self._write(path, pem, key.public)

    @staticmethod
    def _write(path: Path, data: bytes, public: PublicKey) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
            path.with_suffix(".pub").write_text(public.openssh() + "\n")
        except FileExistsError as error:
            raise _exists(path) from error
        except OSError as error:
            raise InputError(
                "key.unwritable", f"the key cannot be written to {path}: {error.strerror}"
            ) from error

    def public(self, name: str) -> PublicKey:
        """Public half of a key, without its passphrase.

        Raises:
            InputError: ``key.missing`` or the file is no key.
        """
        path = self.path(name).with_suffix(".pub")
        try:
            return load_public(path.read_bytes())
        except OSError as error:
            raise self._missing(path) from error

    def _missing(self, path: Path) -> InputError:
        if path.parent == self._folder / _LEDGERS:
            hint = (
                "whoever appends to a shared ledger needs its key: copy it from who made the ledger"
            )
        elif path.parent == self._folder / "keys":
            held = ", ".join(self.names())
            hint = f"your keys are {held}" if held else "muniment key new NAME makes one"
        else:
            hint = "a relative path begins at the folder you stand in"
        return InputError("key.missing", f"there is no key file {path}", hint=hint)

    def load(self, path: Path) -> SigningKey:
        """Read a private key, asking for its passphrase if it has one.

        Raises:
            InputError: ``key.missing``, ``key.permissions``, ``key.passphrase``,
                ``key.malformed``, ``key.wrong-type`` or ``key.small-order``.
        """
        try:
            state = path.stat()
            if not stat.S_ISREG(state.st_mode) or state.st_size > _MAX_KEY:
                raise _no_private_key(path)
            pem = path.read_bytes()
        except OSError as error:
            raise self._missing(path) from error
        if b"PRIVATE KEY-----" not in pem:
            raise _no_private_key(path)
        if os.name == "posix" and stat.S_IMODE(state.st_mode) & 0o077:
            raise InputError(
                "key.permissions",
                f"others can read the key file {path}",
                hint=f"chmod 600 {path}",
            )
        return self._decrypt(pem, path)

    def _decrypt(self, pem: bytes, path: Path) -> SigningKey:
        is_openssh = b"BEGIN OPENSSH PRIVATE KEY" in pem
        load = load_ssh_private_key if is_openssh else load_pem_private_key
        try:
            private = load(pem, None)
        except TypeError:
            # What the library raises for an encrypted key without a passphrase.
            private = self._unlock(load, pem, path.stem)
        except (ValueError, UnsupportedAlgorithm) as error:
            raise _no_private_key(path) from error
        from_cryptography(private.public_key())
        assert isinstance(private, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey)
        return SigningKey(private)

    def _unlock(self, load: Callable[[bytes, bytes], Any], pem: bytes, name: str) -> Any:
        passphrase = os.environ.get("MUNIMENT_PASSPHRASE") or self._ask(name)
        if not passphrase:
            raise InputError(
                "key.passphrase",
                f"the key {name} is encrypted",
                hint="set MUNIMENT_PASSPHRASE, or run in a terminal to be asked",
            )
        try:
            return load(pem, passphrase.encode())
        except ValueError as error:
            raise InputError(
                "key.passphrase", f"the passphrase does not open the key {name}"
            ) from error
        except UnsupportedAlgorithm as error:
            raise InputError(
                "key.malformed",
                f"the key {name} is encrypted in a way that cannot be read here: {error}",
            ) from error


def _local(uri: str) -> Path | None:
    """The file that a ``file:`` URI names; None for any other URI."""
    if not uri.startswith(_FILE):
        return None
    return Path(os.fsdecode(unquote_to_bytes(uri.removeprefix(_FILE))))


def _exists(path: Path) -> InputError:
    return InputError("key.exists", f"there is a key {path.stem} in {path.parent} already")


def _no_private_key(path: Path) -> InputError:
    return InputError(
        "key.malformed",
        f"{path} holds no private key",
        expected="a private key, OpenSSH or PEM, P-256 or Ed25519",
    )
