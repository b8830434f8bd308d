"""Other people's tools accept what is signed here."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from securesystemslib.dsse import Envelope as OtherEnvelope
from securesystemslib.exceptions import VerificationError as OtherVerificationError
from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]

from muniment.evidence.dsse import PAYLOAD_TYPE, Envelope
from muniment.evidence.keys import RecordKey, SigningKey, new_ed25519, new_p256
from muniment.evidence.workspace import Workspace

MAKERS = pytest.mark.parametrize("make", [new_p256, new_ed25519])


def other_key(key: RecordKey) -> Any:
    """The key as securesystemslib has it, under our name for it."""
    loaded = load_pem_public_key(key.public.pem().encode())
    return SSlibKey.from_crypto(loaded, keyid=key.public.fingerprint)


@MAKERS
def test_securesystemslib_verifies_our_envelopes(make: Callable[[], SigningKey]) -> None:
    """An envelope of ours verifies with securesystemslib, and fails there with another key."""
    key, stranger = make(), make()
    data = json.loads(Envelope.sign(b'{"a":1}', key).to_bytes())
    envelope = OtherEnvelope.from_dict(data)
    accepted = envelope.verify([other_key(key)], 1)
    assert list(accepted) == [key.public.fingerprint]
    with pytest.raises(OtherVerificationError):
        envelope.verify([other_key(stranger)], 1)


@MAKERS
def test_we_verify_securesystemslibs_envelopes(make: Callable[[], SigningKey]) -> None:
    """An envelope signed by securesystemslib reads and verifies here."""
    key = make()
    signer = CryptoSigner(key.private, other_key(key))
    envelope = OtherEnvelope(b'{"a":1}', PAYLOAD_TYPE, {})
    envelope.sign(signer)
    read = Envelope.from_foreign(json.dumps(envelope.to_dict()).encode())
    read.verify(key.public)
    assert (read.payload, read.keyid) == (b'{"a":1}', key.public.fingerprint)


def test_securesystemslib_verifies_a_stored_record(workspace: Workspace) -> None:
    """The bytes in the ledger's own table verify with securesystemslib."""
    with workspace.storage.read() as reader:
        row = reader.entry(0)
    assert row is not None
    OtherEnvelope.from_dict(json.loads(row.envelope)).verify([other_key(workspace.signing_key)], 1)
