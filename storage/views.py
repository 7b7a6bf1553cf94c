"""What pages show: appointments with their people, a doctor's calendar between two instants, lists. Only reads,
but for a notice that was looked at."""

from collections.abc import Collection as Many
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, func, or_, select, update
from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import lines, recurrence, timezones
from storage import history, occurrences, visits
from storage.models import (
    Account,
    Appointment,
    AppointmentType,
    CalendarObject,
    Feed,
    History,
    Hold,
    Notice,
    Offer,
    Patient,
    Visit,
    WaitlistEntry,
)
from storage.occurrences import Busy

UPCOMING = frozenset({"scheduled", "confirmed", "rescheduled", "in_progress"})


@dataclass(frozen=True)
class Row:
    """One visit with everybody concerned."""

    visit: Visit
    appointment: Appointment
    doctor: Account
    patient: Patient
    kind: AppointmentType

    @property
    def upcoming(self) -> bool:
        return self.visit.status in UPCOMING


@dataclass(frozen=True)
class Texts:
    """What stands in the appointment's text only."""

    reason: str = ""
    patient_notes: str = ""
    doctor_notes: str = ""


@dataclass(frozen=True)
class Detail:
    appointment: Appointment
    doctor: Account
    patient: Patient
    kind: AppointmentType
    visits: Sequence[Visit]
    texts: Texts
    history: Sequence[History]

    def visit(self, recurrence_id: str, now: datetime) -> Visit | None:
        """The named visit; without a name the next one that is open, else the last."""
        if recurrence_id:
            return next((visit for visit in self.visits if visit.recurrence_id == recurrence_id), None)
        coming = (visit for visit in self.visits if visit.status in UPCOMING and visit.end > now)
        return next(coming, self.visits[-1] if self.visits else None)


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


def detail(session: Session, appointment: Appointment) -> Detail:
    obj = session.get_one(CalendarObject, appointment.object_id)
    doctor = session.get_one(Account, appointment.doctor_id)
    return Detail(
        appointment=appointment,
        doctor=doctor,
        patient=session.get_one(Patient, appointment.patient_id),
        kind=session.get_one(AppointmentType, appointment.type_code),
        visits=list(visits.of_appointment(session, appointment.id).values()),
        texts=_texts(obj, doctor),
        history=history.of_appointment(session, appointment.id),
    )


def _texts(obj: CalendarObject, doctor: Account) -> Texts:
    calendar = lines.parse(obj.stored_text)
    component = recurrence.master(calendar) or calendar.components("VEVENT")[0]
    read = appointment_text.read(component, timezones.zone(doctor.timezone), calendar)
    return Texts(read.reason, read.patient_notes, read.doctor_notes)


def _rows() -> Select[tuple[Visit, Appointment, Account, Patient, AppointmentType]]:
    return (
        select(Visit, Appointment, Account, Patient, AppointmentType)
        .join(Appointment, Appointment.id == Visit.appointment_id)
        .join(Account, Account.id == Appointment.doctor_id)
        .join(Patient, Patient.id == Appointment.patient_id)
        .join(AppointmentType, AppointmentType.code == Appointment.type_code)
    )


def visits_between(session: Session, doctor_ids: Many[int], start: datetime, end: datetime) -> list[Row]:
    """The visits of these doctors that overlap [start, end), cancelled ones included, in order."""
    chosen = _rows().where(Appointment.doctor_id.in_(doctor_ids), Visit.end > start, Visit.start < end)
    return [Row(*row) for row in session.execute(chosen.order_by(Visit.start, Visit.end, Visit.appointment_id))]


def visits_of_patient(session: Session, patient_id: UUID, now: datetime, limit: int = 100) -> tuple[list[Row], list[Row]]:
    """(what is to come, in order; what is over, the latest first)."""
    chosen = _rows().where(Appointment.patient_id == patient_id)
    ahead = chosen.where(Visit.end > now, Visit.status.in_(UPCOMING)).order_by(Visit.start)
    over = chosen.where(or_(Visit.end <= now, Visit.status.not_in(UPCOMING))).order_by(Visit.start.desc())
    return (
        [Row(*row) for row in session.execute(ahead.limit(limit))],
        [Row(*row) for row in session.execute(over.limit(limit))],
    )


def has_visit_ahead(session: Session, patient_ids: Many[UUID], now: datetime) -> list[Appointment]:
    """The appointments of these patients that are still to come, one each, in order."""
    chosen = (
        select(Appointment, func.min(Visit.start))
        .join(Visit, Visit.appointment_id == Appointment.id)
        .where(Appointment.patient_id.in_(patient_ids), Visit.end > now, Visit.status.in_(UPCOMING))
        .group_by(Appointment.id)
        .order_by(func.min(Visit.start))
    )
    return [appointment for appointment, _start in session.execute(chosen)]


def patients_with_email(session: Session, email: str) -> list[Patient]:
    return list(session.scalars(select(Patient).where(func.lower(Patient.email) == email.lower())))


def period(session: Session, doctor: Account, start: datetime, end: datetime, *, titles: bool) -> Period:
    """A doctor's calendar in [start, end). `titles`: also what leave and private events are called."""
    others = occurrences.in_range(
        session, start, end, owner_ids=[doctor.id], kinds=["hours", "leave", "block", "plain"]
    )
    busy = [one for one in others if one.kind != "hours" and one.busy != "free"]
    names = _titles(session, {one.object_id for one in busy}) if titles else {}
    usual = {"leave": "Leave", "block": "Blocked", "plain": "Busy"}
    return Period(
        visits=visits_between(session, [doctor.id], start, end),
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
    return {key: lines.parse(text).components("VEVENT")[0].plain("SUMMARY")[:100] for key, text in found}


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


def find_entry(session: Session, entry_id: UUID) -> WaitlistEntry | None:
    return session.get(WaitlistEntry, entry_id)


def entries(session: Session, doctor_id: int) -> list[tuple[WaitlistEntry, Patient, AppointmentType, Offer | None]]:
    """Who waits for this doctor or for any, in order, with the open offer if there is one."""
    found = session.execute(
        select(WaitlistEntry, Patient, AppointmentType)
        .join(Patient, Patient.id == WaitlistEntry.patient_id)
        .join(AppointmentType, AppointmentType.code == WaitlistEntry.type_code)
        .where(
            or_(WaitlistEntry.doctor_id == doctor_id, WaitlistEntry.doctor_id.is_(None)),
            WaitlistEntry.status.in_(("waiting", "offered")),
        )
        .order_by(WaitlistEntry.added_at)
    ).all()
    offered = [entry.id for entry, _patient, _kind in found if entry.status == "offered"]
    open_offers = session.scalars(select(Offer).where(Offer.entry_id.in_(offered), Offer.state == "open"))
    by_entry = {offer.entry_id: offer for offer in open_offers}
    return [(entry, patient, kind, by_entry.get(entry.id)) for entry, patient, kind in found]


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
    """Staff first, then patients."""
    return list(session.scalars(select(Account).order_by(Account.role == "patient", Account.role, Account.name)))


def feeds_of(session: Session, *, account_id: int | None = None, patient_id: UUID | None = None) -> list[Feed]:
    """Those in force, the newest first."""
    owner = Feed.account_id == account_id if patient_id is None else Feed.patient_id == patient_id
    return list(session.scalars(select(Feed).where(owner, Feed.revoked_at.is_(None)).order_by(Feed.id.desc())))
