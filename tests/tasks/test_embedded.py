"""The worker inside the server: it works with nothing else running, and stops cleanly."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from datetime import time as day_time
from typing import Any

import pytest

from storage import appointment_types, lifecycle, waitlist
from storage.db import Database, DatabaseUnavailable
from storage.policy import SYSTEM
from storage.wanted import Wanted
from tasks import embedded


def wait_for(what: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_booking_is_confirmed_by_the_embedded_worker_within_seconds(
    practice: Any, smtp_sink: Any, at: Callable[..., datetime]
) -> None:
    running = embedded.start(practice.db.settings, practice.db, lambda: practice.now)
    try:
        practice.book(at(9))
        began = time.monotonic()
        wait_for(lambda: bool(smtp_sink.messages))
        assert time.monotonic() - began < 10
        practice.now += timedelta(seconds=10)
        practice.book(at(10), name="Paul Huber")
        wait_for(lambda: len(smtp_sink.messages) == 2)
    finally:
        running.stop()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_it_stops_and_starts_again_in_the_same_process(
    practice: Any, smtp_sink: Any, at: Callable[..., datetime]
) -> None:
    before = {thread.name for thread in threading.enumerate()}
    for number in range(2):
        running = embedded.start(practice.db.settings, practice.db, lambda: practice.now)
        practice.now += timedelta(seconds=10)
        practice.book(at(9 + number), name=f"Patient {number}")
        wait_for(lambda number=number: len(smtp_sink.messages) == number + 1)
        began = time.monotonic()
        running.stop()
        assert time.monotonic() - began < 10
        left = {thread.name for thread in threading.enumerate()} - before
        assert not any(name.startswith("clinicdav") for name in left), left


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_that_is_away_for_a_while_does_not_end_it(
    practice: Any, smtp_sink: Any, at: Callable[..., datetime], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Database.reading
    away = threading.Event()

    def reading(self: Database) -> Any:
        if away.is_set() and threading.current_thread() is not threading.main_thread():
            raise DatabaseUnavailable("away")
        return whole(self)

    monkeypatch.setattr(Database, "reading", reading)
    running = embedded.start(practice.db.settings, practice.db, lambda: practice.now)
    try:
        away.set()
        practice.book(at(9))
        time.sleep(5)
        assert smtp_sink.messages == []
        away.clear()
        wait_for(lambda: bool(smtp_sink.messages))
    finally:
        running.stop()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_time_that_becomes_free_is_offered_within_seconds(
    practice: Any, smtp_sink: Any, at: Callable[..., datetime]
) -> None:
    practice.now += timedelta(hours=9)
    booked = practice.book(at(9))
    with practice.writing() as session:
        kind = appointment_types.get(session, "consultation")
        asked = Wanted([practice.lee], kind, at(9).date(), at(9).date(), time_from=day_time(9), time_to=day_time(9, 20))
        waitlist.join(
            session, practice.patient(session, "Peter Stone"), asked, actor=practice.visitor, now=practice.now
        )
    # A clock that goes on: the jobs are asked again only as time passes.
    began, begun_at = time.monotonic(), practice.now
    running = embedded.start(
        practice.db.settings, practice.db, lambda: begun_at + timedelta(seconds=time.monotonic() - began)
    )
    try:
        wait_for(lambda: len(smtp_sink.messages) == 2)
        with practice.writing() as session:
            lifecycle.cancel(session, booked.appointment.id, actor=SYSTEM, now=practice.now)
        freed_at = time.monotonic()
        wait_for(lambda: any("has become free" in mail["Subject"] for mail in smtp_sink.messages))
        took = time.monotonic() - freed_at
        print(f"from the cancellation to the patient's mailbox: {took:.1f} s")
        assert took < 15
    finally:
        running.stop()
