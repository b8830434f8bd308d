"""The leaf: what the Merkle tree holds of a record. Pure.

Source: Rekor v2 ``hashedrekord`` 0.0.2 (sigstore/rekor-tiles, ``hashedrekord.proto``), written as
canonical JSON (RFC 8785). It holds a digest, a signature and a key: nothing personal, 400-500
bytes.
"""

from __future__ import annotations

import binascii
import hashlib
from functools import lru_cache

from pybase64 import b64decode, b64encode

from muniment.schemas import strictjson
from muniment.schemas.errors import InputError, SignatureError

from .dsse import Envelope, pae
from .keys import PublicKey, load_spki

_HEAD = (
    b'{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":'
    b'{"algorithm":"SHA2_256","digest":"'
)
_SIGNATURE = b'"},"signature":{"content":"'
_SPKI_HEAD = b'"publicKey":{"rawBytes":"'


def leaf_bytes(envelope: Envelope, key: PublicKey) -> bytes:
    """The leaf of ``envelope`` signed by ``key``.

    All values are ASCII without escapes and the keys stand in RFC 8785 order, so plain joining
    gives the canonical form.
    """
    digest = hashlib.sha256(pae(envelope.payload)).digest()
    return join_leaf(digest, b64encode(envelope.signature), leaf_ending(key))


def join_leaf(digest: bytes, signature64: bytes, ending: bytes) -> bytes:
    """The leaf over a digest of 32 bytes and a signature in base64, by the key of ``ending``."""
    return b"".join((_HEAD, b64encode(digest), _SIGNATURE, signature64, ending))


def leaf_ending(key: PublicKey) -> bytes:
    """How the leaf of anything signed by ``key`` ends."""
    return b'","verifier":{"keyDetails":"%s",%s%s"}}}}}}' % (
        key.algorithm.value.encode(),
        _SPKI_HEAD,
        b64encode(key.spki),
    )


def leaf_key(leaf: bytes) -> PublicKey:
    """The signer's key in a leaf.

    Raises:
        SignatureError: ``leaf.malformed``.
        InputError: the key is refused.
    """
    start = leaf.find(_SPKI_HEAD) + len(_SPKI_HEAD)
    try:
        if start < len(_SPKI_HEAD):
            raise ValueError("it holds no key")
        return _key(leaf[start:].partition(b'"')[0])
    except (ValueError, binascii.Error) as error:
        raise SignatureError("leaf.malformed", f"the leaf is malformed: {error}") from error


@lru_cache(maxsize=1024)
def _key(text: bytes) -> PublicKey:
    return load_spki(b64decode(text, validate=True))


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
            b64decode(text, validate=True)
            for text in (
                spec["data"]["digest"],
                spec["signature"]["content"],
                spec["signature"]["verifier"]["publicKey"]["rawBytes"],
            )
        )
        signer = load_spki(key)
        form = join_leaf(digest, b64encode(signature), leaf_ending(signer))
    except (LookupError, TypeError, ValueError, InputError) as error:
        raise SignatureError("leaf.malformed", f"the leaf is malformed: {error}") from error
    if form != leaf:
        raise SignatureError("leaf.malformed", "the leaf is not in its one form")
    return signer.verify_digest(signature, digest)
