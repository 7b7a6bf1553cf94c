"""Claims: who holds which minute. The one way to take time, for bookings, holds, offers and calendar edits alike.

The check and the insert happen under the lock of the resource, and the database refuses an overlap by itself
(EXCLUDE on PostgreSQL, a trigger on SQLite), so that even a caller that forgot the lock cannot book twice.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, delete, insert, or_, select
from sqlalchemy.orm import Session

from ical.diary import OVERBOOKED_SEAT, Taken, seconds
from ical.errors import SlotTaken
from ical.seats import Seats, seat_for
from storage import freed
from storage.db import has_row_locks
from storage.models import Appointment, AppointmentResource, CalendarObject, Claim, Resource, table_of
from storage.prepared import Prepared, among, numbered

_TABLE = table_of(Claim)
_ADD = Prepared(insert(_TABLE), [column.key for column in _TABLE.columns if column.key != "id"])
_MINUTES = (Claim.resource_id, Claim.start, Claim.end)
_UNSEEN = {"synchronize_session": False}
_RESOURCE = Prepared(select(Resource.id).where(Resource.account_id == bindparam("account")))
_OF_APPOINTMENT = select(Claim).where(Claim.appointment_id == bindparam("appointment"))
_OVERLAPPING = Prepared(
    select(Claim.id, Claim.expires_at, Claim.seat, Claim.start, Claim.end, Claim.type_code).where(
        Claim.resource_id == bindparam("resource"), Claim.end > bindparam("start"), Claim.start < bindparam("end")
    )
)


@dataclass(frozen=True)
class Wanted:
    """Minutes of one resource, buffers included. `seats` is the capacity at that time, and `own` how many of its type
    may share it, when the type says (ical.seats). `location`: where, as the hours say."""

    resource_id: int
    start: datetime
    end: datetime
    recurrence_id: str = ""
    seats: int = 1
    type_code: str = ""
    own: int | None = None
    location: str | None = None


def resource_of(session: Session, account_id: int) -> int | None:
    """The resource that stands for a doctor; None for accounts that cannot be booked."""
    # It never changes, and every step of a write asks for it.
    known: dict[int, int] = session.info.setdefault("resources", {})
    if account_id not in known:
        found = _RESOURCE.rows(session, account=account_id)
        if not found:
            return None
        known[account_id] = found[0][0]
    return known[account_id]


def lock(session: Session, resource_ids: Iterable[int]) -> None:
    """Nobody else writes these resources' time until the commit.

    In id order, so that two never wait in a circle. What is found to be needed too late for that order is not waited
    for: SerializationFailure then asks for the transaction to be run again."""
    held = _held(session)
    wanted = sorted(set(resource_ids) - held)
    if not wanted or not has_row_locks(session):
        return
    late = bool(held) and wanted[0] < max(held)
    _locking(len(wanted), late).rows(session, **numbered("resource", wanted))
    _note(session, wanted)


@lru_cache
def _locking(count: int, nowait: bool) -> Prepared:
    asked = select(Resource.id).where(among(Resource.id, "resource", count)).order_by(Resource.id)
    return Prepared(asked.with_for_update(nowait=nowait))


def lock_owner(session: Session, account_id: int) -> None:
    """Lock the time of a calendar's owner, if the owner is somebody whose time can be claimed."""
    resource = resource_of(session, account_id) if has_row_locks(session) else None
    if resource is not None:
        lock(session, [resource])


def lock_appointments(
    session: Session, ids: Collection[UUID], *, doctors: Collection[int] = (), resources: Collection[int] = ()
) -> None:
    """Lock everybody who takes part in these appointments, the accounts of further `doctors`, and `resources`, at once."""
    _lock_party(session, doctors, Appointment.id.in_(ids), resources)


def lock_ticket(session: Session, ticket: UUID, accounts: Iterable[int | None]) -> None:
    """Lock everybody whose time a hold or an offer keeps, and these accounts, at once."""
    if has_row_locks(session):
        kept = session.scalars(select(Claim.resource_id).where(Claim.ticket == ticket))
        named = (resource_of(session, account) for account in accounts if account is not None)
        lock(session, [*kept, *(resource for resource in named if resource is not None)])


def lock_object(session: Session, owner_id: int, collection_id: int, href: str) -> None:
    """Lock a calendar's owner and, where an appointment stands at `href`, everybody who takes part in it, at once.

    Whoever holds the owner's lock already has taken with it what was needed."""
    held = _held(session)
    if held and resource_of(session, owner_id) in held:
        return
    there = select(CalendarObject.id).where(CalendarObject.collection_id == collection_id, CalendarObject.href == href)
    _lock_party(session, [owner_id], Appointment.object_id.in_(there))


def _lock_party(
    session: Session, accounts: Collection[int], appointment: ColumnElement[bool], resources: Collection[int] = ()
) -> None:
    if not has_row_locks(session):
        return
    doctor = select(Appointment.doctor_id).where(appointment)
    others = select(AppointmentResource.resource_id).join(
        Appointment, Appointment.id == AppointmentResource.appointment_id
    )
    party = or_(
        Resource.account_id.in_(doctor),
        Resource.account_id.in_(accounts),
        Resource.id.in_(others.where(appointment)),
        Resource.id.in_(resources),
    )
    held = _held(session)
    if held:
        lock(session, session.scalars(select(Resource.id).where(party)).all())
    else:
        _note(session, session.scalars(select(Resource.id).where(party).order_by(Resource.id).with_for_update()))


def _held(session: Session) -> set[int]:
    """The resources that this transaction has locked already. A lock that a savepoint may give back is not counted."""
    held: set[int] = session.info.setdefault("locked", set())
    return held


def _note(session: Session, locked: Iterable[int]) -> None:
    ids = set(locked)
    if session.get_nested_transaction() is None:
        _held(session).update(ids)


def sweep(session: Session, resource_ids: Collection[int], now: datetime) -> None:
    """Remove expired holds and offers of these resources: done by whoever wants the minutes."""
    gone = delete(Claim).where(Claim.resource_id.in_(resource_ids), Claim.expires_at <= now).returning(*_MINUTES)
    freed.ring(session, [(row[0], row[1], row[2]) for row in session.execute(gone, execution_options=_UNSEEN)])


def take(
    session: Session,
    wanted: Sequence[Wanted],
    *,
    kind: str,
    now: datetime,
    overbook: bool = False,
    appointment_id: UUID | None = None,
    ticket: UUID | None = None,
    expires_at: datetime | None = None,
) -> frozenset[str]:
    """Take all of `wanted`, or raise SlotTaken. The resources are locked already.

    With `overbook` a clash takes a seat above the capacity instead. Returns the recurrence ids that were overbooked.
    """
    if not wanted:
        return frozenset()
    resources = {w.resource_id for w in wanted}
    if expires_at is not None:
        # Whoever adds to what expires tidies up what has.
        sweep(session, resources, now)
    others = _others(session, resources, min(w.start for w in wanted), max(w.end for w in wanted), now)
    rows, overbooked = [], set()
    for want in wanted:
        there = others[want.resource_id]
        asked = Taken(seconds(want.start), seconds(want.end), 0, want.type_code)
        seat = seat_for(asked, Seats(want.seats, want.type_code, want.own), there)
        if seat is None:
            if not overbook:
                raise SlotTaken()
            overbooked.add(want.recurrence_id)
            used = {t.seat for t in there if t.start < asked.end and t.end > asked.start}
            seat = next(s for s in range(OVERBOOKED_SEAT, OVERBOOKED_SEAT + len(used) + 1) if s not in used)
        there.append(asked._replace(seat=seat))
        rows.append(
            {
                "resource_id": want.resource_id,
                "seat": seat,
                "start": want.start,
                "end": want.end,
                "kind": kind,
                "expires_at": expires_at,
                "appointment_id": appointment_id,
                "recurrence_id": want.recurrence_id,
                "type_code": want.type_code,
                "location": want.location,
                "ticket": ticket,
            }
        )
    connection = session.connection()
    try:
        _ADD.write_each(connection, rows)
    except connection.dialect.loaded_dbapi.IntegrityError as error:
        raise SlotTaken() from error
    return frozenset(overbooked)


def _others(
    session: Session, resource_ids: Collection[int], start: datetime, end: datetime, now: datetime
) -> dict[int, list[Taken]]:
    """The claims that overlap [start, end), by resource. Those that have expired are removed."""
    others: dict[int, list[Taken]] = {resource: [] for resource in resource_ids}
    expired = []
    for resource in resource_ids:
        asked = {"resource": resource, "start": start, "end": end}
        for claim, expires_at, seat, begin, finish, code in _OVERLAPPING.all(session.connection(), asked):
            if expires_at is not None and expires_at <= now:
                expired.append(claim)
            else:
                others[resource].append(Taken(seconds(begin), seconds(finish), seat, code))
    if expired:
        release(session, ids=expired)
    return others


def of_appointment(session: Session, appointment_id: UUID) -> Sequence[Claim]:
    return session.scalars(_OF_APPOINTMENT, {"appointment": appointment_id}).all()


def release(
    session: Session,
    *,
    ticket: UUID | None = None,
    appointment_id: UUID | None = None,
    ids: Iterable[int] = (),
    retaken: bool = False,
) -> int:
    """Free the claims of a hold or an offer, of an appointment, or with these ids. Returns how many there were.

    The waitlist hears of it, unless the caller takes the same minutes again (`retaken`)."""
    whose: list[ColumnElement[bool]] = [Claim.id.in_(list(ids))]
    if ticket is not None:
        whose.append(Claim.ticket == ticket)
    if appointment_id is not None:
        whose.append(Claim.appointment_id == appointment_id)
    gone = session.execute(delete(Claim).where(or_(*whose)).returning(*_MINUTES), execution_options=_UNSEEN).all()
    if not retaken:
        freed.ring(session, [(row[0], row[1], row[2]) for row in gone])
    return len(gone)
