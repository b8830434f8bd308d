"""Exports: the ledger as files that other people's tools read, written from one verified view.

=============  ====================================================================================
``bundles``    a Sigstore bundle v0.3 for each record, ``trusted_root.json``, ``ledger.vkey``, the
               signers' keys
``proofs``     a C2SP ``.tlog-proof`` for each record beside its leaf, ``ledger.vkey``
``tiles``      a static C2SP tlog-tiles tree, and with it everything the ledger holds
``intoto``     ``records.intoto.jsonl``, a DSSE envelope a line, the signers' keys
=============  ====================================================================================

``tiles`` is the one complete form, which ``muniment import`` takes back:

=========================  ========================================================================
``checkpoint``             the last checkpoint, a C2SP signed note
``tile/L/N[.p/W]``         hashes (C2SP tlog-tiles), ``tile/entries/…`` the leaves
``ledger.vkey``            the ledger's verifier key
``records.intoto.jsonl``   the envelopes in ledger order, but for erased records
``checkpoints.jsonl``      every checkpoint, ``{"note": …}``, smallest first
``anchors.jsonl``          proofs from outside, ``{"size", "kind", "source", "proof": base64}``
``erasures.jsonl``         ``{"number", "by"}`` of each erased record and of what erased it
``muniment.yaml``          the workspace's settings, and beside it the files that these name inside
                           the workspace: policy, roots of time stamps; ``kinds/``
=========================  ========================================================================

An erased record has its leaf and its proof, and no envelope. The bytes of artifacts are in no
export: each is named by its digest, and the artifact store is a folder that can be copied.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from muniment.evidence.anchors import TIMESTAMP, WITNESS, stored_anchors
from muniment.evidence.checkpoint import SignedCheckpoint, verify_checkpoint
from muniment.evidence.config import FILE_NAME
from muniment.evidence.dsse import Envelope
from muniment.evidence.leaf import leaf_key
from muniment.evidence.merkle import NodeReader, inclusion_proof
from muniment.evidence.note import VerifierKey
from muniment.evidence.receipt import Receipt, tlog_proof, trusted_root
from muniment.evidence.storage import Reader, StoredAnchor, StoredEntry
from muniment.evidence.tiles import HASH_SIZE, WIDTH, node_reader
from muniment.evidence.trust import KeyRing
from muniment.evidence.verification import LedgerVerifier, Progress
from muniment.evidence.verified import VerifiedLedger
from muniment.evidence.workspace import Workspace as BaseWorkspace
from muniment.schemas.errors import InputError, VerificationError
from muniment.schemas.kinds import own_kinds

from .files import new_folder, told_as_report_error
from .proofs import TRUSTED_ROOT, VKEY, receipt_name
from .receipts import LEAF_ENDING, PROOF_ENDING

CHECKPOINT = "checkpoint"
RECORDS = "records.intoto.jsonl"
CHECKPOINTS = "checkpoints.jsonl"
ANCHORS = "anchors.jsonl"
ERASURES = "erasures.jsonl"
KINDS = "kinds"
ENTRIES = "entries"
"""In place of a level: the tiles that hold the leaves themselves."""
_NODES = 1 << 14
"""Nodes of the tree kept at hand; a record's proof shares most of its own with the next one's."""


class Form(StrEnum):
    """What an export consists of."""

    BUNDLES = "bundles"
    PROOFS = "proofs"
    TILES = "tiles"
    INTOTO = "intoto"


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export wrote."""

    folder: Path
    form: Form
    checkpoint: SignedCheckpoint
    """The one that everything is proved under."""
    erased: int
    """Records without their envelope."""


@dataclass(frozen=True, slots=True)
class _View:
    """One consistent, verified view of a ledger."""

    reader: Reader
    vkey: VerifierKey
    last: SignedCheckpoint
    ring: KeyRing
    tick: Callable[[int], None]
    """Told how many entries are written."""

    def rows(self) -> Iterator[StoredEntry]:
        """Every entry in order; what is written is told."""
        for row in self.reader.entries():
            yield row
            if row.number % WIDTH == WIDTH - 1 or row.number == self.last.size - 1:
                self.tick(row.number + 1)

    def proven(self) -> Iterator[tuple[StoredEntry, tuple[bytes, ...]]]:
        """Every entry with its proof of inclusion under the last checkpoint."""
        node: NodeReader = node_reader(self.reader.tile)
        for row in self.rows():
            if row.number % _NODES == 0:
                # NOTE: begun anew from time to time, so that memory does not grow with the ledger.
                node = lru_cache(_NODES)(node_reader(self.reader.tile))
            yield row, tuple(inclusion_proof(row.number, self.last.size, node))


def export(
    workspace: BaseWorkspace, form: Form, folder: Path, progress: Progress | None = None
) -> Exported:
    """Write an export into a folder that is new or empty; all of it is there at the end, or none.

    The ledger is verified first, in the very view that is written.

    Raises:
        VerificationError: ``ledger.unsound``.
        InputError: ``export.not-empty``.
        ReportError: ``report.unwritable``.
        StoreError: the ledger cannot be read.
    """
    # NOTE: inside the view the storage module takes the disk's words for the database's.
    with (
        new_folder(folder) as target,
        _verified_view(workspace, progress) as view,
        told_as_report_error(folder),
    ):
        write = {
            Form.BUNDLES: _bundles,
            Form.PROOFS: _proofs,
            Form.TILES: _tiles,
            Form.INTOTO: _intoto,
        }[form]
        erased = write(view, target)
        if form is Form.TILES:
            _ledger(view, target, workspace)
    return Exported(folder, form, view.last, erased)


@contextmanager
def _verified_view(workspace: BaseWorkspace, progress: Progress | None) -> Iterator[_View]:
    tell = progress or (lambda done, total: None)
    vkey = workspace.ledger.vkey
    with workspace.storage.read() as reader:
        size = reader.size()
        verifier = LedgerVerifier(
            reader,
            vkey,
            workspace.config.root,
            workspace.kinds,
            lambda done, total: tell(done, 2 * total),
        )
        for _ in verifier.records():
            pass
        verified = VerifiedLedger(verifier.report, [], verifier.ring, verifier.last)
        last = verified.require()
        yield _View(reader, vkey, last, verifier.ring, lambda done: tell(size + done, 2 * size))


def _bundles(view: _View, target: Path) -> int:
    erased = 0
    note = view.last.note.to_bytes()
    for row, proof in view.proven():
        if not row.envelope:
            erased += 1
            continue
        envelope = Envelope.from_bytes(row.envelope)
        receipt = Receipt(envelope, leaf_key(row.leaf), row.number, proof, note)
        bundle = receipt.to_bundle(view.vkey, view.last.size, view.last.root)
        (target / receipt_name(row.number)).write_bytes(bundle)
    _, first = next(view.reader.checkpoints())
    began = verify_checkpoint(first, view.vkey).time
    (target / TRUSTED_ROOT).write_bytes(trusted_root(view.vkey, began))
    _vkey(view, target)
    _keys(view, target)
    return erased


def _proofs(view: _View, target: Path) -> int:
    erased = 0
    note = view.last.note.to_bytes()
    for row, proof in view.proven():
        place = tlog_proof(row.number, proof, note)
        (target / receipt_name(row.number, PROOF_ENDING)).write_bytes(place)
        (target / receipt_name(row.number, LEAF_ENDING)).write_bytes(row.leaf)
        erased += not row.envelope
    _vkey(view, target)
    return erased


def _intoto(view: _View, target: Path) -> int:
    _keys(view, target)
    erased = 0
    with (target / RECORDS).open("wb") as file:
        for row in view.rows():
            erased += _write_envelope(row, file)
    return erased


def _tiles(view: _View, target: Path) -> int:
    """The tree as it is served over HTTP, and the envelopes beside it."""
    (target / CHECKPOINT).write_bytes(view.last.note.to_bytes())
    _vkey(view, target)
    for level, number, hashes in view.reader.tiles():
        _put(target / tile_path(level, number, len(hashes) // HASH_SIZE), hashes)
    erased = 0
    bundle: list[bytes] = []
    with (target / RECORDS).open("wb") as file:
        for row in view.rows():
            erased += _write_envelope(row, file)
            bundle.append(len(row.leaf).to_bytes(2, "big") + row.leaf)
            if len(bundle) == WIDTH or row.number == view.last.size - 1:
                path = tile_path(ENTRIES, row.number // WIDTH, len(bundle))
                _put(target / path, b"".join(bundle))
                bundle.clear()
    return erased


def _ledger(view: _View, target: Path, workspace: BaseWorkspace) -> None:
    """What the tree does not hold, so that the whole ledger can be made again."""
    reader = view.reader
    _lines(target / CHECKPOINTS, ({"note": note.decode()} for _, note in reader.checkpoints()))
    _lines(
        target / ANCHORS,
        (
            {**item._asdict(), "proof": base64.b64encode(item.proof).decode()}
            for item in _anchors(reader)
        ),
    )
    erasures = sorted(reader.erasures().items())
    _lines(target / ERASURES, ({"number": number, "by": by} for number, by in erasures))
    (target / FILE_NAME).write_bytes((workspace.root / FILE_NAME).read_bytes())
    for name, schema in own_kinds(workspace.root / workspace.config.kinds).items():
        _put(target / KINDS / f"{name}.json", schema)
    for named in (workspace.config.policy, workspace.config.timestamp_roots):
        if named is not None:
            _beside_settings(workspace.root, target, named)


def _beside_settings(root: Path, target: Path, named: str) -> None:
    """Copy a file that muniment.yaml names, if it lies inside the workspace.

    Raises:
        InputError: ``export.name``: it would take the place of a file of the export.
    """
    place = Path(named)
    if place.is_absolute() or ".." in place.parts or not (root / place).is_file():
        return
    if (target / place).exists():
        raise InputError(
            "export.name",
            f"{FILE_NAME} names {named}, which is also the name of a file of the export",
            hint=f"give that file another name, and write it into {FILE_NAME}",
        )
    _put(target / place, (root / place).read_bytes())


def _anchors(reader: Reader) -> Iterator[StoredAnchor]:
    for kind in (TIMESTAMP, WITNESS):
        found, faults = stored_anchors(reader, kind)
        if faults:
            raise VerificationError("ledger.unsound", faults[0].message, found=faults[0].found)
        yield from found


def tile_path(level: int | str, number: int, width: int) -> str:
    """Where C2SP tlog-tiles puts a tile.

    Args:
        level: of the tree's tiles, or ``entries``.
        width: hashes or leaves in it; below 256 the tile is partial.
    """
    parts = [f"{number % 1000:03}"]
    while number := number // 1000:
        parts.insert(0, f"x{number % 1000:03}")
    partial = f".p/{width}" if width < WIDTH else ""
    return f"tile/{level}/{'/'.join(parts)}{partial}"


def _write_envelope(row: StoredEntry, file: BinaryIO) -> bool:
    """Write an envelope's line; whether there is none because the record was erased."""
    if row.envelope:
        file.write(row.envelope + b"\n")
    return not row.envelope


def _keys(view: _View, target: Path) -> None:
    for enrolled in view.ring:
        (target / f"key-{enrolled.enrolled:06d}.pem").write_text(enrolled.key.pem())


def _vkey(view: _View, target: Path) -> None:
    (target / VKEY).write_text(f"{view.vkey}\n")


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _lines(path: Path, values: Iterable[dict[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(value) + "\n" for value in values)
