"""The worker inside `clinicdav serve`: the same Celery jobs, in threads of one process, with no broker to run."""

import secrets
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

from celery.beat import Service

from storage.db import Database
from storage.settings import Settings
from tasks.app import create_celery, utc_now

_THREADS = 2
_PATIENCE_SECONDS = 40


class Embedded:
    """A running worker and its beat. `stop` lets what was begun be finished."""

    def __init__(self, settings: Settings, db: Database, clock: Callable[[], datetime]) -> None:
        # memory:// is one for the whole process: what an earlier worker left there is not for this one.
        app = create_celery(
            settings.model_copy(update={"broker_url": None}), db, clock, queue=f"clinicdav-{secrets.token_hex(6)}"
        )
        # Celery looks tasks up in the process's default application.
        app.set_default()
        self._beat = Service(app, max_interval=1, scheduler_cls="celery.beat:Scheduler")
        self._worker: Any = app.WorkController(pool="threads", concurrency=_THREADS, loglevel="WARNING")
        self._threads = [
            threading.Thread(target=self._worker.start, name="clinicdav-worker", daemon=True),
            threading.Thread(target=self._beat.start, name="clinicdav-beat", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._beat.stop(wait=False)
        self._worker.stop()
        for thread in self._threads:
            thread.join(timeout=_PATIENCE_SECONDS)


def start(settings: Settings, db: Database, clock: Callable[[], datetime] = utc_now) -> Embedded:
    """Start working in the background of this process; at most one of these at a time."""
    return Embedded(settings, db, clock)
