"""The waitlist: join it, read it, answer an offer."""

from datetime import time
from typing import Literal
from uuid import UUID

from pydantic import Field

from ical.errors import Forbidden, NotFound
from storage import policy, visits, waitlist
from storage.booking import Booked
from storage.models import Account, Offer, Patient, WaitlistEntry
from web.api import appointments, lookups, shapes
from web.api.fields import Day, Name, Prose, Query, Request, TimeOfDay
from web.api.lookups import PatientIn
from web.api.operations import Call, operation

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Status = Literal["waiting", "offered", "converted", "expired", "withdrawn"]


class EntryIn(Request):
    doctor: Name = Field(default="any", description="A username, or any.")
    date_from: Day
    date_to: Day
    time_from: TimeOfDay = Field(default=time(0, 0), description="Wall time of the doctor.")
    time_to: TimeOfDay = time(23, 59)
    weekdays: list[Weekday] = Field(default=[], max_length=7, description="Empty: every day.")
    type: Name = "consultation"
    reason: Prose = ""
    patient: PatientIn | None = Field(default=None, description="Left out when a patient joins for themselves.")


class WaitlistQuery(Query):
    doctor: Name | None = None
    status: Status | None = None


@operation("POST", "/waitlist", "Join the waitlist", shapes.Entry, status=201, body=EntryIn)
def join_waitlist(call: Call, body: EntryIn) -> shapes.Entry:
    policy.require(call.actor, "waitlist.join")
    entry = waitlist.join(
        call.session,
        patient=lookups.patient(call, body.patient),
        doctor=None if body.doctor == "any" else lookups.doctor(call, body.doctor),
        kind=lookups.kind(call, body.type),
        date_from=body.date_from,
        date_to=body.date_to,
        time_from=body.time_from,
        time_to=body.time_to,
        weekdays=body.weekdays,
        reason=body.reason,
        actor=call.actor,
        now=call.now,
    )
    call.answer_headers["Location"] = f"/api/v1/waitlist/{entry.id}"
    return _shown(call, entry, None)


@operation("GET", "/waitlist", "Who waits, first come first", shapes.Waitlist, query=WaitlistQuery)
def list_waitlist(call: Call, query: WaitlistQuery) -> shapes.Waitlist:
    doctor = None if query.doctor is None else lookups.doctor(call, query.doctor)
    if call.actor.role == "doctor":
        if doctor is not None and doctor.id != call.account.id:
            raise Forbidden()
        doctor = call.account
    if call.actor.role == "patient" and call.patient is None:
        return shapes.Waitlist(waitlist=[])
    entries = waitlist.list_entries(
        call.session, doctor=doctor, patient=call.patient, statuses=[query.status] if query.status else []
    )
    offers = waitlist.open_offers(call.session, [entry.id for entry in entries])
    return shapes.Waitlist(waitlist=[_shown(call, entry, offers.get(entry.id)) for entry in entries])


@operation("GET", "/waitlist/{id}", "One entry", shapes.Entry, refusals=(404,))
def read_waitlist_entry(call: Call, id: UUID) -> shapes.Entry:
    entry = waitlist.find(call.session, id)
    if entry is None:
        raise NotFound()
    # Whoever waits for any doctor stands in every doctor's list.
    if not (call.actor.role == "doctor" and entry.doctor_id is None):
        policy.require(call.actor, "waitlist.read", entry)
    return _shown(call, entry, waitlist.open_offers(call.session, [entry.id]).get(entry.id))


@operation(
    "POST", "/offers/{token}/accept", "Take what is offered", shapes.Booked, status=201, refusals=(404, 409, 410)
)
def accept_offer(call: Call, token: str) -> shapes.Booked:
    offer, _entry = _offer(call, token)
    appointment = waitlist.accept(call.session, offer, actor=call.actor, now=call.now)
    owner = call.session.get(Account, appointment.doctor_id)
    made = list(visits.of_appointment(call.session, appointment.id).values())
    return appointments.of_booking(call, Booked(appointment, owner, made, []))


@operation("POST", "/offers/{token}/decline", "Not this time", shapes.Entry, refusals=(404, 409, 410))
def decline_offer(call: Call, token: str) -> shapes.Entry:
    offer, entry = _offer(call, token)
    waitlist.decline(call.session, offer, actor=call.actor, now=call.now)
    return _shown(call, entry, None)


def _offer(call: Call, token: str) -> tuple[Offer, WaitlistEntry]:
    """The token is the secret that the patient was sent; the caller must besides be allowed to answer for them."""
    offer = waitlist.by_token(call.session, token)
    entry = None if offer is None else waitlist.find(call.session, offer.entry_id)
    if offer is None or entry is None:
        raise NotFound()
    if not (call.actor.role == "doctor" and entry.doctor_id is None):
        policy.require(call.actor, "offer.answer", entry)
    return offer, entry


def _shown(call: Call, entry: WaitlistEntry, offer: Offer | None) -> shapes.Entry:
    patient = call.session.get(Patient, entry.patient_id)
    made = None
    if offer is not None and offer.expires_at > call.now:
        owner = call.session.get(Account, offer.doctor_id)
        made = shapes.offer_made(offer, waitlist.offer_token(call.settings, offer.id), owner)
    return shapes.entry(call, entry, patient, lookups.account_of(call, entry.doctor_id), made)
