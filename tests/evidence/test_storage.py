"""Storage when database, disk or URL fail: a clear error, and nothing half-written."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from muniment.evidence.maintenance import backup, fsck
from muniment.evidence.storage import AnchorRow, Storage, translated_errors
from muniment.schemas.errors import InputError, MunimentError, StoreError


def code_of(action: Callable[[], object]) -> str:
    """Code of the error that ``action`` raises."""
    with pytest.raises(MunimentError) as caught:
        action()
    return caught.value.code


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def lab(file: Path, lab_on: Callable[[str], Any]) -> Any:
    """A ledger in an embedded database."""
    return lab_on(f"sqlite:///{file}")


@pytest.fixture
def opened() -> Iterator[Callable[..., Storage]]:
    """Opens storages and closes them again."""
    made: list[Storage] = []

    def make(url: str, folder: Path | None = None) -> Storage:
        made.append(Storage(url, folder))
        return made[-1]

    yield make
    for storage in made:
        storage.close()


def size_of(storage: Storage) -> int:
    with storage.read() as reader:
        return reader.size()


GARBAGE = {
    "text": b"this is not a database, but a text that somebody put here\n" * 300,
    "zero bytes": bytes(20_000),
    "only the magic": b"SQLite format 3\0",
    "magic and noise": b"SQLite format 3\0" + bytes(range(256)) * 100,
}


@pytest.mark.parametrize("name", GARBAGE)
def test_a_file_that_is_no_database(file: Path, opened: Callable[..., Storage], name: str) -> None:
    """A file that is no ledger is refused by reading, writing and creating, and left as it is."""
    file.write_bytes(GARBAGE[name])
    storage = opened(f"sqlite:///{file}")

    def write() -> None:
        with storage.write():
            pass

    for action in (lambda: size_of(storage), write, storage.create):
        assert code_of(action) in ("store.corrupt", "store.missing")
    assert file.read_bytes() == GARBAGE[name]


@pytest.mark.parametrize("where", ["header", "start", "middle", "cut"])
def test_a_damaged_database(lab: Any, file: Path, where: str) -> None:
    """A database file with lost pages gives findings or a clear error, never a traceback."""
    for number in range(5):
        lab.append(lab.statement(title=f"Rule {number}"))
    lab.storage.close()
    for name in ("-wal", "-shm"):
        file.with_name(file.name + name).unlink(missing_ok=True)
    data = bytearray(file.read_bytes())
    assert len(data) % 8192 == 0
    match where:
        case "header":
            data[20:24] = b"\xff" * 4
        case "start":
            data[100:8000] = b"\xa5" * 7900
        case "middle":
            data[8192:] = b"\xa5" * (len(data) - 8192)
        case "cut":
            del data[16384:]
    file.write_bytes(data)
    assert code_of(lambda: lab.append(lab.statement(title="More"))) == "store.corrupt"
    assert code_of(lab.verify) == "store.corrupt"


def test_a_missing_file_is_not_made(file: Path, opened: Callable[..., Storage]) -> None:
    """A ledger whose file is gone is missing; looking for it makes neither file nor folder."""
    storage = opened(f"sqlite:///{file.parent / 'nowhere' / 'ledger.db'}")
    with pytest.raises(StoreError) as caught:
        size_of(storage)
    assert caught.value.code == "store.missing"
    assert caught.value.hint
    assert list(file.parent.iterdir()) == []


def test_an_empty_file_is_no_ledger(file: Path, opened: Callable[..., Storage]) -> None:
    """An empty file is a missing ledger, and a ledger can be made in it."""
    file.touch()
    storage = opened(f"sqlite:///{file}")
    assert code_of(lambda: size_of(storage)) == "store.missing"
    storage.create()
    assert size_of(storage) == 0


def test_a_folder_in_the_place_of_the_file(file: Path, opened: Callable[..., Storage]) -> None:
    """A folder where the file should be is an error of ours."""
    file.mkdir()
    storage = opened(f"sqlite:///{file}")
    assert code_of(lambda: size_of(storage)) == "store.unreadable"
    assert code_of(storage.create) == "store.unreadable"


def test_a_file_in_the_place_of_the_folder(file: Path, opened: Callable[..., Storage]) -> None:
    """A file where the ledger's folder should be is an error of ours."""
    file.write_text("in the way")
    storage = opened(f"sqlite:///{file / 'ledger.db'}")
    assert code_of(storage.create) == "store.io"
    assert file.read_text() == "in the way"


@pytest.mark.parametrize("pages", [0, 1, 3])
def test_a_full_disk(lab: Any, pages: int) -> None:
    """When the database cannot grow, the append is refused, and goes on when there is room."""
    limit = pages

    def no_growth(connection: Any, _: Any) -> None:
        (count,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {count + limit}")

    event.listen(lab.storage._engine, "connect", no_growth)
    lab.storage.close()
    batch = [lab.statement(title=f"{number} " + "x" * 150) for number in range(40)]
    with pytest.raises(StoreError) as caught:
        lab.append(*batch)
    assert (caught.value.code, caught.value.exit_code) == ("store.full", 3)
    assert "nothing was written" in str(caught.value.hint)
    lab.assert_sound(1)
    event.remove(lab.storage._engine, "connect", no_growth)
    lab.storage.close()
    lab.append(*batch)
    lab.assert_sound(41)


def without_rights(folder: Path, action: Callable[[], object]) -> str:
    """Run ``action`` in a process that may not write in ``folder``; answer the error's code."""

    def run() -> None:
        if os.geteuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        try:
            action()
            queue.put("no error")
        except MunimentError as error:
            queue.put(error.code)
        except BaseException as error:
            queue.put(repr(error))

    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    process = context.Process(target=run)
    process.start()
    answer = queue.get()
    process.join()
    return str(answer)


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that every user of the machine may enter."""
    folder = Path(tempfile.mkdtemp(prefix="muniment-"))
    folder.chmod(0o755)
    yield folder
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755)
    shutil.rmtree(folder)


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_read_only_ledger(public_folder: Path, lab_on: Callable[[str], Any]) -> None:
    """Where the file may not be written an append says so, and nothing has changed."""
    file = public_folder / "ledger.db"
    lab = lab_on(f"sqlite:///{file}")
    lab.storage.close()
    before = file.read_bytes()
    file.chmod(0o444)
    public_folder.chmod(0o555)
    assert without_rights(public_folder, lambda: lab.append(lab.statement())) in (
        "store.read-only",
        "store.unreadable",
    )
    assert file.read_bytes() == before


COPIES: dict[str, tuple[int, int, bool]] = {
    # Rights of the file and of the folder; whether the owner has the ledger open.
    "file and folder read-only": (0o444, 0o555, False),
    "only the file read-only": (0o444, 0o777, False),
    "only the folder read-only": (0o666, 0o555, False),
    "in use by its owner": (0o444, 0o555, True),
}


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("name", COPIES)
def test_an_auditor_without_rights_reads(
    public_folder: Path, lab_on: Callable[[str], Any], name: str
) -> None:
    """Whoever may only read verifies, compares and copies all the same."""
    file_rights, folder_rights, is_open = COPIES[name]
    file = public_folder / "led ger" / "ledger.db"
    lab = lab_on(f"sqlite:///{file}")
    lab.append(lab.statement())
    lab.storage.close()
    target = public_folder / "copy"
    target.mkdir(mode=0o777)
    target.chmod(0o777)

    def audit() -> None:
        lab.assert_sound(2)
        assert fsck(lab.ledger).ok
        assert backup(lab.ledger, target / "copy.db").size == 2

    owner = Storage(f"sqlite:///{file}")
    if is_open:
        size_of(owner)
    file.chmod(file_rights)
    file.parent.chmod(folder_rights)
    before = sorted(file.parent.iterdir())
    assert without_rights(public_folder, audit) == "no error"
    assert (target / "copy.db").is_file()
    # What a reader leaves behind would be theirs, and shut the owner out.
    assert sorted(file.parent.iterdir()) == before
    owner.close()


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_copy_without_its_log(public_folder: Path, lab_on: Callable[[str], Any]) -> None:
    """Rows that are in the log alone are not left out silently where it cannot be used."""
    file = public_folder / "ledger.db"
    lab = lab_on(f"sqlite:///{file}")
    lab.append(lab.statement())
    (public_folder / "copy").mkdir()
    copy = public_folder / "copy" / "ledger.db"
    for name in ("ledger.db", "ledger.db-wal"):
        shutil.copy(public_folder / name, copy.with_name(name))
    assert copy.with_name("ledger.db-wal").stat().st_size
    copy.chmod(0o444)
    copy.parent.chmod(0o555)
    storage = Storage(f"sqlite:///{copy}")
    assert without_rights(public_folder, lambda: size_of(storage)) == "store.unreadable"


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_file_that_changes_under_a_reader(
    public_folder: Path, lab_on: Callable[[str], Any]
) -> None:
    """What was read without locks counts for nothing if somebody wrote meanwhile."""
    file = public_folder / "ledger.db"
    lab = lab_on(f"sqlite:///{file}")
    lab.storage.close()
    file.chmod(0o444)
    public_folder.chmod(0o555)
    reading, written = multiprocessing.Event(), multiprocessing.Event()

    def read() -> None:
        with lab.storage.read() as reader:
            reader.size()
            reading.set()
            written.wait()

    def write() -> None:
        reading.wait()
        public_folder.chmod(0o755)
        file.chmod(0o644)
        owner = Storage(f"sqlite:///{file}")
        with owner.write() as writer:
            writer.add([AnchorRow(size=1, kind="witness", source="w.example.com", proof=b"x")])
        owner.close()
        written.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert without_rights(public_folder, read) == "store.locked"
    thread.join()
    file.chmod(0o444)
    public_folder.chmod(0o555)
    assert without_rights(public_folder, lambda: size_of(lab.storage)) == "no error"


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_folder_without_rights(public_folder: Path) -> None:
    """Where the folder may not be written or entered, creating and reading say so."""
    (public_folder / "closed").mkdir(mode=0o700)
    (public_folder / "closed" / "ledger.db").write_bytes(b"x")
    public_folder.chmod(0o555)
    if os.geteuid() != 0:
        (public_folder / "closed").chmod(0)
    new = Storage(f"sqlite:///{public_folder / 'new' / 'ledger.db'}")
    closed = Storage(f"sqlite:///{public_folder / 'closed' / 'ledger.db'}")
    assert without_rights(public_folder, new.create) == "store.read-only"
    assert without_rights(public_folder, lambda: size_of(closed)) in (
        "store.read-only",
        "store.missing",
    )


def test_a_server_that_does_not_answer(tmp_path: Path, opened: Callable[..., Storage]) -> None:
    """A PostgreSQL server that is not there is named as unreachable, without its password."""
    storage = opened(f"postgresql+psycopg://user:secret@/ledger?host={tmp_path}")
    with pytest.raises(StoreError) as caught:
        size_of(storage)
    assert caught.value.code == "store.unreachable"
    assert "secret" not in f"{caught.value} {caught.value.found} {caught.value.hint}"


def test_a_missing_database_of_a_server(postgres_url: str, opened: Callable[..., Storage]) -> None:
    """A database name the server does not know is an error of ours."""
    for url in (
        postgres_url.replace("/test_", "/other_"),
        postgres_url.replace("postgres@", "nobody@"),
    ):
        with pytest.raises(StoreError) as caught:
            size_of(opened(url))
        assert (caught.value.code, "does not exist" in str(caught.value.found)) == (
            "store.refused",
            True,
        )


def test_a_server_whose_name_leads_nowhere(opened: Callable[..., Storage]) -> None:
    """A name that nobody knows is said to be one."""
    with pytest.raises(StoreError) as caught:
        size_of(opened("postgresql+psycopg://ledger@nowhere.invalid/ledger"))
    assert caught.value.code == "store.unreachable"
    assert "leads nowhere" in caught.value.message


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_appends_under_another_isolation_level(
    postgres_url: str, lab_on: Callable[[str], Any], level: str
) -> None:
    """Whatever a server's default is, whoever waits for the lock then appends."""
    lab = lab_on(postgres_url)
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        name = make_url(postgres_url).database
        connection.exec_driver_sql(
            f"ALTER DATABASE {name} SET default_transaction_isolation TO '{level}'"
        )
    engine.dispose()
    lab.storage.close()
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda n: lab.append(lab.statement(title=f"Rule {n}")), range(12)))
    lab.assert_sound(13)


def test_a_server_that_takes_no_writing(postgres_url: str, lab_on: Callable[[str], Any]) -> None:
    """A database that was made read-only is read, and an append says what is wrong."""
    lab = lab_on(postgres_url)
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        name = make_url(postgres_url).database
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET default_transaction_read_only TO on")
    engine.dispose()
    lab.storage.close()
    assert code_of(lambda: lab.append(lab.statement())) == "store.read-only"
    lab.assert_sound(1)


def test_a_temporary_table_does_not_fool_the_triggers(
    postgres_url: str, lab_on: Callable[[str], Any]
) -> None:
    """A session's own table named like one of ours is not what the triggers look into."""
    lab = lab_on(postgres_url)
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE TEMP TABLE erasure (number int, by int)")
        connection.exec_driver_sql("INSERT INTO erasure VALUES (0, 0)")
        for statement in ("DELETE FROM subject", "UPDATE entry SET envelope = ''"):
            savepoint = connection.begin_nested()
            with pytest.raises(DBAPIError, match="append-only"):
                connection.exec_driver_sql(statement)
            savepoint.rollback()
    engine.dispose()
    lab.assert_sound(1)


@pytest.mark.parametrize(
    "url, code",
    [
        ("nonsense", "ledger.url"),
        ("", "ledger.url"),
        ("mysql://root@localhost/ledger", "ledger.url"),
        ("postgresql+unheard://localhost/ledger", "ledger.driver"),
        ("postgresql+asyncpg2://localhost/ledger", "ledger.driver"),
    ],
)
def test_urls_that_cannot_be_used(url: str, code: str) -> None:
    """A URL of no database we use is refused before anything is opened."""
    with pytest.raises(InputError) as caught:
        Storage(url)
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["plain", "what?x=1", "50%20off", "a#b", "a b", "ünïcode", "a&b"])
def test_names_of_folders_mean_nothing(
    tmp_path: Path, opened: Callable[..., Storage], name: str
) -> None:
    """A relative ledger lies in the workspace's folder, whatever that is called."""
    folder = tmp_path / name
    folder.mkdir()
    opened("sqlite:///.state/ledger.db", folder).create()
    assert (folder / ".state" / "ledger.db").is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_an_absolute_ledger_stays_where_it_is(
    tmp_path: Path, opened: Callable[..., Storage]
) -> None:
    """An absolute path is not moved into the workspace."""
    storage = opened(f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "workspace")
    assert storage.path == tmp_path / "ledger.db"


@pytest.mark.parametrize(
    "error, code",
    [
        (OSError(28, "No space left on device"), "store.full"),
        (OSError(122, "Disk quota exceeded"), "store.full"),
        (PermissionError(13, "Permission denied"), "store.read-only"),
        (OSError(30, "Read-only file system"), "store.read-only"),
        (OSError(5, "Input/output error"), "store.io"),
        (NotADirectoryError(20, "Not a directory"), "store.io"),
    ],
)
def test_what_the_disk_says_becomes_ours(error: OSError, code: str) -> None:
    """Every error of the operating system becomes one of ours."""
    with pytest.raises(StoreError) as caught, translated_errors():
        raise error
    assert caught.value.code == code
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "kind, code", [(IntegrityError, "store.conflict"), (OperationalError, "store.failed")]
)
def test_what_the_database_says_becomes_ours(kind: type[DBAPIError], code: str) -> None:
    """An error of the database that nobody foresaw is ours too, with the database's own words."""
    with pytest.raises(StoreError) as caught, translated_errors():
        raise kind("SELECT 1", None, Exception("something unheard of"))
    assert (caught.value.code, caught.value.found) == (code, "something unheard of")
