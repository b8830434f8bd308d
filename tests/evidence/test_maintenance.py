"""Upkeep: fsck finds and mends everything derived and nothing else; a backup is the ledger."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.exc import DBAPIError

from muniment.evidence.ledger import Ledger
from muniment.evidence.maintenance import backup, fsck
from muniment.evidence.statements import erased_item
from muniment.evidence.storage import AnchorRow, Reader, Rebuilder, Storage
from muniment.evidence.verification import LedgerVerifier
from muniment.schemas.errors import MunimentError, StoreError, VerificationError
from muniment.schemas.statement import Statement, Subject

SIGNED = ("entry", "checkpoint", "anchor", "meta")
OTHER = "'" + "ab" * 32 + "'"
DAMAGE = {
    "leaf_hash": ("UPDATE entry SET leaf_hash = 'x' WHERE number = 1", {"column.differs"}),
    "leaf_hash swapped": (
        "UPDATE entry SET leaf_hash = leaf_hash || "
        "(SELECT leaf_hash FROM entry WHERE number = 2) WHERE number = 1;"
        "UPDATE entry SET leaf_hash = "
        "(SELECT substr(leaf_hash, 1, 64) FROM entry WHERE number = 1) WHERE number = 2;"
        "UPDATE entry SET leaf_hash = substr(leaf_hash, 65) WHERE number = 1",
        {"column.differs"},
    ),
    "fingerprint": ("UPDATE entry SET fingerprint = 'x'", {"column.differs"}),
    "predicate_type": ("UPDATE entry SET predicate_type = 'x'", {"column.differs"}),
    "kind": ("UPDATE entry SET kind = 'decision' WHERE number > 0", {"column.differs"}),
    "system_id": ("UPDATE entry SET system_id = 'x' WHERE number = 2", {"column.differs"}),
    "system_version": ("UPDATE entry SET system_version = '9'", {"column.differs"}),
    "collected_at": ("UPDATE entry SET collected_at = 'x'", {"column.differs"}),
    "signer": ("UPDATE entry SET signer = 'x' WHERE number = 1", {"column.differs"}),
    "subject digest": (f"UPDATE subject SET sha256 = {OTHER}", {"subjects.differ"}),
    "subject name": ("UPDATE subject SET name = 'x' WHERE number = 1", {"subjects.differ"}),
    "subject moved": (
        "UPDATE subject SET position = 5 WHERE number = 1 AND position = 0",
        {"subjects.differ"},
    ),
    "subject gone": ("DELETE FROM subject WHERE number = 1 AND position = 1", {"subjects.differ"}),
    "every subject gone": ("DELETE FROM subject", {"subjects.differ"}),
    "subject added": (
        f"INSERT INTO subject VALUES (1, 2, {OTHER}, 'x')",
        {"subjects.differ"},
    ),
    "subject of no entry": (
        f"INSERT INTO subject VALUES (300, 0, {OTHER}, 'x');"
        f"INSERT INTO subject VALUES (-1, 0, {OTHER}, 'x')",
        {"subjects.stray"},
    ),
    "tile replaced": (
        "UPDATE tile SET hashes = (SELECT leaf FROM entry WHERE number = 0) WHERE level = 0",
        {"tile.differs"},
    ),
    "full tile gone": ("DELETE FROM tile WHERE level = 0 AND number = 0", {"tile.missing"}),
    "top tile gone": ("DELETE FROM tile WHERE level = 1", {"tile.missing"}),
    "every tile gone": ("DELETE FROM tile", {"tile.missing"}),
    "tile of no entry": (
        "INSERT INTO tile SELECT 0, 2, hashes FROM tile WHERE level = 1;"
        "INSERT INTO tile SELECT 2, 0, hashes FROM tile WHERE level = 1;"
        "INSERT INTO tile SELECT 0, -1, hashes FROM tile WHERE level = 1;"
        "INSERT INTO tile SELECT 9, 0, hashes FROM tile WHERE level = 1",
        {"tile.differs"},
    ),
    "erasure gone": ("DELETE FROM erasure", {"erasure.row"}),
    "erasure of another record": ("UPDATE erasure SET number = 3", {"erasure.row"}),
    "erasure by another record": ("UPDATE erasure SET by = 3", {"erasure.row"}),
    "erasure added": ("INSERT INTO erasure (number, by) VALUES (3, 13)", {"erasure.row"}),
    "all at once": (
        "UPDATE entry SET kind = 'x'; DELETE FROM subject; DELETE FROM tile WHERE number = 1",
        {"column.differs", "subjects.differ", "tile.missing"},
    ),
}
FORGED = {
    "envelope": ("UPDATE entry SET envelope = leaf WHERE number = 3", "envelope.malformed"),
    "leaf": (
        "UPDATE entry SET leaf = (SELECT leaf FROM entry WHERE number = 2) WHERE number = 3",
        "checkpoint.root",
    ),
    "entry gone": (
        "DELETE FROM subject WHERE number = 4; DELETE FROM entry WHERE number = 4",
        "checkpoint.root",
    ),
    "last gone": (
        "DELETE FROM subject WHERE number = 13; DELETE FROM entry WHERE number = 13",
        "checkpoint.root",
    ),
    "entry moved": (
        "DELETE FROM subject WHERE number = 4; UPDATE entry SET number = 400 WHERE number = 4",
        "checkpoint.root",
    ),
    "emptied without an erasure": (
        "UPDATE entry SET envelope = '' WHERE number = 3",
        "erasure.without-order",
    ),
    "emptied with a made-up row": (
        "UPDATE entry SET envelope = '' WHERE number = 3;"
        "INSERT INTO erasure (number, by) VALUES (3, 4)",
        "erasure.without-order",
    ),
    "no checkpoint": ("DELETE FROM checkpoint", "checkpoint.missing"),
    "checkpoint": (
        "UPDATE checkpoint SET note = (SELECT leaf FROM entry WHERE number = 0)",
        "note.malformed",
    ),
}


def fill(lab: Any, size: int) -> Ledger:
    """Fill a ledger up to ``size`` records; one of them is about two files, one is erased."""
    files = tuple(
        Subject(name, {"sha256": hashlib.sha256(name.encode()).hexdigest()}) for name in "ab"
    )
    lab.append(lab.statement(title="About files", subjects=files))
    lab.append(*[lab.statement(title=f"Rule {number}") for number in range(size - 3)])
    lab.append(erasure(lab, 10))
    with lab.storage.write() as writer:
        writer.add([AnchorRow(size=2, kind="rfc3161", source="tsa.example.com", proof=b"token")])
    assert isinstance(lab.ledger, Ledger)
    return lab.ledger


def erasure(lab: Any, number: int) -> Statement:
    """An order to erase one record."""
    target = lab.ledger.proven(number)
    made: Statement = lab.statement(
        "erasure",
        body={
            "records": [erased_item(target.ref, target.statement)],
            "artifacts": [],
            "basis": "GDPR Art. 17(1)(b)",
            "reason": "Consent was withdrawn.",
        },
    )
    return made


SMALL, LARGE = 14, 260
"""The large one has a full tile, and a tile above it."""


@pytest.fixture
def ledger(lab: Any) -> Ledger:
    """A small ledger."""
    return fill(lab, SMALL)


def damage(url: str, statements: str) -> None:
    """Change the database as whoever holds it can."""
    engine = create_engine(url)
    triggers: list[str] = []
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":
            query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
            for name, made in connection.execute(text(query)).all():
                connection.execute(text(f"DROP TRIGGER {name}"))
                triggers.append(made)
        else:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        for statement in [*statements.split(";"), *triggers]:
            connection.execute(text(statement))
    engine.dispose()


def stored(url: str, tables: tuple[str, ...] | None = None) -> dict[str, list[str]]:
    """Every row of some tables, or of all."""
    engine = create_engine(url)
    found = {}
    with engine.connect() as connection:
        for name in tables or inspect(connection).get_table_names():
            rows = connection.execute(text(f"SELECT * FROM {name}"))
            found[name] = sorted(
                repr([bytes(item) if isinstance(item, memoryview) else item for item in row])
                for row in rows
            )
    engine.dispose()
    return found


def codes(report: Any) -> set[str]:
    return {finding.code for finding in report.findings}


def test_a_sound_ledger_has_no_differences(lab: Any) -> None:
    """Everything was compared, nothing differs and nothing is written, erased records included."""
    ledger = fill(lab, LARGE)
    before, progress = stored(lab.url), list[tuple[int, int]]()
    for repair in (False, True):
        report = fsck(ledger, repair=repair, progress=lambda *done: progress.append(done))
        assert (report.ok, codes(report), report.conclusions) == (True, set(), [])
        counts = {check.name: check.checked for check in report.checks}
        assert counts == {
            "entries": 260,
            "columns": 260,
            "subjects": 260,
            "tiles": 3,
            "erasures": 1,
            "triggers": 1,
        }
    assert progress[-1] == (260, 260)
    assert stored(lab.url) == before
    with lab.storage.read() as reader:
        assert (reader.erasures(), reader.entry(10).envelope) == ({10: 259}, b"")


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_derived_is_found_and_mended(lab: Any, name: str) -> None:
    """Without --repair nothing is written; with it every row is as it was before the damage."""
    ledger = fill(lab, LARGE if "tile" in name or name == "all at once" else SMALL)
    before = stored(lab.url)
    statements, expected = DAMAGE[name]
    damage(lab.url, statements)
    damaged = stored(lab.url)
    assert damaged != before
    assert codes(fsck(ledger)) == expected
    assert stored(lab.url) == damaged
    report = fsck(ledger, repair=True)
    assert codes(report) == expected
    assert not report.ok
    assert report.conclusions == [f"{len(list(report.findings))} repaired from the entries"]
    assert stored(lab.url) == before
    assert fsck(ledger, repair=True).ok


@pytest.mark.parametrize("name", FORGED)
def test_entries_and_checkpoints_are_never_written(ledger: Ledger, lab: Any, name: str) -> None:
    """What is signed is reported and left alone; over forged entries nothing is made tidy."""
    statements, code = FORGED[name]
    damage(lab.url, f"{statements}; UPDATE tile SET hashes = ''")
    if name.startswith("emptied") and lab.url.startswith("sqlite"):
        damage(lab.url, "UPDATE entry SET envelope = x'' WHERE number = 3")
    before = stored(lab.url)
    report = fsck(ledger, repair=True)
    assert code in codes(report)
    assert not report.ok
    after = stored(lab.url)
    assert {table: after[table] for table in SIGNED} == {table: before[table] for table in SIGNED}
    if code in ("envelope.malformed", "erasure.without-order"):
        done = 2 if "made-up" in name else 1
        assert report.conclusions == [
            f"{done} repaired from the entries, 1 not: envelopes are never written anew"
        ]
    else:
        assert after == before
        assert "nothing was repaired" in report.conclusions[0]
    assert code in codes(fsck(ledger))


def test_triggers_are_in_force_after_a_repair(ledger: Ledger, lab: Any) -> None:
    """Even those that somebody had removed before."""
    damage(lab.url, "UPDATE entry SET kind = 'x' WHERE number = 1")
    fsck(ledger, repair=True)
    engine = create_engine(lab.url)
    for table in (*SIGNED, "subject", "tile", "erasure"):
        with pytest.raises(DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(text(f"DELETE FROM {table}"))
    engine.dispose()
    lab.append(lab.statement(title="One more"))
    assert fsck(ledger).ok


FOREIGN = {
    "sqlite": ("CREATE TRIGGER audit_it AFTER INSERT ON anchor BEGIN SELECT 1; END",),
    "postgresql": (
        "CREATE FUNCTION muniment_report() RETURNS trigger LANGUAGE plpgsql AS "
        "'BEGIN RETURN NEW; END'",
        "CREATE TRIGGER audit_it AFTER INSERT ON anchor FOR EACH ROW "
        "EXECUTE FUNCTION muniment_report()",
    ),
}
FOREIGN_LEFT = {
    "sqlite": "SELECT count(*) FROM sqlite_master WHERE name = 'audit_it'",
    "postgresql": (
        "SELECT count(*) FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid "
        "WHERE tgname = 'audit_it' AND proname = 'muniment_report'"
    ),
}


def test_a_repair_leaves_what_is_not_ours(ledger: Ledger, lab: Any) -> None:
    """Triggers and functions of other people are there after a repair."""
    damage(lab.url, "UPDATE entry SET kind = 'x' WHERE number = 1")
    engine = create_engine(lab.url)
    with engine.begin() as connection:
        for statement in FOREIGN[connection.dialect.name]:
            connection.exec_driver_sql(statement)
    assert not fsck(ledger, repair=True).ok
    with engine.connect() as connection:
        query = text(FOREIGN_LEFT[connection.dialect.name])
        assert connection.execute(query).scalar_one() == 1
    engine.dispose()


def test_a_lost_row_of_an_erasure(ledger: Ledger, lab: Any) -> None:
    """Verification names it as what it is, and holds again after a repair."""
    assert lab.verify().ok
    damage(lab.url, "DELETE FROM erasure")
    assert codes(lab.verify()) == {"erasure.row"}
    fsck(ledger, repair=True)
    assert lab.verify().ok


def test_rows_of_strange_types(tmp_path: Path, lab_on: Callable[[str], Any]) -> None:
    """SQLite takes any value into any column: such tiles are found and removed."""
    lab = lab_on(f"sqlite:///{tmp_path / 'ledger.db'}")
    before = stored(lab.url)
    for place in ("'abc', 'def'", "0, 'x'", "0.5, 0", "x'00', x'01'", "0, 0.5"):
        damage(lab.url, f"INSERT INTO tile VALUES ({place}, x'00')")
    assert codes(fsck(lab.ledger)) == {"tile.differs"}
    fsck(lab.ledger, repair=True)
    assert stored(lab.url) == before
    assert fsck(lab.ledger).ok


def test_a_repair_that_fails_leaves_everything(
    ledger: Ledger, lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk in the middle of a repair: clear error, rows and triggers as before."""
    damage(lab.url, "UPDATE entry SET kind = 'x' WHERE number = 1; DELETE FROM tile")
    before = stored(lab.url)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Rebuilder, "rewrite_tile", full)
    with pytest.raises(StoreError) as caught:
        fsck(ledger, repair=True)
    assert caught.value.code == "store.full"
    assert stored(lab.url) == before


def test_readers_and_writers_wait_for_a_repair(ledger: Ledger, lab: Any) -> None:
    """While a repair is under way others wait or see the old state; afterwards all goes on."""
    sizes: list[int] = []

    def use(number: int) -> None:
        sizes.append(lab.size())
        lab.append(lab.statement(title=f"Meanwhile {number}"))

    with ThreadPoolExecutor(3) as pool:
        with lab.storage.rebuild() as rebuilder:
            others = [pool.submit(use, number) for number in range(3)]
            rebuilder.rewrite_columns({})
        for other in others:
            other.result()
    assert min(sizes) == SMALL
    assert lab.size() == SMALL + 3
    assert fsck(ledger).ok


Verified = Callable[[Path], LedgerVerifier]


@pytest.fixture
def verified(lab: Any) -> Iterator[Verified]:
    """Opens the file of a backup and verifies all of it."""
    made: list[Storage] = []

    def verify(file: Path) -> LedgerVerifier:
        made.append(Storage(f"sqlite:///{file}"))
        with made[-1].read() as reader:
            root = lab.root.public.fingerprint
            verifier = LedgerVerifier(reader, lab.vkey, root, lab.kinds)
            list(verifier.records())
        return verifier

    yield verify
    for storage in made:
        storage.close()


def test_a_backup_is_the_ledger(ledger: Ledger, lab: Any, tmp_path: Path) -> None:
    """One file with the same rows in every table, the same root, and triggers of its own."""
    file = tmp_path / "copies? #1" / "ledger.db"
    file.parent.mkdir()
    checkpoint = backup(ledger, file)
    assert checkpoint == ledger.checkpoint()
    assert [path.name for path in file.parent.iterdir()] == ["ledger.db"]
    assert stored(f"sqlite:///{file.parent.rename(tmp_path / 'plain') / 'ledger.db'}") == (
        stored(lab.url)
    )
    copy = Storage(f"sqlite:///{tmp_path / 'plain' / 'ledger.db'}")
    assert fsck(Ledger(copy, ledger.vkey, ledger.root)).ok
    copy.close()
    with (
        sqlite3.connect(tmp_path / "plain" / "ledger.db") as opened,
        pytest.raises(sqlite3.IntegrityError, match="append-only"),
    ):
        opened.execute("DELETE FROM entry")
    opened.close()


def test_a_backup_verifies(lab: Any, tmp_path: Path, verified: Verified) -> None:
    """The copy passes the whole of verification under the same root key and tree."""
    lab.append(*[lab.statement(title=f"Rule {number}") for number in range(5)])
    checkpoint = backup(lab.ledger, tmp_path / "copy.db")
    verifier = verified(tmp_path / "copy.db")
    assert (verifier.report.ok, list(verifier.report.findings)) == (True, [])
    assert verifier.last == checkpoint == lab.ledger.checkpoint()


def test_backups_while_others_append(lab: Any, tmp_path: Path, verified: Verified) -> None:
    """Each copy is the ledger at one moment: sound, and its tree grows from copy to copy."""
    done = threading.Event()

    def append() -> None:
        number = 0
        while not done.is_set():
            lab.append(lab.statement(title=f"Rule {number}"))
            number += 1

    other = threading.Thread(target=append)
    other.start()
    try:
        sizes = [backup(lab.ledger, tmp_path / f"{number}.db").size for number in range(5)]
    finally:
        done.set()
        other.join()
    assert sizes == sorted(sizes)
    for number, size in enumerate(sizes):
        verifier = verified(tmp_path / f"{number}.db")
        assert verifier.report.ok
        assert verifier.last is not None
        assert verifier.last.size == size


def test_a_backup_sees_one_moment(
    lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that is appended between the first and the last table is in none of them."""
    begin = Storage._check_version
    late = [lab.statement(title="Late")]

    def appending(reader: Reader) -> None:
        begin(reader)
        if late:
            lab.append(late.pop())

    monkeypatch.setattr(Storage, "_check_version", staticmethod(appending))
    checkpoint = backup(lab.ledger, tmp_path / "copy.db")
    assert (checkpoint.size, lab.size()) == (1, 2)


REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a file": (lambda folder: folder / "there.db", "backup.exists"),
    "a folder": (lambda folder: folder, "backup.exists"),
    "a link to nowhere": (lambda folder: folder / "link.db", "backup.exists"),
    "no folder": (lambda folder: folder / "nowhere" / "copy.db", "file.missing"),
    "a file as folder": (lambda folder: folder / "there.db" / "copy.db", "file.missing"),
    "a name too long": (lambda folder: folder / ("x" * 300), "backup.unwritable"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_backup_replaces_nothing(lab: Any, tmp_path: Path, name: str) -> None:
    """What is there stays as it is, and nothing else is left behind."""
    folder = tmp_path / "copies"
    folder.mkdir()
    (folder / "there.db").write_text("mine")
    (folder / "link.db").symlink_to(folder / "gone")
    make, code = REFUSED[name]
    with pytest.raises(MunimentError) as caught:
        backup(lab.ledger, make(folder))
    assert caught.value.code == code
    assert (folder / "there.db").read_text() == "mine"
    assert sorted(path.name for path in folder.iterdir()) == ["link.db", "there.db"]


def test_a_damaged_ledger_gives_no_backup(lab: Any, tmp_path: Path) -> None:
    """A copy whose tree is not the one its checkpoint signs gets no name."""
    damage(lab.url, "DELETE FROM tile")
    (tmp_path / "copies").mkdir()
    with pytest.raises(VerificationError) as caught:
        backup(lab.ledger, tmp_path / "copies" / "ledger.db")
    assert caught.value.code == "ledger.damaged"
    assert list((tmp_path / "copies").iterdir()) == []


def test_a_tampered_ledger_is_copied_as_it_is(ledger: Ledger, lab: Any, tmp_path: Path) -> None:
    """Rows that keys and triggers would refuse are in the copy, for verification to name."""
    damage(
        lab.url,
        f"INSERT INTO subject VALUES (999, 0, {OTHER}, 'x');"
        "INSERT INTO erasure (number, by) VALUES (998, 997)",
    )
    backup(ledger, tmp_path / "copy.db")
    assert stored(f"sqlite:///{tmp_path / 'copy.db'}") == stored(lab.url)


def test_a_backup_that_cannot_be_written(
    lab: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the disk fails at the end there is a clear error, and no file."""
    (tmp_path / "copies").mkdir()

    def failing(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(StoreError) as caught:
        backup(lab.ledger, tmp_path / "copies" / "ledger.db")
    assert caught.value.code in ("backup.unwritable", "store.io")
    assert list((tmp_path / "copies").iterdir()) == []


def test_a_backup_of_nothing(ledger_url: str, tmp_path: Path, lab: Any) -> None:
    """A ledger that is not there gives an error and no file."""
    missing = Storage(f"sqlite:///{tmp_path / 'nowhere.db'}")
    with pytest.raises(StoreError) as caught:
        backup(Ledger(missing, lab.vkey, lab.ledger.root), tmp_path / "copy.db")
    assert caught.value.code == "store.missing"
    assert not (tmp_path / "copy.db").exists()


def test_a_trigger_that_is_gone(ledger: Ledger, lab: Any) -> None:
    """fsck names a trigger that somebody dropped, and repairing makes it again."""
    is_sqlite = lab.storage._engine.dialect.name == "sqlite"
    with lab.storage._engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TRIGGER entry_keep{'' if is_sqlite else ' ON entry'}")
    for repair, expected in ((False, 1), (True, 1), (False, 0)):
        found = [item.code for item in fsck(ledger, repair=repair).findings]
        assert found == ["trigger.missing"] * expected
