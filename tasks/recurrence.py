"""Once a day: expand open-ended series further, and sweep away what has ended by its age or was overtaken."""

from collections.abc import Callable
from datetime import datetime

import structlog

from ical import lines
from storage import accounts, objects, occurrences, sync
from storage.db import Database
from storage.models import CalendarObject
from storage.policy import SYSTEM
from storage.settings import Settings
from storage.writes import Write

log = structlog.get_logger("clinicdav.recurrence")


def is_due(db: Database, now: datetime) -> bool:
    return True


def run(db: Database, settings: Settings, clock: Callable[[], datetime]) -> int:
    """One pass. Returns how many series were extended."""
    with db.transaction() as session:
        accounts.sweep_sessions(session, clock())
        sync.compact(session)
    done = 0
    seen: set[int] = set()
    while True:
        with db.reading() as session:
            due = [obj.id for obj in occurrences.due_for_extension(session, clock())]
        fresh = [id for id in due if id not in seen]
        if not fresh:
            return done
        for id in fresh:
            seen.add(id)
            try:
                with db.transaction() as session:
                    obj = session.get_one(CalendarObject, id)
                    # A series that runs into another one years from now is marked there, not left behind for ever.
                    write = Write(SYSTEM, clock(), "extended", overbook=True)
                    objects.extend(session, obj, lines.parse(obj.stored_text), write)
                done += 1
            except Exception:
                log.exception("extension failed", object=id)
