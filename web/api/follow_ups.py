"""Follow-ups: which patients are to be seen again, when that could be, and booking it."""

from datetime import date
from typing import Literal
from uuid import UUID

from pydantic import Field

from ical.errors import NotFound
from storage import booking, follow_ups, policy, views, visits
from storage.models import Account, FollowUp
from web.api import lookups, shapes
from web.api.appointments import of_booking
from web.api.decisions import RecurrenceId
from web.api.fields import FollowUpWanted, Moment, Name, Query, Reply, Request, to_book
from web.api.operations import Call, operation, reject

State = Literal["proposed", "overdue", "booked", "dismissed"]


class FollowUpIn(FollowUpWanted):
    appointment: UUID = Field(description="A completed one.")
    recurrence_id: RecurrenceId | None = None


class FollowUpOut(Reply):
    id: UUID
    status: State
    appointment: UUID = Field(description="The one that it follows.")
    recurrence_id: str
    doctor: str
    patient: shapes.Person
    type: str
    due_from: date
    due_to: date
    note: str
    booked: UUID | None = Field(description="The appointment that was booked for it.")
    url: str = Field(description="Where the patient books it, without a login.")


class FollowUps(Reply):
    follow_ups: list[FollowUpOut]


class FollowUpsQuery(Query):
    doctor: Name | None = None
    status: State | None = Field(default=None, description="Left out: those that are still to be booked.")


class BookIn(Request):
    start: Moment
    doctor: Name | None = Field(default=None, description="Usually the same doctor.")


@operation("GET", "/follow-ups", "Follow-ups, what is due first first", FollowUps, query=FollowUpsQuery)
def list_follow_ups(call: Call, query: FollowUpsQuery) -> FollowUps:
    doctor = None if query.doctor is None else lookups.doctor(call, query.doctor)
    if call.actor.role == "doctor":
        doctors = [call.account.id] if doctor is None or doctor.id == call.account.id else []
    else:
        doctors = None if doctor is None else [doctor.id]
    rows = follow_ups.listed(
        call.session,
        doctors=doctors,
        patients=[call.patient.id] if call.patient is not None else None,
        statuses=follow_ups.OPEN if query.status is None else (query.status,),
    )
    shown = [row for row in rows if policy.can(call.actor, "follow_up.read", row.follow_up)]
    return FollowUps(follow_ups=[_out(call, row) for row in shown])


@operation("POST", "/follow-ups", "Propose a follow-up of a visit", FollowUpOut, status=201, body=FollowUpIn)
def propose_follow_up(call: Call, body: FollowUpIn) -> FollowUpOut:
    appointment = views.find_appointment(call.session, body.appointment)
    if appointment is None or not policy.can(call.actor, "appointment.read", appointment):
        reject("appointment", "There is no such appointment.")
    policy.require(call.actor, "appointment.status", appointment)
    known = visits.of_appointment(call.session, appointment.id)
    visit = known.get(body.recurrence_id or "")
    if visit is None:
        reject("recurrence_id", "Say which appointment of the series it follows.")
    if visit.status != "completed":
        reject("appointment", "A follow-up follows a completed appointment.")
    made = follow_ups.propose(call.session, appointment, visit, lookups.follow_up(body), actor=call.actor, now=call.now)
    assert made is not None
    return _one(call, made)


@operation("GET", "/follow-ups/{id}", "One follow-up", FollowUpOut, refusals=(404,))
def read_follow_up(call: Call, id: UUID) -> FollowUpOut:
    return _one(call, _found(call, id, "follow_up.read"))


@operation(
    "GET",
    "/follow-ups/{id}/slots",
    "When it can be booked: with the same doctor while it is due, then with colleagues of the specialty",
    shapes.Slots,
    refusals=(404,),
)
def list_follow_up_slots(call: Call, id: UUID) -> shapes.Slots:
    found = follow_ups.free_times(call.session, _found(call, id, "follow_up.read"), call.now)
    return shapes.Slots(slots=[shapes.slot(slot) for slot in found])


@operation(
    "POST",
    "/follow-ups/{id}/book",
    "Book it: the new appointment follows the old one",
    shapes.Booked,
    status=201,
    body=BookIn,
    refusals=(404, 409),
)
def book_follow_up(call: Call, id: UUID, body: BookIn) -> shapes.Booked:
    found = _found(call, id, "follow_up.book")
    own = call.session.get_one(Account, found.doctor_id)
    doctor = own if body.doctor is None else lookups.doctor(call, body.doctor)
    if call.actor.is_staff:
        policy.require(call.actor, "appointment.book", doctor)
    new = follow_ups.draft(call.session, found, to_book(body.start, lookups.zone(doctor)))
    return of_booking(call, booking.book(call.session, [doctor], new, actor=call.actor, now=call.now))


@operation("POST", "/follow-ups/{id}/dismiss", "Nobody wants it any more", FollowUpOut, refusals=(404, 409))
def dismiss_follow_up(call: Call, id: UUID) -> FollowUpOut:
    found = _found(call, id, "follow_up.write")
    follow_ups.dismiss(call.session, found, actor=call.actor, now=call.now)
    return _one(call, found)


def _found(call: Call, follow_up_id: UUID, action: str) -> FollowUp:
    found = follow_ups.find(call.session, follow_up_id)
    if found is None:
        raise NotFound()
    policy.require(call.actor, action, found)
    return found


def _one(call: Call, found: FollowUp) -> FollowUpOut:
    rows = follow_ups.listed(call.session, appointment_id=found.appointment_id)
    return _out(call, next(row for row in rows if row.follow_up.id == found.id))


def _out(call: Call, row: follow_ups.Row) -> FollowUpOut:
    of = row.follow_up
    return FollowUpOut(
        id=of.id,
        status=of.status,
        appointment=of.appointment_id,
        recurrence_id=of.recurrence_id,
        doctor=row.doctor.username,
        patient=shapes.person(call, row.patient, row.doctor.id),
        type=of.type_code,
        due_from=of.due_from,
        due_to=of.due_to,
        note=of.note,
        booked=of.booked_as,
        url=follow_ups.url(call.settings, of),
    )
