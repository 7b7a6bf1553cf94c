"""What a patient's own calendar is told by mail: the iTIP objects of an appointment. RFC 5546, RFC 6047."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import itip, lines, recurrence, status, times
from ical.lines import Component
from storage import links
from storage.models import Appointment, CalendarObject, Patient, Visit
from storage.settings import Settings


def of_visits(
    session: Session,
    appointment: Appointment,
    visits: Sequence[Visit],
    method: itip.Method,
    zone: ZoneInfo,
    now: datetime,
) -> str:
    """What the patient's calendar is told of these visits: the one event, the whole series, or some occurrences."""
    obj = session.get_one(CalendarObject, appointment.object_id)
    calendar = lines.parse(obj.stored_text)
    coming = session.scalars(select(Visit).where(Visit.appointment_id == appointment.id, Visit.start > now)).all()
    off = {visit.recurrence_id for visit in coming if visit.status.startswith("cancelled_")}
    tell = partial(_event, session, appointment, calendar, method, zone, now)
    if not appointment.series:
        said, events = lines.parse(tell(None)), []
    elif method == "REQUEST" and len(visits) + len(off) == len(coming):
        said = lines.parse(tell(None, off))
        events = [tell(visit) for visit in visits if _is_moved(visit)]
    elif method == "CANCEL" and len(off) == len(coming):
        said, events = lines.parse(tell(None)), []
    else:
        said = lines.parse(tell(visits[0]))
        events = [tell(visit) for visit in visits[1:]]
    return _joined(said, events)


def of_other_halves(session: Session, appointment: Appointment, zone: ZoneInfo, now: datetime) -> tuple[str, ...]:
    """A REQUEST for each of the other appointments that were one series with this, before a calendar app cut it.

    What is left of the old event, and what the patient was never invited to by its new UID, is then right as well.
    """
    first = appointment.split_from or appointment.id
    asked = select(Appointment, CalendarObject).join(CalendarObject, CalendarObject.id == Appointment.object_id)
    family = or_(Appointment.split_from == first, Appointment.id == first)
    others = asked.where(family, Appointment.id != appointment.id, CalendarObject.deleted.is_(False))
    said = []
    for other, obj in session.execute(others.order_by(Appointment.booked_at, Appointment.id)):
        calendar = lines.parse(obj.stored_text)
        visits = session.scalars(select(Visit).where(Visit.appointment_id == other.id).order_by(Visit.start)).all()
        off = {visit.recurrence_id for visit in visits if visit.status in status.CANCELLED}
        if len(off) == len(visits):
            continue
        tell = partial(_event, session, other, calendar, "REQUEST", zone, now)
        moved = [tell(visit) for visit in visits if _is_moved(visit) and visit.recurrence_id not in off]
        said.append(_joined(lines.parse(tell(None, off)), moved))
    return tuple(said)


def _is_moved(visit: Visit) -> bool:
    return visit.recurrence_id not in ("", times.utc_text(visit.start))


def _joined(said: Component, events: Sequence[str]) -> str:
    for event in events:
        said.children += lines.parse(event).components("VEVENT")
    return said.text()


def _event(
    session: Session,
    appointment: Appointment,
    calendar: Component,
    method: itip.Method,
    zone: ZoneInfo,
    now: datetime,
    visit: Visit | None,
    off: Collection[str] = (),
) -> str:
    """One event of it; `visit` None: the only one or the whole series, but for the occurrences that are `off`."""
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    main = recurrence.master(calendar) or calendar.components("VEVENT")[0]
    component = main
    if visit is not None:
        component = recurrence.override_for(calendar, visit.recurrence_id, zone) or main
    stored = appointment_text.read(component, zone, calendar)
    patient = session.get_one(Patient, appointment.patient_id)
    facts = appointment_text.AppointmentFacts(
        uid=stored.uid,
        start=stored.start if visit is None else visit.start,
        end=stored.end if visit is None else visit.end,
        zone=zone,
        patient_id=patient.id,
        patient_name=patient.name,
        patient_email=patient.email,
        doctor_name="",
        type_code="",
        type_name="",
        video_link=stored.video_link,
        location=stored.location,
        rrule=stored.rrule,
        # Many programs overlook a cancellation that is not newer than what it cancels.
        sequence=stored.sequence + (method == "CANCEL"),
        clinic_name=settings.clinic_name,
    )
    gone = [
        times.instant(moment, zone)
        for line in main.lines("EXDATE")
        for moment in times.read_times(line, zone, calendar)
    ] + [times.parse_utc_text(recurrence_id) for recurrence_id in sorted(off)]
    return itip.request(
        facts,
        method,
        settings.mail_from,
        now,
        manage_url=links.url(settings, "manage", appointment.id),
        recurrence_id="" if visit is None else visit.recurrence_id,
        exdates=gone,
    )
