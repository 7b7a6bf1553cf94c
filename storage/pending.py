"""Open requests about an appointment: who waits for whose answer, until when, and what settles them from outside.

A request is a row, and where a patient wants another time a claim of those minutes that expires with it. Whatever
happens to the visit meanwhile, on a page or in a calendar app, is an answer too. Asking and answering are
storage.requests.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from ical import status
from storage import audit, claims, house_rules, notifications, visits
from storage.models import Appointment, ChangeRequest, Visit
from storage.policy import Actor


def open_of(session: Session, appointment_id: UUID) -> list[ChangeRequest]:
    """The open requests of an appointment, the oldest first."""
    asked = select(ChangeRequest).filter_by(appointment_id=appointment_id, state="open")
    return list(session.scalars(asked.order_by(ChangeRequest.asked_at, ChangeRequest.id)))


def awaits_approval(session: Session, appointment: Appointment) -> bool:
    """Whether the practice has yet to say yes to its booking."""
    return any(request.kind == "book" for request in open_of(session, appointment.id))


def must_choose(session: Session, appointment: Appointment, visit: Visit) -> bool:
    """Whether the practice has asked the patient to choose another time for this visit."""
    found = open_of(session, appointment.id)
    return any(request.kind == "choose" and request.recurrence_id == visit.recurrence_id for request in found)


def lapses_at(session: Session, start: datetime, now: datetime) -> datetime:
    """When a request that is made now lapses unanswered, if what it is about begins at `start`."""
    lead = timedelta(hours=house_rules.current(session).request_lead_hours)
    return start - min(lead, (start - now) / 2)


def ask(
    session: Session,
    appointment: Appointment,
    visit: Visit,
    kind: str,
    *,
    actor: Actor,
    now: datetime,
    expires_at: datetime,
    span: tuple[datetime, datetime] | None = None,
    doctor_id: int | None = None,
    wanted: Sequence[claims.Wanted] = (),
    whole: bool = False,
    reason: str = "",
) -> ChangeRequest:
    """Note a request, and take the minutes that it wants. Raises SlotTaken."""
    request = ChangeRequest(
        id=uuid4(),
        appointment_id=appointment.id,
        recurrence_id="" if whole else visit.recurrence_id,
        kind=kind,
        state="open",
        old_start=visit.start,
        start=span[0] if span else None,
        end=span[1] if span else None,
        doctor_id=doctor_id,
        reason=reason[:1000],
        asked_by=actor.label,
        asked_at=now,
        expires_at=expires_at,
        decided_by="",
        answer="",
    )
    claims.take(session, wanted, kind="request", now=now, ticket=request.id, expires_at=expires_at)
    session.add(request)
    session.flush()
    _note(session, request, actor, "asked", now)
    return request


def replace(
    session: Session, appointment: Appointment, visit: Visit, kind: str, *, actor: Actor, now: datetime
) -> None:
    """Whoever asks again for a visit takes back what they asked for before."""
    for former in open_of(session, appointment.id):
        if (former.kind, former.recurrence_id) == (kind, visit.recurrence_id):
            close(session, former, "withdrawn", actor, now)


def close(
    session: Session, request: ChangeRequest, state: str, actor: Actor, now: datetime, *, answer: str = ""
) -> None:
    """End an open request; the minutes that it kept are free."""
    request.state, request.decided_by, request.decided_at = state, actor.label, now
    request.answer = answer[:1000]
    claims.release(session, ticket=request.id)
    session.flush()
    _note(session, request, actor, state, now)


def make_way(session: Session, appointment_id: UUID, starts: Collection[datetime]) -> None:
    """The appointment is about to be moved to one of these times: what was kept there for it is not in its way."""
    for request in open_of(session, appointment_id):
        if request.start in starts:
            claims.release(session, ticket=request.id, retaken=True)


def follow(session: Session, appointment: Appointment, actor: Actor, now: datetime) -> None:
    """The appointment has just changed: what was asked about it may have been answered by that."""
    waiting = open_of(session, appointment.id)
    if not waiting:
        return
    known = visits.of_appointment(session, appointment.id)
    for request in waiting:
        if request.kind == "book":
            state = _state_of_booking(request, list(known.values()), actor)
        else:
            state = _state_of(request, appointment, known.get(request.recurrence_id))
        if state is None:
            continue
        close(session, request, state, actor, now)
        if request.kind == "book" and state == "approved":
            notifications.never_told(session, appointment, list(known.values()), now)
        if request.kind == "book" and state == "rejected":
            notifications.of_request(session, appointment, request, "request_rejected", now)


def _state_of_booking(request: ChangeRequest, meant: Sequence[Visit], actor: Actor) -> str | None:
    if all(visit.status in status.CANCELLED for visit in meant):
        return "rejected" if actor.is_staff else "withdrawn"
    began = any(visit.status not in (*status.CANCELLED, "scheduled", "rescheduled") for visit in meant)
    moved = actor.is_staff and not any(visit.start == request.old_start for visit in meant)
    return "approved" if began or moved else None


def _state_of(request: ChangeRequest, appointment: Appointment, visit: Visit | None) -> str | None:
    if visit is None:
        return "withdrawn"
    if visit.status in status.CANCELLED:
        return "approved" if request.kind == "cancel" else "withdrawn"
    if request.kind == "choose" and (visit.start, appointment.doctor_id) != (request.old_start, request.doctor_id):
        return "approved"
    if visit.start != request.old_start:
        return "approved" if visit.start == request.start else "withdrawn"
    return None if visit.status in visits.OPEN else "withdrawn"


def _note(session: Session, request: ChangeRequest, actor: Actor, what: str, now: datetime) -> None:
    detail: Mapping[str, str] = {"kind": request.kind, "request": str(request.id)}
    audit.record(session, actor, f"request.{what}", f"appointment:{request.appointment_id}", detail, now)
