"""Time stamps: an authority outside signs that a checkpoint was there at some time (RFC 3161).

The imprint is the SHA-256 of the checkpoint's note, byte for byte as it is stored, so a token also
fixes the ledger's own signatures. A token is judged as of the time it states: what happens to the
authority's certificates later does not turn good evidence bad.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from muniment.schemas.errors import (
    InputError,
    MunimentError,
    SignatureError,
    StoreError,
    TrustError,
    VerificationError,
)
from muniment.schemas.files import read_small
from muniment.schemas.finding import Check, Finding
from muniment.schemas.text import said_by
from muniment.schemas.times import format_time

from .anchors import TIMESTAMP, stored_anchors
from .checkpoint import SignedCheckpoint, verify_checkpoint
from .config import FILE_NAME, Config
from .note import VerifierKey
from .storage import AnchorRow, Reader, Storage, StoredAnchor

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from rfc3161_client import TimeStampResponse

KIND = TIMESTAMP
_SHA256 = "2.16.840.1.101.3.4.2.1"
_GRANTED = 0
_CERTIFICATES = 0xA0
"""Tag of the certificates in a SignedData (RFC 5652 §5.1)."""
_MAX_RESPONSE = 64 << 10
_MAX_ROOTS = 1 << 20
_SECONDS = 30.0
"""Time that an authority has for its whole answer."""
_APART = timedelta(minutes=5)
"""From here on the ledger's clock and the authority's are said to differ. A ledger that is as much
ahead has dated a checkpoint after a time at which it was there already: that is a fault."""
# What the library says, and within that what OpenSSL says.
_SAID_UNREADABLE = "parse sig as pkcs7"
_SAID_SIGNATURE = "verify pkcs7 signature"
_SAID_CHAIN = "certificate verify error"
_REASON = re.compile(r"(?:Verify error: |reason: \")([^\"]+)")


@dataclass(frozen=True, slots=True)
class Authority:
    """A time-stamping authority, and what is trusted to vouch for it."""

    url: str
    roots: tuple[Certificate, ...]

    @classmethod
    def of(cls, config: Config, folder: Path, url: str | None, roots: Path | None) -> Authority:
        """The one that is asked for, else the one in ``muniment.yaml``.

        Raises:
            InputError: ``timestamp.none``, ``timestamp.url``, ``timestamp.roots`` or the file of
                roots cannot be read.
        """
        chosen = url or config.timestamps
        if chosen is None:
            raise InputError(
                "timestamp.none",
                "no time-stamping authority is chosen",
                hint=f"write 'timestamps: URL' into {FILE_NAME}, or give --tsa URL",
            )
        if roots is None and config.timestamp_roots is not None:
            roots = folder / config.timestamp_roots
        if roots is None:
            raise InputError(
                "timestamp.roots",
                "no root certificate is trusted to vouch for a time-stamping authority",
                hint=f"write 'timestamp_roots: FILE.pem' into {FILE_NAME}, or give --roots FILE",
            )
        _check_url(chosen)
        return cls(chosen, load_roots(roots))


@dataclass(frozen=True, slots=True)
class Timestamp:
    """A verified time stamp over one checkpoint."""

    size: int
    """Size of the checkpoint."""
    source: str
    """URL of the authority."""
    time: datetime
    """When the authority says that the checkpoint was there, UTC."""
    is_new: bool
    """False if it was stored already."""


def load_roots(file: Path) -> tuple[Certificate, ...]:
    """Read the trusted root certificates, PEM.

    Raises:
        InputError: ``timestamp.roots`` or the file cannot be read.
    """
    return roots_in(read_small(file, _MAX_ROOTS), str(file))


def roots_in(data: bytes, name: str) -> tuple[Certificate, ...]:
    """The certificates in PEM ``data``.

    Args:
        name: what to call it in an error.

    Raises:
        InputError: ``timestamp.roots``.
    """
    from cryptography.x509 import load_pem_x509_certificates

    try:
        return tuple(dict.fromkeys(load_pem_x509_certificates(data)))
    except ValueError as error:
        raise InputError(
            "timestamp.roots",
            f"{name} holds no certificates: {error}",
            expected="root certificates of time-stamping authorities, PEM",
        ) from error


def stamp(storage: Storage, vkey: VerifierKey, authority: Authority) -> Timestamp:
    """Get a time stamp over the latest checkpoint, verify it, store it.

    Nothing is asked for again if there is one by this authority.

    Raises:
        VerificationError: the checkpoint or the token does not hold, or ``timestamp.before``;
            nothing was stored.
        StoreError: the ledger or the authority did not answer.
    """
    with storage.read() as reader:
        note = reader.last_checkpoint() or b""
        checkpoint = verify_checkpoint(note, vkey)
        size = checkpoint.size
        stored = _find(reader, size, authority.url)
    if stored is not None:
        time = verify_token(stored.proof, note, authority.roots)
        _require_before(checkpoint, time, authority.url)
        return Timestamp(size, authority.url, time, is_new=False)
    proof, time = _request(note, authority)
    _require_before(checkpoint, time, authority.url)
    with storage.write() as writer:
        # NOTE: the lock was not held while the authority was asked.
        is_new = _find(writer, size, authority.url) is None
        if is_new:
            writer.add([AnchorRow(size=size, kind=KIND, source=authority.url, proof=proof)])
    return Timestamp(size, authority.url, time, is_new)


def verify_timestamps(reader: Reader, vkey: VerifierKey | None, roots: Path | None) -> Check:
    """Verify every stored time stamp.

    Args:
        vkey: the ledger's, for the time its own checkpoints state; None if it is not known.
        roots: file with the trusted root certificates.

    Raises:
        InputError: the file of roots cannot be read.
    """
    check = Check(
        "timestamps", "checkpoints were there when an authority outside says that they were"
    )
    stored, faults = stored_anchors(reader, KIND)
    check.findings.extend(faults)
    if not stored:
        check.not_checked.append(
            "no timestamp: only the ledger's own clock says when records were made"
        )
        return check
    trusted = load_roots(roots) if roots is not None else ()
    if not trusted:
        check.not_checked.append(
            f"who signed {len(stored)} of them: no root certificate is trusted, "
            f"'timestamp_roots' is not set in {FILE_NAME}"
        )
    for anchor in stored:
        _verify_stored(check, anchor, reader, vkey, trusted)
    return check


def verify_token(
    proof: bytes, note: bytes, roots: tuple[Certificate, ...], nonce: int | None = None
) -> datetime:
    """Check a token over a checkpoint's note; returns the time it states, UTC.

    Args:
        proof: a DER TimeStampResp (RFC 3161 §2.4.2) with the authority's certificates.
        roots: trusted root certificates; the chain must hold at the time that is stated.
        nonce: what the token must repeat.

    Raises:
        VerificationError: ``timestamp.malformed``, ``timestamp.imprint`` or ``timestamp.nonce``.
        SignatureError: ``timestamp.signature``.
        TrustError: ``timestamp.untrusted``.
    """
    response = _parse(proof)
    time = _check_imprint(response, note, nonce)
    _check_signature(response, hashlib.sha256(note).digest(), roots)
    return time


def stated_time(proof: bytes, note: bytes) -> datetime:
    """The time a token over a checkpoint's note states, UTC; who signed it is not looked at.

    Raises:
        VerificationError: ``timestamp.malformed`` or ``timestamp.imprint``.
    """
    return _check_imprint(_parse(proof), note, None)


def _verify_stored(
    check: Check,
    anchor: StoredAnchor,
    reader: Reader,
    vkey: VerifierKey | None,
    roots: tuple[Certificate, ...],
) -> None:
    # NOTE: where the checkpoint of that size is gone this is a larger one, or none, and the
    # imprint is not its own.
    note = reader.covering_checkpoint(anchor.size - 1) or b""
    try:
        if roots:
            stated = verify_token(anchor.proof, note, roots)
            check.checked += 1
        else:
            stated = stated_time(anchor.proof, note)
    except MunimentError as error:
        text = f"the timestamp of {anchor.source} over the checkpoint of size {anchor.size}: "
        found = Finding(error.code, text + error.message, None, error.expected, error.found)
        check.findings.append(found)
        return
    if not roots or vkey is None:
        return
    try:
        checkpoint = verify_checkpoint(note, vkey)
    except MunimentError:
        return  # A fault of the checkpoint, which the check of the checkpoints names.
    try:
        _require_before(checkpoint, stated, anchor.source)
    except VerificationError as error:
        check.findings.append(Finding.of(error))
        return
    signed = checkpoint.time
    if stated - signed >= _APART:
        check.notes.append(
            Finding(
                "timestamp.apart",
                f"the checkpoint of size {anchor.size} was signed at {format_time(signed)} by the "
                f"ledger's clock, and was there at {format_time(stated)} by that of "
                f"{anchor.source}",
                expected=format_time(signed),
                found=format_time(stated),
            )
        )


def _require_before(checkpoint: SignedCheckpoint, stated: datetime, source: str) -> None:
    """Refuse a checkpoint that says it was signed after an authority saw it.

    Raises:
        VerificationError: ``timestamp.before``.
    """
    if checkpoint.time - stated >= _APART:
        raise VerificationError(
            "timestamp.before",
            f"the checkpoint of size {checkpoint.size} is dated later than {source} saw it: the "
            "ledger's clock was ahead",
            hint="set the clock of the machine that appends; no stamp over this checkpoint holds",
            expected=f"{format_time(stated)} or earlier",
            found=format_time(checkpoint.time),
        )


def _find(reader: Reader, size: int, source: str) -> StoredAnchor | None:
    same = (item for item in reader.anchors(size) if (item.kind, item.source) == (KIND, source))
    return next(same, None)


# Judging


def _parse(proof: bytes) -> TimeStampResponse:
    from rfc3161_client import decode_timestamp_response

    if len(proof) > _MAX_RESPONSE:
        raise _malformed(f"it has more than {_MAX_RESPONSE:,} bytes")
    try:
        return decode_timestamp_response(_in_order(proof))
    except ValueError as error:
        raise _malformed("it is not in the form of RFC 3161") from error


def _in_order(proof: bytes) -> bytes:
    """The answer with the certificates of its token in the order that DER asks of a SET.

    NOTE: OpenSSL writes them in the order it was given them, and the library reads DER alone. No
    signature covers that order; what is stored stays as the authority sent it.

    Raises:
        ValueError: it is no DER.
    """
    at, end = _inside(proof, 0)  # TimeStampResp
    at = _after(proof, at)  # over its status
    if at == end:
        return proof  # it grants nothing
    at, _ = _inside(proof, at)  # ContentInfo
    at, _ = _inside(proof, _after(proof, at))  # over the type, into [0]
    at, end = _inside(proof, at)  # SignedData
    for _ in range(3):  # over version, digestAlgorithms, encapContentInfo
        at = _after(proof, at)
    if at >= end or proof[at] != _CERTIFICATES:
        return proof
    at, end = _inside(proof, at)
    found = []
    place = at
    while place < end:
        found.append(proof[place : _after(proof, place)])
        place += len(found[-1])
    return proof[:at] + b"".join(sorted(found)) + proof[end:]


def _inside(data: bytes, at: int) -> tuple[int, int]:
    """Where the content of the DER element at ``at`` begins and ends."""
    from asn1crypto.parser import peek

    size = peek(data[at:])
    # NOTE: the length of the length follows from its first byte (X.690 §8.1.3).
    head = 2 + (data[at + 1] & 0x7F if data[at + 1] & 0x80 else 0)
    return at + head, at + size


def _after(data: bytes, at: int) -> int:
    """Where the DER element at ``at`` ends."""
    return _inside(data, at)[1]


def _check_imprint(response: TimeStampResponse, note: bytes, nonce: int | None) -> datetime:
    """Compare what the token says, signature apart; returns the time it states."""
    try:
        if response.status != _GRANTED:
            raise _malformed(f"its status is {response.status}, not granted")
        info = response.tst_info
        algorithm = info.message_imprint.hash_algorithm.dotted_string
        imprint, repeated = info.message_imprint.message, info.nonce
        stated = info.gen_time.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _malformed(str(error)) from error
    expected = hashlib.sha256(note).hexdigest()
    if algorithm != _SHA256 or imprint.hex() != expected:
        raise VerificationError(
            "timestamp.imprint",
            "the token is not over this checkpoint",
            expected=f"SHA-256 {expected}",
            found=f"{'SHA-256' if algorithm == _SHA256 else algorithm} {imprint.hex()}",
        )
    if nonce is not None and repeated != nonce:
        raise VerificationError(
            "timestamp.nonce",
            "the token does not answer this request: it repeats another number",
            expected=str(nonce),
            found=str(repeated),
        )
    return stated


def _check_signature(
    response: TimeStampResponse, digest: bytes, roots: tuple[Certificate, ...]
) -> None:
    import rfc3161_client

    verifier = rfc3161_client.VerifierBuilder(roots=list(roots)).build()
    try:
        verifier.verify(response, digest)
    except rfc3161_client.VerificationError as error:
        raise _judged(str(error)) from error
    except ValueError as error:
        raise _malformed(str(error)) from error
    _check_signer(response)


def _check_signer(response: TimeStampResponse) -> None:
    """The certificate that signed must be the one the token names under its signature.

    NOTE: the library does not look at this; and two certificates with the issuer and number that
    the signer states would leave open which of them was judged.

    Source: RFC 3161 §2.4.1 and §2.4.2, RFC 5816 §2.2.1 (ESSCertID and ESSCertIDv2).
    """
    # NOTE: tsp, not cms: only with it loaded are the attributes known that name a certificate.
    from asn1crypto.tsp import ContentInfo

    try:
        signed = ContentInfo.load(response.time_stamp_token())["content"]
        (signer,) = signed["signer_infos"]
        stated = signer["sid"].chosen
        (certificate,) = (
            item.chosen
            for item in signed["certificates"]
            if item.name == "certificate"
            and item.chosen.issuer == stated["issuer"]
            and item.chosen.serial_number == stated["serial_number"].native
        )
        named = {
            attribute["type"].native: attribute["values"][0]["certs"][0]
            for attribute in signer["signed_attrs"]
            if attribute["type"].native in ("signing_certificate", "signing_certificate_v2")
        }
        holds = bool(named) and all(
            item["cert_hash"].native
            == hashlib.new(_id_hash(kind, item), certificate.dump()).digest()
            for kind, item in named.items()
        )
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise _malformed("it does not name one certificate as its signer's") from error
    if not holds:
        raise TrustError(
            "timestamp.untrusted", "the token names another certificate than the one that signed"
        )


def _id_hash(kind: str, named: Any) -> str:
    return str(named["hash_algorithm"]["algorithm"].native) if kind.endswith("_v2") else "sha1"


def _judged(said: str) -> VerificationError:
    """Our error for what the library says of a token."""
    if _SAID_UNREADABLE in said:
        return _malformed("its signature cannot be read")
    reasons = _REASON.findall(said)
    reason = reasons[-1] if reasons else None
    if _SAID_SIGNATURE in said and _SAID_CHAIN not in said:
        return SignatureError(
            "timestamp.signature", "the signature of the token does not hold", found=reason
        )
    if _SAID_SIGNATURE in said:
        return TrustError(
            "timestamp.untrusted",
            "the authority's certificates do not lead to a trusted root at the time stated",
            found=reason,
        )
    return TrustError(
        "timestamp.untrusted",
        "the certificate that signed the token is not one for time stamps",
        found=said.removesuffix("."),
    )


def _malformed(why: str) -> VerificationError:
    return VerificationError("timestamp.malformed", f"not a usable time-stamp response: {why}")


# Asking


def _request(note: bytes, authority: Authority) -> tuple[bytes, datetime]:
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    builder = TimestampRequestBuilder().data(note).hash_algorithm(HashAlgorithm.SHA256)
    request = builder.nonce(nonce=True).cert_request(cert_request=True).build()
    proof = _post(authority.url, request.as_bytes())
    try:
        response = _parse(proof)
    except VerificationError as error:
        raise _unreachable(authority.url, error.message) from error
    if response.status != _GRANTED:
        raise StoreError(
            "timestamp.refused",
            f"{authority.url} gives no time stamp",
            found="; ".join([f"status {response.status}", *response.status_string]),
        )
    return proof, verify_token(proof, note, authority.roots, request.nonce)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Makes an answer that sends us elsewhere an error."""

    def redirect_request(self, *arguments: Any) -> None:
        return None


def ask(url: str, request: bytes) -> bytes:
    """What an authority answers to a TimeStampReq (RFC 3161 §2.4.1); nothing of it is checked.

    Raises:
        StoreError: ``timestamp.unreachable``.
    """
    return _post(url, request)


def _post(url: str, body: bytes) -> bytes:
    request = urllib.request.Request(
        url, body, {"Content-Type": "application/timestamp-query", "User-Agent": "muniment"}
    )
    deadline = time.monotonic() + _SECONDS
    try:
        opener = urllib.request.build_opener(_NoRedirect)
        with opener.open(request, timeout=_SECONDS) as answer:
            return _read(answer, deadline)
    except urllib.error.HTTPError as error:
        error.close()
        raise _unreachable(url, f"it answers {error.code}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise _unreachable(url, said_by(error)) from error


def _read(answer: http.client.HTTPResponse, deadline: float) -> bytes:
    data = b""
    while chunk := answer.read1(1 << 13):
        data += chunk
        if len(data) > _MAX_RESPONSE:
            raise ValueError(f"it answers with more than {_MAX_RESPONSE:,} bytes")
        if time.monotonic() > deadline:
            raise TimeoutError("it takes too long")
    return data


def _unreachable(url: str, why: str) -> StoreError:
    return StoreError(
        "timestamp.unreachable",
        f"{url} gives no time stamp: {why}",
        hint="try again later, or another authority with --tsa; nothing was stored",
    )


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        has_secret = parts.username is not None or parts.password is not None
    except ValueError:
        is_usable, has_secret = False, False
    if not is_usable or has_secret or not url.isascii() or not url.isprintable() or " " in url:
        raise InputError(
            "timestamp.url",
            "this cannot be the address of a time-stamping authority",
            expected="http://… or https://…, without user or password",
            # NOTE: a password must not reach a log.
            found=None if has_secret else url,
        )
