"""What every form of coverage shows: lines and tables, made once; cells are strangers' text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from datetime import datetime

from muniment.controls.changes import Change
from muniment.controls.coverage import CatalogCoverage, ControlResult, Coverage, State
from muniment.reports.coverages import SystemView
from muniment.schemas.statement import RecordRef
from muniment.schemas.text import counted
from muniment.schemas.times import format_time

NONE = "·"
"""Stands in a cell that counts nothing."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_heat: bool = False
    """Whether it counts states, each cell a number with its state."""
    note: str = ""
    """What is not in it."""


@dataclass(frozen=True, slots=True)
class Page:
    """Everything one answer shows."""

    title: str
    lines: tuple[str, ...]
    sheets: tuple[Sheet, ...]
    main: Sheet
    """The one table that ``csv`` writes: a row for each control, or for each change, with what
    became known since in the last column."""


def page(views: Sequence[SystemView], *, detail: bool, narrowed: bool) -> Page:
    """The page for what was asked.

    Args:
        detail: list every control, not only those with evidence.
        narrowed: some controls were filtered out, so that all that are left are of interest.
    """
    first = views[0]
    if first.before is not None:
        return _page_of_changes(views, "changes", first.before.as_of)
    if first.until is not None:
        return _page_of_changes(views, "lapses", first.until)
    main = _main(views)
    if len(views) > 1:
        sheets = (*_side_by_side(views, detail or narrowed), *_hindsight(views))
        title = f"{len(views)} systems as of {_when(first.coverage)}"
        return Page(title, (), sheets, main)
    coverage = first.coverage
    listed = [
        sheet
        for catalog in coverage.catalogs
        for sheet in (heat(catalog), *_controls(catalog, detail or narrowed))
    ]
    return Page(
        f"{coverage.system} as of {_when(coverage)}",
        (about(coverage),),
        (*listed, *_hindsight(views)),
        main,
    )


def about(coverage: Coverage) -> str:
    """Model and number of records, in one line."""
    model = f"model {coverage.artifact}" if coverage.artifact else "model not named"
    return f"{model}; {counted(coverage.considered, 'record')} considered"


def heat(catalog: CatalogCoverage) -> Sheet:
    """Functions by state; every cell says its number and its state."""
    present = [state for state, count in catalog.counts().items() if count]
    rows = []
    for group, controls in catalog.groups().items():
        numbers = [sum(control.state is state for control in controls) for state in present]
        cells = [
            f"{number} {state}" if number else NONE
            for number, state in zip(numbers, present, strict=True)
        ]
        rows.append((group, *cells, str(len(controls))))
    title = f"{catalog.name}: {_counted(catalog)}"
    return Sheet(title, ("group", *map(str, present), "of"), tuple(rows), is_heat=True)


def _controls(catalog: CatalogCoverage, every: bool) -> list[Sheet]:
    listed = [item for item in catalog.controls if every or item.state is not State.MISSING]
    hidden = len(catalog.controls) - len(listed)
    note = f"{hidden} more without evidence; --detail lists them" if hidden else ""
    rows = tuple((_short(item), str(item.state), why(item)) for item in listed)
    return [Sheet("", ("control", "state", "why"), rows, note=note)] if rows or note else []


def _side_by_side(views: Sequence[SystemView], every: bool) -> list[Sheet]:
    names = tuple(str(view.coverage.system) for view in views)
    sheets = []
    for number, catalog in enumerate(views[0].coverage.catalogs):
        ours = [view.coverage.catalogs[number] for view in views]
        sheets.append(
            Sheet(
                catalog.name,
                ("system", "owner", "states", "of"),
                tuple(
                    (name, view.owner or "not named", _counted(one), str(len(one.controls)))
                    for name, view, one in zip(names, views, ours, strict=True)
                ),
            )
        )
        by_id = [{item.id: item for item in one.controls} for one in ours]
        ids = dict.fromkeys(item.id for one in ours for item in one.controls)
        rows = [
            (
                name.partition(":")[2],
                *(str(found[name].state) if name in found else NONE for found in by_id),
            )
            for name in ids
            if every or any(name in one and one[name].state is not State.MISSING for one in by_id)
        ]
        hidden = len(ids) - len(rows)
        note = f"{hidden} more without evidence anywhere; --detail lists them" if hidden else ""
        if rows or note:
            sheets.append(Sheet("", ("control", *names), tuple(rows), note=note))
    return sheets


def _hindsight(views: Sequence[SystemView]) -> list[Sheet]:
    """What became known later; and, of one system, what counts for nothing."""
    rows = [
        (
            str(view.coverage.system),
            f"#{item.record.index}",
            item.text,
            f"{item.since:%Y-%m-%d}" if item.since else "now",
        )
        for view in views
        for item in view.hindsight
    ]
    left = [
        (str(view.coverage.system), reason.full())
        for view in views
        for reason in view.coverage.left_out
    ]
    sheets = []
    if left:
        sheets.append(Sheet("Left out", ("system", "why"), tuple(left)))
    if rows:
        title = "Known since, and without any bearing on the states above"
        columns = ("system", "record", "what", "known since")
        sheets.append(Sheet(title, columns, tuple(rows)))
    return sheets


def _page_of_changes(views: Sequence[SystemView], what: str, moment: datetime) -> Page:
    """Changes since a moment, or what lapses until one."""
    is_past = what == "changes"
    found = [
        (view, change) for view in views for change in (view.changes if is_past else view.lapses)
    ]
    if not is_past:
        found.sort(key=lambda item: item[1].at)
    rows = tuple(_change_row(view, change, is_past) for view, change in found)
    head = ("system", "control", "what" if is_past else "when", "from", "to", "records", "why")
    names = ", ".join(str(view.coverage.system) for view in views)
    word = "changed since" if is_past else "lapses by"
    what_happens = f"{counted(len(rows), 'control')} {_times(word, len(rows))}"
    lines = [f"{names}: {what_happens} {moment:%Y-%m-%d %H:%M} UTC"]
    sheet = Sheet("", head, rows)
    shown = _shown_changes(sheet, one_system=len(views) == 1)
    title = f"As of {_when(views[0].coverage)}"
    behind = [(view, {*change.behind, *_refs(change.after)}) for view, change in found]
    main = _with_hindsight(sheet, behind, views)
    return Page(title, tuple(lines), (shown, *_only_hindsight(views)), main)


def _shown_changes(sheet: Sheet, *, one_system: bool) -> Sheet:
    """For the eye: without what every row repeats, and the first reason of several."""
    said_by_what = {"to"} if "what" in sheet.columns else set()
    left_out = said_by_what | ({"system"} if one_system else set())
    kept = [place for place, name in enumerate(sheet.columns) if name not in left_out]
    rows = []
    for row in sheet.rows:
        *others, reason = (row[place] for place in kept)
        rows.append((*others, reason.split("\n")[0]))
    return Sheet("", tuple(sheet.columns[place] for place in kept), tuple(rows))


def _times(word: str, number: int) -> str:
    return word if number == 1 else word.replace("lapses", "lapse")


def _only_hindsight(views: Sequence[SystemView]) -> Iterable[Sheet]:
    return (sheet for sheet in _hindsight(views) if sheet.title != "Left out")


def _change_row(view: SystemView, change: Change, is_past: bool) -> tuple[str, ...]:
    when = change.what if is_past else format_time(change.at)
    return (
        str(view.coverage.system),
        change.after.id,
        when,
        str(change.before.state),
        str(change.after.state),
        _places(change.behind),
        why(change.after),
    )


def _main(views: Sequence[SystemView]) -> Sheet:
    columns = (
        *("system", "as_of", "owner", "catalog", "control", "title", "group", "state"),
        *("fresh_until", "records", "approvals", "why", "unblock", "command"),
    )
    found = [
        (view, catalog, item)
        for view in views
        for catalog in view.coverage.catalogs
        for item in catalog.controls
    ]
    rows = tuple(
        (
            str(view.coverage.system),
            format_time(view.coverage.as_of),
            view.owner or "",
            catalog.catalog,
            item.id,
            item.title,
            item.group,
            str(item.state),
            format_time(item.fresh_until) if item.fresh_until else "",
            _places(item.evidence),
            _places(item.approvals),
            why(item),
            item.unblock or "",
            item.command or "",
        )
        for view, catalog, item in found
    )
    behind = [(view, _refs(item)) for view, _, item in found]
    return _with_hindsight(Sheet("Controls", columns, rows), behind, views)


def _with_hindsight(
    sheet: Sheet, behind: Sequence[tuple[SystemView, Set[RecordRef]]], views: Sequence[SystemView]
) -> Sheet:
    """The sheet with what became known since, in the rows whose records it is about.

    What is about the records of no row may bear on any state: it stands in every row of its system,
    and where there is none, in one of its own. Nothing known is left out.

    Args:
        behind: system and records of each row.
    """
    at_large = {}
    for view in views:
        named = {ref for of, refs in behind if of is view for ref in refs}
        at_large[id(view)] = [item for item in view.hindsight if item.record not in named]
    rows = []
    for row, (view, refs) in zip(sheet.rows, behind, strict=True):
        known = [
            item.sentence
            for item in view.hindsight
            if item.record in refs or item in at_large[id(view)]
        ]
        rows.append((*row, "\n".join(known)))
    blank = ("",) * (len(sheet.columns) - 1)
    for view in views:
        if view.hindsight and all(of is not view for of, _ in behind):
            sentences = "\n".join(item.sentence for item in view.hindsight)
            rows.append((str(view.coverage.system), *blank, sentences))
    return Sheet(sheet.title, (*sheet.columns, "known_since"), tuple(rows))


def _refs(control: ControlResult) -> set[RecordRef]:
    """Every record that a control's result names."""
    found = {ref for reason in control.reasons for ref in reason.records}
    return found | set(control.evidence) | set(control.approvals)


def why(control: ControlResult) -> str:
    """The reasons of a control's state, one a line."""
    return "\n".join(reason.full() for reason in control.reasons)


def _places(refs: Sequence[RecordRef]) -> str:
    return " ".join(f"#{ref.index}" for ref in refs)


def _short(control: ControlResult) -> str:
    return control.id.partition(":")[2]


def _counted(catalog: CatalogCoverage) -> str:
    return ", ".join(f"{count} {state}" for state, count in catalog.counts().items() if count)


def _when(coverage: Coverage) -> str:
    return f"{coverage.as_of:%Y-%m-%d %H:%M} UTC"
