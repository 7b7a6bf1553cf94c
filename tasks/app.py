"""Celery: a bell that rings for each job of tasks.runner. The rows in the database are the work.

So nothing is lost with the broker, nothing is planned in it (no ETA, no countdown), and a task that is delivered twice
finds its work done. Redis and RabbitMQ for larger installations; `memory://` inside `clinicdav serve`.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import structlog
from celery import Celery, signals

from storage.db import Database, DatabaseUnavailable
from storage.settings import Settings
from tasks.runner import JOBS, tick

Clock = Callable[[], datetime]
# A pass of a job takes half a minute; what a killed worker held comes back soon after.
_VISIBILITY_SECONDS = 120
_CONCURRENCY = 4

log = structlog.get_logger("clinicdav.tasks")


def utc_now() -> datetime:
    return datetime.now(UTC)


def create_celery(
    settings: Settings, db: Database | None = None, clock: Clock = utc_now, *, queue: str = "clinicdav"
) -> Celery:
    """The application with one task and one beat entry for each job. Without `db` it opens its own."""
    db = db or Database(settings.database_url, settings)
    broker = settings.broker_url or "memory://localhost/"
    app = Celery("clinicdav", broker=broker, set_as_current=False, fixups=[])
    app.conf.update(
        task_default_queue=queue,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_serializer="json",
        accept_content=["json"],
        timezone="UTC",
        enable_utc=True,
        # The jobs wait for other servers; a process for each would only cost memory.
        worker_pool="threads",
        worker_concurrency=_CONCURRENCY,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=_transport_options(broker),
        beat_schedule={name: _entry(name, job.every) for name, job in JOBS.items()},
        beat_max_loop_interval=1,
        # When a job last ran is known to the database: beat keeps no file.
        beat_scheduler="celery.beat:Scheduler",
    )
    # Whoever runs the process says where the lines go.
    signals.setup_logging.connect(_leave_logging_alone)
    for name in JOBS:
        _add_task(app, name, db, settings, clock)
    app.finalize()
    return app


def _leave_logging_alone(**_given: Any) -> None:
    return


def _add_task(app: Celery, name: str, db: Database, settings: Settings, clock: Clock) -> None:
    # Not shared: every application of this process would ring the first one's database.
    @app.task(name=f"clinicdav.{name}", shared=False)  # type: ignore[untyped-decorator]
    def ring() -> None:
        try:
            tick(name, db, settings, clock)
        except DatabaseUnavailable as error:
            # The next ring finds the same work.
            log.warning("database unavailable", job=name, error=str(error))


def _entry(name: str, every: float) -> dict[str, Any]:
    # Rings that nobody heard are not kept: with the workers away they would fill the broker.
    return {"task": f"clinicdav.{name}", "schedule": every, "options": {"expires": max(every, 10)}}


def _transport_options(broker: str) -> dict[str, Any]:
    if broker.startswith("memory:"):
        # At the default of a second, one task a second is all that gets through.
        return {"polling_interval": 0.05}
    if broker.startswith(("redis:", "rediss:")):
        return {
            "visibility_timeout": _VISIBILITY_SECONDS,
            "unacked_restore_interval": 2,
            "unacked_restore_throttle": 1,
            "socket_keepalive": True,
            "health_check_interval": 10,
        }
    return {}
