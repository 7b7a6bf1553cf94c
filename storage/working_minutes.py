"""How long doctors work: their hours less the leave in them, times the capacity, summed in the database."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import CTE, BigInteger, cast, func, literal, or_, select, union_all
from sqlalchemy.orm import Session

from storage import occurrences, sql
from storage.local_time import PERIODS, Days
from storage.models import Account, Occurrence
from storage.occurrences import Busy
from storage.sql import epoch, greatest, least

_NEVER, _FOREVER = cast(0, BigInteger), cast(2**40, BigInteger)
# Leave that nobody has decided about takes nothing away.
_UNDECIDED = ("free", "busy-tentative")


def worked(session: Session, doctors: Sequence[Account], days: Days, usual_location: str) -> CTE:
    """(doctor, location, capacity, first, last) of every stretch of work on these days, in seconds of local time; a
    stretch has one offset."""
    ids = [doctor.id for doctor in doctors]
    windows, away = _windows_and_away(session, ids, days, usual_location)
    before = func.max(away.c.last).over(
        partition_by=away.c.owner, order_by=(away.c.first, away.c.last), rows=(None, -1)
    )
    marked = select(away.c.owner, away.c.first, before.label("before")).cte("marked")
    # From the end of one time away to the beginning of the next the doctor is there.
    present = union_all(
        select(
            marked.c.owner, func.coalesce(marked.c.before, _NEVER).label("first"), marked.c.first.label("last")
        ).where(or_(marked.c.before.is_(None), marked.c.first > marked.c.before)),
        select(away.c.owner, func.max(away.c.last), _FOREVER).group_by(away.c.owner),
        select(Account.id, _NEVER, _FOREVER).where(Account.id.in_(ids), Account.id.not_in(select(away.c.owner))),
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
        .join(present, present.c.owner == windows.c.owner)
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


def _windows_and_away(session: Session, ids: Sequence[int], days: Days, usual_location: str) -> tuple[CTE, CTE]:
    """The hours and the leave that meet these days. What the table does not hold is expanded and given to the
    database."""
    beyond = occurrences.beyond_table(session, days.start, days.end, owner_ids=ids, kinds=("hours", "leave"))
    fresh = [each for obj, owner in beyond for each in occurrences.fresh(obj, owner, days.start, days.end)]
    known = (
        Occurrence.owner_id.in_(ids),
        Occurrence.end > days.start,
        Occurrence.start < days.end,
        Occurrence.object_id.not_in([obj.id for obj, _owner in beyond]),
    )
    first, last = epoch(Occurrence.start).label("first"), epoch(Occurrence.end).label("last")
    location = func.coalesce(func.nullif(Occurrence.location, ""), usual_location).label("location")
    stored = select(Occurrence.owner_id.label("owner"), first, last, Occurrence.capacity, location)
    given = sql.rows(
        session,
        "given_hours",
        {"owner": int, "first": int, "last": int, "capacity": int, "location": str},
        [(*_span(each), each.capacity, each.location or usual_location) for each in fresh if each.capacity],
    )
    windows = stored.where(*known, Occurrence.kind == "hours", Occurrence.capacity > 0)
    leave = select(Occurrence.owner_id.label("owner"), first, last)
    given_leave = sql.rows(
        session,
        "given_leave",
        {"owner": int, "first": int, "last": int},
        [_span(each) for each in fresh if each.kind == "leave" and each.busy not in _UNDECIDED],
    )
    taken = leave.where(*known, Occurrence.kind == "leave", Occurrence.busy.not_in(_UNDECIDED))
    return (
        union_all(windows, select(given)).cte("windows"),
        union_all(taken, select(given_leave)).cte("away"),
    )


def _span(each: Busy) -> tuple[int, int, int]:
    return each.owner_id, int(each.start.timestamp()), int(each.end.timestamp())
