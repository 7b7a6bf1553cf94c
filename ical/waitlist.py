"""The waitlist: who waits for what, which slot goes to whom, and the entry as a VTODO. RFC 5545 §3.6.2."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator
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

# RFC 5545 §3.8.1.9 PRIORITY: 1 is the highest.
Urgency = Literal["urgent", "soon", "routine"]
URGENCIES: dict[Urgency, int] = {"urgent": 1, "soon": 3, "routine": 5}

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

    `doctor_ids` empty: any doctor. `weekdays` empty: every day.
    """

    id: UUID
    patient_id: UUID
    doctor_ids: frozenset[int]
    date_from: date
    date_to: date
    time_from: time
    time_to: time
    weekdays: tuple[str, ...]
    type_code: str
    added_at: datetime
    priority: int = 5


@dataclass(frozen=True)
class Free:
    """A slot on offer. `spots` is how many may still be booked at its time."""

    type_code: str
    doctor_id: int
    start: datetime
    end: datetime
    spots: int
    zone: ZoneInfo


def unsuitable(wish: Wish, free: Free) -> list[str]:
    """Why the slot is not what is wished for: type, doctor, day, weekday, time. Empty: it is."""
    first, last = free.start.astimezone(free.zone), free.end.astimezone(free.zone)
    reasons = {
        "type": wish.type_code != free.type_code,
        "doctor": bool(wish.doctor_ids) and free.doctor_id not in wish.doctor_ids,
        "day": not wish.date_from <= first.date() <= wish.date_to,
        "weekday": bool(wish.weekdays) and WEEKDAYS[first.weekday()] not in wish.weekdays,
        # Compared as wall times: on a day when the clocks change noon is still noon.
        "time": first.time() < wish.time_from or last.replace(tzinfo=None) > _closing(wish, first.date()),
    }
    return [name for name, wrong in reasons.items() if wrong]


def suits(wish: Wish, free: Free) -> bool:
    return not unsuitable(wish, free)


def rank(wishes: Iterable[Wish]) -> list[Wish]:
    """The most urgent first, then first come, first served."""
    return sorted(wishes, key=lambda wish: (wish.priority, wish.added_at, wish.id))


def assign(
    wishes: Iterable[Wish],
    free: Iterable[Free],
    *,
    unwanted: Callable[[Wish, Free], bool] = lambda wish, free: False,
    served: Container[tuple[UUID, str]] = frozenset(),
) -> Iterator[tuple[Wish, Free]]:
    """Who is offered what: each in their order the first slot that suits them and that nobody before them took.

    `unwanted`: what a wish was offered before. A patient gets one slot of a type at a time; `served` are the patients
    and types for which an offer stands already.
    """
    diary = _Diary(free)
    met: set[tuple[UUID, str]] = set()
    for wish in rank(wishes):
        who = (wish.patient_id, wish.type_code)
        if who in met or who in served:
            continue
        for slot in diary.suiting(wish):
            if diary.left(slot) and not unwanted(wish, slot):
                diary.take(slot)
                met.add(who)
                yield wish, slot
                break


class _Diary:
    """Free slots by type and local day, so that thousands of wishes need not look at each of them."""

    def __init__(self, free: Iterable[Free]) -> None:
        self._days: dict[str, dict[date, list[tuple[time, Free]]]] = defaultdict(lambda: defaultdict(list))
        self._taken: dict[int, list[tuple[datetime, datetime]]] = defaultdict(list)
        for slot in sorted(free, key=lambda slot: (slot.start, slot.doctor_id)):
            wall = slot.start.astimezone(slot.zone)
            self._days[slot.type_code][wall.date()].append((wall.time(), slot))
        for days in self._days.values():
            for day in days.values():
                day.sort(key=lambda timed: timed[0])

    def suiting(self, wish: Wish) -> Iterator[Free]:
        days = self._days.get(wish.type_code, {})
        for day in sorted(day for day in days if wish.date_from <= day <= wish.date_to):
            if wish.weekdays and WEEKDAYS[day.weekday()] not in wish.weekdays:
                continue
            timed = days[day]
            for at in range(bisect_left(timed, wish.time_from, key=lambda pair: pair[0]), len(timed)):
                if suits(wish, timed[at][1]):
                    yield timed[at][1]

    def left(self, slot: Free) -> bool:
        held = sum(1 for start, end in self._taken[slot.doctor_id] if start < slot.end and end > slot.start)
        return held < slot.spots

    def take(self, slot: Free) -> None:
        self._taken[slot.doctor_id].append((slot.start, slot.end))


def _closing(wish: Wish, day: date) -> datetime:
    closing = datetime.combine(day, wish.time_to)
    return closing + timedelta(days=1) if wish.time_to == time() else closing


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
    first, last = _span(wish)
    set_time(todo, "DTSTART", first.replace(tzinfo=zone), zone)
    set_time(todo, "DUE", last.replace(tzinfo=zone), zone)
    todo.add("SUMMARY", escape(clean(_title(wish, patient_name, type_name))))
    if reason:
        todo.add("DESCRIPTION", escape(clean(f"Reason: {reason}")))
    todo.add("CATEGORIES", f"Waitlist,{escape(clean(type_name))}")
    todo.add("STATUS", "NEEDS-ACTION")
    todo.add("PERCENT-COMPLETE", "0")
    todo.add("PRIORITY", str(wish.priority))
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


def set_wish(
    calendar: Component, wish: Wish, *, patient_name: str, type_name: str, reason: str, zone: ZoneInfo, now: datetime
) -> None:
    """Make the VTODO say what is wished for now."""
    todo = calendar.components("VTODO")[0]
    first, last = _span(wish)
    set_time(todo, "DTSTART", first.replace(tzinfo=zone), zone)
    set_time(todo, "DUE", last.replace(tzinfo=zone), zone)
    todo.set("SUMMARY", escape(clean(_title(wish, patient_name, type_name))))
    todo.set("CATEGORIES", f"Waitlist,{escape(clean(type_name))}")
    todo.set("PRIORITY", str(wish.priority))
    todo.set(TYPE, wish.type_code)
    todo.remove("DESCRIPTION", REASON)
    if reason:
        todo.set("DESCRIPTION", escape(clean(f"Reason: {reason}")))
        todo.set(REASON, escape(clean(reason)))
    stamp(todo, now, sequence=True)
    ensure_vtimezones(calendar)


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


def _span(wish: Wish) -> tuple[datetime, datetime]:
    """From the first day's beginning to the last day's end, as wall times."""
    return datetime.combine(wish.date_from, wish.time_from), _closing(wish, wish.date_to)


def _title(wish: Wish, patient_name: str, type_name: str) -> str:
    mark = {1: "Urgent", 3: "Soon"}.get(wish.priority)
    who = f"{initials(patient_name)} · {type_name} ({_when(wish)})"
    return f"Waitlist: {mark} · {who}" if mark else f"Waitlist: {who}"


def _when(wish: Wish) -> str:
    days = _day(wish.date_from)
    if wish.date_to != wish.date_from:
        days += f" – {_day(wish.date_to)}"
    return f"{days}, {wish.time_from:%H:%M}–{wish.time_to:%H:%M}"


def _day(day: date) -> str:
    return f"{day:%b} {day.day}"
