"""Writing a report's file or folder so that it is there whole, or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from muniment.schemas.errors import InputError, ReportError


def require_target(path: Path) -> None:
    """Refuse, before any work is done, a path at which no file can be put; a link is followed.

    Raises:
        InputError: ``file.dash``, ``file.missing`` or ``file.special``.
    """
    if str(path) == "-":
        raise InputError(
            "file.dash",
            "'-' is not taken for stdout, and would be a file of that name",
            hint="name a file; what can be printed is printed where no file is named",
        )
    require_parent(real_path(path))
    if path.exists() and not path.is_file():
        # NOTE: a device or a pipe would be replaced by a file, as it is put there whole.
        raise InputError("file.special", f"{path} is no plain file; name one")


def real_path(path: Path) -> Path:
    """Where a path leads.

    Raises:
        InputError: ``file.special``.
    """
    try:
        return path.resolve()
    except (OSError, RuntimeError) as error:
        raise InputError("file.special", f"{path} is a link that leads nowhere") from error


def require_parent(path: Path) -> None:
    """Refuse a path whose folder is not there.

    Raises:
        InputError: ``file.missing``.
    """
    if not path.parent.is_dir():
        raise InputError("file.missing", f"there is no folder {path.parent}")


def write_atomically(path: Path, data: bytes) -> str:
    """Write ``data`` through a temporary file beside ``path``; a link is followed.

    Returns:
        SHA-256 of the data, in hexadecimal.

    Raises:
        ReportError: ``report.unwritable``.
    """
    temporary: str | None = None
    try:
        path = path.resolve()
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(path)
    except (OSError, RuntimeError) as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise ReportError(
            "report.unwritable", f"{path} cannot be written: {getattr(error, 'strerror', error)}"
        ) from error
    return hashlib.sha256(data).hexdigest()


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which becomes ``folder`` at the end; if anything fails, nothing is left.

    Raises:
        InputError: ``export.not-empty`` if there is something already.
        ReportError: ``report.unwritable``.
    """
    temporary: Path | None = None
    try:
        with told_as_report_error(folder):
            folder = free_folder(folder)
            # NOTE: an empty folder is filled, not replaced: somebody may stand in it.
            is_there = folder.exists()
            beside = folder if is_there else folder.parent
            temporary = Path(tempfile.mkdtemp(dir=beside, prefix=f".{folder.name}-"))
        yield temporary
        with told_as_report_error(folder):
            mask = os.umask(0)
            os.umask(mask)
            temporary.chmod(0o777 & ~mask)
            os.sync()
            if is_there:
                _require_empty(folder, besides=temporary)
                for item in list(temporary.iterdir()):
                    item.rename(folder / item.name)
            else:
                temporary.replace(folder)
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def told_as_report_error(path: Path) -> Iterator[None]:
    """Turn what the disk says while ``path`` is written into ``report.unwritable``."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise ReportError(
            "report.unwritable", f"{path} cannot be written: {getattr(error, 'strerror', error)}"
        ) from error


def free_folder(folder: Path) -> Path:
    """The folder's real path, if there is nothing there yet but an empty folder.

    Raises:
        InputError: ``export.not-empty`` or ``file.special``.
    """
    folder = real_path(folder)
    if folder.exists():
        _require_empty(folder)
    return folder


def _require_empty(folder: Path, besides: Path | None = None) -> None:
    if not folder.is_dir() or any(item != besides for item in folder.iterdir()):
        raise InputError(
            "export.not-empty",
            f"{folder} is there already and not an empty folder",
            hint="name a folder that is new or empty; nothing is ever overwritten",
        )
