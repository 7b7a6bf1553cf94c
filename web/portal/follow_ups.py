"""The link of a follow-up: its days, the doctor's free times in them, and one click that books. Acts only on a POST."""

from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from ical.errors import InvalidInput, NotFound, Refusal, SlotTaken
from storage import booking, follow_ups, links, views
from storage.models import FollowUp
from storage.policy import Actor, can
from storage.slots import DoctorSlot
from web import sessions
from web.forms import Form
from web.portal.times import Choice, choice_of
from web.security import public
from web.services import now, reading, settings, transaction

bp = Blueprint("follow_up", __name__)

Page = str | AnyResponse | tuple[str, int]


@bp.get("/follow-up/<token>")
@public
def see(token: str) -> Page:
    with reading() as session:
        return _page(session, token, _found(session, token))


def _found(session: Any, token: str) -> FollowUp:
    found = follow_ups.by_token(session, token)
    if found is None:
        raise NotFound()
    return found


def _page(session: Any, token: str, found: FollowUp, problem: Refusal | None = None) -> Page:
    if found.status == "booked" and found.booked_as is not None:
        return redirect(url_for("appointment.see_by_link", token=links.token(settings(), "manage", found.booked_as)))
    doctor, kind = views.own_account(session, found.doctor_id), views.find_type(session, found.type_code)
    times = follow_ups.free_times(session, found, now()) if found.status in follow_ups.OPEN else []
    zone = ZoneInfo(doctor.timezone)
    text = render_template(
        "follow_up/book.html",
        follow_up=found,
        doctor=doctor,
        kind=kind,
        zone=zone,
        own=_days([slot for slot in times if slot.doctor.id == doctor.id], zone),
        others=_days([slot for slot in times if slot.doctor.id != doctor.id], zone),
        problem=problem,
    )
    return text, 200 if problem is None else problem.status


def read_wanted(form: Form) -> follow_ups.Wanted | None:
    """What somebody who completes a visit wants to follow; None where nothing is."""
    after = form.number("after_days", 1, 731, required="")
    first, last = form.date("due_from", required=""), form.date("due_to", required="")
    note = form.text("follow_up_note", maximum=200)
    if after is None and first is None and last is None:
        return None
    if first and last and last < first:
        form.fail("due_to", "The last day must not be before the first.")
    # Two days say it more exactly than a number that was there already.
    after = None if first or last else after
    return follow_ups.Wanted(after, first, last, form.get("follow_up_type") or None, note)


def _days(found: list[DoctorSlot], zone: ZoneInfo) -> list[tuple[Any, list[Choice]]]:
    """(day, its times)."""
    choices = [choice_of(slot) for slot in found]
    return [(day, list(times)) for day, times in groupby(choices, lambda each: each.start.astimezone(zone).date())]


@bp.post("/follow-up/<token>")
@public
def book(token: str) -> Page:
    try:
        with transaction() as session:
            found = _found(session, token)
            slot = _chosen(session, found)
            booked = booking.book(
                session,
                [slot.doctor],
                follow_ups.draft(session, found, slot.start),
                actor=_on_behalf(session, found),
                now=now(),
            )
            url = url_for("appointment.booked", token=links.token(settings(), "manage", booked.appointment.id))
        return redirect(url, 303)
    except NotFound:
        raise
    except Refusal as refusal:
        with reading() as session:
            return _page(session, token, _found(session, token), refusal)


def _chosen(session: Any, found: FollowUp) -> DoctorSlot:
    """What was clicked on, if it is still on offer."""
    value = request.form.get("slot", "")
    if "|" not in value:
        raise InvalidInput("Choose one of the times.")
    for slot in follow_ups.free_times(session, found, now()):
        if choice_of(slot).value == value:
            return slot
    raise SlotTaken()


def _on_behalf(session: Any, found: FollowUp) -> Actor:
    """The practice asked for it, so it may be of a kind that patients do not book by themselves."""
    if g.actor.is_staff and can(g.actor, "follow_up.book", found):
        return g.actor
    actor = sessions.link_actor(found.id, found.patient_id)
    kind = views.find_type(session, found.type_code)
    if kind is None or kind.self_booking:
        return actor
    return Actor("system", via=actor.via, label=actor.label)
