"""The race: four processes on hot slots by every path, and not one overlap. The control shows that it is a race."""

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, time, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from ical import status
from storage import accounts, appointment_types, hours
from storage.db import Database
from storage.models import Appointment, Claim, Visit
from storage.policy import SYSTEM
from tests.conftest import PROCESSES
from tests.storage import racer

RACERS = 4
NAIVE_ATTEMPTS = 300
NAIVE_ROUNDS = 20
KINDS = {"race_10": 10, "race_15": 15, "race_20": 20, "race_45": 45}


def race(db: Database, mode: str, attempts: int) -> Counter[str]:
    assert db.settings is not None
    with ProcessPoolExecutor(RACERS, mp_context=PROCESSES) as pool:
        running = [pool.submit(racer.run, db.settings, mode, attempts // RACERS, seed) for seed in range(RACERS)]
        return sum((each.result() for each in running), Counter())


@pytest.mark.parametrize("attempts", [1_000, pytest.param(10_000, marks=pytest.mark.soak)])
def test_no_overlap_whoever_books_and_by_whatever_path(practice, attempts):
    with practice.writing() as session:
        for code, minutes in KINDS.items():
            appointment_types.create(session, code, now=practice.now, name=code, minutes=minutes)
        appointment_types.create(session, "race_asked", now=practice.now, name="Asked", minutes=15, approval=True)
    outcomes = race(practice.db, "real", attempts)
    print(f"{attempts} attempts by {RACERS} processes on {practice.db.dialect}: {dict(outcomes)}")
    assert sum(outcomes.values()) >= attempts // RACERS * RACERS
    assert outcomes["slot_taken"] > 0
    assert outcomes["book"] > 0
    for path in ("drag", "book_series", "move_series", "ask", "offer", "move_back"):
        assert outcomes[path] > 0, path
    with practice.db.reading() as session:
        claims = session.execute(
            select(Claim.resource_id, Claim.seat, Claim.start, Claim.end).order_by(
                Claim.resource_id, Claim.seat, Claim.start
            )
        ).all()
        overlaps = [
            (one, two)
            for one, two in zip(claims, claims[1:], strict=False)
            if one[:2] == two[:2] and one.end > two.start
        ]
        active = session.execute(
            select(Appointment.doctor_id, Visit.start, Visit.end)
            .join(Visit, Visit.appointment_id == Appointment.id)
            .where(Visit.status.in_(status.ACTIVE))
        ).all()
        claimed = session.execute(select(Claim.start, Claim.end).where(Claim.kind == "appointment")).all()
    assert overlaps == []
    # Every visit that stands has its claim, and no claim stands without its visit.
    assert Counter((visit.start, visit.end) for visit in active) == Counter((c.start, c.end) for c in claimed)


def test_the_naive_way_does_fail(practice):
    with practice.writing() as session:
        session.execute(text('CREATE TABLE naive (start TEXT, "end" TEXT)'))
    for _ in range(NAIVE_ROUNDS):
        race(practice.db, "naive", NAIVE_ATTEMPTS)
        with practice.writing() as session:
            rows = session.execute(text('SELECT start, "end" FROM naive ORDER BY start, "end"')).all()
            if any(one[1] > two[0] for one, two in zip(rows, rows[1:], strict=False)):
                return
            session.execute(text("DELETE FROM naive"))
    pytest.fail("the control found no overlap: this race shows nothing")


def test_the_database_refuses_an_overlap_by_itself(practice):
    """Even a caller that forgot the lock and the check cannot book twice."""
    start = datetime(2026, 11, 23, 9, tzinfo=UTC)
    with practice.writing() as session:
        session.add(Claim(resource_id=1, start=start, end=start + timedelta(minutes=20), kind="appointment"))
    with pytest.raises(IntegrityError), practice.writing() as session:
        session.add(
            Claim(resource_id=1, start=start + timedelta(minutes=19), end=start + timedelta(minutes=30), kind="hold")
        )


def test_capacity_is_the_number_that_succeed(practice, at):
    with practice.writing() as session:
        hours.add_hours(
            session,
            practice.smith,
            ("mon",),
            time(9),
            time(10),
            slot=20,
            capacity=3,
            actor=SYSTEM,
            now=practice.now,
        )
        practice.lee = accounts.by_username(session, "smith")
    outcomes = [practice.try_book(at(9), name=f"Patient {n}") for n in range(5)]
    assert outcomes == ["booked"] * 3 + ["slot_taken"] * 2
