"""Envelopes, read and verified by securesystemslib, which shares no code with Muniment."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]

from muniment.evidence.keys import Algorithm, PublicKey
from muniment.evidence.receipt import Receipt


def _verify(receipt: Receipt, key: PublicKey) -> dict[str, Any]:
    """Verify an envelope with ``key``, given out under the name the envelope asks for."""
    public = load_pem_public_key(key.pem().encode())
    signer = SSlibKey.from_crypto(public, keyid=receipt.envelope.keyid)
    envelope = Envelope.from_dict(json.loads(receipt.envelope.to_bytes()))
    return dict(envelope.verify([signer], threshold=1))


def test_every_envelope_verifies(sample: Any) -> None:
    """securesystemslib accepts every envelope of the ledger, P-256 and Ed25519 alike."""
    assert {receipt.key.algorithm for receipt in sample.receipts} == set(Algorithm)
    for receipt in sample.receipts:
        assert list(_verify(receipt, receipt.key)) == [receipt.key.fingerprint]


def test_its_envelope_is_ours(sample: Any) -> None:
    """securesystemslib reads out of our envelope the payload we put in, and writes the same one."""
    for receipt in sample.receipts:
        stored = json.loads(receipt.envelope.to_bytes())
        envelope = Envelope.from_dict(json.loads(receipt.envelope.to_bytes()))
        assert envelope.payload == receipt.envelope.payload
        assert envelope.to_dict() == stored


def test_a_changed_payload_is_rejected(sample: Any) -> None:
    """One byte more in a payload, and securesystemslib refuses, whatever the algorithm."""
    for receipt in sample.receipts:
        payload = receipt.envelope.payload.replace(b"}", b" }", 1)
        changed = replace(receipt, envelope=replace(receipt.envelope, payload=payload))
        with pytest.raises(VerificationError):
            _verify(changed, receipt.key)


def test_another_key_is_rejected(sample: Any) -> None:
    """An envelope does not verify with the key of another signer."""
    first = sample.receipts[0]
    others = [item for item in sample.receipts if item.key != first.key]
    assert others
    for receipt in others:
        with pytest.raises(VerificationError):
            _verify(receipt, first.key)


@pytest.mark.interop
def test_every_exported_envelope_verifies(exported: Any) -> None:
    """Each of a thousand lines of the exported .intoto.jsonl is an envelope that securesystemslib
    accepts, with one of the key files exported beside it, P-256 and Ed25519 alike."""
    keys = exported.keys("intoto")
    signers = {
        fingerprint: SSlibKey.from_crypto(load_pem_public_key(key.pem().encode()), fingerprint)
        for fingerprint, key in keys.items()
    }
    used = set()
    lines = (exported.folder / "intoto/records.intoto.jsonl").read_bytes().splitlines()
    for line in lines:
        envelope = Envelope.from_dict(json.loads(line))
        used |= set(envelope.verify(list(signers.values()), threshold=1))
    assert len(lines) == 1000
    assert {keys[fingerprint].algorithm for fingerprint in used} == set(Algorithm)
