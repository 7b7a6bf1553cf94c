"""The audit chain: whole after anything that was committed, broken by any change to a row."""

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from storage import accounts, appointment_types, appointments, audit, credentials, feeds, leave, logins, passwords
from storage.db import Database
from storage.models import Audit
from storage.policy import SYSTEM, Actor

NOW = datetime(2026, 11, 23, 8, 0, 0, 123456, tzinfo=UTC)
LEE = Actor("account", "doctor", 1, "lee", label="lee by caldav")


def record(db: Database, *objects: str) -> None:
    with db.transaction() as session:
        for each in objects:
            audit.record(session, LEE, "calendar.put", each, {"why": "ü", "n": 1}, NOW)


def test_a_chain_of_many_transactions_holds(database: Database) -> None:
    record(database, "object:1", "object:2")
    record(database, "object:3")
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Audit)) == 3
        assert audit.first_broken(session) is None


def test_a_changed_row_and_a_missing_row_are_noticed(database: Database) -> None:
    record(database, *(f"object:{number}" for number in range(5)))
    with database.transaction() as session:
        ids = list(session.scalars(select(Audit.id).order_by(Audit.id)))
        session.execute(update(Audit).where(Audit.id == ids[2]).values(actor="somebody else"))
    with database.reading() as session:
        assert audit.first_broken(session) == ids[2]
    with database.transaction() as session:
        session.execute(update(Audit).where(Audit.id == ids[2]).values(actor="lee by caldav"))
        session.delete(session.get_one(Audit, ids[1]))
    with database.reading() as session:
        assert audit.first_broken(session) == ids[2]


def test_what_was_rolled_back_was_not_done(database: Database) -> None:
    try:
        with database.transaction() as session:
            audit.record(session, LEE, "calendar.put", "object:1", {}, NOW)
            raise LookupError
    except LookupError:
        pass
    with database.transaction() as session:
        audit.record(session, LEE, "calendar.put", "object:2", {}, NOW)
        savepoint = session.begin_nested()
        audit.record(session, LEE, "calendar.put", "object:3", {}, NOW)
        savepoint.rollback()
        with session.begin_nested():
            audit.record(session, LEE, "calendar.put", "object:4", {}, NOW)
    with database.reading() as session:
        assert list(session.scalars(select(Audit.object).order_by(Audit.id))) == ["object:2", "object:4"]
        assert audit.first_broken(session) is None


def test_many_writers_at_once_make_one_chain(database: Database) -> None:
    def write(name: str) -> None:
        for number in range(20):
            record(database, f"{name}:{number}")

    threads = [threading.Thread(target=write, args=(f"writer{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Audit)) == 80
        assert audit.first_broken(session) is None


# What leaves a row


def rows(db: Database) -> list[tuple[str, str]]:
    with db.reading() as session:
        assert audit.first_broken(session) is None
        return [(row.action, row.object) for row in session.scalars(select(Audit).order_by(Audit.id))]


def test_what_is_done_to_accounts_is_noted_with_ids_alone(database: Database) -> None:
    with database.transaction(LEE) as session:
        made = {"role": "doctor", "username": "noor", "name": "Dr. Noor Secret", "email": "noor@private.example"}
        account = accounts.create_account(session, password="four walls and a roof", **made, now=NOW)
        whose = f"account:{account.id}"
        app_password = credentials.add_app_password(session, account, "Noor's phone", "solo", NOW)
        credentials.revoke(session, credentials.app_passwords(session, account)[0], NOW)
        token = credentials.add_api_token(session, account, "Noor's lab", NOW)
        credentials.revoke(session, credentials.api_tokens(session, account)[0], NOW)
        link = logins.create_login_link(session, account, NOW)
        assert logins.use_login_link(session, link, NOW) is not None
        assert logins.use_login_link(session, link, NOW) is None
        feed = feeds.add_feed(session, account, "busy", "Noor's feed", NOW)
        found = feeds.find_feed(session, feed, "", NOW)
        assert found is not None
        feeds.revoke(session, found, NOW)
    for name in ("noor", "nobody"):
        assert passwords.check_password(database, name, "a wrong one", "192.0.2.1", NOW) is None
    assert passwords.check_password(database, "noor", "four walls and a roof", "192.0.2.1", NOW) is not None
    with database.transaction(LEE) as session:
        cookie = logins.new_session(session, account, {}, NOW)
        visitor = logins.new_session(session, None, {}, NOW)
        for each in (cookie, cookie, visitor):
            logins.end_session(session, each, NOW)
        account = session.get_one(type(account), account.id)
        passwords.set_password(session, account, "six windows and a door", NOW)
        accounts.disable(session, account, NOW)
    assert [row for row in rows(database) if not row[0].startswith("calendar.")] == [
        ("account.created", whose),
        ("app_password.added", whose),
        ("app_password.revoked", whose),
        ("token.added", whose),
        ("token.revoked", whose),
        ("link.created", whose),
        ("link.used", whose),
        ("feed.added", whose),
        ("feed.revoked", f"feed:{found.id}"),
        ("login.failed", whose),
        ("login.failed", "account"),
        ("login", whose),
        ("logout", whose),
        ("password.changed", whose),
        ("account.disabled", whose),
    ]
    with database.reading() as session:
        kept = list(session.scalars(select(Audit)))
    said = " ".join(f"{row.actor} {row.action} {row.object} {row.detail}" for row in kept).casefold()
    for secret in ("noor", "private", app_password, token, link, feed, cookie, "192.0.2.1", "nobody"):
        assert secret.casefold() not in said
    assert [row.detail["failures"] for row in kept if row.action == "login.failed"] == [1, 1]
    assert kept[0].actor == "lee by caldav" and kept[0].detail["account"] == 1


def test_types_and_leave_decisions_are_noted(practice: Any) -> None:
    with practice.writing() as session:
        appointment_types.create(session, "long", name="Long", minutes=45, now=practice.now)
        appointment_types.change(session, "long", minutes=50, now=practice.now)
        start, end = practice.now.date() + timedelta(days=30), practice.now.date() + timedelta(days=31)
        asked = leave.request_leave(session, practice.lee, start, end, "Knee", actor=practice.doctor, now=practice.now)
    for approve in (True, False):
        with practice.writing() as session:
            leave.decide(session, asked.id, approve, actor=SYSTEM, now=practice.now)
    of = f"object:{asked.object.id}"
    said = [row for row in rows(practice.db) if row[0].startswith(("type.", "leave."))]
    assert said == [
        ("type.created", "type:long"),
        ("type.changed", "type:long"),
        ("leave.approved", of),
        ("leave.rejected", of),
    ]


def test_a_record_that_staff_read_is_noted_and_the_patients_own_is_not(practice: Any, at: Any) -> None:
    booked = practice.book(at(9))
    for actor in (practice.doctor, practice.visitor, Actor("account", "patient", 9, label="patient")):
        with practice.db.reading() as session:
            assert appointments.read_by(session, actor, booked.appointment.id, practice.now) is not None
    read = [row for row in rows(practice.db) if row[0] == "appointment.read"]
    assert read == [("appointment.read", f"appointment:{booked.appointment.id}")]


def test_a_read_never_waits_for_a_writer_and_is_noted_with_the_next_write(practice: Any, at: Any) -> None:
    booked = practice.book(at(9))

    def look() -> None:
        with practice.db.reading() as session:
            appointments.read_by(session, practice.doctor, booked.appointment.id, practice.now)

    def reads() -> int:
        return [action for action, _object in rows(practice.db)].count("appointment.read")

    busy = Database(practice.db.url.render_as_string(hide_password=False), practice.db.settings)
    with busy.transaction() as session:
        session.execute(text("SELECT 1"))
        if busy.dialect == "postgresql":
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": audit._CHAIN_LOCK})
        began = time.monotonic()
        look()
        look()
        assert time.monotonic() - began < 2
        assert reads() == 0
    with pytest.raises(LookupError), practice.db.transaction() as session:
        session.execute(text("SELECT 1"))
        session.flush()
        audit._write(session)
        raise LookupError
    assert reads() == 0
    audit.write_late(practice.db)
    assert reads() == 2
    look()
    assert reads() == 3
    busy.dispose()
