"""A worker that is killed at a chosen point: `python dying_worker.py POINT AFTER LEASE_SECONDS`, settings from outside.

It ends by SIGKILL when it has come to POINT for the AFTER-th time, and by itself when nothing is left to send.
"""

import os
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from storage import outbox as rows
from storage.db import Database
from storage.settings import load_settings
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


def main(point: str, after: int, lease_seconds: float) -> None:
    if point == "leased":
        rows.claim_due = deadly(rows.claim_due, max(1, after // 20), first=False)  # type: ignore[assignment]
    elif point == "marked":
        # Inside its transaction: the mark is written and not yet committed.
        rows.mark_sent = deadly(rows.mark_sent, after, first=False)  # type: ignore[assignment]
    elif point:
        outbox.CHANNELS["sms"] = deadly(outbox.CHANNELS["sms"], after, first=point == "before sending")
    settings = load_settings()
    outbox.drain(
        Database(settings.database_url, settings), settings, lambda: datetime.now(UTC), lease_seconds=lease_seconds
    )


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
