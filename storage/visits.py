"""Visits: the occurrences of an appointment in step with its text, with their claims and reminders.

Called by storage.objects for every written appointment. A visit whose occurrence a calendar app took away keeps its
minutes until `settle_at`, so that an undo within the quiet period finds everything as it was.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import recurrence, status, times, timezones
from ical.diary import OVERBOOKED_SEAT, Window, place_at
from ical.errors import InvalidCalendarData
from ical.lines import Component
from ical.recurrence import Occurrence
from storage import claims, diary, participants, reminders
from storage.models import Account, Appointment, AppointmentType, CalendarObject, Claim, Reminder, Visit, table_of
from storage.occurrences import Expansion
from storage.prepared import Prepared, attached
from storage.resources import Bookable
from storage.writes import Write

# What has not ended one way or the other: only such a visit can still be cancelled or moved.
_FOREIGN = UUID("5f0c6c0e-1a1c-4b53-9b0a-6f0a4f2f7d0e")
OPEN = frozenset({"scheduled", "confirmed", "rescheduled", "in_progress"})

_ADD = Prepared(insert(table_of(Appointment)), [column.key for column in table_of(Appointment).columns])
_VISITS = table_of(Visit)
_ADD_VISIT = Prepared(insert(_VISITS), _VISITS.columns.keys())
_NEW: dict[str, Any] = {
    **dict.fromkeys(_VISITS.columns.keys()),
    "overbooked": False,
    "outside_hours": False,
    "told_status": "",
    "cancellation_reason": "",
}
_OF_OBJECT = (
    select(Appointment).where(Appointment.object_id == bindparam("object")).execution_options(populate_existing=True)
)
_OF_APPOINTMENT = (
    select(Visit)
    .where(Visit.appointment_id == bindparam("appointment"))
    .order_by(Visit.start)
    .execution_options(populate_existing=True)
)


class Followed(NamedTuple):
    """An appointment and its visits by recurrence id, in step with its text. `others` take part beside the doctor,
    `gone` do not any more."""

    appointment: Appointment
    visits: dict[str, Visit]
    object: CalendarObject
    others: Sequence[Bookable] = ()
    gone: Sequence[Bookable] = ()


def id_of(uid: str) -> UUID:
    """The appointment's id: in the UID that we gave it, `appt-<uuid>@domain`; made of one that an app gave it."""
    try:
        return UUID(uid.removeprefix("appt-").partition("@")[0]) if uid.startswith("appt-") else uuid5(_FOREIGN, uid)
    except ValueError:
        raise InvalidCalendarData("This is not an appointment's UID.") from None


def of_object(session: Session, obj: CalendarObject) -> Appointment | None:
    return session.scalar(_OF_OBJECT, {"object": obj.id})


def of_appointment(session: Session, appointment_id: UUID) -> dict[str, Visit]:
    """The visits of an appointment by recurrence id, in order of start."""
    found = session.scalars(_OF_APPOINTMENT, {"appointment": appointment_id})
    return {visit.recurrence_id: visit for visit in found}


def follow(
    session: Session,
    obj: CalendarObject,
    calendar: Component,
    owner: Account,
    expansion: Expansion,
    write: Write,
    *,
    first: bool = False,
    windows: Sequence[Window] | None = None,
) -> Followed:
    """Bring the appointment's rows, claims and reminders in step with its text. `first`: there was no appointment with
    this UID, nor the object.

    Raises SlotTaken when new minutes are not free, unless `write.overbook`.
    """
    zone = timezones.zone(owner.timezone)
    facts = appointment_text.read(recurrence.master(calendar) or calendar.components("VEVENT")[0], zone, calendar)
    if facts.patient_id is None:
        raise InvalidCalendarData("An appointment needs a patient.")
    said = {
        "object_id": obj.id,
        "doctor_id": owner.id,
        "patient_id": facts.patient_id,
        "type_code": facts.type_code,
        "series": any(occurrence.recurrence_id for occurrence in expansion.occurrences),
        "parent_id": id_of(facts.parent_uid) if facts.parent_uid else None,
        "video_link": facts.video_link,
        "location": facts.location[:200],
    }
    appointment = None
    if not first:
        appointment = of_object(session, obj) or session.get(Appointment, id_of(facts.uid), populate_existing=True)
        first = appointment is None
    if appointment is None:
        appointment = _add(session, id_of(facts.uid), said, write)
    else:
        for name, value in said.items():
            setattr(appointment, name, value)
        appointment.version += 1

    known = {} if first else of_appointment(session, appointment.id)
    _rename(session, known, expansion, zone)
    for occurrence in expansion.occurrences:
        _follow_one(appointment, known, occurrence, write)
    present = {occurrence.recurrence_id for occurrence in expansion.occurrences}
    for recurrence_id, visit in known.items():
        if recurrence_id not in present and _is_expanded(visit.start, expansion):
            _vanish_one(visit, write)
    held = () if first else claims.of_appointment(session, appointment.id)
    doctor = claims.resource_of(session, owner.id)
    others: Sequence[Bookable] = ()
    gone: Sequence[Bookable] = ()
    if facts.resources or any(claim.resource_id != doctor for claim in held):
        others, gone = participants.follow(session, appointment, facts.resources, owner, first=first)
    if doctor is not None:
        party = [Bookable(owner, doctor, "doctor"), *others]
        _claim(session, appointment, party, known, held, windows, write)
    known = _added(session, known)
    reminders.rebuild(session, appointment, known.values(), facts.reminders, write.now, first=first)
    return Followed(appointment, known, obj, others, gone)


def _add(session: Session, appointment_id: UUID, said: Mapping[str, Any], write: Write) -> Appointment:
    row = {
        **said,
        "id": appointment_id,
        "split_from": None,
        "booked_by": write.actor.label,
        "booked_at": write.now,
        "version": 1,
    }
    _ADD.write(session.connection(), row)
    return attached(session, Appointment, row)


def vanish(session: Session, obj: CalendarObject, write: Write) -> Appointment | None:
    """The whole appointment went from its calendar. Which it was; None when it went on in another one."""
    appointment = of_object(session, obj)
    if appointment is None:
        return None
    appointment.version += 1
    for visit in of_appointment(session, appointment.id).values():
        _vanish_one(visit, write)
    return appointment


def cancelled(session: Session, appointment: Appointment, visit: Visit) -> None:
    """Let go of the minutes and the reminders of a visit that has just been cancelled."""
    session.flush()
    ids = [c.id for c in claims.of_appointment(session, appointment.id) if c.recurrence_id == visit.recurrence_id]
    claims.release(session, ids=ids)
    reminders.rebuild(session, appointment, [visit], (), visit.cancelled_at or visit.start)


def _added(session: Session, visits: Mapping[str, Visit]) -> dict[str, Visit]:
    """Write those that are new. Returns the session's own of all of them."""
    new = [visit for visit in visits.values() if visit not in session]
    rows = [{name: getattr(visit, name) for name in _NEW} for visit in new]
    if rows:
        _ADD_VISIT.write_each(session.connection(), rows)
    made = {row["recurrence_id"]: attached(session, Visit, row) for row in rows}
    return {**visits, **made}


def _follow_one(appointment: Appointment, known: dict[str, Visit], occurrence: Occurrence, write: Write) -> None:
    new_status = appointment_text.status_of(occurrence.component)
    pending = appointment_text.pending_cancel(occurrence.component) is not None
    visit = known.get(occurrence.recurrence_id)
    if visit is None:
        visit = known[occurrence.recurrence_id] = Visit(**_NEW)
        visit.appointment_id, visit.recurrence_id = appointment.id, occurrence.recurrence_id
        if write.told:
            visit.told_start, visit.told_end, visit.told_status = occurrence.start, occurrence.end, new_status
    else:
        same = (visit.start, visit.end, visit.status) == (occurrence.start, occurrence.end, new_status)
        if same and not (pending and visit.settle_at is None):
            return
    if visit.kept_at is not None and visit.start != occurrence.start:
        visit.kept_at = None
    visit.start, visit.end, visit.status = occurrence.start, occurrence.end, new_status
    if write.settle_at is not None:
        visit.settle_at = write.settle_at


def _vanish_one(visit: Visit, write: Write) -> None:
    if visit.status in OPEN and write.settle_at is not None:
        visit.settle_at = write.settle_at


def _is_expanded(start: datetime, expansion: Expansion) -> bool:
    return expansion.start is None or expansion.end is None or expansion.start <= start < expansion.end


def _rename(session: Session, known: dict[str, Visit], expansion: Expansion, zone: ZoneInfo) -> None:
    """Follow visits whose recurrence id changed because the series itself moved, began or ceased to repeat.

    An id is the original start of its occurrence, so dragging a whole series gives every one a new id. An old visit
    that is not expanded any more has not moved to where the series now reaches.
    """
    occurrences = expansion.occurrences
    fresh = [o for o in occurrences if o.recurrence_id not in known]
    present = {o.recurrence_id for o in occurrences}
    stale = [
        v for rid, v in known.items() if rid not in present and v.status in OPEN and _is_expanded(v.start, expansion)
    ]
    if not fresh or not stale:
        return
    if "" in known or any(o.recurrence_id == "" for o in fresh):
        pairs = {stale[0].recurrence_id: fresh[0].recurrence_id}
    else:
        pairs = moved_along([v.recurrence_id for v in stale], [o.recurrence_id for o in fresh], zone)
    for old, new in pairs.items():
        visit = known.pop(old)
        key = {"appointment_id": visit.appointment_id, "recurrence_id": old}
        for table in (Claim, Reminder):
            session.execute(
                update(table).filter_by(**key).values(recurrence_id=new).execution_options(synchronize_session=False)
            )
        visit.recurrence_id = new
        known[new] = visit
    session.flush()


def moved_along(stale: Sequence[str], fresh: Sequence[str], zone: ZoneInfo) -> dict[str, str]:
    """Old id → new id by the one step in wall time that explains most of them, and of several the shortest.

    A series that lost its first weeks, too, as macOS leaves it after a split, was not moved by those weeks.
    """
    walls = {_wall(old, zone): old for old in stale}
    wanted = {_wall(new, zone): new for new in fresh}
    steps = {new - old for new in (min(wanted), max(wanted)) for old in walls}
    best: dict[str, str] = {}
    for step in sorted(steps, key=abs):
        if sum(1 for wall in walls if wall + step in wanted) > len(best):
            best = {old: wanted[wall + step] for wall, old in walls.items() if wall + step in wanted}
    return best


def _wall(recurrence_id: str, zone: ZoneInfo) -> datetime:
    return times.parse_utc_text(recurrence_id).astimezone(zone).replace(tzinfo=None)


def _claim(
    session: Session,
    appointment: Appointment,
    party: Sequence[Bookable],
    known: Mapping[str, Visit],
    held: Sequence[Claim],
    windows: Sequence[Window] | None,
    write: Write,
) -> None:
    """Old claims out, new claims in, in one step and for everybody who takes part, the doctor first."""
    kind = session.get_one(AppointmentType, appointment.type_code)
    before, after = timedelta(minutes=kind.buffer_before), timedelta(minutes=kind.buffer_after)
    active = [visit for visit in known.values() if visit.status in status.ACTIVE]
    wanted = {
        (each.id, visit.recurrence_id, visit.start - before, visit.end + after): visit
        for each in party
        for visit in active
    }
    gone, overbooked = [], set()
    for claim in held:
        key = (claim.resource_id, claim.recurrence_id, claim.start, claim.end)
        if key not in wanted:
            gone.append(claim.id)
            continue
        del wanted[key]
        if claim.seat >= OVERBOOKED_SEAT:
            overbooked.add(claim.recurrence_id)
    if gone:
        claims.release(session, ids=gone)
    if not wanted:
        return
    asked = []
    for each in party:
        moved = [(key, visit) for key, visit in wanted.items() if key[0] == each.id]
        duty = _duty(session, each, [visit for _key, visit in moved], windows if each is party[0] else None)
        for (resource, recurrence_id, start, end), visit in moved:
            if each is party[0]:
                visit.outside_hours = not duty.covers(visit.start, visit.end)
            own, place = None, None
            if each.kind == "doctor":
                own = kind.capacity
                seats, place = place_at(duty.windows, visit.start, visit.end)
                seats = max(seats, 1)
            else:
                seats = each.account.capacity
            asked.append(claims.Wanted(resource, start, end, recurrence_id, seats, kind.code, own, place))
    overbooked |= claims.take(
        session, asked, kind="appointment", now=write.now, overbook=write.overbook, appointment_id=appointment.id
    )
    for visit in wanted.values():
        visit.overbooked = visit.recurrence_id in overbooked


def _duty(session: Session, each: Bookable, moved: Sequence[Visit], windows: Sequence[Window] | None) -> diary.Duty:
    """The hours of a doctor about these visits, where the caller has not read them."""
    if windows is not None or each.kind != "doctor" or not moved:
        # Whoever read the hours has seen that there is no leave.
        return diary.Duty(list(windows or ()), [])
    return diary.duty(session, each.account, min(v.start for v in moved), max(v.end for v in moved))
