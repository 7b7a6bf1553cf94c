"""What pages show beside storage.appointments: a patient's own, a doctor's calendar between two instants, lists."""

from collections.abc import Collection as Many
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from ical import lines
from ical.participants import is_copy
from storage import appointments, audit, follow_ups, occurrences
from storage.appointments import AppointmentView, Row
from storage.models import (
    Account,
    Appointment,
    AppointmentType,
    CalendarObject,
    ChangeRequest,
    Feed,
    Hold,
    Notice,
    Patient,
    Visit,
    WaitlistEntry,
)
from storage.occurrences import Busy

UPCOMING = frozenset({"scheduled", "confirmed", "rescheduled", "in_progress"})


@dataclass(frozen=True)
class Blocked:
    """Something in the doctor's calendars that is no appointment: leave, lunch, a private event."""

    kind: str
    start: datetime
    end: datetime
    all_day: bool
    title: str


@dataclass(frozen=True)
class Period:
    """A doctor's calendar in [start, end)."""

    visits: list[Row]
    hours: list[Busy]
    blocked: list[Blocked]


def chosen_visit(detail: AppointmentView, recurrence_id: str, now: datetime) -> Visit | None:
    """The named visit; without a name the next one that is still to come, else the last."""
    if recurrence_id:
        return next((visit for visit in detail.visits if visit.recurrence_id == recurrence_id), None)
    coming = (visit for visit in detail.visits if visit.status in UPCOMING and visit.end > now)
    return next(coming, detail.visits[-1])


def visits_of_patient(
    session: Session, patient_id: UUID, now: datetime, limit: int = 100
) -> tuple[list[Row], list[Row]]:
    """(what is to come, in order; what is over, the latest first)."""
    chosen = appointments.rows().where(Appointment.patient_id == patient_id)
    ahead = chosen.where(Visit.end > now, Visit.status.in_(UPCOMING)).order_by(Visit.start)
    over = chosen.where(or_(Visit.end <= now, Visit.status.not_in(UPCOMING))).order_by(Visit.start.desc())
    return (
        [Row(*row) for row in session.execute(ahead.limit(limit))],
        [Row(*row) for row in session.execute(over.limit(limit))],
    )


def patients_with_email(session: Session, email: str) -> list[Patient]:
    return list(session.scalars(select(Patient).where(func.lower(Patient.email) == email.lower())))


def period(session: Session, doctor: Account, start: datetime, end: datetime, *, titles: bool) -> Period:
    """A doctor's calendar in [start, end). `titles`: also what leave and private events are called."""
    others = occurrences.in_range(
        session, start, end, owner_ids=[doctor.id], kinds=["hours", "leave", "block", "plain", "copy"]
    )
    busy = [one for one in others if one.kind != "hours" and one.busy != "free"]
    names = _titles(session, {one.object_id for one in busy}) if titles else {}
    usual = {"leave": "Leave", "block": "Blocked", "plain": "Busy", "copy": "With a colleague"}
    return Period(
        visits=appointments.in_range(session, [doctor], start, end),
        hours=[one for one in others if one.kind == "hours" and one.capacity],
        blocked=[
            Blocked(one.kind, one.start, one.end, one.all_day, names.get(one.object_id) or usual[one.kind])
            for one in busy
        ],
    )


def _titles(session: Session, object_ids: Many[int]) -> dict[int, str]:
    if not object_ids:
        return {}
    found = session.execute(
        select(CalendarObject.id, CalendarObject.stored_text).where(CalendarObject.id.in_(object_ids))
    )
    return {key: _title(lines.parse(text).components("VEVENT")[0]) for key, text in found}


def _title(event: lines.Component) -> str:
    """Of a colleague's appointment whose it is; names of patients are hidden on request, and these could not be."""
    title = event.plain("DESCRIPTION").partition("\n")[0] if is_copy(event) else event.plain("SUMMARY")
    return title[:100]


def types(session: Session, *, all_of_them: bool = False) -> list[AppointmentType]:
    """Kinds of appointment in the clinic's order."""
    chosen = select(AppointmentType).order_by(AppointmentType.position, AppointmentType.name)
    return list(session.scalars(chosen if all_of_them else chosen.where(AppointmentType.active.is_(True))))


def find_type(session: Session, code: str) -> AppointmentType | None:
    return session.get(AppointmentType, code)


def find_appointment(session: Session, appointment_id: UUID) -> Appointment | None:
    return session.get(Appointment, appointment_id)


def find_hold(session: Session, hold_id: UUID) -> tuple[Hold, Account, AppointmentType] | None:
    """A hold that exists, expired or not, with its doctor and type."""
    kept = session.get(Hold, hold_id)
    if kept is None:
        return None
    return kept, session.get_one(Account, kept.doctor_id), session.get_one(AppointmentType, kept.type_code)


def notices(session: Session, account_id: int, limit: int = 50) -> list[Notice]:
    """Unread ones first, then the latest."""
    chosen = select(Notice).where(Notice.account_id == account_id)
    return list(session.scalars(chosen.order_by(Notice.read_at.is_not(None), Notice.id.desc()).limit(limit)))


def unread_notices(session: Session, account_id: int) -> int:
    chosen = select(func.count()).where(Notice.account_id == account_id, Notice.read_at.is_(None))
    return session.scalar(chosen) or 0


def mark_read(session: Session, account_id: int, notice_id: int | None, now: datetime) -> None:
    """One notice, or all of them."""
    chosen = update(Notice).where(Notice.account_id == account_id, Notice.read_at.is_(None))
    session.execute((chosen if notice_id is None else chosen.where(Notice.id == notice_id)).values(read_at=now))


def accounts_by_role(session: Session) -> list[Account]:
    """Those who can log in: staff first, then patients."""
    people = select(Account).where(Account.role != "resource")
    return list(session.scalars(people.order_by(Account.role == "patient", Account.role, Account.name)))


def feeds_of(session: Session, *, account_id: int | None = None, patient_id: UUID | None = None) -> list[Feed]:
    """Those in force, the newest first."""
    owner = Feed.account_id == account_id if patient_id is None else Feed.patient_id == patient_id
    return list(session.scalars(select(Feed).where(owner, Feed.revoked_at.is_(None)).order_by(Feed.id.desc())))


def own_account(session: Session, account_id: int) -> Account:
    return session.get_one(Account, account_id)


def export_patient(session: Session, patient: Patient, now: datetime) -> dict[str, Any]:
    """What a patient may take along: contact, appointments with what they wrote, waitlist entries. No notes of doctors."""
    audit.note(session, "patient.exported", f"patient:{patient.id}", now)
    found = session.execute(appointments.rows().where(Appointment.patient_id == patient.id).order_by(Visit.start))
    rows = [Row(*row) for row in found]
    written = {row.appointment.id: appointments.details(session, row.appointment.id) for row in rows}
    asked = session.scalars(
        select(ChangeRequest)
        .join(Appointment, Appointment.id == ChangeRequest.appointment_id)
        .where(Appointment.patient_id == patient.id)
        .order_by(ChangeRequest.asked_at)
    )
    waiting = session.scalars(select(WaitlistEntry).where(WaitlistEntry.patient_id == patient.id))
    return {
        "patient": {"name": patient.name, "email": patient.email, "phone": patient.phone},
        "appointments": [
            {
                "appointment_id": str(row.appointment.id),
                "doctor": row.doctor.name,
                "appointment_type": row.kind.code,
                "start": row.visit.start.isoformat(),
                "end": row.visit.end.isoformat(),
                "status": row.visit.status,
                "reason": view.reason if (view := written[row.appointment.id]) else "",
                "notes": view.patient_notes if view else "",
                "booked_at": row.appointment.booked_at.isoformat(),
            }
            for row in rows
        ],
        "requests": [
            {
                "appointment_id": str(request.appointment_id),
                "kind": request.kind,
                "start": request.start.isoformat() if request.start else None,
                "reason": request.reason,
                "asked_at": request.asked_at.isoformat(),
                "status": request.state,
                "answer": request.answer,
            }
            for request in asked
        ],
        "follow_ups": [
            {
                "appointment_type": row.follow_up.type_code,
                "doctor": row.doctor.name,
                "due_from": row.follow_up.due_from.isoformat(),
                "due_to": row.follow_up.due_to.isoformat(),
                "note": row.follow_up.note,
                "status": row.follow_up.status,
            }
            for row in follow_ups.listed(session, patients=[patient.id])
        ],
        "waitlist": [
            {
                "appointment_type": entry.type_code,
                "preferred_date": entry.date_from.isoformat(),
                "until": entry.date_to.isoformat(),
                "preferred_time_start": entry.time_from.isoformat(),
                "preferred_time_end": entry.time_to.isoformat(),
                "reason": entry.reason,
                "status": entry.status,
                "added_at": entry.added_at.isoformat(),
            }
            for entry in waiting
        ],
    }


def find_account(session: Session, account_id: int) -> Account | None:
    return session.get(Account, account_id)
