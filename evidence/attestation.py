"""Attestations: in-toto statements that third parties signed, read and verified with given keys.

Sources: DSSE v1.0.2 (JSON, or one envelope a line in ``.intoto.jsonl``), Sigstore bundle v0.3,
in-toto Statement v1 and v0.1, SLSA provenance, SLSA VSA, in-toto test-result, model-signing v1.0.
The statement stays as its maker wrote it; what a record says of it is computed from the file, so
that it can be computed again.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from muniment.schemas import strictjson
from muniment.schemas.errors import InputError, MunimentError, SignatureError
from muniment.schemas.finding import Check, Finding
from muniment.schemas.record import Record
from muniment.schemas.times import parse_time

from .artifacts import ArtifactStore
from .collectors.values import named
from .dsse import PAYLOAD_TYPE, pae
from .keys import PublicKey, load_spki
from .receipt import BUNDLE_TYPE

KIND = "attestation"
MAX_FILE = 16 << 20
"""Largest file of attestations, in bytes."""
_MAX_ARTIFACTS = 900
"""Files one attestation may speak of: a record names each as a subject."""
_MAX_SIGNATURES = 100
_STATEMENTS = ("https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1")
_PROVENANCE = "https://slsa.dev/provenance"
_MODEL_SIGNING = "https://model_signing/signature"
_RESULTS = (
    ("https://in-toto.io/attestation/test-result", "result"),
    ("https://slsa.dev/verification_summary", "verificationResult"),
)
"""Predicate types, of whatever version, that conclude something; each with the field that says
what."""
_RESULT_WORDS = {"PASSED": "passed", "WARNED": "warned", "FAILED": "failed"}
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")


@dataclass(frozen=True, slots=True)
class Attestation:
    """One signed statement of a third party; nothing of it is verified yet but its form."""

    payload: bytes
    signatures: tuple[bytes, ...]
    keyids: tuple[str, ...]
    """What the signatures say of their keys; hints, never authorities."""
    statement: Mapping[str, Any]

    @property
    def payload_sha256(self) -> str:
        """SHA-256 of the signed bytes, in hexadecimal."""
        return hashlib.sha256(self.payload).hexdigest()

    @property
    def predicate(self) -> Mapping[str, Any]:
        """The predicate, of whatever type."""
        return _object(self.statement.get("predicate"))

    def signers(self, keys: Iterable[PublicKey]) -> list[PublicKey]:
        """Those of ``keys`` that signed it, at least one.

        Raises:
            SignatureError: ``attestation.signature``.
        """
        given = list(dict.fromkeys(keys))
        message = pae(self.payload)
        found = [
            key for key in given if any(_holds(key, item, message) for item in self.signatures)
        ]
        if not found:
            raise SignatureError(
                "attestation.signature",
                "the attestation is signed by none of the given keys",
                expected=", ".join(key.fingerprint for key in given) or "a key",
                found=", ".join(map(named, filter(None, self.keyids))) or "no key is named in it",
                hint="ask whoever made it for their public key; P-256 and Ed25519 are read",
            )
        return found

    def facts(self) -> dict[str, Any]:
        """What a record says of it: the body of kind ``attestation`` but for ``keys``.

        Raises:
            InputError: ``attestation.malformed`` or ``attestation.no-digest``.
        """
        kind = str(self.statement["predicateType"])
        facts: dict[str, Any] = {
            "predicateType": kind,
            "payloadSha256": self.payload_sha256,
            "artifacts": [{"name": name, "sha256": sha256} for name, sha256 in self._artifacts()],
        }
        for family, field in _RESULTS:
            if _is_of(kind, family):
                said = self.predicate.get(field)
                if not isinstance(said, str) or said not in _RESULT_WORDS:
                    raise _malformed(f"its {field} is {said!r:.100}", ", ".join(_RESULT_WORDS))
                facts["result"] = _RESULT_WORDS[said]
        if _is_of(kind, _PROVENANCE):
            run = _object(self.predicate.get("runDetails")) or self.predicate
            if builder := _object(run.get("builder")).get("id"):
                facts["builder"] = named(builder)
        return facts

    def finished_at(self) -> datetime | None:
        """When the facts held by the statement's own word, UTC; None if it does not say.

        Raises:
            InputError: ``attestation.malformed``.
        """
        run = _object(self.predicate.get("runDetails"))
        said = (
            _object(run.get("metadata")).get("finishedOn")
            or _object(self.predicate.get("metadata")).get("buildFinishedOn")
            or self.predicate.get("timeVerified")
        )
        try:
            return parse_time(str(said)) if said is not None else None
        except InputError as error:
            raise _malformed("a time in it is none", "RFC 3339", str(said)) from error

    def _artifacts(self) -> list[tuple[str, str]]:
        """Name and SHA-256 of every file it speaks of; other digests bind nothing here."""
        found = [
            (named(subject.get("name")), _object(subject.get("digest")).get("sha256"))
            for subject in _objects(self.statement.get("subject"))
        ]
        if _is_of(str(self.statement["predicateType"]), _MODEL_SIGNING):
            found += [
                (named(item.get("name")), item.get("digest"))
                for item in _objects(self.predicate.get("resources"))
                if item.get("algorithm") == "sha256"
            ]
        kept = dict.fromkeys(
            (name, sha256.lower())
            for name, sha256 in found
            if isinstance(sha256, str) and _SHA256.fullmatch(sha256)
        )
        if not kept:
            raise InputError(
                "attestation.no-digest",
                "the attestation names no file by its SHA-256, so it binds to nothing",
            )
        if len(kept) > _MAX_ARTIFACTS:
            raise InputError(
                "attestation.too-large",
                f"the attestation speaks of {len(kept):,} files",
                expected=f"at most {_MAX_ARTIFACTS}",
            )
        return list(kept)


def read_attestations(data: bytes) -> list[Attestation]:
    """Read a file of attestations: a DSSE envelope, a Sigstore bundle, or one of these a line.

    Raises:
        InputError: ``attestation.malformed`` or not strict JSON.
    """
    lines = [line for line in data.split(b"\n") if line.strip()]
    try:
        return [_attestation(strictjson.loads(data, what="attestation"))]
    except InputError:
        if len(lines) < 2 or not all(line.strip().endswith(b"}") for line in lines):
            raise
    return [
        _attestation(strictjson.loads(line, what=f"attestation {number}"))
        for number, line in enumerate(lines, 1)
    ]


def verify_attestations(records: Sequence[Record], store: ArtifactStore) -> Check:
    """Hold each ``attestation`` record against the third party's file in the store."""
    check = Check("attestations", "every third-party attestation is signed by the keys on record")
    for record in records:
        file = next((item for item in record.statement.subjects if item.stored), None)
        if file is None or not store.has(file.sha256):
            check.not_checked.append(f"{record}: the attestation's file is not in the store")
            continue
        check.checked += 1
        try:
            with store.open(file.sha256) as source:
                data = source.read(MAX_FILE)
            fault = _fault(record.statement.body, data)
        except MunimentError as error:
            check.findings.append(Finding.of(error, record.index))
            continue
        if fault is not None:
            text = f"the record does not say what the attestation says: {fault} differs"
            check.findings.append(Finding("attestation.differs", text, record.index))
    return check


def key_entry(key: PublicKey) -> dict[str, str]:
    """A key as the body of kind ``attestation`` names it."""
    return {
        "fingerprint": key.fingerprint,
        "publicKey": base64.b64encode(key.spki).decode(),
    }


def _fault(body: Mapping[str, Any], data: bytes) -> str | None:
    """The field of a record's body that is not what the file says.

    Raises:
        SignatureError, InputError: the file does not hold.
    """
    found = [
        item for item in read_attestations(data) if item.payload_sha256 == body["payloadSha256"]
    ]
    keys = [load_spki(base64.b64decode(item["publicKey"])) for item in body["keys"]]
    fault: str | MunimentError = "payloadSha256"
    for item in found:
        # NOTE: of several envelopes around the same bytes each may be by another signer.
        try:
            told = {**item.facts(), "keys": [key_entry(key) for key in item.signers(keys)]}
        except MunimentError as error:
            fault = error
            continue
        differing = [name for name in {**told, **body} if told.get(name) != body.get(name)]
        if not differing:
            return None
        fault = differing[0]
    if isinstance(fault, MunimentError):
        raise fault
    return fault


def _is_of(predicate_type: str, family: str) -> bool:
    """Whether a predicate type is one of a family, with a version or without."""
    return predicate_type == family or predicate_type.startswith(f"{family}/")


def _attestation(value: Any) -> Attestation:
    value = _object(value)
    if "mediaType" in value and value["mediaType"] != BUNDLE_TYPE:
        raise _malformed("it is another kind of bundle", BUNDLE_TYPE, str(value["mediaType"]))
    envelope = _object(value.get("dsseEnvelope")) or value
    signatures = list(_objects(envelope.get("signatures")))
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        raise _malformed(
            "it is no signed in-toto statement", PAYLOAD_TYPE, str(envelope.get("payloadType"))
        )
    if not 0 < len(signatures) <= _MAX_SIGNATURES:
        raise _malformed(f"it has {len(signatures)} signatures")
    payload = _unb64(envelope.get("payload"))
    statement = _object(strictjson.loads(payload, what="the attestation's statement"))
    if statement.get("_type") not in _STATEMENTS:
        raise _malformed("it is no in-toto statement", _STATEMENTS[0], str(statement.get("_type")))
    kind = statement.get("predicateType")
    if not isinstance(kind, str) or not 0 < len(kind.strip()) == len(kind) <= 500:
        raise _malformed("it names no predicate type")
    return Attestation(
        payload,
        tuple(_unb64(item.get("sig")) for item in signatures),
        tuple(str(item.get("keyid") or "") for item in signatures),
        statement,
    )


def _holds(key: PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        key.verify(signature, message)
    except SignatureError:
        return False
    return True


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    return map(_object, value if isinstance(value, list) else ())


def _unb64(value: Any) -> bytes:
    # NOTE: DSSE lets a writer choose between the two alphabets; the bytes are what is signed.
    try:
        text = str(value or "").replace("-", "+").replace("_", "/")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        raise _malformed("a part of it is not base64") from error


def _malformed(why: str, expected: str | None = None, found: str | None = None) -> InputError:
    return InputError(
        "attestation.malformed",
        f"this is no attestation that is read here: {why}",
        expected=expected,
        found=found[:200] if found is not None else None,
        hint="give a DSSE envelope (JSON or .intoto.jsonl) or a Sigstore bundle v0.3",
    )
