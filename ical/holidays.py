"""Days on which a practice is closed, out of anybody's iCalendar file."""

from datetime import UTC, datetime
from typing import NamedTuple

from ical import files, recurrence
from ical.errors import InvalidCalendarData, Refusal, ResourceTooLarge
from ical.lines import Component

MAX_FILE = 1024 * 1024
_MOST = 2000


class Closing(NamedTuple):
    """One closed time. Of a whole day both ends are midnights of UTC, which stand for those of every zone."""

    start: datetime
    end: datetime
    all_day: bool
    title: str


def read(data: bytes, start: datetime, end: datetime) -> list[Closing]:
    """What the file closes within [start, end), in order. Raises InvalidCalendarData, ResourceTooLarge."""
    if len(data) > MAX_FILE:
        raise ResourceTooLarge(f"The file is larger than {MAX_FILE >> 20} MiB.")
    found = set()
    for calendar in files.check_calendar_file(data, UTC).objects:
        found.update(_closings(calendar, start, end))
        if len(found) > _MOST:
            raise InvalidCalendarData(f"The calendar closes more than {_MOST} times.")
    return sorted(found)


def _closings(calendar: Component, start: datetime, end: datetime) -> list[Closing]:
    if not calendar.components("VEVENT"):
        return []
    try:
        occurrences = recurrence.occurrences(calendar, UTC, start, end, limit=_MOST)
    except Refusal:
        # One that repeats without end within a day closes nothing; the others still do.
        return []
    return [
        Closing(each.start, each.end, each.all_day, each.component.plain("SUMMARY")[:200])
        for each in occurrences
        if (each.component.value("STATUS") or "").upper() != "CANCELLED" and each.start < each.end
    ]
