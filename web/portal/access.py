"""Who may see an appointment's pages, by login or by link, and what they may do with it.

/appointments/<id>/ asks the login, /manage/<token> the link; behind either stand the same pages. A link acts only
after a POST, since mail scanners open links.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, g, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from ical import status
from ical.errors import IllegalTransition, NotFound, Refusal, VersionConflict
from storage import appointments, booking, cut_offs, follow_ups, history, pending, undo, views, waitlist
from storage.appointments import AppointmentView
from storage.models import ChangeRequest, Visit
from storage.policy import Actor, can, require
from web import sessions
from web.forms import Form
from web.security import policy, public
from web.services import now, reading, settings, transaction

bp = Blueprint("appointment", __name__)

Answer = str | AnyResponse | tuple[str, int]
STEPS = ("confirm", "arrive", "start", "complete", "no-show", "rebook")
_CHANGES = ("reschedule", "cancel")


@dataclass(frozen=True)
class Access:
    """An appointment that `actor` may see, the visit of it that is meant, and where its pages are.

    `may`: whether they may move and cancel it themselves ("free"), must ask for it ("ask"), or why not."""

    detail: AppointmentView
    visit: Visit
    actor: Actor
    token: str
    requests: list[ChangeRequest]
    may: Mapping[str, str | Refusal]
    # Today's last step, for staff to take back
    last_step: str = ""

    def url(self, page: str = "see", **values: Any) -> str:
        values.setdefault("r", self.visit.recurrence_id or None)
        if self.token:
            return url_for(f"appointment.{page}_by_link", token=self.token, **values)
        return url_for(f"appointment.{page}", appointment_id=self.detail.appointment.id, **values)

    def refusal_of(self, action: str) -> Refusal | None:
        """Why they can neither do it nor ask for it, if so."""
        found = self.may[action]
        return found if isinstance(found, Refusal) else None

    def asks(self, action: str) -> bool:
        return self.may[action] == "ask"

    @property
    def refusal(self) -> Refusal | None:
        """Why it can be neither moved nor cancelled, if so."""
        refusals = [self.refusal_of(action) for action in _CHANGES]
        return None if None in refusals else refusals[0]

    @property
    def waits(self) -> bool:
        """The practice has yet to agree to the booking."""
        return any(each.kind == "book" for each in self.requests)

    @property
    def must_choose(self) -> ChangeRequest | None:
        """The practice asks the patient to choose another time."""
        return next((each for each in self.requests if each.kind == "choose"), None)

    @property
    def steps(self) -> list[str]:
        found = next_steps(self.visit, self.actor)
        return [] if self.waits and not self.actor.is_staff else found


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


def by_login(session: Any, appointment_id: UUID) -> Access:
    appointment = views.find_appointment(session, appointment_id)
    if appointment is None:
        raise NotFound()
    require(g.actor, "appointment.read", appointment)
    return _access(session, appointment_id, g.actor, "")


def by_token(session: Any, token: str) -> Access:
    appointment = booking.by_manage_token(session, token)
    if appointment is None:
        raise NotFound()
    actor = sessions.link_actor(appointment.id, appointment.patient_id)
    return _access(session, appointment.id, actor, token)


def _access(session: Any, appointment_id: UUID, actor: Actor, token: str) -> Access:
    detail = appointments.read_by(session, actor, appointment_id, now())
    visit = None if detail is None else views.chosen_visit(detail, request.values.get("r", ""), now())
    if detail is None or visit is None:
        raise NotFound()
    meant = (visit.recurrence_id, "")
    asked = [each for each in pending.open_of(session, appointment_id) if each.recurrence_id in meant]
    may = {action: _may(session, detail, visit, actor, action) for action in _CHANGES}
    last = undo.last(session, appointment_id, visit.recurrence_id or None, now()) if actor.is_staff else []
    return Access(detail, visit, actor, token, asked, may, last[0].step.action if last else "")


def _may(session: Any, detail: AppointmentView, visit: Visit, actor: Actor, action: str) -> str | Refusal:
    if visit.status not in views.UPCOMING or (visit.status == "in_progress" and not actor.is_staff):
        return IllegalTransition()
    try:
        return cut_offs.freedom(session, detail.appointment, [visit], action, actor, now())
    except Refusal as refusal:
        return refusal


def opened(session: Any, key: UUID | str) -> Access:
    return by_token(session, key) if isinstance(key, str) else by_login(session, key)


def both(
    path: str, action: str, methods: tuple[str, ...] = ("GET",)
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Serve a page by login and by link. The view gets the id or the token."""

    def register(view: Callable[[UUID | str], Any]) -> Callable[[UUID | str], Any]:
        def page_by_login(appointment_id: UUID) -> Any:
            return view(appointment_id)

        def page_by_link(token: str) -> Any:
            return view(token)

        name, verbs = view.__name__, list(methods)
        bp.add_url_rule(
            f"/appointments/<uuid:appointment_id>/{path}", name, policy(action)(page_by_login), methods=verbs
        )
        bp.add_url_rule(
            f"/manage/<token>{'/' if path else ''}{path}", f"{name}_by_link", public(page_by_link), methods=verbs
        )
        return view

    return register


def page(session: Any, access: Access, problem: str = "", form: Form | None = None) -> str:
    """The appointment's own page."""
    notes = can(access.actor, "doctor_notes.read", access.detail.appointment)
    return render_template(
        "appointment/see.html",
        access=access,
        detail=access.detail,
        visit=access.visit,
        problem=problem,
        form=form or Form(None, notes=access.detail.doctor_notes if notes else ""),
        notes=notes,
        staff=access.actor.is_staff,
        steps=access.detail.history if access.actor.is_staff else history.patients_part(access.detail.history),
        reason=history.reason_for_patient,
        is_patients=history.is_patients,
        following=follow_ups.listed(session, appointment_id=access.detail.appointment.id),
        follow_up_url=lambda row: follow_ups.url(settings(), row.follow_up),
        entry=waitlist.of_appointment(session, access.detail.appointment.id) if access.actor.is_staff else None,
        versions=can(access.actor, "versions.read", access.detail.appointment),
    )


def act(key: UUID | str, do: Callable[[Any, Access], str | None], done: str, action: str) -> Answer:
    """Carry out `do` in a transaction unless somebody else changed the appointment since the form was made. It may
    return another word than `done` for what was done."""
    try:
        with transaction() as session:
            access = opened(session, key)
            require(access.actor, action, access.detail.appointment)
            check_version(access)
            done = do(session, access) or done
    except NotFound:
        raise
    except Refusal as refusal:
        with reading() as session:
            return page(session, opened(session, key), refusal.sentence), refusal.status
    back = request.form.get("back", "")
    if back.startswith("/appointments/doctor/"):
        # The page that it came from offers to take it back.
        undo_it = urlencode({"ok": done, "undo": access.detail.appointment.id, "r": access.visit.recurrence_id})
        return redirect(f"{back}{'&' if '?' in back else '?'}{undo_it}", 303)
    return redirect(access.url(ok=done), 303)


def check_version(access: Access) -> None:
    """Raises VersionConflict."""
    if request.form.get("version", "") not in ("", str(access.detail.appointment.version)):
        raise VersionConflict()
