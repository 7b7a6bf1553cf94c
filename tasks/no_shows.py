"""After each doctor's day: ask who came, or mark who did not where the house rules say so."""

from collections.abc import Callable
from datetime import datetime

from storage import attendance
from storage.db import Database
from storage.settings import Settings


def is_due(db: Database, now: datetime) -> bool:
    with db.reading() as session:
        return attendance.is_due(session, now)


def run(db: Database, settings: Settings, clock: Callable[[], datetime]) -> int:
    """One pass. Returns how many visits staff were asked about, or that were marked."""
    with db.transaction() as session:
        return attendance.ask(session, clock())
