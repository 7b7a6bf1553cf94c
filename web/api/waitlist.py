"""The waitlist: join it, read it, change and leave an entry; what staff offer by hand."""

from dataclasses import replace
from datetime import time
from typing import Literal
from uuid import UUID

from pydantic import Field

from ical.errors import Forbidden, NotFound, VersionConflict
from storage import matches, offers, policy, waitlist, wanted
from storage.models import Account, WaitlistEntry
from storage.wanted import Wanted
from web.api import appointments, lookups, shapes, waitlist_shapes
from web.api.fields import Day, Moment, Name, Prose, Query, Request, TimeOfDay, in_zone, to_book
from web.api.lookups import PatientIn
from web.api.operations import Call, operation

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Status = Literal["waiting", "offered", "converted", "expired", "withdrawn"]
Urgency = Literal["routine", "soon", "urgent"]
Channel = Literal["email", "sms", "both"]
Among = Name | list[Name]
_AMONG = "A username, a list of some, or any."


class EntryIn(Request):
    doctor: Among = Field(default="any", description=_AMONG)
    date_from: Day
    date_to: Day
    time_from: TimeOfDay = Field(default=time(0, 0), description="Wall time of the doctor.")
    time_to: TimeOfDay = time(23, 59)
    weekdays: list[Weekday] = Field(default=[], max_length=7, description="Empty: every day.")
    type: Name = "consultation"
    reason: Prose = ""
    urgency: Urgency = Field(default="routine", description="Set by staff: the urgent are asked first.")
    channel: Channel = Field(default="both", description="How offers are told.")
    patient: PatientIn | None = Field(default=None, description="Left out when a patient joins for themselves.")


class EntryChanges(Request):
    """What is left out stays as it is."""

    doctor: Among | None = Field(default=None, description=_AMONG)
    date_from: Day | None = None
    date_to: Day | None = None
    time_from: TimeOfDay | None = None
    time_to: TimeOfDay | None = None
    weekdays: list[Weekday] | None = Field(default=None, max_length=7)
    type: Name | None = None
    reason: Prose | None = None
    urgency: Urgency | None = None
    channel: Channel | None = None


class WaitlistQuery(Query):
    doctor: Name | None = None
    status: Status | None = None
    type: Name | None = None
    urgency: Urgency | None = None


class SlotQuery(Query):
    doctor: Name
    start: Moment


class ByHand(Request):
    doctor: Name
    start: Moment


@operation("POST", "/waitlist", "Join the waitlist", waitlist_shapes.Entry, status=201, body=EntryIn, refusals=(409,))
def join_waitlist(call: Call, body: EntryIn) -> waitlist_shapes.Entry:
    policy.require(call.actor, "waitlist.join")
    asked = Wanted(
        doctors=_among(call, body.doctor),
        kind=lookups.kind(call, body.type),
        date_from=body.date_from,
        date_to=body.date_to,
        time_from=body.time_from,
        time_to=body.time_to,
        weekdays=body.weekdays,
        reason=body.reason,
        urgency=body.urgency,
        channel=body.channel,
    )
    patient = lookups.patient(call, body.patient)
    entry = waitlist.join(call.session, patient, asked, actor=call.actor, now=call.now)
    call.answer_headers["Location"] = f"/api/v1/waitlist/{entry.id}"
    return _answer(call, entry)


@operation(
    "GET",
    "/waitlist",
    "Who waits, the most urgent first, then first come first",
    waitlist_shapes.Waitlist,
    query=WaitlistQuery,
)
def list_waitlist(call: Call, query: WaitlistQuery) -> waitlist_shapes.Waitlist:
    doctor = None if query.doctor is None else lookups.doctor(call, query.doctor)
    if call.actor.role == "doctor":
        if doctor is not None and doctor.id != call.account.id:
            raise Forbidden()
        doctor = call.account
    if call.actor.role == "patient" and call.patient is None:
        return waitlist_shapes.Waitlist(waitlist=[])
    entries = waitlist.list_entries(
        call.session,
        doctor=doctor,
        patient=call.patient,
        statuses=[query.status] if query.status else [],
        kind=query.type or "",
        urgency=query.urgency or "",
    )
    return waitlist_shapes.Waitlist(waitlist=waitlist_shapes.entries(call, entries))


@operation("GET", "/waitlist/proposals", "Free times that staff offer by hand", waitlist_shapes.Proposals)
def list_proposals(call: Call) -> waitlist_shapes.Proposals:
    policy.require(call.actor, "waitlist.offer")
    return waitlist_shapes.proposals(call, matches.matches(call.session, call.now, by_hand=True))


@operation("GET", "/waitlist/candidates", "Who could take a free time", waitlist_shapes.Candidates, query=SlotQuery)
def list_candidates(call: Call, query: SlotQuery) -> waitlist_shapes.Candidates:
    doctor = lookups.doctor(call, query.doctor)
    policy.require(call.actor, "waitlist.offer", doctor)
    start = in_zone(query.start, lookups.zone(doctor))
    return waitlist_shapes.candidates(call, doctor, matches.candidates(call.session, doctor, start, call.now))


@operation("GET", "/waitlist/{id}", "One entry", waitlist_shapes.Entry, refusals=(404,))
def read_waitlist_entry(call: Call, id: UUID) -> waitlist_shapes.Entry:
    return _answer(call, _entry(call, id, "waitlist.read"))


@operation(
    "PATCH",
    "/waitlist/{id}",
    "Change an entry; its place in the order stays",
    waitlist_shapes.Entry,
    body=EntryChanges,
    refusals=(404, 409, 412),
)
def change_waitlist_entry(call: Call, id: UUID, body: EntryChanges) -> waitlist_shapes.Entry:
    entry = _entry(call, id, "waitlist.change")
    waitlist.lock(call.session, entry)
    if call.if_match is not None and not lookups.matches(call.if_match, str(entry.version)):
        raise VersionConflict()
    given = {name: getattr(body, name) for name in body.model_fields_set if getattr(body, name) is not None}
    if "doctor" in given:
        given["doctors"] = _among(call, given.pop("doctor"))
    if "type" in given and given["type"] != entry.type_code:
        given["kind"] = lookups.kind(call, given["type"])
    given.pop("type", None)
    asked = replace(wanted.of_entry(call.session, entry), **given)
    waitlist.edit(call.session, entry, asked, actor=call.actor, now=call.now)
    return _answer(call, entry)


@operation("POST", "/waitlist/{id}/withdraw", "Leave the waitlist", waitlist_shapes.Entry, refusals=(404, 409))
def withdraw_waitlist_entry(call: Call, id: UUID) -> waitlist_shapes.Entry:
    entry = _entry(call, id, "waitlist.withdraw")
    waitlist.withdraw(call.session, entry, actor=call.actor, now=call.now)
    return _answer(call, entry)


@operation(
    "POST",
    "/waitlist/{id}/offer",
    "Offer this time by hand",
    waitlist_shapes.Entry,
    status=201,
    body=ByHand,
    refusals=(404, 409),
)
def offer_by_hand(call: Call, id: UUID, body: ByHand) -> waitlist_shapes.Entry:
    entry = _entry(call, id, "waitlist.read")
    doctor = lookups.doctor(call, body.doctor)
    policy.require(call.actor, "waitlist.offer", doctor)
    start = to_book(body.start, lookups.zone(doctor))
    offers.offer_by_hand(call.session, entry, doctor, start, actor=call.actor, now=call.now)
    return _answer(call, entry)


@operation(
    "POST",
    "/waitlist/{id}/book",
    "Book this time, as agreed with the patient",
    shapes.Booked,
    status=201,
    body=ByHand,
    refusals=(404, 409),
)
def book_waitlist_entry(call: Call, id: UUID, body: ByHand) -> shapes.Booked:
    entry = _entry(call, id, "waitlist.read")
    doctor = lookups.doctor(call, body.doctor)
    policy.require(call.actor, "waitlist.offer", doctor)
    start = to_book(body.start, lookups.zone(doctor))
    booked = offers.book(call.session, entry, doctor, start, actor=call.actor, now=call.now)
    return appointments.of_booking(call, booked)


def _among(call: Call, named: str | list[str]) -> list[Account]:
    """Any: nobody in particular."""
    return [] if named == "any" else lookups.doctors(call, named)


def _entry(call: Call, entry_id: UUID, action: str) -> WaitlistEntry:
    entry = waitlist.find(call.session, entry_id)
    if entry is None:
        raise NotFound()
    policy.require(call.actor, action, entry)
    return entry


def _answer(call: Call, entry: WaitlistEntry) -> waitlist_shapes.Entry:
    call.answer_headers["ETag"] = f'"{entry.version}"'
    (answer,) = waitlist_shapes.entries(call, [entry])
    return answer
