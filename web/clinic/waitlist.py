"""Who waits for a doctor, in order, and what is offered to whom."""

from flask import Blueprint, render_template

from storage import views
from web.clinic import doctors
from web.security import policy
from web.services import reading

bp = Blueprint("doctor_waitlist", __name__)


@bp.get("/appointments/doctor/waitlist/")
@policy("appointment.status")
def waitlist() -> str:
    with reading() as session:
        doctor, choices = doctors.chosen(session, "appointment.status")
        entries = views.entries(session, doctor.id)
    return render_template("doctor/waitlist.html", doctor=doctor, choices=choices, entries=entries)
