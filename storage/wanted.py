"""What a waitlist entry waits for: as it is asked for, checked, written down and read again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ical import timezones
from ical import waitlist as wishes
from ical.errors import InvalidInput, NotSelfBookable
from storage.models import Account, AppointmentType, Patient, WaitlistEntry
from storage.policy import Actor
from storage.settings import Settings

OPEN = ("waiting", "offered")
CHANNELS = ("email", "sms", "both")
URGENCY_OF = {priority: urgency for urgency, priority in wishes.URGENCIES.items()}
_LONGEST_WAIT = timedelta(days=366)
_MOST_DOCTORS = 20


@dataclass(frozen=True)
class Wanted:
    """What somebody waits for, as it is asked for. `doctors` empty: any. Times are wall times of the doctor's."""

    doctors: Sequence[Account]
    kind: AppointmentType
    date_from: date
    date_to: date
    time_from: time = time()
    time_to: time = time()
    weekdays: Sequence[str] = ()
    reason: str = ""
    urgency: str = "routine"
    channel: str = "both"


def of_entry(session: Session, entry: WaitlistEntry) -> Wanted:
    """What an entry waits for, to be changed in parts."""
    found = session.scalars(select(Account).where(Account.id.in_(entry.doctor_ids)).order_by(Account.id))
    return Wanted(
        doctors=list(found),
        kind=session.get_one(AppointmentType, entry.type_code),
        date_from=entry.date_from,
        date_to=entry.date_to,
        time_from=entry.time_from,
        time_to=entry.time_to,
        weekdays=weekdays_of(entry),
        reason=entry.reason,
        urgency=URGENCY_OF[entry.priority],
        channel=entry.channel,
    )


def wish_of(entry: WaitlistEntry) -> wishes.Wish:
    return wishes.Wish(
        id=entry.id,
        patient_id=entry.patient_id,
        doctor_ids=entry.doctor_ids,
        date_from=entry.date_from,
        date_to=entry.date_to,
        time_from=entry.time_from,
        time_to=entry.time_to,
        weekdays=weekdays_of(entry),
        type_code=entry.type_code,
        added_at=entry.added_at,
        priority=entry.priority,
    )


def weekdays_of(entry: WaitlistEntry) -> tuple[str, ...]:
    return tuple(entry.weekdays.split(",")) if entry.weekdays else ()


def check(
    session: Session,
    asked: Wanted,
    patient: Patient,
    actor: Actor,
    now: datetime,
    *,
    was: WaitlistEntry | None = None,
) -> None:
    """Raises InvalidInput or NotSelfBookable for a wish that cannot come true. `was`: the entry as it is so far."""
    zone = timezones.zone(asked.doctors[0].timezone if asked.doctors else _settings(session).timezone)
    today = now.astimezone(zone).date()
    known = was is not None and asked.kind.code == was.type_code
    faults: Mapping[str, tuple[bool, str]] = {
        "doctor": (
            any(doctor.role != "doctor" or doctor.disabled for doctor in asked.doctors),
            "Nobody can be booked there.",
        ),
        "date_to": (
            asked.date_to < max(asked.date_from, today),
            "The last day lies before the first, or has passed.",
        ),
        # Midnight is the end of the day.
        "time_to": (
            asked.time_to <= asked.time_from and asked.time_to != time(),
            "The time window ends before it begins.",
        ),
        "weekdays": (
            any(day not in wishes.WEEKDAYS for day in asked.weekdays),
            "Weekdays are mon, tue, wed, thu, fri, sat and sun.",
        ),
        "reason": (len(asked.reason) > 1000, "The reason has at most 1,000 characters."),
        "urgency": (asked.urgency not in wishes.URGENCIES, "Urgency is routine, soon or urgent."),
        "channel": (asked.channel not in CHANNELS, "Offers are told by email, sms or both."),
        "type": (not asked.kind.active and not known, "This kind of appointment is not offered."),
    }
    for field, (wrong, sentence) in faults.items():
        if wrong:
            raise InvalidInput(sentence, field=field)
    if len(asked.doctors) > _MOST_DOCTORS:
        raise InvalidInput(f"Name at most {_MOST_DOCTORS} doctors, or any.", field="doctor")
    if asked.date_to - today > _LONGEST_WAIT:
        raise InvalidInput("The waitlist reaches a year ahead.", field="date_to")
    _check_doctors(asked)
    if asked.channel == "sms" and not patient.phone:
        raise InvalidInput("There is no telephone number to send text messages to.", field="channel")
    if asked.channel == "email" and not patient.email:
        raise InvalidInput("There is no e-mail address to write to.", field="channel")
    _check_rights(asked, actor, was, known=known)


def _check_doctors(asked: Wanted) -> None:
    offered_by = set(asked.kind.doctors or ())
    if offered_by and asked.doctors and not offered_by & {doctor.username for doctor in asked.doctors}:
        raise InvalidInput("This kind of appointment is not offered by them.", field="doctor")


def _check_rights(asked: Wanted, actor: Actor, was: WaitlistEntry | None, *, known: bool) -> None:
    if actor.is_staff:
        return
    if not asked.kind.self_booking and not known:
        raise NotSelfBookable()
    if asked.urgency != ("routine" if was is None else URGENCY_OF[was.priority]):
        raise InvalidInput("How urgent it is, is for the practice to say. Please call us.", field="urgency")


def fill(entry: WaitlistEntry, asked: Wanted) -> None:
    ids = sorted({doctor.id for doctor in asked.doctors})
    entry.doctor_id = ids[0] if len(ids) == 1 else None
    entry.doctor_set = ",".join(str(each) for each in ids) if len(ids) > 1 else ""
    entry.type_code = asked.kind.code
    entry.date_from, entry.date_to = asked.date_from, asked.date_to
    entry.time_from, entry.time_to = asked.time_from, asked.time_to
    entry.weekdays = ",".join(day for day in wishes.WEEKDAYS if day in asked.weekdays)
    entry.reason = asked.reason
    entry.priority = wishes.URGENCIES[cast(wishes.Urgency, asked.urgency)]
    entry.channel = asked.channel


def same(session: Session, entry: WaitlistEntry) -> Sequence[UUID]:
    """Other entries in which the patient waits for the same, on some of the same days."""
    same_doctor = func.coalesce(WaitlistEntry.doctor_id, 0) == (entry.doctor_id or 0)
    return session.scalars(
        select(WaitlistEntry.id).where(
            WaitlistEntry.patient_id == entry.patient_id,
            WaitlistEntry.id != entry.id,
            WaitlistEntry.status.in_(OPEN),
            WaitlistEntry.type_code == entry.type_code,
            same_doctor,
            WaitlistEntry.doctor_set == entry.doctor_set,
            WaitlistEntry.date_from <= entry.date_to,
            WaitlistEntry.date_to >= entry.date_from,
        )
    ).all()


def _settings(session: Session) -> Settings:
    settings = session.info["settings"]
    assert isinstance(settings, Settings)
    return settings
