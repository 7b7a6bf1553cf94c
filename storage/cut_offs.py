"""What patients may still change themselves, by link, login or program, and what they must ask the practice for."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from ical import policy
from ical.errors import CutOffPassed, NeedsApproval
from storage import house_rules, pending
from storage.models import Appointment, AppointmentType, Visit
from storage.policy import Actor

Freedom = Literal["free", "ask"]


def require(
    session: Session, appointment: Appointment, visits: Sequence[Visit], action: str, actor: Actor, now: datetime
) -> None:
    """Raises CutOffPassed, or NeedsApproval, unless `actor` may do this to each of the visits that are to come."""
    if actor.is_staff or action not in ("confirm", "cancel", "reschedule"):
        return
    if freedom(session, appointment, visits, action, actor, now) == "ask":
        raise NeedsApproval()


def freedom(
    session: Session, appointment: Appointment, visits: Sequence[Visit], action: str, actor: Actor, now: datetime
) -> Freedom:
    """Whether they may do it themselves or must ask for it. Raises CutOffPassed where it is too late for either."""
    if actor.is_staff:
        return "free"
    first = min((visit for visit in visits if visit.start > now), key=lambda visit: visit.start, default=None)
    if first is None:
        raise CutOffPassed()
    if action == "confirm":
        return "ask" if pending.awaits_approval(session, appointment) else "free"
    if pending.must_choose(session, appointment, first):
        return "free"
    if action == "cancel" and pending.awaits_approval(session, appointment):
        return "free"
    kind = session.get_one(AppointmentType, appointment.type_code)
    refusal = policy.before_cut_off(first.start, cutoff_of(kind, action), now)
    if refusal is None:
        return "ask" if action == "reschedule" and kind.approval else "free"
    if house_rules.current(session).late_changes == "asked":
        return "ask"
    raise refusal


def cutoff_of(kind: AppointmentType, action: str) -> int:
    """Minutes before the start until which a patient may do it."""
    if action == "cancel" and kind.cutoff_cancel_minutes is not None:
        return kind.cutoff_cancel_minutes
    return kind.cutoff_minutes
