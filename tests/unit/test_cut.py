"""A series cut in two, or moved as a whole, has the same occurrences as before."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ical import recurrence
from ical.cut import cut, shifted
from ical.lines import Component, parse
from ical.times import utc_text

VIENNA = ZoneInfo("Europe/Vienna")
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def series(rrule: str) -> Component:
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "BEGIN:VEVENT",
        "UID:series",
        "DTSTART;TZID=Europe/Vienna:20261005T090000",
        "DTEND;TZID=Europe/Vienna:20261005T093000",
        f"RRULE:{rrule}",
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    return parse("\r\n".join(lines) + "\r\n")


def times(calendar: Component) -> dict[str, tuple[datetime, datetime]]:
    found = recurrence.occurrences(calendar, VIENNA, *recurrence.bounds(calendar, VIENNA))
    return {each.recurrence_id: (each.start, each.end) for each in found}


@st.composite
def rules(draw: st.DrawFn) -> str:
    freq = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY"]))
    parts = [f"FREQ={freq}", f"INTERVAL={draw(st.integers(1, 3))}"]
    if freq == "WEEKLY" and draw(st.booleans()):
        days = draw(st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=3, unique=True))
        parts.append("BYDAY=" + ",".join(days))
        if draw(st.booleans()):
            parts.append(f"WKST={draw(st.sampled_from(WEEKDAYS))}")
    if freq == "MONTHLY" and draw(st.booleans()):
        parts.append(f"BYDAY={draw(st.sampled_from([1, 2, 3, -1]))}{draw(st.sampled_from(WEEKDAYS))}")
    ends = st.one_of(st.integers(2, 15).map(lambda n: f"COUNT={n}"), st.just("UNTIL=20270301T080000Z"))
    return ";".join([*parts, draw(ends)])


@settings(max_examples=150, deadline=None)
@given(rules(), st.data())
def test_the_two_parts_of_a_cut_series_are_the_whole(rrule: str, data: st.DataObject) -> None:
    calendar = series(rrule)
    ids = sorted(times(calendar))
    assume(len(ids) >= 2)
    for gone in data.draw(st.lists(st.sampled_from(ids), max_size=2, unique=True)):
        recurrence.add_exdate(calendar, gone, VIENNA)
    moved = data.draw(st.sampled_from(ids))
    whole = times(calendar)
    if moved in whole:
        override = recurrence.make_override(calendar, moved, VIENNA)
        override.set("DTSTART", "20261224T120000Z")
        override.set("DTEND", "20261224T123000Z")
        whole = times(calendar)
    assume(len(whole) >= 2)
    at = data.draw(st.sampled_from(sorted(whole)[1:]))
    before, after = cut(calendar, recurrence.parse_utc_text(at), VIENNA)
    first, second = times(before), times(after)
    assert first == {key: value for key, value in whole.items() if key < at}
    assert second == {key: value for key, value in whole.items() if key >= at}


@settings(max_examples=150, deadline=None)
@given(rules(), st.integers(-10, 10), st.integers(-8, 12))
def test_a_series_moved_as_a_whole_keeps_its_gaps_and_what_was_moved_alone(rrule: str, days: int, hours: int) -> None:
    calendar = series(rrule)
    ids = sorted(times(calendar))
    assume(len(ids) >= 3)
    recurrence.add_exdate(calendar, ids[-1], VIENNA)
    override = recurrence.make_override(calendar, ids[1], VIENNA)
    override.set("DTSTART", "20261224T120000Z")
    override.set("DTEND", "20261224T123000Z")
    was = times(calendar)
    by = timedelta(days=days, hours=hours)
    found = shifted(calendar, by, VIENNA)
    assume(found is not None)
    assert found is not None
    moved, pairs = found
    is_ = times(moved)
    assert set(is_) == {pairs[key] for key in was}
    for key, (start, end) in was.items():
        wall = start if key == ids[1] else (start.astimezone(VIENNA) + by).astimezone(UTC)
        assert is_[pairs[key]][0] == wall
        assert is_[pairs[key]][1] - is_[pairs[key]][0] == end - start


@pytest.mark.parametrize(
    ("rrule", "days", "moved"),
    [
        ("FREQ=WEEKLY;COUNT=5", 1, "FREQ=WEEKLY;COUNT=5"),
        ("FREQ=WEEKLY;BYDAY=MO,TH;COUNT=5", 1, "FREQ=WEEKLY;COUNT=5;BYDAY=TU,FR"),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU;COUNT=5", 1, "FREQ=WEEKLY;INTERVAL=2;COUNT=5;BYDAY=TU,MO;WKST=TU"),
        ("FREQ=MONTHLY;BYDAY=1MO;COUNT=5", 7, None),
        ("FREQ=MONTHLY;BYDAY=1MO;COUNT=5", 0, "FREQ=MONTHLY;BYDAY=1MO;COUNT=5"),
        ("FREQ=MONTHLY;COUNT=5", 3, "FREQ=MONTHLY;COUNT=5"),
    ],
)
def test_the_days_of_a_rule_move_along(rrule: str, days: int, moved: str | None) -> None:
    found = shifted(series(rrule), timedelta(days=days, hours=1), VIENNA)
    head = None if found is None else recurrence.master(found[0])
    assert (None if head is None else head.value("RRULE")) == moved


def test_a_series_keeps_its_wall_time_over_a_clock_change_when_it_is_cut() -> None:
    calendar = series("FREQ=WEEKLY;COUNT=6")
    at = datetime(2026, 10, 26, 8, tzinfo=UTC)
    _before, after = cut(calendar, at, VIENNA)
    assert [start.astimezone(VIENNA).hour for start, _end in times(after).values()] == [9, 9, 9]
    assert min(times(after)) == utc_text(at)
