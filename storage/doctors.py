"""What the practice decides for each doctor: the speciality, the usual slot, the most visits, who approves the leave."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from ical.errors import InvalidInput
from storage import audit, freed
from storage.models import Account

# The field, and from where to where a number goes.
_NUMBERS = {"slot_minutes": (5, 480), "daily_maximum": (1, 500), "weekly_maximum": (1, 2000)}
_MAXIMA = ("daily_maximum", "weekly_maximum")


@dataclass(frozen=True)
class Settings:
    """`daily_maximum` and `weekly_maximum` None: as many as there are hours for."""

    specialty: str
    slot_minutes: int
    daily_maximum: int | None
    weekly_maximum: int | None
    approves_own_leave: bool


FIELDS = tuple(Settings.__dataclass_fields__)


def settings_of(doctor: Account) -> Settings:
    return Settings(**{name: getattr(doctor, name) for name in FIELDS})


def change(session: Session, doctor: Account, values: dict[str, Any], *, now: datetime) -> Settings:
    """Change some of them; None takes a maximum away. Raises InvalidInput with the field."""
    for name, value in values.items():
        if name not in FIELDS:
            raise InvalidInput("Doctors have no such setting.", field=name)
        if name in _NUMBERS and not (value is None and name in _MAXIMA):
            low, high = _NUMBERS[name]
            if not isinstance(value, int) or not low <= value <= high:
                raise InvalidInput(f"Give a number from {low} to {high}.", field=name)
        if name == "specialty" and len(value) > 100:
            raise InvalidInput("A speciality has at most 100 characters.", field=name)
        setattr(doctor, name, value)
    session.flush()
    freed.ring_all(session)
    audit.note(session, "doctor.changed", f"account:{doctor.id}", now, fields=sorted(values))
    return settings_of(doctor)
