"""A doctor's time as the booking rules see it, read in a constant number of statements for any number of doctors.

Usually it is one, whose rows are numbers: hours, what blocks, holidays, claims and the places of the practice.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    String,
    bindparam,
    case,
    func,
    literal_column,
    not_,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from ical import status, timezones
from ical.diary import (
    OVERBOOKED_SEAT,
    Busy,
    Diary,
    Held,
    Kind,
    OwnHours,
    Place,
    Taken,
    Window,
    midnight,
    place_at,
    seconds,
)
from ical.hours import DAYS
from ical.seats import seat_for, seats_of
from storage import house_rules, occurrences
from storage.models import (
    Account,
    Appointment,
    AppointmentType,
    CalendarObject,
    Claim,
    Holiday,
    HolidayCalendar,
    Location,
    Occurrence,
    Resource,
    Visit,
)
from storage.models import Collection as Calendar
from storage.models.base import Instant
from storage.moments import seconds_of
from storage.prepared import Prepared, Row, among, numbered

_KINDS = ("hours", "block", "plain", "leave")
# Leave that was rejected, and leave that is still asked for.
_UNDECIDED = ("free", "busy-tentative")
# The longest that a claim's buffers and the way to another place may reach beyond the visit.
_BUFFER = timedelta(hours=12)
# A visit counts for the whole week that it is in.
_WEEK = timedelta(days=8)
_DAY = timedelta(days=1)
_WEEKDAYS = {day: number for number, day in enumerate(DAYS)}


@dataclass(frozen=True)
class Except:
    """A visit that is about to give up its minutes, or several of a series, so they do not count."""

    appointment_id: UUID
    recurrence_id: str | frozenset[str]

    @property
    def visits(self) -> frozenset[str]:
        return frozenset([self.recurrence_id]) if isinstance(self.recurrence_id, str) else self.recurrence_id


@dataclass
class Book:
    """What stands in one doctor's calendar within a range, or in that of a room, a machine or an assistant."""

    doctor: Account
    zone: ZoneInfo
    windows: list[Window] = field(default_factory=list)
    busy: list[Busy] = field(default_factory=list)
    taken: Sequence[Held] = field(default_factory=list)
    # (start, kind) of the visits that count for the maxima, when there are any
    visits: list[tuple[int, str]] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)
    travel_minutes: int = 0
    resources: dict[str, Diary] = field(default_factory=dict)
    # A resource without hours of its own
    always: bool = False

    def facts(self) -> Diary:
        doctor = self.doctor
        return Diary(
            windows=self.windows,
            busy=self.busy,
            taken=self.taken,
            visits=self.visits,
            daily_maximum=doctor.daily_maximum,
            weekly_maximum=doctor.weekly_maximum,
            zone=self.zone,
            name=doctor.username,
            always=self.always,
            capacity=doctor.capacity,
            places=self.places,
            travel_minutes=self.travel_minutes,
            resources=self.resources,
        )

    def take(self, start: datetime, end: datetime, kind: Kind) -> Taken:
        """Count a visit that is to be booked as well, as if it stood there already."""
        capacity, place = place_at(self.windows, start, end)
        before, after = timedelta(minutes=kind.buffer_before), timedelta(minutes=kind.buffer_after)
        wanted = Taken(seconds(start - before), seconds(end + after), 0, kind.code, place)
        seat = seat_for(wanted, seats_of(kind, capacity), self.taken)
        wanted = wanted._replace(seat=OVERBOOKED_SEAT if seat is None else seat)
        self.taken = [*self.taken, wanted]
        self.visits.append((seconds(start), kind.code))
        return wanted


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
        doctors=frozenset(kind.doctors),
        hours=tuple(
            OwnHours(
                frozenset(_WEEKDAYS[day] for day in each["days"]),
                time.fromisoformat(each["from"]),
                time.fromisoformat(each["to"]),
            )
            for each in kind.hours
        ),
        daily_maximum=kind.daily_maximum,
        weekly_maximum=kind.weekly_maximum,
        resources=tuple(map(tuple, kind.resources)),
    )


def open_books(
    session: Session,
    doctors: Sequence[Account],
    start: datetime,
    end: datetime,
    kind: AppointmentType | None,
    now: datetime,
    *,
    own: Except | None = None,
) -> dict[int, Book]:
    """The books of these doctors over [start, end), by account id, with what a visit of this kind depends on."""
    books = {doctor.id: Book(doctor, timezones.zone(doctor.timezone)) for doctor in doctors}
    resources = {} if kind is None else _resources(session, {name for group in kind.resources for name in group})
    places = _fill(session, {**resources, **books}, start, end, now, own)
    if places or any(window.location for book in books.values() for window in book.windows):
        travel_minutes = house_rules.current(session).travel_minutes
        for book in books.values():
            book.places, book.travel_minutes = places, travel_minutes
    # What is out of use is not to be had, though it may still be booked.
    diaries = {book.doctor.username: book.facts() for book in resources.values() if not book.doctor.disabled}
    for book in books.values():
        book.resources = diaries
    if kind is not None and any(maximum is not None for maximum in _maxima(kind, doctors)):
        _read_visits(session, books, start - _WEEK, end + _WEEK, own)
    return books


def of_resources(
    session: Session,
    names: Collection[str],
    start: datetime,
    end: datetime,
    now: datetime,
    *,
    own: Except | None = None,
) -> dict[str, Diary]:
    """The time of these rooms, machines and assistants within [start, end), by name."""
    books = _resources(session, names)
    _fill(session, books, start, end, now, own)
    return {book.doctor.username: book.facts() for book in books.values()}


def around(
    session: Session,
    doctor: Account,
    start: datetime,
    kind: AppointmentType,
    now: datetime,
    *,
    own: Except | None = None,
) -> Book:
    """The book of the local day of `start` and the days beside it: all that a single booking needs."""
    return open_books(session, [doctor], start - _DAY, start + _DAY, kind, now, own=own)[doctor.id]


@dataclass(frozen=True)
class Duty:
    """When a doctor works: the hours; and the approved leave and the holidays that are taken out of them."""

    windows: list[Window]
    away: list[Busy]

    def covers(self, start: datetime, end: datetime) -> bool:
        capacity, place = place_at(self._there(start, end), start, end)
        first, last = seconds(start), seconds(end)
        away = any(b.start < last and b.end > first and b.location in (None, place) for b in self.away)
        return capacity > 0 and not away

    def _there(self, start: datetime, end: datetime) -> Iterable[Window]:
        first, last = seconds(start), seconds(end)
        return (window for window in self.windows if window.start < last and window.end > first)


def duty(session: Session, doctor: Account, start: datetime, end: datetime) -> Duty:
    """The working hours of a doctor that meet [start, end), and when they do not hold."""
    book = Book(doctor, timezones.zone(doctor.timezone))
    _fill(session, {doctor.id: book}, start, end, None, None, undecided=False)
    return Duty(book.windows, [busy for busy in book.busy if busy.why != "block"])


# Steps


def _fill(
    session: Session,
    books: dict[int, Book],
    start: datetime,
    end: datetime,
    now: datetime | None,
    own: Except | None,
    *,
    undecided: bool = True,
) -> dict[str, Place]:
    """Read what stands in these books, without the claims when `now` is None. Returns the practice's places by name."""
    rows = _read(session, books, start, end, now, own)
    places: dict[str, Place] = {}
    holidays = []
    taken: dict[int, list[Held]] = {owner: [] for owner in books}
    take = {owner: held.append for owner, held in taken.items()}
    for row in rows:
        what, owner = row[0], row[1]
        if what == "claim":
            take[owner](row[2:8])
        elif what == "hours":
            _what, _owner, first, last, slot, types, location, source, capacity = row
            books[owner].windows.append(Window(first, last, slot, capacity, tuple(types.split()), location, source))
        elif what == "place":
            _what, _owner, _first, _last, minutes, zone, name, _source, _none = row
            places[name] = Place(name, timezones.zone(zone), None if minutes < 0 else minutes)
        elif what == "holiday":
            holidays.append(row)
        elif row[5] != "free" and (undecided or row[5] not in _UNDECIDED):
            why = "leave" if what == "leave" else "block"
            books[owner].busy.append(Busy(row[2], row[3], why, None, row[7]))
    for owner, book in books.items():
        book.taken = taken[owner]
        book.busy += [_closed(row, book, places) for row in holidays]
    return places


def _closed(row: Row, book: Book, places: dict[str, Place]) -> Busy:
    _what, _owner, first, last, all_day, _text, location, source, _none = row
    if all_day:
        zone = places[location].zone if location in places else book.zone
        first, last = (seconds(midnight(datetime.fromtimestamp(at, UTC).date(), zone)) for at in (first, last))
    return Busy(first, last, "holiday", location, source)


def _read(
    session: Session, books: Collection[int], start: datetime, end: datetime, now: datetime | None, own: Except | None
) -> list[Row]:
    """The rows of `_statement`, those of objects that are not expanded far enough made anew."""
    visits = frozenset[str]() if own is None else own.visits
    asked: dict[str, Any] = {"start": start, "end": end, "day_before": start - _DAY, "day_after": end + _DAY}
    asked |= numbered("owner", books) | numbered("kind", _KINDS)
    if now is not None:
        asked |= {"now": now, "claims_from": start - _BUFFER, "claims_until": end + _BUFFER}
    if own is not None:
        asked |= {"own": own.appointment_id, **numbered("own_visit", visits)}
    rows = _statement(len(books), now is not None, len(visits)).raw(session, **asked)
    beyond = {row[7] for row in rows if row[0] == "beyond"}
    if not beyond:
        return rows
    rows = [row for row in rows if row[0] not in (*_KINDS, "beyond") or row[7] not in beyond]
    return rows + [
        (
            each.kind,
            each.owner_id,
            seconds(each.start),
            seconds(each.end),
            each.slot_minutes or 0,
            each.types if each.kind == "hours" else each.busy,
            each.location,
            each.object_id,
            each.capacity or 0,
        )
        for each in occurrences.fresh_of(session, beyond, start, end)
    ]


@lru_cache
def _statement(owners: int, claims: bool, own: int) -> Prepared:
    """All that is known of so many owners' time: (what, owner, start, end, number, text, location, source, other)."""
    first, last = bindparam("start", type_=Instant), bindparam("end", type_=Instant)
    none, nothing = literal_column("0", Integer), literal_column("''", String)
    kinds = len(_KINDS)
    busy = select(
        Occurrence.kind,
        Occurrence.owner_id,
        seconds_of(Occurrence.start),
        seconds_of(Occurrence.end),
        func.coalesce(Occurrence.slot_minutes, 0),
        case((Occurrence.kind == literal_column("'hours'", String), Occurrence.types), else_=Occurrence.busy),
        Occurrence.location,
        Occurrence.object_id,
        func.coalesce(Occurrence.capacity, 0),
    ).where(
        Occurrence.end > first,
        Occurrence.start < last,
        among(Occurrence.owner_id, "owner", owners),
        among(Occurrence.kind, "kind", kinds),
    )
    beyond = (
        select(_word("beyond"), Calendar.owner_id, none, none, none, nothing, nothing, CalendarObject.id, none)
        .join(Calendar, Calendar.id == CalendarObject.collection_id)
        .where(
            CalendarObject.deleted.is_(False),
            CalendarObject.expanded_until.is_not(None),
            or_(CalendarObject.expanded_until < last, CalendarObject.expanded_from > first),
            among(Calendar.owner_id, "owner", owners),
            among(CalendarObject.kind, "kind", kinds),
        )
    )
    holidays = (
        select(
            _word("holiday"),
            none,
            seconds_of(Holiday.start),
            seconds_of(Holiday.end),
            case((Holiday.all_day, 1), else_=0),
            nothing,
            HolidayCalendar.location,
            Holiday.id,
            none,
        )
        .join(HolidayCalendar, HolidayCalendar.id == Holiday.calendar_id)
        .where(
            Holiday.end > bindparam("day_before", type_=Instant), Holiday.start < bindparam("day_after", type_=Instant)
        )
    )
    places = select(
        _word("place"),
        none,
        none,
        none,
        func.coalesce(Location.travel_minutes, -1),
        Location.timezone,
        Location.name,
        Location.id,
        none,
    )
    parts: list[Select[*tuple[Any, ...]]] = [busy, beyond, holidays, places]
    if claims:
        parts.append(_claims(owners, own, none))
    return Prepared(union_all(*parts))


def _claims(owners: int, own: int, none: ColumnElement[int]) -> Select[*tuple[Any, ...]]:
    found: Select[*tuple[Any, ...]] = (
        select(
            _word("claim"),
            Resource.account_id,
            seconds_of(Claim.start),
            seconds_of(Claim.end),
            Claim.seat,
            Claim.type_code,
            Claim.location,
            Claim.id,
            none,
        )
        .join(Resource, Resource.id == Claim.resource_id)
        .where(
            among(Resource.account_id, "owner", owners),
            Claim.end > bindparam("claims_from", type_=Instant),
            Claim.start < bindparam("claims_until", type_=Instant),
            or_(Claim.expires_at.is_(None), Claim.expires_at > bindparam("now", type_=Instant)),
        )
    )
    if own:
        found = found.where(
            or_(
                Claim.appointment_id.is_(None),
                Claim.appointment_id != bindparam("own"),
                not_(among(Claim.recurrence_id, "own_visit", own)),
            )
        )
    return found


def _word(text: str) -> ColumnElement[str]:
    return literal_column(f"'{text}'", String)


def _resources(session: Session, names: Collection[str]) -> dict[int, Book]:
    """The empty books of these rooms, machines and assistants."""
    if not names:
        return {}
    hours = (
        select(CalendarObject.id)
        .join(Calendar, Calendar.id == CalendarObject.collection_id)
        .where(Calendar.owner_id == Account.id, CalendarObject.kind == "hours", CalendarObject.deleted.is_(False))
        .exists()
    )
    found = session.execute(select(Account, hours).where(Account.username.in_(names)))
    return {each.id: Book(each, timezones.zone(each.timezone), always=not kept) for each, kept in found}


def _maxima(kind: AppointmentType, doctors: Iterable[Account]) -> Iterable[int | None]:
    yield from (kind.daily_maximum, kind.weekly_maximum)
    for doctor in doctors:
        yield from (doctor.daily_maximum, doctor.weekly_maximum)


def _read_visits(session: Session, books: dict[int, Book], start: datetime, end: datetime, own: Except | None) -> None:
    rows = session.execute(
        select(
            Appointment.doctor_id,
            Appointment.type_code,
            Visit.appointment_id,
            Visit.recurrence_id,
            seconds_of(Visit.start),
        )
        .join(Visit, Visit.appointment_id == Appointment.id)
        .where(
            Appointment.doctor_id.in_(list(books)),
            Visit.status.in_(status.ACTIVE),
            Visit.start > start,
            Visit.start < end,
        )
    )
    for doctor_id, code, appointment_id, recurrence_id, first in rows:
        if own is None or own.appointment_id != appointment_id or recurrence_id not in own.visits:
            books[doctor_id].visits.append((first, code))
