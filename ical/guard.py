"""Judges calendar data from outside before any library sees it. RFC 4791 §5.3.2.1, RFC 5545.

Other parsers can be stopped by one event of 200 bytes; here every check is linear in the size of the data. What is
refused, though legal, is listed in docs/reference/limits.md. `check` is for one object of a client (PUT), strict;
`check_calendar_file` is for files from anywhere (import): it repairs what can be repaired and says so.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from ical.errors import (
    AfterMaxDateTime,
    InvalidCalendarData,
    InvalidObjectResource,
    Refusal,
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
from ical.timezones import ensure_vtimezones, rename_tzid, resolve

MAX_OBJECT = 256 * 1024
MAX_FILE = 8 * 1024 * 1024
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
_FOLD = re.compile(rb"\r?\n[ \t]")
_FOLD_IN_CHARACTER = re.compile(rb"\r?\n[ \t](?=[\x80-\xbf])")
_BOM = b"\xef\xbb\xbf"
_ONCE = ("UID", "DTSTART", "DTEND", "DUE", "DURATION", "RECURRENCE-ID", "SEQUENCE", "STATUS")
_TIMES = ("DTSTART", "DTEND", "DUE", "RECURRENCE-ID")
# Marks times that have no zone of their own.
_FLOATING = timezone(timedelta(0), "floating")


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import found: one VCALENDAR a UID, (UID, reason) of what was refused, and what was repaired."""

    objects: list[Component] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def check(data: bytes, *, component: str | None = "VEVENT", max_size: int = MAX_OBJECT) -> Component:
    """The calendar object in `data`: one UID, one kind of entry (`component`, or any of ENTRIES when None).

    Raises ResourceTooLarge, UnsupportedComponent, TooManyInstances, TooManyAttendees, or InvalidCalendarData and what
    is derived from it: each says by its `precondition` what of RFC 4791 §5.3.2.1 was not met.
    """
    if len(data) > max_size:
        raise ResourceTooLarge()
    calendar = parse(_decoded(data))
    if calendar.first("METHOD") is not None:
        raise InvalidObjectResource("Messages (METHOD) are not stored in a calendar.")
    for block in calendar.walk():
        if (block.value("ACTION") or "").strip().upper() == "PROCEDURE":
            raise InvalidCalendarData("Alarms that start a program are not stored.")
    _check_object(calendar, component)
    return calendar


def check_message(data: bytes) -> Component:
    """The iTIP message in `data` (RFC 5546), which is read and not stored: its size, its lines and its time zones are
    within bounds. Raises ResourceTooLarge or InvalidCalendarData."""
    if len(data) > MAX_OBJECT:
        raise ResourceTooLarge()
    calendar = parse(_decoded(data))
    _check_frame(calendar)
    return calendar


def check_calendar_file(data: bytes, zone: tzinfo) -> ImportResult:
    """The objects of an iCalendar file, each judged alone: a bad one does not spoil the others.

    Unknown time zones become `zone`. Raises ResourceTooLarge above 8 MiB and InvalidCalendarData when there is no
    calendar in it at all.
    """
    if len(data) > MAX_FILE:
        raise ResourceTooLarge()
    if b"\n" not in data:
        data = data.replace(b"\r", b"\n")
    zones, entries = _blocks(data.removeprefix(_BOM))
    if not entries and b"BEGIN:VCALENDAR" not in data.upper():
        raise InvalidCalendarData("There is no calendar in this file.")
    result = ImportResult()
    definitions = _definitions(zones, result)
    for (_, uid), parts in _by_uid(entries, result).items():
        try:
            result.objects.append(_imported(parts, definitions, zone, uid, result))
        except Refusal as refusal:
            result.refused.append((uid, refusal.sentence))
    return result


# The object


def _decoded(data: bytes) -> str:
    """`data` as text, its folds kept, except those inside a character. Raises InvalidCalendarData."""
    data = data.removeprefix(_BOM)
    if _FORBIDDEN.search(data):
        raise InvalidCalendarData("The calendar data holds characters that cannot be in a calendar.")
    if data.count(b"\n") > MAX_LINES:
        raise InvalidCalendarData("There are too many lines.")
    if max(map(len, _FOLD.sub(b"", data).split(b"\n"))) > MAX_LINE:
        raise InvalidCalendarData("A line is too long.")
    try:
        return data.decode()
    except UnicodeDecodeError:
        pass
    try:
        return _FOLD_IN_CHARACTER.sub(b"", data).decode()
    except UnicodeDecodeError:
        raise InvalidCalendarData("The calendar data is not UTF-8.") from None


def _check_object(calendar: Component, component: str | None) -> None:
    _check_frame(calendar)
    entries = [c for c in calendar.components() if c.name != "VTIMEZONE" and not c.name.startswith("X-")]
    kinds = {entry.name for entry in entries}
    if kinds - ({component} if component else set(ENTRIES)):
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
        _check_timezone(block)


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


def _check_timezone(block: Component) -> None:
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


# The file


@dataclass(slots=True)
class _Block:
    """The physical lines of a BEGIN…END at the calendar's level; `broken` says that its end is missing."""

    name: str
    lines: list[bytes] = field(default_factory=list)
    broken: bool = False

    def logical(self) -> list[bytes]:
        return _FOLD.sub(b"", b"".join(self.lines)).splitlines()


def _blocks(data: bytes) -> tuple[list[_Block], list[_Block]]:
    """The VTIMEZONEs and the entries, wherever they stand: files hold several calendars, and forget ENDs."""
    zones: list[_Block] = []
    entries: list[_Block] = []
    current: _Block | None = None
    for line in data.splitlines(keepends=True) if b"\r\r\n" not in data else _tidied(data):
        begun = _begun(line)
        if begun in ("VTIMEZONE", *ENTRIES):
            if current is not None:
                current.broken = True
            current = _Block(begun)
            (zones if begun == "VTIMEZONE" else entries).append(current)
        if current is None:
            continue
        current.lines.append(line)
        if line[:4].upper() == b"END:" and line[4:].strip().upper() == current.name.encode():
            current = None
    if current is not None:
        current.broken = True
    return zones, entries


def _tidied(data: bytes) -> list[bytes]:
    return data.replace(b"\r\r\n", b"\r\n").splitlines(keepends=True)


def _begun(line: bytes) -> str:
    return line[6:].strip().upper().decode("ascii", "replace") if line[:6].upper() == b"BEGIN:" else ""


def _definitions(zones: list[_Block], result: ImportResult) -> dict[str, Component]:
    """The file's VTIMEZONEs by TZID; a broken one is left out, its TZID then counts as unknown."""
    found: dict[str, Component] = {}
    for block in zones:
        try:
            zone = parse(_decoded(b"".join(block.lines)))
            _check_timezone(zone)
        except Refusal:
            result.warnings.append("A time zone of the file could not be read.")
            continue
        found.setdefault(zone.plain("TZID").strip(), zone)
    return found


def _by_uid(entries: list[_Block], result: ImportResult) -> dict[tuple[str, str], list[_Block]]:
    """The entries of one kind and UID together, in the file's order. Two masters of one UID stay two objects."""
    found: dict[tuple[str, str], list[_Block]] = {}
    masters: dict[tuple[str, str], bytes] = {}
    for block in entries:
        logical = block.logical()
        raw = next((line[4:] for line in logical if line[:4].upper() == b"UID:"), b"")
        if not raw:
            raw = next((line.partition(b":")[2] for line in logical if line[:4].upper() == b"UID;"), b"")
        digest = hashlib.sha256(b"\n".join(logical)).hexdigest()
        uid = raw.decode("utf-8", "replace").strip()
        if not uid:
            uid = f"import-{digest[:32]}"
            result.warnings.append(f"{uid}: had no UID and was given this one.")
        key = (block.name, uid)
        if not any(line.upper().startswith((b"RECURRENCE-ID:", b"RECURRENCE-ID;")) for line in logical):
            if masters.get(key) == b"\n".join(logical):
                continue
            if key in masters:
                key = (block.name, f"{uid[:200]}-{digest[:16]}")
                result.warnings.append(f"{uid}: stands twice in the file; the second became {key[1]}.")
            masters[key] = b"\n".join(logical)
        found.setdefault(key, []).append(block)
    return found


def _imported(
    parts: list[_Block], definitions: dict[str, Component], zone: tzinfo, uid: str, result: ImportResult
) -> Component:
    if sum(len(line) for part in parts for line in part.lines) > MAX_OBJECT:
        raise ResourceTooLarge()
    calendar = Component("VCALENDAR")
    calendar.add("VERSION", "2.0")
    calendar.add("PRODID", "-//ClinicDAV//Import//EN")
    notes: list[str] = []
    for part in parts:
        if part.broken:
            raise InvalidCalendarData("The entry has no end.")
        entry = parse(_decoded(b"".join(_readable(part, notes))))
        if (entry.value("UID") or "").strip() != uid:
            entry.set("UID", uid)
        _repair(entry, notes)
        calendar.children.append(entry)
    used = {line.param("TZID") for entry in calendar.components() for line in _zoned(entry)}
    at = next(i for i, child in enumerate(calendar.children) if isinstance(child, Component))
    calendar.children[at:at] = [definitions[tzid].copy() for tzid in sorted(t for t in used if t in definitions)]
    _replace_unknown_zones(calendar, zone, notes)
    _check_object(calendar, None)
    ensure_vtimezones(calendar)
    result.warnings.extend(f"{uid}: {note}" for note in dict.fromkeys(notes))
    return calendar


def _readable(part: _Block, notes: list[str]) -> Iterator[bytes]:
    """The lines of `part` without those that are no content lines."""
    logical: list[bytes] = []
    for line in part.lines:
        if logical and line[:1] in (b" ", b"\t"):
            logical[-1] += line
        else:
            logical.append(line)
    for line in logical:
        name = re.match(rb"[A-Za-z0-9-]+(?=[:;])", _FOLD.sub(b"", line))
        if name is None and line.strip():
            notes.append("a line that is no property was left out")
        elif not (name and name[0].upper() == b"METHOD"):
            yield line


def _repair(entry: Component, notes: list[str]) -> None:
    kept: list[Line | Component] = []
    for child in entry.children:
        if isinstance(child, Component) and (child.value("ACTION") or "").strip().upper() == "PROCEDURE":
            notes.append("an alarm that starts a program was left out")
        elif isinstance(child, Line) and child.name in ("DTEND", "DUE", "DURATION") and not _is_readable(child):
            notes.append(f"its {child.name} could not be read and was left out")
        else:
            kept.append(child)
    entry.children = kept


def _is_readable(line: Line) -> bool:
    try:
        if line.name == "DURATION":
            read_duration(line.value)
        else:
            read_time(Line(line.name, line.value), UTC)
    except Refusal:
        return False
    return True


def _zoned(entry: Component) -> Iterator[Line]:
    for part in entry.walk():
        for line in part.lines():
            if line.params and line.param("TZID"):
                yield line


def _replace_unknown_zones(calendar: Component, zone: tzinfo, notes: list[str]) -> None:
    for entry in calendar.components(*ENTRIES):
        for line in _zoned(entry):
            tzid = line.param("TZID") or ""
            if resolve(tzid, calendar) is not None:
                continue
            if isinstance(zone, ZoneInfo):
                rename_tzid(line, zone.key)
            else:
                line.params = tuple(pair for pair in line.params if pair[0] != "TZID")
                line.raw = ""
            notes.append(f"the time zone {tzid[:60]!r} is not known; the calendar's own was taken")
