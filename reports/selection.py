"""Records picked out of many: by who signed them, what they speak of, and what speaks of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from muniment.schemas.record import Record
from muniment.schemas.statement import Subject, SystemRef


@dataclass(frozen=True, slots=True)
class Around:
    """What other records say of one record."""

    approvals: tuple[Record, ...]
    """Approvals and rejections of it, counted or not."""
    superseded_by: tuple[Record, ...]
    """Records that name it as the one they replace, rightly or not."""
    retracted_by: tuple[Record, ...]
    """Retractions of it, rightly or not."""
    linked_by: tuple[Record, ...]
    """Link records that tie it to further controls."""


def around(records: Iterable[Record], record: Record) -> Around:
    """Gather what verified records say of one of them."""
    everything = list(records)
    naming: dict[str, list[Record]] = {"approval": [], "retraction": [], "link": []}
    for item in everything:
        if item.kind in naming and any(
            ref["sha256"] == record.sha256 for ref in item.statement.body["records"]
        ):
            naming[item.kind].append(item)
    superseding = [
        item
        for item in everything
        if item.statement.supersedes and item.statement.supersedes.sha256 == record.sha256
    ]
    return Around(
        tuple(naming["approval"]),
        tuple(superseding),
        tuple(naming["retraction"]),
        tuple(naming["link"]),
    )


def is_signer(record: Record, text: str) -> bool:
    """Whether ``text`` is the signer's fingerprint, or part of their name or e-mail address."""
    signer = record.signer
    if text.startswith("SHA256:"):
        return signer.fingerprint == text
    return text.casefold() in f"{signer.name} <{signer.email}>".casefold()


def speaks_of(record: Record, sha256: str) -> bool:
    """Whether a file with this digest is among what the record speaks of."""
    return any(subject.sha256 == sha256 for subject in record.statement.subjects)


def files_about(records: Iterable[Record], system: SystemRef) -> list[tuple[int, Subject]]:
    """The files that records of one system version speak of, each with the record's place."""
    return [
        (record.index, subject)
        for record in records
        if record.statement.system == system
        for subject in record.statement.subjects
        if subject.is_file
    ]
