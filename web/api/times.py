"""Doctors, types of appointments, free slots, and why a time is not free."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from storage import accounts, booking, choosing, explaining, policy, slots
from storage.models import AppointmentType
from web.api import lookups, shapes
from web.api.fields import DayOrMoment, Line, Moment, Name, Query, Request, in_zone, to_book
from web.api.operations import Call, operation, reject

_USUAL_DAYS = 14
_LONGEST = timedelta(days=93)


class SlotsQuery(Query):
    doctor: Name = Field(default="any", description="A username, or any.")
    from_: DayOrMoment | None = Field(default=None, alias="from", description="A day, or an instant. Usually today.")
    to: DayOrMoment | None = Field(default=None, description="A day (included), or an instant. Usually two weeks on.")
    type: Name = "consultation"
    specialty: Line | None = Field(default=None, description="Doctors of this speciality alone.")


class ExplainQuery(Query):
    doctor: Name
    start: Moment
    type: Name = "consultation"


class HoldIn(Request):
    doctor: Name | Annotated[list[Name], Field(min_length=1, max_length=50)] = Field(
        description="A username, any, or a list of usernames of whom one is chosen."
    )
    start: Moment
    type: Name = "consultation"
    specialty: Line | None = Field(default=None, description="One of the doctors named who has this speciality.")
    together: bool = Field(default=False, description="All the doctors named at once, not one of them.")
    resources: list[Name] = Field(
        default=[],
        max_length=20,
        description="Rooms, machines and assistants, beside those that the type needs (staff).",
    )


@operation("GET", "/doctors", "Who can be booked", shapes.Doctors)
def list_doctors(call: Call) -> shapes.Doctors:
    policy.require(call.actor, "doctors.read")
    return shapes.Doctors(doctors=[shapes.doctor(account) for account in accounts.doctors(call.session)])


@operation("GET", "/slots", "Free times, in order", shapes.Slots, query=SlotsQuery)
def list_slots(call: Call, query: SlotsQuery) -> shapes.Slots:
    policy.require(call.actor, "slots.read")
    chosen = lookups.doctors(call, query.doctor, specialty=query.specialty)
    kind = lookups.kind(call, query.type)
    found = []
    # Days are those of the doctor; colleagues elsewhere have other ones.
    for key in dict.fromkeys(doctor.timezone for doctor in chosen):
        there = [doctor for doctor in chosen if doctor.timezone == key]
        zone = lookups.zone(there[0])
        first = call.now.astimezone(zone).date() if query.from_ is None else query.from_
        start = lookups.begin_of(first, zone)
        end = start + timedelta(days=_USUAL_DAYS) if query.to is None else lookups.end_of(query.to, zone)
        if end - start > _LONGEST:
            reject("to", f"Ask for {_LONGEST.days} days at most.")
        if end <= start:
            reject("to", "The end lies before the beginning.")
        found += slots.free_slots(call.session, there, start, end, kind, call.now)
    found.sort(key=lambda slot: (slot.start, slot.doctor.id))
    return shapes.Slots(slots=[shapes.slot(slot) for slot in found])


@operation("GET", "/slots/explain", "Why a time is not free", shapes.Explanation, query=ExplainQuery)
def explain_slot(call: Call, query: ExplainQuery) -> shapes.Explanation:
    policy.require(call.actor, "slots.read")
    doctor, kind = lookups.doctor(call, query.doctor), lookups.kind(call, query.type)
    start = in_zone(query.start, lookups.zone(doctor))
    because = explaining.explain(call.session, doctor, start, kind, call.actor, call.now)
    return shapes.Explanation(free=not because, because=[shapes.because(each) for each in because])


@operation("POST", "/holds", "Keep a time while somebody types", shapes.Hold, status=201, body=HoldIn, refusals=(409,))
def hold_slot(call: Call, body: HoldIn) -> shapes.Hold:
    policy.require(call.actor, "hold.create")
    kind = lookups.kind(call, body.type)
    if body.resources:
        policy.require(call.actor, "resources.read")
    chosen = lookups.doctors(call, body.doctor, specialty=body.specialty)
    several = len(chosen) > 1 and not body.together
    doctor = _first_free(call, chosen, body, kind) if several else chosen[0]
    kept = booking.hold(
        call.session,
        doctor,
        to_book(body.start, lookups.zone(doctor)),
        kind,
        actor=call.actor,
        now=call.now,
        resources=body.resources,
        beside=chosen[1:] if body.together else (),
    )
    return shapes.Hold(
        id=kept.id,
        expires_at=shapes.local(kept.expires_at, doctor),
        doctor=doctor.username,
        start=shapes.local(kept.start, doctor),
        end=shapes.local(kept.end, doctor),
    )


def _first_free(call: Call, chosen: list[lookups.Account], body: HoldIn, kind: AppointmentType) -> lookups.Account:
    for doctor in choosing.by_load(call.session, chosen, to_book(body.start, lookups.zone(chosen[0]))):
        start = to_book(body.start, lookups.zone(doctor))
        if not slots.explain(call.session, doctor, start, kind, call.now, by_staff=call.actor.is_staff):
            return doctor
    return chosen[0]
