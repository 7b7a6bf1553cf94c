"""Booking: hold a slot, and book it.

Each function runs in the caller's transaction, takes the doctors' locks first, checks the rules inside them and writes
through storage.objects. What comes after is storage.lifecycle; what a calendar app does instead is storage.edits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ical.diary import Window
from ical.errors import HoldExpired, InvalidInput, Refusal, SlotTaken
from ical.lines import Component
from ical.participants import set_participants
from ical.series import Outcome
from storage import (
    audit,
    booking_rules,
    choosing,
    claims,
    collections,
    drafts,
    follow_ups,
    history,
    links,
    no_shows,
    notifications,
    objects,
    participants,
    requests,
    series,
)
from storage.models import Account, Appointment, AppointmentType, CalendarObject, ChangeRequest, Claim, Hold, Visit
from storage.policy import Actor
from storage.resources import Bookable
from storage.settings import Settings
from storage.writes import Write


@dataclass(frozen=True)
class Booked:
    appointment: Appointment
    doctor: Account
    visits: list[Visit]
    # Only for a series
    occurrences: list[Outcome]
    # Who takes part beside the doctor
    others: Sequence[Bookable] = ()
    # What the practice has to agree to first
    request: ChangeRequest | None = None
    # Held on to: the session forgets what nobody holds, and would read it again
    stored: CalendarObject | None = None


def hold(
    session: Session,
    doctor: Account,
    start: datetime,
    kind: AppointmentType,
    *,
    actor: Actor,
    now: datetime,
    resources: Sequence[str] = (),
    beside: Sequence[Account] = (),
    overrule: str = "",
) -> Hold:
    """Keep a slot for settings.hold_minutes, with what the type needs, the `resources` of these names and the doctors
    `beside`; with `overrule`, against the rules for that reason. Raises SlotTaken when it is gone, or the rule that says no."""
    needed = choosing.needs(session, kind, resources, beside)
    resource = booking_rules.lock(session, [doctor], needed.ids)[doctor.id]
    until = now + timedelta(minutes=_settings(session).hold_minutes)
    checked = booking_rules.check(session, doctor, resource, start, kind, actor, now, overrule=bool(overrule))
    party = choosing.choose(session, doctor, needed, start, checked.end, kind, actor, now, overrule=bool(overrule))
    kept = Hold(
        id=uuid4(),
        doctor_id=doctor.id,
        type_code=kind.code,
        start=start,
        end=checked.end,
        expires_at=until,
        created_at=now,
        overrule=overrule,
    )
    claims.take(
        session,
        [checked.wanted, *party.wanted],
        kind="hold",
        now=now,
        overbook=bool(overrule),
        ticket=kept.id,
        expires_at=until,
    )
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
    """Book with one of `doctors`: whoever is free and is booked least; or with all of them at once. What the type needs
    is booked with them, all or nothing.

    `ticket` is a hold's or an offer's id, whose claims become the appointment's. Raises SlotTaken, HoldExpired,
    SeriesConflict or the rule that said no, and nothing is written.
    """
    needed = choosing.needs(session, new.kind, new.resources, doctors[1:] if new.together else ())
    resources = booking_rules.lock(session, doctors, needed.ids)
    if ticket is not None:
        _redeem(session, ticket, now)
    new = replace(new, standing=no_shows.for_booking(session, new.patient, actor, now))
    if new.follow_up is not None:
        follow_ups.require_open(session, new.follow_up)
    refusals: list[Refusal] = []
    for doctor in doctors[:1] if new.together else choosing.by_load(session, doctors, new.start):
        try:
            if new.rrule is None:
                return _book_one(session, doctor, resources[doctor.id], needed, new, actor, now)
            if new.overrule:
                raise InvalidInput(
                    "Of a series, say for each occurrence in conflict that it is kept.", field="overrule"
                )
            plan = series.plan(session, doctor, new, actor, now, needed)
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


def _book_one(
    session: Session,
    doctor: Account,
    resource: int,
    needed: choosing.Needs,
    new: drafts.NewAppointment,
    actor: Actor,
    now: datetime,
) -> Booked:
    overrule = bool(new.overrule)
    checked = booking_rules.check(session, doctor, resource, new.start, new.kind, actor, now, overrule=overrule)
    party = choosing.choose(session, doctor, needed, new.start, checked.end, new.kind, actor, now, overrule=overrule)
    calendar = drafts.event(session, doctor, new, checked.end, now, place=checked.wanted.location)
    set_participants(calendar, participants.described(session, party.people))
    booked = _store(session, doctor, new, calendar, [], actor, now, windows=None if overrule else checked.windows)
    if overrule:
        rules = [*(refusal.code for refusal in checked.overruled), *(SlotTaken.code for _each in party.missing)]
        about = f"appointment:{booked.appointment.id}"
        audit.record(session, actor, "appointment.overruled", about, {"rules": rules}, now)
    return booked


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
    asked = not actor.is_staff and (new.kind.approval or no_shows.needs_approval(new.standing, actor))
    write = Write(actor, now, "book", overbook=bool(overruled or new.overrule), told=not asked)
    followed = objects.put_appointment(session, target, f"{uid}.ics", calendar, write, made=True, windows=windows)
    appointment = followed.appointment
    made = sorted(followed.visits.values(), key=lambda visit: visit.start)
    for visit in made[:1] if appointment.series else made:
        history.record(session, visit, actor, "booked", now, reason=new.overrule)
    series.note_overruled(session, appointment, overruled, actor, now)
    if new.parent is not None:
        follow_ups.close(session, appointment, made[0].start, new.follow_up)
    request = None
    if asked:
        request = requests.of_booking(session, appointment, made[0], actor=actor, now=now)
    else:
        notifications.confirmed(session, appointment, made, now, missed=bool(new.standing.consequence))
    if no_shows.needs_a_look(new.standing, actor):
        notifications.notice(session, doctor.id, no_shows.LOOK, now, appointment, mail=True)
    session.flush()
    return Booked(appointment, doctor, made, results, followed.others, request, followed.object)
