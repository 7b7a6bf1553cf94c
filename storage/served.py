"""What calendar apps are sent, as rows straight from the tables: hrefs, ETags, texts. RFC 4791 §7, RFC 6578 §3.

Columns rather than objects: a first synchronisation reads ten thousand of them.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, literal, or_, select, true
from sqlalchemy.orm import Session

from ical import lines, recurrence, timezones
from ical.errors import TooManyInstances
from ical.lines import Component
from storage import objects, sync
from storage.models import Account, CalendarObject, Change, Collection, Occurrence

_MANY = 500
_BEGINNING = datetime(1600, 1, 1, tzinfo=UTC)


class Row(NamedTuple):
    """A live member of a calendar. `text` is empty unless it was asked for."""

    id: int
    href: str
    etag: str
    component: str
    changed_at: datetime
    text: str


class Page(NamedTuple):
    """What changed since a token: live rows, hrefs gone, the next token, and whether there is more behind it."""

    rows: list[Row]
    gone: list[str]
    token: str
    more: bool


def calendar(session: Session, username: str, name: str) -> tuple[Collection, Account] | None:
    """The calendar at /username/name/ with its owner."""
    found = session.execute(_CALENDAR, {"username": username, "name": name}).one_or_none()
    return None if found is None else (found[0], found[1])


def lock(session: Session, calendar: Collection) -> None:
    """Nobody else writes this calendar until the transaction ends."""
    objects.lock(session, calendar)


def owner(session: Session, username: str) -> Account | None:
    return session.scalar(select(Account).where(Account.username == username))


def members(session: Session, collection_id: int, *, text: bool = False, component: str | None = None) -> list[Row]:
    """All live members, in the order in which they were first written."""
    chosen = _ALL[text]
    if component is not None:
        chosen = chosen.where(CalendarObject.component == component)
    return [Row(*row) for row in session.execute(chosen, {"collection_id": collection_id})]


def members_at(session: Session, collection_id: int, hrefs: Iterable[str], *, text: bool = False) -> list[Row]:
    """The live members among `hrefs`, in no particular order."""
    wanted = list(hrefs)
    found: list[Row] = []
    for at in range(0, len(wanted), _MANY):
        chosen = _rows(text).where(*_live(collection_id), CalendarObject.href.in_(wanted[at : at + _MANY]))
        found += [Row(*row) for row in session.execute(chosen)]
    return found


def member(session: Session, collection_id: int, href: str) -> Row | None:
    """The live member at `href`, with its text."""
    row = session.execute(_ONE, {"collection_id": collection_id, "name": href}).one_or_none()
    return None if row is None else Row(*row)


def members_in_range(
    session: Session,
    collection: Collection,
    start: datetime | None,
    end: datetime | None,
    *,
    text: bool = False,
) -> list[Row]:
    """The events that have an occurrence in [start, end) by the rules of RFC 4791 §9.9. None: open on that side.

    Exact: series that are not expanded that far are expanded there and then.
    """
    overlap: list[ColumnElement[bool]] = []
    if start is not None:
        # An event without duration lies in the range that begins with it.
        overlap.append(or_(Occurrence.end > start, and_(Occurrence.end == Occurrence.start, Occurrence.start == start)))
    if end is not None:
        overlap.append(Occurrence.start < end)
    found = select(Occurrence.object_id).where(Occurrence.collection_id == collection.id, *overlap)
    inside: ColumnElement[bool] = CalendarObject.id.in_(found)
    beyond = _beyond(session, collection, start, end, found)
    if beyond:
        inside = or_(inside, CalendarObject.id.in_(beyond))
    chosen = _rows(text).where(*_live(collection.id), CalendarObject.component == "VEVENT", inside)
    return [Row(*row) for row in session.execute(chosen.order_by(CalendarObject.id))]


def changed(session: Session, collection: Collection, since: str, limit: int | None, *, text: bool = False) -> Page:
    """At most `limit` changes since a token; everything for an empty one. Raises SyncTokenExpired."""
    token, changes = sync.changes_since(session, collection, since)
    more = limit is not None and len(changes) > limit
    if more:
        changes = changes[:limit]
        token = _token_of(session, collection, *changes[-1]) if changes else since
    if not since and not more:
        return Page(members(session, collection.id, text=text), [], token, False)
    rows = members_at(session, collection.id, [href for href, deleted in changes if not deleted], text=text)
    return Page(rows, [href for href, deleted in changes if deleted], token, more)


def stored_appointments(session: Session, ids: Iterable[int]) -> dict[int, str]:
    """The stored text of those among `ids` that are appointments: it names the people, which a served text does not."""
    wanted = list(ids)
    found: dict[int, str] = {}
    for at in range(0, len(wanted), _MANY):
        chosen = select(CalendarObject.id, CalendarObject.stored_text).where(
            CalendarObject.id.in_(wanted[at : at + _MANY]), CalendarObject.kind == "appointment"
        )
        found.update((row[0], row[1]) for row in session.execute(chosen))
    return found


def principals(session: Session) -> list[Account]:
    """Everybody who has a home, by name."""
    chosen = select(Account).where(Account.role != "patient", Account.disabled.is_(False))
    return list(session.scalars(chosen.order_by(Account.name, Account.id)))


def _rows(text: bool) -> Select[int, str, str, str, datetime, str]:
    return select(
        CalendarObject.id,
        CalendarObject.href,
        CalendarObject.etag,
        CalendarObject.component,
        CalendarObject.changed_at,
        CalendarObject.served_text if text else literal(""),
    )


def _live(collection_id: int) -> tuple[Any, ...]:
    return CalendarObject.collection_id == collection_id, CalendarObject.deleted.is_(False)


def _beyond(
    session: Session,
    collection: Collection,
    start: datetime | None,
    end: datetime | None,
    found: Select[int],
) -> list[int]:
    """The long series in the range of which the table does not know: it holds their years around today only."""
    reaches: list[ColumnElement[bool]] = []
    if start is None or end is None:
        reaches.append(true())
    else:
        reaches += [CalendarObject.expanded_until < end, CalendarObject.expanded_from > start]
    objects = session.scalars(
        select(CalendarObject).where(
            *_live(collection.id),
            CalendarObject.expanded_until.is_not(None),
            or_(*reaches),
            CalendarObject.id.not_in(found),
        )
    ).all()
    if not objects:
        return []
    zone = timezones.zone(session.get_one(Account, collection.owner_id).timezone)
    return [obj.id for obj in objects if _reaches(lines.parse(obj.stored_text), zone, start, end)]


def _reaches(text: Component, zone: tzinfo, start: datetime | None, end: datetime | None) -> bool:
    if end is None:
        last = recurrence.last_end(text, zone)
        return start is None or last is None or last > start
    try:
        return bool(recurrence.occurrences(text, zone, start or _BEGINNING, end))
    except TooManyInstances:
        return True


def _token_of(session: Session, collection: Collection, href: str, deleted: bool) -> str:
    """The token at which `href` was the last change."""
    seq = session.execute(
        select(func.max(Change.seq)).where(
            Change.collection_id == collection.id, Change.href == href, Change.seq <= collection.seq
        )
    ).scalar_one()
    return f"data:,{collection.epoch}-{seq}"


# Made once: building a statement costs more than SQLite takes to answer it.
_CALENDAR = (
    select(Collection, Account)
    .join(Account, Account.id == Collection.owner_id)
    .where(Account.username == bindparam("username"), Collection.name == bindparam("name"))
)
_LIVE = (CalendarObject.collection_id == bindparam("collection_id"), CalendarObject.deleted.is_(False))
_ALL = {text: _rows(text).where(*_LIVE).order_by(CalendarObject.id) for text in (False, True)}
_ONE = _rows(True).where(*_LIVE, CalendarObject.href == bindparam("name"))


# Every request asks these: made once, for making one takes longer than running it.
_CALENDAR = (
    select(Collection, Account)
    .join(Account, Account.id == Collection.owner_id)
    .where(Account.username == bindparam("username"), Collection.name == bindparam("name"))
)
_MEMBER = _rows(True).where(
    CalendarObject.collection_id == bindparam("calendar"),
    CalendarObject.deleted.is_(False),
    CalendarObject.href == bindparam("href"),
)
