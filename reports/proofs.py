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
``sample.json``           records drawn for the auditor to test, if the pages show any
``pages.json``            what the pages say beside that, and what set them (``printed.py``)
``logo.png``, ``….svg``   the logo on the cover, if there is one (``cover.py``)
``anchors.json`` …        who outside saw a checkpoint, and earlier packets (``earlier.py``)
``artifact-SHA256``       stored files, where asked for (``artifactfiles.py``)
``manifest.json``         SHA-256 and size of each of the above, and of the page content
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
from muniment.controls.index import SAMPLE_TEST
from muniment.controls.profile import Profile
from muniment.controls.sample import Sample
from muniment.evidence.checkpoint import SignedCheckpoint
from muniment.evidence.ledger import Ledger
from muniment.evidence.receipt import trusted_root
from muniment.evidence.trust import KEY_KIND, KeyRing
from muniment.schemas.derivation import Derivation, Derived
from muniment.schemas.kinds import Kind, KindRegistry
from muniment.schemas.record import Record
from muniment.schemas.text import counted
from muniment.schemas.times import format_time

from .archival import MANIFEST
from .artifactfiles import LeftOut
from .model import Embedded
from .receipts import BUNDLE_ENDING

MANIFEST_WORDS = "Digest of every embedded file"
CROSSWALK = "crosswalk.json"
INPUT = "input.json"
COVERAGE = "coverage.json"
GATE = "gate.json"
SAMPLE = "sample.json"
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
    sample: Sample | None = None,
    more: Sequence[Embedded] = (),
    left_out: Sequence[LeftOut] = (),
) -> list[Embedded]:
    """All files to embed, the manifest last.

    Args:
        records: the records about the system and every key record, in ledger order.
        crosswalk: the pairs between ``catalogs``.
        more: files made elsewhere.
        left_out: artifacts that are not embedded.
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
        _history(ledger, checkpoint, records, sample),
        *_keys(ring),
        *_own_kinds(records, kinds),
        *(document_file(catalog_name(item.id), item.to_json(), item.name) for item in catalogs),
        document_file(CROSSWALK, crosswalk.to_json(), "Pairs between the catalogs"),
        document_file(INPUT, _input(records, profile, coverage), "What the evaluator was given"),
        document_file(COVERAGE, coverage.to_json(), "What the evaluator answered"),
        document_file(GATE, gate_document(decision), "What the gate answered"),
        *more,
    ]
    if sample is not None:
        files.append(document_file(SAMPLE, sample.to_json(), "Records drawn for the auditor"))
    return [*files, document_file(MANIFEST, manifest(files, left_out), MANIFEST_WORDS)]


def manifest(files: Sequence[Embedded], left_out: Sequence[LeftOut] = ()) -> dict[str, Any]:
    """The manifest's document; ``write_pdf`` adds the digests of the pages as ``pages``."""
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
        "left_out": [item.to_json() for item in left_out],
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


def _history(
    ledger: Ledger,
    checkpoint: SignedCheckpoint,
    records: Sequence[Record],
    sample: Sample | None,
) -> Embedded:
    """Where recorded times come from: the first checkpoint over each record, tied to the last.

    Those that seed samples are there too.
    """
    sizes = {
        record.statement.body["checkpoint"]["size"]
        for record in records
        if record.kind == SAMPLE_TEST
    }
    sizes |= set() if sample is None else {sample.seed.size}
    last = [size - 1 for size in sizes if size <= checkpoint.size]
    firsts = ledger.recording_checkpoints([*(record.index for record in records), *last])
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
    return document_file(HISTORY, {"checkpoints": steps}, "Checkpoints that date the records")


def key_files(ring: KeyRing) -> Iterator[tuple[str, bytes]]:
    """Name and content of the file of each enrolled key."""
    for enrolled in ring:
        yield f"key-{enrolled.enrolled:06d}.pem", enrolled.key.pem().encode()


def names(given: Mapping[str, Any]) -> set[str]:
    """Names of the proofs that a packet may have, but for keys and the Sigstore root.

    Args:
        given: ``input.json``.
    """
    return {
        *(receipt_name(index) for index in (*given["records"], *given["keys"])),
        *(catalog_name(name) for name in (*given["catalogs"], *given["sources"])),
        *(INPUT, COVERAGE, GATE, CROSSWALK, CHECKPOINT, VKEY, HISTORY, SAMPLE),
    }


def _keys(ring: KeyRing) -> Iterator[Embedded]:
    for enrolled, (name, data) in zip(ring, key_files(ring), strict=True):
        words = f"Public key of {enrolled.signer.name}"
        yield Embedded(name, data, "application/x-pem-file", "Data", words)


def _own_kinds(records: Sequence[Record], kinds: KindRegistry) -> Iterator[Embedded]:
    used = {record.kind for record in records}
    for kind in kinds:
        if kind.name in used and not kind.built_in:
            yield _own_kind(kind)


def _own_kind(kind: Kind) -> Embedded:
    return document_file(kind_name(kind.name), dict(kind.schema), f"Kind {kind.name}")


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


def document_file(name: str, value: Mapping[str, Any], description: str) -> Embedded:
    """A JSON document to embed."""
    data = json.dumps(value, ensure_ascii=False, indent=1).encode()
    return Embedded(name, data, _JSON, "Data", description)
