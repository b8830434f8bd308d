"""The artifact store: files kept under the SHA-256 of their bytes, in ``sha256/ab/<62 hex>``."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from muniment.schemas.errors import InputError, StoreError
from muniment.schemas.finding import Finding
from muniment.schemas.text import visible

_BUFFER = 1 << 20
"""Bytes read at a time; memory stays at this, whatever the file weighs."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_TEMPORARY = ".incoming-"
"""Prefix of a file that is still being copied; only a killed process leaves one behind."""
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_READ_ONLY = {errno.EROFS, errno.EACCES, errno.EPERM}
# NOTE: non-blocking, so that a fifo put in the file's place cannot hang us; no-follow, so that a
# link put in its place is noticed.
_OPEN_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a fifo",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True, slots=True)
class HashedFile:
    """A file as it was while it was read once, from start to end."""

    path: Path
    """The real file: absolute, every symbolic link resolved."""
    size: int
    """Bytes."""
    sha256: str
    git_blob_sha1: str
    """Id that git gives these very bytes as a blob: SHA-1 of ``blob <size>``, NUL, bytes."""


class ArtifactStore:
    """A folder of files named by digest; what is in it is never written again.

    A file is copied beside its place, forced to disk and renamed into it, so a crash leaves either
    the whole artifact or none, and two processes may add the same bytes at once.
    """

    def __init__(self, root: Path) -> None:
        """Use ``root``, which is made when the first file is added."""
        self._root = root

    def add(self, path: Path, on_bytes: Callable[[int], None] | None = None) -> HashedFile:
        """Hash ``path`` and keep a copy of its bytes, reading it once.

        Args:
            on_bytes: told the number of bytes read since it was last called.

        Raises:
            InputError: ``file.…`` as :func:`hash_file`.
            StoreError: ``store.full``, ``store.read-only``, ``store.failed``, or
                ``artifact.changed`` where the store holds a damaged copy.
        """
        with _source(path) as (real, source), self._temporary() as (name, target):

            def copy(chunk: memoryview) -> None:
                with _store_errors(self._root):
                    _write(target, chunk)

            file = _read(real, source, on_bytes, copy)
            with _store_errors(self._root):
                self._keep(name, target, file)
        return file

    def has(self, sha256: str) -> bool:
        """Whether the store holds a file under this digest."""
        place = self.path(sha256)
        try:
            return place.is_file()
        except OSError as error:
            raise _unreadable(sha256, error) from error

    def open(self, sha256: str) -> BufferedReader:
        """Open an artifact for reading; the caller closes it.

        Raises:
            InputError: ``digest.malformed``.
            StoreError: ``artifact.missing``, ``artifact.changed`` where something else than a file
                is in its place, or ``store.failed``.
        """
        try:
            return _open_regular(self.path(sha256))
        except FileNotFoundError as error:
            raise StoreError(
                "artifact.missing",
                f"the store has no artifact {sha256}",
                hint="attach the file again; its digest finds its place",
                expected=sha256,
            ) from error
        except _NotAFileError as error:
            raise StoreError(
                "artifact.changed",
                f"what lies under the name of artifact {sha256} is no file",
                expected="a regular file",
                found=str(error),
            ) from error
        except OSError as error:
            raise _unreadable(sha256, error) from error

    def path(self, sha256: str) -> Path:
        """Where the artifact is, or would be.

        Raises:
            InputError: ``digest.malformed``.
        """
        if not _DIGEST.fullmatch(sha256):
            # Also what keeps a digest from a record from naming a path outside the store.
            raise InputError(
                "digest.malformed",
                "not a SHA-256 digest",
                expected="64 lower-case hexadecimal digits",
                found=sha256[:100],
            )
        return self._root / "sha256" / sha256[:2] / sha256[2:]

    def check(self, sha256: str) -> Finding | None:
        """Hash the stored bytes again.

        Returns:
            ``artifact.missing`` or ``artifact.changed``, or None where they are intact.

        Raises:
            InputError: ``digest.malformed``.
            StoreError: ``store.failed`` where the bytes could not be read.
        """
        try:
            with self.open(sha256) as source:
                found = hashlib.file_digest(source, "sha256").hexdigest()
        except StoreError as error:
            if error.code not in ("artifact.missing", "artifact.changed"):
                raise
            return Finding(error.code, error.message, expected=sha256, found=error.found)
        except OSError as error:
            raise _unreadable(sha256, error) from error
        if found == sha256:
            return None
        return Finding(
            "artifact.changed",
            "the stored bytes are not those the digest names",
            expected=sha256,
            found=found,
        )

    def remove(self, sha256: str) -> bool:
        """Remove an artifact for good, as an erasure orders; whether it was there.

        Raises:
            StoreError: it could not be removed.
        """
        try:
            self.path(sha256).unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _unreadable(sha256, error) from error
        return True

    @contextmanager
    def _temporary(self) -> Iterator[tuple[Path, int]]:
        with _store_errors(self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            target, name = tempfile.mkstemp(prefix=_TEMPORARY, dir=self._root)
        try:
            yield Path(name), target
        finally:
            os.close(target)
            with suppress(FileNotFoundError):
                Path(name).unlink()

    def _keep(self, name: Path, target: int, file: HashedFile) -> None:
        place = self.path(file.sha256)
        if place.exists():
            _check_size(place, file)
        else:
            os.fchmod(target, 0o444)
            os.fsync(target)
            place.parent.mkdir(parents=True, exist_ok=True)
            name.rename(place)
        # A rename is on disk only when its folders are; also one that another process just made.
        for folder in (place.parent, place.parent.parent, self._root):
            _sync_folder(folder)


def digest_of(artifact: Path | str) -> str:
    """SHA-256 of a file, or the SHA-256 itself where that is what was given; in hexadecimal.

    Raises:
        InputError, StoreError: what ``hash_file`` raises.
    """
    return str(artifact) if is_digest(artifact) else hash_file(Path(artifact)).sha256


def is_digest(artifact: Path | str) -> bool:
    """Whether ``artifact`` is a SHA-256 in hexadecimal and no file of that name."""
    return bool(_DIGEST.fullmatch(str(artifact))) and not Path(artifact).exists()


def hash_file(path: Path, on_bytes: Callable[[int], None] | None = None) -> HashedFile:
    """Hash ``path`` without keeping its bytes.

    Args:
        on_bytes: told the number of bytes read since it was last called.

    Raises:
        InputError: ``file.missing``; ``file.not-a-file`` (a folder, fifo, device or socket);
            ``file.no-permission``; ``file.bad-name`` (not UTF-8); ``file.unreadable``;
            ``file.changed`` where it was written to, replaced or removed while it was read.
    """
    with _source(path) as (real, source):
        return _read(real, source, on_bytes, lambda chunk: None)


def read_again(file: HashedFile) -> Iterator[bytes]:
    """Yield the bytes that were hashed, piece by piece.

    Raises:
        InputError: ``file.…`` as :func:`hash_file`; ``file.changed``, at the end, where the bytes
            are no longer those that were hashed.
    """
    sha256 = hashlib.sha256()
    with _source(file.path) as (path, source):
        buffer = memoryview(bytearray(_BUFFER))
        while count := _fill(path, source, buffer):
            chunk = bytes(buffer[:count])
            sha256.update(chunk)
            yield chunk
    if sha256.hexdigest() != file.sha256:
        raise InputError(
            "file.changed",
            f"{_shown(file.path)} changed after it was read",
            hint="wait until whatever writes it is done, then try again",
            expected=file.sha256,
            found=sha256.hexdigest(),
        )


class _NotAFileError(Exception):
    """What is there is no regular file; the text says what it is."""


def _open_regular(path: Path) -> BufferedReader:
    """Open a regular file, never waiting for whatever else may be in its place."""
    # Looked at before it is opened: merely opening a device can act on it.
    _check_regular(path.lstat())
    descriptor = os.open(path, _OPEN_FLAGS)
    try:
        _check_regular(os.fstat(descriptor))
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def _check_regular(state: os.stat_result) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise _NotAFileError(_KINDS.get(stat.S_IFMT(state.st_mode), "something else"))


@contextmanager
def _source(path: Path) -> Iterator[tuple[Path, BufferedReader]]:
    """Open the real file behind ``path``."""
    try:
        real = path.resolve(strict=True)
        source = _open_regular(real)
    except (_NotAFileError, OSError, RuntimeError, ValueError) as error:
        raise _source_error(path, error) from error
    with source:
        try:
            str(real).encode()
        except UnicodeEncodeError as error:
            raise InputError(
                "file.bad-name",
                f"the name of {_shown(real)} is not UTF-8",
                hint="rename the file; a record can hold Unicode text only",
            ) from error
        yield real, source


def _read(
    path: Path,
    source: BufferedReader,
    on_bytes: Callable[[int], None] | None,
    sink: Callable[[memoryview], None],
) -> HashedFile:
    """Read ``source`` to its end into both hashes and ``sink``."""
    before = os.fstat(source.fileno())
    sha256 = hashlib.sha256()
    blob = hashlib.sha1(b"blob %d\0" % before.st_size, usedforsecurity=False)
    buffer = memoryview(bytearray(_BUFFER))
    size = 0
    while count := _fill(path, source, buffer):
        chunk = buffer[:count]
        sha256.update(chunk)
        blob.update(chunk)
        sink(chunk)
        size += count
        if size > before.st_size:
            # Stop here: a file that grows as fast as it is read has no end.
            break
        if on_bytes is not None:
            on_bytes(count)
    _check_unchanged(path, source, before, size)
    return HashedFile(path, size, sha256.hexdigest(), blob.hexdigest())


def _fill(path: Path, source: BufferedReader, buffer: memoryview) -> int:
    try:
        return source.readinto(buffer)
    except OSError as error:
        raise _source_error(path, error) from error


def _check_unchanged(path: Path, source: BufferedReader, before: os.stat_result, size: int) -> None:
    """Refuse a file whose size, time or identity moved while it was read."""
    after = os.fstat(source.fileno())
    try:
        named = path.lstat()
    except OSError as error:
        raise _changed(path, "a file", _why(error)) from error
    if size != before.st_size:
        raise _changed(path, f"{before.st_size} bytes", f"{size} bytes or more")
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise _changed(path, "the same size and time", "another size or time")
    if (before.st_dev, before.st_ino) != (named.st_dev, named.st_ino):
        raise _changed(path, "the same file", "another file under its name")


def _changed(path: Path, expected: str, found: str) -> InputError:
    return InputError(
        "file.changed",
        f"{_shown(path)} changed while it was read",
        hint="wait until whatever writes it is done, then try again",
        expected=expected,
        found=found,
    )


def _source_error(path: Path, error: Exception) -> InputError:
    name = _shown(path)
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return InputError("file.missing", f"there is no file {name}", found=_why(error))
        case PermissionError():
            return InputError(
                "file.no-permission",
                f"{name} may not be read",
                hint="ask its owner for read permission",
                found=_why(error),
            )
        case _NotAFileError():
            return InputError(
                "file.not-a-file",
                f"{name} is not a file",
                hint="attach files; put a folder into an archive first",
                expected="a regular file",
                found=str(error),
            )
        case _:
            return InputError(
                "file.unreadable", f"{name} could not be read: {_why(error)}", found=_why(error)
            )


def _unreadable(sha256: str, error: Exception) -> StoreError:
    return StoreError("store.failed", f"artifact {sha256} could not be read: {_why(error)}")


@contextmanager
def _store_errors(root: Path) -> Iterator[None]:
    """Turn what the disk says while the store is written into errors of ours."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            code, hint = "store.full", "free some space, or attach with --link-only"
        elif error.errno in _READ_ONLY:
            code, hint = "store.read-only", "make the folder writable, or attach with --link-only"
        else:
            code, hint = "store.failed", "look at the folder and the disk it is on"
        raise StoreError(
            code, f"the artifact store {_shown(root)} was not written: {_why(error)}", hint=hint
        ) from error


def _write(target: int, chunk: memoryview) -> None:
    while chunk:
        chunk = chunk[os.write(target, chunk) :]


def _check_size(place: Path, file: HashedFile) -> None:
    found = place.stat().st_size
    if found != file.size:
        raise StoreError(
            "artifact.changed",
            f"the stored copy of {file.sha256} is damaged",
            hint="move the damaged copy away to look at it, then attach the file again",
            expected=f"{file.size} bytes",
            found=f"{found} bytes",
        )


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _why(error: Exception) -> str:
    """What the system says, without the path it says it of."""
    match error:
        case OSError():
            return error.strerror or str(error)
        case _NotAFileError():
            return f"it is {error}"
        case _:
            return str(error)


def _shown(path: Path) -> str:
    return visible(os.fsencode(path).decode("utf-8", "replace"))
