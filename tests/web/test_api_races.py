"""Many at once, over real connections to a real server: nobody gets what another one has."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, time, timedelta
from typing import Any

import httpx
import pytest

from storage import accounts, credentials, hours
from storage.checks import integrity
from storage.db import Database
from storage.policy import SYSTEM

CAPACITY = 3


def next_monday() -> datetime:
    today = datetime.now(UTC).date()
    return datetime.combine(today + timedelta(days=8 - today.isoweekday()), time())


@pytest.fixture
def api(database: Database, serve: Callable[..., Any]) -> tuple[str, dict[str, str]]:
    """The served API's address and the header that opens it."""
    now = datetime.now(UTC)
    with database.transaction() as session:
        lee = accounts.create_account(
            session, role="doctor", username="lee", name="Dr. Anna Lee", email="lee@clinic.example", now=now
        )
        hours.add_hours(session, lee, ("mon",), time(9), time(12), slot=20, capacity=CAPACITY, actor=SYSTEM, now=now)
        token = credentials.add_api_token(session, lee, "race", now)
    return f"{serve(database.settings).url}/api/v1", {"Authorization": f"Bearer {token}"}


def all_at_once(count: int, call: Callable[[int], Any]) -> list[Any]:
    barrier = threading.Barrier(count)

    def one(number: int) -> Any:
        barrier.wait(timeout=60)
        return call(number)

    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(one, range(count)))


@pytest.mark.parametrize("at_once", [60, pytest.param(200, marks=pytest.mark.soak)])
def test_of_many_bookings_of_one_slot_exactly_capacity_succeed(
    api: tuple[str, dict[str, str]], database: Database, at_once: int
) -> None:
    url, headers = api
    start = (next_monday() + timedelta(hours=9)).isoformat()

    def book(number: int) -> httpx.Response:
        patient = {"name": f"Patient {number}", "email": f"p{number}@mail.example"}
        body = {"doctor": "lee", "start": start, "type": "consultation", "patient": patient}
        return httpx.post(f"{url}/appointments", json=body, headers=headers, timeout=120)

    answers = all_at_once(at_once, book)
    assert Counter(answer.status_code for answer in answers) == {201: CAPACITY, 409: at_once - CAPACITY}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"slot_taken"}
    with database.reading() as session:
        assert integrity(database, session, datetime.now(UTC)) == []


@pytest.mark.parametrize("keys", [4, pytest.param(500, marks=pytest.mark.soak)])
def test_twenty_posts_with_one_key_are_one_booking(api: tuple[str, dict[str, str]], keys: int) -> None:
    url, headers = api
    # As many as there is room for in one week's three hours
    room = 9 * CAPACITY

    def book(client: httpx.Client, key: int) -> httpx.Response:
        start = next_monday() + timedelta(weeks=key // room, hours=9, minutes=20 * (key % room // CAPACITY))
        patient = {"name": f"Patient {key}", "email": f"p{key}@mail.example"}
        body = {"doctor": "lee", "start": start.isoformat(), "patient": patient}
        return client.post(f"{url}/appointments", json=body, headers={**headers, "Idempotency-Key": f"key-{key}"})

    def book_all(_number: int) -> list[httpx.Response]:
        with httpx.Client(timeout=120) as client:
            return [book(client, key) for key in range(keys)]

    answers = all_at_once(20, book_all)
    for of_one_key in zip(*answers, strict=True):
        assert {answer.status_code for answer in of_one_key} == {201}
        assert len({(answer.text, answer.headers["ETag"]) for answer in of_one_key}) == 1
        # Whoever came first did the work; the others were told of it.
        assert sum("Idempotency-Replayed" not in answer.headers for answer in of_one_key) == 1
    listed = httpx.get(f"{url}/appointments", params={"limit": 500}, headers=headers).json()["appointments"]
    assert len(listed) == keys
    print(f"20 threads x {keys} keys: {len(listed)} appointments")


def test_two_moves_of_one_version_have_one_winner(api: tuple[str, dict[str, str]]) -> None:
    url, headers = api
    monday = next_monday()
    body = {
        "doctor": "lee",
        "start": (monday + timedelta(hours=9)).isoformat(),
        "patient": {"name": "Maria Huber", "email": "maria@mail.example"},
    }
    booked = httpx.post(f"{url}/appointments", json=body, headers=headers)
    at, version = f"{url}/appointments/{booked.json()['id']}", booked.headers["ETag"]

    def move(number: int) -> httpx.Response:
        start = (monday + timedelta(hours=10, minutes=20 * number)).isoformat()
        return httpx.post(
            f"{at}/reschedule", json={"start": start}, headers={**headers, "If-Match": version}, timeout=120
        )

    answers = all_at_once(6, move)
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 5}
