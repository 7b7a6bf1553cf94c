"""One appointment, for whoever may see it: the patient or staff by their login, anybody by the link in the mail.

/appointments/<id>/ asks the login, /manage/<token> the link; behind either stand the same pages. A link acts only
after a POST, since mail scanners open links.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from ical import feeds, status
from ical.errors import CutOffPassed, IllegalTransition, InvalidInput, NotFound, Refusal, VersionConflict
from storage import accounts, appointments, booking, follow_ups, lifecycle, outbox, views, waitlist
from storage.appointments import AppointmentView
from storage.diary import Except
from storage.follow_ups import USUAL_TYPE
from storage.models import Visit
from storage.policy import Actor, can, require
from web import sessions
from web.forms import Form, read_date, read_instant
from web.portal import times
from web.portal.follow_ups import read_wanted
from web.security import policy, public
from web.services import now, reading, settings, transaction

bp = Blueprint("appointment", __name__)

Answer = str | AnyResponse | tuple[str, int]
STEPS = ("confirm", "arrive", "start", "complete", "no-show", "rebook")


@dataclass(frozen=True)
class Access:
    """An appointment that `actor` may see, the visit of it that is meant, and where its pages are."""

    detail: AppointmentView
    visit: Visit
    actor: Actor
    token: str

    def url(self, page: str = "see", **values: Any) -> str:
        values.setdefault("r", self.visit.recurrence_id or None)
        if self.token:
            return url_for(f".{page}_by_link", token=self.token, **values)
        return url_for(f".{page}", appointment_id=self.detail.appointment.id, **values)

    @property
    def refusal(self) -> Refusal | None:
        """Why it can be neither moved nor cancelled, if so."""
        if self.visit.status not in views.UPCOMING or (self.visit.status == "in_progress" and not self.actor.is_staff):
            return IllegalTransition()
        if self.actor.is_staff:
            return None
        left = self.visit.start - now()
        if left <= timedelta(0) or left < timedelta(minutes=self.detail.kind.cutoff_minutes):
            return CutOffPassed()
        return None

    @property
    def steps(self) -> list[str]:
        return next_steps(self.visit, self.actor)


def next_steps(visit: Visit, actor: Actor) -> list[str]:
    """What may happen to a visit next, by whom."""
    allowed = STEPS if actor.is_staff else ("confirm",)
    return [step for step in allowed if _leads_on(visit, step, "doctor" if actor.is_staff else "patient")]


def _leads_on(visit: Visit, step: str, by: str) -> bool:
    if step == "arrive" and visit.arrived_at is not None:
        return False
    try:
        status.after(visit.status, step, by=by, start=visit.start, now=now())
    except IllegalTransition:
        return False
    return not (by == "patient" and visit.start <= now())


def _by_login(session: Any, appointment_id: UUID) -> Access:
    appointment = views.find_appointment(session, appointment_id)
    if appointment is None:
        raise NotFound()
    require(g.actor, "appointment.read", appointment)
    return _access(_detail(session, appointment.id, g.actor), g.actor, "")


def _by_token(session: Any, token: str) -> Access:
    appointment = booking.by_manage_token(session, token)
    if appointment is None:
        raise NotFound()
    actor = sessions.link_actor(appointment.id, appointment.patient_id)
    return _access(_detail(session, appointment.id, actor), actor, token)


def _detail(session: Any, appointment_id: UUID, actor: Actor) -> AppointmentView:
    found = appointments.read_by(session, actor, appointment_id, now())
    if found is None:
        raise NotFound()
    return found


def _access(detail: AppointmentView, actor: Actor, token: str) -> Access:
    visit = views.chosen_visit(detail, request.values.get("r", ""), now())
    if visit is None:
        raise NotFound()
    return Access(detail, visit, actor, token)


def _open(session: Any, key: UUID | str) -> Access:
    return _by_token(session, key) if isinstance(key, str) else _by_login(session, key)


def _both(
    path: str, action: str, methods: tuple[str, ...] = ("GET",)
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Serve a page by login and by link. The view gets the id or the token."""

    def register(view: Callable[[UUID | str], Any]) -> Callable[[UUID | str], Any]:
        def by_login(appointment_id: UUID) -> Any:
            return view(appointment_id)

        def by_link(token: str) -> Any:
            return view(token)

        name, verbs = view.__name__, list(methods)
        bp.add_url_rule(f"/appointments/<uuid:appointment_id>/{path}", name, policy(action)(by_login), methods=verbs)
        bp.add_url_rule(
            f"/manage/<token>{'/' if path else ''}{path}", f"{name}_by_link", public(by_link), methods=verbs
        )
        return view

    return register


@_both("", "appointment.read")
def see(key: UUID | str) -> Answer:
    with reading() as session:
        return _page(session, _open(session, key))


def _page(session: Any, access: Access, problem: str = "", form: Form | None = None) -> str:
    appointment = access.detail.appointment
    notes = can(access.actor, "doctor_notes.read", appointment)
    return render_template(
        "appointment/see.html",
        access=access,
        detail=access.detail,
        visit=access.visit,
        problem=problem,
        form=form or Form(None, notes=access.detail.doctor_notes if notes else ""),
        notes=notes,
        staff=access.actor.is_staff,
        following=follow_ups.listed(session, appointment_id=appointment.id),
        follow_up_url=lambda row: follow_ups.url(settings(), row.follow_up),
    )


@bp.get("/manage/<token>/booked")
@public
def booked(token: str) -> Answer:
    """The done page of the booking flow."""
    with reading() as session:
        access = _by_token(session, token)
    return render_template(
        "appointment/booked.html",
        access=access,
        detail=access.detail,
        visit=access.visit,
        manage_url=booking.manage_url(settings(), access.detail.appointment.id),
    )


def _act(key: UUID | str, act: Callable[[Any, Access], None], done: str, action: str) -> Answer:
    """Carry out `act` in a transaction unless somebody else changed the appointment since the form was made."""
    try:
        with transaction() as session:
            access = _open(session, key)
            require(access.actor, action, access.detail.appointment)
            sent = request.form.get("version", "")
            if sent and sent != str(access.detail.appointment.version):
                raise VersionConflict()
            act(session, access)
    except NotFound:
        raise
    except Refusal as refusal:
        with reading() as session:
            return _page(session, _open(session, key), refusal.sentence), refusal.status
    back = request.form.get("back", "")
    if back.startswith("/appointments/doctor/"):
        return redirect(back, 303)
    return redirect(access.url(ok=done), 303)


@_both("confirm/", "appointment.confirm", ("POST",))
def confirm(key: UUID | str) -> Answer:
    return _act(key, _step("confirm"), "confirmed", "appointment.confirm")


def _step(step: str, **more: Any) -> Callable[[Any, Access], None]:
    def act(session: Any, access: Access) -> None:
        lifecycle.change_status(
            session,
            access.detail.appointment.id,
            step,
            recurrence_id=access.visit.recurrence_id or None,
            actor=access.actor,
            now=now(),
            **more,
        )

    return act


@_both("cancel/", "appointment.change", ("GET", "POST"))
def cancel(key: UUID | str) -> Answer:
    if request.method == "GET":
        return _question(key, "appointment/cancel.html")
    form = Form(request.form)
    reason = form.paragraph("reason", maximum=500)
    whole = form.get("whole") == "yes"

    def act(session: Any, access: Access) -> None:
        if access.refusal is not None:
            raise access.refusal
        lifecycle.cancel(
            session,
            access.detail.appointment.id,
            reason=reason,
            by=form.get("by") if access.actor.is_staff and form.get("by") in ("patient", "doctor") else None,
            recurrence_id=None if whole else access.visit.recurrence_id or None,
            actor=access.actor,
            now=now(),
        )

    return _act(key, act, "cancelled", "appointment.change")


def _question(key: UUID | str, template: str) -> Answer:
    with reading() as session:
        access = _open(session, key)
        if access.refusal is not None:
            return _page(session, access, access.refusal.sentence), access.refusal.status
    return render_template(template, access=access, detail=access.detail, visit=access.visit, form=Form())


@_both("reschedule/", "appointment.change", ("GET", "POST"))
def reschedule(key: UUID | str) -> Answer:
    problem, status_code = None, 200
    if request.method == "POST":
        try:
            with transaction() as session:
                access = _open(session, key)
                _move(session, access)
            return redirect(access.url(ok="moved"), 303)
        except NotFound:
            raise
        except Refusal as refusal:
            problem, status_code = refusal, refusal.status
    with reading() as session:
        access = _open(session, key)
        if access.refusal is not None:
            return _page(session, access, access.refusal.sentence), access.refusal.status
        detail, visit = access.detail, access.visit
        picker = times.pick(
            session,
            [detail.doctor],
            detail.kind,
            read_date(request.values.get("date")),
            now(),
            settings().zone,
            Except(detail.appointment.id, visit.recurrence_id),
        )
        text = render_template(
            "appointment/reschedule.html", access=access, detail=detail, visit=visit, picker=picker, problem=problem
        )
        return text, status_code


def _move(session: Any, access: Access) -> None:
    require(access.actor, "appointment.change", access.detail.appointment)
    if request.form.get("version", "") not in ("", str(access.detail.appointment.version)):
        raise VersionConflict()
    if access.refusal is not None:
        raise access.refusal
    start = read_instant(request.form.get("slot", "").rpartition("|")[2])
    if start is None:
        raise InvalidInput("Choose one of the times.")
    lifecycle.reschedule(
        session,
        access.detail.appointment.id,
        start,
        recurrence_id=access.visit.recurrence_id or None,
        actor=access.actor,
        now=now(),
    )


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

    def act(session: Any, access: Access) -> None:
        if notes and can(access.actor, "doctor_notes.write", access.detail.appointment):
            lifecycle.set_notes(session, appointment_id, notes, actor=access.actor, now=now())
        _step("complete", follow_up=wanted)(session, access)

    return _act(appointment_id, act, "status", "appointment.status")


def _complete_page(appointment_id: UUID, form: Form | None = None) -> Answer:
    """Asks for notes, and what is to follow: the type's own days to begin with."""
    with reading() as session:
        access = _by_login(session, appointment_id)
        if access.refusal is not None:
            return _page(session, access, access.refusal.sentence), access.refusal.status
        kinds = views.types(session)
    detail = access.detail
    if form is None:
        form = Form(None, after_days=detail.kind.follow_up_days, follow_up_type=USUAL_TYPE)
    page = render_template(
        "appointment/complete.html", access=access, detail=detail, visit=access.visit, form=form, kinds=kinds
    )
    return page, 200 if form else 422


@bp.post("/appointments/<uuid:appointment_id>/status/")
@policy("appointment.status")
def step(appointment_id: UUID) -> Answer:
    chosen = request.form.get("step", "")
    if chosen not in STEPS:
        raise InvalidInput("Choose what happened.")
    return _act(appointment_id, _step(chosen), "status", "appointment.status")


@bp.post("/appointments/<uuid:appointment_id>/notes/")
@policy("doctor_notes.write")
def notes(appointment_id: UUID) -> Answer:
    form = Form(request.form)
    text = form.paragraph("notes", maximum=5000)
    if not form:
        with reading() as session:
            return _page(session, _open(session, appointment_id), form=form), 422

    def act(session: Any, access: Access) -> None:
        lifecycle.set_notes(session, appointment_id, text, actor=access.actor, now=now())

    return _act(appointment_id, act, "saved", "doctor_notes.write")


@_both("appointment.ics", "appointment.read")
def ics(key: UUID | str) -> Response:
    """To be added to the patient's own calendar: no reason, no notes."""
    with reading() as session:
        access = _open(session, key)
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


@bp.get("/appointments/my-appointments/")
@public
def mine() -> Answer:
    """Upcoming and past ones of a patient who is logged in; otherwise a form that mails the links."""
    if g.actor.is_staff:
        return redirect(url_for("calendar.calendar"))
    if g.patient is None:
        return render_template("appointment/find.html", form=Form(), sent=False)
    with reading() as session:
        upcoming, past = views.visits_of_patient(session, g.patient.id, now())
        following = follow_ups.listed(session, patients=[g.patient.id], statuses=follow_ups.OPEN)
        waiting = waitlist.list_entries(session, patient=g.patient, statuses=["waiting", "offered"])
        doctors = {doctor.id: doctor for doctor in accounts.doctors(session)}
        kinds = {kind.code: kind for kind in views.types(session, all_of_them=True)}
    return render_template(
        "appointment/mine.html",
        following=following,
        follow_up_url=lambda row: follow_ups.url(settings(), row.follow_up),
        upcoming=upcoming,
        past=past,
        waiting=waiting,
        doctors=doctors,
        kinds=kinds,
    )


@bp.post("/appointments/my-appointments/")
@public
def send_links() -> Answer:
    """Mail the manage links. The answer is the same whether the address is known or not."""
    form = Form(request.form)
    email = form.email(required="Enter your e-mail address.")
    if not form:
        return render_template("appointment/find.html", form=form, sent=False), 422
    with transaction() as session:
        for patient in views.patients_with_email(session, email):
            outbox.add(
                session,
                template="manage_links",
                channel="email",
                # Once in ten minutes, however often somebody asks
                dedupe_key=f"manage_links:{patient.id}:{now():%Y%m%d%H%M}"[:-1],
                patient_id=patient.id,
                due_at=now(),
                expires_at=now() + timedelta(hours=4),
            )
    return render_template("appointment/find.html", form=form, sent=True)
