"""The places of the practice: their time zones, addresses, and the way between them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from ical import timezones
from ical.errors import InvalidInput, NotFound
from ical.lines import Component, escape
from ical.vcalendar import clean
from storage import audit, freed
from storage.models import Location

FIELDS = ("name", "timezone", "address", "travel_minutes")


def every(session: Session) -> Sequence[Location]:
    return session.scalars(select(Location).order_by(Location.name)).all()


def by_name(session: Session, name: str) -> Location | None:
    return session.scalar(select(Location).where(Location.name == name))


def add(session: Session, name: str, *, now: datetime, **values: Any) -> Location:
    """A new place. Raises InvalidInput."""
    made = Location(address="", timezone=session.info["settings"].timezone)
    _set(session, made, {"name": name, **values})
    session.add(made)
    session.flush()
    freed.ring_all(session)
    audit.note(session, "location.added", f"location:{made.id}", now)
    return made


def change(session: Session, location_id: int, *, now: datetime, **values: Any) -> Location:
    """Change some fields. Hours keep the name that they were written with. Raises NotFound, InvalidInput."""
    found = session.get(Location, location_id)
    if found is None:
        raise NotFound()
    _set(session, found, values)
    session.flush()
    freed.ring_all(session)
    audit.note(session, "location.changed", f"location:{found.id}", now, fields=sorted(values))
    return found


def take_over(session: Session, event: Component, place: str | None) -> None:
    """An appointment goes where its new hours are (`place` "" is the practice itself, None nowhere that is known), unless
    it was somewhere of its own."""
    settings = session.info["settings"]
    there, wanted = event.plain("LOCATION"), place or settings.clinic_name
    if place is None or there == wanted:
        return
    if there == settings.clinic_name or by_name(session, there) is not None:
        event.set("LOCATION", escape(clean(wanted)))


def _set(session: Session, place: Location, values: dict[str, Any]) -> None:
    for field, value in values.items():
        if field not in FIELDS:
            raise InvalidInput("There is no such field.", field=field)
        if field == "name":
            value = " ".join(str(value).split())
            if not 1 <= len(value) <= 200:
                raise InvalidInput("A place needs a name of up to 200 characters.", field="name")
            other = by_name(session, value)
            if other is not None and other is not place:
                raise InvalidInput("There is a place of this name already.", field="name")
        elif field == "timezone":
            timezones.zone(value)
        elif field == "travel_minutes" and value is not None and not 0 <= value <= 240:
            raise InvalidInput("Give a whole number from 0 to 240.", field="travel_minutes")
        setattr(place, field, value)
