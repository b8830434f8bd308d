"""Measuring: cases take turns, and each is compared with its floors round by round.

On a machine that others use, absolute times say little; the median of ratios between neighbours in
time says much.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log
from statistics import median


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure."""

    name: str
    run: Callable[[], int]
    """Does the work and says how many pieces it was."""
    floors: tuple[str, ...] = ()
    """Cases to compare with; a floor itself has none."""
    aim: float | None = None
    """The ratio to the first floor that is aimed at."""
    size: int | None = None
    """What the work grows with, where its growth over the first floor is of interest."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What came out for one case."""

    case: str
    seconds: float
    """Median wall time of a run."""
    per_second: float
    """Pieces of work."""
    ratios: dict[str, float]
    """Floor to median ratio of time per piece."""
    aim: float | None
    growth: float | None
    """Exponent of the growth of time with size, from the first floor to this case."""


def measure(subject: str, cases: Sequence[Case], rounds: int) -> list[Measured]:
    """Run every case once a round."""
    paces: dict[str, list[float]] = {case.name: [] for case in cases}
    pieces: dict[str, int] = {}
    for number in range(1, rounds + 1):
        print(f"{subject}: round {number} of {rounds}", file=sys.stderr, flush=True)
        for case in cases:
            start = time.perf_counter()
            pieces[case.name] = case.run()
            paces[case.name].append((time.perf_counter() - start) / pieces[case.name])

    def ratio(name: str, floor: str) -> float:
        return median(mine / its for mine, its in zip(paces[name], paces[floor], strict=True))

    def growth(case: Case) -> float | None:
        floor = next((item for item in cases if item.name in case.floors), None)
        if floor is None or not floor.size or not case.size:
            return None
        work = pieces[case.name] / pieces[floor.name]
        return round(log(ratio(case.name, floor.name) * work) / log(case.size / floor.size), 3)

    return [
        Measured(
            case.name,
            round(median(paces[case.name]) * pieces[case.name], 6),
            round(1 / median(paces[case.name]), 3),
            {floor: round(ratio(case.name, floor), 3) for floor in case.floors},
            case.aim,
            growth(case),
        )
        for case in cases
    ]
