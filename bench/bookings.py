"""Bookings: appointments per second through storage.booking, against the bare commits of the same database."""

from datetime import UTC, timedelta
from time import perf_counter

from sqlalchemy import text

from bench import practice
from bench.report import show
from storage import accounts, appointment_types, booking, drafts
from storage.db import Database
from storage.models import Account
from storage.policy import Actor

_ACTOR = Actor("visitor", via="bench", label="bench")


def table() -> None:
    rows = []
    with practice.databases() as opened:
        for db in opened:
            made = practice.doctors(db, 4)
            commits = _commits(db)
            few = _bookings(db, made, 0, 300)
            many = _bookings(db, made, 20, 300)
            rows.append([db.dialect, f"{commits:.0f}", f"{few:.0f}", f"{few / commits:.0%}", f"{many:.0f}"])
    show(
        "Bookings per second, one after the other, durable",
        ["database", "bare commits/s", "bookings/s", "of the commit rate", "with 300 more in the diary"],
        rows,
    )


def _commits(db: Database) -> float:
    with db.transaction() as session:
        session.execute(text("CREATE TABLE bare (id INTEGER PRIMARY KEY, said TEXT)"))
    begin, count = perf_counter(), 400
    for number in range(count):
        with db.transaction() as session:
            session.execute(text("INSERT INTO bare VALUES (:n, :said)"), {"n": number, "said": "x" * 500})
    return count / (perf_counter() - begin)


def _bookings(db: Database, made: list[Account], first_day: int, count: int) -> float:
    starts = []
    day = first_day
    while len(starts) * len(made) < count:
        morning = (practice.MONDAY + timedelta(days=day)).replace(hour=8)
        if morning.weekday() < 5:
            starts += [(morning + timedelta(minutes=20 * slot)).astimezone(UTC) for slot in range(24)]
        day += 1
    wanted = [(doctor, start) for start in starts for doctor in made][:count]
    begin = perf_counter()
    for doctor, start in wanted:
        with db.transaction() as session:
            patient = accounts.find_or_create_patient(session, "Maria Huber", "maria@mail.example", "", practice.NOW)
            new = drafts.NewAppointment(start, appointment_types.get(session, "consultation"), patient)
            booking.book(session, [doctor], new, actor=_ACTOR, now=practice.NOW)
    return count / (perf_counter() - begin)
