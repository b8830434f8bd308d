"""Which moments are judged: none before there was anything to know."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from muniment.reports.workspace import Workspace
from muniment.schemas.errors import InputError

SYSTEM = {
    "name": "Credit risk",
    "purpose": "Scores loans.",
    "phase": "pilot",
    "riskTier": "high",
    "owner": {"name": "Ada Example", "email": "ada@example.com"},
}
ASKED: dict[str, Callable[[Workspace, Any], Any]] = {
    "coverage": lambda office, day: office.coverage(as_of=day),
    "views": lambda office, day: office.views(as_of=day),
    "gate": lambda office, day: office.gate(as_of=day, dry_run=True),
    "soa": lambda office, day: office.soa(as_of=day),
    "packet": lambda office, day: office.packet(as_of=day),
    "oscal": lambda office, day: office.export_oscal(office.root / "oscal", as_of=day),
}


@pytest.mark.parametrize("answer", ASKED)
def test_a_system_that_was_not_registered_yet(
    answer: str, make_workspace: Callable[..., Any], clock: Any
) -> None:
    """Of a day between the ledger's first record and the system's nothing is answered, and the
    error names the first day of which something is known; from then on it is."""
    root: Path = make_workspace(frameworks=["iso-42001-2023"]).root
    office = Workspace(root, clock=clock)
    clock.move(days=10)
    record = office.attach("system", system="credit-risk@1.0.0", body=SYSTEM).record
    ask = ASKED[answer]
    with pytest.raises(InputError) as caught:
        ask(office, record.recorded_at - timedelta(days=1))
    assert caught.value.code == "system.not-yet"
    assert f"{record.recorded_at:%Y-%m-%dT%H:%M}" in str(caught.value.expected)
    with pytest.raises(InputError) as caught:
        ask(office, record.recorded_at - timedelta(days=20))
    assert caught.value.code == "coverage.before-ledger"
    assert not (root / "oscal").exists()
    assert office.coverage(as_of=record.recorded_at).considered == 1
    office.storage.close()
