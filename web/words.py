"""How dates, times, statuses and waits are said on pages."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Flask

_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip


_DONE = {
    "confirm": "Confirmed",
    "arrive": "Arrived",
    "start": "Started",
    "complete": "Completed",
    "no-show": "Did not come",
    "cancel": "Cancelled",
    "rebook": "Booked again",
    "undo": "Taken back",
}


@dataclass(frozen=True)
class StatusWord:
    label: str
    icon: str
    tone: str


STATUS_WORDS = {
    "scheduled": StatusWord("Scheduled", "circle", "calm"),
    "confirmed": StatusWord("Confirmed", "check-circle", "good"),
    "in_progress": StatusWord("In progress", "play", "busy"),
    "completed": StatusWord("Completed", "check", "quiet"),
    "no_show": StatusWord("No-show", "cross", "bad"),
    "cancelled_patient": StatusWord("Cancelled by patient", "slash", "gone"),
    "cancelled_doctor": StatusWord("Cancelled by practice", "slash", "gone"),
    "rescheduled": StatusWord("Moved", "arrows", "calm"),
}
ACTION_WORDS = {
    "confirm": "Confirm",
    "arrive": "Arrived",
    "start": "Start",
    "complete": "Complete",
    "no-show": "No-show",
    "cancel": "Cancel",
    "reschedule": "Move",
    "rebook": "Book again",
}


def weekday(day: date, length: int | None = None) -> str:
    return _WEEKDAYS[day.weekday()][:length]


def month(day: date, length: int | None = None) -> str:
    return _MONTHS[day.month - 1][:length]


def long_date(day: date) -> str:
    return f"{weekday(day)}, {day.day} {month(day)} {day.year}"


def short_date(day: date) -> str:
    return f"{weekday(day, 3)} {day.day} {month(day, 3)}"


def local(instant: datetime, zone: ZoneInfo | str) -> datetime:
    return instant.astimezone(ZoneInfo(zone) if isinstance(zone, str) else zone)


def clock_time(instant: datetime, zone: ZoneInfo | str) -> str:
    return local(instant, zone).strftime("%H:%M")


def when(instant: datetime, zone: ZoneInfo | str) -> str:
    moment = local(instant, zone)
    return f"{long_date(moment.date())}, {moment:%H:%M}"


def time_range(start: datetime, end: datetime, zone: ZoneInfo | str) -> str:
    return f"{clock_time(start, zone)}–{clock_time(end, zone)}"


def near(day: date, today: date) -> str:
    """Today, Tomorrow, or the short date."""
    return {0: "Today", 1: "Tomorrow"}.get((day - today).days, short_date(day))


def length(start: datetime, end: datetime) -> str:
    minutes = int((end - start) / timedelta(minutes=1))
    if minutes < 60 or minutes % 30:
        return f"{minutes} minutes"
    return "1 hour" if minutes == 60 else f"{minutes / 60:g} hours"


def before(minutes: int) -> str:
    """A reminder's lead: "1 day before"."""
    for size, word in ((1440, "day"), (60, "hour"), (1, "minute")):
        if minutes % size == 0 and minutes >= size:
            count = minutes // size
            return f"{count} {word}{'' if count == 1 else 's'} before"
    return "at the start"


def ago(instant: datetime, now: datetime) -> str:
    """How long something is past: "3 minutes ago". The exact time belongs beside it."""
    seconds = (now - instant).total_seconds()
    for size, word in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {word}{'' if count == 1 else 's'} ago"
    return "just now"


def place_of(zone: ZoneInfo | str) -> str:
    """Europe/Vienna → Vienna, to be read by people."""
    return str(zone).rsplit("/", 1)[-1].replace("_", " ")


def weekdays_of(hours: Any) -> str:
    """The weekdays of an hours event: "Mon, Tue"."""
    found = re.search(r"BYDAY=([A-Z,]+)", hours.rrule)
    codes = found.group(1).split(",") if found else []
    names = [name[:3] for name in _WEEKDAYS if name[:2].upper() in codes]
    if names:
        return ", ".join(names)
    return weekday(hours.begins, 3) + ("" if hours.rrule else f" {short_date(hours.begins.date())}")


def initials(name: str) -> str:
    return "".join(part[0] for part in name.split()[:1] + name.split()[1:][-1:] if part)


def status_word(status: str) -> StatusWord:
    return STATUS_WORDS.get(status, StatusWord(status.replace("_", " ").capitalize(), "circle", "calm"))


def done(action: str) -> str:
    """A step of the history: "confirm" → "Confirmed"."""
    return _DONE.get(action, action.replace("_", " ").replace("-", " ").capitalize())


def install(app: Flask) -> None:
    filters: dict[str, Any] = {
        "weekday": weekday,
        "month": month,
        "long_date": long_date,
        "short_date": short_date,
        "local": local,
        "clock_time": clock_time,
        "when": when,
        "near": near,
        "before": before,
        "ago": ago,
        "place_of": place_of,
        "initials": initials,
        "weekdays_of": weekdays_of,
        "done": done,
        "status_word": status_word,
    }
    app.jinja_env.filters.update(filters)
    app.jinja_env.globals.update(time_range=time_range, length=length, ACTION_WORDS=ACTION_WORDS, timedelta=timedelta)
