"""A doctor's working hours and leave."""

from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ical.errors import NotFound, Refusal
from storage import affected as stranded
from storage import appointments, hours, leave, views
from storage.models import Account
from storage.policy import can, require
from web.clinic import doctors
from web.forms import Form
from web.portal.waitlist import WEEKDAYS
from web.security import policy
from web.services import now, reading, transaction

bp = Blueprint("schedule", __name__, url_prefix="/appointments/doctor/schedule")

Page = str | Response | tuple[str, int]


@bp.get("/")
@policy("hours.read")
def schedule() -> Page:
    return _page()


def _page(form: Form | None = None, part: str = "", status: int = 200, days: list[str] | None = None) -> Page:
    with reading() as session:
        doctor, choices = doctors.chosen(session, "hours.read")
        zone = ZoneInfo(doctor.timezone)
        today = now().astimezone(zone).date()
        views = leave.list_leave(session, [doctor], since=now() - timedelta(days=30))
        touched = {key for view in views for key in view.affected}
        affected = {key: appointments.details(session, key) for key in touched}
        new_hours = Form(None, **{"from": "09:00", "to": "12:00", "slot": doctor.slot_minutes, "capacity": 1})
        new_leave = Form(None, first=today + timedelta(days=1), last=today + timedelta(days=1))
        text = render_template(
            "doctor/schedule.html",
            doctor=doctor,
            choices=choices,
            zone=zone,
            today=today,
            hours=hours.list_hours(session, doctor),
            leave=views,
            affected=affected,
            weekdays=WEEKDAYS,
            may_approve=can(g.actor, "leave.approve", doctor),
            hours_form=form if form is not None and part == "hours" else new_hours,
            leave_form=form if form is not None and part == "leave" else new_leave,
            close_form=form if form is not None and part == "close" else Form(),
            days=days or [],
        )
    return text, status


def _done(doctor: Account, word: str) -> Response:
    return redirect(url_for(".schedule", doctor=doctor.username, ok=word), 303)


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
            return _done(doctor, "hours")
        except NotFound:
            raise
        except Refusal as refusal:
            form.refuse(refusal)
    return _page(form, "hours", 422, days)


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
            return _done(doctor, "closed")
        except Refusal as refusal:
            form.fail("day", refusal.sentence)
    return _page(form, "close", 422)


@bp.post("/remove/")
@policy("hours.write")
def remove() -> Page:
    with transaction() as session:
        doctor, _choices = doctors.chosen(session, "hours.write")
        hours.remove(session, doctor, request.form.get("uid", ""), actor=g.actor, now=now())
    return _done(doctor, "removed")


@bp.get("/affected/")
@policy("hours.read")
def affected() -> str:
    """The booked appointments outside the hours or in leave: each is kept, moved or cancelled."""
    with reading() as session:
        doctor, choices = doctors.chosen(session, "hours.read")
        return render_template(
            "doctor/affected.html",
            doctor=doctor,
            choices=choices,
            zone=ZoneInfo(doctor.timezone),
            rows=stranded.undecided(session, doctor, now()),
        )


@bp.post("/affected/<uuid:appointment_id>/keep/")
@policy("appointment.status")
def keep(appointment_id: UUID) -> Response:
    with transaction() as session:
        appointment = views.find_appointment(session, appointment_id)
        if appointment is None:
            raise NotFound()
        require(g.actor, "appointment.status", appointment)
        stranded.keep(session, appointment_id, request.form.get("r", ""), actor=g.actor, now=now())
        doctor = session.get_one(Account, appointment.doctor_id)
    return redirect(url_for(".affected", doctor=doctor.username, ok="kept"), 303)


@bp.post("/leave/")
@policy("leave.request")
def request_leave() -> Page:
    form = Form(request.form)
    first, last = form.date("first"), form.date("last")
    timed = bool(form.get("from") or form.get("to"))
    begins = form.time("from", required="Enter both times, or none.") if timed else None
    ends = form.time("to", required="Enter both times, or none.") if timed else None
    reason = form.text("reason", maximum=200)
    if first and last and last < first:
        form.fail("last", "The last day must not be before the first.")
    if form and first and last:
        try:
            with transaction() as session:
                doctor, _choices = doctors.chosen(session, "leave.request")
                zone = ZoneInfo(doctor.timezone)
                if begins and ends:
                    start, end = datetime.combine(first, begins, zone), datetime.combine(last, ends, zone)
                    made = leave.request_leave(session, doctor, start, end, reason, actor=g.actor, now=now())
                else:
                    made = leave.request_leave(session, doctor, first, last, reason, actor=g.actor, now=now())
            return _done(doctor, "approved" if made.status == "approved" else "leave")
        except NotFound:
            raise
        except Refusal as refusal:
            form.fail({"end": "last", "start": "first"}.get(refusal.field or "", refusal.field or ""), refusal.sentence)
    return _page(form, "leave", 422)


@bp.post("/leave/<leave_id>/decide/")
@policy("leave.approve")
def decide(leave_id: str) -> Page:
    approve = request.form.get("decision") == "approve"
    with transaction() as session:
        view = leave.find(session, leave_id)
        require(g.actor, "leave.approve", view.doctor)
        leave.decide(session, leave_id, approve, actor=g.actor, now=now())
    if request.form.get("back") == "admin":
        return redirect(url_for("admin.admin", ok="approved" if approve else "rejected"), 303)
    return _done(view.doctor, "approved" if approve else "rejected")
