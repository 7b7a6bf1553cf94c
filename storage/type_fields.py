"""What a type of appointment may say of itself in lists: its doctors, resources, questions and hours."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, model_validator
from sqlalchemy import select
from sqlalchemy.orm import Session

from ical.errors import InvalidInput
from storage.models import Account

_Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")
]
_Clock = Annotated[str, StringConstraints(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
_Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class _Item(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class Question(_Item):
    """What patients are asked when they book."""

    code: str = Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")
    text: _Line
    kind: Literal["text", "yes_no", "choice"] = "text"
    required: bool = False
    choices: list[_Line] = Field(default=[], max_length=20)

    @model_validator(mode="after")
    def _has_choices(self) -> "Question":
        if (self.kind == "choice") != (len(self.choices) > 1) or len(set(self.choices)) != len(self.choices):
            raise ValueError("A choice needs at least two different answers, and other questions have none")
        return self


class TypeHours(_Item):
    """Wall times at which a type is offered. `to` 00:00 is the end of the day."""

    days: list[_Day] = Field(min_length=1, max_length=7)
    from_: _Clock = Field(alias="from")
    to: _Clock

    @model_validator(mode="after")
    def _in_order(self) -> "TypeHours":
        if self.to <= self.from_ and self.to != "00:00":
            raise ValueError("The hours must end after they begin")
        return self


_QUESTIONS = TypeAdapter(Annotated[list[Question], Field(max_length=20)])
_HOURS = TypeAdapter(Annotated[list[TypeHours], Field(max_length=20)])
_DOCTORS = TypeAdapter(Annotated[list[_Line], Field(max_length=500)])
_RESOURCES = TypeAdapter(
    Annotated[list[Annotated[list[_Line], Field(min_length=1, max_length=50)]], Field(max_length=10)]
)


def questions(_session: Session, value: Any) -> list[Any]:
    asked = _read(_QUESTIONS, "questions", value)
    if len({each["code"] for each in asked}) != len(asked):
        raise InvalidInput("Two questions have one code.", field="questions")
    return asked


def hours(_session: Session, value: Any) -> list[Any]:
    return _read(_HOURS, "hours", value)


def doctors(session: Session, value: Any) -> list[Any]:
    names = list(dict.fromkeys(_read(_DOCTORS, "doctors", value)))
    _require(session, "doctor", names, "doctors", "There is no doctor called {}.")
    return names


def resources(session: Session, value: Any) -> list[Any]:
    groups = _read(_RESOURCES, "resources", value)
    names = [name for group in groups for name in group]
    if len(set(names)) != len(names):
        raise InvalidInput("Name each room, machine or assistant once.", field="resources")
    _require(session, "resource", names, "resources", "There is no room, machine or assistant called {}.")
    return groups


# Each reads what was given and returns what is stored. Raises InvalidInput with the field.
LISTS: dict[str, Callable[[Session, Any], list[Any]]] = {
    "doctors": doctors,
    "resources": resources,
    "questions": questions,
    "hours": hours,
}


def _read(adapter: TypeAdapter[Any], field: str, value: Any) -> list[Any]:
    try:
        read = adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in (field, *first["loc"]))
        raise InvalidInput(f"{first['msg'].removeprefix('Value error, ')}.", field=where) from None
    dumped: list[Any] = adapter.dump_python(read, mode="json", by_alias=True)
    return dumped


def _require(session: Session, role: str, names: list[str], field: str, sentence: str) -> None:
    known = set(session.scalars(select(Account.username).where(Account.role == role, Account.username.in_(names))))
    for name in names:
        if name not in known:
            raise InvalidInput(sentence.format(name[:64]), field=field)
