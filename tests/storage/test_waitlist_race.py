"""The waitlist race: in the millisecond in which an offer ends everybody wants its slot. One gets it, nobody is stuck."""

from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from ical import status
from storage import appointment_types, matches, offers, waitlist
from storage.models import Appointment, Claim, Offer, Visit, WaitlistEntry
from storage.wanted import Wanted
from tasks import waitlist as job
from tests.conftest import PROCESSES
from tests.storage import waitlist_racer
from tests.storage.conftest import VIENNA, at
from tests.storage.waitlist_racer import LINK, VISITOR, Prize

RACERS = 4
SIZES = [pytest.param(8, 24, id="small"), pytest.param(200, 50, id="full", marks=pytest.mark.soak)]
EXPECTED = {"slot_taken", "offer_expired", "hold_expired", "illegal_transition"}


def race(practice: Any, mode: str, prizes: list[Prize], claimants: int) -> dict[int, Counter[str]]:
    """What happened, slot by slot."""
    assert practice.db.settings is not None
    with PROCESSES.Manager() as manager, ProcessPoolExecutor(RACERS, mp_context=PROCESSES) as pool:
        barrier = manager.Barrier(RACERS)
        share = -(-claimants // RACERS)
        running = [
            pool.submit(waitlist_racer.run, practice.db.settings, mode, prizes, share, seed, barrier)
            for seed in range(RACERS)
        ]
        found: dict[int, Counter[str]] = defaultdict(Counter)
        for each in running:
            for number, outcome in each.result():
                found[number][outcome] += 1
        return found


def offered(practice: Any, count: int) -> list[Prize]:
    """Slots, each offered to one patient, with another waiting for it."""
    starts = [at(8 + n % 24 // 3, 20 * (n % 3), day=2 + n // 24) for n in range(count)]
    made: list[tuple[Any, Any, Any]] = []
    with practice.writing() as session:
        kind = appointment_types.get(session, "consultation")
        for number, start in enumerate(starts):
            entries = []
            for who in ("First", "Second"):
                asked = _wish(practice, kind, start)
                patient = practice.patient(session, f"{who} {number}")
                entries.append(waitlist.join(session, patient, asked, actor=VISITOR, now=practice.now).id)
            made.append((start, *entries))
    prizes = []
    for start, first, second in made:
        with practice.writing() as session:
            found = offers.offer(session, matches.Match(first, practice.lee.id, start), practice.now)
            assert found is not None
            prizes.append(Prize(start, found.id, second, found.expires_at))
    return prizes


def _wish(practice: Any, kind: Any, start: Any) -> Wanted:
    wall = start.astimezone(VIENNA)
    end = (wall + timedelta(minutes=20)).time()
    return Wanted([practice.lee], kind, wall.date(), wall.date(), wall.time(), end)


@pytest.mark.parametrize(("slots", "claimants"), SIZES)
def test_one_gets_the_slot_and_nobody_is_stuck(practice: Any, slots: int, claimants: int) -> None:
    practice.now += timedelta(hours=9)
    prizes = offered(practice, slots)
    assert len({prize.expires_at for prize in prizes}) == 1
    outcomes = race(practice, "real", prizes, claimants)
    total = sum(outcomes.values(), Counter())
    words: Counter[str] = Counter()
    for word, times in total.items():
        words[word.partition(" ")[0]] += times
    print(f"{slots} slots × {claimants} claimants on {practice.db.dialect}: {dict(words)}")
    assert set(words) <= EXPECTED | {"won", "decline", "job", "click_of_the_next"}

    # Whatever is still under way is answered or runs out; then everybody waits on or has got something.
    practice.now = prizes[0].expires_at + timedelta(seconds=1)
    for prize in prizes:
        with practice.writing() as session:
            made = waitlist.open_offer(session, session.get_one(WaitlistEntry, prize.next_entry))
            if made is not None:
                offers.accept(session, made, actor=LINK, now=practice.now)
    # What nobody has in the end anybody can have.
    practice.now += timedelta(minutes=11)
    left = [prize for prize in prizes if practice.try_book(prize.start, name="Last") == "booked"]
    assert len(left) < slots / 2
    practice.now += timedelta(days=1)
    job.run(practice.db, practice.db.settings, lambda: practice.now)
    job.run_freed(practice.db, practice.db.settings, lambda: practice.now)
    with practice.db.reading() as session:
        visits = session.execute(
            select(Visit.start, Appointment.id)
            .join(Appointment, Appointment.id == Visit.appointment_id)
            .where(Visit.status.in_(status.ACTIVE))
        ).all()
        claims = session.execute(select(Claim.start, Claim.kind)).all()
        entries = list(session.scalars(select(WaitlistEntry)))
        open_offers = {offer.entry_id: offer for offer in session.scalars(select(Offer).where(Offer.state == "open"))}
    # One winner: as many appointments as slots, one each, and whoever was told "won" has that one.
    assert sorted(start for start, _id in visits) == sorted(prize.start for prize in prizes)
    assert sorted(claims) == sorted((start, "appointment") for start, _id in visits)
    by_start = {start: str(appointment_id) for start, appointment_id in visits}
    for number, prize in enumerate(prizes):
        won = {word.removeprefix("won ") for word in outcomes[number] if word.startswith("won ")}
        assert won <= {by_start[prize.start]}
    # Nobody is stuck: no offer stands for a slot that is gone, and every entry waits or has ended.
    assert open_offers == {}
    assert {entry.status for entry in entries} <= {"waiting", "converted", "expired"}
    taken = {entry.converted_to for entry in entries if entry.status == "converted"}
    assert taken <= {appointment_id for _start, appointment_id in visits}


def test_the_naive_way_has_several_winners(practice: Any) -> None:
    with practice.writing() as session:
        session.execute(text("CREATE TABLE naive (slot INTEGER)"))
    nobody = UUID(int=0)
    prizes = [Prize(at(8), nobody, nobody, at(8))] * 20
    for _round in range(10):
        outcomes = race(practice, "naive", prizes, 24)
        if any(sum(1 for word in found if word.startswith("won")) > 1 for found in outcomes.values()):
            return
        with practice.writing() as session:
            session.execute(text("DELETE FROM naive"))
    pytest.fail("the control had one winner each time: this race shows nothing")
