"""One's own details: contact, reminders, calendar feed, password, export."""

from typing import Any

from flask import Blueprint, Response, g, json, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from ical import reminders
from ical.errors import InvalidInput, NotFound, TooManyAttempts
from storage import accounts, contacts, feeds, no_shows, passwords, views
from storage.models import Patient
from web import sessions
from web.forms import Form
from web.security import policy
from web.services import now, reading, services, settings, transaction

bp = Blueprint("me", __name__, url_prefix="/me")

Page = str | AnyResponse | tuple[str, int]
OFFSETS = (10080, 4320, 2880, 1440, 720, 240, 120, 60, 30)
CHANNELS = (("email", "E-mail"), ("sms", "Text message"), ("both", "Both"))
_ROWS = 4


@bp.get("/")
@policy("account.write")
def me() -> Page:
    return _page()


def _page(form: Form | None = None, status: int = 200, feed_url: str = "", part: str = "") -> Page:
    """`form` belongs to the `part` of the page that it names; the others show what is kept."""
    with reading() as session:
        patient = accounts.patient_of(session, g.account)
        missed = no_shows.standing(session, patient.id, now()) if patient else no_shows.NOTHING
        said = no_shows.said(session, missed)
        subscriptions = views.feeds_of(session, patient_id=patient.id) if patient else []
    contact = Form(None, name=g.account.name, email=g.account.email, phone=g.account.phone)
    if patient is not None:
        contact = Form(None, name=patient.name, email=patient.email, phone=patient.phone)
    text = render_template(
        "me.html",
        patient=patient,
        missed=said,
        contact=form if form is not None and part == "contact" else contact,
        wishes=form if form is not None and part == "reminders" else _wishes(patient),
        password=form if form is not None and part == "password" else Form(),
        feeds=subscriptions,
        feed_url=feed_url,
        offsets=OFFSETS,
        channels=CHANNELS,
        rows=range(_ROWS),
        shortest=passwords.STAFF_PASSWORD_LENGTH if g.actor.is_staff else passwords.PATIENT_PASSWORD_LENGTH,
    )
    return text, status


def _wishes(patient: Patient | None) -> Form:
    plan = reminders.DEFAULT
    if patient is not None and patient.reminders is not None:
        plan = tuple((int(wish["minutes"]), str(wish["channel"])) for wish in patient.reminders.get("plan", ()))
    values = {}
    for row, (minutes, channel) in enumerate(plan[:_ROWS]):
        values[f"minutes{row}"], values[f"channel{row}"] = minutes, channel
    return Form(None, **values)


def _own(session: Any) -> Patient:
    patient = accounts.patient_of(session, g.account)
    if patient is None:
        raise NotFound()
    return patient


@bp.post("/contact/")
@policy("account.write")
def contact() -> Page:
    form = Form(request.form)
    name = form.text("name", required="Enter your name.")
    email, phone = form.email(), form.phone()
    if not email and not phone:
        form.fail("email", "Enter an e-mail address or a telephone number.")
    if form:
        try:
            with transaction() as session:
                contacts.change(session, g.account.id, name, email, phone, now())
            return redirect(url_for(".me", ok="saved"), 303)
        except InvalidInput as refusal:
            form.refuse(refusal)
    return _page(form, 422, part="contact")


@bp.post("/reminders/")
@policy("account.write")
def wishes() -> Page:
    form = Form(request.form)
    plan = []
    for row in range(_ROWS):
        minutes = form.number(f"minutes{row}", 5, 40320, required="")
        channel = form.choice(f"channel{row}", [code for code, _name in CHANNELS], required="")
        if minutes is not None:
            plan.append({"minutes": minutes, "channel": channel or "email"})
    if form:
        try:
            reminders.check_plan([(wish["minutes"], wish["channel"]) for wish in plan])
            with transaction() as session:
                _own(session).reminders = {"plan": plan}
            return redirect(url_for(".me", ok="saved"), 303)
        except InvalidInput as refusal:
            form.fail("", refusal.sentence)
    return _page(form, 422, part="reminders")


@bp.post("/feed/")
@policy("feeds.write")
def add_feed() -> Page:
    """The address is shown on this page alone."""
    with transaction() as session:
        token = feeds.add_feed(session, _own(session), "patient", "My calendar", now())
    return _page(feed_url=feeds.url(settings(), token))


@bp.post("/feed/<int:feed_id>/revoke/")
@policy("feeds.write")
def revoke_feed(feed_id: int) -> Page:
    with transaction() as session:
        own = views.feeds_of(session, patient_id=_own(session).id)
        feed = next((feed for feed in own if feed.id == feed_id), None)
        if feed is None:
            raise NotFound()
        feeds.revoke(session, feed, now())
    return redirect(url_for(".me", ok="removed"), 303)


@bp.post("/password/")
@policy("account.write")
def password() -> Page:
    form = Form(request.form)
    try:
        known = passwords.check_password(
            services().db, g.account.username, form.get("current"), request.remote_addr or "", now()
        )
        if known is None:
            form.fail("current", "This is not your present password.")
        if form.get("password") != form.get("again"):
            form.fail("again", "The two passwords differ.")
        if form and known is not None:
            with transaction() as session:
                passwords.set_password(session, views.own_account(session, known.id), form.get("password"), now())
                sessions.log_in(session, known)
            return redirect(url_for(".me", ok="saved"), 303)
    except TooManyAttempts as hasty:
        form.fail("current", hasty.sentence)
    except InvalidInput as refusal:
        form.refuse(refusal)
    return _page(form, 422, part="password")


@bp.get("/export.json")
@policy("account.write")
def export() -> Response:
    """Everything that is kept about the patient, as they may have it."""
    with reading() as session:
        told = views.export_patient(session, _own(session), now())
    answer = Response(json.dumps(told, indent=2), content_type="application/json")
    answer.headers["Content-Disposition"] = 'attachment; filename="my-appointments.json"'
    return answer
