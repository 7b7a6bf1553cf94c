"""Calendars in and out as iCalendar files."""

import re
from collections.abc import Iterator
from datetime import datetime
from hashlib import sha256

from sqlalchemy import select
from sqlalchemy.orm import Session

from ical import files, lines, timezones, vcalendar
from ical.errors import InvalidCalendarData, Refusal
from ical.lines import Component, Line
from storage import audit, collections, edits, objects
from storage.models import Account, CalendarObject, Collection
from storage.policy import Actor

LARGEST_FILE = files.MAX_FILE
_TIMES = frozenset(
    {"COMPLETED", "CREATED", "DTEND", "DTSTAMP", "DTSTART", "DUE", "DURATION", "LAST-MODIFIED", "RECURRENCE-ID"}
)
_SAFE_HREF = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,199}")


def calendars(session: Session, owner: Account) -> list[Collection]:
    """What can be imported into and exported."""
    return [collection for collection in collections.home(session, owner) if collection.kind != "inbox"]


def read_file(data: bytes, owner: Account) -> files.ImportResult:
    """The calendar objects of a file, what in it is refused and why, and what was read otherwise than written.

    Raises InvalidCalendarData when the file is no calendar at all."""
    if len(data) > LARGEST_FILE:
        raise InvalidCalendarData(f"The file is larger than {LARGEST_FILE >> 20} MiB.")
    read = files.check_calendar_file(data, timezones.zone(owner.timezone))
    for calendar in read.objects:
        _trim_times(calendar)
    return read


def import_object(
    session: Session, collection: Collection, calendar: Component, *, actor: Actor, now: datetime
) -> str | None:
    """Store one object of a file as if a calendar app had sent it; one that is there is replaced.

    The reason when it is refused; nothing of it is stored then, and the transaction goes on."""
    uid = uid_of(calendar)
    there = objects.find_uid(session, collection, uid)
    href = there.href if there is not None and not there.deleted else href_of(uid)
    try:
        with session.begin_nested():
            edits.client_put(session, collection, href, calendar.text().encode(), actor=actor, now=now)
    except Refusal as refusal:
        return refusal.sentence
    return None


def export_calendar(session: Session, collection: Collection, now: datetime) -> Iterator[str]:
    """One VCALENDAR with every object of the calendar, in pieces. Each time zone stands in it once."""
    audit.note(session, "calendar.exported", f"collection:{collection.id}", now)
    yield f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:{vcalendar.PRODID}\r\nCALSCALE:GREGORIAN\r\n"
    name = _display_name(collection)
    yield Line("X-WR-CALNAME", lines.escape(name)).text()
    zones: dict[str, str] = {}
    for calendar in _calendars(session, collection):
        for zone in calendar.components("VTIMEZONE"):
            zones.setdefault(zone.plain("TZID"), zone.text())
    yield from zones.values()
    for calendar in _calendars(session, collection):
        for component in calendar.components():
            if component.name != "VTIMEZONE":
                yield component.text()
    yield "END:VCALENDAR\r\n"


def uid_of(calendar: Component) -> str:
    return next((c.plain("UID") for c in calendar.components("VEVENT", "VTODO", "VJOURNAL")), "")


def href_of(uid: str) -> str:
    """A file name for a UID, which may hold anything."""
    return f"{uid if _SAFE_HREF.fullmatch(uid) else sha256(uid.encode()).hexdigest()[:40]}.ics"


def _calendars(session: Session, collection: Collection) -> Iterator[Component]:
    """As they are served, but with one VTIMEZONE for one zone, whatever each app called and defined it."""
    chosen = select(CalendarObject.served_text).where(
        CalendarObject.collection_id == collection.id, CalendarObject.deleted.is_(False)
    )
    for text in session.scalars(chosen.order_by(CalendarObject.id).execution_options(yield_per=500)):
        calendar = lines.parse(text)
        timezones.ensure_vtimezones(calendar)
        yield calendar


def _trim_times(calendar: Component) -> None:
    """Some apps left blanks behind their times, over which others stumble."""
    for component in calendar.walk():
        for line in component.lines():
            if line.name in _TIMES and line.value != line.value.strip():
                line.value, line.raw = line.value.strip(), ""


def _display_name(collection: Collection) -> str:
    xml = str(collection.props.get(collections.DISPLAYNAME, "")) or collection.name
    return re.sub(r"<[^>]*>", "", xml).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
