"""Appointments that a calendar app makes: an event with a patient as its attendee, and a copy of an appointment.

Only what is meant so: the event stands in `appointments/`, is not marked as private, and lies in the hours or names a
type; its only guest is a patient of this very doctor. Dinner with a friend who is a patient stays dinner. The patient
hears of it after the quiet period, and is asked to confirm.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import lines, merge, recurrence, times, timezones
from ical.lines import Component, Line
from storage import appointment_types, appointments, diary, drafts, history, notifications, objects, occurrences, visits
from storage.drafts import NewAppointment
from storage.models import Account, Appointment, AppointmentType, CalendarObject, Collection, Patient
from storage.policy import SYSTEM, can
from storage.writes import Edit, Write

# What stands in URL of every appointment; the host may have changed since.
_ADDRESS = re.compile(r"https?://[^/]+/(?:.*/)?appointments/([0-9a-f-]{36})/")


@dataclass(frozen=True)
class _Made:
    """What an event is to become. `head` is its master; times are aware UTC."""

    put: Component
    head: Component
    start: datetime
    end: datetime
    kind: AppointmentType
    patient: Patient
    reason: str = ""
    patient_notes: str = ""
    parent: Appointment | None = None


def invited(session: Session, edit: Edit) -> Component | None:
    """The appointment that an event with a patient as its guest is; None for every other event."""
    head = _head(edit.put)
    guests = _guests(head)
    if not guests or (head.value("CLASS") or "PUBLIC").strip().upper() != "PUBLIC":
        return None
    _above, notes = appointment_text.split_at_marker(head.plain("DESCRIPTION"))
    if may_be_copy(edit.put) or notes is not None:
        # A copy, or half of a series: which of them shows after the quiet period.
        return None
    owner = session.get_one(Account, edit.collection.owner_id)
    patient = _patient(session, owner, guests)
    if patient is None or not can(edit.actor, "appointment.overrule", owner):
        return None
    start, end, all_day = times.span(head, timezones.zone(owner.timezone), edit.put)
    if all_day or end <= start or start <= edit.now:
        return None
    named = _named_type(session, head)
    if named is None and not diary.duty(session, owner, start, end).covers(start, end):
        text = "An event to which you have invited a patient lies outside your hours: it stays an event of your own."
        notifications.notice(session, owner.id, text, edit.now)
        return None
    kind = named or appointment_types.every(session)[0]
    return _appointment(session, owner, _Made(edit.put, head, start, end, kind, patient), edit.now)


def may_be_copy(put: Component) -> bool:
    """Whether the event carries the address of an appointment."""
    return _ADDRESS.fullmatch(_head(put).value("URL") or "") is not None


def remove_people(put: Component) -> None:
    for event in put.components("VEVENT"):
        event.remove("ORGANIZER", "ATTENDEE")


def settle_copy(session: Session, obj: CalendarObject, owner: Account, now: datetime) -> None:
    """After the quiet period an event with an appointment's address that was no part of it is a new one. It is locked."""
    put = lines.parse(obj.stored_text)
    head = _head(put)
    address = _ADDRESS.fullmatch(head.value("URL") or "")
    parent = appointments.details(session, UUID(address[1])) if address else None
    if obj.deleted or parent is None or parent.doctor.id != owner.id:
        return
    waiting = [visit.settle_at for visit in parent.visits if visit.settle_at is not None]
    if waiting:
        # It may yet be the other half of a series, or the appointment itself, cut and pasted.
        obj.settle_at = max(waiting)
        return
    start, end, all_day = times.span(head, timezones.zone(owner.timezone), put)
    found = occurrences.expand(put, owner, now).occurrences
    if {each.start for each in found} & {visit.start for visit in parent.visits}:
        text = "A copy of an appointment lies at the time of the appointment itself: it stays an event of your own."
        notifications.notice(session, owner.id, text, now, parent.appointment)
        return
    if all_day or end <= start or start <= now:
        return
    kind = _named_type(session, head) or parent.kind
    made = _Made(put, head, start, end, kind, parent.patient, parent.reason, parent.patient_notes, parent.appointment)
    calendar = _appointment(session, owner, made, now)
    collection = session.get_one(Collection, obj.collection_id)
    objects.put_object(session, collection, obj.href, calendar, Write(SYSTEM, now, "copied", overbook=True))
    appointment = session.get_one(Appointment, visits.id_of(obj.uid))
    booked = list(visits.of_appointment(session, appointment.id).values())
    history.record(session, booked[0], SYSTEM, "booked", now, reason="copied in a calendar app")
    notifications.confirmed(session, appointment, booked, now, to_confirm=True)
    text = "The copy of an appointment is a new one for the same patient, who is asked to confirm it."
    notifications.notice(session, owner.id, text, now, appointment)


def _appointment(session: Session, owner: Account, made: _Made, now: datetime) -> Component:
    """What is ours as in a booking, what is the app's as in a PUT. No command is taken from it: it has no status yet."""
    new = NewAppointment(
        made.start,
        made.kind,
        made.patient,
        reason=made.reason,
        patient_notes=made.patient_notes,
        parent=None if made.parent is None else made.parent.id,
    )
    base = drafts.event(session, owner, new, made.end, now, uid=made.head.plain("UID"))
    types = {kind.code: kind.name for kind in appointment_types.every(session)}
    put = made.put.copy()
    head = _head(put)
    head.set_text("SUMMARY", _title(made, types.values()))
    room = "" if made.parent is None else made.parent.video_link
    for name in ("LOCATION", "DESCRIPTION") if room else ():
        # The copy has a room of its own.
        head.set_text(name, head.plain(name).replace(room, _head(base).value("CONFERENCE") or ""))
    return merge.merge(base, put, timezones.zone(owner.timezone), now, types).calendar


def _title(made: _Made, labels: Iterable[str]) -> str:
    """The title with our words for the patient and the type in it, so that only what is left becomes a note."""
    body = appointment_text.title_body(made.patient.name, made.kind.name)
    title = made.head.plain("SUMMARY")
    for label in labels:
        title = title.replace(appointment_text.title_body(made.patient.name, label), body)
    return body if _words(title) <= _words(f"{made.patient.name} {made.kind.name}") else title


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.casefold()))


def _named_type(session: Session, head: Component) -> AppointmentType | None:
    """The type whose name is a category of the event, or stands in its title."""
    kinds = appointment_types.every(session)
    categories = {category.casefold() for category in appointment_text.category_list(head)}
    title = head.plain("SUMMARY").casefold()
    return next((kind for kind in kinds if kind.name.casefold() in categories), None) or next(
        (kind for kind in kinds if re.search(rf"\b{re.escape(kind.name.casefold())}\b", title)), None
    )


def _guests(head: Component) -> list[Line]:
    """Whoever is invited, rooms and the chair left out."""
    people = [line for line in head.lines("ATTENDEE") if (line.param("CUTYPE") or "INDIVIDUAL") == "INDIVIDUAL"]
    return [line for line in people if line.param("ROLE") != "CHAIR"]


def _patient(session: Session, owner: Account, guests: Sequence[Line]) -> Patient | None:
    """The only guest, if a patient of this doctor: whose patient somebody is, a doctor cannot find out by inviting."""
    addresses = {_address(line): line for line in guests}
    addresses.pop(owner.email.casefold(), None)
    if len(addresses) != 1:
        return None
    ((address, line),) = addresses.items()
    own = select(Appointment.patient_id).where(Appointment.doctor_id == owner.id)
    asked = select(Patient).where(Patient.email != "", func.lower(Patient.email) == address, Patient.id.in_(own))
    found = session.scalars(asked).all()
    if len(found) > 1:
        # A family that shares a mailbox
        name = (line.param("CN") or "").casefold()
        found = [patient for patient in found if patient.name.casefold() == name]
    return found[0] if len(found) == 1 else None


def _address(line: Line) -> str:
    scheme, _, address = line.value.strip().partition(":")
    return unquote(address).casefold() if scheme.casefold() == "mailto" else ""


def _head(calendar: Component) -> Component:
    return recurrence.master(calendar) or calendar.components("VEVENT")[0]
