"""A worker that is killed at a chosen point.

It ends by SIGKILL when it has come to POINT for the AFTER-th time, and by itself when nothing is left to send.
"""

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from storage import outbox as rows
from storage.db import Database
from storage.settings import Settings
from tasks import outbox

POINTS = ("leased", "before sending", "after sending", "marked")


def deadly(function: Callable[..., Any], after: int, *, first: bool) -> Callable[..., Any]:
    calls = 0

    def wrapped(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if first and calls == after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **named)
        if calls == after:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return wrapped


def work(settings: Settings, point: str, after: int, lease_seconds: float) -> None:
    if point == "leased":
        rows.claim_due = deadly(rows.claim_due, max(1, after // 20), first=False)  # type: ignore[assignment]
    elif point == "marked":
        # Inside its transaction: the mark is written and not yet committed.
        rows.mark_sent = deadly(rows.mark_sent, after, first=False)  # type: ignore[assignment]
    elif point:
        outbox.CHANNELS["sms"] = deadly(outbox.CHANNELS["sms"], after, first=point == "before sending")
    outbox.drain(
        Database(settings.database_url, settings), settings, lambda: datetime.now(UTC), lease_seconds=lease_seconds
    )
