"""The If header: what must be so before anything is written. RFC 4918 §10.4, RFC 6578 §5.

There are no locks, so of state tokens only a calendar's sync-token ever holds.
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from radicale import pathutils

from caldav_bridge import conditions, refusals
from caldav_bridge.collection import Collection
from caldav_bridge.context import Place, Request
from caldav_bridge.refusals import Denied
from caldav_bridge.rights import letters
from storage import edits

_PART = re.compile(r"\s*(?:(?P<open>\()|(?P<close>\))|(?P<not>Not\b)|<(?P<uri>[^<>]*)>|\[(?P<etag>[^\[\]]*)\])", re.I)


@dataclass(frozen=True, slots=True)
class Condition:
    """A state token or an entity tag, as it stands in the header, of the resource at `url` (empty: what is asked)."""

    url: str
    negated: bool
    token: str = ""
    etag: str = ""


def check(request: Request, path: str) -> None:
    """Raises Denied: 412 when no list of the header holds. What is to be written is locked first."""
    header = request.header("If")
    if not header:
        return
    lists = read(header)
    place = request.place(path)
    if place is not None and place.collection is not None and "w" in letters(request, place):
        edits.lock(request.session, place.collection, place.href)
    if not any(all(_holds(request, path, condition) for condition in each) for each in lists):
        raise Denied(refusals.text(412, "It was changed in the meantime."))


def read(header: str) -> list[list[Condition]]:
    """The lists of conditions. Raises Denied for what is none."""
    lists: list[list[Condition]] = []
    url, inside, negated, at = "", False, False, 0
    while at < len(header.rstrip()):
        part = _PART.match(header, at)
        if part is None:
            raise _malformed()
        at = part.end()
        if part["open"] and not inside:
            inside = True
            lists.append([])
        elif part["close"] and inside and lists[-1] and not negated:
            inside = False
        elif part["not"] and inside and not negated:
            negated = True
        elif part["uri"] is not None and not inside:
            url = part["uri"]
        elif part["uri"] is not None or (part["etag"] is not None and inside):
            lists[-1].append(Condition(url, negated, part["uri"] or "", part["etag"] or ""))
            negated = False
        else:
            raise _malformed()
    if inside or not lists:
        raise _malformed()
    return lists


def _malformed() -> Denied:
    return Denied(refusals.text(400, "The If header cannot be read."))


def _holds(request: Request, path: str, condition: Condition) -> bool:
    place = request.place(_path(request, condition.url) if condition.url else path)
    if place is not None and not letters(request, place):
        place = None
    if condition.etag:
        return conditions.matches(condition.etag, _etag(request, place)) != condition.negated
    token = Collection(request, place).token if place is not None and place.kind == "calendar" else None
    return (condition.token == token) != condition.negated


def _etag(request: Request, place: Place | None) -> str | None:
    if place is None or place.collection is None:
        return None
    collection = Collection(request, place)
    if place.kind == "calendar":
        return collection.etag.strip('"')
    found = collection.object(place.href)
    return None if found is None else found.etag + collection.form


def _path(request: Request, url: str) -> str:
    try:
        path = unquote(urlsplit(url).path, errors="strict")
    except ValueError:
        raise _malformed() from None
    # What is not among the calendars has neither tag nor token, like the root.
    return pathutils.sanitize_path(path.removeprefix(request.prefix)) if path.startswith(f"{request.prefix}/") else "/"
