"""The `response` elements of a multistatus: what a resource has of the properties asked for. RFC 4918 §14.24."""

from collections.abc import Callable, Sequence

from caldav_bridge import properties, render
from caldav_bridge.context import Place
from caldav_bridge.properties import LIVE, Resource
from caldav_bridge.render import element
from caldav_bridge.xml import dav
from storage.served import Row


def columns(wanted: Sequence[str]) -> dict[str, bool]:
    """What must be read of members, beside hrefs and ETags, for these properties."""
    return {"text": dav("getcontentlength") in wanted, "date": dav("getlastmodified") in wanted}


def describe(resource: Resource, wanted: Sequence[str], *, minimal: bool = False) -> str:
    """The `response` for one resource."""
    found, missing = [], []
    for name in wanted:
        inner = properties.value(resource, name)
        if inner is None:
            missing.append(name)
        else:
            found.append(element(name, inner))
    return render.response(resource.path(resource.place.path), "".join(found), missing, minimal=minimal)


def member_writer(
    resource: Resource,
    wanted: Sequence[str],
    *,
    minimal: bool = False,
    extra: "Callable[[Row], str] | None" = None,
) -> Callable[[Row], str]:
    """A function that writes the `response` of any member of the calendar at `resource`: all that the members share
    is written once. `extra` gives further elements of a member (calendar-data)."""
    calendar = resource.place
    base = resource.path(calendar.path)
    place = Place("member", calendar.path, calendar.owner, calendar.collection)
    shared, missing, own = [], [], []
    for name in wanted:
        known = LIVE.get(name)
        if known is not None and known.per_member and "member" in known.on:
            own.append(_MEMBER_VALUES[name])
            continue
        inner = properties.value(Resource(resource.request, place, resource.letters), name)
        if inner is None:
            missing.append(name)
        else:
            shared.append(element(name, inner))
    if extra is not None:
        own.append(extra)
    before = "<D:response><D:href>" + render.quote_path(base)
    begin = "</D:href><D:propstat><D:prop>" + "".join(shared)
    end = "</D:prop>" + render.OK + "</D:propstat>"
    lacks = missing and not minimal
    if lacks and not shared and not own:
        begin, end = "</D:href>", ""
    after = end + (render.not_found(missing) if lacks else "") + "</D:response>"
    quote = render.quote_path
    if len(own) == 1:
        only = own[0]
        return lambda row: f"{before}{quote(row.href)}{begin}{only(row)}{after}"
    return lambda row: f"{before}{quote(row.href)}{begin}{''.join([write(row) for write in own])}{after}"


_MEMBER_VALUES: dict[str, Callable[[Row], str]] = {
    dav("getetag"): lambda row: f'<D:getetag>"{row.etag}"</D:getetag>',
    dav("getcontenttype"): lambda row: f"<D:getcontenttype>{properties.content_type(row)}</D:getcontenttype>",
    dav("getcontentlength"): lambda row: f"<D:getcontentlength>{len(row.text.encode())}</D:getcontentlength>",
    dav("getlastmodified"): lambda row: f"<D:getlastmodified>{render.http_date(row.changed_at)}</D:getlastmodified>",
}
