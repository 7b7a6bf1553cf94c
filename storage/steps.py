"""What every step in the life of an appointment is made of: open it behind its lock, find the visits and the text that
are meant, and write the changed text back."""

from collections.abc import Collection
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import recurrence
from ical.errors import IllegalTransition, NotFound
from ical.lines import Component
from storage import claims, collections, objects, visits
from storage.models import Account, Appointment, CalendarObject, Visit
from storage.models import Collection as Calendar
from storage.writes import Write


def opened(
    session: Session, appointment_id: UUID, also: Account | None = None, resources: Collection[int] = ()
) -> tuple[Appointment, CalendarObject, Account]:
    """The appointment with its object and doctor; everybody who takes part, the doctor `also` and these resources are
    locked. Read again behind the lock. Raises NotFound."""
    appointment = session.get(Appointment, appointment_id)
    if appointment is None:
        raise NotFound()
    claims.lock_appointments(session, [appointment_id], doctors=[also.id] if also else [], resources=resources)
    session.refresh(appointment)
    obj = session.get_one(CalendarObject, appointment.object_id, populate_existing=True)
    return appointment, obj, session.get_one(Account, appointment.doctor_id)


def chosen(
    session: Session,
    appointment: Appointment,
    recurrence_id: str | None,
    action: str,
    *,
    one: bool = False,
    following: bool = False,
) -> list[Visit]:
    """The visits that are meant: the named one, with `following` what is open from it on, or what is open of a series,
    of which some actions take but one."""
    known = visits.of_appointment(session, appointment.id)
    if recurrence_id:
        if recurrence_id not in known:
            raise NotFound("The series has no such appointment.")
        if not following:
            return [known[recurrence_id]]
        known = {key: visit for key, visit in known.items() if key >= recurrence_id}
    if not appointment.series:
        return list(known.values())
    still_open = [visit for visit in known.values() if visit.status in visits.OPEN]
    if not still_open:
        raise IllegalTransition()
    return still_open if action in ("cancel", "confirm") and not one else still_open[:1]


def component_of(calendar: Component, recurrence_id: str, zone: ZoneInfo, *, whole: bool) -> Component:
    """Where one occurrence's own properties stand; an override is made when there is none yet."""
    if recurrence_id and not whole:
        override = recurrence.override_for(calendar, recurrence_id, zone)
        return override or recurrence.make_override(calendar, recurrence_id, zone)
    return (recurrence_id and recurrence.override_for(calendar, recurrence_id, zone)) or (
        recurrence.master(calendar) or calendar.components("VEVENT")[0]
    )


def write_back(
    session: Session, obj: CalendarObject, calendar: Component, write: Write, *, revive: bool = False
) -> None:
    """Store a changed appointment. One that a calendar app has deleted stays out of the calendar, unless revived."""
    if obj.deleted and not revive:
        obj.stored_text = calendar.text()
        return
    collection = session.get_one(Calendar, obj.collection_id)
    objects.put_object(session, collection, obj.href, calendar, write)


def hand_over(
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
