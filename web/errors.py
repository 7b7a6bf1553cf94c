"""Refusals and accidents as pages. An unknown thing and one that is not for you look the same."""

from typing import Any

from flask import Flask, g, render_template
from werkzeug.exceptions import HTTPException

from ical.errors import Forbidden, NotFound, Refusal
from storage.db import DatabaseUnavailable

RETRY_AFTER_SECONDS = 5


class FormExpired(Refusal):
    code, status = "form_expired", 400
    sentence = "This form was open for too long, or came from another page. Please go back, reload it and try again."


def install(app: Flask) -> None:
    app.register_error_handler(Refusal, refused)
    app.register_error_handler(DatabaseUnavailable, unavailable)
    app.register_error_handler(HTTPException, http_error)


def refused(refusal: Refusal) -> tuple[str, int]:
    if isinstance(refusal, NotFound | Forbidden):
        return not_found()
    return page("This did not work", refusal.sentence, refusal.status)


def not_found() -> tuple[str, int]:
    return page("Nothing here", "There is nothing here, or it is not for you. The address may be mistyped or old.", 404)


def unavailable(_error: DatabaseUnavailable) -> tuple[str, int, dict[str, str]]:
    text, status = page(
        "One moment, please",
        "We cannot reach our appointment book right now. Nothing was changed. Please try again in a few seconds.",
        503,
    )
    return text, status, {"Retry-After": str(RETRY_AFTER_SECONDS)}


_SENTENCES = {
    400: "Your browser sent something that we could not read.",
    405: "This address does not do that.",
    413: "What you sent is too large.",
    429: "That was very often in a short time. Please wait a little.",
    500: "Something went wrong on our side. Nothing was changed. Please try again, or call us.",
}


def http_error(error: HTTPException) -> Any:
    status = error.code or 500
    if error.response is not None or status < 400:
        return error
    if status == 404:
        return not_found()
    text, code = page("This did not work", _SENTENCES.get(status, _SENTENCES[500 if status >= 500 else 400]), status)
    headers = {"Allow": ", ".join(error.valid_methods or ())} if status == 405 else {}  # type: ignore[attr-defined]
    return text, code, headers


def page(title: str, sentence: str, status: int) -> tuple[str, int]:
    # The frame asks the database for nothing now: that may be what failed.
    g.failing = True
    return render_template("error.html", heading=title, sentence=sentence, status=status), status
