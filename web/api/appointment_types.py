"""Types of appointments: what can be booked, and what a practice may say of each."""

from typing import Annotated, Literal

from pydantic import Field

from storage import appointment_types, policy
from storage.type_fields import Question, TypeHours
from web.api import shapes
from web.api.fields import Line, Name, Request
from web.api.operations import Call, operation

Minutes = Annotated[int, Field(ge=0, le=86_400)]


class TypeFields(Request):
    """What can be said of a type; what is left out stays as it is."""

    name: Line | None = Field(default=None, min_length=1, max_length=100)
    minutes: Annotated[int, Field(ge=5, le=720)] | None = None
    buffer_before: Annotated[int, Field(ge=0, le=240)] | None = None
    buffer_after: Annotated[int, Field(ge=0, le=240)] | None = None
    colour: str | None = Field(default=None, pattern=r"^[a-z]{3,32}$", description="A CSS colour name (RFC 7986).")
    mode: Literal["in_person", "video"] | None = None
    capacity: Annotated[int, Field(ge=1, le=100)] | None = None
    notice_minutes: Minutes | None = None
    window_days: Annotated[int, Field(ge=1, le=730)] | None = None
    cutoff_minutes: Minutes | None = Field(default=None, description="Patients move it until then, in minutes before.")
    cutoff_cancel_minutes: Minutes | None = Field(default=None, description="… and cancel it; null: as they move it.")
    self_booking: bool | None = None
    approval: bool | None = Field(
        default=None, description="What a patient books waits for the practice to approve it."
    )
    doctors: list[Name] | None = Field(default=None, description="Usernames of those who offer it; empty: all of them.")
    resources: list[list[Name]] | None = Field(
        default=None, description="Groups of rooms, machines or assistants, of each of which one is needed."
    )
    questions: list[Question] | None = Field(default=None, description="What patients are asked when they book.")
    hours: list[TypeHours] | None = Field(
        default=None, description="When it is offered; empty: whenever there are hours."
    )
    daily_maximum: Annotated[int, Field(ge=0, le=1000)] | None = Field(default=None, description="Of it, per doctor.")
    weekly_maximum: Annotated[int, Field(ge=0, le=5000)] | None = Field(default=None, description="Monday to Sunday.")
    offer_minutes: Annotated[int, Field(ge=1, le=10_080)] | None = Field(
        default=None, description="How long an offer from the waitlist stands; null: as the waitlist says."
    )
    auto_offer_hours: Annotated[int, Field(ge=0, le=2160)] | None = Field(
        default=None,
        description="A time freed with fewer hours left is not offered by itself; null: as the waitlist says.",
    )
    follow_up_days: Annotated[int, Field(ge=1, le=730)] | None = Field(
        default=None, description="A follow-up is proposed after so many days; null: none is."
    )
    active: bool | None = None
    position: Annotated[int, Field(ge=0, le=10_000)] | None = None


class NewType(TypeFields):
    code: str = Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")
    name: Line = Field(min_length=1, max_length=100)  # type: ignore[assignment]


class NamedType(TypeFields):
    code: Name


@operation("GET", "/types", "Types of appointments", shapes.Types)
def list_types(call: Call) -> shapes.Types:
    policy.require(call.actor, "types.read")
    return shapes.Types(types=[shapes.type_of(call, kind) for kind in appointment_types.every(call.session)])


@operation("POST", "/types", "Add a type (admins)", shapes.Type, status=201, body=NewType, refusals=(409,))
def add_type(call: Call, body: NewType) -> shapes.Type:
    policy.require(call.actor, "types.write")
    return shapes.type_of(call, appointment_types.create(call.session, body.code, now=call.now, **_told(body)))


@operation("PATCH", "/types", "Change the type that `code` names (admins)", shapes.Type, body=NamedType)
def change_named_type(call: Call, body: NamedType) -> shapes.Type:
    return change_type(call, body.code, body)


@operation("PATCH", "/types/{code}", "Change a type (admins)", shapes.Type, body=TypeFields)
def change_type(call: Call, code: str, body: TypeFields) -> shapes.Type:
    policy.require(call.actor, "types.write")
    return shapes.type_of(call, appointment_types.change(call.session, code, now=call.now, **_told(body)))


def _told(body: TypeFields) -> dict[str, object]:
    """What was said. null takes back what need not be set; elsewhere it says nothing."""
    told = body.model_dump(exclude_unset=True, exclude={"code"}, by_alias=True)
    return {name: value for name, value in told.items() if value is not None or name in appointment_types.OPTIONAL}
