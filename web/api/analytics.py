"""Figures about the practice, as JSON and as CSV."""

import csv
import io
from datetime import date, timedelta

from flask import request
from pydantic import Field

from ical import timezones
from storage import accounts, analytics, policy
from web.api import lookups, shapes
from web.api.fields import Day, Line, Name, Query
from web.api.operations import Answer, Call, operation, reject
from web.api.problems import Problem

_USUAL = timedelta(days=30)
_LONGEST = timedelta(days=1830)


class AnalyticsQuery(Query):
    from_: Day | None = Field(default=None, alias="from", description="Usually 30 days ago.")
    to: Day | None = Field(default=None, description="Included. Usually today.")
    by: shapes.By = "doctor"
    doctor: Name | None = Field(default=None, description="A username.")
    type: Name | None = Field(default=None, description="A code.")
    location: Line | None = None


@operation(
    "GET",
    "/analytics",
    "Utilisation, no-shows, lead time, cancellations and the waitlist",
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
    found = analytics.figures(call.session, _asked(call, query, first, last))
    rows = [shapes.Figures(**vars(row)) for row in found.rows]
    total = shapes.Figures(**vars(found.total))
    if wanted == "text/csv":
        return Answer(_csv([*rows, total]), content_type="text/csv; charset=utf-8")
    return shapes.Analytics(by=query.by, start=first, end=last, rows=rows, total=total)


def _asked(call: Call, query: AnalyticsQuery, first: date, last: date) -> analytics.Asked:
    """A doctor sees the own figures."""
    everybody = accounts.doctors(call.session)
    doctors = everybody if query.doctor is None else [lookups.doctor(call, query.doctor)]
    if call.actor.role == "doctor":
        doctors = [call.account]
        if query.doctor not in (None, call.account.username):
            policy.require(call.actor, "analytics.read", lookups.doctor(call, query.doctor))
    return analytics.Asked(
        doctors,
        first,
        last,
        query.by,
        kind=None if query.type is None else lookups.kind(call, query.type).code,
        location=query.location,
        anybody=len(doctors) == len(everybody) and call.actor.role != "doctor",
    )


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
