"""Scrubbing: after an erasure, the database's files are written anew without the erased bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine

from muniment.schemas.errors import StoreError, StoreLockedError

from . import database
from .database import raise_store_error, translated_errors

_TABLES = ("entry", "subject")
"""Those that hold what an erasure removes."""
_NUMBER = re.compile("[0-9]+")


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
    skipped: list[str] = []
    kept: list[int] = []

    def hear(notice: Any) -> None:
        if notice.severity_nonlocalized == "WARNING":
            skipped.append(notice.message_primary)
        # NOTE: the words depend on the server's language, the place in its source does not.
        elif notice.source_function == "copy_table_data" and notice.message_detail:
            kept.extend(map(int, _NUMBER.findall(notice.message_detail)[:1]))

    driver.autocommit = True
    driver.add_notice_handler(hear)
    # NOTE: while it waits for a lock, everybody else waits behind it.
    driver.execute(f"SET lock_timeout = '{database.LOCK_SECONDS}s'")
    for table in _TABLES:
        # The statistics hold values of rows, so they are made anew too.
        driver.execute(f"VACUUM (FULL, ANALYZE, VERBOSE) {table}")
    if skipped:
        # It skips the tables of another owner with no more than a warning.
        raise StoreError(
            "store.refused",
            "the database does not let this user write its tables anew",
            found=skipped[0],
            hint="the owner of the tables runs the command again",
        )
    if any(kept):
        # It kept erased rows, because an older transaction may still look at them.
        raise _in_use()


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
