"""What every page works with: the database, the settings and the clock."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from flask import current_app

from storage.db import Database
from storage.settings import Settings


@dataclass(frozen=True)
class Services:
    db: Database
    settings: Settings
    clock: Callable[[], datetime]


def services() -> Services:
    return cast(Services, current_app.extensions["clinicdav"])


def settings() -> Settings:
    return services().settings


def now() -> datetime:
    return services().clock()


def reading() -> AbstractContextManager[Any]:
    return services().db.reading()


def transaction() -> AbstractContextManager[Any]:
    return services().db.transaction()
