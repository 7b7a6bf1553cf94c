"""A booked series gets another time or doctor: all that is to come of it, or what follows one occurrence."""

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response

from ical.errors import InvalidInput, NotFound, Refusal, SeriesConflict, VersionConflict
from ical.series import Decision, Outlook
from ical.times import instant
from storage import accounts, appointments, series_changes, views
from storage.appointments import AppointmentView
from storage.models import Account, Visit
from storage.policy import can, require
from storage.series_changes import Wish
from web.clinic.series import read_choices, refuse, typed_no_more
from web.forms import Form
from web.security import policy
from web.services import now, reading, transaction

bp = Blueprint("series_changes", __name__, url_prefix="/appointments")

Page = str | Response | tuple[str, int]


@bp.get("/<uuid:appointment_id>/series/")
@policy("appointment.status")
def ask(appointment_id: UUID) -> Page:
    with reading() as session:
        view = _view(session, appointment_id)
        visit = _visit(view, request.args.get("r", ""))
        at = visit.start.astimezone(ZoneInfo(view.doctor.timezone))
        form = Form(
            None,
            date=at.date(),
            time=f"{at:%H:%M}",
            doctor=view.doctor.username,
            range="following",
            r=visit.recurrence_id,
            version=view.appointment.version,
        )
        return _page(session, view, form)


@bp.post("/<uuid:appointment_id>/series/preview/")
@policy("appointment.status")
def preview(appointment_id: UUID) -> Page:
    form = Form(request.form)
    with reading() as session:
        return _page(session, _view(session, appointment_id), form, shown=True)


@bp.post("/<uuid:appointment_id>/series/")
@policy("appointment.status")
def move(appointment_id: UUID) -> Page:
    form = Form(request.form)
    try:
        with transaction() as session:
            view = _view(session, appointment_id)
            if form.get("version") not in ("", str(view.appointment.version)):
                raise VersionConflict()
            zone = ZoneInfo(view.doctor.timezone)
            wish = _wish(session, view, form, read_choices(form, zone))
            if wish is None or not form:
                raise InvalidInput("Please check what you entered.")
            moved = series_changes.move(session, appointment_id, wish, actor=g.actor, now=now())
        return redirect(url_for("appointment.see", appointment_id=moved.appointment.id, ok="series_moved"), 303)
    except NotFound:
        raise
    except SeriesConflict:
        form.fail("", "Some of the times are not free. Decide about each of them below.")
    except Refusal as refusal:
        if form:
            refuse(form, refusal)
    with reading() as session:
        return _page(session, _view(session, appointment_id), form, shown=True)


def _view(session: Any, appointment_id: UUID) -> AppointmentView:
    found = views.find_appointment(session, appointment_id)
    if found is None or not found.series:
        raise NotFound()
    require(g.actor, "appointment.change", found)
    view = appointments.details(session, appointment_id)
    if view is None:
        raise NotFound()
    return view


def _visit(view: AppointmentView, recurrence_id: str) -> Visit:
    """The visit from which on the series changes: the one named, else the next."""
    return next((visit for visit in view.visits if visit.recurrence_id == recurrence_id), view.visit)


def _colleagues(session: Any, view: AppointmentView) -> list[Account]:
    """Who may have it: in the same time zone, and for the caller to book."""
    return [
        doctor
        for doctor in accounts.doctors(session)
        if doctor.id == view.doctor.id
        or (doctor.timezone == view.doctor.timezone and can(g.actor, "appointment.book", doctor))
    ]


def _wish(session: Any, view: AppointmentView, form: Form, decisions: dict[str, Decision]) -> Wish | None:
    colleagues = {doctor.username: doctor for doctor in _colleagues(session, view)}
    day, clock = form.date("date"), form.time("time")
    username = form.choice("doctor", list(colleagues))
    scope = form.choice("range", ("following", "all"))
    reason = form.text("reason", maximum=500)
    if day is None or clock is None or not username or not scope:
        return None
    return Wish(
        instant(datetime.combine(day, clock), ZoneInfo(view.doctor.timezone)),
        _visit(view, form.get("r")).recurrence_id,
        following=scope == "following",
        doctor=None if username == view.doctor.username else colleagues[username],
        decisions=decisions,
        reason=reason,
    )


def _page(session: Any, view: AppointmentView, form: Form, *, shown: bool = False) -> Page:
    zone = ZoneInfo(view.doctor.timezone)
    occurrences: list[Outlook] = []
    if shown:
        try:
            occurrences = _outlook(session, view, form, zone)
        except Refusal as refusal:
            refuse(form, refusal)
    typed_no_more(form, occurrences)
    text = render_template(
        "series/move.html",
        form=form,
        detail=view,
        visit=_visit(view, form.get("r")),
        doctors=[(doctor.username, doctor.name) for doctor in _colleagues(session, view)],
        occurrences=occurrences,
        was={visit.recurrence_id: visit.start for visit in view.visits},
        zone=zone,
        may_overrule=can(g.actor, "appointment.overrule", view.doctor),
    )
    return text, 200 if form else 422


def _outlook(session: Any, view: AppointmentView, form: Form, zone: ZoneInfo) -> list[Outlook]:
    def look(decisions: dict[str, Decision]) -> list[Outlook]:
        wish = _wish(session, view, form, decisions)
        if wish is None:
            return []
        return series_changes.preview(session, view.id, wish, actor=g.actor, now=now())

    found = look({})
    chosen = read_choices(form, zone, [each.recurrence_id for each in found])
    return look(chosen) if chosen else found
