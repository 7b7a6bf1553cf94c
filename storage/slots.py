"""Free slots of any number of doctors, and why a time is not one, in a constant number of statements."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from sqlalchemy.orm import Session

from ical import slots
from ical.errors import Refusal
from ical.slots import Slots
from storage import diary
from storage.models import Account, AppointmentType

# How far ahead "the next free time" is looked for, in steps that usually end with the first.
_STEPS = (timedelta(days=14), timedelta(days=60), timedelta(days=180), timedelta(days=366))
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class DoctorSlot(NamedTuple):
    """A slot on offer. `spots` is how many can still be booked, `location` where it is, as the hours say, and `zone`
    the time zone there."""

    doctor: Account
    start: datetime
    end: datetime
    spots: int
    location: str
    zone: tzinfo


class _Moments(dict[int, datetime]):
    """Instants by their seconds: doctors who begin at the same times share them."""

    def __missing__(self, seconds: int) -> datetime:
        made = self[seconds] = _EPOCH + timedelta(seconds=seconds)
        return made


def free_slots(
    session: Session,
    doctors: Sequence[Account],
    start: datetime,
    end: datetime,
    kind: AppointmentType,
    now: datetime,
    *,
    own: diary.Except | None = None,
) -> list[DoctorSlot]:
    """What can be booked with these doctors and begins in [start, end), in order of time, then of doctor."""
    if not doctors or end <= start:
        return []
    asked = Slots(diary.kind_of(kind), now, start, end)
    found = []
    zones: dict[tuple[int, str], tzinfo] = {}
    for number, book in diary.open_books(session, doctors, start, end, kind, now, own=own).items():
        known = book.facts()
        zones |= {(number, place): known.zone_at(place) for place in {window.location for window in known.windows}}
        found += [(first, number, length, spots, place) for first, length, spots, place in asked.of(known)]
    found.sort()
    people, moments = {doctor.id: doctor for doctor in doctors}, _Moments()
    return [
        DoctorSlot(people[number], moments[first], moments[first + length], spots, place, zones[number, place])
        for first, number, length, spots, place in found
    ]


def explain(
    session: Session, doctor: Account, start: datetime, kind: AppointmentType, now: datetime, *, by_staff: bool = True
) -> list[Refusal]:
    """Why this time cannot be booked; nothing when it can."""
    book = diary.around(session, doctor, start, kind, now)
    return slots.why_not(start, book.facts(), diary.kind_of(kind), now, by_staff=by_staff)


def next_free(
    session: Session, doctors: Sequence[Account], kind: AppointmentType, now: datetime, *, after: datetime | None = None
) -> DoctorSlot | None:
    """The first slot from `after` (or now) on, looked for up to a year ahead."""
    begin = after or now
    done = timedelta(0)
    for step in _STEPS:
        found = free_slots(session, doctors, begin + done, begin + step, kind, now)
        if found:
            return found[0]
        done = step
    return None


def next_free_each(
    session: Session, doctors: Sequence[Account], kind: AppointmentType, now: datetime
) -> dict[int, DoctorSlot]:
    """The first slot of each of these doctors, by account id; without those who have none within a year."""
    first: dict[int, DoctorSlot] = {}
    done = timedelta(0)
    for step in _STEPS:
        left = [doctor for doctor in doctors if doctor.id not in first]
        for slot in free_slots(session, left, now + done, now + step, kind, now):
            first.setdefault(slot.doctor.id, slot)
        done = step
    return first


def offering(doctors: Sequence[Account], kind: AppointmentType) -> list[Account]:
    """Those of them who offer this type."""
    return [doctor for doctor in doctors if not kind.doctors or doctor.username in kind.doctors]
