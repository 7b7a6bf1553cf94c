"""The calendar part of a mail to the patient: REQUEST and CANCEL. RFC 5546 §3.2.2, §3.2.5, RFC 6047.

It names the practice and the time. No reason, no kind of visit, no speciality: mail is read over shoulders.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from ical.appointment import AppointmentFacts, add_place
from ical.lines import Component, escape
from ical.times import parse_utc_text, set_time, utc_text
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
