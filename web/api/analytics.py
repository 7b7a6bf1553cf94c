"""Figures about the practice, as JSON and as CSV."""

from datetime import timedelta

from flask import request
from pydantic import Field

from ical import timezones
from storage import accounts, analytics, policy
from web.api import lookups, shapes
from web.api.fields import Day, Line, Name, Query
from web.api.operations import Answer, Call, operation, reject
from web.api.problems import Problem
from web.tables import csv_text

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
    everybody = accounts.doctors(call.session)
    allowed = [doctor for doctor in everybody if policy.can(call.actor, "analytics.read", doctor)]
    if not allowed:
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
    if query.doctor is not None:
        chosen = lookups.doctor(call, query.doctor)
        policy.require(call.actor, "analytics.read", chosen)
        allowed = [chosen]
    asked = analytics.Asked(
        allowed,
        first,
        last,
        query.by,
        kind=None if query.type is None else lookups.kind(call, query.type).code,
        location=query.location,
        anybody=len(allowed) == len(everybody) and call.actor.role != "doctor",
    )
    found = analytics.figures(call.session, asked)
    rows = [shapes.Figures(**vars(row)) for row in found.rows]
    total = shapes.Figures(**vars(found.total))
    if wanted == "text/csv":
        text = csv_text(list(shapes.Figures.model_fields), [row.model_dump() for row in (*rows, total)])
        return Answer(text, content_type="text/csv; charset=utf-8")
    return shapes.Analytics(by=query.by, start=first, end=last, rows=rows, total=total)
