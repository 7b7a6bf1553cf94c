"""Booking: hold a slot, and book it.

Each function runs in the caller's transaction, takes the doctors' locks first, checks the rules inside them and writes
through storage.objects. What comes after is storage.lifecycle; what a calendar app does instead is storage.edits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from ical import status
from ical.diary import Window
from ical.errors import HoldExpired, Refusal, SlotTaken
from ical.lines import Component
from ical.series import Outcome
from storage import (
    booking_rules,
    claims,
    collections,
    drafts,
    follow_ups,
    history,
    links,
    notifications,
    objects,
    requests,
    series,
)
from storage.models import Account, Appointment, AppointmentType, Claim, Hold, Visit
from storage.policy import Actor
from storage.settings import Settings
from storage.writes import Write


@dataclass(frozen=True)
class Booked:
    appointment: Appointment
    doctor: Account
    visits: list[Visit]
    # Only for a series
    occurrences: list[Outcome]


def hold(
    session: Session, doctor: Account, start: datetime, kind: AppointmentType, *, actor: Actor, now: datetime
) -> Hold:
    """Keep a slot for settings.hold_minutes. Raises SlotTaken when it is gone, or the rule that says no."""
    resource = booking_rules.lock(session, [doctor])[doctor.id]
    until = now + timedelta(minutes=_settings(session).hold_minutes)
    checked = booking_rules.check(session, doctor, resource, start, kind, actor, now)
    kept = Hold(
        id=uuid4(),
        doctor_id=doctor.id,
        type_code=kind.code,
        start=start,
        end=checked.end,
        expires_at=until,
        created_at=now,
    )
    claims.take(session, [checked.wanted], kind="hold", now=now, ticket=kept.id, expires_at=until)
    session.execute(delete(Hold).where(Hold.expires_at < now - timedelta(days=1)))
    session.add(kept)
    session.flush()
    return kept


def release_hold(session: Session, hold_id: UUID) -> None:
    """Let a held slot go. An unknown or expired one is nothing to complain about."""
    claims.release(session, ticket=hold_id)
    session.execute(delete(Hold).where(Hold.id == hold_id))


def book(
    session: Session,
    doctors: Sequence[Account],
    new: drafts.NewAppointment,
    *,
    actor: Actor,
    now: datetime,
    ticket: UUID | None = None,
) -> Booked:
    """Book with one of `doctors`: whoever is free and has the fewest appointments that day.

    `ticket` is a hold's or an offer's id, whose claim becomes the appointment's. Raises SlotTaken, HoldExpired,
    SeriesConflict or the rule that said no, and nothing is written.
    """
    resources = booking_rules.lock(session, doctors)
    if ticket is not None:
        _redeem(session, ticket, now)
    if new.follow_up is not None:
        follow_ups.require_open(session, new.follow_up)
    refusals: list[Refusal] = []
    for doctor in _by_load(session, doctors, new.start):
        try:
            if new.rrule is None:
                checked = booking_rules.check(session, doctor, resources[doctor.id], new.start, new.kind, actor, now)
                calendar = drafts.event(session, doctor, new, checked.end, now)
                return _store(session, doctor, new, calendar, [], actor, now, windows=checked.windows)
            plan = series.plan(session, doctor, new, actor, now)
            return _store(session, doctor, new, plan.calendar, plan.outcomes, actor, now, windows=plan.windows)
        except Refusal as refusal:
            refusals.append(refusal)
    raise next((refusal for refusal in refusals if isinstance(refusal, SlotTaken)), refusals[0])


def by_manage_token(session: Session, token: str) -> Appointment | None:
    """The appointment of a manage link; None for a token that is not ours."""
    subject = links.subject(session.info["settings"], "manage", token)
    return None if subject is None else session.get(Appointment, subject)


def manage_url(settings: Settings, appointment_id: UUID) -> str:
    return links.url(settings, "manage", appointment_id)


# Steps


def _settings(session: Session) -> Settings:
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    return settings


def _redeem(session: Session, ticket: UUID, now: datetime) -> None:
    """Give back the claim of a hold or an offer, whose minutes are taken again in this same transaction."""
    kept = session.scalar(select(Claim).where(Claim.ticket == ticket))
    if kept is None or kept.expires_at is None or kept.expires_at <= now:
        raise HoldExpired()
    claims.release(session, ticket=ticket, retaken=True)
    session.execute(delete(Hold).where(Hold.id == ticket))


def _by_load(session: Session, doctors: Sequence[Account], start: datetime) -> list[Account]:
    """Fewest appointments on that day first, so that "any doctor" shares the work."""
    if len(doctors) == 1:
        return list(doctors)
    day = timedelta(hours=12)
    counts: dict[int, int] = dict(
        session.execute(
            select(Appointment.doctor_id, func.count())
            .join(Visit, Visit.appointment_id == Appointment.id)
            .where(
                Appointment.doctor_id.in_([doctor.id for doctor in doctors]),
                Visit.status.in_(status.ACTIVE),
                Visit.start > start - day,
                Visit.start < start + day,
            )
            .group_by(Appointment.doctor_id)
        ).all()
    )
    return sorted(doctors, key=lambda doctor: (counts.get(doctor.id, 0), doctor.id))


def _store(
    session: Session,
    doctor: Account,
    new: drafts.NewAppointment,
    calendar: Component,
    results: list[Outcome],
    actor: Actor,
    now: datetime,
    *,
    windows: Sequence[Window] | None = None,
) -> Booked:
    target = collections.built_in(session, doctor, "appointments")
    uid = calendar.components("VEVENT")[0].plain("UID")
    overruled = {outcome.recurrence_id: outcome.overruled for outcome in results if outcome.overruled}
    write = Write(actor, now, "book", overbook=bool(overruled))
    followed = objects.put_appointment(session, target, f"{uid}.ics", calendar, write, windows=windows)
    appointment = followed.appointment
    made = sorted(followed.visits.values(), key=lambda visit: visit.start)
    for visit in made[:1] if appointment.series else made:
        history.record(session, visit, actor, "booked", now)
    series.note_overruled(session, appointment, overruled, actor, now)
    if new.parent is not None:
        follow_ups.close(session, appointment, made[0].start, new.follow_up)
    if new.kind.approval and not actor.is_staff:
        requests.of_booking(session, appointment, made[0], actor=actor, now=now)
    else:
        notifications.confirmed(session, appointment, made, now)
    session.flush()
    return Booked(appointment, doctor, made, results)
