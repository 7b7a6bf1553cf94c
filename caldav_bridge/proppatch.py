"""PROPPATCH: the dead properties that we keep, all or none. RFC 4918 §9.2."""

from xml.etree.ElementTree import Element, tostring

from caldav_bridge import properties, refusals, render, xml, zones
from caldav_bridge.collection import Collection
from caldav_bridge.context import Request
from caldav_bridge.propfind import DAV_HEADER, prefers_minimal, wanted_names
from caldav_bridge.refusals import Answer, Denied, need_privileges
from caldav_bridge.resources import readable
from caldav_bridge.rights import letters
from caldav_bridge.xml import caldav, dav
from storage import served
from storage.collections import TIMEZONE

MAX_VALUE = 65_536

_SETTABLE = {*properties.DEAD, zones.TIMEZONE_ID}


class CannotSet(Exception):
    """A property cannot be set so: the status of its propstat, and the precondition's element."""

    def __init__(self, status: int, condition: str = "") -> None:
        super().__init__(condition)
        self.status = status
        self.condition = condition


def proppatch(request: Request, path: str) -> Answer:
    body = xml.parse(request.body)
    if body is None or body.tag != dav("propertyupdate"):
        raise Denied(refusals.text(400, "This is no propertyupdate."))
    place = readable(request, path)
    if place.kind == "member" and Collection(request, place).object(place.href) is None:
        raise refusals.not_found()
    asked = instructions(body)
    held = letters(request, place)
    if place.kind == "calendar" and "w" not in held:
        raise need_privileges(request.prefix + place.path, "D:write-properties")
    changes, failed = judge(asked, on_calendar=place.kind == "calendar")
    if not failed and changes:
        calendar = Collection(request, place)
        served.lock(request.session, calendar.row)
        kept = {name: value for name, value in calendar.row.props.items() if name not in changes}
        calendar.set_meta(kept | {name: value for name, value in changes.items() if value is not None})
    if not failed and prefers_minimal(request):
        # RFC 8144 §2.2: there is nothing to say.
        return Answer(204, headers={**DAV_HEADER, "Preference-Applied": "return=minimal"})
    answer = f"<D:response>{render.href(request.prefix + place.path)}{propstats(asked, failed)}</D:response>"
    return Answer(207, render.multistatus([answer]), render.XML, DAV_HEADER)


def instructions(body: Element) -> list[tuple[Element, bool]]:
    """(property, whether it is to be set) in document order. Raises Denied."""
    asked = []
    for step in body:
        if step.tag not in (dav("set"), dav("remove")):
            continue
        for prop in step.findall(dav("prop")):
            wanted_names(prop)
            asked += [(given, step.tag == dav("set")) for given in prop]
    if not asked:
        raise Denied(refusals.text(400, "This changes nothing."))
    return asked


def judge(
    asked: list[tuple[Element, bool]], *, on_calendar: bool = True, creating: bool = False
) -> tuple[dict[str, str | None], dict[str, CannotSet]]:
    """The values to keep (None: remove) and, by name, what cannot be."""
    changes: dict[str, str | None] = {}
    failed: dict[str, CannotSet] = {}
    for given, setting in asked:
        name = str(given.tag)
        if creating and name in (caldav("supported-calendar-component-set"), dav("resourcetype")):
            continue
        try:
            if not on_calendar or name not in _SETTABLE:
                raise CannotSet(403, "<D:cannot-modify-protected-property/>")
            # RFC 7809 §5.2: the zone's name and its definition are one.
            changes[TIMEZONE if name == zones.TIMEZONE_ID else name] = _value(given) if setting else None
        except CannotSet as why:
            failed[name] = why
    return changes, failed


def _value(given: Element) -> str:
    """The XML to keep for the element of a dead property. Raises CannotSet."""
    name = str(given.tag)
    if name == zones.TIMEZONE_ID:
        definition = zones.definition((given.text or "").strip())
        if definition is None:
            raise CannotSet(403, "<C:valid-timezone/>")
        return definition
    kept = render.escape(given.text or "").replace("&#13;", "\r") + "".join(
        tostring(inner, encoding="unicode") for inner in given
    )
    if len(kept) > MAX_VALUE:
        raise CannotSet(507)
    if name == TIMEZONE and zones.read("".join(given.itertext()).strip()) is None:
        raise CannotSet(403, "<C:valid-calendar-data/>")
    if name == caldav("schedule-calendar-transp") and [inner.tag for inner in given] not in (
        [caldav("opaque")],
        [caldav("transparent")],
    ):
        raise CannotSet(409)
    return kept


def propstats(asked: list[tuple[Element, bool]], failed: dict[str, CannotSet]) -> str:
    """What became of each property: one that fails makes the others fail with it (424)."""
    names = list(dict.fromkeys(str(given.tag) for given, _setting in asked))
    parts = [render.propstat(render.element(name), why.status, why.condition) for name, why in failed.items()]
    others = "".join(render.element(name) for name in names if name not in failed)
    if others:
        parts.append(render.propstat(others, 424 if failed else 200))
    return "".join(parts)
