"""Appointments: book, read and list them. What happens to them afterwards is web.api.changes."""

from dataclasses import replace
from typing import Annotated, Literal
from urllib.parse import urlencode
from uuid import UUID

from flask import request
from pydantic import AfterValidator, Field

from ical import intake, timezones
from ical.errors import (
    InvalidCalendarData,
    InvalidInput,
    SeriesConflict,
    TooManyInstances,
)
from storage import appointments, booking, participants, policy, views
from storage.drafts import NewAppointment
from storage.models import Account
from web.api import decisions, lookups, shapes
from web.api.decisions import DecisionIn
from web.api.fields import DayOrMoment, Line, Moment, Name, Prose, Query, Request, to_book
from web.api.lookups import PatientIn
from web.api.operations import Answer, Call, operation, reject


class NewAppointmentIn(Request):
    doctor: Name | Annotated[list[Name], Field(min_length=1, max_length=50)] = Field(
        description="A username, any, or a list of usernames of whom one is chosen."
    )
    start: Moment
    type: Name = "consultation"
    reason: Prose = ""
    patient: PatientIn | None = Field(default=None, description="Left out when a patient books for themselves.")
    patient_notes: Prose = ""
    answers: dict[Name, str | bool] = Field(
        default={}, max_length=20, description="To the questions of the type, by their codes. Kept with the notes."
    )
    hold: UUID | None = Field(default=None, description="The id of a hold, which becomes the appointment.")
    specialty: Line | None = Field(default=None, description="One of the doctors named who has this speciality.")
    together: bool = Field(default=False, description="All the doctors named at once, not one of them.")
    resources: list[Name] = Field(
        default=[],
        max_length=20,
        description="Rooms, machines and assistants, beside those that the type needs (staff).",
    )
    overrule: bool = Field(default=False, description="Set the booking rules aside (staff), with a reason.")
    overrule_reason: Annotated[Line, Field(max_length=500)] = Field(
        default="", description="Why the rules are set aside; the reason of the visit when left out."
    )
    rrule: Line | None = Field(default=None, max_length=200, description="An RRULE value of RFC 5545.")
    on_conflict: Literal["refuse", "skip", "move"] = Field(
        default="refuse", description="What becomes of occurrences that are not free and not decided."
    )
    decisions: list[DecisionIn] = Field(default=[], max_length=500, description="For occurrences of a series.")
    parent: UUID | None = Field(default=None, description="The appointment that this one follows up.")


def _statuses(value: str) -> str:
    unknown = [part for part in value.split(",") if part not in shapes.STATUSES]
    if unknown:
        raise ValueError(f"{unknown[0][:40]} is no status")
    return value


class AppointmentsQuery(Query):
    doctor: Name | None = None
    patient: Line | None = Field(default=None, description="An id, or an e-mail address.")
    from_: DayOrMoment | None = Field(default=None, alias="from")
    to: DayOrMoment | None = Field(default=None, description="A day is included.")
    status: Annotated[Line, AfterValidator(_statuses)] | None = Field(
        default=None, description="One, or several with commas between.", examples=["scheduled,confirmed"]
    )
    after: Line | None = Field(default=None, description="From the `next` of a former answer.")
    limit: Annotated[int, Field(ge=1, le=500)] = 50


@operation(
    "POST",
    "/appointments",
    "Book",
    shapes.Booked,
    status=201,
    body=NewAppointmentIn,
    refusals=(409,),
)
def book_appointment(call: Call, body: NewAppointmentIn) -> shapes.Booked:
    allowed = chosen_doctors(call, body)
    if body.resources:
        policy.require(call.actor, "resources.read")
    kind = lookups.kind(call, body.type)
    answers = intake.answered(kind.questions, body.answers, required=not call.actor.is_staff)
    new = NewAppointment(
        start=to_book(body.start, lookups.zone(allowed[0])),
        kind=kind,
        patient=lookups.patient(call, body.patient),
        reason=body.reason,
        patient_notes=intake.with_notes(answers, body.patient_notes),
        rrule=body.rrule or None,
        decisions=decisions.read(body.decisions, lookups.zone(allowed[0])),
        on_conflict=body.on_conflict,
        parent=_parent(call, body.parent),
        together=body.together,
        resources=tuple(body.resources),
        overrule=_why(call, body, allowed[0]),
    )
    try:
        booked = booking.book(call.session, allowed, new, actor=call.actor, now=call.now, ticket=body.hold)
    except SeriesConflict as conflict:
        raise with_offsets(conflict, allowed[0]) from None
    except (InvalidCalendarData, TooManyInstances) as refusal:
        raise InvalidInput(refusal.sentence, field="rrule") from None
    return of_booking(call, booked)


def chosen_doctors(call: Call, body: NewAppointmentIn) -> list[Account]:
    """Of whom one is booked, or all together."""
    if body.together and (isinstance(body.doctor, str) or len(set(body.doctor)) < 2):
        reject("together", "Name the doctors who take part, two or more.")
    doctors = lookups.doctors(call, body.doctor, specialty=body.specialty)
    # A doctor's own calendar only; with several, only the ones that the caller may book.
    allowed = [doctor for doctor in doctors if policy.can(call.actor, "appointment.book", doctor)]
    barred = [doctor for doctor in doctors if doctor not in allowed]
    if not allowed or (body.together and barred):
        policy.require(call.actor, "appointment.book", barred[0])
    return allowed


def _why(call: Call, body: NewAppointmentIn, doctor: Account) -> str:
    """The reason for which staff set the rules aside; empty when they do not."""
    if not body.overrule:
        return ""
    policy.require(call.actor, "appointment.overrule", doctor)
    reason = body.overrule_reason.strip() or " ".join(body.reason.split())[:500]
    if not reason:
        reject("overrule_reason", "Say why the rules are set aside.")
    return reason


def of_booking(call: Call, booked: booking.Booked) -> shapes.Booked:
    owner, appointment = booked.doctor, booked.appointment
    visit = appointments.current(booked.visits)
    answer = shapes.Booked(
        id=appointment.id,
        status=visit.status,
        doctor=owner.username,
        doctors=shapes.doctors(owner, booked.others),
        resources=shapes.named(booked.others),
        type=appointment.type_code,
        start=shapes.local(visit.start, owner),
        end=shapes.local(visit.end, owner),
        manage_url=booking.manage_url(call.settings, appointment.id),
    )
    if booked.occurrences:
        answer.occurrences = [
            shapes.BookedOccurrence(
                recurrence_id=each.recurrence_id,
                start=shapes.local(each.start, owner),
                end=shapes.local(each.end, owner),
                status=each.outcome,
            )
            for each in booked.occurrences
        ]
    if booked.request is not None:
        answer.request = booked.request.id
    call.answer_headers["Location"] = f"/api/v1/appointments/{appointment.id}"
    call.answer_headers["ETag"] = f'"{appointments.etag(call.session, appointment, booked.visits)}"'
    return answer


def _parent(call: Call, parent: UUID | None) -> UUID | None:
    if parent is None:
        return None
    found = views.find_appointment(call.session, parent)
    if found is None or not policy.can(call.actor, "appointment.read", found):
        reject("parent", "There is no such appointment to follow up.")
    return parent


def with_offsets(conflict: SeriesConflict, owner: Account) -> SeriesConflict:
    return SeriesConflict(
        [
            replace(
                each,
                start=shapes.local(each.start, owner),
                alternatives=tuple(shapes.local(start, owner) for start in each.alternatives),
            )
            for each in conflict.conflicts
        ]
    )


@operation("GET", "/appointments", "Appointments, in order of time", shapes.Appointments, query=AppointmentsQuery)
def list_appointments(call: Call, query: AppointmentsQuery) -> shapes.Appointments:
    doctor = None if query.doctor is None else lookups.doctor(call, query.doctor)
    zone = timezones.zone(call.settings.timezone) if doctor is None else lookups.zone(doctor)
    try:
        page = appointments.find(
            call.session,
            doctors=_visible_doctors(call, doctor),
            patients=_visible_patients(call, query.patient),
            start=None if query.from_ is None else lookups.begin_of(query.from_, zone),
            end=None if query.to is None else lookups.end_of(query.to, zone),
            statuses=None if query.status is None else query.status.split(","),
            after=query.after,
            limit=query.limit,
        )
    except ValueError:
        reject("after", "This is not from the next of a former answer.")
    more = None
    if page.after is not None:
        asked = {**request.args.to_dict(), "after": page.after}
        more = f"{request.base_url}?{urlencode(asked)}"
    others = participants.of_appointments(call.session, {each.appointment.id for each in page.rows})
    found = [shapes.row(call, each, others.get(each.appointment.id, ())) for each in page.rows]
    return shapes.Appointments(appointments=found, next=more)


def _visible_doctors(call: Call, asked: Account | None) -> list[int] | None:
    if call.actor.role == "doctor":
        own = call.account.id
        return [own] if asked is None or asked.id == own else []
    return None if asked is None else [asked.id]


def _visible_patients(call: Call, asked: str | None) -> list[UUID] | None:
    if call.actor.role == "patient":
        own = [] if call.patient is None else [call.patient.id]
        return own if asked is None or asked in {str(each) for each in own} | {call.account.email} else []
    if asked is None:
        return None
    if "@" in asked:
        return [patient.id for patient in views.patients_with_email(call.session, asked)]
    try:
        return [UUID(asked)]
    except ValueError:
        reject("patient", "Give a patient's id or e-mail address.")


@operation("GET", "/appointments/{id}", "One appointment", shapes.Appointment, refusals=(404,))
def read_appointment(call: Call, id: UUID) -> shapes.Appointment | Answer:
    view = lookups.appointment(call, id, "appointment.read")
    lookups.set_etag(call, view)
    if lookups.matches(request.headers.get("If-None-Match", ""), view.etag):
        return Answer("", 304)
    return shapes.appointment(call, view)
