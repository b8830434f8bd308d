"""How the limits and checks of one record ended: counted, and in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from muniment.schemas.record import Record
from muniment.schemas.text import counted

from . import views

UNSHOWN = ("skipped", "not-run")
"""Outcomes of a check that showed nothing, neither a pass nor a failure."""


@dataclass(frozen=True, slots=True)
class Tally:
    """What was held against a limit or checked, and what came of it."""

    limits: int
    broken: int
    """Limits that a metric does not keep."""
    checks: int
    failed: int
    """Checks that failed, or ended in an error."""
    skipped: int
    not_run: int

    @property
    def good(self) -> bool | None:
        """Whether all was shown to hold; None where nothing failed and something was not shown."""
        if self.broken or self.failed:
            return False
        return None if self.skipped or self.not_run or not (self.limits or self.checks) else True

    @property
    def short(self) -> str:
        """In a few words: ``1 metric, 2 checks failed``."""
        bad = ((self.broken, "metric"), (self.failed, "check"))
        faults = [counted(number, word) for number, word in bad if number]
        if faults:
            return f"{', '.join(faults)} failed"
        unshown = self.skipped + self.not_run
        if unshown:
            return f"{unshown:,} of {counted(self.checks, 'check')} not run"
        return "all hold" if self.limits or self.checks else "no threshold"

    @property
    def full(self) -> str:
        """All of it: ``1 of 2 limits not kept; 2 of 7 checks failed, 2 skipped``."""
        return "; ".join(self._parts()) or "no threshold"

    def _parts(self) -> Iterator[str]:
        if self.limits:
            limits = counted(self.limits, "limit")
            yield f"{self.broken:,} of {limits} not kept" if self.broken else f"{limits} kept"
        if self.checks:
            yield self.checked

    @property
    def checked(self) -> str:
        """The checks alone: ``2 of 7 checks failed, 2 skipped``; ``4 checks passed``."""
        checks = counted(self.checks, "check")
        rest = ((self.skipped, "skipped"), (self.not_run, "not run"))
        ended = [f"{number:,} {word}" for number, word in rest if number]
        if self.failed:
            ended.insert(0, f"{self.failed:,} of {checks} failed")
        elif ended:
            passed = self.checks - self.skipped - self.not_run
            ended.insert(0, f"{passed:,} of {checks} passed")
        return ", ".join(ended) or f"{checks} passed"


def tally(record: Record) -> Tally:
    """Count what a record's metrics and checks say."""
    held = [metric.held for metric in views.metrics(record) if metric.held is not None]
    ended = [check.get("outcome") for check in views.checks(record)]
    skipped, not_run = (ended.count(outcome) for outcome in UNSHOWN)
    failed = len(ended) - ended.count("pass") - skipped - not_run
    return Tally(len(held), held.count(False), len(ended), failed, skipped, not_run)
