"""The crosswalk as the packet shows it: controls that rest on evidence of other controls."""

from __future__ import annotations

from dataclasses import dataclass

from muniment.controls.coverage import ControlResult
from muniment.controls.crosswalk import Fit, Pair, Path, Source
from muniment.schemas.statement import RecordRef

from .model import PacketInput

CARRIED = "evidence.carried"
NOT_CARRIED = "evidence.not-carried"
MAX_LINES = 200
"""Most lines of one of the two tables; ``coverage.json`` names all."""


@dataclass(frozen=True, slots=True)
class Line:
    """Evidence of one control that came to another over a path of pairs."""

    control: ControlResult
    records: tuple[RecordRef, ...]
    hops: tuple[Pair, ...]
    held: bool
    """False where what came over says no."""

    @property
    def fit(self) -> Fit:
        """That of the weakest pair."""
        return Path(self.hops).fit

    @property
    def source(self) -> Source:
        """Inferred if any pair is."""
        return Path(self.hops).source


@dataclass(frozen=True, slots=True)
class Crossing:
    """Everything that came over pairs."""

    rests: tuple[Line, ...]
    """Evidence that counts, or that speaks against."""
    helps: tuple[Line, ...]
    """Evidence that settles nothing."""

    @property
    def controls(self) -> int:
        """How many controls rest on evidence that was carried over."""
        return len({line.control.id for line in self.rests if line.held})

    def by(self, source: Source) -> int:
        """How many distinct pairs of one source the first table uses."""
        pairs = {
            frozenset((hop.first, hop.second))
            for line in self.rests
            for hop in line.hops
            if hop.source is source
        }
        return len(pairs)


def crossing(packet: PacketInput) -> Crossing:
    """What the evaluator says came over pairs, each path of a control once with its records."""
    found: dict[tuple[str, bool, bool, tuple[Pair, ...]], list[RecordRef]] = {}
    controls = {control.id: control for control in packet.coverage.controls}
    for control in controls.values():
        for reason in control.reasons:
            if reason.path:
                held = reason.code != NOT_CARRIED
                key = (control.id, reason.code in (CARRIED, NOT_CARRIED), held, reason.path)
                found.setdefault(key, []).extend(reason.records)
    lines = [
        (rests, Line(controls[name], tuple(sorted(set(refs), key=_place)), hops, held))
        for (name, rests, held, hops), refs in found.items()
    ]
    return Crossing(
        tuple(line for rests, line in lines if rests),
        tuple(line for rests, line in lines if not rests),
    )


def _place(ref: RecordRef) -> int:
    return ref.index
