"""Bytes that no honest client writes, in the place of a record: each is refused by its own code.

All of it is signed by an enrolled person over exactly these bytes, stands under its right leaf and
tiles, and under a checkpoint made with the stolen key of the ledger: nothing but the form is wrong.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)

from muniment.evidence.dsse import Envelope
from muniment.evidence.entry import Entry
from muniment.evidence.leaf import leaf_bytes
from muniment.evidence.merkle import hash_leaf
from muniment.schemas.statement import MAX_PAYLOAD

from .conftest import LATER

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
"""Of the group of P-256 (SEC 2, §2.4.2)."""
ED25519 = bytes.fromhex("302a300506032b6570032100")
SMALL = {
    "order 1": "01" + "00" * 31,
    "order 4": "00" * 32,
    "order 2": "ec" + "ff" * 30 + "7f",
    "order 8": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "order 1, not reduced": "ee" + "ff" * 30 + "7f",
}


def put(victim: Any, envelope: bytes, leaf: bytes) -> None:
    """Put the bytes at the end, under a checkpoint by the ledger's own key."""
    victim.put(envelope, leaf)
    victim.sign(victim.ledger_key(), LATER)


def in_body(value: bytes) -> Callable[[bytes], bytes]:
    """A statement whose body has one more field, written so."""
    return lambda payload: payload.replace(b'"body":{', b'"body":{"more":' + value + b",", 1)


PAYLOADS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "oversized": (in_body(b'"' + b"x" * MAX_PAYLOAD + b'"'), "statement.too-large"),
    "nested 65 deep": (in_body(b"[" * 65 + b"]" * 65), "json.too-deep"),
    "nested 100,000 deep": (in_body(b"[" * 100_000 + b"]" * 100_000), "json.too-deep"),
    "duplicate key": (
        lambda payload: payload.replace(b'"title":', b'"title":"Rules","title":', 1),
        "json.duplicate-key",
    ),
    "duplicate key, escaped": (
        lambda payload: payload.replace(b'"title":', b'"titl\\u0065":"Rules","title":', 1),
        "json.duplicate-key",
    ),
    "NaN": (in_body(b"NaN"), "json.number"),
    "Infinity": (in_body(b"-Infinity"), "json.number"),
    "a number that overflows": (in_body(b"1e999"), "json.number"),
    "a number too large to be exact": (in_body(b"9007199254740993"), "json.number"),
    "half a character": (in_body(b'"\\ud800"'), "json.surrogate"),
    "no UTF-8": (in_body(b'"\xff"'), "json.malformed"),
    "byte-order mark": (lambda payload: b"\xef\xbb\xbf" + payload, "json.malformed"),
    "trailing bytes": (lambda payload: payload + b"x", "json.malformed"),
    "trailing zero": (lambda payload: payload + b"\0", "json.malformed"),
    "two documents": (lambda payload: payload * 2, "json.malformed"),
    "nothing": (lambda payload: b"", "json.malformed"),
}


@pytest.mark.parametrize("name", PAYLOADS)
def test_payload(victim: Any, name: str) -> None:
    """What a person signed must have one meaning, and a size; else it is no statement."""
    change, code = PAYLOADS[name]
    bea = victim.key("bea")
    payload = change(victim.statement().to_payload())
    made = Envelope.sign(payload, bea)
    put(victim, made.to_bytes(), leaf_bytes(made, bea.public))
    found = [(finding.code, finding.record) for finding in victim.open().verify().findings]
    assert found == [(code, 10)]
    assert len(victim.open().verified().records) == 10


LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def loose(text: bytes) -> bytes:
    """The same bytes in base64 with another bit behind their end; the text is padded."""
    at = len(text.rstrip(b"=")) - 1
    other = text[:at] + bytes([LETTERS[LETTERS.index(text[at]) + 1]]) + text[at + 1 :]
    assert base64.b64decode(other) == base64.b64decode(text)
    return other


def loose_payload(data: bytes) -> bytes:
    """An envelope whose payload is written so."""
    payload = data[len(b'{"payload": "') : data.index(b'", "payloadType')]
    return data.replace(payload, loose(payload))


def rewritten(**more: Any) -> Callable[[bytes], bytes]:
    """The same envelope with another layout or more in it."""
    return lambda data: json.dumps({**json.loads(data), **more}).encode()


def second_signature(data: bytes) -> bytes:
    value = json.loads(data)
    return json.dumps({**value, "signatures": value["signatures"] * 2}).encode()


ENVELOPES: dict[str, Callable[[bytes], bytes]] = {
    "base64 that is not canonical": loose_payload,
    "base64 without its end": lambda data: data.replace(b'=", "payloadType', b'", "payloadType'),
    "base64 of the other alphabet": lambda data: data.replace(b"ey", b"e-", 1),
    "a line break in base64": lambda data: data.replace(b"ey", b"e\ny", 1),
    "trailing bytes": lambda data: data + b"x",
    "trailing white space": lambda data: data + b"\n",
    "leading white space": lambda data: b" " + data,
    "another layout": lambda data: data.replace(b'": ', b'":'),
    "duplicate key": lambda data: data.replace(b'"payloadType"', b'"payload": "", "payloadType"'),
    "one more key": rewritten(more=1),
    "another payload type": rewritten(payloadType="text/plain"),
    "two signatures": second_signature,
    "no signature": rewritten(signatures=[]),
}


@pytest.mark.parametrize("name", ENVELOPES)
def test_envelope(victim: Any, name: str) -> None:
    """An envelope has one byte form; any other that means the same is refused."""
    bea, statement = victim.key("bea"), victim.statement()
    bodies = [{**statement.body, "title": "Forged" + "!" * more} for more in range(3)]
    # One of three lengths in a row ends on one sign of padding.
    (made,) = (
        item
        for item in (
            Envelope.sign(replace(statement, body=body).to_payload(), bea) for body in bodies
        )
        if len(item.payload) % 3 == 2
    )
    data = ENVELOPES[name](made.to_bytes())
    assert data != made.to_bytes()
    put(victim, data, leaf_bytes(made, bea.public))
    assert victim.codes() == ["envelope.malformed"]


LEAVES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "trailing bytes": (lambda leaf: leaf + b"x", "leaf.differs"),
    "white space": (lambda leaf: leaf.replace(b",", b", "), "leaf.differs"),
    "one more key": (lambda leaf: leaf.replace(b'{"api', b'{"a":1,"api', 1), "leaf.differs"),
    "duplicate key": (
        lambda leaf: leaf.replace(b'"kind":', b'"kind":"x","kind":', 1),
        "leaf.differs",
    ),
    "another algorithm's name": (
        lambda leaf: leaf.replace(b"PKIX_ECDSA_P256_SHA_256", b"PKIX_ED25519"),
        "leaf.differs",
    ),
    "nothing": (lambda leaf: b"", "leaf.malformed"),
}


@pytest.mark.parametrize("name", LEAVES)
def test_leaf(victim: Any, name: str) -> None:
    """A leaf has one byte form too, though tree and checkpoint are those of the other one."""
    change, code = LEAVES[name]
    bea = victim.key("bea")
    made = Envelope.sign(victim.statement().to_payload(), bea)
    put(victim, made.to_bytes(), change(leaf_bytes(made, bea.public)))
    assert victim.codes() == [code]


@pytest.mark.parametrize("name", SMALL)
def test_small_order_key(victim: Any, name: str) -> None:
    """A leaf whose Ed25519 key has small order, for which one signature fits every message."""
    made = Envelope.sign(victim.statement().to_payload(), victim.key("bea"))
    made = replace(made, signature=bytes.fromhex("01" + "00" * 63))
    spki = ED25519 + bytes.fromhex(SMALL[name])
    leaf = leaf_bytes(made, replace(victim.key("bea").public, spki=spki))
    put(victim, made.to_bytes(), leaf)
    assert victim.codes() == ["key.small-order"]


# A malleated signature: of every ECDSA signature (r, s) there is a twin, (r, n - s).


def twin(envelope: Envelope) -> Envelope:
    """The same envelope under the other signature that holds as well."""
    r, s = decode_dss_signature(envelope.signature)
    return replace(envelope, signature=encode_dss_signature(r, ORDER - s))


def malleated(victim: Any, *, leaf: bool, tile: bool) -> None:
    """Put the twin in the place of the last record's signature, as far as it is asked."""
    old = victim.open().entry("#9")
    entry = Entry.new(9, twin(old.envelope), old.key)
    entry.envelope.verify(entry.key)
    row: dict[str, Any] = {"envelope": entry.envelope.to_bytes()}
    if leaf:
        row |= {"leaf": entry.leaf, "leaf_hash": entry.sha256}
    victim.sql(f"UPDATE entry SET {', '.join(f'{k} = :{k}' for k in row)} WHERE number = 9", **row)
    if tile:
        victim.change("tile", "hashes", "level = 0", lambda data: data[:-32] + entry.leaf_hash)


@pytest.mark.parametrize(
    "leaf, tile, codes",
    [
        (False, False, ["leaf.differs"]),
        (True, False, ["checkpoint.root", "tile.differs"]),
        (True, True, ["checkpoint.root"]),
    ],
    ids=["in the envelope", "in the leaf too", "in leaf and tile"],
)
def test_malleated_signature(victim: Any, leaf: bool, tile: bool, codes: list[str]) -> None:
    """The twin holds as a signature, and is found all the same: the leaf holds the signature."""
    malleated(victim, leaf=leaf, tile=tile)
    assert victim.codes() == codes


def test_malleated_signature_under_the_stolen_ledger_key(victim: Any) -> None:
    """Signed for anew by the ledger's key it is a fork: invisible from inside, and found by whoever
    kept the checkpoint of before."""
    kept = victim.open().ledger.checkpoint().note.to_bytes()
    malleated(victim, leaf=True, tile=True)
    victim.sign(victim.ledger_key(), LATER)
    assert victim.codes() == []
    report = victim.open().verify(since=kept)
    assert "outside.fork" in {finding.code for finding in report.findings}


@pytest.mark.parametrize("form", ["padded", "negative", "trailing", "long length"])
def test_der_that_is_not_canonical(victim: Any, form: str) -> None:
    """The same two numbers in DER that is not the shortest do not hold as a signature."""
    bea = victim.key("bea")
    made = Envelope.sign(victim.statement().to_payload(), bea)
    r, s = (number.to_bytes(33, "big") for number in decode_dss_signature(made.signature))
    if form == "padded":
        body = b"\x02\x22\x00" + r + b"\x02\x22\x00" + s
        data = b"\x30" + bytes([len(body)]) + body
    elif form == "negative":
        body = b"\x02\x20" + (b"\xff" + r[2:]) + b"\x02\x21" + s
        data = b"\x30" + bytes([len(body)]) + body
    elif form == "trailing":
        data = made.signature + b"\0"
    else:
        data = b"\x30\x81" + made.signature[1:]
    other = replace(made, signature=data)
    put(victim, other.to_bytes(), leaf_bytes(other, bea.public))
    assert victim.codes() == ["signature.invalid"]


def test_a_hash_is_what_was_put_into_the_tree(victim: Any) -> None:
    """Two nodes of the tree offered as one leaf do not pass for a record (RFC 6962 §2.1)."""
    hashes = victim.tile(0, 0)
    node = b"\x01" + hashes[:64]
    made = Envelope.sign(victim.statement().to_payload(), victim.key("bea"))
    put(victim, made.to_bytes(), node)
    assert hash_leaf(node) != hash_leaf(hashes[:64])
    assert victim.codes() == ["leaf.malformed"]


def test_base64_in_a_leaf(victim: Any) -> None:
    """The key in a leaf is written in one way only."""
    bea = victim.key("bea")
    made = Envelope.sign(victim.statement().to_payload(), bea)
    leaf = leaf_bytes(made, bea.public)
    key = base64.b64encode(bea.public.spki)
    assert key.endswith(b"==") and key in leaf
    put(victim, made.to_bytes(), leaf.replace(key, loose(key)))
    assert victim.codes() == ["leaf.differs"]
