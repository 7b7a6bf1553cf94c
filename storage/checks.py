"""What an operator wants to know: is the database ours and in order, and does anything pile up?"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, aliased

from ical import status, timezones
from storage import audit, clock_changes, horizon
from storage.db import Database, DatabaseUnavailable
from storage.models import Account, Appointment, CalendarObject, Claim, Collection, Occurrence, OutboxMessage, Visit

_LATE = timedelta(minutes=5)
# The series looked at, the last changed ones first: an independent look takes milliseconds each.
_LOOKED_AT = 500


@dataclass(frozen=True)
class Backlog:
    """Messages in the outbox: how many in each state, how many of the due ones are overdue, and by how much."""

    by_state: dict[str, int]
    overdue: int
    oldest_seconds: float


def ready(db: Database) -> str | None:
    """Why requests cannot be served; None when they can."""
    try:
        current = db.current_revision()
    except DatabaseUnavailable as error:
        return f"{str(error).rstrip('.')}. Check CLINICDAV_DATABASE_URL and the disk."
    if current is None:
        return "The database is empty: run clinicdav init."
    if current != db.head_revision():
        return f"The database has revision {current}, not {db.head_revision()}: run clinicdav db upgrade."
    return None


def backlog(session: Session, now: datetime) -> Backlog:
    counted = session.execute(select(OutboxMessage.state, func.count()).group_by(OutboxMessage.state))
    by_state = {row[0]: row[1] for row in counted}
    due = select(func.count(), func.min(OutboxMessage.due_at)).where(
        OutboxMessage.state == "due", OutboxMessage.due_at <= now - _LATE
    )
    overdue, oldest = session.execute(due).one()
    return Backlog(by_state, overdue, (now - oldest).total_seconds() if oldest else 0.0)


def counts(session: Session) -> dict[str, int]:
    """How much there is of what."""
    objects = select(func.count()).select_from(CalendarObject).where(CalendarObject.deleted.is_(False))
    return {
        "accounts": session.scalar(select(func.count()).select_from(Account)) or 0,
        "calendars": session.scalar(select(func.count()).select_from(Collection)) or 0,
        "objects": session.scalar(objects) or 0,
        "appointments": session.scalar(select(func.count()).select_from(Appointment)) or 0,
    }


def integrity(db: Database, session: Session, now: datetime) -> list[str]:
    """What is wrong with the data, a sentence each. Empty: nothing."""
    problems = []
    if db.dialect == "sqlite":
        found = session.execute(text("PRAGMA quick_check")).scalars().all()
        problems += [f"SQLite says: {line}" for line in found if line != "ok"]
        broken = session.execute(text("PRAGMA foreign_key_check")).all()
        problems += [f"Table {row[0]} refers to a row of {row[2]} that is not there." for row in broken[:20]]
    one, other = aliased(Claim), aliased(Claim)
    overlaps = session.execute(
        select(one.id, other.id).where(
            one.resource_id == other.resource_id,
            one.seat == other.seat,
            one.id < other.id,
            one.start < other.end,
            other.start < one.end,
        )
    )
    problems += [f"Claims {a} and {b} hold the same minutes." for a, b in overlaps.all()[:20]]
    unclaimed = session.scalars(
        select(Visit.appointment_id)
        .join(Appointment, Appointment.id == Visit.appointment_id)
        .join(CalendarObject, CalendarObject.id == Appointment.object_id)
        .outerjoin(Claim, (Claim.appointment_id == Visit.appointment_id) & (Claim.recurrence_id == Visit.recurrence_id))
        .where(
            Visit.status.in_(status.ACTIVE),
            Visit.start > now,
            CalendarObject.deleted.is_(False),
            Claim.id.is_(None),
        )
        .distinct()
    )
    problems += [f"Appointment {each} is to come and holds no minutes." for each in unclaimed.all()[:20]]
    early, outdated = horizon.ending_early(session, now), clock_changes.count(session)
    if early:
        problems.append(f"{early} repeating entries end too early in the table: run clinicdav run recurrence.")
    if outdated:
        problems.append(
            f"{outdated} entries follow other time zone rules than the installed: run clinicdav run recurrence."
        )
    broken_row = audit.first_broken(session)
    if broken_row is not None:
        problems.append(f"The audit was changed: row {broken_row} does not fit those before it.")
    return problems + _misplaced(session, now)


def _misplaced(session: Session, now: datetime) -> list[str]:
    """Series of the practice whose occurrences in the table are not those that independent code reads in their text."""
    # Its libraries are of no use to a server, which imports this module for its other questions.
    from ical import second_opinion

    until = now + timedelta(days=180)
    series = session.execute(
        select(CalendarObject, Account.timezone)
        .join(Collection, Collection.id == CalendarObject.collection_id)
        .join(Account, Account.id == Collection.owner_id)
        .where(
            CalendarObject.deleted.is_(False),
            CalendarObject.kind.in_(("appointment", "hours", "leave")),
            CalendarObject.stored_text.contains("RRULE"),
        )
        .order_by(CalendarObject.changed_at.desc())
        .limit(_LOOKED_AT)
    )
    problems = []
    for obj, zone in series:
        known = session.scalars(
            select(Occurrence.start).where(
                Occurrence.object_id == obj.id, Occurrence.end > now, Occurrence.start < until
            )
        )
        if set(known) != second_opinion.starts(obj.stored_text, timezones.zone(zone), now, until):
            problems.append(f"The occurrences of object {obj.id} are not those of its text.")
    return problems
