"""Scrubbing: what was erased is out of the database's files, or it is said that it is not yet."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from muniment.evidence import scrub as scrubbing
from muniment.evidence.storage import Storage
from muniment.evidence.withdrawal import erase
from muniment.evidence.workspace import Evidence, Workspace
from muniment.schemas.errors import StoreError
from muniment.schemas.statement import SystemRef

ADA = {"name": "Ada Example", "email": "ada@example.com"}
NAME = "a name that must go.txt"
ERASED = "#2"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits long for a lock."""
    monkeypatch.setattr("muniment.evidence.database.LOCK_SECONDS", 0.3)


@pytest.fixture
def fill(make_workspace: Callable[..., Workspace], tmp_path: Path) -> Callable[[str], Workspace]:
    """Makes a ledger whose record #2 is about a file with a telling name."""

    def make(url: str) -> Workspace:
        workspace = make_workspace(ledger=url)
        system = {
            "name": "Credit risk",
            "purpose": "Scores loans.",
            "phase": "pilot",
            "riskTier": "high",
            "owner": ADA,
        }
        workspace.add(Evidence("system", SystemRef("credit-risk", "1.0.0"), body=system))
        file = tmp_path / NAME
        file.write_text("What it says.\n")
        dates = {"inForceFrom": "2026-01-01", "reviewBy": "2027-01-01"}
        policy = {"title": "Rules", "version": "1", "owner": ADA, **dates}
        workspace.add(Evidence("policy", files=[file], body=policy))
        return workspace

    return make


@pytest.fixture
def embedded(fill: Callable[[str], Workspace]) -> Workspace:
    return fill("sqlite:///.muniment/ledger.db")


@pytest.fixture
def served(fill: Callable[[str], Workspace], postgres_url: str) -> Workspace:
    return fill(postgres_url)


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    """Somebody else's connections to the server."""
    made = create_engine(postgres_url)
    yield made
    made.dispose()


def order(workspace: Workspace) -> Any:
    return erase(workspace, [ERASED], "GDPR Art. 17(1)(b)", "Consent was withdrawn.")


def refused(workspace: Workspace) -> StoreError:
    """What an erasure says that leaves the bytes in the database's files."""
    with pytest.raises(StoreError) as caught:
        order(workspace)
    assert (caught.value.code, caught.value.exit_code) == ("erasure.not-scrubbed", 3)
    assert f'repeat the command, muniment erase "{ERASED}"' in str(caught.value.hint)
    return caught.value


def notes(workspace: Workspace) -> set[str]:
    """Codes of what ``verify`` notes of a ledger that holds."""
    report = workspace.verify()
    assert report.ok
    return {note.code for check in report.checks for note in check.notes}


def finish(workspace: Workspace) -> None:
    """Erase again: nothing is added, and nothing is outstanding any more."""
    with workspace.storage.read() as reader:
        size = reader.size()
    assert notes(workspace) == {"record.erased-unproven", "erasure.not-scrubbed"}
    again = order(workspace)
    assert (again.is_new, again.record.kind, again.record.index) == (False, "erasure", 3)
    assert notes(workspace) == {"record.erased-unproven"}
    with workspace.storage.read() as reader:
        assert reader.size() == size


def held_bytes(workspace: Workspace) -> list[str]:
    """Files of an embedded ledger that hold what #2 said."""
    assert workspace.storage.path is not None
    found = workspace.storage.path.parent.glob("ledger.db*")
    return sorted(file.name for file in found if NAME.encode() in file.read_bytes())


@contextmanager
def other(workspace: Workspace, *statements: str) -> Iterator[None]:
    """While another process is in the midst of something with the file."""
    assert workspace.storage.path is not None
    with closing(sqlite3.connect(workspace.storage.path, isolation_level=None)) as opened:
        for statement in statements:
            opened.execute(statement).fetchall()
        yield
        opened.execute("ROLLBACK")


def test_an_erasure_leaves_no_bytes(embedded: Workspace) -> None:
    """Name and body are in no file of the ledger, and nothing is outstanding."""
    assert held_bytes(embedded)
    assert order(embedded).is_new
    assert held_bytes(embedded) == []
    assert notes(embedded) == {"record.erased-unproven"}


def test_a_reader_who_stays(embedded: Workspace) -> None:
    """While a reader keeps the old pages the answer is "not yet"; erasing again finishes it."""
    with other(embedded, "BEGIN", "SELECT count(*) FROM entry"):
        assert "another process" in refused(embedded).message
        assert held_bytes(embedded)
    finish(embedded)
    assert held_bytes(embedded) == []


def test_a_writer_in_the_way(embedded: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that somebody takes just before is an error of ours, not the driver's."""
    scrub = scrubbing._scrub_sqlite

    def hindered(driver: Any) -> None:
        with other(embedded, "BEGIN IMMEDIATE"):
            scrub(driver)

    monkeypatch.setattr(scrubbing, "_scrub_sqlite", hindered)
    refused(embedded)
    monkeypatch.setattr(scrubbing, "_scrub_sqlite", scrub)
    finish(embedded)
    assert held_bytes(embedded) == []


def test_an_interrupted_scrub_is_finished_by_the_next(
    embedded: Workspace,
) -> None:
    """What is outstanding is done with the next erasure of anything as well."""

    def killed(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("muniment.evidence.storage.scrub", killed)
        order(embedded)
    with embedded.storage.read() as reader:
        assert reader.unscrubbed() == {2}
    embedded.storage.scrub()
    assert notes(embedded) == {"record.erased-unproven"}


def test_notes_that_make_no_sense(embedded: Workspace) -> None:
    """Whatever somebody writes into the table of notes, verification reads on."""
    with embedded.storage.write() as writer:
        for key in ("'erased ²'", "'erased '", "'erased -1'", "x'ff00'", f"'erased {'9' * 5000}'"):
            writer._session.execute(text(f"INSERT INTO meta VALUES ({key}, '')"))
    assert notes(embedded) == set()


def test_a_transaction_that_stays(served: Workspace, engine: Engine) -> None:
    """PostgreSQL: behind a forgotten transaction the scrub gives up, and goes on afterwards."""
    with engine.connect() as opened:
        opened.execute(text("SELECT count(*) FROM subject")).all()
        refused(served)
    finish(served)


def test_a_transaction_that_looks_elsewhere(served: Workspace, engine: Engine) -> None:
    """PostgreSQL keeps erased rows for a transaction that could still look at them."""
    with engine.connect() as opened:
        late = opened.execution_options(isolation_level="REPEATABLE READ")
        late.execute(text("SELECT count(*) FROM pg_class")).all()
        assert "another process" in refused(served).message
    finish(served)


def test_the_statistics_forget(served: Workspace, engine: Engine) -> None:
    """PostgreSQL's statistics hold no value of an erased row."""
    known = text(
        "SELECT count(*) FROM pg_stats WHERE tablename IN ('entry', 'subject') AND "
        "concat(most_common_vals, histogram_bounds) LIKE '%that must go%'"
    )
    with engine.begin() as opened:
        opened.execute(text("ANALYZE entry, subject"))
        assert opened.execute(known).scalar_one()
    order(served)
    with engine.connect() as opened:
        assert opened.execute(known).scalar_one() == 0


def test_who_may_not_scrub(served: Workspace, engine: Engine, postgres_url: str) -> None:
    """PostgreSQL skips the tables of others with a warning; here that is an error."""
    with engine.begin() as opened:
        opened.execute(text("CREATE ROLE writer_only LOGIN"))
        rights = "SELECT, INSERT, UPDATE, DELETE"
        opened.execute(text(f"GRANT {rights} ON ALL TABLES IN SCHEMA public TO writer_only"))
    storage = Storage(postgres_url.replace("postgres@", "writer_only@"))
    try:
        with pytest.raises(StoreError) as caught:
            storage.scrub()
        assert caught.value.code == "store.refused"
    finally:
        storage.close()
        with engine.begin() as opened:
            opened.execute(text("DROP OWNED BY writer_only"))
            opened.execute(text("DROP ROLE writer_only"))
