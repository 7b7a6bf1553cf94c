"""How far open-ended entries are expanded: kept two years ahead by a task, a few at a time and behind the lock.

What ends sooner than it should is found by `ending_early`, for the operator: a question beyond the table is still
answered exactly, but slowly, and no visit, claim or reminder stands there yet.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from ical import lines, tzdata
from storage import objects
from storage.models import CalendarObject, Collection
from storage.occurrences import AHEAD
from storage.policy import SYSTEM
from storage.writes import Write

# Extended a month before it would be missed: a task that fails for weeks has done no harm yet.
_AT_LEAST = AHEAD - timedelta(days=30)
_EARLY = AHEAD - timedelta(days=60)


def due(session: Session, now: datetime, *, after: int = 0, limit: int = 200) -> list[int]:
    """Ids of the entries that should reach further by now, in order, beyond the id `after`."""
    asked = select(CalendarObject.id).where(_ends_before(now + _AT_LEAST), CalendarObject.id > after)
    return list(session.scalars(asked.order_by(CalendarObject.id).limit(limit)))


def extend(session: Session, object_id: int, now: datetime) -> bool:
    """Expand one entry up to today's horizon. False when there is nothing to do (any more)."""
    obj = locked(session, object_id)
    if obj is None or obj.tzdata != tzdata.version():
        return False
    if obj.expanded_until is None or obj.expanded_until >= now + _AT_LEAST:
        return False
    # A series that runs into another one years from now is marked there, not left behind for ever.
    write = Write(SYSTEM, now, "extended", overbook=True)
    objects.extend(session, obj, lines.parse(obj.stored_text), write)
    return True


def locked(session: Session, object_id: int) -> CalendarObject | None:
    """The live entry, read anew behind the lock of everybody whose time it takes."""
    obj = session.get(CalendarObject, object_id)
    if obj is None:
        return None
    collection = session.get_one(Collection, obj.collection_id)
    objects.lock_people(session, collection, obj.href)
    session.refresh(obj)
    return None if obj.deleted else obj


def ending_early(session: Session, now: datetime) -> int:
    """How many entries end sooner in the table than the task should have let them."""
    asked = select(func.count()).select_from(CalendarObject).where(_ends_before(now + _EARLY))
    return session.scalar(asked) or 0


def _ends_before(moment: datetime) -> ColumnElement[bool]:
    return CalendarObject.deleted.is_(False) & (CalendarObject.expanded_until < moment)
