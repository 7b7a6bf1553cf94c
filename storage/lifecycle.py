"""The life of a booked appointment: its status, its cancellation, another time or doctor, the doctor's notes.

Each function runs in the caller's transaction, takes the doctors' locks first and writes through storage.objects. What
a calendar app does instead is storage.edits.
"""

from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import lines, recurrence, status, timezones
from ical.errors import IllegalTransition, InvalidInput, NotFound
from ical.lines import Component
from storage import booking_rules, claims, collections, diary, history, notifications, objects, visits
from storage.models import Account, Appointment, AppointmentType, CalendarObject, Collection, Visit
from storage.policy import Actor
from storage.writes import Write


def change_status(
    session: Session,
    appointment_id: UUID,
    action: str,
    *,
    actor: Actor,
    now: datetime,
    recurrence_id: str | None = None,
    reason: str = "",
    by: str | None = None,
) -> Appointment:
    """Carry out confirm, arrive, start, complete, no-show, rebook or cancel on one visit (of a series: all that are
    still open, unless `recurrence_id` names one). `by` says for a cancellation whose wish it was: patient or doctor.

    Raises IllegalTransition, NotFound.
    """
    appointment, obj, owner = _open(session, appointment_id)
    calendar = lines.parse(obj.stored_text)
    zone = timezones.zone(owner.timezone)
    chosen = _chosen(session, appointment, recurrence_id, action)
    by = by or ("patient" if actor.role == "patient" or actor.kind in ("link", "visitor") else "doctor")
    before = {visit.recurrence_id: visit.status for visit in chosen}
    for visit in chosen:
        new = status.after(visit.status, action, by=by, start=visit.start, now=now)
        component = _component(calendar, visit.recurrence_id, zone, whole=len(chosen) > 1 or not appointment.series)
        appointment_text.clear_pending_cancel(component, now)
        appointment_text.set_status(component, new, now)
        _stamp(visit, action, reason, now)
    write = Write(actor, now, action)
    _write_back(session, obj, calendar, write)
    session.flush()
    for visit in chosen:
        # An object that a calendar app deleted is not expanded any more; its visits are kept in step here.
        visit.status = status.after(before[visit.recurrence_id], action, by=by, start=visit.start, now=now)
        visit.settle_at = None
        history.record(session, visit, actor, action, now, from_status=before[visit.recurrence_id], reason=reason)
        if action == "cancel":
            visits.cancelled(session, appointment, visit)
    if action == "cancel":
        notifications.cancelled(session, appointment, chosen, now)
    session.flush()
    return appointment


def cancel(
    session: Session,
    appointment_id: UUID,
    *,
    actor: Actor,
    now: datetime,
    reason: str = "",
    by: str | None = None,
    recurrence_id: str | None = None,
) -> Appointment:
    """Cancel a visit, or all that are still open: the minutes are free at once and the patient is told."""
    return change_status(
        session, appointment_id, "cancel", actor=actor, now=now, recurrence_id=recurrence_id, reason=reason, by=by
    )


def reschedule(
    session: Session,
    appointment_id: UUID,
    start: datetime,
    *,
    actor: Actor,
    now: datetime,
    doctor: Account | None = None,
    recurrence_id: str | None = None,
) -> Appointment:
    """Move a visit: the new minutes in and the old ones out in one transaction. Raises SlotTaken or the rule that
    says no; then everything is as it was. A whole series is moved one occurrence at a time."""
    appointment, obj, owner = _open(session, appointment_id, also=doctor)
    visit = _chosen(session, appointment, recurrence_id, "reschedule", one=True)[0]
    new_status = status.after(visit.status, "reschedule", by="doctor", start=visit.start, now=now)
    target = doctor or owner
    if target.id != owner.id and appointment.series:
        raise InvalidInput("One appointment of a series stays with its doctor.", field="doctor")
    kind = session.get_one(AppointmentType, appointment.type_code)
    length = visit.end - visit.start
    own = diary.Except(appointment_id, visit.recurrence_id)
    resource = claims.resource_of(session, target.id)
    if resource is None:
        raise InvalidInput("Nobody can be booked there.", field="doctor")
    booking_rules.check(session, target, resource, start, kind, actor, now, own=own, length=length)
    calendar = lines.parse(obj.stored_text)
    zone = timezones.zone(target.timezone)
    component = _component(calendar, visit.recurrence_id, zone, whole=not appointment.series)
    appointment_text.clear_pending_cancel(component, now)
    appointment_text.set_times(component, start, start + length, zone, now)
    appointment_text.set_status(component, new_status, now)
    timezones.ensure_vtimezones(calendar)
    old_start, old_status = visit.start, visit.status
    write = Write(actor, now, "reschedule")
    if target.id == owner.id:
        _write_back(session, obj, calendar, write, revive=True)
    else:
        _hand_over(session, appointment, obj, target, calendar, write)
    session.flush()
    visit.settle_at = None
    history.record(session, visit, actor, "moved", now, from_status=old_status, from_start=old_start)
    notifications.changed(session, appointment, [visit], now)
    session.flush()
    return appointment


def set_notes(session: Session, appointment_id: UUID, text: str, *, actor: Actor, now: datetime) -> Appointment:
    """The doctor's private notes, never sent to the patient."""
    appointment, obj, _owner = _open(session, appointment_id)
    calendar = lines.parse(obj.stored_text)
    appointment_text.set_notes(recurrence.master(calendar) or calendar.components("VEVENT")[0], text, now)
    _write_back(session, obj, calendar, Write(actor, now, "notes"))
    return appointment


# Steps


def _open(
    session: Session, appointment_id: UUID, also: Account | None = None
) -> tuple[Appointment, CalendarObject, Account]:
    """The appointment with its object and doctor, locked. Read again behind the lock."""
    appointment = session.get(Appointment, appointment_id)
    if appointment is None:
        raise NotFound()
    doctor_ids = {appointment.doctor_id} | ({also.id} if also else set())
    resources = [claims.resource_of(session, doctor_id) for doctor_id in doctor_ids]
    claims.lock(session, [resource for resource in resources if resource is not None])
    session.refresh(appointment)
    obj = session.get_one(CalendarObject, appointment.object_id, populate_existing=True)
    return appointment, obj, session.get_one(Account, appointment.doctor_id)


def _chosen(
    session: Session, appointment: Appointment, recurrence_id: str | None, action: str, one: bool = False
) -> list[Visit]:
    known = visits.of_appointment(session, appointment.id)
    if recurrence_id:
        if recurrence_id not in known:
            raise NotFound("The series has no such appointment.")
        return [known[recurrence_id]]
    if not appointment.series:
        return list(known.values())
    still_open = [visit for visit in known.values() if visit.status in visits.OPEN]
    if not still_open:
        raise IllegalTransition()
    return still_open if action in ("cancel", "confirm") and not one else still_open[:1]


def _component(calendar: Component, recurrence_id: str, zone: ZoneInfo, *, whole: bool) -> Component:
    """Where one occurrence's own properties stand; an override is made when there is none yet."""
    if recurrence_id and not whole:
        override = recurrence.override_for(calendar, recurrence_id, zone)
        return override or recurrence.make_override(calendar, recurrence_id, zone)
    return (recurrence_id and recurrence.override_for(calendar, recurrence_id, zone)) or (
        recurrence.master(calendar) or calendar.components("VEVENT")[0]
    )


def _write_back(session: Session, obj: CalendarObject, calendar: Component, write: Write, revive: bool = False) -> None:
    """Store a changed appointment. One that a calendar app has deleted stays out of the calendar, unless revived."""
    if obj.deleted and not revive:
        obj.stored_text = calendar.text()
        return
    collection = session.get_one(Collection, obj.collection_id)
    objects.put_object(session, collection, obj.href, calendar, write)


def _hand_over(
    session: Session, appointment: Appointment, obj: CalendarObject, doctor: Account, calendar: Component, write: Write
) -> None:
    """Move an appointment into another doctor's calendar, claims and all."""
    claims.release(session, appointment_id=appointment.id)
    if not obj.deleted:
        objects.delete_object(session, obj, write)
    appointment_text.set_doctor(
        recurrence.master(calendar) or calendar.components("VEVENT")[0], doctor.name, doctor.email
    )
    target = collections.built_in(session, doctor, "appointments")
    moved = objects.put_object(session, target, obj.href, calendar, write)
    appointment.object_id = moved.id


def _stamp(visit: Visit, action: str, reason: str, now: datetime) -> None:
    if action == "confirm":
        visit.confirmed_at = now
    elif action == "arrive":
        if visit.arrived_at is not None:
            raise IllegalTransition("The patient has arrived already.")
        visit.arrived_at = now
    elif action == "complete":
        visit.completed_at = now
    elif action == "cancel":
        visit.cancelled_at = now
        visit.cancellation_reason = reason[:500]
