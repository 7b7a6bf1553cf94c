"""kill -9 of the web process at any moment: what was acknowledged is there, and nothing is there by halves."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest
from sqlalchemy import select

from storage import audit, checks, credentials
from storage.db import Database
from storage.models import Appointment, Audit, CalendarObject, Change, OutboxMessage, Visit
from tests.conftest import free_port
from tests.storage.conftest import VIENNA, make_practice

WRITERS = 3
BACK_WITHIN_SECONDS = 30


@dataclass
class Acknowledged:
    """What the server said was done."""

    booked: set[str] = field(default_factory=set)
    cancelled: set[str] = field(default_factory=set)
    # href of a plain event → its number
    events: dict[str, int] = field(default_factory=dict)


@pytest.mark.parametrize("kills", [4, pytest.param(200, marks=pytest.mark.soak)])
def test_nothing_acknowledged_is_lost_and_nothing_is_torn(database: Database, kills: int) -> None:
    practice = make_practice(database)
    now = datetime.now(UTC)
    with database.transaction() as session:
        token = credentials.add_api_token(session, practice.lee, "writer", now)
        password = credentials.add_app_password(session, practice.lee, "phone", "solo", now)
    said, rng = Acknowledged(), random.Random(11)
    port = free_port()
    for kill in range(kills):
        server = start(database, port)
        stop = threading.Event()
        writers = [
            threading.Thread(target=write, args=(said, stop, port, token, password, kill * WRITERS + number))
            for number in range(WRITERS)
        ]
        for writer in writers:
            writer.start()
        time.sleep(rng.uniform(0.3, 1.5))
        # A busy machine may have come to nothing yet.
        patience = time.monotonic() + BACK_WITHIN_SECONDS
        while not (said.booked and said.events) and time.monotonic() < patience:
            time.sleep(0.05)
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        stop.set()
        for writer in writers:
            writer.join()
    print(f"{kills} kills: {len(said.booked)} bookings, {len(said.cancelled)} cancellations, {len(said.events)} PUTs")
    assert said.booked
    assert said.events
    look(database, said)


def start(database: Database, port: int) -> subprocess.Popen[bytes]:
    settings = database.settings
    assert settings is not None
    environment = os.environ | {
        "CLINICDAV_HOME": str(settings.home),
        "CLINICDAV_DATABASE_URL": settings.database_url,
        "CLINICDAV_PUBLIC_URL": f"http://127.0.0.1:{port}",
    }
    server = subprocess.Popen(
        [sys.executable, "-m", "web.cli", "serve", "--port", str(port), "--no-worker"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    begin = time.monotonic()
    while time.monotonic() - begin < BACK_WITHIN_SECONDS:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200:
                return server
        except httpx.TransportError:
            time.sleep(0.1)
    server.kill()
    pytest.fail(f"the server was not back within {BACK_WITHIN_SECONDS} seconds")


def write(said: Acknowledged, stop: threading.Event, port: int, token: str, password: str, seed: int) -> None:
    rng = random.Random(seed)
    url = f"http://127.0.0.1:{port}"
    monday = datetime.now(VIENNA).replace(hour=8, minute=0, second=0, microsecond=0) + timedelta(days=7)
    with httpx.Client(timeout=10) as client:
        while not stop.is_set():
            number = rng.randrange(10**9)
            try:
                if number % 3 == 0:
                    href = f"/dav/lee/personal/{number}.ics"
                    answer = client.put(url + href, content=event(number), auth=("lee", password))
                    if answer.status_code == 201:
                        said.events[f"{number}.ics"] = number
                    continue
                start = monday + timedelta(days=rng.randrange(40), minutes=20 * rng.randrange(24))
                body = {
                    "doctor": "lee",
                    "start": start.isoformat(),
                    "type": "consultation",
                    "patient": {"name": f"Patient {number}", "email": f"p{number}@mail.example"},
                }
                headers = {"Authorization": f"Bearer {token}"}
                answer = client.post(f"{url}/api/v1/appointments", json=body, headers=headers)
                if answer.status_code == 201:
                    booked = answer.json()["id"]
                    said.booked.add(booked)
                    if number % 4 == 0:
                        path = f"{url}/api/v1/appointments/{booked}/cancel"
                        if client.post(path, json={}, headers=headers).status_code == 200:
                            said.cancelled.add(booked)
            except httpx.TransportError:
                # Killed in the middle: not acknowledged.
                continue


def event(number: int) -> str:
    return (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Test//EN\r\nBEGIN:VEVENT\r\n"
        f"UID:{number}\r\nDTSTAMP:20261101T000000Z\r\nDTSTART:20200101T090000Z\r\nDTEND:20200101T100000Z\r\n"
        f"SUMMARY:Event {number}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    )


def look(database: Database, said: Acknowledged) -> None:
    with database.reading() as session:
        visits = {str(visit.appointment_id): visit for visit in session.scalars(select(Visit))}
        assert said.booked <= set(visits)
        assert all(visits[one].status == "cancelled_doctor" for one in said.cancelled)
        objects = {obj.href: obj for obj in session.scalars(select(CalendarObject)) if not obj.deleted}
        assert set(said.events) <= set(objects)
        assert all(f"Event {number}\r\n" in objects[href].served_text for href, number in said.events.items())
        # Whatever is there, acknowledged or not, is there whole.
        told = set(
            session.scalars(select(OutboxMessage.appointment_id).where(OutboxMessage.appointment_id.is_not(None)))
        )
        noted = set(session.scalars(select(Audit.object)))
        logged = set(session.execute(select(Change.collection_id, Change.href)).all())
        for appointment in session.scalars(select(Appointment)):
            obj = session.get_one(CalendarObject, appointment.object_id)
            assert UUID(str(appointment.id)) in told
            assert f"object:{obj.id}" in noted
            assert (obj.collection_id, obj.href) in logged
        assert checks.integrity(database, session, datetime.now(UTC)) == []
        assert audit.first_broken(session) is None
