"""The frame of every calendar object that we write, and what every component in it carries. RFC 5545 §3.4, §3.8.7."""

import re
from datetime import datetime
from urllib.parse import quote

from ical.lines import Component, Line
from ical.times import utc_text

PRODID = "-//ClinicDAV//ClinicDAV 0.1//EN"
PRIVATE = "X-CLINICDAV-"

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


def vcalendar(*components: Component, method: str | None = None) -> Component:
    calendar = Component("VCALENDAR")
    calendar.add("VERSION", "2.0")
    calendar.add("PRODID", PRODID)
    calendar.add("CALSCALE", "GREGORIAN")
    if method is not None:
        calendar.add("METHOD", method)
    calendar.children.extend(components)
    return calendar


def stamp(component: Component, now: datetime, *, sequence: bool = False) -> None:
    """Note that we changed the component. `sequence`: in a way that others who hold a copy must learn of."""
    component.set("DTSTAMP", utc_text(now))
    component.set("LAST-MODIFIED", utc_text(now))
    if sequence:
        component.set("SEQUENCE", str(sequence_of(component) + 1))


def sequence_of(component: Component) -> int:
    value = (component.value("SEQUENCE") or "0").strip()
    return int(value) if value.isdigit() else 0


def clean(text: str) -> str:
    """Text that a calendar line can carry: no control characters, LF line ends."""
    return _CONTROL.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def parameter(text: str) -> str:
    """Text as a parameter's value, where quotes and line breaks cannot be written (RFC 5545 §3.2)."""
    return " ".join(clean(text).replace('"', "'").split())


def mailto(address: str) -> str:
    return "mailto:" + quote(address.strip(), safe="@+!$&'*=~.-_")


def is_private(child: Line | Component) -> bool:
    """Whether a line is the server's alone: never served, ignored when a client sends it."""
    return isinstance(child, Line) and child.name.startswith(PRIVATE)


def strip_private(calendar: Component) -> None:
    """Take every X-CLINICDAV- line out of what a client sent."""
    for component in calendar.walk():
        component.children = [child for child in component.children if not is_private(child)]
