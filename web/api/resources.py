"""Rooms, machines and assistants that appointments can need."""

from typing import Annotated, Literal

from pydantic import Field

from storage import policy, resources
from web.api import shapes
from web.api.fields import Line, Name, Request
from web.api.operations import Call, operation

Capacity = Annotated[int, Field(ge=1, le=100)]


class NewResource(Request):
    username: Name = Field(description="Stands in the address of its calendars. It stays.")
    kind: Literal["room", "machine", "assistant"]
    name: Line = Field(min_length=1, max_length=200)
    capacity: Capacity = Field(default=1, description="How many appointments share its time.")
    timezone: Name | None = Field(default=None, description="An IANA name; the practice's when left out.")


class ResourceFields(Request):
    """What is left out stays as it is."""

    name: Line | None = Field(default=None, min_length=1, max_length=200)
    capacity: Capacity | None = None
    active: bool | None = Field(default=None, description="false: not booked any more; what is booked with it stays.")


@operation("GET", "/resources", "Rooms, machines and assistants (staff)", shapes.Resources)
def list_resources(call: Call) -> shapes.Resources:
    policy.require(call.actor, "resources.read")
    return shapes.Resources(resources=[shapes.resource(each) for each in resources.every(call.session)])


@operation("POST", "/resources", "Add one (admins)", shapes.Resource, status=201, body=NewResource)
def add_resource(call: Call, body: NewResource) -> shapes.Resource:
    policy.require(call.actor, "resources.write")
    made = resources.add(
        call.session, body.username, body.kind, body.name, timezone=body.timezone, capacity=body.capacity, now=call.now
    )
    return shapes.resource(made)


@operation(
    "PATCH",
    "/resources/{username}",
    "Change one (admins)",
    shapes.Resource,
    body=ResourceFields,
    refusals=(404,),
)
def change_resource(call: Call, username: str, body: ResourceFields) -> shapes.Resource:
    policy.require(call.actor, "resources.write")
    return shapes.resource(resources.change(call.session, username, **body.model_dump(), now=call.now))
