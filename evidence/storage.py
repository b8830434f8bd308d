"""Storage: the ledger's tables in SQLite or PostgreSQL, through SQLModel.

A row of ``entry`` holds the exact envelope and leaf; every other column is derived from them, can
be rebuilt, and is compared by verification. Triggers refuse to change or remove rows, but nothing
relies on them for proof. ``database`` opens connections and speaks for them; ``versions`` knows
triggers and migrations.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, bindparam, func, type_coerce
from sqlalchemy import select as sa_select
from sqlalchemy.types import NULLTYPE
from sqlmodel import Session, SQLModel, select, text

from muniment.schemas.errors import StoreError

from .database import (
    begin_postgresql,
    check_shareable,
    driver_of,
    file_of,
    make_engine,
    one_view,
    parse_url,
    sync_folder,
    translated_errors,
)
from .scrub import scrub
from .tables import (
    AnchorRow,
    CheckpointRow,
    EntryRow,
    ErasureRow,
    MetaRow,
    StoredAnchor,
    StoredEntry,
    StoredSubject,
    SubjectRow,
    TileRow,
)
from .versions import SCHEMA_VERSION, arm, disarm, missing_triggers, upgrade_tables, version_of

__all__ = [
    "DERIVED",
    "ERASED_COLUMNS",
    "SCHEMA_VERSION",
    "AnchorRow",
    "CheckpointRow",
    "EntryRow",
    "ErasureRow",
    "MetaRow",
    "Reader",
    "Rebuilder",
    "Storage",
    "StoredAnchor",
    "StoredEntry",
    "StoredSubject",
    "SubjectRow",
    "TileRow",
    "Writer",
    "check_shareable",
    "sync_folder",
    "translated_errors",
]

_AT_ONCE = 500
_PLACE = re.compile("[0-9]{1,10}")
_ERASED = "erased "
_SCRUBBED = "scrubbed "
"""Keys in ``meta``, each followed by the number of a record; rows there only come, never go."""
DERIVED = (
    "leaf_hash",
    "fingerprint",
    "predicate_type",
    "kind",
    "system_id",
    "system_version",
    "collected_at",
    "signer",
)
"""Columns of ``entry`` that are computed from envelope and leaf."""
ERASED_COLUMNS = dict.fromkeys(DERIVED[1:], "")
"""What an erased record keeps in them; its leaf hash stays."""


_ENTRY, _TILE = (
    sa_select(SQLModel.metadata.tables["entry"]).filter_by(number=bindparam("number")),
    sa_select(SQLModel.metadata.tables["tile"].c.hashes).filter_by(
        level=bindparam("level"), number=bindparam("number")
    ),
)
"""Questions that are asked once for every proof."""


class Reader:
    """Queries within one consistent view of the ledger."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def size(self) -> int:
        """Number of entries: one more than the highest number."""
        highest = self._session.exec(select(func.max(EntryRow.number))).one()
        return 0 if highest is None else int(highest) + 1

    def entries(self) -> Iterator[StoredEntry]:
        """Every entry in order, streamed as plain columns."""
        columns = [_column(name) for name in StoredEntry._fields]
        return map(StoredEntry._make, self._stream(sa_select(*columns).order_by(columns[0])))

    def plain_entries(self, start: int | None = None) -> Iterator[tuple[Any, ...]]:
        """Every entry, or those from a number on, in order, each value as the driver gives it,
        whatever its type: faster than ``entries``."""
        return self._plain(EntryRow, StoredEntry._fields, 1, start)

    def plain_subjects(self, start: int | None = None) -> Iterator[tuple[Any, ...]]:
        """Every subject row, or those of entries from a number on, as ``plain_entries``."""
        return self._plain(SubjectRow, StoredSubject._fields, 2, start)

    def _plain(
        self, table: type[SQLModel], names: Sequence[str], order: int, start: int | None
    ) -> Iterator[tuple[Any, ...]]:
        columns = [type_coerce(_column(name, table), NULLTYPE) for name in names]
        query = sa_select(*columns).order_by(*columns[:order])
        if start is not None:
            query = query.where(_column(names[0], table) >= start)
        options = {"yield_per": _AT_ONCE}
        result = self._session.connection().execute(query, execution_options=options)
        for rows in result.partitions():
            yield from map(tuple, rows)

    def leaves(self, stop: int) -> Iterator[bytes]:
        """Leaves of the entries before a number, in order."""
        query = sa_select(_column("leaf")).where(_column("number") < stop)
        return (row[0] for row in self._stream(query.order_by(_column("number"))))

    def find(self, start: int = 0, **columns: str) -> list[StoredEntry]:
        """Entries from a number on whose derived columns have these values, in order."""
        table = SQLModel.metadata.tables["entry"]
        query = sa_select(table).filter_by(**columns).order_by(table.c.number)
        if start:
            query = query.where(table.c.number >= start)
        return list(map(StoredEntry._make, self._session.connection().execute(query)))

    def find_covered(
        self, stop: int, **columns: str
    ) -> Generator[tuple[int, bytes, bytes, bytes], None, None]:
        """Entries before a number whose derived columns have these values, in order: number,
        envelope, leaf, and the note of the smallest checkpoint that covers it."""
        entry, checkpoint = (SQLModel.metadata.tables[name] for name in ("entry", "checkpoint"))
        note = (
            sa_select(checkpoint.c.note)
            .where(checkpoint.c.size > entry.c.number)
            .order_by(checkpoint.c.size)
            .limit(1)
            .scalar_subquery()
        )
        query = sa_select(entry.c.number, entry.c.envelope, entry.c.leaf, note)
        query = query.filter_by(**columns).where(entry.c.number < stop).order_by(entry.c.number)
        options = {"yield_per": _AT_ONCE}
        result = self._session.connection().execute(query, execution_options=options)
        try:
            yield from map(tuple, result)
        finally:
            result.close()

    def repeated(self, fingerprints: Sequence[str]) -> set[str]:
        """Those of some statements' fingerprints that are there already."""
        table = SQLModel.metadata.tables["entry"]
        found: set[str] = set()
        for start in range(0, len(fingerprints), _AT_ONCE):
            part = fingerprints[start : start + _AT_ONCE]
            query = sa_select(table.c.fingerprint).where(table.c.fingerprint.in_(part))
            found.update(self._session.connection().execute(query).scalars())
        return found

    def entry(self, number: int) -> StoredEntry | None:
        """One entry."""
        row = self._session.connection().execute(_ENTRY, {"number": number}).first()
        return None if row is None else StoredEntry._make(row)

    def by_digest(self, prefix: str, limit: int = 3) -> list[StoredEntry]:
        """Entries whose leaf hash begins with ``prefix`` (hexadecimal)."""
        table = SQLModel.metadata.tables["entry"]
        is_it = (table.c.leaf_hash >= prefix) & (table.c.leaf_hash < prefix + "g")
        rows = self._session.connection().execute(sa_select(table).where(is_it).limit(limit))
        return list(map(StoredEntry._make, rows))

    def speaking_of(self, sha256: str) -> set[int]:
        """Numbers of the entries that have a subject with this digest."""
        return set(self._session.exec(select(SubjectRow.number).where(SubjectRow.sha256 == sha256)))

    def subjects(self, start: int, stop: int) -> Iterator[StoredSubject]:
        """Subject rows of a range of entries, in order."""
        columns = [_column(name, SubjectRow) for name in StoredSubject._fields]
        query = (
            sa_select(*columns)
            .where(columns[0] >= start, columns[0] < stop)
            .order_by(columns[0], columns[1])
        )
        return map(StoredSubject._make, self._stream(query))

    def count_subjects(self) -> int:
        """Number of subject rows."""
        return int(self._session.exec(select(func.count()).select_from(SubjectRow)).one())

    def tile(self, level: int, number: int) -> bytes:
        """Hashes of one tile; empty if it does not exist."""
        place = {"level": level, "number": number}
        hashes = self._session.connection().execute(_TILE, place).scalar()
        return b"" if hashes is None else bytes(hashes)

    def tiles(self) -> Iterator[tuple[int, int, bytes]]:
        """Level, number and hashes of every tile."""
        columns = [_column(name, TileRow) for name in ("level", "number", "hashes")]
        yield from self._stream(sa_select(*columns).order_by(*columns[:2]))

    def checkpoints(self, start: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Size column and note of every checkpoint, or those from a size on, smallest first."""
        columns = [_column(name, CheckpointRow) for name in ("size", "note")]
        query = sa_select(*columns).order_by(columns[0])
        yield from self._stream(query if start is None else query.where(columns[0] >= start))

    def covering_checkpoint(self, number: int) -> bytes | None:
        """Note of the smallest checkpoint that covers an entry."""
        query = select(CheckpointRow.note).where(CheckpointRow.size > number)
        return self._session.exec(query.order_by(_column("size", CheckpointRow)).limit(1)).first()

    def last_checkpoint(self) -> bytes | None:
        """Note of the largest checkpoint."""
        query = select(CheckpointRow.note).order_by(_column("size", CheckpointRow).desc())
        return self._session.exec(query.limit(1)).first()

    def anchors(self, size: int | None = None) -> list[StoredAnchor]:
        """Proofs from outside, of one checkpoint or of all, smallest size first."""
        table = SQLModel.metadata.tables["anchor"]
        query = sa_select(table).order_by(table.c.size, table.c.kind, table.c.source)
        if size is not None:
            query = query.where(table.c.size == size)
        return list(map(StoredAnchor._make, self._session.connection().execute(query)))

    def erasures(self) -> dict[int, int]:
        """Number of each erased record, and of the record that erased it."""
        table = SQLModel.metadata.tables["erasure"]
        rows = self._session.connection().execute(sa_select(table.c.number, table.c.by))
        # NOTE: SQLite takes any value into any column; what is no place is no record's.
        return {
            number: by if isinstance(by, int) else -1
            for number, by in rows
            if isinstance(number, int)
        }

    def unscrubbed(self) -> set[int]:
        """Numbers of the erased records whose bytes may still be in the database's files."""
        keys = {key for key in self._session.exec(select(MetaRow.key)) if isinstance(key, str)}
        due = {key.removeprefix(_ERASED) for key in keys if key.startswith(_ERASED)}
        return {
            int(number)
            for number in due
            if _PLACE.fullmatch(number) and _SCRUBBED + number not in keys
        }

    def _stream(self, query: Any) -> Iterator[Any]:
        options = {"yield_per": _AT_ONCE}
        return iter(self._session.connection().execute(query, execution_options=options))

    def missing_triggers(self) -> list[str]:
        """Names of the triggers that should keep the tables append-only, and do not."""
        return missing_triggers(self._session.connection())

    def meta(self, key: str) -> str | None:
        """One fact about the database."""
        row = self._session.get(MetaRow, key)
        return None if row is None else row.value


class Writer(Reader):
    """Queries and insertions within the one write transaction."""

    def add(self, rows: Sequence[SQLModel]) -> None:
        """Insert rows."""
        self._session.add_all(rows)
        self._session.flush()

    def add_many(self, table: type[SQLModel], rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert many rows of one table, given as their columns."""
        if not rows:
            return
        connection = self._session.connection()
        insert = SQLModel.metadata.tables[str(table.__tablename__)].insert()
        compiled = insert.compile(dialect=connection.dialect, column_keys=list(rows[0]))
        # NOTE: each value goes to the driver as it is; looking at its type takes longer than
        # inserting it.
        names = compiled.positiontup
        values = [tuple(map(row.__getitem__, names)) for row in rows] if names else list(rows)
        connection.exec_driver_sql(compiled.string, values)

    def erase(self, number: int, by: int) -> None:
        """Remove a record's envelope and what was derived from it; the leaf stays.

        The triggers let this through because the ``erasure`` row is there first.
        """
        self.add([ErasureRow(number=number, by=by), MetaRow(key=f"{_ERASED}{number}", value="")])
        entry, subject = (SQLModel.metadata.tables[name] for name in ("entry", "subject"))
        connection = self._session.connection()
        emptied = entry.update().values(envelope=b"", **ERASED_COLUMNS)
        connection.execute(emptied.where(entry.c.number == number))
        connection.execute(subject.delete().where(subject.c.number == number))

    def note_scrubbed(self, numbers: Iterable[int]) -> None:
        """Note that the bytes of erased records are in the database's files no more."""
        left = self.unscrubbed()
        self.add([MetaRow(key=f"{_SCRUBBED}{n}", value="") for n in sorted(left & set(numbers))])

    def put_tile(self, level: int, number: int, hashes: bytes) -> None:
        """Insert a tile, or extend it."""
        table, connection = SQLModel.metadata.tables["tile"], self._session.connection()
        is_it = (table.c.level == level) & (table.c.number == number)
        extended = connection.execute(table.update().values(hashes=hashes).where(is_it))
        if not extended.rowcount:
            values = {"level": level, "number": number, "hashes": hashes}
            connection.execute(table.insert().values(values))


class Rebuilder(Writer):
    """A writer that may also replace what is derived; ``maintenance`` computes it anew."""

    def rewrite_columns(self, rows: Mapping[int, Mapping[str, str]]) -> None:
        """Set the derived columns of entries, by number."""
        table, connection = SQLModel.metadata.tables["entry"], self._session.connection()
        # NOTE: two rows may have each other's leaf hash, which is unique: first all let go of it.
        for number in rows:
            freed = table.update().values(leaf_hash=f"rewriting {number}")
            connection.execute(freed.where(table.c.number == number))
        for number, columns in rows.items():
            connection.execute(table.update().values(**columns).where(table.c.number == number))

    def rewrite_subjects(self, number: int, subjects: Sequence[tuple[int, str, str]]) -> None:
        """Replace the subject rows of one entry by these: position, SHA-256 and name."""
        table = SQLModel.metadata.tables["subject"]
        self._session.connection().execute(table.delete().where(table.c.number == number))
        self.add(
            [
                SubjectRow(number=number, position=position, sha256=sha256, name=name)
                for position, sha256, name in subjects
            ]
        )

    def remove_subjects_outside(self, size: int) -> None:
        """Remove the subject rows of entries that a ledger of ``size`` entries does not have."""
        table = SQLModel.metadata.tables["subject"]
        outside = (table.c.number < 0) | (table.c.number >= size)
        self._session.connection().execute(table.delete().where(outside))

    def rewrite_erasures(self, erasures: Mapping[int, int]) -> None:
        """Replace the whole table: number of each erased record, and of the one that erased it."""
        self._session.connection().execute(SQLModel.metadata.tables["erasure"].delete())
        self.add([ErasureRow(number=number, by=by) for number, by in sorted(erasures.items())])

    def rewrite_tile(self, level: int, number: int, hashes: bytes) -> None:
        """Replace a tile; no hashes remove it."""
        table, connection = SQLModel.metadata.tables["tile"], self._session.connection()
        is_it = (table.c.level == level) & (table.c.number == number)
        connection.execute(table.delete().where(is_it))
        if hashes:
            values = {"level": level, "number": number, "hashes": hashes}
            connection.execute(table.insert().values(values))


class Storage:
    """One ledger database.

    Args:
        url: SQLAlchemy URL, ``sqlite:///…`` or ``postgresql+psycopg://…``.
        folder: what a relative file is relative to.
    """

    def __init__(self, url: str, folder: Path | None = None) -> None:
        self._url = parse_url(url)
        if folder is not None and self.path is not None:
            # NOTE: not put into the text of the URL, where ``?`` in a folder's name has a meaning.
            self._url = self._url.set(database=str(folder / self.path))
        self._engine = make_engine(self._url)

    @property
    def path(self) -> Path | None:
        """The file of an embedded ledger."""
        return file_of(self._url)

    def create(self) -> None:
        """Make the tables and triggers in an empty database.

        Raises:
            StoreError: ``store.exists`` or what the database says.
        """
        with translated_errors():
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.touch(mode=0o644)
            with self._engine.begin() as connection:
                if self._has_tables(connection):
                    raise StoreError("store.exists", "the database holds a ledger already")
                SQLModel.metadata.create_all(connection)
                arm(connection)
                connection.execute(
                    text("INSERT INTO meta (key, value) VALUES ('schema', :v)"),
                    {"v": SCHEMA_VERSION},
                )
            if self.path is not None:
                sync_folder(self.path.parent)
                sync_folder(self.path.parent.parent)

    def exists(self) -> bool:
        """Whether the database holds a ledger."""
        with translated_errors():
            if self.path is not None and not (self.path.exists() and self.path.stat().st_size):
                return False
            with self._engine.connect() as connection:
                return self._has_tables(connection)

    @contextmanager
    def read(self) -> Iterator[Reader]:
        """One consistent view.

        Raises:
            StoreError: ``store.missing`` or what the database says.
        """
        self._require()
        with translated_errors(), Session(self._engine, autoflush=False) as session:
            if self._engine.dialect.name == "postgresql":
                session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
            with one_view(session.connection(), self.path):
                self._check_version(Reader(session))
                yield Reader(session)

    @contextmanager
    def write(self) -> Iterator[Writer]:
        """The one write transaction: all of it is committed at the end, or none.

        Raises:
            StoreLockedError: ``store.locked`` after waiting.
            StoreError: ``store.missing``, ``store.version`` or what the database says.
        """
        with self._transaction() as session:
            writer = Writer(session)
            self._check_version(writer)
            yield writer
            session.commit()

    def scrub(self) -> None:
        """Write the database's files anew, so that nothing of erased records stays in them.

        Backups, replicas and PostgreSQL's archived log are not reached.

        Raises:
            StoreLockedError: ``store.locked`` if another process still looks at what was erased.
            StoreError: what else the database says; what is still to do stays noted.
        """
        with self.read() as reader:
            due = reader.unscrubbed()
        scrub(self._engine)
        with self.write() as writer:
            writer.note_scrubbed(due)

    @contextmanager
    def rebuild(self) -> Iterator[Rebuilder]:
        """A write transaction without triggers; they are back before it ends.

        Raises: as ``write``.
        """
        with self._transaction() as session:
            rebuilder = Rebuilder(session)
            self._check_version(rebuilder)
            disarm(session.connection())
            yield rebuilder
            arm(session.connection())
            session.commit()

    def migrate(self) -> tuple[int, int]:
        """Bring the tables to this version, all of it or nothing.

        Returns:
            The version that was there, and the one that is there now.

        Raises:
            StoreError: ``store.version`` if the ledger is newer, and as ``write``.
        """
        with self._transaction() as session:
            found, wanted = version_of(Reader(session).meta("schema")), int(SCHEMA_VERSION)
            if found < wanted:
                connection = session.connection()
                disarm(connection)
                upgrade_tables(connection, found, wanted)
                arm(connection)
                session.commit()
        return found, wanted

    def copy_to(self, target: Path) -> None:
        """Copy one consistent view into a new SQLite file; other processes go on appending.

        Raises:
            StoreError: as ``read``.
        """
        with self.read() as reader:
            connection = reader._session.connection()
            if self._engine.dialect.name == "sqlite":
                with translated_errors(), closing(sqlite3.connect(target)) as copy:
                    driver_of(connection).backup(copy)
            else:
                _copy_tables(connection, Storage(f"sqlite:///{target.name}", target.parent))

    @contextmanager
    def _transaction(self) -> Iterator[Session]:
        self._require()
        with translated_errors(), Session(self._engine) as session:
            options = {"muniment_write": True}
            if self._engine.dialect.name == "postgresql":
                # NOTE: whoever waits for the lock must then see what was written meanwhile.
                session.connection(
                    execution_options={**options, "isolation_level": "READ COMMITTED"}
                )
                for statement in begin_postgresql():
                    session.connection().execute(text(statement))
            else:
                session.connection(execution_options=options)
            yield session

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def _require(self) -> None:
        if not self.exists():
            raise StoreError(
                "store.missing",
                "there is no ledger here yet",
                found=self._url.render_as_string(hide_password=True),
                hint="muniment init makes one; a clone of the repository needs the team's ledger",
            )

    @staticmethod
    def _has_tables(connection: Connection) -> bool:
        from sqlalchemy import inspect

        return bool(inspect(connection).has_table("entry"))

    @staticmethod
    def _check_version(reader: Reader) -> None:
        found = version_of(reader.meta("schema"))
        if found < int(SCHEMA_VERSION):
            raise StoreError(
                "store.version",
                "the ledger was written by an older version of Muniment",
                expected=SCHEMA_VERSION,
                found=str(found),
                hint="muniment migrate brings it up to date, all of it or nothing; copy the "
                "database first with its own tools (the file while nobody uses it, or pg_dump)",
            )


def _copy_tables(source: Connection, copy: Storage) -> None:
    copy.create()
    with closing(copy), copy._engine.connect() as opened:
        target = opened.execution_options(muniment_copy=True)
        # NOTE: what triggers and foreign keys would refuse is copied as well: it is for
        # verification to name.
        disarm(target)
        target.execute(text("DELETE FROM meta"))
        for table in SQLModel.metadata.sorted_tables:
            rows = source.execute(sa_select(table), execution_options={"yield_per": 500})
            for part in rows.mappings().partitions():
                target.execute(table.insert(), [dict(row) for row in part])
        arm(target)
        target.commit()


def _column(name: str, table: type[SQLModel] = EntryRow) -> Any:
    return getattr(table, name)
