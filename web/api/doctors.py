"""What the practice decides for each doctor (admins)."""

from typing import Annotated

from pydantic import Field

from storage import doctors, policy
from storage.models import Account
from web.api import lookups
from web.api.fields import Line, Reply, Request
from web.api.operations import Call, operation


class DoctorChange(Request):
    """What is left out stays; null takes a maximum away."""

    specialty: Annotated[Line, Field(max_length=100)] = ""
    slot_minutes: Annotated[int, Field(ge=5, le=480)] = 30
    daily_maximum: Annotated[int, Field(ge=1, le=500)] | None = None
    weekly_maximum: Annotated[int, Field(ge=1, le=2000)] | None = None
    approves_own_leave: bool = Field(default=False, description="Leave that this doctor asks for is approved at once.")


class DoctorSettings(Reply):
    username: str
    name: str
    specialty: str
    slot_minutes: int
    daily_maximum: int | None
    weekly_maximum: int | None
    approves_own_leave: bool


@operation("GET", "/doctors/{username}", "What is decided for a doctor (admins)", DoctorSettings, refusals=(404,))
def read_doctor(call: Call, username: str) -> DoctorSettings:
    return _out(_found(call, username))


@operation("PATCH", "/doctors/{username}", "Change it (admins)", DoctorSettings, body=DoctorChange, refusals=(404,))
def change_doctor(call: Call, username: str, body: DoctorChange) -> DoctorSettings:
    doctor = _found(call, username)
    doctors.change(call.session, doctor, body.model_dump(exclude_unset=True), now=call.now)
    return _out(doctor)


def _found(call: Call, username: str) -> Account:
    policy.require(call.actor, "users.write")
    return lookups.doctor(call, username, "username")


def _out(doctor: Account) -> DoctorSettings:
    return DoctorSettings(username=doctor.username, name=doctor.name, **vars(doctors.settings_of(doctor)))
