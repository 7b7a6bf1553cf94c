"""Whom a doctor wants to see again: what is still to be booked, what is overdue, what is booked."""

from uuid import UUID

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ical.errors import NotFound
from storage import follow_ups
from storage.policy import require
from web.clinic import doctors
from web.security import policy
from web.services import now, reading, settings, transaction

bp = Blueprint("follow_ups", __name__, url_prefix="/appointments/doctor/follow-ups")

_SHOWN = (("", "To be booked"), ("overdue", "Overdue"), ("booked", "Booked"), ("dismissed", "Dismissed"))


@bp.get("/")
@policy("follow_up.write")
def listed() -> str:
    chosen = request.args.get("status", "")
    statuses = (chosen,) if chosen in follow_ups.STATUSES else follow_ups.OPEN
    with reading() as session:
        doctor, choices = doctors.chosen(session, "follow_up.write")
        rows = follow_ups.listed(session, doctors=[doctor.id], statuses=statuses)
    return render_template(
        "doctor/follow_ups.html",
        doctor=doctor,
        choices=choices,
        rows=rows,
        shown=_SHOWN,
        chosen=chosen if chosen in follow_ups.STATUSES else "",
        link=lambda found: follow_ups.url(settings(), found),
    )


@bp.post("/<uuid:follow_up_id>/dismiss/")
@policy("follow_up.write")
def dismiss(follow_up_id: UUID) -> Response:
    with transaction() as session:
        found = follow_ups.find(session, follow_up_id)
        if found is None:
            raise NotFound()
        require(g.actor, "follow_up.write", found)
        follow_ups.dismiss(session, found, actor=g.actor, now=now())
    return redirect(url_for(".listed", doctor=request.form.get("doctor") or None, ok="saved"), 303)
