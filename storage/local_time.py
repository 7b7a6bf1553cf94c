"""Local time in SQL: the offsets of the zones concerned as rows to join, and what a local second belongs to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import CTE, ColumnElement, and_
from sqlalchemy.orm import Session

from ical import times, timezones
from ical.offsets import Offset, offsets
from storage import sql

HOUR, DAY = 3600, 86_400
_A_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Period:
    """`of` is its number for a local second; it changes nowhere but at multiples of `step`."""

    of: Callable[[ColumnElement[Any]], ColumnElement[Any]]
    step: int


# The first of January 1970 was a Thursday.
PERIODS = {
    "hour": Period(lambda local: local % DAY // HOUR, HOUR),
    "weekday": Period(lambda local: (local // DAY + 3) % 7, DAY),
    "day": Period(lambda local: local // DAY, DAY),
    "week": Period(lambda local: (local // DAY + 3) // 7, DAY),
    "month": Period(lambda local: sql.month(local), DAY),
}


@dataclass(frozen=True)
class Days:
    """The local days from `first` to `last` (both included) of some people. `offsets` has the columns owner, start, end
    (instants), first, last (the same in seconds) and offset; all of them lie in [start, end)."""

    offsets: CTE
    start: datetime
    end: datetime


def days(session: Session, zones: Mapping[int, str], first: date, last: date) -> Days:
    """`zones` are the names of the zones by the ids of their owners."""
    pieces = {name: _pieces(timezones.zone(name), first, last) for name in set(zones.values())}
    found = [
        (owner, each.start, each.end, _seconds(each.start), _seconds(each.end), int(each.offset.total_seconds()))
        for owner, name in zones.items()
        for each in pieces[name]
    ]
    columns = {"owner": int, "start": datetime, "end": datetime, "first": int, "last": int, "offset": int}
    table = sql.rows(session, "offsets", columns, found)
    return Days(table, min(each[1] for each in found), max(each[2] for each in found))


def within(table: CTE, owner: Any, moment: Any) -> ColumnElement[bool]:
    """The join of somebody's instant with the one offset that counts for it."""
    return and_(table.c.owner == owner, moment >= table.c.start, moment < table.c.end)


def _pieces(zone: ZoneInfo, first: date, last: date) -> list[Offset]:
    return list(offsets(zone, times.instant(first, zone), times.instant(last + _A_DAY, zone)))


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
