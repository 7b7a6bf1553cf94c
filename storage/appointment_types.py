"""Kinds of appointment: the six that every practice starts with, and its own."""

import re
from datetime import datetime
from typing import Any, cast

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from ical.errors import InvalidInput, NotFound
from storage import audit, freed
from storage.models import AppointmentType
from storage.prepared import Kept
from storage.type_fields import LISTS

_CODE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_RANGES = {
    "minutes": (5, 720),
    "buffer_before": (0, 240),
    "buffer_after": (0, 240),
    "capacity": (1, 100),
    "notice_minutes": (0, 60 * 24 * 60),
    "window_days": (1, 730),
    "cutoff_minutes": (0, 60 * 24 * 60),
    "cutoff_cancel_minutes": (0, 60 * 24 * 60),
    "position": (0, 10_000),
    "daily_maximum": (0, 1000),
    "weekly_maximum": (0, 5000),
    "offer_minutes": (1, 7 * 24 * 60),
    "auto_offer_hours": (0, 90 * 24),
    "follow_up_days": (1, 730),
}
# None says something of its own there
OPTIONAL = (
    "minutes",
    "capacity",
    "cutoff_cancel_minutes",
    "daily_maximum",
    "weekly_maximum",
    "offer_minutes",
    "auto_offer_hours",
    "follow_up_days",
)
FIELDS = (*_RANGES, *LISTS, "name", "colour", "mode", "self_booking", "approval", "active")

_BY_CODE = Kept(lambda columns: select(*columns).where(AppointmentType.code == bindparam("code")), AppointmentType)


def every(session: Session, *, self_booking: bool = False) -> list[AppointmentType]:
    """The active types in their order; with `self_booking`, those that patients may book themselves."""
    asked = select(AppointmentType).where(AppointmentType.active.is_(True))
    if self_booking:
        asked = asked.where(AppointmentType.self_booking.is_(True))
    return list(session.scalars(asked.order_by(AppointmentType.position, AppointmentType.code)))


def get(session: Session, code: str) -> AppointmentType:
    """Raises NotFound for an unknown or inactive code."""
    found = _BY_CODE.attached(session, code=code)
    if found is None or not found[0].active:
        raise NotFound(f"There is no type of appointment called {code[:64]}.", field="type")
    return cast(AppointmentType, found[0])


def create(session: Session, code: str, *, now: datetime, **values: Any) -> AppointmentType:
    """A new type. `values` are the model's fields. Raises InvalidInput."""
    if not _CODE.fullmatch(code):
        raise InvalidInput("A code is lower-case letters, digits and _, and begins with a letter.", field="code")
    if session.get(AppointmentType, code) is not None:
        raise InvalidInput("There is a type with this code already.", field="code")
    if not str(values.get("name") or "").strip():
        raise InvalidInput("A type needs a name.", field="name")
    made = AppointmentType(code=code)
    _set(session, made, values)
    session.add(made)
    session.flush()
    audit.note(session, "type.created", f"type:{code}", now, fields=sorted(values))
    return made


def change(session: Session, code: str, *, now: datetime, **values: Any) -> AppointmentType:
    """Change some fields. Appointments that are booked keep their times. Raises NotFound, InvalidInput."""
    found = session.get(AppointmentType, code)
    if found is None:
        raise NotFound(f"There is no type of appointment called {code[:64]}.", field="type")
    _set(session, found, values)
    session.flush()
    # A shorter one, or one for more people, may be free where it was not.
    freed.ring_all(session)
    audit.note(session, "type.changed", f"type:{code}", now, fields=sorted(values))
    return found


def _set(session: Session, kind: AppointmentType, values: dict[str, Any]) -> None:
    for name, value in values.items():
        if name not in FIELDS:
            raise InvalidInput("There is no such field.", field=name)
        if name in _RANGES and not (value is None and name in OPTIONAL):
            low, high = _RANGES[name]
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise InvalidInput(f"Give a whole number from {low} to {high}.", field=name)
        if name == "mode" and value not in ("in_person", "video"):
            raise InvalidInput("A mode is in_person or video.", field=name)
        setattr(kind, name, LISTS[name](session, value) if name in LISTS else value)
