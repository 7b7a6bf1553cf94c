"""Mutated calendars, XML and HTTP: no 5xx, at most a second each, memory bounded, others served meanwhile.

The seed and the number of a mutation make it again: `spoil_a_calendar(hostile, seed, number)`.
"""

import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from werkzeug.test import Client

from ical.errors import Refusal
from storage import accounts, transfer
from storage.db import Database
from storage.settings import Settings
from tests.conftest import Served, free_port
from tests.hostile.calendars import seeds, spoilt_calendar
from tests.hostile.clinic import (
    Hostile,
    Send,
    checked,
    exchange,
    make_hostile,
    spoil_a_calendar,
    spoil_a_request,
    spoil_xml,
    take_through,
    work_off,
)
from tests.hostile.values import random_of
from tests.web.conftest import MONDAY, PASSWORD, Clock
from web.wsgi import create_wsgi

SEED = int(os.environ.get("CLINICDAV_SOAK_SEED", "5545"))
CORPUS = os.environ.get("CLINICDAV_SOAK_CORPUS")
CALENDARS, BODIES, REQUESTS = 4_000, 8_000, 8_000
# While calendars come, and every cache has been filled.
MOST_GROWTH_MIB = 64
_TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def hostile(settings: Settings) -> Iterator[Hostile]:
    """In this process, without a socket."""
    db = Database(settings.database_url, settings)
    client = Client(create_wsgi(settings, Clock(MONDAY), db))

    def send(method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        answer = client.open(path, method=method, data=body, headers=headers)
        return answer.status_code, answer.data

    yield attacked(db, send, time.thread_time, MONDAY, bookings=6)
    db.dispose()


def attacked(db: Database, send: Send, measure: Callable[[], float], now: datetime, bookings: int) -> Hostile:
    made: list[Hostile] = []
    made.append(make_hostile(db, checked(send, measure, lambda: made[0]), now, bookings))
    _, page = made[0].send("GET", "/login", b"", {})
    token = page.partition(b'name="csrf" value="')[2].partition(b'"')[0].decode()
    form = f"csrf={token}&username=lee&password={PASSWORD.replace(' ', '+')}".encode()
    status, _ = made[0].send("POST", "/login", form, {"Content-Type": "application/x-www-form-urlencoded"})
    assert status == 303
    return made[0]


def test_spoilt_calendars_are_refused_or_served(hostile: Hostile) -> None:
    for number in range(45):
        spoil_a_calendar(hostile, 5545, number)
    assert work_off(hostile, MONDAY + timedelta(hours=1)) == []
    # It is no test if everything is refused, or everything taken.
    assert hostile.outcomes["PUT 201"] >= 6
    assert hostile.outcomes["PUT 403"] >= 6
    assert hostile.outcomes["import read"] >= 6


def test_spoilt_xml_is_refused_or_answered(hostile: Hostile) -> None:
    for number in range(180):
        spoil_xml(hostile, 4918, number)
    assert {"PROPFIND 207", "REPORT 207", "REPORT 403", "PROPFIND 400"} <= set(hostile.outcomes)


def test_spoilt_requests_are_refused_or_answered(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    hostile = make_hostile(served.database, lambda *_: (0, b""), datetime.now(UTC), bookings=0)
    for number in range(80):
        began = time.process_time()
        spoil_a_request(hostile, int(served.url.rpartition(":")[2]), 9110, number)
        assert time.process_time() - began < 1, number
    assert {"raw 200", "raw 400", "raw 404", "raw 405"} <= set(hostile.outcomes)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


@pytest.mark.parametrize("framing", ["Content-Length: 1048577", "Transfer-Encoding: chunked"])
def test_a_body_over_the_limit_is_413_from_the_server_too(served: Served, framing: str) -> None:
    """A header about the connection (PEP 3333 forbids it) made this answer a 500, once a real server stood before it."""
    body = b"x" * 1_048_577
    sent = b"100001\r\n" + body + b"\r\n0\r\n\r\n" if "chunked" in framing else body
    head = f"PUT /dav/lee/personal/a.ics HTTP/1.1\r\nHost: 127.0.0.1\r\n{framing}\r\n\r\n"
    answer = exchange(int(served.url.rpartition(":")[2]), head.encode() + sent)
    assert answer.startswith(b"HTTP/1.1 413 ")


@pytest.mark.soak
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_twenty_thousand_mutations(database: Database, tmp_path: Path) -> None:
    with server(database, tmp_path / "log") as (port, pid):
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

        def send(method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
            answer = client.request(method, path, content=body, headers=headers)
            return answer.status_code, answer.content

        hostile = attacked(database, send, lambda: worked(pid), datetime.now(UTC), bookings=60)
        with bystander(port, hostile) as waits:
            for number in range(REQUESTS):
                spoil_a_request(hostile, port, SEED, number)
            for number in range(BODIES):
                spoil_xml(hostile, SEED, number)
            before = memory(pid)
            for number in range(CALENDARS):
                spoil_a_calendar(hostile, SEED, number)
            grown = memory(pid) - before
        imported = import_by_command(database, tmp_path)
        complaints = work_off(hostile, datetime.now(UTC) + timedelta(hours=1))
    said = (tmp_path / "log").read_text()
    print(f"\n{CALENDARS} calendars, {BODIES} XML bodies, {REQUESTS} raw requests, seed {SEED}")
    print(", ".join(f"{outcome}: {count}" for outcome, count in sorted(hostile.outcomes.items())))
    print(f"slowest: {hostile.slowest[0]:.2f} s of work for {hostile.slowest[1]}; memory grew by {grown:.0f} MiB")
    print(f"others meanwhile: {len(waits)} answers, the slowest after {max(waits):.2f} s; {imported}")
    assert "fault" not in said and "Traceback" not in said
    assert complaints == []
    assert grown < MOST_GROWTH_MIB
    assert len(waits) > 1000


@pytest.mark.soak
def test_a_corpus_of_calendars(hostile: Hostile) -> None:
    """Whatever calendars are in a folder, each file and each of its objects: CLINICDAV_SOAK_CORPUS names it."""
    if CORPUS is None:
        pytest.skip("CLINICDAV_SOAK_CORPUS names no folder")
    files = [path for path in sorted(Path(CORPUS).rglob("*")) if path.is_file()]
    with hostile.db.reading() as session:
        lee = accounts.by_username(session, "lee")
        assert lee is not None
    for number, path in enumerate(files):
        body = path.read_bytes()
        take_through(hostile, "personal", "m.ics", body, number)
        with suppress(Refusal):
            for each in transfer.read_file(body, lee).objects[:10]:
                take_through(hostile, "personal", "m.ics", each.text().encode(), number)
    print(f"\n{len(files)} files: " + ", ".join(f"{k}: {n}" for k, n in sorted(hostile.outcomes.items())))
    print(f"slowest: {hostile.slowest[0]:.2f} s of work for {hostile.slowest[1]}")
    assert files


@contextmanager
def server(database: Database, log: Path) -> Iterator[tuple[int, int]]:
    """`clinicdav serve` in a process of its own: its port and its id."""
    port = free_port()
    arguments = [sys.executable, "-m", "web.cli", "serve", "--port", str(port), "--workers", "1", "--no-worker"]
    with log.open("wb") as written:
        process = subprocess.Popen(arguments, env=environment(database), stdout=written, stderr=written)
    try:
        for _ in range(300):
            try:
                httpx.get(f"http://127.0.0.1:{port}/readyz").raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.1)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(timeout=30)


@contextmanager
def bystander(port: int, hostile: Hostile) -> Iterator[list[float]]:
    """Somebody whose calendar app asks all the while; each answer's seconds."""
    waits: list[float] = []
    wrong: list[int] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
            while not stop.wait(0.05):
                began = time.monotonic()
                headers = {"Authorization": hostile.login, "Depth": "0"}
                answer = client.request("PROPFIND", "/dav/lee/personal/", headers=headers)
                waits.append(time.monotonic() - began)
                if answer.status_code != 207:
                    wrong.append(answer.status_code)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield waits
    finally:
        stop.set()
        asking.join()
    assert wrong == []


def import_by_command(database: Database, folder: Path) -> str:
    """One file of many spoilt calendars, by the command. Its last line."""
    file = folder / "spoilt.ics"
    chance = random_of(SEED, -1)
    file.write_bytes(b"\r\n".join(spoilt_calendar(chance, chance.choice(seeds())[1]) for _ in range(600))[: 8 << 20])
    arguments = [sys.executable, "-m", "web.cli", "import", str(file), "lee/personal"]
    done = subprocess.run(
        arguments, env=environment(database), capture_output=True, text=True, timeout=300, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stderr.splitlines()[-1]


def environment(database: Database) -> dict[str, str]:
    assert database.settings is not None
    told = {"CLINICDAV_HOME": str(database.settings.home), "CLINICDAV_DATABASE_URL": database.settings.database_url}
    return os.environ | told


def worked(pid: int) -> float:
    """The seconds that a process has spent on a processor: a busy machine makes nobody slow."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def memory(pid: int) -> float:
    """Resident, in MiB."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
