"""What a patient has missed, what follows from it for the next booking, and that staff let it be.

Who books without having proved who they are is never told: see docs/decisions.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ical import no_shows, timezones
from ical.errors import BookingPaused, InvalidInput
from ical.no_shows import Standing
from storage import accounts, audit, house_rules
from storage.models import Appointment, NoShowWaiver, Patient, Visit
from storage.policy import Actor, PatientOf
from storage.settings import Settings

NOTHING = Standing()
LOOK = "Booked without logging in, in the name of a patient who has missed appointments: see whether it is to stay."


@dataclass(frozen=True)
class Waiver:
    at: datetime
    actor: str
    reason: str


def standing(session: Session, patient_id: UUID, now: datetime) -> Standing:
    """What follows now from what this patient has missed. Asks nothing where nothing follows from it."""
    rule = _rule(session)
    if rule.limit is None:
        return NOTHING
    return no_shows.standing(_missed(session, patient_id, no_shows.since(rule, now)), rule, now)


def count(session: Session, patient_id: UUID, now: datetime) -> int:
    """How many count, whether or not anything follows."""
    return len(_missed(session, patient_id, no_shows.since(_rule(session), now)))


def for_booking(session: Session, patient: Patient, actor: Actor, now: datetime) -> Standing:
    """What follows for this booking; nothing for staff's. Raises BookingPaused for a patient who is known to be the one
    who books."""
    if actor.is_staff:
        return NOTHING
    found = standing(session, patient.id, now)
    if found.consequence == "pause" and is_known(actor):
        raise BookingPaused(said(session, found))
    return found


def is_known(actor: Actor) -> bool:
    """Whether it is proved who acts: by a login, or by a link that was sent to them."""
    return actor.kind == "link" or (actor.kind == "account" and actor.role == "patient")


def needs_approval(found: Standing, actor: Actor) -> bool:
    return found.consequence == "confirm" and is_known(actor)


def needs_a_look(found: Standing, actor: Actor) -> bool:
    """Whether staff should look at what was booked: a visitor sees no difference, so that nobody learns from it what
    somebody else has missed."""
    return found.consequence in ("confirm", "pause") and not is_known(actor) and not actor.is_staff


def said(session: Session, found: Standing) -> str:
    """What the patient is told of it; "" where nothing follows."""
    rules = house_rules.current(session)
    missed = f"You have missed {found.missed} appointment{'' if found.missed == 1 else 's'}"
    match found.consequence:
        case "":
            return ""
        case "warn":
            text = f"{missed} in the last {_months(rules.no_show_months)}. Please cancel what you cannot keep."
        case "confirm":
            text = f"{missed}, so the practice looks at each of your bookings and confirms it."
        case "prepay":
            text = f"{missed}, so a prepayment may be asked for."
        case "pause":
            call = f" {rules.no_show_call}" if rules.no_show_call else ""
            text = f"{missed}: you cannot book online until {_day(session, found)}. Please call us{call}."
    return f"{text} {rules.no_show_note}".strip()


def waive(session: Session, patient: Patient, reason: str, *, actor: Actor, now: datetime) -> None:
    """What the patient has missed until now counts no more. Raises InvalidInput without a reason."""
    reason = " ".join(reason.split())
    if not reason:
        raise InvalidInput("Say why.", field="reason")
    session.add(NoShowWaiver(patient_id=patient.id, at=now, actor=actor.label[:100], reason=reason[:500]))
    session.flush()
    audit.record(session, actor, "no_show.waived", f"patient:{patient.id}", {}, now)


def last_waiver(session: Session, patient_id: UUID) -> Waiver | None:
    found = session.scalar(
        select(NoShowWaiver).where(NoShowWaiver.patient_id == patient_id).order_by(NoShowWaiver.at.desc()).limit(1)
    )
    return None if found is None else Waiver(found.at, found.actor, found.reason)


def of_patient(session: Session, patient_id: UUID) -> tuple[Patient, PatientOf] | None:
    """The patient, and what the policy asks about."""
    found = session.get(Patient, patient_id)
    return None if found is None else (found, PatientOf(found.id, accounts.doctors_of(session, found.id)))


def _missed(session: Session, patient_id: UUID, since: datetime) -> list[datetime]:
    waived = select(func.max(NoShowWaiver.at)).where(NoShowWaiver.patient_id == patient_id).scalar_subquery()
    asked = (
        select(Visit.start)
        .join(Appointment, Appointment.id == Visit.appointment_id)
        .where(
            Appointment.patient_id == patient_id,
            Visit.status == "no_show",
            Visit.start >= since,
            func.coalesce(Visit.start > waived, True),
        )
    )
    return list(session.scalars(asked))


def _rule(session: Session) -> no_shows.Rule:
    rules = house_rules.current(session)
    return no_shows.Rule(rules.no_show_limit, rules.no_show_months, rules.no_show_consequence, rules.no_show_pause_days)


def _months(count: int) -> str:
    return "month" if count == 1 else f"{count} months"


def _day(session: Session, found: Standing) -> str:
    settings = session.info["settings"]
    assert isinstance(settings, Settings) and found.until is not None
    until = found.until.astimezone(timezones.zone(settings.timezone))
    return f"{until:%A}, {until.day} {until:%B %Y}"
