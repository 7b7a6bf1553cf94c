"""Free time → the slots on offer, and why a time is not free.

Slots step in instants of UTC from the start of each window of working hours. So none begins in the hour that a
clock change leaves out, and both passes of a repeated hour are offered.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from math import ceil
from operator import itemgetter
from typing import NamedTuple

from ical.diary import (
    OVERBOOKED_SEAT,
    Busy,
    Kind,
    Taken,
    Window,
    booking_horizon,
    by_location,
    capacity_at,
    eligible,
    lengths_at,
    midnight,
    seats,
    spots,
)
from ical.policy import Diary, Request, all_refusals

__all__ = [
    "Busy",
    "Kind",
    "Reason",
    "Slot",
    "Taken",
    "Window",
    "capacity_at",
    "free_slots",
    "lengths_at",
    "seats",
    "spots",
    "why_not",
]

# Plain numbers of seconds since 1970: a month of twenty doctors is compared tens of thousands of times.
_Interval = tuple[float, float]
_Segment = tuple[float, float, int]
_end = itemgetter(1)


# Named tuples, not dataclasses: they are made by the thousand, and several times faster.
class Slot(NamedTuple):
    start: datetime
    end: datetime
    spots: int


class Reason(NamedTuple):
    """Why a time is not free: the code and the sentence of a refusal."""

    code: str
    text: str


def free_slots(
    windows: Iterable[Window],
    busy: Iterable[Busy],
    taken: Iterable[Taken],
    kind: Kind,
    now: datetime,
    zone: tzinfo,
    *,
    booked_per_day: Mapping[date, int] | None = None,
    daily_maximum: int | None = None,
    first: datetime | None = None,
    last: datetime | None = None,
) -> list[Slot]:
    """The slots of one doctor that begin in [first, last), in order, each with the number of its free spots.

    Where two windows offer the same start, the shorter visit is offered. `booked_per_day` is by local day in `zone`.
    """
    offered = eligible(windows, kind)
    notice = now + timedelta(minutes=max(kind.notice_minutes, 0))
    earliest = (notice if first is None else max(notice, first)).timestamp()
    horizon = booking_horizon(kind, now, zone)
    latest = (horizon if last is None else min(horizon, last)).timestamp()
    full = _full_days(booked_per_day or {}, daily_maximum, zone)
    if full is None:
        return []
    blocked = _merged((b.start.timestamp(), b.end.timestamp()) for b in busy)
    held = _held(taken, kind)
    grids = sorted({(w.start.timestamp(), w.end.timestamp(), w.slot_minutes * 60) for w in offered})
    found: dict[float, tuple[int, int]] = {}
    for group in by_location(offered).values():
        profile = _profile(group)
        closed, counted = blocked, held
        if held and (kind.capacity or max((capacity for _, _, capacity in profile), default=0)) == 1:
            # With one seat, what holds it closes the time: the common case, without counting.
            closed, counted = _merged([*blocked, *held[0]]), []
        for begin, end, step in grids:
            length = step if kind.minutes is None else kind.minutes * 60
            begin += max(0, ceil((earliest - begin) / step)) * step
            starts = _starts(begin, min(end, latest), step, length, closed)
            for start, free in _with_spots(starts, begin, length, profile, counted, kind.capacity):
                best = found.get(start)
                if best is None or (length, -free) < (best[0], -best[1]):
                    found[start] = (length, free)
    lengths = {length: timedelta(seconds=length) for length, _ in found.values()}
    slots = []
    for start in sorted(found):
        if full and _inside(start, full):
            continue
        length, free = found[start]
        moment = datetime.fromtimestamp(start, UTC)
        slots.append(Slot(moment, moment + lengths[length], free))
    return slots


def why_not(
    start: datetime,
    windows: Iterable[Window],
    busy: Iterable[Busy],
    taken: Iterable[Taken],
    kind: Kind,
    now: datetime,
    zone: tzinfo,
    *,
    booked_per_day: Mapping[date, int] | None = None,
    daily_maximum: int | None = None,
    by_staff: bool = True,
) -> list[Reason]:
    """Every reason why a visit cannot begin at `start`; empty when it can."""
    known = tuple(windows)
    booked = (booked_per_day or {}).get(start.astimezone(zone).date(), 0)
    diary = Diary(known, tuple(busy), tuple(taken), booked, daily_maximum, zone)
    there = [timedelta(minutes=w.slot_minutes) for w in known if w.start <= start < w.end]
    reasons: list[Reason] = []
    for length in lengths_at(known, kind, start) or there[:1] or [timedelta(minutes=1)]:
        request = Request(start, start + length, kind.code, by_staff)
        refusals = all_refusals(request, kind, diary, now)
        if not refusals:
            return []
        reasons = reasons or [Reason(refusal.code, refusal.sentence) for refusal in refusals]
    return reasons


def _starts(begin: float, end: float, step: int, length: int, blocked: Sequence[_Interval]) -> Iterator[float]:
    """The points of a grid in [begin, end) from which `length` seconds touch nothing blocked."""
    at = _first_after(blocked, begin)
    start = begin
    while start < end:
        while at < len(blocked) and blocked[at][1] <= start:
            at += 1
        if at < len(blocked) and blocked[at][0] < start + length:
            start += max(1, ceil((blocked[at][1] - start) / step)) * step
            continue
        yield start
        start += step


def _with_spots(
    starts: Iterable[float],
    begin: float,
    length: int,
    profile: Sequence[_Segment],
    held: Sequence[Sequence[_Interval]],
    fixed_capacity: int | None,
) -> Iterator[tuple[float, int]]:
    """The starts, none before `begin`, at which a visit lies within the hours of `profile` and finds seats: how many."""
    pointers = [_first_after(intervals, begin) for intervals in held]
    segment = bisect_right(profile, begin, key=_end)
    for start in starts:
        end = start + length
        while segment < len(profile) and profile[segment][1] <= start:
            segment += 1
        if segment < len(profile) and profile[segment][0] <= start and end <= profile[segment][1]:
            capacity = profile[segment][2]
        else:
            capacity = _lowest(profile, segment, start, end)
        if capacity and fixed_capacity is not None:
            capacity = fixed_capacity
        free = capacity
        for seat in range(min(capacity, len(held))):
            intervals, at = held[seat], pointers[seat]
            while at < len(intervals) and intervals[at][1] <= start:
                at += 1
            pointers[seat] = at
            if at < len(intervals) and intervals[at][0] < end:
                free -= 1
        if free > 0:
            yield start, free


def _lowest(profile: Sequence[_Segment], at: int, start: float, end: float) -> int:
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
    changes: dict[float, int] = {}
    for window in windows:
        begin, end = window.start.timestamp(), window.end.timestamp()
        changes[begin] = changes.get(begin, 0) + window.capacity
        changes[end] = changes.get(end, 0) - window.capacity
    segments: list[_Segment] = []
    capacity, since = 0, 0.0
    for at in sorted(changes):
        if changes[at] == 0:
            continue
        if capacity > 0:
            segments.append((since, at, capacity))
        capacity, since = capacity + changes[at], at
    return segments


def _held(taken: Iterable[Taken], kind: Kind) -> list[list[_Interval]]:
    """For each seat the starts and ends between which a visit of this kind cannot lie, its buffers counted in."""
    after, before = kind.buffer_after * 60, kind.buffer_before * 60
    by_seat: dict[int, list[_Interval]] = {}
    for t in taken:
        # A visit [s, e) collides when start < e + after and end > s - before.
        by_seat.setdefault(t.seat, []).append((t.start.timestamp() - after, t.end.timestamp() + before))
    regular = [seat for seat in by_seat if seat < OVERBOOKED_SEAT]
    return [_merged(by_seat.get(seat, ())) for seat in range(max(regular, default=-1) + 1)]


def _merged(intervals: Iterable[_Interval]) -> list[_Interval]:
    merged: list[_Interval] = []
    for begin, end in sorted(intervals):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    return merged


def _full_days(booked: Mapping[date, int], maximum: int | None, zone: tzinfo) -> list[_Interval] | None:
    """The local days on which no more may begin; None when that is every day."""
    if maximum is None:
        return []
    if maximum <= 0:
        return None
    full = [day for day, count in booked.items() if count >= maximum]
    return _merged((midnight(d, zone).timestamp(), midnight(d + timedelta(days=1), zone).timestamp()) for d in full)


def _first_after(intervals: Sequence[_Interval], moment: float) -> int:
    """The index of the first of disjoint, ordered intervals that ends after `moment`."""
    return bisect_right(intervals, moment, key=_end)


def _inside(moment: float, intervals: Sequence[_Interval]) -> bool:
    at = _first_after(intervals, moment)
    return at < len(intervals) and intervals[at][0] <= moment
