"""For machines that watch: /healthz (the process answers), /readyz (requests can be served), /metrics."""

from flask import Blueprint, Response, jsonify
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, Gauge, generate_latest

from storage import checks, clock_changes, horizon
from storage.db import DatabaseUnavailable
from web import services

bp = Blueprint("health", __name__)


@bp.get("/healthz")
def healthz() -> Response:
    return jsonify(status="ok")


@bp.get("/readyz")
def readyz() -> tuple[Response, int]:
    problem = checks.ready(services.services().db)
    if problem is None:
        return jsonify(status="ok"), 200
    # The reason may name hosts and files: it stands in the log of `clinicdav check`, not here.
    answer = jsonify(status="unavailable")
    answer.headers["Retry-After"] = "5"
    return answer, 503


@bp.get("/metrics")
def metrics() -> Response:
    return Response(generate_latest(REGISTRY) + generate_latest(_of_database()), content_type=CONTENT_TYPE_LATEST)


def _of_database() -> CollectorRegistry:
    """Fresh gauges on each scrape, so that what fell out of the database falls out here."""
    registry = CollectorRegistry()
    up = Gauge("clinicdav_database_up", "1 when the database answers", registry=registry)
    try:
        with services.reading() as session:
            backlog, counts = checks.backlog(session, services.now()), checks.counts(session)
            early, other = horizon.ending_early(session, services.now()), clock_changes.count(session)
    except DatabaseUnavailable:
        up.set(0)
        return registry
    up.set(1)
    messages = Gauge("clinicdav_outbox_messages", "Messages in the outbox", ["state"], registry=registry)
    for state in ("due", "sent", "dropped", "failed"):
        messages.labels(state).set(backlog.by_state.get(state, 0))
    Gauge("clinicdav_outbox_overdue", "Messages that should have been sent", registry=registry).set(backlog.overdue)
    oldest = Gauge("clinicdav_outbox_oldest_seconds", "Age of the oldest of them", registry=registry)
    oldest.set(backlog.oldest_seconds)
    Gauge("clinicdav_series_ending_early", "Repeating entries that are not expanded far enough", registry=registry).set(
        early
    )
    Gauge("clinicdav_time_zones_outdated", "Entries expanded by other time zone rules", registry=registry).set(other)
    for name, count in counts.items():
        Gauge(f"clinicdav_{name}", f"Number of {name}", registry=registry).set(count)
    return registry
