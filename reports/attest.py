"""Third parties' attestations as evidence: verified with the keys given, kept as they came.

A foreign statement has a foreign signature, and a record needs one by an enrolled key. So the
record is of kind ``attestation``, signed by whoever imports; its first subject is the foreign file,
in the artifact store byte for byte, the others are the files that the statement speaks of, so that
it counts for the models among them and no others. The keys are on record as well, so that
``muniment verify`` does all of it again. What else a Sigstore bundle holds, such as a certificate
or another log's entry, is kept and not judged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from muniment.controls.claims import remarks
from muniment.evidence.attestation import KIND, MAX_FILE, key_entry, read_attestations
from muniment.evidence.draft import Evidence
from muniment.evidence.keys import PublicKey
from muniment.evidence.workspace import Attached
from muniment.schemas.files import read_small
from muniment.schemas.statement import Subject, SystemRef

if TYPE_CHECKING:
    from .workspace import Workspace


def import_attestations(
    workspace: Workspace,
    file: Path,
    keys: Sequence[PublicKey],
    system: str | None,
    controls: Sequence[str],
) -> list[Attached]:
    """Append a record for each attestation in ``file``; all are verified before the first.

    Raises:
        SignatureError: ``attestation.signature``.
        InputError: ``attestation.…``, or what attaching raises.
    """
    data = read_small(file, MAX_FILE)
    sha256 = hashlib.sha256(data).hexdigest()
    claims = [workspace.control(text) for text in controls]
    catalogs = [workspace.catalog(name) for name in sorted({c.partition(":")[0] for c in claims})]
    about = SystemRef.parse(system) if system is not None else None
    drafts = []
    for attestation in read_attestations(data):
        signers = [key_entry(key) for key in attestation.signers(keys)]
        facts = attestation.facts()
        drafts.append(
            Evidence(
                kind=KIND,
                system=about,
                files=[file],
                controls=claims,
                body={**facts, "keys": signers},
                collected_at=attestation.finished_at(),
                subjects=[
                    Subject(item["name"], {"sha256": item["sha256"]}) for item in facts["artifacts"]
                ],
                read={file: sha256},
            )
        )
    taken = []
    for draft in drafts:
        attached = workspace.add(draft)
        said = remarks(attached.record, catalogs, workspace.catalogs)
        taken.append(replace(attached, warnings=(*attached.warnings, *said)))
    return taken
