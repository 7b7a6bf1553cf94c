"""Working hours as others read them: one VAVAILABILITY made of the hours events. RFC 7953 §3.1.

The events are the truth; this says the same in the words that Apple's and Nextcloud's calendars show as availability.
How the time is cut into slots, for what and for how many, has no place in it. Leave is no part of the hours.
"""

from collections.abc import Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

from ical.hours import TITLE
from ical.lines import Component, Line
from ical.recurrence import master
from ical.times import utc_text
from ical.timezones import ensure_vtimezones
from ical.vcalendar import vcalendar

_TIMES = ("DTSTART", "DTEND", "RECURRENCE-ID", "RDATE", "EXDATE")
_COPIED = ("UID", "RECURRENCE-ID", "DTSTAMP", "DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE")


def availability(
    uid: str, hours: Iterable[Component], zone: ZoneInfo, changed: datetime, organizer: Line | None = None
) -> str:
    """The calendar object that says when its owner works: outside all of `hours` they are BUSY-UNAVAILABLE.

    `changed` is when the hours were last written, so that the text changes with them alone.
    """
    block = Component("VAVAILABILITY")
    block.add("UID", uid)
    block.add("DTSTAMP", utc_text(changed))
    if organizer is not None:
        block.insert(organizer)
    block.add("BUSYTYPE", "BUSY-UNAVAILABLE")
    block.add("SUMMARY", "Working hours")
    calendar = vcalendar()
    for source in hours:
        block.children += _available(source, zone, changed)
        # What alone explains a TZID that is no IANA name; the others are written anew below.
        calendar.children += [definition.copy() for definition in source.components("VTIMEZONE")]
    calendar.children.append(block)
    ensure_vtimezones(calendar)
    return calendar.text()


def _available(source: Component, zone: ZoneInfo, changed: datetime) -> list[Component]:
    """An AVAILABLE for each event of a calendar object in which something is open."""
    head = master(source)
    closed = [event for event in source.components("VEVENT") if _is_closed(event)]
    found = []
    for event in source.components("VEVENT"):
        if event in closed or not _has_length(event):
            continue
        component = Component("AVAILABLE")
        for name in _COPIED:
            for line in event.lines(name):
                component.insert(_zoned(line, zone) if name in _TIMES else Line(line.name, line.value, line.params))
        if component.first("DTSTAMP") is None:
            component.add("DTSTAMP", utc_text(changed))
        if event is head:
            # AVAILABLE has no STATUS: a day that was cancelled is one that the series leaves out.
            for override in closed:
                for line in override.lines("RECURRENCE-ID"):
                    component.insert(_zoned(Line("EXDATE", line.value, line.params), zone))
        component.add("SUMMARY", TITLE)
        for line in event.lines("LOCATION"):
            component.insert(Line(line.name, line.value, line.params))
        found.append(component)
    return found


def _is_closed(event: Component) -> bool:
    return (event.value("STATUS") or "").strip().upper() == "CANCELLED"


def _has_length(event: Component) -> bool:
    """A DATE is a note for that day, and an event without an end opens nothing."""
    begin = event.first("DTSTART")
    timed = begin is not None and "T" in begin.value.upper()
    return timed and (event.first("DTEND") is not None or event.first("DURATION") is not None)


def _zoned(line: Line, zone: ZoneInfo) -> Line:
    """A floating time is local where the doctor is, not where the reader is."""
    floating = "T" in line.value.upper() and not line.value.strip().upper().endswith("Z") and not line.param("TZID")
    return Line(line.name, line.value, (*line.params, ("TZID", (zone.key,))) if floating else line.params)
