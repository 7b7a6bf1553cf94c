"""End offers that were not answered, and offer what is free to whoever has waited longest for it."""

from collections.abc import Callable
from datetime import datetime

import structlog

from storage import waitlist
from storage.db import Database
from storage.settings import Settings

log = structlog.get_logger("clinicdav.waitlist")


def is_due(db: Database, now: datetime) -> bool:
    with db.reading() as session:
        return bool(waitlist.over(session, now, limit=1)) or bool(
            waitlist.list_entries(session, statuses=["waiting"], limit=1)
        )


def run(db: Database, settings: Settings, clock: Callable[[], datetime]) -> int:
    """One pass. Returns how many offers were made."""
    with db.reading() as session:
        over = waitlist.over(session, clock())
    for entry_id in over:
        try:
            with db.transaction() as session:
                waitlist.expire(session, entry_id, clock())
        except Exception:
            # One entry that cannot be ended must not keep the others waiting.
            log.exception("expiry failed", entry=str(entry_id))
    with db.reading() as session:
        matches = waitlist.matches(session, clock())
    made = 0
    for match in matches:
        try:
            with db.transaction() as session:
                made += waitlist.offer(session, match, clock()) is not None
        except Exception:
            log.exception("offer failed", entry=str(match.entry_id))
    return made
