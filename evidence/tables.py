"""The ledger's tables, and their rows as plain tuples."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import LargeBinary
from sqlmodel import Field, SQLModel

from .exact import exact_bytes


class _ExactBytes(LargeBinary):
    """Bytes; where somebody put a text or a number into the column, that is told apart as bytes."""

    def result_processor(self, dialect: Any, coltype: Any) -> Any:
        return exact_bytes


class EntryRow(SQLModel, table=True):
    """One record."""

    __tablename__ = "entry"
    number: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    envelope: bytes = Field(sa_type=_ExactBytes)
    leaf: bytes = Field(sa_type=_ExactBytes)
    # Derived from the two above:
    leaf_hash: str = Field(unique=True)
    fingerprint: str = Field(index=True)
    predicate_type: str
    kind: str = Field(index=True)
    system_id: str = Field(index=True)
    system_version: str
    collected_at: str
    signer: str


class StoredEntry(NamedTuple):
    """The columns of one ``entry`` row, in their order."""

    number: int
    envelope: bytes
    leaf: bytes
    leaf_hash: str
    fingerprint: str
    predicate_type: str
    kind: str
    system_id: str
    system_version: str
    collected_at: str
    signer: str


class StoredSubject(NamedTuple):
    """The columns of one ``subject`` row, in their order."""

    number: int
    position: int
    sha256: str
    name: str


class SubjectRow(SQLModel, table=True):
    """One subject of a record; derived."""

    __tablename__ = "subject"
    number: int = Field(primary_key=True, foreign_key="entry.number")
    position: int = Field(primary_key=True)
    sha256: str = Field(index=True)
    name: str


class TileRow(SQLModel, table=True):
    """One tile of the tree; derived."""

    __tablename__ = "tile"
    level: int = Field(primary_key=True)
    number: int = Field(primary_key=True)
    hashes: bytes = Field(sa_type=_ExactBytes)


class CheckpointRow(SQLModel, table=True):
    """One signed checkpoint."""

    __tablename__ = "checkpoint"
    size: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    note: bytes = Field(sa_type=_ExactBytes)


class AnchorRow(SQLModel, table=True):
    """One proof from outside that a checkpoint was there at some time."""

    __tablename__ = "anchor"
    size: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    """Size of the checkpoint it speaks of."""
    kind: str = Field(primary_key=True)
    """``witness`` (a cosignature line) or ``rfc3161`` (a DER token)."""
    source: str = Field(primary_key=True)
    """Name of the witness or of the time-stamping authority."""
    proof: bytes = Field(sa_type=_ExactBytes)


class StoredAnchor(NamedTuple):
    """The columns of one ``anchor`` row, in their order."""

    size: int
    kind: str
    source: str
    proof: bytes


class ErasureRow(SQLModel, table=True):
    """A record whose bytes were removed; derived from the record that says so."""

    __tablename__ = "erasure"
    number: int = Field(
        primary_key=True, foreign_key="entry.number", sa_column_kwargs={"autoincrement": False}
    )
    by: int = Field(foreign_key="entry.number")
    """Place of the ``erasure`` record."""


class MetaRow(SQLModel, table=True):
    """Facts about the database itself."""

    __tablename__ = "meta"
    key: str = Field(primary_key=True)
    value: str
