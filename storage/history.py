"""What happened to an appointment: who, when, why."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from storage.models import Account, History, Visit, table_of
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
    "from_end",
    "from_doctor_id",
    "undoes",
]
_ADD = Prepared(insert(table_of(History)), _COLUMNS)


@dataclass(frozen=True)
class Before:
    """A visit as it was before a move."""

    start: datetime
    end: datetime
    status: str
    doctor_id: int

    @classmethod
    def of(cls, visit: Visit, doctor: Account) -> Self:
        return cls(visit.start, visit.end, visit.status, doctor.id)

    @classmethod
    def as_told(cls, visit: Visit, doctor: Account) -> Self:
        """As the patient knows it, when an app has moved it to and fro since."""
        start, end = visit.told_start or visit.start, visit.told_end or visit.end
        return cls(start, end, visit.told_status or visit.status, doctor.id)


def record(
    session: Session,
    visit: Visit,
    actor: Actor,
    action: str,
    now: datetime,
    *,
    from_status: str = "",
    from_start: datetime | None = None,
    from_end: datetime | None = None,
    from_doctor_id: int | None = None,
    undoes: int | None = None,
    reason: str = "",
) -> None:
    """Note a step of this visit, which has been carried out already. `undoes`: the step that it took back."""
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
        "from_end": from_end,
        "from_doctor_id": from_doctor_id,
        "undoes": undoes,
    }
    _ADD.write(session.connection(), step)


def moved(
    session: Session,
    visit: Visit,
    actor: Actor,
    now: datetime,
    was: Before,
    doctor: Account,
    *,
    reason: str = "",
    undoes: int | None = None,
) -> None:
    """Note that this visit has another time, or `doctor`, than it had."""
    record(
        session,
        visit,
        actor,
        "moved" if undoes is None else "undo",
        now,
        from_status=was.status,
        from_start=was.start,
        from_end=was.end,
        from_doctor_id=None if was.doctor_id == doctor.id else was.doctor_id,
        undoes=undoes,
        reason=reason,
    )


def of_appointment(session: Session, appointment_id: UUID) -> Sequence[History]:
    """All steps, the oldest first."""
    return session.scalars(select(History).where(History.appointment_id == appointment_id).order_by(History.id)).all()


# What the practice arranges for itself, and what of its reasons is the patient's business.
_OURS = frozenset({"kept", "restored"})
_TOLD = frozenset({"cancel", "cancelled"})


def patients_part(steps: Sequence[History]) -> list[History]:
    """The steps that a patient sees."""
    return [step for step in steps if step.action not in _OURS]


def reason_for_patient(step: History) -> str:
    """Their own words, and why the practice cancelled; other reasons are notes of the staff."""
    return step.reason if step.actor == "patient" or step.action in _TOLD else ""


def is_patients(step: History) -> bool:
    """Whether the patient did it, or somebody with the link in a mail to them."""
    return step.actor == "patient"
