"""What is known of a doctor's time when one asks for a slot: hours, busy times, claims, and the facts about them.

Moments in here are whole seconds since 1970: a month of twenty doctors is compared tens of thousands of times.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from ical.intervals import Interval, gaps, merged

# Deliberate overbookings sit from this seat on and keep nobody from a regular one.
OVERBOOKED_SEAT = 1000


class Window(NamedTuple):
    """One occurrence of working hours. `types` empty: every kind of appointment."""

    start: int
    end: int
    slot_minutes: int
    capacity: int = 1
    types: tuple[str, ...] = ()
    location: str = ""
    source: int = 0


class Busy(NamedTuple):
    """Minutes that are not on offer, because of "leave", a "holiday" of the clinic, or of anything else that blocks.

    `location`: the only place that it closes; None: wherever the doctor is.
    """

    start: int
    end: int
    why: str = "block"
    location: str | None = None
    source: int = 0


class Taken(NamedTuple):
    """Minutes that somebody holds on one seat, the buffers of their own kind included. `location` None: nobody knows
    where."""

    start: int
    end: int
    seat: int = 0
    kind: str = ""
    location: str | None = None
    source: int = 0


# A Taken, or a row with its values: thousands of them are read at once, and few looked at.
Held = tuple[int, int, int, str, str | None, int]


@dataclass(frozen=True)
class OwnHours:
    """Wall times of some weekdays (0 is Monday). `end` midnight is the end of the day."""

    days: frozenset[int]
    start: time
    end: time


@dataclass(frozen=True)
class Kind:
    """What a kind of appointment asks for. `minutes` None: as long as the slot of the hours it falls in.

    `capacity` None: as many share one time as the hours say. `doctors` empty: all of them; `hours` empty: whenever
    there are working hours; of each group of `resources` one is needed. The maxima are per doctor.
    """

    code: str
    minutes: int | None = None
    buffer_before: int = 0
    buffer_after: int = 0
    notice_minutes: int = 0
    window_days: int = 365
    capacity: int | None = None
    self_booking: bool = True
    doctors: frozenset[str] = frozenset()
    hours: tuple[OwnHours, ...] = ()
    daily_maximum: int | None = None
    weekly_maximum: int | None = None
    resources: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Place:
    """A location of the practice. `travel_minutes` None: as from any place to another."""

    name: str
    zone: tzinfo
    travel_minutes: int | None = None


@dataclass(frozen=True)
class Diary:
    """The time of a doctor, or of a resource, within a range.

    `visits` are (start, kind) of those that count for the maxima; `resources` are the diaries of what kinds ask for, by
    name. Of a resource: `capacity` is how many it serves at once, `always` that there are no hours to keep to.
    """

    windows: Sequence[Window] = ()
    busy: Sequence[Busy] = ()
    taken: Sequence[Held] = ()
    visits: Sequence[tuple[int, str]] = ()
    daily_maximum: int | None = None
    weekly_maximum: int | None = None
    zone: tzinfo = UTC
    name: str = ""
    always: bool = False
    capacity: int = 1
    places: Mapping[str, Place] = field(default_factory=dict)
    travel_minutes: int = 0
    resources: Mapping[str, "Diary"] = field(default_factory=dict)

    def zone_at(self, location: str) -> tzinfo:
        place = self.places.get(location)
        return self.zone if place is None else place.zone

    def travel(self, one: str | None, other: str | None) -> int | None:
        """Seconds from one place to another: the longer of what the two say. None: it is the same one, or unknown."""
        if one is None or other is None or one == other:
            return None
        known = (self.places.get(one), self.places.get(other))
        return 60 * max(
            self.travel_minutes if p is None or p.travel_minutes is None else p.travel_minutes for p in known
        )


def seconds(moment: datetime) -> int:
    return int(moment.timestamp())


def eligible(windows: Iterable[Window], kind: Kind) -> list[Window]:
    """The windows in which this kind is offered, by start."""
    return sorted(w for w in windows if w.slot_minutes > 0 and (not w.types or kind.code in w.types))


def by_location(windows: Iterable[Window]) -> dict[str, list[Window]]:
    places: dict[str, list[Window]] = {}
    for window in windows:
        places.setdefault(window.location, []).append(window)
    return places


def capacity_at(windows: Iterable[Window], start: datetime, end: datetime) -> int:
    """How many may be seen at once all through [start, end), at the place where most may; 0 outside hours.

    Windows at one place that overlap add up, windows that adjoin carry a visit across their border.
    """
    return place_at(windows, start, end)[0]


def place_at(windows: Iterable[Window], start: datetime, end: datetime) -> tuple[int, str | None]:
    """That capacity, and the place; None outside hours."""
    first, last = seconds(start), seconds(end)
    found = ((_capacity(group, first, last), place) for place, group in by_location(windows).items())
    return max(((capacity, place) for capacity, place in found if capacity), key=lambda at: at[0], default=(0, None))


def lengths_at(windows: Iterable[Window], kind: Kind, start: datetime) -> list[timedelta]:
    """How long a visit that begins at `start` would be: those of the windows whose grid it is on, else of all there."""
    if kind.minutes is not None:
        return [timedelta(minutes=kind.minutes)]
    first = seconds(start)
    there = [w for w in eligible(windows, kind) if w.start <= first < w.end]
    on_grid = [w for w in there if is_on_grid(w, first)]
    return [timedelta(minutes=minutes) for minutes in sorted({w.slot_minutes for w in on_grid or there})]


def is_on_grid(window: Window, start: int) -> bool:
    """Whether a slot of the window begins then."""
    return (start - window.start) % (window.slot_minutes * 60) == 0


def own_hours(kind: Kind, zone: tzinfo, within: Interval) -> list[Interval]:
    """When the kind is offered on the days that `within` touches. A repeated wall time is its first one."""
    found = []
    for day in _days(zone, within):
        for hours in kind.hours:
            if day.weekday() in hours.days:
                last = day if hours.end > hours.start else day + timedelta(days=1)
                begin, end = (datetime.combine(d, t, zone) for d, t in ((day, hours.start), (last, hours.end)))
                found.append((seconds(begin), seconds(end)))
    return merged(found)


def outside_own_hours(kind: Kind, zone: tzinfo, within: Interval) -> list[Interval]:
    return gaps(own_hours(kind, zone, within)) if kind.hours else []


def booking_horizon(kind: Kind, now: datetime, zone: tzinfo) -> datetime:
    """The first instant that is further ahead than can be booked: a midnight of the doctor's."""
    last = now.astimezone(zone).date() + timedelta(days=kind.window_days)
    return midnight(last + timedelta(days=1), zone)


def midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone)


def local_day(moment: int, zone: tzinfo) -> date:
    return datetime.fromtimestamp(moment, zone).date()


def monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _days(zone: tzinfo, within: Interval) -> Iterator[date]:
    """The local days from the one before `within` to the one behind it."""
    day = local_day(within[0], zone) - timedelta(days=1)
    last = local_day(within[1], zone) + timedelta(days=1)
    while day <= last:
        yield day
        day += timedelta(days=1)


def _capacity(windows: Sequence[Window], start: int, end: int) -> int:
    borders = sorted({start, *(t for w in windows for t in (w.start, w.end) if start < t < end)})
    return min(sum(w.capacity for w in windows if w.start <= at < w.end) for at in borders)
