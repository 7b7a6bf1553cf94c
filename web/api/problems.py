"""Errors as `application/problem+json` with a stable `code`. RFC 9457."""

import json
import re
from typing import Any

from flask import Response
from pydantic import ValidationError

from ical.errors import Refusal, SeriesConflict, TooManyAttempts
from storage.db import DatabaseUnavailable

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 2

TITLES = {
    400: "The request cannot be read",
    401: "A bearer token is needed",
    403: "Not allowed",
    404: "Not found",
    405: "This address does not do that",
    406: "Not available in this form",
    409: "Conflict with what is there",
    410: "It has ended",
    412: "It has changed in the meantime",
    413: "Too large",
    415: "The body must be JSON",
    422: "The request cannot be carried out",
    429: "Too often",
    500: "Something went wrong here",
    503: "Not available now",
}


class Problem(Exception):
    """An error that is the API's own, not a rule's."""

    def __init__(
        self, status: int, code: str, detail: str, field: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.field = status, code, detail, field
        self.headers = headers or {}


def unauthorised() -> Problem:
    return Problem(
        401,
        "unauthorised",
        "Send the header Authorization: Bearer TOKEN with a token of clinicdav token add.",
        headers={"WWW-Authenticate": 'Bearer realm="ClinicDAV"'},
    )


_FIELD = re.compile(r"\w+")


def invalid(error: ValidationError) -> Problem:
    """The first field that cannot be used; 400 when the body is no JSON at all."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return Problem(400, "malformed_json", first["msg"])
    # Where a field takes values of several kinds, the place names the kind as well: that is nobody's field.
    field = ".".join(str(part) for part in first["loc"] if _FIELD.fullmatch(str(part))) or None
    return Problem(422, "invalid", first["msg"].removeprefix("Value error, "), field)


def of_refusal(refusal: Refusal) -> Response:
    more: dict[str, Any] = {}
    headers: dict[str, str] = {}
    if isinstance(refusal, SeriesConflict):
        more["conflicts"] = [
            {
                "recurrence_id": each.recurrence_id,
                "start": each.start.isoformat(),
                "because": [{"code": why.code, "text": why.sentence} for why in each.because],
                "alternatives": [other.isoformat() for other in each.alternatives],
            }
            for each in refusal.conflicts
        ]
    if isinstance(refusal, TooManyAttempts):
        headers["Retry-After"] = str(refusal.seconds)
    return answer(refusal.status, refusal.code, refusal.sentence, refusal.field, headers, more)


def of_problem(problem: Problem) -> Response:
    return answer(problem.status, problem.code, problem.detail, problem.field, problem.headers)


def of_outage(_error: DatabaseUnavailable) -> Response:
    return answer(
        503,
        "unavailable",
        "The appointment book cannot be reached right now. Nothing was changed; please try again.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def answer(
    status: int,
    code: str,
    detail: str,
    field: str | None = None,
    headers: dict[str, str] | None = None,
    more: dict[str, Any] | None = None,
) -> Response:
    body: dict[str, Any] = {
        "type": f"urn:clinicdav:problem:{code}",
        "title": TITLES.get(status, TITLES[422]),
        "status": status,
        "code": code,
        "detail": detail,
    }
    if field:
        body["field"] = field
    body |= more or {}
    return Response(json.dumps(body, ensure_ascii=False), status, headers, content_type=MEDIA_TYPE)
