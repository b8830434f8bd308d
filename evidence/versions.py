"""Which version a ledger's tables have, how they come up to date, and their triggers."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlmodel import text

from muniment.schemas.errors import StoreError

from .triggers import arming, lifting

SCHEMA_VERSION = "2"
_VERSION = re.compile("[1-9][0-9]*")


def version_of(said: str | None) -> int:
    """Number of the ledger's tables, which this version can at least bring up to date.

    Args:
        said: what the table ``meta`` says.

    Raises:
        StoreError: ``store.version``.
    """
    found = said or ""
    if not _VERSION.fullmatch(found):
        raise StoreError(
            "store.version",
            "the database does not say which version of Muniment wrote the ledger",
            expected=f"a number from 1 to {SCHEMA_VERSION}",
            found=found[:100] or "none",
            hint="somebody changed its table meta; nothing was read or changed",
        )
    if len(found) > len(SCHEMA_VERSION) or int(found) > int(SCHEMA_VERSION):
        raise StoreError(
            "store.version",
            "the ledger was written by a newer version of Muniment",
            expected=f"{SCHEMA_VERSION} or lower",
            found=found[:100],
            hint="install that version; nothing was changed",
        )
    return int(found)


def upgrade_tables(connection: Connection, found: int, wanted: int) -> None:
    """Bring tables without triggers from one version to a later one.

    Raises:
        StoreError: ``store.version`` if they are not what they are said to be.
    """
    from .migrations import upgrade

    try:
        upgrade(connection, found, wanted)
    except DBAPIError as error:
        if "already exists" in str(error.orig) or getattr(error.orig, "sqlstate", "") == "42P07":
            raise StoreError(
                "store.version",
                f"the ledger says it has version {found}, and has tables of a later one",
                found=str(error.orig).strip(),
                hint="somebody changed its table meta or made tables; nothing was changed",
            ) from error
        raise


def arm(connection: Connection) -> None:
    """Make the triggers."""
    for statement in _arming(connection):
        connection.execute(text(statement))


def missing_triggers(connection: Connection) -> list[str]:
    """Names of triggers that are gone, switched off or (in SQLite) not what they were made as."""
    wanted = {
        words[2]: statement
        for statement in _arming(connection)
        if (words := statement.split())[:2] == ["CREATE", "TRIGGER"]
    }
    if connection.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        there = {name for name, made in connection.execute(text(query)) if made == wanted.get(name)}
    else:
        query = (
            "SELECT tgname FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid "
            "WHERE NOT tgisinternal AND tgenabled IN ('O', 'A') "
            "AND relnamespace = current_schema()::regnamespace"
        )
        there = set(connection.execute(text(query)).scalars())
    return sorted(set(wanted) - there)


def _arming(connection: Connection) -> Iterator[str]:
    schema = ""
    if connection.dialect.name == "postgresql":
        schema = connection.execute(text("SELECT quote_ident(current_schema())")).scalar_one()
    return arming(connection.dialect.name, schema)


def disarm(connection: Connection) -> None:
    """Take the triggers away."""
    if connection.dialect.name == "postgresql":
        # NOTE: every reader begins with this table, so afterwards there is none, and none of the
        # locks that follow can end in a deadlock.
        connection.execute(text("LOCK TABLE meta IN ACCESS EXCLUSIVE MODE"))
    for statement in lifting(connection.dialect.name):
        connection.execute(text(statement))
