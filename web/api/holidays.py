"""Days on which the practice is closed."""

from datetime import datetime

from pydantic import Field

from storage import holidays, policy
from storage.models import HolidayCalendar
from web.api.fields import Line, Reply, Request
from web.api.operations import Call, operation, reject


class HolidaysIn(Request):
    name: Line = Field(min_length=1)
    url: str | None = Field(default=None, max_length=2000, description="Fetched soon, and then each day.")
    ics: str | None = Field(default=None, max_length=60_000, description="The text of an iCalendar file instead.")
    location: Line | None = Field(default=None, description="The name of the one place that they close.")


class HolidaysOut(Reply):
    id: int
    name: str
    url: str
    location: str | None
    read_at: datetime | None = Field(description="Of the copy in use.")
    problem: str = Field(description="Why the last attempt failed.")


class HolidaysList(Reply):
    holidays: list[HolidaysOut]


@operation("GET", "/holidays", "Days on which the practice is closed (admins)", HolidaysList)
def list_holidays(call: Call) -> HolidaysList:
    policy.require(call.actor, "settings.write")
    return HolidaysList(holidays=[_shown(each) for each in holidays.every(call.session)])


@operation("POST", "/holidays", "Close the practice on some days (admins)", HolidaysOut, status=201, body=HolidaysIn)
def add_holidays(call: Call, body: HolidaysIn) -> HolidaysOut:
    policy.require(call.actor, "settings.write")
    if body.ics is not None and body.url is None:
        data = body.ics.encode()
        return _shown(holidays.add_file(call.session, body.name, data, location=body.location, now=call.now))
    if body.url is None or body.ics is not None:
        reject("url", "Give either url or ics.")
    return _shown(holidays.subscribe(call.session, body.name, body.url, location=body.location, now=call.now))


@operation("DELETE", "/holidays/{id}", "Open the practice on these days again (admins)", HolidaysList, refusals=(404,))
def remove_holidays(call: Call, id: str) -> HolidaysList:
    policy.require(call.actor, "settings.write")
    holidays.remove(call.session, int(id) if id.isdigit() and len(id) < 10 else 0, now=call.now)
    return list_holidays(call)


def _shown(calendar: HolidayCalendar) -> HolidaysOut:
    return HolidaysOut.model_validate({name: getattr(calendar, name) for name in HolidaysOut.model_fields})
