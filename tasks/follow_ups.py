"""Follow-ups that nobody has booked in their days: overdue, and the patient reminded once."""

from collections.abc import Callable
from datetime import datetime

import structlog

from storage import follow_ups
from storage.db import Database
from storage.settings import Settings

log = structlog.get_logger("clinicdav.follow_ups")


def is_due(db: Database, now: datetime) -> bool:
    with db.reading() as session:
        return bool(follow_ups.late(session, now, limit=1))


def run(db: Database, settings: Settings, clock: Callable[[], datetime]) -> int:
    """One pass. Returns how many became overdue."""
    with db.reading() as session:
        late = follow_ups.late(session, clock())
    for follow_up_id in late:
        try:
            with db.transaction() as session:
                follow_ups.mark_overdue(session, follow_up_id, clock())
        except Exception:
            # One that cannot be marked must not keep the others from it.
            log.exception("follow-up failed", follow_up=str(follow_up_id))
    return len(late)
