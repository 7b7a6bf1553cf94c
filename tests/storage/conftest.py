"""A small practice in a real database, and a clock that the tests set."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from ical.errors import Refusal
from storage import accounts, appointment_types, booking, collections, drafts, edits, hours, objects, settling
from storage.db import Database
from storage.models import Account, Appointment, CalendarObject, Claim, OutboxMessage, Patient, Visit
from storage.policy import SYSTEM, Actor

VIENNA = ZoneInfo("Europe/Vienna")
# A Monday, well away from a clock change
MONDAY = datetime(2026, 11, 23, tzinfo=VIENNA)


def at(hour: int, minute: int = 0, day: int = 0) -> datetime:
    """A wall time of the test week in UTC; day 0 is Monday."""
    moment = MONDAY + timedelta(days=day)
    return moment.replace(hour=hour, minute=minute).astimezone(UTC)


@dataclass
class Practice:
    """Doctor lee works from 8 to 16 every day in slots of 20 minutes; smith the same in the afternoon."""

    db: Database
    lee: Account
    smith: Account
    now: datetime = field(default_factory=lambda: MONDAY.astimezone(UTC) - timedelta(days=3))

    @property
    def doctor(self) -> Actor:
        return Actor("account", "doctor", self.lee.id, "lee", via="caldav", label="lee")

    @property
    def visitor(self) -> Actor:
        return Actor("visitor", via="portal", label="patient")

    @contextmanager
    def writing(self) -> Iterator[Session]:
        with self.db.transaction() as session:
            yield session

    def patient(self, session: Session, name: str = "Maria Huber") -> Patient:
        email = name.lower().replace(" ", ".") + "@mail.example"
        return accounts.find_or_create_patient(session, name, email, "+4366412345678", self.now)

    def book(self, start: datetime, *, name: str = "Maria Huber", kind: str = "consultation", **more) -> booking.Booked:
        with self.writing() as session:
            new = drafts.NewAppointment(
                start, appointment_types.get(session, kind), self.patient(session, name), reason="Knee pain", **more
            )
            return booking.book(session, [self.lee], new, actor=self.visitor, now=self.now)

    def try_book(self, start: datetime, **more) -> str:
        """The refusal's code, or "booked"."""
        try:
            self.book(start, **more)
        except Refusal as refusal:
            return refusal.code
        return "booked"

    def object_of(self, booked: booking.Booked) -> CalendarObject:
        with self.db.reading() as session:
            appointment = session.get_one(Appointment, booked.appointment.id)
            return session.get_one(CalendarObject, appointment.object_id)

    def put(self, href: str, text: str, collection: str = "appointments", *, conditional: bool = True) -> edits.Written:
        with self.writing() as session:
            target = collections.find(session, "lee", collection)
            assert target is not None
            sent = edits.judge(text.encode(), conditional=conditional)
            spot = edits.spot_of(session, target, href, sent)
            return edits.put(session, target, spot, sent, actor=self.doctor, now=self.now)

    def delete(self, href: str, collection: str = "appointments") -> None:
        with self.writing() as session:
            target = collections.find(session, "lee", collection)
            assert target is not None
            obj = objects.find(session, target, href)
            assert obj is not None
            edits.client_delete(session, obj, actor=self.doctor, now=self.now)

    def settle(self) -> None:
        """Let the quiet period pass."""
        self.now += timedelta(seconds=121)
        with self.writing() as session:
            due = settling.due_to_settle(session, self.now)
        for appointment_id in due:
            with self.writing() as session:
                settling.settle(session, appointment_id, self.now)
        with self.writing() as session:
            for object_id in settling.objects_due(session, self.now):
                settling.settle_object(session, object_id, self.now)

    def visits(self, booked: booking.Booked) -> list[Visit]:
        with self.db.reading() as session:
            asked = select(Visit).where(Visit.appointment_id == booked.appointment.id).order_by(Visit.start)
            return list(session.scalars(asked))

    def visit(self, booked: booking.Booked) -> Visit:
        return self.visits(booked)[0]

    def messages(self) -> list[str]:
        with self.db.reading() as session:
            return list(session.scalars(select(OutboxMessage.template).order_by(OutboxMessage.id)))

    def claims(self) -> list[tuple[datetime, datetime, int]]:
        with self.db.reading() as session:
            asked = select(Claim).order_by(Claim.start, Claim.seat)
            return [(claim.start, claim.end, claim.seat) for claim in session.scalars(asked)]


def make_practice(db: Database) -> Practice:
    now = MONDAY.astimezone(UTC) - timedelta(days=3)
    with db.transaction() as session:
        people = [
            accounts.create_account(
                session,
                role="doctor",
                username=name,
                name=f"Dr. {name.title()}",
                email=f"{name}@clinic.example",
                timezone="Europe/Vienna",
                now=now,
            )
            for name in ("lee", "smith")
        ]
        for doctor, (first, last) in zip(people, ((8, 16), (12, 18)), strict=True):
            hours.add_hours(session, doctor, hours.DAYS, time(first), time(last), slot=20, actor=SYSTEM, now=now)
    return Practice(db, *people)


@pytest.fixture
def practice(database: Database) -> Practice:
    return make_practice(database)


@pytest.fixture(name="at")
def _at():
    return at
