"""Who came: visits of past days that nobody ticked off; and what a patient has missed, which staff may let be."""

from typing import Any
from uuid import UUID

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ical.errors import InvalidInput, NotFound
from storage import attendance, no_shows, views
from storage.models import Patient
from storage.policy import can, require
from web.clinic import doctors
from web.forms import Form
from web.security import policy
from web.services import now, reading, transaction

bp = Blueprint("no_shows", __name__, url_prefix="/appointments/doctor/no-shows")

Page = str | Response | tuple[str, int]


@bp.get("/")
@policy("appointment.status")
def proposed() -> Page:
    with reading() as session:
        mine = doctors.visible(session, "appointment.status")
        return render_template("doctor/no_shows.html", rows=attendance.proposed(session, mine, now()), doctors=mine)


@bp.post("/")
@policy("appointment.status")
def decide() -> Page:
    """All that are ticked were missed, or took place; or none of them is changed."""
    outcome = request.form.get("outcome", "")
    if outcome not in attendance.OUTCOMES:
        raise InvalidInput("Say whether they were missed or took place.")
    with transaction() as session:
        for each in sorted(set(request.form.getlist("visit"))):
            appointment_id, _, recurrence_id = each.partition("/")
            found = views.find_appointment(session, _uuid(appointment_id))
            if found is None:
                raise NotFound()
            require(g.actor, "appointment.status", found)
            attendance.decide(session, found.id, recurrence_id, outcome, actor=g.actor, now=now())
    return redirect(url_for(".proposed", ok="saved"), 303)


@bp.get("/<uuid:patient_id>/")
@policy("no_show.waive")
def patient(patient_id: UUID) -> Page:
    return _page(patient_id, Form())


@bp.post("/<uuid:patient_id>/")
@policy("no_show.waive")
def waive(patient_id: UUID) -> Page:
    form = Form(request.form)
    reason = form.text("reason", required="Say why.", maximum=500)
    if not form:
        return _page(patient_id, form, 422)
    with transaction() as session:
        no_shows.waive(session, _opened(session, patient_id), reason, actor=g.actor, now=now())
    return redirect(url_for(".patient", patient_id=patient_id, ok="saved"), 303)


def _page(patient_id: UUID, form: Form, status: int = 200) -> Page:
    with reading() as session:
        found = _opened(session, patient_id)
        standing = no_shows.standing(session, found.id, now())
        text = render_template(
            "doctor/missed.html",
            patient=found,
            form=form,
            missed=[
                row for row in attendance.missed(session, found.id) if can(g.actor, "appointment.read", row.appointment)
            ],
            counted=no_shows.count(session, found.id, now()),
            standing=standing,
            said=no_shows.said(session, standing),
            waiver=no_shows.last_waiver(session, found.id),
        )
    return text, status


def _opened(session: Any, patient_id: UUID) -> Patient:
    found = no_shows.of_patient(session, patient_id)
    if found is None:
        raise NotFound()
    require(g.actor, "no_show.waive", found[1])
    return found[0]


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound() from None
