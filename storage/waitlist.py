"""The waitlist: who waits for what, and free slots offered to one patient at a time, first come first served.

An offer is a real claim with an expiry. Slots are found by looking at what is free now, not by being told what was
freed: a cancellation, a move, new working hours and withdrawn leave all lead to the same offer. Each entry has a VTODO
in its doctor's `waitlist/`; one for any doctor shows only at the doctor whose time is being offered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import cast
from uuid import UUID, uuid4

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from ical import lines, timezones
from ical import waitlist as wishes
from ical.errors import HoldExpired, IllegalTransition, InvalidInput, NotFound, NotSelfBookable, OfferExpired, Refusal
from ical.lines import Component
from storage import booking, claims, collections, drafts, links, objects, outbox, slots
from storage.accounts import doctors as all_doctors
from storage.db import has_row_locks
from storage.models import (
    Account,
    Appointment,
    AppointmentType,
    CalendarObject,
    Claim,
    Collection,
    Offer,
    Patient,
    WaitlistEntry,
)
from storage.policy import SYSTEM, VISITOR, Actor
from storage.settings import Settings
from storage.writes import Write

STATUSES = ("waiting", "offered", "converted", "expired", "withdrawn")
_LONGEST_WAIT = timedelta(days=366)
# How far ahead slots are looked for: what is free later still comes nearer.
_HORIZON = timedelta(days=92)
# Less time than this to answer is no offer (unless the practice wants them shorter still).
_SHORTEST_OFFER = timedelta(minutes=5)
_MOST_ENTRIES = 200


@dataclass(frozen=True)
class Match:
    """A free slot that would suit an entry."""

    entry_id: UUID
    doctor_id: int
    start: datetime


def join(
    session: Session,
    *,
    patient: Patient,
    doctor: Account | None,
    kind: AppointmentType,
    date_from: date,
    date_to: date,
    time_from: time,
    time_to: time,
    weekdays: Sequence[str] = (),
    reason: str = "",
    actor: Actor,
    now: datetime,
) -> WaitlistEntry:
    """Put a patient on the list; `doctor` None: any. Times are wall times of the doctor. Raises InvalidInput."""
    zone = timezones.zone(_settings(session).timezone if doctor is None else doctor.timezone)
    today = now.astimezone(zone).date()
    if doctor is not None and (doctor.role != "doctor" or doctor.disabled):
        raise InvalidInput("Nobody can be booked there.", field="doctor")
    if date_to < max(date_from, today):
        raise InvalidInput("The last day lies before the first, or has passed.", field="date_to")
    if date_to - today > _LONGEST_WAIT:
        raise InvalidInput("The waitlist reaches a year ahead.", field="date_to")
    # Midnight is the end of the day.
    if time_to <= time_from and time_to != time():
        raise InvalidInput("The time window ends before it begins.", field="time_to")
    if any(day not in wishes.WEEKDAYS for day in weekdays):
        raise InvalidInput("Weekdays are mon, tue, wed, thu, fri, sat and sun.", field="weekdays")
    if len(reason) > 1000:
        raise InvalidInput("The reason has at most 1,000 characters.", field="reason")
    if not kind.active:
        raise InvalidInput("This kind of appointment is not offered.", field="type")
    if not kind.self_booking and not actor.is_staff:
        raise NotSelfBookable()
    entry = WaitlistEntry(
        id=uuid4(),
        patient_id=patient.id,
        doctor_id=None if doctor is None else doctor.id,
        date_from=date_from,
        date_to=date_to,
        time_from=time_from,
        time_to=time_to,
        weekdays=",".join(day for day in wishes.WEEKDAYS if day in weekdays),
        type_code=kind.code,
        reason=reason,
        status="waiting",
        added_at=now,
    )
    session.add(entry)
    session.flush()
    outbox.add(
        session,
        template="waitlist_joined",
        channel="email",
        dedupe_key=f"waitlist_joined:{entry.id}",
        patient_id=patient.id,
        payload={"entry": str(entry.id)},
        due_at=now,
        expires_at=now + timedelta(days=1),
    )
    _show(session, entry, None, actor, now)
    return entry


def find(session: Session, entry_id: UUID) -> WaitlistEntry | None:
    return session.get(WaitlistEntry, entry_id)


def list_entries(
    session: Session,
    *,
    doctor: Account | None = None,
    patient: Patient | None = None,
    statuses: Sequence[str] = (),
    limit: int = 500,
) -> list[WaitlistEntry]:
    """First come first. A doctor's include those for any doctor."""
    chosen = select(WaitlistEntry).order_by(WaitlistEntry.added_at, WaitlistEntry.id).limit(limit)
    if doctor is not None:
        chosen = chosen.where(or_(WaitlistEntry.doctor_id == doctor.id, WaitlistEntry.doctor_id.is_(None)))
    if patient is not None:
        chosen = chosen.where(WaitlistEntry.patient_id == patient.id)
    if statuses:
        chosen = chosen.where(WaitlistEntry.status.in_(statuses))
    return list(session.scalars(chosen))


def open_offers(session: Session, entry_ids: Sequence[UUID]) -> dict[UUID, Offer]:
    """The offer that each of these entries may still answer."""
    chosen = select(Offer).where(Offer.entry_id.in_(entry_ids), Offer.state == "open")
    return {offer.entry_id: offer for offer in session.scalars(chosen)}


def offer_token(settings: Settings, offer_id: UUID) -> str:
    return links.token(settings, "offer", offer_id)


def by_token(session: Session, token: str) -> Offer | None:
    """The offer of a link; None for a token that is not ours."""
    offer_id = links.subject(_settings(session), "offer", token)
    return None if offer_id is None else session.get(Offer, offer_id)


def withdraw(session: Session, entry: WaitlistEntry, *, actor: Actor, now: datetime) -> None:
    """Take a patient off the list; an offer they have is free again. Raises IllegalTransition when it is over."""
    _lock(session, entry)
    if entry.status == "withdrawn":
        return
    if entry.status not in ("waiting", "offered"):
        raise IllegalTransition("This waitlist entry has ended already.")
    offer = _open_offer(session, entry)
    if offer is not None:
        _close(session, offer, "declined")
    entry.status = "withdrawn"
    session.flush()
    _show(session, entry, offer, actor, now)


def withdraw_object(session: Session, obj: CalendarObject, *, actor: Actor, now: datetime, gone: bool = False) -> None:
    """A calendar app ticked off, cancelled or (`gone`) deleted the VTODO: the practice handles it by hand."""
    entry = _entry_of(session, obj)
    if entry is not None and entry.status in ("waiting", "offered"):
        withdraw(session, entry, actor=actor, now=now)
    if gone and not obj.deleted:
        objects.delete_object(session, obj, Write(actor, now, "calendar app"))


# Offering


def matches(session: Session, now: datetime) -> list[Match]:
    """For each waiting entry, in order, the first free slot that suits it and that it was not offered before."""
    waiting = list_entries(session, statuses=["waiting"], limit=_MOST_ENTRIES)
    if not waiting:
        return []
    doctors = {doctor.id: doctor for doctor in all_doctors(session)}
    before = set(
        session.execute(
            select(Offer.entry_id, Offer.doctor_id, Offer.start).where(
                Offer.entry_id.in_([entry.id for entry in waiting])
            )
        )
    )
    free = {code: _free(session, code, waiting, doctors, now) for code in {entry.type_code for entry in waiting}}
    left = {(slot.doctor.id, slot.start): slot.spots for found in free.values() for slot in found}
    result = []
    for entry in waiting:
        for slot in free[entry.type_code]:
            key = (slot.doctor.id, slot.start)
            if left[key] > 0 and (entry.id, *key) not in before and _suits(entry, slot):
                left[key] -= 1
                result.append(Match(entry.id, *key))
                break
    return result


def offer(session: Session, match: Match, now: datetime) -> Offer | None:
    """Keep the slot for the entry and tell the patient. None when either is no longer to be had."""
    entry = session.get(WaitlistEntry, match.entry_id)
    if entry is None:
        return None
    _lock(session, entry)
    if entry.status != "waiting":
        return None
    settings = _settings(session)
    doctor = session.get_one(Account, match.doctor_id)
    kind = session.get_one(AppointmentType, entry.type_code)
    longest = timedelta(minutes=settings.offer_minutes)
    expires_at = min(now + longest, match.start - timedelta(minutes=kind.notice_minutes))
    if expires_at - now < min(longest, _SHORTEST_OFFER):
        return None
    actor = VISITOR if kind.self_booking else SYSTEM
    try:
        kept = booking.hold(session, doctor, match.start, kind, actor=actor, now=now)
    except Refusal:
        return None
    made = Offer(
        id=kept.id,
        entry_id=entry.id,
        doctor_id=doctor.id,
        type_code=kind.code,
        start=kept.start,
        end=kept.end,
        state="open",
        created_at=now,
        expires_at=expires_at,
    )
    session.execute(
        update(Claim)
        .where(Claim.ticket == kept.id)
        .values(kind="offer", expires_at=expires_at)
        .execution_options(synchronize_session=False)
    )
    session.delete(kept)
    session.add(made)
    entry.status, entry.notified_at = "offered", now
    session.flush()
    _tell(session, entry, made, now)
    _show(session, entry, made, SYSTEM, now)
    return made


def accept(session: Session, offer: Offer, *, actor: Actor, now: datetime) -> Appointment:
    """Turn an offer into an appointment; again, into the same one. Raises OfferExpired, or the rule that says no."""
    entry, offer = _behind(session, offer)
    if offer.state == "accepted" and entry.converted_to is not None:
        return session.get_one(Appointment, entry.converted_to)
    if offer.state != "open" or offer.expires_at <= now:
        raise OfferExpired()
    kind = session.get_one(AppointmentType, offer.type_code)
    new = drafts.NewAppointment(
        start=offer.start, kind=kind, patient=session.get_one(Patient, entry.patient_id), reason=entry.reason
    )
    # The practice put the patient on the list for a kind that patients do not book themselves.
    by = actor if kind.self_booking or actor.is_staff else Actor("system", via=actor.via, label=actor.label)
    doctor = session.get_one(Account, offer.doctor_id)
    try:
        booked = booking.book(session, [doctor], new, actor=by, now=now, ticket=offer.id)
    except HoldExpired as error:
        # Somebody whose clock is a little ahead has swept the claim away.
        raise OfferExpired() from error
    offer.state = "accepted"
    entry.status, entry.converted_to = "converted", booked.appointment.id
    session.flush()
    _show(session, entry, offer, actor, now)
    return booked.appointment


def decline(session: Session, offer: Offer, *, actor: Actor, now: datetime) -> None:
    """Not this time: the slot is free for the next, and the patient still waits for another one."""
    entry, offer = _behind(session, offer)
    if offer.state == "declined":
        return
    if offer.state == "accepted":
        raise IllegalTransition("This offer was accepted already.")
    if offer.state != "open" or offer.expires_at <= now:
        raise OfferExpired()
    _close(session, offer, "declined")
    entry.status = "waiting"
    session.flush()
    _show(session, entry, offer, actor, now)


def over(session: Session, now: datetime, limit: int = 100) -> list[UUID]:
    """Entries whose offer has not been answered in time, or whose last day is past."""
    unanswered = select(Offer.entry_id).where(Offer.state == "open", Offer.expires_at <= now)
    # A day's margin: whose zone it is in matters less than that it goes.
    past = now.date() - timedelta(days=1)
    chosen = select(WaitlistEntry.id).where(
        or_(
            WaitlistEntry.id.in_(unanswered),
            (WaitlistEntry.status == "waiting") & (WaitlistEntry.date_to < past),
        )
    )
    return list(session.scalars(chosen.order_by(WaitlistEntry.added_at).limit(limit)))


def expire(session: Session, entry_id: UUID, now: datetime) -> None:
    """End an offer that was not answered: the patient waits on, for other slots, until their last day is past."""
    entry = session.get_one(WaitlistEntry, entry_id)
    _lock(session, entry)
    offer = _open_offer(session, entry)
    if offer is not None:
        if offer.expires_at > now:
            return
        _close(session, offer, "expired")
        if entry.status == "offered":
            entry.status = "waiting"
    if entry.status == "waiting" and entry.date_to < now.date() - timedelta(days=1):
        entry.status = "expired"
    session.flush()
    _show(session, entry, offer, SYSTEM, now)


# Steps


def _free(
    session: Session, code: str, waiting: Sequence[WaitlistEntry], doctors: dict[int, Account], now: datetime
) -> list[slots.DoctorSlot]:
    entries = [entry for entry in waiting if entry.type_code == code]
    kind = session.get_one(AppointmentType, code)
    wanted = {entry.doctor_id for entry in entries}
    chosen = [doctor for doctor in doctors.values() if None in wanted or doctor.id in wanted]
    if not kind.active or not chosen:
        return []
    day = timedelta(days=1)
    first = max(now, _midnight(min(entry.date_from for entry in entries), now) - day)
    last = min(now + _HORIZON, _midnight(max(entry.date_to for entry in entries), now) + 2 * day)
    return slots.free_slots(session, chosen, first, last, kind, now) if first < last else []


def _midnight(day: date, like: datetime) -> datetime:
    return datetime.combine(day, time(), like.tzinfo)


def _suits(entry: WaitlistEntry, slot: slots.DoctorSlot) -> bool:
    zone = timezones.zone(slot.doctor.timezone)
    return wishes.matches(_wish(entry), slot.start, slot.end, slot.doctor.id, entry.type_code, zone)


def _lock(session: Session, entry: WaitlistEntry) -> None:
    """Whoever writes an entry or its offers holds the entry first, and any doctor's time only after it."""
    session.refresh(entry, with_for_update=True)


def lock_before_doctor(session: Session, collection: Collection, href: str) -> None:
    """A calendar app writes the VTODO at `href`: its entry is locked before the doctor, as by whoever answers an offer,
    so that the two never wait for each other."""
    obj = objects.find(session, collection, href) if has_row_locks(session) else None
    entry = None if obj is None else _entry_of(session, obj)
    if entry is not None:
        _lock(session, entry)


def _behind(session: Session, offer: Offer) -> tuple[WaitlistEntry, Offer]:
    """The entry of an offer, locked, and the offer as it is behind that lock."""
    entry = session.get(WaitlistEntry, offer.entry_id)
    if entry is None:
        raise NotFound()
    _lock(session, entry)
    session.refresh(offer)
    return entry, offer


def _open_offer(session: Session, entry: WaitlistEntry) -> Offer | None:
    return session.scalar(
        select(Offer).where(Offer.entry_id == entry.id, Offer.state == "open").execution_options(populate_existing=True)
    )


def _close(session: Session, offer: Offer, state: str) -> None:
    offer.state = state
    claims.release(session, ticket=offer.id)


def _tell(session: Session, entry: WaitlistEntry, made: Offer, now: datetime) -> None:
    patient = session.get_one(Patient, entry.patient_id)
    for channel, address in (("email", patient.email), ("sms", patient.phone)):
        if address:
            outbox.add(
                session,
                template="waitlist_offer",
                channel=channel,
                dedupe_key=f"waitlist_offer:{made.id}:{channel}",
                patient_id=patient.id,
                payload={"offer": str(made.id)},
                due_at=now,
                expires_at=made.expires_at,
                priority=2,
            )


# The VTODO


def _show(session: Session, entry: WaitlistEntry, offer: Offer | None, actor: Actor, now: datetime) -> None:
    """Keep the doctor's task list in step with the entry."""
    doctor_id = entry.doctor_id or (offer.doctor_id if offer else None)
    if doctor_id is None:
        return
    doctor = session.get_one(Account, doctor_id)
    collection = collections.built_in(session, doctor, "waitlist")
    uid = f"wait-{entry.id}@{_settings(session).uid_domain}"
    obj = objects.find_uid(session, collection, uid)
    write = Write(actor, now, f"waitlist {entry.status}")
    if entry.doctor_id is None and entry.status == "waiting":
        if obj is not None and not obj.deleted:
            objects.delete_object(session, obj, write)
        return
    calendar = _vtodo(session, entry, doctor, uid, now) if obj is None else lines.parse(obj.stored_text)
    converted = session.get(Appointment, entry.converted_to) if entry.converted_to else None
    if obj is not None or entry.status != "waiting":
        wishes.set_state(
            calendar,
            cast(wishes.State, entry.status),
            now,
            offer_expires=offer.expires_at if offer else None,
            converted_to=session.get_one(CalendarObject, converted.object_id).uid if converted else "",
        )
    objects.put_object(session, collection, f"{uid}.ics", calendar, write)


def _vtodo(session: Session, entry: WaitlistEntry, doctor: Account, uid: str, now: datetime) -> Component:
    patient = session.get_one(Patient, entry.patient_id)
    return wishes.vtodo(
        _wish(entry),
        uid=uid,
        patient_id=patient.id,
        patient_name=patient.name,
        type_name=session.get_one(AppointmentType, entry.type_code).name,
        reason=entry.reason,
        zone=timezones.zone(doctor.timezone),
        now=now,
    )


def _wish(entry: WaitlistEntry) -> wishes.Wish:
    return wishes.Wish(
        id=entry.id,
        doctor_id=entry.doctor_id,
        date_from=entry.date_from,
        date_to=entry.date_to,
        time_from=entry.time_from,
        time_to=entry.time_to,
        weekdays=tuple(entry.weekdays.split(",")) if entry.weekdays else (),
        type_code=entry.type_code,
        added_at=entry.added_at,
    )


def _entry_of(session: Session, obj: CalendarObject) -> WaitlistEntry | None:
    try:
        return session.get(WaitlistEntry, UUID(obj.uid.removeprefix("wait-").partition("@")[0]))
    except ValueError:
        return None


def _settings(session: Session) -> Settings:
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    return settings
