"""Small files: what is no plain file, or too large, is refused before it does harm."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from muniment.schemas.errors import InputError
from muniment.schemas.files import read_small


def refusal(path: Path, limit: int = 100) -> str:
    """The code that reading is refused with."""
    with pytest.raises(InputError) as caught:
        read_small(path, limit)
    return caught.value.code


def test_a_plain_file_is_read(tmp_path: Path) -> None:
    """All of it, up to the limit, through a link as well."""
    (tmp_path / "a").write_bytes(b"x" * 100)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    assert read_small(tmp_path / "link", 100) == b"x" * 100
    assert refusal(tmp_path / "a", 99) == "file.too-large"


def test_what_is_no_plain_file(tmp_path: Path) -> None:
    """A pipe does not make anybody wait, and a device without end fills no memory."""
    os.mkfifo(tmp_path / "pipe")
    assert refusal(tmp_path / "pipe") == "file.special"
    assert refusal(tmp_path) == "file.special"
    assert refusal(Path("/dev/zero")) == "file.special"
    assert refusal(tmp_path / "none") == "file.missing"
    assert refusal(tmp_path / ("x" * 300)) == "file.no-permission"
    assert refusal(tmp_path / "a\0b") == "file.no-permission"
