"""/feeds/<token>.ics and /feeds/<token>/availability.ics: what the holder of a secret URL may see, for calendars that
subscribe. RFC 9110 §13."""

import threading
import time
from datetime import UTC, datetime
from email.utils import format_datetime

from flask import Blueprint, Response, current_app, request
from flask.sansio.blueprints import BlueprintSetupState

from storage import feeds
from web import services

bp = Blueprint("feeds", __name__)

_PER_MINUTE = 120
_MOST_CALLERS = 10_000


class Limit:
    """A light limit per address and minute, against guessing and against calendars gone wild."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, int]] = {}

    def allows(self, address: str) -> bool:
        minute = time.monotonic() // 60
        with self._lock:
            if len(self._seen) > _MOST_CALLERS:
                self._seen.clear()
            at, count = self._seen.get(address, (minute, 0))
            count = count + 1 if at == minute else 1
            self._seen[address] = (minute, count)
            return count <= _PER_MINUTE


@bp.record
def _each_application_counts_by_itself(state: BlueprintSetupState) -> None:
    state.app.extensions["clinicdav.feeds"] = Limit()


@bp.get("/feeds/<token>.ics")
def feed(token: str) -> Response:
    if _too_often():
        return _plain("Too often.", 429, {"Retry-After": "60"})
    now = services.now()
    with services.reading() as session:
        found = feeds.find_feed(session, token, request.user_agent.string, now)
        if found is None:
            return _plain("There is nothing here.", 404)
        answer = _conditional(*feeds.version(session, found, now))
        if answer.status_code != 304:
            text, _etag, _modified = feeds.feed_text(session, found, now)
            _fill(answer, text, "calendar.ics")
        return answer


@bp.get("/feeds/<token>/availability.ics")
def availability(token: str) -> Response:
    """RFC 7953: when the doctor works."""
    if _too_often():
        return _plain("Too often.", 429, {"Retry-After": "60"})
    with services.reading() as session:
        feed = feeds.find_feed(session, token, request.user_agent.string, services.now())
        found = None if feed is None else feeds.availability_text(session, feed)
        if found is None:
            return _plain("There is nothing here.", 404)
        text, etag, modified = found
        answer = _conditional(etag, modified)
        if answer.status_code != 304:
            _fill(answer, text, "availability.ics")
        return answer


def _too_often() -> bool:
    return not current_app.extensions["clinicdav.feeds"].allows(request.remote_addr or "")


def _conditional(etag: str, modified: datetime) -> Response:
    answer = Response(content_type="text/calendar; charset=utf-8")
    answer.set_etag(etag)
    answer.headers["Last-Modified"] = format_datetime(modified.astimezone(UTC), usegmt=True)
    answer.headers["Cache-Control"] = "private, max-age=300"
    answer.headers["X-Robots-Tag"] = "noindex, nofollow"
    answer.make_conditional(request)
    return answer


def _fill(answer: Response, text: str, name: str) -> None:
    answer.set_data(text)
    answer.headers["Content-Disposition"] = f'inline; filename="{name}"'


def _plain(text: str, status: int, headers: dict[str, str] | None = None) -> Response:
    answer = Response(f"{text}\n", status, headers, content_type="text/plain; charset=utf-8")
    answer.headers["Cache-Control"] = "no-store"
    answer.headers["X-Robots-Tag"] = "noindex, nofollow"
    return answer
