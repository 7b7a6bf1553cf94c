"""Feeds to which Google, Outlook and Apple subscribe: what is shown, what is left out. RFC 5545 §3.7.2, RFC 7986 §5.

No VALARM (a reader could not dismiss it), nothing that one strict reader would refuse: a single bad line costs the
whole feed. The levels: "busy" shows nothing but when; "initials" and "patient" also the title and link they are given.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from ical.lines import Component, escape
from ical.times import set_time, utc_text
from ical.timezones import ensure_vtimezones, zone
from ical.vcalendar import clean, vcalendar

# Google takes about a megabyte.
MAX_BYTES = 900_000


@dataclass(frozen=True)
class FeedEvent:
    """One time to show. `status` is the STATUS line; `sequence` grows with every change, or Google keeps the old."""

    uid: str
    start: datetime
    end: datetime
    summary: str
    status: str
    sequence: int
    changed: datetime
    location: str = ""
    url: str = ""


def feed(events: Iterable[FeedEvent], name: str, now: datetime, zone_key: str, level: str) -> str:
    """The feed's text. What would make it too large for Google is left out, the latest events first."""
    calendar = vcalendar(method="PUBLISH")
    calendar.add("REFRESH-INTERVAL", "PT1H", (("VALUE", ("DURATION",)),))
    calendar.add("X-PUBLISHED-TTL", "PT1H")
    calendar.add("NAME", escape(clean(name)))
    calendar.add("X-WR-CALNAME", escape(clean(name)))
    calendar.add("X-WR-TIMEZONE", zone(zone_key).key)
    calendar.add("COLOR", "steelblue")
    size = 0
    for event in sorted(events, key=lambda e: (e.start, e.uid)):
        component = _busy(event, now) if level == "busy" else _open(event, now, zone_key)
        size += len(component.text().encode())
        if size > MAX_BYTES:
            break
        calendar.children.append(component)
    ensure_vtimezones(calendar)
    return calendar.text()


def _busy(event: FeedEvent, now: datetime) -> Component:
    component = _begin(event, now)
    component.add("DTSTART", utc_text(event.start))
    component.add("DTEND", utc_text(event.end))
    component.add("SUMMARY", "Busy")
    return _finish(component, event)


def _open(event: FeedEvent, now: datetime, zone_key: str) -> Component:
    component = _begin(event, now)
    set_time(component, "DTSTART", event.start, zone(zone_key))
    set_time(component, "DTEND", event.end, zone(zone_key))
    component.add("SUMMARY", escape(clean(event.summary)))
    if event.location:
        component.add("LOCATION", escape(clean(event.location)))
    if event.url:
        component.add("URL", clean(event.url))
    return _finish(component, event)


def _begin(event: FeedEvent, now: datetime) -> Component:
    component = Component("VEVENT")
    component.add("UID", event.uid)
    component.add("DTSTAMP", utc_text(now))
    component.add("LAST-MODIFIED", utc_text(event.changed))
    component.add("SEQUENCE", str(event.sequence))
    return component


def _finish(component: Component, event: FeedEvent) -> Component:
    component.add("CLASS", "PRIVATE")
    component.add("TRANSP", "TRANSPARENT" if event.status == "CANCELLED" else "OPAQUE")
    component.add("STATUS", event.status)
    return component
