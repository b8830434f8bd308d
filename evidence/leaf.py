"""The leaf: what the Merkle tree holds of a record. Pure.

Source: Rekor v2 ``hashedrekord`` 0.0.2 (sigstore/rekor-tiles, ``hashedrekord.proto``), written as
canonical JSON (RFC 8785). It holds a digest, a signature and a key: nothing personal, 400-500
bytes.
"""

from __future__ import annotations

import hashlib
from binascii import b2a_base64

from .dsse import Envelope, pae
from .keys import PublicKey


def leaf_bytes(envelope: Envelope, key: PublicKey) -> bytes:
    """The leaf of ``envelope`` signed by ``key``.

    All values are ASCII without escapes and the keys stand in RFC 8785 order, so plain formatting
    gives the canonical form.
    """
    return (
        b'{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":'
        b'{"algorithm":"SHA2_256","digest":"%s"},"signature":{"content":"%s","verifier":'
        b'{"keyDetails":"%s","publicKey":{"rawBytes":"%s"}}}}}}'
        % (
            b2a_base64(hashlib.sha256(pae(envelope.payload)).digest(), newline=False),
            b2a_base64(envelope.signature, newline=False),
            key.algorithm.value.encode(),
            b2a_base64(key.spki, newline=False),
        )
    )
