"""The practice that the CalDAV tests work with."""

from collections.abc import Iterator

import pytest

from storage.db import Database
from storage.settings import Settings
from tests.caldav.helpers import Clinic, Dav, make_clinic


@pytest.fixture
def clinic(database: Database) -> Clinic:
    """On SQLite and on PostgreSQL."""
    return make_clinic(database)


@pytest.fixture
def lite(settings: Settings) -> Iterator[Clinic]:
    """On SQLite alone."""
    database = Database(settings.database_url, settings)
    yield make_clinic(database)
    database.dispose()


@pytest.fixture
def lee(lite: Clinic) -> Dav:
    return lite.client("lee")
