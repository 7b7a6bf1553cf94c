"""Access control as far as it can be told: privileges, ACLs, and reports on principals. RFC 3744.

Who may do what is fixed by storage.policy, so every ACE is protected and no ACL can be set. What is told names the
owner and the group of those who act for the owner (`delegation`), and nobody else.
"""

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from caldav_bridge import refusals, render, responses, xml
from caldav_bridge.context import Kind, Place, Request
from caldav_bridge.delegation import groups_of
from caldav_bridge.properties import EVERYWHERE, OWNED, PRINCIPALS, Resource, live
from caldav_bridge.propfind import DAV_HEADER, inside, wanted_names
from caldav_bridge.refusals import Answer, Denied
from caldav_bridge.render import href
from caldav_bridge.resources import readable
from caldav_bridge.rights import letters
from caldav_bridge.xml import dav

_READ = ("D:read", "D:read-acl", "D:read-current-user-privilege-set")


def privileges(kind: Kind, held: str) -> list[str]:
    """What the rights `held` (`rights.letters`) mean at a place of this kind."""
    names = list(_READ)
    if kind in ("calendar", "inbox", "member"):
        names.append("C:read-free-busy")
    if kind == "inbox":
        names.append("C:schedule-query-freebusy")
    if kind == "outbox":
        names.append("C:schedule-send-freebusy")
    if "W" in held:
        names += ["D:bind", "D:unbind"]
    if "w" in held:
        names += ["D:write", "D:write-content"]
        if kind == "calendar":
            names += ["D:write-properties", "D:bind", "D:unbind"]
    return names


def _told(names: Sequence[str]) -> str:
    return "".join(f"<D:privilege><{name}/></D:privilege>" for name in names)


# Properties


@live(dav("owner"), "RFC 3744 §5.1", OWNED)
def _owner(resource: Resource) -> str | None:
    owner = resource.place.owner
    return None if owner is None else href(resource.path(f"/{owner.username}/"))


@live(dav("supported-privilege-set"), "RFC 3744 §5.3", EVERYWHERE)
def _supported_privilege_set(resource: Resource) -> str:
    own = {
        "inbox": [("C:schedule-query-freebusy", "Ask when the owner is free", ())],
        "outbox": [("C:schedule-send-freebusy", "Ask when others are free", ())],
    }.get(resource.place.kind, [])
    return "".join(map(_supported, (*_SUPPORTED, *own)))


_Supported = tuple[str, str, Sequence["_Supported"]]

_SUPPORTED: tuple[_Supported, ...] = (
    (
        "D:read",
        "Read",
        (
            ("D:read-acl", "Read who may do what", ()),
            ("D:read-current-user-privilege-set", "Read what oneself may do", ()),
            ("C:read-free-busy", "Read when there is time", ()),
        ),
    ),
    (
        "D:write",
        "Write",
        (
            ("D:write-content", "Change entries", ()),
            ("D:write-properties", "Change properties", ()),
            ("D:bind", "Add entries", ()),
            ("D:unbind", "Remove entries", ()),
        ),
    ),
)


def _supported(privilege: _Supported) -> str:
    name, description, inner = privilege
    return (
        f"<D:supported-privilege><D:privilege><{name}/></D:privilege>"
        f'<D:description xml:lang="en">{description}</D:description>'
        f"{''.join(map(_supported, inner))}</D:supported-privilege>"
    )


@live(dav("current-user-privilege-set"), "RFC 3744 §5.4", EVERYWHERE)
def _current_user_privilege_set(resource: Resource) -> str:
    return _told(privileges(resource.place.kind, resource.letters))


@live(dav("acl"), "RFC 3744 §5.5", EVERYWHERE)
def _acl(resource: Resource) -> str:
    place = resource.place
    if place.owner is None:
        return _ace("<D:authenticated/>", privileges(place.kind, "R"))
    owner = "<D:property><D:owner/></D:property>"
    held = {"home": "RW", "calendar": "rw", "member": "rw"}.get(place.kind, "r")
    aces = _ace(owner, privileges(place.kind, held))
    for group, granted in groups_of(resource.request, place):
        aces += _ace(href(resource.path(group.path)), privileges(place.kind, granted))
    return aces


def _ace(principal: str, names: Sequence[str]) -> str:
    return f"<D:ace><D:principal>{principal}</D:principal><D:grant>{_told(names)}</D:grant><D:protected/></D:ace>"


@live(dav("acl-restrictions"), "RFC 3744 §5.6", EVERYWHERE)
def _acl_restrictions(resource: Resource) -> str:
    return "<D:grant-only/><D:no-invert/>"


@live(dav("inherited-acl-set"), "RFC 3744 §5.7", EVERYWHERE)
def _inherited_acl_set(resource: Resource) -> str:
    return ""


@live(dav("principal-collection-set"), "RFC 3744 §5.8", EVERYWHERE)
def _principal_collection_set(resource: Resource) -> str:
    return href(resource.path("/"))


@live(dav("alternate-URI-set"), "RFC 3744 §4.1", PRINCIPALS)
def _alternate_uri_set(resource: Resource) -> str:
    return ""


@live(dav("principal-URL"), "RFC 3744 §4.2", PRINCIPALS)
def _principal_url(resource: Resource) -> str:
    return href(resource.path(resource.place.path))


@live(dav("current-user-principal"), "RFC 5397 §3", EVERYWHERE)
def _current_user_principal(resource: Resource) -> str:
    account = resource.request.account
    return "<D:unauthenticated/>" if account is None else href(resource.path(f"/{account.username}/"))


# The method


def acl(request: Request, path: str) -> Answer:
    """RFC 3744 §8.1: no ACL can be set, by nobody."""
    body = xml.parse(request.body)
    if body is None or body.tag != dav("acl"):
        raise Denied(refusals.text(400, "This is no acl."))
    place = readable(request, path)
    raise refusals.need_privileges(request.prefix + place.path, "D:write-acl")


# Reports


def principal_match(request: Request, place: Place, body: Element) -> Answer:
    """RFC 3744 §9.3: the principals in a collection that one is oneself, or what in it is one's own."""
    self_ = body.find(dav("self")) is not None
    of = body.find(dav("principal-property"))
    if self_ == (of is not None) or (of is not None and [inner.tag for inner in of] != [dav("owner")]):
        raise Denied(refusals.text(400, "A principal-match asks for self, or by the property owner."))
    found = []
    for inner in [place, *inside(request, place)]:
        own = inner.owner is not None and inner.owner.id == request.actor.account_id
        if own and (inner.kind == "home" or not self_):
            found.append(_described(request, inner, body))
    return Answer(207, render.multistatus(found), render.XML, DAV_HEADER)


def acl_principal_prop_set(request: Request, place: Place, body: Element) -> Answer:
    """RFC 3744 §9.2: the principals that the ACL names by URL, as far as one may know of them."""
    found = [_described(request, group, body) for group, _held in groups_of(request, place)]
    return Answer(207, render.multistatus(found), render.XML, DAV_HEADER)


def _described(request: Request, place: Place, body: Element) -> str:
    prop = body.find(dav("prop"))
    wanted = [] if prop is None else wanted_names(prop)
    return responses.describe(Resource(request, place, letters(request, place)), wanted)
