"""What the administration decides for each doctor."""

from typing import Any

from flask import Blueprint, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ical.errors import InvalidInput, NotFound
from storage import accounts, doctors
from storage.models import Account
from web.forms import Form
from web.security import policy
from web.services import now, reading, transaction

bp = Blueprint("doctor_settings", __name__, url_prefix="/admin/doctors")

Page = str | Response | tuple[str, int]


@bp.route("/<username>/", methods=["GET", "POST"])
@policy("users.write")
def settings(username: str) -> Page:
    if request.method == "GET":
        with reading() as session:
            doctor = _found(session, username)
        known = vars(doctors.settings_of(doctor))
        ticked = "yes" if known.pop("approves_own_leave") else None
        return _page(doctor, Form(None, approves_own_leave=ticked, **known))
    form = Form(request.form)
    values = {
        "specialty": form.text("specialty", maximum=100),
        "slot_minutes": form.number("slot_minutes", 5, 480),
        "daily_maximum": form.number("daily_maximum", 1, 500, required=""),
        "weekly_maximum": form.number("weekly_maximum", 1, 2000, required=""),
        "approves_own_leave": form.ticked("approves_own_leave"),
    }
    with transaction() as session:
        doctor = _found(session, username)
        if form:
            try:
                doctors.change(session, doctor, values, now=now())
            except InvalidInput as refusal:
                form.refuse(refusal)
    return redirect(url_for("admin.admin", ok="saved"), 303) if form else _page(doctor, form)


def _found(session: Any, username: str) -> Account:
    doctor = accounts.by_username(session, username)
    if doctor is None or doctor.role != "doctor":
        raise NotFound()
    return doctor


def _page(doctor: Account, form: Form) -> Page:
    return render_template("admin/doctor.html", doctor=doctor, form=form), 200 if form else 422
