"""Leave: asked for, approved, rejected."""

from datetime import datetime

from storage import leave, policy
from web.api import lookups, shapes
from web.api.fields import DayOrMoment, Name, Prose, Request, in_zone
from web.api.operations import Call, operation


class LeaveIn(Request):
    doctor: Name
    start: DayOrMoment
    end: DayOrMoment
    reason: Prose = ""


@operation("POST", "/leave", "Ask for leave: days (both included) or times", shapes.Leave, status=201, body=LeaveIn)
def request_leave(call: Call, body: LeaveIn) -> shapes.Leave:
    doctor = lookups.doctor(call, body.doctor)
    policy.require(call.actor, "leave.request", doctor)
    zone = lookups.zone(doctor)
    start = in_zone(body.start, zone) if isinstance(body.start, datetime) else body.start
    end = in_zone(body.end, zone) if isinstance(body.end, datetime) else body.end
    view = leave.request_leave(call.session, doctor, start, end, body.reason, actor=call.actor, now=call.now)
    return shapes.leave(view)


@operation("POST", "/leave/{id}/approve", "Approve a leave", shapes.Leave, refusals=(404, 409))
def approve_leave(call: Call, id: str) -> shapes.Leave:
    return _decide(call, id, True)


@operation("POST", "/leave/{id}/reject", "Reject a leave", shapes.Leave, refusals=(404, 409))
def reject_leave(call: Call, id: str) -> shapes.Leave:
    return _decide(call, id, False)


def _decide(call: Call, leave_id: str, approve: bool) -> shapes.Leave:
    found = leave.find(call.session, leave_id)
    policy.require(call.actor, "leave.approve", found.doctor)
    return shapes.leave(leave.decide(call.session, leave_id, approve, actor=call.actor, now=call.now))
