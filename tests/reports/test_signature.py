"""The packet's signature."""

from __future__ import annotations

import io
import random
import re
import zlib
from types import ModuleType

import pikepdf
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from muniment.evidence.keys import from_cryptography
from muniment.reports import signature
from muniment.reports.model import PacketInput
from muniment.reports.signature import check_signature, read_attachments, sign_pdf
from muniment.schemas.errors import VerificationError
from muniment.schemas.record import Signer


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


def test_key_of_another_type_is_named(
    build: ModuleType, unsigned: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signature by a key that no build.ledger could enrol is refused."""
    key = ec.generate_private_key(ec.SECP384R1())
    pdf = sign_pdf(unsigned, key, build.CARLA, "Example Bank", build.CHECKPOINT_TIME)
    assert codes(pdf) == {"packet.key-type"}


def test_certificate_takes_any_name(
    build: ModuleType,
    unsigned: bytes,
    reviewer_key: ec.EllipticCurvePrivateKey,
) -> None:
    """Long, hidden or foreign names and addresses do not stop a signature."""
    who = build.CARLA
    odd = Signer(who.fingerprint, "N\u202e" + "ö" * 200, "m@exämple.com", "person", who.roles)
    pdf = sign_pdf(unsigned, reviewer_key, odd, "O" * 300, build.CHECKPOINT_TIME)
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
