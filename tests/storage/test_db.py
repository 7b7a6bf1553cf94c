"""The schema's revisions, and what a server does not load."""

import subprocess
import sys

from alembic.config import Config
from alembic.script import ScriptDirectory

from storage import db
from storage.db import Database


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
