"""The files inside a packet, written beside it as a folder or a zip, the same bytes each time."""

from __future__ import annotations

import io
import tempfile
import zipfile
from pathlib import Path

from muniment.schemas.errors import InputError

from .files import (
    free_folder,
    new_folder,
    real_path,
    require_parent,
    require_target,
    told_as_report_error,
    write_atomically,
)
from .signature import read_attachments

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip can say."""
_UNIX = 3
_MODE = 0o100644


def is_zip(target: Path) -> bool:
    """Whether a bundle goes into one file."""
    return target.suffix.lower() == ".zip"


def require_bundle(target: Path, output: Path) -> None:
    """Refuse, before any work is done, a place at which no bundle can be put; leaves it as it is.

    Args:
        output: where the packet itself will be written.

    Raises:
        InputError: ``usage.bundle``, ``file.dash``, ``file.missing``, ``file.special`` or
            ``export.not-empty``.
        ReportError: ``report.unwritable``.
    """
    place, packet = real_path(target), real_path(output)
    if place == packet:
        raise InputError(
            "usage.bundle",
            f"the packet and the files inside it cannot both be {target}",
            hint="name another file for one of them",
        )
    if is_zip(target):
        require_target(target)
        return
    with told_as_report_error(target):
        is_there = free_folder(target).exists()
        require_parent(place)
        if place in packet.parents:
            raise InputError(
                "usage.bundle",
                f"the packet would be written among the files inside it, in {target}",
                hint="name another folder for one of them",
            )
        probe = tempfile.mkdtemp(dir=place if is_there else place.parent, prefix=f".{place.name}-")
        Path(probe).rmdir()


def write_bundle(pdf: bytes, target: Path) -> int:
    """Write every file that a packet embeds; returns how many.

    Args:
        target: a new or empty folder, or a file that ends in ``.zip``.

    Raises:
        VerificationError: ``packet.…``: they cannot be read.
        InputError: ``export.not-empty``.
        ReportError: ``report.unwritable``.
    """
    files = dict(sorted(read_attachments(pdf).items()))
    if is_zip(target):
        write_atomically(target, _zipped(files))
        return len(files)
    with new_folder(target) as folder, told_as_report_error(target):
        for name, data in files.items():
            (folder / name).write_bytes(data)
    return len(files)


def _zipped(files: dict[str, bytes]) -> bytes:
    output = io.BytesIO()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            item = zipfile.ZipInfo(name, _EPOCH)
            item.compress_type = zipfile.ZIP_DEFLATED
            item.create_system, item.external_attr = _UNIX, _MODE << 16
            archive.writestr(item, data)
    return output.getvalue()
