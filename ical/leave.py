"""Leave: VEVENTs that are pending until approved. RFC 5545 §3.8.1.11 (STATUS), §3.8.2.7 (TRANSP).

Pending and approved leave both keep new bookings away; neither touches an appointment that is there already.
"""

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

from ical.appointment import KIND, category_list
from ical.lines import Component, Line, escape
from ical.recurrence import make_override, master, overrides
from ical.times import instant, read_times, set_time, span, utc_text
from ical.timezones import ensure_vtimezones
from ical.vcalendar import clean, is_private, stamp, vcalendar

LeaveStatus = Literal["pending", "approved", "rejected"]

STATUS = "X-CLINICDAV-LEAVE-STATUS"
APPROVED_BY = "X-CLINICDAV-APPROVED-BY"
APPROVED_AT = "X-CLINICDAV-APPROVED-AT"

_PREFIX = re.compile(r"Leave(?: \(pending\)| rejected)?(?::\s*|\s*$)")


@dataclass(frozen=True)
class _Look:
    status_line: str
    transp: str
    category: str
    prefix: str
    busystatus: str


_LOOKS: dict[LeaveStatus, _Look] = {
    "pending": _Look("TENTATIVE", "OPAQUE", "Pending", "Leave (pending)", "TENTATIVE"),
    "approved": _Look("CONFIRMED", "OPAQUE", "Approved", "Leave", "OOF"),
    "rejected": _Look("CANCELLED", "TRANSPARENT", "Rejected", "Leave rejected", "FREE"),
}
_OWN_CATEGORIES = {"Leave", *(shown.category for shown in _LOOKS.values())}


def leave_event(
    uid: str,
    start: date | datetime,
    end: date | datetime,
    reason: str,
    zone: ZoneInfo,
    now: datetime,
    approved: bool = False,
    rrule: str = "",
) -> Component:
    """The calendar object of leave over [start, end): dates for whole days of the doctor's, or aware instants;
    with `rrule` again and again."""
    event = Component("VEVENT")
    event.add("UID", uid)
    for name in ("DTSTAMP", "CREATED", "LAST-MODIFIED"):
        event.add(name, utc_text(now))
    event.add("SEQUENCE", "0")
    _set_span(event, start, end, zone)
    if rrule:
        event.add("RRULE", rrule)
    event.add("SUMMARY", escape(clean(reason)))
    for name in ("CATEGORIES", "STATUS", "TRANSP"):
        event.add(name, "")
    event.add("CLASS", "PRIVATE")
    event.add("X-MICROSOFT-CDO-BUSYSTATUS", "")
    event.add(KIND, "leave")
    calendar = vcalendar(event)
    _show(calendar, "approved" if approved else "pending")
    if approved:
        event.add(APPROVED_AT, utc_text(now))
    ensure_vtimezones(calendar)
    return calendar


def read_status(component: Component) -> LeaveStatus:
    """What was decided. An event that we did not write is pending, or withdrawn when it is cancelled."""
    status = component.value(STATUS)
    if status in _LOOKS:
        return status
    return "rejected" if _status_line(component) == "CANCELLED" else "pending"


def reason(component: Component) -> str:
    """The title without what we put before it."""
    title = component.plain("SUMMARY").strip()
    return title[found.end() :] if (found := _PREFIX.match(title)) else title


def change(
    calendar: Component,
    start: date | datetime,
    end: date | datetime,
    rrule: str,
    title: str,
    zone: ZoneInfo,
    now: datetime,
) -> None:
    """Say other times, another repetition or another reason. What was said of single occurrences goes with them."""
    head = master(calendar) or calendar.components("VEVENT")[0]
    was = head.value("DTSTART"), head.value("DTEND"), head.value("RRULE") or ""
    head.remove("DURATION")
    _set_span(head, start, end, zone)
    head.remove("RRULE")
    if rrule:
        head.add("RRULE", rrule)
    if (head.value("DTSTART"), head.value("DTEND"), rrule) != was:
        head.remove("EXDATE", "RDATE")
        calendar.children = [child for child in calendar.children if not _is_override(child)]
    head.set("SUMMARY", escape(clean(title)))
    _show(calendar, read_status(head))
    stamp(head, now, sequence=True)
    ensure_vtimezones(calendar)


def reject_one(calendar: Component, recurrence_id: str, zone: ZoneInfo, now: datetime) -> None:
    """Turn down one occurrence. Raises NotFound."""
    override = make_override(calendar, recurrence_id, zone)
    _show_one(override, "rejected")
    stamp(override, now, sequence=True)


def takes_place(component: Component) -> bool:
    """Whether an occurrence of leave that is not rejected as a whole is leave still."""
    return not _is_override(component) or read_status(component) != "rejected"


def as_pending(calendar: Component) -> None:
    """Ask (again)."""
    for event in calendar.components("VEVENT"):
        event.remove(APPROVED_BY, APPROVED_AT)
    _show(calendar, "pending")


def approve(calendar: Component, by: str, now: datetime) -> None:
    _show(calendar, "approved")
    for event in calendar.components("VEVENT"):
        if by:
            event.set(APPROVED_BY, escape(clean(by)))
        event.set(APPROVED_AT, utc_text(now))
        stamp(event, now, sequence=True)


def reject(calendar: Component, by: str, now: datetime) -> None:
    """Turn it down, or withdraw it. Who did so stands in the audit trail, not in the event."""
    as_pending(calendar)
    _show(calendar, "rejected")
    for event in calendar.components("VEVENT"):
        stamp(event, now, sequence=True)


def normalise(
    calendar: Component, stored: Component | None, may_approve: bool, now: datetime, by: str = ""
) -> Component:
    """What is stored for leave that a calendar app sent.

    New leave is pending, as is approved leave that grows; whoever may approve does so with STATUS:CONFIRMED.
    STATUS:CANCELLED turns it down. What a client was not shown comes back from `stored`.
    """
    result = calendar.copy()
    before = None if stored is None else master(stored)
    for event in result.components("VEVENT"):
        event.children = [child for child in event.children if not is_private(child)]
        for line in [] if before is None else before.lines():
            if is_private(line):
                event.insert(Line(line.name, line.value, line.params, line.raw))
        event.set(KIND, "leave")
    wanted = _wanted(calendar, stored, may_approve)
    if before is not None and wanted == read_status(before):
        _show(result, wanted)
    elif wanted == "approved":
        approve(result, by, now)
    elif wanted == "rejected":
        reject(result, by, now)
    else:
        as_pending(result)
    for event in result.components("VEVENT"):
        # An app takes back one occurrence by its STATUS alone.
        if wanted != "rejected" and _is_cancelled_alone(event, calendar):
            _show_one(event, "rejected")
    return result


def _is_cancelled_alone(event: Component, put: Component) -> bool:
    told = event.first("RECURRENCE-ID")
    return told is not None and any(
        _status_line(each) == "CANCELLED" for each in put.components("VEVENT") if each.first("RECURRENCE-ID") == told
    )


def _wanted(put: Component, stored: Component | None, may_approve: bool) -> LeaveStatus:
    head = master(put) or put.components("VEVENT")[0]
    asked = _status_line(head)
    if asked == "CANCELLED":
        return "rejected"
    before = None if stored is None else master(stored)
    if stored is None or before is None:
        return "approved" if asked == "CONFIRMED" and may_approve else "pending"
    known = read_status(before)
    if asked == "CONFIRMED" and known != "approved":
        return "approved" if may_approve else "pending"
    if asked == "TENTATIVE" or (known == "approved" and not may_approve and _grows(put, stored)):
        return "pending"
    return known


def _status_line(component: Component) -> str:
    return (component.value("STATUS") or "").strip().upper()


def _grows(put: Component, stored: Component) -> bool:
    """Whether `put` covers anything that `stored` does not. A changed repetition may: it counts as growth."""
    old, new = master(stored), master(put)
    if old is None or new is None or _repetition(put) != _repetition(stored):
        return True
    # Only compared with each other, so the zone in which whole days are read does not matter.
    start, end, all_day = span(old, UTC, stored)
    put_start, put_end, put_all_day = span(new, UTC, put)
    if all_day != put_all_day or put_start < start or put_end > end:
        return True
    return not _exceptions(old, stored) <= _exceptions(new, put)


def _repetition(calendar: Component) -> list[tuple[str, ...]]:
    found = []
    for event in calendar.components("VEVENT"):
        rules = [line.value.upper() for name in ("RRULE", "RDATE") for line in event.lines(name)]
        if event.first("RECURRENCE-ID") is not None:
            if _status_line(event) == "CANCELLED":
                continue
            start, end, _ = span(event, UTC, calendar)
            rules += [event.value("RECURRENCE-ID") or "", utc_text(start), utc_text(end)]
        found.append(tuple(rules))
    return sorted(found)


def _exceptions(component: Component, calendar: Component) -> set[datetime]:
    off = (event for event in overrides(calendar) if _status_line(event) == "CANCELLED")
    lines = component.lines("EXDATE") + [line for event in off for line in event.lines("RECURRENCE-ID")]
    return {instant(value, UTC) for line in lines for value in read_times(line, UTC, calendar)}


def _set_span(event: Component, start: date | datetime, end: date | datetime, zone: ZoneInfo) -> None:
    for name, value in (("DTSTART", start), ("DTEND", end)):
        if isinstance(value, datetime):
            set_time(event, name, value, zone)
        else:
            event.set(name, f"{value:%Y%m%d}", (("VALUE", ("DATE",)),))


def _is_override(child: Line | Component) -> bool:
    return isinstance(child, Component) and child.first("RECURRENCE-ID") is not None


def _show(calendar: Component, status: LeaveStatus) -> None:
    """Make the whole look so; an occurrence that was turned down alone stays down unless the whole was down too."""
    head = master(calendar)
    alone = head is not None and read_status(head) != "rejected"
    for event in calendar.components("VEVENT"):
        if not (alone and status != "rejected" and _is_override(event) and event.value(STATUS) == "rejected"):
            _show_one(event, status)


def _show_one(event: Component, status: LeaveStatus) -> None:
    shown = _LOOKS[status]
    body = reason(event)
    event.set("SUMMARY", escape(f"{shown.prefix}: {body}" if body else shown.prefix))
    others = [category for category in category_list(event) if category and category not in _OWN_CATEGORIES]
    event.set("CATEGORIES", ",".join(escape(c) for c in ["Leave", shown.category, *others]))
    event.set("STATUS", shown.status_line)
    event.set("TRANSP", shown.transp)
    event.set("X-MICROSOFT-CDO-BUSYSTATUS", shown.busystatus)
    event.set(STATUS, status)
