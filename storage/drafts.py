"""A new appointment as it is asked for, and the event that it becomes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import timezones
from ical.errors import InvalidInput
from ical.lines import Component
from ical.no_shows import Standing
from ical.series import Decision, OnConflict
from storage import links, notifications, visits
from storage.models import Account, Appointment, AppointmentType, Patient
from storage.settings import Settings


@dataclass(frozen=True)
class NewAppointment:
    """What is to be booked. `rrule` is an RFC 5545 RRULE value; `plan` is (minutes before, channel) pairs."""

    start: datetime
    kind: AppointmentType
    patient: Patient
    reason: str = ""
    patient_notes: str = ""
    rrule: str | None = None
    # For the occurrences of a series: what was chosen for some, and for others that are not free
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    on_conflict: OnConflict = "refuse"
    parent: UUID | None = None
    # UID of the waitlist entry that it comes of
    entry_uid: str = ""
    # Of that parent, which the booking closes
    follow_up: UUID | None = None
    plan: tuple[tuple[int, str], ...] | None = None
    # All of the doctors at once, not one of them
    together: bool = False
    # Usernames of rooms, machines and assistants, beside those that the type needs
    resources: tuple[str, ...] = ()
    # Why staff set the booking rules aside
    overrule: str = ""
    # What follows from what the patient has missed: booking.book finds out
    standing: Standing = Standing()


def event(
    session: Session,
    doctor: Account,
    new: NewAppointment,
    end: datetime,
    now: datetime,
    *,
    uid: str = "",
    place: str | None = None,
) -> Component:
    """The event of a new appointment, at the `place` that its hours name; with `uid` of one that a calendar app has
    made. Raises InvalidInput."""
    settings = session.info["settings"]
    appointment_id = visits.id_of(uid) if uid else uuid4()
    parent = session.get(Appointment, new.parent) if new.parent else None
    if new.parent and parent is None:
        raise InvalidInput("There is no such appointment to follow up.", field="parent")
    plan = new.plan if new.plan is not None else notifications.plan_of(new.patient)
    video = video_link(settings, appointment_id) if new.kind.mode == "video" else ""
    facts = appointment_text.AppointmentFacts(
        uid=uid or f"appt-{appointment_id}@{settings.uid_domain}",
        start=new.start,
        end=end,
        zone=timezones.zone(doctor.timezone),
        patient_name=new.patient.name,
        patient_email=new.patient.email,
        patient_id=new.patient.id,
        doctor_name=doctor.name,
        doctor_email=doctor.email,
        type_code=new.kind.code,
        type_name=new.kind.name,
        status="scheduled",
        reason=new.reason,
        patient_notes=new.patient_notes,
        doctor_notes="",
        video_link=video,
        location=video or place or settings.clinic_name,
        url=f"{settings.public_url}/appointments/{appointment_id}/",
        parent_uid=f"appt-{parent.id}@{settings.uid_domain}" if parent else "",
        entry_uid=new.entry_uid,
        rrule=new.rrule or "",
        created=now,
        clinic_name=settings.clinic_name,
        colour=new.kind.colour,
        reminders=tuple(plan),
    )
    return appointment_text.render(facts, now)


def video_link(settings: Settings, appointment_id: UUID) -> str:
    """A Jitsi room that nobody can guess (18 signed bytes of the appointment's id)."""
    return f"{settings.video_url}/{links.token(settings, 'video', appointment_id)}"
