"""Four answers about one system at one moment, held against each other record for record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from muniment.controls.coverage import State

Document = Mapping[str, Any]
Controls = dict[str, Document]
_ANNEX = "iso-42001-2023:A."
_OF_THE_LINE = ("decided", "owners")
"""What a line of the statement of applicability has beside the coverage's entry."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The ``data`` of the ``--json`` documents, and the packet's own files."""

    coverage: Document
    gate: Document
    soa: Document
    packet: Document
    """``coverage.json``: what the evaluator answered."""
    packet_gate: Document
    """``gate.json``: what the gate made of it."""


def controls(coverage: Document) -> Controls:
    """The entries of a coverage document by full control id: state, reasons, records and all."""
    return {control["id"]: control for item in coverage["catalogs"] for control in item["controls"]}


def blocked(coverage: Controls, scope: set[str]) -> tuple[Controls, Controls]:
    """Which of the controls in scope block by their state, and which are excepted."""
    found = {name: item for name, item in coverage.items() if name in scope}
    gaps = {name: item for name, item in found.items() if State(item["state"]).is_gap}
    return gaps, {name: item for name, item in found.items() if "underlying" in item}


def by_id(entries: Any) -> Controls:
    """Entries of a list by full control id; none may stand in it twice."""
    found = {entry["id"]: entry for entry in entries}
    assert len(found) == len(entries)
    return found


def assert_agree(answers: Answers, scope: set[str]) -> None:
    """Every control has one entry, the same wherever it is shown.

    Args:
        scope: full ids of the controls that the gate blocks on.
    """
    covered = controls(answers.coverage)
    assert scope and scope <= covered.keys()
    # (1) the packet's evaluation
    embedded = controls(answers.packet)
    assert embedded and embedded.keys() <= covered.keys()
    assert embedded == {name: covered[name] for name in embedded}
    # (2) the statement of applicability
    lines = [
        {name: value for name, value in line.items() if name not in _OF_THE_LINE}
        for line in answers.soa["controls"]
    ]
    annex = {name: item for name, item in covered.items() if name.startswith(_ANNEX)}
    assert len(annex) == 38
    assert by_id(lines) == annex
    # (3) the gate
    gaps, excepted = blocked(covered, scope)
    assert by_id(answers.gate["blocking"]) == gaps
    assert by_id(answers.gate["excepted"]) == excepted
    assert answers.gate["passed"] is (not gaps)
    # (4) the packet's verdict
    said = {item["control"]: item["state"] for item in answers.packet_gate["blocking"]}
    assert said == {name: item["state"] for name, item in gaps.items()}
    assert answers.packet_gate["passed"] is (not gaps)
