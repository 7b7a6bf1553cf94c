"""Booked visits at times at which the doctor does not work any more: nothing is cancelled, the doctor chooses.

When hours or approved leave have changed and the quiet period is over, the coming visits are marked anew, and the
doctor is told once of all that have come to lie outside, or for which there is no place any more. Each is then kept,
moved (the nearest free time is proposed) or cancelled by choice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy.orm import Session

from ical import timezones
from ical.diary import capacity_at
from ical.errors import InvalidInput, NotFound
from storage import (
    accounts,
    appointments,
    audit,
    diary,
    history,
    lifecycle,
    notifications,
    objects,
    occurrences,
    slots,
    visits,
)
from storage.appointments import Row
from storage.models import Account, Appointment, Visit
from storage.policy import Actor
from storage.slots import DoctorSlot

PAGE = "/appointments/doctor/schedule/affected/"

Choice = Literal["keep", "move", "cancel"]
# Where another time is looked for, about the visits, and for how many of them.
_EARLIER, _LATER = timedelta(days=14), timedelta(days=42)
_MOST = 50


@dataclass(frozen=True)
class Proposal:
    """A visit that is in the way, and where it could go: None where nothing is free."""

    row: Row
    slot: DoctorSlot | None


@dataclass(frozen=True)
class Decision:
    """What is to become of one visit. `start` and `doctor` are for moving it; `reason` is for a cancellation."""

    appointment_id: UUID
    recurrence_id: str
    choice: Choice
    start: datetime | None = None
    doctor: Account | None = None
    reason: str = ""


def mark(session: Session, doctor: Account, now: datetime) -> None:
    """Mark the coming visits that lie outside the hours or in approved leave. The doctor's lock is held."""
    coming = _coming(session, doctor, now)
    if not coming:
        return
    duty = diary.duty(session, doctor, coming[0].visit.start, max(row.visit.end for row in coming))
    crowded = _crowded(coming, duty)
    fresh = []
    for row in coming:
        visit = row.visit
        outside = not duty.covers(visit.start, visit.end) or _key(visit) in crowded
        if outside and not visit.outside_hours and visit.kept_at is None:
            fresh.append(visit)
        visit.outside_hours = outside
    _forget_kept(session, doctor, [row.visit for row in coming if row.visit.kept_at and not row.visit.outside_hours])
    if fresh:
        notifications.notice(session, doctor.id, _digest(fresh, doctor), now, page=PAGE, mail=True)


def undecided(session: Session, doctor: Account, now: datetime) -> list[Row]:
    """The coming visits outside the hours or in leave that nobody has said are to stay, in order."""
    return [row for row in _coming(session, doctor, now) if row.visit.outside_hours and row.visit.kept_at is None]


def propose(session: Session, rows: Sequence[Row], now: datetime) -> list[Proposal]:
    """The nearest free time for each of these coming visits: with the same doctor, else with a colleague, no time twice."""
    rows = [row for row in rows if row.visit.start > now][:_MOST]
    if not rows:
        return []
    span = max(now, rows[0].visit.start - _EARLIER), rows[-1].visit.start + _LATER
    everybody = accounts.doctors(session)
    free: dict[tuple[str, int], list[DoctorSlot]] = {}
    taken: list[DoctorSlot] = []

    def nearest(row: Row, doctor: Account) -> DoctorSlot | None:
        key = row.kind.code, doctor.id
        if key not in free:
            free[key] = slots.free_slots(session, [doctor], *span, row.kind, now)
        length = row.visit.end - row.visit.start
        fits = (each for each in free[key] if each.end - each.start >= length and not _clashes(each, taken))
        return min(fits, key=lambda each: (abs(each.start - row.visit.start), each.start), default=None)

    found = []
    for row in rows:
        slot = nearest(row, row.doctor) if not row.doctor.disabled else None
        if slot is None and not row.appointment.series:
            colleagues = sorted(
                (each for each in everybody if each.id != row.doctor.id),
                key=lambda each: (each.specialty != row.doctor.specialty, each.id),
            )
            slot = next((each for doctor in colleagues if (each := nearest(row, doctor)) is not None), None)
        if slot is not None:
            taken.append(slot)
        found.append(Proposal(row, slot))
    return found


def decide(session: Session, decision: Decision, *, actor: Actor, now: datetime) -> None:
    """Keep, move or cancel one visit. Raises InvalidInput, NotFound, SlotTaken or the rule that says no."""
    match decision.choice:
        case "keep":
            keep(session, decision.appointment_id, decision.recurrence_id, actor=actor, now=now)
        case "move":
            if decision.start is None:
                raise InvalidInput("Say where to.", field="start")
            lifecycle.reschedule(
                session,
                decision.appointment_id,
                decision.start,
                doctor=decision.doctor,
                recurrence_id=decision.recurrence_id or None,
                actor=actor,
                now=now,
            )
        case "cancel":
            lifecycle.cancel(
                session,
                decision.appointment_id,
                recurrence_id=decision.recurrence_id or None,
                reason=decision.reason,
                by="doctor",
                actor=actor,
                now=now,
            )


def keep(session: Session, appointment_id: UUID, recurrence_id: str, *, actor: Actor, now: datetime) -> None:
    """Let a visit take place where it is. Raises NotFound."""
    appointment = session.get(Appointment, appointment_id)
    if appointment is None:
        raise NotFound()
    objects.lock_owner(session, appointment.doctor_id)
    visit = visits.of_appointment(session, appointment_id).get(recurrence_id)
    if visit is None:
        raise NotFound()
    if visit.kept_at is None and visit.status in visits.OPEN:
        visit.kept_at = now
        history.record(session, visit, actor, "kept", now)
        audit.record(session, actor, "appointment.kept", f"appointment:{appointment_id}", {}, now)


def _coming(session: Session, doctor: Account, now: datetime) -> Sequence[Row]:
    asked = appointments.rows().where(
        Appointment.doctor_id == doctor.id, Visit.status.in_(visits.OPEN), Visit.start > now
    )
    return [Row(*row) for row in session.execute(asked.order_by(Visit.start, Visit.appointment_id))]


def _crowded(coming: Sequence[Row], duty: diary.Duty) -> set[tuple[UUID, str]]:
    """The visits for which there is no place any more where several share a time: whoever booked last.

    What was overbooked on purpose was so before."""
    crowded = set()
    beside: list[Row] = []
    for row in coming:
        beside = [each for each in beside if each.visit.end > row.visit.start]
        if row.visit.overbooked:
            continue
        beside.append(row)
        places = row.kind.capacity or capacity_at(duty.windows, row.visit.start, row.visit.end)
        if 0 < places < len(beside):
            late = sorted(beside, key=lambda each: (each.appointment.booked_at, each.appointment.id))[places:]
            crowded |= {_key(each.visit) for each in late}
    return crowded


def _key(visit: Visit) -> tuple[UUID, str]:
    return visit.appointment_id, visit.recurrence_id


def _forget_kept(session: Session, doctor: Account, kept: Sequence[Visit]) -> None:
    """A visit that lies within the hours again was kept for nothing; one in leave that is not approved yet was not."""
    if not kept:
        return
    first, last = min(visit.start for visit in kept), max(visit.end for visit in kept)
    asked = occurrences.in_range(session, first, last, owner_ids=[doctor.id], kinds=["leave"])
    pending = [each for each in asked if each.busy != "free"]
    for visit in kept:
        if not any(each.start < visit.end and each.end > visit.start for each in pending):
            visit.kept_at = None


def _clashes(slot: DoctorSlot, taken: Sequence[DoctorSlot]) -> bool:
    return any(each.doctor.id == slot.doctor.id and each.start < slot.end and each.end > slot.start for each in taken)


def _digest(fresh: Sequence[Visit], doctor: Account) -> str:
    first = fresh[0].start.astimezone(timezones.zone(doctor.timezone))
    when = f"{first:%A}, {first.day} {first:%B}, {first:%H:%M}"
    if len(fresh) == 1:
        return f"The appointment on {when} lies outside your hours or in your leave now. Keep, move or cancel it."
    return (
        f"{len(fresh)} appointments lie outside your hours or in your leave now, the first on {when}."
        " Keep, move or cancel each."
    )
