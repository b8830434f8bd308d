"""A real ledger on either database, and the hands of somebody who holds that database."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Engine, create_engine, text

from muniment.evidence.checkpoint import Checkpoint, sign_checkpoint
from muniment.evidence.dsse import Envelope
from muniment.evidence.entry import Entry
from muniment.evidence.keys import SigningKey, new_p256
from muniment.evidence.merkle import hash_leaf, tree_root
from muniment.evidence.storage import DERIVED
from muniment.evidence.tiles import add_leaf, node_reader
from muniment.evidence.workspace import Evidence, Holder, Workspace
from muniment.schemas.record import Role
from muniment.schemas.statement import Statement, SystemRef

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
SYSTEM = SystemRef("credit-risk", "1.0.0")
ADA = {"name": "Ada Example", "email": "ada@example.com"}
POLICY = {
    "title": "Rules",
    "version": "1",
    "inForceFrom": "2026-01-01",
    "reviewBy": "2027-01-01",
    "owner": ADA,
}
LATER = datetime(2026, 5, 1, 9, 0, tzinfo=UTC)
"""After everything the ledger holds."""
SQLITE = "sqlite:///.muniment/ledger.db"


class Clock:
    """An hour later each time it is asked."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        self.time += timedelta(hours=1)
        return self.time


def build(root: Path, ledger: str) -> None:
    """Ten entries: genesis, three keys, a system, a file, an approval, a batch of three."""
    clock = Clock()
    workspace = Workspace.init(
        root,
        organisation="Example",
        origin="evidence.example.com",
        frameworks=["nist-ai-rmf-1.0"],
        holder=Holder(**ADA),
        key="ada",
        clock=clock,
        ledger=ledger,
    )
    for name, role, functions in [
        ("bea", Role.CONTRIBUTOR, []),
        ("carl", Role.APPROVER, ["risk"]),
        ("dora", Role.CONTRIBUTOR, []),
    ]:
        key = new_p256()
        workspace.keys.save(workspace.keys.path(name), key, None)
        holder = Holder(name.title(), f"{name}@example.com")
        workspace.people.enrol(key.public, holder, roles=[role], functions=functions)
    system = {
        "name": "Credit risk",
        "purpose": "Scores loans.",
        "phase": "pilot",
        "riskTier": "high",
        "owner": ADA,
    }
    workspace.add(Evidence("system", SYSTEM, body=system))
    file = root / "rules.txt"
    file.write_text("Nobody deploys alone.\n")
    bea = Workspace(root, key="bea", clock=clock)
    bea.add(Evidence("policy", files=[file], body=POLICY))
    carl = Workspace(root, key="carl", clock=clock)
    carl.approve(["#5"])
    statement = bea.verified().records[5].statement
    batch = [
        replace(statement, body={**POLICY, "title": title}, subjects=(SYSTEM.descriptor(),))
        for title in ("One", "Two", "Three")
    ]
    workspace.ledger.append(
        workspace.keys.load(workspace.keys.ledger_path(workspace.ledger.vkey)),
        [(Envelope.sign(item.to_payload(), bea.signing_key), bea.signing_key) for item in batch],
        workspace.kinds,
    )
    for item in (workspace, bea, carl):
        item.storage.close()


@dataclass
class Victim:
    """A copy of the ledger that may be damaged."""

    root: Path
    engine: Engine
    opened: list[Workspace] = field(default_factory=list)

    def open(self, **options: Any) -> Workspace:
        """The workspace, opened anew."""
        self.opened.append(Workspace(self.root, **options))
        return self.opened[-1]

    def close(self) -> None:
        """Give every connection back."""
        self.engine.dispose()
        for workspace in self.opened:
            workspace.storage.close()

    def codes(self) -> list[str]:
        """Codes of everything ``verify`` finds, each once, in order of their names."""
        report = self.open().verify()
        codes = sorted({finding.code for finding in report.findings})
        assert report.ok == (not codes)
        return codes

    def sql(self, statement: str, **values: Any) -> list[Any]:
        """Run one statement with triggers and foreign keys out of force."""
        with self.engine.begin() as connection:
            if connection.dialect.name == "sqlite":
                found = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
                for (name,) in connection.execute(text(found)).all():
                    connection.execute(text(f"DROP TRIGGER {name}"))
            else:
                connection.execute(text("SET LOCAL session_replication_role = replica"))
            result = connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []

    def value(self, table: str, column: str, where: str) -> Any:
        """One value of one row."""
        ((value,),) = self.sql(f"SELECT {column} FROM {table} WHERE {where}")
        return bytes(value) if isinstance(value, memoryview) else value

    def change(
        self, table: str, column: str, where: str, edit: Callable[[Any], Any]
    ) -> tuple[Any, Any]:
        """Put ``edit(value)`` in the place of a value; give both."""
        old = self.value(table, column, where)
        new = edit(old)
        assert new != old
        self.sql(f"UPDATE {table} SET {column} = :new WHERE {where}", new=new)
        return old, new

    def statement(self, **fields: Any) -> Statement:
        """A policy statement that would be sound if the right person signed it."""
        return replace(
            self.open().verified().records[5].statement,
            **{"subjects": (SYSTEM.descriptor(),), "body": {**POLICY, "title": "Forged"}} | fields,
        )

    def key(self, name: str) -> SigningKey:
        """Somebody's private key."""
        workspace = self.open()
        return workspace.keys.load(workspace.keys.path(name))

    def ledger_key(self) -> SigningKey:
        """The ledger's own private key."""
        workspace = self.open()
        return workspace.keys.load(workspace.keys.ledger_path(workspace.ledger.vkey))

    def insert(self, statement: Statement, signer: SigningKey) -> None:
        """Put a record at the end, with all rows and tiles it should have, but no checkpoint."""
        envelope = Envelope.sign(statement.to_payload(), signer)
        entry = Entry.new(0, envelope, signer.public)
        self.put(envelope.to_bytes(), entry.leaf, entry.columns(), entry.subjects())

    def put(
        self,
        envelope: bytes,
        leaf: bytes,
        columns: dict[str, Any] | None = None,
        subjects: Sequence[tuple[int, str, str]] = (),
    ) -> None:
        """Put any bytes at the end, with their tiles."""
        ((last,),) = self.sql("SELECT max(number) FROM entry")
        number, leaf_hash = last + 1, hash_leaf(leaf)
        derived = dict.fromkeys(DERIVED, "x") | {"leaf_hash": leaf_hash.hex()} | (columns or {})
        row = {"number": number, "envelope": envelope, "leaf": leaf, **derived}
        names = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        self.sql(f"INSERT INTO entry ({names}) VALUES ({values})", **row)
        for position, sha256, name in subjects:
            self.sql(
                "INSERT INTO subject (number, position, sha256, name) "
                "VALUES (:number, :position, :sha256, :name)",
                number=number,
                position=position,
                sha256=sha256,
                name=name,
            )
        self.put_tiles(add_leaf(number, leaf_hash, self.tile))

    def forge(self, statement: Statement, signer: SigningKey, time: datetime = LATER) -> None:
        """Put a record at the end and sign for it with the stolen key of the ledger."""
        self.insert(statement, signer)
        self.sign(self.ledger_key(), time)

    def put_tiles(self, tiles: dict[tuple[int, int], bytes]) -> None:
        """Write tiles, over what is there."""
        for (level, number), hashes in tiles.items():
            self.sql(f"DELETE FROM tile WHERE level = {level} AND number = {number}")
            self.sql(
                f"INSERT INTO tile (level, number, hashes) VALUES ({level}, {number}, :hashes)",
                hashes=hashes,
            )

    def tile(self, level: int, number: int) -> bytes:
        """A tile as it is stored."""
        found = self.sql(f"SELECT hashes FROM tile WHERE level = {level} AND number = {number}")
        return bytes(found[0][0]) if found else b""

    def sign(self, key: SigningKey, time: datetime, *, root: bytes | None = None) -> None:
        """Write a checkpoint over what the tiles say, signed with ``key``."""
        ((last,),) = self.sql("SELECT max(number) FROM entry")
        size = last + 1
        checkpoint = Checkpoint(
            "evidence.example.com", size, root or tree_root(size, node_reader(self.tile))
        )
        note = sign_checkpoint(checkpoint, key, time).note.to_bytes()
        self.sql(f"DELETE FROM checkpoint WHERE size = {size}")
        self.sql(f"INSERT INTO checkpoint (size, note) VALUES ({size}, :note)", note=note)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The undamaged ledger on SQLite, made once."""
    root = tmp_path_factory.mktemp("tamper") / "workspace"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUNIMENT_CONFIG", str(root.parent / "config"))
        build(root, SQLITE)
    yield root


@pytest.fixture(scope="session")
def postgres_template(template: Path, postgres_server: Any) -> Iterator[tuple[Path, str]]:
    """The undamaged ledger on PostgreSQL, and the name of its database."""
    name = f"template_{uuid4().hex}"
    with psycopg.connect(postgres_server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    root = template.parent / "postgres"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUNIMENT_CONFIG", str(template.parent / "postgres-config"))
        build(root, postgres_url(postgres_server, name))
    yield root, name


def postgres_url(server: Any, name: str) -> str:
    return f"postgresql+psycopg://postgres@/{name}?host={server.pgdata}"


@pytest.fixture
def sqlite_victim(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Victim]:
    """A copy on SQLite."""
    # A copy, for the machine that verifies remembers what it saw.
    shutil.copytree(template.parent / "config", tmp_path / "config")
    monkeypatch.setenv("MUNIMENT_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("MUNIMENT_KEY", raising=False)
    root = tmp_path / "workspace"
    shutil.copytree(template, root)
    made = Victim(root, create_engine(f"sqlite:///{root / '.muniment' / 'ledger.db'}"))
    yield made
    made.close()


@pytest.fixture
def postgres_victim(
    postgres_template: tuple[Path, str],
    postgres_server: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Victim]:
    """A copy on PostgreSQL."""
    source, original = postgres_template
    shutil.copytree(source.parent / "postgres-config", tmp_path / "config")
    monkeypatch.setenv("MUNIMENT_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("MUNIMENT_KEY", raising=False)
    root, name = tmp_path / "workspace", f"victim_{uuid4().hex}"
    shutil.copytree(source, root)
    settings = root / "muniment.yaml"
    settings.write_text(settings.read_text().replace(original, name))
    with psycopg.connect(postgres_server.get_uri(), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {original}")
        made = Victim(root, create_engine(postgres_url(postgres_server, name)))
        yield made
        made.close()
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def victim(request: pytest.FixtureRequest) -> Victim:
    """A copy of the ledger to attack; the test runs on both databases."""
    name = "sqlite_victim" if request.param == "sqlite" else "postgres_victim"
    found: Victim = request.getfixturevalue(name)
    return found
