"""Booking against a plain model of it: whatever is done in whatever order, both know the same minutes to be taken.

Two doctors and a room, each with 16 times in four days. Everything that an example does is taken back at its end.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sqlalchemy import select
from sqlalchemy.orm import Session

from ical.diary import OVERBOOKED_SEAT
from ical.errors import Refusal
from storage import (
    accounts,
    appointment_types,
    booking,
    collections,
    drafts,
    edits,
    hours,
    leave,
    lifecycle,
    objects,
    offers,
    requests,
    resources,
    slots,
    undo,
    waitlist,
)
from storage.db import Database
from storage.models import (
    Account,
    Appointment,
    Claim,
    Offer,
    OutboxMessage,
    Reminder,
    Resource,
    Visit,
)
from storage.models import Occurrence as Row
from storage.policy import SYSTEM, Actor
from storage.wanted import Wanted
from tests.storage.conftest import MONDAY, at

DOCTORS = ("lee", "smith")
DAYS, TIMES = 4, 4
CELLS = DAYS * TIMES
NOW = at(9) - timedelta(days=3)
VISITOR = Actor("visitor", via="portal", label="patient")

BLOCK = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//X//EN\r\nBEGIN:VEVENT\r\nUID:{uid}\r\nDTSTAMP:20261101T000000Z\r\n"
    "DTSTART:{start:%Y%m%dT%H%M%SZ}\r\nDTEND:{end:%Y%m%dT%H%M%SZ}\r\nSUMMARY:Tea\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)


def start_of(cell: int) -> datetime:
    return at(8, 20 * (cell % TIMES), day=cell // TIMES) if cell % TIMES < 3 else at(9, 0, day=cell // TIMES)


CELL_AT = {start_of(cell): cell for cell in range(CELLS)}
KINDS: dict[str, tuple[str, ...]] = {"visit": (), "scan": ("room",), "asked": ()}


@dataclass(frozen=True)
class Seen:
    """A visit as the model knows it. `seats` by who is taken."""

    doctor: str
    cell: int
    status: str
    seats: dict[str, int]


@dataclass
class Booked:
    id: UUID
    kind: str
    visits: dict[str, Seen]
    request: UUID | None = None
    # What an undo brings back, by the step that it takes back
    steps: list[Seen] = field(default_factory=list)

    @property
    def series(self) -> bool:
        return "" not in self.visits


@dataclass
class Kept:
    """A hold or an offer."""

    id: UUID
    doctor: str
    kind: str
    cell: int
    until: datetime
    seats: dict[str, int]
    entry: UUID | None = None


class Over(Exception):
    """The example has ended."""


class Practice(RuleBasedStateMachine):
    db: Database
    session: Session

    @initialize()
    def open(self) -> None:
        self.opened = self.db.transaction()
        self.session = self.opened.__enter__()
        self.now = NOW
        self.booked: list[Booked] = []
        self.kept: list[Kept] = []
        self.blocks: dict[str, tuple[str, int]] = {}
        self.leave: dict[str, tuple[str, int]] = {}
        self.count = 0
        for name in DOCTORS:
            account = accounts.create_account(
                self.session,
                role="doctor",
                username=name,
                name=f"Dr. {name}",
                email=f"{name}@clinic.example",
                timezone="Europe/Vienna",
                now=NOW,
            )
            hours.add_hours(self.session, account, hours.DAYS, time(8), time(9, 20), slot=20, actor=SYSTEM, now=NOW)
        resources.add(self.session, "room", "room", "Room", timezone="Europe/Vienna", now=NOW)
        for code, needed in KINDS.items():
            more: dict[str, Any] = {"resources": [list(needed)]} if needed else {}
            appointment_types.create(
                self.session, code, now=NOW, name=code, minutes=20, approval=code == "asked", **more
            )
        self.session.flush()
        self.session.expunge_all()

    def teardown(self) -> None:
        if hasattr(self, "opened"):
            self.opened.__exit__(Over, Over(), None)

    # What is done

    @rule(
        who=st.sampled_from(DOCTORS),
        kind=st.sampled_from(sorted(KINDS)),
        cell=st.integers(0, CELLS - 1),
        staff=st.booleans(),
    )
    def book(self, who: str, kind: str, cell: int, staff: bool) -> None:
        made = self.do(
            self.is_free(who, kind, cell),
            lambda: booking.book(
                self.session, [self.account(who)], self.wish(kind, cell), actor=self.actor(staff), now=self.now
            ),
        )
        if made is not None:
            self.note(made, who, kind, {"": cell})

    @rule(who=st.sampled_from(DOCTORS), cell=st.integers(0, CELLS - 1))
    def overbook(self, who: str, cell: int) -> None:
        made = self.do(
            True,
            lambda: booking.book(
                self.session,
                [self.account(who)],
                self.wish("visit", cell, overrule="Emergency"),
                actor=self.actor(True),
                now=self.now,
            ),
        )
        self.note(made, who, "visit", {"": cell})

    @rule(
        who=st.sampled_from(DOCTORS),
        kind=st.sampled_from(["visit", "scan"]),
        cell=st.integers(0, CELLS - 1),
        skip=st.booleans(),
    )
    def book_series(self, who: str, kind: str, cell: int, skip: bool) -> None:
        cells = [cell + TIMES * day for day in range(3) if cell + TIMES * day < CELLS]
        if len(cells) < 2:
            return
        free = [each for each in cells if self.is_free(who, kind, each)]
        wish = self.wish(kind, cell, rrule=f"FREQ=DAILY;COUNT={len(cells)}", on_conflict="skip" if skip else "refuse")
        made = self.do(
            bool(free) if skip else free == cells,
            lambda: booking.book(self.session, [self.account(who)], wish, actor=self.actor(True), now=self.now),
        )
        if made is not None:
            self.note(made, who, kind, {f"{start_of(each):%Y%m%dT%H%M%SZ}": each for each in free})

    @rule(who=st.sampled_from(DOCTORS), kind=st.sampled_from(["visit", "scan"]), cell=st.integers(0, CELLS - 1))
    def hold(self, who: str, kind: str, cell: int) -> None:
        made = self.do(
            self.is_free(who, kind, cell),
            lambda: booking.hold(
                self.session, self.account(who), start_of(cell), self.kind(kind), actor=VISITOR, now=self.now
            ),
        )
        if made is not None:
            self.keep(made.id, who, kind, cell, self.now + timedelta(minutes=self.db.settings.hold_minutes))

    @precondition(lambda self: self.kept)
    @rule(pick=st.integers(0, 99))
    def book_what_was_held(self, pick: int) -> None:
        kept = self.pick(self.kept, pick)
        if kept.entry is not None:
            return
        alive = kept.until > self.now
        made = self.do(
            alive and self.is_free(kept.doctor, kept.kind, kept.cell, own=kept.seats),
            lambda: booking.book(
                self.session,
                [self.account(kept.doctor)],
                self.wish(kept.kind, kept.cell),
                actor=VISITOR,
                now=self.now,
                ticket=kept.id,
            ),
        )
        if made is not None:
            self.kept.remove(kept)
            self.note(made, kept.doctor, kept.kind, {"": kept.cell})

    @precondition(lambda self: self.kept)
    @rule(pick=st.integers(0, 99))
    def let_go(self, pick: int) -> None:
        kept = self.pick(self.kept, pick)
        if kept.entry is None:
            self.do(True, lambda: booking.release_hold(self.session, kept.id))
            self.kept.remove(kept)

    @rule(who=st.sampled_from(DOCTORS), cell=st.integers(0, CELLS - 1))
    def offer(self, who: str, cell: int) -> None:
        def made() -> Offer:
            asked = Wanted([self.account(who)], self.kind("visit"), MONDAY.date(), MONDAY.date() + timedelta(days=4))
            entry = waitlist.join(self.session, self.patient(), asked, actor=self.actor(True), now=self.now)
            return offers.offer_by_hand(
                self.session, entry, self.account(who), start_of(cell), actor=self.actor(True), now=self.now
            )

        offer = self.do(self.is_free(who, "visit", cell), made)
        if offer is not None:
            self.keep(offer.id, who, "visit", cell, offer.expires_at, entry=offer.entry_id)

    @precondition(lambda self: any(kept.entry for kept in self.kept))
    @rule(pick=st.integers(0, 99), accepts=st.booleans())
    def answer(self, pick: int, accepts: bool) -> None:
        kept = self.pick([each for each in self.kept if each.entry is not None], pick)
        alive = kept.until > self.now
        if not accepts:
            done = self.do(
                alive,
                lambda: offers.decline(self.session, self.offer_of(kept), actor=VISITOR, now=self.now) or True,
            )
            if done:
                self.kept.remove(kept)
            return
        made = self.do(
            alive and self.is_free(kept.doctor, kept.kind, kept.cell, own=kept.seats),
            lambda: offers.accept(self.session, self.offer_of(kept), actor=VISITOR, now=self.now),
        )
        if made is not None:
            self.kept.remove(kept)
            seats = self.seats(kept.doctor, kept.kind, kept.cell)
            self.booked.append(Booked(made.id, kept.kind, {"": Seen(kept.doctor, kept.cell, "scheduled", seats)}))

    @rule(minutes=st.sampled_from([1, 7, 12]))
    def wait(self, minutes: int) -> None:
        if self.now < NOW + timedelta(hours=6):
            self.now += timedelta(minutes=minutes)

    @rule()
    def expire(self) -> None:
        """What the worker does."""
        for entry in offers.over(self.session, self.now):
            self.do(True, lambda entry=entry: offers.expire(self.session, entry, self.now) or True)
        self.kept = [kept for kept in self.kept if kept.entry is None or kept.until > self.now]

    @precondition(lambda self: self.booked)
    @rule(pick=st.integers(0, 99), one=st.integers(0, 2), who=st.sampled_from(DOCTORS), cell=st.integers(0, CELLS - 1))
    def move(self, pick: int, one: int, who: str, cell: int) -> None:
        booked = self.pick(self.booked, pick)
        recurrence_id, seen = self.pick(sorted(booked.visits.items()), one)
        if booked.series:
            who = seen.doctor
        if booked.request is not None or (who, cell) == (seen.doctor, seen.cell):
            return
        possible = seen.status in ("scheduled", "confirmed", "rescheduled")
        done = self.do(
            possible and self.is_free(who, booked.kind, cell, own=seen.seats if cell == seen.cell else {}),
            lambda: lifecycle.reschedule(
                self.session,
                booked.id,
                start_of(cell),
                doctor=None if who == seen.doctor else self.account(who),
                recurrence_id=recurrence_id or None,
                actor=self.actor(True),
                now=self.now,
            ),
        )
        if done is not None:
            self.change(booked, recurrence_id, replace(seen, doctor=who, cell=cell, status="rescheduled"))

    @precondition(lambda self: self.booked)
    @rule(pick=st.integers(0, 99), one=st.integers(0, 2))
    def cancel(self, pick: int, one: int) -> None:
        booked = self.pick(self.booked, pick)
        recurrence_id, seen = self.pick(sorted(booked.visits.items()), one)
        if booked.request is not None:
            return
        done = self.do(
            seen.status in ("scheduled", "confirmed", "rescheduled"),
            lambda: lifecycle.cancel(
                self.session,
                booked.id,
                by="doctor",
                recurrence_id=recurrence_id or None,
                actor=self.actor(True),
                now=self.now,
            ),
        )
        if done is not None:
            self.change(booked, recurrence_id, replace(seen, status="cancelled_doctor"))

    @precondition(lambda self: any(not booked.series and booked.request is None for booked in self.booked))
    @rule(pick=st.integers(0, 99))
    def take_back(self, pick: int) -> None:
        booked = self.pick([each for each in self.booked if not each.series and each.request is None], pick)
        seen = booked.visits[""]
        before = booked.steps[-1] if booked.steps else None
        possible = before is not None and self.has_room(
            before, booked.kind, own=seen.seats if seen.cell == before.cell else {}
        )
        done = self.do(possible, lambda: undo.undo(self.session, booked.id, actor=self.actor(True), now=self.now))
        if done is not None:
            assert before is not None
            self.change(booked, "", before)
            del booked.steps[-2:]

    @precondition(lambda self: any(booked.request for booked in self.booked))
    @rule(pick=st.integers(0, 99), how=st.sampled_from(["approve", "reject", "withdraw"]))
    def decide(self, pick: int, how: str) -> None:
        booked = self.pick([each for each in self.booked if each.request is not None], pick)
        decide: Callable[..., Any] = getattr(requests, how)
        self.do(
            True,
            lambda: decide(self.session, booked.request, actor=self.actor(how != "withdraw"), now=self.now),
        )
        status = {"approve": "confirmed", "reject": "cancelled_doctor", "withdraw": "cancelled_patient"}[how]
        booked.request = None
        self.change(booked, "", replace(booked.visits[""], status=status))

    @rule(who=st.sampled_from(DOCTORS), cell=st.integers(0, CELLS - 1))
    def block(self, who: str, cell: int) -> None:
        self.count += 1
        href, start = f"tea{self.count}.ics", start_of(cell)
        text = BLOCK.format(uid=f"tea{self.count}", start=start, end=start + timedelta(minutes=20))

        def put() -> bool:
            calendar = collections.find(self.session, who, "appointments")
            assert calendar is not None
            sent = edits.judge(text.encode())
            spot = edits.spot_of(self.session, calendar, href, sent)
            edits.put(self.session, calendar, spot, sent, actor=self.actor(True, who), now=self.now)
            return True

        self.do(True, put)
        self.blocks[href] = (who, cell)

    @precondition(lambda self: self.blocks)
    @rule(pick=st.integers(0, 99))
    def unblock(self, pick: int) -> None:
        href, (who, _cell) = self.pick(sorted(self.blocks.items()), pick)

        def gone() -> bool:
            calendar = collections.find(self.session, who, "appointments")
            assert calendar is not None
            obj = objects.find(self.session, calendar, href)
            assert obj is not None
            edits.client_delete(self.session, obj, actor=self.actor(True, who), now=self.now)
            return True

        self.do(True, gone)
        del self.blocks[href]

    @rule(who=st.sampled_from(DOCTORS), day=st.integers(0, DAYS - 1))
    def go_on_leave(self, who: str, day: int) -> None:
        away = MONDAY.date() + timedelta(days=day)
        made = self.do(
            True,
            lambda: leave.request_leave(
                self.session, self.account(who), away, away, "Away", actor=self.actor(True), now=self.now
            ),
        )
        self.leave[made.id] = (who, day)

    @precondition(lambda self: self.leave)
    @rule(pick=st.integers(0, 99))
    def withdraw_leave(self, pick: int) -> None:
        leave_id = self.pick(sorted(self.leave), pick)
        self.do(
            True,
            lambda: leave.withdraw(self.session, leave_id, actor=self.actor(True), now=self.now) or True,
        )
        del self.leave[leave_id]

    # What must hold

    @invariant()
    def the_same_minutes_are_taken(self) -> None:
        owners = dict(
            self.session.execute(
                select(Resource.id, Account.username).join(Account, Account.id == Resource.account_id)
            ).all()
        )
        claims = self.session.scalars(select(Claim)).all()
        there = Counter(
            (owners[claim.resource_id], CELL_AT[claim.start], claim.seat)
            for claim in claims
            if claim.expires_at is None or claim.expires_at > self.now
        )
        assert there == Counter(self.taken())
        assert max(there.values(), default=1) == 1
        assert all(claim.end - claim.start == timedelta(minutes=20) for claim in claims)

    @invariant()
    def visits_occurrences_and_reminders_are_in_step(self) -> None:
        expected = {
            (booked.id, recurrence_id): seen for booked in self.booked for recurrence_id, seen in booked.visits.items()
        }
        visits = {(visit.appointment_id, visit.recurrence_id): visit for visit in self.session.scalars(select(Visit))}
        assert {key: (CELL_AT[visit.start], visit.status) for key, visit in visits.items()} == {
            key: (seen.cell, seen.status) for key, seen in expected.items()
        }
        appointments = {each.id: each for each in self.session.scalars(select(Appointment))}
        names = dict(self.session.execute(select(Account.id, Account.username)).all())
        assert {each.id: names[each.doctor_id] for each in appointments.values()} == {
            booked.id: next(iter(booked.visits.values())).doctor for booked in self.booked
        }
        rows = self.session.scalars(select(Row).where(Row.kind == "appointment"))
        of_object = {each.object_id: each.id for each in appointments.values()}
        assert {(of_object[row.object_id], row.recurrence_id): row.start for row in rows} == {
            key: visit.start for key, visit in visits.items()
        }
        reminders = Counter(
            (row.appointment_id, row.recurrence_id, row.start) for row in self.session.scalars(select(Reminder))
        )
        assert reminders == Counter(
            {
                (*key, start_of(seen.cell)): 2
                for key, seen in expected.items()
                if seen.status in ("scheduled", "confirmed", "rescheduled")
            }
        )
        told = {message.appointment_id for message in self.session.scalars(select(OutboxMessage))}
        for booked in self.booked:
            assert booked.id in told
            for recurrence_id, seen in booked.visits.items():
                visit = visits[booked.id, recurrence_id]
                if booked.request is None and visit.told_start is not None and seen.status != "cancelled_patient":
                    assert visit.told_start == visit.start

    @invariant()
    def the_same_times_are_free(self) -> None:
        people = [self.account(name) for name in DOCTORS]
        for kind in KINDS:
            found = slots.free_slots(self.session, people, at(0), at(0, day=DAYS), self.kind(kind), self.now)
            assert {(slot.doctor.username, CELL_AT[slot.start]) for slot in found} == {
                (name, cell) for name in DOCTORS for cell in range(CELLS) if self.is_free(name, kind, cell)
            }, kind
        self.session.expunge_all()

    # The model

    def taken(self) -> list[tuple[str, int, int]]:
        """(who, cell, seat)"""
        holders = [(kept.cell, kept.seats) for kept in self.kept if kept.until > self.now]
        holders += [(seen.cell, seen.seats) for booked in self.booked for seen in booked.visits.values()]
        return [(who, cell, seat) for cell, seats in holders for who, seat in seats.items()]

    def used(self, who: str, cell: int, own: dict[str, int]) -> set[int]:
        return {seat for each, where, seat in self.taken() if (each, where) == (who, cell)} - {own.get(who)}

    def is_free(self, who: str, kind: str, cell: int, *, own: dict[str, int] | None = None) -> bool:
        away = (who, cell) in self.blocks.values() or (who, cell // TIMES) in self.leave.values()
        return not away and all(0 not in self.used(each, cell, own or {}) for each in (who, *KINDS[kind]))

    def has_room(self, seen: Seen, kind: str, *, own: dict[str, int]) -> bool:
        return seen.status.startswith("cancelled") or all(
            0 not in self.used(each, seen.cell, own) for each in (seen.doctor, *KINDS[kind])
        )

    def seats(self, who: str, kind: str, cell: int) -> dict[str, int]:
        """Where somebody who is booked now sits."""
        seats = {}
        for each in (who, *KINDS[kind]):
            used = self.used(each, cell, {})
            seats[each] = next(seat for seat in (0, *range(OVERBOOKED_SEAT, OVERBOOKED_SEAT + 99)) if seat not in used)
        return seats

    def note(self, made: booking.Booked, who: str, kind: str, cells: dict[str, int]) -> None:
        visits = {}
        for recurrence_id, cell in cells.items():
            visits[recurrence_id] = Seen(who, cell, "scheduled", self.seats(who, kind, cell))
        self.booked.append(Booked(made.appointment.id, kind, visits, None if made.request is None else made.request.id))

    def keep(self, key: UUID, who: str, kind: str, cell: int, until: datetime, entry: UUID | None = None) -> None:
        self.kept.append(Kept(key, who, kind, cell, until, self.seats(who, kind, cell), entry))

    def change(self, booked: Booked, recurrence_id: str, to: Seen) -> None:
        booked.steps.append(booked.visits[recurrence_id])
        booked.visits[recurrence_id] = replace(to, seats={})
        if not to.status.startswith("cancelled"):
            booked.visits[recurrence_id] = replace(to, seats=self.seats(to.doctor, booked.kind, to.cell))

    # How it is done

    def do(self, expected: bool, function: Callable[[], Any]) -> Any:
        """What `function` gives, of which the model says whether it is possible; None when it is refused."""
        try:
            with self.session.begin_nested():
                made = function()
                self.session.flush()
        except Refusal as refusal:
            made = None
            assert not expected, refusal.code
        else:
            assert expected
        self.session.expunge_all()
        return made

    def pick(self, members: list[Any], number: int) -> Any:
        return members[number % len(members)]

    def account(self, name: str) -> Account:
        found = accounts.by_username(self.session, name)
        assert found is not None
        return found

    def kind(self, code: str) -> Any:
        return appointment_types.get(self.session, code)

    def actor(self, staff: bool, name: str = "lee") -> Actor:
        if not staff:
            return VISITOR
        return Actor("account", "admin", self.account(name).id, name, via="portal", label=name)

    def patient(self) -> Any:
        self.count += 1
        name = f"Maria Huber {self.count}"
        return accounts.find_or_create_patient(self.session, name, f"p{self.count}@mail.example", "", self.now)

    def wish(self, kind: str, cell: int, **more: Any) -> drafts.NewAppointment:
        return drafts.NewAppointment(start_of(cell), self.kind(kind), self.patient(), **more)

    def offer_of(self, kept: Kept) -> Offer:
        return self.session.get_one(Offer, kept.id)


@pytest.mark.parametrize(("examples", "steps"), [(6, 20), pytest.param(500, 50, marks=pytest.mark.soak)])
def test_booking_agrees_with_its_model(database: Database, examples: int, steps: int) -> None:
    class Own(Practice):
        db = database

    hypothesis.stateful.run_state_machine_as_test(
        Own,
        settings=hypothesis.settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        ),
    )
    print(f"{examples} × {steps} steps on {database.dialect}: 0 mismatches")
