"""New rules of a time zone: what is to come keeps its wall time, and everything that was reckoned from it moves.

Each entry says by which version of the time zone database it was expanded. Where another one is installed, entries are
expanded anew; few zones change, and an entry whose instants stay is only stamped. What a law moves: occurrences, visits,
claims, reminders, and what patients are told.
"""

from collections.abc import Collection as Many
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, Table, bindparam, func, select, update
from sqlalchemy.orm import Session

from ical import lines, times, timezones, tzdata
from ical.vcalendar import stamp
from storage import claims, horizon, notifications, objects, occurrences, visits
from storage.models import Account, Appointment, Base, CalendarObject, Collection, Occurrence, Visit
from storage.policy import SYSTEM
from storage.writes import Write

# Laws move the clocks by an hour or two; occurrences of a series are further apart than that.
_MOST_SHIFT = timedelta(hours=4)
_COMING = frozenset({"scheduled", "confirmed", "rescheduled"})


@dataclass(frozen=True)
class Stale:
    id: int
    owner_id: int
    seq: int


@dataclass(frozen=True)
class Moved:
    """How many entries have other instants now, and how many visits of those patients were told about."""

    entries: int = 0
    visits: int = 0


def count(session: Session) -> int:
    """How many live entries were expanded by other rules than those of today."""
    return session.scalar(select(func.count()).select_from(CalendarObject).where(_is_stale())) or 0


def stamp_past(session: Session, now: datetime, limit: int = 1000) -> int:
    """Entries of which nothing is to come stay as they were. Returns how many were stamped."""
    coming = select(Occurrence.id).where(Occurrence.object_id == CalendarObject.id, Occurrence.end > now)
    past = select(CalendarObject.id).where(_is_stale(), ~coming.exists()).limit(limit)
    return _stamp(session, list(session.scalars(past)))


def stale(session: Session) -> list[Stale]:
    """The others, by owner."""
    asked = (
        select(CalendarObject.id, Collection.owner_id, CalendarObject.seq)
        .join(Collection, Collection.id == CalendarObject.collection_id)
        .where(_is_stale())
        .order_by(Collection.owner_id, CalendarObject.id)
    )
    return [Stale(*row) for row in session.execute(asked)]


def differing(session: Session, ids: Many[int], now: datetime) -> set[int]:
    """Those of these entries whose coming occurrences have other instants by the rules of today."""
    found = session.execute(
        select(CalendarObject, Account)
        .join(Collection, Collection.id == CalendarObject.collection_id)
        .join(Account, Account.id == Collection.owner_id)
        .where(CalendarObject.id.in_(ids))
    )
    return {obj.id for obj, owner in found if _differs(session, obj, owner, now)}


def stamp_unchanged(session: Session, entries: Many[Stale]) -> int:
    """Note that these were looked at, unless somebody has written them since."""
    seqs = {each.id: each.seq for each in entries}
    asked = select(CalendarObject.id, CalendarObject.seq).where(CalendarObject.id.in_(list(seqs)))
    return _stamp(session, [id for id, seq in session.execute(asked) if seqs[id] == seq])


def recompute(session: Session, ids: Sequence[int], now: datetime) -> Moved:
    """Expand these entries of one owner anew, all at once: each gives up its minutes before any takes new ones, for the
    new ones of one are the old ones of the next. What collides all the same is overbooked, and its doctor told."""
    appointments = session.scalars(select(Appointment).where(Appointment.object_id.in_(ids))).all()
    claims.lock_appointments(session, [each.id for each in appointments], doctors=_owners(session, ids))
    entries = [obj for obj in (horizon.locked(session, each) for each in ids) if obj is not None]
    entries = [obj for obj in entries if obj.tzdata != tzdata.version()]
    of_object = {each.object_id: each for each in appointments}
    for obj in entries:
        if obj.id in of_object:
            claims.release(session, appointment_id=of_object[obj.id].id, retaken=True)
    told = 0
    # Copies follow what they are copies of, which has written them by then.
    for obj in sorted(entries, key=lambda obj: (obj.kind == "copy", obj.id)):
        session.refresh(obj)
        if obj.tzdata == tzdata.version():
            continue
        if obj.id in of_object:
            told += _recompute_appointment(session, obj, of_object[obj.id], now)
        else:
            _rewrite(session, obj, now)
    return Moved(len(entries), told)


def _recompute_appointment(session: Session, obj: CalendarObject, appointment: Appointment, now: datetime) -> int:
    owner = session.get_one(Account, appointment.doctor_id)
    expansion = occurrences.expand(lines.parse(obj.stored_text), owner, now)
    _rename(session, appointment.id, {each.recurrence_id for each in expansion.occurrences})
    before = {
        key: (start, overbooked)
        for key, start, overbooked in session.execute(
            select(Visit.recurrence_id, Visit.start, Visit.overbooked).where(Visit.appointment_id == appointment.id)
        )
    }
    _rewrite(session, obj, now)
    found = visits.of_appointment(session, appointment.id).values()
    moved = [each for each in found if each.recurrence_id in before and before[each.recurrence_id][0] != each.start]
    coming = [each for each in moved if each.status in _COMING and each.start > now]
    if any(each.overbooked and not before[each.recurrence_id][1] for each in coming):
        notifications.notice(session, owner.id, "This appointment overlaps another one.", now, appointment)
    session.refresh(appointment)
    notifications.changed(session, appointment, coming, now, by_law=True)
    return len(coming)


def _rewrite(session: Session, obj: CalendarObject, now: datetime) -> None:
    """Store the practice's own entries with the zone's new definition; other entries keep the text that an app wrote."""
    calendar = lines.parse(obj.stored_text)
    write = Write(SYSTEM, now, "time zone", overbook=True)
    if obj.kind not in ("appointment", "hours", "leave"):
        objects.extend(session, obj, calendar, write)
        return
    timezones.ensure_vtimezones(calendar)
    for event in calendar.components("VEVENT"):
        stamp(event, now, sequence=True)
    objects.put_object(session, session.get_one(Collection, obj.collection_id), obj.href, calendar, write)


def _differs(session: Session, obj: CalendarObject, owner: Account, now: datetime) -> bool:
    fresh = occurrences.expand(lines.parse(obj.stored_text), owner, now).occurrences
    until = obj.expanded_until or max((each.end for each in fresh), default=now) + _MOST_SHIFT
    stored = session.execute(
        select(Occurrence.recurrence_id, Occurrence.start, Occurrence.end).where(
            Occurrence.object_id == obj.id, Occurrence.end > now, Occurrence.start < until - _MOST_SHIFT
        )
    )
    known = {(key, start, end) for key, start, end in stored}
    said = {(each.recurrence_id, each.start, each.end) for each in fresh}
    return known != {each for each in said if each[2] > now and each[1] < until - _MOST_SHIFT}


def _rename(session: Session, appointment_id: UUID, present: set[str]) -> None:
    """An occurrence is known by the instant of its wall time: where that moved, everything that names it follows."""
    known = set(session.scalars(select(Visit.recurrence_id).where(Visit.appointment_id == appointment_id)))
    pairs = list(_pairs(known - present, present - known))
    if not pairs:
        return
    # Nobody steps on an id that is still somebody else's.
    pairs.sort(reverse=pairs[0][1] > pairs[0][0])
    rows = [{"about": appointment_id, "old": old, "new": new} for old, new in pairs]
    for table in _naming_visits():
        session.connection().execute(
            update(table)
            .where(table.c.appointment_id == bindparam("about"), table.c.recurrence_id == bindparam("old"))
            .values(recurrence_id=bindparam("new")),
            rows,
        )
    session.expire_all()


def _pairs(stale: set[str], fresh: set[str]) -> Iterator[tuple[str, str]]:
    """Old id → new id: the nearest of the new ones that a law can have moved it to."""
    left = {times.parse_utc_text(each): each for each in fresh if each}
    for old in sorted(each for each in stale if each):
        moment = times.parse_utc_text(old)
        nearest = min(left, key=lambda each: abs(each - moment), default=None)
        if nearest is not None and abs(nearest - moment) <= _MOST_SHIFT:
            yield old, left.pop(nearest)


def _naming_visits() -> list[Table]:
    columns = {"appointment_id", "recurrence_id"}
    return [table for table in Base.metadata.sorted_tables if columns <= set(table.columns.keys())]


def _owners(session: Session, ids: Many[int]) -> list[int]:
    asked = select(Collection.owner_id).join(CalendarObject, CalendarObject.collection_id == Collection.id)
    return list(session.scalars(asked.where(CalendarObject.id.in_(ids)).distinct()))


def _stamp(session: Session, ids: Many[int]) -> int:
    if ids:
        session.execute(
            update(CalendarObject)
            .where(CalendarObject.id.in_(ids))
            .values(tzdata=tzdata.version())
            .execution_options(synchronize_session=False)
        )
    return len(ids)


def _is_stale() -> ColumnElement[bool]:
    return CalendarObject.deleted.is_(False) & (CalendarObject.tzdata != tzdata.version())
