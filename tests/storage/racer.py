"""One of the processes of the double-booking race: attempts on hot slots by every path there is.

The naive mode is the control: it looks for a free time and then takes it, as one would without locks and constraints.
"""

import random
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import select, text

from ical.errors import Refusal
from storage import (
    accounts,
    appointment_types,
    booking,
    collections,
    drafts,
    edits,
    lifecycle,
    offers,
    requests,
    series_changes,
    settling,
    undo,
    waitlist,
)
from storage.db import Database, SerializationFailure
from storage.models import Appointment, CalendarObject, Offer, Visit
from storage.policy import Actor
from storage.settings import Settings
from storage.wanted import Wanted

OPENING = datetime(2026, 11, 23, 7, tzinfo=UTC)
NOW = OPENING - timedelta(days=3)
KINDS = {"race_10": 10, "race_15": 15, "race_20": 20, "race_45": 45}


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
    start = OPENING + timedelta(minutes=5 * rng.randrange(96))
    paths = (
        book,
        book,
        book,
        hold_and_book,
        book_series,
        ask,
        offer,
        move,
        move_back,
        move_series,
        cancel,
        drag,
        delete,
    )
    path = rng.choice(paths)
    try:
        path(db, rng, start)
    except Refusal as refusal:
        return refusal.code
    except SerializationFailure:
        # Whoever calls tries again (web.api.operations, caldav_bridge.app).
        return "again"
    return path.__name__


def book(db: Database, rng: random.Random, start: datetime) -> None:
    with db.transaction() as session:
        lee, new = wish(session, rng, start)
        booking.book(session, [lee], new, actor=actor(rng), now=NOW)


def hold_and_book(db: Database, rng: random.Random, start: datetime) -> None:
    with db.transaction() as session:
        lee, new = wish(session, rng, start)
        kept = booking.hold(session, lee, start, new.kind, actor=actor(rng), now=NOW)
    if rng.random() < 0.8:
        with db.transaction() as session:
            lee, _new = wish(session, rng, start)
            booking.book(session, [lee], new, actor=actor(rng), now=NOW, ticket=kept.id)
    else:
        with db.transaction() as session:
            booking.release_hold(session, kept.id)


def book_series(db: Database, rng: random.Random, start: datetime) -> None:
    with db.transaction() as session:
        lee, new = wish(session, rng, start)
        new = replace(new, rrule="FREQ=DAILY;COUNT=3", on_conflict=rng.choice(("refuse", "skip", "move")))
        booking.book(session, [lee], new, actor=actor(rng), now=NOW)


def ask(db: Database, rng: random.Random, start: datetime) -> None:
    with db.transaction() as session:
        lee, new = wish(session, rng, start)
        new = replace(new, kind=appointment_types.get(session, "race_asked"))
        booked = booking.book(session, [lee], new, actor=actor(rng), now=NOW)
        assert booked.request is not None
        request = booked.request.id
    with db.transaction() as session:
        decide = rng.choice((requests.approve, requests.approve, requests.reject))
        decide(session, request, actor=desk(), now=NOW)


def offer(db: Database, rng: random.Random, start: datetime) -> None:
    with db.transaction() as session:
        lee, new = wish(session, rng, start)
        asked = Wanted([lee], new.kind, start.date(), start.date())
        entry = waitlist.join(session, new.patient, asked, actor=desk(), now=NOW)
        made = offers.offer_by_hand(session, entry, lee, start, actor=desk(), now=NOW).id
    with db.transaction() as session:
        made = session.get_one(Offer, made)
        if rng.random() < 0.7:
            offers.accept(session, made, actor=actor(rng), now=NOW)
        else:
            offers.decline(session, made, actor=actor(rng), now=NOW, leave=True)


def move_back(db: Database, rng: random.Random, start: datetime) -> None:
    with db.transaction() as session:
        visit = some_visit(session, rng)
        if visit is not None:
            undo.undo(session, visit.appointment_id, actor=desk(), now=NOW)


def move(db: Database, rng: random.Random, start: datetime) -> None:
    with db.transaction() as session:
        visit = some_visit(session, rng)
        if visit is not None:
            lifecycle.reschedule(session, visit.appointment_id, start, actor=actor(rng), now=NOW)


def move_series(db: Database, rng: random.Random, start: datetime) -> None:
    with db.transaction() as session:
        series = select(Visit).join(Appointment, Appointment.id == Visit.appointment_id).where(Appointment.series)
        visits = session.scalars(series.order_by(Visit.start, Visit.appointment_id)).all()
        if visits:
            visit = rng.choice(visits)
            following, on_conflict = rng.random() < 0.7, rng.choice(("refuse", "skip", "move"))
            wish = series_changes.Wish(start, visit.recurrence_id, following=following, on_conflict=on_conflict)
            series_changes.move(session, visit.appointment_id, wish, actor=desk(), now=NOW)


def cancel(db: Database, rng: random.Random, start: datetime) -> None:
    with db.transaction() as session:
        visit = some_visit(session, rng)
        if visit is not None:
            lifecycle.cancel(session, visit.appointment_id, actor=actor(rng), now=NOW)


def drag(db: Database, rng: random.Random, start: datetime) -> None:
    with db.transaction() as session:
        target = collections.find(session, "lee", "appointments")
        obj = some_object(session, rng)
        if obj is not None:
            hours = [f"T{hour:02}" for hour in range(8, 16)]
            old, new = rng.choice(hours), rng.choice(hours)
            put = obj.served_text.replace(old, new).encode()
            edits.client_put(session, target, obj.href, put, actor=actor(rng), now=NOW)


def delete(db: Database, rng: random.Random, start: datetime) -> None:
    with db.transaction() as session:
        obj = some_object(session, rng)
        if obj is not None:
            edits.client_delete(session, obj, actor=actor(rng), now=NOW)
            for appointment_id in settling.due_to_settle(session, NOW + timedelta(hours=1), limit=3):
                settling.settle(session, appointment_id, NOW + timedelta(hours=1))


def wish(session, rng, start):
    lee = accounts.by_username(session, "lee")
    kind = appointment_types.get(session, rng.choice(list(KINDS)))
    name = f"Patient {rng.randrange(50)}"
    patient = accounts.find_or_create_patient(session, name, f"p{rng.randrange(50)}@mail.example", "", NOW)
    return lee, drafts.NewAppointment(start, kind, patient)


def some_visit(session, rng):
    open_visits = session.scalars(select(Visit).where(Visit.status.in_(("scheduled", "rescheduled")))).all()
    return rng.choice(open_visits) if open_visits else None


def some_object(session, rng):
    asked = select(CalendarObject).where(CalendarObject.kind == "appointment", CalendarObject.deleted.is_(False))
    found = session.scalars(asked).all()
    return rng.choice(found) if found else None


def desk() -> Actor:
    return Actor("account", "receptionist", 99, "desk", via="race", label="desk")


def actor(rng: random.Random) -> Actor:
    return Actor("visitor", via="race", label="race")


def naive(db: Database, rng: random.Random) -> str:
    start = OPENING + timedelta(minutes=5 * rng.randrange(96))
    end = start + timedelta(minutes=rng.choice(list(KINDS.values())))
    span = {"start": start.isoformat(), "end": end.isoformat()}
    with db.reading() as session:
        clash = session.execute(text('SELECT 1 FROM naive WHERE start < :end AND "end" > :start'), span).first()
    if clash:
        return "slot_taken"
    with db.transaction() as session:
        session.execute(text("INSERT INTO naive VALUES (:start, :end)"), span)
    return "book"
