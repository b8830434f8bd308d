"""The packet's signature."""

from __future__ import annotations

import io
import random
import re
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pikepdf
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from pyhanko.pdf_utils import incremental_writer
from pyhanko.pdf_utils.generic import NumberObject, TextStringObject
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from muniment.evidence.keys import SigningKey, from_cryptography, new_ed25519
from muniment.evidence.timestamp import Authority, verify_token
from muniment.reports import signature
from muniment.reports.identity import Identity
from muniment.reports.model import PacketInput
from muniment.reports.sigfields import COUNTER, REVIEWER
from muniment.reports.signature import check_signature, read_attachments
from muniment.schemas.errors import InputError, MunimentError, VerificationError
from muniment.schemas.record import Signer

from ..tsa import Chain, OpenSsl, serve


def codes(pdf: bytes) -> set[str]:
    status = check_signature(pdf)
    assert status.ok == (not status.faults)
    return {fault.code for fault in status.faults}


def signed_range(pdf: bytes) -> tuple[int, int]:
    """Start and end of the hole that the signature's value stands in."""
    numbers = re.search(rb"/ByteRange \[\s*0 (\d+) (\d+) (\d+)", pdf)
    assert numbers
    return int(numbers[1]), int(numbers[2])


def test_signature_holds(
    build: ModuleType,
    signed: bytes,
    unsigned: bytes,
    packet: PacketInput,
    reviewer_key: ec.EllipticCurvePrivateKey,
) -> None:
    """A signed packet begins with the unsigned bytes and names key, holder and time."""
    status = check_signature(signed)
    assert signed.startswith(unsigned)
    assert status.ok and status.faults == ()
    assert status.fingerprint == from_cryptography(reviewer_key.public_key()).fingerprint
    assert status.name == build.CARLA.name
    assert status.signed_at == build.CHECKPOINT_TIME


def test_every_flip_in_the_signed_range_is_found(signed: bytes) -> None:
    """One changed bit anywhere in the signed range fails: header, streams, xref, end."""
    before, after = signed_range(signed)
    byte_range = signed.index(b"/ByteRange")
    chosen = {0, 5, 8, byte_range + 14, byte_range + 18, before - 1, after, len(signed) - 1}
    chosen |= {signed.rindex(b"startxref") + 12, signed.rindex(b"xref"), signed.index(b"stream")}
    source = random.Random(20261120)
    places = [n for n in range(len(signed)) if not before <= n < after]
    chosen |= set(source.sample(places, 150))
    for place in sorted(chosen):
        changed = bytearray(signed)
        changed[place] ^= 1 << source.randrange(8)
        assert codes(bytes(changed)), f"byte {place}"


def test_padding_of_the_signature_is_checked(signed: bytes) -> None:
    """Bytes hidden behind the signature's value, in the part nobody signs, are found."""
    _, after = signed_range(signed)
    changed = bytearray(signed)
    changed[after - 5] = ord("7")
    assert codes(bytes(changed)) == {"packet.signature-hole"}


@pytest.mark.parametrize("tail", [b"\n", b"%%EOF\n", b"\x00" * 40, b"1 0 obj\n<<>>\nendobj\n"])
def test_appended_bytes_are_found(signed: bytes, tail: bytes) -> None:
    """Anything after the end fails."""
    assert codes(signed + tail)


def test_appended_update_is_found(signed: bytes) -> None:
    """A formally correct incremental update fails, though viewers call its signature valid."""
    end = signed.rindex(b"startxref") + len(b"startxref")
    previous = int(signed[end:].split()[0])
    root = re.search(rb"/Root (\d+ 0 R)", signed[previous:])
    size = re.search(rb"/Size (\d+)", signed[previous:])
    assert root and size
    number, start = int(size[1]), len(signed) + 1
    update = b"%d 0 obj\n<</Extra 1>>\nendobj\n" % number
    table = b"xref\n%d 1\n%010d 00000 n \n" % (number, start)
    trailer = b"trailer\n<</Size %d /Root %s /Prev %d>>\n" % (number + 1, root[1], previous)
    tail = b"startxref\n%d\n%%%%EOF\n" % (start + len(update))
    assert codes(signed + b"\n" + update + table + trailer + tail) == {"packet.not-whole"}


def test_truncated_file_is_found(signed: bytes) -> None:
    """A file cut short fails wherever it is cut."""
    for share in (0.1, 0.5, 0.99):
        assert codes(signed[: int(len(signed) * share)])


BROKEN = {
    "empty": b"",
    "not a PDF": b"hello",
    "header only": b"%PDF-1.7\n%%EOF",
    "deep": b"%PDF-1.7\n1 0 obj\n" + b"[" * 100_000 + b"\ntrailer<</Root 1 0 R>>\n%%EOF",
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_broken_files_are_findings(data: bytes) -> None:
    """What is no PDF is a finding and a verification error, never a traceback."""
    assert codes(data) == {"packet.malformed"}
    with pytest.raises(VerificationError, match="cannot be read"):
        read_attachments(data)


def test_unsigned_packet(unsigned: bytes) -> None:
    """A packet without a signature is not accepted."""
    assert codes(unsigned) == {"packet.unsigned"}


def test_key_of_another_type_is_named(build: ModuleType) -> None:
    """A key that no ledger could enrol signs no packet."""
    key = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(InputError) as caught:
        build.identity(key, build.CARLA, "Example Bank")
    assert caught.value.code == "key.wrong-type"
    with pytest.raises(InputError) as caught:
        Identity.of(new_ed25519(), build.CARLA, "Example Bank", build.CHECKPOINT_TIME)
    assert caught.value.code == "packet.key"


def test_certificate_takes_any_name(
    build: ModuleType,
    unsigned: bytes,
    reviewer_key: ec.EllipticCurvePrivateKey,
) -> None:
    """Long, hidden or foreign names and addresses do not stop a signature."""
    who = build.CARLA
    odd = Signer(who.fingerprint, "N\u202e" + "ö" * 200, "m@exämple.com", "person", who.roles)
    pdf = build.identity(reviewer_key, odd, "O" * 300).sign(unsigned, REVIEWER)
    status = check_signature(pdf)
    assert status.ok
    assert status.name is not None and status.name.startswith("N[U+202E]")


def _with_file(pdf: bytes, change: str, data: bytes = b"x" * 5000) -> bytes:
    """The packet with its list of embedded files tampered with."""
    with pikepdf.open(io.BytesIO(pdf)) as document:
        names = document.Root.Names.EmbeddedFiles.Names
        if change == "duplicate":
            names.append(names[0])
            names.append(names[1])
        elif change == "two names":
            names[1].UF = pikepdf.String("other.json")
        elif change == "filter":
            names[1].EF.F.DecodeParms = pikepdf.Dictionary(Predictor=12)
        elif change == "bomb":
            names[1].EF.F.write(zlib.compress(data), filter=pikepdf.Name.FlateDecode)
        elif change == "tree":
            document.Root.Names.EmbeddedFiles.Kids = pikepdf.Array()
        output = io.BytesIO()
        document.save(output, compress_streams=False)
    return output.getvalue()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ("duplicate", "packet.duplicate-file"),
        ("two names", "packet.malformed"),
        ("tree", "packet.malformed"),
        ("bomb", "packet.too-large"),
    ],
)
def test_tampered_attachments(
    unsigned: bytes, monkeypatch: pytest.MonkeyPatch, change: str, code: str
) -> None:
    """Two files of one name, one file of two names, a tree and a bomb are refused."""
    monkeypatch.setattr(signature, "MAX_FILE", 4000)
    with pytest.raises(VerificationError) as caught:
        read_attachments(_with_file(unsigned, change))
    assert caught.value.code == code


@pytest.fixture(scope="module")
def second_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def both(build: ModuleType, signed: bytes, second_key: ec.EllipticCurvePrivateKey) -> bytes:
    return bytes(build.identity(second_key, build.DENIZ, "Example Bank").sign(signed, COUNTER))


def test_a_second_signature(both: bytes, signed: bytes) -> None:
    """It leaves the first one's bytes alone, and both hold."""
    status = check_signature(both)
    assert both.startswith(signed)
    assert status.ok and status.counter is not None and status.counter.ok
    assert status.fingerprint != status.counter.fingerprint


def test_flips_under_two_signatures(both: bytes) -> None:
    """One changed bit anywhere in a packet with two signatures fails."""
    source = random.Random(20261122)
    for place in source.sample(range(len(both)), 150):
        changed = bytearray(both)
        changed[place] ^= 1 << source.randrange(8)
        assert codes(bytes(changed)), f"byte {place}"


def test_every_part_of_a_signatures_value_counts(signed: bytes) -> None:
    """The value itself is not signed; yet no byte of it, padding included, can be another."""
    before, after = signed_range(signed)
    source = random.Random(20261123)
    for place in range(before, after, 5):
        changed = bytearray(signed)
        changed[place] ^= 1 << source.randrange(8)
        assert codes(bytes(changed)), f"byte {place}"


def _turned(writer: Any) -> None:
    page = writer.root["/Pages"]["/Kids"][0]
    page["/Rotate"] = NumberObject(90)  # type: ignore[no-untyped-call]
    writer.update_container(page)


def _renamed(writer: Any) -> None:
    field = writer.root["/AcroForm"]["/Fields"][1]
    field["/TU"] = TextStringObject("Signature of the regulator")
    writer.update_container(field)


def _hidden(writer: Any) -> None:
    """The first signature's stamp is not shown any more."""
    field = writer.root["/AcroForm"]["/Fields"][0]
    del field["/AP"]
    writer.update_container(field)


@pytest.mark.parametrize("change", [_turned, _renamed, _hidden])
@pytest.mark.parametrize("apart", [False, True])
def test_more_than_the_field_was_changed(
    build: ModuleType,
    signed: bytes,
    second_key: ec.EllipticCurvePrivateKey,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Any], None],
    apart: bool,
) -> None:
    """Whoever signs second cannot change a page, a name or the first signature's look on the way,
    in an update of its own or together with the signature, however correct the file is."""
    if apart:
        writer = IncrementalPdfFileWriter(io.BytesIO(signed))
        change(writer)
        output = io.BytesIO()
        writer.write(output)  # type: ignore[no-untyped-call]
        signed = output.getvalue()
    else:

        class Sly(IncrementalPdfFileWriter):
            def __init__(self, stream: io.BytesIO) -> None:
                super().__init__(stream)
                change(self)

        monkeypatch.setattr(f"{incremental_writer.__name__}.IncrementalPdfFileWriter", Sly)
    pdf = build.identity(second_key, build.DENIZ, "Example Bank").sign(signed, COUNTER)
    assert "packet.updated" in codes(bytes(pdf))


def test_the_first_field_only_once(
    build: ModuleType, signed: bytes, unsigned: bytes, second_key: ec.EllipticCurvePrivateKey
) -> None:
    """A counter-signature alone is no signature of a packet."""
    pdf = build.identity(second_key, build.DENIZ, "Example Bank").sign(unsigned, COUNTER)
    assert codes(bytes(pdf)) == {"packet.many-signatures"}


def _issued(
    subject: str, issuer: str, public: object, by: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    names = [x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in (subject, issuer)]
    start = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(names[1], names[0], public, 7)  # type: ignore[arg-type]
    builder = builder.not_valid_before(start).not_valid_after(start + timedelta(days=900))
    return builder.sign(by, SHA256())


def test_a_certificate_of_the_organisation(
    build: ModuleType,
    unsigned: bytes,
    packet: PacketInput,
    reviewer_key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
) -> None:
    """A chain up to its root goes into the signature, and every byte of it counts; a chain of
    another key, or one that leads nowhere, is refused."""
    above = ec.generate_private_key(ec.SECP256R1())
    root = _issued("Root", "Root", above.public_key(), above)
    own = _issued("Carla", "Root", reviewer_key.public_key(), above)
    pem = [item.public_bytes(Encoding.PEM) for item in (own, root)]
    file = tmp_path / "chain.pem"
    file.write_bytes(b"".join(pem))
    identity = build.identity(reviewer_key, build.CARLA, "Bank", certificate=file)
    pdf = identity.sign(unsigned, REVIEWER)
    status = check_signature(pdf)
    assert status.ok and status.name == "Carla"
    before, _ = signed_range(pdf)
    value = root.public_bytes(Encoding.DER).hex().upper().encode()
    place = pdf.index(value, before)
    for at in range(place, place + len(value), 7):
        changed = bytearray(pdf)
        changed[at] ^= 1
        assert codes(bytes(changed)), f"byte {at}"
    for data, why in (
        (pem[1], "not of the key"),
        (pem[0], "do not lead"),
        (b"-----BEGIN CERTIFICATE-----", "no certificates"),
    ):
        file.write_bytes(data)
        with pytest.raises(InputError, match=why) as caught:
            build.identity(reviewer_key, build.CARLA, "Bank", certificate=file)
        assert caught.value.code == "packet.certificate"


def test_a_time_stamp(
    build: ModuleType,
    unsigned: bytes,
    packet: PacketInput,
    reviewer_key: ec.EllipticCurvePrivateKey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With an authority the signature is PAdES B-T; its token is over the signature's value, and an
    authority that the workspace does not trust is refused."""
    monkeypatch.setenv("no_proxy", "*")
    chain = Chain.new()
    with serve(OpenSsl(tmp_path / "tsa", chain).answer) as (url, requests):
        made = build.identity(
            reviewer_key, build.CARLA, "Bank", authority=Authority(url, (chain.root,))
        )
        pdf = made.sign(unsigned, REVIEWER)
        assert len(requests) == 1
        other = build.identity(
            reviewer_key, build.CARLA, "Bank", authority=Authority(url, (Chain.new().root,))
        )
        with pytest.raises(MunimentError) as caught:
            other.sign(unsigned, REVIEWER)
    assert caught.value.code == "timestamp.untrusted"
    status = check_signature(pdf)
    assert status.ok and status.stamp is not None
    assert verify_token(*status.stamp, (chain.root,)) <= datetime.now(UTC)


def test_a_key_that_only_signs(
    build: ModuleType,
    unsigned: bytes,
    packet: PacketInput,
    reviewer_key: ec.EllipticCurvePrivateKey,
) -> None:
    """Of a key nothing is asked but signatures: a token's signs a packet as a file's does."""

    class Token:
        public = SigningKey(reviewer_key).public

        def sign(self, message: bytes) -> bytes:
            return SigningKey(reviewer_key).sign(message)

    made = Identity.of(Token(), build.CARLA, "Bank", build.CHECKPOINT_TIME)
    assert check_signature(made.sign(unsigned, REVIEWER)).ok
