"""What a verifier remembers of a ledger it verified, so that the next time only news is read."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from muniment.schemas import strictjson
from muniment.schemas.errors import CheckpointError, InputError, StoreError
from muniment.schemas.files import read_small
from muniment.schemas.times import format_time, parse_time

from .note import VerifierKey

_FOLDER = "verified"
_MAX_BYTES = 10_000
_VERSION = 1
_FIELDS = {
    "schema_version": int,
    "ledger": str,
    "size": int,
    "root": str,
    "time": str,
    "keys": str,
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

    @classmethod
    def load(cls, folder: Path, origin: str, root: str) -> Self | None:
        """Read what is remembered of a ledger; None if nothing is.

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
            )
            if pinned.size < 1 or len(pinned.root) != 32:
                raise ValueError("its size or root is none")
            if VerifierKey.parse(pinned.ledger).name != origin:
                raise ValueError("it is of another ledger")
        except (ValueError, AttributeError, CheckpointError, InputError) as error:
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
