"""How a day stood at a given moment beside how it is now, the versions of an object, and putting one back."""

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ical.errors import NotFound, Refusal
from storage import day_as_it_was, versions
from storage.models import Account, CalendarObject
from storage.policy import PatientOf, can, require
from web.clinic import doctors
from web.forms import Form
from web.security import policy
from web.services import now, reading, transaction

bp = Blueprint("history", __name__, url_prefix="/appointments/doctor")

Page = str | Response | tuple[str, int]


@bp.get("/day-as-it-was/")
@policy("versions.read")
def day() -> Page:
    form = Form(request.args)
    with reading() as session:
        doctor, choices = doctors.chosen(session, "versions.read")
        zone = ZoneInfo(doctor.timezone)
        here = now().astimezone(zone)
        chosen = form.date("date", required="") or here.date()
        moment = _moment(form, zone) or here
        pairs = day_as_it_was.beside_now(session, doctor, chosen, moment, now())
        day_as_it_was.looked_at(session, g.actor, doctor, chosen, moment, now())
    own = can(g.actor, "doctor_notes.read", doctor)
    values = {"date": chosen, "on": moment.date(), "at": f"{moment:%H:%M}"}
    page = render_template(
        "doctor/day_as_it_was.html",
        doctor=doctor,
        choices=choices,
        zone=zone,
        day=chosen,
        moment=moment,
        pairs=pairs,
        form=form if form.errors else Form(None, **values),
        title=lambda entry: day_as_it_was.title(entry, own=own),
        name=lambda entry: _name(entry, doctor),
        may_restore=can(g.actor, "versions.restore", doctor),
    )
    return page, 200 if form else 422


def _moment(form: Form, zone: ZoneInfo) -> datetime | None:
    on, at = form.date("on", required=""), form.time("at", required="")
    if on is None and at is None:
        return None
    if on is None or at is None:
        form.fail("at", "Choose a day and a time.")
        return None
    return datetime.combine(on, at, zone).replace(second=59)


def _name(entry: day_as_it_was.Entry, doctor: Account) -> str:
    if entry.patient_id is None:
        return ""
    patient = PatientOf(entry.patient_id, frozenset({doctor.id}))
    return entry.patient_name if can(g.actor, "patient.read", patient) else "Patient"


@bp.get("/versions/<int:object_id>/")
@policy("versions.read")
def listed(object_id: int) -> Page:
    return _page(object_id)


@bp.get("/versions/of/<uuid:appointment_id>/")
@policy("versions.read")
def of_appointment(appointment_id: UUID) -> Page:
    with reading() as session:
        obj, owner = versions.of_appointment(session, appointment_id)
        require(g.actor, "versions.read", owner)
    return redirect(url_for(".listed", object_id=obj.id))


def _page(object_id: int, problem: Refusal | None = None) -> Page:
    with reading() as session:
        obj, owner = _found(session, object_id)
        found = versions.of_object(session, obj, owner)
    clinical = can(g.actor, "doctor_notes.read", owner)
    page = render_template(
        "doctor/versions.html",
        obj=obj,
        doctor=owner,
        versions=found,
        said=lambda change: change.said(clinical=clinical),
        may_restore=can(g.actor, "versions.restore", owner),
        problem=problem,
    )
    return page, 200 if problem is None else problem.status


def _found(session: Any, object_id: int) -> tuple[CalendarObject, Account]:
    obj, owner = versions.find(session, object_id)
    require(g.actor, "versions.read", owner)
    return obj, owner


@bp.post("/versions/<int:object_id>/<int:seq>/restore/")
@policy("versions.restore")
def restore(object_id: int, seq: int) -> Page:
    try:
        with transaction() as session:
            obj, owner = _found(session, object_id)
            require(g.actor, "versions.restore", owner)
            versions.restore(session, obj, seq, actor=g.actor, now=now())
    except NotFound:
        raise
    except Refusal as refusal:
        return _page(object_id, refusal)
    back = request.form.get("back", "")
    if back.startswith("/appointments/doctor/day-as-it-was/"):
        return redirect(back, 303)
    return redirect(url_for(".listed", object_id=object_id, ok="saved"), 303)
