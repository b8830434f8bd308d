"""Making a ledger again from its export, every byte verified before any is kept."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from muniment.evidence.anchors import TIMESTAMP, WITNESS
from muniment.evidence.checkpoint import SignedCheckpoint, verify_checkpoint
from muniment.evidence.config import make_state_folder
from muniment.evidence.entry import Entry
from muniment.evidence.keyfiles import config_folder
from muniment.evidence.merkle import hash_leaf
from muniment.evidence.note import VerifierKey
from muniment.evidence.outside import Outside, unchecked
from muniment.evidence.storage import (
    ERASED_COLUMNS,
    AnchorRow,
    CheckpointRow,
    EntryRow,
    ErasureRow,
    Reader,
    Storage,
    SubjectRow,
    Writer,
    sync_folder,
    translated_errors,
)
from muniment.evidence.tiles import HASH_SIZE, WIDTH, add_leaf
from muniment.evidence.timestamp import verify_timestamps
from muniment.evidence.trust import ERASURE_KIND
from muniment.evidence.verification import LedgerVerifier, Progress
from muniment.evidence.workspace import Workspace as BaseWorkspace
from muniment.schemas import strictjson
from muniment.schemas.errors import InputError, MunimentError, VerificationError
from muniment.schemas.files import read_small
from muniment.schemas.finding import Check, Finding

from .export import ANCHORS, CHECKPOINT, CHECKPOINTS, ENTRIES, ERASURES, RECORDS, tile_path
from .proofs import VKEY

_LINE = 4 << 20
"""Longest line of an export, in bytes."""
_BUNDLE = WIDTH * (2 + 0xFFFF)
"""Largest tile of leaves, in bytes."""
_ANCHOR_KINDS = (WITNESS, TIMESTAMP)


@dataclass(frozen=True, slots=True)
class Restored:
    """What an import of a ledger stored."""

    checkpoint: SignedCheckpoint
    """The last one; its root was computed again from the leaves."""
    checkpoints: int
    anchors: int
    erased: int
    not_checked: tuple[str, ...]
    """What of the anchors could not be checked here, and why."""


def restore(workspace: BaseWorkspace, folder: Path, progress: Progress | None = None) -> Restored:
    """Make a workspace's ledger again from ``muniment export tiles``, bit for bit.

    Everything is verified before anything is kept, against the root that the workspace's own
    ``muniment.yaml`` pins.

    Raises:
        InputError: ``import.exists`` or ``import.no-export``.
        VerificationError: the first thing in the export that does not hold.
        StoreError: the ledger cannot be written; nothing is.
    """
    _require_export(folder)
    storage = workspace.storage
    is_there = storage.exists()
    if not is_there:
        make_state_folder(workspace.root)
    if not is_there and storage.path is not None:
        return _restore_file(workspace, storage.path, folder, progress)
    if not is_there:
        storage.create()
    with storage.write() as writer:
        if writer.size() or writer.last_checkpoint() is not None:
            raise _exists()
        return _Restore(workspace, folder, writer, progress).run()


def _restore_file(
    workspace: BaseWorkspace, path: Path, folder: Path, progress: Progress | None
) -> Restored:
    """Make the ledger in a file of our own, which gets its name once it is whole."""
    with translated_errors():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".muniment-import-", dir=path.parent) as own:
            file = Path(own) / "ledger.db"
            storage = Storage(f"sqlite:///{file.name}", file.parent)
            try:
                storage.create()
                with storage.write() as writer:
                    done = _Restore(workspace, folder, writer, progress).run()
            finally:
                storage.close()
            with file.open("rb+") as written:
                os.fsync(written.fileno())
            try:
                # NOTE: unlike a rename, this never takes the place of what came there meanwhile.
                path.hardlink_to(file)
            except FileExistsError as error:
                raise _exists() from error
            sync_folder(path.parent)
    return done


def _exists() -> InputError:
    return InputError(
        "import.exists",
        "the workspace has a ledger already, and a ledger is never overwritten",
        hint="import into a folder that holds only muniment.yaml and the own kinds",
    )


def _require_export(folder: Path) -> None:
    missing = [name for name in (CHECKPOINT, VKEY, RECORDS) if not (folder / name).is_file()]
    if missing:
        raise InputError(
            "import.no-export",
            f"{folder} is no complete export of a ledger: it has no {missing[0]}",
            hint="muniment export tiles FOLDER writes one",
        )


class _Restore:
    """One import of a ledger, inside one transaction."""

    def __init__(
        self, workspace: BaseWorkspace, folder: Path, writer: Writer, progress: Progress | None
    ) -> None:
        self._workspace = workspace
        self._folder = folder
        self._writer = writer
        self._tell = progress or (lambda done, total: None)
        self._tiles: dict[tuple[int, int], bytes] = {}
        """Tiles that are not full yet."""

    def run(self) -> Restored:
        """Read, store and verify everything."""
        vkey = self._vkey()
        last = verify_checkpoint(self._file(CHECKPOINT, 1 << 20), vkey)
        erasures = self._erasures(last.size)
        self._entries(last.size, erasures)
        checkpoints = self._checkpoints(vkey, last)
        anchors = self._anchors(checkpoints)
        self._add_erasures(erasures)
        self._verify(vkey, last)
        checks = list(_check_anchors(self._workspace, vkey, last, self._writer))
        for check in checks:
            _require_none(check.findings)
        not_checked = tuple(f"{check.name}: {why}" for check in checks for why in check.not_checked)
        return Restored(last, len(checkpoints), anchors, len(erasures), not_checked)

    def _vkey(self) -> VerifierKey:
        text = self._file(VKEY, 10_000).decode("utf-8", "replace")
        vkey = VerifierKey.parse(text)
        origin = self._workspace.config.origin
        if vkey.name != origin:
            raise VerificationError(
                "root.differs",
                "the export is of another ledger than muniment.yaml pins",
                expected=origin,
                found=vkey.name,
            )
        return vkey

    def _erasures(self, size: int) -> dict[int, int]:
        found: dict[int, int] = {}
        for value in self._values(ERASURES, {"number": int, "by": int}):
            number, by = value["number"], value["by"]
            if not 0 <= number < by < size or number in found:
                raise _malformed(ERASURES, f"#{number} cannot have been erased by #{by}")
            found[number] = by
        return found

    def _add_erasures(self, erasures: dict[int, int]) -> None:
        orders = {row.number for row in self._writer.find(kind=ERASURE_KIND)}
        for number, by in erasures.items():
            if by not in orders:
                raise VerificationError(
                    "erasure.without-order", f"{ERASURES}: #{by} is no order to erase #{number}"
                )
            self._writer.add([ErasureRow(number=number, by=by)])

    def _entries(self, size: int, erasures: dict[int, int]) -> None:
        with self._open(RECORDS) as lines:
            for start in range(0, size, WIDTH):
                leaves = self._leaves(start // WIDTH, min(WIDTH, size - start))
                rows: list[dict[str, Any]] = []
                subjects: list[dict[str, Any]] = []
                for number, leaf in enumerate(leaves, start):
                    if number in erasures:
                        rows.append(_erased_row(number, leaf))
                    else:
                        entry = _entry(number, leaf, lines)
                        rows.append(entry.row(entry.columns()))
                        subjects += entry.subject_rows()
                    self._grow(number, leaf)
                self._writer.add_many(EntryRow, rows)
                self._writer.add_many(SubjectRow, subjects)
                self._tell(start + len(leaves), 2 * size)
            if lines.readline(1):
                raise _malformed(RECORDS, f"it goes on after the {size} records of the checkpoint")
        for (level, number), hashes in self._tiles.items():
            self._keep_tile(level, number, hashes)

    def _leaves(self, number: int, width: int) -> list[bytes]:
        name = tile_path(ENTRIES, number, width)
        data = self._file(name, _BUNDLE)
        leaves, at = [], 0
        while at < len(data):
            end = at + 2 + int.from_bytes(data[at : at + 2], "big")
            leaves.append(data[at + 2 : end])
            at = end
        if at != len(data) or len(leaves) != width:
            raise _malformed(name, f"it does not hold {width} leaves")
        return leaves

    def _grow(self, number: int, leaf: bytes) -> None:
        """Add a leaf to the tree; a tile that is full is stored."""
        changed = add_leaf(number, hash_leaf(leaf), lambda *tile: self._tiles.get(tile, b""))
        for (level, place), hashes in changed.items():
            if len(hashes) == WIDTH * HASH_SIZE:
                self._tiles.pop((level, place), None)
                self._keep_tile(level, place, hashes)
            else:
                self._tiles[level, place] = hashes

    def _keep_tile(self, level: int, number: int, hashes: bytes) -> None:
        name = tile_path(level, number, len(hashes) // HASH_SIZE)
        if self._file(name, WIDTH * HASH_SIZE) != hashes:
            raise VerificationError("tile.differs", f"{name} is not that of the leaves")
        self._writer.put_tile(level, number, hashes)

    def _checkpoints(self, vkey: VerifierKey, last: SignedCheckpoint) -> set[int]:
        sizes: list[int] = []
        signed = None
        for value in self._values(CHECKPOINTS, {"note": str}):
            note = value["note"].encode("utf-8", "replace")
            signed = verify_checkpoint(note, vkey)
            if sizes and signed.size <= sizes[-1]:
                raise _malformed(CHECKPOINTS, "its checkpoints are not in order")
            sizes.append(signed.size)
            self._writer.add([CheckpointRow(size=signed.size, note=note)])
        if signed is None or signed.note != last.note:
            raise VerificationError(
                "checkpoint.differs",
                f"{CHECKPOINT} is not the last of {CHECKPOINTS}",
                expected=f"{last.size} records, root {last.root.hex()}",
                found=f"{signed.size} records, root {signed.root.hex()}" if signed else "none",
            )
        return set(sizes)

    def _anchors(self, sizes: set[int]) -> int:
        seen: set[tuple[int, str, str]] = set()
        fields = {"size": int, "kind": str, "source": str, "proof": str}
        for value in self._values(ANCHORS, fields):
            place = (value["size"], value["kind"], value["source"])
            if value["size"] not in sizes or value["kind"] not in _ANCHOR_KINDS or place in seen:
                raise _malformed(ANCHORS, f"no checkpoint has such a proof: {place}")
            seen.add(place)
            try:
                proof = base64.b64decode(value["proof"], validate=True)
            except ValueError as error:
                raise _malformed(ANCHORS, f"the proof is not base64: {place}") from error
            self._writer.add([AnchorRow(**{**value, "proof": proof})])
        return len(seen)

    def _verify(self, vkey: VerifierKey, last: SignedCheckpoint) -> None:
        """Verify what is stored as any ledger is verified."""
        workspace = self._workspace
        verifier = LedgerVerifier(
            self._writer,
            vkey,
            workspace.config.root,
            workspace.kinds,
            lambda done, total: self._tell(total + done, 2 * total),
        )
        for _ in verifier.records():
            pass
        _require_none(verifier.report.findings)
        if verifier.last is None or verifier.last.root != last.root:
            raise VerificationError("import.unverified", "the export could not be verified")

    def _values(self, name: str, fields: dict[str, type]) -> Iterator[dict[str, Any]]:
        """The JSON objects of a file, one a line, each with exactly these fields."""
        with self._open(name) as file:
            while line := _read_line(file, name):
                try:
                    value = strictjson.loads(line, what="a line")
                except InputError as error:
                    raise _malformed(name, error.message) from error
                if not isinstance(value, dict) or set(value) != set(fields):
                    raise _malformed(name, f"a line has not the fields {', '.join(fields)}")
                if any(type(value[field]) is not kind for field, kind in fields.items()):
                    raise _malformed(name, "a field is of another type")
                yield value

    def _open(self, name: str) -> BinaryIO:
        path = self._folder / name
        if not path.is_file():
            raise _missing(name)
        try:
            return path.open("rb")
        except OSError as error:
            raise InputError(
                "file.no-permission", f"{path} cannot be read: {error.strerror}"
            ) from error

    def _file(self, name: str, limit: int) -> bytes:
        try:
            return read_small(self._folder / name, limit)
        except InputError as error:
            if error.code == "file.missing":
                raise _missing(name) from error
            raise


def _check_anchors(
    workspace: BaseWorkspace, vkey: VerifierKey, last: SignedCheckpoint, reader: Reader
) -> Iterator[Check]:
    """Judge the stored cosignatures and time stamps by what the workspace trusts, as far as that
    is at hand; a kind of which there is none is left out.

    That the export lacks a quorum is no fault of what it holds: ``verify`` says it.
    """
    kinds = {anchor.kind for anchor in reader.anchors()}
    if WITNESS in kinds:
        (check,) = (item for item in unchecked() if item.name == "witnesses")
        try:
            policy = None if workspace.config.policy is None else workspace.policy()
            outside = Outside(
                vkey,
                workspace.config.root,
                config_folder(),
                workspace.clock(),
                policy=policy,
            )
            outside.check_witnesses(check, last, reader)
        except InputError as error:
            check.not_checked.append(error.message)
        lacking = [item for item in check.findings if item.code == "witness.quorum"]
        check.findings = [item for item in check.findings if item not in lacking]
        check.not_checked.extend(item.message for item in lacking)
        yield check
    if TIMESTAMP in kinds:
        named = workspace.config.timestamp_roots
        roots = None if named is None else workspace.root / named
        try:
            yield verify_timestamps(reader, vkey, roots)
        except InputError as error:
            check = verify_timestamps(reader, vkey, None)
            check.not_checked = [error.message]
            yield check


def _require_none(findings: Iterable[Finding]) -> None:
    """Refuse the export for the first of the findings, if there is one."""
    for finding in findings:
        place = "" if finding.record is None else f"#{finding.record}: "
        raise VerificationError(
            finding.code,
            f"the export does not hold: {place}{finding.message}",
            expected=finding.expected,
            found=finding.found,
            hint="nothing was imported",
        )


def _entry(number: int, leaf: bytes, lines: BinaryIO) -> Entry:
    """The entry of a leaf and the next envelope.

    Raises:
        VerificationError: they do not belong together; the message names the record.
    """
    line = _read_line(lines, RECORDS)
    if not line:
        raise VerificationError("entry.missing", f"the envelope of #{number} is not in the export")
    try:
        return Entry.from_stored(number, line, leaf)
    except MunimentError as error:
        raise VerificationError(
            error.code,
            f"the export does not hold: #{number}: {error.message}",
            expected=error.expected,
            found=error.found,
            hint="nothing was imported",
        ) from error


def _erased_row(number: int, leaf: bytes) -> dict[str, Any]:
    digest = hash_leaf(leaf).hex()
    return {
        **{"number": number, "envelope": b"", "leaf": leaf, "leaf_hash": digest},
        **ERASED_COLUMNS,
    }


def _read_line(file: BinaryIO, name: str) -> bytes:
    line = file.readline(_LINE)
    if line and not line.endswith(b"\n"):
        raise _malformed(name, "its last line is cut off or too long")
    return line.removesuffix(b"\n")


def _malformed(name: str, why: str) -> VerificationError:
    return VerificationError("export.malformed", f"{name} is not as it was exported: {why}")


def _missing(name: str) -> VerificationError:
    return VerificationError("export.missing", f"the export has no {name}", hint="export again")
