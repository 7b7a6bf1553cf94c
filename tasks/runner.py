"""The jobs: one table for Celery's beat, for the embedded worker and for `clinicdav run TASK`."""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from storage import leases
from storage.db import Database
from storage.settings import Settings
from tasks import follow_ups, holidays, no_shows, outbox, recurrence, reminders, requests, waitlist

Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Job:
    """`run` does one pass; `is_due` says, without writing, whether there is anything to do; `every` is in seconds."""

    run: Callable[[Database, Settings, Clock], object]
    is_due: Callable[[Database, datetime], bool]
    every: float


JOBS = {
    "outbox": Job(outbox.run, outbox.is_due, 2),
    "reminders": Job(reminders.run, reminders.is_due, 15),
    "requests": Job(requests.run, requests.is_due, 60),
    "no-shows": Job(no_shows.run, no_shows.is_due, 900),
    "freed": Job(waitlist.run_freed, waitlist.is_freed, 2),
    "waitlist": Job(waitlist.run, waitlist.is_due, 60),
    "follow-ups": Job(follow_ups.run, follow_ups.is_due, 3600),
    "holidays": Job(holidays.run, holidays.is_due, 60),
    "recurrence": Job(recurrence.run, recurrence.is_due, 3600),
}

_HOLDER = f"{os.getpid()}-{secrets.token_hex(4)}"


def run_once(name: str, db: Database, settings: Settings, clock: Clock) -> object:
    """One pass of a job, now, whoever else may be at it. Returns what its `run` does. KeyError for an unknown name."""
    return JOBS[name].run(db, settings, clock)


def tick(name: str, db: Database, settings: Settings, clock: Clock) -> object:
    """One pass if there is something to do and nobody has made one within `every`; None otherwise."""
    job = JOBS[name]
    if not job.is_due(db, clock()):
        return None
    with db.transaction() as session:
        # A little less than the interval: two clocks of the same beat are never quite equal.
        if not leases.take(session, name, _HOLDER, clock(), job.every * 0.9):
            return None
    return job.run(db, settings, clock)
