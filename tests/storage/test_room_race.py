"""The race for a room: two doctors' bookings, holds, moves and calendar apps, in several processes."""

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from datetime import time

import pytest
from sqlalchemy import select, text

from ical.diary import OVERBOOKED_SEAT
from storage import accounts, hours, resources
from storage.db import Database
from storage.models import Account, AppointmentResource, Claim, Resource, Visit
from storage.policy import SYSTEM
from tests.conftest import PROCESSES
from tests.storage import room_racer

RACERS = 4


def race(db: Database, mode: str, attempts: int) -> Counter[str]:
    assert db.settings is not None
    with ProcessPoolExecutor(RACERS, mp_context=PROCESSES) as pool:
        running = [pool.submit(room_racer.run, db.settings, mode, attempts // RACERS, seed) for seed in range(RACERS)]
        return sum((each.result() for each in running), Counter())


@pytest.mark.parametrize("attempts", [400, pytest.param(10_000, marks=pytest.mark.soak)])
def test_a_room_goes_to_one_of_two_doctors_and_nobody_waits_in_a_circle(practice, attempts):
    # Before the doctors and behind them in the order of locks.
    with practice.writing() as session:
        resources.add(session, "room", "room", "Room", now=practice.now)
        late = accounts.create_account(session, role="doctor", username="late", name="Dr. Late", now=practice.now)
        hours.add_hours(session, late, hours.DAYS, time(8), time(16), slot=20, actor=SYSTEM, now=practice.now)
    outcomes = race(practice.db, "real", attempts)
    print(f"{attempts} attempts by {RACERS} processes on {practice.db.dialect}: {dict(outcomes)}")
    again = sum(count for name, count in outcomes.items() if name.startswith("again"))
    assert all(outcomes[name] for name in ("book", "together", "move", "drag", "slot_taken"))
    assert again == 0
    with practice.db.reading() as session:
        rows = session.execute(
            select(Claim.resource_id, Claim.seat, Claim.start, Claim.end, Claim.appointment_id)
            .where(Claim.kind == "appointment")
            .order_by(Claim.resource_id, Claim.seat, Claim.start)
        ).all()
        room = session.execute(
            select(Resource.id).join(Account, Account.id == Resource.account_id).where(Account.username == "room")
        ).scalar_one()
        taking_part = session.execute(select(AppointmentResource.appointment_id, AppointmentResource.resource_id)).all()
        standing = set(
            session.scalars(select(Visit.appointment_id).where(Visit.status.in_(("scheduled", "rescheduled"))))
        )
    regular = [row for row in rows if row.seat < OVERBOOKED_SEAT]
    overlaps = [
        (one, two) for one, two in zip(regular, regular[1:], strict=False) if one[:2] == two[:2] and one.end > two.start
    ]
    assert overlaps == []
    # Whoever takes part has its minutes for each appointment that stands, and for no other.
    assert Counter((row.appointment_id, row.resource_id) for row in rows if row.resource_id == room) == Counter(
        (appointment, resource) for appointment, resource in taking_part if appointment in standing and resource == room
    )


def test_the_naive_way_does_fail(practice):
    with practice.writing() as session:
        session.execute(text('CREATE TABLE naive (start TEXT, "end" TEXT)'))
    for _ in range(20):
        race(practice.db, "naive", 300)
        with practice.writing() as session:
            found = session.execute(text("SELECT start FROM naive")).scalars().all()
            session.execute(text("DELETE FROM naive"))
        if len(found) > len(set(found)):
            return
    raise AssertionError("nobody was faster than anybody: it is no race")
