"""The waitlist for patients: joining it, changing what one waits for, leaving it. Links act only after a POST."""

import secrets
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from ical.errors import NotFound, Refusal
from storage import accounts, idempotency, links, offers, views, waitlist, wanted
from storage.idempotency import Answer
from storage.models import AppointmentType, WaitlistEntry
from storage.policy import require
from web import sessions, wishes
from web.forms import read_date
from web.portal.booking import bookable_doctors, offered_types
from web.security import policy, public
from web.services import now, reading, settings, transaction
from web.wishes import WishForm

bp = Blueprint("waitlist", __name__)

Page = str | AnyResponse | tuple[str, int]


@bp.get("/appointments/waitlist/join/")
@policy("waitlist.join")
def join() -> Page:
    today = now().astimezone(settings().zone).date()
    first = max(read_date(request.args.get("date")) or today, today)
    known = {} if g.patient is None else {"name": g.patient.name, "email": g.patient.email, "phone": g.patient.phone}
    form = WishForm(
        None,
        type=request.args.get("type"),
        date_from=first,
        date_to=first + timedelta(days=14),
        time_from="08:00",
        time_to="18:00",
        urgency="routine",
        channel="both",
        once=secrets.token_urlsafe(16),
        **known,
    )
    form.doctors = request.args.getlist("doctor")
    with reading() as session:
        return _join_page(session, form)


def _join_page(session: Any, form: WishForm, status: int = 200) -> Page:
    text = render_template("waitlist/join.html", patient=g.patient, **_choices(session, form))
    return text, status


def _choices(session: Any, form: WishForm) -> dict[str, Any]:
    return {
        "form": form,
        "kinds": offered_types(session),
        "doctors": bookable_doctors(session),
        "weekdays": wishes.WEEKDAYS,
        "channels": wishes.CHANNEL_NAMES,
        "urgencies": wishes.URGENCIES if g.actor.is_staff else (),
        "today": now().astimezone(settings().zone).date(),
    }


@bp.post("/appointments/waitlist/join/")
@policy("waitlist.join")
def joined() -> Page:
    form = WishForm(request.form)
    try:
        url = _joined(form)
    except Refusal as refusal:
        form.refuse(refusal)
        url = ""
    if url:
        return redirect(url, 303)
    with reading() as session:
        return _join_page(session, form, 422)


def _joined(form: WishForm) -> str:
    """The address of the entry's page; "" when the form needs correcting. Sent twice, it joins once."""
    with transaction() as session:
        kinds = {kind.code: kind for kind in offered_types(session)}
        doctors = {doctor.username: doctor for doctor in bookable_doctors(session)}
        asked = wishes.read(form, kinds, doctors, urgency=None if g.actor.is_staff else "routine")
        name, email, phone = _contact(form)
        if not form or asked is None:
            return ""
        once = form.get("once")[:64] or secrets.token_urlsafe(16)
        known = idempotency.once(session, "waitlist", once, "join", now())
        if known is not None:
            return known.body
        patient = g.patient or accounts.find_or_create_patient(session, name, email, phone, now())
        entry = waitlist.join(session, patient, asked, actor=g.actor, now=now())
        url = url_for(".entry", token=links.token(settings(), "waitlist", entry.id), new="yes")
        idempotency.keep(session, "waitlist", once, Answer(303, url, {}))
        return url


def _contact(form: WishForm) -> tuple[str, str, str]:
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
        doctors = [each for each in accounts.doctors(session) if each.id in found.doctor_ids]
        made = waitlist.open_offer(session, found)
        usable = made is not None and made.expires_at > now()
        return render_template(
            "waitlist/entry.html",
            entry=found,
            kind=views.find_type(session, found.type_code),
            doctors=doctors,
            token=token,
            new=request.args.get("new") == "yes",
            offer_token=offers.offer_token(settings(), made.id) if made is not None and usable else "",
            manage_token=links.token(settings(), "manage", found.converted_to) if found.converted_to else "",
        )


@bp.get("/waitlist/<token>/change")
@public
def change(token: str) -> Page:
    with reading() as session:
        found = _entry(session, token)
        if found.status not in wanted.OPEN:
            return redirect(url_for(".entry", token=token))
        doctors = {doctor.username: doctor for doctor in bookable_doctors(session)}
        return _change_page(session, token, found, wishes.of_entry(found, doctors))


@bp.post("/waitlist/<token>/change")
@public
def changed(token: str) -> Page:
    form = WishForm(request.form)
    try:
        with transaction() as session:
            found = _entry(session, token)
            kinds = {kind.code: kind for kind in _kinds(session, found)}
            doctors = {doctor.username: doctor for doctor in bookable_doctors(session)}
            asked = wishes.read(form, kinds, doctors, urgency=wanted.URGENCY_OF[found.priority])
            version = form.number("version", 1, 999_999, required="Please open this page anew.")
            if form and asked is not None:
                actor = sessions.link_actor(found.id, found.patient_id)
                waitlist.edit(session, found, asked, actor=actor, now=now(), version=version)
    except NotFound:
        raise
    except Refusal as refusal:
        form.refuse(refusal)
    if form:
        return redirect(url_for(".entry", token=token, ok="saved"), 303)
    with reading() as session:
        return _change_page(session, token, _entry(session, token), form, 422)


def _change_page(session: Any, token: str, found: WaitlistEntry, form: WishForm, status: int = 200) -> Page:
    shown = _choices(session, form) | {"kinds": _kinds(session, found), "urgencies": ()}
    return render_template("waitlist/change.html", token=token, **shown), status


def _kinds(session: Any, found: WaitlistEntry) -> list[AppointmentType]:
    """Those that patients choose among, and the one that they were put on the list for."""
    own = views.find_type(session, found.type_code)
    offered = offered_types(session)
    return offered if own is None or own in offered else [own, *offered]


def _entry(session: Any, token: str) -> WaitlistEntry:
    entry_id = links.subject(settings(), "waitlist", token)
    found = None if entry_id is None else waitlist.find(session, entry_id)
    if found is None:
        raise NotFound()
    return found


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
        return redirect(url_for("doctor_waitlist.listed", doctor=request.form.get("doctor") or None, ok="removed"), 303)
    return redirect(url_for("appointment.mine", ok="withdrawn"), 303)


@bp.get("/appointments/waitlist/<uuid:entry_id>/")
@policy("waitlist.read")
def own(entry_id: UUID) -> Page:
    """From a list behind a login to the entry's page."""
    with reading() as session:
        found = waitlist.find(session, entry_id)
        if found is None:
            raise NotFound()
        require(g.actor, "waitlist.read", found)
    if g.actor.is_staff:
        return redirect(url_for("doctor_waitlist.entry", entry_id=entry_id))
    return redirect(url_for(".entry", token=links.token(settings(), "waitlist", entry_id)))
