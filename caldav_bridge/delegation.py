"""Whoever acts for others finds their calendars under their own login: calendar-proxy of calendarserver.org.

A receptionist acts for every doctor of the practice, and for its rooms and machines, into whose calendars doctors and
admins look (storage.policy). Apple Calendar and DAVx5 follow the proxy
groups, Thunderbird and Evolution the further homes in calendar-home-set.
"""

from caldav_bridge.context import Place, Request
from caldav_bridge.properties import HOME, PRINCIPALS, PROXY, Resource, live
from caldav_bridge.propfind import inside
from caldav_bridge.render import href
from caldav_bridge.rights import letters
from caldav_bridge.xml import CALENDARSERVER, caldav, dav
from storage import served
from storage.collections import PROXY_READ, PROXY_WRITE
from storage.policy import CALENDARS_OF_THE_PRACTICE, can

# Whose homes have such groups, and the roles of their members.
_ROLES: dict[str, dict[str, tuple[str, ...]]] = {
    "doctor": {PROXY_WRITE: ("receptionist",)},
    "resource": {PROXY_WRITE: ("receptionist",), PROXY_READ: ("doctor", "admin")},
}


def delegators(request: Request, principal: Place) -> list[Place]:
    """The homes of others for whom `principal` acts. Asked of oneself only: nobody else's are told."""
    if principal.kind != "home" or principal.owner is None or principal.owner.id != request.actor.account_id:
        return []
    return [home for home in inside(request, Place("root", "/")) if home.path != principal.path]


def _group_for(request: Request, home: Place) -> str:
    """The group of `home` that whoever asks is in."""
    reads_only = home.owner is not None and home.owner.role == "resource"
    return PROXY_READ if reads_only and not can(request.actor, "resources.schedule", home.owner) else PROXY_WRITE


def groups_of(request: Request, place: Place) -> list[tuple[Place, str]]:
    """The groups of those who act for the owner of `place`, where they may do something, and their rights there."""
    if place.owner is None or place.owner.role not in _ROLES:
        return []
    shared = place.collection is not None and place.collection.kind in CALENDARS_OF_THE_PRACTICE
    if place.kind != "home" and not shared:
        return []
    held = {PROXY_WRITE: "R" if place.kind == "home" else "rw", PROXY_READ: "R" if place.kind == "home" else "r"}
    groups = [(request.place(f"/{place.owner.username}/{name}/"), held[name]) for name in _ROLES[place.owner.role]]
    return [(group, granted) for group, granted in groups if group is not None]


# These know no proxies, and look into every home that they are told. Others take the first of several or any one, and
# the Python library caldav fails over a second.
_LOOK_INTO_EVERY_HOME = ("Thunderbird/", "Evolution/")


@live(caldav("calendar-home-set"), "RFC 4791 §6.2.1", HOME)
def _calendar_home_set(resource: Resource) -> str:
    homes = [resource.place]
    if any(app in resource.request.header("User-Agent") for app in _LOOK_INTO_EVERY_HOME):
        homes += delegators(resource.request, resource.place)
    return "".join(href(resource.path(home.path)) for home in homes)


@live(f"{{{CALENDARSERVER}}}calendar-proxy-write-for", "caldav-proxy §5.2", HOME)
def _calendar_proxy_write_for(resource: Resource) -> str:
    return _delegators_by(resource, PROXY_WRITE)


@live(f"{{{CALENDARSERVER}}}calendar-proxy-read-for", "caldav-proxy §5.2", HOME)
def _calendar_proxy_read_for(resource: Resource) -> str:
    return _delegators_by(resource, PROXY_READ)


def _delegators_by(resource: Resource, group: str) -> str:
    homes = delegators(resource.request, resource.place)
    return "".join(href(resource.path(home.path)) for home in homes if _group_for(resource.request, home) == group)


@live(dav("group-membership"), "RFC 3744 §4.4", PRINCIPALS)
def _group_membership(resource: Resource) -> str:
    homes = delegators(resource.request, resource.place)
    return "".join(href(resource.path(f"{home.path}{_group_for(resource.request, home)}/")) for home in homes)


@live(dav("group-member-set"), "RFC 3744 §4.3", PROXY)
def _group_member_set(resource: Resource) -> str:
    """The members of a group, as far as one may know of them."""
    request, place = resource.request, resource.place
    name = place.path.rstrip("/").rpartition("/")[2]
    if place.owner is None:
        return ""
    roles = _ROLES.get(place.owner.role, {}).get(name, ())
    homes = [Place("home", f"/{who.username}/", who) for who in served.principals(request.session)]
    members = [home for home in homes if home.owner is not None and home.owner.role in roles]
    return "".join(href(resource.path(home.path)) for home in members if letters(request, home))
