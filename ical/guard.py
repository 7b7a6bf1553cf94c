"""Judges calendar data from outside before any library sees it. RFC 4791 §5.3.2.1, RFC 5545.

Other parsers can be stopped by one event of 200 bytes; here every check is linear in the size of the data. What is
refused, though legal, is listed in docs/reference/limits.md. Strict, for what calendar apps send; files from anywhere
are taken apart and repaired in ical.files first.
"""

import re
from datetime import UTC, date, datetime, timedelta, timezone

from ical.errors import (
    AfterMaxDateTime,
    InvalidCalendarData,
    InvalidObjectResource,
    ResourceTooLarge,
    TooManyAttendees,
    TooManyInstances,
    UnsupportedComponent,
    UnsupportedRecurrence,
)
from ical.lines import Component, Line, parse
from ical.recurrence import ENTRIES, master
from ical.rrule import ever_matches, normalise, read_rule
from ical.times import LAST_YEAR, instant, read_duration, read_periods, read_time, read_times

MAX_OBJECT = 256 * 1024
MAX_LINE = 128 * 1024
MAX_LINES = 20_000
MAX_UID = 255
MAX_RULES = 4
MAX_EXDATES = 1000
MAX_RDATES = 500
MAX_OVERRIDES = 500
MAX_ATTENDEES = 200
MAX_TIMEZONES = 20
# A daily or weekly rule from before then has no use, and thousands of occurrences before today.
FIRST_FREQUENT_YEAR = 1970

# U+FFFE and U+FFFF are no characters of XML: one of them would spoil every REPORT of the calendar.
_FORBIDDEN = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|\r(?!\n)|\xef\xbf[\xbe\xbf]")
FOLD = re.compile(rb"\r?\n[ \t]")
_FOLD_IN_CHARACTER = re.compile(rb"\r?\n[ \t](?=[\x80-\xbf])")
BOM = b"\xef\xbb\xbf"
_ONCE = ("UID", "DTSTART", "DTEND", "DUE", "DURATION", "RECURRENCE-ID", "SEQUENCE", "STATUS")
_TIMES = ("DTSTART", "DTEND", "DUE", "RECURRENCE-ID")
# Marks times that have no zone of their own.
_FLOATING = timezone(timedelta(0), "floating")


def check(data: bytes, *, component: str | None = "VEVENT", max_size: int = MAX_OBJECT) -> Component:
    """The calendar object in `data`: one UID, one kind of entry (of those in `component`, or of ENTRIES without it).

    Raises ResourceTooLarge, UnsupportedComponent, TooManyInstances, TooManyAttendees, or InvalidCalendarData and what
    is derived from it: each says by its `precondition` what of RFC 4791 §5.3.2.1 was not met.
    """
    if len(data) > max_size:
        raise ResourceTooLarge()
    calendar = parse(decoded(data))
    if calendar.first("METHOD") is not None:
        raise InvalidObjectResource("Messages (METHOD) are not stored in a calendar.")
    for block in calendar.walk():
        if (block.value("ACTION") or "").strip().upper() == "PROCEDURE":
            raise InvalidCalendarData("Alarms that start a program are not stored.")
    check_object(calendar, component)
    return calendar


def check_message(data: bytes) -> Component:
    """The iTIP message in `data` (RFC 5546), which is read and not stored: its size, its lines and its time zones are
    within bounds. Raises ResourceTooLarge or InvalidCalendarData."""
    if len(data) > MAX_OBJECT:
        raise ResourceTooLarge()
    calendar = parse(decoded(data))
    _check_frame(calendar)
    return calendar


# The object


def decoded(data: bytes) -> str:
    """`data` as text, its folds kept, except those inside a character. Raises InvalidCalendarData."""
    data = data.removeprefix(BOM)
    if _FORBIDDEN.search(data):
        raise InvalidCalendarData("The calendar data holds characters that cannot be in a calendar.")
    if data.count(b"\n") > MAX_LINES:
        raise InvalidCalendarData("There are too many lines.")
    if max(map(len, FOLD.sub(b"", data).split(b"\n"))) > MAX_LINE:
        raise InvalidCalendarData("A line is too long.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    try:
        return _FOLD_IN_CHARACTER.sub(b"", data).decode()
    except UnicodeDecodeError:
        raise InvalidCalendarData("The calendar data is not UTF-8.") from None


def check_object(calendar: Component, component: str | None) -> None:
    _check_frame(calendar)
    entries = [c for c in calendar.components() if c.name != "VTIMEZONE" and not c.name.startswith("X-")]
    kinds = {entry.name for entry in entries}
    if kinds - set(component.split(",") if component else ENTRIES):
        raise UnsupportedComponent()
    if not kinds:
        raise InvalidCalendarData("There is no entry in the calendar.")
    if len(kinds) > 1:
        raise InvalidObjectResource("A calendar object holds one kind of entry.")
    _check_identity(entries)
    head = master(calendar)
    for entry in entries:
        _check_entry(entry, calendar, is_head=entry is head)


def _check_frame(calendar: Component) -> None:
    if calendar.name != "VCALENDAR":
        raise InvalidCalendarData("A calendar begins with BEGIN:VCALENDAR.")
    if (calendar.value("VERSION") or "2.0").strip() != "2.0":
        raise InvalidCalendarData("Only iCalendar 2.0 is understood.")
    zones = calendar.components("VTIMEZONE")
    if len(zones) > MAX_TIMEZONES:
        raise InvalidCalendarData("There are too many time zones.")
    for block in zones:
        check_timezone(block)


def _check_identity(entries: list[Component]) -> None:
    uids = {entry.plain("UID").strip() for entry in entries}
    if len(uids) > 1:
        raise InvalidObjectResource("The entries of a calendar object share one UID.")
    uid = uids.pop()
    if not uid or len(uid) > MAX_UID:
        raise InvalidCalendarData(f"An entry has a UID of 1 to {MAX_UID} characters.")
    if sum(entry.first("RECURRENCE-ID") is None for entry in entries) > 1:
        raise InvalidObjectResource("Two entries have the same UID.")
    if len(entries) > MAX_OVERRIDES + 1:
        raise TooManyInstances()


def check_timezone(block: Component) -> None:
    for observance in block.components():
        for line in observance.lines():
            if line.name == "RRULE" and "FREQ=YEARLY" not in normalise(line.value).upper().split(";"):
                raise UnsupportedRecurrence("Clocks change once a year, or by a list of dates.")
            # eM Client's zones begin in the year 1, Outlook's in 1601.
            if line.name == "DTSTART" and not _year_in(line.value.strip()[:4], 1):
                raise InvalidCalendarData("A time zone has no usable start.")
        if sum(line.value.count(",") + 1 for line in observance.lines("RDATE")) > MAX_RDATES:
            raise InvalidCalendarData("A time zone changes too often.")


def _check_entry(entry: Component, calendar: Component, is_head: bool) -> None:
    counts: dict[str, int] = {}
    for line in entry.lines():
        counts[line.name] = counts.get(line.name, 0) + 1
    for name in _ONCE:
        if counts.get(name, 0) > 1:
            raise InvalidCalendarData(f"An entry has {name} twice.")
    if counts.get("ATTENDEE", 0) > MAX_ATTENDEES:
        raise TooManyAttendees()
    if entry.name == "VEVENT" and "DTSTART" not in counts:
        raise InvalidCalendarData("An event has no DTSTART.")
    _check_span(entry, calendar)
    if "EXRULE" in counts:
        raise UnsupportedRecurrence("Rules for exceptions (EXRULE) are not supported.")
    if counts.get("RRULE", 0) > MAX_RULES:
        raise UnsupportedRecurrence(f"An entry repeats by at most {MAX_RULES} rules.")
    for line in entry.lines("RRULE"):
        _check_rule(line, entry, calendar, is_head)
    _check_lists(entry, calendar)


def _check_span(entry: Component, calendar: Component) -> None:
    read: dict[str, datetime | date] = {}
    for name in _TIMES:
        line = entry.first(name)
        if line is not None:
            read[name] = read_time(line, _FLOATING, calendar)
    start, end = read.get("DTSTART"), read.get("DTEND", read.get("DUE"))
    if start is not None and end is not None:
        # A DATE beside a time, or a floating time beside a fixed one, is wrong, and written: then a day says nothing.
        slack = timedelta(0) if _form(start) == _form(end) else timedelta(days=1)
        if instant(end, UTC) + slack < instant(start, UTC):
            raise InvalidCalendarData("An entry ends before it starts.")
    duration = entry.value("DURATION")
    if duration is not None and read_duration(duration) < timedelta(0):
        raise InvalidCalendarData("An entry ends before it starts.")
    if duration is not None and start is not None:
        instant_end = instant(start, UTC).year + read_duration(duration).days // 365
        if instant_end > LAST_YEAR:
            raise AfterMaxDateTime("An entry is too long.")


def _form(value: datetime | date) -> str:
    if not isinstance(value, datetime):
        return "date"
    return "floating" if value.tzinfo is _FLOATING else "fixed"


def _check_rule(line: Line, entry: Component, calendar: Component, is_head: bool) -> None:
    plain = normalise(line.value)
    if plain != line.value:
        line.value, line.raw = plain, ""
    rule = read_rule(plain)
    if rule.until and int(rule.until[:4]) <= LAST_YEAR:
        read_time(Line("UNTIL", rule.until), UTC)
    begin = entry.first("DTSTART")
    if begin is None:
        return
    start = read_time(begin, UTC, calendar)
    first = start.date() if isinstance(start, datetime) else start
    if rule.freq in ("DAILY", "WEEKLY") and first.year < FIRST_FREQUENT_YEAR:
        raise InvalidCalendarData(f"Entries that repeat by day or week begin in {FIRST_FREQUENT_YEAR} or later.")
    if is_head and not ever_matches(rule, first, date(LAST_YEAR, 12, 31)):
        raise UnsupportedRecurrence("The rule of the repetition matches no day.")


def _check_lists(entry: Component, calendar: Component) -> None:
    for name, most in (("EXDATE", MAX_EXDATES), ("RDATE", MAX_RDATES)):
        lines = entry.lines(name)
        if sum(line.value.count(",") + 1 for line in lines) > most:
            raise TooManyInstances()
        for line in lines:
            if name == "EXDATE":
                read_times(line, UTC, calendar)
            elif any(end is not None and end < instant(start, UTC) for start, end in read_periods(line, UTC, calendar)):
                raise InvalidCalendarData("A period ends before it starts.")


def _year_in(text: str, first: int) -> bool:
    return text.isascii() and text.isdigit() and first <= int(text) <= LAST_YEAR
