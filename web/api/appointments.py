"""Appointments: book, read, move and every step of their life."""

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Literal
from urllib.parse import urlencode
from uuid import UUID

from flask import request
from pydantic import AfterValidator, Field

from ical import timezones
from ical.errors import (
    CutOffPassed,
    InvalidCalendarData,
    InvalidInput,
    NotFound,
    SeriesConflict,
    TooManyInstances,
)
from storage import appointments, booking, follow_ups, lifecycle, policy, views
from storage.appointments import AppointmentView
from storage.drafts import NewAppointment
from storage.models import Account
from web.api import decisions, lookups, shapes
from web.api.decisions import DecisionIn, RecurrenceId
from web.api.fields import DayOrMoment, FollowUpWanted, Line, Moment, Name, Prose, Query, Request, to_book
from web.api.lookups import PatientIn
from web.api.operations import Answer, Call, operation, reject

ACTIONS = ("confirm", "arrive", "start", "complete", "no-show", "cancel")
_POLICY = {"confirm": "appointment.confirm", "cancel": "appointment.change"}


class NewAppointmentIn(Request):
    doctor: Name | Annotated[list[Name], Field(min_length=1, max_length=50)] = Field(
        description="A username, any, or a list of usernames of whom one is chosen."
    )
    start: Moment
    type: Name = "consultation"
    reason: Prose = ""
    patient: PatientIn | None = Field(default=None, description="Left out when a patient books for themselves.")
    patient_notes: Prose = ""
    hold: UUID | None = Field(default=None, description="The id of a hold, which becomes the appointment.")
    resources: list[Name] = Field(default=[], max_length=0, description="None can be booked yet.")
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


class ActionIn(Request):
    reason: Annotated[Prose, Field(max_length=500)] = ""
    recurrence_id: RecurrenceId | None = Field(default=None, description="One occurrence of a series.")
    by: Literal["patient", "doctor"] | None = Field(default=None, description="Whose wish a cancellation is.")


class CompleteIn(ActionIn):
    follow_up: FollowUpWanted | None = Field(
        default=None, description="What is to follow. Left out: what the type usually proposes; null: nothing."
    )


class RescheduleIn(Request):
    start: Moment
    doctor: Name | None = None
    recurrence_id: RecurrenceId | None = None


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
    doctors = lookups.doctors(call, body.doctor)
    # A doctor's own calendar only; with several, only the ones that the caller may book.
    allowed = [doctor for doctor in doctors if policy.can(call.actor, "appointment.book", doctor)]
    if not allowed:
        policy.require(call.actor, "appointment.book", doctors[0])
    new = NewAppointment(
        start=to_book(body.start, lookups.zone(allowed[0])),
        kind=lookups.kind(call, body.type),
        patient=lookups.patient(call, body.patient),
        reason=body.reason,
        patient_notes=body.patient_notes,
        rrule=body.rrule or None,
        decisions=decisions.read(body.decisions, lookups.zone(allowed[0])),
        on_conflict=body.on_conflict,
        parent=_parent(call, body.parent),
    )
    try:
        booked = booking.book(call.session, allowed, new, actor=call.actor, now=call.now, ticket=body.hold)
    except SeriesConflict as conflict:
        raise with_offsets(conflict, allowed[0]) from None
    except (InvalidCalendarData, TooManyInstances) as refusal:
        raise InvalidInput(refusal.sentence, field="rrule") from None
    return of_booking(call, booked)


def of_booking(call: Call, booked: booking.Booked) -> shapes.Booked:
    owner, appointment = booked.doctor, booked.appointment
    visit = appointments.current(booked.visits)
    answer = shapes.Booked(
        id=appointment.id,
        status=visit.status,
        doctor=owner.username,
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
    return shapes.Appointments(appointments=[shapes.row(call, each) for each in page.rows], next=more)


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


@operation(
    "POST",
    "/appointments/{id}/reschedule",
    "Move an appointment, or one occurrence of a series",
    shapes.Appointment,
    body=RescheduleIn,
    refusals=(404, 409, 412),
)
def reschedule_appointment(call: Call, id: UUID, body: RescheduleIn) -> shapes.Appointment:
    view = lookups.appointment(call, id, "appointment.change")
    _before_cut_off(call, view, body.recurrence_id)
    target = view.doctor if body.doctor is None else lookups.doctor(call, body.doctor)
    policy.require(call.actor, "appointment.book", target)
    lifecycle.reschedule(
        call.session,
        id,
        to_book(body.start, lookups.zone(target)),
        doctor=None if target.id == view.doctor.id else target,
        recurrence_id=body.recurrence_id,
        actor=call.actor,
        now=call.now,
    )
    return _changed(call, id)


def change_status(call: Call, id: UUID, body: ActionIn, action: str) -> shapes.Appointment:
    view = lookups.appointment(call, id, _POLICY.get(action, "appointment.status"))
    if action == "cancel":
        _before_cut_off(call, view, body.recurrence_id)
    if body.by == "doctor" and not call.actor.is_staff:
        policy.require(call.actor, "appointment.status", view.appointment)
    try:
        lifecycle.change_status(
            call.session,
            id,
            action,
            recurrence_id=body.recurrence_id,
            reason=body.reason,
            by=body.by,
            follow_up=_follow_up(body),
            actor=call.actor,
            now=call.now,
        )
    except InvalidInput as refusal:
        if refusal.field in FollowUpWanted.model_fields:
            raise InvalidInput(refusal.sentence, field=f"follow_up.{refusal.field}") from None
        raise
    return _changed(call, id)


def _follow_up(body: ActionIn) -> follow_ups.Wanted | None:
    if "follow_up" not in body.model_fields_set or not isinstance(body, CompleteIn):
        return follow_ups.USUAL
    return None if body.follow_up is None else lookups.follow_up(body.follow_up)


def _declare(action: str, takes: type[ActionIn]) -> None:
    def act(call: Call, id: UUID, body: ActionIn) -> shapes.Appointment:
        return change_status(call, id, body, action)

    act.__name__ = f"{action.replace('-', '_')}_appointment"
    operation(
        "POST",
        f"/appointments/{{id}}/{action}",
        f"{action.capitalize()}: an appointment, or one occurrence of a series",
        shapes.Appointment,
        body=takes,
        body_required=False,
        refusals=(404, 409, 412),
    )(act)


for each_action in ACTIONS:
    _declare(each_action, CompleteIn if each_action == "complete" else ActionIn)


def _changed(call: Call, id: UUID) -> shapes.Appointment:
    call.session.flush()
    call.session.expire_all()
    view = appointments.details(call.session, id)
    if view is None:
        raise NotFound()
    lookups.set_etag(call, view)
    return shapes.appointment(call, view)


def _before_cut_off(call: Call, view: AppointmentView, recurrence_id: str | None) -> None:
    """Patients change their appointments only up to some time before; staff always."""
    if call.actor.is_staff:
        return
    visit = next((each for each in view.visits if each.recurrence_id == recurrence_id), view.visit)
    if visit.start - call.now < max(timedelta(minutes=view.kind.cutoff_minutes), timedelta(0)):
        raise CutOffPassed()
