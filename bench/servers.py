"""Two CalDAV servers with the same calendar, each in processes of its own: ours, and stock Radicale on files."""

import json
import os
import socket
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.corpus import Event
from ical.lines import parse
from storage import accounts, collections, objects
from storage.db import Database
from storage.policy import SYSTEM
from storage.settings import Settings, create_secret
from storage.writes import Write

USER = "bench"
_ATTEMPTS = 5
_TICKS = os.sysconf("SC_CLK_TCK")

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
        """Seconds of processor time that they have used."""
        total = 0
        for pid in self.pids():
            # utime, stime and those of children that have ended; the name before them may hold spaces
            total += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
        return total / _TICKS

    def memory(self) -> float:
        """MiB that they hold, what is shared counted once (pss)."""
        kilobytes = 0
        for pid in self.pids():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kilobytes += int(line.split()[1])
        return kilobytes / 1024


@contextmanager
def both(made: Sequence[Event]) -> Iterator[tuple[Server, Server]]:
    """(ours, Radicale), each with `made` in the calendar personal/."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        yield (
            stack.enter_context(_running(_ours(folder / "ours", made))),
            stack.enter_context(_running(_radicale(folder / "radicale", made))),
        )


def _ours(home: Path, made: Sequence[Event]) -> Server:
    home.mkdir()
    create_secret(home)
    settings = Settings(home=home, database_url=f"sqlite:///{home}/clinicdav.sqlite3")
    db = Database(settings.database_url, settings)
    db.upgrade()
    now = datetime.now(UTC)
    with db.transaction() as session:
        doctor = accounts.create_account(
            session, role="doctor", username=USER, name="Dr. Bench", email="bench@clinic.example", now=now
        )
        password = accounts.add_app_password(session, doctor, "bench", "solo", now)
        calendar = collections.built_in(session, doctor, "personal")
        for number, event in enumerate(made):
            objects.put_object(session, calendar, event.href, parse(event.text()), Write(SYSTEM, now, "bench"))
            if number % 200 == 0:
                # What is written is not read again: without this, each flush looks at all of it.
                session.flush()
                session.expunge_all()
                calendar = session.merge(calendar)
    db.dispose()
    port = _free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CLINICDAV_")}
    environment["CLINICDAV_HOME"] = str(home)
    process = subprocess.Popen(
        [sys.executable, "-m", "web.cli", "serve", "--port", str(port)], env=environment, stdout=subprocess.DEVNULL
    )
    return Server("ours", port, f"/dav/{USER}/", password, process)


def _radicale(folder: Path, made: Sequence[Event]) -> Server:
    calendar = folder / "storage" / "collection-root" / USER / "personal"
    calendar.mkdir(parents=True)
    (folder / "users").write_text(f"{USER}:bench\n")
    (calendar / ".Radicale.props").write_text(json.dumps({"tag": "VCALENDAR"}))
    for event in made:
        (calendar / event.href).write_bytes(event.text().encode())
    port = _free_port()
    (folder / "config").write_text(_RADICALE.format(port=port, folder=folder))
    process = subprocess.Popen(
        [sys.executable, "-m", "radicale", "--config", str(folder / "config")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
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
