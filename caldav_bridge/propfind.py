"""PROPFIND: what there is and what it is like. RFC 4918 §9.1, RFC 8144."""

from collections.abc import Iterable, Iterator
from xml.etree.ElementTree import Element

from caldav_bridge import properties, refusals, render, responses, xml
from caldav_bridge.collection import Collection
from caldav_bridge.context import Kind, Place, Request
from caldav_bridge.limits import MAX_PROPERTIES, MAX_PROPERTY_NAMES
from caldav_bridge.properties import Resource
from caldav_bridge.refusals import Answer, Denied
from caldav_bridge.resources import readable
from caldav_bridge.rights import letters
from caldav_bridge.xml import dav
from storage import collections, served


def propfind(request: Request, path: str) -> Answer:
    depth, _, without_root = request.header("Depth").lower().replace(" ", "").partition(",")
    depth = depth or "0"
    if depth == "infinity":
        raise refusals.denied(403, dav("propfind-finite-depth"))
    if depth not in ("0", "1") or without_root not in ("", "noroot"):
        raise Denied(refusals.text(400, "The Depth is 0 or 1."))
    body = xml.parse(request.body)
    if body is not None and body.tag != dav("propfind"):
        raise Denied(refusals.text(400, "This is no propfind."))
    place = readable(request, path)
    if place.kind == "member" and Collection(request, place).object(place.href) is None:
        raise refusals.not_found()
    minimal, preferred = prefers_minimal(request), "depth-noroot" in preferences(request)
    if body is not None and body.find(dav("propname")) is not None:
        found: Iterator[str] = _names_only(request, place, depth)
    else:
        found = _responses(request, place, depth, body, minimal)
    if depth == "1" and place.kind != "member" and (without_root or preferred):
        next(found)
    applied = ["return=minimal"] * minimal + ["depth-noroot"] * preferred
    headers = {"Preference-Applied": ", ".join(applied)} if applied else {}
    return Answer(207, render.multistatus(found), render.XML, {**dav_header(request, place), **headers})


DAV_HEADER = {"DAV": "1, 3, access-control, calendar-access, calendar-proxy, extended-mkcol"}
_SCHEDULING = ", calendar-schedule, calendar-auto-schedule, calendar-availability"


def dav_header(request: Request, place: Place | None) -> dict[str, str]:
    """RFC 6638 §2, RFC 7953 §7.2.1: only an app that is shown people is told that the server invites them. Others keep
    to what they do without a server."""
    if request.profile != "full" or place is None or place.kind in ("root", "member") or not letters(request, place):
        return DAV_HEADER
    return {"DAV": DAV_HEADER["DAV"] + _SCHEDULING}


def prefers_minimal(request: Request) -> bool:
    """RFC 8144 §2.1, and Microsoft's older `Brief: t`."""
    return not preferences(request).isdisjoint(("return=minimal", "return-minimal")) or (
        request.header("Brief").lower() == "t"
    )


def preferences(request: Request) -> set[str]:
    """What a client would like (RFC 7240 §2), in small letters and without spaces."""
    return set(request.header("Prefer").lower().replace(" ", "").replace('"', "").split(","))


def wanted_names(prop: Iterable[Element]) -> list[str]:
    """The Clark names in a DAV:prop. Raises Denied for more than anybody needs."""
    names = list(dict.fromkeys(str(inner.tag) for inner in prop))
    if len(names) > MAX_PROPERTIES or sum(map(len, names)) > MAX_PROPERTY_NAMES:
        raise Denied(refusals.text(400, "These are too many properties."))
    return names


def _wanted(body: Element | None, place: Place) -> list[str]:
    if body is not None:
        prop = body.find(dav("prop"))
        if prop is not None:
            return wanted_names(prop)
        if body.find(dav("allprop")) is None:
            raise Denied(refusals.text(400, "This propfind asks for nothing."))
    include = None if body is None else body.find(dav("include"))
    extra = [] if include is None else wanted_names(include)
    if body is None and place.kind == "root":
        # Python's HTTP clients lose the body on the way from /.well-known/caldav; this is all that they ask for.
        extra = [dav("current-user-principal")]
    return list(dict.fromkeys([*properties.names(place, allprop=True), *extra]))


def _responses(request: Request, place: Place, depth: str, body: Element | None, minimal: bool) -> Iterator[str]:
    if place.kind == "member":
        row = Collection(request, place).member(place.href)
        if row is None:
            raise refusals.not_found()
        calendar = _calendar_of(place)
        resource = Resource(request, calendar, letters(request, calendar))
        yield responses.MemberWriter(resource, _wanted(body, place), minimal=minimal)(row)
        return
    yield from _collection(request, place, body, minimal)
    if depth == "0":
        return
    for inner in inside(request, place):
        yield from _collection(request, inner, body, minimal)
    if place.kind == "calendar":
        member = Place("member", place.path, place.owner, place.collection)
        wanted = _wanted(body, member)
        resource = Resource(request, place, letters(request, place))
        write = responses.MemberWriter(resource, wanted, minimal=minimal)
        calendar = Collection(request, place)
        if write.tags_only:
            yield from write.tags(calendar.tags())
        else:
            yield from map(write, calendar.members(**responses.columns(wanted)))


def _collection(request: Request, place: Place, body: Element | None, minimal: bool) -> Iterator[str]:
    held = letters(request, place)
    if held:
        yield responses.describe(Resource(request, place, held), _wanted(body, place), minimal=minimal)


def inside(request: Request, place: Place) -> list[Place]:
    """The collections directly in `place` that whoever asks may know of."""
    if place.kind == "root":
        homes = [Place("home", f"/{owner.username}/", owner) for owner in served.principals(request.session)]
        return [home for home in homes if letters(request, home)]
    if place.kind == "home" and place.owner is not None:
        found = []
        for row in collections.home(request.session, place.owner):
            kind: Kind = "inbox" if row.kind == "inbox" else "calendar"
            found.append(Place(kind, f"{place.path}{row.name}/", place.owner, row))
        found.append(Place("outbox", f"{place.path}outbox/", place.owner))
        return [inner for inner in found if letters(request, inner)]
    return []


def _calendar_of(place: Place) -> Place:
    return Place("calendar", place.path.rpartition("/")[0] + "/", place.owner, place.collection)


def _names_only(request: Request, place: Place, depth: str) -> Iterator[str]:
    def named(path: str, kind_place: Place) -> str:
        inner = "".join(render.element(name) for name in properties.names(kind_place, allprop=False))
        return render.response(request.prefix + path, inner)

    yield named(place.path, place)
    if depth == "0":
        return
    for inner in inside(request, place):
        yield named(inner.path, inner)
    if place.kind == "calendar":
        member = Place("member", place.path, place.owner, place.collection)
        for row in Collection(request, place).members():
            yield named(place.path + row.href, member)
