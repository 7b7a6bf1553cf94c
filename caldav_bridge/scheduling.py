"""Scheduling for apps that are shown people: inbox, outbox, and whose time is free. RFC 6638, RFC 7953 §7.

Patients are invited by mail, from the workflow. So nothing is ever delivered to the inbox, and the outbox takes one
kind of message: the question when colleagues are free, which is answered with times and nothing else.
"""

from urllib.parse import unquote

from caldav_bridge import refusals, render
from caldav_bridge.context import Place, Request
from caldav_bridge.limits import MAX_ATTENDEES, MAX_SCHEDULED
from caldav_bridge.properties import HOME, INBOX, Resource, live
from caldav_bridge.refusals import Answer, Denied
from caldav_bridge.render import escape, href
from caldav_bridge.resources import readable
from caldav_bridge.rights import letters
from caldav_bridge.shim import CHARSET
from caldav_bridge.xml import CALENDARSERVER, caldav, dav
from ical import freebusy, guard, itip
from ical.errors import TooManyAttendees
from ical.freebusy import Period
from ical.itip import FreeBusyRequest
from storage import availability, collections
from storage.models import Account
from storage.policy import can

_SUCCESS = "2.0;Success"
_UNKNOWN = "3.7;Invalid calendar user"


# The outbox


def post(request: Request, path: str) -> Answer:
    """RFC 6638 §5: a request for free/busy time. Nothing else can be posted, and nowhere else."""
    place = readable(request, path)
    if place.kind != "outbox":
        raise Denied(refusals.text(405, "POST has no meaning here."))
    _check_media_type(request)
    asked = itip.read_free_busy_request(guard.check_message(request.body))
    if len(asked.attendees) > MAX_ATTENDEES:
        raise TooManyAttendees()
    if asked.end - asked.start > MAX_SCHEDULED:
        raise refusals.denied(403, dav("number-of-matches-within-limits"))
    known = _accounts(request, [asked.organizer, *asked.attendees])
    organizer = known.get(asked.organizer)
    if place.owner is None or organizer is None or organizer.id != place.owner.id:
        raise refusals.denied(403, caldav("organizer-allowed"))
    seen = {
        address: known[address]
        for address in asked.attendees
        if address in known and can(request.actor, "free_busy.read", known[address])
    }
    owners = {account.id: account for account in seen.values()}
    times = availability.free_busy(request.session, list(owners.values()), asked.start, asked.end)
    inner = "".join(
        _response(request, asked, address, times[seen[address].id] if address in seen else None)
        for address in asked.attendees
    )
    return Answer(200, render.document(caldav("schedule-response"), inner), render.XML, {"Cache-Control": "no-store"})


def _check_media_type(request: Request) -> None:
    kind = str(request.environ.get("CONTENT_TYPE", "")).lower()
    charset = request.environ.get(CHARSET, "")
    if kind not in ("", "text/calendar") or charset not in ("", "utf-8", "utf8", "us-ascii"):
        raise refusals.denied(403, caldav("supported-calendar-data"))


def _accounts(request: Request, addresses: list[str]) -> dict[str, Account]:
    """The staff behind calendar user addresses: mail addresses, or hrefs of principals."""
    mails = {address: unquote(address[7:]).lower() for address in addresses if address[:7].lower() == "mailto:"}
    people = availability.people(request.session, set(mails.values()))
    found = {address: people[mail] for address, mail in mails.items() if mail in people}
    for address in addresses:
        # Rooms and machines have no mail address: ATTENDEE names them by the whole URL of their principal.
        path = address.removeprefix(request.settings.public_url)
        if path.startswith(f"{request.prefix}/"):
            place = request.place(unquote(path.removeprefix(request.prefix)))
            if place is not None and place.kind == "home" and place.owner is not None:
                found[address] = place.owner
    return found


def _response(request: Request, asked: FreeBusyRequest, attendee: str, periods: list[Period] | None) -> str:
    recipient = f"<C:recipient><D:href>{escape(attendee)}</D:href></C:recipient>"
    if periods is None:
        # Whoever is unknown and whoever may not be seen look alike.
        return f"<C:response>{recipient}<C:request-status>{_UNKNOWN}</C:request-status></C:response>"
    text = freebusy.vfreebusy(
        periods,
        asked.start,
        asked.end,
        request.now,
        uid=asked.uid,
        organizer=asked.organizer,
        attendee=attendee,
        method="REPLY",
    )
    status = f"<C:request-status>{_SUCCESS}</C:request-status>"
    return f"<C:response>{recipient}{status}<C:calendar-data>{escape(text)}</C:calendar-data></C:response>"


# Properties of the principal: an app without people finds neither inbox nor outbox, and sends nothing by itself


@live(caldav("schedule-inbox-URL"), "RFC 6638 §2.2.1", HOME)
def _schedule_inbox_url(resource: Resource) -> str | None:
    return _reached(resource, "inbox") if _reached(resource, "outbox") else None


@live(caldav("schedule-outbox-URL"), "RFC 6638 §2.1.1", HOME)
def _schedule_outbox_url(resource: Resource) -> str | None:
    return _reached(resource, "outbox")


def _reached(resource: Resource, name: str) -> str | None:
    place: Place | None = resource.request.place(f"{resource.place.path}{name}/")
    if place is None or not letters(resource.request, place):
        return None
    return href(resource.path(place.path))


# Properties of the inbox


@live(caldav("schedule-default-calendar-URL"), "RFC 6638 §9.2", INBOX)
def _schedule_default_calendar_url(resource: Resource) -> str | None:
    owner = resource.place.owner
    if owner is None:
        return None
    name = "appointments" if owner.role == "doctor" else "personal"
    return href(resource.path(f"/{owner.username}/{name}/"))


@live(caldav("calendar-free-busy-set"), "calendarserver", INBOX)
def _calendar_free_busy_set(resource: Resource) -> str:
    owner = resource.place.owner
    if owner is None:
        return ""
    counted = [
        calendar
        for calendar in collections.home(resource.request.session, owner)
        if calendar.kind not in ("inbox", "waitlist") and not collections.is_transparent(calendar)
    ]
    return "".join(href(resource.path(f"/{owner.username}/{calendar.name}/")) for calendar in counted)


@live(caldav("calendar-availability"), "RFC 7953 §7.2.4", INBOX)
@live(f"{{{CALENDARSERVER}}}calendar-availability", "calendarserver", INBOX)
def _calendar_availability(resource: Resource) -> str:
    """There even when there is nothing to say: macOS shows an error when it is missing."""
    owner = resource.place.owner
    if owner is None or owner.role != "doctor":
        return ""
    text, _changed = availability.vavailability(resource.request.session, owner)
    return escape(text)
