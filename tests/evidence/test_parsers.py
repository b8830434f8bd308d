"""Parsers of the proof core under random and damaged bytes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.evidence.checkpoint import Checkpoint, sign_checkpoint, verify_checkpoint
from muniment.evidence.dsse import Envelope
from muniment.evidence.entry import Entry
from muniment.evidence.keys import SigningKey, load_public, load_spki, new_ed25519, new_p256
from muniment.evidence.leaf import leaf_bytes, leaf_key
from muniment.evidence.merkle import EMPTY_ROOT, hash_leaf
from muniment.evidence.note import (
    COSIGNATURE_V1,
    ED25519,
    NoteSignature,
    SignedNote,
    VerifierKey,
    cosign_note,
)
from muniment.evidence.receipt import Receipt, parse_tlog_proof
from muniment.schemas.errors import CheckpointError, InclusionError, MunimentError, SignatureError
from muniment.schemas.statement import Statement, SystemRef, predicate_type

ORIGIN = "evidence.example.com"
TIME = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
SYSTEM = SystemRef("credit-risk", "1.0.0")
STATEMENT = Statement(
    subjects=(SYSTEM.descriptor(),),
    predicate_type=predicate_type("policy"),
    system=SYSTEM,
    collected_at=TIME,
    body={"title": "Rules – draft", "count": 3, "share": 0.5, "open": True, "none": None},
    salt="0f" * 16,
    controls=("nist-ai-rmf-1.0:GOVERN-1.1",),
    references=({"relation": "genesis", "index": 0, "sha256": "ab" * 32},),
)
PAYLOAD = STATEMENT.to_payload()
LEDGER = new_ed25519()
VKEY = VerifierKey(ORIGIN, ED25519, LEDGER.public)
KEYS = {"p256": new_p256(), "ed25519": new_ed25519()}


def receipt(key: SigningKey) -> Receipt:
    """A receipt of a ledger of one record."""
    envelope = Envelope.sign(PAYLOAD, key)
    root = hash_leaf(leaf_bytes(envelope, key.public))
    note = sign_checkpoint(Checkpoint(ORIGIN, 1, root), LEDGER, TIME).note
    return Receipt(envelope, key.public, 0, (), note.to_bytes())


RECEIPT = receipt(KEYS["p256"])
ENVELOPE = RECEIPT.envelope.to_bytes()
LEAF = RECEIPT.leaf
NOTE = RECEIPT.checkpoint
ROOT = hash_leaf(LEAF)
BUNDLE = RECEIPT.to_bundle(VKEY, 1, ROOT)
TLOG = Receipt(RECEIPT.envelope, RECEIPT.key, 3, (ROOT, EMPTY_ROOT), NOTE).to_tlog_proof()


def text_checkpoint(data: bytes) -> bytes:
    return Checkpoint.from_text(data.decode("latin-1")).to_text().encode("latin-1")


def vkey(data: bytes) -> bytes:
    return str(VerifierKey.parse(data.decode("latin-1"))).encode("latin-1")


def stripped(data: bytes) -> bytes:
    return data.decode("latin-1").strip().encode("latin-1")


def tlog_proof(data: bytes) -> bytes:
    index, proof, checkpoint = parse_tlog_proof(data)
    return Receipt(RECEIPT.envelope, RECEIPT.key, index, proof, checkpoint).to_tlog_proof()


def statement(data: bytes) -> bytes:
    return Statement.from_payload(Statement.from_payload(data).to_payload()).to_payload()


# Name → a valid input, and a function that reads it and writes it back.
PARSERS: dict[str, tuple[bytes, Callable[[bytes], bytes]]] = {
    "envelope": (ENVELOPE, lambda data: Envelope.from_bytes(data).to_bytes()),
    "note": (NOTE, lambda data: SignedNote.from_bytes(data).to_bytes()),
    "checkpoint": (Checkpoint(ORIGIN, 7, ROOT).to_text().encode(), text_checkpoint),
    "vkey": (str(VKEY).encode(), vkey),
    "tlog-proof": (TLOG, tlog_proof),
    "spki": (KEYS["p256"].public.spki, lambda data: load_spki(data).spki),
    "leaf": (LEAF, lambda data: Entry.from_stored(0, ENVELOPE, data).leaf),
    "entry": (ENVELOPE, lambda data: Entry.from_stored(0, data, LEAF).envelope.to_bytes()),
}
# These read what others laid out differently, so they need not write the same bytes.
READERS: dict[str, tuple[bytes, Callable[[bytes], Any]]] = {
    "foreign envelope": (ENVELOPE, Envelope.from_foreign),
    "bundle": (BUNDLE, Receipt.from_bundle),
    "statement": (PAYLOAD, statement),
    "leaf key": (LEAF, leaf_key),
    "public key": (KEYS["ed25519"].public.openssh().encode(), load_public),
    "public pem": (KEYS["p256"].public.pem().encode(), load_public),
}
EACH_PARSER = pytest.mark.parametrize("name", [*PARSERS, *READERS])


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """``data`` after a few edits: bytes changed, cut, doubled, put in, or JSON values exchanged."""
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.integers(0, 40)))
        new = draw(st.binary(max_size=4) | st.sampled_from([b"\n", b'"', b"[" * 99, b"NaN", b"\\"]))
        data = draw(
            st.sampled_from(
                [data[:at] + new + data[end:], data[:at] + new + data[at:], data[:end] + data[at:]]
            )
        )
    return data


@EACH_PARSER
@given(data=st.data())
def test_damaged_input_gives_our_errors_only(name: str, data: st.DataObject) -> None:
    """Damaged input is refused with an error of ours, or writes back to the same bytes."""
    if name in PARSERS:
        valid, again = PARSERS[name]
        changed = data.draw(damaged(valid))
        try:
            assert again(changed) == (stripped(changed) if name == "vkey" else changed)
        except MunimentError:
            return
    else:
        valid, read = READERS[name]
        try:
            read(data.draw(damaged(valid)))
        except MunimentError:
            return


@EACH_PARSER
@given(data=st.binary(max_size=300))
def test_random_bytes_give_our_errors_only(name: str, data: bytes) -> None:
    """Random bytes are refused with an error of ours."""
    with pytest.raises(MunimentError):
        (PARSERS | READERS)[name][1](data)


@pytest.mark.parametrize("name", PARSERS)
def test_valid_input_writes_back(name: str) -> None:
    """What we write reads, and writes to the same bytes."""
    valid, again = PARSERS[name]
    assert again(valid) == valid


def test_valid_documents_read() -> None:
    """What we write reads to what was written."""
    assert Receipt.from_bundle(BUNDLE) == RECEIPT
    assert Envelope.from_foreign(ENVELOPE) == RECEIPT.envelope
    assert Statement.from_payload(PAYLOAD) == STATEMENT
    assert statement(PAYLOAD) == PAYLOAD
    assert leaf_key(LEAF) == KEYS["p256"].public
    assert RECEIPT.verify(VKEY).time == TIME


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_any_value_at_any_place_of_a_document_gives_our_errors_only(data: st.DataObject) -> None:
    """A bundle, envelope or statement with any JSON value in any place raises nothing foreign."""
    valid, read = READERS[data.draw(st.sampled_from(["bundle", "foreign envelope", "statement"]))]
    document = json.loads(valid)
    node = document
    while True:
        key = data.draw(st.sampled_from(list(node) if isinstance(node, dict) else range(len(node))))
        if isinstance(node[key], dict | list) and node[key] and data.draw(st.booleans()):
            node = node[key]
        else:
            node[key] = data.draw(JSON)
            break
    try:
        read(json.dumps(document).encode())
    except MunimentError:
        return


def bit_flips(data: bytes) -> list[bytes]:
    """``data`` with each of its bits turned, one at a time."""
    return [
        data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]
        for at in range(len(data))
        for bit in range(8)
    ]


@pytest.mark.parametrize("name", KEYS)
def test_no_bit_of_an_envelope_can_be_turned(name: str) -> None:
    """Every single bit of an envelope counts: turned, it does not read or does not verify."""
    made = receipt(KEYS[name])
    data, leaf = made.envelope.to_bytes(), made.leaf
    for changed in bit_flips(data):
        with pytest.raises(MunimentError):
            entry = Entry.from_stored(0, changed, leaf)
            entry.envelope.verify(entry.key)


@pytest.mark.parametrize("name", KEYS)
def test_no_bit_of_a_leaf_can_be_turned(name: str) -> None:
    """Every single bit of a leaf counts: turned, it is not the envelope's leaf."""
    made = receipt(KEYS[name])
    for changed in bit_flips(made.leaf):
        with pytest.raises(MunimentError):
            Entry.from_stored(0, made.envelope.to_bytes(), changed)


def test_no_bit_of_a_checkpoint_can_be_turned() -> None:
    """Every single bit of a checkpoint counts: turned, it is not the ledger's."""
    for changed in bit_flips(NOTE):
        with pytest.raises(MunimentError):
            verify_checkpoint(changed, VKEY)


def test_only_ids_of_a_tlog_proof_bit_flip_read() -> None:
    """A turned bit of an offline proof gives another place, hash or checkpoint, never the same."""
    truth = parse_tlog_proof(TLOG)
    for changed in bit_flips(TLOG):
        try:
            assert parse_tlog_proof(changed) != truth
        except InclusionError:
            continue


BAD_NOTES = {
    "empty": b"",
    "no signature": b"text\n\n",
    "no blank line": b"text\n\xe2\x80\x94 a.example AAAAAAAA\n",
    "no last newline": NOTE[:-1],
    "space in name": b"text\n\n\xe2\x80\x94 a b AAAAAAAA\n",
    "hyphen for dash": NOTE.replace("—".encode(), b"-"),
    "loose base64": b"text\n\n\xe2\x80\x94 a.example AAAAAAB=\n",
    "short signature": b"text\n\n\xe2\x80\x94 a.example AAAAAA==\n",
    "not UTF-8": NOTE.replace(b"evidence", b"eviden\xffe"),
    "control character": b"te\x1bxt\n\n\xe2\x80\x94 a.example AAAAAAAA\n",
    "carriage return": NOTE.replace(b"\n", b"\r\n"),
    "too many signatures": NOTE + NOTE.splitlines(True)[-1] * 101,
    "too large": b"x" * 1_000_001,
}


@pytest.mark.parametrize("name", BAD_NOTES)
def test_malformed_notes(name: str) -> None:
    """Each malformed note is refused as malformed."""
    with pytest.raises(CheckpointError) as caught:
        SignedNote.from_bytes(BAD_NOTES[name])
    assert caught.value.code == "note.malformed"


ROOT64 = base64.b64encode(ROOT).decode()
BAD_CHECKPOINTS = {
    "no lines": "",
    "leading zero": f"{ORIGIN}\n07\n{ROOT64}\n",
    "negative": f"{ORIGIN}\n-7\n{ROOT64}\n",
    "plus": f"{ORIGIN}\n+7\n{ROOT64}\n",
    "huge": f"{ORIGIN}\n{'9' * 30}\n{ROOT64}\n",
    "other digits": f"{ORIGIN}\n٧\n{ROOT64}\n",
    "no origin": f"\n7\n{ROOT64}\n",
    "short root": f"{ORIGIN}\n7\nAAAA\n",
    "root not base64": f"{ORIGIN}\n7\n{'!' * 44}\n",
    "loose base64": f"{ORIGIN}\n7\n{ROOT64[:-2]}{chr(ord(ROOT64[-2]) ^ 1)}=\n",
    "extension": f"{ORIGIN}\n7\n{ROOT64}\nmore\n",
    "no last newline": f"{ORIGIN}\n7\n{ROOT64}",
    "empty tree with a root": f"{ORIGIN}\n0\n{ROOT64}\n",
}


@pytest.mark.parametrize("name", BAD_CHECKPOINTS)
def test_malformed_checkpoints(name: str) -> None:
    """Each malformed checkpoint is refused as malformed."""
    with pytest.raises(CheckpointError) as caught:
        Checkpoint.from_text(BAD_CHECKPOINTS[name])
    assert caught.value.code == "checkpoint.malformed"


def signed(text: str, *signatures: NoteSignature) -> bytes:
    return SignedNote(text, signatures).to_bytes()


def test_checkpoints_that_are_not_this_ledgers() -> None:
    """Another ledger's, one by another key, and one signed only once: each has its own code."""
    text = Checkpoint(ORIGIN, 1, ROOT).to_text()
    plain, timed = SignedNote.from_bytes(NOTE).signatures
    elsewhere = sign_checkpoint(Checkpoint("other.example.com", 1, ROOT), LEDGER, TIME)
    stranger = sign_checkpoint(Checkpoint(ORIGIN, 1, ROOT), new_ed25519(), TIME)
    wrong = NoteSignature(ORIGIN, VKEY.id, timed.signature[8:])
    forever = cosign_note(text, ORIGIN, LEDGER, 2**63)
    short = NoteSignature(ORIGIN, VKEY.cosigner().id, b"1234567")
    for data, code in [
        (elsewhere.note.to_bytes(), "checkpoint.foreign"),
        (stranger.note.to_bytes(), "note.unsigned"),
        (signed(text, plain), "note.unsigned"),
        (signed(text, timed), "note.unsigned"),
        (signed(text, wrong, timed), "signature.invalid"),
        (signed(text, plain, wrong, timed), "signature.invalid"),
        (signed(text, plain, short), "signature.invalid"),
        (signed(text, plain, forever), "checkpoint.malformed"),
        (signed("hello\n", plain, timed), "checkpoint.malformed"),
    ]:
        with pytest.raises((CheckpointError, SignatureError)) as caught:
            verify_checkpoint(data, VKEY)
        assert caught.value.code == code


BAD_VKEYS = {
    "empty": "",
    "two parts": "name+00000000",
    "not base64": f"{ORIGIN}+00000000+!!!!",
    "other type": f"{ORIGIN}+00000000+{base64.b64encode(bytes([2]) + bytes(32)).decode()}",
    "short key": f"{ORIGIN}+00000000+{base64.b64encode(bytes([1]) + bytes(31)).decode()}",
    "wrong hash": f"{ORIGIN}+00000000+{str(VKEY).split('+', 2)[2]}",
    "upper-case hash": str(VerifierKey("a.b", COSIGNATURE_V1, LEDGER.public)).replace(
        VerifierKey("a.b", COSIGNATURE_V1, LEDGER.public).id.hex(), "ABCDEF01"
    ),
    "space in name": str(VKEY).replace("evidence", "evi dence"),
}


@pytest.mark.parametrize("name", BAD_VKEYS)
def test_malformed_verifier_keys(name: str) -> None:
    """Each malformed verifier key is refused as malformed."""
    with pytest.raises(CheckpointError) as caught:
        VerifierKey.parse(BAD_VKEYS[name])
    assert caught.value.code == "vkey.malformed"


def bundle(change: Callable[[dict[str, Any]], object]) -> bytes:
    document = json.loads(BUNDLE)
    change(document)
    return json.dumps(document).encode()


def entry_of(document: dict[str, Any]) -> Any:
    return document["verificationMaterial"]["tlogEntries"][0]


def set_index(value: Any) -> Callable[[dict[str, Any]], object]:
    def change(document: dict[str, Any]) -> None:
        entry_of(document)["logIndex"] = value
        entry_of(document)["inclusionProof"]["logIndex"] = value

    return change


BAD_BUNDLES: dict[str, tuple[bytes, str]] = {
    "media type": (bundle(lambda d: d.update(mediaType="x")), "bundle.malformed"),
    "no entry": (bundle(lambda d: d["verificationMaterial"].update(tlogEntries=[])), ""),
    "two places": (bundle(lambda d: entry_of(d).update(logIndex="1")), ""),
    "place as number": (bundle(set_index(0)), ""),
    "place with sign": (bundle(set_index("+0")), ""),
    "place in other digits": (bundle(set_index("٠")), ""),
    "negative place": (bundle(set_index("-1")), ""),
    "other root": (
        bundle(lambda d: entry_of(d)["inclusionProof"].update(rootHash=ROOT64[:-4] + "AAA=")),
        "",
    ),
    "other size": (bundle(lambda d: entry_of(d)["inclusionProof"].update(treeSize="2")), ""),
    "no checkpoint": (
        bundle(lambda d: entry_of(d)["inclusionProof"].update(checkpoint={"envelope": "x"})),
        "note.malformed",
    ),
    "loose base64": (bundle(lambda d: entry_of(d).update(canonicalizedBody="AAB=")), ""),
    "no JSON in leaf": (
        bundle(lambda d: entry_of(d).update(canonicalizedBody="AAAA")),
        "leaf.malformed",
    ),
    "deep JSON in leaf": (
        bundle(
            lambda d: entry_of(d).update(
                canonicalizedBody=base64.b64encode(b"[" * 100_000).decode()
            )
        ),
        "leaf.malformed",
    ),
    "other leaf": (
        bundle(
            lambda d: entry_of(d).update(
                canonicalizedBody=base64.b64encode(receipt(KEYS["ed25519"]).leaf).decode()
            )
        ),
        "bundle.leaf",
    ),
    "two signatures": (
        bundle(lambda d: d["dsseEnvelope"]["signatures"].append({"sig": "AAAA"})),
        "envelope.malformed",
    ),
    "payload type": (
        bundle(lambda d: d["dsseEnvelope"].update(payloadType="text/plain")),
        "envelope.malformed",
    ),
}


@pytest.mark.parametrize("name", BAD_BUNDLES)
def test_malformed_bundles(name: str) -> None:
    """Each malformed bundle is refused with its code."""
    data, code = BAD_BUNDLES[name]
    with pytest.raises(MunimentError) as caught:
        Receipt.from_bundle(data)
    assert caught.value.code == (code or "bundle.malformed")


BAD_ENVELOPES = {
    "empty": b"",
    "white space": ENVELOPE.replace(b'", "sig', b'",  "sig'),
    "trailing newline": ENVELOPE + b"\n",
    "leading mark": b"\xef\xbb\xbf" + ENVELOPE,
    "payload type": ENVELOPE.replace(b"in-toto", b"in-tot0"),
    "loose base64": ENVELOPE.replace(b'", "payloadType', b'=", "payloadType'),
    "duplicate key": ENVELOPE.replace(b'{"payload"', b'{"payload": "AAAA", "payload"'),
    "two signatures": ENVELOPE.replace(b"}]}", b'}, {"keyid": "SHA256:x", "sig": "AAAA"}]}'),
    "no keyid": ENVELOPE.replace(b'"keyid": "SHA256:', b'"keyid": "'),
    "extra field": ENVELOPE.replace(b"}]}", b'}], "note": ""}'),
}


@pytest.mark.parametrize("name", BAD_ENVELOPES)
def test_malformed_envelopes(name: str) -> None:
    """A stored envelope has one form; every other one is refused."""
    with pytest.raises(SignatureError) as caught:
        Envelope.from_bytes(BAD_ENVELOPES[name])
    assert caught.value.code == "envelope.malformed"


def test_a_foreign_envelope_has_a_size_limit() -> None:
    """An envelope over 2 MiB is refused before it is parsed."""
    with pytest.raises(SignatureError) as caught:
        Envelope.from_foreign(b" " * (2 << 20) + ENVELOPE)
    assert caught.value.code == "envelope.malformed"


def test_a_leaf_and_an_envelope_must_fit() -> None:
    """An envelope with another's leaf, and one whose keyid names another key, are told apart."""
    other = receipt(KEYS["ed25519"])
    with pytest.raises(SignatureError) as caught:
        Entry.from_stored(0, ENVELOPE, other.leaf)
    assert caught.value.code == "leaf.differs"
    named = Envelope(PAYLOAD, other.key.fingerprint, RECEIPT.envelope.signature)
    with pytest.raises(SignatureError) as caught:
        Entry.from_stored(0, named.to_bytes(), leaf_bytes(named, KEYS["p256"].public))
    assert caught.value.code == "envelope.keyid"
