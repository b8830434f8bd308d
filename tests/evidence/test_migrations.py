"""Migrations: a ledger that an older version made comes up to date, whole or not at all."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

from muniment.evidence import migrations
from muniment.evidence.ledger import Ledger
from muniment.evidence.storage import SCHEMA_VERSION, AnchorRow, Storage
from muniment.evidence.verification import LedgerVerifier
from muniment.schemas.errors import MunimentError, StoreError, StoreLockedError

DATA = Path(__file__).parent / "data"
OLDER = [str(number) for number in range(1, int(SCHEMA_VERSION))]
TRIGGERS = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY name",
    "postgresql": (
        "SELECT tgname, pg_get_triggerdef(t.oid), prosrc FROM pg_trigger t "
        "JOIN pg_proc p ON p.oid = tgfoid WHERE NOT tgisinternal ORDER BY tgname"
    ),
}


def load(url: str, version: str) -> None:
    """Put a frozen ledger into an empty database."""
    dialect = "sqlite" if url.startswith("sqlite") else "postgresql"
    script = (DATA / f"ledger-v{version}.{dialect}.sql").read_text("utf-8")
    if dialect == "sqlite":
        file = Path(url.removeprefix("sqlite:///"))
        file.parent.mkdir(exist_ok=True)
        connection = sqlite3.connect(file)
        connection.executescript(script)
        connection.close()
    else:
        engine = create_engine(url)
        with engine.begin() as begun:
            begun.exec_driver_sql(script)
        engine.dispose()


def facts(version: str) -> Any:
    """What is known of a frozen ledger."""
    return json.loads((DATA / f"ledger-v{version}.json").read_text("utf-8"))


def described(url: str, query: str | None = None) -> list[Any]:
    """Tables with their columns, indexes and foreign keys; or the rows of a query."""
    engine = create_engine(url)
    with engine.connect() as connection:
        if query is not None:
            found: list[Any] = [tuple(row) for row in connection.execute(text(query))]
        else:
            seen = inspect(connection)
            found = [
                (
                    name,
                    [
                        (item["name"], str(item["type"]), item["nullable"])
                        for item in seen.get_columns(name)
                    ],
                    seen.get_pk_constraint(name)["constrained_columns"],
                    sorted(str(item["column_names"]) for item in seen.get_indexes(name)),
                    sorted(
                        str(item["constrained_columns"]) for item in seen.get_foreign_keys(name)
                    ),
                )
                for name in sorted(seen.get_table_names())
            ]
    engine.dispose()
    return found


def rows(url: str) -> dict[str, list[str]]:
    """Every row of every table but the version's own and the empty ones."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = {
            name: sorted(
                repr([bytes(item) if isinstance(item, memoryview) else item for item in row])
                for row in connection.execute(text(f"SELECT * FROM {name}"))
            )
            for name in inspect(connection).get_table_names()
            if name != "meta"
        }
    engine.dispose()
    return {name: items for name, items in found.items() if items}


@pytest.fixture
def opened() -> Iterator[Callable[[str], Storage]]:
    """Opens storages and closes them again."""
    made: list[Storage] = []

    def make(url: str) -> Storage:
        made.append(Storage(url))
        return made[-1]

    yield make
    for storage in made:
        storage.close()


def refused(storage: Storage) -> StoreError:
    """What reading and writing a ledger of another version say."""
    for use in (storage.read, storage.write, storage.rebuild):
        with pytest.raises(StoreError) as caught, use():
            pass
        assert caught.value.code == "store.version"
    return caught.value


def test_there_is_a_frozen_ledger_of_every_older_version() -> None:
    """No version is left without the test below."""
    found = {path.stem.removeprefix("ledger-v") for path in DATA.glob("ledger-v*.json")}
    assert found == set(OLDER)


@pytest.mark.parametrize("version", OLDER)
def test_an_older_ledger_comes_up_to_date(
    ledger_url: str, opened: Callable[[str], Storage], kinds: Any, version: str
) -> None:
    """It is refused until it is migrated; then it has the same rows and root, and verifies."""
    load(ledger_url, version)
    known, before, storage = facts(version), rows(ledger_url), opened(ledger_url)
    error = refused(storage)
    assert (error.found, error.expected) == (version, SCHEMA_VERSION)
    assert str(error.hint).startswith("muniment migrate")
    assert rows(ledger_url) == before
    assert storage.migrate() == (int(version), int(SCHEMA_VERSION))
    assert rows(ledger_url) == before
    ledger = Ledger.open(storage, known["origin"], known["root"], kinds)
    checkpoint = ledger.checkpoint()
    assert (checkpoint.size, checkpoint.root.hex()) == (known["size"], known["tree"])
    with storage.read() as reader:
        verifier = LedgerVerifier(reader, ledger.vkey, ledger.root, kinds)
        assert len(list(verifier.records())) == known["size"]
    assert (verifier.report.ok, list(verifier.report.findings)) == (True, [])
    assert storage.migrate() == (int(SCHEMA_VERSION), int(SCHEMA_VERSION))


@pytest.mark.parametrize("version", OLDER)
def test_a_migrated_ledger_is_like_a_new_one(
    ledger_url: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    opened: Callable[[str], Storage],
    version: str,
) -> None:
    """Tables, indexes and triggers are those of a ledger that this version made."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    load(ledger_url, version)
    opened(ledger_url).migrate()
    engine = create_engine(ledger_url)
    with engine.connect() as connection, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []
    migrated = described(ledger_url), described(ledger_url, TRIGGERS[engine.dialect.name])
    fresh = f"sqlite:///{tmp_path / 'new.db'}"
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
        fresh = ledger_url
    engine.dispose()
    opened(fresh).create()
    assert (described(fresh), described(fresh, TRIGGERS[engine.dialect.name])) == migrated


@pytest.mark.parametrize("version", OLDER)
def test_a_migrated_ledger_is_append_only(
    ledger_url: str, opened: Callable[[str], Storage], version: str
) -> None:
    """It takes what this version adds, and its triggers are in force again."""
    load(ledger_url, version)
    storage = opened(ledger_url)
    storage.migrate()
    with storage.write() as writer:
        writer.add([AnchorRow(size=5, kind="rfc3161", source="tsa.example.com", proof=b"token")])
    engine = create_engine(ledger_url)
    for statement in ("UPDATE meta SET value = '1'", "DELETE FROM entry", "DELETE FROM anchor"):
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(statement))
    engine.dispose()


@pytest.mark.parametrize("version", OLDER)
def test_a_migration_that_fails_leaves_the_ledger_as_it_was(
    ledger_url: str,
    opened: Callable[[str], Storage],
    monkeypatch: pytest.MonkeyPatch,
    version: str,
) -> None:
    """Tables, triggers, rows and version of before are there after a fault at the very end."""
    load(ledger_url, version)
    dialect = "sqlite" if ledger_url.startswith("sqlite") else "postgresql"

    def state() -> tuple[Any, ...]:
        return (
            described(ledger_url),
            described(ledger_url, TRIGGERS[dialect]),
            described(ledger_url, "SELECT * FROM meta"),
            rows(ledger_url),
        )

    before, upgrade = state(), migrations.upgrade

    def failing(connection: Any, found: int, wanted: int) -> None:
        upgrade(connection, found, wanted)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(migrations, "upgrade", failing)
    with pytest.raises(StoreError) as caught:
        opened(ledger_url).migrate()
    assert caught.value.code == "store.full"
    assert state() == before
    monkeypatch.undo()
    assert opened(ledger_url).migrate() == (int(version), int(SCHEMA_VERSION))


def test_a_migration_waits_for_who_writes(
    ledger_url: str, opened: Callable[[str], Storage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another process holds the ledger, migrating gives up after waiting."""
    load(ledger_url, OLDER[0])
    monkeypatch.setattr("muniment.evidence.database.LOCK_SECONDS", 0.2)
    engine = create_engine(ledger_url)
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.execute(text("LOCK TABLE entry IN EXCLUSIVE MODE"))
        with pytest.raises(StoreLockedError):
            opened(ledger_url).migrate()
        connection.rollback()
    engine.dispose()
    assert opened(ledger_url).migrate()[0] == 1


@pytest.mark.parametrize("found", ["99", "9" * 5000, "3x", "", "-1", "0", "²"])
def test_a_newer_or_unheard_of_version_is_refused(
    ledger_url: str, opened: Callable[[str], Storage], found: str
) -> None:
    """Such a ledger is neither read, written nor migrated, and the answer says what to do."""
    storage = opened(ledger_url)
    storage.create()
    with storage.rebuild() as rebuilder:
        rebuilder._session.execute(text("UPDATE meta SET value = :v"), {"v": found})
    error = refused(storage)
    with pytest.raises(MunimentError) as caught:
        storage.migrate()
    assert caught.value.code == "store.version"
    assert ("install" if found[:1] == "9" else "table meta") in str(error.hint)
    assert described(ledger_url, "SELECT value FROM meta") == [(found,)]


def test_a_version_that_is_not_said(ledger_url: str, opened: Callable[[str], Storage]) -> None:
    """Without the row that says it, a ledger is not taken for a newer one."""
    storage = opened(ledger_url)
    storage.create()
    with storage.rebuild() as rebuilder:
        rebuilder._session.execute(text("DELETE FROM meta"))
    assert "does not say which version" in refused(storage).message


def test_a_ledger_that_says_it_is_older(ledger_url: str, opened: Callable[[str], Storage]) -> None:
    """Tables that are newer than the version that is said are an error of ours."""
    storage = opened(ledger_url)
    storage.create()
    with storage.rebuild() as rebuilder:
        rebuilder._session.execute(text("UPDATE meta SET value = '1'"))
    with pytest.raises(StoreError) as caught:
        storage.migrate()
    assert caught.value.code == "store.version"
    assert "tables of a later one" in caught.value.message


@pytest.mark.parametrize("version", OLDER)
def test_a_migration_leaves_what_is_not_ours(
    tmp_path: Path, opened: Callable[[str], Storage], version: str
) -> None:
    """A trigger of somebody else is there afterwards."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    load(url, version)
    connection = sqlite3.connect(tmp_path / "ledger.db")
    connection.execute("CREATE TRIGGER mine AFTER INSERT ON tile BEGIN SELECT 1; END")
    connection.close()
    opened(url).migrate()
    assert described(url, "SELECT name FROM sqlite_master WHERE name = 'mine'") == [("mine",)]
    assert described(url, "SELECT name FROM sqlite_master WHERE name = 'tile_grow'") == []


def test_alembic_is_loaded_only_to_migrate(tmp_path: Path) -> None:
    """A new ledger is made, and used, without it."""
    code = (
        "import sys; from muniment.evidence.storage import Storage\n"
        "storage = Storage('sqlite:///ledger.db'); storage.create()\n"
        "with storage.write() as writer: print(writer.size(), 'alembic' in sys.modules)\n"
        "storage.migrate(); storage.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["0", "False"]
