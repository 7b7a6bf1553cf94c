"""One of the processes of the waitlist race: all that can happen to an offered slot in the millisecond of its expiry.

The naive mode is the control: it looks whether the slot is free and then takes it.
"""

import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from threading import Barrier
from typing import Any
from uuid import UUID

from sqlalchemy import text

from ical.errors import Refusal
from storage import accounts, appointment_types, booking, drafts, matches, offers, waitlist
from storage.db import Database
from storage.models import Offer, WaitlistEntry
from storage.policy import Actor
from storage.settings import Settings

VISITOR = Actor("visitor", via="race", label="race")
LINK = Actor("link", via="race", label="patient")
DESK = Actor("account", "receptionist", 99, "desk", via="race", label="desk")
_THREADS = 6
_MILLISECOND = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Prize:
    """An offered slot: whose offer it is, and who is next."""

    start: datetime
    offer: UUID
    next_entry: UUID
    expires_at: datetime


def run(
    settings: Settings, mode: str, prizes: Sequence[Prize], claimants: int, seed: int, barrier: Any
) -> list[tuple[int, str]]:
    """(number of the slot, what it came to) of each claimant of this process; "won <id>" for who got it."""
    db = Database(settings.database_url, settings)
    rng = random.Random(seed)
    outcomes: list[tuple[int, str]] = []
    together = Barrier(_THREADS)
    with ThreadPoolExecutor(_THREADS) as pool:
        for number, prize in enumerate(prizes):
            tries = [partial(naive, db, number) if mode == "naive" else rng.choice(_WAYS) for _ in range(claimants)]
            moments = [
                prize.expires_at + rng.choice((-_MILLISECOND / 2, 0 * _MILLISECOND, _MILLISECOND / 2)) for _ in tries
            ]
            shares = [range(first, claimants, _THREADS) for first in range(_THREADS)]
            barrier.wait()

            def attempt(share: range, tries=tries, moments=moments, prize=prize, number=number) -> list[Any]:
                together.wait()
                return [(number, _outcome(db, tries[each], prize, moments[each], rng.random())) for each in share]

            for found in pool.map(attempt, shares):
                outcomes += found
    db.dispose()
    return outcomes


def _outcome(db: Database, way: Any, prize: Prize, now: datetime, chance: float) -> str:
    try:
        return str(way(db=db, prize=prize, now=now, chance=chance) or way.__name__)
    except Refusal as refusal:
        return refusal.code


def click(db: Database, prize: Prize, now: datetime, chance: float) -> str:
    """The patient to whom it was offered."""
    with db.transaction() as session:
        found = session.get_one(Offer, prize.offer)
        return f"won {offers.accept(session, found, actor=LINK, now=now).id}"


def click_of_the_next(db: Database, prize: Prize, now: datetime, chance: float) -> str | None:
    with db.transaction() as session:
        entry = session.get_one(WaitlistEntry, prize.next_entry)
        found = waitlist.open_offer(session, entry)
        return None if found is None else f"won {offers.accept(session, found, actor=LINK, now=now).id}"


def by_telephone(db: Database, prize: Prize, now: datetime, chance: float) -> str:
    """Staff book it for the next on the list."""
    with db.transaction() as session:
        entry = session.get_one(WaitlistEntry, prize.next_entry)
        lee = accounts.by_username(session, "lee")
        assert lee is not None
        return f"won {offers.book(session, entry, lee, prize.start, actor=DESK, now=now).appointment.id}"


def walk_in(db: Database, prize: Prize, now: datetime, chance: float) -> str:
    """Somebody who knows nothing of the waitlist."""
    with db.transaction() as session:
        return f"won {_book(session, prize, now, chance).appointment.id}"


def hold_and_book(db: Database, prize: Prize, now: datetime, chance: float) -> str:
    with db.transaction() as session:
        lee, kind = accounts.by_username(session, "lee"), appointment_types.get(session, "consultation")
        assert lee is not None
        kept = booking.hold(session, lee, prize.start, kind, actor=VISITOR, now=now)
    with db.transaction() as session:
        return f"won {_book(session, prize, now, chance, ticket=kept.id).appointment.id}"


def decline(db: Database, prize: Prize, now: datetime, chance: float) -> None:
    if chance < 0.2:
        with db.transaction() as session:
            offers.decline(session, session.get_one(Offer, prize.offer), actor=LINK, now=now)


def job(db: Database, prize: Prize, now: datetime, chance: float) -> None:
    """What the waitlist's job does for this slot."""
    with db.reading() as session:
        over = offers.over(session, now, limit=3)
    for entry_id in over:
        with db.transaction() as session:
            offers.expire(session, entry_id, now)
    with db.transaction() as session:
        lee = accounts.by_username(session, "lee")
        assert lee is not None
        offers.offer(session, matches.Match(prize.next_entry, lee.id, prize.start), now)


_WAYS = (click, click, click_of_the_next, by_telephone, walk_in, walk_in, hold_and_book, decline, job, job)


def _book(session: Any, prize: Prize, now: datetime, chance: float, ticket: UUID | None = None) -> booking.Booked:
    lee, kind = accounts.by_username(session, "lee"), appointment_types.get(session, "consultation")
    assert lee is not None
    address = f"walk.in.{int(chance * 50)}@mail.example"
    patient = accounts.find_or_create_patient(session, f"Walk In {int(chance * 50)}", address, "", now)
    new = drafts.NewAppointment(prize.start, kind, patient)
    return booking.book(session, [lee], new, actor=VISITOR, now=now, ticket=ticket)


def naive(db: Database, number: int, /, **_given: Any) -> str:
    with db.reading() as session:
        if session.execute(text("SELECT 1 FROM naive WHERE slot = :slot"), {"slot": number}).first():
            return "slot_taken"
    with db.transaction() as session:
        session.execute(text("INSERT INTO naive (slot) VALUES (:slot)"), {"slot": number})
    return f"won {random.random()}"
