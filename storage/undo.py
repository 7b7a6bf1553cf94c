"""Taking back the last step of a visit: its status, its cancellation, another time or doctor. Not the booking itself.

The history says what a step changed; taking it back is a step of the history too, which names the one that it took
back, so that the next undo finds the one before. Minutes are taken anew: where somebody else has them by now, nothing
is undone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from uuid import UUID

from sqlalchemy.orm import Session

from ical import appointment as appointment_text
from ical import lines, recurrence, status, timezones
from ical.errors import NotFound, NothingToUndo
from storage import audit, follow_ups, history, notifications, outbox, steps, visits
from storage.models import Account, Appointment, History, Visit
from storage.policy import Actor
from storage.writes import Write

# Steps of staff and patients, and what the same is called when a calendar app did it.
_UNDOABLE = frozenset(
    {"confirm", "arrive", "start", "complete", "no-show", "cancel", "rebook", "moved"}
    | {"confirmed", "in_progress", "completed", "no_show", "cancelled"}
)
# Whatever else stands in the history changed nothing of the visit, but for these.
_STEPS = _UNDOABLE | {"booked"}
_STAMPS = {
    "confirmed_at": ("confirm", "confirmed"),
    "arrived_at": ("arrive",),
    "completed_at": ("complete", "completed"),
    "cancelled_at": ("cancel", "cancelled"),
}

# By which message the patient hears of a step.
_TOLD_BY = {
    "cancel": "appointment_cancelled",
    "cancelled": "appointment_cancelled",
    "moved": "appointment_changed",
    "rebook": "appointment_confirmed",
}


@dataclass(frozen=True)
class Undoable:
    """The last step of a visit."""

    visit: Visit
    step: History


def last(session: Session, appointment_id: UUID, recurrence_id: str | None, now: datetime) -> list[Undoable]:
    """What an undo would take back: the last step of the named visit; without a name the last of all, with every visit
    of a series that it changed. Empty when there is none of today."""
    appointment = session.get(Appointment, appointment_id)
    if appointment is None:
        raise NotFound()
    taken = history.of_appointment(session, appointment_id)
    zone = timezones.zone(session.get_one(Account, appointment.doctor_id).timezone)
    return _last(appointment, visits.of_appointment(session, appointment_id), taken, recurrence_id, now, zone)


def undo(
    session: Session, appointment_id: UUID, *, actor: Actor, now: datetime, recurrence_id: str | None = None
) -> Appointment:
    """Take back the last step of today. Raises NothingToUndo, NotFound, SlotTaken when its minutes are gone."""
    meant = last(session, appointment_id, recurrence_id, now)
    former = {each.step.from_doctor_id for each in meant} - {None}
    also = session.get_one(Account, former.pop()) if former else None
    appointment, obj, owner = steps.opened(session, appointment_id, also=also)
    taken = history.of_appointment(session, appointment_id)
    zone = timezones.zone(owner.timezone)
    known = visits.of_appointment(session, appointment_id)
    meant = _last(appointment, known, taken, recurrence_id, now, zone)
    if not meant:
        raise NothingToUndo()
    doctor = also or owner
    calendar = lines.parse(obj.stored_text)
    was = {each.visit.recurrence_id: history.Before.of(each.visit, owner) for each in meant}
    # Of a series that was moved, each has its own former time.
    moved = any(each.step.from_start is not None for each in meant)
    whole = not appointment.series or (len(meant) > 1 and not moved)
    for each in meant:
        if each.visit.recurrence_id and each.step.action == "cancelled":
            recurrence.remove_exdate(calendar, each.visit.recurrence_id, zone)
        component = steps.component_of(calendar, each.visit.recurrence_id, zone, whole=whole)
        appointment_text.clear_pending_cancel(component, now)
        if each.step.from_start is not None:
            start, end = _former_times(each)
            appointment_text.set_times(component, start, end, timezones.zone(doctor.timezone), now)
        appointment_text.set_status(component, each.step.from_status or each.visit.status, now)
    timezones.ensure_vtimezones(calendar)
    write = Write(actor, now, "undo", overbook=all(_was_overbooked(each) for each in meant))
    if doctor.id == owner.id:
        steps.write_back(session, obj, calendar, write, revive=True)
    else:
        steps.hand_over(session, appointment, obj, doctor, calendar, write)
    session.flush()
    for each in meant:
        _follow(session, appointment, each, was[each.visit.recurrence_id], doctor, taken, actor, now)
    detail = {"steps": [each.step.action for each in meant[:1]], "visits": len(meant)}
    audit.record(session, actor, "appointment.undone", f"appointment:{appointment_id}", detail, now)
    _tell(session, appointment, meant, now, handed_over=doctor.id != owner.id)
    session.flush()
    return appointment


def _last(
    appointment: Appointment,
    known: dict[str, Visit],
    taken: Sequence[History],
    recurrence_id: str | None,
    now: datetime,
    zone: tzinfo,
) -> list[Undoable]:
    if recurrence_id and recurrence_id not in known:
        raise NotFound("The series has no such appointment.")
    named = [recurrence_id] if recurrence_id else list(known)
    found = [each for name in named if (each := _last_of(known[name], taken)) is not None]
    if not found:
        return []
    latest = max((each.step for each in found), key=lambda step: step.id)
    # What was done to a whole series at once is one step.
    meant = [each for each in found if (each.step.at, each.step.action) == (latest.at, latest.action)]
    today = latest.at.astimezone(zone).date() == now.astimezone(zone).date()
    return meant if today and all(_stands(each) for each in meant) else []


def _last_of(visit: Visit, taken: Sequence[History]) -> Undoable | None:
    undone = {step.undoes for step in taken}
    own = [s for s in taken if s.recurrence_id == visit.recurrence_id and s.action in _STEPS and s.id not in undone]
    return Undoable(visit, own[-1]) if own and own[-1].action in _UNDOABLE else None


def _stands(each: Undoable) -> bool:
    """Whether the visit is still as that step left it: a calendar app may have changed it since."""
    return (each.step.to_status, each.step.to_start) == (each.visit.status, each.visit.start)


def _former_times(each: Undoable) -> tuple[datetime, datetime]:
    start = each.step.from_start or each.visit.start
    return start, each.step.from_end or start + (each.visit.end - each.visit.start)


def _was_overbooked(each: Undoable) -> bool:
    """A visit that shared its minutes when it was cancelled may have them back as it had them."""
    return each.step.to_status in status.CANCELLED and each.visit.overbooked


def _follow(
    session: Session,
    appointment: Appointment,
    each: Undoable,
    was: history.Before,
    doctor: Account,
    taken: Sequence[History],
    actor: Actor,
    now: datetime,
) -> None:
    visit, step = each.visit, each.step
    visit.status, visit.settle_at = step.from_status or visit.status, None
    for name, actions in _STAMPS.items():
        if step.action in actions:
            setattr(visit, name, _stamp(visit, taken, actions, step.id))
    if step.to_status in status.CANCELLED:
        visit.cancellation_reason = ""
    history.moved(session, visit, actor, now, was, doctor, reason=step.action, undoes=step.id)
    follow_ups.follow(session, appointment, visit, was.status, None, actor=actor, now=now)


def _stamp(visit: Visit, taken: Sequence[History], actions: Sequence[str], undone: int) -> datetime | None:
    """When it was last done before."""
    gone = {step.undoes for step in taken} | {undone}
    before = [
        s.at for s in taken if s.recurrence_id == visit.recurrence_id and s.action in actions and s.id not in gone
    ]
    return before[-1] if before else None


def _tell(
    session: Session, appointment: Appointment, meant: Sequence[Undoable], now: datetime, *, handed_over: bool
) -> None:
    """What the patient was not told yet they need not hear of; of anything else they hear that it has changed again."""
    named = {each.visit.recurrence_id for each in meant}
    step = meant[0].step
    told_by = _TOLD_BY.get(step.action, "")
    if told_by and outbox.take_back(session, told_by, appointment.id, named, step.at, now):
        handed_over = False
        for each in meant:
            if each.visit.told_start is not None:
                each.visit.told_start, each.visit.told_end = each.visit.start, each.visit.end
                each.visit.told_status = each.visit.status
    coming = [each.visit for each in meant if each.visit.start > now]
    off = [v for v in coming if v.status in status.CANCELLED and v.told_status not in ("", *status.CANCELLED)]
    news = [v for v in coming if v.status in status.ACTIVE and (handed_over or notifications.is_news(v))]
    if off:
        notifications.cancelled(session, appointment, off, now)
    elif news and any(visit.told_status in ("", *status.CANCELLED) for visit in news):
        notifications.confirmed(session, appointment, news, now)
    elif news:
        notifications.changed(session, appointment, news, now, handed_over=handed_over)
