"""What a verifier remembers of a ledger it verified, so that the next time only news is read."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from muniment.schemas import strictjson
from muniment.schemas.errors import InputError, StoreError
from muniment.schemas.files import read_small
from muniment.schemas.times import format_time, parse_time

from .note import VerifierKey

_FOLDER = "verified"
_MAX_BYTES = 10_000


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
    def load(cls, folder: Path, vkey: VerifierKey) -> Self | None:
        """Read what is remembered of a ledger; None if nothing is.

        Args:
            folder: the verifier's configuration folder.

        Raises:
            InputError: ``pinned.malformed``.
        """
        path = _path(folder, vkey)
        if not path.exists():
            return None
        try:
            value = strictjson.loads(read_small(path, _MAX_BYTES), what="it")
            pinned = cls(
                str(value["ledger"]),
                int(value["size"]),
                bytes.fromhex(value["root"]),
                parse_time(value["time"]),
                str(value["keys"]),
            )
            if pinned.size < 1 or len(pinned.root) != 32 or pinned.ledger != str(vkey):
                raise ValueError("it is of another ledger, or of none")
        except (ValueError, TypeError, LookupError, InputError) as error:
            raise InputError(
                "pinned.malformed",
                f"{path} does not say what was verified before: {error}",
                hint="remove it: the next verification is then a full audit",
            ) from error
        return pinned

    def save(self, folder: Path, vkey: VerifierKey) -> None:
        """Remember it; the file is replaced whole.

        Raises:
            StoreError: ``pinned.unwritable``.
        """
        path = _path(folder, vkey)
        fields = {
            "schema_version": 1,
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


def _path(folder: Path, vkey: VerifierKey) -> Path:
    name = vkey.name.replace("/", "_")
    return folder / _FOLDER / f"{name}-{vkey.id.hex()}.json"
