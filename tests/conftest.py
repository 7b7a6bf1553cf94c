"""Real databases, brokers, mail and text-message sinks, the served application and Chromium.

A service that is missing skips the tests that need it, and fails them where CI is set. The servers are looked for
on this machine; CLINICDAV_TEST_POSTGRESQL_URL, CLINICDAV_TEST_REDIS_URL and CLINICDAV_TEST_AMQP_URL name others.
"""

import itertools
import multiprocessing
import os
import shutil
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import hypothesis
import psycopg
import pytest
import redis
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from playwright.sync_api import Browser, Page, sync_playwright

from storage.db import Database
from storage.models import Base
from storage.settings import Settings, create_secret

POSTGRESQL = os.environ.get("CLINICDAV_TEST_POSTGRESQL_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
REDIS = os.environ.get("CLINICDAV_TEST_REDIS_URL", "redis://127.0.0.1:6379")
AMQP = os.environ.get("CLINICDAV_TEST_AMQP_URL", "amqp://guest:guest@127.0.0.1:5672")
HOST = "127.0.0.1"

# No deadline: a busy machine is not a fault of the code under test.
hypothesis.settings.register_profile("clinicdav", deadline=None, print_blob=True)
hypothesis.settings.load_profile("clinicdav")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.browser)


def missing(what: str) -> NoReturn:
    if os.environ.get("CI"):
        pytest.fail(f"{what}, and CI is set", pytrace=False)
    pytest.skip(what)


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of whoever runs the tests must not reach them."""
    for name in os.environ:
        if name.startswith("CLINICDAV_") and not name.startswith(("CLINICDAV_TEST_", "CLINICDAV_SOAK")):
            monkeypatch.delenv(name)


# Processes

# They start as forks of one that has imported these modules: importing takes longer than most of what they do.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.faults.dying_worker", "tests.storage.racer", "tests.storage.waitlist_racer"])


# Databases


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.sqlite3"
    migrated(f"sqlite:///{path}")
    return path


class PostgresqlDatabases:
    """Migrated databases that are lent to one test after another, and emptied between them.

    To clone one and to drop it again is quick by itself, but each makes the server write all its files out.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._all: list[str] = []
        self._free: list[str] = []
        self._template = self._create("")
        migrated(postgresql_named(self._template))
        with psycopg.connect(postgresql_named(self._template)) as connection:
            self._shape = self._shape_of(connection)
            self._rows = {table.name: copied(connection, table.name) for table in Base.metadata.sorted_tables}

    def lend(self) -> str:
        return self._free.pop() if self._free else self._create(f" TEMPLATE {self._template}")

    def take_back(self, name: str) -> None:
        with psycopg.connect(postgresql_named(name)) as connection:
            if self._shape_of(connection) != self._shape:
                # A test of the schema: the next one gets a clone.
                return
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            tables = [table.name for table in Base.metadata.sorted_tables]
            connection.execute(";".join(f'DELETE FROM "{table}"' for table in reversed(tables)))
            connection.execute("SELECT setval(oid::regclass, 1, false) FROM pg_class WHERE relkind = 'S'")
            for table in tables:
                if rows := self._rows[table]:
                    with connection.cursor().copy(f'COPY "{table}" FROM STDIN') as copy:
                        copy.write(rows)
        self._free.append(name)

    def drop(self) -> None:
        for name in self._all:
            on_postgresql(f"DROP DATABASE {name} WITH (FORCE)")

    def _create(self, how: str) -> str:
        name = f"clinicdav_test_{os.getpid()}_{next(self._numbers)}"
        on_postgresql(f"CREATE DATABASE {name}{how}")
        self._all.append(name)
        return name

    @staticmethod
    def _shape_of(connection: psycopg.Connection) -> Any:
        """Changes with every table, column, index, constraint, trigger, and with the revision."""
        shape = connection.execute(
            "SELECT count(*), sum(relnatts), to_regclass('alembic_version') IS NOT NULL,"
            " (SELECT count(*) FROM pg_constraint), (SELECT count(*) FROM pg_trigger)"
            " FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        ).fetchone()
        assert shape is not None
        return shape, connection.execute("SELECT version_num FROM alembic_version").fetchone() if shape[2] else None


@pytest.fixture(scope="session")
def postgresql_databases() -> Iterator[PostgresqlDatabases]:
    try:
        psycopg.connect(POSTGRESQL, connect_timeout=5).close()
    except psycopg.OperationalError as error:
        missing(f"no PostgreSQL at {without_password(POSTGRESQL)}: {str(error).splitlines()[0]}")
    databases = PostgresqlDatabases()
    yield databases
    databases.drop()


@pytest.fixture
def sqlite_url(settings: Settings) -> str:
    return settings.database_url


@pytest.fixture
def postgresql_url(postgresql_databases: PostgresqlDatabases) -> Iterator[str]:
    name = postgresql_databases.lend()
    yield postgresql_named(name)
    postgresql_databases.take_back(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty, migrated database of either kind.

    For one kind only: `@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)`.
    """
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def database(database_url: str, settings: Settings) -> Iterator[Database]:
    opened = Database(database_url, settings.model_copy(update={"database_url": database_url}))
    yield opened
    opened.dispose()


@pytest.fixture
def settings(tmp_path: Path, sqlite_template: Path) -> Settings:
    """A home folder with a secret and an empty, migrated SQLite database."""
    home = tmp_path / "home"
    home.mkdir()
    create_secret(home)
    told = Settings(home=home, clinic_name="Test Practice")
    with sqlite3.connect(sqlite_template) as template, sqlite3.connect(home / "clinicdav.sqlite3") as copy:
        template.backup(copy)
    template.close()
    copy.close()
    return told


_numbers = itertools.count(1)


def migrated(url: str) -> None:
    database = Database(url)
    database.upgrade()
    database.dispose()


def copied(connection: psycopg.Connection, table: str) -> bytes:
    """The table's rows, as COPY writes and reads them."""
    with connection.cursor().copy(f'COPY "{table}" TO STDOUT') as copy:
        return b"".join(copy)


def on_postgresql(statement: str) -> None:
    with psycopg.connect(POSTGRESQL, autocommit=True) as connection:
        connection.execute(statement)


def postgresql_named(database: str) -> str:
    return urlsplit(POSTGRESQL)._replace(path=f"/{database}").geturl()


def without_password(url: str) -> str:
    return url.rpartition("@")[2]


# Brokers


@pytest.fixture
def redis_url() -> Iterator[str]:
    """A Redis database of one's own: one that is empty, lent through a key in database 0, emptied again."""
    lender = redis.Redis.from_url(f"{REDIS}/0")
    try:
        count = int(lender.config_get("databases")["databases"])
    except redis.RedisError as error:
        missing(f"no Redis at {without_password(REDIS)}: {error}")
    for number in range(1, count):
        key, own = f"clinicdav-test:{number}", redis.Redis.from_url(f"{REDIS}/{number}")
        if not lender.set(key, os.getpid(), nx=True, ex=1800):
            continue
        try:
            if own.dbsize() == 0:
                yield f"{REDIS}/{number}"
                own.flushdb()
                return
        finally:
            lender.delete(key)
    missing(f"every database of the Redis at {without_password(REDIS)} is in use")


@pytest.fixture
def amqp_url() -> Iterator[str]:
    """A RabbitMQ virtual host of one's own."""
    parts, name = urlsplit(AMQP), f"clinicdav-test-{os.getpid()}-{next(_numbers)}"
    try:
        socket.create_connection((parts.hostname or HOST, parts.port or 5672), timeout=5).close()
        rabbitmqctl("add_vhost", name)
    except (OSError, subprocess.CalledProcessError) as error:
        missing(f"no RabbitMQ at {without_password(AMQP)} that rabbitmqctl can set up: {error}")
    try:
        rabbitmqctl("set_permissions", "-p", name, parts.username or "guest", ".*", ".*", ".*")
        yield parts._replace(path=f"/{name}").geturl()
    finally:
        rabbitmqctl("delete_vhost", name)


def rabbitmqctl(*arguments: str) -> None:
    # Debian keeps it in a folder that only root has on the PATH.
    command = shutil.which("rabbitmqctl", path=f"{os.environ['PATH']}:/usr/sbin") or "rabbitmqctl"
    subprocess.run([command, "--quiet", *arguments], check=True, capture_output=True, timeout=60)


@pytest.fixture(params=["redis", "amqp"])
def broker_url(request: pytest.FixtureRequest) -> str:
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


# What the clinic sends


@dataclass
class SmtpSink:
    """Takes mail as a server would. `answer` is what it says to the next messages: `451 later` refuses them."""

    url: str
    answer: str = "250 OK"
    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.answer.startswith("250"):
            self.recipients.append(list(envelope.rcpt_tos))
            self.messages.append(message_from_bytes(envelope.original_content or b"", policy=policy.default))
        return self.answer


@pytest.fixture
def smtp_sink() -> Iterator[SmtpSink]:
    port = free_port()
    sink = SmtpSink(f"smtp://{HOST}:{port}")
    controller = Controller(sink, hostname=HOST, port=port)
    controller.start()
    yield sink
    controller.stop()


@dataclass
class Posted:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class SmsSink:
    """Takes POSTs as a text-message gateway would, and answers `status`."""

    url: str
    status: int = 200
    requests: list[Posted] = field(default_factory=list)


@pytest.fixture
def sms_sink() -> Iterator[SmsSink]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            sink.requests.append(Posted(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
            self.send_response(sink.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer((HOST, 0), Handler)
    sink = SmsSink(f"http://{HOST}:{server.server_port}/")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield sink
    server.shutdown()
    server.server_close()


# The served application


@dataclass(frozen=True)
class Served:
    url: str
    settings: Settings
    database: Database


@pytest.fixture
def serve() -> Iterator[Callable[..., Served]]:
    """Serve the whole application (portal, API, CalDAV) with these settings, and clock if given, until the test ends."""
    # Here, so that a fault in the pages does not stop the tests of what lies below them.
    from web.server import Server, listen
    from web.wsgi import create_wsgi, utc_now

    with ExitStack() as running:

        def start(settings: Settings, clock: Callable[[], datetime] = utc_now) -> Served:
            listener = listen(HOST, 0)
            url = f"http://{HOST}:{listener.getsockname()[1]}"
            told = settings.model_copy(update={"public_url": url})
            database = Database(told.database_url, told)
            server = Server(create_wsgi(told, clock, database), listener)
            thread = threading.Thread(target=server.run, daemon=True)
            thread.start()
            # The last comes first: no thread uses the database when it is closed.
            running.callback(database.dispose)
            running.callback(thread.join, timeout=30)
            running.callback(server.stop)
            return Served(url, told, database)

        yield start


@pytest.fixture
def served(serve: Callable[..., Served], settings: Settings) -> Served:
    return serve(settings)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


# The browser


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of Chromium."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    missing("no Chromium on the PATH")


# Not for the whole session: while it runs, nothing else in this thread can start an event loop.
@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=chromium,
            args=[
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ],
        )
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(locale="en-GB")
    yield context.new_page()
    context.close()
