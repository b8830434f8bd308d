"""The database behind a ledger: its URL, its connections, and its errors as ours."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, NoSuchModuleError
from sqlmodel import create_engine

from muniment.schemas.errors import InputError, StoreError, StoreLockedError

C = TypeVar("C", bound=sqlite3.Connection)
LOCK_SECONDS = 20
_PAGE = 8192
_UNCHANGED = "nothing was written; the ledger is as it was before"
_READ_ONLY_COPY = (
    "a copy of a ledger needs the file NAME-wal too, in a folder that may be written; "
    "a muniment backup is one file"
)
_MESSAGES = (
    # Words of the message, our code, our message.
    ("database or disk is full", "store.full", "the disk is full"),
    ("no space left", "store.full", "the disk is full"),
    ("readonly database", "store.read-only", "the ledger cannot be written"),
    ("read-only transaction", "store.read-only", "the database takes no writing"),
    ("unable to open", "store.unreadable", "the ledger cannot be opened"),
    ("malformed", "store.corrupt", "the database file is damaged"),
    ("could not decode", "store.corrupt", "the database holds text that is none"),
    ("not a database", "store.corrupt", "the file is not a ledger"),
    ("disk i/o error", "store.io", "the disk does not answer"),
    ("append-only", "store.append-only", "the ledger is append-only"),
    ("failed: fatal:", "store.refused", "the database server does not let us in"),
    ("resolve host", "store.unreachable", "the name of the database server leads nowhere"),
    ("connection option", "store.refused", "the ledger's URL has an option nobody knows"),
    ("connection", "store.unreachable", "the database server does not answer"),
)


class _ReadOnly(sqlite3.Connection):
    """A connection to a file that this user may not write."""


class _Frozen(_ReadOnly):
    """A connection that looks at no lock, so whoever uses it compares the file's ``stamp``."""

    stamp: tuple[int, ...]


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what the database and the disk say into our own errors."""
    try:
        yield
    except DBAPIError as error:
        raise_store_error(error, error.orig, isinstance(error, IntegrityError))
    except sqlite3.Error as error:
        raise_store_error(error, error)
    except (OverflowError, UnicodeDecodeError) as error:
        raise StoreError(
            "store.corrupt",
            "the database holds what no ledger can hold",
            found=str(error),
            hint="muniment verify works on a backup; nothing was written",
        ) from error
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError("store.full", "the disk is full", hint=_UNCHANGED) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise StoreError(
                "store.read-only", f"the ledger cannot be written: {error.strerror}"
            ) from error
        raise StoreError(
            "store.io", f"the ledger cannot be reached: {error.strerror}", hint=_UNCHANGED
        ) from error


def raise_store_error(
    error: Exception, said: BaseException | None, is_conflict: bool = False
) -> NoReturn:
    """Raise ours for what a driver ``said``."""
    words = str(said).lower()
    if "locked" in words or "lock timeout" in words:
        raise StoreLockedError(
            "store.locked",
            "another process holds the ledger",
            hint="try again when it has finished; " + _UNCHANGED,
        ) from error
    for fragment, code, message in _MESSAGES:
        if fragment in words:
            hint = _READ_ONLY_COPY if code == "store.unreadable" else _UNCHANGED
            raise StoreError(code, message, found=str(said).strip(), hint=hint) from error
    code = "store.conflict" if is_conflict else "store.failed"
    raise StoreError(
        code, "the database refused", found=str(said).strip(), hint=_UNCHANGED
    ) from error


def parse_url(url: str) -> URL:
    """Read the URL of a database that Muniment can use.

    Raises:
        InputError: ``ledger.url``.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InputError("ledger.url", f"{url!r} is not a database URL") from error
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise InputError(
            "ledger.url",
            "the ledger's URL names a database that Muniment does not use",
            expected="sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME",
            found=parsed.render_as_string(hide_password=True),
        )
    return parsed


def check_shareable(url: str) -> None:
    """Refuse a URL that cannot stand in a file that is kept in git.

    Raises:
        InputError: ``ledger.url`` or ``ledger.password``.
    """
    if parse_url(url).password is not None:
        raise InputError(
            "ledger.password",
            "the ledger's URL holds a password, and muniment.yaml is kept in git",
            hint="leave it out; PostgreSQL's driver reads PGPASSWORD and ~/.pgpass",
        )


def file_of(url: URL) -> Path | None:
    """The file of an embedded ledger."""
    is_file = url.get_backend_name() == "sqlite" and url.database
    return Path(str(url.database)) if is_file else None


def make_engine(url: URL) -> Engine:
    """Connections to a database; none is opened yet.

    Raises:
        InputError: ``ledger.driver``.
    """
    path = file_of(url)
    try:
        if path is None:
            return create_engine(url)
        engine = create_engine(url, creator=lambda: _connect_sqlite(path))
    except (NoSuchModuleError, ImportError) as error:
        raise InputError(
            "ledger.driver",
            f"the driver for this database is not installed: {error}",
            hint="pip install 'muniment[postgres]' and write postgresql+psycopg://…",
        ) from error
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _connect_sqlite(path: Path) -> sqlite3.Connection:
    """Open a file with the rights that this user has."""
    # NOTE: SQLite keeps the log and the locks of its readers in two files beside the ledger's, and
    # reads nothing where it can neither find nor make them. An auditor's copy in a folder that may
    # not be written has none; then nothing but the file itself can hold rows, and it is read as it
    # is. Whether somebody who may write did so meanwhile is seen by its stamp. Nor does who may not
    # write the ledger make those files: they would be theirs, and shut its owner out.
    has_locks = _beside(path, "-shm").exists()
    if os.access(path, os.W_OK) and (has_locks or os.access(path.parent, os.W_OK)):
        return _open(path, "mode=rw", sqlite3.Connection)
    if has_locks or _length(_beside(path, "-wal")):
        return _open(path, "mode=ro", _ReadOnly)
    frozen = _open(path, "mode=ro&immutable=1", _Frozen)
    frozen.stamp = _stamp(path)
    return frozen


def _open(path: Path, how: str, factory: type[C]) -> C:
    uri = f"file:{quote(str(path.absolute()))}?{how}"
    return sqlite3.connect(
        uri, uri=True, timeout=LOCK_SECONDS, check_same_thread=False, factory=factory
    )


@contextmanager
def one_view(connection: Connection, path: Path | None) -> Iterator[None]:
    """Refuse what was read from a file that somebody wrote to meanwhile.

    Raises:
        StoreLockedError: ``store.locked``.
    """
    driver = connection.connection.driver_connection
    cause: Exception | None = None
    try:
        yield
    except Exception as error:
        # NOTE: what looks like a fault may be nothing but two states of the file, half and half.
        cause = error
    if path is not None and isinstance(driver, _Frozen) and driver.stamp != _stamp(path):
        connection.invalidate()
        raise StoreLockedError(
            "store.locked",
            "somebody wrote to the ledger while it was read",
            hint="try again; nothing that was read counts",
        ) from cause
    if cause is not None:
        raise cause


def _stamp(path: Path) -> tuple[int, ...]:
    state = path.stat()
    return state.st_ino, state.st_mtime_ns, state.st_size, _length(_beside(path, "-wal"))


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def _length(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def _prepare_sqlite(connection: Any, _: Any) -> None:
    # NOTE: the driver must not open transactions by itself, or a read would upgrade to a write
    # midway and fail under contention.
    connection.isolation_level = None
    writing = (
        f"page_size={_PAGE}",
        "journal_mode=WAL",
        "synchronous=FULL",  # what is acknowledged is on the disk
        "fullfsync=ON",  # on the disk itself, where a system tells that apart
        "secure_delete=ON",  # what is erased is written over
    )
    reading = ("foreign_keys=ON", "trusted_schema=OFF")
    cursor = connection.cursor()
    for pragma in reading if isinstance(connection, _ReadOnly) else (*writing, *reading):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def begin_postgresql() -> Iterator[str]:
    """What a write transaction begins with; its isolation level is READ COMMITTED."""
    yield f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"
    # NOTE: a server may be set up to acknowledge what a power cut would take back.
    yield (
        "SELECT set_config('synchronous_commit', 'on', true) "
        "WHERE current_setting('synchronous_commit') = 'off'"
    )
    yield "LOCK TABLE entry IN EXCLUSIVE MODE"


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    if options.get("muniment_copy"):
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
    write = options.get("muniment_write")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def driver_of(connection: Connection) -> sqlite3.Connection:
    """The driver's own connection to an embedded ledger."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def sync_folder(folder: Path) -> None:
    """Have the names in a folder written to the disk, where a system lets one ask for it."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
