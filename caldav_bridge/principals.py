"""Finding people: principal-property-search, and following hrefs with expand-property. RFC 3744 §9.4, RFC 3253 §3.8.

Only staff have app passwords, and only staff have a home: patients are neither found here nor asked for.
"""

import re
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from radicale import pathutils

from caldav_bridge import properties, refusals, render, responses
from caldav_bridge.context import Place, Request
from caldav_bridge.properties import Resource
from caldav_bridge.propfind import DAV_HEADER, inside, wanted_names
from caldav_bridge.refusals import Answer, Denied
from caldav_bridge.rights import letters
from caldav_bridge.xml import CALENDARSERVER, DAV, caldav, dav

_HREF = re.compile(r"<D:href>(.*?)</D:href>")
_SEARCHABLE = {
    dav("displayname"): "name",
    caldav("calendar-user-address-set"): "address",
    f"{{{CALENDARSERVER}}}email-address-set": "address",
    caldav("calendar-user-type"): "type",
}
MAX_EXPANDED_PROPERTIES = 50


def principal_property_search(request: Request, place: Place, body: Element) -> Answer:
    """Without a search, which the DTD asks for, everybody whom one may see."""
    searches = [_search(element) for element in body.findall(dav("property-search"))]
    any_of = body.get("test") == "anyof" and bool(searches)
    wanted = _wanted(body)
    found = []
    for home in inside(request, Place("root", "/")):
        hits = [_matches(request, home, *search) for search in searches]
        if any(hits) if any_of else all(hits):
            found.append(responses.describe(Resource(request, home, letters(request, home)), wanted))
    return Answer(207, render.multistatus(found), render.XML, DAV_HEADER)


def _wanted(body: Element) -> list[str]:
    """The properties asked for. The Python library caldav writes them beside DAV:prop rather than into it."""
    prop = body.find(dav("prop"))
    if prop is None:
        return [dav("displayname")]
    known = {dav("property-search"), dav("prop"), dav("apply-to-principal-collection-set")}
    return wanted_names([*prop, *(inner for inner in body if inner.tag not in known)])


def _search(element: Element) -> tuple[list[str], str]:
    prop, match = element.find(dav("prop")), element.find(dav("match"))
    names = [] if prop is None else wanted_names(prop)
    return [_SEARCHABLE.get(name, "") for name in names], ("" if match is None else match.text or "").casefold()


def _matches(request: Request, home: Place, facts: list[str], text: str) -> bool:
    assert home.owner is not None
    known = {"name": home.owner.name, "address": home.owner.email, "": ""}
    if "type" in facts:
        known["type"] = properties.user_type(request, home)
    return bool(facts) and bool(text) and all(text in known[fact].casefold() for fact in facts)


def principal_search_property_set(request: Request, place: Place, body: Element) -> Answer:
    told = {"name": "Name", "address": "E-mail address", "type": "Person, room or machine"}
    inner = "".join(
        f"<D:principal-search-property><D:prop>{render.element(name)}</D:prop>"
        f'<D:description xml:lang="en">{told[fact]}</D:description></D:principal-search-property>'
        for name, fact in _SEARCHABLE.items()
    )
    return Answer(200, render.document(dav("principal-search-property-set"), inner), render.XML, DAV_HEADER)


def expand_property(request: Request, place: Place, body: Element) -> Answer:
    if sum(1 for _ in body.iter()) > MAX_EXPANDED_PROPERTIES:
        raise Denied(refusals.text(400, "These are too many properties."))
    return Answer(207, render.multistatus([_expanded(request, place, body, 0)]), render.XML, DAV_HEADER)


def _expanded(request: Request, place: Place, asked: Element, depth: int) -> str:
    resource = Resource(request, place, letters(request, place))
    found, missing = [], []
    for element in asked.findall(dav("property")):
        name = f"{{{element.get('namespace') or DAV}}}{element.get('name') or ''}"
        if not re.fullmatch(r"[A-Za-z_][\w.-]*", element.get("name") or "") or len(name) > 200:
            raise Denied(refusals.text(400, "This is not the name of a property."))
        inner = properties.value(resource, name)
        if inner is None:
            missing.append(name)
        elif len(element) and depth < 2:
            found.append(render.element(name, _followed(request, inner, element, depth)))
        else:
            found.append(render.element(name, inner))
    return render.response(request.prefix + place.path, "".join(found), missing)


def _followed(request: Request, inner: str, asked: Element, depth: int) -> str:
    """Each href of a property's value replaced by what it names, as far as one may know of it."""

    def follow(match: "re.Match[str]") -> str:
        path = unquote(match[1])
        if not path.startswith(request.prefix + "/"):
            return match[0]
        place = request.place(pathutils.sanitize_path(path.removeprefix(request.prefix)))
        if place is None or place.kind == "member" or not letters(request, place):
            return match[0]
        return _expanded(request, place, asked, depth + 1)

    return _HREF.sub(follow, inner)
