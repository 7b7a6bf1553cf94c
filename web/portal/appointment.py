"""One appointment, for whoever may see it: what it is, what happened, and the next step of its life."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Response, render_template, request

from ical import feeds
from ical.errors import InvalidInput
from storage import booking, lifecycle, undo, views
from storage.follow_ups import USUAL_TYPE
from storage.policy import can
from web.forms import Form
from web.portal import changes, mine
from web.portal.access import STEPS, Access, Answer, act, both, bp, by_login, by_token, next_steps, opened, page
from web.portal.follow_ups import read_wanted
from web.security import policy, public
from web.services import now, reading, settings

# Their pages are routes of the same blueprint.
__all__ = ["bp", "changes", "mine", "next_steps"]


@both("", "appointment.read")
def see(key: UUID | str) -> Answer:
    with reading() as session:
        return page(session, opened(session, key))


@bp.get("/manage/<token>/booked")
@public
def booked(token: str) -> Answer:
    """The done page of the booking flow."""
    with reading() as session:
        access = by_token(session, token)
    return render_template(
        "appointment/booked.html",
        access=access,
        detail=access.detail,
        visit=access.visit,
        manage_url=booking.manage_url(settings(), access.detail.appointment.id),
    )


@both("confirm/", "appointment.confirm", ("POST",))
def confirm(key: UUID | str) -> Answer:
    return act(key, _step("confirm"), "confirmed", "appointment.confirm")


def _step(step: str, **more: Any) -> Callable[[Any, Access], None]:
    def do(session: Any, access: Access) -> None:
        lifecycle.change_status(
            session,
            access.detail.appointment.id,
            step,
            recurrence_id=access.visit.recurrence_id or None,
            actor=access.actor,
            now=now(),
            **more,
        )

    return do


@bp.route("/appointments/<uuid:appointment_id>/complete/", methods=["GET", "POST"])
@policy("appointment.status")
def complete(appointment_id: UUID) -> Answer:
    if request.method == "GET":
        return _complete_page(appointment_id)
    form = Form(request.form)
    notes = form.paragraph("notes", maximum=5000)
    wanted = read_wanted(form)
    if not form:
        return _complete_page(appointment_id, form)

    def do(session: Any, access: Access) -> None:
        if notes and can(access.actor, "doctor_notes.write", access.detail.appointment):
            lifecycle.set_notes(session, appointment_id, notes, actor=access.actor, now=now())
        _step("complete", follow_up=wanted)(session, access)

    return act(appointment_id, do, "status", "appointment.status")


def _complete_page(appointment_id: UUID, form: Form | None = None) -> Answer:
    """Asks for notes, and what is to follow: the type's own days to begin with."""
    with reading() as session:
        access = by_login(session, appointment_id)
        if access.refusal is not None:
            return page(session, access, access.refusal.sentence), access.refusal.status
        kinds = views.types(session)
    detail = access.detail
    if form is None:
        form = Form(None, after_days=detail.kind.follow_up_days, follow_up_type=USUAL_TYPE)
    text = render_template(
        "appointment/complete.html", access=access, detail=detail, visit=access.visit, form=form, kinds=kinds
    )
    return text, 200 if form else 422


@bp.post("/appointments/<uuid:appointment_id>/status/")
@policy("appointment.status")
def step(appointment_id: UUID) -> Answer:
    chosen = request.form.get("step", "")
    if chosen not in STEPS:
        raise InvalidInput("Choose what happened.")
    return act(appointment_id, _step(chosen), "status", "appointment.status")


@bp.post("/appointments/<uuid:appointment_id>/notes/")
@policy("doctor_notes.write")
def notes(appointment_id: UUID) -> Answer:
    form = Form(request.form)
    text = form.paragraph("notes", maximum=5000)
    if not form:
        with reading() as session:
            return page(session, opened(session, appointment_id), form=form), 422

    def do(session: Any, access: Access) -> None:
        lifecycle.set_notes(session, appointment_id, text, actor=access.actor, now=now())

    return act(appointment_id, do, "saved", "doctor_notes.write")


@bp.post("/appointments/<uuid:appointment_id>/undo/")
@policy("appointment.status")
def take_back(appointment_id: UUID) -> Answer:
    """Take back today's last step."""

    def do(session: Any, access: Access) -> None:
        undo.undo(
            session, appointment_id, recurrence_id=access.visit.recurrence_id or None, actor=access.actor, now=now()
        )

    return act(appointment_id, do, "undone", "appointment.status")


@both("appointment.ics", "appointment.read")
def ics(key: UUID | str) -> Response:
    """To be added to the patient's own calendar: no reason, no notes."""
    with reading() as session:
        access = opened(session, key)
    detail, visit = access.detail, access.visit
    suffix = f"-{visit.recurrence_id}" if visit.recurrence_id else ""
    event = feeds.FeedEvent(
        uid=f"appt-{detail.appointment.id}{suffix}@{settings().uid_domain}",
        start=visit.start,
        end=visit.end,
        summary=f"{detail.kind.name}, {detail.doctor.name}",
        status=visit.status,
        sequence=detail.appointment.version,
        changed=detail.history[-1].at if detail.history else detail.appointment.booked_at,
        location=detail.appointment.video_link or detail.appointment.location or settings().clinic_name,
        url=booking.manage_url(settings(), detail.appointment.id),
    )
    text = feeds.feed([event], settings().clinic_name, now(), detail.doctor.timezone, "patient")
    answer = Response(text, content_type="text/calendar; charset=utf-8")
    answer.headers["Content-Disposition"] = 'attachment; filename="appointment.ics"'
    return answer
