"""A doctor cannot come: the visits of some hours or days at once, looked at before anything happens."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ical.errors import InvalidInput, NotFound, Refusal
from storage import accounts, bulk, idempotency
from storage.bulk import Plan, Preview
from storage.idempotency import Answer
from storage.models import Account
from storage.policy import can, require
from web.clinic import doctors
from web.forms import Form
from web.security import policy
from web.services import now, reading, transaction

bp = Blueprint("bulk", __name__, url_prefix="/appointments/doctor/bulk")

Page = str | Response | tuple[str, int]
ACTIONS = (
    ("move_to", "Move to a colleague"),
    ("cancel", "Cancel, and tell the patients"),
    ("offer_new_times", "Ask the patients to choose another time"),
)
OTHERWISE = (("keep", "Leave them as they are"), ("cancel", "Cancel them"), ("offer_new_times", "Ask to choose"))


@bp.get("/")
@policy("bulk.change")
def plan() -> Page:
    with reading() as session:
        doctor, choices = doctors.chosen(session, "bulk.change")
        today = now().astimezone(ZoneInfo(doctor.timezone)).date()
        first = Form(None, first=today, last=today, **{"from": "00:00", "to": "23:59", "action": "move_to"})
        return _page(session, doctor, choices, first)


def _page(
    session: Any,
    doctor: Account,
    choices: list[Account],
    form: Form,
    preview: Preview | None = None,
    problem: str = "",
    status: int = 200,
) -> tuple[str, int]:
    colleagues = [each for each in _colleagues(session) if each.id != doctor.id]
    text = render_template(
        "doctor/bulk.html",
        doctor=doctor,
        choices=choices,
        colleagues=[("", "–"), *((each.username, each.name) for each in colleagues)],
        form=form,
        preview=preview,
        problem=problem,
        actions=ACTIONS,
        otherwise=OTHERWISE,
    )
    return text, status


def _colleagues(session: Any) -> list[Account]:
    return [each for each in accounts.doctors(session) if can(g.actor, "appointment.book", each)]


@bp.post("/")
@policy("bulk.change")
def preview() -> Page:
    """What would happen."""
    form = Form(request.form)
    with transaction() as session:
        doctor, choices = doctors.chosen(session, "bulk.change")
        wish = _read(session, doctor, form)
        found = None
        if wish is not None:
            try:
                found = bulk.preview(session, wish, actor=g.actor, now=now())
            except Refusal as refusal:
                form.refuse(refusal)
        return _page(session, doctor, choices, form, found, status=200 if form else 422)


@bp.post("/carry-out/")
@policy("bulk.change")
def carry_out() -> Page:
    """Do what the preview has shown. Sent twice, it is done once."""
    form = Form(request.form)
    token = form.get("token")
    try:
        with transaction() as session:
            doctor, _choices = doctors.chosen(session, "bulk.change")
            wish = _read(session, doctor, form)
            if wish is None:
                raise InvalidInput("Please look at the preview again.")
            if idempotency.once(session, f"bulk:{g.actor.account_id}", token, token, now()) is None:
                bulk.carry_out(session, wish, token, actor=g.actor, now=now())
                idempotency.keep(session, f"bulk:{g.actor.account_id}", token, Answer(303, "", {}))
            day = wish.start.astimezone(ZoneInfo(doctor.timezone)).date()
        return redirect(url_for("calendar.calendar", doctor=doctor.username, view="day", date=day, ok="bulk"), 303)
    except NotFound:
        raise
    except Refusal as refusal:
        with transaction() as session:
            doctor, choices = doctors.chosen(session, "bulk.change")
            again = _read(session, doctor, form)
            found = None if again is None else bulk.preview(session, again, actor=g.actor, now=now())
            return _page(session, doctor, choices, form, found, refusal.sentence, refusal.status)


def _read(session: Any, doctor: Account, form: Form) -> Plan | None:
    """What the form asks for; None when something in it cannot be used."""
    require(g.actor, "bulk.change", doctor)
    zone = ZoneInfo(doctor.timezone)
    first, last, begin, end = form.date("first"), form.date("last"), form.time("from"), form.time("to")
    action = form.choice("action", bulk.ACTIONS)
    otherwise = form.choice("otherwise", [value for value, _label in OTHERWISE], required="") or "keep"
    message = form.paragraph("message", maximum=1000)
    colleague = None
    if action == "move_to":
        colleague = next((each for each in _colleagues(session) if each.username == form.get("to_doctor")), None)
        if colleague is None:
            form.fail("to_doctor", "Choose the colleague who takes the visits over.")
    if not form or first is None or last is None or begin is None or end is None:
        return None
    # The last minute is included.
    until = datetime.combine(last, end, zone) + timedelta(minutes=1)
    return Plan(
        doctor,
        datetime.combine(first, begin, zone),
        until,
        action,  # type: ignore[arg-type]
        colleague,
        message,
        otherwise,  # type: ignore[arg-type]
    )
