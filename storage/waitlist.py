"""The waitlist: who waits for what. Which free slot suits whom is storage.matches; what is offered, storage.offers.

Each entry has a VTODO in its doctor's `waitlist/`; one for any doctor, or for any of several, shows only at the doctor
whose time is being offered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import cast
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from ical import waitlist as wishes
from ical.errors import AlreadyWaiting, IllegalTransition, VersionConflict
from storage import claims, freed, objects, outbox, wanted
from storage.db import has_row_locks
from storage.models import Account, Appointment, CalendarObject, Collection, Offer, Patient, WaitlistEntry
from storage.policy import Actor
from storage.waitlist_todos import hide, show
from storage.wanted import OPEN, Wanted
from storage.writes import Write

STATUSES = ("waiting", "offered", "converted", "expired", "withdrawn")
_MOST_OF_A_PATIENT = 20


def join(session: Session, patient: Patient, asked: Wanted, *, actor: Actor, now: datetime) -> WaitlistEntry:
    """Put a patient on the list. Raises InvalidInput, NotSelfBookable, AlreadyWaiting."""
    wanted.check(session, asked, patient, actor, now)
    entry = WaitlistEntry(id=uuid4(), patient_id=patient.id, status="waiting", version=1, added_at=now, doctor_set="")
    wanted.fill(entry, asked)
    same = wanted.same(session, entry)
    # Somebody without a login is not told who waits here; whom two entries were made for is offered one thing at a time.
    if len(same) >= _MOST_OF_A_PATIENT or (same and actor.kind != "visitor"):
        raise AlreadyWaiting()
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
    show(session, entry, None, actor, now)
    _ring(session, entry)
    return entry


def edit(
    session: Session, entry: WaitlistEntry, asked: Wanted, *, actor: Actor, now: datetime, version: int | None = None
) -> None:
    """Change what is waited for; the place in the order stays. An offer that stands, stands.

    Raises as `join` does, IllegalTransition when it is over, VersionConflict when it is not `version` any more."""
    lock(session, entry)
    if version is not None and entry.version != version:
        raise VersionConflict()
    if entry.status not in OPEN:
        raise IllegalTransition("This waitlist entry has ended already.")
    wanted.check(session, asked, session.get_one(Patient, entry.patient_id), actor, now, was=entry)
    before = entry.doctor_id
    with session.no_autoflush:
        wanted.fill(entry, asked)
        same = wanted.same(session, entry)
    if same:
        raise AlreadyWaiting()
    entry.version += 1
    session.flush()
    offer = open_offer(session, entry)
    if before is not None and before != entry.doctor_id and (offer is None or offer.doctor_id != before):
        hide(session, entry, before, actor, now)
    show(session, entry, offer, actor, now, renewed=True)
    _ring(session, entry)


def find(session: Session, entry_id: UUID) -> WaitlistEntry | None:
    return session.get(WaitlistEntry, entry_id)


def list_entries(
    session: Session,
    *,
    doctor: Account | None = None,
    patient: Patient | None = None,
    statuses: Sequence[str] = (),
    kind: str = "",
    urgency: str = "",
    limit: int = 500,
) -> list[WaitlistEntry]:
    """The most urgent first, then first come first. A doctor's include those for any doctor."""
    chosen = select(WaitlistEntry).order_by(WaitlistEntry.priority, WaitlistEntry.added_at, WaitlistEntry.id)
    if doctor is not None:
        chosen = chosen.where(for_doctor(doctor.id))
    if patient is not None:
        chosen = chosen.where(WaitlistEntry.patient_id == patient.id)
    if statuses:
        chosen = chosen.where(WaitlistEntry.status.in_(statuses))
    if kind:
        chosen = chosen.where(WaitlistEntry.type_code == kind)
    if urgency:
        chosen = chosen.where(WaitlistEntry.priority == wishes.URGENCIES[cast(wishes.Urgency, urgency)])
    return list(session.scalars(chosen.limit(limit)))


@dataclass(frozen=True)
class People:
    """Whom entries name, by id."""

    patients: dict[UUID, Patient]
    doctors: dict[int, Account]


def people(session: Session, entries: Sequence[WaitlistEntry]) -> People:
    """The patients of these entries, and all doctors."""
    patients = session.scalars(select(Patient).where(Patient.id.in_({entry.patient_id for entry in entries})))
    doctors = session.scalars(select(Account).where(Account.role == "doctor"))
    return People({patient.id: patient for patient in patients}, {doctor.id: doctor for doctor in doctors})


def for_doctor(doctor_id: int) -> ColumnElement[bool]:
    """Entries for which this doctor would do."""
    among = ("," + WaitlistEntry.doctor_set + ",").contains(f",{doctor_id},")
    anybody = and_(WaitlistEntry.doctor_id.is_(None), WaitlistEntry.doctor_set == "")
    return or_(WaitlistEntry.doctor_id == doctor_id, anybody, among)


def open_offers(session: Session, entry_ids: Sequence[UUID]) -> dict[UUID, Offer]:
    """The offer that each of these entries may still answer."""
    chosen = select(Offer).where(Offer.entry_id.in_(entry_ids), Offer.state == "open")
    return {offer.entry_id: offer for offer in session.scalars(chosen)}


def open_offer(session: Session, entry: WaitlistEntry) -> Offer | None:
    return session.scalar(
        select(Offer).where(Offer.entry_id == entry.id, Offer.state == "open").execution_options(populate_existing=True)
    )


def of_appointment(session: Session, appointment_id: UUID) -> WaitlistEntry | None:
    """The entry that an appointment came of."""
    return session.scalars(select(WaitlistEntry).where(WaitlistEntry.converted_to == appointment_id)).first()


def withdraw(session: Session, entry: WaitlistEntry, *, actor: Actor, now: datetime) -> None:
    """Take a patient off the list; an offer they have is free again. Raises IllegalTransition when it is over."""
    lock(session, entry)
    if entry.status == "withdrawn":
        return
    if entry.status not in OPEN:
        raise IllegalTransition("This waitlist entry has ended already.")
    offer = open_offer(session, entry)
    if offer is not None:
        close(session, entry, offer, "declined", now)
    entry.status, entry.ended_at = "withdrawn", now
    session.flush()
    show(session, entry, offer, actor, now)


def withdraw_object(session: Session, obj: CalendarObject, *, actor: Actor, now: datetime, gone: bool = False) -> None:
    """A calendar app ticked off, cancelled or (`gone`) deleted the VTODO: the practice handles it by hand."""
    entry = _entry_of(session, obj)
    if entry is not None and entry.status in OPEN:
        withdraw(session, entry, actor=actor, now=now)
    if gone and not obj.deleted:
        objects.delete_object(session, obj, Write(actor, now, "calendar app"))


def convert(
    session: Session,
    entry: WaitlistEntry,
    appointment: Appointment,
    offer: Offer | None,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """The entry has got what it waited for."""
    entry.status, entry.converted_to, entry.ended_at = "converted", appointment.id, now
    session.flush()
    show(session, entry, offer, actor, now)


def lock(session: Session, entry: WaitlistEntry) -> None:
    """Whoever writes an entry or its offers holds the entry first, and any doctor's time only after it."""
    session.refresh(entry, with_for_update=True)


def lock_before_doctor(session: Session, collection: Collection, href: str) -> None:
    """A calendar app writes the VTODO at `href`: its entry is locked before the doctor, as by whoever answers an offer,
    so that the two never wait for each other."""
    obj = objects.find(session, collection, href) if has_row_locks(session) else None
    entry = None if obj is None else _entry_of(session, obj)
    if entry is not None:
        lock(session, entry)


def close(session: Session, entry: WaitlistEntry, offer: Offer, state: str, now: datetime) -> None:
    """End an offer: its minutes are free for the next. Whoever frees them holds the lock of whose they are."""
    claims.lock_ticket(session, offer.id, (offer.doctor_id, entry.doctor_id))
    offer.state, offer.closed_at = state, now
    claims.release(session, ticket=offer.id)


# Steps


def _ring(session: Session, entry: WaitlistEntry) -> None:
    """What has long been free may suit whoever has just come."""
    first = datetime.combine(entry.date_from, time(), entry.added_at.tzinfo) - timedelta(days=1)
    last = datetime.combine(entry.date_to, time(), entry.added_at.tzinfo) + timedelta(days=2)
    resource = None if entry.doctor_id is None else claims.resource_of(session, entry.doctor_id)
    freed.ring(session, [(resource, first, last)])


def _entry_of(session: Session, obj: CalendarObject) -> WaitlistEntry | None:
    try:
        return session.get(WaitlistEntry, UUID(obj.uid.removeprefix("wait-").partition("@")[0]))
    except ValueError:
        return None
