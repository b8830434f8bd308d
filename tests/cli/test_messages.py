"""What went wrong is said in plain words: what the file is, what to do, no library's language."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from urllib.error import URLError

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from muniment.schemas.text import said_by

from .conftest import Cli

RSA = rsa.generate_private_key(65537, 2048).public_key()
RSA_PEM = RSA.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
HOLDER = ["--name", "n", "--email", "n@example.com"]


@pytest.mark.parametrize(
    ("arguments", "code", "said", "not_said"),
    [
        (["key", "new", "n", "--from", "risk.pub"], "key.malformed", "no private key", "chmod"),
        (["key", "new", "n", "--from", "data"], "key.malformed", "no private key", "chmod"),
        (["key", "new", "n", "--from", "policy.md"], "key.malformed", "no private key", "chmod"),
        (["key", "new", "n", "--from", "nofile"], "key.missing", "no key file", "makes one"),
        (["key", "use", "nofile"], "key.missing", "your keys are default, risk", "makes one"),
        (["key", "rotate", "no", "risk.pub"], "key.missing", "your keys are default", "makes one"),
        (["key", "new", "n", "--uri", "hsm:abc"], "key.uri", "ID is a number", "invalid literal"),
        (["key", "new", "n", "--passphrase"], "key.passphrase", "set MUNIMENT_PASSPHRASE", "Getp"),
        (["key", "add", "rsa.pem", *HOLDER], "key.wrong-type", "P-256 or Ed25519", "key new"),
        (["key", "add", "broken.pem", *HOLDER], "key.malformed", "be read as one", "Malformed"),
        (["import", "nofile"], "file.missing", "no file or folder nofile", "signed"),
        (["import", "policy.md", "--key", "rsa.pem"], "key.wrong-type", "P-256", "make a new"),
        (["attach", "policy", "--body", "latin.yaml"], "yaml.malformed", "not UTF-8 text", "#x"),
        (["attach", "policy", "--body", "bell.yaml"], "yaml.malformed", "U+0007", "#x"),
        (["attach", "attestation"], "attach.kind", "an attestation record", "a attestation"),
    ],
)
def test_a_mistake_is_named(
    place: Path,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    code: str,
    said: str,
    not_said: str,
) -> None:
    """Each mistake is bad input, has its code, and is told in words that fit it."""
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    (place / "risk.pub").write_bytes((place.parent / "config/keys/risk.pub").read_bytes())
    (place / "rsa.pem").write_bytes(RSA_PEM)
    (place / "broken.pem").write_text("-----BEGIN PUBLIC KEY-----\nrubbish")
    (place / "latin.yaml").write_bytes(b"title: fa\xe7ade\n")
    (place / "bell.yaml").write_bytes(b"title: \x07\n")
    answer = cli(*arguments)
    assert (answer.code, f"[{code}]" in answer.err) == (2, True), answer.err
    assert said in answer.err and not_said not in answer.err, answer.err


def test_what_the_network_says() -> None:
    """A server that does not answer is told with the reason alone."""
    refused = ConnectionRefusedError(111, "Connection refused")
    assert said_by(URLError(refused)) == "connection refused"
    assert said_by(refused) == "connection refused"
    assert said_by(URLError("unknown url type: x")) == "unknown url type: x"
    assert said_by(ValueError("its answer is too long")) == "its answer is too long"
    assert said_by(TimeoutError()) == "TimeoutError"


def test_where_a_key_lies_is_kept_without_detours(place: Path, cli: Cli) -> None:
    """The URI of a key file is its real path."""
    pem = place.parent / "config/keys/risk.pem"
    detour = place / ".." / "config" / "keys" / "risk.pem"
    assert cli("key", "new", "again", "--from", str(detour)).code == 0
    stored = (place.parent / "config/keys/again.uri").read_text().strip()
    assert stored == pem.resolve().as_uri()
