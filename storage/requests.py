"""What a patient may only ask for, and what staff answer: a booking that needs approval, a late or bound change.

A patient who wants another time keeps the old one, and the new one is kept too, until the practice answers or the
request lapses. How open requests are noted and settled from outside is storage.pending.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ical import policy, timezones
from ical.errors import NotFound, RequestClosed
from storage import claims, cut_offs, lifecycle, notifications, pending, steps
from storage.models import (
    Account,
    Appointment,
    AppointmentType,
    ChangeRequest,
    Claim,
    Patient,
    Visit,
)
from storage.policy import SYSTEM, Actor

PAGE = "/appointments/doctor/requests/"
STATES = ("open", "approved", "rejected", "lapsed", "withdrawn")
KINDS = ("book", "reschedule", "cancel", "choose")
# What has been kept for the patient since they asked must not fail for having waited.
_WAIVED = (policy.enough_notice, policy.within_booking_window, policy.at_an_offered_time, policy.may_book_oneself)


@dataclass(frozen=True)
class RequestView:
    """A request with what it is about. `visit` is the first of a series that is asked for."""

    request: ChangeRequest
    appointment: Appointment
    visit: Visit
    doctor: Account
    patient: Patient
    kind: AppointmentType


def cancel(
    session: Session,
    appointment_id: UUID,
    *,
    actor: Actor,
    now: datetime,
    reason: str = "",
    by: str | None = None,
    recurrence_id: str | None = None,
) -> ChangeRequest | None:
    """Cancel, or ask for it where that is for the practice to decide. Returns the request, if there is one."""
    appointment, _obj, _owner = steps.opened(session, appointment_id)
    meant = steps.chosen(session, appointment, recurrence_id, "cancel")
    if cut_offs.freedom(session, appointment, meant, "cancel", actor, now) == "free":
        lifecycle.cancel(
            session, appointment_id, actor=actor, now=now, reason=reason, by=by, recurrence_id=recurrence_id
        )
        return None
    lifecycle.check_step(meant, "cancel", "patient", now)
    visit = next(each for each in meant if each.start > now)
    pending.replace(session, appointment, visit, "cancel", actor=actor, now=now)
    until = pending.lapses_at(session, visit.start, now)
    request = pending.ask(session, appointment, visit, "cancel", actor=actor, now=now, expires_at=until, reason=reason)
    return _asked(session, appointment, request, now)


def reschedule(
    session: Session,
    appointment_id: UUID,
    start: datetime,
    *,
    actor: Actor,
    now: datetime,
    doctor: Account | None = None,
    recurrence_id: str | None = None,
    reason: str = "",
    overrule: bool = False,
) -> ChangeRequest | None:
    """Move a visit, or ask for it. What is asked for is kept: nobody else can take it, and the old time stays."""
    needed = lifecycle.needed_for_move(session, appointment_id)
    appointment, _obj, owner = steps.opened(session, appointment_id, also=doctor, resources=needed.ids)
    visit = steps.chosen(session, appointment, recurrence_id, "reschedule", one=True)[0]
    if cut_offs.freedom(session, appointment, [visit], "reschedule", actor, now) == "free":
        lifecycle.reschedule(
            session,
            appointment_id,
            start,
            actor=actor,
            now=now,
            doctor=doctor,
            recurrence_id=recurrence_id,
            reason=reason,
            overrule=overrule,
        )
        return None
    lifecycle.check_step([visit], "reschedule", "patient", now)
    pending.replace(session, appointment, visit, "reschedule", actor=actor, now=now)
    target = doctor or owner
    allowed = lifecycle.allowed_move(session, appointment, visit, target, start, actor=actor, now=now)
    party = lifecycle.party_of_move(
        session, appointment, visit, target, needed, start, allowed.end, actor, now, overrule=False
    )
    request = pending.ask(
        session,
        appointment,
        visit,
        "reschedule",
        actor=actor,
        now=now,
        expires_at=pending.lapses_at(session, min(start, visit.start), now),
        span=(start, allowed.end),
        doctor_id=None if target.id == owner.id else target.id,
        wanted=_not_ours(session, appointment, visit, [allowed.wanted, *party.wanted]),
        reason=reason,
    )
    return _asked(session, appointment, request, now)


def of_booking(
    session: Session, appointment: Appointment, visit: Visit, *, actor: Actor, now: datetime
) -> ChangeRequest:
    """A patient has booked what the practice must agree to: its minutes are taken, and the patient waits."""
    request = pending.ask(
        session,
        appointment,
        visit,
        "book",
        actor=actor,
        now=now,
        expires_at=pending.lapses_at(session, visit.start, now),
        whole=True,
    )
    return _asked(session, appointment, request, now)


def approve(session: Session, request_id: UUID, *, actor: Actor, now: datetime, answer: str = "") -> ChangeRequest:
    """Carry out what was asked. Raises RequestClosed, or what stands in the way, and then the request stays open."""
    request, appointment = _behind(session, request_id, now)
    pending.close(session, request, "approved", actor, now, answer=answer)
    named = request.recurrence_id or None
    match request.kind:
        case "book":
            lifecycle.change_status(session, appointment.id, "confirm", actor=actor, now=now, reason=answer)
            visits = session.scalars(select(Visit).where(Visit.appointment_id == appointment.id)).all()
            notifications.never_told(session, appointment, visits, now)
        case "reschedule":
            assert request.start is not None
            lifecycle.reschedule(
                session,
                appointment.id,
                request.start,
                actor=actor,
                now=now,
                doctor=session.get(Account, request.doctor_id) if request.doctor_id else None,
                recurrence_id=named,
                reason=answer,
                waived=_WAIVED,
            )
        case "cancel":
            lifecycle.cancel(
                session, appointment.id, actor=actor, now=now, reason=request.reason, by="patient", recurrence_id=named
            )
    session.flush()
    return request


def reject(session: Session, request_id: UUID, *, actor: Actor, now: datetime, answer: str = "") -> ChangeRequest:
    """Say no: the appointment stays as it was, and one that was only asked for does not take place."""
    request, appointment = _behind(session, request_id, now)
    pending.close(session, request, "rejected", actor, now, answer=answer)
    if request.kind == "book":
        lifecycle.cancel(session, appointment.id, actor=actor, now=now, reason=answer, by="doctor")
    notifications.of_request(session, appointment, request, "request_rejected", now)
    return request


def withdraw(session: Session, request_id: UUID, *, actor: Actor, now: datetime) -> ChangeRequest:
    """Whoever asked takes it back; a booking that was asked for is cancelled with it."""
    request, appointment = _behind(session, request_id, now)
    if request.kind == "book":
        lifecycle.cancel(session, appointment.id, actor=actor, now=now)
    else:
        pending.close(session, request, "withdrawn", actor, now)
    return request


def due(session: Session, now: datetime, limit: int = 100) -> list[UUID]:
    """Ids of the requests that have lapsed."""
    asked = select(ChangeRequest.id).where(ChangeRequest.state == "open", ChangeRequest.expires_at <= now)
    return list(session.scalars(asked.order_by(ChangeRequest.expires_at).limit(limit)))


def lapse(session: Session, request_id: UUID, now: datetime) -> None:
    """End a request that nobody answered in time. A patient who did not choose another time has none any more."""
    try:
        request, appointment = _behind(session, request_id, now, lapsed=True)
    except RequestClosed:
        return
    pending.close(session, request, "lapsed", SYSTEM, now)
    if request.kind in ("book", "choose"):
        lifecycle.cancel(
            session,
            appointment.id,
            actor=SYSTEM,
            now=now,
            reason="not answered in time",
            by="doctor",
            recurrence_id=request.recurrence_id or None,
        )
    if request.kind != "choose":
        notifications.of_request(session, appointment, request, "request_lapsed", now)


def find(session: Session, request_id: UUID) -> tuple[ChangeRequest, Appointment]:
    """Raises NotFound."""
    request = session.get(ChangeRequest, request_id)
    if request is None:
        raise NotFound()
    return request, session.get_one(Appointment, request.appointment_id)


def listed(
    session: Session,
    *,
    doctors: Collection[int] | None = None,
    patients: Collection[UUID] | None = None,
    states: Collection[str] = ("open",),
    limit: int = 200,
) -> list[RequestView]:
    """Requests, the most urgent first."""
    asked = (
        select(ChangeRequest, Appointment, Account, Patient, AppointmentType)
        .join(Appointment, Appointment.id == ChangeRequest.appointment_id)
        .join(Account, Account.id == Appointment.doctor_id)
        .join(Patient, Patient.id == Appointment.patient_id)
        .join(AppointmentType, AppointmentType.code == Appointment.type_code)
        .where(ChangeRequest.state.in_(states))
        .order_by(ChangeRequest.expires_at, ChangeRequest.id)
        .limit(limit)
    )
    if doctors is not None:
        asked = asked.where(Appointment.doctor_id.in_(doctors))
    if patients is not None:
        asked = asked.where(Appointment.patient_id.in_(patients))
    rows = session.execute(asked).all()
    ids = {request.appointment_id for request, *_rest in rows}
    known = session.scalars(select(Visit).where(Visit.appointment_id.in_(ids)).order_by(Visit.start.desc()))
    visits: dict[tuple[UUID, str], Visit] = {}
    for visit in known:
        visits[visit.appointment_id, visit.recurrence_id] = visit
        # The earliest of a series stands for all of it.
        visits[visit.appointment_id, ""] = visit
    return [
        RequestView(request, appointment, visits[appointment.id, request.recurrence_id], doctor, patient, kind)
        for request, appointment, doctor, patient, kind in rows
        if (appointment.id, request.recurrence_id) in visits
    ]


def count_open(session: Session, doctors: Collection[int] | None = None) -> int:
    """How many wait for staff."""
    asked = (
        select(func.count())
        .select_from(ChangeRequest)
        .where(ChangeRequest.state == "open", ChangeRequest.kind != "choose")
    )
    if doctors is not None:
        asked = asked.join(Appointment, Appointment.id == ChangeRequest.appointment_id)
        asked = asked.where(Appointment.doctor_id.in_(doctors))
    return session.scalar(asked) or 0


# Steps


def _behind(
    session: Session, request_id: UUID, now: datetime, *, lapsed: bool = False
) -> tuple[ChangeRequest, Appointment]:
    """The open request and its appointment, locked: whose time it is about first. Raises NotFound, RequestClosed."""
    request, appointment = find(session, request_id)
    also = session.get(Account, request.doctor_id) if request.doctor_id else None
    rooms = lifecycle.needed_for_move(session, appointment.id).ids if request.kind == "reschedule" else ()
    steps.opened(session, appointment.id, also=also, resources=rooms)
    session.refresh(request, with_for_update=True)
    if request.state != "open" or lapsed != (request.expires_at <= now):
        raise RequestClosed()
    return request, appointment


def _asked(session: Session, appointment: Appointment, request: ChangeRequest, now: datetime) -> ChangeRequest:
    notifications.of_request(session, appointment, request, "request_received", now)
    doctor = session.get_one(Account, appointment.doctor_id)
    when = (request.start or request.old_start).astimezone(timezones.zone(doctor.timezone))
    wish = {"book": "an appointment", "reschedule": "to move an appointment to", "cancel": "to cancel the appointment"}
    text = (
        f"A patient asks for {wish[request.kind]}" if request.kind == "book" else f"A patient asks {wish[request.kind]}"
    )
    text += f" on {when:%A}, {when.day} {when:%B}, {when:%H:%M}. Approve or reject it."
    notifications.notice(session, doctor.id, text, now, appointment, page=PAGE, mail=True)
    return request


def _not_ours(
    session: Session, appointment: Appointment, visit: Visit, wanted: Sequence[claims.Wanted]
) -> list[claims.Wanted]:
    """The minutes of `wanted` that the visit does not hold already."""
    mine = [c for c in claims.of_appointment(session, appointment.id) if c.recurrence_id == visit.recurrence_id]
    return [part for each in wanted for part in _without(each, [c for c in mine if c.resource_id == each.resource_id])]


def _without(wanted: claims.Wanted, held: Sequence[Claim]) -> list[claims.Wanted]:
    parts = [(wanted.start, wanted.end)]
    for claim in held:
        pieces = []
        for start, end in parts:
            pieces += [(start, min(end, claim.start)), (max(start, claim.end), end)]
        parts = [(start, end) for start, end in pieces if end - start > timedelta(0)]
    return [replace(wanted, start=start, end=end) for start, end in parts]
