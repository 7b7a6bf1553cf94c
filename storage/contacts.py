"""Names and addresses as they change, in the records and in the appointments that calendar apps show."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical.lines import parse
from storage import accounts, audit, claims, objects
from storage.models import Account, Appointment, CalendarObject, Collection, Patient, Visit
from storage.policy import SYSTEM
from storage.writes import Write


def change(session: Session, account_id: int, name: str, email: str, phone: str, now: datetime) -> None:
    """Change one's own name and addresses; a patient's reach the appointments to come. Raises InvalidInput."""
    account = session.get_one(Account, account_id)
    patient = accounts.patient_of(session, account)
    owners: list[Account | Patient] = [account] if patient is None else [account, patient]
    for owner in owners:
        owner.name = accounts.clean_name(name)
        owner.email = accounts.clean_email(email) if email else ""
        owner.phone = accounts.clean_phone(phone) if phone else ""
    session.flush()
    audit.note(session, "contact.changed", f"account:{account.id}", now)
    if patient is not None:
        _into_appointments(session, patient, now)


def _into_appointments(session: Session, patient: Patient, now: datetime) -> None:
    asked = (
        select(Appointment)
        .where(
            Appointment.patient_id == patient.id,
            Appointment.id.in_(select(Visit.appointment_id).where(Visit.end > now)),
        )
        .order_by(Appointment.doctor_id, Appointment.booked_at)
    )
    found = session.scalars(asked).all()
    # All of them at once: one after the other, two changes could wait in a circle.
    claims.lock_appointments(session, [appointment.id for appointment in found])
    for appointment in found:
        session.refresh(appointment)
        obj = session.get_one(CalendarObject, appointment.object_id, populate_existing=True)
        calendar = parse(obj.stored_text)
        for event in calendar.components("VEVENT"):
            appointment_text.set_patient(event, patient.name, patient.email, now)
        if obj.deleted:
            # One that a calendar app has deleted stays out of the calendar.
            obj.stored_text = calendar.text()
        elif calendar.text() != obj.stored_text:
            collection = session.get_one(Collection, obj.collection_id)
            write = Write(SYSTEM, now, "contact changed", overbook=True)
            objects.put_object(session, collection, obj.href, calendar, write)
