"""An offer of the waitlist: seen, taken, declined; and for who comes too late, what else is free."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from ical.errors import NotFound, Refusal
from storage import accounts, links, offers, slots, views, waitlist
from storage.models import Account, AppointmentType, Offer, WaitlistEntry
from web import sessions
from web.portal import times
from web.portal.booking import bookable_doctors
from web.security import public
from web.services import now, reading, settings, transaction

bp = Blueprint("offer", __name__)

Page = str | AnyResponse | tuple[str, int]
_ALTERNATIVES = 6
# What is said with a "no": the value of the button's choice, and what it means.
_NO: dict[str, dict[str, Any]] = {
    "time": {},
    "day": {"unwanted": "day"},
    "doctor": {"unwanted": "doctor"},
    "leave": {"leave": True},
}


@bp.get("/offer/<token>")
@public
def offer(token: str) -> Page:
    with reading() as session:
        return _offer_page(session, token, _offer(session, token))


def _offer(session: Any, token: str) -> Offer:
    found = offers.by_token(session, token)
    if found is None:
        raise NotFound()
    return found


def _offer_page(session: Any, token: str, found: Offer, problem: Refusal | None = None) -> Page:
    entry = waitlist.find(session, found.entry_id)
    kind = views.find_type(session, found.type_code)
    doctor = next((each for each in accounts.doctors(session) if each.id == found.doctor_id), None)
    if entry is None or kind is None or doctor is None:
        raise NotFound()
    if found.state == "accepted" and entry.converted_to is not None:
        return redirect(url_for("appointment.see_by_link", token=links.token(settings(), "manage", entry.converted_to)))
    usable = found.state == "open" and found.expires_at > now() and problem is None
    text = render_template(
        "waitlist/offer.html",
        offer=found,
        entry=entry,
        kind=kind,
        doctor=doctor,
        usable=usable,
        problem=problem,
        entry_token=links.token(settings(), "waitlist", entry.id),
        others=[] if usable else _others(session, entry, kind),
    )
    return text, 200 if usable or problem is None else problem.status


def _others(session: Any, entry: WaitlistEntry, kind: AppointmentType) -> list[times.Choice]:
    """What else is free soon, for somebody who came too late."""
    doctors: list[Account] = bookable_doctors(session)
    doctors = [each for each in doctors if not entry.doctor_ids or each.id in entry.doctor_ids]
    until = now() + timedelta(days=14)
    found = slots.free_slots(session, doctors, now(), until, kind, now()) if kind.self_booking else []
    return [times.choice_of(slot) for slot in found[:_ALTERNATIVES]]


@bp.post("/offer/<token>")
@public
def answer(token: str) -> Page:
    accepts = request.form.get("answer") == "accept"
    try:
        with transaction() as session:
            found = _offer(session, token)
            actor = sessions.link_actor(found.entry_id, _patient_of(session, found))
            if accepts:
                made = offers.accept(session, found, actor=actor, now=now())
                url = url_for("appointment.booked", token=links.token(settings(), "manage", made.id))
            else:
                no = _NO.get(request.form.get("no", "time"), {})
                offers.decline(session, found, actor=actor, now=now(), **no)
                told = {"ok": "withdrawn"} if no.get("leave") else {"declined": "yes"}
                url = url_for("waitlist.entry", token=links.token(settings(), "waitlist", found.entry_id), **told)
    except NotFound:
        raise
    except Refusal as refusal:
        with reading() as session:
            return _offer_page(session, token, _offer(session, token), refusal)
    return redirect(url, 303)


def _patient_of(session: Any, found: Offer) -> UUID | None:
    entry = waitlist.find(session, found.entry_id)
    return None if entry is None else entry.patient_id
