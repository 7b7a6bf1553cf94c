"""The one write path: every calendar object, whoever writes it, goes through `put_object` or `delete_object`.

Text, ETag, occurrences, claims, visits, reminders, the change-log row, the version and the audit row are written
together under the owner's lock, or nothing is. The text is the truth; all the rest is derived from it here.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import and_, bindparam, insert, or_, select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from ical import appointment as appointment_text
from ical import tzdata
from ical.diary import Window
from ical.errors import InvalidCalendarData, NotFound, UidConflict
from ical.lines import Component
from ical.participants import copy, is_copy
from ical.served import served
from storage import audit, claims, collections, occurrences, participants, visits
from storage.db import has_row_locks
from storage.models import Account, Appointment, CalendarObject, Change, Collection, Version, table_of
from storage.prepared import Prepared, attached
from storage.resources import Bookable
from storage.visits import Followed
from storage.writes import Spot, Write

# Their stored text has lines of ours, which no calendar app is shown.
_REWRITTEN = ("appointment", "copy", "hours", "leave", "waitlist")
_KINDS = {"hours": "hours", "leave": "leave", "waitlist": "waitlist"}
# Long enough for an app that asks for the ETag after its PUT, short enough for a doctor who looks at the other device.
_SECOND_REVISION = timedelta(seconds=3)


# Statements that every write needs are made once: making one takes longer than running it.
_CALENDARS = table_of(Collection)
_COUNT_ON = Prepared(
    update(_CALENDARS)
    .where(_CALENDARS.c.id == bindparam("calendar"))
    .values(seq=_CALENDARS.c.seq + 1, changed_at=bindparam("now"))
    .returning(_CALENDARS.c.seq)
)
_OBJECTS = table_of(CalendarObject)
_ADD_OBJECT = Prepared(
    insert(_OBJECTS).returning(_OBJECTS.c.id), [column.key for column in _OBJECTS.columns if column.key != "id"]
)
_ADD_CHANGE = Prepared(insert(table_of(Change)), ("collection_id", "seq", "href", "deleted"))
_ADD_VERSION = Prepared(insert(table_of(Version)), ("object_id", "seq", "stored_text", "actor", "why", "written_at"))

# What was read before the lock was taken may be stale: everything is read anew behind it.
_ANEW = select(CalendarObject).execution_options(populate_existing=True)
_COLUMNS = [column.key for column in _OBJECTS.columns]
_IN_CALENDAR = CalendarObject.collection_id == bindparam("calendar")
_AT_HREF = CalendarObject.href == bindparam("href")
_LIVE_AT = _ANEW.where(_IN_CALENDAR, _AT_HREF, CalendarObject.deleted.is_(False))
_AT_SPOT = Prepared(
    select(_OBJECTS).where(
        or_(
            and_(_IN_CALENDAR, _AT_HREF),
            and_(_IN_CALENDAR, CalendarObject.uid == bindparam("uid")),
            CalendarObject.id
            == select(Appointment.object_id).where(Appointment.id == bindparam("appointment")).scalar_subquery(),
        )
    )
)


def find(session: Session, collection: Collection, href: str) -> CalendarObject | None:
    """The live object at this href."""
    return session.scalar(_LIVE_AT, {"calendar": collection.id, "href": href})


def live(session: Session, collection: Collection) -> list[CalendarObject]:
    """All live objects of a calendar, in the order in which they were first written."""
    asked = select(CalendarObject).where(
        CalendarObject.collection_id == collection.id, CalendarObject.deleted.is_(False)
    )
    return list(session.scalars(asked.order_by(CalendarObject.id)))


def find_uid(session: Session, collection: Collection, uid: str) -> CalendarObject | None:
    """The object with this UID, a live one before a deleted one."""
    return session.scalar(
        select(CalendarObject)
        .where(CalendarObject.collection_id == collection.id, CalendarObject.uid == uid)
        .order_by(CalendarObject.deleted, CalendarObject.seq.desc())
        .limit(1)
        .execution_options(populate_existing=True)
    )


def lock_owner(session: Session, owner_id: int) -> None:
    """Take the lock of a calendar's owner, if the owner is somebody whose time can be claimed."""
    claims.lock_owner(session, owner_id)


def lock_people(session: Session, collection: Collection, href: str) -> None:
    """Nobody else takes the time of a calendar's owner, nor of anybody who takes part in the appointment at `href`."""
    if collection.kind == "appointments":
        claims.lock_object(session, collection.owner_id, collection.id, href)
    else:
        lock_owner(session, collection.owner_id)


def lock(session: Session, collection: Collection, href: str | None = None) -> None:
    """Nobody else writes this calendar until the transaction ends, nor takes the time of anybody who takes part in the
    appointment at `href`. People first, so that two never wait in a circle.

    On SQLite the transaction itself is the lock: what has been read in it stays true."""
    if href is None:
        lock_owner(session, collection.owner_id)
    else:
        lock_people(session, collection, href)
    if has_row_locks(session):
        session.refresh(collection, with_for_update=True)


def etag_of(served_text: str) -> str:
    return sha256(served_text.encode()).hexdigest()[:32]


def put_object(
    session: Session,
    collection: Collection,
    href: str,
    calendar: Component,
    write: Write,
    *,
    spot: Spot | None = None,
) -> CalendarObject:
    """Store `calendar` (already guarded and merged) at `href`, new or over what is there.

    `spot` is what the caller has just read behind the lock; read here when left out. Raises SlotTaken when an
    appointment's minutes are not free (unless `write.overbook`), UidConflict when its UID lives under another href.
    Revives a deleted object of the same href and UID.
    """
    return _put(session, collection, href, calendar, write, spot, None)[0]


def put_appointment(
    session: Session,
    collection: Collection,
    href: str,
    calendar: Component,
    write: Write,
    *,
    made: bool = False,
    windows: Sequence[Window] | None = None,
    take_over: Callable[[CalendarObject], None] | None = None,
) -> Followed:
    """`put_object` of an appointment, with what came of it. `made`: its UID has just been made, so that nothing can
    stand there, and everybody who takes part is locked. `windows`: the owner's working hours about it, where the
    caller has just read them behind the lock. `take_over` gives a new object the visits of another one."""
    spot = Spot(href, None, None, None, None) if made else None
    followed = _put(session, collection, href, calendar, write, spot, windows, take_over)[1]
    assert followed is not None
    return followed


def _put(
    session: Session,
    collection: Collection,
    href: str,
    calendar: Component,
    write: Write,
    spot: Spot | None,
    windows: Sequence[Window] | None,
    take_over: Callable[[CalendarObject], None] | None = None,
) -> tuple[CalendarObject, Followed | None]:
    owner = session.get_one(Account, collection.owner_id)
    if spot is None:
        lock_people(session, collection, href)
    seq = _next_seq(session, collection, write.now)
    uid, component = _identity(calendar)
    spot = spot or look(session, collection, href, uid)
    if spot.with_uid is not None and spot.with_uid.href != href and not spot.with_uid.deleted:
        raise UidConflict(spot.with_uid.href)
    text = calendar.text()
    kind = _kind(collection, calendar)
    shown = served(calendar) if kind in _REWRITTEN else text
    expansion = occurrences.expand(calendar, owner, write.now) if component == "VEVENT" else occurrences.NOTHING
    row = {
        "uid": uid,
        "component": component,
        "kind": kind,
        "stored_text": text,
        "served_text": shown,
        "etag": etag_of(shown),
        "seq": seq,
        "deleted": False,
        "changed_at": write.now,
        "expanded_from": expansion.start,
        "expanded_until": expansion.end,
        "tzdata": tzdata.version(),
        "touch_at": None,
        # An appointment's visits wait one by one.
        "settle_at": None if kind == "appointment" else write.settle_at,
    }
    obj = spot.at_href
    if obj is not None and obj.deleted and obj.uid != uid:
        free_href(session, obj)
        obj = None
    new = obj is None
    if obj is None:
        obj = _add(session, {**row, "collection_id": collection.id, "href": href, "created_at": write.now})
    else:
        _set(session, obj, row)
    occurrences.replace(session, obj, owner, expansion, new=new)
    followed = None
    if take_over is not None:
        take_over(obj)
    if kind == "appointment":
        first = new and spot.with_uid is None and spot.elsewhere is None and take_over is None
        followed = visits.follow(session, obj, calendar, owner, expansion, write, first=first, windows=windows)
        _show_copies(session, calendar, owner, followed, write)
    _log(session, collection, obj, write, text)
    return obj, followed


def delete_object(session: Session, obj: CalendarObject, write: Write) -> None:
    """Take an object out of its calendar. Its versions stay; with `settle_at`, an appointment's minutes stay too
    until then, so that an undo finds them. Raises NotFound when somebody else was faster."""
    collection = session.get_one(Collection, obj.collection_id)
    lock_people(session, collection, obj.href)
    session.refresh(obj)
    if obj.deleted:
        raise NotFound()
    obj.seq = _next_seq(session, collection, write.now)
    obj.deleted, obj.changed_at = True, write.now
    obj.expanded_from = obj.expanded_until = None
    obj.settle_at = write.settle_at if obj.kind in ("hours", "leave") else None
    occurrences.remove(session, obj)
    if obj.kind == "appointment":
        appointment = visits.vanish(session, obj, write)
        if appointment is not None:
            _remove_copies(session, appointment, participants.of_appointment(session, appointment.id), write)
    session.flush()
    _log(session, collection, obj, write, None)


def rename_object(session: Session, obj: CalendarObject, href: str, write: Write) -> None:
    """Give an object another href in its calendar (MOVE), where nothing is. Sync reports the old one gone and the new
    one changed."""
    collection = session.get_one(Collection, obj.collection_id)
    lock_owner(session, collection.owner_id)
    session.refresh(obj)
    if obj.deleted:
        raise NotFound()
    before = session.scalar(_ANEW.where(_IN_CALENDAR, _AT_HREF), {"calendar": collection.id, "href": href})
    if before is not None:
        free_href(session, before)
    gone = _next_seq(session, collection, write.now)
    _log_change(session, collection, gone, obj.href, deleted=True)
    obj.href, obj.seq, obj.changed_at = href, _next_seq(session, collection, write.now), write.now
    session.flush()
    _log(session, collection, obj, write, obj.stored_text)


def free_href(session: Session, gone: CalendarObject) -> None:
    """A deleted object gives up its href, for something else is to have it. It is found by its UID from now on, and
    keeps its text, versions and visits to itself."""
    assert gone.deleted
    gone.href = f"{gone.id}~gone"
    session.flush()


def versions(session: Session, obj: CalendarObject, limit: int = 30) -> Iterator[str]:
    """The stored texts that the object has had, the present one first."""
    asked = select(Version.stored_text).where(Version.object_id == obj.id, Version.stored_text.is_not(None))
    yield from (text for text in session.scalars(asked.order_by(Version.seq.desc()).limit(limit)) if text is not None)


def touch_later(obj: CalendarObject, now: datetime) -> None:
    """A PUT was corrected, and its answer named no ETag: in a moment the text gets another revision.

    Outlook CalDav Synchronizer asks for the ETag alone and takes its own text for what is stored.
    """
    obj.touch_at = now + _SECOND_REVISION


def due_to_touch(session: Session, now: datetime, limit: int = 100) -> list[int]:
    """Ids of the objects for which that moment has come."""
    due = select(CalendarObject.id).where(CalendarObject.touch_at <= now).order_by(CalendarObject.touch_at)
    return list(session.scalars(due.limit(limit)))


def touch_again(session: Session, object_id: int, write: Write) -> None:
    """The second revision, unless somebody has changed or deleted the object meanwhile."""
    obj = session.get_one(CalendarObject, object_id)
    session.get_one(Collection, obj.collection_id, with_for_update=True)
    session.refresh(obj)
    if obj.touch_at is None or obj.touch_at > write.now:
        return
    if obj.deleted:
        obj.touch_at = None
    else:
        touch(session, obj, write)


def touch(session: Session, obj: CalendarObject, write: Write) -> None:
    """Make sync report an unchanged object as changed: a client whose edit was refused then fetches it again."""
    collection = session.get_one(Collection, obj.collection_id)
    obj.seq = _next_seq(session, collection, write.now)
    obj.etag, obj.touch_at = etag_of(f"{obj.served_text}{obj.seq}"), None
    session.flush()
    _log_change(session, collection, obj.seq, obj.href, deleted=False)


def extend(session: Session, obj: CalendarObject, calendar: Component, write: Write) -> None:
    """Expand an object anew, up to today's horizon; its text and ETag stay as they are."""
    collection = session.get_one(Collection, obj.collection_id)
    owner = session.get_one(Account, collection.owner_id)
    lock_people(session, collection, obj.href)
    expansion = occurrences.expand(calendar, owner, write.now)
    obj.expanded_from, obj.expanded_until, obj.tzdata = expansion.start, expansion.end, tzdata.version()
    session.flush()
    occurrences.replace(session, obj, owner, expansion, new=False)
    if obj.kind == "appointment":
        visits.follow(session, obj, calendar, owner, expansion, write)


def _identity(calendar: Component) -> tuple[str, str]:
    for component in calendar.components("VEVENT", "VTODO", "VJOURNAL"):
        uid = component.plain("UID")
        if uid:
            return uid, component.name
    raise InvalidCalendarData("An entry needs a UID.")


def _kind(collection: Collection, calendar: Component) -> str:
    if collection.kind == "appointments":
        events = calendar.components("VEVENT")
        if any(appointment_text.is_appointment(event) for event in events):
            return "appointment"
        return "copy" if any(map(is_copy, events)) else "block"
    return _KINDS.get(collection.kind, "plain")


def _show_copies(session: Session, calendar: Component, owner: Account, followed: Followed, write: Write) -> None:
    """Keep the copies of everybody who takes part in step with the appointment."""
    appointment = followed.appointment
    _remove_copies(session, appointment, followed.gone, write)
    for each in followed.others:
        uid = participants.uid_of_copy(session, appointment, each)
        text = copy(calendar, uid, appointment.id, owner.name, for_doctor=each.kind == "doctor")
        put_object(session, collections.built_in(session, each.account, "appointments"), f"{uid}.ics", text, write)


def _remove_copies(session: Session, appointment: Appointment, people: Iterable[Bookable], write: Write) -> None:
    for each in people:
        calendar = collections.built_in(session, each.account, "appointments")
        shown = find(session, calendar, f"{participants.uid_of_copy(session, appointment, each)}.ics")
        if shown is not None:
            delete_object(session, shown, write)


def look(session: Session, collection: Collection, href: str, uid: str) -> Spot:
    """What stands where an object with this UID is to be written. The calendar is locked."""
    asked = {"calendar": collection.id, "href": href, "uid": uid, "appointment": _appointment_id(uid)}
    rows = _AT_SPOT.rows(session, **asked)
    found = [attached(session, CalendarObject, dict(zip(_COLUMNS, row, strict=True))) for row in rows]
    here = [obj for obj in found if obj.collection_id == collection.id]
    at_href = next((obj for obj in here if obj.href == href), None)
    live = None if at_href is None or at_href.deleted else at_href
    same = [obj for obj in here if obj.uid == uid]
    elsewhere = next((obj for obj in found if obj.collection_id != collection.id), None)
    return Spot(href, live, at_href, min(same, key=lambda obj: (obj.deleted, -obj.seq), default=None), elsewhere)


def _appointment_id(uid: str) -> UUID | None:
    try:
        return visits.id_of(uid)
    except InvalidCalendarData:
        return None


# Rows are written as rows, and the objects that the session holds are told: its unit of work takes three times as long.


def _add(session: Session, row: dict[str, Any]) -> CalendarObject:
    added = _ADD_OBJECT.one(session.connection(), row)
    assert added is not None
    return attached(session, CalendarObject, {**row, "id": added[0]})


def _set(session: Session, obj: CalendarObject, row: Mapping[str, Any]) -> None:
    session.flush()
    changed = {name: value for name, value in row.items() if getattr(obj, name) != value}
    _setting(tuple(changed)).write(session.connection(), {"object": obj.id, **changed})
    for name, value in changed.items():
        set_committed_value(obj, name, value)


@cache
def _setting(names: tuple[str, ...]) -> Prepared:
    return Prepared(update(_OBJECTS).where(_OBJECTS.c.id == bindparam("object")), names)


def _next_seq(session: Session, collection: Collection, now: datetime) -> int:
    """The calendar's next change number. The row stays locked until the commit, so numbers commit in order."""
    counted = _COUNT_ON.one(session.connection(), {"calendar": collection.id, "now": now})
    if counted is None:
        raise NotFound()
    seq: int = counted[0]
    # Not as attributes, which the next flush would write once more.
    set_committed_value(collection, "seq", seq)
    set_committed_value(collection, "changed_at", now)
    return seq


def _log(session: Session, collection: Collection, obj: CalendarObject, write: Write, text: str | None) -> None:
    _log_change(session, collection, obj.seq, obj.href, deleted=text is None)
    version = {
        "object_id": obj.id,
        "seq": obj.seq,
        "stored_text": text,
        "actor": write.actor.label,
        "why": write.why,
        "written_at": write.now,
    }
    _ADD_VERSION.write(session.connection(), version)
    action = "calendar.delete" if text is None else "calendar.put"
    audit.record(session, write.actor, action, f"object:{obj.id}", {"kind": obj.kind, "why": write.why}, write.now)


def _log_change(session: Session, collection: Collection, seq: int, href: str, *, deleted: bool) -> None:
    change = {"collection_id": collection.id, "seq": seq, "href": href, "deleted": deleted}
    _ADD_CHANGE.write(session.connection(), change)
