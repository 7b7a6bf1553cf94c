"""Time zones: what a TZID means, and the VTIMEZONE we write. RFC 5545 §3.6.5, §3.2.19.

IANA names decide; a client's VTIMEZONE only counts where its TZID maps to none of them. What we write is made from
zoneinfo's rules for the future (RRULE form), so that an open-ended RRULE never outlives its VTIMEZONE.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from icalendar.timezone.windows_to_olson import WINDOWS_TO_OLSON

from ical.errors import InvalidCalendarData, InvalidInput
from ical.lines import Component, Line, parse
from ical.rrule import dates, read_rule, until_text

_TZID = "TZID"
# Observances that ended before this year are left out: they would double the size of every event.
_HISTORY_FROM = 2010
_FIRST_YEAR, _LAST_YEAR = 1970, 2100
# A leap year, so that every day of an earlier year is in it.
_EARLIEST = 1600
# More than any zone of the world has had: a VTIMEZONE with more is not read.
_MOST_ONSETS = 1000
# The fewest transitions after which a pattern is called a rule.
_RULE_RUN = 4

_DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_DISPLAY_NAME = re.compile(r"\((?:UTC|GMT)(?:([+-])(\d{1,2})[:.](\d{2}))?\)\s*(.*)", re.DOTALL)
_OFFSET = re.compile(r"([+-]?)(\d{2})(\d{2})(\d{2})?")
# Windows' display names list cities; these are the ones that do not.
_REGIONS = {
    "atlantic time": "America/Halifax",
    "eastern time": "America/New_York",
    "central time": "America/Chicago",
    "mountain time": "America/Denver",
    "pacific time": "America/Los_Angeles",
    "arizona": "America/Phoenix",
    "alaska": "America/Anchorage",
    "hawaii": "Pacific/Honolulu",
    "newfoundland": "America/St_Johns",
    "coordinated universal time": "Etc/UTC",
    "beijing": "Asia/Shanghai",
    "mumbai": "Asia/Kolkata",
    "new delhi": "Asia/Kolkata",
    "abu dhabi": "Asia/Dubai",
    "osaka": "Asia/Tokyo",
    "bern": "Europe/Zurich",
    "edinburgh": "Europe/London",
    "wellington": "Pacific/Auckland",
    "canberra": "Australia/Sydney",
    "st. petersburg": "Europe/Moscow",
    "west central africa": "Africa/Lagos",
}


def zone(name: str) -> ZoneInfo:
    """The IANA zone called `name`. Raises InvalidInput for anything else."""
    found = _iana(name)
    if found is None:
        raise InvalidInput("This time zone is not known.", field="timezone")
    return found


def resolve(tzid: str, calendar: Component | None) -> tzinfo | None:
    """What `tzid` means in `calendar`: an IANA zone wherever it can be one, else its VTIMEZONE; None when unknown."""
    found = _by_name(tzid)
    if found is not None:
        return found
    definition = _definition(tzid, calendar)
    if definition is not None:
        named = _by_name(definition.plain("X-LIC-LOCATION"))
        built = named or _from_text(definition.text())
        if built is not None:
            return built
    return _by_offset(tzid)


def vtimezone(key: str) -> Component:
    """The canonical VTIMEZONE of an IANA zone. It is shared: `copy()` before changing it. Raises InvalidInput."""
    zone(key)
    return _vtimezone(key)


def ensure_vtimezones(calendar: Component) -> None:
    """Rewrite TZIDs to IANA keys and leave exactly one VTIMEZONE for each that is used.

    A TZID that only its own VTIMEZONE explains keeps both.
    """
    used: dict[str, Component] = {}
    for block in calendar.components():
        if block.name == "VTIMEZONE":
            continue
        for line in _lines_with_tzid(block):
            tzid = line.param(_TZID) or ""
            meaning = resolve(tzid, calendar)
            if isinstance(meaning, ZoneInfo):
                if tzid != meaning.key:
                    rename_tzid(line, meaning.key)
                if meaning.key not in used:
                    used[meaning.key] = vtimezone(meaning.key).copy()
            else:
                own = _definition(tzid, calendar)
                if own is not None:
                    used.setdefault(tzid, own)
    kept = [c for c in calendar.children if not (isinstance(c, Component) and c.name == "VTIMEZONE")]
    if [c.text() for c in calendar.components("VTIMEZONE")] == [used[key].text() for key in sorted(used)]:
        return
    at = next((i for i, c in enumerate(kept) if isinstance(c, Component)), len(kept))
    calendar.children = [*kept[:at], *(used[key] for key in sorted(used)), *kept[at:]]


def rename_tzid(line: Line, key: str) -> None:
    """Give `line` another TZID; the rest of it stays."""
    line.params = tuple((name, (key,) if name == _TZID else values) for name, values in line.params)
    line.raw = ""


def read_offset(value: str) -> timedelta:
    """A UTC-OFFSET, with or without its sign (RFC 5545 §3.3.14). Raises InvalidCalendarData."""
    match = _OFFSET.fullmatch(value.strip())
    if match is None or int(match[2]) > 23 or int(match[3]) > 59:
        raise InvalidCalendarData("An offset from UTC cannot be read.")
    size = timedelta(hours=int(match[2]), minutes=int(match[3]), seconds=int(match[4] or 0))
    return -size if match[1] == "-" else size


class WrittenZone(tzinfo):
    """A zone that only a VTIMEZONE explains. Gaps and overlaps are read as zoneinfo reads them."""

    def __init__(self, name: str, before: timedelta, transitions: list[tuple[datetime, timedelta, str]]) -> None:
        self.name = name
        self._utc = [at for at, _, _ in transitions]
        self._offsets = [before, *(offset for _, offset, _ in transitions)]
        self._names = [name, *(label for _, _, label in transitions)]
        pairs = list(zip(self._utc, self._offsets, self._offsets[1:], strict=False))
        self._wall = (
            [at + max(old, new) for at, old, new in pairs],
            [at + min(old, new) for at, old, new in pairs],
        )

    def _at(self, dt: datetime | None) -> int:
        if dt is None:
            return 0
        return bisect_right(self._wall[dt.fold], dt.replace(tzinfo=None, fold=0))

    def utcoffset(self, dt: datetime | None) -> timedelta:
        return self._offsets[self._at(dt)]

    def dst(self, dt: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, dt: datetime | None) -> str:
        return self._names[self._at(dt)]

    def fromutc(self, dt: datetime) -> datetime:
        naive = dt.replace(tzinfo=None, fold=0)
        index = bisect_right(self._utc, naive)
        wall = naive + self._offsets[index]
        second = index > 0 and wall < self._wall[0][index - 1] and self._offsets[index] < self._offsets[index - 1]
        return wall.replace(tzinfo=self, fold=1 if second else 0)


# What a TZID means


@lru_cache(maxsize=1024)
def _iana(name: str) -> ZoneInfo | None:
    if not name or len(name) > 64 or name.startswith(("posix", "right/", "localtime", "Factory")):
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@lru_cache(maxsize=1024)
def _by_name(tzid: str) -> ZoneInfo | None:
    tzid = tzid.strip()
    found = _iana(tzid) or _iana(WINDOWS_TO_OLSON.get(tzid, ""))
    if found is None and tzid.startswith("/"):
        parts = tzid.strip("/").split("/")
        tails = ("/".join(parts[-size:]) for size in (3, 2, 1) if size <= len(parts))
        found = next((z for z in map(_iana, tails) if z is not None), None)
    return found or _by_display_name(tzid)


def _by_display_name(tzid: str) -> ZoneInfo | None:
    """Windows' `(UTC+01:00) Amsterdam, Berlin, Bern`: the first place whose standard time has that offset."""
    match = _DISPLAY_NAME.fullmatch(tzid)
    if match is None:
        return None
    for place in re.split(r"[,;(&]", match[4])[:12]:
        key = _places().get(place.strip().casefold())
        found = _iana(key) if key else None
        if found is not None and _standard_offset(found) == _display_offset(match):
            return found
    return None


def _by_offset(tzid: str) -> ZoneInfo | None:
    match = _DISPLAY_NAME.fullmatch(tzid.strip())
    if match is None:
        return None
    hours, rest = divmod(_display_offset(match), timedelta(hours=1))
    # POSIX signs: Etc/GMT-1 is an hour east of Greenwich.
    return None if rest else _iana(f"Etc/GMT{-hours:+d}" if hours else "Etc/UTC")


def _display_offset(match: re.Match[str]) -> timedelta:
    size = timedelta(hours=int(match[2] or 0), minutes=int(match[3] or 0))
    return -size if match[1] == "-" else size


def _standard_offset(found: ZoneInfo) -> timedelta:
    offsets = [datetime(2026, month, 1, tzinfo=found).utcoffset() or timedelta(0) for month in (1, 7)]
    return min(offsets)


@lru_cache(maxsize=1)
def _places() -> dict[str, str]:
    places = {key.rsplit("/", 1)[-1].replace("_", " ").casefold(): key for key in sorted(available_timezones())}
    return places | _REGIONS


def _lines_with_tzid(block: Component) -> Iterator[Line]:
    for part in block.walk():
        for line in part.lines():
            if line.params and line.param(_TZID) is not None:
                yield line


def _definition(tzid: str, calendar: Component | None) -> Component | None:
    if calendar is None:
        return None
    for block in calendar.components("VTIMEZONE"):
        if (block.value(_TZID) or "").strip() == tzid.strip() or block.plain(_TZID) == tzid:
            return block
    return None


@lru_cache(maxsize=256)
def _from_text(text: str) -> WrittenZone | None:
    block = parse(text)
    transitions: list[tuple[datetime, timedelta, timedelta, str]] = []
    try:
        for observance in block.components("STANDARD", "DAYLIGHT"):
            before = read_offset(observance.value("TZOFFSETFROM") or observance.value("TZOFFSETTO") or "")
            after = read_offset(observance.value("TZOFFSETTO") or "")
            label = observance.plain("TZNAME") or block.plain(_TZID)
            transitions += [(onset - before, before, after, label) for onset in _onsets(observance, before)]
            if len(transitions) > _MOST_ONSETS:
                return None
    except (InvalidCalendarData, ValueError, OverflowError):
        return None
    if not transitions:
        return None
    transitions.sort(key=lambda t: t[0])
    return WrittenZone(block.plain(_TZID), transitions[0][1], [(at, to, label) for at, _, to, label in transitions])


def _onsets(observance: Component, before: timedelta) -> set[datetime]:
    """The local times at which an observance begins, up to the last year we look at."""
    first = _naive(observance.value("DTSTART") or "")
    # eM Client's begin in the year 1: a little further, they leave what datetime can hold.
    first = first.replace(year=max(first.year, _EARLIEST))
    onsets = {first}
    for line in observance.lines("RDATE"):
        onsets |= {_naive(part.split("/")[0]) for part in line.value.split(",")[:500]}
    for line in observance.lines("RRULE")[:4]:
        # Lotus repeats the hour and minute of DTSTART in the rule.
        rule = read_rule(re.sub(r"BY(HOUR|MINUTE|SECOND)=\d{1,2}(;|$)", "", line.value))
        until = datetime.max
        if rule.until:
            until = _naive(rule.until) + (before if rule.until.endswith("Z") else timedelta(0))
        # Outlook's rules begin in 1601; nobody asks for the centuries between.
        begin, last = max(first.date(), date(_FIRST_YEAR, 1, 1)), date(_LAST_YEAR, 12, 31)
        found = (datetime.combine(day, first.time()) for day in dates(rule, first.date(), begin, last))
        onsets |= {onset for onset in islice(found, _MOST_ONSETS) if onset <= until}
    return onsets


def _naive(value: str) -> datetime:
    value = value.strip().rstrip("Z")
    return datetime.strptime(value, "%Y%m%dT%H%M%S" if "T" in value else "%Y%m%d")


# The VTIMEZONE we write


@dataclass(frozen=True, slots=True)
class _Transition:
    local: datetime
    before: timedelta
    after: timedelta
    name: str
    daylight: bool

    def kind(self) -> tuple[timedelta, timedelta, str, bool]:
        return self.before, self.after, self.name, self.daylight


_Pattern = tuple[int, str, int]  # (order of preference, form, month) as in _patterns


@lru_cache(maxsize=128)
def _vtimezone(key: str) -> Component:
    block = Component("VTIMEZONE")
    block.add(_TZID, key)
    block.add("X-LIC-LOCATION", key)
    observances = sorted(_observances(ZoneInfo(key)), key=lambda o: (o.value("DTSTART") or "", o.name))
    block.children.extend(observances)
    # Read again, each line knows its text, which stands in every calendar.
    return parse(block.text())


def _observances(found: ZoneInfo) -> list[Component]:
    by_kind: dict[tuple[timedelta, timedelta, str, bool], list[_Transition]] = {}
    for transition in _transitions(found):
        by_kind.setdefault(transition.kind(), []).append(transition)
    written: list[Component] = []
    for group in by_kind.values():
        singles: list[_Transition] = []
        for run, pattern in _runs(group):
            if run[-1].local.year < _HISTORY_FROM:
                continue
            if pattern and len(run) >= _RULE_RUN:
                written.append(_observance(run[0], rule=_rule_text(pattern, run)))
            else:
                singles += [t for t in run if t.local.year >= _HISTORY_FROM]
        if singles:
            singles.sort(key=lambda t: t.local)
            written.append(_observance(singles[0], more=[t.local for t in singles[1:]]))
    if written:
        return written
    start = datetime(_FIRST_YEAR, 1, 1)
    now = datetime(_LAST_YEAR, 1, 1, tzinfo=found)
    offset = now.utcoffset() or timedelta(0)
    return [_observance(_Transition(start, offset, offset, now.tzname() or found.key, False))]


def _transitions(found: ZoneInfo) -> list[_Transition]:
    """Every change of the offset from 1970 to 2100, found by asking: zoneinfo does not list them."""
    step = timedelta(days=7)
    here, end = datetime(_FIRST_YEAR, 1, 1, tzinfo=UTC), datetime(_LAST_YEAR, 12, 31, tzinfo=UTC)
    transitions = []
    local = here.astimezone(found)
    while here < end:
        there = here + step
        other = there.astimezone(found)
        if other.utcoffset() != local.utcoffset():
            transitions.append(_transition(found, here, there))
        here, local = there, other
    return transitions


def _transition(found: ZoneInfo, low: datetime, high: datetime) -> _Transition:
    old = low.astimezone(found).utcoffset()
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        if middle.astimezone(found).utcoffset() == old:
            low = middle
        else:
            high = middle
    was, now = low.astimezone(found), high.astimezone(found)
    before, after = was.utcoffset() or timedelta(0), now.utcoffset() or timedelta(0)
    # Not `now.dst()` alone: Ireland's winter is, to the letter, the exception to its standard time.
    daylight = after > before and bool(was.dst() or now.dst())
    return _Transition((high + before).replace(tzinfo=None), before, after, now.tzname() or found.key, daylight)


def _runs(group: list[_Transition]) -> Iterator[tuple[list[_Transition], _Pattern | None]]:
    """The transitions of one kind, cut into the longest runs that one rule describes, the latest run first."""
    rest = list(group)
    while rest:
        run = [rest.pop()]
        shared = _patterns(run[0].local)
        while rest:
            earlier = rest[-1]
            both = shared & _patterns(earlier.local)
            consecutive = earlier.local.year == run[0].local.year - 1 and earlier.local.time() == run[0].local.time()
            if not both or not consecutive:
                break
            run.insert(0, rest.pop())
            shared = both
        yield run, min(shared, default=None)


def _patterns(local: datetime) -> set[_Pattern]:
    """The rules of which this day of the year could be an instance, with the plainer forms first."""
    day, month, name = local.day, local.month, _DAYS[local.weekday()]
    length = (date(local.year + month // 12, month % 12 + 1, 1) - timedelta(days=1)).day
    found: set[_Pattern] = {(3, f"BYMONTHDAY={day}", month)}
    if day + 7 > length:
        found.add((0, f"BYDAY=-1{name}", month))
    if day <= 28:
        found.add((1, f"BYDAY={(day - 1) // 7 + 1}{name}", month))
    for first in range(max(1, day - 6), day + 1):
        if first + 6 <= length:
            week = ",".join(str(first + n) for n in range(7))
            found.add((2, f"BYMONTHDAY={week};BYDAY={name}", month))
    return found


def _rule_text(pattern: _Pattern, run: list[_Transition]) -> str:
    _, form, month = pattern
    rule = f"FREQ=YEARLY;BYMONTH={month};{form}"
    last = run[-1]
    if last.local.year < _LAST_YEAR:
        rule += f";UNTIL={until_text(last.local - last.before)}"
    return rule


def _observance(first: _Transition, rule: str = "", more: list[datetime] | None = None) -> Component:
    block = Component("DAYLIGHT" if first.daylight else "STANDARD")
    block.add("TZNAME", first.name)
    block.add("TZOFFSETFROM", _offset_text(first.before))
    block.add("TZOFFSETTO", _offset_text(first.after))
    block.add("DTSTART", f"{first.local:%Y%m%dT%H%M%S}")
    if rule:
        block.add("RRULE", rule)
    for onset in more or []:
        block.add("RDATE", f"{onset:%Y%m%dT%H%M%S}")
    return block


def _offset_text(offset: timedelta) -> str:
    seconds = int(offset.total_seconds())
    sign = "-" if seconds < 0 else "+"
    hours, rest = divmod(abs(seconds), 3600)
    return f"{sign}{hours:02d}{rest // 60:02d}" + (f"{rest % 60:02d}" if rest % 60 else "")
