"""Leave: asked for, changed, withdrawn, approved, rejected; and what becomes of the appointments in it."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from ical.errors import InvalidInput, Refusal
from storage import affected, leave, policy, views
from storage.leave import LeaveView
from web.api import lookups, shapes
from web.api.decisions import RecurrenceId
from web.api.fields import DayOrMoment, Line, Moment, Name, Prose, Query, Reply, Request, in_zone, to_book
from web.api.operations import Call, operation, reject

Rule = Annotated[Line, Field(description="An RRULE value of RFC 5545, for leave that repeats.")]


class LeaveIn(Request):
    doctor: Name
    start: DayOrMoment
    end: DayOrMoment
    half: Literal["morning", "afternoon"] | None = Field(default=None, description="Half of the one day given.")
    rrule: Rule = ""
    reason: Prose = ""


class LeaveChange(Request):
    """What is left out stays."""

    start: DayOrMoment | None = None
    end: DayOrMoment | None = None
    rrule: Rule | None = None
    reason: Prose | None = None


class LeaveQuery(Query):
    doctor: Name = Field(default="any", description="A username, or any.")
    status: Literal["pending", "approved", "rejected"] | None = None


class WhichOne(Request):
    recurrence_id: RecurrenceId | None = Field(default=None, description="One time of repeating leave.")


class WhichTime(Query):
    recurrence_id: RecurrenceId | None = Field(default=None, description="One time of repeating leave.")


class Away(Reply):
    recurrence_id: str
    start: datetime
    end: datetime


class Proposed(Reply):
    doctor: str
    start: datetime


class Proposal(Reply):
    appointment: UUID
    recurrence_id: str
    start: datetime
    end: datetime
    proposed: Proposed | None = Field(description="The nearest free time: the same doctor's, else a colleague's.")


class Leave(Reply):
    id: str
    status: Literal["pending", "approved", "rejected", "withdrawn"]
    doctor: str
    start: datetime
    end: datetime
    all_day: bool
    rrule: str
    occurrences: list[Away] = Field(description="Of repeating leave, from a month ago to a year ahead.")
    affected: list[UUID] = Field(description="Appointments that lie in it.")
    proposals: list[Proposal] = Field(
        default=[], description="Where those to come could go. Not in the list of all leave."
    )


class Leaves(Reply):
    leave: list[Leave]


class DecisionIn(Request):
    appointment: UUID
    recurrence_id: RecurrenceId | None = None
    decision: Literal["keep", "move", "cancel"]
    start: Moment | None = Field(default=None, description="Where to, for move.")
    doctor: Name | None = Field(default=None, description="To whom, for move; usually the same.")
    reason: Annotated[Prose, Field(max_length=500)] = Field(default="", description="For cancel.")


class DecisionsIn(Request):
    decisions: Annotated[list[DecisionIn], Field(min_length=1, max_length=100)]


@operation("POST", "/leave", "Ask for leave: days (both included) or times", Leave, status=201, body=LeaveIn)
def request_leave(call: Call, body: LeaveIn) -> Leave:
    doctor = lookups.doctor(call, body.doctor)
    policy.require(call.actor, "leave.request", doctor)
    zone = lookups.zone(doctor)
    start = in_zone(body.start, zone) if isinstance(body.start, datetime) else body.start
    end = in_zone(body.end, zone) if isinstance(body.end, datetime) else body.end
    if body.half is not None:
        if start != end or isinstance(start, datetime):
            reject("half", "Half a day is half of one day: give the same day twice.")
        start, end = leave.half_day(call.session, doctor, start, body.half)
    view = leave.request_leave(
        call.session, doctor, start, end, body.reason, rrule=body.rrule, actor=call.actor, now=call.now
    )
    return _out(call, view)


@operation("GET", "/leave", "Leave that is not over for long, in order", Leaves, query=LeaveQuery)
def list_leave(call: Call, query: LeaveQuery) -> Leaves:
    doctors = [doctor for doctor in lookups.doctors(call, query.doctor) if policy.can(call.actor, "leave.read", doctor)]
    views_of_all = leave.list_leave(call.session, doctors, call.now)
    wanted = [view for view in views_of_all if query.status in (None, view.status)]
    return Leaves(leave=[_out(call, view, proposals=False) for view in wanted])


@operation("GET", "/leave/{id}", "One leave, with the appointments in it", Leave, refusals=(404,))
def read_leave(call: Call, id: str) -> Leave:
    return _out(call, _found(call, id, "leave.read"))


@operation(
    "PATCH", "/leave/{id}", "Change a leave; approved leave that grows is pending again", Leave, body=LeaveChange
)
def change_leave(call: Call, id: str, body: LeaveChange) -> Leave:
    found = _found(call, id, "leave.request")
    zone = lookups.zone(found.doctor)
    start = in_zone(body.start, zone) if isinstance(body.start, datetime) else body.start
    end = in_zone(body.end, zone) if isinstance(body.end, datetime) else body.end
    view = leave.change(
        call.session,
        id,
        start=start,
        end=end,
        reason=body.reason,
        rrule=body.rrule,
        actor=call.actor,
        now=call.now,
    )
    return _out(call, view)


@operation("DELETE", "/leave/{id}", "Withdraw a leave, or one time of it", Leave, query=WhichTime, refusals=(404,))
def withdraw_leave(call: Call, id: str, query: WhichTime) -> Leave:
    found = _found(call, id, "leave.request")
    left = leave.withdraw(call.session, id, recurrence_id=query.recurrence_id or "", actor=call.actor, now=call.now)
    if left is not None:
        return _out(call, left)
    gone = _out(call, found, proposals=False)
    gone.status, gone.affected = "withdrawn", []
    return gone


@operation(
    "POST",
    "/leave/{id}/approve",
    "Approve a leave",
    Leave,
    body=WhichOne,
    body_required=False,
    refusals=(404, 409),
)
def approve_leave(call: Call, id: str, body: WhichOne) -> Leave:
    return _decide(call, id, True, body)


@operation(
    "POST",
    "/leave/{id}/reject",
    "Reject a leave, or one time of it",
    Leave,
    body=WhichOne,
    body_required=False,
    refusals=(404, 409),
)
def reject_leave(call: Call, id: str, body: WhichOne) -> Leave:
    return _decide(call, id, False, body)


@operation(
    "POST",
    "/leave/{id}/decisions",
    "Keep, move or cancel appointments that lie in a leave: all that is said, or nothing",
    Leave,
    body=DecisionsIn,
    refusals=(404, 409),
)
def decide_affected(call: Call, id: str, body: DecisionsIn) -> Leave:
    found = _found(call, id, "leave.read")
    for index, each in enumerate(body.decisions):
        try:
            affected.decide(call.session, _decision(call, found, each), actor=call.actor, now=call.now)
        except Refusal as refusal:
            # The rest of what was said is not done either; the answer says which one it was.
            refusal.field = f"decisions.{index}" + (f".{refusal.field}" if refusal.field else "")
            raise
    return _out(call, leave.find(call.session, id, call.now))


def _decision(call: Call, found: LeaveView, given: DecisionIn) -> affected.Decision:
    appointment = views.find_appointment(call.session, given.appointment)
    if appointment is None or given.appointment not in found.affected:
        raise InvalidInput("This appointment does not lie in the leave.", field="appointment")
    action = "appointment.status" if given.decision == "keep" else "appointment.change"
    policy.require(call.actor, action, appointment)
    doctor = None if given.doctor is None else lookups.doctor(call, given.doctor)
    if doctor is not None and doctor.id == appointment.doctor_id:
        doctor = None
    if doctor is not None:
        policy.require(call.actor, "bulk.change", found.doctor)
    start = None if given.start is None else to_book(given.start, lookups.zone(doctor or found.doctor))
    rid = given.recurrence_id or ""
    return affected.Decision(given.appointment, rid, given.decision, start, doctor, given.reason)


def _decide(call: Call, leave_id: str, approve: bool, which: WhichOne) -> Leave:
    _found(call, leave_id, "leave.approve")
    view = leave.decide(
        call.session, leave_id, approve, recurrence_id=which.recurrence_id or "", actor=call.actor, now=call.now
    )
    return _out(call, view)


def _found(call: Call, leave_id: str, action: str) -> LeaveView:
    found = leave.find(call.session, leave_id, call.now)
    policy.require(call.actor, action, found.doctor)
    return found


def _out(call: Call, view: LeaveView, *, proposals: bool = True) -> Leave:
    answer = Leave(
        id=view.id,
        status=view.status,
        doctor=view.doctor.username,
        start=shapes.local(view.start, view.doctor),
        end=shapes.local(view.end, view.doctor),
        all_day=view.all_day,
        rrule=view.rrule,
        occurrences=[
            Away(
                recurrence_id=each.recurrence_id,
                start=shapes.local(each.start, view.doctor),
                end=shapes.local(each.end, view.doctor),
            )
            for each in view.times
            if each.recurrence_id
        ],
        affected=view.affected,
    )
    if proposals:
        answer.proposals = [_proposal(each) for each in affected.propose(call.session, view.rows, call.now)]
    return answer


def _proposal(of: affected.Proposal) -> Proposal:
    row, slot = of.row, of.slot
    return Proposal(
        appointment=row.appointment.id,
        recurrence_id=row.visit.recurrence_id,
        start=shapes.local(row.visit.start, row.doctor),
        end=shapes.local(row.visit.end, row.doctor),
        proposed=None
        if slot is None
        else Proposed(doctor=slot.doctor.username, start=shapes.local(slot.start, slot.doctor)),
    )
