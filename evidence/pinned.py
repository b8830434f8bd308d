"""What a verifier remembers of a ledger it verified, so that the next time only news is read."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from muniment import __version__
from muniment.schemas import strictjson
from muniment.schemas.errors import CheckpointError, InputError, StoreError
from muniment.schemas.files import read_small
from muniment.schemas.kinds import KindRegistry
from muniment.schemas.statement import SystemRef
from muniment.schemas.times import format_time, parse_time

from .note import VerifierKey

_FOLDER = "verified"
_MAX_BYTES = 64 << 20
_VERSION = 3
_FIELDS = {
    "schema_version": int,
    "ledger": str,
    "size": int,
    "root": str,
    "time": str,
    "keys": str,
    "rules": str,
    "registrations": str,
    "systems": dict,
}


@dataclass(frozen=True, slots=True)
class Pinned:
    """A checkpoint that was verified with everything under it."""

    ledger: str
    """The ledger's verifier key."""
    size: int
    root: bytes
    """32 bytes."""
    time: datetime
    """Signed time of the checkpoint, UTC."""
    keys: str
    """Digest of the key records under it, with their places and recorded times."""
    rules: str
    """Digest of the kinds by which the records were found sound."""
    registrations: bytes
    """What ``chain`` gives over the records that register a system version; empty without any."""
    systems: Mapping[SystemRef, bytes]
    """What ``chain`` gives over the records of each system version."""

    @classmethod
    def load(cls, folder: Path, origin: str, root: str) -> Self | None:
        """Read what is remembered of a ledger; None if nothing is, or an older program wrote it.

        Args:
            folder: the verifier's configuration folder.
            root: fingerprint of the root key that is pinned.

        Raises:
            InputError: ``pinned.malformed``.
        """
        path = _path(folder, origin, root)
        if not path.exists():
            return None
        try:
            value = strictjson.loads(read_small(path, _MAX_BYTES), what="it")
            if type(value["schema_version"]) is int and 0 < value["schema_version"] < _VERSION:
                return None  # it says too little to rest on
            if {name: type(item) for name, item in value.items()} != _FIELDS:
                raise ValueError(f"it has not the fields {', '.join(_FIELDS)}")
            if value["schema_version"] != _VERSION:
                raise ValueError(f"its version is {value['schema_version']}, not {_VERSION}")
            pinned = cls(
                value["ledger"],
                value["size"],
                bytes.fromhex(value["root"]),
                parse_time(value["time"]),
                value["keys"],
                value["rules"],
                bytes.fromhex(value["registrations"]),
                {
                    SystemRef.parse(name): bytes.fromhex(found)
                    for name, found in value["systems"].items()
                },
            )
            if pinned.size < 1 or any(
                len(item) != 32 for item in (pinned.root, *pinned.systems.values())
            ):
                raise ValueError("its size, or one of its digests, is none")
            if VerifierKey.parse(pinned.ledger).name != origin:
                raise ValueError("it is of another ledger")
        except (
            ValueError,
            TypeError,
            LookupError,
            AttributeError,
            CheckpointError,
            InputError,
        ) as error:
            raise InputError(
                "pinned.malformed",
                f"{path} does not say what was verified before: {error}",
                hint="remove it: the next verification is then a full audit",
            ) from error
        return pinned

    def save(self, folder: Path, origin: str, root: str) -> None:
        """Remember it; the file is replaced whole.

        Raises:
            StoreError: ``pinned.unwritable``.
        """
        path = _path(folder, origin, root)
        fields = {
            "schema_version": _VERSION,
            "ledger": self.ledger,
            "size": self.size,
            "root": self.root.hex(),
            "time": format_time(self.time),
            "keys": self.keys,
            "rules": self.rules,
            "registrations": self.registrations.hex(),
            "systems": {str(name): found.hex() for name, found in self.systems.items()},
        }
        new = path.with_suffix(f".{os.getpid()}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            new.write_text(json.dumps(fields, indent=2) + "\n")
            new.replace(path)
        except OSError as error:
            raise StoreError(
                "pinned.unwritable", f"{path} cannot be written: {error.strerror}"
            ) from error


def chain(before: bytes, number: int, recorded_at: datetime, leaf_hash: bytes) -> bytes:
    """Digest over the records of one system, the last of them at place ``number``.

    It settles which records these are, what they say and when they were recorded.

    Args:
        before: digest over those that come before it; empty if there are none.
        leaf_hash: 32 bytes.

    Returns:
        32 bytes.
    """
    when = int(recorded_at.timestamp())
    return hashlib.sha256(b"%b%d %d %b" % (before, number, when, leaf_hash)).digest()


def digest_of_rules(kinds: KindRegistry) -> str:
    """Digest of the program's version and of all kinds, own ones among them."""
    schemas = {kind.predicate_type: kind.schema for kind in kinds}
    text = json.dumps([__version__, schemas], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def ledger_name(origin: str, root: str) -> str:
    """Name of the files in which a verifier remembers a ledger.

    NOTE: not by the ledger's own key: one that was built anew with another would be a stranger.

    Args:
        root: fingerprint of the root key that is pinned.
    """
    digest = hashlib.sha256(f"{origin}\n{root}".encode()).hexdigest()
    return f"{origin.replace('/', '_')}-{digest[:16]}"


def _path(folder: Path, origin: str, root: str) -> Path:
    return folder / _FOLDER / f"{ledger_name(origin, root)}.json"
