"""Whatever patients, staff and the clock do: no slot is offered to two, nobody is passed over, and nobody is stuck."""

import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import func, select

from ical.errors import AlreadyWaiting, OfferExpired, Refusal
from storage import appointment_types, freed, lifecycle, matches, offers, waitlist
from storage.db import Database
from storage.models import Appointment, Claim, Hold, Offer, Visit, WaitlistEntry
from storage.policy import SYSTEM, Actor
from storage.settings import Settings, create_secret
from storage.wanted import Wanted
from tasks import waitlist as job
from tests.storage.conftest import MONDAY, Practice, at, make_practice

DESK = Actor("account", "receptionist", 99, "desk", via="portal", label="desk")
PATIENT = Actor("link", via="link", label="patient")
SLOTS = [at(9, minute) for minute in (0, 20, 40)] + [at(13), at(13, 20)]
PEOPLE = [f"Patient {letter}" for letter in "ABCDEF"]
DAY = MONDAY.date()


class Waitlist(RuleBasedStateMachine):
    """One morning of one doctor, that everybody wants."""

    make: Any = None

    def __init__(self) -> None:
        super().__init__()
        self.practice: Practice
        self.booked: list[UUID] = []

    @initialize()
    def begin(self) -> None:
        self.practice = make_practice(self.make())
        self.practice.now += timedelta(hours=9)
        for start in SLOTS:
            self.booked.append(self.practice.book(start, name=f"Early {start:%H%M}").appointment.id)

    @rule(
        who=st.sampled_from(PEOPLE),
        first=st.integers(9, 10),
        urgency=st.sampled_from(["routine", "soon", "urgent"]),
        anybody=st.booleans(),
    )
    def join(self, who: str, first: int, urgency: str, anybody: bool) -> None:
        self.practice.now += timedelta(seconds=1)
        with self.practice.writing() as session:
            kind = appointment_types.get(session, "consultation")
            doctors = [] if anybody else [self.practice.lee]
            window = (at(first).astimezone(MONDAY.tzinfo).time(), at(14).astimezone(MONDAY.tzinfo).time())
            asked = Wanted(doctors, kind, DAY, DAY, *window, urgency=urgency)
            try:
                waitlist.join(session, self.practice.patient(session, who), asked, actor=DESK, now=self.practice.now)
            except AlreadyWaiting:
                session.rollback()

    @precondition(lambda self: self.booked)
    @rule(data=st.data())
    def cancel(self, data: Any) -> None:
        gone = data.draw(st.sampled_from(self.booked))
        self.booked.remove(gone)
        with self.practice.writing() as session:
            lifecycle.cancel(session, gone, actor=SYSTEM, now=self.practice.now)

    @rule()
    def bell(self) -> None:
        job.run_freed(self.practice.db, self.practice.db.settings, lambda: self.practice.now)

    @rule(minutes=st.sampled_from([1, 59, 60, 121]))
    def wait(self, minutes: int) -> None:
        self.practice.now += timedelta(minutes=minutes)

    @rule(data=st.data(), accepts=st.booleans(), unwanted=st.sampled_from(["", "day", "doctor"]), leave=st.booleans())
    def answer(self, data: Any, accepts: bool, unwanted: Any, leave: bool) -> None:
        found = self._offers()
        if not found:
            return
        chosen = data.draw(st.sampled_from(found)).id
        with suppress(OfferExpired), self.practice.writing() as session:
            offer = session.get_one(Offer, chosen)
            if accepts:
                self.booked.append(offers.accept(session, offer, actor=PATIENT, now=self.practice.now).id)
            else:
                offers.decline(session, offer, actor=PATIENT, now=self.practice.now, unwanted=unwanted, leave=leave)

    @rule(start=st.sampled_from(SLOTS))
    def walk_in(self, start: Any) -> None:
        with suppress(Refusal):
            self.booked.append(self.practice.book(start, name="Walk In").appointment.id)

    @rule(data=st.data(), start=st.sampled_from(SLOTS), books=st.booleans())
    def by_hand(self, data: Any, start: Any, books: bool) -> None:
        waiting = [entry for entry in self._entries() if entry.status == "waiting"]
        if not waiting:
            return
        chosen = data.draw(st.sampled_from(waiting)).id
        with suppress(Refusal), self.practice.writing() as session:
            entry = session.get_one(WaitlistEntry, chosen)
            lee = self.practice.lee
            if books:
                made = offers.book(session, entry, lee, start, actor=DESK, now=self.practice.now)
                self.booked.append(made.appointment.id)
            else:
                offers.offer_by_hand(session, entry, lee, start, actor=DESK, now=self.practice.now)

    @invariant()
    def nothing_is_held_twice_and_every_offer_holds_its_slot(self) -> None:
        if not hasattr(self, "practice"):
            return
        with self.practice.db.reading() as session:
            claims = list(session.scalars(select(Claim).order_by(Claim.resource_id, Claim.start)))
            for one, other in zip(claims, claims[1:], strict=False):
                assert one.resource_id != other.resource_id or one.end <= other.start
            held = {claim.ticket: claim for claim in claims if claim.kind == "offer"}
            made = list(session.scalars(select(Offer).where(Offer.state == "open")))
            for offer in made:
                if offer.expires_at > self.practice.now:
                    assert held[offer.id].expires_at == offer.expires_at
            assert set(held) <= {offer.id for offer in made}
            assert session.scalar(select(func.count()).select_from(Hold)) == 0
            states = {entry.id: entry.status for entry in self._entries()}
            assert {offer.entry_id for offer in made} == {key for key, state in states.items() if state == "offered"}
            done = session.scalars(select(WaitlistEntry.converted_to).where(WaitlistEntry.status == "converted"))
            assert None not in set(done)

    @invariant()
    def when_the_bell_is_silent_nothing_is_free_that_suits_anybody(self) -> None:
        if not hasattr(self, "practice"):
            return
        with self.practice.db.reading() as session:
            if freed.rung(session) or offers.over(session, self.practice.now):
                return
            left = matches.matches(session, self.practice.now)
            # But for a patient who has booked meanwhile, and is taken off the list instead.
            booked = {entry for entry, _appointment in offers.booked_meanwhile(session, self.practice.now)}
        assert {match.entry_id for match in left} <= booked

    def teardown(self) -> None:
        if not hasattr(self, "practice"):
            return
        # Time goes on: every offer ends, whoever still waits is served or their day passes. Nobody is stuck.
        self.practice.now += timedelta(days=7)
        for _ in range(2):
            job.run(self.practice.db, self.practice.db.settings, lambda: self.practice.now)
        assert {entry.status for entry in self._entries()} <= {"converted", "expired", "withdrawn"}
        with self.practice.db.reading() as session:
            kinds = set(session.scalars(select(Claim.kind)))
            visits = session.scalar(
                select(func.count())
                .select_from(Visit)
                .join(Appointment, Appointment.id == Visit.appointment_id)
                .where(Visit.status.in_(("scheduled", "confirmed")))
            )
            assert kinds <= {"appointment"} and visits == len(self.booked)
        self.practice.db.dispose()

    def _offers(self) -> list[Offer]:
        with self.practice.db.reading() as session:
            return list(session.scalars(select(Offer).where(Offer.state == "open").order_by(Offer.start)))

    def _entries(self) -> list[WaitlistEntry]:
        with self.practice.db.reading() as session:
            return waitlist.list_entries(session)


@pytest.mark.parametrize("examples", [8, pytest.param(200, marks=pytest.mark.soak)])
def test_the_waitlist_against_everything_that_can_happen(sqlite_template: Any, tmp_path: Any, examples: int) -> None:
    create_secret(tmp_path)
    numbers: Iterator[int] = iter(range(10**6))

    def make() -> Database:
        path = tmp_path / f"{next(numbers)}.sqlite3"
        shutil.copyfile(sqlite_template, path)
        url = f"sqlite:///{path}"
        return Database(url, Settings(home=tmp_path, database_url=url))

    machine = type("Machine", (Waitlist,), {"make": staticmethod(make)})
    hypothesis.stateful.run_state_machine_as_test(
        machine, settings=hypothesis.settings(max_examples=examples, stateful_step_count=18, deadline=None)
    )
