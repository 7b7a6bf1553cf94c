"""Stale copies written without a condition: what the app did not change is as it is now."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from ical import appointment as appt
from ical.lines import Component, parse
from ical.merge import merge
from ical.rebase import base_of, rebase
from ical.recurrence import add_exdate, make_override, master, occurrences
from ical.served import served
from ical.times import span

CALENDARS = Path(__file__).parents[1] / "calendars"
VIENNA = ZoneInfo("Europe/Vienna")
NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)
HOUR = timedelta(hours=1)


def load(name: str) -> Component:
    return parse((CALENDARS / f"{name}.ics").read_text().replace("\n", "\r\n"))


def event(calendar: Component) -> Component:
    return master(calendar) or calendar.components("VEVENT")[0]


@pytest.fixture
def base() -> Component:
    return load("appointment-1-stored-confirmed")


@pytest.fixture
def current(base: Component) -> Component:
    """Since then moved by an hour, another place, more notes."""
    changed = base.copy()
    start, end, _all_day = span(event(changed), VIENNA)
    appt.set_times(event(changed), start + HOUR, end + HOUR, VIENNA, LATER)
    event(changed).set_text("LOCATION", "Room 9")
    appt.set_notes(event(changed), "Check MRI from October.\nCall back.", LATER)
    return changed


def as_evolution(base: Component) -> Component:
    """Its copy, with DTSTAMP as it was."""
    mine = parse(served(base))
    event(mine).set("LAST-MODIFIED", "20261122T181000Z")
    return mine


def as_thunderbird(base: Component) -> Component:
    """Its copy, with a DTSTAMP of its own."""
    mine = as_evolution(base)
    event(mine).set("DTSTAMP", "20261122T181000Z")
    return mine


def merged(put: Component, base: Component, current: Component) -> Component:
    versions = [current.text(), base.text()]
    found = base_of(put, current, versions)
    assert found is not None and found.text() == base.text()
    return merge(current, rebase(put, found, current, VIENNA), VIENNA, LATER).calendar


@pytest.mark.parametrize("app", [as_evolution, as_thunderbird])
def test_an_old_copy_that_was_not_changed_changes_nothing(base, current, app):
    assert merged(app(base), base, current).text() == current.text()


@pytest.mark.parametrize("app", [as_evolution, as_thunderbird])
def test_what_the_old_copy_changed_is_changed_and_nothing_else(base, current, app):
    mine = app(base)
    event(mine).set_text("LOCATION", "Room 7")
    result = event(merged(mine, base, current))
    assert result.plain("LOCATION") == "Room 7"
    assert span(result, VIENNA)[0] == span(event(current), VIENNA)[0]
    assert result.plain(appt.DOCTOR_NOTES).endswith("Call back.")
    assert result.value(appt.STATUS) == "confirmed"


def test_a_move_in_the_old_copy_wins_over_the_move_that_it_has_not_seen(base, current):
    mine = as_evolution(base)
    event(mine).set("DTSTART", "20261127T103000", (("TZID", ("Europe/Vienna",)),))
    event(mine).set("DTEND", "20261127T105000", (("TZID", ("Europe/Vienna",)),))
    result = event(merged(mine, base, current))
    assert span(result, VIENNA)[0] == datetime(2026, 11, 27, 9, 30, tzinfo=UTC)
    assert result.plain("LOCATION") == "Room 9"


def test_a_command_in_the_old_copy_is_carried_out(base, current):
    mine = as_evolution(base)
    event(mine).set_text("SUMMARY", "#done Maria H. · Virtual")
    found = merge(current, rebase(mine, base, current, VIENNA), VIENNA, LATER)
    assert [command.action for command in found.commands] == ["complete"]
    assert span(event(found.calendar), VIENNA)[0] == span(event(current), VIENNA)[0]


def test_the_current_copy_is_its_own_base(base, current):
    assert base_of(as_evolution(current), current, [current.text(), base.text()]) is None
    assert base_of(as_thunderbird(current), current, [current.text(), base.text()]) is None


def test_an_app_without_stamps_of_ours_is_taken_at_its_word(base, current):
    mine = as_thunderbird(base)
    event(mine).set("SEQUENCE", "0")
    event(mine).remove("URL")
    assert base_of(mine, current, [current.text(), base.text()]) is None


def starts(calendar: Component) -> list[str]:
    found = occurrences(calendar, VIENNA, datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC))
    return [f"{each.start.astimezone(VIENNA):%m%d-%H%M}" for each in found]


def test_a_series_keeps_what_happened_to_its_occurrences_meanwhile():
    base = load("series-1-moved-and-exdate")
    current = base.copy()
    add_exdate(current, "20261202T130000Z", VIENNA)
    moved = make_override(current, "20261209T130000Z", VIENNA)
    start, end, _all_day = span(moved, VIENNA, current)
    appt.set_times(moved, start + HOUR, end + HOUR, VIENNA, LATER)
    event(current).set("DTSTAMP", "20261122T180500Z")
    current = parse(current.text())
    mine = as_evolution(base)
    assert starts(merged(mine, base, current)) == starts(current)
    event(mine).add("EXDATE", "20261111T130000Z")
    assert starts(merged(mine, base, current)) == [each for each in starts(current) if each != "1111-1400"]
