"""Calendar apps as pure functions: what each would send back of an appointment that it was served, and left alone.

Each makes of the served text what its app is known to make of it: what it drops, rewrites and adds. An edit is made on
what comes out. The fixtures in tests/calendars show the same for real edits.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from ical.appointment import category_list
from ical.lines import Component, Line, escape, parse
from ical.recurrence import master
from ical.times import instant, read_time, read_times, utc_text

STAMP = "20261122T190954Z"
VIENNA = ZoneInfo("Europe/Vienna")

# Thunderbird's zone begins with local mean time, and every rule there ever was stands in it.
SINCE_1893 = """BEGIN:VTIMEZONE
TZID:Europe/Vienna
X-TZINFO:Europe/Vienna[2026f]
BEGIN:STANDARD
TZOFFSETTO:+010000
TZOFFSETFROM:+010521
TZNAME:Europe/Vienna(STD)
DTSTART:18930401T000000
RDATE:18930401T000000
END:STANDARD
BEGIN:DAYLIGHT
TZOFFSETTO:+020000
TZOFFSETFROM:+010000
TZNAME:Europe/Vienna(DST)
DTSTART:19160430T230000
RDATE:19160430T230000
END:DAYLIGHT
BEGIN:STANDARD
TZOFFSETTO:+010000
TZOFFSETFROM:+020000
TZNAME:Europe/Vienna(STD)
DTSTART:19961027T030000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
END:STANDARD
BEGIN:DAYLIGHT
TZOFFSETTO:+020000
TZOFFSETFROM:+010000
TZNAME:Europe/Vienna(DST)
DTSTART:19810329T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
END:DAYLIGHT
END:VTIMEZONE
"""
# Outlook names a zone as Windows does; DDay.iCal writes it so.
WINDOWS = """BEGIN:VTIMEZONE
TZID:W. Europe Standard Time
BEGIN:STANDARD
DTSTART:20001029T030000
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:20000326T020000
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
END:DAYLIGHT
END:VTIMEZONE
"""


def events(calendar: Component) -> list[Component]:
    return calendar.components("VEVENT")


def drops_unknown(served: str) -> str:
    """Outlook CalDav Synchronizer: a new VEVENT of what Outlook has a field for; one alarm; STATUS only if cancelled."""
    calendar = parse(served)
    for event in events(calendar):
        old = event.copy()
        event.children = []
        for name in (
            "UID",
            "RECURRENCE-ID",
            "DTSTART",
            "DTEND",
            "RRULE",
            "EXDATE",
            "SUMMARY",
            "DESCRIPTION",
            "LOCATION",
        ):
            for line in old.lines(name):
                event.insert(_windows(line))
        for name in ("CLASS", "TRANSP"):
            event.set(name, old.value(name) or "")
        if category_list(old):
            event.set("CATEGORIES", ",".join(map(escape, category_list(old))))
        if (old.value("STATUS") or "") == "CANCELLED":
            event.set("STATUS", "CANCELLED")
        for name, value in (("DTSTAMP", STAMP), ("SEQUENCE", "0"), ("PRIORITY", "5")):
            event.set(name, value)
        event.set("X-MICROSOFT-CDO-BUSYSTATUS", "BUSY")
        for alarm in old.components("VALARM")[:1]:
            event.children.append(_display(alarm, "This is an event reminder"))
    return _finished(calendar, "-//ddaysoftware.com//NONSGML DDay.iCal 1.0//EN", WINDOWS)


def davx5_like(served: str) -> str:
    """DAVx5: first CATEGORIES line only, no DTSTAMP, mail alarms as DISPLAY, RSVP, cancelled occurrences as EXDATE."""
    calendar = parse(served)
    head = master(calendar)
    for event in events(calendar):
        event.remove("DTSTAMP", "LAST-MODIFIED", "CREATED")
        for line in event.lines("CATEGORIES")[1:]:
            event.children.remove(line)
        for line in event.lines("ATTENDEE"):
            line.params, line.raw = (*(pair for pair in line.params if pair[0] != "RSVP"), ("RSVP", ("TRUE",))), ""
        event.children = [_display(child) if isinstance(child, Component) else child for child in event.children]
        cancelled = head is not None and event is not head and event.value("STATUS") == "CANCELLED"
        line = event.first("RECURRENCE-ID")
        if cancelled and head is not None and line is not None:
            head.add("EXDATE", line.value, line.params)
            calendar.children = [child for child in calendar.children if child is not event]
    return _finished(calendar, "DAVx5/4.4.6-ose ical4j/3.2.19")


def thunderbird_like(served: str) -> str:
    """Thunderbird: CATEGORIES in a line each, X-MOZ-*, its own stamps, VTIMEZONE from 1893; it keeps what it is sent."""
    calendar = parse(served)
    for event in events(calendar):
        _categories_apart(event)
        for name in ("DTSTAMP", "LAST-MODIFIED"):
            event.set(name, STAMP)
        event.set("X-MOZ-GENERATION", "3")
        event.set("X-MOZ-LASTACK", STAMP)
    return _finished(calendar, "-//Mozilla.org/NONSGML Mozilla Calendar V1.1//EN", SINCE_1893)


def evolution_like(served: str) -> str:
    """Evolution: keeps DTSTAMP, EXDATE in UTC and in the overrides as well, CATEGORIES in a line each."""
    calendar = parse(served)
    head = master(calendar)
    excluded = [] if head is None else [moment for line in head.lines("EXDATE") for moment in read_times(line, VIENNA)]
    for event in events(calendar):
        _categories_apart(event)
        event.remove("EXDATE")
        for moment in excluded:
            event.add("EXDATE", utc_text(instant(moment, VIENNA)))
        event.set("LAST-MODIFIED", STAMP)
    return _finished(calendar, "-//Ximian//NONSGML Evolution Calendar//EN")


def apple_like(served: str) -> str:
    """macOS and iOS: properties in another order, alarms with X-WR-ALARMUID, travel advice, an own SEQUENCE."""
    calendar = parse(served)
    for event in events(calendar):
        event.children = sorted(event.lines(), key=lambda line: line.name) + event.components()
        event.set("X-APPLE-TRAVEL-ADVISORY-BEHAVIOR", "AUTOMATIC")
        event.set("LAST-MODIFIED", STAMP)
        for alarm in event.components("VALARM"):
            alarm.set("X-WR-ALARMUID", alarm.value("UID") or "4F0C")
    return _finished(calendar, "-//Apple Inc.//macOS 15.1//EN")


APPS: dict[str, Callable[[str], str]] = {
    "outlook": drops_unknown,
    "davx5": davx5_like,
    "thunderbird": thunderbird_like,
    "evolution": evolution_like,
    "apple": apple_like,
}


def split(served: str, at: datetime, uid: str) -> tuple[str, str]:
    """ "This and all following" from the occurrence at `at` on, in most apps: (the old UID's past, the new UID's rest)."""
    past, rest = parse(served), parse(served)
    _until(past, at)
    _from(rest, at)
    for event in events(rest):
        event.set("UID", uid)
    return past.text(), rest.text()


def apple_split(served: str, at: datetime, uid: str) -> tuple[str, str]:
    """The same in macOS: (the old UID's rest, the new UID's past)."""
    past, rest = parse(served), parse(served)
    _until(past, at)
    _from(rest, at)
    for event in events(past):
        event.set("UID", uid)
    return apple_like(rest.text()), apple_like(past.text())


def _until(calendar: Component, at: datetime) -> None:
    head = master(calendar)
    assert head is not None
    head.set("RRULE", f"FREQ=WEEKLY;UNTIL={utc_text(at - timedelta(seconds=1))}")
    _keep_overrides(calendar, lambda moment: moment < at)


def _from(calendar: Component, at: datetime) -> None:
    """The rule counts on from `at`."""
    head = master(calendar)
    assert head is not None
    begin = head.first("DTSTART")
    assert begin is not None
    first = read_time(begin, VIENNA)
    assert isinstance(first, datetime)
    weeks = (at.astimezone(VIENNA).date() - first.date()).days // 7
    count = int((head.value("RRULE") or "").partition("COUNT=")[2])
    head.set("RRULE", f"FREQ=WEEKLY;COUNT={count - weeks}")
    for name in ("DTSTART", "DTEND"):
        line = head.first(name)
        assert line is not None
        wall = read_time(line, VIENNA)
        assert isinstance(wall, datetime)
        head.set(name, f"{wall.astimezone(VIENNA) + timedelta(weeks=weeks):%Y%m%dT%H%M%S}", line.params)
    _keep_overrides(calendar, lambda moment: moment >= at)


def _keep_overrides(calendar: Component, wanted: Callable[[datetime], bool]) -> None:
    kept: list[Line | Component] = []
    for child in calendar.children:
        line = child.first("RECURRENCE-ID") if isinstance(child, Component) else None
        if line is None or wanted(instant(read_time(line, VIENNA), VIENNA)):
            kept.append(child)
    calendar.children = kept


def _categories_apart(event: Component) -> None:
    categories = category_list(event)
    event.remove("CATEGORIES")
    for category in categories:
        event.add("CATEGORIES", escape(category))


def _display(alarm: Component, text: str = "") -> Component:
    made = Component("VALARM")
    made.add("ACTION", "DISPLAY")
    for line in alarm.lines("TRIGGER"):
        made.insert(line)
    made.add("DESCRIPTION", escape(text) or alarm.value("DESCRIPTION") or "")
    return made


def _windows(line: Line) -> Line:
    if line.param("TZID") != "Europe/Vienna":
        return line
    return Line(line.name, line.value, (("TZID", ("W. Europe Standard Time",)),))


def _finished(calendar: Component, product: str, zone: str = "") -> str:
    calendar.set("PRODID", product)
    if zone and calendar.components("VTIMEZONE"):
        at = calendar.children.index(calendar.components("VTIMEZONE")[0])
        calendar.children = [c for c in calendar.children if not (isinstance(c, Component) and c.name == "VTIMEZONE")]
        calendar.children.insert(at, parse(zone.replace("\n", "\r\n")))
    return calendar.text()


def now() -> datetime:
    """The moment of STAMP."""
    return datetime(2026, 11, 22, 19, 9, 54, tzinfo=UTC)
