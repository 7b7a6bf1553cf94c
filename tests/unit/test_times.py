"""Times on content lines: forms, zones, durations, and what an entry without an end lasts."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from ical.errors import InvalidCalendarData
from ical.lines import Component, Line
from ical.times import (
    instant,
    later,
    parse_utc_text,
    read_duration,
    read_periods,
    read_time,
    read_times,
    set_time,
    span,
    utc_text,
)

VIENNA = ZoneInfo("Europe/Vienna")


def line(name: str, value: str, tzid: str = "") -> Line:
    return Line(name, value, (("TZID", (tzid,)),) if tzid else ())


def event(*lines: Line, kind: str = "VEVENT") -> Component:
    return Component(kind, list(lines))


def utc(*numbers: int) -> datetime:
    return datetime(*numbers, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "tzid", "moment"),
    [
        ("20261125T080000Z", "", utc(2026, 11, 25, 8)),
        ("20261125T080000", "", utc(2026, 11, 25, 7)),
        ("20261125T080000", "America/New_York", utc(2026, 11, 25, 13)),
        ("20261125T080000Z", "America/New_York", utc(2026, 11, 25, 8)),
        ("20261231T235960Z", "", utc(2026, 12, 31, 23, 59, 59)),
        ("20031114T18300", "", utc(2003, 11, 14, 17, 30)),
    ],
)
def test_times_are_read_in_the_zone_they_name(value: str, tzid: str, moment: datetime) -> None:
    assert instant(read_time(line("DTSTART", value, tzid), VIENNA), VIENNA) == moment


def test_a_date_is_a_day_of_the_zone() -> None:
    assert read_time(line("DTSTART", "20261125", "America/New_York"), VIENNA) == date(2026, 11, 25)
    assert instant(date(2026, 7, 1), VIENNA) == utc(2026, 6, 30, 22)


@pytest.mark.parametrize(
    "value",
    ["", "2026", "20260230", "20261125T250000", "20261125 080000", "99991231T000000Z", "00000000", "20261125T08000Zx"]
    + ["２０２６１１２５", "20261125080000", "-0261125", "20261125T"],
)
def test_unreadable_times_are_refused(value: str) -> None:
    with pytest.raises(InvalidCalendarData):
        read_time(line("DTSTART", value), VIENNA)


def test_an_unknown_time_zone_is_refused() -> None:
    with pytest.raises(InvalidCalendarData):
        read_time(line("DTSTART", "20261125T080000", "Mars/X"), VIENNA)


def test_a_time_that_the_clocks_skip_is_read_before_the_change() -> None:
    assert instant(read_time(line("DTSTART", "20260329T023000"), VIENNA), VIENNA) == utc(2026, 3, 29, 1, 30)


def test_lists_and_periods_are_read_member_by_member() -> None:
    assert read_times(line("EXDATE", "20261125T080000Z, 20261126,"), VIENNA) == [
        utc(2026, 11, 25, 8),
        date(2026, 11, 26),
    ]
    periods = read_periods(line("RDATE", "20261125T080000Z/PT30M,20261126T080000Z/20261126T090000Z"), VIENNA)
    assert [end for _, end in periods] == [utc(2026, 11, 25, 8, 30), utc(2026, 11, 26, 9)]


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("PT30M", timedelta(minutes=30)),
        ("-P1D", timedelta(days=-1)),
        ("P2W", timedelta(weeks=2)),
        ("+P1DT2H3M4S", timedelta(days=1, hours=2, minutes=3, seconds=4)),
    ],
)
def test_durations_are_read(value: str, size: timedelta) -> None:
    assert read_duration(value) == size


@pytest.mark.parametrize("value", ["", "P", "PT", "30M", "P1H", "PT99999999999999H", "P1DT", "P-1D"])
def test_unreadable_durations_are_refused(value: str) -> None:
    with pytest.raises(InvalidCalendarData):
        read_duration(value)


def test_days_of_a_duration_are_days_of_the_calendar_and_hours_are_hours() -> None:
    evening = datetime(2026, 10, 24, 20, tzinfo=VIENNA)
    assert later(evening, timedelta(days=1)) == datetime(2026, 10, 25, 20, tzinfo=VIENNA)
    night = datetime(2026, 10, 25, 1, tzinfo=VIENNA)
    assert later(night, timedelta(hours=3)).replace(tzinfo=None) == datetime(2026, 10, 25, 3)


def test_utc_text_and_back() -> None:
    moment = utc(2026, 11, 25, 8, 20)
    assert utc_text(moment.astimezone(VIENNA)) == "20261125T082000Z"
    assert parse_utc_text("20261125T082000Z") == moment
    with pytest.raises(InvalidCalendarData):
        parse_utc_text("20261125T082000")


def test_a_time_is_written_with_its_zone() -> None:
    component = event(line("DTSTART", "20260101T000000Z"))
    set_time(component, "DTSTART", utc(2026, 11, 25, 8, 20), VIENNA)
    assert component.lines()[0].text() == "DTSTART;TZID=Europe/Vienna:20261125T092000\r\n"


def test_the_second_instant_of_a_repeated_hour_is_written_in_utc() -> None:
    component = event()
    set_time(component, "DTSTART", utc(2026, 10, 25, 0, 30), VIENNA)
    assert component.value("DTSTART") == "20261025T023000"
    set_time(component, "DTSTART", utc(2026, 10, 25, 1, 30), VIENNA)
    assert component.value("DTSTART") == "20261025T013000Z"


def test_a_day_without_an_end_lasts_that_day() -> None:
    whole = (utc(2026, 3, 28, 23), utc(2026, 3, 29, 22), True)
    assert span(event(line("DTSTART", "20260329")), VIENNA) == whole
    assert span(event(line("DTSTART", "20260329"), line("DTEND", "20260329")), VIENNA) == whole


def test_a_time_without_an_end_lasts_no_time() -> None:
    begin = utc(2026, 11, 25, 8)
    assert span(event(line("DTSTART", "20261125T090000")), VIENNA) == (begin, begin, False)
    assert span(event(line("DTSTART", "20261125T090000"), line("DURATION", "PT1H")), VIENNA)[1] == utc(2026, 11, 25, 9)


def test_a_task_without_a_start_is_the_moment_it_is_due() -> None:
    assert span(event(line("DUE", "20261125T080000Z"), kind="VTODO"), VIENNA)[0] == utc(2026, 11, 25, 8)
    with pytest.raises(InvalidCalendarData):
        span(event(kind="VTODO"), VIENNA)
