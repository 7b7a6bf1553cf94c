"""Booked visits at times at which the doctor does not work any more: nothing is cancelled, the doctor chooses.

When hours or approved leave have changed and the quiet period is over, the coming visits are marked anew, and the
doctor is told once of all that have come to lie outside. Each is then kept, moved or cancelled by hand.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from ical import timezones
from ical.errors import NotFound
from storage import appointments, audit, diary, history, notifications, objects, visits
from storage.appointments import Row
from storage.models import Account, Appointment, Visit
from storage.policy import Actor

PAGE = "/appointments/doctor/schedule/affected/"


def mark(session: Session, doctor: Account, now: datetime) -> None:
    """Mark the coming visits that lie outside the hours or in approved leave. The doctor's lock is held."""
    coming = [row.visit for row in _coming(session, doctor, now)]
    if not coming:
        return
    duty = diary.duty(session, doctor, coming[0].start, max(visit.end for visit in coming))
    fresh = []
    for visit in coming:
        outside = not duty.covers(visit.start, visit.end)
        if outside and not visit.outside_hours:
            fresh.append(visit)
        elif not outside:
            visit.kept_at = None
        visit.outside_hours = outside
    if fresh:
        notifications.notice(session, doctor.id, _digest(fresh, doctor), now, page=PAGE, mail=True)


def undecided(session: Session, doctor: Account, now: datetime) -> list[Row]:
    """The coming visits outside the hours or in leave that nobody has said are to stay, in order."""
    return [row for row in _coming(session, doctor, now) if row.visit.outside_hours and row.visit.kept_at is None]


def keep(session: Session, appointment_id: UUID, recurrence_id: str, *, actor: Actor, now: datetime) -> None:
    """Let a visit take place where it is. Raises NotFound."""
    appointment = session.get(Appointment, appointment_id)
    if appointment is None:
        raise NotFound()
    objects.lock_owner(session, appointment.doctor_id)
    visit = visits.of_appointment(session, appointment_id).get(recurrence_id)
    if visit is None:
        raise NotFound()
    if visit.outside_hours and visit.kept_at is None:
        visit.kept_at = now
        history.record(session, visit, actor, "kept", now)
        audit.record(session, actor, "appointment.kept", f"appointment:{appointment_id}", {}, now)


def _coming(session: Session, doctor: Account, now: datetime) -> Sequence[Row]:
    asked = appointments.rows().where(
        Appointment.doctor_id == doctor.id, Visit.status.in_(visits.OPEN), Visit.start > now
    )
    return [Row(*row) for row in session.execute(asked.order_by(Visit.start, Visit.appointment_id))]


def _digest(fresh: Sequence[Visit], doctor: Account) -> str:
    first = fresh[0].start.astimezone(timezones.zone(doctor.timezone))
    when = f"{first:%A}, {first.day} {first:%B}, {first:%H:%M}"
    if len(fresh) == 1:
        return f"The appointment on {when} lies outside your hours or in your leave now. Keep, move or cancel it."
    return (
        f"{len(fresh)} appointments lie outside your hours or in your leave now, the first on {when}."
        " Keep, move or cancel each."
    )
