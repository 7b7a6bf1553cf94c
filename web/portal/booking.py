"""Booking: what → with whom → when → a hold with its countdown → who → done.

Each question is a page of its own, and every answer stands in the address, so that back, reload and no script work.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, g, jsonify, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from ical import intake
from ical.errors import HoldExpired, NotFound, NotSelfBookable, Refusal
from storage import accounts, booking, idempotency, links, no_shows, slots, views
from storage.drafts import NewAppointment
from storage.idempotency import Answer
from storage.models import Account, AppointmentType, Hold, Patient
from storage.policy import can, require
from web.forms import Form, midnight, read_date, read_instant
from web.portal import times
from web.security import policy, public
from web.services import now, reading, settings, transaction

bp = Blueprint("booking", __name__, url_prefix="/appointments")

ANY = "any"


def offered_types(session: Any) -> list[AppointmentType]:
    """The kinds of appointment that whoever asks may book."""
    kinds = views.types(session)
    return kinds if g.actor.is_staff else [kind for kind in kinds if kind.self_booking]


def offered_type(session: Any, code: str) -> AppointmentType:
    """Raises NotFound, or NotSelfBookable for one that the practice books itself."""
    kind = views.find_type(session, code)
    if kind is None or not kind.active:
        raise NotFound()
    if not kind.self_booking and not g.actor.is_staff:
        raise NotSelfBookable()
    return kind


def bookable_doctors(session: Any) -> list[Account]:
    return [doctor for doctor in accounts.doctors(session) if can(g.actor, "appointment.book", doctor)]


def chosen_doctors(session: Any, username: str) -> list[Account]:
    """One doctor, all of them for "any", or those of a speciality for "any:Radiology". Raises NotFound."""
    found = [
        doctor for doctor in bookable_doctors(session) if username in (doctor.username, ANY, any_of(doctor.specialty))
    ]
    if not found:
        raise NotFound()
    return found


def any_of(specialty: str) -> str:
    return f"{ANY}:{specialty or ANY}"


@bp.get("/book/")
@policy("appointment.book")
def book() -> str:
    code, username = request.args.get("type", ""), request.args.get("doctor", "")
    with reading() as session:
        if not code:
            return render_template("booking/what.html", kinds=offered_types(session), doctor=username)
        kind = offered_type(session, code)
        if not username:
            return _with_whom(session, kind)
        return _when(session, kind, username)


def _with_whom(session: Any, kind: AppointmentType) -> str:
    doctors = slots.offering(bookable_doctors(session), kind)
    first = slots.next_free_each(session, doctors, kind, now())
    following = {doctor.id: first.get(doctor.id) for doctor in doctors}
    soonest = min((slot for slot in following.values() if slot), key=lambda slot: slot.start, default=None)
    # A choice where there is one: several of one speciality among others.
    counted = Counter(doctor.specialty for doctor in doctors if doctor.specialty)
    specialties = [(any_of(name), name) for name, count in counted.items() if 1 < count < len(doctors)]
    return render_template(
        "booking/whom.html",
        kind=kind,
        doctors=doctors,
        following=following,
        soonest=soonest,
        specialties=sorted(specialties),
    )


def _when(
    session: Any, kind: AppointmentType, username: str, problem: Refusal | None = None, form: Form | None = None
) -> str:
    doctors = slots.offering(chosen_doctors(session, username), kind) or chosen_doctors(session, username)
    picker = times.pick(session, doctors, kind, read_date(request.values.get("date")), now(), settings().zone)
    return render_template(
        "booking/when.html",
        kind=kind,
        doctor=None if username.partition(":")[0] == ANY else doctors[0],
        specialty=username.partition(":")[2],
        username=username,
        picker=picker,
        problem=problem,
        form=form or Form(),
    )


@bp.post("/book/")
@policy("hold.create")
def hold() -> AnyResponse | tuple[str, int]:
    """Keep the chosen time, then ask who it is for."""
    code = request.form.get("type", "")
    form = Form(request.form)
    try:
        with transaction() as session:
            kind = offered_type(session, code)
            doctor, start = _chosen(session, form)
            overrule = form.text("overrule", maximum=500) if g.actor.is_staff else ""
            kept = booking.hold(session, doctor, start, kind, actor=g.actor, now=now(), overrule=overrule)
    except NotFound:
        raise
    except Refusal as refusal:
        with reading() as session:
            kind = offered_type(session, code)
            text = _when(session, kind, request.form.get("doctor", ANY), problem=refusal, form=form)
        return text, refusal.status
    return redirect(url_for(".details", hold_id=kept.id), 303)


def _chosen(session: Any, form: Form) -> tuple[Account, datetime]:
    """The button's doctor and instant, or the doctor and the wall time that staff typed."""
    username, _, moment = form.get("slot").partition("|")
    start = read_instant(moment)
    if form.get("slot") == "" and g.actor.is_staff:
        doctor = chosen_doctors(session, form.get("doctor"))[0]
        day, clock = form.date("date"), form.time("time")
        if day is None or clock is None:
            raise Refusal("Enter a date and a time like 09:30.", field="time")
        return doctor, midnight(day, times.zone_of([doctor], settings().zone)).replace(
            hour=clock.hour, minute=clock.minute
        )
    if start is None:
        raise Refusal("Choose one of the times.")
    return chosen_doctors(session, username)[0], start


@bp.get("/book/details/<uuid:hold_id>")
@policy("appointment.book")
def details(hold_id: UUID) -> str | tuple[str, int]:
    with reading() as session:
        return _details(session, hold_id, Form(None, **_known_contact()))


def _known_contact() -> dict[str, str]:
    if g.patient is None:
        return {}
    return {"name": g.patient.name, "email": g.patient.email, "phone": g.patient.phone}


def _details(session: Any, hold_id: UUID, form: Form, status: int = 200) -> tuple[str, int]:
    found = views.find_hold(session, hold_id)
    if found is None:
        return render_template("booking/gone.html"), 410
    kept, doctor, kind = found
    text = render_template(
        "booking/details.html",
        hold=kept,
        doctor=doctor,
        kind=kind,
        form=form,
        expired=kept.expires_at <= now(),
        patient=g.patient,
        # Only of oneself: a visitor learns nothing of what anybody has missed.
        missed=no_shows.said(session, no_shows.standing(session, g.patient.id, now())) if g.patient else "",
    )
    return text, status


@bp.post("/book/details/<uuid:hold_id>")
@policy("appointment.book")
def confirm(hold_id: UUID) -> AnyResponse | tuple[str, int]:
    """Book. Whoever sends the form twice sees the same appointment twice."""
    form = Form(request.form)
    texts = _read_details(form)
    if form:
        try:
            return redirect(_booked(hold_id, form, texts), 303)
        except NotFound:
            return render_template("booking/gone.html"), 410
        except Refusal as refusal:
            form.refuse(refusal)
    with reading() as session:
        return _details(session, hold_id, form, 422)


def _read_details(form: Form) -> dict[str, str]:
    texts = {
        "reason": form.text("reason", maximum=300),
        "notes": form.paragraph("notes"),
    }
    texts |= {name: form.text(name, maximum=500) for name in form.data if name.startswith("answers.")}
    if g.patient is None:
        texts["name"] = form.text("name", required="Enter your name." if not g.actor.is_staff else "Enter the name.")
        asked = "" if g.actor.is_staff else "Enter your e-mail address: we confirm the appointment there."
        texts["email"] = form.email(required=asked)
        texts["phone"] = form.phone()
        if not texts["email"] and not texts["phone"]:
            form.fail("email", "Enter an e-mail address or a telephone number.")
    if not g.actor.is_staff:
        form.ticked("consent", required="Please agree, so that we may keep what you entered.")
    return texts


def _booked(hold_id: UUID, form: Form, texts: dict[str, str]) -> str:
    """The address of the done page. Raises NotFound when there is neither the hold nor a booking made from it."""
    with transaction() as session:
        known = idempotency.once(session, "portal", str(hold_id), "booking", now())
        if known is not None:
            return known.body
        found = views.find_hold(session, hold_id)
        if found is None:
            raise NotFound()
        kept, doctor, kind = found
        require(g.actor, "appointment.book", doctor)
        made = _book(session, kept, doctor, kind, texts)
        token = links.token(settings(), "manage", made.appointment.id)
        url = url_for("appointment.booked", token=token)
        idempotency.keep(session, "portal", str(hold_id), Answer(303, url, {}))
        return url


def _book(session: Any, kept: Hold, doctor: Account, kind: AppointmentType, texts: dict[str, str]) -> booking.Booked:
    answers = {question["code"]: texts.get(f"answers.{question['code']}", "") for question in kind.questions}
    said = intake.answered(kind.questions, answers, required=not g.actor.is_staff)
    new = NewAppointment(
        start=kept.start,
        kind=kind,
        patient=_patient(session, texts),
        reason=texts["reason"],
        patient_notes=intake.with_notes(said, texts["notes"]),
        overrule=kept.overrule,
    )
    # Somebody who typed for longer than the hold lasted still gets the time when nobody else took it.
    ticket = kept.id if kept.expires_at > now() else None
    try:
        return booking.book(session, [doctor], new, actor=g.actor, now=now(), ticket=ticket)
    except HoldExpired:
        return booking.book(session, [doctor], new, actor=g.actor, now=now())


def _patient(session: Any, texts: dict[str, str]) -> Patient:
    if g.account is not None and g.account.role == "patient":
        own = accounts.patient_of(session, g.account)
        if own is not None:
            return own
    return accounts.find_or_create_patient(session, texts["name"], texts["email"], texts["phone"], now())


@bp.post("/book/release/<uuid:hold_id>")
@policy("hold.release")
def release(hold_id: UUID) -> AnyResponse:
    """Let the time go and choose another."""
    with transaction() as session:
        found = views.find_hold(session, hold_id)
        booking.release_hold(session, hold_id)
    if found is None:
        return redirect(url_for(".book"), 303)
    kept, doctor, kind = found
    day = kept.start.astimezone(times.zone_of([doctor], settings().zone)).date()
    return redirect(url_for(".book", type=kind.code, doctor=doctor.username, date=day, ok="released"), 303)


@bp.get("/available-slots/")
@public
def available_slots() -> Response | tuple[Response, int]:
    """The specification's JSON: one doctor's free times on one day."""
    day, username = read_date(request.args.get("date")), request.args.get("doctor", "")
    if day is None:
        return jsonify(code="invalid", field="date", text="date must look like 2026-11-30."), 422
    with reading() as session:
        kind = offered_type(session, request.args.get("type", "consultation"))
        doctor = next((each for each in accounts.doctors(session) if each.username == username), None)
        if doctor is None:
            return jsonify(code="not_found", field="doctor", text="There is no such doctor."), 404
        zone = times.zone_of([doctor], settings().zone)
        start = midnight(day, zone)
        found = slots.free_slots(session, [doctor], start, midnight(day + timedelta(days=1), zone), kind, now())
    return jsonify(
        doctor=doctor.username,
        date=day.isoformat(),
        slots=[
            {
                "time": f"{slot.start.astimezone(zone):%H:%M}",
                "start": slot.start.astimezone(zone).isoformat(),
                "end": slot.end.astimezone(zone).isoformat(),
                "duration": int((slot.end - slot.start) / timedelta(minutes=1)),
                "available_spots": slot.spots,
            }
            for slot in found
        ],
    )
