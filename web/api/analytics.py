"""Figures about the practice, as JSON and as CSV."""

import csv
import io
from datetime import timedelta
from typing import Literal

from flask import request
from pydantic import Field

from ical import timezones
from storage import accounts, analytics, policy
from web.api import shapes
from web.api.fields import Day, Query
from web.api.operations import Answer, Call, operation, reject
from web.api.problems import Problem

_USUAL = timedelta(days=30)
_LONGEST = timedelta(days=1830)


class AnalyticsQuery(Query):
    from_: Day | None = Field(default=None, alias="from", description="Usually 30 days ago.")
    to: Day | None = Field(default=None, description="Included. Usually today.")
    by: Literal["doctor", "type", "weekday", "hour"] = "doctor"


@operation(
    "GET",
    "/analytics",
    "Utilisation, no-shows, lead time and cancellations",
    shapes.Analytics,
    query=AnalyticsQuery,
    refusals=(406,),
    csv=True,
)
def read_analytics(call: Call, query: AnalyticsQuery) -> shapes.Analytics | Answer:
    policy.require(call.actor, "analytics.read")
    wanted = request.accept_mimetypes.best_match(["application/json", "text/csv"], default=None)
    if wanted is None and request.accept_mimetypes:
        raise Problem(406, "not_acceptable", "There is application/json and text/csv.")
    today = call.now.astimezone(timezones.zone(call.settings.timezone)).date()
    last = query.to or max(today, query.from_ or today)
    first = query.from_ or last - _USUAL
    if last < first:
        reject("to", "The end lies before the beginning.")
    if last - first > _LONGEST:
        reject("to", f"Ask for {_LONGEST.days} days at most.")
    doctors = accounts.doctors(call.session)
    if call.actor.role == "doctor":
        doctors = [call.account]
    found = analytics.figures(call.session, doctors, first, last, query.by)
    rows = [shapes.Figures(**vars(row)) for row in found.rows]
    total = shapes.Figures(**vars(found.total))
    if wanted == "text/csv":
        return Answer(_csv([*rows, total]), content_type="text/csv; charset=utf-8")
    return shapes.Analytics(by=query.by, start=first, end=last, rows=rows, total=total)


def _csv(rows: list[shapes.Figures]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(shapes.Figures.model_fields))
    writer.writeheader()
    for row in rows:
        values = row.model_dump()
        writer.writerow({name: _inert(value) for name, value in values.items()})
    return text.getvalue()


def _inert(value: object) -> object:
    """A name that begins like a formula must not be one in a spreadsheet."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value
