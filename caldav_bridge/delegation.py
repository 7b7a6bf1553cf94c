"""Whoever acts for others finds their calendars under their own login: calendar-proxy of calendarserver.org.

A receptionist acts for every doctor of the practice (storage.policy). Apple Calendar and DAVx5 follow the proxy
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
from storage.policy import CALENDARS_OF_THE_PRACTICE


def delegators(request: Request, principal: Place) -> list[Place]:
    """The homes of others for whom `principal` acts. Asked of oneself only: nobody else's are told."""
    if principal.kind != "home" or principal.owner is None or principal.owner.id != request.actor.account_id:
        return []
    return [home for home in inside(request, Place("root", "/")) if home.path != principal.path]


def group_of(request: Request, place: Place) -> Place | None:
    """The group of those who act for the owner of `place`, where they may do something."""
    if place.owner is None or place.owner.role != "doctor":
        return None
    shared = place.collection is not None and place.collection.kind in CALENDARS_OF_THE_PRACTICE
    if place.kind != "home" and not shared:
        return None
    return request.place(f"/{place.owner.username}/{PROXY_WRITE}/")


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
    return "".join(href(resource.path(home.path)) for home in delegators(resource.request, resource.place))


@live(f"{{{CALENDARSERVER}}}calendar-proxy-read-for", "caldav-proxy §5.2", HOME)
def _calendar_proxy_read_for(resource: Resource) -> str:
    """Nobody may read only."""
    return ""


@live(dav("group-membership"), "RFC 3744 §4.4", PRINCIPALS)
def _group_membership(resource: Resource) -> str:
    homes = delegators(resource.request, resource.place)
    return "".join(href(resource.path(f"{home.path}{PROXY_WRITE}/")) for home in homes)


@live(dav("group-member-set"), "RFC 3744 §4.3", PROXY)
def _group_member_set(resource: Resource) -> str:
    """The members of a group, as far as one may know of them."""
    request, place = resource.request, resource.place
    if place.owner is None or place.path.endswith(f"/{PROXY_READ}/") or place.owner.role != "doctor":
        return ""
    homes = [Place("home", f"/{who.username}/", who) for who in served.principals(request.session)]
    desk = [home for home in homes if home.owner is not None and home.owner.role == "receptionist"]
    return "".join(href(resource.path(home.path)) for home in desk if letters(request, home))
