"""The offsets of a time zone over a span, as rows that arithmetic needs no calendar for."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

_STEP = timedelta(days=1)
_NONE = timedelta(0)


@dataclass(frozen=True)
class Offset:
    """In [start, end) local time is UTC plus `offset`."""

    start: datetime
    end: datetime
    offset: timedelta


def offsets(zone: tzinfo, start: datetime, end: datetime) -> Iterator[Offset]:
    """[start, end) in pieces of one offset each, in order. zoneinfo does not list its transitions: they are looked for,
    a day at a time."""
    begin = here = start.astimezone(UTC)
    end = end.astimezone(UTC)
    while here < end:
        there = min(here + _STEP, end)
        if _at(zone, there) != _at(zone, here):
            there = _change(zone, here, there)
            yield Offset(begin, there, _at(zone, here))
            begin = there
        here = there
    if begin < end:
        yield Offset(begin, end, _at(zone, begin))


def _change(zone: tzinfo, low: datetime, high: datetime) -> datetime:
    """The first second in (low, high] with another offset than `low`."""
    before = _at(zone, low)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        low, high = (middle, high) if _at(zone, middle) == before else (low, middle)
    return high


def _at(zone: tzinfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or _NONE
