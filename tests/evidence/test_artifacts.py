"""The artifact store."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import stat
import subprocess
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from muniment.evidence.artifacts import ArtifactStore, hash_file, read_again
from muniment.schemas.errors import InputError, MunimentError, StoreError

BUFFER = 1 << 20


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def files_under(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


@pytest.mark.parametrize("size", [0, 1, BUFFER - 1, BUFFER, 2 * BUFFER + 17])
def test_digests_are_those_of_independent_tools(
    tmp_path: Path, store: ArtifactStore, size: int
) -> None:
    """SHA-256 and blob id equal sha256sum's and git's, at every size around the buffer."""
    path = tmp_path / "model.bin"
    path.write_bytes(os.urandom(size))
    expected = subprocess.check_output(["sha256sum", path], text=True).split()[0]
    blob = subprocess.check_output(
        ["git", "hash-object", "--no-filters", path], text=True, cwd="/"
    ).strip()
    for file in (store.add(path), hash_file(path)):
        assert (file.size, file.sha256, file.git_blob_sha1) == (size, expected, blob)
        assert file.path == path.resolve()


def test_a_file_is_stored_under_its_digest_and_read_only(
    tmp_path: Path, store: ArtifactStore
) -> None:
    """The bytes are in sha256/ab/<62 hex>, mode 0444, and nothing else is left in the store."""
    path = tmp_path / "report.json"
    path.write_bytes(b"{}")
    digest = hashlib.sha256(b"{}").hexdigest()
    assert not store.has(digest)
    store.add(path)
    place = tmp_path / "artifacts" / "sha256" / digest[:2] / digest[2:]
    assert files_under(tmp_path / "artifacts") == [place] == [store.path(digest)]
    assert stat.S_IMODE(place.stat().st_mode) == 0o444
    assert store.has(digest)
    with store.open(digest) as source:
        assert source.read() == b"{}"
    assert store.check(digest) is None


def test_adding_again_keeps_the_first_copy(tmp_path: Path, store: ArtifactStore) -> None:
    """The same bytes under another name are not written a second time."""
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(b"same")
    first = store.add(tmp_path / "one")
    inode = store.path(first.sha256).stat().st_ino
    assert store.add(tmp_path / "two").sha256 == first.sha256
    assert store.path(first.sha256).stat().st_ino == inode
    assert len(files_under(tmp_path / "artifacts")) == 1


def test_two_adds_at_once_leave_one_whole_artifact(tmp_path: Path, store: ArtifactStore) -> None:
    """Adders of the same bytes that all copy before any is done do not disturb one another."""
    path = tmp_path / "model.bin"
    path.write_bytes(os.urandom(BUFFER))
    barrier = threading.Barrier(4, timeout=30)
    failures: list[BaseException] = []

    def wait(count: int) -> None:
        barrier.wait()

    def add() -> None:
        try:
            store.add(path, wait)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    (place,) = files_under(tmp_path / "artifacts")
    assert place.read_bytes() == path.read_bytes()


def test_a_link_is_followed_and_the_real_file_recorded(
    tmp_path: Path, store: ArtifactStore
) -> None:
    """A symbolic link stands for its file: the record has the file's own path."""
    (tmp_path / "real").write_bytes(b"bytes")
    (tmp_path / "link").symlink_to("real")
    assert store.add(tmp_path / "link").path == (tmp_path / "real").resolve()


def test_memory_stays_flat(tmp_path: Path, store: ArtifactStore) -> None:
    """64 MiB go through in a few MiB of memory."""
    path = tmp_path / "large"
    with path.open("wb") as target:
        target.truncate(64 << 20)
    tracemalloc.start()
    try:
        store.add(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 << 20


def test_progress_adds_up_to_the_size(tmp_path: Path, store: ArtifactStore) -> None:
    """The callback gets every byte once."""
    path = tmp_path / "large"
    path.write_bytes(bytes(3 * BUFFER + 5))
    steps: list[int] = []
    store.add(path, steps.append)
    assert sum(steps) == 3 * BUFFER + 5
    assert len(steps) == 4


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


NOT_FILES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "nothing": (lambda path: None, "file.missing", "there is no file"),
    "broken link": (lambda path: path.symlink_to("gone"), "file.missing", "there is no file"),
    "link to itself": (lambda path: path.symlink_to(path), "file.unreadable", "not be read"),
    "folder": (Path.mkdir, "file.not-a-file", "is not a file"),
    "fifo": (make_fifo, "file.not-a-file", "is not a file"),
    "socket": (make_socket, "file.not-a-file", "is not a file"),
    "link to a device": (lambda p: p.symlink_to("/dev/zero"), "file.not-a-file", "is not a file"),
}


@pytest.mark.parametrize("case", NOT_FILES)
def test_what_is_no_file_is_refused(tmp_path: Path, store: ArtifactStore, case: str) -> None:
    """Whatever is no readable file is refused at once, with a code, and nothing is left behind."""
    make, code, message = NOT_FILES[case]
    make(tmp_path / "x")
    for read in (store.add, hash_file):
        with pytest.raises(InputError, match=message) as caught:
            read(tmp_path / "x")
        assert caught.value.code == code
    assert files_under(tmp_path / "artifacts") == []


def test_a_file_used_as_a_folder_is_missing(tmp_path: Path) -> None:
    """A path through a file names nothing."""
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as caught:
        hash_file(tmp_path / "file" / "below")
    assert caught.value.code == "file.missing"


def test_a_name_that_no_file_can_have_is_refused() -> None:
    """A zero byte in a path is our error, not Python's."""
    with pytest.raises(InputError) as caught:
        hash_file(Path("a\0b"))
    assert caught.value.code == "file.unreadable"


def test_a_name_that_is_not_text_is_refused(tmp_path: Path) -> None:
    """A name that is not UTF-8 cannot stand in a record; the message shows it without breaking."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"caf�") as caught:
        hash_file(path)
    assert caught.value.code == "file.bad-name"
    assert caught.value.message.encode()


def test_messages_hold_no_terminal_codes(tmp_path: Path) -> None:
    """A hostile file name cannot rewrite the terminal through an error."""
    with pytest.raises(InputError) as caught:
        hash_file(tmp_path / "\x1b[2Jgone")
    assert "\x1b" not in caught.value.message
    assert "[U+001B]" in caught.value.message


def test_a_file_without_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's refusal to open a file becomes file.no-permission."""
    (tmp_path / "x").touch()
    if os.geteuid() == 0:  # root may read everything, so the refusal is put in by hand
        monkeypatch.setattr(os, "open", refusing(errno.EACCES))
    else:
        (tmp_path / "x").chmod(0)
    with pytest.raises(InputError, match="may not be read") as caught:
        hash_file(tmp_path / "x")
    assert caught.value.code == "file.no-permission"


def refusing(number: int) -> Callable[..., int]:
    def refuse(*args: object, **options: object) -> int:
        raise OSError(number, os.strerror(number))

    return refuse


def grow(path: Path) -> None:
    with path.open("ab") as target:
        target.write(b"more")


def rewrite(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))
    os.utime(path, ns=(0, 1))


def replace(path: Path) -> None:
    """Another file of the same size and time under the same name."""
    state = path.stat()
    other = path.with_name("other")
    other.write_bytes(bytes(state.st_size))
    os.utime(other, ns=(state.st_atime_ns, state.st_mtime_ns))
    other.replace(path)


CHANGES: dict[str, Callable[[Path], None]] = {
    "grows": grow,
    "shrinks": lambda path: os.truncate(path, 3),
    "is rewritten": rewrite,
    "is replaced": replace,
    "vanishes": Path.unlink,
}


@pytest.mark.parametrize("case", CHANGES)
def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, store: ArtifactStore, case: str
) -> None:
    """However a file moves under the reader, no digest of a mixture is given or stored."""
    path = tmp_path / "x"
    for read in (store.add, hash_file):
        path.write_bytes(os.urandom(2 * BUFFER))
        changes = iter([CHANGES[case]])

        def change(count: int, changes: Iterator[Callable[[Path], None]] = changes) -> None:
            for act in changes:
                act(path)

        with pytest.raises(InputError, match="changed while it was read") as caught:
            read(path, change)
        assert caught.value.code == "file.changed"
    assert files_under(tmp_path / "artifacts") == []


def test_a_file_that_the_system_makes_up_is_refused() -> None:
    """A file that claims no bytes and yields some has no size to record."""
    with pytest.raises(InputError) as caught:
        hash_file(Path("/proc/self/status"))
    assert caught.value.code == "file.changed"


WRITE_FAULTS = {
    errno.ENOSPC: "store.full",
    errno.EDQUOT: "store.full",
    errno.EROFS: "store.read-only",
    errno.EACCES: "store.read-only",
    errno.EIO: "store.failed",
}


@pytest.mark.parametrize("number", WRITE_FAULTS, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", ["write", "fsync", "fchmod"])
def test_a_failing_disk_leaves_nothing_behind(
    tmp_path: Path,
    store: ArtifactStore,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    call: str,
) -> None:
    """Each fault of the disk has its code and hint, and no half-written file stays."""
    path = tmp_path / "x"
    path.write_bytes(b"bytes")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, refusing(number))
        with pytest.raises(StoreError, match="was not written") as caught:
            store.add(path)
    assert caught.value.code == WRITE_FAULTS[number]
    assert caught.value.hint
    assert files_under(tmp_path / "artifacts") == []
    assert store.check(store.add(path).sha256) is None


def test_a_short_write_is_carried_on(
    tmp_path: Path, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that takes a few bytes at a time still gets them all."""
    path = tmp_path / "x"
    path.write_bytes(os.urandom(1000))
    write = os.write
    monkeypatch.setattr(os, "write", lambda target, data: write(target, data[:7]))
    file = store.add(path)
    assert store.path(file.sha256).read_bytes() == path.read_bytes()


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path, store: ArtifactStore) -> None:
    """Ctrl-C in the middle of a copy removes the copy."""
    path = tmp_path / "x"
    path.write_bytes(b"bytes")

    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.add(path, interrupt)
    assert files_under(tmp_path / "artifacts") == []


def test_a_store_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    """A store configured at the place of a file says so."""
    (tmp_path / "store").touch()
    (tmp_path / "x").touch()
    with pytest.raises(StoreError) as caught:
        ArtifactStore(tmp_path / "store").add(tmp_path / "x")
    assert caught.value.code == "store.failed"


@pytest.mark.parametrize(
    "digest",
    ["", "../../etc/passwd", "a" * 63, "A" * 64, "a" * 64 + "\n", "/" * 64, "." * 64, "٠" * 64],
)
def test_a_digest_cannot_name_a_path(store: ArtifactStore, digest: str) -> None:
    """Only 64 lower-case hexadecimal digits are a digest, so none leads out of the store."""
    for use in (store.path, store.has, store.open, store.check):
        with pytest.raises(InputError, match="not a SHA-256 digest") as caught:
            use(digest)
        assert caught.value.code == "digest.malformed"


def test_check_finds_a_missing_artifact(store: ArtifactStore) -> None:
    """An artifact that is gone is artifact.missing to check and to open."""
    digest = "0" * 64
    finding = store.check(digest)
    assert finding is not None
    assert (finding.code, finding.expected) == ("artifact.missing", digest)
    with pytest.raises(StoreError, match="has no artifact") as caught:
        store.open(digest)
    assert caught.value.code == "artifact.missing"


@pytest.mark.parametrize("place", [0, 4])
def test_check_finds_one_changed_bit(tmp_path: Path, store: ArtifactStore, place: int) -> None:
    """One flipped bit of a stored artifact is artifact.changed, with the digest it has now."""
    (tmp_path / "x").write_bytes(b"bytes")
    digest = store.add(tmp_path / "x").sha256
    stored = store.path(digest)
    data = bytearray(stored.read_bytes())
    data[place] ^= 1
    stored.chmod(0o644)
    stored.write_bytes(data)
    finding = store.check(digest)
    assert finding is not None
    assert finding.code == "artifact.changed"
    assert (finding.expected, finding.found) == (digest, hashlib.sha256(data).hexdigest())


def test_a_damaged_copy_is_not_taken_for_the_artifact(tmp_path: Path, store: ArtifactStore) -> None:
    """Adding a file whose stored copy was cut short is an error, not a silent success."""
    (tmp_path / "x").write_bytes(b"bytes")
    digest = store.add(tmp_path / "x").sha256
    store.path(digest).chmod(0o644)
    store.path(digest).write_bytes(b"byte")
    with pytest.raises(StoreError, match="is damaged") as caught:
        store.add(tmp_path / "x")
    assert caught.value.code == "artifact.changed"
    assert (caught.value.expected, caught.value.found) == ("5 bytes", "4 bytes")
    assert len(files_under(tmp_path / "artifacts")) == 1


def test_a_fifo_in_the_store_does_not_hang_the_check(store: ArtifactStore) -> None:
    """What is no file in an artifact's place is not the artifact, and that is found at once."""
    place = store.path("0" * 64)
    place.parent.mkdir(parents=True)
    os.mkfifo(place)
    finding = store.check("0" * 64)
    assert finding is not None
    assert (finding.code, finding.found) == ("artifact.changed", "a fifo")
    assert not store.has("0" * 64)


def test_a_disk_that_cannot_be_read_is_an_error(
    tmp_path: Path, store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An input-output error is ours, whether it meets the file, its copy or the whole store."""
    with pytest.raises(InputError, match="could not be read") as unreadable:
        hash_file(Path("/proc/self/mem"))
    assert unreadable.value.code == "file.unreadable"
    (tmp_path / "x").write_bytes(b"bytes")
    digest = store.add(tmp_path / "x").sha256
    monkeypatch.setattr(hashlib, "file_digest", refusing(errno.EIO))
    for ask in (lambda: store.check(digest), lambda: ArtifactStore(Path("x" * 300)).has(digest)):
        with pytest.raises(StoreError, match="could not be read") as caught:
            ask()
        assert caught.value.code == "store.failed"


def test_a_fifo_that_takes_the_place_of_a_file_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fifo that comes between looking and opening neither hangs nor is read."""
    (tmp_path / "x").touch()
    looked_at = (tmp_path / "x").lstat()
    os.mkfifo(tmp_path / "fifo")
    path = (tmp_path / "fifo").resolve()
    monkeypatch.setattr(Path, "resolve", lambda path, strict=False: path)
    monkeypatch.setattr(Path, "lstat", lambda path: looked_at)
    with pytest.raises(InputError) as caught:
        hash_file(path)
    assert (caught.value.code, caught.value.found) == ("file.not-a-file", "a fifo")


def test_what_was_hashed_can_be_read_again(tmp_path: Path) -> None:
    """The second reading yields the same bytes, or says that they are others now."""
    data = os.urandom(BUFFER + 1)
    (tmp_path / "x").write_bytes(data)
    file = hash_file(tmp_path / "x")
    assert b"".join(read_again(file)) == data
    (tmp_path / "x").write_bytes(data[:-1])
    with pytest.raises(InputError, match="changed after it was read") as caught:
        list(read_again(file))
    assert caught.value.code == "file.changed"


def test_errors_are_all_ours(tmp_path: Path, store: ArtifactStore) -> None:
    """A store behind a folder that cannot be entered raises our error and no other."""
    (tmp_path / "artifacts").symlink_to(tmp_path / "artifacts")
    for use in (store.open, store.check):
        with pytest.raises(MunimentError):
            use("0" * 64)
