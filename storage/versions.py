"""Who changed what in a calendar object of the practice, and putting a former version back.

A version is put back as a move is made: its minutes must be free and the booking rules must allow it, a visit does not
go back to an end that it has not come to, and what the patient has cancelled stays cancelled. Taking back the last step
of today is storage.undo.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import changes, leave, lines, recurrence, status, timezones
from ical.changes import Change
from ical.errors import IllegalTransition, NotFound
from ical.lines import Component
from ical.recurrence import Occurrence
from ical.vcalendar import sequence_of, stamp
from storage import audit, booking_rules, claims, diary, follow_ups, history, notifications, objects, steps, visits
from storage.models import Account, Appointment, AppointmentType, CalendarObject, Collection, Version, Visit
from storage.policy import Actor, can
from storage.writes import Write

KINDS = ("appointment", "block", "hours", "leave")
_MOST = 200


@dataclass(frozen=True)
class VersionView:
    """One version. `text` None: taken out of the calendar. `actor` and `why` as they were noted."""

    seq: int
    at: datetime
    actor: str
    why: str
    present: bool
    gone: bool
    changes: list[Change]


def find(session: Session, object_id: int) -> tuple[CalendarObject, Account]:
    """An object of the practice's calendars, deleted or not, with its owner. Raises NotFound."""
    obj = session.get(CalendarObject, object_id)
    if obj is None or obj.kind not in KINDS:
        raise NotFound()
    collection = session.get_one(Collection, obj.collection_id)
    if collection.kind not in ("appointments", "hours", "leave"):
        raise NotFound()
    return obj, session.get_one(Account, collection.owner_id)


def of_appointment(session: Session, appointment_id: UUID) -> tuple[CalendarObject, Account]:
    """The object of an appointment. Raises NotFound."""
    appointment = session.get(Appointment, appointment_id)
    if appointment is None:
        raise NotFound()
    return find(session, appointment.object_id)


def of_object(session: Session, obj: CalendarObject, owner: Account) -> list[VersionView]:
    """The versions of an object, the latest first, each with what it changed."""
    asked = select(Version).where(Version.object_id == obj.id).order_by(Version.id.desc()).limit(_MOST + 1)
    rows = list(session.scalars(asked))[::-1]
    zone = _zone(owner)
    made, before = [], None
    for row in rows:
        text = None if row.stored_text is None else lines.parse(row.stored_text)
        made.append(
            VersionView(
                seq=row.seq,
                at=row.written_at,
                actor=row.actor,
                why=row.why,
                present=row is rows[-1],
                gone=text is None,
                changes=changes.between(before, text, zone),
            )
        )
        before = text
    # What came before the eldest that is shown is not known here.
    return made[::-1][:_MOST]


def restore(session: Session, obj: CalendarObject, seq: int, *, actor: Actor, now: datetime) -> CalendarObject:
    """Put a version back. Raises NotFound, IllegalTransition, SlotTaken or the rule that says no."""
    appointment = visits.of_object(session, obj) if obj.kind == "appointment" else None
    if appointment is not None:
        appointment, obj, owner = steps.opened(session, appointment.id)
    else:
        owner = session.get_one(Account, session.get_one(Collection, obj.collection_id).owner_id)
        objects.lock_owner(session, owner.id)
        session.refresh(obj)
    calendar = _version(session, obj, seq, owner)
    if appointment is not None:
        restored = _restore_appointment(session, appointment, obj, calendar, owner, actor, now)
    else:
        if obj.kind == "leave":
            _check_leave(calendar, obj, owner, actor, now)
        restored = _put(session, obj, calendar, Write(actor, now, f"version {seq} put back", settle_at=now))
    audit.record(session, actor, "version.restored", f"object:{restored.id}", {"seq": seq}, now)
    return restored


def _version(session: Session, obj: CalendarObject, seq: int, owner: Account) -> Component:
    """The text of a version that says something else than the present one."""
    row = session.scalar(select(Version).where(Version.object_id == obj.id, Version.seq == seq))
    if row is None:
        raise NotFound("There is no such version.")
    if row.stored_text is None:
        raise IllegalTransition("It was not in the calendar then.")
    found, stored = lines.parse(row.stored_text), lines.parse(obj.stored_text)
    if not obj.deleted and not any(_counts(change, stored) for change in changes.between(found, stored, _zone(owner))):
        raise IllegalTransition("It is like that now.")
    return found


def _counts(change: Change, stored: Component) -> bool:
    """For the status of an appointment there are steps; a version says another one only of what was cancelled."""
    events = stored.components("VEVENT")
    ours = any(appointment_text.is_appointment(event) for event in events)
    cancelled = any(appointment_text.status_of(event) in status.CANCELLED for event in events)
    return change.what != "status" or not ours or cancelled


def _zone(owner: Account) -> ZoneInfo:
    return timezones.zone(owner.timezone)


def _check_leave(calendar: Component, obj: CalendarObject, owner: Account, actor: Actor, now: datetime) -> None:
    """Approved leave comes back approved only by whoever may approve it, or where no more is away than now."""
    head = recurrence.master(calendar) or calendar.components("VEVENT")[0]
    if leave.read_status(head) == "approved" and not can(actor, "leave.approve", owner):
        stored = None if obj.deleted else lines.parse(obj.stored_text)
        still = None if stored is None else leave.normalise(calendar, stored, False, now)
        if still is None or leave.read_status(recurrence.master(still) or head) != "approved":
            leave.as_pending(calendar)


def _put(session: Session, obj: CalendarObject, calendar: Component, write: Write) -> CalendarObject:
    """Write it as the next version, there where it was last."""
    known = max((sequence_of(each) for each in lines.parse(obj.stored_text).components("VEVENT")), default=0)
    for component in calendar.components("VEVENT"):
        component.set("SEQUENCE", str(max(known, sequence_of(component)) + 1))
        stamp(component, write.now)
    collection = session.get_one(Collection, obj.collection_id)
    if obj.deleted and obj.href.endswith("~gone"):
        obj.href = f"{obj.uid}.ics"
        session.flush()
    return objects.put_object(session, collection, obj.href, calendar, write)


# Appointments


def _restore_appointment(
    session: Session,
    appointment: Appointment,
    obj: CalendarObject,
    calendar: Component,
    owner: Account,
    actor: Actor,
    now: datetime,
) -> CalendarObject:
    zone = _zone(owner)
    known = visits.of_appointment(session, appointment.id)
    before = {key: history.Before.of(visit, owner) for key, visit in known.items()}
    first, last = recurrence.bounds(calendar, zone)
    then = {each.recurrence_id: each for each in recurrence.occurrences(calendar, zone, first, last)}
    _check_none_vanishes(known, then)
    for component in calendar.components("VEVENT"):
        appointment_text.clear_pending_cancel(component, now)
    for key, occurrence in then.items():
        visit = known.get(key)
        wanted = _status(visit, occurrence)
        if wanted in visits.OPEN:
            _check_time(session, appointment, visit, occurrence, owner, actor, now)
        if wanted != appointment_text.status_of(occurrence.component):
            component = steps.component_of(calendar, key, zone, whole=not appointment.series)
            appointment_text.set_status(component, wanted, now)
    restored = _put(session, obj, calendar, Write(actor, now, "version put back"))
    session.flush()
    fresh = visits.of_appointment(session, appointment.id)
    _note(session, appointment, before, fresh, owner, actor, now)
    return restored


def _check_none_vanishes(known: dict[str, Visit], then: dict[str, Occurrence]) -> None:
    if any(visit.status in visits.OPEN and key not in then for key, visit in known.items()):
        raise IllegalTransition("Appointments that are booked now were not in it then: cancel them first.")


def _status(visit: Visit | None, then: Occurrence) -> str:
    """The status that the visit gets. Raises IllegalTransition."""
    was = appointment_text.status_of(then.component)
    if visit is None:
        return was
    moved = (visit.start, visit.end) != (then.start, then.end)
    if visit.status in ("completed", "no_show"):
        if moved:
            raise IllegalTransition("An appointment that is over stays where it was.")
        return visit.status
    if visit.status in visits.OPEN:
        if was in status.TERMINAL:
            raise IllegalTransition(f"It was {status.STATUSES[was].lower()} then: take that step instead.")
        return status.after(visit.status, "reschedule") if moved else visit.status
    if visit.status == was:
        return was
    if visit.status == "cancelled_patient":
        raise IllegalTransition("The patient has cancelled this appointment.")
    return was if was in ("scheduled", "confirmed", "rescheduled") else "scheduled"


def _check_time(
    session: Session,
    appointment: Appointment,
    visit: Visit | None,
    then: Occurrence,
    owner: Account,
    actor: Actor,
    now: datetime,
) -> None:
    """What comes to lie at another time, or comes to life again, is looked at like a booking."""
    same = visit is not None and (visit.start, visit.end) == (then.start, then.end) and visit.status in visits.OPEN
    if same or then.end <= now:
        return
    resource = claims.resource_of(session, owner.id)
    assert resource is not None
    kind = session.get_one(AppointmentType, appointment.type_code)
    own = diary.Except(appointment.id, then.recurrence_id)
    length = then.end - then.start
    booking_rules.check(session, owner, resource, then.start, kind, actor, now, own=own, length=length)


def _note(
    session: Session,
    appointment: Appointment,
    before: dict[str, history.Before],
    fresh: dict[str, Visit],
    owner: Account,
    actor: Actor,
    now: datetime,
) -> None:
    """The history says so, and the patient is told of another time, or that it takes place after all."""
    moved: list[Visit] = []
    on_again: list[Visit] = []
    for key, visit in fresh.items():
        was = before.get(key)
        visit.settle_at = None
        if was is None or (was.status in status.TERMINAL and visit.status in visits.OPEN):
            on_again.append(visit)
            visit.cancelled_at, visit.cancellation_reason = None, ""
            from_status = "" if was is None else was.status
            history.record(session, visit, actor, "rebook", now, from_status=from_status)
            follow_ups.follow(session, appointment, visit, from_status, None, actor=actor, now=now)
        elif (was.start, was.end) != (visit.start, visit.end):
            moved.append(visit)
            history.moved(session, visit, actor, now, was, owner)
    if not moved and not on_again:
        history.record(session, next(iter(fresh.values())), actor, "restored", now)
    if moved:
        notifications.changed(session, appointment, moved, now)
    if on_again:
        notifications.on_again(session, appointment, on_again, now)
    session.flush()
