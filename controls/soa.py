"""The statement of applicability: every Annex A control of ISO/IEC 42001, and what was decided.

Made of a coverage and the records it was made from; nothing is taken to apply, or not to, unless an
approver signed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from muniment.schemas.errors import InputError
from muniment.schemas.record import Record
from muniment.schemas.statement import SystemRef
from muniment.schemas.times import format_time

from .coverage import ControlResult, Coverage
from .crosschecks import is_in_force
from .index import OWNER, Index, build_index

CATALOG = "iso-42001-2023"
_ANNEX = f"{CATALOG}:A."


@dataclass(frozen=True, slots=True)
class SoaLine:
    """One control of the statement."""

    control: ControlResult
    owners: tuple[str, ...]
    """People to whom a record in force assigns the control; empty where nobody is."""

    @property
    def short_id(self) -> str:
        """The id without its catalog, such as ``A.6.2.4``."""
        return self.control.id.partition(":")[2]

    @property
    def decided(self) -> str:
        """``applicable``, ``not applicable`` or ``not decided``."""
        said = self.control.applicability
        if said is None:
            return "not decided"
        return "applicable" if said.applicable else "not applicable"

    @property
    def justification(self) -> str | None:
        said = self.control.applicability
        return said.justification if said else None

    def to_json(self) -> dict[str, Any]:
        """The line as the ``--json`` document shows it: the coverage's entry, and the owners."""
        return {
            **self.control.to_json(),
            "decided": self.decided,
            "owners": list(self.owners),
        }


@dataclass(frozen=True, slots=True)
class Soa:
    """The statement of applicability of one system version at one time."""

    system: SystemRef
    as_of: datetime
    catalog_sha256: str
    lines: tuple[SoaLine, ...]
    """Every control of Annex A, in its order."""

    def counts(self) -> Mapping[str, int]:
        """Number of controls by what was decided, every answer present."""
        found = dict.fromkeys(("applicable", "not applicable", "not decided"), 0)
        for line in self.lines:
            found[line.decided] += 1
        return found

    def to_json(self) -> dict[str, Any]:
        """The statement as the ``--json`` document shows it."""
        return {
            "system": self.system.to_json(),
            "as_of": format_time(self.as_of),
            "catalog": CATALOG,
            "catalog_sha256": self.catalog_sha256,
            "counts": dict(self.counts()),
            "controls": [line.to_json() for line in self.lines],
        }


def statement_of_applicability(coverage: Coverage, records: Iterable[Record]) -> Soa:
    """The statement that ``coverage`` amounts to.

    Args:
        records: those that the coverage was made from; the owners are read from them.

    Raises:
        InputError: ``soa.no-catalog``, the coverage does not hold ISO/IEC 42001.
    """
    found = next((item for item in coverage.catalogs if item.catalog == CATALOG), None)
    if found is None:
        raise InputError(
            "soa.no-catalog",
            f"the coverage does not hold {CATALOG}",
            found=", ".join(item.catalog for item in coverage.catalogs),
        )
    index = build_index(records, coverage.system, coverage.as_of, coverage.artifact)
    lines = tuple(
        SoaLine(control, _owners(index, control.id, coverage.as_of))
        for control in found.controls
        if control.id.startswith(_ANNEX)
    )
    return Soa(coverage.system, coverage.as_of, found.sha256, lines)


def _owners(index: Index, control: str, as_of: datetime) -> tuple[str, ...]:
    claiming = sorted(index.claims.get(control, {}).values(), key=lambda record: record.index)
    names = [
        str(record.statement.body["person"]["name"])
        for record in claiming
        if record.kind == OWNER and is_in_force(record, as_of) and not index.rejections(record)
    ]
    return tuple(dict.fromkeys(names))
