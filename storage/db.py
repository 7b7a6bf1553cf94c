"""The database: one engine, writing transactions and read-only snapshots, on SQLite or PostgreSQL.

SQLite: WAL, synchronous=FULL, and every writing transaction begins with BEGIN IMMEDIATE, which is the lock that
PostgreSQL's `SELECT … FOR UPDATE` is there (a deferred BEGIN would fail half-way when two writers meet).
"""

import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Dialect, Engine, ExceptionContext, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import InterfaceError, InvalidatePoolError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from storage.policy import SYSTEM, Actor
from storage.settings import Settings

_MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK_WAIT_SECONDS = 20
# A connection used so lately is not asked whether it is still there.
_FRESH_SECONDS = 1


class DatabaseUnavailable(Exception):
    """The database is down, locked or full: try again later (503, Retry-After)."""


class SerializationFailure(DatabaseUnavailable):
    """PostgreSQL asks for the transaction to be run again (SQLSTATE 40001, 40P01), or a lock could not be waited for
    (55P03)."""


class DiskFull(DatabaseUnavailable):
    """There is no room for the write (507). Reads still work."""


class SchemaTooNew(Exception):
    """The database was written by a newer ClinicDAV."""


class Database:
    """An open database. `transaction()` writes, `reading()` reads one consistent snapshot."""

    def __init__(self, url: str, settings: Settings | None = None, actor: Actor = SYSTEM) -> None:
        self.url = make_url(url)
        self.settings = settings
        self._actor = actor
        if self.url.get_backend_name() == "postgresql":
            self.url = self.url.set(drivername="postgresql+psycopg")
        self.dialect = self.url.get_backend_name()
        self.engine = self._engine()
        if self.dialect == "sqlite":
            self._writing: Engine = self.engine.execution_options(begin="BEGIN IMMEDIATE")
            self._reading: Engine = self.engine.execution_options(begin="BEGIN")
        else:
            self._writing = self.engine
            self._reading = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        # Audit rows of reads that found the database busy: they go with the next write (storage.audit).
        self.late: deque[Any] = deque()
        # Writers of one process queue here rather than in SQLite's sleeping busy handler.
        self._turn: AbstractContextManager[Any] = threading.Lock() if self.dialect == "sqlite" else nullcontext()

    def _engine(self) -> Engine:
        if self.dialect == "sqlite":
            # The connection used last holds pages and statements: it is the one to be used again.
            engine = create_engine(
                self.url,
                pool_size=32,
                max_overflow=32,
                pool_use_lifo=True,
                connect_args={"timeout": _LOCK_WAIT_SECONDS},
            )
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_sqlite)
        else:
            engine = create_engine(self.url, pool_size=16, max_overflow=16, pool_use_lifo=True)
            event.listen(engine, "checkin", _note_use)
            event.listen(engine, "checkout", partial(_ask_whether_there, engine.dialect))
        event.listen(engine, "handle_error", _translate)
        return engine

    @contextmanager
    def transaction(self, actor: Actor | None = None) -> Iterator[Session]:
        """A session in a writing transaction: committed at the end, rolled back when an exception passes.

        `actor` is whom the audit names for what is done to accounts and settings; the database's own when left out."""
        with self._turn, _Writing(self._writing, expire_on_commit=False) as session, session.begin():
            session.info.update(settings=self.settings, actor=actor or self._actor, late=self.late)
            yield session

    @contextmanager
    def reading(self, actor: Actor | None = None) -> Iterator[Session]:
        """A session that sees one snapshot and writes nothing (but for `write_beside`)."""
        with (
            self._reading.connect() as connection,
            Session(connection, expire_on_commit=False, autoflush=False) as session,
        ):
            snapshot = connection.begin()
            session.info.update(
                settings=self.settings,
                actor=actor or self._actor,
                late=self.late,
                writing=self._writing,
                connection=connection,
            )
            try:
                yield session
            finally:
                if connection.invalidated:
                    snapshot.rollback()
                else:
                    # Not a ROLLBACK: after one, psycopg forgets all statements that it has prepared.
                    snapshot.commit()

    def upgrade(self) -> None:
        """Bring the schema to this release's. Raises SchemaTooNew for a newer one."""
        current = self.current_revision()
        if current == self.head_revision():
            return
        # A server never needs it, and it takes a third of a second and 11 MB.
        from alembic import command
        from alembic.config import Config

        if current is not None and current not in _revisions():
            raise SchemaTooNew(f"The database has revision {current}, which this release does not know.")
        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        config.attributes["engine"] = self._writing
        command.upgrade(config, "head")

    def current_revision(self) -> str | None:
        with self.engine.connect() as connection:
            if not inspect(connection).has_table("alembic_version"):
                return None
            revision: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
            return revision

    def head_revision(self) -> str:
        return _revisions()[-1]

    def dispose(self) -> None:
        self.engine.dispose()


class _Writing(Session):
    """A session of one connection, which each statement asks for: looking it up takes longer than some statements."""

    _held: Connection | None = None

    def connection(self, *arguments: Any, **named: Any) -> Connection:
        if self._held is None:
            self._held = super().connection(*arguments, **named)
        return self._held


def _revisions() -> list[str]:
    """The revisions that this release knows, in order: their files begin with them."""
    return sorted(path.name.partition("_")[0] for path in (_MIGRATIONS / "versions").glob("[0-9]*_*.py"))


def has_row_locks(session: Session) -> bool:
    """Whether rows are locked one by one. On SQLite BEGIN IMMEDIATE is the lock of all of them."""
    return session.get_bind().dialect.name != "sqlite"


@contextmanager
def write_beside(session: Session) -> Iterator[Connection]:
    """A connection for a small write while `session` is open: its own, if that writes anyhow, else another one.

    Raises DatabaseUnavailable at once when SQLite is being written by somebody else: a reader must not wait."""
    writing: Engine | None = session.info.get("writing")
    if writing is None:
        yield session.connection()
        return
    with writing.connect() as connection:
        if writing.dialect.name != "sqlite":
            with connection.begin():
                yield connection
            return
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute("PRAGMA busy_timeout=0")
        try:
            with connection.begin():
                yield connection
        finally:
            raw.execute(f"PRAGMA busy_timeout={_LOCK_WAIT_SECONDS * 1000}")


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # The driver must not begin transactions by itself: _begin_sqlite says which kind.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA cache_size=-16000")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("begin", "BEGIN"))


def _note_use(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info["used"] = time.monotonic()


def _ask_whether_there(dialect: Dialect, connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
    """Whether the server is still at the other end of a connection that has been lying about."""
    if time.monotonic() - record.info.get("used", math.inf) < _FRESH_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        raise InvalidatePoolError() from error


def _translate(context: ExceptionContext) -> DatabaseUnavailable | None:
    """What is raised instead: the drivers' many words for "not now" become ours, wherever a statement fails."""
    away = isinstance(context.sqlalchemy_exception, (OperationalError, InterfaceError)) or context.is_disconnect
    return unavailable(context.original_exception) if away else None


def unavailable(error: BaseException) -> DatabaseUnavailable:
    """What a driver's error means to whoever asked."""
    state, said = getattr(error, "sqlstate", None), str(error)
    if state in ("40001", "40P01", "55P03"):
        return SerializationFailure("The transaction met another one.")
    if state == "53100" or "disk is full" in said.lower() or "disk i/o" in said.lower():
        return DiskFull("The disk is full.")
    return DatabaseUnavailable(f"The database cannot be used now: {said.splitlines()[0] if said else 'down'}")
