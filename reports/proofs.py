"""The proof inside a packet: the files it embeds, from which everything it says can be recomputed.

========================  ==========================================================================
``receipt-NNNNNN…``       each record as a Sigstore bundle v0.3, under the packet's checkpoint
``trusted_root.json``     the Sigstore trusted root naming the ledger
``ledger.vkey``           the ledger's C2SP verifier key
``checkpoint.txt``        the checkpoint, a C2SP signed note
``history.json``          checkpoints that first covered each record, with consistency proofs
``key-NNNNNN.pem``        public keys, by the record that enrolled them
``kind-….json``           the workspace's own kinds that records use
``catalog-….json``        catalogs with their requirements
``crosswalk.json``        the pairs between those catalogs
``input.json``            what the evaluator was given
``coverage.json``         what the evaluator answered
``gate.json``             what the gate answered
``manifest.json``         SHA-256 and size of each of the above
========================  ==========================================================================
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from muniment.controls.catalog import Catalog
from muniment.controls.coverage import Coverage
from muniment.controls.crosswalk import Crosswalk
from muniment.controls.gate import GateDecision
from muniment.controls.profile import Profile
from muniment.evidence.checkpoint import SignedCheckpoint
from muniment.evidence.ledger import Ledger
from muniment.evidence.receipt import trusted_root
from muniment.evidence.trust import KEY_KIND, KeyRing
from muniment.schemas.derivation import Derivation, Derived
from muniment.schemas.kinds import Kind, KindRegistry
from muniment.schemas.record import Record
from muniment.schemas.text import counted
from muniment.schemas.times import format_time

from .model import Embedded
from .receipts import BUNDLE_ENDING

MANIFEST = "manifest.json"
MANIFEST_WORDS = "Digest of every embedded file"
CROSSWALK = "crosswalk.json"
INPUT = "input.json"
COVERAGE = "coverage.json"
GATE = "gate.json"
CHECKPOINT = "checkpoint.txt"
VKEY = "ledger.vkey"
HISTORY = "history.json"
TRUSTED_ROOT = "trusted_root.json"
_JSON = "application/json"


def receipt_name(index: int, ending: str = BUNDLE_ENDING) -> str:
    """File name of a record's receipt, in one of its forms."""
    return f"receipt-{index:06d}{ending}"


def catalog_name(catalog: str) -> str:
    """File name of a catalog."""
    return f"catalog-{catalog}.json"


def kind_name(kind: str) -> str:
    """File name of a workspace's own kind."""
    return f"kind-{kind}.json"


def proof_files(
    ledger: Ledger,
    checkpoint: SignedCheckpoint,
    records: Sequence[Record],
    ring: KeyRing,
    kinds: KindRegistry,
    catalogs: Sequence[Catalog],
    crosswalk: Crosswalk,
    profile: Profile,
    coverage: Coverage,
    decision: GateDecision,
) -> list[Embedded]:
    """All files to embed, the manifest last.

    Args:
        records: the records about the system and every key record, in ledger order.
        crosswalk: the pairs between ``catalogs``.
    """
    files = [
        *_receipts(ledger, checkpoint, records),
        Embedded(CHECKPOINT, checkpoint.note.to_bytes(), "text/plain", "Data", "Checkpoint"),
        Embedded(VKEY, f"{ledger.vkey}\n".encode(), "text/plain", "Data", "Ledger's verifier key"),
        Embedded(
            TRUSTED_ROOT,
            trusted_root(ledger.vkey, records[0].recorded_at),
            _JSON,
            "Data",
            "Sigstore trusted root",
        ),
        _history(ledger, checkpoint, records),
        *_keys(ring),
        *_own_kinds(records, kinds),
        *(_document(catalog_name(item.id), item.to_json(), item.name) for item in catalogs),
        _document(CROSSWALK, crosswalk.to_json(), "Pairs between the catalogs"),
        _document(INPUT, _input(records, profile, coverage), "What the evaluator was given"),
        _document(COVERAGE, coverage.to_json(), "What the evaluator answered"),
        _document(GATE, gate_document(decision), "What the gate answered"),
    ]
    return [*files, _document(MANIFEST, manifest(files), MANIFEST_WORDS)]


def manifest(files: Sequence[Embedded]) -> dict[str, Any]:
    """The manifest's document."""
    return {
        "schema_version": 1,
        "files": [
            {
                "name": file.name,
                "sha256": hashlib.sha256(file.data).hexdigest(),
                "size": len(file.data),
                "description": file.description,
            }
            for file in files
        ],
    }


def gate_document(decision: GateDecision) -> dict[str, Any]:
    """The gate's answer, as it is embedded and compared."""
    return {
        "passed": decision.passed,
        "blocking": [
            {"control": control.id, "state": str(control.state)} for control in decision.blocking
        ],
    }


def derivation_words(derivations: Sequence[Derivation]) -> str | None:
    """What was found when records were held against their files; None if none was."""
    made = [item for item in derivations if item.code is not Derived.NOT_CHECKED]
    if not made:
        return None
    held = len([item for item in made if not item.is_fault])
    return (
        f"{held:,} of {counted(len(made), 'record')} agreed with the tools' files that they were "
        "read from when the packet was made; without those files nobody can repeat that"
    )


def _receipts(
    ledger: Ledger, checkpoint: SignedCheckpoint, records: Sequence[Record]
) -> Iterator[Embedded]:
    kinds = {record.index: record.kind for record in records}
    for receipt in ledger.receipts(list(kinds), checkpoint):
        yield Embedded(
            receipt_name(receipt.index),
            receipt.to_bundle(ledger.vkey, checkpoint.size, checkpoint.root),
            _JSON,
            "Data",
            f"Receipt of record #{receipt.index}, {kinds[receipt.index]}",
        )


def _history(ledger: Ledger, checkpoint: SignedCheckpoint, records: Sequence[Record]) -> Embedded:
    """Where recorded times come from: the first checkpoint over each record, tied to the last."""
    firsts = ledger.recording_checkpoints([record.index for record in records])
    notes = {signed.size: signed for signed in firsts.values()}
    steps = [
        {
            "size": size,
            "note": signed.note.to_bytes().decode(),
            "consistency": [
                base64.b64encode(item).decode()
                for item in ledger.consistency(size, checkpoint.size)
            ],
        }
        for size, signed in sorted(notes.items())
    ]
    return _document(HISTORY, {"checkpoints": steps}, "Checkpoints that date the records")


def _keys(ring: KeyRing) -> Iterator[Embedded]:
    for enrolled in ring:
        yield Embedded(
            f"key-{enrolled.enrolled:06d}.pem",
            enrolled.key.pem().encode(),
            "application/x-pem-file",
            "Data",
            f"Public key of {enrolled.signer.name}",
        )


def _own_kinds(records: Sequence[Record], kinds: KindRegistry) -> Iterator[Embedded]:
    used = {record.kind for record in records}
    for kind in kinds:
        if kind.name in used and not kind.built_in:
            yield _own_kind(kind)


def _own_kind(kind: Kind) -> Embedded:
    return _document(kind_name(kind.name), dict(kind.schema), f"Kind {kind.name}")


def _input(records: Sequence[Record], profile: Profile, coverage: Coverage) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "system": coverage.system.to_json(),
        "as_of": format_time(coverage.as_of),
        # NOTE: only a digest the caller gave is input; one that a record names is found again.
        "artifact_sha256": coverage.artifact if coverage.artifact_from is None else None,
        "profile": profile.to_json(),
        "catalogs": [catalog.catalog for catalog in coverage.catalogs],
        "sources": list(coverage.sources),
        "records": [record.index for record in records if record.kind != KEY_KIND],
        "keys": [record.index for record in records if record.kind == KEY_KIND],
        "derivations": [item.to_json() for item in coverage.derivations],
    }


def _document(name: str, value: Mapping[str, Any], description: str) -> Embedded:
    data = json.dumps(value, ensure_ascii=False, indent=1).encode()
    return Embedded(name, data, _JSON, "Data", description)
