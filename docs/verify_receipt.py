"""Verify one receipt by docs/formats.md alone, with nothing of Muniment: an example to start from.

Usage: python verify_receipt.py LEDGER.vkey RECEIPT.sigstore.json
       python verify_receipt.py LEDGER.vkey RECEIPT.tlog-proof RECEIPT.leaf.json

Needs Python and the package ``cryptography``. Prints what was verified; leaves with 1 if anything
does not hold.
"""

import base64
import hashlib
import json
import re
import sys
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

PAYLOAD_TYPE = b"application/vnd.in-toto+json"


def require(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)


def unb64(text: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    require(base64.b64encode(data).decode() == text, "base64 that is not canonical")
    return data


def key_id(name: str, kind: int, key: bytes) -> bytes:
    """See "Checkpoint and recorded time"."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + key).digest()[:4]


def read_vkey(text: str) -> tuple[str, bytes]:
    """Name and raw Ed25519 key of a ledger's verifier key."""
    name, stated, body = text.strip().split("+", 2)
    raw = unb64(body)
    require(len(raw) == 33 and raw[0] == 1, "not an Ed25519 verifier key")
    require(key_id(name, 1, raw[1:]).hex() == stated, "the verifier key does not fit its id")
    return name, raw[1:]


def verify_checkpoint(note: str, name: str, raw: bytes) -> tuple[int, bytes, int]:
    """Size, root and signed time of a checkpoint."""
    text, separator, lines = note.rpartition("\n\n")
    require(bool(separator) and lines.endswith("\n"), "not a signed note")
    text += "\n"
    origin, size, root, rest = text.split("\n")
    require(origin == name and rest == "", "a checkpoint of another ledger")
    require(re.fullmatch("0|[1-9][0-9]*", size) is not None, "the size is no number")
    key = ed25519.Ed25519PublicKey.from_public_bytes(raw)
    found: dict[int, int] = {}
    for line in lines[:-1].split("\n"):
        dash, signer, body = line.split(" ")
        require(dash == "\u2014", "a signature line is malformed")
        data = unb64(body)
        if signer != name:
            continue
        if data[:4] == key_id(name, 1, raw):
            key.verify(data[4:], text.encode())
            found[1] = 0
        elif data[:4] == key_id(name, 4, raw):
            time = int.from_bytes(data[4:12], "big")
            key.verify(data[12:], f"cosignature/v1\ntime {time}\n{text}".encode())
            found[4] = time
    require(set(found) == {1, 4}, "the ledger has not signed the checkpoint twice")
    return int(size), unb64(root), found[4]


def verify_inclusion(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> None:
    """RFC 9162, section 2.1.3.2."""
    require(0 <= index < size, "the place is outside the tree")
    at, last = index, size - 1
    node = hashlib.sha256(b"\x00" + leaf).digest()
    for sibling in proof:
        require(last > 0 and len(sibling) == 32, "the proof is too long")
        if at & 1 or at == last:
            node = hashlib.sha256(b"\x01" + sibling + node).digest()
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\x01" + node + sibling).digest()
        at, last = at >> 1, last >> 1
    require(last == 0 and node == root, "the leaf is not in the tree where the receipt says")


def leaf_parts(leaf: bytes) -> tuple[bytes, bytes, bytes]:
    """Digest, signature and key of a leaf, which must be in its one form."""
    spec = json.loads(leaf)["spec"]["hashedRekordV002"]
    signature, verifier = spec["signature"], spec["signature"]["verifier"]
    digest, content = unb64(spec["data"]["digest"]), unb64(signature["content"])
    key = unb64(verifier["publicKey"]["rawBytes"])
    public = load_der_public_key(key)
    details = "ED25519" if isinstance(public, ed25519.Ed25519PublicKey) else "ECDSA_P256_SHA_256"
    form: dict[str, Any] = {
        "apiVersion": "0.0.2",
        "kind": "hashedrekord",
        "spec": {
            "hashedRekordV002": {
                "data": {"algorithm": "SHA2_256", "digest": spec["data"]["digest"]},
                "signature": {
                    "content": signature["content"],
                    "verifier": {
                        "keyDetails": f"PKIX_{details}",
                        "publicKey": {"rawBytes": verifier["publicKey"]["rawBytes"]},
                    },
                },
            }
        },
    }
    require(json.dumps(form, separators=(",", ":")).encode() == leaf, "a leaf in another form")
    return digest, content, key


def verify_record(leaf: bytes, envelope: "dict[str, Any] | None") -> str:
    """Check the record's signature as far as that can be done; says how far it was."""
    digest, signature, key = leaf_parts(leaf)
    public = load_der_public_key(key)
    if envelope is None:
        if isinstance(public, ed25519.Ed25519PublicKey):
            return "its Ed25519 signature is NOT CHECKED: that takes the envelope"
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(signature, digest, ec.ECDSA(Prehashed(SHA256())))
        return "signed, over the digest in the leaf"
    payload = unb64(envelope["payload"])
    (signed,) = envelope["signatures"]
    require(envelope["payloadType"].encode() == PAYLOAD_TYPE, "another payload type")
    message = b"DSSEv1 28 %b %d %b" % (PAYLOAD_TYPE, len(payload), payload)
    require(hashlib.sha256(message).digest() == digest, "the leaf is of another record")
    require(unb64(signed["sig"]) == signature, "the leaf holds another signature")
    if isinstance(public, ed25519.Ed25519PublicKey):
        public.verify(signature, message)
    else:
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(signature, message, ec.ECDSA(SHA256()))
    return f"signed; its predicate type is {json.loads(payload)['predicateType']}"


def read_bundle(data: bytes) -> tuple[bytes, int, list[bytes], str, dict[str, Any]]:
    """Leaf, place, proof, checkpoint and envelope of a Sigstore bundle."""
    bundle = json.loads(data)
    (entry,) = bundle["verificationMaterial"]["tlogEntries"]
    proof = entry["inclusionProof"]
    return (
        unb64(entry["canonicalizedBody"]),
        int(proof["logIndex"]),
        [unb64(item) for item in proof["hashes"]],
        proof["checkpoint"]["envelope"],
        bundle["dsseEnvelope"],
    )


def read_tlog_proof(data: bytes) -> tuple[int, list[bytes], str]:
    """Place, proof and checkpoint of a C2SP tlog-proof."""
    head, _, note = data.decode().partition("\n\n")
    version, index, *hashes = head.split("\n")
    require(version == "c2sp.org/tlog-proof@v1", "not a tlog-proof")
    return int(index.removeprefix("index ")), [unb64(item) for item in hashes], note


def main(vkey: str, receipt: str, *leaf_file: str) -> str:
    name, raw = read_vkey(Path(vkey).read_text())
    data = Path(receipt).read_bytes()
    envelope = None
    if leaf_file:
        leaf = Path(leaf_file[0]).read_bytes()
        index, proof, note = read_tlog_proof(data)
    else:
        leaf, index, proof, note, envelope = read_bundle(data)
    size, root, time = verify_checkpoint(note, name, raw)
    verify_inclusion(leaf, index, size, proof, root)
    said = verify_record(leaf, envelope)
    digest = hashlib.sha256(b"\x00" + leaf).hexdigest()
    return f"#{index} {digest} of {name}, {size} records at {time}: {said}"


if __name__ == "__main__":
    try:
        print(main(*sys.argv[1:]))
    except (ValueError, LookupError, TypeError, InvalidSignature) as error:
        sys.exit(f"does not hold: {error or 'a signature'}")
