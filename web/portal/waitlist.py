"""The waitlist for patients: joining it, leaving it, and answering an offer. Links act only after a POST."""

import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from ical.errors import NotFound, Refusal
from storage import accounts, idempotency, links, slots, views, waitlist
from storage.idempotency import Answer
from storage.models import Account, AppointmentType, Offer, WaitlistEntry
from storage.policy import require
from web import sessions
from web.forms import Form, read_date
from web.portal import times
from web.portal.booking import ANY, bookable_doctors, offered_types
from web.security import policy, public
from web.services import now, reading, settings, transaction

bp = Blueprint("waitlist", __name__)

Page = str | AnyResponse | tuple[str, int]
WEEKDAYS = (
    ("mon", "Mon"),
    ("tue", "Tue"),
    ("wed", "Wed"),
    ("thu", "Thu"),
    ("fri", "Fri"),
    ("sat", "Sat"),
    ("sun", "Sun"),
)
_ALTERNATIVES = 6


@bp.get("/appointments/waitlist/join/")
@policy("waitlist.join")
def join() -> Page:
    today = now().astimezone(settings().zone).date()
    first = max(read_date(request.args.get("date")) or today, today)
    known = {} if g.patient is None else {"name": g.patient.name, "email": g.patient.email, "phone": g.patient.phone}
    form = Form(
        None,
        type=request.args.get("type"),
        doctor=request.args.get("doctor", ANY),
        date_from=first,
        date_to=first + timedelta(days=14),
        time_from="08:00",
        time_to="18:00",
        once=secrets.token_urlsafe(16),
        **known,
    )
    with reading() as session:
        return _join_page(session, form, [])


def _join_page(session: Any, form: Form, weekdays: list[str], status: int = 200) -> Page:
    text = render_template(
        "waitlist/join.html",
        form=form,
        kinds=offered_types(session),
        doctors=bookable_doctors(session),
        weekdays=WEEKDAYS,
        chosen=weekdays,
        patient=g.patient,
        today=now().astimezone(settings().zone).date(),
    )
    return text, status


@bp.post("/appointments/waitlist/join/")
@policy("waitlist.join")
def joined() -> Page:
    form = Form(request.form)
    weekdays = form.choices("weekdays", request.form.getlist("weekdays"), [code for code, _name in WEEKDAYS])
    try:
        url = _joined(form, weekdays)
    except Refusal as refusal:
        form.refuse(refusal)
        url = ""
    if url:
        return redirect(url, 303)
    with reading() as session:
        return _join_page(session, form, weekdays, 422)


def _joined(form: Form, weekdays: list[str]) -> str:
    """The address of the entry's page; "" when the form needs correcting. Sent twice, it joins once."""
    with transaction() as session:
        kinds = {kind.code: kind for kind in offered_types(session)}
        doctors = {doctor.username: doctor for doctor in bookable_doctors(session)}
        code = form.choice("type", kinds, required="Choose what it is about.")
        username = form.choice("doctor", {*doctors, ANY}, required="Choose a doctor, or any.")
        first, last = form.date("date_from"), form.date("date_to")
        opens, closes = form.time("time_from"), form.time("time_to")
        reason = form.text("reason", maximum=300)
        name, email, phone = _contact(form)
        if first and last and first > last:
            form.fail("date_to", "The last day must not be before the first.")
        if opens and closes and opens >= closes:
            form.fail("time_to", "The end must be later than the beginning.")
        if not form or first is None or last is None or opens is None or closes is None:
            return ""
        once = form.get("once")[:64] or secrets.token_urlsafe(16)
        known = idempotency.once(session, "waitlist", once, "join", now())
        if known is not None:
            return known.body
        entry = waitlist.join(
            session,
            patient=g.patient or accounts.find_or_create_patient(session, name, email, phone, now()),
            doctor=doctors.get(username),
            kind=kinds[code],
            date_from=first,
            date_to=last,
            time_from=opens,
            time_to=closes,
            weekdays=weekdays,
            reason=reason,
            actor=g.actor,
            now=now(),
        )
        url = url_for(".entry", token=links.token(settings(), "waitlist", entry.id), new="yes")
        idempotency.keep(session, "waitlist", once, Answer(303, url, {}))
        return url


def _contact(form: Form) -> tuple[str, str, str]:
    if g.patient is not None:
        return g.patient.name, g.patient.email, g.patient.phone
    name = form.text("name", required="Enter your name.")
    email = form.email(required="" if g.actor.is_staff else "Enter your e-mail address: the offer goes there.")
    phone = form.phone()
    if not email and not phone:
        form.fail("email", "Enter an e-mail address or a telephone number.")
    if not g.actor.is_staff:
        form.ticked("consent", required="Please agree, so that we may keep what you entered.")
    return name, email, phone


@bp.get("/waitlist/<token>")
@public
def entry(token: str) -> Page:
    """What somebody waits for, for the holder of the link."""
    with reading() as session:
        found = _entry(session, token)
        return render_template(
            "waitlist/entry.html",
            entry=found,
            kind=views.find_type(session, found.type_code),
            doctor=_doctor(session, found.doctor_id),
            token=token,
            new=request.args.get("new") == "yes",
        )


def _entry(session: Any, token: str) -> WaitlistEntry:
    entry_id = links.subject(settings(), "waitlist", token)
    found = None if entry_id is None else waitlist.find(session, entry_id)
    if found is None:
        raise NotFound()
    return found


def _doctor(session: Any, doctor_id: int | None) -> Account | None:
    return next((doctor for doctor in accounts.doctors(session) if doctor.id == doctor_id), None)


@bp.post("/waitlist/<token>")
@public
def leave(token: str) -> Page:
    with transaction() as session:
        found = _entry(session, token)
        waitlist.withdraw(session, found, actor=sessions.link_actor(found.id, found.patient_id), now=now())
    return redirect(url_for(".entry", token=token, ok="withdrawn"), 303)


@bp.post("/appointments/waitlist/<uuid:entry_id>/withdraw/")
@policy("waitlist.withdraw")
def withdraw(entry_id: UUID) -> Page:
    """By a login: the patient's own, or the practice's."""
    with transaction() as session:
        found = waitlist.find(session, entry_id)
        if found is None:
            raise NotFound()
        require(g.actor, "waitlist.withdraw", found)
        waitlist.withdraw(session, found, actor=g.actor, now=now())
    if g.actor.is_staff:
        return redirect(
            url_for("doctor_waitlist.waitlist", doctor=request.form.get("doctor") or None, ok="removed"), 303
        )
    return redirect(url_for("appointment.mine", ok="withdrawn"), 303)


@bp.get("/offer/<token>")
@public
def offer(token: str) -> Page:
    with reading() as session:
        return _offer_page(session, token, _offer(session, token))


def _offer(session: Any, token: str) -> Offer:
    found = waitlist.by_token(session, token)
    if found is None:
        raise NotFound()
    return found


def _offer_page(session: Any, token: str, found: Offer, problem: Refusal | None = None) -> Page:
    entry = waitlist.find(session, found.entry_id)
    kind = views.find_type(session, found.type_code)
    doctor = _doctor(session, found.doctor_id)
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
        token=token,
        usable=usable,
        problem=problem,
        entry_token=links.token(settings(), "waitlist", entry.id),
        others=[] if usable else _others(session, entry, doctor, kind),
    )
    return text, 200 if usable or problem is None else problem.status


def _others(session: Any, entry: WaitlistEntry, doctor: Account, kind: AppointmentType) -> list[times.Choice]:
    """What else is free soon, for somebody who came too late."""
    doctors = bookable_doctors(session) if entry.doctor_id is None else [doctor]
    until = now() + timedelta(days=14)
    found = slots.free_slots(session, doctors, now(), until, kind, now())
    return [times.Choice(slot.start, slot.end, slot.doctor, slot.spots) for slot in found[:_ALTERNATIVES]]


@bp.post("/offer/<token>")
@public
def answer(token: str) -> Page:
    accepts = request.form.get("answer") == "accept"
    try:
        with transaction() as session:
            found = _offer(session, token)
            actor = sessions.link_actor(found.entry_id, _patient_of(session, found))
            if accepts:
                made = waitlist.accept(session, found, actor=actor, now=now())
                url = url_for("appointment.booked", token=links.token(settings(), "manage", made.id))
            else:
                waitlist.decline(session, found, actor=actor, now=now())
                url = url_for(".entry", token=links.token(settings(), "waitlist", found.entry_id), declined="yes")
    except NotFound:
        raise
    except Refusal as refusal:
        with reading() as session:
            return _offer_page(session, token, _offer(session, token), refusal)
    return redirect(url, 303)


def _patient_of(session: Any, found: Offer) -> UUID | None:
    entry = waitlist.find(session, found.entry_id)
    return None if entry is None else entry.patient_id
