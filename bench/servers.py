"""Two CalDAV servers with the same calendar, each in processes of its own: ours, and stock Radicale on files."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import radicale.config
import radicale.storage

from bench.corpus import Event
from bench.practice import POSTGRESQL
from ical.lines import parse
from storage import accounts, collections, credentials, objects
from storage.db import Database
from storage.policy import SYSTEM
from storage.settings import Settings, create_secret
from storage.writes import Write

USER = "bench"
_ATTEMPTS = 5
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
# Linux's number for a process's clock, of those in its clock id.
_CPUCLOCK_SCHED = 2

_RADICALE = """[server]
hosts = 127.0.0.1:{port}
max_connections = 64
[auth]
type = htpasswd
htpasswd_filename = {folder}/users
htpasswd_encryption = plain
delay = 0
[storage]
filesystem_folder = {folder}/storage
[web]
type = none
[logging]
level = error
"""


@dataclass
class Answer:
    status: int
    etag: str
    body: bytes


@dataclass
class Server:
    """A running server. `home` is the path of the user's calendars."""

    name: str
    port: int
    home: str
    password: str
    process: subprocess.Popen[bytes]
    _connection: HTTPConnection | None = field(default=None)

    def connection(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=600)

    def connect(self) -> None:
        """A new connection for what follows: the other server's turn may have been longer than this one keeps it."""
        if self._connection is not None:
            self._connection.close()
        self._connection = self.connection()
        self._connection.connect()

    def ask(
        self,
        method: str,
        path: str,
        body: str = "",
        headers: dict[str, str] | None = None,
        connection: HTTPConnection | None = None,
    ) -> Answer:
        """One request on a connection that is kept open as long as the server keeps it."""
        if connection is None:
            connection = self._connection = self._connection or self.connection()
        login = b64encode(f"{USER}:{self.password}".encode()).decode()
        told = {"Authorization": f"Basic {login}", **(headers or {})}
        for attempt in range(_ATTEMPTS):
            try:
                connection.request(method, self.home + path, body.encode(), told)
                answer = connection.getresponse()
                return Answer(answer.status, answer.headers.get("ETag", ""), answer.read())
            except ConnectionError:
                # Radicale's queue holds five that knock at once; the rest are turned away.
                connection.close()
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def ask_again(self, method: str, path: str, body: str, headers: dict[str, str], times: int) -> list[Answer]:
        """The same request over and over on one connection, with as little of this process's time as can be."""
        login = b64encode(f"{USER}:{self.password}".encode()).decode()
        told = {"Host": "127.0.0.1", "Authorization": f"Basic {login}", "Content-Length": str(len(body)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
        request = f"{method} {self.home}{path} HTTP/1.1\r\n{head}\r\n{body}".encode()
        answers: list[Answer] = []
        line: socket.socket | None = None
        lost = 0
        while len(answers) < times:
            try:
                if line is None:
                    line = socket.create_connection(("127.0.0.1", self.port), 600)
                    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                line.sendall(request)
                answer, kept = received(line)
                answers.append(answer)
            except ConnectionError:
                lost += 1
                if lost > times + _ATTEMPTS:
                    raise
                kept = False
            if not kept and line is not None:
                line.close()
                line = None
        if line is not None:
            line.close()
        return answers

    def pids(self) -> list[int]:
        """The server's processes."""
        found = [self.process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*"):
                # Radicale has a thread for each connection, and it may just have ended.
                with suppress(FileNotFoundError, ProcessLookupError):
                    found += [int(child) for child in (task / "children").read_text().split()]
        return found

    def cpu(self) -> float:
        """Seconds of processor time that they have used; each process has a clock of it."""
        return sum(time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED) for pid in self.pids())

    def memory(self) -> float:
        """MiB that they hold, what is shared counted once (pss)."""
        kilobytes = 0
        for pid in self.pids():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kilobytes += int(line.split()[1])
        return kilobytes / 1024


def received(line: socket.socket) -> tuple[Answer, bool]:
    """One answer of a server, and whether the connection is kept."""
    got = b""
    while b"\r\n\r\n" not in got:
        more = line.recv(65536)
        if not more:
            raise ConnectionResetError("closed before an answer")
        got += more
    head, _, body = got.partition(b"\r\n\r\n")
    named = _LENGTH.search(head)
    while named is None or len(body) < int(named[1]):
        more = line.recv(65536)
        if not more:
            break
        body += more
    kept = named is not None and head.startswith(b"HTTP/1.1") and b"connection: close" not in head.lower()
    return Answer(int(head[9:12]), "", body), kept


@contextmanager
def all_of(made: Sequence[Event], postgresql: bool) -> Iterator[list[Server]]:
    """Ours with one process on SQLite, when asked for ours with two processes on PostgreSQL, and Radicale, each with
    `made` in the calendar personal/. They are filled at the same time, without a server between."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        pool = stack.enter_context(ProcessPoolExecutor(2, mp_context=get_context("spawn")))
        homes = {"ours": (folder / "ours", f"sqlite:///{folder}/ours/clinicdav.sqlite3", 1)}
        if postgresql:
            url = stack.enter_context(_postgresql())
            homes["ours, two processes on PostgreSQL"] = (folder / "postgresql", url, 2)
        passwords = [pool.submit(_fill, home, url, made) for home, url, _workers in homes.values()]
        peer, shares = _write_files(folder / "radicale", made)
        parsed = [pool.submit(_parse_ahead, peer, share) for share in shares]
        for number, done in enumerate(as_completed(parsed), 1):
            done.result()
            print(f"  Radicale has parsed {number} of {len(parsed)} shares", file=sys.stderr, flush=True)
        servers = [
            stack.enter_context(ours(name, home, url, workers, password.result()))
            for (name, (home, url, workers)), password in zip(homes.items(), passwords, strict=True)
        ]
        servers.append(stack.enter_context(_running(_radicale(peer))))
        yield servers


@contextmanager
def _postgresql() -> Iterator[str]:
    """The URL of a database that is removed afterwards."""
    name = f"clinicdav_bench_{os.getpid()}"
    with psycopg.connect(POSTGRESQL, autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")
        try:
            yield POSTGRESQL.rpartition("/")[0] + f"/{name}"
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _fill(home: Path, url: str, made: Sequence[Event]) -> str:
    """A practice with one doctor, whose app password is given back."""
    home.mkdir()
    create_secret(home)
    settings = Settings(home=home, database_url=url)
    db = Database(settings.database_url, settings)
    db.upgrade()
    now = datetime.now(UTC)
    with db.transaction() as session:
        doctor = accounts.create_account(
            session, role="doctor", username=USER, name="Dr. Bench", email="bench@clinic.example", now=now
        )
        password = credentials.add_app_password(session, doctor, "bench", "solo", now)
        calendar = collections.built_in(session, doctor, "personal")
        for number, event in enumerate(made):
            objects.put_object(session, calendar, event.href, parse(event.text()), Write(SYSTEM, now, "bench"))
            if number % 200 == 0:
                # What is written is not read again: without this, each flush looks at all of it.
                session.flush()
                session.expunge_all()
                calendar = session.merge(calendar)
            if number % 2000 == 1999:
                print(f"  {number + 1} events in {home.name}", file=sys.stderr, flush=True)
    db.dispose()
    return password


@contextmanager
def ours(name: str, home: Path, url: str, workers: int, password: str = "") -> Iterator[Server]:
    """A running server of ours. `password`: the doctor's app password, for the calendars."""
    port = _free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLINICDAV_")}
    environment |= {"CLINICDAV_HOME": str(home), "CLINICDAV_DATABASE_URL": url}
    command = [sys.executable, "-m", "web.cli", "serve", "--port", str(port), "--workers", str(workers)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet)
    with _running(Server(name, port, f"/dav/{USER}/", password, process)) as server:
        yield server


def _write_files(folder: Path, made: Sequence[Event]) -> tuple[Path, list[list[str]]]:
    """Radicale's folder, and the names of the events in shares of a thousand."""
    calendar = folder / "storage" / "collection-root" / USER / "personal"
    calendar.mkdir(parents=True)
    (folder / "users").write_text(f"{USER}:bench\n")
    (calendar / ".Radicale.props").write_text(json.dumps({"tag": "VCALENDAR"}))
    for event in made:
        (calendar / event.href).write_bytes(event.text().encode())
    (folder / "config").write_text(_RADICALE.format(port=_free_port(), folder=folder))
    return folder, [[event.href for event in made[at : at + 1000]] for at in range(0, len(made), 1000)]


def _parse_ahead(folder: Path, hrefs: list[str]) -> None:
    """Let Radicale's own storage parse these events into its cache: a server's first answer would take minutes."""
    configuration = radicale.config.load([(str(folder / "config"), False)])
    configuration.update({"storage": {"_filesystem_fsync": "False"}}, "bench", privileged=True)
    storage = radicale.storage.load(configuration)
    with storage.acquire_lock("r", USER):
        (calendar,) = storage.discover(f"/{USER}/personal/", "0")
        for _item in calendar.get_multi(hrefs):
            pass


def _radicale(folder: Path) -> Server:
    port = int(re.search(r"127\.0\.0\.1:(\d+)", (folder / "config").read_text())[1])
    command = [sys.executable, "-m", "radicale", "--config", str(folder / "config")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return Server("radicale", port, f"/{USER}/", "bench", process)


@contextmanager
def _running(server: Server) -> Iterator[Server]:
    try:
        _wait_for(server)
        yield server
    finally:
        server.process.terminate()
        try:
            server.process.wait(20)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()


def _wait_for(server: Server) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", server.port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"The server {server.name} did not start.")


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
