"""How long doctors work: their hours less leave and holidays, times the capacity, summed in the database."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import CTE, BigInteger, and_, cast, func, literal, or_, select, union_all
from sqlalchemy.orm import Session

from ical import times, timezones
from storage import occurrences, sql
from storage.local_time import PERIODS, Days
from storage.models import Account, Holiday, HolidayCalendar, Location, Occurrence
from storage.moments import seconds_of
from storage.occurrences import Busy
from storage.sql import greatest, least

_NEVER, _FOREVER = cast(0, BigInteger), cast(2**40, BigInteger)
# Leave that nobody has decided about takes nothing away.
_UNDECIDED = ("free", "busy-tentative")
_A_DAY = timedelta(days=1)


def worked(session: Session, doctors: Sequence[Account], days: Days, usual_location: str) -> CTE:
    """(doctor, location, capacity, first, last) of every stretch of work on these days, in seconds of local time; a
    stretch has one offset."""
    windows, places, away = _windows_and_away(session, doctors, days, usual_location)
    where = (away.c.owner, away.c.location)
    before = func.max(away.c.last).over(partition_by=where, order_by=(away.c.first, away.c.last), rows=(None, -1))
    marked = select(*where, away.c.first, before.label("before")).cte("marked")
    never_away = ~select(away.c.owner).where(_same_place(away, places)).exists()
    # From the end of one time away to the beginning of the next the doctor is there.
    present = union_all(
        select(
            marked.c.owner,
            marked.c.location,
            func.coalesce(marked.c.before, _NEVER).label("first"),
            marked.c.first.label("last"),
        ).where(or_(marked.c.before.is_(None), marked.c.first > marked.c.before)),
        select(*where, func.max(away.c.last), _FOREVER).group_by(*where),
        select(places, _NEVER, _FOREVER).where(never_away),
    ).cte("present")
    offsets = days.offsets
    first = greatest(windows.c.first, present.c.first, offsets.c.first)
    last = least(windows.c.last, present.c.last, offsets.c.last)
    return (
        select(
            windows.c.owner.label("doctor"),
            windows.c.location,
            windows.c.capacity,
            (first + offsets.c.offset).label("first"),
            (last + offsets.c.offset).label("last"),
        )
        .select_from(windows)
        .join(present, _same_place(present, windows))
        .join(offsets, offsets.c.owner == windows.c.owner)
        .where(first < last)
        .cte("worked")
    )


def seconds(session: Session, table: CTE, by: str, location: str | None = None) -> dict[Any, int]:
    """Working seconds times capacity by doctor (id), location or one of PERIODS; "" for all of them together."""
    chosen = select(table).where(table.c.location == location).cte("chosen") if location is not None else table
    if by in PERIODS:
        return _by_period(session, chosen, by)
    key = chosen.c[by] if by else literal("")
    total = func.sum((chosen.c.last - chosen.c.first) * chosen.c.capacity)
    asked = select(key, total).group_by(key) if by else select(key, total)
    return {name: int(found) for name, found in session.execute(asked) if found is not None}


def _by_period(session: Session, table: CTE, by: str) -> dict[Any, int]:
    """Cut where the period may change, then summed."""
    period = PERIODS[by]
    step = cast(period.step, BigInteger)
    cut = select(
        table.c.capacity,
        table.c.first.label("local"),
        least(table.c.last, (table.c.first // step + 1) * step).label("until"),
        table.c.last,
    ).cte("cut", recursive=True)
    rest = select(cut.c.capacity, cut.c.until, least(cut.c.last, cut.c.until + step), cut.c.last)
    cut = cut.union_all(rest.where(cut.c.until < cut.c.last))
    key = period.of(cut.c.local).label("key")
    total = func.sum((cut.c.until - cut.c.local) * cut.c.capacity)
    return {name: int(found) for name, found in session.execute(select(key, total).group_by(key))}


def _windows_and_away(
    session: Session, doctors: Sequence[Account], days: Days, usual_location: str
) -> tuple[CTE, CTE, CTE]:
    """The hours that meet these days, the places where there are any, and when the doctor is away from each. What
    the table does not hold is expanded and given to the database."""
    ids = [doctor.id for doctor in doctors]
    beyond = occurrences.beyond_table(session, days.start, days.end, owner_ids=ids, kinds=("hours", "leave"))
    fresh = [each for obj, owner in beyond for each in occurrences.fresh(obj, owner, days.start, days.end)]
    known = and_(
        Occurrence.owner_id.in_(ids),
        Occurrence.end > days.start,
        Occurrence.start < days.end,
        Occurrence.object_id.not_in([obj.id for obj, _owner in beyond]),
    )
    stored = select(
        Occurrence.owner_id.label("owner"),
        seconds_of(Occurrence.start).label("first"),
        seconds_of(Occurrence.end).label("last"),
    ).where(known)
    place = func.coalesce(func.nullif(Occurrence.location, ""), usual_location).label("location")
    span = {"owner": int, "first": int, "last": int}
    given_hours = [(*_span(each), each.capacity, each.location or usual_location) for each in fresh if each.capacity]
    windows = union_all(
        stored.add_columns(Occurrence.capacity, place).where(Occurrence.kind == "hours", Occurrence.capacity > 0),
        select(sql.rows(session, "given_hours", {**span, "capacity": int, "location": str}, given_hours)),
    ).cte("windows")
    given_leave = [_span(each) for each in fresh if each.kind == "leave" and each.busy not in _UNDECIDED]
    leave = union_all(
        stored.where(Occurrence.kind == "leave", Occurrence.busy.not_in(_UNDECIDED)),
        select(sql.rows(session, "given_leave", span, given_leave)),
    ).cte("leave")
    closed = sql.rows(session, "closed", {**span, "location": str}, list(_closed(session, doctors, days)))
    places = select(windows.c.owner, windows.c.location).distinct().cte("places")
    here = and_(
        closed.c.owner == places.c.owner, func.coalesce(closed.c.location, places.c.location) == places.c.location
    )
    away = union_all(
        select(places, leave.c.first, leave.c.last).join(leave, leave.c.owner == places.c.owner),
        select(places, closed.c.first, closed.c.last).join(closed, here),
    ).cte("away")
    return windows, places, away


def _closed(session: Session, doctors: Sequence[Account], days: Days) -> Iterator[tuple[int, int, int, str | None]]:
    """The holidays of each doctor: (whose, from when, until when, where alone). A whole day is one of the place that it
    closes, or of the doctor."""
    found = session.execute(
        select(Holiday.start, Holiday.end, Holiday.all_day, HolidayCalendar.location, Location.timezone)
        .join(HolidayCalendar, HolidayCalendar.id == Holiday.calendar_id)
        .outerjoin(Location, Location.name == HolidayCalendar.location)
        .where(Holiday.end > days.start - _A_DAY, Holiday.start < days.end + _A_DAY)
    )
    for start, end, all_day, location, of_place in found:
        for doctor in doctors:
            zone = timezones.zone(of_place or doctor.timezone)
            first, last = (
                (times.instant(each.astimezone(UTC).date(), zone) if all_day else each) for each in (start, end)
            )
            yield doctor.id, _seconds(first), _seconds(last), location


def _same_place(one: CTE, other: CTE) -> Any:
    return and_(one.c.owner == other.c.owner, one.c.location == other.c.location)


def _span(each: Busy) -> tuple[int, int, int]:
    return each.owner_id, _seconds(each.start), _seconds(each.end)


def _seconds(moment: datetime) -> int:
    return int(moment.timestamp())
