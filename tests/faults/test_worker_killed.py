"""kill -9 of a worker at every point between leasing a message and noting that it was sent.

Nothing is lost, and a gateway that honours the Idempotency-Key sends nothing twice. The control marks before it sends,
and loses what it had not sent.
"""

import os
import random
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update

from storage import outbox
from storage.db import Database
from storage.models import OutboxMessage, Patient
from storage.settings import Settings
from tests.conftest import PROCESSES
from tests.faults import dying_worker
from tests.storage.conftest import VIENNA, Practice, make_practice

POINTS = ("leased", "before sending", "after sending", "marked")
LEASE_SECONDS = 1.0


@pytest.fixture
def practice(database: Database, sms_sink: Any) -> Iterator[Practice]:
    assert database.settings is not None
    database.settings = database.settings.model_copy(update={"sms_url": sms_sink.url})
    made = make_practice(database)
    made.now = datetime.now(UTC)
    yield made


def fill(practice: Practice, count: int) -> None:
    """`count` reminders of one visit of tomorrow, all due now."""
    tomorrow = practice.now.astimezone(VIENNA).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=1)
    booked = practice.book(tomorrow.astimezone(UTC), plan=())
    with practice.writing() as session:
        session.execute(update(OutboxMessage).values(state="sent"))
        patient_id = session.scalars(select(Patient.id)).one()
        for number in range(count):
            outbox.add(
                session,
                template="appointment_reminder",
                channel="sms",
                dedupe_key=f"reminder:{number}",
                appointment_id=booked.appointment.id,
                patient_id=patient_id,
                payload={"start": booked.visits[0].start.isoformat()},
                due_at=practice.now,
            )


def worker(settings: Settings, point: str, after: int, lease_seconds: float) -> int:
    """How one ended: 0, or -9 where it was killed."""
    process = PROCESSES.Process(target=dying_worker.work, args=(settings, point, after, lease_seconds))
    process.start()
    process.join(120)
    assert process.exitcode is not None, "it did not end"
    return process.exitcode


def left(db: Database) -> int:
    with db.reading() as session:
        chosen = select(func.count()).select_from(OutboxMessage).where(OutboxMessage.state == "due")
        return session.scalar(chosen) or 0


def kill_and_finish(practice: Practice, messages: int, kills: int, seed: int) -> int:
    """Let `kills` workers die one after the other, then one live. Returns how many did die."""
    chance, dead = random.Random(seed), 0
    settings = practice.db.settings
    assert settings is not None
    for number in range(kills):
        after = chance.randint(1, max(1, messages // kills // 2))
        ended = worker(settings, POINTS[number % len(POINTS)], after, LEASE_SECONDS)
        assert ended in (0, -9)
        dead += ended == -9
        # What it had leased comes back.
        time.sleep(LEASE_SECONDS)
    until = time.monotonic() + 120
    while left(practice.db) and time.monotonic() < until:
        assert worker(settings, "", 0, 60) == 0
        time.sleep(0.2)
    return dead


def check(practice: Practice, sink: Any, messages: int) -> int:
    """Nothing lost, and each key always with the same words. Returns how many requests were repeats."""
    said: dict[str, set[bytes]] = {}
    for request in sink.requests:
        said.setdefault(request.headers["idempotency-key"], set()).add(request.body)
    assert left(practice.db) == 0
    assert len(said) == messages
    assert all(len(bodies) == 1 for bodies in said.values())
    with practice.db.reading() as session:
        rows = session.execute(
            select(OutboxMessage.state, func.count())
            .where(OutboxMessage.template == "appointment_reminder")
            .group_by(OutboxMessage.state)
        )
        assert [tuple(row) for row in rows] == [("sent", messages)]
    return len(sink.requests) - messages


def test_nothing_is_lost_or_doubled_when_workers_are_killed(practice: Practice, sms_sink: Any) -> None:
    fill(practice, 40)
    dead = kill_and_finish(practice, 40, len(POINTS), seed=1)
    repeats = check(practice, sms_sink, 40)
    assert dead == len(POINTS) and 1 <= repeats <= dead


@pytest.mark.soak
def test_nothing_is_lost_or_doubled_at_length(practice: Practice, sms_sink: Any) -> None:
    seed = int(os.environ.get("CLINICDAV_SOAK_SEED", time.time_ns() % 1_000_000))
    fill(practice, 1000)
    dead = kill_and_finish(practice, 1000, 100, seed)
    repeats = check(practice, sms_sink, 1000)
    print(f"\n{practice.db.dialect}: 1000 reminders, {dead} kills, 0 lost, {repeats} repeats deduplicated, seed {seed}")
    assert dead >= 80


def test_the_control_that_marks_before_it_sends_loses_messages(practice: Practice, sms_sink: Any) -> None:
    fill(practice, 10)
    for lease in outbox.claim_due(practice.db, datetime.now(UTC), 10, 60):
        with practice.writing() as session:
            outbox.mark_sent(session, lease, datetime.now(UTC))
    # killed here, before any was sent
    assert left(practice.db) == 0 and sms_sink.requests == []
