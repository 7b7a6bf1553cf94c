"""The small practice of tests/storage with sinks to send to, and a clock that the tests set."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from storage.db import Database
from storage.settings import Settings
from tests.storage.conftest import Practice, make_practice
from tests.storage.conftest import at as wall_time


@pytest.fixture(name="at")
def _at() -> Callable[..., datetime]:
    return wall_time


@pytest.fixture
def told(database: Database, smtp_sink: Any, sms_sink: Any) -> Settings:
    """Settings with both sinks."""
    assert database.settings is not None
    return database.settings.model_copy(
        update={"smtp_url": smtp_sink.url, "sms_url": sms_sink.url, "mail_from": "desk@clinic.example"}
    )


@pytest.fixture
def practice(database: Database, told: Settings) -> Practice:
    database.settings = told
    return replace(make_practice(database))
