"""What a packet's pages say of each control, held against the coverage in it.

Read are the tables of the structure tree: every table with the columns *Control* and *State*, the
matrix of each framework, the counts of the summary and of each area, and the dates of what lapses.
Spaces are not compared: a line's end has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from muniment.controls.coverage import State
from muniment.schemas.finding import Check, Finding
from muniment.schemas.times import parse_time

from . import views
from .charts import LABELS
from .pagetext import Element
from .printable import plain

_HEADINGS = frozenset({"H1", "H2", "H3", "H4", "H5", "H6"})
_CONTROL, _STATE, _TITLE, _LAPSES = "Control", "State", "Title", "Lapses"
_ALL, _UNTIL = "All", "freshuntil"


@dataclass(slots=True)
class Table:
    """One table, the parts of it on several pages put together; every text without spaces."""

    heading: str
    header: tuple[str, ...]
    rows: list[list[str]] = field(default_factory=list)

    def column(self, row: Sequence[str], name: str) -> str:
        """The cell of ``row`` under a column's heading."""
        return row[self.header.index(name)]


def compare_pages(check: Check, root: Element, coverage: Mapping[str, Any]) -> None:
    """Compare; what differs is a finding, and so is a framework without its matrix.

    Args:
        root: the structure tree.
        coverage: the coverage document.
    """
    tables = _tables(root)
    controls = {control["id"]: control for control in _controls(coverage["catalogs"])}
    _check_states(check, tables, controls)
    for catalog in coverage["catalogs"]:
        _check_matrix(check, tables, catalog)
    _check_areas(check, tables, coverage["catalogs"])
    _check_counts(check, tables, list(controls.values()))


def bare(text: str) -> str:
    """``text`` without any space."""
    return "".join(text.split())


def _tables(root: Element) -> list[Table]:
    found: list[Table] = []
    heading, is_new = "", True
    for element in root.walk():
        if element.tag in _HEADINGS:
            heading, is_new = bare(element.text), True
        if element.tag != "Table":
            continue
        header, *rows = list(_rows(element)) or [[]]
        if is_new or found[-1].header != tuple(header):
            found.append(Table(heading, tuple(header)))
            is_new = False
        for row in rows:
            _add(found[-1], row)
    return found


def _add(table: Table, row: list[str]) -> None:
    # NOTE: a row that goes on over a page's end has no text in its first cell there.
    goes_on = bool(table.rows) and len(row) == len(table.header) and not row[0]
    if goes_on and len(table.rows[-1]) == len(row):
        table.rows[-1] = [one + other for one, other in zip(table.rows[-1], row, strict=True)]
    else:
        table.rows.append(row)


def _rows(table: Element) -> Iterator[list[str]]:
    for element in table.walk():
        if element.tag == "TR":
            yield [bare(cell.text) for cell in element.children if cell.tag in ("TH", "TD")]


def _controls(catalogs: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for catalog in catalogs:
        yield from catalog["controls"]


def _short(control: Mapping[str, Any]) -> str:
    return _printed(views.short_id(str(control["id"])))


def _label(control: Mapping[str, Any]) -> str:
    return bare(LABELS[State(control["state"])])


def _printed(text: str) -> str:
    return bare(plain(text))


def _check_states(
    check: Check, tables: Sequence[Table], controls: Mapping[str, Mapping[str, Any]]
) -> None:
    """Wherever a control's state or the day it lapses is printed, it is that of the coverage."""
    by_short: dict[str, list[Mapping[str, Any]]] = {}
    for control in controls.values():
        by_short.setdefault(_short(control), []).append(control)
    readings: dict[str, Callable[[Mapping[str, Any]], str | None]] = {_STATE: _label, _LAPSES: _day}
    for table in tables:
        for name, reading in readings.items():
            if not {_CONTROL, name} <= set(table.header):
                continue
            for row in table.rows:
                if len(row) != len(table.header):
                    continue
                short, found = table.column(row, _CONTROL), table.column(row, name)
                expected = {reading(control) for control in by_short.get(short, ())}
                _compare(check, found in expected, short, " or ".join(map(str, expected)), found)


def _check_matrix(check: Check, tables: Sequence[Table], catalog: Mapping[str, Any]) -> None:
    """The matrix of a framework names every control once, in the framework's order."""
    name = _printed(str(catalog["name"]))
    wanted = {_CONTROL, _TITLE, _STATE}
    for table in tables:
        if table.heading == name and wanted <= set(table.header):
            break
    else:
        _compare(check, False, str(catalog["name"]), "its control matrix", "none")
        return
    rows = [row for row in table.rows if len(row) == len(table.header)]
    printed = [table.column(row, _CONTROL) for row in rows]
    grouped = _by_group(catalog["controls"])
    expected = [_short(control) for control in grouped]
    what = f"the controls of {catalog['name']}"
    _compare(check, printed == expected, what, f"{len(expected)}", f"{len(printed)}")
    for control, row in zip(grouped, rows, strict=False):
        title = table.column(row, _TITLE)
        same = title == _printed(str(control["title"]))
        _compare(check, same, str(control["id"]), str(control["title"]), title)
        day = _day(control)
        if day is not None and control["state"] == State.MET:
            _compare(check, f"{_UNTIL}{day}" in row[-1], str(control["id"]), day, row[-1])


def _by_group(controls: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for control in controls:
        groups.setdefault(str(control["group"]), []).append(control)
    return [control for group in groups.values() for control in group]


def _check_counts(
    check: Check, tables: Sequence[Table], controls: Sequence[Mapping[str, Any]]
) -> None:
    """The summary counts every state that there is."""
    total = {label: str(number) for label, number in _count(controls).items()}
    found = [table for table in tables if table.header[:2] == (_STATE, "Controls")]
    printed = {row[0]: row[1] for table in found for row in table.rows if len(row) > 1}
    expected = {label: n for label, n in total.items() if n != "0" or label in printed}
    _compare(check, printed == expected, "the summary's counts", str(expected), str(printed))


def _check_areas(
    check: Check, tables: Sequence[Table], catalogs: Sequence[Mapping[str, Any]]
) -> None:
    """Every line of a heat map counts the states of a framework or of one of its areas."""
    counted: dict[str, list[dict[str, int]]] = {}
    for catalog in catalogs:
        areas: dict[str, list[Mapping[str, Any]]] = {}
        for control in catalog["controls"]:
            areas.setdefault(str(control["group"]), []).append(control)
        for name, controls in [(str(catalog["name"]), catalog["controls"]), *areas.items()]:
            total = {**_count(controls), _ALL: len(controls)}
            counted.setdefault(_printed(name), []).append(total)
    labels = set(map(bare, LABELS.values()))
    for table in tables:
        if table.header[-1:] != (_ALL,) or not labels & set(table.header):
            continue
        for row in table.rows:
            if len(row) == len(table.header):
                wanted = [
                    [str(total.get(label, 0)) for label in table.header[1:]]
                    for name, totals in counted.items()
                    if _is_name(row[0], name)
                    for total in totals
                ]
                _compare(check, row[1:] in wanted, f"area {row[0]}", str(wanted), str(row[1:]))


def _is_name(printed: str, name: str) -> bool:
    """Whether the pages name it so; the summary cuts long names."""
    cut = printed.removesuffix("…")
    return printed == name or (cut != printed and name.startswith(cut))


def _count(controls: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = dict.fromkeys(map(bare, LABELS.values()), 0)
    for control in controls:
        found[_label(control)] += 1
    return found


def _day(control: Mapping[str, Any]) -> str | None:
    until = control.get("fresh_until")
    return None if until is None else views.short_date(parse_time(str(until)))


def _compare(check: Check, same: bool, what: str, expected: str, found: str) -> None:
    check.checked += 1
    if not same:
        text = f"the pages do not say of {what} what the coverage says"
        check.findings.append(Finding("pages.differ", text, None, expected[:300], found[:300]))
