"""Kinds of values in requests, each with the JSON schema that says what it takes."""

import re
from datetime import date, datetime, time, tzinfo
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, StringConstraints, WithJsonSchema

from ical import times
from ical.errors import InvalidInput

# The iCalendar side keeps to these years too.
_YEARS = range(1970, 2201)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?([Zz]|[+-]\d{2}:\d{2})?")
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d(:00)?")
_ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
_PROSE = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$"


class Request(BaseModel):
    """A JSON body: no unknown fields, no conversions between types."""

    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class Query(BaseModel):
    """The parameters of a URL."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Reply(BaseModel):
    """A JSON answer."""

    model_config = ConfigDict(populate_by_name=True)


def _date(value: Any) -> date:
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            found = date.fromisoformat(value)
        except ValueError:
            raise ValueError("there is no such day") from None
        if found.year in _YEARS:
            return found
        raise ValueError(f"years go from {_YEARS[0]} to {_YEARS[-1]}")
    raise ValueError("give a date such as 2026-11-23")


def _moment(value: Any) -> datetime:
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        try:
            found = datetime.fromisoformat(value.upper())
        except ValueError:
            raise ValueError("there is no such time") from None
        if found.year in _YEARS:
            return found
        raise ValueError(f"years go from {_YEARS[0]} to {_YEARS[-1]}")
    raise ValueError("give a time such as 2026-11-23T09:00:00+01:00, or without offset in the doctor's time zone")


def _day_or_moment(value: Any) -> date | datetime:
    return _date(value) if isinstance(value, str) and _DATE.fullmatch(value) else _moment(value)


def _time(value: Any) -> time:
    if isinstance(value, str) and _TIME.fullmatch(value):
        return time.fromisoformat(value)
    raise ValueError("give a time of day such as 09:00")


def in_zone(value: datetime, zone: tzinfo) -> datetime:
    """The instant (UTC); a value without offset is wall time in `zone`."""
    return times.instant(value, zone)


def to_book(value: datetime, zone: tzinfo) -> datetime:
    """`in_zone` for the start of a visit: a wall time that the clocks skip is refused, not moved."""
    moment = in_zone(value, zone)
    if value.tzinfo is None and moment.astimezone(zone).replace(tzinfo=None) != value:
        raise InvalidInput("There is no such time on that day: the clocks go forward.", field="start")
    return moment


Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=_ONE_LINE)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64, pattern=_ONE_LINE)]
Prose = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000, pattern=_PROSE)]
Day = Annotated[date, PlainValidator(_date), WithJsonSchema({"type": "string", "format": "date"})]
Moment = Annotated[
    datetime,
    PlainValidator(_moment),
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "description": "With an offset; without one it is wall time of the doctor.",
        }
    ),
]
DayOrMoment = Annotated[
    date | datetime,
    PlainValidator(_day_or_moment),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date"}, {"type": "string", "format": "date-time"}]}),
]
TimeOfDay = Annotated[
    time,
    PlainValidator(_time),
    WithJsonSchema({"type": "string", "pattern": r"^([01]\d|2[0-3]):[0-5]\d(:00)?$", "examples": ["09:00"]}),
]


class FollowUpWanted(Request):
    """What is to follow a visit: so many days after it, or between two days (both included)."""

    after_days: Annotated[int, Field(ge=1, le=731)] | None = Field(
        default=None, description="Left out like the days: as the type of the visit has it."
    )
    due_from: Day | None = None
    due_to: Day | None = None
    type: Name | None = Field(default=None, description="Usually follow_up.")
    note: Line = Field(default="", description="For the patient, on the page of the link.")
