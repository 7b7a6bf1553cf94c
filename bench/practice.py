"""Practices of any size in fresh databases, filled by plain inserts where booking one by one would take hours."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4
from zoneinfo import ZoneInfo

import psycopg
from sqlalchemy import insert

from storage import accounts, claims, hours
from storage.db import Database
from storage.models import Account, Claim
from storage.policy import SYSTEM
from storage.settings import Settings, create_secret

VIENNA = ZoneInfo("Europe/Vienna")
MONDAY = datetime(2026, 11, 23, tzinfo=VIENNA)
NOW = MONDAY.astimezone(UTC) - timedelta(days=3)
POSTGRESQL = os.environ.get("CLINICDAV_TEST_POSTGRESQL_URL", "postgresql://postgres@127.0.0.1:5432/postgres")


@contextmanager
def databases() -> Iterator[list[Database]]:
    """A migrated SQLite file, and a PostgreSQL database where there is a server."""
    with TemporaryDirectory() as folder:
        home = Path(folder)
        create_secret(home)
        urls = [f"sqlite:///{home}/bench.sqlite3"]
        name = f"clinicdav_bench_{os.getpid()}"
        try:
            server = psycopg.connect(POSTGRESQL, autocommit=True, connect_timeout=3)
        except psycopg.OperationalError:
            print("(no PostgreSQL here: SQLite alone)")
            server = None
        if server:
            server.execute(f"CREATE DATABASE {name}")
            urls.append(POSTGRESQL.rpartition("/")[0] + f"/{name}")
        opened = []
        try:
            for url in urls:
                settings = Settings(home=home, database_url=url)
                db = Database(settings.database_url, settings)
                db.upgrade()
                opened.append(db)
            yield opened
        finally:
            for db in opened:
                db.dispose()
            if server:
                server.execute(f"DROP DATABASE {name} WITH (FORCE)")
                server.close()


def doctors(db: Database, count: int, now: datetime = NOW) -> list[Account]:
    """Doctors who work from 8 to 16 on five days a week, in slots of 20 minutes."""
    made = []
    with db.transaction() as session:
        for number in range(count):
            doctor = accounts.create_account(
                session,
                role="doctor",
                username=f"doctor{number}",
                name=f"Dr. Number {number}",
                email=f"doctor{number}@clinic.example",
                timezone="Europe/Vienna",
                now=now,
            )
            hours.add_hours(session, doctor, hours.DAYS[:5], time(8), time(16), slot=20, actor=SYSTEM, now=now)
            made.append(doctor)
    return made


def half_booked(db: Database, made: list[Account], days: int, *, first: int = 0) -> int:
    """Claim every other slot of these doctors for `days` from Monday, or the day `first` after it, on. Returns how
    many."""
    count = 0
    with db.transaction() as session:
        for doctor in made:
            resource = claims.resource_of(session, doctor.id)
            rows = []
            for day in range(first, first + days):
                opening = (MONDAY + timedelta(days=day)).replace(hour=8).astimezone(UTC)
                if (MONDAY + timedelta(days=day)).weekday() < 5:
                    for slot in range(0, 24, 2):
                        start = opening + timedelta(minutes=20 * slot)
                        rows.append(
                            {
                                "resource_id": resource,
                                "start": start,
                                "end": start + timedelta(minutes=20),
                                "kind": "hold",
                                "ticket": uuid4(),
                                "expires_at": NOW + timedelta(days=1000),
                            }
                        )
            session.execute(insert(Claim), rows)
            count += len(rows)
    return count
