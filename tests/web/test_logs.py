"""What the log says of requests and faults, and what it never says."""

import logging
import re
from collections.abc import Callable, Iterator
from io import StringIO
from typing import Any

import pytest
import structlog
from flask import Flask
from structlog.stdlib import ProcessorFormatter
from werkzeug.test import Client

from storage import accounts, booking, credentials, feeds, links, logins
from storage.db import Database
from storage.settings import Settings
from web import logs
from web.wsgi import create_wsgi

from .conftest import Clock, book

PRIVATE = "Maria Huber, knee"


@pytest.fixture
def stream() -> StringIO:
    return StringIO()


@pytest.fixture
def log(settings: Settings, stream: StringIO) -> Iterator[Callable[[], list[str]]]:
    """What was written since the last time."""

    def lines() -> list[str]:
        written = stream.getvalue().splitlines()
        stream.seek(0)
        stream.truncate()
        return written

    root = logging.getLogger()
    levels = {each: each.level for each in (root, logging.getLogger("clinicdav"), logging.getLogger("waitress"))}
    logs.set_up(settings, stream)
    yield lines
    root.handlers[:] = [each for each in root.handlers if not isinstance(each.formatter, ProcessorFormatter)]
    for logger, level in levels.items():
        logger.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def client(db: Database, settings: Settings, clock: Clock) -> Client:
    return Client(create_wsgi(settings, clock, db))


def test_each_request_is_one_line_without_its_path(
    client: Client, db: Database, settings: Settings, clock: Clock, log: Callable[[], list[str]]
) -> None:
    booked = book(db, clock, "maria")
    with db.transaction() as session:
        lee = accounts.by_username(session, "lee")
        assert lee is not None
        feed = feeds.add_feed(session, lee, "busy", "", clock.now)
        first = logins.create_login_link(session, lee, clock.now)
        token = credentials.add_api_token(session, lee, "x", clock.now)
    manage = links.token(settings, "manage", booked.appointment.id)
    log()
    asked = {
        f"/manage/{manage}": "/manage/<token>",
        f"/offer/{manage}": "/offer/<token>",
        f"/feeds/{feed}.ics": "/feeds/<",
        f"/first-login/{first}": "/first-login/<token>",
        f"/nowhere/{manage}": "none",
    }
    for path, route in asked.items():
        client.get(path)
        (line,) = log()
        assert f"route={route}" in line
        assert re.search(r"level=info logger=clinicdav.web event=request .*method=GET .*status=\d{3} .*ms=\d", line)
        assert re.search(r"\brequest=[0-9a-f]{12}\b", line)
        for secret in (manage, feed, first):
            assert secret[:12] not in line
    client.get(f"/api/v1/appointments/{booked.appointment.id}", headers={"Authorization": f"Bearer {token}"})
    (line,) = log()
    assert f"account={lee.id}" in line and token not in line and "status=200" in line
    client.open("/dav/lee/", method="PROPFIND")
    (line,) = log()
    assert "logger=clinicdav.dav" in line and "dav PROPFIND 401" in line


def test_a_fault_is_logged_without_path_and_message(
    app: Flask, client: Client, monkeypatch: pytest.MonkeyPatch, log: Callable[[], list[str]]
) -> None:
    def broken(*_given: Any) -> None:
        raise LookupError(PRIVATE)

    monkeypatch.setattr(booking, "by_manage_token", broken)
    assert client.get("/manage/a-secret-token").status_code == 500
    fault, access = log()

    assert "event=fault" in fault and "error_type=LookupError" in fault and "in broken" in fault
    assert "route=/manage/<token>" in fault and "status=500" in access
    assert re.findall(r"request=(\w+)", fault) == re.findall(r"request=(\w+)", access)
    for secret in ("Maria", "knee", "a-secret-token"):
        assert secret not in fault + access


def test_warnings_of_tasks_and_of_libraries_look_the_same(log: Callable[[], list[str]]) -> None:
    try:
        raise LookupError(PRIVATE)
    except LookupError:
        structlog.get_logger("clinicdav.outbox").exception("message failed", message=7)
        logging.getLogger("celery.worker").exception("task failed")
    logging.getLogger("httpx").info("POST https://gateway.example/token")
    ours, theirs = log()
    assert 'level=error logger=clinicdav.outbox event="message failed"' in ours and "message=7" in ours
    assert "level=error logger=celery.worker" in theirs
    assert "Maria" not in ours + theirs and "error_type=LookupError" in ours and "error_type=LookupError" in theirs


def test_the_level_is_a_setting(
    settings: Settings, client: Client, stream: StringIO, log: Callable[[], list[str]]
) -> None:
    log()
    logs.set_up(settings.model_copy(update={"log_level": "warning"}), stream)
    client.get("/healthz")
    assert log() == []
