"""Keep what is expanded: by the rules of time zones that are installed, and far enough ahead. Sweep, once a day."""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

import structlog

from ical import tzdata
from storage import clock_changes, horizon, leases, logins, sync
from storage.clock_changes import Moved, Stale
from storage.db import Database
from storage.settings import Settings

log = structlog.get_logger("clinicdav.recurrence")

_BATCH = 200
_HOLDER = f"{os.getpid()}-{secrets.token_hex(4)}"
_A_DAY = timedelta(hours=22).total_seconds()


@dataclass(frozen=True)
class Kept:
    """What one pass came to."""

    extended: int = 0
    looked_at: int = 0
    moved: int = 0
    told: int = 0
    failed: int = 0

    def __str__(self) -> str:
        zones = f"; {self.looked_at} looked at for time zones {tzdata.version()}" if self.looked_at else ""
        moved = f", {self.moved} of them moved, {self.told} appointments told" if self.moved else ""
        failed = f"; {self.failed} FAILED, see the log" if self.failed else ""
        return f"{self.extended} entries extended{zones}{moved}{failed}"


def is_due(db: Database, now: datetime) -> bool:
    return True


def run(db: Database, settings: Settings, clock: Callable[[], datetime]) -> Kept:
    """One pass, until nothing is due any more. Run twice, or beside others, it does the same."""
    with db.transaction() as session:
        if leases.take(session, "sweep", _HOLDER, clock(), _A_DAY):
            logins.sweep_sessions(session, clock())
            sync.compact(session)
    looked_at, moved, failed = _follow_clocks(db, clock)
    extended, lost = _extend(db, clock)
    return Kept(extended, looked_at, moved.entries, moved.visits, failed + lost)


def _extend(db: Database, clock: Callable[[], datetime]) -> tuple[int, int]:
    """(how many reach further now, how many could not be extended)."""
    done = failed = after = 0
    while True:
        with db.reading() as session:
            due = horizon.due(session, clock(), after=after, limit=_BATCH)
        if not due:
            return done, failed
        for each in due:
            after = each
            try:
                with db.transaction() as session:
                    done += horizon.extend(session, each, clock())
            except Exception:
                # One that cannot be expanded must not keep the others waiting.
                failed += 1
                log.exception("extension failed", object=each)


def _follow_clocks(db: Database, clock: Callable[[], datetime]) -> tuple[int, Moved, int]:
    """(how many entries were looked at, what moved, how many could not be expanded anew)."""
    looked_at = failed = 0
    while True:
        with db.transaction() as session:
            past = clock_changes.stamp_past(session, clock())
        looked_at += past
        if not past:
            break
    with db.reading() as session:
        waiting = clock_changes.stale(session)
    moved = Moved()
    for _owner, group in groupby(waiting, key=lambda each: each.owner_id):
        entries = list(group)
        looked_at += len(entries)
        changed: set[int] = set()
        for at in range(0, len(entries), _BATCH):
            changed |= _look(db, entries[at : at + _BATCH], clock)
        if changed:
            here, lost = _recompute(db, sorted(changed), clock)
            moved = Moved(moved.entries + here.entries, moved.visits + here.visits)
            failed += lost
    return looked_at, moved, failed


def _look(db: Database, entries: list[Stale], clock: Callable[[], datetime]) -> set[int]:
    with db.reading() as session:
        changed = clock_changes.differing(session, [each.id for each in entries], clock())
    with db.transaction() as session:
        clock_changes.stamp_unchanged(session, [each for each in entries if each.id not in changed])
    return changed


def _recompute(db: Database, ids: list[int], clock: Callable[[], datetime]) -> tuple[Moved, int]:
    try:
        with db.transaction() as session:
            return clock_changes.recompute(session, ids, clock()), 0
    except Exception:
        log.exception("time zones could not be followed", objects=len(ids))
    if len(ids) == 1:
        return Moved(), 1
    # One of them spoils it for all: then one by one.
    alone = [_recompute(db, [each], clock) for each in ids]
    done = [each for each, _failed in alone]
    return Moved(sum(each.entries for each in done), sum(each.visits for each in done)), sum(n for _, n in alone)
