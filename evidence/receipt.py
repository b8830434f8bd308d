"""Receipts: a record with its proof of inclusion, in the forms other people's tools read. Pure.

Sources: Sigstore bundle v0.3 and trusted root v0.1 (sigstore/protobuf-specs, JSON mapping);
C2SP tlog-proof v1.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from muniment.schemas import strictjson
from muniment.schemas.errors import InclusionError
from muniment.schemas.times import format_time

from .checkpoint import Checkpoint, SignedCheckpoint, verify_checkpoint
from .dsse import PAYLOAD_TYPE, Envelope
from .keys import PublicKey
from .leaf import leaf_bytes, leaf_key
from .merkle import hash_leaf, verify_inclusion
from .note import SignedNote, VerifierKey

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
TRUSTED_ROOT_TYPE = "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
TLOG_PROOF = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"0|[1-9][0-9]{0,15}")


@dataclass(frozen=True, slots=True)
class Receipt:
    """An envelope, its signer's key, its place, and the proof of it under a checkpoint."""

    envelope: Envelope
    key: PublicKey
    index: int
    proof: tuple[bytes, ...]
    """Sibling hashes, leaf to root."""
    checkpoint: bytes
    """The signed note the proof leads to."""

    @property
    def leaf(self) -> bytes:
        """The leaf, canonical JSON."""
        return leaf_bytes(self.envelope, self.key)

    def verify(self, ledger: VerifierKey) -> SignedCheckpoint:
        """Check the record's signature, the checkpoint's signatures and the inclusion.

        Raises:
            SignatureError, CheckpointError, InclusionError: what does not hold.
        """
        self.envelope.verify(self.key)
        signed = verify_checkpoint(self.checkpoint, ledger)
        verify_inclusion(hash_leaf(self.leaf), self.index, signed.size, self.proof, signed.root)
        return signed

    def to_bundle(self, ledger: VerifierKey, size: int, root: bytes) -> bytes:
        """The receipt as a Sigstore bundle v0.3.

        Args:
            size: tree size of the checkpoint.
            root: root hash of the checkpoint, 32 bytes.
        """
        bundle = {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {
                "publicKey": {"hint": self.key.fingerprint},
                "tlogEntries": [
                    {
                        "logIndex": str(self.index),
                        "logId": {"keyId": _b64(ledger.log_id)},
                        "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
                        "integratedTime": "0",
                        "inclusionProof": {
                            "logIndex": str(self.index),
                            "rootHash": _b64(root),
                            "treeSize": str(size),
                            "hashes": [_b64(item) for item in self.proof],
                            "checkpoint": {"envelope": self.checkpoint.decode()},
                        },
                        "canonicalizedBody": _b64(self.leaf),
                    }
                ],
            },
            "dsseEnvelope": {
                "payload": _b64(self.envelope.payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [
                    {"keyid": self.envelope.keyid, "sig": _b64(self.envelope.signature)}
                ],
            },
        }
        return json.dumps(bundle).encode()

    @classmethod
    def from_bundle(cls, data: bytes) -> Receipt:
        """Read a Sigstore bundle; nothing is verified yet but its form.

        The signer's key is taken from the leaf, and the leaf must be exactly that of the envelope.

        Raises:
            InclusionError: ``bundle.malformed`` or ``bundle.leaf``.
            SignatureError: ``envelope.malformed`` or ``leaf.malformed``.
            CheckpointError: ``note.malformed`` or ``checkpoint.malformed``.
            InputError: the bytes are not strict JSON, or the key is refused.
        """
        value = strictjson.loads(data, what="bundle")
        try:
            if value["mediaType"] != BUNDLE_TYPE:
                raise ValueError(f"media type {value['mediaType']!r}")
            (entry,) = value["verificationMaterial"]["tlogEntries"]
            proof = entry["inclusionProof"]
            leaf = _unb64(entry["canonicalizedBody"])
            receipt = cls(
                Envelope.from_foreign(json.dumps(value["dsseEnvelope"]).encode()),
                leaf_key(leaf),
                _index(proof["logIndex"]),
                tuple(_unb64(item) for item in proof["hashes"]),
                proof["checkpoint"]["envelope"].encode(),
            )
            if entry["logIndex"] != proof["logIndex"]:
                raise ValueError("it names two places")
            signed = Checkpoint.from_text(SignedNote.from_bytes(receipt.checkpoint).text)
            if (proof["treeSize"], proof["rootHash"]) != (str(signed.size), _b64(signed.root)):
                raise ValueError("it names another tree than its checkpoint")
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
            raise InclusionError(
                "bundle.malformed", f"not a Sigstore bundle of a record: {error}"
            ) from error
        if receipt.leaf != leaf:
            raise InclusionError("bundle.leaf", "the leaf is not that of the envelope")
        return receipt

    def to_tlog_proof(self) -> bytes:
        """The proof alone, as a C2SP ``.tlog-proof``."""
        return tlog_proof(self.index, self.proof, self.checkpoint)


def trusted_root(ledger: VerifierKey, valid_from: datetime) -> bytes:
    """The Sigstore trusted root that names ``ledger`` as the one log to trust."""
    value: dict[str, Any] = {
        "mediaType": TRUSTED_ROOT_TYPE,
        "tlogs": [
            {
                "baseUrl": f"https://{ledger.name}",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": _b64(ledger.key.spki),
                    "keyDetails": ledger.key.algorithm.value,
                    "validFor": {"start": format_time(valid_from)},
                },
                "logId": {"keyId": _b64(ledger.log_id)},
            }
        ],
    }
    return json.dumps(value).encode()


def tlog_proof(index: int, proof: Iterable[bytes], checkpoint: bytes) -> bytes:
    """A C2SP ``.tlog-proof``; it needs nothing but the place of a leaf.

    Args:
        proof: sibling hashes, leaf to root.
        checkpoint: the signed note they lead to.
    """
    hashes = "".join(f"{_b64(item)}\n" for item in proof)
    return f"{TLOG_PROOF}\nindex {index}\n{hashes}\n".encode() + checkpoint


def parse_tlog_proof(data: bytes) -> tuple[int, tuple[bytes, ...], bytes]:
    """Read a ``.tlog-proof``: index, proof hashes, checkpoint.

    Raises:
        InclusionError: ``tlog-proof.malformed``.
    """
    try:
        head, checkpoint = data.split(b"\n\n", 1)
        version, index, *hashes = head.decode("ascii").split("\n")
        if version != TLOG_PROOF or not index.startswith("index "):
            raise ValueError("no tlog-proof v1")
        place = _index(index.removeprefix("index "))
        proof = tuple(map(_unb64, hashes))
        if any(len(item) != 32 for item in proof):
            raise ValueError("a hash has not 32 bytes")
    except (ValueError, binascii.Error) as error:
        raise InclusionError("tlog-proof.malformed", f"not a tlog-proof: {error}") from error
    return place, proof, checkpoint


def _index(text: str) -> int:
    if not _INDEX.fullmatch(text):
        raise ValueError("the index is not a plain number")
    return int(text)


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(text: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data) != text.encode():
        raise ValueError("its base64 is not canonical")
    return data
