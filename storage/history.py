"""What happened to an appointment: who, when, why."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from storage.models import History, Visit, table_of
from storage.policy import Actor
from storage.prepared import Prepared

_COLUMNS = [
    "appointment_id",
    "recurrence_id",
    "at",
    "actor",
    "action",
    "from_status",
    "to_status",
    "from_start",
    "to_start",
    "reason",
]
_ADD = Prepared(insert(table_of(History)), _COLUMNS)


def record(
    session: Session,
    visit: Visit,
    actor: Actor,
    action: str,
    now: datetime,
    *,
    from_status: str = "",
    from_start: datetime | None = None,
    reason: str = "",
) -> None:
    """Note a step of this visit, which has been carried out already."""
    step = {
        "appointment_id": visit.appointment_id,
        "recurrence_id": visit.recurrence_id,
        "at": now,
        "actor": actor.label,
        "action": action,
        "from_status": from_status,
        "to_status": visit.status,
        "from_start": from_start,
        "to_start": visit.start,
        "reason": reason[:500],
    }
    _ADD.write(session.connection(), step)


def of_appointment(session: Session, appointment_id: UUID) -> Sequence[History]:
    """All steps, the oldest first."""
    return session.scalars(select(History).where(History.appointment_id == appointment_id).order_by(History.id)).all()
