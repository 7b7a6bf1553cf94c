"""Bookings: confirmed appointments per second through the API of a running server, against the bare commits of the same
database, with as many connections."""

import json
import socket
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from time import perf_counter

import psycopg

from bench import practice, servers
from bench.report import show
from storage import accounts, credentials
from storage.db import Database
from storage.models import Account

_DOCTORS = 8
_BOOKINGS = 400
_COMMITS = 800
# Who books has been there before.
_PATIENTS = 100


def table() -> None:
    rows = []
    with practice.databases() as opened:
        for db in opened:
            now = datetime.now(UTC)
            made = practice.doctors(db, _DOCTORS, now)
            token = _token(db, now)
            slots = _slots(made, now)
            for connections, workers in ((1, 1), (8, 2)):
                bare = _bare(db, connections, workers)
                with servers.ours(db.dialect, db.settings.home, str(_url(db)), workers) as server:
                    _book(server.port, token, slots, connections, 80)
                    spent = server.cpu()
                    some = _book(server.port, token, slots, connections, _BOOKINGS)
                    spent = (server.cpu() - spent) / _BOOKINGS * 1000
                rows.append(
                    [
                        db.dialect,
                        str(connections),
                        str(workers),
                        f"{bare:.0f}",
                        f"{some:.0f}",
                        f"{some / bare:.0%}",
                        f"{spent:.1f}",
                    ]
                )
    show(
        "Bookings per second through the API, durable",
        ["database", "connections", "processes", "bare commits/s", "bookings/s", "of the commit rate", "CPU ms each"],
        rows,
    )


def _url(db: Database) -> str:
    return db.url.set(drivername=db.dialect).render_as_string(hide_password=False)


def _token(db: Database, now: datetime) -> str:
    with db.transaction() as session:
        desk = accounts.create_account(session, role="receptionist", username="desk", name="The Desk", now=now)
        return credentials.add_api_token(session, desk, "bench", now)


def _slots(made: Sequence[Account], now: datetime) -> Iterator[tuple[str, datetime]]:
    """Each doctor's slots, one day after the other, from the Monday after next on."""
    monday = (now.astimezone(practice.VIENNA) + timedelta(days=14 - now.weekday())).replace(
        hour=8, minute=0, second=0, microsecond=0
    )
    for day in range(300):
        if day % 7 < 5:
            for slot in range(24):
                for doctor in made:
                    yield doctor.username, monday + timedelta(days=day, minutes=20 * slot)


def _book(port: int, token: str, slots: Iterator[tuple[str, datetime]], connections: int, count: int) -> float:
    """Bookings per second."""
    requests = [_request(token, *next(slots), number) for number in range(count)]
    shares = [requests[number::connections] for number in range(connections)]
    with ThreadPoolExecutor(connections) as pool:
        begin = perf_counter()
        for share in [pool.submit(_send, port, share) for share in shares]:
            share.result()
        return count / (perf_counter() - begin)


def _request(token: str, doctor: str, start: datetime, number: int) -> bytes:
    patient = {"name": "Maria Huber", "email": f"maria{number % _PATIENTS}@mail.example"}
    said = {"doctor": doctor, "start": start.isoformat(), "type": "consultation", "reason": "Knee", "patient": patient}
    body = json.dumps(said)
    head = {
        "Host": "127.0.0.1",
        "Authorization": f"Bearer {token}",
        "Idempotency-Key": f"{doctor}-{start.isoformat()}",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"POST /api/v1/appointments HTTP/1.1\r\n{lines}\r\n{body}".encode()


def _send(port: int, requests: Sequence[bytes]) -> None:
    with socket.create_connection(("127.0.0.1", port), 60) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for request in requests:
            line.sendall(request)
            answer, _kept = servers.received(line)
            if answer.status != 201:
                raise RuntimeError(f"{answer.status}: {answer.body.decode()}")


def _bare(db: Database, connections: int, processes: int) -> float:
    """Transactions of one inserted row per second."""
    with db.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE IF EXISTS bare")
        connection.exec_driver_sql("CREATE TABLE bare (number INTEGER, said TEXT)")
    commit = _commit_sqlite if db.dialect == "sqlite" else _commit_postgresql
    name = str(db.url.database) if db.dialect == "sqlite" else _url(db)
    each = connections // processes
    context = get_context("spawn")
    ready, go = context.Semaphore(0), context.Event()
    running = [
        context.Process(target=_commits, args=(commit, name, each, connections, ready, go)) for _ in range(processes)
    ]
    for process in running:
        process.start()
    for _ in range(processes):
        ready.acquire()
    begin = perf_counter()
    go.set()
    for process in running:
        process.join()
    return _COMMITS // connections * connections / (perf_counter() - begin)


def _commits(commit: Callable[[str, int], None], name: str, each: int, connections: int, ready, go) -> None:
    ready.release()
    go.wait()
    with ThreadPoolExecutor(each) as pool:
        list(pool.map(commit, [name] * each, [_COMMITS // connections] * each))


def _commit_sqlite(name: str, count: int) -> None:
    connection = sqlite3.connect(name, timeout=60, isolation_level=None)
    connection.execute("PRAGMA synchronous=FULL")
    for number in range(count):
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO bare VALUES (?, ?)", (number, "x" * 500))
        connection.execute("COMMIT")
    connection.close()


def _commit_postgresql(name: str, count: int) -> None:
    with psycopg.connect(name) as connection:
        for number in range(count):
            connection.execute("INSERT INTO bare VALUES (%s, %s)", (number, "x" * 500))
            connection.commit()
