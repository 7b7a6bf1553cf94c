"""In which zone floating times and whole days are read. RFC 4791 §5.2.2, §7.3, §9.8, RFC 7809.

A calendar of one's own is read in its calendar-timezone. The calendars of the practice are read in the zone of the
doctor, and so is everything that blocks a doctor's time.
"""

from datetime import tzinfo
from functools import lru_cache
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape, unescape

from caldav_bridge.context import Place
from caldav_bridge.filters import BadFilter
from caldav_bridge.properties import CALENDAR, Resource, live
from caldav_bridge.xml import caldav
from ical import lines, timezones
from ical.errors import InvalidCalendarData, InvalidInput
from ical.lines import Component
from storage.collections import TIMEZONE, timezone_text
from storage.models import Account

TIMEZONE_ID = caldav("calendar-timezone-id")


def of_owner(owner: Account) -> tzinfo:
    return timezones.zone(owner.timezone)


def of_calendar(place: Place) -> tzinfo:
    """The zone of a calendar and its members."""
    assert place.owner is not None
    own = None
    if place.collection is not None and place.collection.kind == "plain":
        own = _kept(place.collection.props.get(TIMEZONE, ""))[1]
    return own or of_owner(place.owner)


def is_stored(place: Place, zone: tzinfo) -> bool:
    """Whether the tables, which know every occurrence in the zone of the owner, answer for `zone`."""
    return place.owner is not None and zone == of_owner(place.owner)


def asked(body: Element) -> tzinfo | None:
    """What a query says: CALDAV:timezone, or by its name CALDAV:timezone-id. Raises BadFilter."""
    name = body.find(caldav("timezone-id"))
    if name is not None:
        try:
            return timezones.zone((name.text or "").strip())
        except InvalidInput:
            raise BadFilter("valid-timezone") from None
    given = body.find(caldav("timezone"))
    if given is None:
        return None
    found = read((given.text or "").strip())
    if found is None:
        raise BadFilter("valid-calendar-data")
    return found[1]


def read(text: str) -> tuple[str, tzinfo | None] | None:
    """TZID and zone of an iCalendar object with exactly one VTIMEZONE; None for anything else."""
    try:
        calendar = lines.parse(text)
    except InvalidCalendarData:
        return None
    inner: list[Component] = calendar.components()
    if calendar.name != "VCALENDAR" or [each.name for each in inner] != ["VTIMEZONE"]:
        return None
    tzid = inner[0].plain("TZID")
    return tzid, timezones.resolve(tzid, calendar)


def definition(name: str) -> str | None:
    """The value of calendar-timezone for an IANA name; None for what is none."""
    try:
        return escape(timezone_text(name))
    except InvalidInput:
        return None


@lru_cache(maxsize=256)
def _kept(value: str) -> tuple[str, tzinfo | None]:
    return read(unescape(value).strip()) or ("", None)


@live(TIMEZONE_ID, "RFC 7809 §5.2", CALENDAR)
def _calendar_timezone_id(resource: Resource) -> str | None:
    row = resource.place.collection
    tzid, zone = ("", None) if row is None else _kept(row.props.get(TIMEZONE, ""))
    name = getattr(zone, "key", "")
    return escape(name) if name else None
