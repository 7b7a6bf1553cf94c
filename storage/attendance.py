"""Who came: once a day is over, staff are asked about the visits of which nobody has said whether they took place."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from ical import timezones
from ical.errors import NotFound
from storage import accounts, appointments, house_rules, lifecycle, notifications
from storage.appointments import Row
from storage.models import Account, Appointment, Visit
from storage.policy import SYSTEM, Actor

PAGE = "/appointments/doctor/no-shows/"
# What nobody has looked at for so long, nobody will remember.
_LOOK_BACK = timedelta(days=31)
_AWAITED = ("scheduled", "confirmed", "rescheduled")
OUTCOMES = {"missed": "no-show", "took_place": "complete"}


def proposed(session: Session, doctors: Sequence[Account], now: datetime) -> list[Row]:
    """The visits of days that are over which nobody came to, as far as anybody said, the earliest first."""
    if not doctors:
        return []
    asked = appointments.rows().where(_open(doctors, now)).order_by(Visit.start)
    return [Row(*row) for row in session.execute(asked)]


def is_due(session: Session, now: datetime) -> bool:
    doctors = accounts.doctors(session)
    if not doctors:
        return False
    chosen = select(Visit.start).join(Appointment, Appointment.id == Visit.appointment_id)
    return session.scalar(chosen.where(_open(doctors, now), _not_asked(session)).limit(1)) is not None


def ask(session: Session, now: datetime) -> int:
    """Ask each doctor, once a day, about the visits that are new; where the house rules say so, they are missed at
    once. Returns how many there are."""
    doctors = accounts.doctors(session)
    if house_rules.current(session).no_show_marking == "mark":
        found = proposed(session, doctors, now)
        for row in found:
            decide(session, row.appointment.id, row.visit.recurrence_id, "missed", actor=SYSTEM, now=now)
        return len(found)
    new: dict[int, list[Visit]] = defaultdict(list)
    for row in proposed(session, doctors, now):
        if row.visit.asked_at is None:
            new[row.doctor.id].append(row.visit)
    for doctor_id, visits in new.items():
        many = f"{len(visits)} appointments of a day that is over are" if len(visits) > 1 else "An appointment is"
        notifications.notice(session, doctor_id, f"{many} neither completed nor missed: say who came.", now, page=PAGE)
        for visit in visits:
            session.execute(
                update(Visit)
                .where(Visit.appointment_id == visit.appointment_id, Visit.recurrence_id == visit.recurrence_id)
                .values(asked_at=now)
                .execution_options(synchronize_session=False)
            )
    return sum(map(len, new.values()))


def decide(
    session: Session, appointment_id: UUID, recurrence_id: str, outcome: str, *, actor: Actor, now: datetime
) -> Appointment:
    """Say of one visit whether it was missed or took place (OUTCOMES). Raises IllegalTransition, NotFound."""
    if session.get(Visit, (appointment_id, recurrence_id)) is None:
        raise NotFound()
    return lifecycle.change_status(
        session,
        appointment_id,
        OUTCOMES[outcome],
        actor=actor,
        now=now,
        recurrence_id=recurrence_id or None,
        follow_up=None,
    )


def missed(session: Session, patient_id: UUID, limit: int = 100) -> list[Row]:
    """Everything that was ever missed, the latest first."""
    asked = appointments.rows().where(Appointment.patient_id == patient_id, Visit.status == "no_show")
    return [Row(*row) for row in session.execute(asked.order_by(Visit.start.desc()).limit(limit))]


def _open(doctors: Sequence[Account], now: datetime) -> ColumnElement[bool]:
    """Awaited visits of local days that are over."""
    by_zone: dict[str, list[int]] = defaultdict(list)
    for doctor in doctors:
        by_zone[doctor.timezone].append(doctor.id)
    over = []
    for name, ids in by_zone.items():
        here = now.astimezone(timezones.zone(name))
        midnight = datetime.combine(here.date(), time(), here.tzinfo)
        over.append(and_(Appointment.doctor_id.in_(ids), Visit.end <= midnight))
    return and_(or_(*over), Visit.start > now - _LOOK_BACK, Visit.status.in_(_AWAITED), Visit.arrived_at.is_(None))


def _not_asked(session: Session) -> ColumnElement[bool]:
    if house_rules.current(session).no_show_marking == "mark":
        return Visit.status.in_(_AWAITED)
    return Visit.asked_at.is_(None)
