"""Another time for an appointment, or none: done at once, or asked for where the practice decides."""

from datetime import datetime
from typing import Any
from uuid import UUID

from flask import redirect, render_template, request
from werkzeug.wrappers import Response

from ical.errors import InvalidInput, NotFound, Refusal
from storage import accounts, lifecycle, requests
from storage.diary import Except
from storage.models import Account
from storage.policy import can, require
from web.forms import Form, midnight, read_date, read_instant
from web.portal import times
from web.portal.access import Access, Answer, act, both, bp, check_version, opened, page
from web.security import policy, public
from web.services import now, reading, settings, transaction


@both("cancel/", "appointment.change", ("GET", "POST"))
def cancel(key: UUID | str) -> Answer:
    if request.method == "GET":
        with reading() as session:
            access = opened(session, key)
            refusal = access.refusal_of("cancel")
            if refusal is not None:
                return page(session, access, refusal.sentence), refusal.status
        return render_template(
            "appointment/cancel.html", access=access, detail=access.detail, visit=access.visit, form=Form()
        )
    form = Form(request.form)
    reason = form.paragraph("reason", maximum=500)
    whole = form.get("whole")

    def do(session: Any, access: Access) -> str:
        refusal = access.refusal_of("cancel")
        if refusal is not None:
            raise refusal
        by = form.get("by") if access.actor.is_staff and form.get("by") in ("patient", "doctor") else None
        appointment_id, recurrence_id = access.detail.appointment.id, access.visit.recurrence_id or None
        if whole == "following" and recurrence_id is not None:
            lifecycle.change_status(
                session,
                appointment_id,
                "cancel",
                recurrence_id=recurrence_id,
                following=True,
                reason=reason,
                by=by,
                actor=access.actor,
                now=now(),
            )
            return "cancelled"
        asked = requests.cancel(
            session,
            appointment_id,
            reason=reason,
            by=by,
            recurrence_id=None if whole == "yes" else recurrence_id,
            actor=access.actor,
            now=now(),
        )
        return "cancelled" if asked is None else "asked"

    return act(key, do, "cancelled", "appointment.change")


@both("reschedule/", "appointment.change", ("GET", "POST"))
def reschedule(key: UUID | str) -> Answer:
    problem, status_code = None, 200
    form = Form(request.form)
    if request.method == "POST":
        try:
            with transaction() as session:
                access = opened(session, key)
                asked = _move(session, access, form)
            return redirect(access.url(ok="moved" if asked is None else "asked"), 303)
        except NotFound:
            raise
        except Refusal as refusal:
            problem, status_code = refusal, refusal.status
    with reading() as session:
        access = opened(session, key)
        refused = access.refusal_of("reschedule")
        if refused is not None:
            return page(session, access, refused.sentence), refused.status
        detail, visit = access.detail, access.visit
        choices = _doctors(session, access)
        doctors = choices if access.must_choose else [_doctor(choices, request.values.get("doctor", ""), access)]
        picker = times.pick(
            session,
            doctors,
            detail.kind,
            read_date(request.values.get("date")),
            now(),
            settings().zone,
            Except(detail.appointment.id, visit.recurrence_id),
        )
        text = render_template(
            "appointment/reschedule.html",
            access=access,
            detail=detail,
            visit=visit,
            picker=picker,
            problem=problem,
            form=form,
            choices=choices,
            doctor=None if access.must_choose else doctors[0],
        )
        return text, status_code


def _doctors(session: Any, access: Access) -> list[Account]:
    """With whom it may take place: staff hand it over, and whoever must choose another time has the choice of all."""
    own = access.detail.doctor
    if not (access.actor.is_staff or access.must_choose) or access.detail.appointment.series:
        return [own]
    kind = access.detail.kind
    found = [
        each
        for each in accounts.doctors(session)
        if can(access.actor, "appointment.book", each) and (not kind.doctors or each.username in kind.doctors)
    ]
    return found if any(each.id == own.id for each in found) else [own, *found]


def _doctor(choices: list[Account], username: str, access: Access) -> Account:
    return next((each for each in choices if each.username == username), access.detail.doctor)


def _move(session: Any, access: Access, form: Form) -> object:
    """Move it, or ask for it: then returns the request."""
    require(access.actor, "appointment.change", access.detail.appointment)
    check_version(access)
    refusal = access.refusal_of("reschedule")
    if refusal is not None:
        raise refusal
    username, _, moment = form.get("slot").partition("|")
    doctor = _doctor(_doctors(session, access), username or form.get("doctor"), access)
    start = read_instant(moment)
    if start is None and not form.get("slot") and access.actor.is_staff:
        start = _typed(form, doctor)
    if start is None:
        raise InvalidInput("Choose one of the times.")
    return requests.reschedule(
        session,
        access.detail.appointment.id,
        start,
        doctor=None if doctor.id == access.detail.doctor.id else doctor,
        recurrence_id=access.visit.recurrence_id or None,
        reason=form.paragraph("reason", maximum=500),
        overrule=access.actor.is_staff and form.get("overrule") == "yes",
        actor=access.actor,
        now=now(),
    )


def _typed(form: Form, doctor: Account) -> datetime:
    """The wall time that staff typed."""
    day, clock = form.date("day"), form.time("time")
    if day is None or clock is None:
        raise InvalidInput("Enter a date and a time like 09:30.", field="time")
    zone = times.zone_of([doctor], settings().zone)
    return midnight(day, zone).replace(hour=clock.hour, minute=clock.minute)


@bp.post("/appointments/<uuid:appointment_id>/requests/<uuid:request_id>/withdraw/")
@policy("request.withdraw")
def withdraw(appointment_id: UUID, request_id: UUID) -> Answer:
    return _withdraw(appointment_id, request_id)


@bp.post("/manage/<token>/requests/<uuid:request_id>/withdraw/")
@public
def withdraw_by_link(token: str, request_id: UUID) -> Answer:
    return _withdraw(token, request_id)


def _withdraw(key: UUID | str, request_id: UUID) -> Answer | Response:
    def do(session: Any, access: Access) -> None:
        if request_id not in {each.id for each in access.requests if each.kind != "choose"}:
            raise NotFound()
        requests.withdraw(session, request_id, actor=access.actor, now=now())

    return act(key, do, "request_withdrawn", "request.withdraw")
