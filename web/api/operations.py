"""How a call is made of a function: who calls, what they send, one transaction, the answer, or a problem document.

Each call is declared with `operation`; the routes and the OpenAPI document are made from the same declarations.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn, cast

from flask import Response, g, request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from ical.errors import InvalidInput, Refusal
from storage import accounts, credentials, idempotency
from storage.db import DatabaseUnavailable, SerializationFailure
from storage.models import Account, Patient
from storage.policy import Actor
from storage.settings import Settings
from web import services
from web.api import problems
from web.api.problems import Problem

PREFIX = "/api/v1"
LARGEST_BODY = 64 * 1024
_KEY = re.compile(r"[\x21-\x7e]{1,200}")
_TRIES = 3


@dataclass(frozen=True)
class Operation:
    """One call. `refusals` are the statuses of problem documents beyond those that any call may answer."""

    method: str
    path: str
    name: str
    summary: str
    function: Callable[..., Any]
    answers: dict[int, type[BaseModel]]
    query: type[BaseModel] | None
    body: type[BaseModel] | None
    body_required: bool
    refusals: frozenset[int]
    writes: bool
    csv: bool

    @property
    def idempotent(self) -> bool:
        """Whether the call takes an Idempotency-Key."""
        return self.method == "POST"

    @property
    def arguments(self) -> list[str]:
        """Names of the path's variables."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]


OPERATIONS: list[Operation] = []


@dataclass
class Call:
    """A call under way. `answer_headers` go out with a good answer."""

    session: Any
    actor: Actor
    account: Account
    patient: Patient | None
    settings: Settings
    now: datetime
    if_match: str | None
    answer_headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """For calls that do not answer JSON with their usual status."""

    body: str
    status: int = 200
    content_type: str = "application/json"


def operation(
    method: str,
    path: str,
    summary: str,
    answer: type[BaseModel],
    *,
    status: int = 200,
    query: type[BaseModel] | None = None,
    body: type[BaseModel] | None = None,
    body_required: bool = True,
    refusals: tuple[int, ...] = (),
    csv: bool = False,
) -> Callable[[Callable[..., BaseModel | Answer]], Callable[..., BaseModel | Answer]]:
    """Declare the decorated function as a call. It is given the Call and, by name, path variables, query and body."""

    def declare(function: Callable[..., BaseModel | Answer]) -> Callable[..., BaseModel | Answer]:
        OPERATIONS.append(
            Operation(
                method=method,
                path=path,
                name=function.__name__,
                summary=summary,
                function=function,
                answers={status: answer},
                query=query,
                body=body,
                body_required=body_required,
                refusals=frozenset(refusals),
                writes=method != "GET",
                csv=csv,
            )
        )
        return function

    return declare


def perform(op: Operation, arguments: dict[str, Any]) -> Response:
    """Answer a request. Whatever goes wrong is a problem document."""
    try:
        account, actor, patient = _caller()
        g.actor = actor
        given = dict(arguments)
        if op.query is not None:
            given["query"] = _query(op.query)
        elif request.args:
            raise Problem(422, "invalid", "This call takes no such parameter.", next(iter(request.args)))
        raw = _raw_body(op)
        if op.body is not None:
            given["body"] = op.body.model_validate_json(raw or b"{}")
        elif raw.strip() not in (b"", b"{}"):
            raise Problem(422, "invalid", "This call takes no body.", "body")
        return _run(op, given, raw, account, actor, patient)
    except Refusal as refusal:
        return problems.of_refusal(refusal)
    except Problem as problem:
        return problems.of_problem(problem)
    except ValidationError as error:
        return problems.of_problem(problems.invalid(error))
    except DatabaseUnavailable as error:
        return problems.of_outage(error)


def reject(name: str, detail: str) -> NoReturn:
    """What `name` says cannot be used."""
    raise InvalidInput(detail, field=name)


def _caller() -> tuple[Account, Actor, Patient | None]:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token.isascii() or not 1 <= len(token) <= 200:
        raise problems.unauthorised()
    with services.reading() as session:
        account = credentials.check_api_token(session, token, services.now())
        if account is None:
            raise problems.unauthorised()
        patient = accounts.patient_of(session, account) if account.role == "patient" else None
        actor = Actor(
            kind="account",
            role=account.role,
            account_id=account.id,
            username=account.username,
            patient_id=patient.id if patient else None,
            via="api",
            label="patient" if account.role == "patient" else f"{account.username} by API",
        )
        return account, actor, patient


def _query(model: type[BaseModel]) -> BaseModel:
    return model.model_validate({name: value for name, value in request.args.items() if value != ""})


def _raw_body(op: Operation) -> bytes:
    request.max_content_length = LARGEST_BODY
    try:
        raw = request.get_data()
    except RequestEntityTooLarge:
        raise Problem(413, "too_large", f"A body has at most {LARGEST_BODY >> 10} KiB.") from None
    if raw.strip() and not request.is_json:
        raise Problem(415, "unsupported_media_type", "Send the body as Content-Type: application/json.")
    if op.body is not None and op.body_required and not raw.strip():
        if not request.is_json:
            raise Problem(415, "unsupported_media_type", "Send the body as Content-Type: application/json.")
        raise Problem(400, "malformed_json", "The body is empty.")
    return raw


def _run(
    op: Operation, given: dict[str, Any], raw: bytes, account: Account, actor: Actor, patient: Patient | None
) -> Response:
    key = _key(op)
    for tries_left in reversed(range(_TRIES)):
        try:
            opened = services.transaction() if op.writes else services.reading()
            with opened as session:
                return _answer(op, given, raw, key, _call(session, account, actor, patient))
        except SerializationFailure:
            if not tries_left:
                raise
    raise AssertionError("a loop that returns or raises has ended")


def _call(session: Any, account: Account, actor: Actor, patient: Patient | None) -> Call:
    return Call(
        session=session,
        actor=actor,
        account=account,
        patient=patient,
        settings=services.settings(),
        now=services.now(),
        if_match=request.headers.get("If-Match"),
    )


def _answer(op: Operation, given: dict[str, Any], raw: bytes, key: str | None, call: Call) -> Response:
    caller = str(call.account.id)
    if key is not None:
        body = json.loads(raw) if raw.strip() else None
        request_hash = idempotency.hash_request(op.method, request.path, body)
        known = idempotency.once(call.session, caller, key, request_hash, call.now)
        if known is not None:
            headers = {**known.headers, "Idempotency-Replayed": "true"}
            return Response(known.body, known.status, headers, content_type="application/json")
    made = op.function(call, **given)
    if not isinstance(made, Answer):
        # What a call does not know of stays out of its answer; null means that there is none.
        made = Answer(made.model_dump_json(by_alias=True, exclude_unset=True), next(iter(op.answers)))
    if key is not None:
        kept = idempotency.Answer(made.status, made.body, call.answer_headers)
        idempotency.keep(call.session, caller, key, kept)
    return Response(made.body, made.status, call.answer_headers, content_type=made.content_type)


def _key(op: Operation) -> str | None:
    if not op.idempotent or "Idempotency-Key" not in request.headers:
        return None
    key = request.headers["Idempotency-Key"].strip()
    if not _KEY.fullmatch(key):
        raise Problem(422, "invalid", "A key has 1 to 200 printable ASCII characters.", "Idempotency-Key")
    return cast(str, key)
