"""Free slots of any number of doctors, and why a time is not one, in a constant number of statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from ical import slots
from ical.slots import Reason
from storage import diary
from storage.models import Account, AppointmentType

# How far ahead "the next free time" is looked for, in steps that usually end with the first.
_STEPS = (timedelta(days=14), timedelta(days=60), timedelta(days=180), timedelta(days=366))


@dataclass(frozen=True, slots=True)
class DoctorSlot:
    """A slot on offer. `spots` is how many can still be booked."""

    doctor: Account
    start: datetime
    end: datetime
    spots: int


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
    asked = diary.kind_of(kind)
    found = []
    for book in diary.open_books(session, doctors, start, end, now, own=own).values():
        free = slots.free_slots(
            book.windows,
            book.busy,
            book.taken,
            asked,
            now,
            book.zone,
            booked_per_day=book.booked,
            daily_maximum=book.doctor.daily_maximum,
            first=start,
            last=end,
        )
        found += [DoctorSlot(book.doctor, slot.start, slot.end, slot.spots) for slot in free]
    return sorted(found, key=lambda slot: (slot.start, slot.doctor.id))


def explain(session: Session, doctor: Account, start: datetime, kind: AppointmentType, now: datetime) -> list[Reason]:
    """Why this time cannot be booked; nothing when it can."""
    book = diary.around(session, doctor, start, now)
    return slots.why_not(
        start,
        book.windows,
        book.busy,
        book.taken,
        diary.kind_of(kind),
        now,
        book.zone,
        booked_per_day=book.booked,
        daily_maximum=doctor.daily_maximum,
    )


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
