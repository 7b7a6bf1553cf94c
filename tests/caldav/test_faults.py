"""What an app is told when the database cannot answer, and what the log may say."""

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from caldav_bridge.app import create_dav_app
from storage import edits
from storage.db import Database, DatabaseUnavailable, DiskFull, SerializationFailure
from tests.caldav.helpers import Clinic, Dav, event


def failing(monkeypatch: pytest.MonkeyPatch, error: Exception, times: int) -> list[int]:
    """Let the next `times` writing transactions fail at their end."""
    left = [times]
    real = Database.transaction

    @contextmanager
    def transaction(self: Database) -> Iterator[Any]:
        with real(self) as session:
            yield session
            if left[0]:
                left[0] -= 1
                raise error

    monkeypatch.setattr(Database, "transaction", transaction)
    return left


def test_serialisation_failure_is_run_again(lee: Dav, monkeypatch: pytest.MonkeyPatch) -> None:
    left = failing(monkeypatch, SerializationFailure("again"), 3)
    assert lee.put("/lee/personal/a.ics", event()).status == 201
    assert left == [0]
    assert lee.get("/lee/personal/a.ics").text == event()


def test_serialisation_failure_without_end_is_503(lee: Dav, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, SerializationFailure("again"), 100)
    assert lee.put("/lee/personal/a.ics", event()).status == 503


def test_database_that_is_away_is_503_with_retry_after(lee: Dav, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, DatabaseUnavailable("locked"), 1)
    answer = lee.put("/lee/personal/a.ics", event())
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert lee.get("/lee/personal/a.ics").status == 404


def test_full_disk_is_507_and_reads_go_on(lee: Dav, monkeypatch: pytest.MonkeyPatch) -> None:
    failing(monkeypatch, DiskFull("full"), 1)
    assert lee.put("/lee/personal/a.ics", event()).status == 507
    assert lee.propfind("/lee/personal/", "D:getetag", depth="1").status == 207


def test_login_without_database_is_503(lee: Dav, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def reading(self: Database) -> Iterator[Any]:
        raise DatabaseUnavailable("down")
        yield

    monkeypatch.setattr(Database, "reading", reading)
    answer = lee.propfind("/lee/", "D:displayname")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")


def test_fault_of_ours_is_500_and_rolled_back(lee: Dav, monkeypatch: pytest.MonkeyPatch) -> None:
    real = edits.put

    def broken(*args: Any, **named: Any) -> Any:
        real(*args, **named)
        raise ValueError("a fault")

    monkeypatch.setattr(edits, "put", broken)
    assert lee.put("/lee/personal/a.ics", event()).status == 500
    monkeypatch.undo()
    assert lee.get("/lee/personal/a.ics").status == 404


def test_reads_go_on_while_somebody_writes(lite: Clinic) -> None:
    lee = lite.client("lee")
    lee.put("/lee/personal/a.ics", event())
    writer = sqlite3.connect(lite.settings.home / "clinicdav.sqlite3", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        assert lee.get("/lee/personal/a.ics").status == 200
    finally:
        writer.execute("ROLLBACK")
        writer.close()


def test_write_that_cannot_have_the_lock_is_503(lite: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("storage.db._LOCK_WAIT_SECONDS", 0.1)
    db = Database(lite.settings.database_url, lite.settings)
    lee = Dav(create_dav_app(db, lite.settings, lite.clock), "lee", lite.passwords["lee"])
    writer = sqlite3.connect(lite.settings.home / "clinicdav.sqlite3", isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    try:
        assert lee.put("/lee/personal/a.ics", event()).status == 503
    finally:
        writer.execute("ROLLBACK")
        writer.close()
    assert lee.put("/lee/personal/a.ics", event()).status == 201
    db.dispose()


def test_two_writers_with_the_same_etag_have_one_winner(clinic: Clinic) -> None:
    lee = clinic.client("lee")
    for round_number in range(10):
        etag = lee.put(
            "/lee/personal/a.ics", event("a@test", "20261124T070000", f"20261124T08{round_number:02d}00")
        ).headers["ETag"]
        answers: list[int] = []
        start = threading.Barrier(4)

        def write(
            minute: int, etag: str = etag, start: threading.Barrier = start, answers: list[int] = answers
        ) -> None:
            text = event("a@test", f"20261124T09{minute:02d}00", "20261124T120000")
            start.wait()
            answers.append(clinic.client("lee").put("/lee/personal/a.ics", text, If_Match=etag).status)

        threads = [threading.Thread(target=write, args=(minute,)) for minute in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answers) == [204, 412, 412, 412]


def test_log_carries_no_names_paths_or_bodies(lite: Clinic, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    lee = lite.client("lee")
    lee.put(
        "/lee/personal/secret-path.ics", event("u@test", "20261124T090000", "20261124T093000", "SUMMARY:Maria Huber")
    )
    lee.query("/lee/personal/", '<C:comp-filter name="VEVENT"/>')
    Dav(lite.app, "lee", "wrong-password").propfind("/lee/", "D:displayname")
    lee.put("/lee/personal/b.ics", "BEGIN:VCALENDAR\r\nSUMMARY:Maria Huber")
    told = "\n".join(f"{record.name} {record.getMessage()} {record.exc_text}" for record in caplog.records)
    for secret in ("Maria", "lee", "secret-path", "wrong-password", lite.passwords["lee"]):
        assert secret not in told, secret
    assert "dav PUT 201" in told
