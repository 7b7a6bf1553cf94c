"""Free slots offered to who waits: to one at a time, as real claims with an expiry.

An offer is accepted, declined or runs out; then the slot is the next one's. Whoever writes an entry or its offers locks
the entry first and the doctor's time after it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from ical import offers as offering
from ical import status, timezones
from ical import waitlist as wishes
from ical.errors import HoldExpired, IllegalTransition, InvalidInput, NotFound, OfferExpired, Refusal, TooLate
from storage import (
    booking,
    claims,
    drafts,
    house_rules,
    links,
    matches,
    no_shows,
    outbox,
    waitlist,
    waitlist_todos,
    wanted,
)
from storage.matches import Match
from storage.models import Account, Appointment, AppointmentType, Claim, Hold, Offer, Patient, Visit, WaitlistEntry
from storage.policy import SYSTEM, VISITOR, Actor
from storage.settings import Settings

# What a patient does not want offered again: nothing but this time, this doctor's day, or this doctor.
Unwanted = Literal["", "day", "doctor"]
_DAY = timedelta(days=1)
# Whoever answers by the link that they were sent
_PATIENT = Actor("link")


def offer_token(settings: Settings, offer_id: UUID) -> str:
    return links.token(settings, "offer", offer_id)


def by_token(session: Session, token: str) -> Offer | None:
    """The offer of a link; None for a token that is not ours."""
    offer_id = links.subject(_settings(session), "offer", token)
    return None if offer_id is None else session.get(Offer, offer_id)


def of_entry(session: Session, entry: WaitlistEntry) -> Sequence[Offer]:
    """What an entry has been offered, the latest first."""
    return session.scalars(select(Offer).where(Offer.entry_id == entry.id).order_by(Offer.created_at.desc())).all()


# Making one


def offer(session: Session, match: Match, now: datetime) -> Offer | None:
    """Keep the slot for the entry and tell the patient. None when either is no longer to be had."""
    entry = session.get(WaitlistEntry, match.entry_id)
    if entry is None:
        return None
    waitlist.lock(session, entry)
    if entry.status != "waiting":
        return None
    if house_rules.current(session).waitlist_booked == "close":
        for _entry_id, appointment_id in _booked_since(session, now, entry):
            waitlist.convert(session, entry, session.get_one(Appointment, appointment_id), None, actor=SYSTEM, now=now)
            return None
    kind = session.get_one(AppointmentType, entry.type_code)
    doctor = session.get_one(Account, match.doctor_id)
    patient = session.get_one(Patient, entry.patient_id)
    try:
        # Who may not book online just now could not accept it.
        no_shows.for_booking(session, patient, _PATIENT if kind.self_booking else SYSTEM, now)
        return _make(session, entry, doctor, match.start, VISITOR if kind.self_booking else SYSTEM, now)
    except Refusal:
        return None


def offer_by_hand(
    session: Session, entry: WaitlistEntry, doctor: Account, start: datetime, *, actor: Actor, now: datetime
) -> Offer:
    """Staff offer this time. Raises IllegalTransition, TooLate, or the rule that says no."""
    waitlist.lock(session, entry)
    if entry.status == "offered":
        raise IllegalTransition("Another time is being offered to this patient: they answer it first, or it runs out.")
    if entry.status != "waiting":
        raise IllegalTransition("This waitlist entry has ended already.")
    return _make(session, entry, doctor, start, actor, now, made_by=actor.label)


def book(
    session: Session, entry: WaitlistEntry, doctor: Account, start: datetime, *, actor: Actor, now: datetime
) -> booking.Booked:
    """Staff book for who waits, as agreed on the telephone. An offer of another time is void. Raises as booking does."""
    waitlist.lock(session, entry)
    if entry.status not in wanted.OPEN:
        raise IllegalTransition("This waitlist entry has ended already.")
    made = waitlist.open_offer(session, entry)
    same = made is not None and (made.doctor_id, made.start) == (doctor.id, start)
    if made is not None:
        claims.lock_ticket(session, made.id, (made.doctor_id, entry.doctor_id, doctor.id))
    if made is not None and not same:
        waitlist.close(session, entry, made, "declined", now)
    new = _appointment(session, entry, start, session.get_one(AppointmentType, entry.type_code))
    ticket = made.id if made is not None and same and made.expires_at > now else None
    _lock_both(session, entry, doctor)
    booked = booking.book(session, [doctor], new, actor=actor, now=now, ticket=ticket)
    if made is not None and same:
        made.state, made.closed_at = "accepted", now
    waitlist.convert(session, entry, booked.appointment, made, actor=actor, now=now)
    return booked


# Answering one


def accept(session: Session, offer: Offer, *, actor: Actor, now: datetime) -> Appointment:
    """Turn an offer into an appointment; again, into the same one. Raises OfferExpired, or the rule that says no."""
    entry, offer = _behind(session, offer)
    if offer.state == "accepted" and entry.converted_to is not None:
        return session.get_one(Appointment, entry.converted_to)
    if offer.state != "open" or offer.expires_at <= now:
        raise OfferExpired()
    kind = session.get_one(AppointmentType, offer.type_code)
    # The practice put the patient on the list for a kind that patients do not book themselves, or chose the time.
    themselves = kind.self_booking and not offer.made_by
    by = actor if themselves or actor.is_staff else Actor("system", via=actor.via, label=actor.label)
    doctor = session.get_one(Account, offer.doctor_id)
    new = _appointment(session, entry, offer.start, kind)
    _lock_both(session, entry, doctor)
    try:
        booked = booking.book(session, [doctor], new, actor=by, now=now, ticket=offer.id)
    except HoldExpired as error:
        # Somebody whose clock is a little ahead has swept the claim away.
        raise OfferExpired() from error
    offer.state, offer.closed_at = "accepted", now
    waitlist.convert(session, entry, booked.appointment, offer, actor=actor, now=now)
    return booked.appointment


def decline(
    session: Session,
    offer: Offer,
    *,
    actor: Actor,
    now: datetime,
    unwanted: Unwanted = "",
    leave: bool = False,
) -> None:
    """Not this time: the slot is free for the next, and the patient still waits for another one, unless they `leave`.

    Raises OfferExpired, IllegalTransition."""
    entry, offer = _behind(session, offer)
    if unwanted not in ("", "day", "doctor"):
        raise InvalidInput("Say day or doctor, or nothing.", field="unwanted")
    if offer.state == "accepted":
        raise IllegalTransition("This offer was accepted already.")
    if offer.state != "declined":
        if offer.state != "open" or offer.expires_at <= now:
            raise OfferExpired()
        offer.unwanted = unwanted
        waitlist.close(session, entry, offer, "declined", now)
        entry.status = "waiting"
        session.flush()
        waitlist_todos.show(session, entry, offer, actor, now)
    if leave and entry.status in wanted.OPEN:
        waitlist.withdraw(session, entry, actor=actor, now=now)


# Ending one


def over(session: Session, now: datetime, limit: int = 100) -> list[UUID]:
    """Entries whose offer has not been answered in time, or whose last day is past."""
    unanswered = select(Offer.entry_id).where(Offer.state == "open", Offer.expires_at <= now)
    # A day's margin: whose zone it is in matters less than that it goes.
    past = (WaitlistEntry.status == "waiting") & (WaitlistEntry.date_to < now.date() - _DAY)
    chosen = select(WaitlistEntry.id).where(or_(WaitlistEntry.id.in_(unanswered), past))
    return list(session.scalars(chosen.order_by(WaitlistEntry.added_at).limit(limit)))


def expire(session: Session, entry_id: UUID, now: datetime) -> None:
    """End an offer that was not answered: the patient waits on, for other slots, until their last day is past."""
    entry = session.get_one(WaitlistEntry, entry_id)
    waitlist.lock(session, entry)
    offer = waitlist.open_offer(session, entry)
    if offer is not None:
        if offer.expires_at > now:
            return
        waitlist.close(session, entry, offer, "expired", now)
        if entry.status == "offered":
            entry.status = "waiting"
    if entry.status == "waiting" and entry.date_to < now.date() - _DAY:
        entry.status, entry.ended_at = "expired", now
    session.flush()
    waitlist_todos.show(session, entry, offer, SYSTEM, now)


def holds_over(session: Session, now: datetime) -> list[int]:
    """The resources on which somebody's hold has run out. Nobody is told of that but by looking."""
    ended = select(Claim.resource_id).where(Claim.kind == "hold", Claim.expires_at <= now)
    return list(session.scalars(ended.distinct().limit(100)))


def sweep(session: Session, resource_ids: Sequence[int], now: datetime) -> None:
    """Free what was held there for too long."""
    claims.lock(session, resource_ids)
    claims.sweep(session, resource_ids, now)


def booked_meanwhile(session: Session, now: datetime) -> list[tuple[UUID, UUID]]:
    """Entries whose patients have booked such a time themselves since, with the appointment. None where the house rules
    keep them on the list."""
    if house_rules.current(session).waitlist_booked == "keep":
        return []
    return list({entry_id: (entry_id, booked) for entry_id, booked in _booked_since(session, now)}.values())


def close_booked(session: Session, entry_id: UUID, appointment_id: UUID, now: datetime) -> None:
    """The patient has got what they waited for without us."""
    entry = session.get_one(WaitlistEntry, entry_id)
    waitlist.lock(session, entry)
    if entry.status not in wanted.OPEN:
        return
    made = waitlist.open_offer(session, entry)
    if made is not None:
        waitlist.close(session, entry, made, "declined", now)
    waitlist.convert(session, entry, session.get_one(Appointment, appointment_id), made, actor=SYSTEM, now=now)


# Steps


def _make(
    session: Session,
    entry: WaitlistEntry,
    doctor: Account,
    start: datetime,
    actor: Actor,
    now: datetime,
    *,
    made_by: str = "",
) -> Offer:
    kind = session.get_one(AppointmentType, entry.type_code)
    terms = matches.terms(house_rules.current(session), _settings(session), kind)
    zone = timezones.zone(doctor.timezone)
    timing = offering.timing(start, timedelta(minutes=kind.notice_minutes), terms, zone, now)
    if timing is None:
        raise TooLate("Too little time is left to answer. Book it on the telephone.")
    _lock_both(session, entry, doctor)
    kept = booking.hold(session, doctor, start, kind, actor=actor, now=now)
    made = Offer(
        id=kept.id,
        entry_id=entry.id,
        doctor_id=doctor.id,
        type_code=kind.code,
        start=kept.start,
        end=kept.end,
        state="open",
        made_by=made_by,
        created_at=now,
        expires_at=timing.expires_at,
    )
    session.execute(
        update(Claim)
        .where(Claim.ticket == kept.id)
        .values(kind="offer", expires_at=timing.expires_at)
        .execution_options(synchronize_session=False)
    )
    session.delete(session.get_one(Hold, kept.id))
    session.add(made)
    entry.status, entry.notified_at = "offered", now
    session.flush()
    _tell(session, entry, made, timing.tell_at)
    waitlist_todos.show(session, entry, made, SYSTEM, now)
    return made


def _lock_both(session: Session, entry: WaitlistEntry, doctor: Account) -> None:
    """Where staff offer another doctor's time than is waited for, both task lists are written: lock both at once."""
    if entry.doctor_id not in (None, doctor.id):
        both = (claims.resource_of(session, each) for each in (entry.doctor_id, doctor.id) if each is not None)
        claims.lock(session, [resource for resource in both if resource is not None])


def _appointment(
    session: Session, entry: WaitlistEntry, start: datetime, kind: AppointmentType
) -> drafts.NewAppointment:
    patient = session.get_one(Patient, entry.patient_id)
    return drafts.NewAppointment(
        start=start, kind=kind, patient=patient, reason=entry.reason, entry_uid=waitlist_todos.uid_of(session, entry)
    )


def _behind(session: Session, offer: Offer) -> tuple[WaitlistEntry, Offer]:
    """The entry of an offer, locked, and the offer as it is behind that lock."""
    entry = session.get(WaitlistEntry, offer.entry_id)
    if entry is None:
        raise NotFound()
    waitlist.lock(session, entry)
    session.refresh(offer)
    return entry, offer


def _booked_since(session: Session, now: datetime, entry: WaitlistEntry | None = None) -> list[tuple[UUID, UUID]]:
    """Entries with an appointment to come that their patient was given since, and that is what they wait for."""
    chosen = (
        select(WaitlistEntry, Appointment, Visit, Account)
        .join(
            Appointment,
            (Appointment.patient_id == WaitlistEntry.patient_id) & (Appointment.type_code == WaitlistEntry.type_code),
        )
        .join(Visit, Visit.appointment_id == Appointment.id)
        .join(Account, Account.id == Appointment.doctor_id)
        .where(
            WaitlistEntry.status.in_(wanted.OPEN),
            Appointment.booked_at > WaitlistEntry.added_at,
            Visit.status.in_(status.ACTIVE),
            Visit.start > now,
        )
        .order_by(Visit.start)
    )
    if entry is not None:
        chosen = chosen.where(WaitlistEntry.id == entry.id)
    found = []
    for each, appointment, visit, doctor in session.execute(chosen):
        zone = timezones.zone(doctor.timezone)
        had = wishes.Free(appointment.type_code, doctor.id, visit.start, visit.end, 1, zone)
        if wishes.suits(wanted.wish_of(each), had):
            found.append((each.id, appointment.id))
    return found


def _tell(session: Session, entry: WaitlistEntry, made: Offer, tell_at: datetime) -> None:
    patient = session.get_one(Patient, entry.patient_id)
    known = {"email": patient.email, "sms": patient.phone}
    chosen = [name for name, address in known.items() if address]
    # A chosen channel whose address has gone since: better another one than none.
    for channel in [name for name in chosen if entry.channel in (name, "both")] or chosen:
        outbox.add(
            session,
            template="waitlist_offer",
            channel=channel,
            dedupe_key=f"waitlist_offer:{made.id}:{channel}",
            patient_id=patient.id,
            payload={"offer": str(made.id)},
            due_at=tell_at,
            expires_at=made.expires_at,
            priority=2,
        )


def _settings(session: Session) -> Settings:
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    return settings
