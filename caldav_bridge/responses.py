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


class MemberWriter:
    """Writes the `response` of any member of the calendar at `resource`: all that the members share is written once.
    `extra` gives further elements of a member (calendar-data)."""

    def __init__(
        self,
        resource: Resource,
        wanted: Sequence[str],
        *,
        minimal: bool = False,
        extra: "Callable[[Row], str] | None" = None,
    ) -> None:
        calendar = resource.place
        place = Place("member", calendar.path, calendar.owner, calendar.collection)
        shared, missing, own = [], [], []
        for name in wanted:
            known = LIVE.get(name)
            if known is not None and known.per_member and "member" in known.on:
                own.append(name)
                continue
            inner = properties.value(Resource(resource.request, place, resource.letters), name)
            if inner is None:
                missing.append(name)
            else:
                shared.append(element(name, inner))
        begin, end = "</D:href><D:propstat><D:prop>" + "".join(shared), "</D:prop>" + render.OK + "</D:propstat>"
        lacks = missing and not minimal
        if lacks and not shared and not own and extra is None:
            begin, end = "</D:href>", ""
        self._before = "<D:response><D:href>" + render.quote_path(resource.path(calendar.path))
        self._begin = begin
        self._after = end + (render.not_found(missing) if lacks else "") + "</D:response>"
        self._own = [_MEMBER_VALUES[name] for name in own] + ([] if extra is None else [extra])
        # ETags alone: no more than that is read of a calendar.
        self.tags_only = own == [dav("getetag")] and extra is None

    def __call__(self, row: Row) -> str:
        return self._written(row, render.quote_path(row.href))

    def each(self, rows: Sequence[Row]) -> list[str]:
        """The same for many."""
        if render.is_plain("".join([row.href for row in rows])):
            return [self._written(row, row.href) for row in rows]
        return [self(row) for row in rows]

    def _written(self, row: Row, href: str) -> str:
        return "".join([self._before, href, self._begin, *[write(row) for write in self._own], self._after])

    def tags(self, pairs: list[tuple[str, str]]) -> list[str]:
        """The same for pairs of href and ETag, where ETags are all that is asked for: first synchronisations."""
        if not render.is_plain("".join([href for href, _etag in pairs])):
            pairs = [(render.quote_path(href), etag) for href, etag in pairs]
        before, begin, after = self._before, self._begin + '<D:getetag>"', '"</D:getetag>' + self._after
        return [f"{before}{href}{begin}{etag}{after}" for href, etag in pairs]


_MEMBER_VALUES: dict[str, Callable[[Row], str]] = {
    dav("getetag"): lambda row: f'<D:getetag>"{row.etag}"</D:getetag>',
    dav("getcontenttype"): lambda row: f"<D:getcontenttype>{properties.content_type(row)}</D:getcontenttype>",
    dav("getcontentlength"): lambda row: f"<D:getcontentlength>{len(row.text.encode())}</D:getcontentlength>",
    dav("getlastmodified"): lambda row: f"<D:getlastmodified>{render.http_date(row.changed_at)}</D:getlastmodified>",
}
