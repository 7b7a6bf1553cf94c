"""Follow-ups: which patients a doctor wants to see again, and when; proposed when a visit is completed.

The patient gets a link with which it is booked in one click. Whatever books an appointment with this one as its parent
closes it; when that is cancelled, it is open again. What nobody has booked in its days is overdue.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from ical import status, timezones
from ical.diary import midnight
from ical.errors import IllegalTransition, InvalidInput
from storage import accounts, audit, drafts, house_rules, links, outbox, slots
from storage.models import Account, Appointment, AppointmentType, FollowUp, Patient, Visit
from storage.policy import Actor
from storage.settings import Settings

STATUSES = ("proposed", "overdue", "booked", "dismissed")
OPEN = ("proposed", "overdue")
USUAL_TYPE = "follow_up"
_FURTHEST = timedelta(days=731)
# How long free times are looked for when the days it was due in are over.
_LATE = timedelta(days=28)
_COMING = ("scheduled", "confirmed", "rescheduled", "in_progress")


@dataclass(frozen=True)
class Wanted:
    """A follow-up as somebody asks for it: so many days after the visit, or between two days. Nothing said: as the
    type of the visit has it, which may be none."""

    after_days: int | None = None
    due_from: date | None = None
    due_to: date | None = None
    type_code: str | None = None
    note: str = ""


USUAL = Wanted()


@dataclass(frozen=True)
class Row:
    """One follow-up in a list."""

    follow_up: FollowUp
    doctor: Account
    patient: Patient
    kind: AppointmentType


def propose(
    session: Session,
    appointment: Appointment,
    visit: Visit,
    wanted: Wanted,
    *,
    actor: Actor,
    now: datetime,
    tell_at: datetime | None = None,
) -> FollowUp | None:
    """Propose what is wanted after this visit, and tell the patient (at `tell_at`). None where there is nothing to
    propose. Raises InvalidInput."""
    seen = session.get_one(AppointmentType, appointment.type_code)
    if wanted is USUAL and (seen.follow_up_days is None or _known(session, visit)):
        return None
    doctor = session.get_one(Account, appointment.doctor_id)
    first, last = _window(session, wanted, seen, visit.start.astimezone(timezones.zone(doctor.timezone)).date(), now)
    made = FollowUp(
        id=uuid4(),
        appointment_id=appointment.id,
        recurrence_id=visit.recurrence_id,
        patient_id=appointment.patient_id,
        doctor_id=doctor.id,
        type_code=_kind(session, wanted, seen).code,
        due_from=first,
        due_to=last,
        note=wanted.note[:500],
        status="proposed",
        proposed_by=actor.label,
        proposed_at=now,
    )
    session.add(made)
    session.flush()
    audit.record(session, actor, "follow_up.proposed", _object(made), {"appointment": str(appointment.id)}, now)
    _tell(
        session, "follow_up", made, tell_at or now, midnight(last + timedelta(days=1), timezones.zone(doctor.timezone))
    )
    return made


def find(session: Session, follow_up_id: UUID) -> FollowUp | None:
    return session.get(FollowUp, follow_up_id)


def by_token(session: Session, token: str) -> FollowUp | None:
    """The follow-up of a link in a mail; None for a token that is not ours."""
    subject = links.subject(_settings(session), "follow-up", token)
    return None if subject is None else session.get(FollowUp, subject)


def listed(
    session: Session,
    *,
    doctors: Collection[int] | None = None,
    patients: Collection[UUID] | None = None,
    statuses: Collection[str] | None = None,
    appointment_id: UUID | None = None,
    limit: int = 200,
) -> list[Row]:
    """Follow-ups, what is due first first."""
    asked = (
        select(FollowUp, Account, Patient, AppointmentType)
        .join(Account, Account.id == FollowUp.doctor_id)
        .join(Patient, Patient.id == FollowUp.patient_id)
        .join(AppointmentType, AppointmentType.code == FollowUp.type_code)
    )
    if doctors is not None:
        asked = asked.where(FollowUp.doctor_id.in_(doctors))
    if patients is not None:
        asked = asked.where(FollowUp.patient_id.in_(patients))
    if statuses is not None:
        asked = asked.where(FollowUp.status.in_(statuses))
    if appointment_id is not None:
        asked = asked.where(FollowUp.appointment_id == appointment_id)
    found = session.execute(asked.order_by(FollowUp.due_to, FollowUp.due_from, FollowUp.id).limit(limit))
    return [Row(*row) for row in found]


def free_times(session: Session, follow_up: FollowUp, now: datetime) -> list[slots.DoctorSlot]:
    """When it can be booked: the same doctor's free times while it is due, in order, then those of colleagues of the
    specialty. When that is over, the next weeks."""
    kind = session.get_one(AppointmentType, follow_up.type_code)
    doctor = session.get_one(Account, follow_up.doctor_id)
    zone = timezones.zone(doctor.timezone)
    start = max(now, midnight(follow_up.due_from, zone))
    end = midnight(follow_up.due_to + timedelta(days=1), zone)
    if end <= now:
        end = now + _LATE
    everybody = accounts.doctors(session)
    colleagues = [each for each in everybody if each.id != doctor.id and each.specialty == doctor.specialty]
    own = slots.free_slots(session, [each for each in everybody if each.id == doctor.id], start, end, kind, now)
    return own + slots.free_slots(session, colleagues, start, end, kind, now)


def draft(session: Session, follow_up: FollowUp, start: datetime) -> drafts.NewAppointment:
    """The appointment that it asks for, to be booked at `start`."""
    return drafts.NewAppointment(
        start=start,
        kind=session.get_one(AppointmentType, follow_up.type_code),
        patient=session.get_one(Patient, follow_up.patient_id),
        parent=follow_up.appointment_id,
        follow_up=follow_up.id,
    )


def dismiss(session: Session, follow_up: FollowUp, *, actor: Actor, now: datetime) -> None:
    """Nobody wants it any more. Raises IllegalTransition for one that is booked."""
    session.refresh(follow_up, with_for_update=True)
    if follow_up.status == "dismissed":
        return
    if follow_up.status == "booked":
        raise IllegalTransition("This follow-up is booked: cancel the appointment instead.")
    follow_up.status = "dismissed"
    session.flush()
    audit.record(session, actor, "follow_up.dismissed", _object(follow_up), {}, now)


def require_open(session: Session, follow_up_id: UUID) -> None:
    """It is about to be booked; the doctors are locked. Raises IllegalTransition where somebody else was faster."""
    found = session.get_one(FollowUp, follow_up_id, with_for_update=True, populate_existing=True)
    if found.status not in OPEN:
        raise IllegalTransition("This follow-up has been booked already, or is not wanted any more.")


def close(session: Session, child: Appointment, start: datetime, follow_up_id: UUID | None) -> None:
    """An appointment that follows another one was booked: this follow-up, or the one that fits it best, is done."""
    waiting = session.scalars(
        select(FollowUp)
        .where(FollowUp.appointment_id == child.parent_id, FollowUp.status.in_(OPEN))
        .order_by(FollowUp.due_from, FollowUp.id)
        .with_for_update()
    ).all()
    if waiting:
        doctor = session.get_one(Account, child.doctor_id)
        day = start.astimezone(timezones.zone(doctor.timezone)).date()
        done = min(
            waiting,
            key=lambda each: (
                each.id != follow_up_id,
                each.type_code != child.type_code,
                not each.due_from <= day <= each.due_to,
            ),
        )
        done.status, done.booked_as = "booked", child.id
        session.flush()


def follow(
    session: Session,
    appointment: Appointment,
    visit: Visit,
    before: str,
    wanted: Wanted | None,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """A visit has another status than `before`: what is `wanted` after it is proposed once it is completed, and not
    wanted when it is not completed after all; what follows another visit is to be booked again when it is cancelled."""
    if visit.status == "completed":
        if wanted is not None:
            propose(session, appointment, visit, wanted, actor=actor, now=now)
    elif before == "completed":
        withdraw(session, visit)
    if visit.status in status.CANCELLED:
        reopen(session, appointment)


def reopen(session: Session, child: Appointment) -> None:
    """The appointment that was booked for a follow-up was cancelled: it is still to be booked."""
    if child.parent_id is None:
        return
    done = session.scalar(select(FollowUp).where(FollowUp.booked_as == child.id, FollowUp.status == "booked"))
    coming = select(Visit.appointment_id).where(Visit.appointment_id == child.id, Visit.status.in_(_COMING))
    if done is not None and session.scalar(coming.limit(1)) is None:
        done.status, done.booked_as = "proposed", None
        session.flush()


def withdraw(session: Session, visit: Visit) -> None:
    """The visit is not completed after all: what was to follow it is not wanted yet."""
    for each in _known(session, visit):
        if each.status in OPEN:
            each.status = "dismissed"
    session.flush()


def late(session: Session, now: datetime, limit: int = 100) -> list[UUID]:
    """Those whose last day is over and that nobody has booked."""
    # A day's margin: whose zone it is in matters less than that it is seen.
    past = select(FollowUp.id).where(FollowUp.status == "proposed", FollowUp.due_to < now.date() - timedelta(days=1))
    return list(session.scalars(past.order_by(FollowUp.due_to).limit(limit)))


def mark_overdue(session: Session, follow_up_id: UUID, now: datetime) -> None:
    """Remind the patient once, if the practice wants that."""
    found = session.get_one(FollowUp, follow_up_id, with_for_update=True, populate_existing=True)
    if found.status != "proposed":
        return
    found.status = "overdue"
    session.flush()
    if house_rules.current(session).follow_up_reminder:
        _tell(session, "follow_up_overdue", found, now, now + timedelta(days=7))


def url(settings: Settings, follow_up: FollowUp) -> str:
    return links.url(settings, "follow-up", follow_up.id)


# Steps


def _known(session: Session, visit: Visit) -> Sequence[FollowUp]:
    asked = select(FollowUp).where(
        FollowUp.appointment_id == visit.appointment_id, FollowUp.recurrence_id == visit.recurrence_id
    )
    return session.scalars(asked).all()


def _window(session: Session, wanted: Wanted, seen: AppointmentType, day: date, now: datetime) -> tuple[date, date]:
    length = timedelta(days=house_rules.current(session).follow_up_days - 1)
    after = wanted.after_days
    if wanted.due_from is not None or wanted.due_to is not None:
        if after is not None:
            raise InvalidInput("Give a number of days, or two days.", field="after_days")
        first = wanted.due_from or day + timedelta(days=1)
        last = wanted.due_to or first + length
    else:
        after = seen.follow_up_days if after is None else after
        if after is None:
            raise InvalidInput("Say after how many days, or between which days.", field="after_days")
        if not 1 <= after <= _FURTHEST.days:
            raise InvalidInput(f"A follow-up is due 1 to {_FURTHEST.days} days after the visit.", field="after_days")
        first = day + timedelta(days=after)
        last = first + length
    if last < first:
        raise InvalidInput("The last day lies before the first.", field="due_to")
    if last < now.date() - timedelta(days=1):
        raise InvalidInput("These days are over.", field="due_to")
    if last - day > _FURTHEST + length:
        raise InvalidInput("A follow-up lies two years ahead at most.", field="due_to")
    return first, last


def _kind(session: Session, wanted: Wanted, seen: AppointmentType) -> AppointmentType:
    kind = session.get(AppointmentType, wanted.type_code or USUAL_TYPE)
    if wanted.type_code is None:
        return seen if kind is None or not kind.active else kind
    if kind is None or not kind.active:
        raise InvalidInput("There is no such type of appointment.", field="type")
    return kind


def _tell(session: Session, template: str, follow_up: FollowUp, due_at: datetime, expires_at: datetime) -> None:
    outbox.add(
        session,
        template=template,
        channel="email",
        dedupe_key=f"{template}:{follow_up.id}",
        patient_id=follow_up.patient_id,
        payload={"follow_up": str(follow_up.id)},
        due_at=due_at,
        expires_at=expires_at,
    )


def _object(follow_up: FollowUp) -> str:
    return f"follow_up:{follow_up.id}"


def _settings(session: Session) -> Settings:
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    return settings
