"""A small practice on a real database, a clock that tests move, and people in front of browsers."""

import re
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from html import unescape
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from storage import accounts, booking, drafts, hours, slots, views
from storage.db import Database
from storage.policy import SYSTEM
from storage.settings import Settings, create_secret
from web.app import create_app
from web.services import Services

PASSWORD = "correct park lantern 7"
# A Monday, 08:00 in Vienna
MONDAY = datetime(2026, 11, 23, 7, 0, tzinfo=UTC)


class Clock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **span: float) -> None:
        self.now += timedelta(**span)


class Person:
    """Somebody's browser: keeps the cookie, and sends forms with the token of the last page."""

    def __init__(self, app: Flask) -> None:
        self.client: FlaskClient = app.test_client()
        self.token = ""

    def get(self, url: str, **headers: str) -> TestResponse:
        return self._read(self.client.get(url, headers=headers))

    def post(
        self, url: str, *, token: str | None = None, headers: dict[str, str] | None = None, **form: object
    ) -> TestResponse:
        form = {name.rstrip("_"): value for name, value in form.items()}
        return self._read(
            self.client.post(url, data={"csrf": self.token if token is None else token, **form}, headers=headers)
        )

    def follow(self, answer: TestResponse) -> TestResponse:
        assert answer.status_code in (302, 303), answer.text
        return self.get(answer.headers["Location"])

    def log_in(self, username: str, password: str = PASSWORD) -> TestResponse:
        self.get("/login")
        answer = self.post("/login", username=username, password=password)
        if answer.status_code == 303:
            self.follow(answer)
        return answer

    def _read(self, answer: TestResponse) -> TestResponse:
        found = re.search(r'name="csrf" value="(\w+)"', answer.text) if answer.mimetype == "text/html" else None
        self.token = found.group(1) if found else self.token
        return answer


def said(answer: TestResponse) -> str:
    """The text of a page without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


@pytest.fixture
def clock() -> Clock:
    return Clock(MONDAY)


@pytest.fixture(scope="session")
def practice(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A filled database to copy: hashing five passwords for each test would take longer than the tests."""
    home = tmp_path_factory.mktemp("practice")
    create_secret(home)
    path = home / "clinicdav.sqlite3"
    shutil.copyfile(sqlite_template, path)
    database = Database(f"sqlite:///{path}", Settings(home=home, clinic_name="Test Practice"))
    fill(database)
    database.dispose()
    return path


@pytest.fixture
def db(settings: Settings, practice: Path) -> Iterator[Database]:
    shutil.copyfile(practice, settings.home / "clinicdav.sqlite3")
    opened = Database(settings.database_url, settings)
    yield opened
    opened.dispose()


def fill(db: Database) -> None:
    """Doctors lee (20 minutes) and smith (30), mornings; desk, admin, and the patient maria."""
    with db.transaction() as session:
        for role, username, name in (
            ("doctor", "lee", "Dr. Min Lee"),
            ("doctor", "smith", "Dr. Anna Smith"),
            ("receptionist", "desk", "Dana Desk"),
            ("admin", "admin", "Ada Min"),
            ("patient", "maria@example.org", "Maria Huber"),
        ):
            accounts.create_account(
                session,
                role=role,
                username=username,
                name=name,
                email=username if role == "patient" else f"{username}@practice.example",
                password=PASSWORD,
                slot_minutes=20 if username == "lee" else 30,
                now=MONDAY,
            )
        for doctor in accounts.doctors(session):
            hours.add_hours(
                session,
                doctor,
                ["mon", "tue", "wed", "thu", "fri"],
                time(9),
                time(12),
                slot=doctor.slot_minutes,
                actor=SYSTEM,
                now=MONDAY,
                first=date(2026, 11, 16),
            )


@pytest.fixture(scope="session")
def pages(practice: Path) -> Flask:
    """One application for all tests: its routes and templates are compiled once. What it works with, `app` gives it."""
    settings = Settings(home=practice.parent)
    return create_app(Database(f"sqlite:///{practice}", settings), settings, Clock(MONDAY))


@pytest.fixture
def app(pages: Flask, db: Database, settings: Settings, clock: Clock) -> Flask:
    pages.extensions["clinicdav"] = Services(db, settings, clock)
    return pages


@pytest.fixture
def visitor(app: Flask) -> Person:
    return Person(app)


@pytest.fixture
def lee(app: Flask) -> Person:
    person = Person(app)
    person.log_in("lee")
    return person


@pytest.fixture
def desk(app: Flask) -> Person:
    person = Person(app)
    person.log_in("desk")
    return person


@pytest.fixture
def admin(app: Flask) -> Person:
    person = Person(app)
    person.log_in("admin")
    return person


@pytest.fixture
def maria(app: Flask) -> Person:
    person = Person(app)
    person.log_in("maria@example.org")
    return person


@pytest.fixture
def booked(db: Database, clock: Clock) -> booking.Booked:
    """Maria's consultation with lee on Tuesday at 09:00."""
    return book(db, clock, "maria")


def book(db: Database, clock: Clock, who: str, *, days: int = 1, nth: int = 0) -> booking.Booked:
    """The nth free slot of lee from `days` ahead on; who is maria or anybody's name."""
    with db.transaction() as session:
        doctor = accounts.by_username(session, "lee")
        kind = views.find_type(session, "consultation")
        assert doctor is not None and kind is not None
        begin = clock.now.replace(hour=0) + timedelta(days=days)
        slot = slots.free_slots(session, [doctor], begin, begin + timedelta(days=7), kind, clock.now)[nth]
        if who == "maria":
            account = accounts.by_username(session, "maria@example.org")
            assert account is not None
            patient = accounts.patient_of(session, account)
        else:
            email = f"{re.sub('[^a-z]', '', who.lower())}@example.org"
            patient = accounts.find_or_create_patient(session, who, email, "", clock.now)
        assert patient is not None
        new = drafts.NewAppointment(
            start=slot.start, kind=kind, patient=patient, reason="Secret cough", patient_notes="Wheelchair"
        )
        return booking.book(session, [doctor], new, actor=SYSTEM, now=clock.now)
