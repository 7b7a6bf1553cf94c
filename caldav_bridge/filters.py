"""What a filter of calendar-query says. RFC 4791 §7.8.1, §9.7–9.9, RFC 4790, RFC 5051."""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from xml.etree.ElementTree import Element

from caldav_bridge.limits import MAX_FILTERS
from caldav_bridge.xml import caldav
from ical import times
from ical.errors import Refusal
from ical.lines import Component, Line, unescape

BEGINNING = datetime(1600, 1, 1, tzinfo=UTC)
END = datetime(2300, 1, 1, tzinfo=UTC)
_INSTANT = re.compile(r"\d{8}T\d{6}Z")


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
        return self.start or BEGINNING

    @property
    def last(self) -> datetime:
        return self.end or END

    def holds(self, start: datetime, end: datetime) -> bool:
        """Whether [start, end) meets the range; what has no duration lies in the range that begins with it."""
        if start == end:
            return self.first <= start < self.last
        return start < self.last and end > self.first

    def wider(self, margin: timedelta) -> "TimeRange":
        """With so much more on either side; open where the calendar of the machine would end."""
        start = None if self.first - BEGINNING <= margin else self.first - margin
        return TimeRange(start, None if END - self.last <= margin else self.last + margin)


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
