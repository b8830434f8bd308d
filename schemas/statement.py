"""The statement: an in-toto Statement v1 whose predicate is one piece of evidence.

Source: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md and ``statement.json``
beside this file, which is the exact form of the predicate's common fields.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from muniment.schemas import strictjson
from muniment.schemas.errors import InputError
from muniment.schemas.times import format_time, parse_time
from muniment.schemas.validation import Validator

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_PREFIX = "https://muniment.dev/evidence/"
VSA_TYPE = "https://slsa.dev/verification_summary/v1"
"""Predicate type of gate decisions: the SLSA Verification Summary Attestation."""
GATE_DECISION = "gate-decision"
"""The kind whose whole predicate is a VSA."""
VSA_RESOURCE_PREFIX = "muniment:"
MAX_PAYLOAD = 1 << 20
"""Largest payload in bytes; anything larger is an artifact."""
GENESIS = "genesis"
"""Relation of the reference that binds a statement to one ledger."""

_UNLIKE = frozenset({"salt", "collectedAt", "muniment_salt", "timeVerified"})
"""Fields in which two statements of the same evidence differ."""
_KIND = re.compile(re.escape(PREDICATE_PREFIX) + r"([a-z][a-z0-9-]{0,63})/v1")
_SYSTEM = re.compile(r"([a-z0-9][a-z0-9._-]{0,99})@([A-Za-z0-9][A-Za-z0-9._+-]{0,99})")


@lru_cache(maxsize=1024)
def _kind(predicate_type: str) -> str | None:
    match = _KIND.fullmatch(predicate_type)
    return match[1] if match else None


def predicate_type(kind: str) -> str:
    """The predicate type of evidence of ``kind``."""
    return VSA_TYPE if kind == GATE_DECISION else f"{PREDICATE_PREFIX}{kind}/v1"


@dataclass(frozen=True, slots=True, order=True)
class SystemRef:
    """One version of one AI system."""

    id: str
    version: str

    def __str__(self) -> str:
        return f"{self.id}@{self.version}"

    @classmethod
    def parse(cls, text: str) -> SystemRef:
        """Read ``ID@VERSION``.

        Raises:
            InputError: ``system.malformed``.
        """
        if match := _SYSTEM.fullmatch(text):
            return cls(match[1], match[2])
        raise InputError(
            "system.malformed",
            f"{text!r} does not name a system version",
            hint="write ID@VERSION; the id in lower case, such as credit-risk@2.1.0",
            expected="ID@VERSION",
            found=text,
        )

    def to_json(self) -> dict[str, str]:
        """``{"id": …, "version": …}``."""
        return {"id": self.id, "version": self.version}

    def descriptor(self) -> Subject:
        """The subject of a record that is about no file: the digest of the reference itself."""
        return _descriptor(self)


@dataclass(frozen=True, slots=True)
class RecordRef:
    """Another record, by place and digest; the digest decides."""

    index: int
    sha256: str
    """RFC 6962 leaf hash of the record, in hexadecimal."""

    def to_json(self) -> dict[str, Any]:
        """``{"index": …, "sha256": …}``."""
        return {"index": self.index, "sha256": self.sha256}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> RecordRef:
        """Read a validated reference."""
        return cls(value["index"], value["sha256"])


@dataclass(frozen=True, slots=True)
class Subject:
    """A thing the statement speaks of (in-toto ResourceDescriptor)."""

    name: str
    digest: Mapping[str, str]
    """Algorithm to hexadecimal digest; always holds ``sha256``."""
    uri: str | None = None
    media_type: str | None = None
    annotations: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """SHA-256 of the bytes, in hexadecimal."""
        return self.digest["sha256"]

    @property
    def is_file(self) -> bool:
        """Whether it is a file that was hashed, and no record, key or system."""
        return "size" in self.annotations

    @property
    def git(self) -> Mapping[str, Any] | None:
        """The git link, for a file."""
        return self.annotations.get("git")

    @property
    def stored(self) -> bool:
        """Whether the bytes were put in the artifact store."""
        return self.annotations.get("stored") is True

    def to_json(self) -> dict[str, Any]:
        """The descriptor as it stands in a payload."""
        result: dict[str, Any] = {"name": self.name, "digest": dict(self.digest)}
        if self.uri is not None:
            result["uri"] = self.uri
        if self.media_type is not None:
            result["mediaType"] = self.media_type
        if self.annotations:
            result["annotations"] = dict(self.annotations)
        return result

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Subject:
        """Read a validated descriptor."""
        return cls(
            value["name"],
            value["digest"],
            value.get("uri"),
            value.get("mediaType"),
            value.get("annotations", {}),
        )


@lru_cache(maxsize=1024)
def _descriptor(system: SystemRef) -> Subject:
    return Subject(f"system:{system}", {"sha256": strictjson.digest(system.to_json())})


@dataclass(frozen=True, slots=True)
class Statement:
    """One piece of evidence, before it is signed."""

    subjects: tuple[Subject, ...]
    predicate_type: str
    system: SystemRef | None
    """None for records about the ledger itself, such as keys."""
    collected_at: datetime
    """When the facts held, UTC."""
    body: Mapping[str, Any]
    """The kind's own fields; for a gate decision the VSA fields."""
    salt: str
    """16 bytes in hexadecimal."""
    controls: tuple[str, ...] = ()
    """Full control ids that the signer claims, ``catalog:control``."""
    valid_until: datetime | None = None
    source: Mapping[str, Any] | None = None
    supersedes: RecordRef | None = None
    supersedes_because: str | None = None
    references: tuple[Mapping[str, Any], ...] = ()
    _read: Mapping[str, Any] | None = field(default=None, init=False, repr=False, compare=False)
    """The JSON it was read from, where ``to_json`` would give the same."""

    @property
    def kind(self) -> str | None:
        """The kind's name, or None for a predicate type that is not ours."""
        if self.predicate_type == VSA_TYPE:
            return GATE_DECISION
        return _kind(self.predicate_type)

    @property
    def genesis(self) -> str | None:
        """Digest of the genesis record of the ledger this statement was made for."""
        for reference in self.references:
            if reference["relation"] == GENESIS:
                return str(reference["sha256"])
        return None

    def to_json(self) -> dict[str, Any]:
        """The statement as a JSON object."""
        return {
            "_type": STATEMENT_TYPE,
            "subject": [subject.to_json() for subject in self.subjects],
            "predicateType": self.predicate_type,
            "predicate": self._predicate(),
        }

    def to_payload(self) -> bytes:
        """The bytes to sign: canonical JSON.

        Raises:
            InputError: ``statement.too-large``, or the value has no JSON form.
            SchemaError: ``statement.malformed``.
        """
        value = self.to_json()
        _check(value)
        payload = strictjson.canonical(value)
        check_payload_size(payload)
        return payload

    def fingerprint(self) -> str:
        """SHA-256 of the statement but for salt and time: the same for the same evidence.

        An index for finding, never a proof; taken of a statement that was read from a payload, so
        that numbers have the form they have there.
        """
        import orjson

        value = self._read or self.to_json()
        predicate = {name: item for name, item in value["predicate"].items() if name not in _UNLIKE}
        alike = {**value, "predicate": predicate}
        return hashlib.sha256(orjson.dumps(alike, option=orjson.OPT_SORT_KEYS)).hexdigest()

    def _predicate(self) -> dict[str, Any]:
        if self.predicate_type == VSA_TYPE:
            return {
                **self.body,
                "resourceUri": f"{VSA_RESOURCE_PREFIX}{self.system}",
                "timeVerified": format_time(self.collected_at),
                "muniment_references": [dict(item) for item in self.references],
                "muniment_salt": self.salt,
            }
        predicate: dict[str, Any] = {
            "collectedAt": format_time(self.collected_at),
            "controls": list(self.controls),
            "body": dict(self.body),
            "references": [dict(item) for item in self.references],
            "salt": self.salt,
        }
        if self.system is not None:
            predicate["system"] = self.system.to_json()
        if self.valid_until is not None:
            predicate["validUntil"] = format_time(self.valid_until)
        if self.source is not None:
            predicate["source"] = dict(self.source)
        if self.supersedes is not None:
            predicate["supersedes"] = self.supersedes.to_json()
            if self.supersedes_because is not None:
                predicate["supersedes"]["reason"] = self.supersedes_because
        return predicate

    @classmethod
    def from_payload(cls, payload: bytes) -> Statement:
        """Read signed bytes.

        Raises:
            InputError: ``statement.too-large`` or not strict JSON.
            SchemaError: ``statement.malformed``, with every fault.
        """
        check_payload_size(payload)
        value = strictjson.loads(payload, what="statement")
        _check(value)
        statement = cls._of(value)
        if all(item.get("annotations", True) for item in value["subject"]):
            object.__setattr__(statement, "_read", value)
        return statement

    @classmethod
    def reread(cls, payload: bytes) -> Statement:
        """Read again what ``from_payload`` accepted, without its checks."""
        import orjson

        return cls._of(orjson.loads(payload))

    @classmethod
    def _of(cls, value: Mapping[str, Any]) -> Statement:
        subjects = tuple(Subject.from_json(item) for item in value["subject"])
        predicate = value["predicate"]
        if value["predicateType"] == VSA_TYPE:
            return cls(
                subjects=subjects,
                predicate_type=VSA_TYPE,
                system=SystemRef.parse(predicate["resourceUri"].removeprefix(VSA_RESOURCE_PREFIX)),
                collected_at=parse_time(predicate["timeVerified"]),
                body={
                    name: item
                    for name, item in predicate.items()
                    if name
                    not in ("resourceUri", "timeVerified", "muniment_references", "muniment_salt")
                },
                salt=predicate["muniment_salt"],
                references=tuple(predicate["muniment_references"]),
            )
        system = predicate.get("system")
        until = predicate.get("validUntil")
        supersedes = predicate.get("supersedes")
        return cls(
            subjects=subjects,
            predicate_type=value["predicateType"],
            system=SystemRef(system["id"], system["version"]) if system else None,
            collected_at=parse_time(predicate["collectedAt"]),
            body=predicate["body"],
            salt=predicate["salt"],
            controls=tuple(predicate["controls"]),
            valid_until=parse_time(until) if until else None,
            source=predicate.get("source"),
            supersedes=RecordRef.from_json(supersedes) if supersedes else None,
            supersedes_because=supersedes.get("reason") if supersedes else None,
            references=tuple(predicate["references"]),
        )


def is_statement(value: Any) -> bool:
    """Whether a JSON value has the form of a statement; of a gate decision's, it never has."""
    return _statement().fits(value)


def cut_fingerprint(payload: bytes, collected_at: str, salt: str) -> str:
    """``Statement.fingerprint`` of a canonical payload whose predicate is closed.

    Time and salt are cut out where they stand; what is left is canonical again. Behind the body,
    where alone other fields of these names can be, the time comes last and the salt after it.

    Args:
        collected_at, salt: the two fields as they stand in the predicate.

    Raises:
        ValueError: the salt is the predicate's last field.
    """
    time, salted = b'"collectedAt":"%s",' % collected_at.encode(), b'"salt":"%s",' % salt.encode()
    time_at = payload.rindex(time)
    between = time_at + len(time)
    salt_at = payload.index(salted, between)
    hashed = hashlib.sha256(payload[:time_at])
    hashed.update(payload[between:salt_at])
    hashed.update(payload[salt_at + len(salted) :])
    return hashed.hexdigest()


def check_payload_size(payload: bytes) -> None:
    """Refuse a payload over 1 MiB.

    Raises:
        InputError: ``statement.too-large``.
    """
    if len(payload) > MAX_PAYLOAD:
        raise InputError(
            "statement.too-large",
            f"the statement has {len(payload):,} bytes",
            expected=f"at most {MAX_PAYLOAD:,} bytes",
            found=f"{len(payload):,} bytes",
            hint="attach the large part as a file; it is stored by its digest",
        )


def _check(value: Any) -> None:
    is_vsa = isinstance(value, dict) and value.get("predicateType") == VSA_TYPE
    form = (_vsa_statement if is_vsa else _statement)()
    form.require(value, "statement.malformed", "a Muniment statement")


@cache
def _statement() -> Validator:
    return Validator(
        strictjson.loads(resources.files(__package__).joinpath("statement.json").read_bytes())
    )


@cache
def _vsa_statement() -> Validator:
    """A gate decision's statement: the same form, the predicate left to the kind but for what
    places it."""
    schema = strictjson.loads(resources.files(__package__).joinpath("statement.json").read_bytes())
    common = schema["properties"]["predicate"]["properties"]
    schema["properties"]["predicate"] = {
        "type": "object",
        "properties": {
            "resourceUri": {
                "type": "string",
                "pattern": f"^{VSA_RESOURCE_PREFIX}{_SYSTEM.pattern}$",
            },
            "timeVerified": {"$ref": "#/$defs/time"},
            "muniment_references": common["references"],
            "muniment_salt": common["salt"],
        },
        "required": ["resourceUri", "timeVerified", "muniment_references", "muniment_salt"],
    }
    del schema["$id"]
    return Validator(schema)
