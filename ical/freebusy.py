"""Free/busy: what an entry takes of its owner's time, and the VFREEBUSY that says so. RFC 4791 §7.10, RFC 5545 §3.6.4.

Nothing but times leaves this room: no titles, no names of patients.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ical.lines import Component, fold
from ical.times import utc_text

BusyType = Literal["free", "busy", "busy-tentative", "busy-unavailable"]

PRODID = "-//ClinicDAV//ClinicDAV 0.1//EN"

# Where periods of several types overlap, the last of these is said.
_STRENGTH: dict[BusyType, int] = {"free": 0, "busy-tentative": 1, "busy": 2, "busy-unavailable": 3}
_OUTLOOK: dict[str, BusyType] = {"FREE": "free", "TENTATIVE": "busy-tentative", "OOF": "busy-unavailable"}


@dataclass(frozen=True, slots=True)
class Period:
    """A half-open stretch of time in UTC."""

    start: datetime
    end: datetime
    busy: BusyType = "busy"


def busy_type(component: Component) -> BusyType:
    """What the entry takes. Only events take time, and neither cancelled nor transparent ones do.

    Outlook's own property counts where STATUS cannot say it: away is not merely busy.
    """
    if component.name != "VEVENT" or _word(component, "STATUS") == "CANCELLED":
        return "free"
    if _word(component, "TRANSP") == "TRANSPARENT":
        return "free"
    told = _OUTLOOK.get(_word(component, "X-MICROSOFT-CDO-BUSYSTATUS"))
    if told is not None:
        return told
    return "busy-tentative" if _word(component, "STATUS") == "TENTATIVE" else "busy"


def merge(periods: Iterable[Period]) -> list[Period]:
    """The same time as disjoint periods in order, the stronger type winning where they overlap; free ones vanish."""
    spans: dict[BusyType, list[tuple[datetime, datetime]]] = {}
    for period in periods:
        if period.busy != "free" and period.end > period.start:
            spans.setdefault(period.busy, []).append((period.start, period.end))
    edges: list[tuple[datetime, int, int]] = []
    for busy, of_type in spans.items():
        for start, end in _union(of_type):
            edges += [(start, 1, _STRENGTH[busy]), (end, -1, _STRENGTH[busy])]
    edges.sort(key=lambda edge: edge[0])
    types = sorted(_STRENGTH, key=lambda busy: _STRENGTH[busy])
    open_periods = [0] * len(types)
    merged: list[Period] = []
    since: datetime | None = None
    current = index = 0
    while index < len(edges):
        at = edges[index][0]
        while index < len(edges) and edges[index][0] == at:
            open_periods[edges[index][2]] += edges[index][1]
            index += 1
        strongest = max((s for s in range(len(types)) if open_periods[s]), default=0)
        if strongest == current:
            continue
        if current and since is not None:
            merged.append(Period(since, at, types[current]))
        since, current = at, strongest
    return merged


def _union(spans: list[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """The same time as disjoint spans in order."""
    spans.sort()
    united = spans[:1]
    for start, end in spans[1:]:
        since, until = united[-1]
        if start > until:
            united.append((start, end))
        elif end > until:
            united[-1] = since, end
    return united


def without(periods: Iterable[Period], others: Iterable[Period]) -> list[Period]:
    """What of `periods` lies outside the time of `others`, whatever the type of these."""
    taken = merge(Period(other.start, other.end) for other in others if other.busy != "free")
    left: list[Period] = []
    for period in merge(periods):
        since = period.start
        for other in taken:
            if other.end <= since or other.start >= period.end:
                continue
            if since < other.start:
                left.append(Period(since, other.start, period.busy))
            since = other.end
        if since < period.end:
            left.append(Period(since, period.end, period.busy))
    return left


def vfreebusy(
    periods: Iterable[Period],
    start: datetime,
    end: datetime,
    now: datetime,
    *,
    uid: str = "",
    organizer: str = "",
    attendee: str = "",
    method: str = "",
) -> str:
    """A VCALENDAR with one VFREEBUSY for [start, end). With `method` REPLY it answers a request (RFC 6638 §5)."""
    lines = ["BEGIN:VCALENDAR\r\n", "VERSION:2.0\r\n", f"PRODID:{PRODID}\r\n"]
    if method:
        lines.append(f"METHOD:{method}\r\n")
    lines.append("BEGIN:VFREEBUSY\r\n")
    lines += [fold(f"{name}:{value}") for name, value in (("UID", uid), ("ORGANIZER", organizer)) if value]
    if attendee:
        lines.append(fold(f"ATTENDEE:{attendee}"))
    lines += [f"DTSTAMP:{utc_text(now)}\r\n", f"DTSTART:{utc_text(start)}\r\n", f"DTEND:{utc_text(end)}\r\n"]
    for period in merge(periods):
        first, last = max(period.start, start), min(period.end, end)
        if first < last:
            lines.append(f"FREEBUSY;FBTYPE={period.busy.upper()}:{utc_text(first)}/{utc_text(last)}\r\n")
    lines += ["END:VFREEBUSY\r\n", "END:VCALENDAR\r\n"]
    return "".join(lines)


def _word(component: Component, name: str) -> str:
    return (component.value(name) or "").strip().upper()
