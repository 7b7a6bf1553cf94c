"""One of the processes of the race for a room: two doctors want it by every path, their calendar apps included.

The naive mode is the control: it looks whether the room is free and then takes it, without locks and constraints.
"""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, text

from ical.errors import Refusal
from storage import accounts, appointment_types, booking, claims, collections, drafts, edits, lifecycle
from storage.db import Database, SerializationFailure
from storage.models import CalendarObject, Visit
from storage.policy import SYSTEM
from storage.settings import Settings

OPENING = datetime(2026, 11, 23, 11, tzinfo=UTC)
NOW = OPENING - timedelta(days=3)
# One of them before the room in the order of locks, one behind it.
DOCTORS = ("lee", "late")


def run(settings: Settings, mode: str, attempts: int, seed: int) -> Counter[str]:
    """How often each thing happened. `mode` is real or naive."""
    db = Database(settings.database_url, settings)
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    for _ in range(attempts):
        outcomes[naive(db, rng) if mode == "naive" else attempt(db, rng)] += 1
    db.dispose()
    return outcomes


def attempt(db: Database, rng: random.Random) -> str:
    start = OPENING + timedelta(minutes=20 * rng.randrange(9))
    path = rng.choice((book, book, together, hold_and_book, move, cancel, drag, drag))
    try:
        path(db, rng, start)
    except Refusal as refusal:
        return refusal.code
    except SerializationFailure as failure:
        # What is asked to be run again must be rare: nobody waits in a circle.
        return f"again: {failure.__cause__}"
    return path.__name__


def book(db, rng, start):
    with db.transaction() as session:
        doctor = accounts.by_username(session, rng.choice(DOCTORS))
        booking.book(session, [doctor], wish(session, rng, start), actor=SYSTEM, now=NOW)


def together(db, rng, start):
    with db.transaction() as session:
        doctors = [accounts.by_username(session, name) for name in rng.sample(DOCTORS, 2)]
        booking.book(session, doctors, wish(session, rng, start, together=True), actor=SYSTEM, now=NOW)


def hold_and_book(db, rng, start):
    who = rng.choice(DOCTORS)
    with db.transaction() as session:
        doctor = accounts.by_username(session, who)
        kind = appointment_types.get(session, "consultation")
        kept = booking.hold(session, doctor, start, kind, actor=SYSTEM, now=NOW)
    with db.transaction() as session:
        if rng.random() < 0.5:
            booking.release_hold(session, kept.id)
        else:
            doctor = accounts.by_username(session, who)
            booking.book(session, [doctor], wish(session, rng, start), actor=SYSTEM, now=NOW, ticket=kept.id)


def move(db, rng, start):
    with db.transaction() as session:
        visit = some_visit(session, rng)
        if visit is not None:
            lifecycle.reschedule(session, visit.appointment_id, start, actor=SYSTEM, now=NOW)


def cancel(db, rng, start):
    with db.transaction() as session:
        visit = some_visit(session, rng)
        if visit is not None:
            lifecycle.cancel(session, visit.appointment_id, actor=SYSTEM, now=NOW)


def drag(db, rng, start):
    """By a doctor's app: it may book over what is there."""
    with db.transaction() as session:
        target = collections.find(session, rng.choice(DOCTORS), "appointments")
        asked = select(CalendarObject).where(
            CalendarObject.kind == "appointment",
            CalendarObject.deleted.is_(False),
            CalendarObject.collection_id == target.id,
        )
        found = session.scalars(asked).all()
        if found:
            obj = rng.choice(found)
            old, new = (f"T{rng.randrange(12, 15)}" for _ in range(2))
            edits.client_put(
                session, target, obj.href, obj.served_text.replace(old, new).encode(), actor=SYSTEM, now=NOW
            )


def wish(session, rng, start, **more):
    kind = appointment_types.get(session, "consultation")
    number = rng.randrange(50)
    patient = accounts.find_or_create_patient(session, f"Patient {number}", f"p{number}@mail.example", "", NOW)
    return drafts.NewAppointment(start, kind, patient, resources=("room",), **more)


def some_visit(session, rng):
    open_visits = session.scalars(select(Visit).where(Visit.status.in_(("scheduled", "rescheduled")))).all()
    return rng.choice(open_visits) if open_visits else None


def naive(db: Database, rng: random.Random) -> str:
    start = OPENING + timedelta(minutes=20 * rng.randrange(9))
    span = {"start": start.isoformat(), "end": (start + timedelta(minutes=20)).isoformat()}
    with db.reading() as session:
        if session.execute(text('SELECT 1 FROM naive WHERE start < :end AND "end" > :start'), span).first():
            return "slot_taken"
    with db.transaction() as session:
        # Each doctor's own time is locked, and the room's is not.
        claims.lock_owner(session, accounts.by_username(session, rng.choice(("lee", "smith"))).id)
        session.execute(text("INSERT INTO naive VALUES (:start, :end)"), span)
    return "book"
