"""Working hours: weekly events in a doctor's `hours/`, made and changed here or in any calendar app."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from uuid import uuid4
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from ical import hours, lines, recurrence, times, timezones
from ical.errors import InvalidInput, NotFound
from ical.lines import Component
from storage import collections, locations, objects
from storage.models import Account, CalendarObject
from storage.policy import Actor
from storage.settings import Settings
from storage.writes import Write

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class HoursView:
    """One hours event. `first` and `last` are wall times of its first occurrence."""

    object: CalendarObject
    uid: str
    title: str
    rrule: str
    begins: datetime
    ends: datetime
    hours: hours.Hours
    active: bool


def list_hours(session: Session, doctor: Account) -> list[HoursView]:
    """The hours events of a doctor, in order of weekday and time."""
    zone = timezones.zone(doctor.timezone)
    found = [_view(obj, doctor, zone) for obj in objects.live(session, collections.built_in(session, doctor, "hours"))]
    return sorted(found, key=lambda view: (view.begins.weekday(), view.begins.time(), view.uid))


def add_hours(
    session: Session,
    doctor: Account,
    days: Sequence[str],
    start: time,
    end: time,
    *,
    actor: Actor,
    now: datetime,
    slot: int | None = None,
    capacity: int = 1,
    first: date | None = None,
    location: str = "",
) -> str:
    """Weekly hours on `days` ("mon" … "sun") from `start` to `end`, in the zone of the place `location`, else in the
    doctor's. Returns the event's UID.

    Raises InvalidInput.
    """
    wrong = [day for day in days if day not in DAYS]
    if wrong or not days:
        raise InvalidInput(f"Days are {', '.join(DAYS)}.", field="days")
    if end <= start:
        raise InvalidInput("The hours must end after they begin.", field="end")
    slot = slot or doctor.slot_minutes
    length = (end.hour - start.hour) * 60 + end.minute - start.minute
    if not 5 <= slot <= length:
        raise InvalidInput(f"A slot takes from 5 to {length} minutes.", field="slot")
    if not 1 <= capacity <= 100:
        raise InvalidInput("From 1 to 100 patients can share a slot.", field="capacity")
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    uid = f"hours-{uuid4()}@{settings.uid_domain}"
    place = locations.by_name(session, location) if location else None
    if location and place is None:
        raise InvalidInput(f"There is no place called {location[:64]}.", field="location")
    zone = timezones.zone(doctor.timezone if place is None else place.timezone)
    calendar = hours.weekly_hours(
        uid, tuple(days), start, end, zone, slot, capacity, first or now.astimezone(zone).date(), now, location
    )
    target = collections.built_in(session, doctor, "hours")
    objects.put_object(session, target, f"{uid}.ics", calendar, Write(actor, now, "hours", settle_at=now))
    return uid


def close_day(session: Session, doctor: Account, uid: str, day: date, *, actor: Actor, now: datetime) -> None:
    """Take one day out of weekly hours (EXDATE). Booked appointments stay: see storage.affected. Raises NotFound."""
    obj, calendar, zone = _open(session, doctor, uid)
    start = times.instant(day, zone)
    end = times.instant(date.fromordinal(day.toordinal() + 1), zone)
    found = recurrence.occurrences(calendar, zone, start, end)
    if not found:
        raise NotFound("There are no such hours on that day.")
    for occurrence in found:
        recurrence.add_exdate(calendar, occurrence.recurrence_id, zone)
    target = collections.built_in(session, doctor, "hours")
    objects.put_object(session, target, obj.href, calendar, Write(actor, now, "day closed", settle_at=now))


def remove(session: Session, doctor: Account, uid: str, *, actor: Actor, now: datetime) -> None:
    """End these hours. Booked appointments stay. Raises NotFound."""
    obj, _calendar, _zone = _open(session, doctor, uid)
    objects.delete_object(session, obj, Write(actor, now, "hours removed", settle_at=now))


def _open(session: Session, doctor: Account, uid: str) -> tuple[CalendarObject, Component, ZoneInfo]:
    objects.lock_owner(session, doctor.id)
    obj = objects.find_uid(session, collections.built_in(session, doctor, "hours"), uid)
    if obj is None or obj.deleted:
        raise NotFound("There are no such hours.")
    return obj, lines.parse(obj.stored_text), timezones.zone(doctor.timezone)


def _view(obj: CalendarObject, doctor: Account, zone: ZoneInfo) -> HoursView:
    calendar = lines.parse(obj.stored_text)
    component = recurrence.master(calendar) or calendar.components("VEVENT")[0]
    begins, ends, _all_day = times.span(component, zone, calendar)
    return HoursView(
        object=obj,
        uid=obj.uid,
        title=component.plain("SUMMARY"),
        rrule=component.value("RRULE") or "",
        begins=begins.astimezone(zone),
        ends=ends.astimezone(zone),
        hours=hours.read_hours(component, doctor.slot_minutes, doctor.capacity),
        active=(component.value("STATUS") or "").upper() != "CANCELLED",
    )
