"""Exports: read back with nothing but the formats' own rules, and compared with the ledger."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from muniment.evidence.checkpoint import verify_checkpoint
from muniment.evidence.dsse import Envelope
from muniment.evidence.keys import load_public
from muniment.evidence.merkle import hash_leaf, verify_inclusion
from muniment.evidence.note import VerifierKey
from muniment.evidence.receipt import Receipt, parse_tlog_proof
from muniment.evidence.storage import CheckpointRow
from muniment.reports.export import Form, tile_path
from muniment.reports.workspace import Workspace
from muniment.schemas.errors import InputError, ReportError, VerificationError

SIZE = 300
"""Records of the ledger: more than one tile holds."""


@pytest.fixture
def ledger(grown: Callable[..., Workspace]) -> Workspace:
    """A workspace of three hundred records."""
    return grown(SIZE)


def _root(leaf_hashes: list[bytes]) -> bytes:
    """RFC 6962 §2.1, word for word."""
    count = len(leaf_hashes)
    if count == 1:
        return leaf_hashes[0]
    split = 1 << ((count - 1).bit_length() - 1)
    pair = _root(leaf_hashes[:split]) + _root(leaf_hashes[split:])
    return hashlib.sha256(b"\1" + pair).digest()


def _leaves(data: bytes) -> list[bytes]:
    found = []
    while data:
        length = int.from_bytes(data[:2], "big")
        found.append(data[2 : 2 + length])
        data = data[2 + length :]
    return found


def test_tiles_are_the_whole_tree(ledger: Workspace, tmp_path: Path) -> None:
    """The leaves in the entry bundles have the root that the exported checkpoint signs, and each
    tile holds the hashes of its leaves or of the tiles below it, at the path C2SP gives it."""
    out = tmp_path / "out"
    ledger.export("tiles", out)
    vkey = VerifierKey.parse((out / "ledger.vkey").read_text())
    last = verify_checkpoint((out / "checkpoint").read_bytes(), vkey)
    bundles = [out / "tile/entries/000", out / "tile/entries/001.p/44"]
    leaves = [leaf for path in bundles for leaf in _leaves(path.read_bytes())]
    hashes = [hashlib.sha256(b"\0" + leaf).digest() for leaf in leaves]
    assert (len(leaves), last.size) == (SIZE, SIZE)
    assert _root(hashes) == last.root
    assert (out / "tile/0/000").read_bytes() == b"".join(hashes[:256])
    assert (out / "tile/0/001.p/44").read_bytes() == b"".join(hashes[256:])
    assert (out / "tile/1/000.p/1").read_bytes() == _root(hashes[:256])
    assert len([path for path in (out / "tile").rglob("*") if path.is_file()]) == 5


@pytest.mark.parametrize(
    ("level", "number", "width", "path"),
    [
        (0, 0, 256, "tile/0/000"),
        (1, 999, 1, "tile/1/999.p/1"),
        (2, 1000, 256, "tile/2/x001/000"),
        ("entries", 1234067, 255, "tile/entries/x001/x234/067.p/255"),
    ],
)
def test_tile_paths(level: Any, number: int, width: int, path: str) -> None:
    """Tiles are where C2SP tlog-tiles puts them, beyond a thousand and a million too."""
    assert tile_path(level, number, width) == path


def test_every_bundle_verifies(ledger: Workspace, tmp_path: Path) -> None:
    """There is a receipt for each record, and each verifies under the one checkpoint; the key
    files hold every signer."""
    out = tmp_path / "out"
    ledger.export("bundles", out)
    vkey = ledger.ledger.vkey
    files = sorted(out.glob("receipt-*.sigstore.json"))
    assert len(files) == SIZE
    keys = {load_public(path.read_bytes()).fingerprint for path in out.glob("key-*.pem")}
    for index, path in enumerate(files):
        receipt = Receipt.from_bundle(path.read_bytes())
        assert receipt.verify(vkey).size == SIZE
        assert receipt.index == index and receipt.key.fingerprint in keys
    (log,) = json.loads((out / "trusted_root.json").read_bytes())["tlogs"]
    assert log["publicKey"]["validFor"]["start"] == "2026-03-01T09:00:00Z"


def test_every_proof_verifies(ledger: Workspace, tmp_path: Path) -> None:
    """Each tlog-proof leads from the leaf beside it to the checkpoint inside it."""
    out = tmp_path / "out"
    ledger.export("proofs", out)
    vkey = VerifierKey.parse((out / "ledger.vkey").read_text())
    files = sorted(out.glob("*.tlog-proof"))
    assert len(files) == SIZE
    for number, path in enumerate(files):
        index, proof, note = parse_tlog_proof(path.read_bytes())
        leaf = (out / f"receipt-{number:06d}.leaf.json").read_bytes()
        signed = verify_checkpoint(note, vkey)
        assert index == number
        verify_inclusion(hash_leaf(leaf), index, signed.size, proof, signed.root)


def test_intoto_lines_are_the_envelopes(ledger: Workspace, tmp_path: Path) -> None:
    """Each line is the very envelope of its record, and the keys to verify it are beside it."""
    out = tmp_path / "out"
    ledger.export("intoto", out)
    lines = (out / "records.intoto.jsonl").read_bytes().splitlines()
    keys = [load_public(path.read_bytes()) for path in out.glob("key-*.pem")]
    by_fingerprint = {key.fingerprint: key for key in keys}
    with ledger.storage.read() as reader:
        assert lines == [row.envelope for row in reader.entries()]
    for line in lines:
        envelope = Envelope.from_foreign(line)
        envelope.verify(by_fingerprint[envelope.keyid])


@pytest.mark.parametrize("form", list(Form))
def test_a_full_folder_is_left_alone(workspace: Workspace, tmp_path: Path, form: Form) -> None:
    """An export goes into a new or empty folder; anything else is refused and not touched."""
    out = tmp_path / "out"
    out.mkdir()
    Workspace(workspace.root).export(form, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert before
    with pytest.raises(InputError) as caught:
        Workspace(workspace.root).export(form, out)
    assert caught.value.code == "export.not-empty"
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_the_folder_one_stands_in_is_filled(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty folder stays the one it is, so that who stands in it sees the export."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = (tmp_path / "here").stat().st_ino
    Workspace(workspace.root).export("tiles", Path())
    assert (tmp_path / "here").stat().st_ino == before
    assert Path("checkpoint").is_file() and Path("tile").is_dir()
    assert [*tmp_path.glob(".*"), *Path().glob(".*")] == []


def test_an_unsound_ledger_is_not_exported(ledger: Workspace, tmp_path: Path) -> None:
    """A ledger that does not hold gives no export, and leaves no folder behind."""
    with ledger.storage.write() as writer:
        writer.add([CheckpointRow(size=999, note=b"no note\n")])
    with pytest.raises(VerificationError) as caught:
        ledger.export("tiles", tmp_path / "out")
    assert caught.value.code == "ledger.unsound"
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_an_export_is_whole_or_not_there(
    ledger: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the disk fails in the middle, there is an error and no folder, and no leftovers."""
    written: list[Path] = []
    write = Path.write_bytes

    def fail(path: Path, data: bytes) -> int:
        written.append(path)
        if len(written) == 50:
            raise OSError(28, "No space left on device")
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(ReportError) as caught:
        ledger.export("bundles", tmp_path / "out")
    assert caught.value.code == "report.unwritable"
    assert len(written) == 50
    assert not [path for path in tmp_path.iterdir() if "out" in path.name]


def test_a_folder_that_cannot_be_made(workspace: Workspace, tmp_path: Path) -> None:
    """A folder inside a file or a missing folder is an error of ours, not a traceback."""
    (tmp_path / "file").write_text("text")
    opened = Workspace(workspace.root)
    for folder in (tmp_path / "file" / "out", tmp_path / "missing" / "out"):
        with pytest.raises(ReportError) as caught:
            opened.export("tiles", folder)
        assert caught.value.code == "report.unwritable"


def test_progress_is_told_to_its_end(ledger: Workspace, tmp_path: Path) -> None:
    """Verifying and writing count alike, up to twice the records and never backwards."""
    told: list[tuple[int, int]] = []
    ledger.export("proofs", tmp_path / "out", lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1] == (2 * SIZE, 2 * SIZE)
