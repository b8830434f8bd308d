"""Public and private keys: which are taken, and how they are named."""

from __future__ import annotations

import base64
import hashlib
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from muniment.evidence.keys import (
    PublicKey,
    SigningKey,
    from_cryptography,
    load_ed25519,
    load_public,
    load_spki,
    new_ed25519,
    new_p256,
)
from muniment.evidence.note import VerifierKey
from muniment.schemas.errors import InputError, SignatureError

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
I = pow(2, (P - 1) // 4, P)  # noqa: E741
SPKI_HEAD = bytes.fromhex("302a300506032b6570032100")

# The eight points whose order divides 8, in canonical form, and the encodings of the same points
# that a lenient decoder takes as well: y not below the prime, or a sign where x is 0.
SMALL_ORDER = {
    "identity": "0100000000000000000000000000000000000000000000000000000000000000",
    "order 2": "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "order 4": "0000000000000000000000000000000000000000000000000000000000000000",
    "order 4, other sign": "0000000000000000000000000000000000000000000000000000000000000080",
    "order 8": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "order 8, other sign": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "order 8, other y": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "order 8, other both": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
}
NOT_CANONICAL = {
    "identity with sign": "0100000000000000000000000000000000000000000000000000000000000080",
    "order 2 with sign": "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "y = p": "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "y = p, with sign": "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "y = p + 1": "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "y = p + 1, with sign": "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "y = p + 18": "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}


def wire(*parts: bytes) -> bytes:
    """OpenSSH wire form (RFC 4251 §5)."""
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def as_ssh(raw: bytes) -> PublicKey:
    blob = base64.b64encode(wire(b"ssh-ed25519", raw))
    return load_public(b"ssh-ed25519 " + blob + b" someone@example.com")


def as_pem(raw: bytes) -> PublicKey:
    body = base64.b64encode(SPKI_HEAD + raw)
    return load_public(b"-----BEGIN PUBLIC KEY-----\n" + body + b"\n-----END PUBLIC KEY-----\n")


def as_vkey(raw: bytes) -> PublicKey:
    digest = hashlib.sha256(b"a.example\n\x01" + raw).digest()[:4].hex()
    return VerifierKey.parse(f"a.example+{digest}+{base64.b64encode(b'%c' % 1 + raw).decode()}").key


def as_object(raw: bytes) -> PublicKey:
    return from_cryptography(ed25519.Ed25519PublicKey.from_public_bytes(raw))


PATHS: dict[str, Callable[[bytes], PublicKey]] = {
    "raw": load_ed25519,
    "spki": lambda raw: load_spki(SPKI_HEAD + raw),
    "pem": as_pem,
    "openssh": as_ssh,
    "vkey": as_vkey,
    "object": as_object,
}
EACH_PATH = pytest.mark.parametrize("path", PATHS)


def times_eight(encoded: bytes) -> tuple[int, int]:
    """Eight times a point of Ed25519, by the formulas of RFC 8032 §5.1.3 and §5.1.4."""
    number = int.from_bytes(encoded, "little")
    y = number & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * I % P
    assert x * x % P == square, "no point of the curve"
    if x & 1 != number >> 255:
        x = -x % P
    for _ in range(3):
        t = D * x * x * y * y % P
        x, y = (
            2 * x * y * pow(1 + t, -1, P) % P,
            (y * y + x * x) * pow(1 - t, -1, P) % P,
        )
    return x, y


def test_the_listed_points_are_the_eight() -> None:
    """The table holds eight different points, and eight times each is the identity."""
    assert len(set(SMALL_ORDER.values())) == 8
    for encoded in SMALL_ORDER.values():
        assert times_eight(bytes.fromhex(encoded)) == (0, 1)


@EACH_PATH
@pytest.mark.parametrize("name", [*SMALL_ORDER, *NOT_CANONICAL])
def test_small_order_keys_are_refused(path: str, name: str) -> None:
    """No way of loading a key takes one for which anybody can sign, however it is encoded."""
    with pytest.raises(InputError) as caught:
        PATHS[path](bytes.fromhex((SMALL_ORDER | NOT_CANONICAL)[name]))
    assert caught.value.code == "key.small-order"


@EACH_PATH
def test_sound_ed25519_keys_are_taken(path: str) -> None:
    """Every way of loading takes a sound key, and gives the same one."""
    key = new_ed25519().public
    assert PATHS[path](key.raw_ed25519()) == key


WRONG_TYPES: dict[str, Callable[[], Any]] = {
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()).public_key(),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()).public_key(),
    "secp256k1": lambda: ec.generate_private_key(ec.SECP256K1()).public_key(),
    "RSA": lambda: rsa.generate_private_key(65537, 2048).public_key(),
    "X25519": lambda: x25519.X25519PrivateKey.generate().public_key(),
    "Ed448": lambda: ed448.Ed448PrivateKey.generate().public_key(),
}


@pytest.mark.parametrize("name", WRONG_TYPES)
def test_other_types_are_refused(name: str) -> None:
    """Only P-256 and Ed25519 are taken, from every form of file that can hold another."""
    key = WRONG_TYPES[name]()
    forms: list[tuple[Callable[[bytes], PublicKey], bytes]] = [
        (load_public, key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)),
        (load_spki, key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)),
    ]
    if name in ("P-384", "P-521", "RSA"):
        forms.append((load_public, key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)))
    for load, data in forms:
        with pytest.raises(InputError) as caught:
            load(data)
        assert caught.value.code == "key.wrong-type"


def test_security_keys_are_refused() -> None:
    """A hardware key's OpenSSH line is no plain Ed25519 key: it signs something else."""
    raw = new_ed25519().public.raw_ed25519()
    name = b"sk-ssh-ed25519@openssh.com"
    line = name + b" " + base64.b64encode(wire(name, raw, b"ssh:"))
    with pytest.raises(InputError) as caught:
        load_public(line)
    assert caught.value.code == "key.wrong-type"


TWO = [new_p256().public, new_ed25519().public]
POINT = TWO[0].spki[-64:]
P256_HEAD = TWO[0].spki[:-65]
BAD_FILES = {
    "empty": b"",
    "white space": b" \n",
    "text": b"hello",
    "zero bytes": bytes(100),
    "two OpenSSH lines": "\n".join(key.openssh() for key in TWO).encode(),
    "two PEM blocks": "".join(key.pem() for key in TWO).encode(),
    "cut PEM": TWO[0].pem().encode()[:-30],
    "no base64": b"ssh-ed25519 !!!!",
    "wrong name": b"ssh-rsa " + base64.b64encode(wire(b"ssh-ed25519", bytes(32))),
    "short key": b"ssh-ed25519 " + base64.b64encode(wire(b"ssh-ed25519", bytes(31))),
    "private key": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_malformed_files(name: str) -> None:
    """What is not one public key is refused as malformed, with a hint."""
    with pytest.raises(InputError) as caught:
        load_public(BAD_FILES[name])
    assert caught.value.code == "key.malformed"
    assert caught.value.hint


BAD_SPKI = {
    "empty": b"",
    "trailing byte": TWO[0].spki + b"\0",
    "cut": TWO[0].spki[:-1],
    "point not on the curve": P256_HEAD + b"\4" + POINT[:-1] + bytes([POINT[-1] ^ 1]),
    "point at infinity": bytes.fromhex("3019301306072a8648ce3d020106082a8648ce3d030107030200")
    + b"\0",
    "compressed point": bytes.fromhex("3039301306072a8648ce3d020106082a8648ce3d030107032200")
    + bytes([2 + (POINT[-1] & 1)])
    + POINT[:32],
    "long-form length": b"\x30\x81\x2a" + TWO[1].spki[2:],
    "short Ed25519": b"\x30\x29\x30\x05\x06\x03\x2b\x65\x70\x03\x20\x00" + bytes(31),
}


@pytest.mark.parametrize("name", BAD_SPKI)
def test_spki_has_one_form(name: str) -> None:
    """A key in a leaf or a record is the one DER form of a point of the curve, or refused."""
    with pytest.raises(InputError) as caught:
        load_spki(BAD_SPKI[name])
    assert caught.value.code == "key.malformed"


@pytest.mark.parametrize("make", [new_p256, new_ed25519])
def test_fingerprints_are_those_of_openssh(make: Callable[[], SigningKey], tmp_path: Path) -> None:
    """The fingerprint is the SHA-256 of the wire form, as ``ssh-keygen -l`` prints it."""
    key = make().public
    blob = base64.b64decode(key.openssh().split()[1])
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    assert key.fingerprint == f"SHA256:{digest}"
    if keygen := shutil.which("ssh-keygen"):
        path = tmp_path / "key.pub"
        path.write_text(key.openssh() + "\n")
        printed = subprocess.check_output([keygen, "-l", "-f", path], text=True)
        assert printed.split()[1] == key.fingerprint


@pytest.mark.parametrize("make", [new_p256, new_ed25519])
def test_signatures(make: Callable[[], SigningKey]) -> None:
    """A signature holds for its message and key, and for nothing else."""
    key, other = make(), make()
    signature = key.sign(b"message")
    key.public.verify(signature, b"message")
    for signer, tried, message in [
        (key, signature, b"Message"),
        (other, signature, b"message"),
        (key, signature[:-1], b"message"),
        (key, signature + b"\0", b"message"),
        (key, b"", b"message"),
        (key, bytes(64), b"message"),
        (key, new_ed25519().sign(b"message"), b"message"),
        (key, new_p256().sign(b"message"), b"message"),
    ]:
        with pytest.raises(SignatureError) as caught:
            signer.public.verify(tried, message)
        assert caught.value.code == "signature.invalid"


def test_keys_do_not_print_their_secret() -> None:
    """Neither a signing key nor its public half shows key objects when printed."""
    for key in (new_p256(), new_ed25519()):
        assert "private" not in repr(key)
        assert "_key" not in repr(key.public)


def test_a_key_is_known_by_its_bytes() -> None:
    """Two objects of one key are equal; two keys are not."""
    key = new_p256().public
    assert load_spki(key.spki) == load_public(key.pem().encode()) == key
    assert hash(load_spki(key.spki)) == hash(key)
    assert key != new_p256().public
