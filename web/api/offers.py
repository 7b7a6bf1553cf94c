"""Offers of the waitlist, answered by whoever holds the token that the patient was sent."""

from typing import Literal

from pydantic import Field

from ical.errors import NotFound
from storage import offers, participants, policy, visits, waitlist
from storage.booking import Booked
from storage.models import Account, Offer, WaitlistEntry
from web.api import shapes, waitlist_shapes
from web.api.appointments import of_booking
from web.api.fields import Request
from web.api.operations import Call, operation


class Declined(Request):
    unwanted: Literal["", "day", "doctor"] = Field(
        default="", description="Not this day, or not this doctor; empty: not this time."
    )
    leave: bool = Field(default=False, description="Leave the waitlist as well.")


@operation(
    "POST", "/offers/{token}/accept", "Take what is offered", shapes.Booked, status=201, refusals=(404, 409, 410)
)
def accept_offer(call: Call, token: str) -> shapes.Booked:
    offer, _entry = _offer(call, token)
    appointment = offers.accept(call.session, offer, actor=call.actor, now=call.now)
    owner = call.session.get_one(Account, appointment.doctor_id)
    made = list(visits.of_appointment(call.session, appointment.id).values())
    others = participants.of_appointment(call.session, appointment.id)
    return of_booking(call, Booked(appointment, owner, made, [], others))


@operation(
    "POST",
    "/offers/{token}/decline",
    "Not this time",
    waitlist_shapes.Entry,
    body=Declined,
    body_required=False,
    refusals=(404, 409, 410),
)
def decline_offer(call: Call, token: str, body: Declined) -> waitlist_shapes.Entry:
    offer, entry = _offer(call, token)
    offers.decline(call.session, offer, actor=call.actor, now=call.now, unwanted=body.unwanted, leave=body.leave)
    (answer,) = waitlist_shapes.entries(call, [entry])
    return answer


def _offer(call: Call, token: str) -> tuple[Offer, WaitlistEntry]:
    """The token is the secret that the patient was sent; the caller must besides be allowed to answer for them."""
    offer = offers.by_token(call.session, token)
    entry = None if offer is None else waitlist.find(call.session, offer.entry_id)
    if offer is None or entry is None:
        raise NotFound()
    policy.require(call.actor, "offer.answer", entry)
    return offer, entry
