"""Reading small files that a user names: regular files only, never more than a limit."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from muniment.schemas.errors import InputError


def read_small(path: Path, limit: int) -> bytes:
    """The bytes of a regular file.

    NOTE: a pipe would make the program wait, and a device may never end.

    Args:
        limit: most bytes that are read.

    Raises:
        InputError: ``file.missing``, ``file.special``, ``file.too-large`` or
            ``file.no-permission``.
    """
    try:
        _require_regular(path, path.stat())
        with open(path, "rb", opener=_open_without_waiting) as file:
            _require_regular(path, os.fstat(file.fileno()))
            data = file.read(limit + 1)
    except FileNotFoundError as error:
        raise InputError(
            "file.missing",
            f"there is no file {path}",
            hint="a relative path begins at the folder you stand in",
        ) from error
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError("file.no-permission", f"{path} cannot be read: {why}") from error
    if len(data) > limit:
        raise InputError(
            "file.too-large",
            f"{path} is larger than what is read of such a file",
            expected=f"at most {limit:,} bytes",
        )
    return data


def files_in(folder: Path, suffix: str, what: str) -> list[Path]:
    """The files of a folder whose names end so, sorted; none if there is no such folder.

    Args:
        what: what the files are, for the error's code.

    Raises:
        InputError: ``<what>.unreadable``.
    """
    try:
        found = folder.iterdir() if folder.is_dir() else ()
        return sorted(file for file in found if file.name.endswith(suffix))
    except OSError as error:
        raise InputError(f"{what}.unreadable", f"{folder} cannot be read: {error}") from error


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _require_regular(path: Path, state: os.stat_result) -> None:
    if not stat.S_ISREG(state.st_mode):
        raise InputError(
            "file.special",
            f"{path} is not a plain file",
            hint="name a file, not a folder or device",
        )
