"""Logging, set up once for each process: key=value lines on standard error, made by structlog.

They hold ids, codes and routes: never names, notes, tokens, bodies, or the path of a request, which for a link in a
mail is the link itself. An exception is logged as where it happened, without its message: that can hold all of these.
"""

import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from secrets import token_hex
from typing import Any, TextIO

import structlog
from flask import Flask, g, request
from structlog.typing import EventDict, WrappedLogger
from werkzeug.wrappers import Response

from storage.settings import Settings
from web.metrics import METHODS, side_of

WSGIApplication = Callable[..., Any]
_ROUTE, _ACCOUNT = "clinicdav.route", "clinicdav.account"

log = structlog.get_logger("clinicdav.web")


def set_up(settings: Settings, stream: TextIO | None = None) -> None:
    """Ours at `log_level`; other libraries' warnings and errors."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _where,
    ]
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "logger", "event"]),
            ],
        )
    )
    # A line that cannot be written is lost: to say so, Python would print what was to be said.
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("clinicdav").setLevel(settings.log_level.upper())
    # It names paths; `logged` below has taken every exception before it could see one.
    logging.getLogger("waitress").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )


class Application(Flask):
    """Flask, which would log a fault with the path of the request and the text of the exception."""

    def log_exception(self, exc_info: Any) -> None:
        log.error(
            "fault", route=request.environ.get(_ROUTE, "none"), method=_method(request.environ), exc_info=exc_info
        )


def install(app: Flask) -> None:
    """Tell `logged` what only Flask knows."""
    app.before_request(_note_route)
    app.teardown_request(_note_account)


def logged(application: WSGIApplication) -> WSGIApplication:
    """A request id for everything that is logged meanwhile, and one line for each request (CalDAV writes its own)."""

    def logging_it(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        began, told = time.perf_counter(), ["500"]
        side = side_of(environ.get("PATH_INFO", ""))

        def started(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            told[0] = status[:3]
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        with structlog.contextvars.bound_contextvars(request=token_hex(6)):
            try:
                answer: Iterable[bytes] = application(environ, started)
            except Exception:
                log.exception("fault", method=_method(environ))
                answer = Response("A fault of ours.", 500)(environ, started)
            if side != "dav":
                log.info(
                    "request",
                    method=_method(environ),
                    route=environ.get(_ROUTE, "none"),
                    status=told[0],
                    account=environ.get(_ACCOUNT),
                    ms=round((time.perf_counter() - began) * 1000, 1),
                )
            return answer

    return logging_it


def _note_route() -> None:
    if request.url_rule is not None:
        request.environ[_ROUTE] = request.url_rule.rule


def _note_account(_error: BaseException | None) -> None:
    actor = g.get("actor")
    if actor is not None:
        request.environ[_ACCOUNT] = actor.account_id


def _method(environ: dict[str, Any]) -> str:
    method = environ.get("REQUEST_METHOD", "")
    return method if method in METHODS else "other"


def _where(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """The kind of an exception and where it came from."""
    given = event.pop("exc_info", None)
    record = event.get("_record")
    if given is None and record is not None and record.exc_info:
        given = record.exc_info
        # Formatted by nobody else.
        record.exc_info = record.exc_text = None
    if not given:
        return event
    error = given if isinstance(given, BaseException) else (given if isinstance(given, tuple) else sys.exc_info())[1]
    if error is not None:
        event["error_type"] = type(error).__name__
        event["traceback"] = "".join(traceback.format_tb(error.__traceback__))
    return event
