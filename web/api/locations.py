"""The places of the practice."""

from typing import Annotated

from pydantic import Field

from storage import locations, policy
from storage.models import Location
from web.api.fields import Line, Name, Prose, Reply, Request
from web.api.operations import Call, operation

_Travel = Annotated[int, Field(ge=0, le=240)]


class Place(Reply):
    id: int
    name: str = Field(description="Working hours whose LOCATION is this are there.")
    timezone: str
    address: str
    travel_minutes: int | None = Field(description="To or from any other place; null: as the house rules say.")


class Places(Reply):
    locations: list[Place]


class PlaceFields(Request):
    """What is left out stays as it is."""

    name: Line | None = Field(default=None, min_length=1)
    timezone: Name | None = Field(default=None, description="An IANA name; the practice's when left out.")
    address: Prose | None = Field(default=None, max_length=500)
    travel_minutes: _Travel | None = None


class NewPlace(PlaceFields):
    name: Line = Field(min_length=1)  # type: ignore[assignment]


@operation("GET", "/locations", "The places of the practice", Places)
def list_locations(call: Call) -> Places:
    policy.require(call.actor, "doctors.read")
    return Places(locations=[_shown(place) for place in locations.every(call.session)])


@operation("POST", "/locations", "Add a place (admins)", Place, status=201, body=NewPlace)
def add_location(call: Call, body: NewPlace) -> Place:
    policy.require(call.actor, "settings.write")
    return _shown(locations.add(call.session, now=call.now, **_told(body)))


@operation("PATCH", "/locations/{id}", "Change a place (admins)", Place, body=PlaceFields, refusals=(404,))
def change_location(call: Call, id: str, body: PlaceFields) -> Place:
    policy.require(call.actor, "settings.write")
    number = int(id) if id.isdigit() and len(id) < 10 else 0
    return _shown(locations.change(call.session, number, now=call.now, **_told(body)))


def _told(body: PlaceFields) -> dict[str, object]:
    told = body.model_dump(exclude_unset=True)
    return {name: value for name, value in told.items() if value is not None or name == "travel_minutes"}


def _shown(place: Location) -> Place:
    return Place.model_validate({name: getattr(place, name) for name in Place.model_fields})
