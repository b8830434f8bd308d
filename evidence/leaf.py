"""The leaf: what the Merkle tree holds of a record. Pure.

Source: Rekor v2 ``hashedrekord`` 0.0.2 (sigstore/rekor-tiles, ``hashedrekord.proto``), written as
canonical JSON (RFC 8785). It holds a digest, a signature and a key: nothing personal, 400-500
bytes.
"""

from __future__ import annotations

import base64
import hashlib
from binascii import b2a_base64

from muniment.schemas import strictjson
from muniment.schemas.errors import InputError, SignatureError

from .dsse import Envelope, pae
from .keys import PublicKey, load_spki


def leaf_bytes(envelope: Envelope, key: PublicKey) -> bytes:
    """The leaf of ``envelope`` signed by ``key``.

    All values are ASCII without escapes and the keys stand in RFC 8785 order, so plain formatting
    gives the canonical form.
    """
    return _written(hashlib.sha256(pae(envelope.payload)).digest(), envelope.signature, key)


def _written(digest: bytes, signature: bytes, key: PublicKey) -> bytes:
    return (
        b'{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":'
        b'{"algorithm":"SHA2_256","digest":"%s"},"signature":{"content":"%s","verifier":'
        b'{"keyDetails":"%s","publicKey":{"rawBytes":"%s"}}}}}}'
        % (
            b2a_base64(digest, newline=False),
            b2a_base64(signature, newline=False),
            key.algorithm.value.encode(),
            b2a_base64(key.spki, newline=False),
        )
    )


def verify_leaf(leaf: bytes) -> bool:
    """Check a leaf's signature without the record: over the digest that the leaf holds.

    Returns:
        Whether that could be done; Ed25519 signs the message itself (RFC 8032 §5.1.6).

    Raises:
        SignatureError: ``leaf.malformed`` or ``signature.invalid``.
        InputError: the key is refused.
    """
    try:
        spec = strictjson.loads(leaf, what="leaf")["spec"]["hashedRekordV002"]
        digest, signature, key = (
            base64.b64decode(text, validate=True)
            for text in (
                spec["data"]["digest"],
                spec["signature"]["content"],
                spec["signature"]["verifier"]["publicKey"]["rawBytes"],
            )
        )
        signer = load_spki(key)
        form = _written(digest, signature, signer)
    except (LookupError, TypeError, ValueError, InputError) as error:
        raise SignatureError("leaf.malformed", f"the leaf is malformed: {error}") from error
    if form != leaf:
        raise SignatureError("leaf.malformed", "the leaf is not in its one form")
    return signer.verify_digest(signature, digest)
