"""The occurrences of a calendar object: RRULE, RDATE, EXDATE, RECURRENCE-ID. RFC 5545 §3.8.4.4, §3.8.5.

An occurrence is known by the instant at which its series would have had it, as `utc_text`. Rules are walked in wall
time of the event's zone, so a visit at nine stays at nine when the clocks change. Where apps and the RFC differ, what
the apps mean counts: UNTIL as a DATE lasts to the end of that day, a floating UNTIL is local, EXDATE as a DATE removes
the day, overrides without a master stand for themselves.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from ical.errors import InvalidCalendarData, NotFound, TooManyInstances
from ical.lines import Component, Line, Params
from ical.rrule import Rule, dates, read_rule
from ical.times import (
    LAST_YEAR,
    instant,
    later,
    parse_utc_text,
    read_duration,
    read_periods,
    read_time,
    read_times,
    span,
    utc_text,
)

ENTRIES = ("VEVENT", "VTODO", "VJOURNAL")

_STRUCTURE = ("RRULE", "RDATE", "EXDATE", "EXRULE", "RECURRENCE-ID")
_DAY = timedelta(days=1)
_LONG = timedelta(days=3653)
# Wall time and UTC never lie further apart than this, on either side of a window.
_ZONE_MARGIN = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One instance, in UTC. `component` is what describes it: the master, or its override."""

    recurrence_id: str
    start: datetime
    end: datetime
    all_day: bool
    component: Component
    is_override: bool


def occurrences(
    calendar: Component, zone: tzinfo, start: datetime, end: datetime, limit: int = 10_000
) -> list[Occurrence]:
    """The occurrences that meet [start, end), in order; cancelled overrides are among them.

    A non-repeating entry has the recurrence_id "". Entries without any time have no occurrence. Raises
    TooManyInstances beyond `limit`, and what the readers of times and rules raise.
    """
    entries = calendar.components(*ENTRIES)
    if len(entries) == 1 and not _has_structure(entries[0]):
        single = _single(entries[0], calendar, zone)
        return [single] if single is not None and _meets(single.start, single.end, start, end) else []
    found = [o for o in _expanded(calendar, zone, start, end, limit) if _meets(o.start, o.end, start, end)]
    if len(found) > limit:
        raise TooManyInstances()
    found.sort(key=lambda o: (o.start, o.recurrence_id))
    return found


def last_end(calendar: Component, zone: tzinfo) -> datetime | None:
    """A time by which every occurrence has ended; None for an open-ended series or an entry without times."""
    head = master(calendar)
    ends = [end for entry in calendar.components(*ENTRIES) if (end := _own_end(entry, calendar, zone)) is not None]
    if head is not None and _has_structure(head) and head.first("DTSTART") is not None:
        series = _Series(head, calendar, zone)
        # A day more: nominal durations stretch when clocks go back, and so do days.
        longest = max([series.longest, *(o.reach for o in _overrides_of(calendar, zone).values())]) + _DAY
        for rule in series.rules:
            last = series.last_start(rule)
            if last is None:
                return None
            ends.append(last + longest)
        ends += [max(begin, finish or begin) + longest for begin, finish in series.extra]
    return max(ends, default=None)


def repeats(calendar: Component) -> bool:
    """Whether the object is a series, or an instance of one."""
    return any(_has_structure(entry) for entry in calendar.components(*ENTRIES))


def master(calendar: Component) -> Component | None:
    """The component that stands for the whole series, or the only one; None when there are only overrides."""
    entries = calendar.components(*ENTRIES)
    for entry in entries:
        if entry.first("RECURRENCE-ID") is None:
            return entry
    # Connect Daily and Notes write a RECURRENCE-ID into the master itself.
    return next((e for e in entries if e.first("RRULE") is not None or e.first("RDATE") is not None), None)


def overrides(calendar: Component) -> list[Component]:
    """The components that stand for single occurrences (or, with RANGE, for those that follow as well)."""
    head = master(calendar)
    return [e for e in calendar.components(*ENTRIES) if e is not head and e.first("RECURRENCE-ID") is not None]


def override_for(calendar: Component, recurrence_id: str, zone: tzinfo) -> Component | None:
    """The override of that occurrence, if it has one of its own."""
    found = _overrides_of(calendar, zone).get(recurrence_id)
    return found.component if found is not None else None


def members(calendar: Component, zone: tzinfo) -> list[datetime]:
    """The moments of the series within its bounds, those of EXDATE and of overrides among them, in order."""
    head = master(calendar)
    if head is None or head.first("DTSTART") is None:
        return []
    return sorted({moment for moment, _end in _Series(head, calendar, zone).starts(*bounds(calendar, zone))})


def bounds(calendar: Component, zone: tzinfo) -> tuple[datetime, datetime]:
    """Times between which the whole series lies; the first ten years of an open-ended one."""
    starts = [span(entry, zone, calendar)[0] for entry in calendar.components(*ENTRIES)]
    first = min(starts, default=_clamped(datetime.max.replace(tzinfo=UTC))) - _ZONE_MARGIN
    return first, last_end(calendar, zone) or first + _LONG


def passed(calendar: Component, zone: tzinfo, at: datetime) -> list[int]:
    """How many days of each RRULE of the series lie before `at`."""
    head = master(calendar)
    if head is None:
        return []
    series = _Series(head, calendar, zone)
    first, last = series.first_day, _day_of(at, series.zone)
    return [sum(series.moment(day) < at for day in dates(rule, first, first, last)) for rule in series.rules]


def make_override(calendar: Component, recurrence_id: str, zone: tzinfo) -> Component:
    """The override of that occurrence, added as a copy with the occurrence's times when it has none.

    Raises NotFound when the series has no such occurrence.
    """
    existing = override_for(calendar, recurrence_id, zone)
    if existing is not None:
        return existing
    head = master(calendar)
    begin = head.first("DTSTART") if head is not None else None
    if head is None or begin is None:
        raise NotFound()
    return add_override(calendar, _occurrence_at(calendar, zone, parse_utc_text(recurrence_id)), zone)


def add_override(calendar: Component, occurrence: Occurrence, zone: tzinfo) -> Component:
    """An override for an occurrence of the series that has none of its own: a copy with the occurrence's times."""
    head = master(calendar)
    begin = head.first("DTSTART") if head is not None else None
    assert begin is not None
    source = occurrence.component
    override = source.copy()
    override.begin = override.end = ""
    override.remove(*_STRUCTURE)
    times = [(source.first("DTSTART") or begin, occurrence.start)]
    times += [(line, occurrence.end) for name in ("DTEND", "DUE") if (line := source.first(name)) is not None]
    for line, value in times:
        override.set(line.name, *like(line, value, zone, calendar))
    at = next(i for i, c in enumerate(override.children) if isinstance(c, Line) and c.name == "DTSTART")
    moment = parse_utc_text(occurrence.recurrence_id)
    override.children.insert(at, Line("RECURRENCE-ID", *like(begin, moment, zone, calendar)))
    at = max(i for i, c in enumerate(calendar.children) if isinstance(c, Component) and c.name in ENTRIES)
    calendar.children.insert(at + 1, override)
    return override


def add_exdate(calendar: Component, recurrence_id: str, zone: tzinfo) -> None:
    """Take that occurrence out of the series, its override included. Raises NotFound without a master."""
    head = master(calendar)
    begin = head.first("DTSTART") if head is not None else None
    if head is None or begin is None:
        raise NotFound()
    override = override_for(calendar, recurrence_id, zone)
    if override is not None:
        calendar.children = [c for c in calendar.children if c is not override]
    series = _Series(head, calendar, zone)
    moment = parse_utc_text(recurrence_id)
    if series.is_excluded(moment):
        return
    head.insert(Line("EXDATE", *like(begin, moment, zone, calendar)))


def remove_exdate(calendar: Component, recurrence_id: str, zone: tzinfo) -> None:
    """Let an occurrence that was taken out of the series take place again."""
    head = master(calendar)
    begin = head.first("DTSTART") if head is not None else None
    if head is None or begin is None:
        return
    moment = parse_utc_text(recurrence_id)
    kept = []
    for line in head.lines("EXDATE"):
        members = read_times(line, zone, calendar)
        left = [each for each in members if instant(each, zone) != moment]
        kept += (
            [line]
            if len(left) == len(members)
            else [Line("EXDATE", *like(begin, instant(each, zone), zone, calendar)) for each in left]
        )
    head.remove("EXDATE")
    for line in kept:
        head.insert(line)


@dataclass(frozen=True, slots=True)
class _Override:
    """An override with its times. `moves_following` is THISANDFUTURE: the later ones move along."""

    recurrence_id: str
    original: datetime
    start: datetime
    end: datetime
    all_day: bool
    component: Component
    moves_following: bool

    @property
    def reach(self) -> timedelta:
        """How far a following occurrence can lie from where the series has it."""
        return abs(self.start - self.original) + abs(self.end - self.start)


class _Series:
    """A master, read once: its rules, its extra and its excluded dates."""

    def __init__(self, head: Component, calendar: Component, zone: tzinfo) -> None:
        self.component = head
        begin = head.first("DTSTART")
        if begin is None:
            raise InvalidCalendarData("A repeating entry has no start.")
        self.start = read_time(begin, zone, calendar)
        self.all_day = not isinstance(self.start, datetime)
        self.zone: tzinfo = zone
        if isinstance(self.start, datetime):
            self.zone = self.start.tzinfo or zone
            self.first_day, self.wall = self.start.date(), self.start.time()
        else:
            self.first_day, self.wall = self.start, time()
        self.first = instant(self.start, zone)
        self._finish(calendar, zone)
        self.rules = [read_rule(line.value) for line in head.lines("RRULE")]
        self.extra: list[tuple[datetime, datetime | None]] = []
        for line in head.lines("RDATE"):
            for value, end in read_periods(line, zone, calendar):
                self.extra.append((self._as_member(value), end))
        self._excluded: set[datetime] = set()
        self._excluded_days: set[date] = set()
        for line in head.lines("EXDATE"):
            for value in read_times(line, zone, calendar):
                if not isinstance(value, datetime):
                    self._excluded_days.add(value)
                elif self.all_day:
                    self._excluded_days.add(value.date())
                else:
                    self._excluded.add(value.astimezone(UTC))

    def _finish(self, calendar: Component, zone: tzinfo) -> None:
        """The length: as a DURATION, in wall time (same zone at both ends), or in real time."""
        head = self.component
        self._duration: timedelta | None = None
        self._wall_length: timedelta | None = None
        first, last, _ = span(head, zone, calendar)
        self.length = max(last - first, timedelta(0))
        line = head.first("DUE" if head.name == "VTODO" else "DTEND")
        duration = head.value("DURATION")
        if line is not None:
            end = read_time(line, zone, calendar)
            if self.all_day:
                days = (end.date() if isinstance(end, datetime) else end) - self.first_day
                self._wall_length = max(days, _DAY)
            elif isinstance(end, datetime) and isinstance(self.start, datetime) and end.tzinfo is self.start.tzinfo:
                self._wall_length = max(end - self.start, timedelta(0))
        elif duration:
            self._duration = max(read_duration(duration), timedelta(0))
        elif self.all_day:
            self._wall_length = _DAY
        # Clocks move by at most a day, and that is Samoa.
        self.longest = max(self.length, self._wall_length or timedelta(0)) + _DAY

    def _as_member(self, value: datetime | date) -> datetime:
        if not isinstance(value, datetime):
            return self.moment(value)
        if self.all_day:
            return self.moment(value.date())
        return value.astimezone(UTC)

    def moment(self, day: date) -> datetime:
        """The instant of the occurrence on `day`. A time that the clocks skip is read before the change."""
        return datetime.combine(day, self.wall, self.zone).astimezone(UTC)

    def end_of(self, moment: datetime) -> datetime:
        if self._wall_length is not None:
            return (moment.astimezone(self.zone) + self._wall_length).astimezone(UTC)
        if self._duration is not None:
            return instant(later(moment.astimezone(self.zone), self._duration), self.zone)
        return moment + self.length

    def is_excluded(self, moment: datetime) -> bool:
        if moment in self._excluded:
            return True
        return bool(self._excluded_days) and moment.astimezone(self.zone).date() in self._excluded_days

    def starts(self, first: datetime, last: datetime) -> Iterator[tuple[datetime, datetime | None]]:
        """(start, end of its own or None) of every member between the two instants, EXDATE not yet applied."""
        if first <= self.first <= last and not self._all_before_start():
            yield self.first, None
        for moment, end in self.extra:
            if first <= moment <= last:
                yield moment, end
        first_day, last_day = _day_of(first, self.zone), _day_of(last, self.zone)
        for rule in self.rules:
            until = self._until(rule)
            stop = last if until is None else min(last, until)
            # UNTIL of an all-day series names its last day, whatever time stands beside it.
            for day in dates(rule, self.first_day, first_day - _DAY, min(last_day, _day_of(stop, self.zone)) + _DAY):
                moment = self.moment(day)
                if moment > stop:
                    break
                if moment >= first:
                    yield moment, None

    def _all_before_start(self) -> bool:
        """Whether each rule ended before it began: what Google leaves of a split series has no occurrence."""
        untils = [self._until(rule) for rule in self.rules]
        return bool(untils) and all(until is not None and until < self.first for until in untils)

    def _until(self, rule: Rule) -> datetime | None:
        if not rule.until or int(rule.until[:4]) > LAST_YEAR:
            return None
        line = Line("UNTIL", rule.until)
        value = read_time(line, self.zone)
        if not isinstance(value, datetime) or self.all_day:
            day = value.date() if isinstance(value, datetime) else value
            return instant(day + _DAY, self.zone) - timedelta(seconds=1)
        return value.astimezone(UTC)

    def last_start(self, rule: Rule) -> datetime | None:
        """An instant after which the rule has no start; None for an open rule."""
        if rule.count is not None:
            last = deque(dates(rule, self.first_day, self.first_day, date(LAST_YEAR, 12, 31)), maxlen=1)
            return max([self.first, *map(self.moment, last)])
        until = self._until(rule)
        return until if until is None else max(until, self.first)


def _expanded(calendar: Component, zone: tzinfo, start: datetime, end: datetime, limit: int) -> Iterator[Occurrence]:
    own = _overrides_of(calendar, zone)
    head = master(calendar)
    unseen = dict(own)
    if head is not None and head.first("DTSTART") is not None:
        series = _Series(head, calendar, zone)
        ranges = sorted((o for o in own.values() if o.moves_following), key=lambda o: o.original)
        reach = max([series.longest, *(o.reach for o in own.values())])
        seen: set[datetime] = set()
        days = {} if not series.all_day else {_day_of(o.original, series.zone): o for o in own.values()}
        first, last = _clamped(start - reach - _ZONE_MARGIN), _clamped(end + reach + _ZONE_MARGIN)
        for moment, its_end in series.starts(first, last):
            if moment in seen:
                continue
            seen.add(moment)
            if len(seen) > limit + 2 * len(own) + 1000:
                raise TooManyInstances()
            key = utc_text(moment)
            override = own.get(key) or (days.get(_day_of(moment, series.zone)) if days else None)
            if override is not None:
                unseen.pop(override.recurrence_id, None)
                yield _of(override, key)
            elif not series.is_excluded(moment):
                yield _plain(series, ranges, key, moment, its_end)
    for override in unseen.values():
        yield _of(override, override.recurrence_id)


def _plain(
    series: _Series, ranges: list[_Override], key: str, moment: datetime, its_end: datetime | None
) -> Occurrence:
    following = None
    for candidate in ranges:
        if candidate.original > moment:
            break
        following = candidate
    if following is None:
        end = its_end if its_end is not None else series.end_of(moment)
        return Occurrence(key, moment, max(end, moment), series.all_day, series.component, False)
    zone = series.zone
    shift = _wall(following.start, zone) - _wall(following.original, zone)
    length = _wall(following.end, zone) - _wall(following.start, zone)
    begin = _wall(moment, zone) + shift
    return Occurrence(
        key,
        begin.replace(tzinfo=zone).astimezone(UTC),
        (begin + length).replace(tzinfo=zone).astimezone(UTC),
        following.all_day,
        following.component,
        True,
    )


def _of(override: _Override, key: str) -> Occurrence:
    return Occurrence(key, override.start, override.end, override.all_day, override.component, True)


def _single(entry: Component, calendar: Component, zone: tzinfo) -> Occurrence | None:
    if entry.first("DTSTART") is None and entry.first("DUE") is None:
        return None
    first, last, all_day = span(entry, zone, calendar)
    return Occurrence("", first, max(first, last), all_day, entry, False)


def _overrides_of(calendar: Component, zone: tzinfo) -> dict[str, _Override]:
    """By key. Of two overrides of one occurrence the higher SEQUENCE counts, then the later one."""
    found: dict[str, _Override] = {}
    for entry in overrides(calendar):
        line = entry.first("RECURRENCE-ID")
        if line is None or (entry.first("DTSTART") is None and entry.first("DUE") is None):
            continue
        original = instant(read_time(line, zone, calendar), zone)
        first, last, all_day = span(entry, zone, calendar)
        key = utc_text(original)
        following = (line.param("RANGE") or "").upper() == "THISANDFUTURE"
        override = _Override(key, original, first, max(first, last), all_day, entry, following)
        if key not in found or _sequence(entry) >= _sequence(found[key].component):
            found[key] = override
    return found


def _occurrence_at(calendar: Component, zone: tzinfo, moment: datetime) -> Occurrence:
    key = utc_text(moment)
    # An occurrence that RANGE has moved lies elsewhere, so the window follows the farthest of them.
    reach = max([o.reach for o in _overrides_of(calendar, zone).values()], default=timedelta(0)) + _DAY
    for occurrence in _expanded(calendar, zone, moment - reach, moment + reach, limit=10_000):
        if occurrence.recurrence_id == key:
            return occurrence
    raise NotFound()


def _own_end(entry: Component, calendar: Component, zone: tzinfo) -> datetime | None:
    if entry.first("DTSTART") is None and entry.first("DUE") is None:
        return None
    first, last, _ = span(entry, zone, calendar)
    return max(first, last)


def _has_structure(entry: Component) -> bool:
    return any(
        isinstance(child, Line) and child.name in ("RRULE", "RDATE", "RECURRENCE-ID") for child in entry.children
    )


def _sequence(entry: Component) -> int:
    text = (entry.value("SEQUENCE") or "").strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else 0


def like(model: Line, moment: datetime, zone: tzinfo, calendar: Component) -> tuple[str, Params]:
    """Value and parameters of `moment` in the form of `model`: DATE, UTC, TZID or floating."""
    value = read_time(model, zone, calendar)
    params = tuple(pair for pair in model.params if pair[0] in ("TZID", "VALUE"))
    if not isinstance(value, datetime):
        return f"{moment.astimezone(zone):%Y%m%d}", params
    local = moment.astimezone(value.tzinfo)
    if value.tzinfo is UTC or local.fold:
        return utc_text(moment), tuple(pair for pair in params if pair[0] != "TZID")
    return f"{local:%Y%m%dT%H%M%S}", params


def _meets(first: datetime, last: datetime, start: datetime, end: datetime) -> bool:
    """RFC 4791 §9.9: an entry without length meets the range in which it begins."""
    return first < end and (last > start or (first == last and first >= start))


def _clamped(moment: datetime) -> datetime:
    return min(max(moment, datetime(1500, 1, 1, tzinfo=UTC)), datetime(LAST_YEAR + 5, 1, 1, tzinfo=UTC))


def _day_of(moment: datetime, zone: tzinfo) -> date:
    return moment.astimezone(zone).date()


def _wall(moment: datetime, zone: tzinfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None)
