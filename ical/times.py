"""Times as content lines and as instants. RFC 5545 §3.3.4 to §3.3.6, §3.3.9, §3.6.1, §3.8.2.

A floating time is read in the zone that is passed in, a DATE as that day from local midnight to local midnight.
"""

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from ical.errors import AfterMaxDateTime, BeforeMinDateTime, InvalidCalendarData
from ical.lines import Component, Line
from ical.timezones import resolve

# Beyond these years nobody has an appointment, and arithmetic in UTC would leave what datetime can hold.
FIRST_YEAR, LAST_YEAR = 1600, 2200

_DURATION = re.compile(
    r"([+-]?)P(?:(\d{1,6})W|(?=[\dT])(?:(\d{1,6})D)?(?:T(?=\d)(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,8})S)?)?)"
)


def read_time(line: Line, zone: tzinfo, calendar: Component | None = None) -> datetime | date:
    """The DATE or DATE-TIME of `line`, aware in its own zone. Raises InvalidCalendarData."""
    return _read_value(line.value.strip(), _zone_of(line, zone, calendar))


def read_times(line: Line, zone: tzinfo, calendar: Component | None = None) -> list[datetime | date]:
    """The members of an EXDATE or RDATE list; of a PERIOD its start. Raises InvalidCalendarData."""
    return [start for start, _ in read_periods(line, zone, calendar)]


def read_periods(
    line: Line, zone: tzinfo, calendar: Component | None = None
) -> list[tuple[datetime | date, datetime | None]]:
    """The members of an RDATE list as (start, end); the end is None unless the member is a PERIOD."""
    found: list[tuple[datetime | date, datetime | None]] = []
    meant = _zone_of(line, zone, calendar)
    for member in line.value.split(","):
        first, slash, second = member.strip().partition("/")
        if not first:
            continue
        start = _read_value(first, meant)
        end: datetime | None = None
        if slash and isinstance(start, datetime):
            if "P" in second:
                end = start.astimezone(UTC) + read_duration(second)
            else:
                end = instant(_read_value(second, meant), zone)
        found.append((start, end))
    return found


def read_duration(value: str) -> timedelta:
    """A DURATION (RFC 5545 §3.3.6). Raises InvalidCalendarData."""
    match = _DURATION.fullmatch(value.strip())
    if match is None:
        raise InvalidCalendarData("A duration cannot be read.")
    weeks, days, hours, minutes, seconds = (int(group or 0) for group in match.groups()[1:])
    size = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    return -size if match[1] == "-" else size


def instant(value: datetime | date, zone: tzinfo) -> datetime:
    """`value` in UTC; a date is its local midnight in `zone`, a naive time is local there."""
    if not isinstance(value, datetime):
        value = datetime.combine(value, time(), zone)
    elif value.tzinfo is None:
        value = value.replace(tzinfo=zone)
    return value.astimezone(UTC)


def utc_text(moment: datetime) -> str:
    """`YYYYMMDDTHHMMSSZ`: the UTC form of DATE-TIME, and the key of an occurrence."""
    m = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return f"{m.year:04d}{m.month:02d}{m.day:02d}T{m.hour:02d}{m.minute:02d}{m.second:02d}Z"


def parse_utc_text(text: str) -> datetime:
    """The instant of a `utc_text`. Raises InvalidCalendarData."""
    if len(text) != 16 or text[15] != "Z":
        raise InvalidCalendarData("A time in UTC cannot be read.")
    # In UTC the first and the last local day reach into the years beside them.
    return _read_naive(text[:15], beyond=1).replace(tzinfo=UTC)


def set_time(component: Component, name: str, moment: datetime, zone: ZoneInfo) -> None:
    """Write `moment` as local time with TZID. The later instant of a repeated hour has no such form and stays UTC."""
    local = moment.astimezone(zone)
    if local.fold or zone.key in ("UTC", "Etc/UTC"):
        component.set(name, utc_text(moment))
    else:
        component.set(name, f"{local:%Y%m%dT%H%M%S}", (("TZID", (zone.key,)),))


def span(component: Component, zone: tzinfo, calendar: Component | None = None) -> tuple[datetime, datetime, bool]:
    """(start, end, all day) in UTC. Without DTEND and DURATION a DATE lasts its day, a time no time at all.

    A VTODO without DTSTART is the moment of its DUE. Raises InvalidCalendarData without any time.
    """
    begin = component.first("DTSTART")
    finish = component.first("DUE" if component.name == "VTODO" else "DTEND")
    if begin is None and component.name == "VTODO":
        begin = finish
    if begin is None:
        raise InvalidCalendarData("An entry has no start.")
    start = read_time(begin, zone, calendar)
    all_day = not isinstance(start, datetime)
    if finish is not None:
        end = instant(read_time(finish, zone, calendar), zone)
    else:
        duration = component.value("DURATION")
        end = instant(later(start, read_duration(duration)) if duration else start, zone)
    first = instant(start, zone)
    if all_day and end <= first:
        end = instant(later(start, timedelta(days=1)), zone)
    return first, end, all_day


def later(start: datetime | date, duration: timedelta) -> datetime | date:
    """`start` after a DURATION: its days are days of the calendar, its hours are hours (RFC 5545 §3.3.6)."""
    if not isinstance(start, datetime):
        return start + timedelta(days=duration.days)
    days = timedelta(days=duration.days)
    moved = start + days
    return (moved.astimezone(UTC) + (duration - days)).astimezone(start.tzinfo)


def _zone_of(line: Line, zone: tzinfo, calendar: Component | None) -> tzinfo:
    tzid = line.param("TZID") if line.params else None
    # TZID means nothing beside a DATE or a time in UTC, and some apps write it there.
    if not tzid or line.value.rstrip()[-1:] in ("Z", "z") or len(line.value.strip()) == 8:
        return zone
    meaning = resolve(tzid, calendar)
    if meaning is None:
        raise InvalidCalendarData("A time zone is not known.")
    return meaning


def _read_value(text: str, zone: tzinfo) -> datetime | date:
    if len(text) == 8:
        return _read_naive(text).date()
    if text[-1:] in ("Z", "z"):
        return _read_naive(text[:-1]).replace(tzinfo=UTC)
    return _read_naive(text).replace(tzinfo=zone)


def _read_naive(text: str, beyond: int = 0) -> datetime:
    # Old versions of iCal wrote 20031114T18300.
    clock = text[9:].ljust(6, "0") if len(text) in (14, 15) and text[8] in "Tt" else text[8:]
    digits = text[:8] + clock
    whole = len(text) == 8 or (len(digits) == 14 and len(text) > 8 and text[8] in "Tt")
    if not (whole and digits.isascii() and digits.isdigit()):
        raise InvalidCalendarData("A date or time cannot be read.")
    numbers = [int(digits[0:4])] + [int(digits[at : at + 2]) for at in range(4, len(digits), 2)]
    if numbers[0] < FIRST_YEAR - beyond:
        raise BeforeMinDateTime(f"A year is before {FIRST_YEAR}.")
    if numbers[0] > LAST_YEAR + beyond:
        raise AfterMaxDateTime(f"A year is after {LAST_YEAR}.")
    if len(numbers) == 6 and numbers[5] == 60:
        numbers[5] = 59
    try:
        return datetime(*numbers)  # type: ignore[arg-type]
    except ValueError:
        raise InvalidCalendarData("A date or time does not exist.") from None
