"""What every form of a packet says of a record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from muniment.reports import views

if TYPE_CHECKING:
    from muniment.controls.coverage import ControlResult
    from muniment.reports.model import PacketInput
    from muniment.schemas.record import Record


@dataclass(frozen=True, slots=True)
class RecordFacts:
    """One record with what the rest of the packet says of it."""

    record: Record
    counts_for: tuple[str, ...]
    """Full ids of the controls that it counts for, as evidence or approval."""
    approved_by: tuple[Record, ...]
    superseded_by: int | None
    """Place of the record that took its place."""
    fresh_until: datetime | None
    """When the first control lapses that is met or waived and stands on it; None without one."""

    @property
    def commits(self) -> tuple[str, ...]:
        """Git commits of its files, each once."""
        links = (subject.git for subject in self.record.statement.subjects)
        return tuple(
            dict.fromkeys(str(git["commit"]) for git in links if git and git.get("commit"))
        )


def register(packet: PacketInput) -> tuple[RecordFacts, ...]:
    """Every record of the packet, in the ledger's order."""
    counted = views.counted_for(packet)
    approvers = views.approvers(packet)
    replaced = views.replaced(packet)
    lapses = _lapses(packet.coverage.controls)
    return tuple(
        RecordFacts(
            record,
            counted.get(record.index, ()),
            approvers.get(record.index, ()),
            replaced.get(record.index),
            lapses.get(record.index),
        )
        for record in packet.records
    )


def _lapses(controls: Iterable[ControlResult]) -> dict[int, datetime]:
    found: dict[int, datetime] = {}
    for control in controls:
        if control.fresh_until is None:
            continue
        for ref in control.evidence:
            found[ref.index] = min(control.fresh_until, found.get(ref.index, control.fresh_until))
    return found
