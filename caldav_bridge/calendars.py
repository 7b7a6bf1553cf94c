"""MKCALENDAR and extended MKCOL: further plain calendars in one's own home. RFC 4791 §5.3.1, RFC 5689."""

from xml.etree.ElementTree import Element

from radicale.storage import BaseStorage

from caldav_bridge import refusals, render, xml
from caldav_bridge.context import Request
from caldav_bridge.limits import MAX_CALENDARS
from caldav_bridge.propfind import DAV_HEADER, prefers_minimal
from caldav_bridge.proppatch import judge, propstats
from caldav_bridge.refusals import Answer, Denied
from caldav_bridge.rights import letters
from caldav_bridge.xml import caldav, dav
from ical.recurrence import ENTRIES
from storage import collections


def mkcalendar(request: Request, storage: BaseStorage, path: str) -> Answer:
    body = xml.parse(request.body)
    if body is not None and body.tag != caldav("mkcalendar"):
        raise Denied(refusals.text(400, "This is no mkcalendar."))
    return _make(request, storage, path, body, caldav("mkcalendar-response"))


def mkcol(request: Request, storage: BaseStorage, path: str) -> Answer:
    body = xml.parse(request.body)
    if body is None:
        _check_place(request, path)
        raise refusals.denied(403, dav("valid-resourcetype"))
    if body.tag != dav("mkcol"):
        raise Denied(refusals.text(415, "This is no mkcol."))
    kinds = {inner.tag for kind in body.iter(dav("resourcetype")) for inner in kind}
    if kinds != {dav("collection"), caldav("calendar")}:
        _check_place(request, path)
        raise refusals.denied(403, dav("valid-resourcetype"))
    return _make(request, storage, path, body, dav("mkcol-response"))


def _make(request: Request, storage: BaseStorage, path: str, body: Element | None, answer: str) -> Answer:
    _check_place(request, path)
    asked = []
    if body is not None:
        asked = [
            (given, True) for step in body.findall(dav("set")) for prop in step.findall(dav("prop")) for given in prop
        ]
    changes, failed = judge(asked, creating=True)
    if failed:
        # A calendar is made with all its properties or not at all.
        raise Denied(Answer(424, render.document(answer, propstats(asked, failed)), render.XML))
    props = {name: value for name, value in changes.items() if value is not None}
    props["component"] = ",".join(_components(asked))
    storage.create_collection(path, props=props)
    applied = {"Preference-Applied": "return=minimal"} if prefers_minimal(request) else {}
    return Answer(201, headers={**DAV_HEADER, "Cache-Control": "no-cache", **applied})


def _check_place(request: Request, path: str) -> None:
    """A new name directly in the own home. Raises Denied."""
    parts = [part for part in path.split("/") if part]
    parent = request.place("/" + "/".join(parts[:-1]) + "/") if parts else None
    if parent is None or not letters(request, parent):
        raise Denied(refusals.text(409, "There is no such place."))
    if parent.kind != "home" or "W" not in letters(request, parent):
        there = request.place(path)
        if there is not None and letters(request, there):
            raise refusals.denied(405, dav("resource-must-be-null"))
        raise refusals.denied(403, caldav("calendar-collection-location-ok"))
    if parts[-1] in collections.RESERVED or request.calendar(parts[0], parts[1]) is not None:
        raise refusals.denied(405, dav("resource-must-be-null"))
    if parent.owner is not None and len(collections.home(request.session, parent.owner)) >= MAX_CALENDARS:
        raise refusals.denied(507, dav("quota-not-exceeded"))


def _components(asked: list[tuple[Element, bool]]) -> list[str]:
    """What the calendar is to hold; nothing: of every kind, as when it is not said. Raises Denied for something that
    none of ours can. RFC 4791 §5.2.3."""
    for given, _setting in asked:
        if given.tag == caldav("supported-calendar-component-set"):
            names = [str(comp.get("name", "")).upper() for comp in given.findall(caldav("comp"))]
            found = [name for name in ENTRIES if name in names]
            if not found:
                raise refusals.denied(403, caldav("supported-calendar-component"))
            return [] if len(found) == len(ENTRIES) else found
    return []
