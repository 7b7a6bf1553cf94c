"""Hand the reminders that are due to the outbox. Nothing is planned in the broker: the rows are the plan."""

from collections.abc import Callable
from datetime import datetime

from storage import reminders
from storage.db import Database
from storage.settings import Settings

_BATCH = 500


def is_due(db: Database, now: datetime) -> bool:
    with db.reading() as session:
        return reminders.any_due(session, now)


def run(db: Database, settings: Settings, clock: Callable[[], datetime]) -> int:
    """One pass. Returns how many reminders were looked at."""
    done = 0
    while True:
        with db.transaction() as session:
            found = reminders.due_to_outbox(session, clock(), _BATCH)
        done += found
        if found < _BATCH:
            return done
