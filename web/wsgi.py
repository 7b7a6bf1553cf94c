"""The composition root: pages, API and feeds (Flask) with CalDAV (Radicale) beside them at /dav, in one callable.

Discovery from /.well-known/caldav: RFC 6764 §5.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Request, Response

from caldav_bridge.app import create_dav_app
from storage.db import Database
from storage.settings import Settings
from web.app import create_app
from web.logs import logged
from web.metrics import measured

DAV_ROOT = "/dav"
_DISCOVERY = ("/.well-known/caldav", "/.well-known/caldav/")

WSGIApplication = Callable[..., object]


def utc_now() -> datetime:
    return datetime.now(UTC)


def create_wsgi(
    settings: Settings, clock: Callable[[], datetime] = utc_now, db: Database | None = None
) -> WSGIApplication:
    """The whole application. `db` for callers that go on using it themselves."""
    db = db or Database(settings.database_url, settings)
    flask = create_app(db, settings, clock)
    whole: WSGIApplication = DispatcherMiddleware(flask, {DAV_ROOT: create_dav_app(db, settings, clock)})
    whole = logged(measured(discovery(whole)))
    if settings.proxy_hops:
        hops = settings.proxy_hops
        whole = ProxyFix(whole, x_for=hops, x_proto=hops, x_host=hops)
    return whole


def discovery(application: WSGIApplication) -> WSGIApplication:
    """Send calendar apps that know only our name to /dav/, whatever method they ask with."""

    def discovered(environ: dict[str, object], start_response: object) -> object:
        path, method = environ.get("PATH_INFO"), environ.get("REQUEST_METHOD")
        # Apps that were given nothing but the host's name look at / next.
        if path in _DISCOVERY or (path in ("", "/") and method == "PROPFIND"):
            Request(environ).get_data(cache=False)
            answer = Response(status=301, headers={"Location": f"{DAV_ROOT}/", "Cache-Control": "max-age=3600"})
            return answer(environ, start_response)
        return application(environ, start_response)

    return discovered
