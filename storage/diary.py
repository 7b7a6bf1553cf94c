"""A doctor's time as the booking rules see it, read in a constant number of statements for any number of doctors."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, or_, select
from sqlalchemy.orm import Session

from ical import policy, status, timezones
from ical.diary import OVERBOOKED_SEAT, Busy, Kind, Taken, Window, capacity_at, seats
from storage import occurrences
from storage.models import Account, Appointment, AppointmentType, Claim, Resource, Visit
from storage.prepared import Prepared, among, numbered

_BLOCKS = ("block", "plain", "leave")
# Leave that was rejected, and leave that is still asked for.
_UNDECIDED = ("free", "busy-tentative")
# The longest that a claim's buffers may reach beyond the visit.
_BUFFER = timedelta(hours=12)


@lru_cache
def _claimed(accounts: int) -> Prepared:
    """The claims of that many accounts."""
    return Prepared(
        select(
            Resource.account_id,
            Resource.id,
            Claim.start,
            Claim.end,
            Claim.seat,
            Claim.appointment_id,
            Claim.recurrence_id,
        )
        .outerjoin(
            Claim,
            (Claim.resource_id == Resource.id)
            & (Claim.end > bindparam("start"))
            & (Claim.start < bindparam("end"))
            & or_(Claim.expires_at.is_(None), Claim.expires_at > bindparam("now")),
        )
        .where(among(Resource.account_id, "account", accounts))
    )


@dataclass(frozen=True)
class Except:
    """A visit that is about to give up its minutes, or several of a series, so they do not count."""

    appointment_id: UUID
    recurrence_id: str | frozenset[str]

    def covers(self, appointment_id: UUID | None, recurrence_id: str) -> bool:
        if self.appointment_id != appointment_id:
            return False
        return recurrence_id == self.recurrence_id or (
            isinstance(self.recurrence_id, frozenset) and recurrence_id in self.recurrence_id
        )


@dataclass
class Book:
    """What stands in one doctor's calendar within a range."""

    doctor: Account
    zone: ZoneInfo
    resource_id: int | None = None
    windows: list[Window] = field(default_factory=list)
    busy: list[Busy] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)
    # Visits by local day, for the daily maximum
    booked: Counter[date] = field(default_factory=Counter)

    def facts(self, start: datetime) -> policy.Diary:
        return policy.Diary(
            windows=tuple(self.windows),
            busy=tuple(self.busy),
            taken=tuple(self.taken),
            booked_that_day=self.booked[start.astimezone(self.zone).date()],
            daily_maximum=self.doctor.daily_maximum,
            zone=self.zone,
        )

    def take(self, start: datetime, end: datetime, kind: Kind) -> None:
        """Count a visit that is to be booked as well, as if it stood there already."""
        first, last = start - timedelta(minutes=kind.buffer_before), end + timedelta(minutes=kind.buffer_after)
        used = {taken.seat for taken in self.taken if taken.start < last and taken.end > first}
        room = seats(self.windows, kind, start, end)
        seat = next((seat for seat in range(room) if seat not in used), OVERBOOKED_SEAT)
        self.taken.append(Taken(first, last, seat))
        self.booked[start.astimezone(self.zone).date()] += 1


def kind_of(kind: AppointmentType) -> Kind:
    return Kind(
        code=kind.code,
        minutes=kind.minutes,
        buffer_before=kind.buffer_before,
        buffer_after=kind.buffer_after,
        notice_minutes=kind.notice_minutes,
        window_days=kind.window_days,
        capacity=kind.capacity,
        self_booking=kind.self_booking,
    )


def open_books(
    session: Session,
    doctors: Sequence[Account],
    start: datetime,
    end: datetime,
    now: datetime,
    *,
    own: Except | None = None,
) -> dict[int, Book]:
    """The books of these doctors over [start, end), by account id."""
    books = {doctor.id: Book(doctor, timezones.zone(doctor.timezone)) for doctor in doctors}
    found = occurrences.in_range(session, start, end, owner_ids=list(books), kinds=("hours", *_BLOCKS))
    for occurrence in found:
        book = books[occurrence.owner_id]
        if occurrence.kind == "hours":
            book.windows.append(_window(occurrence))
        elif occurrence.busy != "free":
            why = "leave" if occurrence.kind == "leave" else "block"
            book.busy.append(Busy(occurrence.start, occurrence.end, why))
    _read_claims(session, books, start - _BUFFER, end + _BUFFER, now, own)
    if any(doctor.daily_maximum is not None for doctor in doctors):
        _count_visits(session, books, start, end, own)
    return books


@dataclass(frozen=True)
class Duty:
    """When a doctor works: the hours, and the approved leave that is taken out of them."""

    windows: list[Window]
    leave: list[tuple[datetime, datetime]]

    def covers(self, start: datetime, end: datetime) -> bool:
        away = any(first < end and last > start for first, last in self.leave)
        there = (window for window in self.windows if window.start < end and window.end > start)
        return not away and capacity_at(there, start, end) > 0


def duty(session: Session, doctor: Account, start: datetime, end: datetime) -> Duty:
    """The working hours and the leave of a doctor that meet [start, end)."""
    found = occurrences.in_range(session, start, end, owner_ids=[doctor.id], kinds=("hours", "leave"))
    away = [(each.start, each.end) for each in found if each.kind == "leave" and each.busy not in _UNDECIDED]
    return Duty([_window(each) for each in found if each.kind == "hours"], away)


def around(session: Session, doctor: Account, start: datetime, now: datetime, *, own: Except | None = None) -> Book:
    """The book of the local day of `start` and the days beside it: all that a single booking needs."""
    day = timedelta(days=1)
    return open_books(session, [doctor], start - day, start + day, now, own=own)[doctor.id]


def _window(occurrence: occurrences.Busy) -> Window:
    return Window(
        start=occurrence.start,
        end=occurrence.end,
        slot_minutes=occurrence.slot_minutes or 0,
        capacity=occurrence.capacity or 0,
        types=tuple(occurrence.types.split()),
        location=occurrence.location,
    )


def _read_claims(
    session: Session, books: dict[int, Book], start: datetime, end: datetime, now: datetime, own: Except | None
) -> None:
    asked = {"start": start, "end": end, "now": now, **numbered("account", books)}
    rows = _claimed(len(books)).rows(session, **asked)
    for account_id, resource_id, first, last, seat, appointment_id, recurrence_id in rows:
        assert account_id is not None
        book = books[account_id]
        book.resource_id = resource_id
        if first is None or (own and own.covers(appointment_id, recurrence_id)):
            continue
        book.taken.append(Taken(first, last, seat))


def _count_visits(session: Session, books: dict[int, Book], start: datetime, end: datetime, own: Except | None) -> None:
    day = timedelta(days=1)
    rows = session.execute(
        select(Appointment.doctor_id, Visit.appointment_id, Visit.recurrence_id, Visit.start)
        .join(Visit, Visit.appointment_id == Appointment.id)
        .where(
            Appointment.doctor_id.in_(list(books)),
            Visit.status.in_(status.ACTIVE),
            Visit.start > start - day,
            Visit.start < end + day,
        )
    )
    for doctor_id, appointment_id, recurrence_id, first in rows:
        if own is None or not own.covers(appointment_id, recurrence_id):
            book = books[doctor_id]
            book.booked[first.astimezone(book.zone).date()] += 1
