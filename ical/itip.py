"""Messages between calendars: invitations to patients, and requests for free/busy time. RFC 5546, RFC 6047.

The calendar part of a mail to the patient (§3.2.2, §3.2.5) names the practice and the time. No reason, no kind of
visit, no speciality: mail is read over shoulders.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from ical.appointment import AppointmentFacts, add_place
from ical.errors import InvalidCalendarData, InvalidSchedulingMessage
from ical.lines import Component, escape
from ical.times import instant, parse_utc_text, read_time, set_time, utc_text
from ical.timezones import ensure_vtimezones
from ical.vcalendar import clean, mailto, parameter, vcalendar

Method = Literal["REQUEST", "CANCEL"]


def request(
    facts: AppointmentFacts,
    method: Method,
    organizer: str,
    now: datetime,
    comment: str = "",
    *,
    manage_url: str = "",
    recurrence_id: str = "",
    exdates: Iterable[datetime] = (),
) -> str:
    """The text/calendar of an invitation, an update or a cancellation, all known by the UID and facts.sequence.

    `organizer` is the practice's address that replies go to. With `recurrence_id` it is about that one occurrence,
    whose times `facts` then holds; without, a series is told whole, but for `exdates`.
    """
    calendar = vcalendar(
        _event(facts, method, organizer, now, comment, manage_url, recurrence_id, exdates), method=method
    )
    ensure_vtimezones(calendar)
    return calendar.text()


@dataclass(frozen=True)
class FreeBusyRequest:
    """Whose time is asked for, by whom, for [start, end). Addresses are as they were written."""

    uid: str
    organizer: str
    attendees: tuple[str, ...]
    start: datetime
    end: datetime


def read_free_busy_request(message: Component) -> FreeBusyRequest:
    """A VFREEBUSY of METHOD:REQUEST (RFC 5546 §3.3.2). Raises InvalidSchedulingMessage for any other message, and
    InvalidCalendarData for times that cannot be read."""
    asked = [part for part in message.components() if part.name != "VTIMEZONE" and not part.name.startswith("X-")]
    method = (message.value("METHOD") or "").strip().upper()
    if method != "REQUEST" or [part.name for part in asked] != ["VFREEBUSY"]:
        raise InvalidSchedulingMessage()
    component = asked[0]
    once = {name: component.lines(name) for name in ("UID", "ORGANIZER", "DTSTART", "DTEND")}
    attendees = component.lines("ATTENDEE")
    if any(len(lines) != 1 for lines in once.values()) or not attendees or component.lines("FREEBUSY"):
        raise InvalidSchedulingMessage()
    start, end = (instant(read_time(once[name][0], UTC, message), UTC) for name in ("DTSTART", "DTEND"))
    if end <= start:
        raise InvalidCalendarData("A request for free/busy time ends after it starts.")
    addresses = {line.value.strip().casefold(): line.value.strip() for line in attendees}
    return FreeBusyRequest(
        component.plain("UID"), once["ORGANIZER"][0].value.strip(), tuple(addresses.values()), start, end
    )


def summary(clinic_name: str) -> str:
    return f"Appointment at {clinic_name}" if clinic_name else "Appointment"


def _event(
    facts: AppointmentFacts,
    method: Method,
    organizer: str,
    now: datetime,
    comment: str,
    manage_url: str,
    recurrence_id: str,
    exdates: Iterable[datetime],
) -> Component:
    cancelled = method == "CANCEL"
    event = Component("VEVENT")
    event.add("UID", facts.uid)
    if recurrence_id:
        set_time(event, "RECURRENCE-ID", parse_utc_text(recurrence_id), facts.zone)
    event.add("DTSTAMP", utc_text(now))
    event.add("ORGANIZER", mailto(organizer), (("CN", (parameter(facts.clinic_name),)),) if facts.clinic_name else ())
    event.add("SEQUENCE", str(facts.sequence))
    set_time(event, "DTSTART", facts.start, facts.zone)
    set_time(event, "DTEND", facts.end, facts.zone)
    if facts.rrule and not recurrence_id:
        event.add("RRULE", facts.rrule)
        for moment in exdates:
            single = Component("VEVENT")
            set_time(single, "EXDATE", moment, facts.zone)
            event.children += single.children
    title = escape(clean(summary(facts.clinic_name)))
    event.add("SUMMARY", f"Cancelled: {title}" if cancelled else title)
    if manage_url and not cancelled:
        event.add("DESCRIPTION", escape(f"Manage your appointment: {manage_url}"))
    if comment:
        event.add("COMMENT", escape(clean(comment)))
    if not cancelled:
        add_place(event, facts)
    event.add("STATUS", "CANCELLED" if cancelled else "CONFIRMED")
    event.add("TRANSP", "TRANSPARENT" if cancelled else "OPAQUE")
    event.add("CLASS", "PRIVATE")
    _add_patient(event, facts, cancelled)
    if not cancelled:
        alarm = Component("VALARM")
        alarm.add("ACTION", "DISPLAY")
        alarm.add("TRIGGER", "-PT2H")
        alarm.add("DESCRIPTION", title)
        event.children.append(alarm)
    return event


def _add_patient(event: Component, facts: AppointmentFacts, cancelled: bool) -> None:
    if not facts.patient_email:
        return
    name = ("CN", (parameter(facts.patient_name),))
    role = ("ROLE", ("REQ-PARTICIPANT",))
    if cancelled:
        event.add("ATTENDEE", mailto(facts.patient_email), (name, role))
        return
    asked = (("PARTSTAT", ("NEEDS-ACTION",)), ("RSVP", ("TRUE",)))
    event.add("ATTENDEE", mailto(facts.patient_email), (name, ("CUTYPE", ("INDIVIDUAL",)), role, *asked))
