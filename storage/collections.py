"""Calendars of a home: the built-in ones, and plain ones that apps make. RFC 4791 §4.2, §5.2, RFC 7809 §5.2."""

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from xml.sax.saxutils import escape

from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from ical import timezones
from ical.errors import CollectionExists, Forbidden, InvalidInput
from ical.lines import Component
from storage.models import Account, CalendarObject, Change, Collection, Occurrence, Version
from storage.policy import STAFF
from storage.prepared import Kept

DISPLAYNAME = "{DAV:}displayname"
COLOUR = "{http://apple.com/ns/ical/}calendar-color"
ORDER = "{http://apple.com/ns/ical/}calendar-order"
DESCRIPTION = "{urn:ietf:params:xml:ns:caldav}calendar-description"
TIMEZONE = "{urn:ietf:params:xml:ns:caldav}calendar-timezone"
TRANSP = "{urn:ietf:params:xml:ns:caldav}schedule-calendar-transp"

_BUILT_IN = Kept(
    lambda columns: select(*columns).where(
        Collection.owner_id == bindparam("owner"), Collection.name == bindparam("name")
    ),
    Collection,
)
_NAME = re.compile(r"[^/\\\x00-\x1f\x7f]{1,255}")


# Whose time can be booked: doctors, rooms, machines, assistants
_BOOKABLE = frozenset({"doctor", "resource"})
_DOCTORS = frozenset({"doctor"})


@dataclass(frozen=True, slots=True)
class BuiltIn:
    """`kind` is the collection's kind; `roles`: whose homes have it."""

    name: str
    kind: str
    component: str
    displayname: str
    colour: str
    description: str
    roles: frozenset[str] = _BOOKABLE


BUILT_IN = {
    each.name: each
    for each in (
        BuiltIn(
            "appointments", "appointments", "VEVENT", "Appointments", "#1f77b4ff", "Booked visits, and what blocks"
        ),
        BuiltIn("hours", "hours", "VEVENT", "Working hours", "#2ca02cff", "When patients may book"),
        BuiltIn("leave", "leave", "VEVENT", "Leave", "#d62728ff", "Absences; nothing is booked there"),
        BuiltIn("waitlist", "waitlist", "VTODO", "Waitlist", "#9467bdff", "Who waits for a time", _DOCTORS),
        BuiltIn("inbox", "inbox", "VEVENT", "Inbox", "#7f7f7fff", "", STAFF),
        BuiltIn("personal", "plain", "VEVENT", "Personal", "#ff7f0eff", "Busy times here block", STAFF),
    )
}

# The groups of those who act for the owner of a home.
PROXY_READ, PROXY_WRITE = "calendar-proxy-read", "calendar-proxy-write"

# Names that no calendar can have: the outbox (RFC 6638 §2.1) and the groups are there without a row.
RESERVED = frozenset({*BUILT_IN, "outbox", PROXY_READ, PROXY_WRITE})


def ensure_home(session: Session, account: Account, now: datetime) -> None:
    """Make the built-in calendars that are missing. Patients have no home."""
    there = set(session.scalars(select(Collection.name).where(Collection.owner_id == account.id)))
    for order, built_in in enumerate(BUILT_IN.values(), 1):
        if built_in.name not in there and account.role in built_in.roles:
            props = {
                DISPLAYNAME: escape(built_in.displayname),
                COLOUR: built_in.colour,
                ORDER: str(order),
                DESCRIPTION: escape(built_in.description),
                TIMEZONE: escape(timezone_text(account.timezone)),
            }
            if built_in.kind == "hours":
                props[TRANSP] = '<transparent xmlns="urn:ietf:params:xml:ns:caldav"/>'
            _add(session, account, built_in.name, built_in.kind, props, built_in.component, now)
    session.flush()


def home(session: Session, owner: Account) -> list[Collection]:
    """The calendars of `owner`, the built-in ones first."""
    return list(session.scalars(select(Collection).where(Collection.owner_id == owner.id).order_by(Collection.id)))


def find(session: Session, username: str, name: str) -> Collection | None:
    return session.scalar(
        select(Collection)
        .join(Account, Account.id == Collection.owner_id)
        .where(Account.username == username, Collection.name == name)
    )


def built_in(session: Session, owner: Account, name: str) -> Collection:
    """One of the built-in calendars, which every doctor has."""
    found = _BUILT_IN.attached(session, owner=owner.id, name=name)
    assert found is not None
    calendar: Collection = found[0]
    return calendar


def create(
    session: Session, owner: Account, name: str, props: Mapping[str, str], component: str, now: datetime
) -> Collection:
    """A plain calendar. Raises CollectionExists (the built-in names always exist) or InvalidInput for the name."""
    if not _NAME.fullmatch(name) or name in (".", ".."):
        raise InvalidInput("A calendar cannot have this name.", field="name")
    if name in RESERVED or find(session, owner.username, name) is not None:
        raise CollectionExists()
    given = {DISPLAYNAME: escape(name), TIMEZONE: escape(timezone_text(owner.timezone)), **props}
    made = _add(session, owner, name, "plain", given, component, now)
    session.flush()
    return made


def set_props(session: Session, collection: Collection, props: Mapping[str, str], now: datetime) -> None:
    """Keep these dead properties instead of the former ones. The ctag moves, the sync-token does not."""
    collection.props, collection.changed_at = dict(props), now
    session.flush()


def is_transparent(collection: Collection) -> bool:
    """Whether its events take no time of the owner's (RFC 6638 §9.1)."""
    return "transparent" in collection.props.get(TRANSP, "")


def remove(session: Session, collection: Collection) -> None:
    """Delete a plain calendar with all that is in it. Raises Forbidden for a built-in one."""
    if collection.name in BUILT_IN:
        raise Forbidden("The calendars of the practice cannot be deleted.")
    objects = select(CalendarObject.id).where(CalendarObject.collection_id == collection.id)
    session.execute(delete(Occurrence).where(Occurrence.collection_id == collection.id))
    session.execute(delete(Version).where(Version.object_id.in_(objects)))
    session.execute(delete(CalendarObject).where(CalendarObject.collection_id == collection.id))
    session.execute(delete(Change).where(Change.collection_id == collection.id))
    session.delete(collection)
    session.flush()


def new_epoch() -> str:
    """Part of every sync-token: a calendar that is restored, or made again, gets another one."""
    return secrets.token_hex(8)


def _add(
    session: Session, owner: Account, name: str, kind: str, props: dict[str, str], component: str, now: datetime
) -> Collection:
    collection = Collection(
        owner_id=owner.id,
        name=name,
        kind=kind,
        component=component,
        props=props,
        epoch=new_epoch(),
        created_at=now,
        changed_at=now,
    )
    session.add(collection)
    return collection


def timezone_text(key: str) -> str:
    """The value of calendar-timezone for an IANA zone. Raises InvalidInput."""
    calendar = Component("VCALENDAR")
    calendar.add("VERSION", "2.0")
    calendar.add("PRODID", "-//ClinicDAV//ClinicDAV//EN")
    calendar.children.append(timezones.vtimezone(key).copy())
    return calendar.text()
