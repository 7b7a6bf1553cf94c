"""Working hours as VAVAILABILITY: the same times as the hours events, and nothing else."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from icalendar import Calendar

from ical.availability import availability
from ical.lines import Component, parse
from ical.recurrence import make_override, occurrences
from ical.served import organizer_line

VIENNA = ZoneInfo("Europe/Vienna")
CHANGED = datetime(2026, 11, 22, 17, tzinfo=UTC)
START, END = datetime(2026, 9, 1, tzinfo=UTC), datetime(2027, 9, 1, tzinfo=UTC)
HOURS = ["hours-1-monday-morning", "hours-2-virtual-friday-dst"]


def load(name: str) -> Component:
    text = (Path(__file__).parents[1] / "calendars" / f"{name}.ics").read_text()
    return parse(text.replace("\n", "\r\n"))


def made_of(*hours: Component) -> Component:
    """The VAVAILABILITY, read back."""
    calendar = parse(availability("availability-lee@clinic.example", hours, VIENNA, CHANGED))
    (block,) = calendar.components("VAVAILABILITY")
    return block


def times(calendar: Component) -> list[tuple[datetime, datetime]]:
    found = occurrences(calendar, VIENNA, START, END)
    return [(each.start, each.end) for each in found if each.component.value("STATUS") != "CANCELLED"]


def open_times(block: Component) -> list[tuple[datetime, datetime]]:
    """The time that the AVAILABLEs leave open, found by reading them as the events of one object each UID."""
    uids = {available.value("UID") for available in block.components("AVAILABLE")}
    found = []
    for uid in uids:
        calendar = Component("VCALENDAR")
        for available in block.components("AVAILABLE"):
            if available.value("UID") == uid:
                calendar.children.append(Component("VEVENT", available.children))
        found += times(calendar)
    return sorted(found)


@pytest.mark.parametrize("names", [HOURS[:1], HOURS[1:], HOURS])
def test_it_is_open_when_the_hours_are(names: list[str]) -> None:
    hours = [load(name) for name in names]
    expected = sorted(time for each in hours for time in times(each))
    assert len(expected) > 30
    assert open_times(made_of(*hours)) == expected


def test_a_cancelled_day_is_closed() -> None:
    hours = load(HOURS[0])
    make_override(hours, "20261216T080000Z", VIENNA).set("STATUS", "CANCELLED")
    found = open_times(made_of(hours))
    assert datetime(2026, 12, 16, 8, tzinfo=UTC) not in [start for start, _end in found]
    assert len(found) == len(times(load(HOURS[0]))) - 1


def test_floating_hours_are_local_to_the_doctor() -> None:
    hours = parse(
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:h\r\nDTSTART:20261123T090000\r\nDTEND:20261123T120000\r\n"
        "RRULE:FREQ=WEEKLY\r\nEXDATE:20261130T090000\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    (available,) = made_of(hours).components("AVAILABLE")
    for name in ("DTSTART", "DTEND", "EXDATE"):
        line = available.first(name)
        assert line is not None and line.param("TZID") == "Europe/Vienna"
    assert available.value("DTSTAMP") == "20261122T170000Z"


def test_notes_for_a_day_and_events_without_an_end_open_nothing() -> None:
    hours = parse(
        "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:a\r\nDTSTART;VALUE=DATE:20261123\r\nEND:VEVENT\r\n"
        "BEGIN:VEVENT\r\nUID:b\r\nDTSTART:20261123T090000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )
    assert made_of(hours).components() == []


def test_it_says_nothing_of_slots_and_types() -> None:
    text = availability("a@clinic.example", [load(name) for name in HOURS], VIENNA, CHANGED)
    for word in ("X-CLINICDAV", "20 min", "CATEGORIES", "URL", "ORGANIZER", "online"):
        assert word not in text


def test_another_library_reads_it() -> None:
    organizer = organizer_line("Dr. Eva Smith", "eva@clinic.example")
    text = availability("a@clinic.example", [load(HOURS[0])], VIENNA, CHANGED, organizer)
    calendar = Calendar.from_ical(text)
    (block,) = calendar.walk("VAVAILABILITY")
    assert block["BUSYTYPE"] == "BUSY-UNAVAILABLE"
    assert str(block["ORGANIZER"]) == "mailto:eva@clinic.example"
    series, moved = block.subcomponents
    assert series.name == moved.name == "AVAILABLE"
    assert series["DTEND"].dt - series["DTSTART"].dt == timedelta(hours=3)
    assert moved["RECURRENCE-ID"].dt == datetime(2026, 11, 30, 9, tzinfo=VIENNA)
    assert [zone["TZID"] for zone in calendar.walk("VTIMEZONE")] == ["Europe/Vienna"]
