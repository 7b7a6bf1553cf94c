"""Who and what takes part in an appointment beside its doctor and its patient, and the copy that each of them has.

Further doctors, rooms, machines and assistants stand in the stored text by username, and as ATTENDEE for those who are
shown people. Each has a read-only copy in a calendar of its own. RFC 5545 §3.2.3 (CUTYPE), §3.2.16 (ROLE).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from ical.appointment import KIND, RESOURCES, body_of, generated_text, patient_line
from ical.lines import Component, Line, escape
from ical.vcalendar import clean, is_private, parameter, vcalendar

# The CUTYPE of each kind.
USER_TYPES = {"doctor": "INDIVIDUAL", "room": "ROOM", "machine": "RESOURCE", "assistant": "INDIVIDUAL"}

COPY = "copy"
_COPY_OF = "X-CLINICDAV-COPY-OF"
_SEPARATOR = " · "
# What a copy says as its original does.
_KEPT = frozenset(
    ("DTSTAMP", "CREATED", "LAST-MODIFIED", "SEQUENCE", "RECURRENCE-ID", "DTSTART", "DTEND", "DURATION", "RRULE")
    + ("RDATE", "EXDATE", "CATEGORIES", "STATUS", "TRANSP", "CLASS", "PRIORITY", "COLOR")
)
_SHOWN_TO_DOCTORS = frozenset({"LOCATION", "CONFERENCE"})


@dataclass(frozen=True)
class Participant:
    """`address` is a calendar user address: a mail address' URI, or that of a principal."""

    username: str
    # doctor, room, machine or assistant
    kind: str
    name: str
    address: str


def set_participants(calendar: Component, participants: Sequence[Participant]) -> None:
    """Name these, and nobody else, in every event of an appointment."""
    for event in calendar.components("VEVENT"):
        patient = patient_line(event)
        event.children = [
            child
            for child in event.children
            if not (isinstance(child, Line) and child.name == "ATTENDEE" and _is_participant(child, patient))
        ]
        for each in participants:
            event.insert(_attendee(each))
        if participants:
            event.set(RESOURCES, " ".join(each.username for each in participants))
        else:
            event.remove(RESOURCES)


def copy(calendar: Component, uid: str, of: UUID, doctor: str, *, for_doctor: bool) -> Component:
    """The calendar object that a participant finds in its own calendar, made of the appointment's stored text.

    Rooms, machines and assistants are told the time, the doctor and the type; a further doctor also who comes and why.
    Nobody's notes, address or reminders.
    """
    events = [_event(event, uid, of, doctor, for_doctor) for event in calendar.components("VEVENT")]
    zones = [zone.copy() for zone in calendar.components("VTIMEZONE")]
    return vcalendar(*zones, *events)


def is_copy(component: Component) -> bool:
    return component.value(KIND) == COPY


def _event(event: Component, uid: str, of: UUID, doctor: str, for_doctor: bool) -> Component:
    made = Component("VEVENT")
    made.add("UID", uid)
    kept = _KEPT | _SHOWN_TO_DOCTORS if for_doctor else _KEPT
    made.children += [
        Line(child.name, child.value, child.params, child.raw)
        for child in event.lines()
        if child.name in kept and not is_private(child)
    ]
    title, body = event.plain("SUMMARY"), body_of(event)
    prefix = title[: len(title) - len(body)]
    if for_doctor:
        made.add("SUMMARY", event.value("SUMMARY") or "")
        made.add("DESCRIPTION", escape(clean(f"With {doctor}\n{generated_text(event)}".strip())))
    else:
        made.add("SUMMARY", escape(clean(f"{prefix}{doctor}{_SEPARATOR}{body.rpartition(_SEPARATOR)[2]}")))
    made.add(KIND, COPY)
    made.add(_COPY_OF, of.urn)
    return made


def _is_participant(line: Line, patient: Line | None) -> bool:
    return line is not patient and line.param("ROLE") != "CHAIR"


def _attendee(each: Participant) -> Line:
    role = "REQ-PARTICIPANT" if each.kind == "doctor" else "NON-PARTICIPANT"
    params = (
        ("CN", (parameter(each.name),)),
        ("CUTYPE", (USER_TYPES[each.kind],)),
        ("ROLE", (role,)),
        ("PARTSTAT", ("ACCEPTED",)),
        ("SCHEDULE-AGENT", ("SERVER",)),
    )
    return Line("ATTENDEE", each.address, params)
