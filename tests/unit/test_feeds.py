"""Feeds, level by level."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import icalendar
import pytest

from ical.feeds import MAX_BYTES, FeedEvent, feed
from ical.lines import parse

NOW = datetime(2026, 11, 22, 17, tzinfo=UTC)
EVENT = FeedEvent(
    uid="f-9b1c27@clinic.example",
    start=datetime(2026, 11, 25, 8, 20, tzinfo=UTC),
    end=datetime(2026, 11, 25, 8, 40, tzinfo=UTC),
    summary="Maria H. · Virtual",
    status="CONFIRMED",
    sequence=1764000000,
    changed=NOW,
    location="Room 2, left",
    url="https://clinic.example/p/a/t4k9",
)


def text(level: str, *events: FeedEvent, name: str = "Dr. Smith (busy)") -> str:
    return feed(events or (EVENT,), name, NOW, "Europe/Vienna", level)


def test_a_busy_feed_is_the_example():
    assert (
        text("busy").splitlines()
        == """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//ClinicDAV//ClinicDAV 0.1//EN
CALSCALE:GREGORIAN
METHOD:PUBLISH
REFRESH-INTERVAL;VALUE=DURATION:PT1H
X-PUBLISHED-TTL:PT1H
NAME:Dr. Smith (busy)
X-WR-CALNAME:Dr. Smith (busy)
X-WR-TIMEZONE:Europe/Vienna
COLOR:steelblue
BEGIN:VEVENT
UID:f-9b1c27@clinic.example
DTSTAMP:20261122T170000Z
LAST-MODIFIED:20261122T170000Z
SEQUENCE:1764000000
DTSTART:20261125T082000Z
DTEND:20261125T084000Z
SUMMARY:Busy
CLASS:PRIVATE
TRANSP:OPAQUE
STATUS:CONFIRMED
END:VEVENT
END:VCALENDAR""".splitlines()
    )


@pytest.mark.parametrize("level", ["initials", "patient"])
def test_an_open_feed_has_title_place_link_and_zone(level):
    event = parse(text(level)).components("VEVENT")[0]
    assert event.plain("SUMMARY") == "Maria H. · Virtual"
    assert event.plain("LOCATION") == "Room 2, left"
    assert event.first("DTSTART").text() == "DTSTART;TZID=Europe/Vienna:20261125T092000\r\n"
    assert len(parse(text(level)).components("VTIMEZONE")) == 1


@pytest.mark.parametrize("level", ["busy", "initials", "patient"])
def test_a_strict_reader_finds_nothing_wrong(level):
    hostile = replace(EVENT, summary="a;b,c\\d\r\nBEGIN:VALARM\x00", location="x\ny")
    written = text(level, EVENT, hostile, name="Dr. Smith; Partner\nX-EVIL:1")
    calendar = icalendar.Calendar.from_ical(written)
    assert calendar.errors == []
    assert [component.errors for component in calendar.walk("VEVENT")] == [[], []]
    assert "VALARM" not in {component.name for component in calendar.walk()}
    assert all(len(line.encode()) <= 75 for line in written.split("\r\n"))


def test_the_same_events_are_the_same_text():
    later = replace(EVENT, uid="f-2@clinic.example", start=EVENT.start + timedelta(hours=1))
    assert text("busy", EVENT, later) == text("busy", later, EVENT)


def test_a_feed_stays_below_what_google_takes():
    many = [replace(EVENT, uid=f"f-{n}@clinic.example", start=NOW + timedelta(hours=n)) for n in range(6000)]
    written = text("initials", *many)
    assert len(written.encode()) < MAX_BYTES + 5000
    assert "f-0@" in written
    assert "f-5999@" not in written
