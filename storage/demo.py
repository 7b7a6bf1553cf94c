"""The demo clinic: two doctors, the desk, patients, and two weeks of appointments behind and ahead of today."""

import random
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from ical import timezones
from ical.errors import Refusal
from storage import (
    accounts,
    appointment_types,
    booking,
    collections,
    credentials,
    edits,
    hours,
    leave,
    lifecycle,
    resources,
    slots,
    waitlist,
)
from storage.drafts import NewAppointment
from storage.models import Account, OutboxMessage, Patient, Reminder
from storage.policy import Actor
from storage.wanted import Wanted

PASSWORD = "maple-river-lantern-42"
DEVICE = "Demo calendar app"
_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)
_DAYS = 14
_SHARE = 0.4


@dataclass(frozen=True)
class Person:
    username: str
    role: str
    name: str
    email: str
    specialty: str = ""


PEOPLE = (
    Person("lee", "doctor", "Dr. Anna Lee", "lee@clinic.example", "General medicine"),
    Person("smith", "doctor", "Dr. John Smith", "smith@clinic.example", "Orthopaedics"),
    Person("desk", "receptionist", "Rosa Klein", "desk@clinic.example"),
    Person("admin", "admin", "Ada Winter", "admin@clinic.example"),
    Person("maria", "patient", "Maria Huber", "maria@mail.example"),
)
_PATIENTS = (
    ("Maria Huber", "maria@mail.example", ""),
    ("Tom Berger", "tom@mail.example", "+43 1 5550101"),
    ("Zoë Novák", "zoe@mail.example", ""),
    ("Ali Demir", "ali@mail.example", "+43 1 5550102"),
    ("Ingrid Sørensen", "ingrid@mail.example", ""),
    ("Paul O'Neill", "paul@mail.example", "+43 1 5550103"),
    ("Yuki Tanaka", "yuki@mail.example", ""),
    ("Sofia Rossi", "sofia@mail.example", "+43 1 5550104"),
    ("Lukas Gruber", "lukas@mail.example", ""),
    ("Eva-Maria Steiner", "eva@mail.example", "+43 1 5550105"),
    ("Omar Haddad", "omar@mail.example", ""),
    ("Helga Maier", "", "+43 1 5550106"),
)
_RESOURCES = (("room-1", "room", "Room 1"), ("room-2", "room", "Room 2"), ("xray", "machine", "X-ray"))
_HOURS = (
    ("lee", ("mon", "tue", "wed", "thu", "fri"), time(9), time(12), 20),
    ("lee", ("tue", "thu"), time(14), time(17), 30),
    ("smith", ("mon", "wed", "fri"), time(8, 30), time(12, 30), 30),
    ("smith", ("tue", "thu"), time(13), time(18), 30),
)
_REASONS = ("", "Check-up", "Back pain", "Blood test results", "Knee, since Sunday", "Repeat prescription", "")
_KINDS = ("consultation", "consultation", "consultation", "follow_up", "results_discussion", "virtual", "xray_review")
_ENDINGS = ("complete", "complete", "complete", "complete", "no-show", "cancel", "complete")
_PROSPECTS = ("", "confirm", "", "confirm", "cancel", "", "confirm")


def fill(session: Session, now: datetime) -> bool:
    """Create the demo clinic. False when it is there already; then it stays as it is."""
    if accounts.by_username(session, "lee") is not None:
        return False
    people = {person.username: _person(session, person, now - 60 * _DAY) for person in PEOPLE}
    for username, kind, name in _RESOURCES:
        resources.add(session, username, kind, name, now=now)
    doctors = [people["lee"], people["smith"]]
    for username, days, start, end, slot in _HOURS:
        first = (now - 5 * _WEEK).date()
        hours.add_hours(
            session, people[username], days, start, end, slot=slot, first=first, actor=_as(people[username]), now=now
        )
    patients = [_patient(session, people["maria"], *each, now) for each in _PATIENTS]
    desk = _as(people["desk"])
    _block(session, people["lee"], now)
    _series(session, people["smith"], patients[4], desk, now)
    chance = random.Random(7)
    for offset in range(-_DAYS, _DAYS + 1):
        for doctor in doctors:
            _day(session, doctor, patients, desk, offset, chance, now)
    _leave(session, people, now)
    _waitlist(session, people, patients, desk, now)
    _as_if_told(session, now)
    return True


def fresh_app_password(session: Session, now: datetime) -> str:
    """An app password for lee that can be shown; the one of the last time ends."""
    lee = accounts.by_username(session, "lee")
    assert lee is not None
    for old in credentials.app_passwords(session, lee):
        if old.label == DEVICE:
            credentials.revoke(session, old, now)
    return credentials.add_app_password(session, lee, DEVICE, "solo", now)


def _person(session: Session, person: Person, now: datetime) -> Account:
    return accounts.create_account(
        session,
        role=person.role,
        username=person.username,
        name=person.name,
        email=person.email,
        password=PASSWORD,
        specialty=person.specialty,
        now=now,
    )


def _patient(session: Session, maria: Account, name: str, email: str, phone: str, now: datetime) -> Patient:
    if name == maria.name:
        known = accounts.patient_of(session, maria)
        assert known is not None
        return known
    return accounts.find_or_create_patient(session, name, email, phone, now - 30 * _DAY)


def _as(account: Account) -> Actor:
    return Actor(
        kind="account",
        role=account.role,
        account_id=account.id,
        username=account.username,
        via="portal",
        label=account.username,
    )


def _day(
    session: Session,
    doctor: Account,
    patients: list[Patient],
    desk: Actor,
    offset: int,
    chance: random.Random,
    now: datetime,
) -> None:
    """Some of one day's free slots, booked some days before it; what is over has ended one way or another."""
    zone = timezones.zone(doctor.timezone)
    day = (now.astimezone(zone) + offset * _DAY).date()
    start = datetime.combine(day, time(), zone)
    kind = appointment_types.get(session, "consultation")
    for slot in slots.free_slots(session, [doctor], start, start + _DAY, kind, min(now, start) - 8 * _DAY):
        if chance.random() > _SHARE:
            continue
        booked_at = min(slot.start - timedelta(hours=chance.randint(20, 160)), now - timedelta(hours=1))
        new = NewAppointment(
            start=slot.start,
            kind=appointment_types.get(session, chance.choice(_KINDS)),
            patient=chance.choice(patients),
            reason=chance.choice(_REASONS),
        )
        try:
            made = booking.book(session, [doctor], new, actor=desk, now=booked_at).appointment.id
        except Refusal:
            # A type may be longer than what is left beside its neighbours.
            continue
        _live(session, made, slot.start, desk, _as(doctor), chance, now)


def _live(
    session: Session,
    appointment_id: object,
    start: datetime,
    desk: Actor,
    doctor: Actor,
    chance: random.Random,
    now: datetime,
) -> None:
    """What became of an appointment, or what is known of it so far."""
    before = min(start - timedelta(hours=5), now - timedelta(minutes=5))
    plan = _ENDINGS if start < now else _PROSPECTS
    step = chance.choice(plan)
    given = {"session": session, "appointment_id": appointment_id}
    if step == "cancel":
        by = chance.choice(("patient", "patient", "doctor"))
        lifecycle.cancel(**given, actor=desk, now=before, by=by, reason="")  # type: ignore[arg-type]
    elif step == "confirm":
        lifecycle.change_status(**given, action=step, actor=desk, now=before)  # type: ignore[arg-type]
    elif step:
        if step == "complete":
            lifecycle.change_status(**given, action="arrive", actor=desk, now=start)  # type: ignore[arg-type]
        ended = min(start + timedelta(minutes=20), now)
        lifecycle.change_status(**given, action=step, actor=doctor, now=ended)  # type: ignore[arg-type]


def _series(session: Session, doctor: Account, patient: Patient, desk: Actor, now: datetime) -> None:
    """Six weeks of the same time, beginning with the next free one."""
    kind = appointment_types.get(session, "follow_up")
    found = slots.next_free(session, [doctor], kind, now, after=now + _DAY)
    if found is not None:
        new = NewAppointment(
            start=found.start,
            kind=kind,
            patient=patient,
            reason="Physiotherapy",
            rrule="FREQ=WEEKLY;COUNT=6",
            on_conflict="skip",
        )
        booking.book(session, [doctor], new, actor=desk, now=now - _DAY)


def _block(session: Session, doctor: Account, now: datetime) -> None:
    """Something a doctor put into the calendar app themselves."""
    day = _next(now.date(), 2)
    lines = (
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//ClinicDAV//Demo//EN",
        "BEGIN:VEVENT",
        "UID:demo-lunch@clinic.example",
        f"DTSTAMP:{now:%Y%m%dT%H%M%SZ}",
        f"DTSTART:{day:%Y%m%d}T110000",
        f"DTEND:{day:%Y%m%d}T120000",
        "SUMMARY:Team meeting",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    )
    target = collections.find(session, doctor.username, "appointments")
    assert target is not None
    data = "\r\n".join(lines).encode()
    edits.client_put(session, target, "demo-lunch.ics", data, actor=_as(doctor), now=now)


def _leave(session: Session, people: dict[str, Account], now: datetime) -> None:
    admin = _as(people["admin"])
    asked = (
        (people["smith"], _next((now + 2 * _WEEK).date(), 0), 4, "Conference", True),
        (people["lee"], _next((now + 4 * _WEEK).date(), 3), 1, "Family", False),
    )
    for doctor, first, length, reason, approved in asked:
        last = first + length * _DAY
        view = leave.request_leave(session, doctor, first, last, reason, actor=_as(doctor), now=now)
        if approved:
            leave.decide(session, view.id, True, actor=admin, now=now)


def _waitlist(
    session: Session, people: dict[str, Account], patients: list[Patient], desk: Actor, now: datetime
) -> None:
    kind = appointment_types.get(session, "consultation")
    today = now.astimezone(timezones.zone(people["lee"].timezone)).date()
    # Times at which nobody works, so that they go on waiting while one looks around.
    for doctor, patient in ((people["lee"], patients[6]), (None, patients[9])):
        asked = Wanted(
            doctors=[] if doctor is None else [doctor],
            kind=kind,
            date_from=today + _DAY,
            date_to=today + 3 * _WEEK,
            time_from=time(18),
            time_to=time(20),
            reason="Only after work",
            urgency="routine" if doctor is None else "soon",
        )
        waitlist.join(session, patient, asked, actor=desk, now=now)


def _as_if_told(session: Session, now: datetime) -> None:
    """The patients of the demo learned of all this in the past: nothing of it is sent today."""
    session.flush()
    session.execute(update(OutboxMessage).where(OutboxMessage.state == "due").values(state="sent", sent_at=now))
    due = select(Reminder.id).where(Reminder.sent_at.is_(None), Reminder.due_at <= now)
    session.execute(update(Reminder).where(Reminder.id.in_(due)).values(sent_at=now))


def _next(day: date, weekday: int) -> date:
    return day + ((weekday - day.weekday()) % 7 or 7) * _DAY
