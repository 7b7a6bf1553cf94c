"""Recurrence rules: which shapes are taken, and that their days are those that dateutil finds."""

from datetime import date, datetime

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from ical.errors import UnsupportedRecurrence
from ical.rrule import dates, ever_matches, normalise, read_rule

_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_END = date(2200, 12, 31)


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=DAILY",
        "FREQ=DAILY;INTERVAL=999",
        "FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR",
        "FREQ=DAILY;WKST=SU",
        "FREQ=WEEKLY;BYDAY=MO,WE;WKST=SU;COUNT=3500",
        "FREQ=MONTHLY",
        "FREQ=MONTHLY;BYMONTHDAY=-1",
        "FREQ=MONTHLY;BYDAY=2TU",
        "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1",
        "FREQ=MONTHLY;INTERVAL=12;BYDAY=4TH;BYMONTH=11",
        "FREQ=YEARLY",
        "FREQ=YEARLY;BYMONTH=1,7",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29",
        "FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU",
        "FREQ=YEARLY;BYMONTH=11;BYMONTHDAY=2,3,4,5,6,7,8;BYDAY=TU",
        "FREQ=YEARLY;UNTIL=20301224",
        # KOrganizer and Horde: the same day of every year
        "FREQ=YEARLY;COUNT=17;INTERVAL=1;BYYEARDAY=141",
        "RSCALE=GREGORIAN;SKIP=OMIT;FREQ=MONTHLY;BYDAY=+2MO,TU,-3SU",
    ],
)
def test_shapes_that_calendar_apps_make_are_taken(rule: str) -> None:
    assert read_rule(rule)


@pytest.mark.parametrize(
    "rule",
    [
        "",
        "FREQ",
        "FREQ=SECONDLY",
        "FREQ=MINUTELY;INTERVAL=1",
        "FREQ=HOURLY",
        "FREQ=DAILY;FREQ=WEEKLY",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;INTERVAL=1000",
        "FREQ=DAILY;INTERVAL=-1",
        "FREQ=DAILY;INTERVAL=1,2",
        "FREQ=DAILY;COUNT=0",
        "FREQ=DAILY;COUNT=3501",
        "FREQ=DAILY;COUNT=99999999999999999999",
        "FREQ=DAILY;COUNT=3;UNTIL=20301224",
        "FREQ=DAILY;UNTIL=tomorrow",
        "FREQ=DAILY;BYDAY=MO;INTERVAL=7",
        "FREQ=DAILY;BYMONTH=1",
        "FREQ=DAILY;BYHOUR=9",
        "FREQ=DAILY;BYMINUTE=0,1,2,3",
        "FREQ=DAILY;BYSECOND=0,1,2,3",
        "FREQ=WEEKLY;BYDAY=1MO",
        "FREQ=WEEKLY;BYMONTH=5",
        "FREQ=WEEKLY;BYDAY=XX",
        "FREQ=MONTHLY;BYMONTHDAY=0",
        "FREQ=MONTHLY;BYMONTHDAY=32",
        "FREQ=MONTHLY;BYDAY=6MO",
        "FREQ=MONTHLY;BYDAY=0MO",
        "FREQ=MONTHLY;BYSETPOS=1",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6",
        "FREQ=MONTHLY;BYDAY=1MO;BYMONTHDAY=1",
        "FREQ=MONTHLY;BYYEARDAY=100",
        "FREQ=YEARLY;BYYEARDAY=0",
        "FREQ=YEARLY;BYYEARDAY=367",
        "FREQ=YEARLY;BYYEARDAY=100;BYMONTH=4",
        "FREQ=YEARLY;BYYEARDAY=100,200;BYDAY=MO",
        "RSCALE=GREGORIAN;SKIP=FORWARD;FREQ=MONTHLY;BYMONTHDAY=31",
        "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",
        "FREQ=YEARLY;BYDAY=20MO",
        "FREQ=YEARLY;BYMONTH=13",
        "RSCALE=CHINESE;FREQ=YEARLY",
        "FREQ=WEEKLY;WKST=NO",
    ],
)
def test_other_shapes_are_refused(rule: str) -> None:
    with pytest.raises(UnsupportedRecurrence):
        read_rule(rule)


def test_spaces_and_a_trailing_semicolon_are_stripped() -> None:
    assert normalise("FREQ=WEEKLY;BYDAY=MO, WE;") == "FREQ=WEEKLY;BYDAY=MO,WE"


@pytest.mark.parametrize(
    ("rule", "start"),
    [
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", date(2026, 1, 1)),
        ("FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29", date(2027, 1, 1)),
        ("FREQ=MONTHLY;INTERVAL=12;BYMONTHDAY=31", date(2026, 2, 1)),
        ("FREQ=MONTHLY;INTERVAL=12;BYMONTH=3;BYDAY=1MO", date(2026, 2, 1)),
    ],
)
def test_a_rule_without_any_day_is_recognised(rule: str, start: date) -> None:
    assert not ever_matches(read_rule(rule), start, _END)
    assert list(dates(read_rule(rule), start, start, _END)) == []


def test_leap_days_come_every_four_years() -> None:
    rule = read_rule("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29")
    assert [d.year for d in dates(rule, date(2024, 2, 29), date(2024, 1, 1), date(2040, 1, 1))] == [
        2024, 2028, 2032, 2036,
    ]  # fmt: skip


def _joined(values: list[int] | list[str]) -> str:
    return ",".join(map(str, values))


@st.composite
def _rules(draw: st.DrawFn) -> str:
    freq = draw(st.sampled_from(("DAILY", "WEEKLY", "MONTHLY", "YEARLY")))
    parts = [f"FREQ={freq}"]
    weekdays = st.lists(st.sampled_from(_DAYS), min_size=1, max_size=5, unique=True)
    monthdays = st.lists(st.integers(-31, 31).filter(bool), min_size=1, max_size=4, unique=True)
    nth = st.lists(
        st.builds(lambda n, d: f"{n}{d}", st.integers(-5, 5).filter(bool), st.sampled_from(_DAYS)),
        min_size=1,
        max_size=3,
        unique=True,
    )
    interval = draw(st.integers(1, 5))
    if freq == "DAILY" and draw(st.booleans()):
        interval, parts = 1, [*parts, f"BYDAY={_joined(draw(weekdays))}"]
    if freq == "WEEKLY" and draw(st.booleans()):
        parts.append(f"BYDAY={_joined(draw(weekdays))}")
    if freq == "YEARLY" and draw(st.integers(0, 4)) == 0:
        yeardays = st.lists(st.integers(-366, 366).filter(bool), min_size=1, max_size=4, unique=True)
        parts.append(f"BYYEARDAY={_joined(draw(yeardays))}")
    elif freq in ("MONTHLY", "YEARLY"):
        if freq == "YEARLY" or draw(st.booleans()):
            parts.append(f"BYMONTH={_joined(draw(st.lists(st.integers(1, 12), min_size=1, max_size=4, unique=True)))}")
        form = draw(st.sampled_from(("bare", "monthday", "weekday", "nth", "setpos", "both")))
        if form in ("monthday", "both"):
            parts.append(f"BYMONTHDAY={_joined(draw(monthdays))}")
        if form in ("weekday", "setpos", "both"):
            parts.append(f"BYDAY={_joined(draw(weekdays))}")
        if form == "nth":
            parts.append(f"BYDAY={_joined(draw(nth))}")
        if form == "setpos":
            parts.append(f"BYSETPOS={draw(st.integers(-5, 5).filter(bool))}")
    if draw(st.booleans()):
        parts.append(f"WKST={draw(st.sampled_from(_DAYS))}")
    if draw(st.booleans()):
        parts.append(f"COUNT={draw(st.integers(1, 60))}")
    return ";".join([*parts, f"INTERVAL={interval}"])


@settings(max_examples=300, deadline=None)
@given(_rules(), st.dates(date(1990, 1, 1), date(2030, 12, 31)), st.integers(0, 3000), st.integers(1, 1500))
def test_days_are_those_of_dateutil(rule: str, start: date, skipped: int, length: int) -> None:
    first = date.fromordinal(start.toordinal() + skipped)
    last = date.fromordinal(first.toordinal() + length)
    reference = rrulestr(rule, dtstart=datetime(start.year, start.month, start.day))
    expected: list[date] = []
    for moment in reference.xafter(datetime(start.year, start.month, start.day), inc=True):
        if moment.date() > last:
            break
        if moment.date() >= first:
            expected.append(moment.date())
    assert list(dates(read_rule(rule), start, first, last)) == expected
