"""Figures for Prometheus: counted where the requests pass, and read from the database when asked for."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from prometheus_client import Counter, Histogram

WSGIApplication = Callable[..., Any]

# Per process: with several workers each scrape sees one of them.
REQUESTS = Counter("clinicdav_requests", "Answers given", ["side", "method", "status"])
SECONDS = Histogram(
    "clinicdav_request_seconds",
    "Time to the head of the answer",
    ["side"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "MOVE", "COPY"}) | frozenset(
    {"PROPFIND", "PROPPATCH", "REPORT", "MKCALENDAR", "MKCOL"}
)


def measured(application: WSGIApplication) -> WSGIApplication:
    """Count what `application` answers. The labels hold no path: paths carry secrets."""

    def counting(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        began = time.perf_counter()
        side = side_of(environ.get("PATH_INFO", ""))
        method = environ.get("REQUEST_METHOD", "")

        def started(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            REQUESTS.labels(side, method if method in METHODS else "other", status[:3]).inc()
            SECONDS.labels(side).observe(time.perf_counter() - began)
            return start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

        answer: Iterable[bytes] = application(environ, started)
        return answer

    return counting


def side_of(path: str) -> str:
    first = path.split("/", 2)[1] if path.startswith("/") else ""
    return first if first in ("dav", "api", "feeds") else "portal"
