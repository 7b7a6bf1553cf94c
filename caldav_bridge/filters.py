"""Filters of calendar-query, judged on components. RFC 4791 §7.8.1, §9.7–9.9, RFC 4790, RFC 5051."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from xml.etree.ElementTree import Element

from caldav_bridge.limits import MAX_FILTERS
from caldav_bridge.xml import caldav
from ical import recurrence, times
from ical.errors import InvalidCalendarData, InvalidInput, Refusal, TooManyInstances
from ical.lines import Component, Line, unescape

_BEGINNING = datetime(1600, 1, 1, tzinfo=UTC)
_END = datetime(2300, 1, 1, tzinfo=UTC)
_INSTANT = re.compile(r"\d{8}T\d{6}Z")
_DAY = timedelta(days=1)
# An alarm further from its event than this goes off in no range.
_REACH_OF_ALARMS = timedelta(days=366 * 100)


class BadFilter(Exception):
    """`precondition`: valid-filter, supported-filter or supported-collation, in CalDAV's namespace."""

    def __init__(self, precondition: str = "valid-filter") -> None:
        super().__init__(precondition)
        self.precondition = precondition


@dataclass(frozen=True, slots=True)
class TimeRange:
    """[start, end); None: open on that side."""

    start: datetime | None
    end: datetime | None

    @property
    def first(self) -> datetime:
        return self.start or _BEGINNING

    @property
    def last(self) -> datetime:
        return self.end or _END

    def holds(self, start: datetime, end: datetime) -> bool:
        """Whether [start, end) meets the range; what has no duration lies in the range that begins with it."""
        if start == end:
            return self.first <= start < self.last
        return start < self.last and end > self.first

    def wider(self, margin: timedelta) -> "TimeRange":
        """With so much more on either side; open where the calendar of the machine would end."""
        start = None if self.first - _BEGINNING <= margin else self.first - margin
        return TimeRange(start, None if _END - self.last <= margin else self.last + margin)


@dataclass(frozen=True, slots=True)
class TextMatch:
    text: str
    collation: str
    negate: bool

    def matches(self, value: str) -> bool:
        fold = COLLATIONS[self.collation]
        return (fold(self.text) in fold(value)) != self.negate


@dataclass(frozen=True, slots=True)
class ParamFilter:
    name: str
    absent: bool
    match: TextMatch | None

    def matches(self, line: Line) -> bool:
        values = [value for key, held in line.params if key == self.name for value in held]
        if self.absent:
            return not values
        return bool(values) and (self.match is None or any(self.match.matches(value) for value in values))


@dataclass(frozen=True, slots=True)
class PropFilter:
    name: str
    absent: bool
    time_range: TimeRange | None
    match: TextMatch | None
    params: tuple[ParamFilter, ...]

    def matches(self, component: Component, zone: tzinfo, calendar: Component) -> bool:
        lines = component.lines(self.name)
        if self.absent:
            return not lines
        return any(self._holds(line, zone, calendar) for line in lines)

    def _holds(self, line: Line, zone: tzinfo, calendar: Component) -> bool:
        if self.match is not None and not self.match.matches(unescape(line.value)):
            return False
        if self.time_range is not None:
            try:
                moment = times.instant(times.read_time(line, zone, calendar), zone)
            except Refusal:
                return False
            if not self.time_range.holds(moment, moment):
                return False
        return all(param.matches(line) for param in self.params)


@dataclass(frozen=True, slots=True)
class CompFilter:
    name: str
    absent: bool
    time_range: TimeRange | None
    props: tuple[PropFilter, ...]
    comps: "tuple[CompFilter, ...]"

    @property
    def is_plain(self) -> bool:
        """Nothing but a name and perhaps a time range: the tables can answer it."""
        return not self.absent and not self.props and not self.comps


def ascii_casemap(text: str) -> str:
    return "".join(chr(ord(c) + 32) if "A" <= c <= "Z" else c for c in text)


def unicode_casemap(text: str) -> str:
    return unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())


def octet(text: str) -> str:
    return text


COLLATIONS: dict[str, Callable[[str], str]] = {
    "i;ascii-casemap": ascii_casemap,
    "i;unicode-casemap": unicode_casemap,
    "i;octet": octet,
}


# Reading


def read(element: Element | None) -> CompFilter:
    """The one comp-filter in a CALDAV:filter. Raises BadFilter."""
    inner = [] if element is None else list(element)
    if len(inner) != 1 or inner[0].tag != caldav("comp-filter"):
        raise BadFilter()
    if sum(1 for _ in inner[0].iter()) > MAX_FILTERS:
        raise BadFilter("supported-filter")
    found = _comp_filter(inner[0])
    if found.name != "VCALENDAR":
        raise BadFilter("supported-filter")
    return found


def time_range(element: Element) -> TimeRange:
    """A CALDAV:time-range and its kin. Raises BadFilter."""
    start, end = (_instant(element.get(side)) for side in ("start", "end"))
    if (start is None and end is None) or (start is not None and end is not None and start >= end):
        raise BadFilter()
    return TimeRange(start, end)


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    if not _INSTANT.fullmatch(text):
        raise BadFilter()
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise BadFilter() from None


def _comp_filter(element: Element) -> CompFilter:
    name = _name(element)
    absent, ranges, props, comps = False, [], [], []
    for inner in element:
        if inner.tag == caldav("is-not-defined"):
            absent = True
        elif inner.tag == caldav("time-range"):
            ranges.append(time_range(inner))
        elif inner.tag == caldav("prop-filter"):
            props.append(_prop_filter(inner))
        elif inner.tag == caldav("comp-filter"):
            comps.append(_comp_filter(inner))
        else:
            raise BadFilter("supported-filter")
    if len(ranges) > 1 or (absent and (ranges or props or comps)):
        raise BadFilter()
    return CompFilter(name, absent, ranges[0] if ranges else None, tuple(props), tuple(comps))


def _prop_filter(element: Element) -> PropFilter:
    name = _name(element)
    absent, span, match, params = False, None, None, []
    for inner in element:
        if inner.tag == caldav("is-not-defined"):
            absent = True
        elif inner.tag == caldav("time-range"):
            span = time_range(inner)
        elif inner.tag == caldav("text-match"):
            match = _text_match(inner)
        elif inner.tag == caldav("param-filter"):
            params.append(_param_filter(inner))
        else:
            raise BadFilter("supported-filter")
    if absent and (span or match or params):
        raise BadFilter()
    return PropFilter(name, absent, span, match, tuple(params))


def _param_filter(element: Element) -> ParamFilter:
    absent = element.find(caldav("is-not-defined")) is not None
    match = element.find(caldav("text-match"))
    return ParamFilter(_name(element), absent, None if match is None else _text_match(match))


def _text_match(element: Element) -> TextMatch:
    collation = element.get("collation") or "i;ascii-casemap"
    collation = "i;ascii-casemap" if collation == "default" else collation
    if collation not in COLLATIONS:
        raise BadFilter("supported-collation")
    negate = element.get("negate-condition") or "no"
    if negate not in ("yes", "no"):
        raise BadFilter()
    return TextMatch(element.text or "", collation, negate == "yes")


def _name(element: Element) -> str:
    name = element.get("name") or ""
    if not name:
        raise BadFilter()
    return name.upper()


# Judging


def matches(wanted: CompFilter, calendar: Component, zone: tzinfo) -> bool:
    """Whether a calendar object (a VCALENDAR) passes. `zone` is that of floating times."""
    if wanted.absent:
        return False
    if not all(prop.matches(calendar, zone, calendar) for prop in wanted.props):
        return False
    return all(_some_component(comp, calendar, zone) for comp in wanted.comps)


def _some_component(wanted: CompFilter, calendar: Component, zone: tzinfo) -> bool:
    found = calendar.components(wanted.name)
    if wanted.absent:
        return not found
    if wanted.time_range is None:
        return any(_holds(wanted, component, calendar, zone) for component in found)
    within = {"VEVENT": _events_in, "VTODO": _todos_in, "VJOURNAL": _journals_in}.get(wanted.name)
    if within is None:
        return False
    return any(_holds(wanted, entry, calendar, zone) for entry in within(calendar, zone, wanted.time_range))


def _events_in(calendar: Component, zone: tzinfo, span: TimeRange) -> list[Component]:
    """The VEVENTs with an occurrence in the range: the master, overrides, or both."""
    found = []
    for override in recurrence.overrides(calendar):
        start, end, _all_day = times.span(override, zone, calendar)
        if span.holds(start, end):
            found.append(override)
    head = recurrence.master(calendar)
    if head is not None and _nearby(head, calendar, zone, span):
        found.append(head)
    return found


def _nearby(component: Component, calendar: Component, zone: tzinfo, span: TimeRange) -> list[recurrence.Occurrence]:
    """Occurrences of one component in the range, as far as it takes to find some: not a daily series to its end."""
    first = max(span.first, times.span(component, zone, calendar)[0] - 2 * _DAY)
    for years in (1, 10, 1000):
        last = min(span.last, first + min(timedelta(days=366 * years), _END - first))
        if first >= last:
            return []
        try:
            found = recurrence.occurrences(calendar, zone, first, last)
        except TooManyInstances:
            found = recurrence.occurrences(calendar, zone, first, first + _DAY * 366)
        own = [occurrence for occurrence in found if occurrence.component is component]
        if own or last == span.last:
            return own
    return []


def _holds(wanted: CompFilter, component: Component, calendar: Component, zone: tzinfo) -> bool:
    if not all(prop.matches(component, zone, calendar) for prop in wanted.props):
        return False
    return all(_has_inner(inner, component, calendar, zone) for inner in wanted.comps)


def _has_inner(wanted: CompFilter, component: Component, calendar: Component, zone: tzinfo) -> bool:
    found = component.components(wanted.name)
    if wanted.absent:
        return not found
    for inner in found:
        if wanted.time_range is not None and not (
            inner.name == "VALARM" and _alarm_in(inner, component, calendar, zone, wanted.time_range)
        ):
            continue
        if _holds(wanted, inner, calendar, zone):
            return True
    return False


def _moment(component: Component, name: str, zone: tzinfo, calendar: Component) -> datetime | None:
    line = component.first(name)
    if line is None:
        return None
    try:
        return times.instant(times.read_time(line, zone, calendar), zone)
    except Refusal:
        return None


def _todos_in(calendar: Component, zone: tzinfo, span: TimeRange) -> list[Component]:
    """The VTODOs that are to be done in the range; a series by any of its instances."""
    return [
        todo
        for todo in calendar.components("VTODO")
        if (_nearby(todo, calendar, zone, span) if _is_series(todo) else _todo_in(todo, span, zone, calendar))
    ]


def _is_series(component: Component) -> bool:
    return component.first("RRULE") is not None or component.first("RDATE") is not None


def _todo_in(component: Component, span: TimeRange, zone: tzinfo, calendar: Component) -> bool:
    """The table of RFC 4791 §9.9 for VTODO."""
    first, last = span.first, span.last
    start = _moment(component, "DTSTART", zone, calendar)
    due = _moment(component, "DUE", zone, calendar)
    duration = component.value("DURATION")
    if start is not None and duration is not None:
        end = start + times.read_duration(duration)
        return first <= end and (last > start or last >= end)
    if start is not None and due is not None:
        return (first < due or first <= start) and (last > start or last >= due)
    if start is not None:
        return first <= start < last
    if due is not None:
        return first < due <= last
    completed = _moment(component, "COMPLETED", zone, calendar)
    created = _moment(component, "CREATED", zone, calendar)
    if completed is not None and created is not None:
        return (first <= created or first <= completed) and (last >= created or last >= completed)
    if completed is not None:
        return first <= completed <= last
    return created is None or last > created


def _journals_in(calendar: Component, zone: tzinfo, span: TimeRange) -> list[Component]:
    return [
        journal
        for journal in calendar.components("VJOURNAL")
        if (
            _nearby(journal, calendar, zone, span)
            if _is_series(journal)
            else _journal_in(journal, span, zone, calendar)
        )
    ]


def _journal_in(component: Component, span: TimeRange, zone: tzinfo, calendar: Component) -> bool:
    start = _moment(component, "DTSTART", zone, calendar)
    if start is None:
        return False
    line = component.first("DTSTART")
    whole_day = line is not None and len(line.value) == 8
    return span.holds(start, start + _DAY if whole_day else start)


def _alarm_in(alarm: Component, component: Component, calendar: Component, zone: tzinfo, span: TimeRange) -> bool:
    """Whether the alarm, or one of its repetitions, goes off within the range."""
    trigger = alarm.first("TRIGGER")
    if trigger is None:
        return False
    try:
        repeats = int(alarm.value("REPEAT") or 0)
        pause = times.read_duration(alarm.value("DURATION") or "PT0S")
        shifts = [pause * n for n in range(min(repeats, 100) + 1)]
        if trigger.param("VALUE") == "DATE-TIME":
            anchors, offset = [times.instant(times.read_time(trigger, zone, calendar), zone)], timedelta()
        else:
            anchors, offset = None, times.read_duration(trigger.value)
        reach = abs(offset) + max(shifts)
    except (InvalidCalendarData, InvalidInput, ValueError, OverflowError):
        return False
    if reach > _REACH_OF_ALARMS:
        return False
    if anchors is None:
        at_end = (trigger.param("RELATED") or "").upper() == "END"
        anchors = _anchors(component, calendar, zone, span.wider(reach + _DAY), at_end=at_end)
    moments = (anchor + offset + shift for anchor in anchors if _BEGINNING < anchor < _END for shift in shifts)
    return any(span.holds(moment, moment) for moment in moments)


def _anchors(
    component: Component, calendar: Component, zone: tzinfo, span: TimeRange, *, at_end: bool
) -> list[datetime]:
    """The beginnings or ends of the instances about the range, from which alarms are counted."""
    if component.name == "VTODO" and not _is_series(component):
        anchor = _moment(component, "DUE" if at_end else "DTSTART", zone, calendar)
        return [] if anchor is None else [anchor]
    found = _nearby(component, calendar, zone, span)
    return [occurrence.end if at_end else occurrence.start for occurrence in found]
