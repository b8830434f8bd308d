"""``muniment packet``: where it writes, and what it says when it cannot."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from muniment.reports.signature import read_attachments
from muniment.reports.workspace import Workspace

from .conftest import Cli
from .test_answers import says

PACKET = ("packet", "--framework", "readiness-gate")


def size(place: Path) -> int:
    """Number of records in the ledger."""
    opened = Workspace(place)
    found = opened.ledger.checkpoint().size
    opened.storage.close()
    return found


def linked(place: Path, name: str, target: str) -> None:
    (place / name).symlink_to(target)


def fill(place: Path) -> None:
    """Folders and links that the table below speaks of."""
    for name in ("free", "full"):
        (place / name).mkdir()
    (place / "full/mine.txt").write_text("mine")
    (place / "same.zip").write_text("mine")
    linked(place, "link.zip", "same.pdf")
    linked(place, "to-full", "full")
    linked(place, "loop", "loop")
    linked(place, "lost.pdf", "nowhere/lost.pdf")


REFUSED: dict[str, tuple[str, str, str]] = {
    "one file for both": ("same", "same", "usage.bundle"),
    "one file by a link": ("same.pdf", "link.zip", "usage.bundle"),
    "the packet in its bundle": ("free/x.pdf", "free", "usage.bundle"),
    "the folder one stands in": ("x.pdf", ".", "export.not-empty"),
    "a full folder": ("x.pdf", "full", "export.not-empty"),
    "a full folder by a link": ("x.pdf", "to-full", "export.not-empty"),
    "a link to itself": ("x.pdf", "loop", "file.special"),
    "a file": ("x.pdf", "policy.md", "export.not-empty"),
    "a folder in none": ("x.pdf", "nowhere/b", "file.missing"),
    "a zip in no folder": ("x.pdf", "nowhere/b.zip", "file.missing"),
    "a packet in no folder": ("lost.pdf", "free", "file.missing"),
    "a packet called a zip": ("same.zip", "same.zip", "usage.format"),
    "any packet called a zip": ("x.ZIP", "free", "usage.format"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_where_nothing_can_be_written(name: str, place: Path, cli: Cli) -> None:
    """A place that will not do is bad input, found before anything is signed or recorded, and what
    was there stays as it was."""
    output, bundle, code = REFUSED[name]
    fill(place)
    before, records = sorted(place.rglob("*")), size(place)
    says(cli(*PACKET, "-o", output, "--bundle", bundle), 2, code)
    assert sorted(place.rglob("*")) == before and size(place) == records
    assert (place / "same.zip").read_text() == "mine" and (place / "free").is_dir()


@pytest.mark.parametrize("name", ["free", "to-free", "new", "to-new", "."])
def test_bundles_into_folders(
    name: str, place: Path, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bundle fills an empty folder that is there, one that is not, and where a link leads."""
    (place / "free").mkdir()
    linked(place, "to-free", "free")
    linked(place, "to-new", "new")
    at = place / ("free" if "free" in name else "new")
    if name == ".":
        at = tmp_path / "stand-here"
        at.mkdir()
        monkeypatch.chdir(at)
    said = cli(*PACKET, "--workspace", str(place), "-o", str(place / "x.pdf"), "--bundle", name)
    assert said.code == 0, said.err
    found = {file.name: file.read_bytes() for file in at.iterdir()}
    assert found == read_attachments((place / "x.pdf").read_bytes())


def test_an_empty_folder_outlives_a_failure(place: Path, cli: Cli) -> None:
    """What goes wrong later takes no folder away that was there before."""
    (place / "free").mkdir()
    says(cli(*PACKET, "-o", "x.pdf", "--bundle", "free", "--key", "nobody"), 2, "key.missing")
    assert (place / "free").is_dir()


@pytest.mark.parametrize("extra", [(), ("--bundle", "files")])
def test_a_full_disk_after_the_record(
    extra: tuple[str, ...], place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A packet is recorded before it is written; where that then fails, the error names the
    record."""

    write = Path.write_bytes

    def full(file: Any, *data: Any) -> int:
        if isinstance(file, Path) and not file.parent.name.startswith(".files-"):
            return write(file, *data)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    records = size(place)
    if extra:
        monkeypatch.setattr(Path, "write_bytes", full)
    else:
        monkeypatch.setattr("muniment.reports.files.os.fsync", full)
    said = cli(*PACKET, "-o", "x.pdf", *extra, "--json")
    assert said.code == 3 and said.json["error"]["code"] == "report.unwritable"
    assert f"record #{records} " in said.json["error"]["hint"]
    assert size(place) == records + 1
    assert not (place / "files").exists() and (place / "x.pdf").exists() == bool(extra)
    assert not list(place.glob(".x.pdf-*"))


def test_what_is_no_pdf_is_not_signed(place: Path, cli: Cli) -> None:
    """A file of another kind is bad input, named, and not a packet that does not hold."""
    says(cli("packet", "sign", "muniment.yaml"), 2, "packet.not-pdf", "muniment.yaml")
