"""What of a calendar object an app wants: expanded, limited, in part, or joined. RFC 4791 §9.6."""

import re
from dataclasses import dataclass
from datetime import datetime, tzinfo
from xml.etree.ElementTree import Element

from caldav_bridge import filters
from caldav_bridge.filters import BadFilter, TimeRange
from caldav_bridge.limits import MAX_EXPANSION
from caldav_bridge.xml import caldav
from ical import lines, recurrence, times
from ical.lines import Component, Line

_REPEATING = ("RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID")
_ZONE = re.compile(r"^BEGIN:VTIMEZONE\r?\n.*?^END:VTIMEZONE\r?\n", re.DOTALL | re.MULTILINE)
_TZID = re.compile(r"^TZID[^:\r\n]*:(.*?)\r?$", re.MULTILINE)
_FIRST = re.compile(r"^BEGIN:V(?!CALENDAR)", re.MULTILINE)
_LAST = re.compile(r"^END:VCALENDAR\r?\n?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Part:
    """A CALDAV:comp: the properties (name → whether without its value; None: all) and components to keep."""

    name: str
    props: dict[str, bool] | None
    comps: "dict[str, Part] | None"


@dataclass(frozen=True, slots=True)
class CalendarData:
    """What a CALDAV:calendar-data in a request asks for."""

    expand: TimeRange | None = None
    limit: TimeRange | None = None
    part: Part | None = None

    @property
    def is_whole(self) -> bool:
        return self.expand is None and self.limit is None and self.part is None


class UnsupportedData(Exception):
    """A media type other than text/calendar 2.0 was asked for."""


class TooWide(Exception):
    """An expansion over more than a year was asked for."""


def read(element: Element) -> CalendarData:
    """Raises UnsupportedData, TooWide, BadFilter."""
    kind = element.get("content-type") or "text/calendar"
    version = element.get("version") or "2.0"
    if kind.lower() != "text/calendar" or version != "2.0":
        raise UnsupportedData()
    expand = _range(element, "expand")
    if expand is not None and expand.last - expand.first > MAX_EXPANSION:
        raise TooWide()
    # §9.6.7: no VFREEBUSY is stored, so there is nothing to limit.
    _range(element, "limit-freebusy-set")
    comp = element.find(caldav("comp"))
    return CalendarData(expand, _range(element, "limit-recurrence-set"), None if comp is None else _part(comp))


def _range(element: Element, name: str) -> TimeRange | None:
    found = element.find(caldav(name))
    if found is None:
        return None
    span = filters.time_range(found)
    if span.start is None or span.end is None:
        raise BadFilter()
    return span


def _part(element: Element) -> Part:
    props: dict[str, bool] | None = {}
    comps: dict[str, Part] | None = {}
    for inner in element:
        if inner.tag == caldav("allprop"):
            props = None
        elif inner.tag == caldav("allcomp"):
            comps = None
        elif inner.tag == caldav("prop") and props is not None:
            props[(inner.get("name") or "").upper()] = inner.get("novalue") == "yes"
        elif inner.tag == caldav("comp") and comps is not None:
            part = _part(inner)
            comps[part.name] = part
    return Part((element.get("name") or "").upper(), props, comps)


def apply(wanted: CalendarData, text: str, zone: tzinfo) -> tuple[str, int]:
    """The text to send, and how many instances it was expanded to. Raises TooManyInstances."""
    calendar = lines.parse(_with_crlf(text))
    if wanted.expand is not None:
        text, count = expanded(calendar, wanted.expand, zone)
        return (text, count) if wanted.part is None else (chosen(lines.parse(text), wanted.part).text(), count)
    if wanted.limit is not None:
        calendar = limited(calendar, wanted.limit, zone)
    if wanted.part is not None:
        calendar = chosen(calendar, wanted.part)
    return calendar.text(), 0


def _with_crlf(text: str) -> str:
    """The text with the line ends of RFC 5545 §3.1: what is written anew has them, and what is kept may not."""
    return text if text.count("\n") == text.count("\r\n") else text.replace("\r\n", "\n").replace("\n", "\r\n")


def expanded(calendar: Component, span: TimeRange, zone: tzinfo) -> tuple[str, int]:
    """Each occurrence in the range as a component of its own, in UTC, without rules and zones (§9.6.5)."""
    found = recurrence.occurrences(calendar, zone, span.first, span.last)
    head = recurrence.master(calendar)
    start = None if head is None else head.first("DTSTART")
    whole_days = start is not None and len(start.value) == 8
    models: dict[int, _Model] = {}
    parts = [calendar.begin or "BEGIN:VCALENDAR\r\n", *(line.text() for line in calendar.lines())]
    for occurrence in found:
        key = id(occurrence.component)
        if key not in models:
            models[key] = _Model.of(occurrence.component)
        parts.append(models[key].at(occurrence, zone, whole_days))
    parts.append(calendar.end or "END:VCALENDAR\r\n")
    return "".join(parts), len(found)


@dataclass(frozen=True, slots=True)
class _Model:
    """A component's text around the lines that differ between its occurrences."""

    before: str
    after: str
    start: bool
    end: str

    @classmethod
    def of(cls, component: Component) -> "_Model":
        end = "DUE" if component.name == "VTODO" else "DTEND"
        dropped = {*_REPEATING, "DTSTART", end}
        kept = [c.text() for c in component.children if isinstance(c, Component) or c.name not in dropped]
        return cls(
            component.begin or f"BEGIN:{component.name}\r\n",
            "".join(kept) + (component.end or f"END:{component.name}\r\n"),
            component.first("DTSTART") is not None,
            end if component.first(end) is not None else "",
        )

    def at(self, occurrence: recurrence.Occurrence, zone: tzinfo, whole_days: bool) -> str:
        own = ""
        if self.start:
            own += _line("DTSTART", occurrence.start, zone, occurrence.all_day)
        if self.end:
            own += _line(self.end, occurrence.end, zone, occurrence.all_day)
        if occurrence.recurrence_id:
            if whole_days:
                own += _line("RECURRENCE-ID", times.parse_utc_text(occurrence.recurrence_id), zone, True)
            else:
                own += f"RECURRENCE-ID:{occurrence.recurrence_id}\r\n"
        return f"{self.before}{own}{self.after}"


def _line(name: str, moment: datetime, zone: tzinfo, whole_day: bool) -> str:
    if whole_day:
        return f"{name};VALUE=DATE:{moment.astimezone(zone):%Y%m%d}\r\n"
    return f"{name}:{times.utc_text(moment)}\r\n"


def limited(calendar: Component, span: TimeRange, zone: tzinfo) -> Component:
    """The master, and of the overrides those that touch the range (§9.6.6)."""
    dropped = {
        id(override) for override in recurrence.overrides(calendar) if not _touches(override, calendar, span, zone)
    }
    if recurrence.master(calendar) is None or not dropped:
        return calendar
    kept = [inner for inner in calendar.children if id(inner) not in dropped]
    return Component(calendar.name, kept, calendar.begin, calendar.end)


def _touches(override: Component, calendar: Component, span: TimeRange, zone: tzinfo) -> bool:
    start, end, _all_day = times.span(override, zone, calendar)
    if span.holds(start, end):
        return True
    line = override.first("RECURRENCE-ID")
    if line is None:
        return True
    if (line.param("RANGE") or "").upper() == "THISANDFUTURE":
        return True
    was = times.instant(times.read_time(line, zone, calendar), zone)
    return span.holds(was, was + (end - start))


def chosen(calendar: Component, part: Part) -> Component:
    """Only the named properties and components (§9.6.1)."""
    kept: list[Line | Component] = []
    for inner in calendar.children:
        if isinstance(inner, Component):
            if part.comps is None:
                kept.append(inner)
            elif inner.name in part.comps:
                kept.append(chosen(inner, part.comps[inner.name]))
        elif part.props is None:
            kept.append(inner)
        elif inner.name in part.props:
            kept.append(Line(inner.name, "", inner.params) if part.props[inner.name] else inner)
    return Component(calendar.name, kept, calendar.begin, calendar.end)


def joined(texts: list[str]) -> str:
    """Many calendar objects as one: each VTIMEZONE once, the rest as it is."""
    zones: dict[str, str] = {}
    bodies = []
    for text in texts:
        for zone in _ZONE.findall(text):
            named = _TZID.search(zone)
            zones.setdefault(named[1] if named else zone, zone)
        text = _ZONE.sub("", text)
        first, last = _FIRST.search(text), _LAST.search(text)
        if first is not None and last is not None:
            bodies.append(text[first.start() : last.start()])
    head = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//ClinicDAV//ClinicDAV//EN\r\n"
    return head + "".join(zones.values()) + "".join(bodies) + "END:VCALENDAR\r\n"
