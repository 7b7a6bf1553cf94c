"""The expanded index: every occurrence within the horizon, so that time questions are SQL.

An open-ended series is expanded from a year ago to two years ahead and extended by a daily task; a question beyond
that is answered exactly by expanding the few objects concerned, there and then.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import bindparam, delete, insert, or_, select
from sqlalchemy.orm import Session

from ical import freebusy, hours, lines, recurrence, times, timezones
from ical.lines import Component
from storage import freed
from storage.models import Account, CalendarObject, Occurrence, table_of
from storage.models import Collection as Calendar
from storage.models.base import Instant
from storage.prepared import Prepared, among, numbered

AHEAD = timedelta(days=731)
BEHIND = timedelta(days=366)
_MOST_ROWS = 4000


class Busy(NamedTuple):
    """One occurrence, as the table or a fresh expansion gives it. Fields as in storage.models.Occurrence."""

    object_id: int
    collection_id: int
    owner_id: int
    recurrence_id: str
    start: datetime
    end: datetime
    all_day: bool
    kind: str
    busy: str
    slot_minutes: int | None
    capacity: int | None
    types: str
    location: str


_TABLE = table_of(Occurrence)
_ADD = Prepared(insert(_TABLE), Busy._fields)
_REMOVE = Prepared(
    delete(_TABLE)
    .where(_TABLE.c.object_id == bindparam("object"))
    .returning(_TABLE.c.owner_id, _TABLE.c.start, _TABLE.c.end)
)
_OF_OBJECT = Prepared(
    select(*(_TABLE.c[name] for name in Busy._fields)).where(_TABLE.c.object_id == bindparam("object"))
)
_COLUMNS = [getattr(Occurrence, name) for name in Busy._fields]


@dataclass(frozen=True)
class Expansion:
    """What an object occupies. `start` and `end` bound what was expanded; None: that is all there is."""

    occurrences: list[recurrence.Occurrence]
    start: datetime | None = None
    end: datetime | None = None


NOTHING = Expansion([])


def expand(calendar: Component, owner: Account, now: datetime) -> Expansion:
    """The occurrences of one object that belong into the table."""
    zone = timezones.zone(owner.timezone)
    if not recurrence.repeats(calendar):
        return Expansion(recurrence.occurrences(calendar, zone, _BEGINNING, _END))
    start, end = now - BEHIND, now + AHEAD
    last = recurrence.last_end(calendar, zone)
    if last is not None:
        first = _first_start(calendar, owner)
        if last - first <= AHEAD + BEHIND:
            return Expansion(recurrence.occurrences(calendar, zone, first, last, limit=_MOST_ROWS))
        if last <= end:
            # Nothing comes after these: never to be extended again.
            return Expansion(recurrence.occurrences(calendar, zone, start, end, limit=_MOST_ROWS), start, _END)
    return Expansion(recurrence.occurrences(calendar, zone, start, end, limit=_MOST_ROWS), start, end)


_BEGINNING = datetime.fromisoformat("0002-01-01T00:00:00+00:00")
_END = datetime.fromisoformat("9990-01-01T00:00:00+00:00")


def _first_start(calendar: Component, owner: Account) -> datetime:
    zone = timezones.zone(owner.timezone)
    spans = [times.span(component, zone, calendar) for component in calendar.components("VEVENT")]
    return min(start for start, _end, _all_day in spans) - timedelta(days=1)


def rows(obj: CalendarObject, owner: Account, occurrences: Iterable[recurrence.Occurrence]) -> list[dict[str, Any]]:
    """The table's rows for these occurrences."""
    made: dict[int, dict[str, Any]] = {}
    result = []
    for occurrence in occurrences:
        key = id(occurrence.component)
        if key not in made:
            made[key] = _facts(obj.kind, owner, occurrence.component)
        result.append(
            {
                "object_id": obj.id,
                "collection_id": obj.collection_id,
                "owner_id": owner.id,
                "recurrence_id": occurrence.recurrence_id,
                "start": occurrence.start,
                "end": occurrence.end,
                "all_day": occurrence.all_day,
                "kind": obj.kind,
                **made[key],
            }
        )
    return result


def _facts(kind: str, owner: Account, component: Component) -> dict[str, Any]:
    facts: dict[str, Any] = {"busy": "free", "slot_minutes": None, "capacity": None, "types": "", "location": ""}
    if kind != "hours":
        return facts | {"busy": freebusy.busy_type(component)}
    read = hours.read_hours(component, owner.slot_minutes, owner.capacity)
    closed = (component.value("STATUS") or "").upper() == "CANCELLED"
    return facts | {
        "slot_minutes": read.slot_minutes,
        "capacity": 0 if closed else read.capacity,
        "types": " ".join(read.types),
        "location": read.location[:200],
    }


def replace(session: Session, obj: CalendarObject, owner: Account, expansion: Expansion, *, new: bool) -> None:
    """Make the table say what the object's text says. Most edits change no time: then nothing is written."""
    fresh = rows(obj, owner, expansion.occurrences)
    if not new:
        stored = _OF_OBJECT.rows(session, object=obj.id)
        if len(stored) == len(fresh) and {Busy(*row) for row in stored} == {Busy(**row) for row in fresh}:
            return
        if stored:
            remove(session, obj)
    if fresh:
        _ADD.write_each(session.connection(), fresh)
        if obj.kind == "hours":
            _ring(session, owner.id, [(row["start"], row["end"]) for row in fresh])


def remove(session: Session, obj: CalendarObject) -> None:
    """Take an object's occurrences out of the table. What they blocked may be free: the waitlist hears of it."""
    gone = _REMOVE.all(session.connection(), {"object": obj.id})
    if gone and obj.kind not in ("appointment", "copy"):
        _ring(session, gone[0][0], [(start, end) for _owner, start, end in gone])


def _ring(session: Session, owner_id: int, spans: Collection[tuple[datetime, datetime]]) -> None:
    freed.ring_of(session, owner_id, min(start for start, _end in spans), max(end for _start, end in spans))


def in_range(
    session: Session,
    start: datetime,
    end: datetime,
    *,
    owner_ids: Collection[int] | None = None,
    collection_ids: Collection[int] | None = None,
    kinds: Collection[str] | None = None,
) -> list[Busy]:
    """Every occurrence that overlaps [start, end), of these owners or calendars, in order of start. Exact."""
    asked, in_table, out_of_table = _asked(start, end, owner_ids, collection_ids, kinds)
    found = list(map(Busy._make, in_table.rows(session, **asked)))
    beyond = {each for (each,) in out_of_table.rows(session, **asked)}
    if beyond:
        found = [busy for busy in found if busy.object_id not in beyond]
        found += fresh_of(session, beyond, start, end)
    return sorted(found, key=lambda busy: (busy.start, busy.end))


def beyond_table(
    session: Session, start: datetime, end: datetime, *, owner_ids: Collection[int], kinds: Collection[str]
) -> list[tuple[CalendarObject, Account]]:
    """The objects, with their owners, of which the table does not hold all of [start, end)."""
    asked, _in_table, out_of_table = _asked(start, end, owner_ids, None, kinds)
    return _with_owners(session, {each for (each,) in out_of_table.rows(session, **asked)})


def _with_owners(session: Session, object_ids: Collection[int]) -> list[tuple[CalendarObject, Account]]:
    found = session.execute(
        select(CalendarObject, Account)
        .join(Calendar, Calendar.id == CalendarObject.collection_id)
        .join(Account, Account.id == Calendar.owner_id)
        .where(CalendarObject.id.in_(object_ids))
    )
    return [(obj, owner) for obj, owner in found]


def _asked(
    start: datetime,
    end: datetime,
    owner_ids: Collection[int] | None,
    collection_ids: Collection[int] | None,
    kinds: Collection[str] | None,
) -> tuple[dict[str, Any], Prepared, Prepared]:
    asked: dict[str, Any] = {"start": start, "end": end}
    counts = []
    for name, values in (("owner", owner_ids), ("calendar", collection_ids), ("kind", kinds)):
        if values is not None:
            counts.append((name, len(values)))
            asked |= numbered(name, values)
    return asked, *_statements(tuple(counts))


@lru_cache
def _statements(counts: tuple[tuple[str, int], ...]) -> tuple[Prepared, Prepared]:
    """What is in the table for the range, and the ids of the objects of which it does not hold all of the range; of so
    many owners, calendars, kinds."""
    first, last = bindparam("start", type_=Instant), bindparam("end", type_=Instant)
    table = [Occurrence.end > first, Occurrence.start < last]
    objects = [
        CalendarObject.deleted.is_(False),
        CalendarObject.expanded_until.is_not(None),
        or_(CalendarObject.expanded_until < last, CalendarObject.expanded_from > first),
    ]
    columns = {
        "owner": (Occurrence.owner_id, Calendar.owner_id),
        "calendar": (Occurrence.collection_id, CalendarObject.collection_id),
        "kind": (Occurrence.kind, CalendarObject.kind),
    }
    for name, count in counts:
        table.append(among(columns[name][0], name, count))
        objects.append(among(columns[name][1], name, count))
    beyond = select(CalendarObject.id).join(Calendar, Calendar.id == CalendarObject.collection_id)
    return Prepared(select(*_COLUMNS).where(*table)), Prepared(beyond.where(*objects))


def fresh_of(session: Session, object_ids: Collection[int], start: datetime, end: datetime) -> list[Busy]:
    """The occurrences of these objects in [start, end), expanded from their texts."""
    return [busy for obj, owner in _with_owners(session, object_ids) for busy in fresh(obj, owner, start, end)]


def fresh(obj: CalendarObject, owner: Account, start: datetime, end: datetime) -> list[Busy]:
    """The occurrences of one object in [start, end), expanded from its text."""
    found = recurrence.occurrences(lines.parse(obj.stored_text), timezones.zone(owner.timezone), start, end)
    return [Busy(**row) for row in rows(obj, owner, found)]
