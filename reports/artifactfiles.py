"""The stored files that a packet carries, and those it leaves out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from muniment.evidence.artifacts import ArtifactStore
from muniment.schemas.errors import VerificationError
from muniment.schemas.record import Record
from muniment.schemas.statement import Subject
from muniment.schemas.text import counted

from .model import Embedded

MAX_BYTES = 64 << 20
"""Most bytes of artifacts that one packet carries."""
PREFIX = "artifact-"
"""An artifact's file name begins with this; its SHA-256 follows."""
_UNTYPED = "application/octet-stream"
_MEDIA_TYPE = re.compile(r"[a-z0-9.+-]{1,60}/[A-Za-z0-9.+-]{1,60}")
_NOT_STORED = "it was linked, not stored"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One file that a record names and the packet does not carry."""

    name: str
    sha256: str
    size: int
    why: str

    def sentence(self) -> str:
        """As the omissions page prints it."""
        return (
            f"The file {self.name} ({counted(self.size, 'byte')}, SHA-256 {self.sha256}) is not in "
            f"this packet: {self.why}."
        )

    def to_json(self) -> dict[str, Any]:
        """As the manifest lists it."""
        return {"name": self.name, "sha256": self.sha256, "size": self.size, "why": self.why}


def carry(
    records: Sequence[Record], store: ArtifactStore, limit: int = MAX_BYTES
) -> tuple[list[Embedded], list[LeftOut]]:
    """Every file that the records name, in ledger order: embedded as long as there is room.

    Args:
        limit: most bytes of all files together.

    Raises:
        VerificationError: ``artifact.unsound``: the store holds other bytes than were signed.
        StoreError: the store did not answer.
    """
    taken: list[Embedded] = []
    left: list[LeftOut] = []
    room = limit
    for sha256, (subject, numbers) in _files(records).items():
        size = int(subject.annotations["size"])
        why = None
        if not subject.stored or not store.has(sha256):
            why = _NOT_STORED if not subject.stored else "the store does not hold it any more"
        elif size > room:
            why = f"with it the files would take more than {limit:,} bytes"
        if why is not None:
            left.append(LeftOut(subject.name, sha256, size, why))
            continue
        data = _read(store, sha256, size)
        room -= len(data)
        named = ", ".join(f"#{number}" for number in numbers)
        words = f"{subject.name}, named by {named}"
        said = subject.media_type or ""
        media = said if _MEDIA_TYPE.fullmatch(said) else _UNTYPED
        taken.append(Embedded(f"{PREFIX}{sha256}", data, media, "Source", words))
    return taken, left


def carried_digests(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The artifacts among embedded files, by the SHA-256 that their names give."""
    return {
        name.removeprefix(PREFIX): data for name, data in files.items() if name.startswith(PREFIX)
    }


def _files(records: Sequence[Record]) -> dict[str, tuple[Subject, list[int]]]:
    found: dict[str, tuple[Subject, list[int]]] = {}
    for record in records:
        for subject in record.statement.subjects:
            if subject.is_file:
                known, numbers = found.setdefault(subject.sha256, (subject, []))
                numbers.append(record.index)
                if subject.stored and not known.stored:
                    found[subject.sha256] = (subject, numbers)
    return found


def _read(store: ArtifactStore, sha256: str, size: int) -> bytes:
    with store.open(sha256) as file:
        data = file.read(size + 1)
    digest = hashlib.sha256(data).hexdigest()
    if digest != sha256:
        raise VerificationError(
            "artifact.unsound",
            "the store holds other bytes than were signed",
            expected=sha256,
            found=digest,
        )
    return data
