"""Leave on pages: asked for, changed, withdrawn, decided; and what becomes of the appointments in it."""

from datetime import date, datetime, timedelta
from typing import Any, cast
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ical.errors import InvalidInput, NotFound, Refusal
from storage import accounts, leave, views
from storage import affected as stranded
from storage.affected import Choice, Decision, Proposal
from storage.leave import Half, LeaveView
from storage.models import Account
from storage.policy import can, require
from web.clinic import doctors, schedule
from web.clinic.schedule import AGAIN
from web.forms import Form, read_instant
from web.security import policy
from web.services import now, reading, transaction

bp = Blueprint("leave", __name__, url_prefix="/appointments/doctor/schedule")

Page = str | Response | tuple[str, int]
# What a calendar app has said and the form cannot.
_OTHER = "as it is"
_FIELDS = {"end": "last", "start": "first", "rrule": "again"}


@bp.post("/leave/")
@policy("leave.request")
def request_leave() -> Page:
    form = Form(request.form)
    try:
        with transaction() as session:
            doctor, _choices = doctors.chosen(session, "leave.request")
            start, end, rrule = _read(session, form, doctor)
            if form and start and end:
                made = leave.request_leave(
                    session, doctor, start, end, form.text("reason"), rrule=rrule, actor=g.actor, now=now()
                )
                return schedule.done(doctor, "approved" if made.status == "approved" else "leave")
    except NotFound:
        raise
    except Refusal as refusal:
        _refuse(form, refusal)
    return schedule.page(form, "leave", 422)


def _read(session: Any, form: Form, doctor: Account) -> tuple[date | datetime | None, date | datetime | None, str]:
    """(start, end, rrule) of a form: days (the last one included), halves of them, or times."""
    first, last = form.date("first"), form.date("last")
    part = form.get("part")
    if part not in ("morning", "afternoon") and (part == "times" or form.get("from") or form.get("to")):
        part = "times"
    begins = form.time("from", required="Enter both times, or none.") if part == "times" else None
    ends = form.time("to", required="Enter both times, or none.") if part == "times" else None
    again = "" if form.get("again") == _OTHER else form.choice("again", [code for code, _name in AGAIN], required="")
    until = form.date("until", required="")
    if first and last and last < first:
        form.fail("last", "The last day must not be before the first.")
    if part in ("morning", "afternoon") and first != last:
        form.fail("last", "Half a day is half of one day; choose how often it comes again instead.")
    if until and not again:
        form.fail("again", "Choose how often, or leave the last day empty.")
    rrule = f"FREQ={again}" if again else ""
    if again and until:
        rrule += f";UNTIL={until:%Y%m%d}"
    if not form or first is None or last is None:
        return None, None, ""
    zone = ZoneInfo(doctor.timezone)
    if again and until and part:
        end_of_it = datetime.combine(until + timedelta(days=1), datetime.min.time(), zone) - timedelta(seconds=1)
        rrule = f"FREQ={again};UNTIL={end_of_it.astimezone(ZoneInfo('UTC')):%Y%m%dT%H%M%SZ}"
    if part in ("morning", "afternoon"):
        return *leave.half_day(session, doctor, first, cast(Half, part)), rrule
    if begins and ends:
        return datetime.combine(first, begins, zone), datetime.combine(last, ends, zone), rrule
    return first, last, rrule


def _refuse(form: Form, refusal: Refusal) -> None:
    form.fail(_FIELDS.get(refusal.field or "", refusal.field or ""), refusal.sentence)


@bp.route("/leave/<leave_id>/", methods=["GET", "POST"])
@policy("leave.request")
def change(leave_id: str) -> Page:
    if request.method == "GET":
        return _change_page(leave_id)
    form = Form(request.form)
    try:
        with transaction() as session:
            view = _found(session, leave_id, "leave.request")
            start, end, rrule = _read(session, form, view.doctor)
            if form and start and end:
                leave.change(
                    session,
                    leave_id,
                    start=start,
                    end=end,
                    reason=form.text("reason"),
                    # What the form cannot say stays as it is.
                    rrule=None if form.get("again") == _OTHER else rrule,
                    actor=g.actor,
                    now=now(),
                )
                return schedule.done(view.doctor, "saved")
    except NotFound:
        raise
    except Refusal as refusal:
        _refuse(form, refusal)
    return _change_page(leave_id, form)


def _change_page(leave_id: str, form: Form | None = None) -> Page:
    with reading() as session:
        view = _found(session, leave_id, "leave.request")
    page = render_template(
        "doctor/leave.html",
        leave=view,
        doctor=view.doctor,
        zone=ZoneInfo(view.doctor.timezone),
        again=(*AGAIN, (_OTHER, "As it is now")) if view.rrule else AGAIN,
        how_often=leave.how_often,
        may_approve=can(g.actor, "leave.approve", view.doctor),
        leave_form=_known(view) if form is None else form,
    )
    return page, 200 if form is None else 422


def _known(view: LeaveView) -> Form:
    zone = ZoneInfo(view.doctor.timezone)
    begins, ends = view.start.astimezone(zone), view.end.astimezone(zone)
    values = {"first": begins.date(), "last": (ends - timedelta(seconds=1)).date(), "reason": view.reason}
    if not view.all_day:
        values |= {"part": "times", "from": f"{begins:%H:%M}", "to": f"{ends:%H:%M}", "last": ends.date()}
    return Form(None, again=_OTHER if view.rrule else None, **values)


@bp.post("/leave/<leave_id>/withdraw/")
@policy("leave.request")
def withdraw(leave_id: str) -> Page:
    with transaction() as session:
        view = _found(session, leave_id, "leave.request")
        leave.withdraw(session, leave_id, recurrence_id=request.form.get("r", ""), actor=g.actor, now=now())
    return schedule.done(view.doctor, "removed")


@bp.post("/leave/<leave_id>/decide/")
@policy("leave.approve")
def decide(leave_id: str) -> Page:
    approve = request.form.get("decision") == "approve"
    with transaction() as session:
        view = _found(session, leave_id, "leave.approve")
        leave.decide(session, leave_id, approve, actor=g.actor, now=now())
    if request.form.get("back") == "admin":
        return redirect(url_for("admin.admin", ok="approved" if approve else "rejected"), 303)
    return schedule.done(view.doctor, "approved" if approve else "rejected")


def _found(session: Any, leave_id: str, action: str) -> LeaveView:
    view = leave.find(session, leave_id, now())
    require(g.actor, action, view.doctor)
    return view


@bp.get("/affected/")
@policy("hours.read")
def affected() -> Page:
    """The booked appointments outside the hours or in leave: each is kept, moved or cancelled."""
    return _affected_page(request.args.get("leave", ""), [])


def _affected_page(leave_id: str, failures: list[str]) -> Page:
    with reading() as session:
        doctor, choices = doctors.chosen(session, "hours.read")
        view = _found(session, leave_id, "leave.read") if leave_id else None
        rows = view.rows if view is not None else stranded.undecided(session, doctor, now())
        proposals = stranded.propose(session, rows, now())
    text = render_template(
        "doctor/affected.html",
        doctor=doctor if view is None else view.doctor,
        choices=choices,
        zone=ZoneInfo(doctor.timezone),
        leave=view,
        proposals=proposals,
        keys=[_key(each) for each in proposals],
        failures=failures,
        form=Form(request.form if request.method == "POST" else None),
    )
    return text, 409 if failures else 200


def _key(of: Proposal) -> str:
    """What a tick says: the visit, and the time that is proposed for it."""
    slot = of.slot
    where = "|" if slot is None else f"{slot.doctor.username}|{slot.start.isoformat()}"
    return f"{of.row.appointment.id}|{of.row.visit.recurrence_id}|{where}"


@bp.post("/affected/")
@policy("appointment.status")
def decide_affected() -> Page:
    """One of them, or all that are ticked: each by itself, so that one whose time is gone keeps no other waiting."""
    one, chosen = request.form.get("one", ""), request.form.get("all", "")
    asked = [one.partition("|")[::2]] if one else [(chosen, key) for key in request.form.getlist("visit")]
    failures = [] if asked else ["Tick at least one appointment."]
    for choice, key in asked:
        try:
            with transaction() as session:
                stranded.decide(session, _decision(session, choice, key), actor=g.actor, now=now())
        except NotFound:
            raise
        except Refusal as refusal:
            failures.append(refusal.sentence)
    leave_id, doctor = request.form.get("leave", ""), request.form.get("doctor")
    if failures:
        return _affected_page(leave_id, failures)
    done = {"keep": "kept", "move": "moved", "cancel": "cancelled"}[asked[0][0]]
    return redirect(url_for(".affected", doctor=doctor, leave=leave_id or None, ok=done), 303)


def _decision(session: Any, choice: str, key: str) -> Decision:
    """Raises InvalidInput, NotFound."""
    parts = key.split("|")
    try:
        appointment = views.find_appointment(session, UUID(parts[0]))
    except ValueError:
        raise NotFound() from None
    if appointment is None or choice not in ("keep", "move", "cancel") or len(parts) != 4:
        raise NotFound()
    require(g.actor, "appointment.status" if choice == "keep" else "appointment.change", appointment)
    _id, recurrence_id, username, instant = parts
    start = read_instant(instant)
    doctor = None
    if choice == "move":
        if start is None:
            raise InvalidInput("For one of them no other time is free.")
        doctor = next((each for each in accounts.doctors(session) if each.username == username), None)
        if doctor is None:
            raise NotFound()
        if doctor.id == appointment.doctor_id:
            doctor = None
        else:
            require(g.actor, "bulk.change", session.get_one(Account, appointment.doctor_id))
    return Decision(
        appointment.id, recurrence_id, cast(Choice, choice), start, doctor, request.form.get("reason", "")[:500].strip()
    )
