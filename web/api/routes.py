"""The routes of /api/v1, made from the declared operations."""

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, jsonify

from web.api import (
    analytics,
    appointment_types,
    appointments,
    bulk,
    changes,
    doctors,
    follow_ups,
    holidays,
    house_rules,
    leave,
    locations,
    no_shows,
    offers,
    openapi,
    problems,
    requests,
    resources,
    series,
    times,
    versions,
    waitlist,
)
from web.api.operations import OPERATIONS, PREFIX, Operation, perform

__all__ = [
    "analytics",
    "appointment_types",
    "appointments",
    "bp",
    "bulk",
    "changes",
    "doctors",
    "follow_ups",
    "holidays",
    "house_rules",
    "leave",
    "locations",
    "no_shows",
    "offers",
    "requests",
    "resources",
    "series",
    "times",
    "versions",
    "waitlist",
]

bp = Blueprint("api", __name__, url_prefix=PREFIX)
API_VERSION = "1"
_EVERY_METHOD = ["GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "OPTIONS", "QUERY"]


@bp.get("/openapi.json")
def openapi_document() -> Response:
    return jsonify(openapi.document(API_VERSION))


def _view(op: Operation) -> Callable[..., Response]:
    uuids = {name for name in op.arguments if op.function.__annotations__.get(name) is UUID}

    def view(**arguments: str) -> Response:
        given: dict[str, Any] = dict(arguments)
        for name in uuids:
            try:
                given[name] = UUID(arguments[name])
            except ValueError:
                # Before the caller is known, an id that is none looks like one that does not exist.
                given[name] = UUID(int=0)
        return perform(op, given)

    return view


for each in OPERATIONS:
    rule = re.sub(r"\{(\w+)\}", r"<\1>", each.path)
    bp.add_url_rule(rule, each.name, _view(each), methods=[each.method], provide_automatic_options=False)


@bp.errorhandler(500)
def broken(_error: Exception) -> Response:
    return problems.answer(500, "internal_error", "Something went wrong here. Nothing was changed.")


@bp.route("/", defaults={"rest": ""}, methods=_EVERY_METHOD, provide_automatic_options=False)
@bp.route("/<path:rest>", methods=_EVERY_METHOD, provide_automatic_options=False)
def anything_else(rest: str) -> Response:
    """Problem documents for what is not there, rather than pages."""
    known = [op for op in OPERATIONS if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", op.path), f"/{rest.rstrip('/')}")]
    allowed = sorted({op.method for op in known} | ({"GET"} if rest == "openapi.json" else set()))
    if allowed:
        return problems.answer(
            405,
            "method_not_allowed",
            f"This address takes {', '.join(allowed)}.",
            headers={"Allow": ", ".join(allowed)},
        )
    return problems.answer(404, "not_found", "There is nothing here. See /api/v1/openapi.json for what there is.")
