"""What every page works with: the database, the settings and the clock."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from flask import current_app, g

from storage.db import Database
from storage.policy import VISITOR, Actor
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
    return services().db.reading(_actor())


def transaction() -> AbstractContextManager[Any]:
    return services().db.transaction(_actor())


def _actor() -> Actor:
    return cast(Actor, g.get("actor", VISITOR))
