"""Reminders: one row for each that is to come, rebuilt with its visit, handed to the outbox when it is due.

The outbox row's dedupe key names the visit's start, so that a reminder is sent once for each time a visit has had.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from ical import reminders, times
from storage import outbox
from storage.models import Appointment, Reminder, Visit, table_of
from storage.prepared import Prepared

_TABLE = table_of(Reminder)
_ADD = Prepared(insert(_TABLE), [column.key for column in _TABLE.columns if column.key != "id"])
_KNOWN = (
    select(Reminder)
    .where(Reminder.appointment_id == bindparam("appointment"))
    .execution_options(populate_existing=True)
)

# A visit in another state is over, or will not be.
REMINDED = frozenset({"scheduled", "confirmed", "rescheduled"})


def rebuild(
    session: Session,
    appointment: Appointment,
    visits: Iterable[Visit],
    plan: Sequence[tuple[int, str]],
    now: datetime,
    *,
    first: bool = False,
) -> None:
    """Bring the reminders of these visits in step with their times and states; `plan` is (minutes, channel)…
    `first`: the appointment is new and has none yet.

    Only those whose moment is still to come are made. One that is due and was not yet sent stays."""
    wanted: dict[tuple[str, int, str], dict[str, Any]] = {}
    start_of: dict[str, datetime] = {}
    for visit in visits:
        start_of[visit.recurrence_id] = visit.start
        if visit.status in REMINDED and visit.start > now:
            for due in reminders.due_times(visit.start, plan, now):
                wanted[visit.recurrence_id, due.minutes, due.channel] = {
                    "appointment_id": appointment.id,
                    "recurrence_id": visit.recurrence_id,
                    "reminder_type": due.reminder_type,
                    "minutes_before": due.minutes,
                    "channel": due.channel,
                    "start": visit.start,
                    "due_at": due.due_at,
                    "sent_at": None,
                }
            for minutes, channel in _planned(plan):
                wanted.setdefault((visit.recurrence_id, minutes, channel), {})
    gone, moved = [], []
    for row in [] if first else session.scalars(_KNOWN, {"appointment": appointment.id}):
        if row.recurrence_id not in start_of:
            continue
        fresh = wanted.pop((row.recurrence_id, row.minutes_before, row.channel), None)
        if fresh is not None and row.start == start_of[row.recurrence_id]:
            continue
        if fresh:
            moved.append({"id": row.id, **fresh})
        else:
            gone.append(row.id)
    added = [row for row in wanted.values() if row]
    if gone:
        session.execute(delete(Reminder).where(Reminder.id.in_(gone)).execution_options(synchronize_session=False))
    if moved:
        session.execute(update(Reminder), moved)
    if added:
        _ADD.write_each(session.connection(), added)


def any_due(session: Session, now: datetime) -> bool:
    due = select(Reminder.id).where(Reminder.sent_at.is_(None), Reminder.due_at <= now)
    return session.scalar(due.limit(1)) is not None


def due_to_outbox(session: Session, now: datetime, limit: int = 500) -> int:
    """Hand the reminders that are due to the outbox. Returns how many rows were looked at (`limit`: there are more).

    A visit that a calendar app has just changed waits until that has settled."""
    rows = session.execute(
        select(Reminder, Visit, Appointment.patient_id)
        .join(Appointment, Appointment.id == Reminder.appointment_id)
        .join(
            Visit,
            (Visit.appointment_id == Reminder.appointment_id) & (Visit.recurrence_id == Reminder.recurrence_id),
        )
        .where(Reminder.sent_at.is_(None), Reminder.due_at <= now, Visit.settle_at.is_(None))
        .order_by(Reminder.due_at)
        .limit(limit)
    ).all()
    for reminder, visit, patient_id in rows:
        if visit.status in REMINDED and visit.start == reminder.start and visit.start > now:
            outbox.add(
                session,
                template="appointment_reminder",
                channel=reminder.channel,
                dedupe_key=dedupe_key(reminder),
                appointment_id=reminder.appointment_id,
                recurrence_id=reminder.recurrence_id,
                patient_id=patient_id,
                payload={"start": reminder.start.isoformat(), "minutes": reminder.minutes_before},
                due_at=now,
                expires_at=reminder.start,
                priority=1,
            )
    if rows:
        session.execute(
            update(Reminder)
            .where(Reminder.id.in_([reminder.id for reminder, _visit, _patient in rows]))
            .values(sent_at=now)
            .execution_options(synchronize_session=False)
        )
    return len(rows)


def dedupe_key(reminder: Reminder) -> str:
    return (
        f"reminder:{reminder.appointment_id}:{reminder.recurrence_id}:{reminder.minutes_before}:{reminder.channel}"
        f":{times.utc_text(reminder.start)}"
    )


def _planned(plan: Sequence[tuple[int, str]]) -> Iterable[tuple[int, str]]:
    for minutes, channel in plan:
        for each in ("email", "sms") if channel == "both" else (channel,):
            yield minutes, each
