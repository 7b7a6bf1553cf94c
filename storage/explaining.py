"""Why a time is not free: each rule that says no, and for staff what stands in the way, by name where they may know it.

Patients hear the rules' sentences alone. Of staff each sees what their calendars and lists would show them: a doctor
the own patients' names, the desk everybody's, an administrator none.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from ical import lines, recurrence
from ical.errors import Cause, Refusal
from storage import slots
from storage.models import (
    Account,
    Appointment,
    AppointmentType,
    CalendarObject,
    Claim,
    Collection,
    Holiday,
    HolidayCalendar,
    Patient,
)
from storage.policy import Actor, PatientOf, can


@dataclass(frozen=True)
class Obstacle:
    """What stands in the way. `kind`: appointment, hold, offer, request, event, leave, holiday, resource, maximum or
    type. Without `id` and `title` it is not for whoever asks."""

    kind: str
    id: str | None = None
    title: str | None = None


@dataclass(frozen=True)
class Because:
    code: str
    text: str
    obstacle: Obstacle | None = None


def explain(
    session: Session, doctor: Account, start: datetime, kind: AppointmentType, actor: Actor, now: datetime
) -> list[Because]:
    """Every reason why this time cannot be booked, for staff one for each thing in the way; nothing when it can. In a
    constant number of statements."""
    refusals = slots.explain(session, doctor, start, kind, now, by_staff=actor.is_staff)
    known = _named(session, refusals, kind, actor) if actor.is_staff else {}
    return [
        Because(refusal.code, refusal.sentence, obstacle) for refusal in refusals for obstacle in _shown(refusal, known)
    ]


# Steps

_Named = Mapping[Cause, Obstacle]


def _shown(refusal: Refusal, known: _Named) -> Sequence[Obstacle | None]:
    return [known[cause] for cause in refusal.causes if cause in known] or [None]


def _named(session: Session, refusals: Iterable[Refusal], kind: AppointmentType, actor: Actor) -> _Named:
    causes: dict[str, list[Cause]] = {}
    for refusal in refusals:
        for cause in refusal.causes:
            causes.setdefault(cause.kind, []).append(cause)
    named: dict[Cause, Obstacle] = {}
    for what, some in causes.items():
        named |= _READERS[what](session, some, kind, actor)
    return named


def _claims(session: Session, causes: list[Cause], _kind: AppointmentType, actor: Actor) -> _Named:
    found = session.execute(
        select(Claim.id, Claim.kind, Appointment, Patient.name)
        .outerjoin(Appointment, Appointment.id == Claim.appointment_id)
        .outerjoin(Patient, Patient.id == Appointment.patient_id)
        .where(Claim.id.in_([cause.id for cause in causes]))
    )
    named = {}
    for claim_id, what, appointment, name in found:
        shown = Obstacle(what)
        if appointment is not None and can(actor, "appointment.read", appointment):
            treated = PatientOf(appointment.patient_id, frozenset({appointment.doctor_id}))
            shown = Obstacle(what, str(appointment.id), name if can(actor, "patient.read", treated) else None)
        named[Cause("claim", claim_id)] = shown
    return named


def _events(session: Session, causes: list[Cause], _kind: AppointmentType, actor: Actor) -> _Named:
    found = session.execute(
        select(CalendarObject, Collection)
        .join(Collection, Collection.id == CalendarObject.collection_id)
        .where(CalendarObject.id.in_([cause.id for cause in causes]))
    )
    by_id = {obj.id: (obj, collection) for obj, collection in found}
    named = {}
    for cause in causes:
        assert isinstance(cause.id, int)
        obj, collection = by_id[cause.id]
        named[cause] = Obstacle(cause.kind)
        if can(actor, "calendar.read", collection):
            named[cause] = Obstacle(cause.kind, obj.uid, _title(obj, actor, collection))
    return named


def _title(obj: CalendarObject, actor: Actor, collection: Collection) -> str | None:
    """Its summary; of what is marked as private for its owner alone (RFC 5545 §3.8.1.3)."""
    calendar = lines.parse(obj.stored_text)
    event = recurrence.master(calendar) or calendar.components("VEVENT")[0]
    public = (event.value("CLASS") or "PUBLIC").upper() == "PUBLIC"
    return event.plain("SUMMARY") if public or collection.owner_id == actor.account_id else None


def _holidays(session: Session, causes: list[Cause], _kind: AppointmentType, _actor: Actor) -> _Named:
    found = session.execute(
        select(Holiday.id, Holiday.title, HolidayCalendar.id, HolidayCalendar.name)
        .join(HolidayCalendar, HolidayCalendar.id == Holiday.calendar_id)
        .where(Holiday.id.in_([cause.id for cause in causes]))
    )
    return {
        Cause("holiday", number): Obstacle("holiday", str(calendar), f"{title} ({name})" if title else name)
        for number, title, calendar, name in found
    }


def _resources(session: Session, causes: list[Cause], _kind: AppointmentType, _actor: Actor) -> _Named:
    names = [cause.id for cause in causes]
    found = session.execute(select(Account.username, Account.name).where(Account.username.in_(names)))
    return {Cause("resource", username): Obstacle("resource", username, name) for username, name in found}


def _types(_session: Session, causes: list[Cause], kind: AppointmentType, _actor: Actor) -> _Named:
    return {cause: Obstacle("type", kind.code, kind.name) for cause in causes}


def _maxima(_session: Session, causes: list[Cause], _kind: AppointmentType, _actor: Actor) -> _Named:
    return {cause: Obstacle("maximum", str(cause.id), str(cause.id)) for cause in causes}


_READERS: dict[str, Callable[[Session, list[Cause], AppointmentType, Actor], _Named]] = {
    "claim": _claims,
    "event": _events,
    "leave": _events,
    "holiday": _holidays,
    "resource": _resources,
    "type": _types,
    "maximum": _maxima,
}
