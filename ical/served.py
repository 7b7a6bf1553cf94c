"""What calendar apps are sent of a stored object: without our own lines, and people only where they are wanted.

Apps do things by themselves when they find ORGANIZER and ATTENDEE: they mail the patient, ask for answers, or lock
the event because the organiser is not the account. RFC 5545 §3.8.4, RFC 6638 §3.1.
"""

import re

from ical.appointment import Title, address_of, body_as, body_of, is_appointment, patient_line, split_at_marker
from ical.lines import Component, Line, escape, parse, unescape
from ical.reminders import is_patients
from ical.vcalendar import is_private, mailto, parameter

_MARKER_WORDS = "Private notes (never sent to the patient)"
_BEGIN_EVENT = re.compile(r"^BEGIN:VEVENT[ \t]*\r?\n", re.MULTILINE | re.IGNORECASE)
_ATTENDEE = re.compile(r"^ATTENDEE[;:].*\n(?:[ \t].*\n)*", re.MULTILINE)


def served(calendar: Component, title: Title = "initials") -> str:
    """The text that a calendar app is sent.

    Left out: our own lines, the patient's reminders, and the people of an appointment.
    """
    parts: list[str] = []
    _serve(calendar, title, parts)
    return "".join(parts)


def with_people(served_text: str, stored_text: str, organizer: Line) -> str:
    """What was served, with organizer, patient and other participants in each event whose patient has an address (the profile `full`).

    On the texts, without reading them whole: an app fetches thousands of them.
    """
    people = (_people_shown(event, organizer) for event in _BEGIN_EVENT.split(stored_text)[1:])
    return _BEGIN_EVENT.sub(lambda begin: begin[0] + next(people, ""), served_text)


def organizer_line(name: str, email: str) -> Line:
    """The doctor as ORGANIZER: an app takes the event for its own only when the address is the account's."""
    return Line("ORGANIZER", mailto(email), (("CN", (parameter(name),)),) if name else ())


def without_notes(text: str) -> str:
    """What was served, for a reader who may not see the doctor's private notes. Without our marker nothing changes."""
    if _MARKER_WORDS not in text.replace("\r\n ", ""):
        return text
    calendar = parse(text)
    for event in calendar.components("VEVENT"):
        above, notes = split_at_marker(event.plain("DESCRIPTION"))
        if notes is not None:
            event.set("DESCRIPTION", escape(above.rstrip()))
    return calendar.text()


def _people_shown(event: str, organizer: Line) -> str:
    """The lines of organizer, patient and other participants; `event` is the stored text behind its BEGIN."""
    own = event.partition("\nBEGIN:")[0]
    attendees = parse("BEGIN:VEVENT\r\n" + "".join(found[0] for found in _ATTENDEE.finditer(own)) + "END:VEVENT\r\n")
    patient = patient_line(attendees)
    if patient is None or not address_of(patient):
        return ""
    return organizer.text() + "".join(line.text() for line in attendees.lines() if line.param("ROLE") != "CHAIR")


def _serve(component: Component, title: Title, parts: list[str]) -> None:
    ours = is_appointment(component)
    parts.append(component.begin or f"BEGIN:{component.name}\r\n")
    for child in component.children:
        if isinstance(child, Component):
            if not is_patients(child):
                _serve(child, title, parts)
        elif is_private(child) or (ours and child.name in ("ORGANIZER", "ATTENDEE")):
            continue
        elif ours and child.name == "SUMMARY" and title != "initials":
            prefix = unescape(child.value)[: -len(body_of(component)) or None]
            parts.append(Line("SUMMARY", escape(prefix + body_as(component, title))).text())
        else:
            parts.append(child.text())
    parts.append(component.end or f"END:{component.name}\r\n")
