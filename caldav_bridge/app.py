"""The CalDAV server: Radicale's Application with our own methods. RFC 4791, RFC 4918.

Radicale routes and logs in; what a method does is ours. Each method is one transaction: committed when its handler
has returned an answer, rolled back when it raised, run again when the database asks for it.

A request takes the short way through Radicale when it can (decision 15): the same login, the same methods, without
what Radicale does for files and for its log. Every other request goes the whole way, and means the same on both.
"""

import functools
import gzip
import logging
import re
import time
import traceback
from collections.abc import Callable, Iterable
from configparser import Error as ConfigParserError
from configparser import RawConfigParser
from datetime import datetime
from http.client import responses
from pathlib import Path
from typing import Any

import radicale.config
from radicale import pathutils, types
from radicale.app import Application
from radicale.auth import AuthContext

from caldav_bridge import acl, calendars, if_header, propfind, proppatch, refusals, reports, resources, scheduling
from caldav_bridge.auth import Auth
from caldav_bridge.context import Request, current, during
from caldav_bridge.refusals import Answer, Denied
from caldav_bridge.rights import Rights, letters
from caldav_bridge.shim import LOGIN, App, shim
from caldav_bridge.storage import Storage
from caldav_bridge.xml import MalformedXml
from ical.errors import Refusal
from storage import edits, objects
from storage.db import Database, DatabaseUnavailable, DiskFull, SerializationFailure
from storage.settings import Settings, SettingsError
from storage.writes import Write

ALLOW = "OPTIONS, GET, HEAD, PUT, DELETE, COPY, MOVE, PROPFIND, PROPPATCH, REPORT, MKCALENDAR, MKCOL, ACL"
# The methods that say 401 to whoever has not logged in.
_LOGGED_IN = frozenset(("GET", "HEAD", "PUT", "DELETE", "COPY", "MOVE", "PROPFIND", "PROPPATCH", "REPORT"))
# A name or an address; with others Radicale means groups.
_PLAIN_NAME = re.compile(r"[^:@]+(@[^:@]+)?")
ATTEMPTS = 5
RETRY_AFTER = "5"

Handler = Callable[[Request, str], Answer]

_log = logging.getLogger("clinicdav.dav")


def create_dav_app(db: Database, settings: Settings, clock: Callable[[], datetime]) -> App:
    """The WSGI application to mount at /dav. `clock` gives aware UTC now."""
    configuration = load_configuration(settings)
    app = DavApp(configuration, db, settings, clock)
    return shim(app, configuration.get("server", "max_content_length"), configuration.get("auth", "realm"))


# What holds where radicale.conf is silent.
_DEFAULTS = {
    "auth": {"type": "caldav_bridge.auth", "delay": "0", "realm": "ClinicDAV"},
    "rights": {"type": "caldav_bridge.rights"},
    "storage": {"type": "caldav_bridge.storage", "strict_preconditions": "False"},
    "server": {"validate_user_value": "none", "validate_path_value": "none", "max_content_length": "1048576"},
    "web": {"type": "none"},
    "sharing": {"type": "none"},
    "hook": {"type": "none"},
}


def load_configuration(settings: Settings) -> radicale.config.Configuration:
    """radicale.conf over our defaults. Raises SettingsError with one line for a file that cannot be used."""
    path = configuration_file(settings)
    parser = RawConfigParser()
    configuration = radicale.config.load()
    configuration.update(_DEFAULTS, "ClinicDAV")
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
        configuration.update({name: dict(parser[name]) for name in parser.sections()}, path.name)
    except (OSError, ConfigParserError, RuntimeError, ValueError) as error:
        raise SettingsError(f"{path} cannot be used: {str(error).splitlines()[0]}") from None
    # Radicale sleeps a second over each of its own errors, in the thread that serves others.
    configuration.update({"server": {"delay_on_error": "0"}}, "ClinicDAV")
    # Its log carries names and paths; ours, below, does not.
    logging.getLogger("radicale").setLevel(logging.CRITICAL + 1)
    return configuration


def configuration_file(settings: Settings) -> Path:
    """The radicale.conf in force: the home folder's, the checkout's or the wheel's."""
    here = Path(__file__).parent
    candidates = (settings.home / "radicale.conf", here.parent / "radicale.conf", here / "radicale.conf")
    return next((path for path in candidates if path.is_file()), candidates[-1])


def _method(handler: Handler, *, writes: bool = False) -> Callable[..., types.WSGIResponse]:
    """A `do_*` method of the application: `handler` in a transaction, its refusals as answers."""

    @functools.wraps(handler)
    def do(self: "DavApp", environ: Any, base_prefix: str, path: str, user: str, *_args: Any) -> types.WSGIResponse:
        request = current()
        if not user:
            return 401, {**self.challenge, "Content-Type": "text/plain"}, "Log in with an app password.", None
        try:
            return _radicale(self.run(request, path, handler, writes))
        except Exception as error:
            # Radicale would log its message, which can hold what was in the calendar.
            _log_fault(error)
            return _radicale(refusals.text(500, "A fault of ours."))

    return do


def _log_fault(error: Exception) -> None:
    """Where it happened, without its message: that can hold names and texts."""
    _log.error("dav fault %s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))


def _radicale(answer: Answer) -> types.WSGIResponse:
    headers = dict(answer.headers)
    if answer.content_type:
        headers["Content-Type"] = answer.content_type
    body = answer.body if answer.body or answer.content_type else None
    if body is None and answer.status not in (204, 304):
        headers["Content-Length"] = "0"
    return answer.status, headers, body, None


class DavApp(Application):
    """Radicale's application over our database."""

    def __init__(
        self,
        configuration: radicale.config.Configuration,
        db: Database,
        settings: Settings,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__(configuration)
        self._db = db
        self._settings = settings
        self._clock = clock
        # What the short way leaves out would have to say something: other plugins, or stricter names.
        ours = (isinstance(self._auth, Auth), isinstance(self._rights, Rights), isinstance(self._storage, Storage))
        names = {self._validate_user_value, self._validate_path_value}
        self._has_short_way = all(ours) and names == {"none"} and not self._script_name
        realm = configuration.get("auth", "realm")
        self.challenge = {"WWW-Authenticate": f'Basic realm="{realm}", charset="UTF-8"'}

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        request = Request(self._db, self._settings, self._clock(), environ)
        began = time.perf_counter()
        try:
            status, headers, body = during(request, lambda: self._handle_request(environ))
        except DatabaseUnavailable:
            status, headers, body = _plain("503 Service Unavailable", ("Retry-After", RETRY_AFTER))
        except Exception as error:
            _log_fault(error)
            status, headers, body = _plain("500 Internal Server Error")
        start_response(status, headers)
        _log.info(
            "dav %s %s account=%s ms=%.1f",
            environ["REQUEST_METHOD"][:20],
            status[:3],
            request.actor.account_id,
            (time.perf_counter() - began) * 1000,
        )
        return [] if environ["REQUEST_METHOD"] == "HEAD" else body

    def _handle_request(self, environ: Any) -> tuple[str, list[tuple[str, str]], Iterable[bytes]]:
        path = environ.get("PATH_INFO", "")
        plain = path.isprintable() and "/.well-known" not in path and not environ.get("QUERY_STRING")
        if self._has_short_way and plain and environ["REQUEST_METHOD"] in _LOGGED_IN:
            user = self._user(environ)
            if user:
                do = getattr(self, "do_" + environ["REQUEST_METHOD"])
                prefix = environ.get("SCRIPT_NAME", "").rstrip("/")
                status, headers, body, _xml = do(environ, prefix, pathutils.sanitize_path(path), user)
                return self._answer(environ, status, headers, body)
        whole: tuple[str, list[tuple[str, str]], Iterable[bytes]] = super()._handle_request(environ)
        return whole

    def _user(self, environ: Any) -> str:
        """Who has logged in, by Radicale's plugin; empty for nobody, and for names that Radicale looks at closer."""
        name, password = environ.get(LOGIN, ("", ""))
        plain = name.isprintable() and _PLAIN_NAME.fullmatch(name)
        if not plain or not environ["HTTP_AUTHORIZATION"].startswith("Basic"):
            return ""
        user: str = self._auth.login(name, password, AuthContext())[0]
        return user if pathutils.is_safe_path_component(user) else ""

    def _answer(
        self, environ: Any, status: int, headers: Any, body: bytes | None
    ) -> tuple[str, list[tuple[str, str]], list[bytes]]:
        """As Radicale answers: compressed for whoever takes it, with the configured headers."""
        told = dict(headers)
        if body is not None:
            if "gzip" in [coding.strip() for coding in environ.get("HTTP_ACCEPT_ENCODING", "").split(",")]:
                body = gzip.compress(body, compresslevel=1, mtime=0)
                told["Content-Encoding"] = "gzip"
            told["Content-Length"] = str(len(body))
        told.update(self._extra_headers)
        return f"{status} {responses[status]}", list(told.items()), [] if body is None else [body]

    def run(self, request: Request, path: str, handler: Handler, writes: bool) -> Answer:
        """The handler's answer, from its own transaction."""
        for _attempt in range(ATTEMPTS):
            try:
                with self._storage.acquire_lock("w" if writes else "r"):
                    if writes:
                        if_header.check(request, path)
                    answer = handler(request, path)
                request.commit()
                return answer
            except SerializationFailure:
                continue
            except Denied as denied:
                return denied.answer
            except MalformedXml as error:
                return refusals.text(400, str(error))
            except Refusal as refusal:
                request.leave()
                answer = refusals.of(refusal, request.prefix + path)
                if writes and answer.status == 403:
                    self._refused(request, path, refusal)
                return answer
            except DiskFull:
                return _unavailable(507 if writes else 503)
            except DatabaseUnavailable:
                return _unavailable(503)
            finally:
                request.leave()
        return _unavailable(503)

    def _refused(self, request: Request, path: str, refusal: Refusal) -> None:
        """Its user gets a notice, and the object a new ETag, so that the client fetches it and drops its own copy."""
        try:
            request.write()
            place = request.place(path)
            if place is not None and place.kind == "member" and place.collection is not None:
                found = objects.find(request.session, place.collection, place.href)
                if found is not None and refusals.touches(refusal):
                    objects.touch(request.session, found, Write(request.actor, request.now, "edit refused"))
                edits.tell_refused(request.session, place.collection, refusal, actor=request.actor, now=request.now)
            request.commit()
        except DatabaseUnavailable:
            _log.warning("dav refusal=untold")

    def _make_calendar(self, request: Request, path: str) -> Answer:
        return calendars.mkcalendar(request, self._storage, path)

    def _make_collection(self, request: Request, path: str) -> Answer:
        return calendars.mkcol(request, self._storage, path)

    do_GET = _method(resources.get)
    do_HEAD = _method(resources.get)
    do_PUT = _method(resources.put, writes=True)
    do_DELETE = _method(resources.delete, writes=True)
    do_MOVE = _method(resources.move, writes=True)
    do_COPY = _method(resources.copy, writes=True)
    do_PROPFIND = _method(propfind.propfind)
    do_PROPPATCH = _method(proppatch.proppatch, writes=True)
    do_REPORT = _method(reports.report)
    do_POST = _method(scheduling.post)
    do_ACL = _method(acl.acl)

    def do_MKCALENDAR(self, environ: Any, base_prefix: str, path: str, user: str, *args: Any) -> types.WSGIResponse:
        return _method(self._make_calendar, writes=True)(self, environ, base_prefix, path, user)

    def do_MKCOL(self, environ: Any, base_prefix: str, path: str, user: str, *args: Any) -> types.WSGIResponse:
        return _method(self._make_collection, writes=True)(self, environ, base_prefix, path, user)

    def do_OPTIONS(self, environ: Any, base_prefix: str, path: str, user: str, *args: Any) -> types.WSGIResponse:
        """What the server can do. Evolution and Thunderbird ask without a login as long as they are let, and would
        not learn what is announced to their app password alone."""
        if not user and path != "/":
            return 401, {**self.challenge, "Content-Type": "text/plain"}, "Log in with an app password.", None
        place = current().place(path) if user else None
        posts = place is not None and place.kind == "outbox" and letters(current(), place)
        allow = f"{ALLOW}, POST" if posts else ALLOW
        return 200, {"Allow": allow, **propfind.dav_header(current(), place), "Content-Length": "0"}, None, None


def _unavailable(status: int) -> Answer:
    headers = {"Retry-After": RETRY_AFTER} if status == 503 else {}
    return Answer(status, b"Try again later.", "text/plain; charset=utf-8", headers)


def _plain(status: str, *headers: tuple[str, str]) -> tuple[str, list[tuple[str, str]], list[bytes]]:
    body = status.encode()
    return status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), *headers], [body]
