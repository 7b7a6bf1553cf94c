"""GET, PUT, DELETE, MOVE and COPY of members and calendars. RFC 4918 §9, RFC 4791 §5.3, RFC 8144."""

from urllib.parse import unquote, urlsplit

from radicale import pathutils

from caldav_bridge import calendar_data, conditions, properties, refusals, render
from caldav_bridge.collection import Collection
from caldav_bridge.context import Place, Request
from caldav_bridge.refusals import Answer, Denied, need_privileges, not_found
from caldav_bridge.rights import letters
from caldav_bridge.shim import CHARSET
from ical.errors import Forbidden, Refusal
from storage import edits, objects
from storage.models import CalendarObject
from storage.writes import Sent


def get(request: Request, path: str) -> Answer:
    place = readable(request, path)
    if place.kind not in ("calendar", "member"):
        return refusals.text(200, "Calendars of the practice. Open this address in a calendar app.\n")
    if place.kind == "calendar":
        return _whole_calendar(request, place)
    row = Collection(request, place).member(place.href)
    if row is None:
        raise not_found()
    headers = {"ETag": f'"{row.etag}"', "Last-Modified": render.http_date(row.changed_at)}
    if conditions.matches(request.header("If-None-Match"), row.etag):
        return Answer(304, headers=headers)
    if_match = request.header("If-Match")
    if if_match and not conditions.matches(if_match, row.etag):
        return _precondition_failed()
    return Answer(200, row.text.encode(), properties.content_type(row), headers)


def put(request: Request, path: str) -> Answer:
    if _depth(path) != 3 or path.endswith("/"):
        raise _no_put()
    if request.environ.get(CHARSET, "") not in ("", "utf-8", "utf8", "us-ascii"):
        raise refusals.denied(403, "{urn:ietf:params:xml:ns:caldav}supported-calendar-data")
    sent = _judged(request, path)
    place = _writable(request, path)
    collection = Collection(request, place)
    spot = collection.spot(place.href, sent)
    if _conditions_fail(request, collection, spot.live):
        return _current(collection, place.href, 412) if _wants_it_back(request) else _precondition_failed()
    written = collection.write(spot, sent)
    status = 201 if written.created else 204
    return _after_write(collection, request, status, written)


def delete(request: Request, path: str) -> Answer:
    place = readable(request, path)
    if place.kind == "member":
        _check_writable(request, place)
        _lock(request, place)
        collection = Collection(request, place)
        found = collection.object(place.href)
        if found is None:
            raise not_found()
        if _conditions_fail(request, collection, found):
            return _precondition_failed()
        collection.delete(place.href)
        return Answer(204)
    if "D" not in letters(request, place):
        raise need_privileges(request.prefix + _parent(place.path), "D:unbind")
    _lock(request, place)
    calendar = Collection(request, place)
    if_match = request.header("If-Match")
    if if_match and not conditions.matches(if_match, calendar.etag.strip('"')):
        return _precondition_failed()
    calendar.delete()
    return Answer(204)


def move(request: Request, path: str) -> Answer:
    source, target = _from_to(request, path)
    _check_writable(request, source)
    _lock(request, *sorted((source, target), key=lambda place: place.collection.id if place.collection else 0))
    moved = Collection(request, source).object(source.href)
    if moved is None:
        raise not_found()
    if source.path == target.path:
        raise Denied(refusals.text(403, "Source and destination are the same."))
    _check_overwrite(request, source, target)
    assert target.collection is not None
    created = edits.client_move(
        request.session, moved, target.collection, target.href, actor=request.actor, now=request.now
    )
    return Answer(201 if created else 204)


def copy(request: Request, path: str) -> Answer:
    source, target = _from_to(request, path)
    _lock(request, target)
    copied = Collection(request, source).member(source.href)
    if copied is None:
        raise not_found()
    if source.path == target.path:
        raise Denied(refusals.text(403, "Source and destination are the same."))
    _check_overwrite(request, source, target)
    sent = edits.judge(copied.text.encode())
    collection = Collection(request, target)
    written = collection.write(collection.spot(target.href, sent), sent)
    return Answer(201 if written.created else 204)


def readable(request: Request, path: str) -> Place:
    """The place at `path`, as far as whoever asks may know of it. Raises Denied: 404 for all else alike."""
    place = request.place(path)
    if place is None or not letters(request, place):
        raise not_found()
    return place


def _from_to(request: Request, path: str) -> tuple[Place, Place]:
    source = readable(request, path)
    if source.kind != "member":
        raise need_privileges(request.prefix + source.path, "D:unbind")
    target = request.place(destination(request))
    if target is None or not letters(request, target):
        raise _no_calendar()
    if target.kind != "member":
        raise need_privileges(request.prefix + target.path, "D:bind")
    _check_writable(request, target)
    return source, target


def destination(request: Request) -> str:
    """The path that the Destination header names, below the mount. Raises Denied."""
    header = request.header("Destination")
    try:
        parts = urlsplit(header)
        path = unquote(parts.path, errors="strict")
    except ValueError:
        raise Denied(refusals.text(400, "The Destination cannot be read.")) from None
    if not path.startswith("/"):
        raise Denied(refusals.text(400, "There is no Destination."))
    if parts.netloc and parts.netloc != request.environ.get("HTTP_HOST", parts.netloc):
        raise Denied(refusals.text(502, "The Destination is on another server."))
    if request.prefix and not path.startswith(request.prefix + "/"):
        raise Denied(refusals.text(502, "The Destination is not among the calendars."))
    return pathutils.sanitize_path(path.removeprefix(request.prefix))


def _check_overwrite(request: Request, source: Place, target: Place) -> None:
    existing = Collection(request, target).object(target.href)
    if existing is not None and request.header("Overwrite").upper() == "F":
        raise Denied(_precondition_failed())
    moved = Collection(request, source)
    if _conditions_fail(request, moved, moved.object(source.href)):
        raise Denied(_precondition_failed())


def _conditions_fail(request: Request, collection: Collection, found: CalendarObject | None) -> bool:
    etag, text_etag = None, None
    if found is not None:
        etag, text_etag = found.etag + collection.form, objects.etag_of(found.served_text) + collection.form
    return conditions.fail(request.header("If-Match"), request.header("If-None-Match"), etag, text_etag)


def _judged(request: Request, path: str) -> Sent:
    """The body, judged before the transaction begins: others write meanwhile."""
    try:
        return edits.judge(request.body, conditional=bool(request.header("If-Match")))
    except Refusal:
        # Whoever may not write there is told so, and no more.
        _writable(request, path)
        raise


def _writable(request: Request, path: str) -> Place:
    place = request.place(path)
    if place is None:
        raise _no_calendar()
    _check_writable(request, place)
    return place


def _check_writable(request: Request, place: Place) -> None:
    held = letters(request, place)
    if not held:
        raise _no_calendar()
    if "w" not in held:
        raise Forbidden("Your login may only read this calendar.")


def _lock(request: Request, *places: Place) -> None:
    """Nobody writes these calendars between the look at an ETag and the write."""
    for place in places:
        if place.collection is not None:
            edits.lock(request.session, place.collection, place.href)


def _after_write(collection: Collection, request: Request, status: int, written: edits.Written) -> Answer:
    """No ETag when a byte was changed (RFC 4791 §5.3.4): the client must fetch what is served, now or a little later."""
    if _wants_it_back(request):
        return _current(collection, written.object.href, 201 if written.created else 200)
    tag = collection.tag(written)
    if tag is not None:
        return Answer(status, headers={"ETag": f'"{tag}"'})
    objects.touch_later(written.object, request.now)
    return Answer(status)


def _wants_it_back(request: Request) -> bool:
    return "return=representation" in request.header("Prefer").replace(" ", "")


def _current(collection: Collection, href: str, status: int) -> Answer:
    """What is there now, written or not (RFC 8144 §3)."""
    row = collection.member(href)
    if row is None:
        return _precondition_failed() if status == 412 else Answer(status)
    headers = {"ETag": f'"{row.etag}"', "Preference-Applied": "return=representation"}
    return Answer(status, row.text.encode(), properties.content_type(row), headers)


def _whole_calendar(request: Request, place: Place) -> Answer:
    collection = Collection(request, place)
    headers = {"ETag": collection.etag, "Last-Modified": collection.last_modified}
    if conditions.matches(request.header("If-None-Match"), collection.etag.strip('"')):
        return Answer(304, headers=headers)
    text = calendar_data.joined([row.text for row in collection.members(text=True)])
    return Answer(200, text.encode(), "text/calendar; charset=utf-8", headers)


def _parent(path: str) -> str:
    return path.rstrip("/").rpartition("/")[0] + "/"


def _depth(path: str) -> int:
    return len([part for part in path.split("/") if part])


def _no_calendar() -> Denied:
    return Denied(refusals.text(409, "There is no such calendar."))


def _no_put() -> Denied:
    return Denied(refusals.text(405, "Calendars are not written as a whole.", Allow="OPTIONS, GET, HEAD, PROPFIND"))


def _precondition_failed() -> Answer:
    return refusals.text(412, "It was changed in the meantime.")
