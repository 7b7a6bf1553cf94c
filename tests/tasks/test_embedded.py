"""The worker inside the server: it works with nothing else running, and stops cleanly."""

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from storage.db import Database, DatabaseUnavailable
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
