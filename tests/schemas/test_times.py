"""Times: UTC, whole seconds, one way to write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.schemas import times
from muniment.schemas.errors import InputError


@given(st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC)))
def test_written_time_is_read_back(moment: datetime) -> None:
    """A time that is written is read as the same moment, in whole seconds."""
    assert times.parse_time(times.format_time(moment)) == moment.replace(microsecond=0)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("2026-01-31T09:30:00Z", "2026-01-31T09:30:00Z"),
        ("2026-01-31T09:30:00.999Z", "2026-01-31T09:30:00Z"),
        ("2026-01-31T09:30:00+02:00", "2026-01-31T07:30:00Z"),
        ("2026-01-31T23:30:00-05:30", "2026-02-01T05:00:00Z"),
    ],
)
def test_time_is_brought_to_utc(text: str, written: str) -> None:
    """Offsets are turned into UTC and fractions dropped."""
    assert times.format_time(times.parse_time(text)) == written


BAD_TIMES = [
    "", "now", "2026-01-31", "2026-01-31T09:30:00", "2026-01-31 09:30:00Z", "2026-01-31T09:30Z",
    "2026-02-30T00:00:00Z", "2026-01-31T24:00:01Z", "2026-01-31T23:59:60Z", "0000-01-01T00:00:00Z",
    "2026-01-31T09:30:00+25:00", "0001-01-01T00:00:00+10:00", "9999-12-31T23:59:59-10:00",
    "2026-01-31T09:30:00Z\n", "2026-01-31t09:30:00z", "20260131T093000Z", "1795226242",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_TIMES)
def test_bad_time_is_refused(text: str) -> None:
    """What is no RFC 3339 time with an offset is refused with time.malformed."""
    for read in (times.parse_time, times.parse_moment):
        if text == "2026-01-31" and read is times.parse_moment:
            continue
        with pytest.raises(InputError) as caught:
            read(text)
        assert caught.value.code == "time.malformed"
        assert caught.value.found == text


def test_date_means_the_end_of_that_day() -> None:
    """A date a person types covers the whole day, in UTC."""
    assert times.format_time(times.parse_moment("2026-01-31")) == "2026-01-31T23:59:59Z"
    assert times.format_time(times.parse_moment("2026-01-31T09:30:00Z")) == "2026-01-31T09:30:00Z"
    for printed in ("2026-01-31 09:30", "2026-01-31 09:30 UTC"):
        assert times.format_time(times.parse_moment(printed)) == "2026-01-31T09:30:59Z"
        begin = times.parse_moment(printed, day_begins=True)
        assert times.format_time(begin) == "2026-01-31T09:30:00Z"


@pytest.mark.parametrize("text", ["2026-02-30", "2026-13-01", "0000-01-01"])
def test_bad_date_is_refused(text: str) -> None:
    """A date that no calendar has is refused."""
    with pytest.raises(InputError, match="is not a time"):
        times.parse_moment(text)


def test_format_converts_other_zones() -> None:
    """A moment in another zone is written in UTC."""
    moment = datetime(2026, 1, 31, 1, 0, tzinfo=timezone(timedelta(hours=2)))
    assert times.format_time(moment) == "2026-01-30T23:00:00Z"


def test_now_is_whole_seconds_in_utc() -> None:
    """The clock gives UTC in whole seconds."""
    moment = times.now()
    assert moment.tzinfo is UTC and moment.microsecond == 0


def test_lengths_of_time() -> None:
    """A whole number of minutes, hours, days or weeks."""
    said = [times.parse_duration(text) for text in ("90m", "12h", "7d", "2w")]
    assert said == [timedelta(hours=1.5), timedelta(hours=12), timedelta(7), timedelta(14)]


@pytest.mark.parametrize("text", ["", "7", "d", "0d", "-1d", "1.5d", "7 d", "7D", "1y", "9999999d"])
def test_no_length_of_time(text: str) -> None:
    """Whatever else is typed is refused, never guessed at."""
    with pytest.raises(InputError, match="no length of time"):
        times.parse_duration(text)
