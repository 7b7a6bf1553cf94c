"""Who came, and what follows for patients who did not: staff say so, and let it be."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from ical.errors import NotFound
from storage import accounts, attendance, no_shows, policy, views
from storage.models import Patient
from web.api import lookups, shapes
from web.api.fields import Line, Query, Reply, Request
from web.api.operations import Call, operation, reject
from web.api.shapes import AppointmentInList

# An appointment, or with a slash and its recurrence id one occurrence of a series.
VisitId = Annotated[str, Field(pattern=r"^[0-9a-fA-F-]{36}(/\d{8}T\d{6}Z)?$")]


class ProposedQuery(Query):
    doctor: Line | None = Field(default=None, description="A username.")


class Proposed(Reply):
    proposed: list[AppointmentInList]


class DecisionIn(Request):
    ids: Annotated[list[VisitId], Field(min_length=1, max_length=200)] = Field(
        description="Ids of appointments; of an occurrence of a series ID/RECURRENCE-ID."
    )
    outcome: Literal["missed", "took_place"] = "missed"


class Decided(Reply):
    ids: list[str]
    outcome: Literal["missed", "took_place"]


class WaiveIn(Request):
    reason: Annotated[Line, Field(min_length=1, max_length=500)]


class NoShows(Reply):
    missed: int = Field(description="Within the months that the house rules say, and not waived.")
    consequence: Literal["", "warn", "confirm", "prepay", "pause"] = Field(description="What follows; empty: nothing.")
    until: str | None = Field(description="When a pause ends.")
    text: str = Field(description="What the patient is told.")
    waived_at: str | None
    waived_because: str | None = Field(default=None, description="For staff.")


@operation(
    "GET",
    "/no-shows/proposed",
    "Visits of past days of which nobody has said whether they took place",
    Proposed,
    query=ProposedQuery,
)
def list_proposed(call: Call, query: ProposedQuery) -> Proposed:
    doctors = [
        doctor
        for doctor in accounts.doctors(call.session)
        if policy.can(call.actor, "appointment.status", doctor) and query.doctor in (None, doctor.username)
    ]
    if not doctors:
        policy.require(call.actor, "appointment.status", lookups.doctor(call, query.doctor) if query.doctor else None)
    found = attendance.proposed(call.session, doctors, call.now)
    return Proposed(proposed=[shapes.row(call, each) for each in found])


@operation(
    "POST",
    "/no-shows/confirm",
    "Say of visits that they were missed, or took place: all of them, or none",
    Decided,
    body=DecisionIn,
    refusals=(404, 409),
)
def confirm_no_shows(call: Call, body: DecisionIn) -> Decided:
    for each in sorted(set(body.ids)):
        named, _, recurrence_id = each.partition("/")
        try:
            appointment_id = UUID(named)
        except ValueError:
            reject("ids", "These are not all ids of appointments.")
        found = views.find_appointment(call.session, appointment_id)
        if found is None:
            raise NotFound()
        policy.require(call.actor, "appointment.status", found)
        attendance.decide(call.session, appointment_id, recurrence_id, body.outcome, actor=call.actor, now=call.now)
    return Decided(ids=body.ids, outcome=body.outcome)


@operation("GET", "/patients/{id}/no-shows", "What a patient has missed, and what follows", NoShows, refusals=(404,))
def read_no_shows(call: Call, id: UUID) -> NoShows:
    return _standing(call, _patient(call, id, "patient.read"))


@operation(
    "POST",
    "/patients/{id}/no-shows/waive",
    "What a patient has missed until now counts no more",
    NoShows,
    body=WaiveIn,
    refusals=(404,),
)
def waive_no_shows(call: Call, id: UUID, body: WaiveIn) -> NoShows:
    patient = _patient(call, id, "no_show.waive")
    no_shows.waive(call.session, patient, body.reason, actor=call.actor, now=call.now)
    return _standing(call, patient)


def _patient(call: Call, patient_id: UUID, action: str) -> Patient:
    found = no_shows.of_patient(call.session, patient_id)
    if found is None:
        raise NotFound()
    patient, who = found
    policy.require(call.actor, action, who)
    return patient


def _standing(call: Call, patient: Patient) -> NoShows:
    found = no_shows.standing(call.session, patient.id, call.now)
    waiver = no_shows.last_waiver(call.session, patient.id)
    answer = NoShows(
        missed=no_shows.count(call.session, patient.id, call.now),
        consequence=found.consequence,
        until=None if found.until is None else found.until.isoformat(),
        text=no_shows.said(call.session, found),
        waived_at=None if waiver is None else waiver.at.isoformat(),
    )
    if waiver is not None and call.actor.is_staff:
        answer.waived_because = waiver.reason
    return answer
