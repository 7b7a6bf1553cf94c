"""Every property that we have: live ones computed here, dead ones kept as XML.

One entry per live property, with the section that defines it. A new property is a function and its decorator.
"""

from collections.abc import Callable
from dataclasses import dataclass

from caldav_bridge.collection import Collection
from caldav_bridge.context import Kind, Place, Request
from caldav_bridge.limits import MAX_ATTENDEES, MAX_INSTANCES, MAX_RESOURCE_SIZE
from caldav_bridge.render import element, escape, href, http_date
from caldav_bridge.xml import APPLE, CALENDARSERVER, OWNCLOUD, caldav, dav
from ical.participants import USER_TYPES
from storage import resources
from storage.served import Row

ROOT: frozenset[Kind] = frozenset({"root"})
HOME: frozenset[Kind] = frozenset({"home"})
CALENDAR: frozenset[Kind] = frozenset({"calendar"})
INBOX: frozenset[Kind] = frozenset({"inbox"})
OUTBOX: frozenset[Kind] = frozenset({"outbox"})
PROXY: frozenset[Kind] = frozenset({"proxy"})
MEMBER: frozenset[Kind] = frozenset({"member"})
PRINCIPALS = HOME | PROXY
COLLECTIONS = ROOT | HOME | PROXY | CALENDAR | INBOX | OUTBOX
EVERYWHERE = COLLECTIONS | MEMBER
OWNED = EVERYWHERE - ROOT


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
    caldav("default-alarm-vevent-datetime"): "Apple",
    caldav("default-alarm-vevent-date"): "Apple",
    caldav("default-alarm-vtodo-datetime"): "Apple",
    caldav("default-alarm-vtodo-date"): "Apple",
    f"{{{APPLE}}}calendar-color": "Apple",
    f"{{{APPLE}}}calendar-order": "Apple",
    f"{{{APPLE}}}calendar-enabled": "Apple",
    f"{{{APPLE}}}refreshrate": "Apple",
    f"{{{OWNCLOUD}}}calendar-enabled": "Nextcloud",
}


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
    place = resource.place
    if place.kind == "proxy":
        return f"<D:collection/><D:principal/><CS:{place.path.rstrip('/').rpartition('/')[2]}/>"
    return {
        "root": "<D:collection/>",
        "home": "<D:collection/><D:principal/>",
        "calendar": "<D:collection/><C:calendar/>",
        "inbox": "<D:collection/><C:schedule-inbox/>",
        "outbox": "<D:collection/><C:schedule-outbox/>",
        "member": "",
    }[place.kind]


@live(dav("displayname"), "RFC 4918 §15.2", PRINCIPALS | OUTBOX, in_allprop=True)
def _displayname(resource: Resource) -> str:
    owner = resource.place.owner
    name = "" if owner is None else escape(owner.name)
    return {"outbox": "Outbox", "proxy": f"Who acts for {name}"}.get(resource.place.kind, name)


@live(dav("supportedlock"), "RFC 4918 §15.10", EVERYWHERE)
@live(dav("lockdiscovery"), "RFC 4918 §15.8", EVERYWHERE)
def _no_locks(resource: Resource) -> str:
    """Nothing can be locked, and nothing is."""
    return ""


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
    names += [dav("principal-match"), dav("acl-principal-prop-set")]
    if resource.place.kind in ("calendar", "inbox"):
        names = [caldav("calendar-query"), caldav("calendar-multiget"), dav("sync-collection"), *names]
    if resource.place.kind == "calendar":
        names.append(caldav("free-busy-query"))
    return "".join(f"<D:supported-report><D:report>{element(name)}</D:report></D:supported-report>" for name in names)


# Calendars


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
    """RFC 5545 §3.2.3."""
    return user_type(resource.request, resource.place)


@live(f"{{{CALENDARSERVER}}}email-address-set", "calendarserver", HOME)
def _email_address_set(resource: Resource) -> str | None:
    owner = resource.place.owner
    if owner is None or not owner.email:
        return None
    return f"<CS:email-address>{escape(owner.email)}</CS:email-address>"


def user_type(request: Request, place: Place) -> str:
    if place.owner is None or place.owner.role != "resource":
        return "INDIVIDUAL"
    return USER_TYPES[resources.kind_of(request.session, place.owner)]


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
        # RFC 4791 §5.2: its properties are not among those that allprop means.
        found += sorted(name for name in dead if name not in found and not (allprop and name.startswith(caldav(""))))
    return found
