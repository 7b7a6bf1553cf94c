"""Occurrences as icalendar and recurring-ical-events find them: independent code to check our own index against.

Slower than ical.recurrence by an order of magnitude and without its corrections for what calendar apps mean, so it
answers no request; `clinicdav check` and the tests ask it. RFC 5545 §3.8.5.
"""

from datetime import UTC, date, datetime, time, tzinfo

import icalendar
import recurring_ical_events


def starts(text: str, zone: tzinfo, start: datetime, end: datetime) -> set[datetime]:
    """The UTC starts of all occurrences of one calendar object that meet [start, end), cancelled ones included.

    Floating times and dates are in `zone`.
    """
    calendar = icalendar.Calendar.from_ical(text)
    found = recurring_ical_events.of(calendar).between(start.astimezone(zone), end.astimezone(zone))
    return {_instant(event["DTSTART"].dt, zone) for event in found}


def _instant(value: date | datetime, zone: tzinfo) -> datetime:
    if not isinstance(value, datetime):
        value = datetime.combine(value, time())
    return (value if value.tzinfo else value.replace(tzinfo=zone)).astimezone(UTC)
