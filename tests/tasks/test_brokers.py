"""`clinicdav worker` and `clinicdav beat` as real processes, on Redis and RabbitMQ, killed and started again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis

from storage.db import Database
from storage.settings import Settings
from tests.storage.conftest import VIENNA, Practice, make_practice

ROOT = Path(__file__).parents[2]


@pytest.fixture
def practice(database: Database, told: Settings, broker_url: str) -> Practice:
    """With the real time as its clock: other processes have no other."""
    database.settings = told.model_copy(update={"broker_url": broker_url})
    made = make_practice(database)
    made.now = datetime.now(UTC)
    return made


@contextmanager
def running(practice: Practice, *commands: str) -> Iterator[list[subprocess.Popen[bytes]]]:
    settings = practice.db.settings
    assert settings is not None
    environment = os.environ | {
        "CLINICDAV_HOME": str(settings.home),
        "CLINICDAV_DATABASE_URL": settings.database_url,
        "CLINICDAV_SMTP_URL": str(settings.smtp_url),
        "CLINICDAV_BROKER_URL": str(settings.broker_url),
    }
    with open(settings.home / "processes.log", "ab") as log:
        started = [
            subprocess.Popen([sys.executable, "-m", "web.cli", command], cwd=ROOT, env=environment, stderr=log)
            for command in commands
        ]
    try:
        yield started
    finally:
        for process in started:
            process.send_signal(signal.SIGTERM)
        for process in started:
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for(what: Callable[[], bool], seconds: float = 90) -> float:
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < seconds, "it did not happen in time"
        time.sleep(0.1)
    return time.monotonic() - began


def book(practice: Practice, number: int) -> None:
    tomorrow = practice.now.astimezone(VIENNA).replace(hour=9 + number, minute=0, second=0, microsecond=0)
    practice.book((tomorrow + timedelta(days=1)).astimezone(UTC), name=f"Patient {number}")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_workers_and_two_clocks_send_once_and_survive_a_kill(practice: Practice, smtp_sink: Any) -> None:
    def sent() -> int:
        return len(smtp_sink.messages)

    with running(practice, "beat", "beat"):
        with running(practice, "worker") as (worker,):
            book(practice, 0)
            wait_for(lambda: sent() == 1)
            worker.kill()
            worker.wait()
        # Nobody listens: what is booked now is not lost with the rings that nobody heard.
        book(practice, 1)
        time.sleep(3)
        assert sent() == 1
        with running(practice, "worker", "worker"):
            assert wait_for(lambda: sent() == 2) < 60
            book(practice, 2)
            wait_for(lambda: sent() == 3)
            time.sleep(3)
    assert sent() == len({mail["Message-ID"] for mail in smtp_sink.messages}) == 3


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("broker_url", ["redis"], indirect=True)
def test_a_broker_that_is_wiped_loses_nothing(practice: Practice, smtp_sink: Any) -> None:
    assert practice.db.settings is not None
    broker = redis.Redis.from_url(str(practice.db.settings.broker_url))
    with running(practice, "beat", "worker"):
        book(practice, 0)
        wait_for(lambda: len(smtp_sink.messages) == 1)
        for number in (1, 2):
            book(practice, number)
            broker.flushdb()
        assert wait_for(lambda: len(smtp_sink.messages) == 3) < 60
