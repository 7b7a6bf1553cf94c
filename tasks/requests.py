"""End the requests that nobody answered in time."""

from collections.abc import Callable
from datetime import datetime

import structlog

from storage import requests
from storage.db import Database
from storage.settings import Settings

log = structlog.get_logger("clinicdav.requests")


def is_due(db: Database, now: datetime) -> bool:
    with db.reading() as session:
        return bool(requests.due(session, now, limit=1))


def run(db: Database, settings: Settings, clock: Callable[[], datetime]) -> int:
    """One pass. Returns how many requests were ended."""
    with db.reading() as session:
        due = requests.due(session, clock())
    for request_id in due:
        try:
            with db.transaction() as session:
                requests.lapse(session, request_id, clock())
        except Exception:
            # One request that cannot be ended must not keep the others open.
            log.exception("request could not be ended", request=str(request_id))
    return len(due)
