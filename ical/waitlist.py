"""The waitlist: who waits for what, which slot would do, and the entry as a VTODO. RFC 5545 §3.6.2."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from ical.appointment import KIND, PATIENT_ID, REASON, TYPE, initials
from ical.lines import Component, escape
from ical.times import set_time, utc_text
from ical.timezones import ensure_vtimezones
from ical.vcalendar import clean, stamp, vcalendar

State = Literal["waiting", "offered", "converted", "expired", "withdrawn"]

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_NOTIFIED = "X-CLINICDAV-NOTIFIED"
_OFFER_EXPIRES = "X-CLINICDAV-OFFER-EXPIRES"
_CONVERTED_TO = "X-CLINICDAV-CONVERTED-TO"
_STATUS_LINES: dict[State, str] = {
    "waiting": "NEEDS-ACTION",
    "offered": "IN-PROCESS",
    "converted": "COMPLETED",
    "expired": "CANCELLED",
    "withdrawn": "CANCELLED",
}


@dataclass(frozen=True)
class Wish:
    """What an entry waits for. Times are wall times of the doctor's, a `time_to` of midnight the end of the day.

    `doctor_id` None: any doctor. `weekdays` empty: every day.
    """

    id: UUID
    doctor_id: int | None
    date_from: date
    date_to: date
    time_from: time
    time_to: time
    weekdays: tuple[str, ...]
    type_code: str
    added_at: datetime


def matches(wish: Wish, start: datetime, end: datetime, doctor_id: int, type_code: str, zone: ZoneInfo) -> bool:
    """Whether the visit [start, end) with this doctor is what is wished for."""
    first, last = start.astimezone(zone), end.astimezone(zone)
    if wish.type_code != type_code or wish.doctor_id not in (None, doctor_id):
        return False
    if not wish.date_from <= first.date() <= wish.date_to:
        return False
    if wish.weekdays and WEEKDAYS[first.weekday()] not in wish.weekdays:
        return False
    # Compared as wall times: on a day when the clocks change noon is still noon.
    closing = datetime.combine(first.date(), wish.time_to)
    if wish.time_to == time():
        closing += timedelta(days=1)
    return first.time() >= wish.time_from and last.replace(tzinfo=None) <= closing


def rank(wishes: Iterable[Wish]) -> list[Wish]:
    """First come, first served."""
    return sorted(wishes, key=lambda wish: (wish.added_at, wish.id))


def vtodo(
    wish: Wish,
    *,
    uid: str,
    patient_id: UUID,
    patient_name: str,
    type_name: str,
    reason: str,
    zone: ZoneInfo,
    now: datetime,
    url: str = "",
) -> Component:
    """The calendar object of a waiting entry."""
    todo = Component("VTODO")
    todo.add("UID", uid)
    todo.add("DTSTAMP", utc_text(now))
    todo.add("CREATED", utc_text(wish.added_at))
    todo.add("LAST-MODIFIED", utc_text(now))
    todo.add("SEQUENCE", "0")
    set_time(todo, "DTSTART", datetime.combine(wish.date_from, wish.time_from, zone), zone)
    last = wish.date_to if wish.time_to != time() else wish.date_to + timedelta(days=1)
    set_time(todo, "DUE", datetime.combine(last, wish.time_to, zone), zone)
    title = f"Waitlist: {initials(patient_name)} · {type_name} ({_when(wish)})"
    todo.add("SUMMARY", escape(clean(title)))
    if reason:
        todo.add("DESCRIPTION", escape(clean(f"Reason: {reason}")))
    todo.add("CATEGORIES", f"Waitlist,{escape(clean(type_name))}")
    todo.add("STATUS", "NEEDS-ACTION")
    todo.add("PERCENT-COMPLETE", "0")
    todo.add("PRIORITY", "5")
    todo.add("CLASS", "PRIVATE")
    if url:
        todo.add("URL", url)
    todo.add(KIND, "waitlist")
    todo.add(TYPE, wish.type_code)
    todo.add(PATIENT_ID, patient_id.urn)
    if reason:
        todo.add(REASON, escape(clean(reason)))
    calendar = vcalendar(todo)
    ensure_vtimezones(calendar)
    return calendar


def set_state(
    calendar: Component,
    state: State,
    now: datetime,
    *,
    offer_expires: datetime | None = None,
    converted_to: str = "",
) -> None:
    """Make the VTODO say how the entry stands. `converted_to` is the UID of the appointment that came of it."""
    todo = calendar.components("VTODO")[0]
    todo.remove("COMPLETED", "RELATED-TO", _CONVERTED_TO)
    todo.set("STATUS", _STATUS_LINES[state])
    todo.set("PERCENT-COMPLETE", "100" if state == "converted" else "0")
    if state == "offered":
        todo.set(_NOTIFIED, utc_text(now))
        if offer_expires is not None:
            todo.set(_OFFER_EXPIRES, utc_text(offer_expires))
    elif state == "waiting":
        todo.remove(_OFFER_EXPIRES)
    elif state == "converted":
        todo.add("COMPLETED", utc_text(now))
        if converted_to:
            todo.add("RELATED-TO", converted_to, (("RELTYPE", ("SIBLING",)),))
            todo.add(_CONVERTED_TO, converted_to)
    stamp(todo, now, sequence=True)


def _when(wish: Wish) -> str:
    days = _day(wish.date_from)
    if wish.date_to != wish.date_from:
        days += f" – {_day(wish.date_to)}"
    return f"{days}, {wish.time_from:%H:%M}–{wish.time_to:%H:%M}"


def _day(day: date) -> str:
    return f"{day:%b} {day.day}"
