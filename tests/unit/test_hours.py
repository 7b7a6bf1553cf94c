"""Working hours, read from their title wherever they were written."""

from datetime import UTC, date, datetime, time
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ical.errors import InvalidInput
from ical.hours import Hours, normalise, read_hours, weekly_hours
from ical.lines import Component, parse
from ical.recurrence import occurrences
from ical.served import served

CALENDARS = Path(__file__).parents[1] / "calendars"
VIENNA = ZoneInfo("Europe/Vienna")
NOW = datetime(2026, 11, 22, 17, tzinfo=UTC)


def load(name: str) -> Component:
    return parse((CALENDARS / f"{name}.ics").read_text().replace("\n", "\r\n"))


def titled(title: str, **lines: str) -> Component:
    event = Component("VEVENT")
    event.set_text("SUMMARY", title)
    for name, value in lines.items():
        event.add(name.replace("_", "-"), value)
    return event


@pytest.mark.parametrize(
    ("title", "slot", "capacity"),
    [
        ("Clinic hours (20 min × 1)", 20, 1),
        ("Clinic hours (15min x 3)", 15, 3),
        ("Ordination 10 Min *2", 10, 2),
        ("Ordination x2", 30, 2),
        ("Clinic hours", 30, 4),
        ("X-ray hours, max 5 people", 30, 4),
        ("Ordination 2 x 30 min", 30, 2),
        ("Ordination 3×15min", 15, 3),
        ("15-min slots", 15, 4),
        ("Clinic hours (0 min × 0)", 30, 4),
        ("Clinic hours (99999 min × 99999)", 30, 4),
    ],
)
def test_slot_and_capacity_come_from_the_title_or_are_the_doctors(title, slot, capacity):
    found = read_hours(titled(title), 30, 4)
    assert (found.slot_minutes, found.capacity) == (slot, capacity)


def test_all_day_event_among_the_hours_opens_no_night():
    event = titled("Training", DTSTART="20261124")
    assert read_hours(event, 30, 4).capacity == 0


def test_what_is_stored_beside_fills_what_the_title_leaves_open():
    stored = {
        "X_CLINICDAV_SLOT_DURATION": "PT15M",
        "X_CLINICDAV_SLOT_CAPACITY": "2",
        "X_CLINICDAV_TYPES": "virtual emergency",
    }
    assert read_hours(titled("Clinic hours", **stored), 30, 1) == Hours(15, 2, ("virtual", "emergency"), "")
    assert read_hours(titled("Clinic hours (20 min × 3)", **stored), 30, 1).slot_minutes == 20
    broken = {"X_CLINICDAV_SLOT_DURATION": "soon", "X_CLINICDAV_SLOT_CAPACITY": "²"}
    assert read_hours(titled("Clinic hours", **broken), 30, 1) == Hours(30, 1, (), "")


@pytest.mark.parametrize(
    ("title", "categories", "types"),
    [
        ("Clinic hours online", "Clinic hours", ("virtual",)),
        ("X-ray (10 min)", "Clinic hours", ("xray_review",)),
        ("Clinic hours", "Clinic hours,Follow-up,virtual", ("follow_up", "virtual")),
        ("Clinic hours", "Clinic hours", ()),
        ("Onlineshopping", "Red", ()),
    ],
)
def test_words_and_labels_restrict_the_kinds(title, categories, types):
    assert read_hours(titled(title, CATEGORIES=categories), 30, 1).types == types


def test_the_examples_are_read():
    monday = load("hours-1-monday-morning").components("VEVENT")[0]
    types = ("consultation", "follow_up", "results_discussion")
    assert read_hours(monday, 30, 1) == Hours(20, 1, types, "Praxis Wien, Room 2")
    friday = load("hours-2-virtual-friday-dst").components("VEVENT")[0]
    assert read_hours(friday, 30, 1) == Hours(15, 2, ("virtual",), "")


def make(days=("tue", "mon"), start=time(9), end=time(12), slot=20, capacity=1) -> Component:
    return weekly_hours("hours-1@clinic.example", days, start, end, VIENNA, slot, capacity, date(2026, 11, 24), NOW)


def test_weekly_hours_begin_on_the_first_of_their_days():
    calendar = make()
    found = occurrences(calendar, VIENNA, NOW, datetime(2026, 12, 3, tzinfo=UTC))
    assert [o.start.astimezone(VIENNA).strftime("%a %d %H:%M") for o in found] == [
        "Tue 24 09:00",
        "Mon 30 09:00",
        "Tue 01 09:00",
    ]
    assert read_hours(calendar.components("VEVENT")[0], 30, 5) == Hours(20, 1, (), "")
    assert parse(calendar.text()).text() == calendar.text()


def test_hours_may_last_until_midnight():
    calendar = make(end=time(0))
    found = occurrences(calendar, VIENNA, NOW, datetime(2026, 11, 26, tzinfo=UTC))
    assert (found[0].end - found[0].start).total_seconds() == 15 * 3600


@pytest.mark.parametrize(
    "wrong",
    [{"days": ()}, {"days": ("monday",)}, {"end": time(9)}, {"slot": 0}, {"capacity": 0}, {"capacity": 101}],
)
def test_impossible_hours_are_refused(wrong):
    with pytest.raises(InvalidInput):
        make(**wrong)


def test_an_app_that_was_not_shown_our_lines_does_not_erase_them():
    stored = load("hours-1-monday-morning")
    put = parse(served(stored))
    normalise(put, stored, VIENNA)
    assert put.text() == stored.text()


def test_an_app_cannot_write_our_lines():
    put = parse(served(make()))
    put.components("VEVENT")[0].add("X-CLINICDAV-TYPES", "emergency")
    normalise(put, None, VIENNA)
    assert read_hours(put.components("VEVENT")[0], 30, 1).types == ()
