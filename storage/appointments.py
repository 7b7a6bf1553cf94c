"""Reading appointments: one with all its details, and lists of them for a doctor, a patient or a day."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from sqlalchemy import Select, and_, or_, select
from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import lines, recurrence, timezones
from storage import audit, history, participants, visits
from storage.models import (
    Account,
    Appointment,
    AppointmentResource,
    AppointmentType,
    CalendarObject,
    History,
    Patient,
    Resource,
    Visit,
)
from storage.policy import Actor
from storage.resources import Bookable


@dataclass(frozen=True)
class AppointmentView:
    """One appointment with its texts. `status`, `start` and `end` are the next open visit's, else the last one's."""

    appointment: Appointment
    uid: str
    doctor: Account
    patient: Patient
    kind: AppointmentType
    status: str
    start: datetime
    end: datetime
    reason: str
    patient_notes: str
    doctor_notes: str
    rrule: str
    visits: list[Visit]
    history: list[History]
    # Who takes part beside the doctor
    others: list[Bookable]
    # Unquoted; changes with everything above
    etag: str

    @property
    def id(self) -> UUID:
        return self.appointment.id

    @property
    def visit(self) -> Visit:
        return current(self.visits)


@dataclass(frozen=True)
class Row:
    """One visit in a list, without texts."""

    appointment: Appointment
    visit: Visit
    doctor: Account
    patient: Patient
    kind: AppointmentType


@dataclass(frozen=True)
class Page:
    rows: list[Row]
    # Opaque: where the next page begins; None at the end
    after: str | None


def details(session: Session, appointment_id: UUID) -> AppointmentView | None:
    """Everything about one appointment; None when there is none."""
    row = session.execute(
        select(Appointment, CalendarObject, Account, Patient, AppointmentType)
        .join(CalendarObject, CalendarObject.id == Appointment.object_id)
        .join(Account, Account.id == Appointment.doctor_id)
        .join(Patient, Patient.id == Appointment.patient_id)
        .join(AppointmentType, AppointmentType.code == Appointment.type_code)
        .where(Appointment.id == appointment_id)
    ).one_or_none()
    if row is None:
        return None
    appointment, obj, doctor, patient, kind = row
    calendar = lines.parse(obj.stored_text)
    component = recurrence.master(calendar) or calendar.components("VEVENT")[0]
    facts = appointment_text.read(component, timezones.zone(doctor.timezone), calendar)
    all_visits = list(visits.of_appointment(session, appointment_id).values())
    shown = current(all_visits)
    return AppointmentView(
        appointment=appointment,
        uid=facts.uid,
        doctor=doctor,
        patient=patient,
        kind=kind,
        status=shown.status,
        start=shown.start,
        end=shown.end,
        reason=facts.reason,
        patient_notes=facts.patient_notes,
        doctor_notes=facts.doctor_notes,
        rrule=facts.rrule,
        visits=all_visits,
        history=list(history.of_appointment(session, appointment_id)),
        others=participants.of_appointment(session, appointment_id),
        etag=_etag(appointment, obj, all_visits),
    )


def read_by(session: Session, actor: Actor, appointment_id: UUID, now: datetime) -> AppointmentView | None:
    """`details` for somebody to look at: when staff do, the audit knows."""
    view = details(session, appointment_id)
    if view is not None and actor.is_staff:
        patient = str(view.patient.id)
        audit.record(session, actor, "appointment.read", f"appointment:{appointment_id}", {"patient": patient}, now)
    return view


def find(
    session: Session,
    *,
    doctors: Collection[int] | None = None,
    patients: Collection[UUID] | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    statuses: Collection[str] | None = None,
    after: str | None = None,
    limit: int = 50,
) -> Page:
    """Visits in order of start that overlap [start, end), `limit` at a time; `after` is the former page's."""
    asked = rows()
    if doctors is not None:
        asked = asked.where(Appointment.doctor_id.in_(doctors))
    if patients is not None:
        asked = asked.where(Appointment.patient_id.in_(patients))
    if start is not None:
        asked = asked.where(Visit.end > start)
    if end is not None:
        asked = asked.where(Visit.start < end)
    if statuses is not None:
        asked = asked.where(Visit.status.in_(statuses))
    if after is not None:
        begin, appointment_id = _cursor(after)
        asked = asked.where(or_(Visit.start > begin, and_(Visit.start == begin, Visit.appointment_id > appointment_id)))
    found = session.execute(asked.order_by(Visit.start, Visit.appointment_id).limit(limit + 1)).all()
    page = [Row(*row) for row in found[:limit]]
    more = len(found) > limit and page
    return Page(page, f"{page[-1].visit.start.isoformat()}~{page[-1].appointment.id}" if more else None)


def in_range(
    session: Session, doctors: Sequence[Account], start: datetime, end: datetime, *, cancelled: bool = True
) -> list[Row]:
    """All visits of these doctors that overlap [start, end), in order: a day's or a week's calendar."""
    asked = rows().where(
        Appointment.doctor_id.in_([doctor.id for doctor in doctors]), Visit.end > start, Visit.start < end
    )
    if not cancelled:
        asked = asked.where(Visit.status.not_in(("cancelled_patient", "cancelled_doctor")))
    return [Row(*row) for row in session.execute(asked.order_by(Visit.start, Visit.appointment_id))]


def open_within(session: Session, doctor_id: int, spans: Sequence[tuple[datetime, datetime]]) -> list[Row]:
    """The open visits of a doctor, or in which the doctor takes part, that meet any of these times, in order."""
    if not spans:
        return []
    takes_part = (
        select(AppointmentResource.appointment_id)
        .join(Resource, Resource.id == AppointmentResource.resource_id)
        .where(Resource.account_id == doctor_id)
    )
    asked = rows().where(
        or_(Appointment.doctor_id == doctor_id, Appointment.id.in_(takes_part)),
        Visit.status.in_(visits.OPEN),
        Visit.end > min(start for start, _end in spans),
        Visit.start < max(end for _start, end in spans),
    )
    found = [Row(*row) for row in session.execute(asked.order_by(Visit.start, Visit.appointment_id))]
    return [row for row in found if any(start < row.visit.end and end > row.visit.start for start, end in spans)]


def rows() -> Select[Appointment, Visit, Account, Patient, AppointmentType]:
    """What a `Row` is made of, to be narrowed down."""
    return (
        select(Appointment, Visit, Account, Patient, AppointmentType)
        .join(Visit, Visit.appointment_id == Appointment.id)
        .join(Account, Account.id == Appointment.doctor_id)
        .join(Patient, Patient.id == Appointment.patient_id)
        .join(AppointmentType, AppointmentType.code == Appointment.type_code)
    )


def current(all_visits: Sequence[Visit]) -> Visit:
    """The next open visit, else the last one; of visits in their order."""
    return next((visit for visit in all_visits if visit.status in visits.OPEN), all_visits[-1])


def _cursor(after: str) -> tuple[datetime, UUID]:
    """Raises ValueError for a cursor that is not ours."""
    begin, _, appointment_id = after.partition("~")
    moment = datetime.fromisoformat(begin)
    if moment.tzinfo is None:
        raise ValueError("no offset")
    return moment, UUID(appointment_id)


def etag(session: Session, appointment: Appointment, all_visits: Sequence[Visit]) -> str:
    """What an AppointmentView's is, of an appointment that has just been written."""
    return _etag(appointment, session.get_one(CalendarObject, appointment.object_id), all_visits)


def _etag(appointment: Appointment, obj: CalendarObject, all_visits: Sequence[Visit]) -> str:
    parts = [str(appointment.version), obj.etag]
    parts += [f"{v.recurrence_id}{v.status}{v.start}{v.end}{v.arrived_at}{v.confirmed_at}" for v in all_visits]
    return sha256("|".join(parts).encode()).hexdigest()[:32]
