"""End offers that were not answered, and offer what is free to whoever has waited longest for it.

`run_freed` is prompt: it looks where time has just become free. `run` looks everywhere, for what nobody has told of.
"""

from collections.abc import Callable, Collection
from datetime import datetime

import structlog

from storage import freed, matches, offers, waitlist
from storage.db import Database
from storage.freed import Span
from storage.matches import Match
from storage.settings import Settings

Clock = Callable[[], datetime]

# Each round offers what the one before it could not; nobody waits for more than these.
_MOST_ROUNDS = 20

log = structlog.get_logger("clinicdav.waitlist")


def is_due(db: Database, now: datetime) -> bool:
    with db.reading() as session:
        return bool(offers.over(session, now, limit=1)) or bool(
            waitlist.list_entries(session, statuses=["waiting"], limit=1)
        )


def run(db: Database, settings: Settings, clock: Clock) -> int:
    """One look everywhere. Returns how many offers were made."""
    _end(db, clock)
    _close_booked(db, clock)
    with db.reading() as session:
        ids, _spans = freed.read(session)
    return _offer(db, clock, None, ids)


def is_freed(db: Database, now: datetime) -> bool:
    with db.reading() as session:
        return freed.rung(session) or bool(offers.over(session, now, limit=1)) or bool(offers.holds_over(session, now))


def run_freed(db: Database, settings: Settings, clock: Clock) -> int:
    """One look at what has become free. Returns how many offers were made."""
    _end(db, clock)
    with db.reading() as session:
        ids, spans = freed.read(session)
    return _offer(db, clock, spans, ids) if ids else 0


def _end(db: Database, clock: Clock) -> None:
    """End the offers and the holds that have run out, and the entries whose last day is past."""
    with db.reading() as session:
        over = offers.over(session, clock())
        held = offers.holds_over(session, clock())
    for entry_id in over:
        try:
            with db.transaction() as session:
                offers.expire(session, entry_id, clock())
        except Exception:
            # One entry that cannot be ended must not keep the others waiting.
            log.exception("expiry failed", entry=str(entry_id))
    if held:
        with db.transaction() as session:
            offers.sweep(session, held, clock())


def _close_booked(db: Database, clock: Clock) -> None:
    with db.reading() as session:
        booked = offers.booked_meanwhile(session, clock())
    for entry_id, appointment_id in booked:
        try:
            with db.transaction() as session:
                offers.close_booked(session, entry_id, appointment_id, clock())
        except Exception:
            log.exception("closing failed", entry=str(entry_id))


def _offer(db: Database, clock: Clock, spans: Collection[Span] | None, rung: list[int]) -> int:
    """Offer until nothing is left that suits anybody. Only then is the bell silent: a process that dies on the way
    leaves it ringing."""
    made = 0
    failed: set[Match] = set()
    for _round in range(_MOST_ROUNDS):
        with db.reading() as session:
            found = matches.matches(session, clock(), spans=spans, skip=failed)
        for match in found:
            if _offer_one(db, clock, match):
                made += 1
            else:
                failed.add(match)
        if not found:
            break
    if rung:
        with db.transaction() as session:
            freed.done(session, rung)
    return made


def _offer_one(db: Database, clock: Clock, match: Match) -> bool:
    try:
        with db.transaction() as session:
            return offers.offer(session, match, clock()) is not None
    except Exception:
        log.exception("offer failed", entry=str(match.entry_id))
        return False
