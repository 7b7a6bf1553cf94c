"""What patients ask for and staff answer."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from ical.errors import Forbidden
from storage import policy, requests
from storage.models import Appointment
from web.api import lookups, shapes
from web.api.fields import Name, Prose, Query, Request
from web.api.operations import Call, operation


class RequestsQuery(Query):
    doctor: Name | None = None
    state: Literal["open", "approved", "rejected", "lapsed", "withdrawn"] = "open"


class AnswerIn(Request):
    reason: Annotated[Prose, Field(max_length=1000)] = Field(default="", description="The patient is told.")


@operation("GET", "/requests", "What patients ask for, the most urgent first", shapes.Requests, query=RequestsQuery)
def list_requests(call: Call, query: RequestsQuery) -> shapes.Requests:
    if call.actor.role not in policy.RULES["request.read"]:
        raise Forbidden()
    doctor = None if query.doctor is None else lookups.doctor(call, query.doctor)
    doctors = None if doctor is None else [doctor.id]
    if call.actor.role == "doctor":
        doctors = [call.account.id] if doctors in (None, [call.account.id]) else []
    patients = None
    if call.actor.role == "patient":
        patients = [] if call.patient is None else [call.patient.id]
    found = requests.listed(call.session, doctors=doctors, patients=patients, states=[query.state])
    return shapes.Requests(requests=[shapes.request(call, each.request, each.doctor, each.patient) for each in found])


@operation(
    "POST",
    "/requests/{id}/approve",
    "Do what was asked",
    shapes.Request,
    body=AnswerIn,
    body_required=False,
    refusals=(404, 409),
)
def approve_request(call: Call, id: UUID, body: AnswerIn) -> shapes.Request:
    return _decide(call, id, body, "approve")


@operation(
    "POST", "/requests/{id}/reject", "Say no", shapes.Request, body=AnswerIn, body_required=False, refusals=(404, 409)
)
def reject_request(call: Call, id: UUID, body: AnswerIn) -> shapes.Request:
    return _decide(call, id, body, "reject")


@operation("POST", "/requests/{id}/withdraw", "Take back what one has asked for", shapes.Request, refusals=(404, 409))
def withdraw_request(call: Call, id: UUID) -> shapes.Request:
    _found(call, id, "request.withdraw")
    requests.withdraw(call.session, id, actor=call.actor, now=call.now)
    return _shown(call, id)


def _decide(call: Call, id: UUID, body: AnswerIn, verb: Literal["approve", "reject"]) -> shapes.Request:
    _found(call, id, "request.decide")
    decide = requests.approve if verb == "approve" else requests.reject
    decide(call.session, id, actor=call.actor, now=call.now, answer=body.reason)
    return _shown(call, id)


def _found(call: Call, id: UUID, action: str) -> Appointment:
    _request, appointment = requests.find(call.session, id)
    policy.require(call.actor, action, appointment)
    return appointment


def _shown(call: Call, id: UUID) -> shapes.Request:
    request, appointment = requests.find(call.session, id)
    doctor = lookups.account_of(call, appointment.doctor_id)
    assert doctor is not None
    return shapes.request(call, request, doctor, lookups.patient_of(call, appointment))
