"""Deliver what the outbox holds: lease, read again, close the session, send, mark.

First corrected objects get their second revision, and the visits whose quiet period is over are settled: that is
where messages about calendar edits come from.
"""

from collections.abc import Callable
from datetime import datetime
from functools import partial

import structlog

from storage import objects, outbox, settling
from storage.db import Database, DatabaseUnavailable
from storage.outbox import Later, Lease, Message, Stale
from storage.policy import SYSTEM
from storage.settings import Settings
from storage.writes import Write
from tasks.channels import email, sms
from tasks.channels.base import GiveUp, Retry

Clock = Callable[[], datetime]

CHANNELS: dict[str, Callable[[Message, Settings, datetime], None]] = {
    "email": email.send,
    "sms": sms.send,
}

_BATCH = 20
# Longer than a batch takes while every server answers at its slowest: a message is sent by one of us at a time.
LEASE_SECONDS = 300.0
# A pass ends after this, so that a mountain of mail does not keep the other jobs waiting.
_PASS_SECONDS = 30.0

log = structlog.get_logger("clinicdav.outbox")


def is_due(db: Database, now: datetime) -> bool:
    with db.reading() as session:
        return (
            outbox.any_due(session, now)
            or bool(settling.due_to_settle(session, now, limit=1))
            or bool(settling.objects_due(session, now, limit=1))
            or bool(objects.due_to_touch(session, now, limit=1))
        )


def run(db: Database, settings: Settings, clock: Clock) -> int:
    """One pass. Returns how many messages were taken up."""
    revise(db, clock)
    settle(db, clock)
    return drain(db, settings, clock)


def revise(db: Database, clock: Clock) -> int:
    """Give corrected objects their second revision."""
    now = clock()
    with db.reading() as session:
        due = objects.due_to_touch(session, now)
    for object_id in due:
        with db.transaction() as session:
            objects.touch_again(session, object_id, Write(SYSTEM, now, "corrected"))
    return len(due)


def settle(db: Database, clock: Clock) -> int:
    """Carry out calendar edits whose quiet period is over, each in a transaction of its own."""
    now = clock()
    with db.reading() as session:
        due = settling.due_to_settle(session, now)
    for appointment_id in due:
        _settle_one(db, partial(settling.settle, appointment_id=appointment_id, now=now), str(appointment_id))
    # After the appointments: what was cut off one of them is no copy of it.
    with db.reading() as session:
        others = settling.objects_due(session, now)
    for object_id in others:
        _settle_one(db, partial(settling.settle_object, object_id=object_id, now=now), str(object_id))
    return len(due) + len(others)


def _settle_one(db: Database, settle: Callable[..., None], what: str) -> None:
    try:
        with db.transaction() as session:
            settle(session)
    except Exception:
        # One that cannot be settled must not keep the others from it.
        log.exception("settling failed", what=what)


def drain(db: Database, settings: Settings, clock: Clock, *, lease_seconds: float = LEASE_SECONDS) -> int:
    """Send what is due, for half a minute at most."""
    began, taken = clock(), 0
    while abs((clock() - began).total_seconds()) < _PASS_SECONDS:
        leases = outbox.claim_due(db, clock(), _BATCH, lease_seconds)
        # After one message could not get through a channel, the others are not made to wait for the same answer.
        down: dict[str, str] = {}
        for lease in leases:
            try:
                deliver(db, settings, clock, lease, down)
            except DatabaseUnavailable:
                raise
            except Exception as error:
                # A fault of ours in one message: the others still go, and this one is tried again within its budget.
                log.exception("message failed", message=lease.id)
                with db.transaction() as session:
                    outbox.mark_retry(session, lease, f"fault: {type(error).__name__}", clock())
        taken += len(leases)
        if len(leases) < _BATCH:
            break
    return taken


def deliver(db: Database, settings: Settings, clock: Clock, lease: Lease, down: dict[str, str]) -> None:
    """Send one leased message and note what became of it."""
    with db.reading() as session:
        message = outbox.message(session, lease, clock())
    # The session is closed before anybody else's server is called: their slowness must not hold our connections.
    if message is None:
        return
    now = clock()
    if isinstance(message, Stale):
        with db.transaction() as session:
            outbox.mark_dropped(session, lease, message.why, now)
    elif isinstance(message, Later):
        with db.transaction() as session:
            outbox.mark_later(session, lease, message.at)
    elif message.channel in down:
        with db.transaction() as session:
            outbox.mark_retry(session, lease, down[message.channel], now)
    else:
        _send(db, settings, clock, lease, message, down)


def _send(db: Database, settings: Settings, clock: Clock, lease: Lease, message: Message, down: dict[str, str]) -> None:
    try:
        CHANNELS[message.channel](message, settings, clock())
    except Retry as error:
        if error.down:
            down[message.channel] = str(error)
        log.warning("message waits", message=lease.id, channel=message.channel, error=str(error))
        with db.transaction() as session:
            outbox.mark_retry(session, lease, str(error), clock())
    except GiveUp as error:
        log.warning("message given up", message=lease.id, channel=message.channel, error=str(error))
        with db.transaction() as session:
            outbox.mark_failed(session, lease, str(error), clock())
    else:
        with db.transaction() as session:
            outbox.mark_sent(session, lease, clock())
