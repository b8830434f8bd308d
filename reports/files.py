"""Writing a report's file so that it is there whole, or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from muniment.schemas.errors import ReportError


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
