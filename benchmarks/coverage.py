"""Coverage and gate of one system in a ledger of many, against reading its records once."""

from dataclasses import replace
from pathlib import Path

from muniment import Workspace
from muniment.evidence.dsse import Envelope
from muniment.evidence.entry import Entry
from muniment.schemas.statement import Statement, SystemRef

from .ledgers import BATCH, SYSTEM, append, new_workspace, sign
from .measure import Case

ROUNDS = 3
SIZE = 100_000
FEW = 1000
FRAMEWORKS = (
    *("nist-ai-rmf-1.0", "nist-ai-600-1", "iso-42001-2023"),
    *("eu-ai-act-high-risk", "readiness-gate"),
)


def cases(size: int, folder: Path) -> list[Case]:
    """Ledgers in which one system has all records, or one in a hundred; all catalogs."""
    whole, some, few = (
        new_workspace(folder / name, records)
        for name, records in (("whole", size), ("some", max(size // 100, 1)), ("few", FEW))
    )
    _add_others(some, size - size // 100)
    for workspace in (whole, some):
        # Once for each machine; later answers rest on it.
        workspace.verify()

    def read(workspace: Workspace) -> int:
        with workspace.storage.read() as reader:
            rows = reader.find(system_id=SYSTEM.id, system_version=SYSTEM.version)
        for row in rows:
            Entry.from_stored(row.number, row.envelope, row.leaf)
        return 1

    def verify(workspace: Workspace) -> int:
        workspace.verified().require()
        return 1

    def cover(workspace: Workspace) -> int:
        return len(workspace.coverage(str(SYSTEM), frameworks=FRAMEWORKS).controls) and 1

    def gate() -> int:
        few.gate(str(SYSTEM), dry_run=True)
        return 1

    reading, reading_some = "read the system's records", "read one record in a hundred"
    return [
        Case(reading, lambda: read(whole)),
        Case("Workspace.verified", lambda: verify(whole), (reading,)),
        Case("Workspace.coverage", lambda: cover(whole), (reading,), aim=2),
        Case(reading_some, lambda: read(some)),
        Case("coverage of one record in a hundred", lambda: cover(some), (reading_some, reading)),
        Case(f"Workspace.gate of {FEW:,} records", gate, (reading,)),
    ]


def _add_others(workspace: Workspace, number: int) -> None:
    """As many records of another system."""
    other = SystemRef("other", "1.0.0")
    key = workspace.signing_key
    for start in range(0, number, BATCH):
        batch = sign(workspace, range(start, min(start + BATCH, number)))
        statements = (Statement.from_payload(envelope.payload) for envelope, _ in batch)
        moved = (replace(item, system=other, subjects=(other.descriptor(),)) for item in statements)
        append(workspace, [(Envelope.sign(item.to_payload(), key), key) for item in moved])
