"""Free times as people pick them: a strip of seven days, one day's times by part of the day, the next free one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from storage import slots
from storage.diary import Except
from storage.models import Account, AppointmentType
from storage.slots import DoctorSlot
from web.forms import midnight

STRIP = 7
_PARTS = ((12, "Morning"), (17, "Afternoon"), (24, "Evening"))


@dataclass(frozen=True)
class Choice:
    """One button. `value` comes back in the POST."""

    start: datetime
    end: datetime
    doctor: Account
    spots: int
    # As the hours say, with the time zone there
    location: str
    zone: tzinfo

    @property
    def value(self) -> str:
        return f"{self.doctor.username}|{self.start.isoformat()}"


@dataclass(frozen=True)
class Picker:
    zone: ZoneInfo
    day: date
    # (day, number of free times)
    strip: list[tuple[date, int]]
    # (Morning, its times)
    parts: list[tuple[str, list[Choice]]]
    next: Choice | None
    earlier: date | None
    later: date | None
    several: bool


def zone_of(doctors: Sequence[Account], clinic: ZoneInfo) -> ZoneInfo:
    zones = {doctor.timezone for doctor in doctors}
    return ZoneInfo(zones.pop()) if len(zones) == 1 else clinic


def pick(
    session: Any,
    doctors: Sequence[Account],
    kind: AppointmentType,
    wanted: date | None,
    now: datetime,
    clinic: ZoneInfo,
    own: Except | None = None,
) -> Picker:
    """Without a wanted day: the day of the next free time, else today. `own` is an appointment that may be moved over."""
    zone = zone_of(doctors, clinic)
    today = now.astimezone(zone).date()
    upcoming = slots.next_free(session, doctors, kind, now)
    following = None if upcoming is None else choice_of(upcoming)
    day = max(wanted or (following.start.astimezone(zone).date() if following else today), today)
    first = today + timedelta(days=(day - today).days // STRIP * STRIP)
    start, end = midnight(first, zone), midnight(first + timedelta(days=STRIP), zone)
    found = slots.free_slots(session, doctors, start, end, kind, now, own=own)
    choices = _distinct(found)
    counts = {key: len(list(group)) for key, group in groupby(choices, lambda c: c.start.astimezone(zone).date())}
    here = [choice for choice in choices if choice.start.astimezone(zone).date() == day]
    last = today + timedelta(days=kind.window_days)
    return Picker(
        zone=zone,
        day=day,
        strip=[(each, counts.get(each, 0)) for each in (first + timedelta(days=n) for n in range(STRIP))],
        parts=_parts(here, zone),
        next=following,
        earlier=first - timedelta(days=STRIP) if first > today else None,
        later=first + timedelta(days=STRIP) if first + timedelta(days=STRIP) <= last else None,
        several=len(doctors) > 1,
    )


def choice_of(slot: DoctorSlot) -> Choice:
    return Choice(slot.start, slot.end, slot.doctor, slot.spots, slot.location, slot.zone)


def _distinct(found: Sequence[DoctorSlot]) -> list[Choice]:
    """One button a time: that of the doctor with the most time left, so that the work is shared."""
    free: dict[int, int] = {}
    for slot in found:
        free[slot.doctor.id] = free.get(slot.doctor.id, 0) + 1
    best: dict[datetime, DoctorSlot] = {}
    for slot in found:
        known = best.get(slot.start)
        if known is None or free[slot.doctor.id] > free[known.doctor.id]:
            best[slot.start] = slot
    return [choice_of(best[start]) for start in sorted(best)]


def _parts(choices: Sequence[Choice], zone: ZoneInfo) -> list[tuple[str, list[Choice]]]:
    def part(choice: Choice) -> str:
        hour = choice.start.astimezone(zone).hour
        return next(name for until, name in _PARTS if hour < until)

    return [(name, list(group)) for name, group in groupby(choices, part)]
