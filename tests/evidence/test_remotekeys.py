"""Keys in PKCS#11 tokens and key services."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import (  # type: ignore[attr-defined]
    SIGNER_FOR_URI_SCHEME,
    Signature,
)

from muniment.evidence.dsse import Envelope
from muniment.evidence.keyfiles import KeyFiles
from muniment.evidence.keys import Algorithm, SigningKey, new_ed25519, new_p256
from muniment.evidence.remotekeys import RemoteKey, find_public, take_in
from muniment.schemas.errors import MunimentError

from ..tokens import PIN, URI, make_token
from .conftest import Lab


@pytest.fixture(scope="session")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A token of this session: the library reads its settings once."""
    return make_token(tmp_path_factory.mktemp("token") / "here")


@pytest.fixture
def token(found: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The token is there, its PIN in the environment."""
    for name, value in {**found, "MUNIMENT_PIN": PIN}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(autouse=True)
def no_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUNIMENT_PIN", raising=False)


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(MunimentError) as caught:
        action()
    return caught.value.code


def nobody() -> None:
    return None


@pytest.mark.usefixtures("token")
def test_a_record_signed_in_a_token(lab: Lab, tmp_path: Path) -> None:
    """A key that never leaves its token signs a record, and the ledger verifies."""
    files = KeyFiles(tmp_path / "config", lambda name: None)
    files.refer("token", URI)
    key = files.open("token")
    assert isinstance(key, RemoteKey)
    assert (key.public, files.names()) == (files.public("token"), ["token"])
    assert key.public.algorithm is Algorithm.ECDSA_P256
    body = {
        "action": "enrol",
        "publicKey": base64.b64encode(key.public.spki).decode(),
        "fingerprint": key.public.fingerprint,
        "holder": {"name": "Ada Example", "email": "ada@example.com", "type": "person"},
        "roles": ["contributor"],
        "functions": [],
    }
    lab.append(lab.key_statement(body))
    envelope = Envelope.sign(lab.statement().to_payload(), key)
    assert envelope.signature[0] == 0x30  # DER
    (appended,) = lab.ledger.append(lab.key, [(envelope, key)], lab.kinds)
    assert appended.record.signer.fingerprint == key.public.fingerprint
    lab.assert_sound(3)


@pytest.mark.usefixtures("token")
def test_the_pin_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the variable somebody is asked, once for each key that is opened."""
    monkeypatch.delenv("MUNIMENT_PIN")
    asked = []

    def ask() -> str:
        asked.append(1)
        return PIN

    key = RemoteKey(URI, find_public(URI, ask), ask)
    asked.clear()
    for message in (b"one", b"two"):
        key.public.verify(key.sign(message), message)
    assert len(asked) == 1


@pytest.mark.usefixtures("token")
def test_a_token_that_does_not_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    """No PIN, a wrong one, another token, another key, another library: each has its code."""
    public = find_public(URI, nobody)
    monkeypatch.setenv("MUNIMENT_PIN", "0000")
    assert code_of(lambda: RemoteKey(URI, public, nobody).sign(b"")) == "key.pin"
    monkeypatch.delenv("MUNIMENT_PIN")
    assert code_of(lambda: RemoteKey(URI, public, nobody).sign(b"")) == "key.pin"
    monkeypatch.setenv("MUNIMENT_PIN", PIN)
    for uri in ("hsm:9?label=evidence", "hsm:1?label=other", "hsm:x", "unknown:1"):
        assert code_of(lambda: RemoteKey(uri, public, nobody).sign(b"")) == "key.uri"  # noqa: B023
    assert code_of(lambda: find_public("hsm:9?label=evidence", nobody)) == "key.uri"
    monkeypatch.delenv("PYKCS11LIB")
    assert code_of(lambda: RemoteKey(URI, public, nobody).sign(b"")) == "key.uri"


@pytest.mark.usefixtures("token")
def test_a_token_with_another_key() -> None:
    """A signature by another key than the named one is noticed before anything is stored."""
    stranger = new_p256().public
    assert code_of(lambda: take_in(URI, stranger, nobody)) == "key.differs"
    assert code_of(lambda: take_in(URI, new_ed25519().public, nobody)) == "key.uri"


class _Service:
    """Stands for a key service: any URI scheme of securesystemslib goes the same way."""

    def __init__(self, key: SigningKey, fault: Exception | None = None) -> None:
        self._key, self._fault = key, fault

    def from_priv_key_uri(self, uri: str, public: Any, secrets: Any) -> _Service:
        return self

    def sign(self, payload: bytes) -> Any:
        if self._fault is not None:
            raise self._fault
        return Signature("0" * 64, self._key.sign(payload).hex())


@pytest.mark.parametrize("make", [new_p256, new_ed25519])
def test_a_key_service(
    make: Callable[[], SigningKey], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheme of securesystemslib signs; its public half is given, for it is not asked."""
    key = make()
    monkeypatch.setitem(SIGNER_FOR_URI_SCHEME, "awskms", _Service(key))
    files = KeyFiles(tmp_path / "config", lambda name: None)
    assert code_of(lambda: files.refer("ci", "awskms:alias/ci")) == "key.public"
    assert code_of(lambda: files.refer("ci", "awskms:alias/ci", make().public)) == "key.differs"
    assert files.names() == []
    files.refer("ci", "awskms:alias/ci", key.public)
    key.public.verify(files.open("ci").sign(b"message"), b"message")


def test_a_service_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a service raises becomes one of our errors."""
    key = new_p256()

    class ForeignError(Exception):
        pass

    for fault, code in (
        (ForeignError("denied"), "key.unavailable"),
        (OSError("no route"), "key.unavailable"),
        (ImportError("no boto3"), "key.library"),
        (ValueError("not a key"), "key.uri"),
    ):
        monkeypatch.setitem(SIGNER_FOR_URI_SCHEME, "awskms", _Service(key, fault))
        remote = RemoteKey("awskms:alias/ci", key.public, nobody)
        assert code_of(lambda: remote.sign(b"")) == code  # noqa: B023


def test_without_its_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library of a service is not installed, the error says what to install."""
    remote = RemoteKey("gcpkms:projects/x", new_p256().public, nobody)
    assert code_of(lambda: remote.sign(b"")) == "key.library"
