"""Free time → the slots on offer, and why a time is not free.

Slots step in instants of UTC from the start of each window of working hours. So none begins in the hour that a
clock change leaves out, and both passes of a repeated hour are offered.

Everything that speaks against a visit of a given length becomes intervals of forbidden starts: what is closed from a to b
forbids to begin after a - length and before b. What is free is the rest, and one walk finds it.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta, tzinfo
from math import ceil
from operator import itemgetter
from typing import NamedTuple

from ical.diary import (
    OVERBOOKED_SEAT,
    Diary,
    Held,
    Kind,
    Taken,
    Window,
    booking_horizon,
    by_location,
    eligible,
    lengths_at,
    local_day,
    midnight,
    monday,
    outside_own_hours,
    seconds,
)
from ical.errors import Refusal
from ical.intervals import ALWAYS, Interval, common, gaps, merged
from ical.policy import Request, all_refusals
from ical.seats import Seats, free_seats

_Segment = tuple[int, int, int]
_first = itemgetter(0)


class Slot(NamedTuple):
    """Seconds since 1970, and of length."""

    start: int
    length: int
    spots: int
    location: str


# A Slot's values: they are found by the thousand.
Bare = tuple[int, int, int, str]


def free_slots(
    diary: Diary, kind: Kind, now: datetime, first: datetime | None = None, last: datetime | None = None
) -> list[Slot]:
    """The slots of one doctor that begin in [first, last), in order, each with the number of its free spots.

    Where two windows offer the same start, the shorter visit is offered.
    """
    return list(map(Slot._make, Slots(kind, now, first, last).of(diary)))


class Slots:
    """One question about any number of doctors: what they share is worked out once."""

    def __init__(self, kind: Kind, now: datetime, first: datetime | None = None, last: datetime | None = None) -> None:
        notice = now + timedelta(minutes=max(kind.notice_minutes, 0))
        self._kind, self._now, self._last = kind, now, last
        self._earliest = ceil((notice if first is None else max(notice, first)).timestamp())
        self._before, self._after = kind.buffer_before * 60, kind.buffer_after * 60
        self._horizons: dict[tzinfo, int] = {}
        self._of_resources: dict[int, list[Interval]] = {}

    def of(self, diary: Diary) -> list[Bare]:
        """As `free_slots`."""
        kind = self._kind
        latest = self._latest(diary.zone)
        if self._earliest >= latest or (kind.doctors and diary.name not in kind.doctors):
            return []
        offered = [w for w in eligible(diary.windows, kind) if w.start < latest and w.end > self._earliest]
        full = _full_days(diary, kind)
        found: dict[int, Bare] = {}
        for place, group in by_location(offered).items():
            profile = _profile(group)
            grids: dict[int, list[Window]] = {}
            for window in group:
                grids.setdefault(60 * (kind.minutes or window.slot_minutes), []).append(window)
            for length, windows in grids.items():
                for slot in self._at(diary, place, profile, length, windows, [*full, (latest, ALWAYS[1])]):
                    best = found.get(slot[0])
                    if best is None or (slot[1], -slot[2]) < (best[1], -best[2]):
                        found[slot[0]] = slot
        return [found[start] for start in sorted(found)]

    def _latest(self, zone: tzinfo) -> int:
        if zone not in self._horizons:
            horizon = booking_horizon(self._kind, self._now, zone)
            self._horizons[zone] = ceil((horizon if self._last is None else min(horizon, self._last)).timestamp())
        return self._horizons[zone]

    def _at(
        self,
        diary: Diary,
        place: str,
        profile: Sequence[_Segment],
        length: int,
        windows: Sequence[Window],
        forbidden: list[Interval],
    ) -> Iterator[Bare]:
        """The slots of one place and length, on the grids of `windows`."""
        forbidden.append((ALWAYS[0], self._earliest))
        reach = length - 1
        closed = gaps(merged((begin, end) for begin, end, _capacity in profile))
        closed += ((b.start, b.end) for b in diary.busy if b.location is None or b.location == place)
        if self._kind.hours:
            closed += outside_own_hours(self._kind, diary.zone_at(place), (self._earliest, self._latest(diary.zone)))
        forbidden += ((begin - reach, end) for begin, end in closed)
        forbidden += self._on_the_way(diary, place, reach)
        if self._kind.resources:
            forbidden += self._without_resources(diary.resources, length)
        single = max(map(itemgetter(2), profile), default=0) == 1 and self._kind.capacity in (None, 1)
        if single:
            # With one seat, what holds it closes the time: the common case, without counting.
            back, on = reach + self._after, self._before
            forbidden += [(t[0] - back, t[1] + on) for t in diary.taken if t[2] < OVERBOOKED_SEAT]
        starts = _points(windows, gaps(merged(forbidden)))
        if single:
            return ((start, length, 1, place) for start in starts)
        return self._counted(starts, length, profile, diary.taken, place)

    def _on_the_way(self, diary: Diary, place: str, reach: int) -> Iterator[Interval]:
        """The starts at which the doctor is at another place, or from which there is no time to come or to get there."""
        ways = {other: diary.travel(place, other) for other in {t[4] for t in diary.taken}}
        for start, end, seat, _kind, other, _source in diary.taken:
            way = ways[other]
            if way is not None and seat < OVERBOOKED_SEAT:
                yield start - way - reach - self._after, end + way + self._before

    def _without_resources(self, resources: Mapping[str, Diary], length: int) -> list[Interval]:
        """The starts at which no resource of some group is free from beginning to end."""
        if length not in self._of_resources:
            found: list[Interval] = []
            for group in self._kind.resources:
                nobody = [ALWAYS]
                for name in group:
                    if name in resources:
                        nobody = common(nobody, self._without(resources[name], length))
                found += nobody
            self._of_resources[length] = merged(found)
        return self._of_resources[length]

    def _without(self, resource: Diary, length: int) -> list[Interval]:
        reach = length - 1
        back, on = reach + self._after, self._before
        forbidden = [(b.start - reach, b.end) for b in resource.busy]
        if not resource.always:
            there = merged((w.start, w.end) for w in resource.windows)
            forbidden += [(begin - reach, end) for begin, end in gaps(there)]
        # Full when none of its seats is free from beginning to end
        full = [ALWAYS]
        over = range(resource.capacity, OVERBOOKED_SEAT)
        forbidden += [(t[0] - back, t[1] + on) for t in resource.taken if t[2] in over]
        for seat in range(resource.capacity):
            full = common(full, merged((t[0] - back, t[1] + on) for t in resource.taken if t[2] == seat))
        return merged([*forbidden, *full])

    def _counted(
        self, starts: Iterable[int], length: int, profile: Sequence[_Segment], taken: Iterable[Held], place: str
    ) -> Iterator[Bare]:
        """The starts at which seats are left, with how many."""
        coming = sorted(taken, key=_first)
        there: list[Held] = []
        at = segment = 0
        for start in sorted(set(starts)):
            wanted = Taken(start - self._before, start + length + self._after, 0, self._kind.code)
            while at < len(coming) and coming[at][0] < wanted.end:
                there.append(coming[at])
                at += 1
            there = [t for t in there if t[1] > wanted.start]
            while profile[segment][1] <= start:
                segment += 1
            capacity = _lowest(profile, segment, start, start + length)
            free = free_seats(wanted, Seats(capacity, self._kind.code, self._kind.capacity), there)
            if free:
                yield start, length, free, place


def why_not(start: datetime, diary: Diary, kind: Kind, now: datetime, *, by_staff: bool = True) -> list[Refusal]:
    """Every reason why a visit cannot begin at `start`; empty when it can."""
    first = seconds(start)
    there = [timedelta(minutes=w.slot_minutes) for w in diary.windows if w.start <= first < w.end]
    reasons: list[Refusal] = []
    for length in lengths_at(diary.windows, kind, start) or there[:1] or [timedelta(minutes=1)]:
        refusals = all_refusals(Request(start, start + length, kind.code, by_staff), kind, diary, now)
        if not refusals:
            return []
        reasons = reasons or refusals
    return reasons


def _points(windows: Iterable[Window], free: Sequence[Interval]) -> Iterator[int]:
    """The points of the windows' grids that lie in `free`, disjoint and ordered intervals of starts."""
    for begin, end, step in sorted({(w.start, w.end, w.slot_minutes * 60) for w in windows}):
        for low, high in free[max(0, bisect_right(free, begin, key=_first) - 1) :]:
            if low >= end:
                break
            first = begin if low <= begin else low + (begin - low) % step
            yield from range(first, min(high, end), step)


def _lowest(profile: Sequence[_Segment], at: int, start: int, end: int) -> int:
    """The least capacity all through [start, end), of which segment `at` is the first that may reach in; 0 in a gap."""
    lowest, reached = 0, start
    while at < len(profile) and profile[at][0] <= reached:
        lowest = min(lowest or profile[at][2], profile[at][2])
        reached = profile[at][1]
        if reached >= end:
            return lowest
        at += 1
    return 0


def _profile(windows: Sequence[Window]) -> list[_Segment]:
    """One place's capacity over time: disjoint segments in order, those of equal capacity that adjoin made one."""
    changes: dict[int, int] = {}
    for window in windows:
        changes[window.start] = changes.get(window.start, 0) + window.capacity
        changes[window.end] = changes.get(window.end, 0) - window.capacity
    segments: list[_Segment] = []
    capacity, since = 0, 0
    for at in sorted(changes):
        if changes[at] == 0:
            continue
        if capacity > 0:
            segments.append((since, at, capacity))
        capacity, since = capacity + changes[at], at
    return segments


def _full_days(diary: Diary, kind: Kind) -> list[Interval]:
    """The local days and weeks in which no more visits may begin."""
    found: list[Interval] = []
    week = timedelta(days=7)
    days: list[tuple[int | None, str | None, Callable[[date], date], timedelta]] = [
        (diary.daily_maximum, None, lambda day: day, timedelta(days=1)),
        (diary.weekly_maximum, None, monday, week),
        (kind.daily_maximum, kind.code, lambda day: day, timedelta(days=1)),
        (kind.weekly_maximum, kind.code, monday, week),
    ]
    for limit, code, first_of, period in days:
        if limit is None:
            continue
        if limit <= 0:
            return [ALWAYS]
        counted = (start for start, of_kind in diary.visits if code is None or of_kind == code)
        booked = Counter(first_of(local_day(start, diary.zone)) for start in counted)
        found += (
            (seconds(midnight(day, diary.zone)), seconds(midnight(day + period, diary.zone)))
            for day, count in booked.items()
            if count >= limit
        )
    return found
