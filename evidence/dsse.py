"""The DSSE envelope around a statement. Pure.

Source: DSSE v1.0.2, https://github.com/secure-systems-lab/dsse (protocol.md, envelope.md),
narrowed: the payload type is in-toto's, there is exactly one signature, and an envelope has one
byte form, so that any change of a stored envelope is seen.
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass

from pybase64 import b64decode, b64encode

from muniment.schemas import strictjson
from muniment.schemas.errors import SignatureError

from .keys import PublicKey, RecordKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_MAX_ENVELOPE = 2 << 20
_HEAD = b'{"payload": "'
_KEYID = b'", "payloadType": "%s", "signatures": [{"keyid": "' % PAYLOAD_TYPE.encode()
_SIG = b'", "sig": "'
_TAIL = b'"}]}'
_PAE_HEAD = b"DSSEv1 %d %s " % (len(PAYLOAD_TYPE), PAYLOAD_TYPE.encode())


def pae(payload: bytes) -> bytes:
    """Pre-authentication encoding: the bytes that are signed (DSSE protocol.md)."""
    return b"%s%d %s" % (_PAE_HEAD, len(payload), payload)


@dataclass(frozen=True, slots=True)
class Envelope:
    """A signed statement."""

    payload: bytes
    keyid: str
    """OpenSSH fingerprint of the signer; a hint, never an authority."""
    signature: bytes

    @classmethod
    def sign(cls, payload: bytes, key: RecordKey) -> Envelope:
        """Sign ``payload``."""
        return cls(payload, key.public.fingerprint, key.sign(pae(payload)))

    def verify(self, key: PublicKey) -> None:
        """Check the signature with ``key``.

        Raises:
            SignatureError: ``signature.invalid``.
        """
        key.verify(self.signature, pae(self.payload))

    def to_bytes(self) -> bytes:
        """The one byte form of this envelope."""
        payload = b64encode(self.payload)
        signature = b64encode(self.signature)
        return b"".join((_HEAD, payload, _KEYID, self.keyid.encode(), _SIG, signature, _TAIL))

    @classmethod
    def from_bytes(cls, data: bytes) -> Envelope:
        """Read the one byte form: other white space, base64 or keys are refused.

        Raises:
            SignatureError: ``envelope.malformed``.
        """
        try:
            payload, keyid, signature = split_envelope(data)
            if not keyid.startswith(b"SHA256:"):
                raise ValueError("its key id is no fingerprint")
            return cls(decode(payload), keyid.decode("ascii"), decode(signature))
        except ValueError as error:
            raise _malformed("it has not the form in which envelopes are stored") from error

    @staticmethod
    def payload_in(data: bytes) -> bytes:
        """The payload in bytes that ``from_bytes`` accepted."""
        return b64decode(data[len(_HEAD) : data.index(b'"', len(_HEAD))], validate=True)

    @classmethod
    def from_foreign(cls, data: bytes) -> Envelope:
        """Read an envelope that other software wrote: any JSON layout, the same content rules.

        Raises:
            SignatureError: ``envelope.malformed``.
            InputError: the bytes are not strict JSON.
        """
        if len(data) > _MAX_ENVELOPE:
            raise _malformed(f"it has {len(data):,} bytes")
        value = strictjson.loads(data, what="envelope")
        try:
            (signature,) = value["signatures"]
            if value["payloadType"] != PAYLOAD_TYPE:
                raise ValueError(f"its payload type is {value['payloadType']!r}")
            return cls(
                b64decode(value["payload"], validate=True),
                str(signature.get("keyid", "")),
                b64decode(signature["sig"], validate=True),
            )
        except (ValueError, KeyError, TypeError, AttributeError, binascii.Error) as error:
            raise _malformed(str(error)) from error


def split_envelope(data: bytes) -> tuple[bytes, bytes, bytes]:
    """The three values in an envelope's one byte form: payload and signature, both still in base64
    with the key id between them; ValueError if it has another form.

    Everything but the values is fixed, and each value has one writing: that settles duplicate keys,
    trailing bytes, a second signature, another payload type.
    """
    payload_end = data.index(b'"', len(_HEAD))
    keyid_at = payload_end + len(_KEYID)
    keyid_end = data.index(b'"', keyid_at)
    signature_at = keyid_end + len(_SIG)
    if (
        not data.startswith(_HEAD)
        or data[payload_end:keyid_at] != _KEYID
        or data[keyid_end:signature_at] != _SIG
        or not data.endswith(_TAIL)
    ):
        raise ValueError("it has another form")
    return (
        data[len(_HEAD) : payload_end],
        data[keyid_at:keyid_end],
        data[signature_at : -len(_TAIL)],
    )


def decode(text: bytes) -> bytes:
    """Decode base64 that is in its one form; ValueError if it is not."""
    data = b64decode(text, validate=True)
    if b64encode(data) != text:
        raise ValueError("its base64 is not canonical")
    return data


def _malformed(why: str) -> SignatureError:
    return SignatureError("envelope.malformed", f"the envelope is malformed: {why}")
