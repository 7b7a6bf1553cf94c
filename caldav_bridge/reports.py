"""REPORT: one function per report. RFC 4791 §7.8–7.10, RFC 6578 §3, RFC 3744 §9.4–9.5, RFC 3253 §3.8."""

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta, tzinfo
from urllib.parse import unquote, urlsplit
from xml.etree.ElementTree import Element

from radicale import pathutils

from caldav_bridge import (
    acl,
    calendar_data,
    filters,
    matching,
    principals,
    properties,
    refusals,
    render,
    responses,
    xml,
    zones,
)
from caldav_bridge.calendar_data import TooWide, UnsupportedData
from caldav_bridge.collection import Collection
from caldav_bridge.context import Place, Request
from caldav_bridge.filters import BadFilter, CompFilter
from caldav_bridge.limits import MAX_EXPANDED, MAX_FREE_BUSY, MAX_HREFS
from caldav_bridge.properties import Resource
from caldav_bridge.propfind import DAV_HEADER, prefers_minimal, wanted_names
from caldav_bridge.refusals import Answer, Denied
from caldav_bridge.resources import readable
from caldav_bridge.rights import letters
from caldav_bridge.xml import caldav, dav
from ical import freebusy, lines, recurrence
from ical.errors import TooManyInstances
from storage import served
from storage.served import Row

Report = Callable[[Request, Place, Element], Answer]

CALENDAR_DATA = caldav("calendar-data")

# The tables know floating times and whole days in the owner's zone: another one is no further away.
_ZONES_APART = timedelta(hours=26)


def report(request: Request, path: str) -> Answer:
    body = xml.parse(request.body)
    if body is None:
        raise Denied(refusals.text(400, "A report needs a body."))
    place = readable(request, path)
    known = REPORTS.get(str(body.tag))
    if known is None or place.kind not in known[1]:
        raise refusals.denied(403, dav("supported-report"))
    try:
        return known[0](request, place, body)
    except BadFilter as bad:
        raise refusals.denied(403, caldav(bad.precondition)) from None
    except UnsupportedData:
        raise refusals.denied(403, caldav("supported-calendar-data")) from None
    except (TooWide, TooManyInstances):
        raise refusals.denied(403, dav("number-of-matches-within-limits")) from None


class Writer:
    """Writes the `response` of members: the properties asked for, and their calendar data."""

    def __init__(self, request: Request, calendar: Place, body: Element, zone: tzinfo | None = None) -> None:
        self._zone = zone or zones.of_calendar(calendar)
        self._budget = MAX_EXPANDED
        prop = body.find(dav("prop"))
        wanted = wanted_names(prop) if prop is not None else _all_or_names(body)
        data = None if prop is None else prop.find(CALENDAR_DATA)
        self._data = None if data is None else calendar_data.read(data)
        self.names = [name for name in wanted if name != CALENDAR_DATA]
        self.columns = responses.columns(self.names)
        if self._data is not None:
            self.columns["text"] = True
        resource = Resource(request, calendar, letters(request, calendar))
        extra = None if self._data is None else self._whole if self._data.is_whole else self._transformed
        self.write = responses.MemberWriter(resource, self.names, minimal=prefers_minimal(request), extra=extra)

    @staticmethod
    def _whole(row: Row) -> str:
        return f"<C:calendar-data>{render.escape(row.text)}</C:calendar-data>"

    def _transformed(self, row: Row) -> str:
        assert self._data is not None
        text, count = calendar_data.apply(self._data, row.text, self._zone)
        self._budget -= count
        if self._budget < 0:
            raise TooManyInstances()
        return f"<C:calendar-data>{render.escape(text)}</C:calendar-data>"


def _all_or_names(body: Element) -> list[str]:
    member = Place("member", "")
    return properties.names(member, allprop=body.find(dav("propname")) is None)


def _multistatus(request: Request, found: Iterator[str] | Sequence[str], tail: str = "") -> Answer:
    headers = {"Preference-Applied": "return=minimal"} if prefers_minimal(request) else {}
    return Answer(207, render.multistatus(found, tail), render.XML, {**DAV_HEADER, **headers})


# calendar-query


def calendar_query(request: Request, place: Place, body: Element) -> Answer:
    wanted = filters.read(body.find(caldav("filter")))
    calendar, hrefs = place, None
    if place.kind == "member":
        calendar, hrefs = _calendar_of(place), {place.href}
    elif request.header("Depth") == "0":
        return _multistatus(request, [])
    zone = zones.asked(body) or zones.of_calendar(calendar)
    writer = Writer(request, calendar, body, zone)
    rows = _matching(request, calendar, wanted, zone, writer.columns)
    return _multistatus(request, writer.write.each([row for row in rows if hrefs is None or row.href in hrefs]))


def _matching(request: Request, place: Place, wanted: CompFilter, zone: tzinfo, columns: dict[str, bool]) -> list[Row]:
    """The members that pass the filter. The tables answer kind and time; the rest is judged on the texts."""
    collection = Collection(request, place)
    only = wanted.comps[0] if len(wanted.comps) == 1 else None
    judged = columns | {"text": True}
    if wanted.absent:
        return []
    if wanted.props or wanted.time_range is not None or only is None:
        if wanted.props or wanted.comps:
            return _judged(collection.members(**judged), wanted, zone)
        return collection.members(**columns)
    if only.absent:
        return [row for row in collection.members(**columns) if row.component != only.name]
    if only.name == "VTIMEZONE":
        return _judged(collection.members(**judged), wanted, zone)
    if only.name == "VEVENT" and only.time_range is not None:
        span = only.time_range
        if not zones.is_stored(place, zone):
            wider = span.wider(_ZONES_APART)
            return _judged(collection.members_in_range(wider.start, wider.end, **judged), wanted, zone)
        if only.is_plain:
            return collection.members_in_range(span.start, span.end, **columns)
        return _judged(collection.members_in_range(span.start, span.end, **judged), wanted, zone)
    if only.is_plain and only.time_range is None:
        return collection.members(component=only.name, **columns)
    return _judged(collection.members(component=only.name, **judged), wanted, zone)


def _judged(rows: list[Row], wanted: CompFilter, zone: tzinfo) -> list[Row]:
    return [row for row in rows if matching.matches(wanted, lines.parse(row.text), zone)]


def _calendar_of(place: Place) -> Place:
    return Place("calendar", place.path.rpartition("/")[0] + "/", place.owner, place.collection)


# calendar-multiget


def calendar_multiget(request: Request, place: Place, body: Element) -> Answer:
    asked = [(given.text or "").strip() for given in body.findall(dav("href"))]
    if len(asked) > MAX_HREFS:
        raise refusals.denied(403, dav("number-of-matches-within-limits"))
    calendar = _calendar_of(place) if place.kind == "member" else place
    writer = Writer(request, calendar, body)
    below = {href: _name_below(request, calendar, href) for href in asked}
    names = {name for name in below.values() if name is not None}
    rows = Collection(request, calendar).members_at(names, **writer.columns)
    written = dict(zip([row.href for row in rows], writer.write.each(rows), strict=True))
    return _multistatus(request, [written.get(name or "") or _unknown(href) for href, name in below.items()])


def _unknown(href: str) -> str:
    """An href that is not there, as it was written."""
    return f"<D:response><D:href>{render.escape(href)}</D:href>{render.status(404)}</D:response>"


def _name_below(request: Request, calendar: Place, href: str) -> str | None:
    """The member's name in an href, absolute or a URL; None for what is not in this calendar."""
    base = request.prefix + calendar.path
    if href.startswith(base) and render.is_plain(href):
        path = href
    else:
        try:
            path = unquote(urlsplit(href).path, errors="strict")
        except ValueError:
            return None
    if not path.startswith(base):
        path = pathutils.sanitize_path(path)
    name = path.removeprefix(base) if path.startswith(base) else ""
    return name if name and "/" not in name else None


# sync-collection


def sync_collection(request: Request, place: Place, body: Element) -> Answer:
    if request.header("Depth") not in ("", "0", "1"):
        raise Denied(refusals.text(400, "The Depth of a sync-collection is 0."))
    level = body.findtext(dav("sync-level"), "1").strip()
    if level not in ("1", "infinite", "infinity"):
        raise Denied(refusals.text(400, "The sync-level is 1."))
    token = body.findtext(dav("sync-token"), "").strip()
    limit = _limit(body)
    writer = Writer(request, place, body)
    calendar = Collection(request, place)
    if not token and limit is None and writer.write.tags_only:
        return _multistatus(request, writer.write.tags(calendar.tags()), _sync_token(calendar.token))
    page = calendar.changes(token, limit, **writer.columns)
    base = request.prefix + place.path
    written = writer.write.each(page.rows)
    written += [render.gone(base + href) for href in page.gone]
    if page.more:
        written.append(
            f"<D:response>{render.href(base)}{render.status(507)}"
            "<D:error><D:number-of-matches-within-limits/></D:error></D:response>"
        )
    return _multistatus(request, written, _sync_token(page.token))


def _sync_token(token: str) -> str:
    return f"<D:sync-token>{render.escape(token)}</D:sync-token>"


def _limit(body: Element) -> int | None:
    limit = body.find(dav("limit"))
    if limit is None:
        return None
    text = (limit.findtext(dav("nresults")) or "").strip()
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or int(text) < 1:
        raise Denied(refusals.text(400, "The limit is a number from 1."))
    return int(text)


# free-busy-query


def free_busy_query(request: Request, place: Place, body: Element) -> Answer:
    given = body.find(caldav("time-range"))
    if given is None:
        raise Denied(refusals.text(400, "A free-busy-query needs a time-range."))
    span = filters.time_range(given)
    if span.start is None or span.end is None:
        raise Denied(refusals.text(400, "The time-range needs a start and an end."))
    if span.end - span.start > MAX_FREE_BUSY:
        raise TooWide()
    zone = zones.of_calendar(place)
    if zones.is_stored(place, zone):
        periods = served.busy_periods(request.session, Collection(request, place).row, span.start, span.end)
    else:
        wider = span.wider(_ZONES_APART)
        periods = [
            freebusy.Period(busy.start, busy.end, freebusy.busy_type(busy.component))
            for row in Collection(request, place).members_in_range(wider.start, wider.end, text=True)
            for busy in recurrence.occurrences(lines.parse(row.text), zone, span.start, span.end)
        ]
    text = freebusy.vfreebusy(periods, span.start, span.end, request.now)
    return Answer(200, text.encode(), "text/calendar; charset=utf-8", DAV_HEADER)


ANY = frozenset({"root", "home", "proxy", "calendar", "inbox", "outbox", "member"})
REPORTS: dict[str, tuple[Report, frozenset[str]]] = {
    caldav("calendar-query"): (calendar_query, frozenset({"calendar", "inbox", "member"})),
    caldav("calendar-multiget"): (calendar_multiget, frozenset({"calendar", "inbox", "member"})),
    caldav("free-busy-query"): (free_busy_query, frozenset({"calendar"})),
    dav("sync-collection"): (sync_collection, frozenset({"calendar", "inbox"})),
    dav("acl-principal-prop-set"): (acl.acl_principal_prop_set, ANY),
    dav("expand-property"): (principals.expand_property, ANY),
    dav("principal-match"): (acl.principal_match, ANY),
    dav("principal-property-search"): (principals.principal_property_search, ANY),
    dav("principal-search-property-set"): (principals.principal_search_property_set, ANY),
}
