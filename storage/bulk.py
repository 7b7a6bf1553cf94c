"""A doctor falls ill: all visits of some hours or days are moved to a colleague, cancelled, or given another time by
choice of the patient, at once, after a preview.

The preview carries everything out and takes it back, so that it shows what would happen and nothing else. Its token is
a digest of what it shows: what is carried out later must come to the same, or nothing is done.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Literal
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.orm import Session

from ical import policy, timezones
from ical.errors import InvalidInput, PlanChanged, Refusal
from storage import appointments, audit, claims, house_rules, lifecycle, notifications, pending, slots
from storage.appointments import Row
from storage.models import (
    Account,
    Appointment,
    AppointmentType,
    BulkAction,
    CalendarObject,
    Resource,
    Visit,
)
from storage.policy import Actor

Action = Literal["move_to", "cancel", "offer_new_times"]
ACTIONS: tuple[Action, ...] = ("move_to", "cancel", "offer_new_times")
# What becomes of a visit that cannot be moved
Otherwise = Literal["keep", "cancel", "offer_new_times"]
MOST = 200

_AWAITED = ("scheduled", "confirmed", "rescheduled")
# Nobody could have known earlier.
_WAIVED = (policy.enough_notice, policy.within_booking_window)
_NEAREST = 5


@dataclass(frozen=True)
class Plan:
    """What is to be done with the visits of `doctor` that begin in [start, end). `message` goes to each patient;
    `deadline`: until when they choose another time."""

    doctor: Account
    start: datetime
    end: datetime
    action: Action
    to_doctor: Account | None = None
    message: str = ""
    otherwise: Otherwise = "keep"
    deadline: datetime | None = None


@dataclass(frozen=True)
class Item:
    """One visit and what becomes of it: moved, cancelled, asked (to choose another time) or kept, and why."""

    appointment_id: UUID
    recurrence_id: str
    version: int
    patient: str
    kind: str
    start: datetime
    end: datetime
    outcome: Literal["moved", "cancelled", "asked", "kept"]
    new_start: datetime | None = None
    doctor: str = ""
    why: Refusal | None = None


@dataclass(frozen=True)
class Preview:
    items: Sequence[Item]
    token: str


def preview(session: Session, plan: Plan, *, actor: Actor, now: datetime) -> Preview:
    """What would happen. Nothing stays of it. Raises InvalidInput."""
    trial = session.begin_nested()
    try:
        return _carried_out(session, plan, actor, now)
    finally:
        trial.rollback()
        _forget(session)


def carry_out(session: Session, plan: Plan, token: str, *, actor: Actor, now: datetime) -> Preview:
    """Do what the preview with this token has shown. Raises PlanChanged when it would not come to that any more; the
    caller's transaction then does nothing."""
    done = _carried_out(session, plan, actor, now)
    if done.token != token:
        raise PlanChanged()
    outcomes = [item.outcome for item in done.items]
    detail: dict[str, int] = {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
    audit.record(session, actor, f"bulk.{plan.action}", f"account:{plan.doctor.id}", detail, now)
    return done


def _carried_out(session: Session, plan: Plan, actor: Actor, now: datetime) -> Preview:
    _check(plan, now)
    _lock(session, plan)
    rows = _meant(session, plan, now)
    if len(rows) > MOST:
        raise InvalidInput(
            f"These are {len(rows)} visits. At most {MOST} are changed at once: choose less time.", field="to"
        )
    done = BulkAction(
        id=uuid4(),
        doctor_id=plan.doctor.id,
        action=plan.action,
        start=plan.start,
        end=plan.end,
        message=plan.message[:1000],
        by=actor.label,
        at=now,
    )
    session.add(done)
    session.flush()
    # Names and versions before anything is changed: what has been changed is read anew.
    known = [_item(row) for row in rows]
    items = [_done(session, plan, row, item, done.id, actor, now) for row, item in zip(rows, known, strict=True)]
    return Preview(items, _token(plan, items))


def _check(plan: Plan, now: datetime) -> None:
    if plan.end <= plan.start:
        raise InvalidInput("The end must be later than the beginning.", field="to")
    if plan.end <= now:
        raise InvalidInput("This time has passed.", field="to")
    if plan.action == "move_to" and (plan.to_doctor is None or plan.to_doctor.id == plan.doctor.id):
        raise InvalidInput("Choose the colleague who takes the visits over.", field="to_doctor")
    if plan.deadline is not None and plan.deadline <= now:
        raise InvalidInput("The deadline has passed.", field="deadline")


def _lock(session: Session, plan: Plan) -> None:
    """Everybody whose time may change, at once and in order. Which rooms a move will need shows only on the way."""
    people = [plan.doctor.id] if plan.to_doctor is None else [plan.doctor.id, plan.to_doctor.id]
    asked = select(Appointment.id).join(Visit, Visit.appointment_id == Appointment.id)
    meant = asked.where(Appointment.doctor_id == plan.doctor.id, Visit.start >= plan.start, Visit.start < plan.end)
    rooms = select(Resource.id).where(Resource.kind != "doctor")
    ids = list(dict.fromkeys(session.scalars(meant)))
    claims.lock_appointments(session, ids, doctors=people, resources=list(session.scalars(rooms)))


def _meant(session: Session, plan: Plan, now: datetime) -> list[Row]:
    asked = appointments.rows().where(
        Appointment.doctor_id == plan.doctor.id,
        Visit.status.in_(_AWAITED),
        Visit.start >= max(plan.start, now),
        Visit.start < plan.end,
    )
    found = session.execute(asked.order_by(Visit.start, Visit.appointment_id).limit(MOST + 1))
    return [Row(*row) for row in found]


def _item(row: Row) -> Item:
    return Item(
        row.appointment.id,
        row.visit.recurrence_id,
        row.appointment.version,
        row.patient.name,
        row.kind.name,
        row.visit.start,
        row.visit.end,
        "kept",
    )


def _done(session: Session, plan: Plan, row: Row, item: Item, bulk: UUID, actor: Actor, now: datetime) -> Item:
    what: str = plan.action
    why = None
    if plan.action == "move_to":
        assert plan.to_doctor is not None
        start, why = _moved(session, plan, plan.to_doctor, row.kind, item, bulk, actor, now)
        if start is not None:
            return replace(item, outcome="moved", new_start=start, doctor=plan.to_doctor.username)
        what = plan.otherwise
    if what == "cancel":
        lifecycle.cancel(
            session,
            item.appointment_id,
            actor=actor,
            now=now,
            reason=plan.message,
            by="doctor",
            recurrence_id=item.recurrence_id or None,
            bulk=bulk,
        )
        return replace(item, outcome="cancelled", why=why)
    if what == "offer_new_times":
        _ask_to_choose(session, plan, item, actor, now)
        return replace(item, outcome="asked", why=why)
    return replace(item, why=why)


def _moved(
    session: Session,
    plan: Plan,
    colleague: Account,
    kind: AppointmentType,
    item: Item,
    bulk: UUID,
    actor: Actor,
    now: datetime,
) -> tuple[datetime | None, Refusal | None]:
    """The time at which the colleague takes it over: the same, or the nearest of that day; or why not."""

    def move(start: datetime) -> Callable[[], object]:
        return lambda: lifecycle.reschedule(
            session,
            item.appointment_id,
            start,
            actor=actor,
            now=now,
            doctor=colleague,
            recurrence_id=item.recurrence_id or None,
            reason=plan.message,
            waived=_WAIVED,
            bulk=bulk,
        )

    first = _attempt(session, move(item.start))
    if first is None:
        return item.start, None
    if isinstance(first, InvalidInput):
        return None, first
    for start in _nearest(session, colleague, kind, item, now):
        if _attempt(session, move(start)) is None:
            return start, None
    return None, first


def _attempt(session: Session, move: Callable[[], object]) -> Refusal | None:
    """Do it, or leave everything as it was and say why."""
    trial = session.begin_nested()
    try:
        move()
    except Refusal as refusal:
        trial.rollback()
        _forget(session)
        return refusal
    trial.commit()
    return None


def _nearest(session: Session, colleague: Account, kind: AppointmentType, item: Item, now: datetime) -> list[datetime]:
    zone = timezones.zone(colleague.timezone)
    day = datetime.combine(item.start.astimezone(zone).date(), time(), zone)
    found = slots.free_slots(session, [colleague], max(day, now), day + timedelta(days=1), kind, now)
    return sorted((slot.start for slot in found), key=lambda start: (abs(start - item.start), start))[:_NEAREST]


def _ask_to_choose(session: Session, plan: Plan, item: Item, actor: Actor, now: datetime) -> None:
    appointment = session.get_one(Appointment, item.appointment_id)
    visit = session.get_one(Visit, (item.appointment_id, item.recurrence_id))
    usual = now + timedelta(hours=house_rules.current(session).choose_hours)
    until = min(plan.deadline or usual, pending.lapses_at(session, visit.start, now))
    pending.replace(session, appointment, visit, "choose", actor=actor, now=now)
    request = pending.ask(
        session,
        appointment,
        visit,
        "choose",
        actor=actor,
        now=now,
        expires_at=until,
        doctor_id=plan.doctor.id,
        reason=plan.message,
    )
    notifications.of_request(session, appointment, request, "choose_another", now)


def _token(plan: Plan, items: Sequence[Item]) -> str:
    said = [
        plan.doctor.id,
        plan.to_doctor.id if plan.to_doctor else None,
        plan.action,
        plan.otherwise,
        plan.start.isoformat(),
        plan.end.isoformat(),
        *(
            [str(i.appointment_id), i.recurrence_id, i.version, i.outcome, i.new_start and i.new_start.isoformat()]
            for i in items
        ),
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]


def _forget(session: Session) -> None:
    """Objects that were written as rows in what has been rolled back look as if they still were there."""
    for obj in [each for each in session.identity_map.values() if isinstance(each, CalendarObject)]:
        session.expunge(obj)
