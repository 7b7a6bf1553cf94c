"""Subscribed holidays are fetched each day, and all of them expanded as far as diaries reach."""

from collections.abc import Callable
from datetime import datetime

from storage import holidays
from storage.db import Database
from storage.settings import Settings
from tasks.fetch import FetchFailed, fetch


def is_due(db: Database, now: datetime) -> bool:
    with db.reading() as session:
        return bool(holidays.due(session, now))


def run(db: Database, settings: Settings, clock: Callable[[], datetime]) -> int:
    """One pass. Returns how many calendars were looked at."""
    with db.reading() as session:
        found = [(each.id, each.url, each.text.encode()) for each in holidays.due(session, clock())]
    for calendar_id, url, copy in found:
        read(db, calendar_id, url, copy, clock)
    return len(found)


def read(db: Database, calendar_id: int, url: str, copy: bytes, clock: Callable[[], datetime]) -> None:
    """Fetch one calendar, outside of any transaction, and take it over."""
    data: bytes | None = copy
    problem = ""
    if url:
        try:
            data = fetch(url)
        except FetchFailed as failure:
            data, problem = None, str(failure)
    with db.transaction() as session:
        holidays.refresh_or_note(session, calendar_id, data, problem, clock())
