"""The schema's revisions, and what a server does not load."""

import contextlib
import subprocess
import sys

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import select, text

from ical.errors import NotFound
from storage import db
from storage.db import Database, DatabaseUnavailable
from storage.models import Account
from storage.prepared import Prepared

on_postgresql = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


def test_the_files_of_the_migrations_are_alembics_revisions_in_order(database: Database) -> None:
    config = Config()
    config.set_main_option("script_location", str(db._MIGRATIONS))
    script = ScriptDirectory.from_config(config)
    assert db._revisions() == [revision.revision for revision in script.walk_revisions()][::-1]
    assert database.current_revision() == database.head_revision() == script.get_current_head()


def test_a_server_does_not_load_what_few_need() -> None:
    heavy = ["alembic", "httpx", "psycopg", "recurring_ical_events", "redis"]
    look = f"import sys, web.cli; print(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@on_postgresql
def test_statements_stay_prepared_from_one_reading_to_the_next(database: Database) -> None:
    asked = Prepared(select(Account.username))
    for _ in range(8):
        with contextlib.suppress(NotFound), database.reading() as session:
            asked.rows(session)
            raise NotFound()
    with database.reading() as session:
        prepared = session.scalars(text("SELECT statement FROM pg_prepared_statements")).all()
    assert any("account.username" in statement for statement in prepared)


@on_postgresql
@pytest.mark.parametrize("fresh", [False, True])
def test_a_connection_that_was_cut_is_replaced(
    database: Database, monkeypatch: pytest.MonkeyPatch, fresh: bool
) -> None:
    monkeypatch.setattr(db, "_FRESH_SECONDS", 60 if fresh else 0)
    with database.reading() as session:
        backend = session.scalar(text("SELECT pg_backend_pid()"))
    other = Database(database.url.render_as_string(hide_password=False), database.settings)
    with other.transaction() as session:
        session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": backend})
    other.dispose()
    if fresh:
        # Used a moment ago, it is not asked; the one request that meets it is told to come again.
        with pytest.raises(DatabaseUnavailable), database.reading() as session:
            session.scalar(text("SELECT 1"))
    with database.reading() as session:
        assert session.scalar(text("SELECT pg_backend_pid()")) != backend
