"""An appointment as a VEVENT, in the form that is stored. What calendar apps are sent of it is in ical.served.

RFC 5545 §3.6.1, RFC 7986 §5.11 (CONFERENCE). The X-CLINICDAV- lines are the truth about status, type and texts;
STATUS, CATEGORIES, SUMMARY and DESCRIPTION are how they show, and are written anew from them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from urllib.parse import unquote
from uuid import UUID
from zoneinfo import ZoneInfo

from ical.lines import Component, Line, escape, split_list
from ical.reminders import Plan, alarms, is_patients, plan_of
from ical.status import CATEGORIES, PREFIXES, STATUSES, look
from ical.times import instant, parse_utc_text, read_time, set_time, span, utc_text
from ical.timezones import ensure_vtimezones
from ical.vcalendar import clean, mailto, parameter, sequence_of, stamp, vcalendar

Title = Literal["initials", "full", "code"]

TYPES: dict[str, str] = {
    "consultation": "Consultation",
    "follow_up": "Follow-up",
    "xray_review": "X-ray review",
    "results_discussion": "Results discussion",
    "virtual": "Virtual",
    "emergency": "Emergency",
}
MARKER = "--- Private notes (never sent to the patient) ---"

KIND = "X-CLINICDAV-KIND"
STATUS = "X-CLINICDAV-STATUS"
TYPE = "X-CLINICDAV-TYPE"
PATIENT_ID = "X-CLINICDAV-PATIENT-ID"
REASON = "X-CLINICDAV-REASON"
PATIENT_NOTES = "X-CLINICDAV-PATIENT-NOTES"
DOCTOR_NOTES = "X-CLINICDAV-DOCTOR-NOTES"
PREVIOUS_START = "X-CLINICDAV-PREVIOUS-START"
CANCEL_DUE = "X-CLINICDAV-CANCEL-DUE"
RESOURCES = "X-CLINICDAV-RESOURCES"

_SEPARATOR = " · "
# Clients re-wrap the dashes around it; the words they leave alone.
_MARKER_LINE = re.compile(r"^.*Private notes \(never sent to the patient\).*$", re.MULTILINE)
# What would read as a command or as a status if a patient's name held it.
_COMMANDING = str.maketrans("", "", "#✓✗▶:")


@dataclass(frozen=True)
class AppointmentFacts:
    """Everything that the stored form of an appointment is made of. Times are aware UTC."""

    uid: str
    start: datetime
    end: datetime
    zone: ZoneInfo
    patient_id: UUID
    patient_name: str
    doctor_name: str
    type_code: str
    type_name: str
    patient_email: str = ""
    doctor_email: str = ""
    status: str = "scheduled"
    reason: str = ""
    patient_notes: str = ""
    doctor_notes: str = ""
    video_link: str = ""
    location: str = ""
    url: str = ""
    parent_uid: str = ""
    # Of the waitlist entry that it comes of
    entry_uid: str = ""
    rrule: str = ""
    previous_start: datetime | None = None
    sequence: int = 0
    created: datetime | None = None
    clinic_name: str = ""
    colour: str = "steelblue"
    reminders: Plan = field(default=())


@dataclass(frozen=True)
class Stored:
    """What a stored VEVENT says. `cancel_due`: a calendar app cancelled it, and until then may take that back."""

    uid: str
    recurrence_id: str
    start: datetime
    end: datetime
    status: str
    type_code: str
    type_name: str
    patient_id: UUID | None
    patient_name: str
    patient_email: str
    doctor_name: str
    doctor_email: str
    reason: str
    patient_notes: str
    doctor_notes: str
    video_link: str
    location: str
    url: str
    parent_uid: str
    rrule: str
    previous_start: datetime | None
    # Usernames of those who take part beside the doctor
    resources: tuple[str, ...]
    cancel_due: datetime | None
    sequence: int
    reminders: Plan


def render(facts: AppointmentFacts, now: datetime) -> Component:
    """The calendar object that is stored for a new appointment."""
    event = Component("VEVENT")
    event.add("UID", facts.uid)
    event.add("DTSTAMP", utc_text(now))
    event.add("CREATED", utc_text(facts.created or now))
    event.add("LAST-MODIFIED", utc_text(now))
    event.add("SEQUENCE", str(facts.sequence))
    set_time(event, "DTSTART", facts.start, facts.zone)
    set_time(event, "DTEND", facts.end, facts.zone)
    if facts.rrule:
        event.add("RRULE", facts.rrule)
    event.add("SUMMARY", escape(clean(title_body(facts.patient_name, facts.type_name))))
    event.add("DESCRIPTION", "")
    add_place(event, facts)
    if facts.url:
        event.add("URL", facts.url)
    if facts.parent_uid:
        event.add("RELATED-TO", facts.parent_uid, (("RELTYPE", ("PARENT",)),))
    if facts.entry_uid:
        event.add("RELATED-TO", facts.entry_uid, (("RELTYPE", ("SIBLING",)),))
    event.add("CATEGORIES", escape(clean(facts.type_name)))
    event.add("STATUS", "TENTATIVE")
    event.add("TRANSP", "OPAQUE")
    event.add("CLASS", "PRIVATE")
    event.add("PRIORITY", "0")
    event.add("COLOR", facts.colour)
    for line in _people(facts):
        event.insert(line)
    event.add(KIND, "appointment")
    event.add(STATUS, facts.status)
    event.add(TYPE, facts.type_code)
    event.add(PATIENT_ID, facts.patient_id.urn)
    for name, text in (
        (REASON, facts.reason),
        (PATIENT_NOTES, facts.patient_notes),
        (DOCTOR_NOTES, facts.doctor_notes),
    ):
        if text:
            event.add(name, escape(clean(text)))
    if facts.previous_start is not None:
        event.add(PREVIOUS_START, utc_text(facts.previous_start))
    _show(event, facts.status)
    _describe(event)
    event.children.extend(alarms(facts.reminders, facts.uid, facts.doctor_name, facts.patient_email))
    calendar = vcalendar(event)
    ensure_vtimezones(calendar)
    return calendar


def add_place(event: Component, facts: AppointmentFacts) -> None:
    """Where it is. A video visit's link stands as LOCATION too, since many apps ignore CONFERENCE."""
    if facts.video_link or facts.location:
        event.add("LOCATION", escape(clean(facts.video_link or facts.location)))
    if facts.video_link:
        conference = (("VALUE", ("URI",)), ("FEATURE", ("AUDIO", "VIDEO")), ("LABEL", ("Join video visit",)))
        event.add("CONFERENCE", clean(facts.video_link), conference)


def read(component: Component, zone: ZoneInfo, calendar: Component | None = None) -> Stored:
    """The facts of a stored VEVENT: of a single appointment, a series' master or one override."""
    start, end, _ = span(component, zone, calendar)
    recurrence = component.first("RECURRENCE-ID")
    organizer = component.first("ORGANIZER")
    attendee = patient_line(component)
    conference = component.first("CONFERENCE")
    parent = component.first("RELATED-TO")
    categories = category_list(component)
    code = component.value(TYPE) or ""
    previous = component.value(PREVIOUS_START)
    return Stored(
        uid=component.value("UID") or "",
        recurrence_id="" if recurrence is None else utc_text(instant(read_time(recurrence, zone, calendar), zone)),
        start=start,
        end=end,
        status=status_of(component),
        type_code=code,
        type_name=categories[0] if categories else TYPES.get(code, code),
        patient_id=_uuid(component.value(PATIENT_ID) or ""),
        patient_name="" if attendee is None else attendee.param("CN") or "",
        patient_email=address_of(attendee),
        doctor_name="" if organizer is None else organizer.param("CN") or "",
        doctor_email=address_of(organizer),
        reason=component.plain(REASON),
        patient_notes=component.plain(PATIENT_NOTES),
        doctor_notes=component.plain(DOCTOR_NOTES),
        video_link="" if conference is None else conference.value,
        location=component.plain("LOCATION"),
        url=component.value("URL") or "",
        parent_uid=parent.value if parent is not None and parent.param("RELTYPE") == "PARENT" else "",
        rrule=component.value("RRULE") or "",
        previous_start=parse_utc_text(previous) if previous else None,
        resources=tuple((component.value(RESOURCES) or "").split()),
        cancel_due=pending_cancel(component),
        sequence=sequence_of(component),
        reminders=plan_of(component),
    )


def is_appointment(component: Component) -> bool:
    return component.value(KIND) == "appointment"


def status_of(component: Component) -> str:
    """Our status of a stored VEVENT, whatever a pending cancellation makes it look like."""
    status = component.value(STATUS) or ""
    return status if status in STATUSES else "scheduled"


# Changing a stored VEVENT


def set_status(component: Component, status: str, now: datetime, *, sequence: bool = False) -> None:
    """Give the VEVENT this status and its look; a pending cancellation ends."""
    component.set(STATUS, status)
    component.remove(CANCEL_DUE)
    _show(component, status)
    stamp(component, now, sequence=sequence)


def set_times(component: Component, start: datetime, end: datetime, zone: ZoneInfo, now: datetime) -> None:
    """Move the VEVENT. The status is the caller's."""
    old = component.first("DTSTART")
    before = None if old is None else instant(read_time(old, zone), zone)
    set_time(component, "DTSTART", start, zone)
    component.remove("DURATION")
    set_time(component, "DTEND", end, zone)
    if before is not None and before != start:
        component.set(PREVIOUS_START, utc_text(before))
    stamp(component, now, sequence=True)


def set_notes(component: Component, doctor_notes: str, now: datetime) -> None:
    """Replace the doctor's private notes."""
    put_notes(component, doctor_notes)
    stamp(component, now)


def put_notes(component: Component, doctor_notes: str) -> None:
    """`set_notes` for a caller who stamps the VEVENT itself."""
    notes = clean(doctor_notes).strip()
    if notes:
        component.set(DOCTOR_NOTES, escape(notes))
    else:
        component.remove(DOCTOR_NOTES)
    _describe(component)


def set_type(component: Component, code: str, label: str) -> None:
    """Make it another kind of appointment."""
    old = category_list(component)
    body = body_of(component)
    name, separator, _ = body.rpartition(_SEPARATOR)
    component.set(TYPE, code)
    component.set("SUMMARY", escape(name + separator + clean(label)))
    component.set("CATEGORIES", ",".join(escape(c) for c in [clean(label), *old[1:]]))
    _show(component, _shown_status(component))


def set_labels(component: Component, labels: Iterable[str]) -> None:
    """Replace the doctor's own CATEGORIES, those beside the type and the status."""
    component.set("CATEGORIES", ",".join(escape(c) for c in [*category_list(component)[:1], *labels]))
    _show(component, _shown_status(component))


def set_doctor(component: Component, name: str, email: str) -> None:
    """Hand the VEVENT to another doctor: ORGANIZER and the ATTENDEE who chairs."""
    chair = [line for line in component.lines("ATTENDEE") if line.param("ROLE") == "CHAIR"]
    for line in component.lines("ORGANIZER") + chair:
        line.params = tuple((key, (parameter(name),) if key == "CN" else values) for key, values in line.params)
        line.value, line.raw = mailto(email), ""


def set_patient(component: Component, name: str, email: str, now: datetime) -> None:
    """The patient has another name or address: ATTENDEE, the title and the patient's reminders say so."""
    patient = patient_line(component)
    if patient is None:
        return
    address = mailto(email) if email else component.value(PATIENT_ID) or ""
    params = tuple((key, (parameter(name),) if key == "CN" else values) for key, values in patient.params)
    if (address, params) == (patient.value, patient.params):
        return
    patient.value, patient.params, patient.raw = address, params, ""
    type_name = body_of(component).rpartition(_SEPARATOR)[2]
    component.set("SUMMARY", escape(clean(title_body(name, type_name))))
    _show(component, _shown_status(component))
    for alarm in component.components("VALARM"):
        if is_patients(alarm) and email and alarm.first("ATTENDEE") is not None:
            alarm.set("ATTENDEE", mailto(email))
    stamp(component, now)


def set_pending_cancel(component: Component, due: datetime, now: datetime) -> None:
    """Show the VEVENT as cancelled by the doctor's app, which may take it back until `due`. The status stands."""
    component.set(CANCEL_DUE, utc_text(due))
    _show(component, "cancelled_doctor")
    stamp(component, now)


def clear_pending_cancel(component: Component, now: datetime) -> None:
    """The cancellation was taken back: as if nothing had happened."""
    set_status(component, status_of(component), now)


def pending_cancel(component: Component) -> datetime | None:
    """When the cancellation by a calendar app becomes final; None when there is none."""
    value = component.value(CANCEL_DUE)
    return parse_utc_text(value) if value else None


# How it shows


def titles(component: Component) -> tuple[str, ...]:
    """The bodies under which the VEVENT may have been served: as initials, in full, as a code."""
    return tuple(body_as(component, title) for title in ("initials", "full", "code"))


def body_as(component: Component, title: Title) -> str:
    """The title's body in one of those forms."""
    body = body_of(component)
    type_name = body.rpartition(_SEPARATOR)[2]
    if title == "code":
        return (component.value("UID") or "").removeprefix("appt-")[:8] + _SEPARATOR + type_name
    attendee = patient_line(component)
    name = "" if attendee is None else attendee.param("CN") or ""
    return f"{name}{_SEPARATOR}{type_name}" if title == "full" and name else body


def title_body(name: str, type_name: str) -> str:
    """`Maria H. · Virtual`."""
    who = initials(name.translate(_COMMANDING))
    return f"{who}{_SEPARATOR}{type_name}" if who else type_name


def initials(name: str) -> str:
    """First name and initial of the last: enough for the doctor, little for a lock screen."""
    last, comma, first = name.partition(",")
    words = f"{first} {last}".split() if comma else name.split()
    while len(words) > 1 and words[0].endswith("."):
        words = words[1:]
    if len(words) < 2:
        return "".join(words)
    return f"{words[0]} {words[-1][0].upper()}."


def body_of(component: Component) -> str:
    """The stored title without the prefix of its status."""
    return without_prefix(component.plain("SUMMARY"))


def without_prefix(title: str) -> str:
    for prefix in PREFIXES:
        if title.startswith(prefix):
            return title[len(prefix) :]
    return title


def generated_text(component: Component) -> str:
    """The part of DESCRIPTION that we write, above the marker."""
    conference = component.value("CONFERENCE")
    parts = (
        ("Reason", component.plain(REASON)),
        ("Patient notes", component.plain(PATIENT_NOTES)),
        ("Video", conference or ""),
    )
    text = "\n".join(f"{label}: {text}" for label, text in parts if text)
    # A patient who writes the marker must not move the border.
    return _MARKER_LINE.sub("", text)


def split_at_marker(text: str) -> tuple[str, str | None]:
    """(text above the marker, private notes below it); None for notes when there is no marker."""
    found = _MARKER_LINE.search(text)
    if found is None:
        return text, None
    return text[: found.start()], text[found.end() :].strip()


def category_list(component: Component) -> list[str]:
    """All CATEGORIES, however many lines a client made of them."""
    return [member.strip() for line in component.lines("CATEGORIES") for member in split_list(line.value)]


def patient_line(component: Component) -> Line | None:
    """The patient's ATTENDEE: the first who does not chair. Other participants stand behind it."""
    return next((line for line in component.lines("ATTENDEE") if line.param("ROLE") != "CHAIR"), None)


def address_of(line: Line | None) -> str:
    """The mail address of an ORGANIZER or ATTENDEE; empty for one without."""
    if line is None or not line.value.lower().startswith("mailto:"):
        return ""
    return unquote(line.value[len("mailto:") :])


def _shown_status(component: Component) -> str:
    return "cancelled_doctor" if pending_cancel(component) else status_of(component)


def _show(component: Component, status: str) -> None:
    """Write STATUS, TRANSP, CATEGORIES, the title's prefix and the patient's PARTSTAT as `status` looks."""
    shown = look(status)
    component.set("STATUS", shown.status_line)
    component.set("TRANSP", shown.transp)
    component.set("SUMMARY", escape(shown.prefix + body_of(component)))
    own = [c for c in category_list(component) if c not in CATEGORIES]
    # Exactly one line, the type first: DAVx5 reads no more than the first CATEGORIES.
    wanted = own[:1] + ([shown.category] if shown.category else []) + own[1:]
    component.set("CATEGORIES", ",".join(escape(c) for c in wanted))
    patient = patient_line(component)
    if patient is not None and shown.partstat is not None:
        params = tuple((k, (shown.partstat,) if k == "PARTSTAT" else v) for k, v in patient.params)
        if params != patient.params:
            patient.params, patient.raw = params, ""


def _describe(component: Component) -> None:
    above = generated_text(component)
    parts = [above, ""] if above else []
    text = "\n".join([*parts, MARKER, component.plain(DOCTOR_NOTES)])
    component.set("DESCRIPTION", escape(text))


def _people(facts: AppointmentFacts) -> list[Line]:
    lines = []
    agent = ("SCHEDULE-AGENT", ("SERVER",))
    if facts.doctor_email:
        name = ("CN", (parameter(facts.doctor_name),))
        chair = (("CUTYPE", ("INDIVIDUAL",)), ("ROLE", ("CHAIR",)), ("PARTSTAT", ("ACCEPTED",)))
        lines.append(Line("ORGANIZER", mailto(facts.doctor_email), (name, agent)))
        lines.append(Line("ATTENDEE", mailto(facts.doctor_email), (name, *chair)))
    # A patient without an address still needs a place for name and PARTSTAT.
    address = mailto(facts.patient_email) if facts.patient_email else facts.patient_id.urn
    patient = (
        ("CN", (parameter(facts.patient_name),)),
        ("CUTYPE", ("INDIVIDUAL",)),
        ("ROLE", ("REQ-PARTICIPANT",)),
        ("PARTSTAT", ("NEEDS-ACTION",)),
        ("RSVP", ("TRUE",)),
        agent,
    )
    lines.append(Line("ATTENDEE", address, patient))
    return lines


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
