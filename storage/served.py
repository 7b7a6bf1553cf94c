"""What calendar apps are sent, as rows straight from the tables: hrefs, ETags, texts. RFC 4791 §7, RFC 6578 §3.

Columns rather than objects, by prepared statements: a first synchronisation reads ten thousand of them, and a phone
asks for a calendar's tag all day.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, tzinfo
from functools import cache
from itertools import starmap
from typing import Any, NamedTuple, cast

from sqlalchemy import ColumnElement, Select, and_, bindparam, func, literal_column, or_, select, true
from sqlalchemy.orm import Session

from ical import lines, recurrence, timezones
from ical.errors import TooManyInstances
from ical.freebusy import BusyType, Period
from ical.lines import Component
from storage import objects, occurrences, sync
from storage.models import Account, CalendarObject, Change, Collection, Occurrence
from storage.models.base import Instant
from storage.prepared import Kept, Prepared

_MANY = 500
# Of how many hrefs statements are made: what is asked for is filled up to the next size.
_SIZES = (1, 10, 50, 100, _MANY)
_BEGINNING = datetime(1600, 1, 1, tzinfo=UTC)


class Row(NamedTuple):
    """A live member of a calendar. `text` and `changed_at` are there when they were asked for; the rest is read from
    an index alone."""

    id: int
    href: str
    etag: str
    component: str
    text: str = ""
    changed_at: datetime | None = None


class Page(NamedTuple):
    """What changed since a token: live rows, hrefs gone, the next token, and whether there is more behind it."""

    rows: list[Row]
    gone: list[str]
    token: str
    more: bool


def calendar(session: Session, username: str, name: str) -> tuple[Collection, Account] | None:
    """The calendar at /username/name/ with its owner, to be written."""
    found = _KNOWN_CALENDAR.attached(session, username=username, name=name)
    return None if found is None else (found[0], found[1])


def known_calendar(session: Session, username: str, name: str) -> tuple[Collection, Account] | None:
    """The same, to be read."""
    found = _KNOWN_CALENDAR.find(session, username=username, name=name)
    return None if found is None else (found[0], found[1])


def lock(session: Session, calendar: Collection) -> None:
    """Nobody else writes this calendar until the transaction ends."""
    objects.lock(session, calendar)


def owner(session: Session, username: str) -> Account | None:
    """The account of that name, to be read."""
    found = _KNOWN_ACCOUNT.find(session, username=username)
    return None if found is None else found[0]


def members(
    session: Session, collection_id: int, *, text: bool = False, date: bool = False, component: str | None = None
) -> list[Row]:
    """All live members, in the order in which they were first written."""
    if component is None:
        found = _all(text, date).rows(session, collection_id=collection_id)
    else:
        found = _of_component(text, date).rows(session, collection_id=collection_id, component=component)
    return list(map(Row._make, found))


def tags(session: Session, collection_id: int) -> list[tuple[str, str]]:
    """(href, ETag) of the same, in the same order."""
    found: list[Any] = _TAGS.rows(session, collection_id=collection_id)
    return found


def members_at(
    session: Session, collection_id: int, hrefs: Iterable[str], *, text: bool = False, date: bool = False
) -> list[Row]:
    """The live members among `hrefs`, in no particular order."""
    wanted = list(hrefs)
    found: list[Row] = []
    for at in range(0, len(wanted), _MANY):
        some = wanted[at : at + _MANY]
        count = next(size for size in _SIZES if size >= len(some))
        some += [some[0]] * (count - len(some))
        asked = {f"href{number}": href for number, href in enumerate(some)}
        found += map(Row._make, _at(text, date, count).rows(session, collection_id=collection_id, **asked))
    return found


def member(session: Session, collection_id: int, href: str) -> Row | None:
    """The live member at `href`, with its text and date."""
    found = _at(True, True, 1).rows(session, collection_id=collection_id, href0=href)
    return Row._make(found[0]) if found else None


def members_in_range(
    session: Session,
    collection: Collection,
    start: datetime | None,
    end: datetime | None,
    *,
    text: bool = False,
    date: bool = False,
) -> list[Row]:
    """The events that have an occurrence in [start, end) by the rules of RFC 4791 §9.9. None: open on that side.

    Exact: series that are not expanded that far are expanded there and then.
    """
    asked = _asked(collection, start, end)
    found = _in_range(text, date, start is not None, end is not None).rows(session, **asked)
    rows = list(map(Row._make, found))
    beyond = _beyond(session, collection, start, end, {row.id for row in rows})
    if beyond:
        rows += [row for row in members(session, collection.id, text=text, date=date) if row.id in beyond]
        rows.sort()
    return rows


def busy_periods(session: Session, collection: Collection, start: datetime, end: datetime) -> list[Period]:
    """What the events of a calendar take of [start, end), unmerged. Exact."""
    asked = _asked(collection, start, end)
    if _unexpanded(True, True).raw(session, **asked):
        found = occurrences.in_range(session, start, end, collection_ids=[collection.id])
        return [Period(busy.start, busy.end, cast(BusyType, busy.busy)) for busy in found]
    return list(starmap(Period, _BUSY.rows(session, **asked)))


def changed(
    session: Session,
    collection: Collection,
    since: str,
    limit: int | None,
    *,
    text: bool = False,
    date: bool = False,
) -> Page:
    """At most `limit` changes since a token; everything for an empty one. Raises SyncTokenExpired."""
    if not since and limit is None:
        return Page(members(session, collection.id, text=text, date=date), [], sync.token(collection), False)
    token, changes = sync.changes_since(session, collection, since)
    more = limit is not None and len(changes) > limit
    if more:
        changes = changes[:limit]
        token = _token_of(session, collection, *changes[-1]) if changes else since
    live = [href for href, deleted in changes if not deleted]
    rows = members_at(session, collection.id, live, text=text, date=date)
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


def _asked(collection: Collection, start: datetime | None, end: datetime | None) -> dict[str, Any]:
    given = {"start": start, "end": end}
    return {"collection_id": collection.id, **{name: value for name, value in given.items() if value is not None}}


def _beyond(
    session: Session, collection: Collection, start: datetime | None, end: datetime | None, found: set[int]
) -> set[int]:
    """The long series in the range of which the table does not know: it holds their years around today only."""
    asked = _asked(collection, start, end)
    unexpanded = _unexpanded(start is not None, end is not None).raw(session, **asked)
    unknown = [row[0] for row in unexpanded if row[0] not in found]
    if not unknown:
        return set()
    zone = timezones.zone(session.get_one(Account, collection.owner_id).timezone)
    texts = session.execute(select(CalendarObject.id, CalendarObject.stored_text).where(CalendarObject.id.in_(unknown)))
    return {id for id, text in texts if _reaches(lines.parse(text), zone, start, end)}


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


# The statements


def _rows(text: bool, date: bool) -> Select[*tuple[Any, ...]]:
    return select(
        CalendarObject.id,
        CalendarObject.href,
        CalendarObject.etag,
        CalendarObject.component,
        CalendarObject.served_text if text else literal_column("''"),
        CalendarObject.changed_at if date else literal_column("NULL"),
    ).where(~CalendarObject.deleted)


_HERE = CalendarObject.collection_id == bindparam("collection_id")


@cache
def _all(text: bool, date: bool) -> Prepared:
    return Prepared(_rows(text, date).where(_HERE).order_by(CalendarObject.id))


_TAGS = Prepared(
    select(CalendarObject.href, CalendarObject.etag).where(_HERE, ~CalendarObject.deleted).order_by(CalendarObject.id)
)


@cache
def _of_component(text: bool, date: bool) -> Prepared:
    chosen = _rows(text, date).where(_HERE, CalendarObject.component == bindparam("component"))
    return Prepared(chosen.order_by(CalendarObject.id))


@cache
def _at(text: bool, date: bool, count: int) -> Prepared:
    hrefs: list[Any] = [bindparam(f"href{number}") for number in range(count)]
    return Prepared(_rows(text, date).where(_HERE, CalendarObject.href.in_(hrefs)))


_START, _END = bindparam("start", type_=Instant), bindparam("end", type_=Instant)


@cache
def _in_range(text: bool, date: bool, start: bool, end: bool) -> Prepared:
    overlap: list[ColumnElement[bool]] = [Occurrence.collection_id == bindparam("collection_id")]
    if start:
        # An event without duration lies in the range that begins with it.
        at_start = and_(Occurrence.end == Occurrence.start, Occurrence.start == _START)
        overlap.append(or_(Occurrence.end > _START, at_start))
    if end:
        overlap.append(Occurrence.start < _END)
    # Not by the calendar: its index would be read to its end where a few ids are wanted.
    inside = CalendarObject.id.in_(select(Occurrence.object_id).where(*overlap))
    chosen = _rows(text, date).where(inside, CalendarObject.component == "VEVENT")
    return Prepared(chosen.order_by(CalendarObject.id))


@cache
def _unexpanded(start: bool, end: bool) -> Prepared:
    """The ids of the series that are not expanded over all of the range."""
    outside = (
        or_(CalendarObject.expanded_until < _END, CalendarObject.expanded_from > _START) if start and end else true()
    )
    return Prepared(
        select(CalendarObject.id).where(
            _HERE, ~CalendarObject.deleted, CalendarObject.expanded_until.is_not(None), outside
        )
    )


_BUSY = Prepared(
    select(Occurrence.start, Occurrence.end, Occurrence.busy).where(
        Occurrence.collection_id == bindparam("collection_id"),
        Occurrence.end > _START,
        Occurrence.start < _END,
        Occurrence.busy != "free",
    )
)


def _calendar(*columns: Any) -> Select[*tuple[Any, ...]]:
    return (
        select(*columns)
        .join_from(Collection, Account, Account.id == Collection.owner_id)
        .where(Account.username == bindparam("username"), Collection.name == bindparam("name"))
    )


_KNOWN_CALENDAR = Kept(lambda columns: _calendar(*columns), Collection, Account)
_KNOWN_ACCOUNT = Kept(lambda columns: select(*columns).where(Account.username == bindparam("username")), Account)
