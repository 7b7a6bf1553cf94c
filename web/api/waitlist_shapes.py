"""What the API says of the waitlist: entries, offers, and who could take what."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from storage import accounts, matches, offers, policy, waitlist, wanted
from storage.models import Account, Offer, Patient, WaitlistEntry
from web.api.fields import Reply
from web.api.operations import Call
from web.api.shapes import Person, local

Against = Literal["type", "doctor", "day", "weekday", "time", "before"]


class OfferMade(Reply):
    token: str
    doctor: str
    start: datetime
    expires_at: datetime
    made_by: str | None = Field(default=None, description="Who of the staff offered it by hand.")


class Entry(Reply):
    id: UUID
    status: Literal["waiting", "offered", "converted", "expired", "withdrawn"]
    doctor: str | list[str] = Field(description="A username, some, or any.")
    date_from: date
    date_to: date
    time_from: str
    time_to: str
    weekdays: list[str]
    type: str
    reason: str | None = None
    urgency: Literal["routine", "soon", "urgent"]
    channel: Literal["email", "sms", "both"]
    patient: Person
    added_at: datetime
    notified_at: datetime | None
    ended_at: datetime | None
    appointment: UUID | None = Field(description="What it was converted to.")
    offer: OfferMade | None = Field(default=None, description="While it is offered.")


class Waitlist(Reply):
    waitlist: list[Entry]


class Candidate(Reply):
    entry: Entry
    end: datetime = Field(description="A visit of the type that is waited for would end then.")
    against: list[Against] = Field(description="What they did not wish for, or that they were offered it before.")


class Candidates(Reply):
    candidates: list[Candidate]


class Proposal(Reply):
    entry: UUID
    doctor: str
    start: datetime


class Proposals(Reply):
    proposals: list[Proposal]


def entries(call: Call, found: Sequence[WaitlistEntry]) -> list[Entry]:
    """In a constant number of statements."""
    people = waitlist.people(call.session, found)
    made = waitlist.open_offers(call.session, [entry.id for entry in found])
    return [_entry(call, entry, people, made.get(entry.id)) for entry in found]


def candidates(call: Call, doctor: Account, found: Sequence[matches.Candidate]) -> Candidates:
    shown = entries(call, [each.entry for each in found])
    return Candidates(
        candidates=[
            Candidate(entry=entry, end=local(each.end, doctor), against=list(each.against))
            for entry, each in zip(shown, found, strict=True)
        ]
    )


def proposals(call: Call, found: Sequence[matches.Match]) -> Proposals:
    """Of the doctors whose time the caller may offer."""
    known = {doctor.id: doctor for doctor in accounts.doctors(call.session)}
    allowed = [match for match in found if policy.can(call.actor, "waitlist.offer", known[match.doctor_id])]
    return Proposals(
        proposals=[
            Proposal(
                entry=match.entry_id,
                doctor=known[match.doctor_id].username,
                start=local(match.start, known[match.doctor_id]),
            )
            for match in allowed
        ]
    )


def _entry(call: Call, of: WaitlistEntry, people: waitlist.People, offer: Offer | None) -> Entry:
    names = [people.doctors[each].username for each in sorted(of.doctor_ids) if each in people.doctors]
    shown = _person(call, of, people.patients[of.patient_id])
    answer = Entry(
        id=of.id,
        status=of.status,
        doctor="any" if not names else names[0] if len(names) == 1 else names,
        date_from=of.date_from,
        date_to=of.date_to,
        time_from=of.time_from.isoformat("minutes"),
        time_to=of.time_to.isoformat("minutes"),
        weekdays=list(wanted.weekdays_of(of)),
        type=of.type_code,
        urgency=wanted.URGENCY_OF[of.priority],
        channel=of.channel,
        patient=shown,
        added_at=of.added_at,
        notified_at=of.notified_at,
        ended_at=of.ended_at,
        appointment=of.converted_to,
    )
    if shown.name is not None:
        answer.reason = of.reason
    if offer is not None and offer.expires_at > call.now:
        answer.offer = _offer_made(call, offer, people.doctors[offer.doctor_id])
    return answer


def _offer_made(call: Call, offer: Offer, doctor: Account) -> OfferMade:
    made = OfferMade(
        token=offers.offer_token(call.settings, offer.id),
        doctor=doctor.username,
        start=local(offer.start, doctor),
        expires_at=local(offer.expires_at, doctor),
    )
    if call.actor.is_staff and offer.made_by:
        made.made_by = offer.made_by
    return made


def _person(call: Call, of: WaitlistEntry, patient: Patient) -> Person:
    """Whoever waits for any doctor is known to every doctor: somebody has to call them."""
    asking = call.actor.account_id
    everybodys = call.actor.role == "doctor" and not of.doctor_ids and asking is not None
    doctors = frozenset({asking}) if everybodys else of.doctor_ids
    if not policy.can(call.actor, "patient.read", policy.PatientOf(patient.id, doctors)):
        return Person(id=patient.id)
    return Person(id=patient.id, name=patient.name, email=patient.email, phone=patient.phone)
