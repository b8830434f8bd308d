"""Durability: whatever is killed, and wherever, every acknowledged record is there afterwards."""

from __future__ import annotations

import importlib
import os
import random
import resource
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text
from sqlmodel import Session

from muniment.evidence.ledger import Ledger
from muniment.evidence.maintenance import backup, fsck
from muniment.evidence.merkle import consistency_proof, verify_consistency
from muniment.evidence.receipt import Receipt
from muniment.evidence.storage import Reader, Rebuilder, Storage, Writer
from muniment.evidence.tiles import node_reader
from muniment.evidence.verification import LedgerVerifier
from muniment.schemas.errors import MunimentError, StoreError

from .test_maintenance import damage, stored
from .test_migrations import load

# A child is a fork, so that it starts at once: it is killed without any chance to clean up.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
_FAILED = 9
_HEARD = b" #"
_APPENDS = 1000
_WRITERS = 4
_FRAME = 24 + 8192
_WAL_HEAD = 32


def start(action: Callable[[], object]) -> int:
    """Run ``action`` in a child; returns its process id."""
    child = os.fork()
    if child:
        return child
    code = _FAILED
    try:
        action()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait(child: int) -> int:
    """How a child ended: its exit code, or minus the signal that killed it."""
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def kill_at(point: int, storage: Storage) -> None:
    """From now on this process kills itself at its ``point``-th step of using the storage."""
    left = point

    def step(*_: object, **__: object) -> None:
        nonlocal left
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    def around(method: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*arguments: Any, **options: Any) -> Any:
            step()
            result = method(*arguments, **options)
            step()
            return result

        return stepping

    for name in ("before_cursor_execute", "commit"):
        event.listen(storage._engine, name, step)
    for owner, names in (
        (Writer, ("add", "put_tile")),
        (Rebuilder, ("rewrite_columns", "rewrite_subjects", "rewrite_tile")),
        (Session, ("flush", "commit")),
    ):
        for name in names:
            setattr(owner, name, around(getattr(owner, name)))


def killed_at_each_point(
    storage: Callable[[], Storage], action: Callable[[Storage], object], every: int = 1
) -> Iterator[int]:
    """Kill a child at each (or every third) step of ``action``; the last child is left alone."""
    point, ended = 0, -signal.SIGKILL
    while ended == -signal.SIGKILL:

        def run(point: int = point) -> None:
            opened = storage()
            kill_at(point, opened)
            action(opened)

        ended = wait(start(run))
        assert ended in (0, -signal.SIGKILL)
        yield point
        point += every


class Acknowledged:
    """Receipts that writers got, in a file that outlives them."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def write(self, ledger: Ledger, index: int) -> None:
        """Ask for the receipt of a record and write it down."""
        signed = ledger.checkpoint()
        (receipt,) = ledger.receipts([index], signed)
        bundle = receipt.to_bundle(ledger.vkey, signed.size, signed.root)
        with self._file.open("ab", buffering=0) as file:
            # NOTE: a writer may be killed within this very line; what has no end was not heard.
            file.write(b"\n" + bundle + _HEARD + b"\n")

    def _heard(self) -> list[bytes]:
        lines = self._file.read_bytes().split(b"\n") if self._file.exists() else []
        return [line.removesuffix(_HEARD) for line in lines if line.endswith(_HEARD)]

    def count(self) -> int:
        """Number of receipts."""
        return len(self._heard())

    def assert_kept(self, lab: Any) -> None:
        """The ledger verifies, and every receipt's record is under its root, at the same place."""
        lab.assert_sound(lab.size())
        last = lab.ledger.checkpoint()
        receipts = [Receipt.from_bundle(line) for line in self._heard()]
        now = lab.ledger.receipts([receipt.index for receipt in receipts], last)
        with lab.storage.read() as reader:
            node = node_reader(reader.tile)
            for receipt, found in zip(receipts, now, strict=True):
                old = receipt.verify(lab.vkey)
                assert found.leaf == receipt.leaf
                assert found.envelope == receipt.envelope
                assert found.verify(lab.vkey) == last
                proof = consistency_proof(old.size, last.size, node)
                verify_consistency(old.size, last.size, proof, old.root, last.root)
        lab.storage.close()


@pytest.fixture
def acknowledged(tmp_path: Path) -> Acknowledged:
    """No receipts yet."""
    return Acknowledged(tmp_path / "acknowledged")


def test_a_writer_killed_at_each_step(lab: Any, acknowledged: Acknowledged) -> None:
    """At every statement, flush and commit of a batch: all of the batch is there, or none of it."""
    lab.storage.close()

    sizes = [1]

    def append(storage: Storage) -> None:
        ledger = Ledger(storage, lab.vkey, lab.ledger.root, lab.clock)
        titles = [f"{len(sizes)}.{number}" for number in range(3)]
        batch = [(lab.sign(lab.statement(title=title)), lab.root) for title in titles]
        for appended in ledger.append(lab.key, batch, lab.kinds):
            acknowledged.write(ledger, appended.record.index)

    for _ in killed_at_each_point(lambda: Storage(lab.url), append):
        size = lab.size()
        assert size - sizes[-1] in (0, 3)
        sizes.append(size)
        lab.assert_sound(size)
        lab.storage.close()
    assert sizes.count(1) > 20
    assert sizes[-1] > sizes[-2] > 1
    assert acknowledged.count() >= 3
    acknowledged.assert_kept(lab)


def test_writers_killed_at_random(lab: Any, acknowledged: Acknowledged) -> None:
    """A thousand records by four processes, each of which is killed again and again."""
    lab.storage.close()
    chance = random.Random(3)

    def append(name: int) -> None:
        ledger = Ledger(Storage(lab.url), lab.vkey, lab.ledger.root, lab.clock)
        number = 0
        while True:
            envelope = lab.sign(lab.statement(title=f"{name}.{number}"))
            (appended,) = ledger.append(lab.key, [(envelope, lab.root)], lab.kinds)
            acknowledged.write(ledger, appended.record.index)
            number += 1

    started = 0
    running: list[int] = []
    try:
        while acknowledged.count() < _APPENDS:
            while len(running) < _WRITERS:
                running.append(start(lambda name=started: append(name)))  # type: ignore[misc]
                started += 1
            time.sleep(chance.uniform(0.05, 0.6))
            victim = running.pop(chance.randrange(_WRITERS))
            os.kill(victim, signal.SIGKILL)
            assert wait(victim) == -signal.SIGKILL
    finally:
        for child in running:
            os.kill(child, signal.SIGKILL)
            wait(child)
    assert started > 2 * _WRITERS
    acknowledged.assert_kept(lab)


def test_a_log_cut_anywhere(tmp_path: Path, lab_on: Callable[[str], Any]) -> None:
    """Whatever part of SQLite's log a power cut leaves, the ledger is as after some append."""
    file = tmp_path / "ledger.db"
    lab = lab_on(f"sqlite:///{file}")
    lab.storage.close()

    def append() -> None:
        for number in range(5):
            lab.append(lab.statement(title=f"Rule {number}"))
        os.kill(os.getpid(), signal.SIGKILL)

    assert wait(start(append)) == -signal.SIGKILL
    log = Path(f"{file}-wal").read_bytes()
    frames = (len(log) - _WAL_HEAD) // _FRAME
    assert frames >= 20
    sizes = []
    for frame in range(frames + 1):
        whole = _WAL_HEAD + frame * _FRAME
        tail = (b"", log[whole : whole + 5000], bytes(_FRAME))[frame % 3]
        copy = tmp_path / "cut" / "ledger.db"
        copy.parent.mkdir()
        shutil.copyfile(file, copy)
        Path(f"{copy}-wal").write_bytes(log[:whole] + tail)
        sizes.append(sound_size(lab, f"sqlite:///{copy}"))
        shutil.rmtree(copy.parent)
    assert sizes == sorted(sizes)
    assert set(sizes) == set(range(1, 7))


def sound_size(lab: Any, url: str) -> int:
    """Size of a ledger that must verify."""
    storage = Storage(url)
    with storage.read() as reader:
        verifier = LedgerVerifier(reader, lab.vkey, lab.ledger.root, lab.kinds)
        records = len(list(verifier.records()))
    storage.close()
    assert list(verifier.report.findings) == []
    assert verifier.last is not None
    assert verifier.last.size == records
    return records


def test_a_migration_killed_on_the_way(ledger_url: str) -> None:
    """The ledger has the old version or the new one, and the same rows."""
    importlib.import_module("alembic.script")  # once, rather than in each child
    load(ledger_url, "1")
    before = stored(ledger_url, ("entry", "subject", "tile", "checkpoint"))
    versions = []
    for _ in killed_at_each_point(lambda: Storage(ledger_url), Storage.migrate, 3):
        versions += stored(ledger_url, ("meta",))["meta"]
        assert stored(ledger_url, tuple(before)) == before
    assert versions == sorted(versions)
    assert versions[0] == "['schema', '1']"
    assert versions[-1] == "['schema', '2']"
    assert len(versions) > 5


def test_a_repair_killed_on_the_way(lab: Any) -> None:
    """The damage is there as before, or all of it is mended."""
    lab.append(lab.statement())
    lab.storage.close()
    sound = stored(lab.url)
    damage(lab.url, "UPDATE entry SET kind = 'x'; DELETE FROM subject; DELETE FROM tile")
    damaged = stored(lab.url)

    def repair(storage: Storage) -> None:
        fsck(Ledger(storage, lab.vkey, lab.ledger.root), repair=True)

    seen = []
    for _ in killed_at_each_point(lambda: Storage(lab.url), repair, 3):
        now = stored(lab.url)
        assert now in (damaged, sound)
        seen.append(now == sound)
    assert seen == sorted(seen)
    assert seen[-1]
    assert seen.count(False) > 5
    assert fsck(lab.ledger).ok


def test_a_backup_killed_at_each_step(lab: Any, tmp_path: Path) -> None:
    """The ledger is sound, and the file is the whole copy or no ledger at all."""
    lab.storage.close()
    folder = tmp_path / "copies"
    folder.mkdir()
    wholes = []

    def copy(storage: Storage) -> None:
        backup(Ledger(storage, lab.vkey, lab.ledger.root), folder / "copy.db")

    for _ in killed_at_each_point(lambda: Storage(lab.url), copy):
        file = folder / "copy.db"
        wholes.append(file.exists() and file.stat().st_size > 0)
        if wholes[-1]:
            assert sound_size(lab, f"sqlite:///{file}") == 1
        file.unlink(missing_ok=True)
    assert wholes == [False] * (len(wholes) - 1) + [True]
    lab.assert_sound(1)


@pytest.mark.parametrize("room", [0, 5_000, 20_000, 60_000])
def test_a_disk_that_fills_up_while_writing(
    tmp_path: Path, lab_on: Callable[[str], Any], room: int
) -> None:
    """Wherever the operating system refuses to write on, the append is refused as a whole."""
    file = tmp_path / "ledger.db"
    lab = lab_on(f"sqlite:///{file}")
    lab.storage.close()
    batch = [lab.statement(title=f"{number} " + "x" * 150) for number in range(60)]

    def append() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
        with pytest.raises(StoreError) as caught:
            lab.append(*batch)
        assert caught.value.code in ("store.io", "store.full")
        os.kill(os.getpid(), signal.SIGKILL)

    assert wait(start(append)) == -signal.SIGKILL
    lab.assert_sound(1)
    lab.append(*batch)
    lab.assert_sound(61)


def test_a_server_that_goes_away(
    postgres_url: str, lab_on: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the server ends the connection before the commit, nothing is written."""
    lab = lab_on(postgres_url)
    commit = Session.commit

    def cut(self: Session) -> None:
        (pid,) = self.connection().execute(text("SELECT pg_backend_pid()")).one()
        engine = create_engine(postgres_url)
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        engine.dispose()
        commit(self)

    monkeypatch.setattr(Session, "commit", cut)
    with pytest.raises(MunimentError) as caught:
        lab.append(lab.statement())
    assert caught.value.code == "store.unreachable"
    monkeypatch.undo()
    lab.storage.close()
    lab.assert_sound(1)
    lab.append(lab.statement())
    lab.assert_sound(2)


def test_an_acknowledged_commit_is_on_the_disk(lab: Any) -> None:
    """SQLite waits for the disk at each commit; PostgreSQL too, where it is set up not to."""
    wanted: dict[str, object]
    engine = create_engine(lab.url)
    if engine.dialect.name == "postgresql":
        name = engine.url.database
        with engine.begin() as connection:
            connection.execute(text(f"ALTER DATABASE {name} SET synchronous_commit = off"))
        wanted = {"SHOW synchronous_commit": "on"}
    else:
        wanted = {"PRAGMA journal_mode": "wal", "PRAGMA synchronous": 2, "PRAGMA fullfsync": 1}
    engine.dispose()
    lab.storage.close()
    with lab.storage.write() as writer:
        for query, value in wanted.items():
            assert value_of(writer, query) == value


def value_of(reader: Reader, query: str) -> Any:
    return reader._session.connection().execute(text(query)).scalar_one()
