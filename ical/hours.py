"""Working hours: weekly VEVENTs whose title says how they are cut into slots. RFC 5545 §3.6.1, §3.8.5.

`Clinic hours (20 min × 1)` is read wherever it was written, so an event made on a phone, or the new half of a series
that a phone split, needs nothing of ours to be complete.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from ical.appointment import KIND, TYPES, category_list
from ical.errors import InvalidCalendarData, InvalidInput
from ical.lines import Component, Line, escape
from ical.recurrence import master
from ical.times import instant, read_duration, read_time, set_time, utc_text
from ical.timezones import ensure_vtimezones
from ical.vcalendar import clean, is_private, vcalendar

TITLE = "Clinic hours"
MAX_CAPACITY = 100
MAX_SLOT = 24 * 60
DAYS = {"mon": "MO", "tue": "TU", "wed": "WE", "thu": "TH", "fri": "FR", "sat": "SA", "sun": "SU"}

SLOT = "X-CLINICDAV-SLOT-DURATION"
CAPACITY = "X-CLINICDAV-SLOT-CAPACITY"
TYPES_LINE = "X-CLINICDAV-TYPES"

_MINUTES = re.compile(r"(\d{1,5})[\s-]*min", re.IGNORECASE)
# Not the x of "max 5", nor the 30 of "2 x 30 min".
_TIMES = re.compile(r"(?:(?<![^\W\d_])x|[×*])\s*(\d{1,5})(?!\d|[\s-]*min)", re.IGNORECASE)
_TIMES_FIRST = re.compile(r"(?<!\d)(\d{1,5})\s*[x×*]\s*\d{1,5}[\s-]*min", re.IGNORECASE)
_WORDS = {"virtual": re.compile(r"\bonline\b", re.IGNORECASE), "xray_review": re.compile(r"\bx-?ray\b", re.IGNORECASE)}
_LABELS = {label.casefold(): code for code, label in TYPES.items()}


@dataclass(frozen=True)
class Hours:
    """How an hours event is cut. `types` empty: every kind of appointment; `capacity` 0: none at all."""

    slot_minutes: int
    capacity: int
    types: tuple[str, ...]
    location: str


def read_hours(component: Component, default_slot: int, default_capacity: int) -> Hours:
    """What the VEVENT says: its title first, then what was stored beside it, then the doctor's defaults."""
    title = component.plain("SUMMARY")
    slot = _within(_number(_MINUTES, title), MAX_SLOT) or _within(_stored_slot(component), MAX_SLOT)
    spoken = _number(_TIMES, title) or _number(_TIMES_FIRST, title)
    capacity = _within(spoken, MAX_CAPACITY) or _within(_stored_capacity(component), MAX_CAPACITY)
    types = _spoken_types(component, title) or tuple((component.value(TYPES_LINE) or "").split())
    seats = 0 if _is_all_day(component) else capacity or default_capacity
    return Hours(slot or default_slot, seats, types, component.plain("LOCATION"))


def weekly_hours(
    uid: str,
    days: Sequence[str],
    start: time,
    end: time,
    zone: ZoneInfo,
    slot: int,
    capacity: int,
    first: date,
    now: datetime,
    location: str = "",
) -> Component:
    """The calendar object of hours on `days` ("mon" … "sun"), from the first such day on or after `first`.

    An `end` of midnight is the end of the day. Raises InvalidInput.
    """
    wrong = [day for day in days if day not in DAYS]
    if wrong or not days:
        raise InvalidInput(f"Days are {', '.join(DAYS)}.", field="days")
    if end <= start and end != time():
        raise InvalidInput("The hours must end after they begin.", field="end")
    if not 1 <= slot <= MAX_SLOT:
        raise InvalidInput(f"A slot takes from 1 to {MAX_SLOT} minutes.", field="slot")
    if not 1 <= capacity <= MAX_CAPACITY:
        raise InvalidInput(f"From 1 to {MAX_CAPACITY} patients can share a slot.", field="capacity")
    names = [name for name in DAYS if name in days]
    day = next(d for d in (first + timedelta(days=n) for n in range(7)) if list(DAYS)[d.weekday()] in names)
    event = Component("VEVENT")
    event.add("UID", uid)
    for name in ("DTSTAMP", "CREATED", "LAST-MODIFIED"):
        event.add(name, utc_text(now))
    event.add("SEQUENCE", "0")
    set_time(event, "DTSTART", datetime.combine(day, start, zone), zone)
    last = day if end > start else day + timedelta(days=1)
    set_time(event, "DTEND", datetime.combine(last, end, zone), zone)
    event.add("RRULE", "FREQ=WEEKLY;BYDAY=" + ",".join(DAYS[name] for name in names))
    event.add("SUMMARY", f"{TITLE} ({slot} min × {capacity})")
    if location:
        event.add("LOCATION", escape(clean(location)))
    event.add("CATEGORIES", TITLE)
    event.add("TRANSP", "TRANSPARENT")
    event.add("STATUS", "CONFIRMED")
    event.add("CLASS", "PUBLIC")
    event.add(KIND, "hours")
    event.add(SLOT, f"PT{slot}M")
    event.add(CAPACITY, str(capacity))
    calendar = vcalendar(event)
    ensure_vtimezones(calendar)
    return calendar


def normalise(calendar: Component, stored: Component | None, zone: ZoneInfo) -> None:
    """Make what a calendar app sent hours of ours: what it was not shown comes back from `stored`, in place.

    A series in UTC would drift by an hour when the clocks change, so it is put into the doctor's zone.
    """
    _into_zone(calendar, zone)
    head = None if stored is None else master(stored)
    kept = [] if head is None else [line for line in head.lines() if is_private(line)]
    for component in calendar.components("VEVENT"):
        component.children = [child for child in component.children if not is_private(child)]
        for line in kept or [Line(KIND, "hours")]:
            component.insert(Line(line.name, line.value, line.params, line.raw))


def _into_zone(calendar: Component, zone: ZoneInfo) -> None:
    head = master(calendar)
    begin = None if head is None else head.first("DTSTART")
    if head is None or begin is None or head.first("RRULE") is None or not begin.value.endswith("Z"):
        return
    for name in ("DTSTART", "DTEND"):
        line = head.first(name)
        if line is not None:
            set_time(head, name, instant(read_time(line, zone, calendar), zone), zone)
    ensure_vtimezones(calendar)


def _is_all_day(component: Component) -> bool:
    """A note for the day, not hours from midnight to midnight."""
    begin = component.first("DTSTART")
    return begin is not None and len(begin.value.strip()) == 8


def _number(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text)
    return int(found[1]) if found else 0


def _within(number: int, highest: int) -> int:
    """The number, or 0 for one that cannot be meant."""
    return number if 1 <= number <= highest else 0


def _stored_slot(component: Component) -> int:
    try:
        return int(read_duration(component.value(SLOT) or "").total_seconds()) // 60
    except InvalidCalendarData:
        return 0


def _stored_capacity(component: Component) -> int:
    value = component.value(CAPACITY) or ""
    return int(value) if value.isascii() and value.isdigit() and len(value) < 6 else 0


def _spoken_types(component: Component, title: str) -> tuple[str, ...]:
    """The kinds that a word of the title or a category names."""
    named = {_LABELS.get(category.casefold()) for category in category_list(component)}
    return tuple(code for code in TYPES if code in named or (code in _WORDS and _WORDS[code].search(title)))
