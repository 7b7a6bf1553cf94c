"""Every property that we have: live ones computed here, dead ones kept as XML.

One entry per live property, with the section that defines it. A new property is a function and its decorator.
"""

from collections.abc import Callable
from dataclasses import dataclass
from xml.etree.ElementTree import Element, tostring

from caldav_bridge.collection import Collection
from caldav_bridge.context import Kind, Place, Request
from caldav_bridge.limits import MAX_ATTENDEES, MAX_INSTANCES, MAX_RESOURCE_SIZE
from caldav_bridge.render import element, escape, href, http_date
from caldav_bridge.xml import APPLE, CALENDARSERVER, caldav, dav
from ical import lines
from ical.errors import InvalidCalendarData
from storage.served import Row

ROOT: frozenset[Kind] = frozenset({"root"})
HOME: frozenset[Kind] = frozenset({"home"})
CALENDAR: frozenset[Kind] = frozenset({"calendar"})
INBOX: frozenset[Kind] = frozenset({"inbox"})
OUTBOX: frozenset[Kind] = frozenset({"outbox"})
MEMBER: frozenset[Kind] = frozenset({"member"})
COLLECTIONS = ROOT | HOME | CALENDAR | INBOX | OUTBOX
EVERYWHERE = COLLECTIONS | MEMBER


@dataclass(frozen=True, slots=True)
class Resource:
    """What a property is asked of: a place, the rights there, and the row of a member."""

    request: Request
    place: Place
    letters: str
    row: Row | None = None

    @property
    def collection(self) -> Collection:
        return Collection(self.request, self.place)

    def path(self, path: str) -> str:
        return self.request.prefix + path


Value = Callable[[Resource], "str | None"]


@dataclass(frozen=True, slots=True)
class Property:
    """A live property. `value` gives the XML inside it; None means that this resource has none.

    `per_member`: it differs between the members of one calendar, the others are computed once for all of them.
    """

    name: str
    rfc: str
    on: frozenset[Kind]
    value: Value
    in_allprop: bool = False
    per_member: bool = False


LIVE: dict[str, Property] = {}

# Dead properties that a client may set on a calendar, kept as the XML of their value.
DEAD: dict[str, str] = {
    dav("displayname"): "RFC 4918 §15.2",
    caldav("calendar-description"): "RFC 4791 §5.2.1",
    caldav("calendar-timezone"): "RFC 4791 §5.2.2",
    caldav("schedule-calendar-transp"): "RFC 6638 §9.1",
    f"{{{APPLE}}}calendar-color": "Apple",
    f"{{{APPLE}}}calendar-order": "Apple",
    f"{{{APPLE}}}refreshrate": "Apple",
}
_NOT_IN_ALLPROP = {caldav("calendar-description"), caldav("calendar-timezone"), caldav("schedule-calendar-transp")}
MAX_DEAD_VALUE = 65_536


def live(
    name: str, rfc: str, on: frozenset[Kind], *, in_allprop: bool = False, per_member: bool = False
) -> Callable[[Value], Value]:
    def register(value: Value) -> Value:
        LIVE[name] = Property(name, rfc, on, value, in_allprop, per_member)
        return value

    return register


# WebDAV


@live(dav("resourcetype"), "RFC 4918 §15.9", EVERYWHERE, in_allprop=True)
def _resourcetype(resource: Resource) -> str:
    return {
        "root": "<D:collection/>",
        "home": "<D:collection/><D:principal/>",
        "calendar": "<D:collection/><C:calendar/>",
        "inbox": "<D:collection/><C:schedule-inbox/>",
        "outbox": "<D:collection/><C:schedule-outbox/>",
        "member": "",
    }[resource.place.kind]


@live(dav("displayname"), "RFC 4918 §15.2", HOME | OUTBOX, in_allprop=True)
def _displayname(resource: Resource) -> str:
    owner = resource.place.owner
    if resource.place.kind == "outbox":
        return "Outbox"
    return "" if owner is None else escape(owner.name)


@live(dav("getetag"), "RFC 4918 §15.6", CALENDAR | MEMBER, in_allprop=True, per_member=True)
def _getetag(resource: Resource) -> str:
    return resource.collection.etag if resource.row is None else f'"{resource.row.etag}"'


@live(dav("getcontenttype"), "RFC 4918 §15.5", MEMBER, in_allprop=True, per_member=True)
def _getcontenttype(resource: Resource) -> str | None:
    return None if resource.row is None else content_type(resource.row)


@live(dav("getcontentlength"), "RFC 4918 §15.4", MEMBER, in_allprop=True, per_member=True)
def _getcontentlength(resource: Resource) -> str | None:
    return None if resource.row is None else str(len(resource.row.text.encode()))


@live(dav("getlastmodified"), "RFC 4918 §15.7", CALENDAR | MEMBER, in_allprop=True, per_member=True)
def _getlastmodified(resource: Resource) -> str:
    return resource.collection.last_modified if resource.row is None else http_date(resource.row.changed_at)


@live(dav("creationdate"), "RFC 4918 §15.1", CALENDAR, in_allprop=True)
def _creationdate(resource: Resource) -> str | None:
    row = resource.place.collection
    return None if row is None else row.created_at.strftime("%Y-%m-%dT%H:%M:%SZ")


@live(dav("supported-report-set"), "RFC 3253 §3.1.5", COLLECTIONS)
def _supported_report_set(resource: Resource) -> str:
    names = [dav("expand-property"), dav("principal-property-search"), dav("principal-search-property-set")]
    if resource.place.kind in ("calendar", "inbox"):
        names = [caldav("calendar-query"), caldav("calendar-multiget"), dav("sync-collection"), *names]
    if resource.place.kind == "calendar":
        names.append(caldav("free-busy-query"))
    return "".join(f"<D:supported-report><D:report>{element(name)}</D:report></D:supported-report>" for name in names)


# Access control


@live(dav("owner"), "RFC 3744 §5.1", HOME | CALENDAR | INBOX | OUTBOX | MEMBER)
def _owner(resource: Resource) -> str | None:
    owner = resource.place.owner
    return None if owner is None else href(resource.path(f"/{owner.username}/"))


@live(dav("current-user-privilege-set"), "RFC 3744 §5.4", EVERYWHERE)
def _current_user_privilege_set(resource: Resource) -> str:
    names = ["D:read", "D:read-current-user-privilege-set"]
    if resource.place.kind in ("calendar", "inbox", "member"):
        names.append("C:read-free-busy")
    if resource.place.kind == "inbox":
        names.append("C:schedule-query-freebusy")
    if resource.place.kind == "outbox":
        names.append("C:schedule-send-freebusy")
    if "W" in resource.letters:
        names += ["D:bind", "D:unbind"]
    if "w" in resource.letters:
        names += ["D:write", "D:write-content"]
        if resource.place.kind == "calendar":
            names += ["D:write-properties", "D:bind", "D:unbind"]
    return "".join(f"<D:privilege><{name}/></D:privilege>" for name in names)


@live(dav("principal-collection-set"), "RFC 3744 §5.8", EVERYWHERE)
def _principal_collection_set(resource: Resource) -> str:
    return href(resource.path("/"))


@live(dav("principal-URL"), "RFC 3744 §4.2", HOME)
def _principal_url(resource: Resource) -> str:
    return href(resource.path(resource.place.path))


@live(dav("alternate-URI-set"), "RFC 3744 §4.1", HOME)
def _alternate_uri_set(resource: Resource) -> str:
    return ""


@live(dav("group-membership"), "RFC 3744 §4.4", HOME)
def _group_membership(resource: Resource) -> str:
    return ""


@live(dav("current-user-principal"), "RFC 5397 §3", EVERYWHERE)
def _current_user_principal(resource: Resource) -> str:
    account = resource.request.account
    return "<D:unauthenticated/>" if account is None else href(resource.path(f"/{account.username}/"))


# Calendars


@live(caldav("calendar-home-set"), "RFC 4791 §6.2.1", HOME)
def _calendar_home_set(resource: Resource) -> str:
    return href(resource.path(resource.place.path))


@live(caldav("supported-calendar-component-set"), "RFC 4791 §5.2.3", CALENDAR | INBOX)
def _supported_calendar_component_set(resource: Resource) -> str:
    return "".join(f'<C:comp name="{name}"/>' for name in resource.collection.components)


@live(caldav("supported-calendar-data"), "RFC 4791 §5.2.4", CALENDAR | INBOX | OUTBOX)
def _supported_calendar_data(resource: Resource) -> str:
    return '<C:calendar-data content-type="text/calendar" version="2.0"/>'


@live(caldav("max-resource-size"), "RFC 4791 §5.2.5", CALENDAR | OUTBOX)
def _max_resource_size(resource: Resource) -> str:
    return str(MAX_RESOURCE_SIZE)


@live(caldav("min-date-time"), "RFC 4791 §5.2.6", CALENDAR)
def _min_date_time(resource: Resource) -> str:
    return "16000101T000000Z"


@live(caldav("max-date-time"), "RFC 4791 §5.2.7", CALENDAR)
def _max_date_time(resource: Resource) -> str:
    return "22001231T235959Z"


@live(caldav("max-instances"), "RFC 4791 §5.2.8", CALENDAR)
def _max_instances(resource: Resource) -> str:
    return str(MAX_INSTANCES)


@live(caldav("max-attendees-per-instance"), "RFC 4791 §5.2.9", CALENDAR | OUTBOX)
def _max_attendees(resource: Resource) -> str:
    return str(MAX_ATTENDEES)


@live(caldav("supported-collation-set"), "RFC 4791 §7.5.1", CALENDAR)
def _supported_collation_set(resource: Resource) -> str:
    names = ("i;ascii-casemap", "i;octet", "i;unicode-casemap")
    return "".join(f"<C:supported-collation>{name}</C:supported-collation>" for name in names)


@live(dav("sync-token"), "RFC 6578 §4", CALENDAR | INBOX)
def _sync_token(resource: Resource) -> str:
    return escape(resource.collection.token)


@live(f"{{{CALENDARSERVER}}}getctag", "calendarserver-ctag", CALENDAR | INBOX)
def _getctag(resource: Resource) -> str:
    return escape(resource.collection.etag)


# Scheduling addresses


@live(caldav("calendar-user-address-set"), "RFC 6638 §2.4.1", HOME)
def _calendar_user_address_set(resource: Resource) -> str:
    owner = resource.place.owner
    mail = f"<D:href>{escape(f'mailto:{owner.email}')}</D:href>" if owner is not None and owner.email else ""
    return mail + href(resource.path(resource.place.path))


@live(caldav("calendar-user-type"), "RFC 6638 §2.4.2", HOME)
def _calendar_user_type(resource: Resource) -> str:
    return "INDIVIDUAL"


@live(f"{{{CALENDARSERVER}}}email-address-set", "calendarserver", HOME)
def _email_address_set(resource: Resource) -> str | None:
    owner = resource.place.owner
    if owner is None or not owner.email:
        return None
    return f"<CS:email-address>{escape(owner.email)}</CS:email-address>"


# Looking up


def content_type(row: Row) -> str:
    return f"text/calendar; charset=utf-8; component={row.component.lower()}"


def value(resource: Resource, name: str) -> str | None:
    """The XML inside property `name`; None when the resource does not have it."""
    if resource.place.kind in ("calendar", "inbox") and name in DEAD and resource.place.collection is not None:
        kept = resource.place.collection.props.get(name)
        if kept is None and name == dav("displayname"):
            return escape(resource.place.collection.name)
        if kept is None and name == caldav("schedule-calendar-transp"):
            return "<C:opaque/>"
        return kept
    found = LIVE.get(name)
    if found is None or resource.place.kind not in found.on:
        return None
    return found.value(resource)


def names(place: Place, *, allprop: bool) -> list[str]:
    """The properties of a resource, or (RFC 4918 §9.1) those that `allprop` means."""
    found = [p.name for p in LIVE.values() if place.kind in p.on and (p.in_allprop or not allprop)]
    if place.kind in ("calendar", "inbox") and place.collection is not None:
        dead = {dav("displayname"), *place.collection.props} & DEAD.keys()
        found += sorted(name for name in dead if name not in found and not (allprop and name in _NOT_IN_ALLPROP))
    return found


# Setting dead properties


class CannotSet(Exception):
    """A property cannot be set so: the status of its propstat, and the precondition's element."""

    def __init__(self, status: int, condition: str = "") -> None:
        super().__init__(condition)
        self.status = status
        self.condition = condition


def dead_value(given: Element) -> str:
    """The XML to keep for a property element of a request. Raises CannotSet."""
    name = str(given.tag)
    if name not in DEAD:
        raise CannotSet(403, "<D:cannot-modify-protected-property/>")
    kept = escape(given.text or "").replace("&#13;", "\r") + "".join(
        tostring(inner, encoding="unicode") for inner in given
    )
    if len(kept) > MAX_DEAD_VALUE:
        raise CannotSet(507)
    if name == caldav("calendar-timezone"):
        _check_timezone("".join(given.itertext()))
    if name == caldav("schedule-calendar-transp") and [inner.tag for inner in given] not in (
        [caldav("opaque")],
        [caldav("transparent")],
    ):
        raise CannotSet(409)
    return kept


def _check_timezone(text: str) -> None:
    """RFC 4791 §5.2.2: an iCalendar object with exactly one VTIMEZONE."""
    try:
        calendar = lines.parse(text.strip())
    except InvalidCalendarData:
        raise CannotSet(403, "<C:valid-calendar-data/>") from None
    if calendar.name != "VCALENDAR" or [inner.name for inner in calendar.components()] != ["VTIMEZONE"]:
        raise CannotSet(403, "<C:valid-calendar-data/>")
