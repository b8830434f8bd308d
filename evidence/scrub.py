"""Scrubbing: after an erasure, the database's files are written anew without the erased bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine

from muniment.schemas.errors import StoreError, StoreLockedError

from .database import LOCK_SECONDS, raise_store_error, translated_errors

_TABLES = ("entry", "subject")
"""Those that hold what an erasure removes."""
_FIRST_NUMBER = re.compile("[0-9]+")


def scrub(engine: Engine) -> None:
    """Write the tables anew, so that nothing of erased rows stays between their pages.

    Backups, replicas and PostgreSQL's archived log are not reached.

    Raises:
        StoreLockedError: ``store.locked`` if another process still looks at the erased rows.
        StoreError: what else the database says.
    """
    with translated_errors(), _plain(engine) as driver:
        if engine.dialect.name == "sqlite":
            _scrub_sqlite(driver)
        else:
            _scrub_postgresql(driver)


def _scrub_sqlite(driver: Any) -> None:
    driver.execute("VACUUM")
    # NOTE: it does not fail behind a reader, but answers so; the old pages are then still in use.
    (busy, *_) = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise _in_use()


def _scrub_postgresql(driver: Any) -> None:
    notices: list[Any] = []
    driver.autocommit = True
    driver.add_notice_handler(notices.append)
    # NOTE: while it waits for a lock, everybody else waits behind it.
    driver.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")
    for table in _TABLES:
        # The statistics hold values of rows, so they are made anew too.
        driver.execute(f"VACUUM (FULL, ANALYZE, VERBOSE) {table}")
    for notice in notices:
        if notice.severity_nonlocalized == "WARNING":
            # It is skipped, not refused, for whoever does not own the table.
            raise StoreError(
                "store.refused",
                "the database does not let this user write its tables anew",
                found=notice.message_primary,
                hint="the owner of the tables runs the command again",
            )
        if _kept(notice):
            raise _in_use()


def _kept(notice: Any) -> int:
    """How many erased rows were kept, because an older transaction may still look at them."""
    detail = _FIRST_NUMBER.search(notice.message_detail or "")
    return int(detail[0]) if detail and notice.source_function == "copy_table_data" else 0


def _in_use() -> StoreLockedError:
    return StoreLockedError(
        "store.locked",
        "another process is still looking at the ledger as it was before",
        hint="try again when it has finished",
    )


@contextmanager
def _plain(engine: Engine) -> Iterator[Any]:
    """A connection of the driver's own, without the transaction that forbids such statements."""
    connection = engine.raw_connection()
    try:
        yield connection.driver_connection
    except engine.dialect.loaded_dbapi.Error as error:
        raise_store_error(error, error)
    finally:
        connection.invalidate()
        connection.close()
