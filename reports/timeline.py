"""Monitoring over time: which days reports cover, and where more were due. Words and drawing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, timedelta

from markupsafe import Markup

from muniment.controls.crosschecks import monitoring_gaps
from muniment.schemas.record import Record
from muniment.schemas.text import counted, shorten

from . import views
from .drawing import GREY, HAIR, INK, RED, fitted, svg, text
from .model import PacketInput
from .outcomes import tally

MAX_SERIES = 12
"""Series that are drawn."""
MAX_BARS = 120
"""Latest reports of one series that are drawn."""
_WIDTH, _LEFT, _LANE, _HEAD = 500.0, 96.0, 25.0, 22.0
_BAR = "#1b7a57"
_STEPS = (1, 2, 3, 6, 12, 24, 60, 120, 600, 1200, 6000)
"""Months from one line of the scale to the next."""
_TICKS = 9
"""Most lines of the scale, the first day's apart."""
_CLEAR = 48.0
"""Room for the first day's name."""


@dataclass(frozen=True, slots=True)
class Report:
    """One monitoring report in force."""

    record: Record
    start: date
    end: date
    cadence: int | None
    """Days from one report to the next, as planned."""
    gap: int | None
    """Days without any report before it, where there were more than planned."""
    after: int | None
    """Place of the report before the gap."""

    @property
    def about(self) -> str:
        """The record's own words, if it has any, and what was looked at."""
        found = tally(self.record)
        number = shorten(views.text_of(self.record.statement.body.get("evaluated")), 40)
        parts = [f"{number} cases observed"]
        if found.checks:
            parts.append(found.checked)
        summary = self.record.statement.body.get("summary")
        words = (
            [shorten(" ".join(summary.split()), 200).rstrip(".")]
            if isinstance(summary, str)
            else []
        )
        return "; ".join([*words, *parts])


@dataclass(frozen=True, slots=True)
class Series:
    """Reports that answer for the same controls, the first first."""

    reports: tuple[Report, ...]
    overdue: int | None
    """Days by which the next report is late at the packet's date."""

    @property
    def name(self) -> str:
        """Places of the first and last report."""
        first, last = self.reports[0].record.index, self.reports[-1].record.index
        return f"#{first}" if len(self.reports) == 1 else f"#{first} to #{last}"

    @property
    def last(self) -> Report:
        """The report that covers the latest day."""
        return max(self.reports, key=lambda report: report.end)

    @property
    def since(self) -> int | None:
        """Days without any report at the end, where there are more than planned."""
        return None if self.overdue is None else self.overdue + (self.last.cadence or 0)

    def gap(self, report: Report) -> tuple[str | None, str]:
        """What a report's row says of gaps: a gap that is longer than planned, and the rest."""
        if report.gap is not None:
            return counted(report.gap, "day"), f"after #{report.after}"
        if report is self.last and self.since is not None and self.overdue is not None:
            late = counted(self.overdue, "day")
            return counted(self.since, "day"), f"since, overdue by {late}"
        if report.cadence is None:
            no_more = "no later report; " if report is self.last else ""
            return None, f"{no_more}none planned, so no gap is known"
        return None, "none"

    @property
    def plan(self) -> str:
        """The cadence in words."""
        cadence = self.reports[-1].cadence
        return "no cadence planned" if cadence is None else f"every {counted(cadence, 'day')}"


def monitoring(packet: PacketInput) -> tuple[Series, ...]:
    """The series of monitoring reports in force, those with a gap or overdue first."""
    out = _left_out(packet)
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in views.of_kind(packet, "monitoring-report"):
        if record.index not in out and _period(record) is not None:
            groups.setdefault(tuple(sorted(record.statement.controls)), []).append(record)
    found = [_series(records, packet) for records in groups.values()]
    return tuple(sorted(found, key=lambda one: (not _is_late(one), one.reports[0].record.index)))


def _left_out(packet: PacketInput) -> set[int]:
    """Places of the reports that a later record replaced or took back."""
    codes = ("record.superseded", "record.retracted", "record.distrusted")
    found = set(views.replaced(packet))
    for reason in packet.coverage.left_out:
        if reason.code in codes:
            found.add(reason.records[0].index)
    return found


def _series(records: Sequence[Record], packet: PacketInput) -> Series:
    as_of = packet.coverage.as_of
    faults = monitoring_gaps(records, as_of)
    periods = {record.index: _period(record) for record in records}
    reports = []
    for record in records:
        start, end, cadence = periods[record.index] or (date.min, date.min, None)
        gap = after = None
        for reason in faults.get(record.sha256, ()):
            after = reason.records[1].index
            before = periods[after]
            gap = (start - before[1]).days - 1 if before else None
        reports.append(Report(record, start, end, cadence, gap, after))
    reports.sort(key=lambda report: (report.start, report.end, report.record.index))
    series = Series(tuple(reports), None)
    if series.last.cadence is None:
        return series
    late = (as_of.astimezone(UTC).date() - series.last.end).days - series.last.cadence
    return replace(series, overdue=late if late > 0 else None)


def _period(record: Record) -> tuple[date, date, int | None] | None:
    body = record.statement.body
    try:
        start, end = (date.fromisoformat(body["period"][name]) for name in ("start", "end"))
    except (KeyError, TypeError, ValueError):
        return None
    cadence = body.get("cadenceDays")
    return start, end, cadence if isinstance(cadence, int) else None


def _is_late(series: Series) -> bool:
    return series.overdue is not None or any(report.gap for report in series.reports)


def summary(series: Sequence[Series]) -> str:
    """All series in one sentence; a report that is overdue leaves a gap at the end."""
    reports = sum(len(one.reports) for one in series)
    late = sum(one.overdue is not None for one in series)
    gaps = late + sum(report.gap is not None for one in series for report in one.reports)
    kept = f"{counted(gaps, 'gap') if gaps else 'no gap is'} longer than planned"
    if late:
        which = "" if late == gaps else f"{late} of them "
        kept += f", {which}at the end, where a report is overdue"
    free = sum(one.last.cadence is None for one in series)
    plan = f"; for {free} of the series no next report is planned" if free else ""
    return f"{counted(reports, 'report')} in {len(series)} series: {kept}{plan}."


def drawing(series: Sequence[Series], packet: PacketInput) -> Markup:
    """Bars over a time line, gaps that are longer than planned in between; nothing without
    reports."""
    shown = series[:MAX_SERIES]
    if not shown:
        return Markup("")
    today = packet.coverage.as_of.astimezone(UTC).date()
    begin = min(_drawn(one)[0].start for one in shown)
    end = max([today, *(report.end for one in shown for report in one.reports)])
    scale = _Scale(begin, end)
    height = _HEAD + _LANE * len(shown) + 14
    parts = list(scale.ticks(height - 12))
    for lane, one in enumerate(shown):
        parts.extend(_lane(one, _HEAD + lane * _LANE, scale, today))
    at = scale.at(today)
    parts.append(_line(at, _HEAD - 4, at, height - 12, INK, 1))
    parts.append(text(at, height - 2, "as of", size=7, fill=INK, weight=500, anchor="end"))
    return svg(_WIDTH, height, f"Monitoring over time: {summary(series)}", parts)


def _drawn(series: Series) -> tuple[Report, ...]:
    return series.reports[-MAX_BARS:]


class _Scale:
    """Days as places on the page."""

    def __init__(self, begin: date, end: date) -> None:
        self._begin, self._days = begin, max((end - begin).days + 1, 1)
        self._end = end

    def at(self, day: date) -> float:
        part = min(max((day - self._begin).days / self._days, 0), 1)
        return _LEFT + part * (_WIDTH - _LEFT)

    def ticks(self, bottom: float) -> Iterator[str]:
        """A line for the first day, and for each month, or for fewer of them where there are
        many."""
        yield _line(_LEFT, _HEAD - 4, _WIDTH, _HEAD - 4, HAIR, 0.6)
        yield from self._tick(self._begin, f"{self._begin:%Y-%m-%d}", bottom)
        begin, end = (day.year * 12 + day.month - 1 for day in (self._begin, self._end))
        step = next((some for some in _STEPS if (end - begin) // some < _TICKS), _STEPS[-1])
        for number in range((begin // step + 1) * step, end + 1, step):
            month = date(number // 12, number % 12 + 1, 1)
            if self.at(month) > _LEFT + _CLEAR:
                yield from self._tick(month, f"{month:%Y-%m}", bottom)

    def _tick(self, day: date, label: str, bottom: float) -> Iterator[str]:
        x = self.at(day)
        yield _line(x, _HEAD - 7, x, bottom, HAIR, 0.3)
        if x < _WIDTH - 0.7 * _CLEAR:
            yield text(x + 2, _HEAD - 8, label, size=7.5, fill=GREY, anchor="start")


def _lane(series: Series, top: float, scale: _Scale, today: date) -> Iterator[str]:
    middle = top + _LANE / 2
    yield text(0, middle - 1.5, series.name, size=8.5, weight=500, anchor="start")
    plan = fitted(series.plan, _LEFT - 8, 7.5)
    yield text(0, middle + 7.5, plan, size=7.5, fill=GREY, anchor="start")
    yield _line(_LEFT, top + _LANE, _WIDTH, top + _LANE, HAIR, 0.4)
    ends = {report.record.index: report.end for report in series.reports}
    for report in _drawn(series):
        if report.gap is not None and report.after is not None:
            begin = ends[report.after] + timedelta(days=1)
            yield from _gap(scale.at(begin), scale.at(report.start), middle, f"{report.gap} d")
        x = scale.at(report.start)
        wide = max(scale.at(report.end + timedelta(days=1)) - x - 0.8, 1.2)
        place = f'x="{x:.2f}" y="{middle - 5:.2f}" width="{wide:.2f}" height="10"'
        yield f'<rect {place} fill="{_BAR}"/>'
        label = f"#{report.record.index}"
        if wide > 5.2 * len(label):
            yield text(x + wide / 2, middle + 3, label, size=8, fill="#ffffff", weight=600)
    if series.since is not None:
        begin = series.last.end + timedelta(days=1)
        yield from _gap(scale.at(begin), scale.at(today), middle, f"{series.since} d")


def _gap(begin: float, end: float, middle: float, label: str) -> Iterator[str]:
    wide = max(end - begin, 1.2)
    yield (
        f'<rect x="{begin:.2f}" y="{middle - 5:.2f}" width="{wide:.2f}" height="10" '
        f'fill="#fbe4e8" stroke="{RED}" stroke-width="0.7" stroke-dasharray="2 1.5"/>'
    )
    if wide > 4.6 * len(label):
        yield text(begin + wide / 2, middle + 3, label, size=8, fill="#8d1730", weight=600)


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float) -> str:
    return (
        f'<line x1="{x1:.2f}" y1="{y1:.2f}" x2="{x2:.2f}" y2="{y2:.2f}" stroke="{colour}" '
        f'stroke-width="{width:g}"/>'
    )
