"""A doctor's working hours, with the leave beside them; what is done about leave is web.clinic.leave."""

from datetime import timedelta
from zoneinfo import ZoneInfo

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ical.errors import NotFound, Refusal
from storage import hours, leave
from storage.models import Account
from storage.policy import can
from web.clinic import doctors
from web.forms import Form
from web.security import policy
from web.services import now, reading, transaction
from web.wishes import WEEKDAYS

bp = Blueprint("schedule", __name__, url_prefix="/appointments/doctor/schedule")

Page = str | Response | tuple[str, int]
AGAIN = (("", "Never"), ("WEEKLY", "Every week"), ("WEEKLY;INTERVAL=2", "Every other week"), ("DAILY", "Every day"))


@bp.get("/")
@policy("hours.read")
def schedule() -> Page:
    return page()


def page(form: Form | None = None, part: str = "", status: int = 200, days: list[str] | None = None) -> Page:
    with reading() as session:
        doctor, choices = doctors.chosen(session, "hours.read")
        zone = ZoneInfo(doctor.timezone)
        today = now().astimezone(zone).date()
        new_hours = Form(None, **{"from": "09:00", "to": "12:00", "slot": doctor.slot_minutes, "capacity": 1})
        new_leave = Form(None, first=today + timedelta(days=1), last=today + timedelta(days=1))
        text = render_template(
            "doctor/schedule.html",
            doctor=doctor,
            choices=choices,
            zone=zone,
            today=today,
            hours=hours.list_hours(session, doctor),
            leave=leave.list_leave(session, [doctor], now()),
            how_often=leave.how_often,
            again=AGAIN,
            weekdays=WEEKDAYS,
            may_approve=can(g.actor, "leave.approve", doctor),
            hours_form=form if form is not None and part == "hours" else new_hours,
            leave_form=form if form is not None and part == "leave" else new_leave,
            close_form=form if form is not None and part == "close" else Form(),
            days=days or [],
        )
    return text, status


def done(doctor: Account, word: str) -> Response:
    return redirect(url_for("schedule.schedule", doctor=doctor.username, ok=word), 303)


@bp.post("/hours/")
@policy("hours.write")
def add() -> Page:
    form = Form(request.form)
    days = form.choices(
        "days",
        request.form.getlist("days"),
        [code for code, _name in WEEKDAYS],
        required="Choose at least one weekday.",
    )
    start, end = form.time("from"), form.time("to")
    slot, capacity = form.number("slot", 5, 480), form.number("capacity", 1, 99)
    if start and end and start >= end:
        form.fail("to", "The end must be later than the beginning.")
    if form and start and end and capacity:
        try:
            with transaction() as session:
                doctor, _choices = doctors.chosen(session, "hours.write")
                hours.add_hours(
                    session, doctor, days, start, end, slot=slot, capacity=capacity, actor=g.actor, now=now()
                )
            return done(doctor, "hours")
        except NotFound:
            raise
        except Refusal as refusal:
            form.refuse(refusal)
    return page(form, "hours", 422, days)


@bp.post("/close/")
@policy("hours.write")
def close() -> Page:
    """Take one day out of weekly hours; booked appointments stay."""
    form = Form(request.form)
    day = form.date("day")
    if day is not None:
        try:
            with transaction() as session:
                doctor, _choices = doctors.chosen(session, "hours.write")
                hours.close_day(session, doctor, form.get("uid"), day, actor=g.actor, now=now())
            return done(doctor, "closed")
        except Refusal as refusal:
            form.fail("day", refusal.sentence)
    return page(form, "close", 422)


@bp.post("/remove/")
@policy("hours.write")
def remove() -> Page:
    with transaction() as session:
        doctor, _choices = doctors.chosen(session, "hours.write")
        hours.remove(session, doctor, request.form.get("uid", ""), actor=g.actor, now=now())
    return done(doctor, "removed")
